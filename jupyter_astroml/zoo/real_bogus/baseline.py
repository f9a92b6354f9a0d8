"""What surveys measured before they had networks: moments and fits of the candidate.

In the spirit of Bloom et al. 2012 (PASP 124, 1175) and Goldstein et al. 2015 (AJ 150, 82): width,
shape and symmetry of the candidate in the difference image, how well a point fits it, how many
pixels around it are negative or missing, and what shines there in the other two images.
Fluxes are in units of the noise, lengths in pixels.
"""

from __future__ import annotations

import numpy as np

from jupyter_astroml.zoo import structure

NAME = "random forest on moments of the candidate and the fit of a point"
FEATURES = (
    "peak",
    "total",
    "point",
    "fitted_width",
    "misfit",
    "sharpness",
    "major_axis",
    "axis_ratio",
    "area",
    "off_middle",
    "asymmetry",
    "negative_pixels",
    "deepest",
    "balance",
    "row",
    "column",
    "roughness",
    "missing",
    "edge_distance",
    "science",
    "template",
    "brightest_template",
    "darkest_science",
)
_HALF = 31
# Full widths at half maximum of the points that are fitted, pixels.
_WIDTHS = (1.0, 1.5, 2.0, 2.5, 3.2, 4.2)


def measure(values: np.ndarray) -> np.ndarray:
    """Measure candidates.

    Parameters
    ----------
    values : ndarray, shape (n, 3, 63, 63)
        Science, template, difference in one linear unit, finite: missing pixels have the median.

    Returns
    -------
    ndarray of float32, shape (n, len(FEATURES))
    """
    found = [_measured(v.astype(np.float64)) for v in values]
    return np.array(found, dtype=np.float32).reshape(-1, len(FEATURES))


def _measured(planes: np.ndarray) -> list[float]:
    missing = (planes == np.median(planes, axis=(1, 2), keepdims=True)).all(axis=0)
    science, template, light = _in_noise(planes)
    near = light[_HALF - 6 : _HALF + 7, _HALF - 6 : _HALF + 7]
    core = near[3:10, 3:10]
    top = np.unravel_index(core.argmax(), core.shape)
    cy, cx = int(top[0]) + 3, int(top[1]) + 3
    around = near[cy - 1 : cy + 2, cx - 1 : cx + 2]
    significance, width, misfit = _fitted(near, cy, cx)
    ratio, major, area, asymmetry = _segment(near, cy, cx)
    positive, negative = np.maximum(near, 0).sum(), np.maximum(-near, 0).sum()
    wings = np.concatenate([light[:, : _HALF - 4], light[:, _HALF + 5 :]], axis=1)
    sides = np.concatenate([light[: _HALF - 4], light[_HALF + 5 :]])
    y, x = np.indices(missing.shape) - _HALF
    found = {
        "peak": _soft(core.max()),
        "total": _soft(near[2:11, 2:11].sum()),
        "point": _soft(significance),
        "fitted_width": width,
        "misfit": _soft(misfit),
        "sharpness": core.max() / max(np.abs(around).sum(), 1e-6),
        "major_axis": major,
        "axis_ratio": ratio,
        "area": area,
        "off_middle": np.hypot(cy - 6, cx - 6),
        "asymmetry": asymmetry,
        "negative_pixels": (near[1:12, 1:12] < -2.0).sum(),
        "deepest": _soft(near.min()),
        "balance": (positive - negative) / max(positive + negative, 1e-6),
        "row": _soft(np.median(wings[_HALF - 1 : _HALF + 2], axis=1).max() * 7.0),
        "column": _soft(np.median(sides[:, _HALF - 1 : _HALF + 2], axis=0).max() * 7.0),
        "roughness": _soft(np.quantile(np.abs(light), 0.99)),
        "missing": missing.mean(),
        "edge_distance": np.hypot(y, x)[missing].min() if missing.any() else 50.0,
        "science": _soft(science[_HALF - 1 : _HALF + 2, _HALF - 1 : _HALF + 2].max()),
        "template": _soft(template[_HALF - 1 : _HALF + 2, _HALF - 1 : _HALF + 2].max()),
        "brightest_template": _soft(template[_HALF - 6 : _HALF + 7, _HALF - 6 : _HALF + 7].max()),
        "darkest_science": _soft(science[_HALF - 2 : _HALF + 3, _HALF - 2 : _HALF + 3].min()),
    }
    return [float(found[name]) for name in FEATURES]


def _soft(value: float) -> float:
    return float(np.arcsinh(value))


def _in_noise(planes: np.ndarray) -> np.ndarray:
    """Return planes above their median in units of their noise; the template in that of science."""
    light = planes - np.median(planes, axis=(1, 2), keepdims=True)
    noise = 1.4826 * np.median(np.abs(light), axis=(1, 2))
    noise = np.maximum(noise, 1e-4 * np.abs(light).max(axis=(1, 2)))[[0, 0, 2]]
    return light / np.maximum(noise, 1e-12)[:, None, None]


def _fitted(near: np.ndarray, cy: int, cx: int) -> tuple[float, float, float]:
    """Fit points of several widths: significance and width of the best, and its misfit."""
    y, x = np.indices(near.shape)
    best = (0.0, _WIDTHS[0], np.inf)
    inside = np.hypot(y - 6, x - 6) < 5
    for width in _WIDTHS:
        point = np.exp(-4 * np.log(2) * ((y - cy) ** 2 + (x - cx) ** 2) / width**2)[inside]
        flux = (near[inside] * point).sum() / (point**2).sum()
        left = ((near[inside] - flux * point) ** 2).mean()
        if left < best[2]:
            best = (float(flux * np.sqrt((point**2).sum())), width, float(left))
    return best


def _segment(near: np.ndarray, cy: int, cx: int) -> tuple[float, float, float, float]:
    """Axis ratio, major axis, area and asymmetry of what hangs together with the peak."""
    from scipy import ndimage

    parts, _ = ndimage.label(near > 2.0)
    mask = (parts == parts[cy, cx]) & (parts > 0)
    if not mask.any():
        return 1.0, 0.0, 0.0, 0.0
    y, x = np.nonzero(mask)
    flux = near[mask]
    my, mx = np.average(y, weights=flux), np.average(x, weights=flux)
    ratio, major = structure.shape(y - my, x - mx, flux)
    return ratio, major, float(mask.sum()), structure.asymmetry(near, mask, my, mx)
