"""From calibrated fluxes to a colour picture, so that FITS cutouts fit a model trained on JPEGs.

The mapping is that of Lupton, Blanton, Fekete et al. 2004 (PASP 116, 133), equations 1 and 2: the
mean of the three bands is stretched by an inverse hyperbolic sine, and all bands are multiplied by
the same factor, so that the colour of an object does not depend on its brightness.
Pictures of the Sloan Digital Sky Survey (SDSS) are made in this way with red = i, green = r,
blue = g.
The constants of the survey's servers changed between data releases; those below were set so that
an empty sky at the survey's depth and the centres of galaxies brighter than r = 17.8 come out at
the levels that Galaxy Zoo pictures have.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jupyter_astroml.core.errors import DataError

# Bands of a picture, red first.
PICTURE_BANDS = ("i", "r", "g")
# Weight of i, r and g: a galaxy of g−r = 0.65 and r−i = 0.3, the colours of a star like the Sun
# at z = 0.1, comes out nearly white.
WEIGHTS = (1.0, 1.3, 1.8)
# Slope of the faint, linear part: picture levels per weighted nanomaggy in a pixel of 0.396 arcsec.
STRETCH = 0.6
# Where the stretch turns logarithmic: at an intensity of 1 / (STRETCH · SOFTENING).
SOFTENING = 4.0
# Weighted nanomaggies per pixel that are black, m of the paper; negative keeps the sky's noise.
BLACK = -0.03


def picture_planes(values: np.ndarray, bands: Sequence[str]) -> np.ndarray:
    """Return the planes of `PICTURE_BANDS` in their order, shape (..., 3, y, x).

    Raises
    ------
    DataError
        If one of the three bands is absent.
    """
    names = list(bands)
    absent = [b for b in PICTURE_BANDS if b not in names]
    if absent:
        raise DataError(
            f"A colour picture needs the bands {', '.join(PICTURE_BANDS)}",
            cause=f"the data have {', '.join(names) or 'none'}",
            remedy="ask the archive for the missing bands",
        )
    return np.asarray(values)[..., [names.index(b) for b in PICTURE_BANDS], :, :]


def lupton(values: np.ndarray, bands: Sequence[str]) -> np.ndarray:
    """Draw calibrated cutouts as a colour picture.

    Parameters
    ----------
    values : ndarray, shape (..., band, y, x), nanomaggy per pixel
        1 nanomaggy is magnitude 22.5 on the AB scale.
        A sky level must have been subtracted.
    bands : sequence of str
        Names of the planes in their order; must hold g, r and i, in any order.

    Returns
    -------
    ndarray of float32, shape (..., 3, y, x), 0 to 1
        Planes i, r, g (red, green, blue).
        Missing pixels stay missing.

    Raises
    ------
    DataError
        If one of the three bands is absent.
    """
    planes = picture_planes(values, bands)
    weights = np.asarray(WEIGHTS, dtype=np.float32)[:, None, None]
    light = np.maximum(planes.astype(np.float32) * weights - BLACK, 0.0)
    intensity = light.mean(axis=-3, keepdims=True)
    # The limit of asinh(a·x) / x at 0 is a: an empty pixel stays empty instead of 0/0.
    safe = np.where(intensity > 0, intensity, 1.0)
    factor = np.where(
        intensity > 0, np.arcsinh(STRETCH * SOFTENING * safe) / (SOFTENING * safe), STRETCH
    )
    picture = light * factor
    # Equation 2: a saturated pixel keeps its colour.
    brightest = picture.max(axis=-3, keepdims=True)
    return (picture / np.maximum(brightest, 1.0)).astype(np.float32)
