"""Stars and galaxies in the five bands of SDSS, drawn from formulas.

Galaxies are exponential discs and de Vaucouleurs spheroids, stars are points; both are seen through
a point spread function with broad wings, the same in all bands.
Profiles are sums of Gaussians (Hogg & Lang 2013, PASP 125, 719), so that the blur adds to their
widths and no transform is needed; the sums are fitted here, out to four half-light radii.
Colours follow the stellar locus (Covey et al. 2007, AJ 134, 2398) and the two sequences of galaxies
(Strateva et al. 2001, AJ 122, 1861), coarsely.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import Cutouts

if TYPE_CHECKING:
    from astropy.table import Table

BANDS = ("u", "g", "r", "i", "z")
PIXEL_SCALE = 0.396
SIZE = 64
# Full width at half maximum of a star, arcsec.
SEEING = (0.9, 2.0)
MAGNITUDES = (18.0, 22.5)
# Standard deviation of a pixel, nanomaggy; one exposure of SDSS.
_NOISE = np.array([0.045, 0.018, 0.025, 0.04, 0.15])
# Share and relative width of the Gaussians of a star: a core and its wings.
_STAR = np.array([[0.70, 1.0], [0.25, 1.7], [0.05, 3.5]])


def simulate(n: int, *, seed: int, size: int = SIZE) -> tuple[Cutouts, Table]:
    """Make labelled cutouts in u, g, r, i and z.

    Parameters
    ----------
    n : int
        Number of objects; half are stars.
    seed : int
        The same seed gives the same objects.
    size : int
        Width and height in pixels of 0.396 arcsec.

    Returns
    -------
    Cutouts
        Values of shape (n, 5, size, size), nanomaggy.
    Table
        The truth: ``id``, ``label``, ``mag_r``, ``r_e_arcsec`` (0 for stars), ``axis_ratio``,
        ``seeing_arcsec``.
    """
    from astropy.table import Table

    if n < 1 or size < 8:
        raise DataError(f"{n} cutouts of {size} pixels cannot be drawn")
    rng = np.random.default_rng(seed)
    star = np.arange(n) % 2 == 0
    mag = (
        MAGNITUDES[1]
        + np.log10(
            10 ** (0.3 * (MAGNITUDES[0] - MAGNITUDES[1]))
            + rng.random(n) * (1 - 10 ** (0.3 * (MAGNITUDES[0] - MAGNITUDES[1])))
        )
        / 0.3
    )
    # Fainter galaxies are smaller; the smallest cannot be told from stars by their shape.
    radius = 0.9 * 10 ** (0.12 * (20.5 - mag) + 0.22 * rng.standard_normal(n))
    radius = np.where(star, 0.0, np.clip(radius, 0.1, 6.0))
    ratio = np.where(star, 1.0, rng.uniform(0.25, 1.0, n))
    seeing = rng.uniform(*SEEING, n)
    fluxes = 10 ** (0.4 * (22.5 - (mag[:, None] + _colours(star, rng))))
    values = np.empty((n, len(BANDS), size, size), dtype=np.float32)
    for i in range(n):
        profile = None if star[i] else ("disc", "spheroid")[int(rng.random() < 0.4)]
        light = _drawn(profile, radius[i], ratio[i], seeing[i], rng, size=size)
        noise = _NOISE[:, None, None] * rng.standard_normal((len(BANDS), size, size))
        values[i] = fluxes[i, :, None, None] * light + noise
    names = np.array([f"sim{seed}-{i:05d}" for i in range(n)])
    truth = Table(
        {
            "id": names,
            "label": np.where(star, "star", "galaxy"),
            "mag_r": mag,
            "r_e_arcsec": radius,
            "axis_ratio": ratio,
            "seeing_arcsec": seeing,
        },
        meta={"simulated": True, "seed": seed},
    )
    cutouts = Cutouts(
        ids=names,
        values=values,
        bands=BANDS,
        pixel_scale=np.full(n, PIXEL_SCALE),
        flux_unit="nanomaggy",
        simulated=True,
        meta={"simulator": "jupyter_astroml.zoo.star_galaxy.simulate", "seed": seed},
    )
    return cutouts, truth


def _colours(star: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the magnitudes relative to r in the five bands, shape (n, 5)."""
    n = len(star)
    g_r = np.where(star, rng.uniform(0.2, 1.5, n), 0.0)
    red = rng.random(n) < 0.5
    galaxy = np.where(red, rng.normal(1.1, 0.25, n), rng.normal(0.55, 0.18, n))
    g_r = np.where(star, g_r, galaxy)
    # The locus turns at M dwarfs: g-r stays, r-i goes on.
    cool = np.clip((g_r - 1.25) / 0.25, 0.0, 1.0) * star
    r_i = np.where(star, 0.4 * g_r + 0.9 * cool * rng.random(n), 0.38 * g_r + 0.06)
    i_z = np.where(star, 0.5 * r_i, 0.5 * r_i + 0.08)
    u_g = np.where(star, 0.55 + 1.35 * np.clip(g_r, 0.0, 1.4), 0.75 + 0.75 * g_r)
    scatter = np.where(star, 0.05, 0.12)[:, None] * rng.standard_normal((n, 5))
    steps = np.stack([u_g + g_r, g_r, np.zeros(n), -r_i, -r_i - i_z], axis=1)
    scatter[:, 2] = 0.0
    return steps + scatter


@lru_cache(maxsize=2)
def _gaussians(profile: str) -> tuple[np.ndarray, np.ndarray]:
    """Return shares and widths (over the half-light radius) of the Gaussians of a profile."""
    from scipy.optimize import nnls

    r = np.geomspace(0.05, 4.0, 200)
    power = 1.678 * r if profile == "disc" else 7.669 * r**0.25
    wanted = np.exp(-power + power[-1] / 4)
    widths = np.geomspace(0.05, 2.5, 10)
    table = np.exp(-0.5 * (r[:, None] / widths) ** 2)
    # Light in a ring, not the brightness, is what has to be right.
    heights, _ = nnls(table * r[:, None], wanted * r)
    light = heights * widths**2
    kept = light > 1e-4 * light.sum()
    return light[kept] / light[kept].sum(), widths[kept]


def _drawn(
    profile: str | None,
    radius: float,
    ratio: float,
    seeing: float,
    rng: np.random.Generator,
    *,
    size: int,
) -> np.ndarray:
    """Draw an object of flux 1, arcsec in, shape (size, size)."""
    angle = rng.uniform(0, np.pi)
    place = rng.normal(0.0, 0.4, 2) + (size - 1) / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # Telescopes that follow badly draw stars out, in all bands the same way.
    blur = (seeing / 2.355 / PIXEL_SCALE) ** 2 * np.diag([1.0, rng.uniform(0.8, 1.0)])
    shares, widths = _gaussians(profile) if profile else (np.ones(1), np.zeros(1))
    y, x = np.indices((size, size))
    dy, dx = y - place[0], x - place[1]
    image = np.zeros((size, size))
    for share, width in zip(shares, widths, strict=True):
        own = (width * radius / PIXEL_SCALE) ** 2 * np.diag([1.0, ratio**2])
        for part, wide in _STAR:
            spread = turn @ own @ turn.T + wide**2 * blur + np.eye(2) / 12
            (a, b), (_, c) = np.linalg.inv(spread)
            power = a * dy**2 + 2 * b * dy * dx + c * dx**2
            height = share * part / (2 * np.pi * np.sqrt(np.linalg.det(spread)))
            image += height * np.exp(-0.5 * power)
    return image
