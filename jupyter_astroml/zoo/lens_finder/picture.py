"""Colour pictures as those of Space Warps: what a FITS cutout must become before it is judged.

Space Warps (Marshall et al. 2016, MNRAS 455, 1171) showed its volunteers pictures made by HumVI
(https://github.com/drphilmarshall/HumVI): each band times a scale, then the stretch of Lupton et
al. 2004 (PASP 116, 133) on the sum of the three, and what is brighter than 1 cut off, so that
bright centres turn white.
The scales are those that HumVI gives for CFHTLS.
`CONTRAST`, `SOFTENING` and `OFFSET` were set so that levels, noise and colours of simulated fields
are distributed as in such pictures.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from jupyter_astroml.models.picture import PICTURE_BANDS, picture_planes

# Bands of a picture, red first, and their scales (mean 1).
BANDS = PICTURE_BANDS
SCALES = (0.444, 0.667, 1.889)
# Slope of the faint, linear part: picture levels per scaled nanomaggy in a pixel of 0.1875 arcsec.
CONTRAST = 50.0
# Q of Lupton et al.: how early the stretch turns logarithmic.
SOFTENING = 1.3
# Level of an empty sky: unresolved light, and the smoothing of what was cut off below 0.
OFFSET = 0.018
# Of the JPEG, whose colours have the resolution of its brightness.
_QUALITY = 95


def drawn(values: np.ndarray, bands: Sequence[str] = BANDS) -> np.ndarray:
    """Draw calibrated cutouts in the colours of Space Warps.

    Parameters
    ----------
    values : ndarray, shape (..., band, y, x), nanomaggy per pixel of 0.1875 arcsec
        1 nanomaggy is magnitude 22.5 on the AB scale.
        A sky level must have been subtracted.
    bands : sequence of str
        Names of the planes in their order; must hold g, r and i, in any order.

    Returns
    -------
    ndarray of float32, shape (..., 3, y, x), 0 to 1
        Planes i, r, g (red, green, blue).

    Raises
    ------
    DataError
        If one of the three bands is absent.
    """
    planes = picture_planes(values, bands).astype(np.float32)
    light = planes * np.asarray(SCALES, dtype=np.float32)[:, None, None]
    total = SOFTENING * CONTRAST * light.sum(axis=-3, keepdims=True)
    # The limit of asinh(x) / x at 0 is 1; the stretch is odd, so noise below 0 stays noise.
    safe = np.where(np.abs(total) > 1e-6, total, 1.0)
    factor = CONTRAST * np.where(np.abs(total) > 1e-6, np.arcsinh(safe) / safe, 1.0)
    return np.clip(light * factor + OFFSET, 0.0, 1.0).astype(np.float32)


def compressed(picture: np.ndarray) -> np.ndarray:
    """Write a picture as a JPEG and read it again, for what this does to its colours and noise.

    Parameters
    ----------
    picture : ndarray, shape (3, y, x), 0 to 1
        From `drawn`.

    Returns
    -------
    ndarray of uint8, shape (3, y, x)
    """
    from PIL import Image

    levels = np.round(255.0 * picture).astype(np.uint8).transpose(1, 2, 0)
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(levels)).save(
        stream, format="JPEG", quality=_QUALITY, subsampling=0
    )
    with Image.open(stream) as image:
        return np.asarray(image).transpose(2, 0, 1)
