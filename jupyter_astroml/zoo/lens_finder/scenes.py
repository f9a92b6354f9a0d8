"""What stands in a simulated field: lenses, and what is mistaken for one.

Galaxies are those of `jupyter_astroml.zoo.galaxy_morphology.simulate`, lenses those of
`jupyter_astroml.zoo.lensing`; here they get the sizes, magnitudes and colours of CFHTLS.
Every light is in nanomaggy per pixel of 0.1875 arcsec, bands i, r, g, not yet blurred.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from jupyter_astroml.zoo import lensing
from jupyter_astroml.zoo.galaxy_morphology import simulate as galaxies
from jupyter_astroml.zoo.lens_finder.picture import BANDS
from jupyter_astroml.zoo.lens_finder.real import PIXEL_SCALE, SIZE

LENSES = ("lens", "group")
# What is no lens, and how often: mostly what volunteers took for one.
OTHERS = {
    "elliptical": 0.15,
    "companions": 0.32,
    "spiral": 0.24,
    "ring": 0.08,
    "edge_on": 0.06,
    "merger": 0.08,
    "field": 0.04,
    "star": 0.03,
}
# Old galaxies as they look at some redshifts: g-r, r-i, i (AB, bright ones) and half-light radius
# (arcsec). Colours are those of a passive galaxy formed early, in round numbers.
_REDSHIFTS = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
_OLD = np.array(
    [
        [0.85, 0.38, 15.1, 3.2],
        [1.10, 0.45, 16.3, 2.1],
        [1.38, 0.53, 17.1, 1.6],
        [1.60, 0.64, 17.8, 1.4],
        [1.72, 0.80, 18.3, 1.2],
        [1.70, 0.98, 18.8, 1.1],
        [1.66, 1.12, 19.3, 1.0],
        [1.60, 1.22, 19.8, 0.95],
        [1.52, 1.28, 20.3, 0.90],
        [1.45, 1.32, 20.7, 0.85],
    ]
)
# Unblurred: narrower than a ray.
_SHARP = 0.02
_NONE = {"companion_fraction": 0.0, "tail_fraction": 0.0, "bulge_fraction": 0.0}
# Shapes of a class of galaxies.
_SHAPES = 500
# The whole field, and the room that a small galaxy takes.
_FIELD, _STAMP = (SIZE, SIZE), (48, 48)


@dataclass(frozen=True, eq=False)
class Scene:
    """A field before the telescope.

    Attributes
    ----------
    light : ndarray, shape (3, y, x)
        All there is but the arcs.
    arcs : ndarray, shape (3, y, x)
        Images of a source behind a lens; 0 without one.
    kind : str
        One of `LENSES` or `OTHERS`.
    redshift : float
        Of the galaxy in the middle; 0 for a star.
    theta_e : float, arcsec
        Einstein radius; 0 without a lens.
    """

    light: np.ndarray
    arcs: np.ndarray
    kind: str
    redshift: float
    theta_e: float = 0.0


def camera(size: int = SIZE, *, pixel_scale: float = PIXEL_SCALE) -> lensing.Camera:
    """Return a camera that counts nanomaggies and does not blur."""
    return lensing.Camera(
        pixel_scale=pixel_scale, size=size, seeing=_SHARP, exposure=1.0, zero_point=22.5, sky=22.0
    )


Body = Callable[[float, np.random.Generator], np.ndarray]


def scene(kind: str, *, rng: np.random.Generator, body: Body | None = None) -> Scene:
    """Draw a field with something in its middle.

    Parameters
    ----------
    kind : str
        One of `LENSES` or `OTHERS`.
    rng : Generator
        Source of the draws.
    body : callable, optional
        Gets a redshift and the generator, and returns the light of the galaxy in the middle, which
        is drawn when absent.
    """
    light, redshift = np.zeros((len(BANDS), *_FIELD), dtype=np.float32), 0.0
    arcs, theta_e = np.zeros_like(light), 0.0
    if kind in LENSES:
        # Massive galaxies half-way to the sources bend most light to us.
        redshift = 0.2 + 0.8 * rng.beta(2.0, 1.7)
        lens = drawn_lens(kind, redshift=redshift, rng=rng)
        theta_e = lens.mass.theta_e
        if body is None:
            light += tinted(lensing.galaxy_image(lens, camera()), *old_colours(redshift, rng))
        else:
            light += body(redshift, rng)
        arcs += tinted(lensing.arcs_image(lens, camera()), *source_colours(rng))
        if kind == "group":
            _add_members(light, redshift, within=1.3 * theta_e, n=int(rng.integers(1, 5)), rng=rng)
    elif body is not None:
        redshift = rng.uniform(0.1, 0.8)
        light += body(redshift, rng)
        if kind == "companions":
            _add_companions(light, redshift, rng)
    else:
        redshift = _MAKERS[kind](light, rng)
    if redshift and rng.random() < (0.5 if kind == "group" else 0.3):
        _add_members(light, redshift, within=11.0, n=int(rng.integers(2, 8)), rng=rng)
    _add_neighbours(light, rng)
    return Scene(light, arcs, kind, redshift, theta_e)


def drawn_lens(kind: str, *, redshift: float, rng: np.random.Generator) -> lensing.Lens:
    """Draw a lens at a redshift, and what is behind it; magnitudes are those in r."""
    _, r_i, mag_i, radius = old(redshift)
    wide = kind == "group"
    theta_e = (2.5, 7.0) if wide else (0.7, 2.6)
    bright = mag_i - (0.7 if wide else 0.0) + 0.6 * rng.standard_normal()
    size = radius * (1.5 if wide else 1.0) * np.exp(0.25 * rng.standard_normal())
    return lensing.draw(
        lensing.Priors(
            theta_e=theta_e,
            mass_ratio=(0.5, 0.98),
            offset=0.12,
            shear=0.12,
            lens_magnitude=(bright + r_i,) * 2,
            lens_radius=(size,) * 2,
            lens_index=(2.5, 5.5),
            source_magnitude=(21.4, 25.0),
            source_radius=(0.08, 0.5),
            impact=0.35 if wide else 0.55,
            clumps=2,
        ),
        rng=rng,
    )


def old(redshift: float) -> tuple[float, float, float, float]:
    """Return g-r, r-i, i and half-light radius (arcsec) of a bright old galaxy at a redshift."""
    g_r, r_i, mag, radius = (float(np.interp(redshift, _REDSHIFTS, _OLD[:, k])) for k in range(4))
    return g_r, r_i, mag, radius


def old_colours(redshift: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return g-r and r-i of an old galaxy, with some scatter."""
    g_r, r_i, _, _ = old(redshift)
    return g_r + 0.07 * rng.standard_normal(), r_i + 0.05 * rng.standard_normal()


def source_colours(rng: np.random.Generator) -> tuple[float, float]:
    """Return g-r and r-i of a distant galaxy: most form stars."""
    if rng.random() < 0.1:
        return rng.normal(0.9, 0.25), rng.normal(0.5, 0.2)
    return rng.normal(0.3, 0.2), rng.normal(0.15, 0.15)


def tinted(light: np.ndarray, g_r: float, r_i: float) -> np.ndarray:
    """Return light in r, shape (y, x), in i, r and g."""
    share = 10 ** (0.4 * np.array([r_i, 0.0, -g_r]))
    return (share[:, None, None] * light).astype(np.float32)


# What is no lens


def _elliptical(light: np.ndarray, rng: np.random.Generator) -> float:
    redshift = 0.1 + 0.9 * rng.beta(1.3, 1.7)
    g_r, r_i = old_colours(redshift, rng)
    _, _, mag_i, radius = old(redshift)
    mag, size = mag_i + 0.6 * rng.standard_normal(), radius * np.exp(0.25 * rng.standard_normal())
    put(light, "elliptical", rng, mag_r=mag + r_i, g_r=g_r, r_i=r_i, r_e_arcsec=size)
    return redshift


def _companions(light: np.ndarray, rng: np.random.Generator) -> float:
    """Draw an old galaxy, and others that stand around it at any distance and in any direction."""
    redshift = _elliptical(light, rng)
    _add_companions(light, redshift, rng)
    return redshift


def _add_companions(light: np.ndarray, redshift: float, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 6))):
        away, towards = rng.uniform(1.0, 6.5), rng.uniform(0, 2 * np.pi)
        g_r, r_i = source_colours(rng) if rng.random() < 0.75 else old_colours(redshift, rng)
        put(
            light,
            str(rng.choice(["elliptical", "spiral", "edge_on"], p=[0.4, 0.3, 0.3])),
            rng,
            at=(away * np.sin(towards), away * np.cos(towards)),
            shape=_STAMP,
            mag_r=rng.uniform(20.4, 24.2),
            g_r=g_r,
            r_i=r_i,
            r_e_arcsec=0.35 * np.exp(0.4 * rng.standard_normal()),
        )


def _disc(light: np.ndarray, rng: np.random.Generator, **shape: Any) -> float:
    """Draw a blue disc and a red bulge; return the redshift."""
    redshift = rng.uniform(0.1, 0.8)
    old_g_r, old_r_i = old_colours(redshift, rng)
    blue = rng.uniform(0.05, 0.75)
    mag_r = 16.7 + 4.0 * np.log10(redshift / 0.1) + 0.7 * rng.standard_normal()
    radius = 2.4 * (0.15 / redshift) ** 0.55 * np.exp(0.3 * rng.standard_normal())
    bulge = rng.uniform(0.05, 0.5)
    put(
        light,
        "spiral",
        rng,
        mag_r=mag_r - 2.5 * np.log10(1 - bulge),
        g_r=old_g_r * (1 - 0.75 * blue),
        r_i=old_r_i * (1 - 0.7 * blue),
        r_e_arcsec=radius,
        **shape,
    )
    put(
        light,
        "elliptical",
        rng,
        mag_r=mag_r - 2.5 * np.log10(bulge),
        g_r=old_g_r,
        r_i=old_r_i,
        r_e_arcsec=radius * rng.uniform(0.12, 0.3),
        n_sersic=2.0,
    )
    return redshift


def _spiral(light: np.ndarray, rng: np.random.Generator) -> float:
    return _disc(light, rng)


def _ring(light: np.ndarray, rng: np.random.Generator) -> float:
    """Draw a ring around a disc, as resonances and collisions make it."""
    redshift = _disc(light, rng, arm_count=0)
    radius, ratio = rng.uniform(1.0, 3.8), rng.uniform(0.6, 1.0)
    angle, width = rng.uniform(0, np.pi), rng.uniform(0.12, 0.3)
    y, x = (np.indices(_FIELD) - (SIZE - 1) / 2) * PIXEL_SCALE
    along = np.cos(angle) * x + np.sin(angle) * y
    across = (np.cos(angle) * y - np.sin(angle) * x) / ratio
    far, around = np.hypot(along, across), np.arctan2(across, along)
    lumps = 1.0 + sum(
        rng.uniform(0, 0.35) * np.cos(m * around + rng.uniform(0, 2 * np.pi)) for m in range(1, 7)
    )
    ring = np.exp(-0.5 * ((far - radius) / (width * radius)) ** 2) * np.maximum(lumps, 0.0)
    mag = 19.2 + 3.0 * np.log10(redshift / 0.2) + 0.6 * rng.standard_normal()
    ring *= 10 ** (0.4 * (22.5 - mag)) / ring.sum()
    light += tinted(ring, rng.uniform(0.1, 0.8), rng.uniform(0.05, 0.45))
    return redshift


def _edge_on(light: np.ndarray, rng: np.random.Generator) -> float:
    redshift = rng.uniform(0.1, 0.8)
    g_r, r_i = old_colours(redshift, rng)
    young = rng.uniform(0.4, 1.0)
    put(
        light,
        "edge_on",
        rng,
        mag_r=rng.uniform(18.0, 21.8),
        g_r=young * g_r,
        r_i=young * r_i,
        r_e_arcsec=rng.uniform(0.6, 2.2),
    )
    return redshift


def _merger(light: np.ndarray, rng: np.random.Generator) -> float:
    redshift = rng.uniform(0.1, 0.7)
    g_r, r_i = old_colours(redshift, rng)
    young = rng.uniform(0.3, 1.0)
    put(
        light,
        "merger",
        rng,
        mag_r=17.2 + 4.0 * np.log10(redshift / 0.1) + 0.6 * rng.standard_normal(),
        g_r=young * g_r,
        r_i=young * r_i,
        r_e_arcsec=rng.uniform(0.6, 1.8),
    )
    return redshift


def _field(light: np.ndarray, rng: np.random.Generator) -> float:
    """Draw one or several small blue galaxies close together."""
    for _ in range(int(rng.integers(1, 4))):
        g_r, r_i = source_colours(rng)
        put(
            light,
            str(rng.choice(["spiral", "elliptical", "edge_on"])),
            rng,
            at=tuple(rng.normal(0.0, 1.0, 2)),
            shape=_STAMP,
            mag_r=rng.uniform(20.5, 23.5),
            g_r=g_r,
            r_i=r_i,
            r_e_arcsec=rng.uniform(0.2, 0.8),
        )
    return 0.0


def _star(light: np.ndarray, rng: np.random.Generator) -> float:
    """Draw a bright star with the cross and the halo that mirrors and lenses make of it."""
    y, x = np.indices(_FIELD) - (SIZE - 1) / 2 + rng.normal(0.0, 1.0, 2)[:, None, None]
    far = np.hypot(y, x)
    halo = np.exp(-far / rng.uniform(3, 9))
    cross = sum(
        np.exp(-((np.abs(a) / 1.0) ** 2) - np.abs(b) / rng.uniform(6, 25))
        for a, b in ((y, x), (x, y))
    )
    point = np.exp(-0.5 * (far / 0.6) ** 2)
    shape = sum(
        share * part / part.sum()
        for share, part in ((0.97, point), (0.02 * rng.random(), halo), (0.012, cross))
    )
    light += tinted(
        10 ** (0.4 * (22.5 - rng.uniform(14.0, 20.0))) * shape,
        rng.uniform(0.3, 1.4),
        rng.uniform(0.2, 0.9),
    )
    return 0.0


_MAKERS: dict[str, Callable[[np.ndarray, np.random.Generator], float]] = {
    "elliptical": _elliptical,
    "companions": _companions,
    "spiral": _spiral,
    "ring": _ring,
    "edge_on": _edge_on,
    "merger": _merger,
    "field": _field,
    "star": _star,
}


# What stands around


def _add_members(
    light: np.ndarray, redshift: float, *, within: float, n: int, rng: np.random.Generator
) -> None:
    """Add old galaxies of the same redshift, within a distance in arcsec."""
    _, _, mag_i, radius = old(redshift)
    for _ in range(n):
        away, towards = within * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
        g_r, r_i = old_colours(redshift, rng)
        fainter = rng.uniform(0.3, 3.0)
        put(
            light,
            "elliptical",
            rng,
            at=(away * np.sin(towards), away * np.cos(towards)),
            shape=_STAMP,
            mag_r=mag_i + r_i + fainter,
            g_r=g_r,
            r_i=r_i,
            r_e_arcsec=radius * 10 ** (-0.2 * fainter),
        )


def _add_neighbours(light: np.ndarray, rng: np.random.Generator) -> None:
    """Add the galaxies and stars that stand anywhere: 0.35 dex more for each magnitude."""
    side = SIZE * PIXEL_SCALE
    for _ in range(rng.poisson(17)):
        mag = 25.3 + np.log10(10 ** (0.35 * -6.5) + rng.random() * (1 - 10 ** (0.35 * -6.5))) / 0.35
        at = tuple(rng.uniform(-side / 2, side / 2, 2))
        if rng.random() < 0.08:
            kind, g_r, r_i, radius = (
                "elliptical",
                rng.uniform(0.3, 1.4),
                rng.uniform(0.1, 1.0),
                0.05,
            )
        elif rng.random() < 0.25:
            kind, radius = "elliptical", 0.45 * 10 ** (0.12 * (22.5 - mag))
            g_r, r_i = old_colours(rng.uniform(0.2, 1.0), rng)
        else:
            kind = str(rng.choice(["spiral", "elliptical", "edge_on"], p=[0.5, 0.3, 0.2]))
            radius = 0.45 * 10 ** (0.12 * (22.5 - mag))
            g_r, r_i = rng.normal(0.6, 0.3), rng.normal(0.3, 0.2)
        put(
            light,
            kind,
            rng,
            at=at,
            shape=_STAMP,
            mag_r=mag,
            g_r=g_r,
            r_i=r_i,
            r_e_arcsec=radius * np.exp(0.25 * rng.standard_normal()),
        )


@lru_cache(maxsize=len(galaxies.CLASSES))
def _shapes(kind: str) -> list[dict[str, Any]]:
    """Return the shapes to choose from, the same for everyone."""
    table = galaxies.parameters(_SHAPES, seed=0, classes=(kind,))
    return [dict(zip(table.colnames, row, strict=True)) for row in table.iterrows()]


def put(
    light: np.ndarray,
    kind: str,
    rng: np.random.Generator,
    *,
    at: tuple[float, ...] = (0.0, 0.0),
    shape: tuple[int, int] = _FIELD,
    **known: Any,
) -> None:
    """Add a galaxy to a field.

    Parameters
    ----------
    light : ndarray, shape (3, y, x)
        Of the field; grows.
    kind : str
        One of `galaxies.CLASSES`.
    rng : Generator
        Source of what is not known of it.
    at : tuple of float, arcsec
        Its place (y, x) relative to the middle.
    shape : tuple of int
        Its light is drawn so far, pixels.
    **known
        Of the columns `galaxies.COLUMNS`.
    """
    shapes = _shapes(kind)
    params = dict(shapes[rng.integers(len(shapes))])
    params["position_angle_deg"] = rng.uniform(0, 180)
    grown = known["r_e_arcsec"] / params["r_e_arcsec"]
    for name in ("companion_separation_arcsec", "companion_r_e_arcsec", "tail_length_arcsec"):
        params[name] *= grown
    if kind != "merger":
        params |= _NONE
    # Seen at a distance, knots are smaller than a pixel of ours.
    params |= {"knot_fraction": 0.0, **known}
    place = np.asarray(at) / PIXEL_SCALE + (SIZE - 1) / 2
    corner = np.round(place - (np.array(shape) - 1) / 2).astype(int)
    offset = place - corner - (np.array(shape) - 1) / 2
    drawn = galaxies.draw(
        params,
        bands=BANDS,
        shape=shape,
        pixel_scale=PIXEL_SCALE,
        seeing=0.0,
        offset=(float(offset[0]), float(offset[1])),
    )
    first = np.maximum(corner, 0)
    last = np.minimum(corner + shape, SIZE)
    if (last > first).all():
        ours = (slice(None), slice(first[0], last[0]), slice(first[1], last[1]))
        theirs = tuple(slice(f - c, e - c) for f, e, c in zip(first, last, corner, strict=True))
        light[ours] += drawn[(slice(None), *theirs)]
