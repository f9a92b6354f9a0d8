"""Simulated lenses and what is mistaken for one, as Space Warps showed CFHTLS to its volunteers.

No pixel was ever observed.
Fields come from `jupyter_astroml.zoo.lens_finder.scenes`; here they get the seeing and the noise of
CFHTLS-Wide, and become colour pictures.

Depth: the noise of a pixel makes the levels of a dark sky those of the real pictures; a star of
about g = 26.2, r = 25.7, i = 25.3 stands five times above it in 32 pixels.
It is correlated, because images were resampled and stacked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import Cutouts
from jupyter_astroml.zoo.lens_finder import picture, scenes
from jupyter_astroml.zoo.lens_finder.borrowed import Galaxies, at_distance
from jupyter_astroml.zoo.lens_finder.real import PIXEL_SCALE, SIZE

if TYPE_CHECKING:
    from astropy.table import Table

# Full width at half maximum of a star in i, arcsec, and in the other bands relative to it.
SEEING = (0.58, 0.78)
_SEEING_RATIO = np.array([1.0, 1.06, 1.14])
# Share of a star's light in the broad wings, and their width relative to the core.
_WINGS, _WING_WIDTH = 0.12, 2.4
# Standard deviation of a pixel in i, r and g, nanomaggy.
NOISE = np.array([1.5e-3, 1.05e-3, 0.62e-3])
# Its correlation: share of the neighbour when images are moved by a part of a pixel.
_GRAIN = 0.35
# Photoelectrons for one nanomaggy.
_ELECTRONS = np.array([8.0e4, 5.0e4, 6.5e4])
# An arc is visible where it stands out of the noise, and is no mere gleam on the lens.
_OUT_OF_NOISE, _OUT_OF_LENS, _FEWEST = 1.5, 0.12, 24
# Draws of a lens until its arcs are visible.
_TRIES = 40
COLUMNS = {
    "id": ("", "Name"),
    "label": ("", "Class: lens or other"),
    "kind": ("", "What stands in the middle"),
    "redshift": ("", "Of the galaxy in the middle"),
    "theta_e_arcsec": ("arcsec", "Einstein radius; 0 without a lens"),
    "arc_snr": ("", "Signal over noise of the arcs in g, where they are visible; 0 without"),
    "galaxy": ("", "Name of the observed galaxy in the middle; empty where it is drawn"),
    "seeing_arcsec": ("arcsec", "Full width at half maximum of a star in i"),
}


def simulate(
    n: int,
    *,
    seed: int,
    lenses: float = 0.5,
    galaxies: Galaxies | None = None,
    borrowed: float = 0.3,
) -> tuple[Cutouts, Table]:
    """Make labelled colour pictures.

    Parameters
    ----------
    n : int
        Number of fields.
    seed : int
        The same seed gives the same pictures.
    lenses : float
        Share of lenses.
    galaxies : Galaxies, optional
        Observed galaxies, which stand in the middle of some fields.
    borrowed : float
        Share of these fields.

    Returns
    -------
    Cutouts
        Values of shape (n, 3, 128, 128), 0 to 1, bands i, r, g.
    Table
        The truth: one row an object, columns as in `COLUMNS`.

    Raises
    ------
    DataError
        If the number or the share cannot be.
    MissingExtraError
        If lenstronomy is not installed.
    """
    from astropy.table import Table

    if n < 1 or not 0 <= lenses <= 1:
        raise DataError(f"{n} fields with a share of {lenses} lenses cannot be drawn")
    values = np.empty((n, len(picture.BANDS), SIZE, SIZE), dtype=np.uint8)
    rows = []
    for i in range(n):
        # A field of its own seed: who draws half of them gets the same ones.
        rng = np.random.default_rng([seed, i])
        kind, body, name = _kind(lenses, rng), None, ""
        if galaxies is not None and rng.random() < borrowed:
            kind, body, name = _borrowed(galaxies, lens=kind in scenes.LENSES, rng=rng)
        values[i], about = observed(kind, rng=rng, body=body)
        about["galaxy"] = name
        rows.append({"id": f"sim{seed}-{i:05d}", **about})
    truth = Table({name: [row[name] for row in rows] for name in COLUMNS})
    for name, (unit, description) in COLUMNS.items():
        truth[name].unit = unit or None
        truth[name].description = description
    truth.meta |= {"simulated": True, "seed": seed}
    cutouts = Cutouts(
        ids=np.asarray(truth["id"]),
        values=values.astype(np.float32) / np.float32(255.0),
        bands=picture.BANDS,
        pixel_scale=np.full(n, PIXEL_SCALE),
        flux_unit="picture",
        simulated=True,
        meta={"simulator": "jupyter_astroml.zoo.lens_finder.simulate", "seed": seed},
    )
    return cutouts, truth


def _kind(lenses: float, rng: np.random.Generator) -> str:
    if rng.random() < lenses:
        return "group" if rng.random() < 0.35 else "lens"
    return str(rng.choice(list(scenes.OTHERS), p=list(scenes.OTHERS.values())))


def _borrowed(
    galaxies: Galaxies, *, lens: bool, rng: np.random.Generator
) -> tuple[str, scenes.Body, str]:
    """Choose an observed galaxy, all shapes equally often; return kind, light and name."""
    chosen = galaxies.of(lens=lens)
    shape = rng.choice(np.unique(chosen.shapes))
    i = int(rng.choice(np.flatnonzero(chosen.shapes == shape)))

    def body(redshift: float, rng: np.random.Generator) -> np.ndarray:
        return at_distance(chosen.pictures[i], redshift=redshift, rng=rng)

    other = "companions" if rng.random() < 0.4 else str(shape)
    return "lens" if lens else other, body, str(chosen.ids[i])


def observed(
    kind: str, *, rng: np.random.Generator, body: scenes.Body | None = None
) -> tuple[np.ndarray, dict[str, object]]:
    """Draw a field and observe it.

    Parameters
    ----------
    kind : str
        See `scenes.scene`; the arcs of a lens are visible.
    rng : Generator
        Source of the draws.
    body : callable, optional
        See `scenes.scene`.

    Returns
    -------
    ndarray of uint8, shape (3, 128, 128)
    dict
        The truth, without a name.
    """
    for _ in range(_TRIES):
        found = scenes.scene(kind, rng=rng, body=body)
        seeing = rng.uniform(*SEEING)
        light, arcs = blurred(found.light, seeing=seeing), blurred(found.arcs, seeing=seeing)
        noise = NOISE * np.exp(0.15 * rng.standard_normal(3))
        snr = visible(arcs, light, noise=noise)
        if snr > 0 or kind not in scenes.LENSES:
            break
    else:
        raise DataError(f"No visible lens came out of {_TRIES} draws")
    about: dict[str, object] = {
        "label": "lens" if kind in scenes.LENSES else "other",
        "kind": kind,
        "redshift": found.redshift,
        "theta_e_arcsec": found.theta_e,
        "arc_snr": snr,
        "galaxy": ("", "Name of the observed galaxy in the middle; empty where it is drawn"),
        "seeing_arcsec": seeing,
    }
    values = noisy(light + arcs, noise=noise, rng=rng)
    return picture.compressed(picture.drawn(values)), about


def visible(arcs: np.ndarray, light: np.ndarray, *, noise: np.ndarray) -> float:
    """Return the signal over noise of arcs in g where they can be seen; 0 if they cannot.

    Parameters
    ----------
    arcs, light : ndarray, shape (3, y, x), nanomaggy per pixel
        Blurred; the second is all the rest.
    noise : ndarray, shape (3,)
        Of a pixel of the sky.
    """
    sigma = noise[2]
    seen = (arcs[2] > _OUT_OF_NOISE * sigma) & (arcs[2] > _OUT_OF_LENS * light[2])
    if seen.sum() < _FEWEST:
        return 0.0
    photons = np.maximum(light[2] + arcs[2], 0.0)[seen] / _ELECTRONS[2]
    return float(arcs[2][seen].sum() / np.sqrt((sigma**2 + photons).sum()))


def blurred(light: np.ndarray, *, seeing: float) -> np.ndarray:
    """Convolve a field with a star: a core and wings, both Gaussian.

    Parameters
    ----------
    light : ndarray, shape (3, y, x)
        Bands i, r, g.
    seeing : float
        Full width at half maximum in i, arcsec.
    """
    from scipy import fft

    room = 12
    padded = np.pad(light, ((0, 0), (room, room), (room, room)), mode="edge")
    side = padded.shape[-1]
    square = fft.fftfreq(side)[:, None] ** 2 + fft.rfftfreq(side)[None, :] ** 2
    width = (seeing * _SEEING_RATIO / PIXEL_SCALE / 2.3548)[:, None, None]
    transfer = (1 - _WINGS) * np.exp(-2.0 * (np.pi * width) ** 2 * square)
    transfer += _WINGS * np.exp(-2.0 * (np.pi * _WING_WIDTH * width) ** 2 * square)
    found = fft.irfft2(fft.rfft2(padded) * transfer, s=(side, side))
    return found[:, room:-room, room:-room].astype(np.float32)


def noisy(light: np.ndarray, *, noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add photon noise, and the correlated noise of a stacked sky.

    Parameters
    ----------
    light : ndarray, shape (3, y, x), nanomaggy per pixel
        Blurred.
    noise : ndarray, shape (3,)
        Standard deviation of a pixel of the sky.
    rng : Generator
        Source of the noise.
    """
    grain = rng.standard_normal(light.shape, dtype=np.float32)
    for axis in (1, 2):
        grain = (1 - _GRAIN) * grain + _GRAIN * np.roll(grain, 1, axis)
        grain /= np.hypot(1 - _GRAIN, _GRAIN)
    photons = np.maximum(light, 0.0) / _ELECTRONS[:, None, None]
    sigma = np.sqrt(noise[:, None, None] ** 2 + photons)
    return (light + sigma * grain).astype(np.float32)
