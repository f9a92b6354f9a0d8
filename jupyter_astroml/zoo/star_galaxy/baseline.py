"""Shape and size of the light, for a random forest, and the concentration for a simple cut.

Measured in the units of the noise; sizes are pixels, so that a forest learns the seeing of its
exposures.
"""

from __future__ import annotations

import numpy as np

from jupyter_astroml.zoo import structure

NAME = "random forest on size, shape, concentration and brightness"
FEATURES = (
    "concentration",
    "core",
    "half_width",
    "major_axis",
    "axis_ratio",
    "area",
    "peak",
    "brightness",
    "gini",
    "m20",
    "asymmetry",
)
# Side of the middle part that is measured, and radii of the apertures of the core, pixels.
_FIELD, _INNER, _OUTER = 40, 2.0, 6.0


def measure(light: np.ndarray) -> np.ndarray:
    """Measure cutouts of one band.

    Parameters
    ----------
    light : ndarray, shape (n, y, x)
        Above the sky, in units of the noise, the object in the middle.

    Returns
    -------
    ndarray of float32, shape (n, len(FEATURES))
        0 where nothing stands above the noise.
    """
    found = [_measured(v.astype(np.float64)) for v in light]
    return np.array(found, dtype=np.float32).reshape(-1, len(FEATURES))


def ranked(core: np.ndarray, classes: np.ndarray, fields: np.ndarray) -> np.ndarray:
    """Rank by concentration alone, the larger the more like a galaxy.

    Parameters
    ----------
    core : ndarray, shape (n,)
        Share of the light in the core.
    classes : ndarray of int, shape (n,)
        0 for stars, 1 for galaxies.
    fields : ndarray, shape (n,)
        Each field is ranked in the direction that the others show; if there are none, galaxies are
        the less concentrated ones.
    """
    from scipy.stats import spearmanr

    found = -core
    for field in np.unique(fields):
        others = fields != field
        if len(set(classes[others].tolist())) == 2 and np.ptp(core[others]):
            towards = np.sign(spearmanr(core[others], classes[others]).statistic)
            found[~others] = towards * core[~others]
    return found


def _measured(light: np.ndarray) -> list[float]:
    from scipy import ndimage

    edge = (light.shape[0] - _FIELD) // 2
    light = light[edge : light.shape[0] - edge, edge : light.shape[1] - edge]
    smooth = ndimage.gaussian_filter(light, 1.0)
    middle = _FIELD // 2
    core = smooth[middle - 5 : middle + 5, middle - 5 : middle + 5]
    top = np.unravel_index(core.argmax(), core.shape)
    place = (int(top[0]) + middle - 5, int(top[1]) + middle - 5)
    segments, _ = ndimage.label(smooth > 1.0)
    mask = segments == segments[place]
    if segments[place] == 0:
        return [0.0] * len(FEATURES)
    y, x = np.nonzero(mask)
    flux = np.maximum(light[mask], 1e-3)
    cy, cx = np.average(y, weights=flux), np.average(x, weights=flux)
    ratio, major = structure.shape(y - cy, x - cx, flux)
    rows, columns = np.indices(light.shape)
    radius = np.hypot(rows - cy, columns - cx)
    outer = max(light[radius < _OUTER].sum(), 1.0)
    found = {
        "concentration": structure.concentration(np.hypot(y - cy, x - cx), flux),
        "core": light[radius < _INNER].sum() / outer,
        "half_width": np.sqrt((smooth[radius < 12.0] > smooth[place] / 2).sum()),
        "major_axis": np.log(major),
        "axis_ratio": ratio,
        "area": np.log(mask.sum()),
        "peak": np.log(max(smooth[place], 0.1)),
        "brightness": np.log(outer),
        "gini": structure.gini(flux),
        "m20": structure.m20(y - cy, x - cx, flux),
        "asymmetry": structure.asymmetry(light, mask, cy, cx),
    }
    return [float(found[name]) for name in FEATURES]
