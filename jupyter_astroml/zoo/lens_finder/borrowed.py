"""Galaxies that were really observed, put at a distance: bodies for fields that are else simulated.

Galaxy Zoo 1 (Lintott et al. 2008) has pictures of thousands of galaxies by SDSS, nearer and larger
than those of CFHTLS.
Their stretch is undone, the sky is taken off, pixels are joined, and the light gets the magnitude
and the shift of colour that a greater distance brings; arcs may then be added.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jupyter_astroml.models import picture as sdss
from jupyter_astroml.zoo.galaxy_morphology import real as galaxy_zoo
from jupyter_astroml.zoo.galaxy_morphology.evaluate import training_ids
from jupyter_astroml.zoo.lens_finder import scenes
from jupyter_astroml.zoo.lens_finder.real import SIZE

LENS_SHAPE = "elliptical"
# How many pixels of the picture are joined along each side.
_JOINED = (2, 3, 4)
# Colours of a near elliptical, from which those at a distance differ by the same for all: g-r, r-i.
_NEAR = (0.80, 0.38)
# Pixels this many times above the noise of the picture, and their surroundings, are the galaxy.
_CUT, _AROUND = 2.0, 2


@dataclass(frozen=True, eq=False)
class Galaxies:
    """Pictures of galaxies.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
    shapes : ndarray of str, shape (n,)
        What most volunteers of Galaxy Zoo said.
    pictures : ndarray of uint8, shape (n, 3, 128, 128)
        Bands i, r, g.
    """

    ids: np.ndarray
    shapes: np.ndarray
    pictures: np.ndarray

    def of(self, *, lens: bool) -> Galaxies:
        """Return those that may be a lens, or those that are taken for one."""
        rows = np.flatnonzero((self.shapes == LENS_SHAPE) | (not lens))
        return Galaxies(self.ids[rows], self.shapes[rows], self.pictures[rows])


def read(folder: Path | str, *, taught: bool) -> Galaxies:
    """Read galaxies of Galaxy Zoo, of the part that teaches or of the part that judges.

    Parameters
    ----------
    folder : Path
        In the layout of `jupyter_astroml.zoo.galaxy_morphology.real`.
    taught : bool
        Those that the model `galaxy_morphology` learned from teach here too; others judge.
    """
    table = galaxy_zoo.labels(folder)
    known = np.isin(np.asarray(table["id"]), list(training_ids()))
    table = table[(known == taught) & np.asarray(table["label"] != "")]
    pictures = galaxy_zoo.pictures(folder, table)
    return Galaxies(np.asarray(table["id"]), np.asarray(table["label"]), pictures)


def at_distance(picture: np.ndarray, *, redshift: float, rng: np.random.Generator) -> np.ndarray:
    """Return the light of a galaxy as CFHTLS would get it from farther away.

    Parameters
    ----------
    picture : ndarray of uint8, shape (3, 128, 128)
        Bands i, r, g.
    redshift : float
        Where it is put.
    rng : Generator
        Of its size and magnitude.

    Returns
    -------
    ndarray of float32, shape (3, 128, 128), nanomaggy per pixel of 0.1875 arcsec
        0 outside of the galaxy; not yet blurred by the telescope.
    """
    light = cut_out(unstretched(picture))
    joined = int(rng.choice(_JOINED))
    side = light.shape[-1] // joined
    light = light[:, : side * joined, : side * joined]
    light = light.reshape(3, side, joined, side, joined).mean(axis=(2, 4))
    light = np.rot90(light, int(rng.integers(4)), axes=(1, 2))
    g_r, r_i, mag_i, _ = scenes.old(redshift)
    total = 10 ** (0.4 * (22.5 - mag_i - r_i - 0.6 * rng.standard_normal()))
    shift = 10 ** (0.4 * np.array([r_i - _NEAR[1], 0.0, _NEAR[0] - g_r]))
    light = light * (shift * total / max(float(light[1].sum()), 1e-6))[:, None, None]
    found = np.zeros((3, SIZE, SIZE), dtype=np.float32)
    corner = (SIZE - side) // 2
    found[:, corner : corner + side, corner : corner + side] = light
    return found


def unstretched(picture: np.ndarray) -> np.ndarray:
    """Undo the stretch of `jupyter_astroml.models.picture.lupton`; nanomaggy, i, r, g."""
    levels = picture.astype(np.float32) / 255.0
    mean = np.maximum(levels.mean(axis=0), 1e-4)
    whole = np.sinh(sdss.SOFTENING * mean) / (sdss.STRETCH * sdss.SOFTENING)
    return levels * (whole / mean) / np.asarray(sdss.WEIGHTS, dtype=np.float32)[:, None, None]


def cut_out(light: np.ndarray) -> np.ndarray:
    """Take the sky off, and set to 0 what does not belong to the galaxy in the middle."""
    from scipy import ndimage

    edge = np.ones(light.shape[1:], dtype=bool)
    edge[8:-8, 8:-8] = False
    light = light - np.median(light[:, edge], axis=1)[:, None, None]
    smooth = ndimage.gaussian_filter(light[1], 1.5)
    noise = 1.4826 * np.median(np.abs(smooth[edge]))
    parts, _ = ndimage.label(smooth > _CUT * noise)
    middle = parts[light.shape[1] // 2, light.shape[2] // 2]
    body = ndimage.binary_dilation((parts == middle) & (middle > 0), iterations=_AROUND)
    return light * body
