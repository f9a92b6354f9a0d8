"""Radio sources drawn from formulas, for tests, lessons and replay; no network learns from them.

Jets that fade outwards are FR I, jets that end in hot spots FR II, a jet that is bent back is bent,
and a beam alone is compact, all seen with the beam and the noise of FIRST (Becker, White & Helfand
1995, ApJ 450, 559).
"""

from __future__ import annotations

import numpy as np

from jupyter_astroml.core.records import Cutouts
from jupyter_astroml.zoo.radio_galaxies.real import BAND, CLASSES, PIXEL_SCALE, SIZE

# Full width at half maximum of the beam, arcsec, and noise, Jy/beam.
BEAM, NOISE = 5.4, 1.5e-4
# Points along each of the two jets.
_POINTS = 60


def simulate(
    n: int, *, seed: int, classes: tuple[str, ...] = CLASSES
) -> tuple[Cutouts, np.ndarray]:
    """Make labelled images.

    Parameters
    ----------
    n : int
        Number of sources.
    seed : int
        The same seed gives the same images.
    classes : tuple of str
        Dealt out in turn.

    Returns
    -------
    Cutouts
        Values of shape (n, 1, 150, 150), Jy/beam; the first row is the south.
    ndarray of str, shape (n,)
        The classes.
    """
    rng = np.random.default_rng(seed)
    labels = np.array([classes[i % len(classes)] for i in range(n)])
    values = np.stack([_drawn(str(label), rng) for label in labels])
    cutouts = Cutouts(
        ids=np.array([f"sim{seed}-{i:05d}" for i in range(n)]),
        values=values[:, None].astype(np.float32),
        bands=(BAND,),
        ra=rng.uniform(0, 360, n),
        dec=rng.uniform(-10, 60, n),
        pixel_scale=np.full(n, PIXEL_SCALE),
        flux_unit="Jy/beam",
        simulated=True,
        meta={"simulator": "jupyter_astroml.zoo.radio_galaxies.simulate", "seed": seed},
    )
    return cutouts, labels


def _drawn(label: str, rng: np.random.Generator) -> np.ndarray:
    length = 0.0 if label == "compact" else rng.uniform(12.0, 45.0)
    angle = rng.uniform(0, 2 * np.pi)
    along = np.linspace(0.0, 1.0, _POINTS)
    curve = rng.uniform(0.6, 1.2) if label == "bent" else rng.uniform(0.0, 0.1)
    image = np.zeros((SIZE, SIZE))
    for side in (-1.0, 1.0):
        light, width = _jet(label, along, rng)
        x, y = side * length * along, curve * length * along**2
        across = np.cos(angle) * x - np.sin(angle) * y + (SIZE - 1) / 2
        up = np.sin(angle) * x + np.cos(angle) * y + (SIZE - 1) / 2
        image += _spots(up, across, light, width)
    peak = NOISE * 10 ** rng.uniform(1.5, 2.5)
    return image / image.max() * peak + NOISE * rng.standard_normal(image.shape)


def _jet(label: str, along: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return light and width (pixels, one standard deviation) of the points of one jet."""
    beam = BEAM / PIXEL_SCALE / 2.355
    if label == "fr2":
        bright = np.exp(-0.5 * ((along - 1.0) / 0.08) ** 2)
        return bright + 0.05, np.full_like(along, beam * rng.uniform(1.0, 1.4))
    fade = np.exp(-along / rng.uniform(0.3, 0.5))
    return fade, beam * (1.0 + 1.5 * along * (label != "compact"))


def _spots(y: np.ndarray, x: np.ndarray, light: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Add up round spots; the exponent separates, so two thin tables make the image."""
    grid = np.arange(SIZE)
    rows = np.exp(-0.5 * ((grid[None] - y[:, None]) / width[:, None]) ** 2)
    columns = np.exp(-0.5 * ((grid[None] - x[:, None]) / width[:, None]) ** 2)
    return np.einsum("p,py,px->yx", light / width**2, rows, columns)
