"""What astronomers measured before networks: structure and colour, and a random forest on them.

The measurements are taken on the stretched values of a picture, since its fluxes are lost: they
rank galaxies, and are not comparable with published values.
"""

from __future__ import annotations

import numpy as np

from jupyter_astroml.zoo import structure

NAME = "random forest on concentration, asymmetry, smoothness, Gini, M20, shape and colour"
FEATURES = (
    "concentration",
    "asymmetry",
    "smoothness",
    "gini",
    "m20",
    "axis_ratio",
    "major_axis",
    "extent",
    "kurtosis",
    "nuclei",
    "second_nucleus",
    "centre_offset",
    "peak",
    "i_over_r",
    "g_over_r",
    "colour_gradient",
)
# Side of the middle of the picture that is measured, pixels.
_FIELD = 96


def measure(values: np.ndarray) -> np.ndarray:
    """Measure structure and colour.

    Parameters
    ----------
    values : ndarray, shape (n, 3, y, x), 0 to 1
        Pictures, bands i, r, g, the galaxy in the middle.

    Returns
    -------
    ndarray of float32, shape (n, len(FEATURES))
        Radii in pixels; 0 where nothing stands above the sky.
    """
    return np.stack([_measured(v) for v in values]) if len(values) else _nothing(0)


def _nothing(n: int) -> np.ndarray:
    return np.zeros((n, len(FEATURES)), dtype=np.float32)


def _measured(picture: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    edge = max((picture.shape[-1] - _FIELD) // 2, 0)
    picture = picture[:, edge : picture.shape[1] - edge, edge : picture.shape[2] - edge]
    border = np.concatenate([picture[:, :8].reshape(3, -1), picture[:, -8:].reshape(3, -1)], axis=1)
    sky = np.median(border, axis=1)
    picture = picture.astype(np.float64) - sky[:, None, None]
    noise = 1.4826 * np.median(np.abs(border.mean(axis=0) - sky.mean())) + 1e-3
    light = picture.mean(axis=0)
    smooth = ndimage.gaussian_filter(light, 1.0)
    segments, _ = ndimage.label(smooth > max(3.0 * noise, 0.05))
    middle = light.shape[0] // 2
    # The galaxy is the segment that holds the brightest pixel near the middle.
    core = smooth[middle - 5 : middle + 5, middle - 5 : middle + 5]
    at = np.unravel_index(core.argmax(), core.shape)
    peak = (int(at[0]) + middle - 5, int(at[1]) + middle - 5)
    number = segments[peak]
    if number == 0:
        return _nothing(1)[0]
    mask = segments == number
    y, x = np.nonzero(mask)
    flux = np.maximum(light[mask], 1e-6)
    cy, cx = np.average(y, weights=flux), np.average(x, weights=flux)
    ratio, radius = structure.shape(y - cy, x - cx, flux)
    found = {
        "concentration": structure.concentration(np.hypot(y - cy, x - cx), flux),
        "asymmetry": structure.asymmetry(light, mask, cy, cx),
        "smoothness": structure.smoothness(light, mask),
        "gini": structure.gini(flux),
        "m20": structure.m20(y - cy, x - cx, flux),
        "axis_ratio": ratio,
        "major_axis": np.log(radius),
        "extent": np.log(mask.sum()),
        "kurtosis": structure.kurtosis(y - cy, x - cx, flux),
        "nuclei": (nuclei := structure.nuclei(smooth, mask))[0],
        "second_nucleus": nuclei[1],
        "centre_offset": np.hypot(cy - peak[0], cx - peak[1]),
        "peak": smooth[peak],
        **_colours(picture, mask, np.hypot(y - cy, x - cx)),
    }
    return np.array([found[name] for name in FEATURES], dtype=np.float32)


def _colours(picture: np.ndarray, mask: np.ndarray, radius: np.ndarray) -> dict[str, float]:
    i, r, g = (np.maximum(plane[mask], 1e-4) for plane in picture)
    inner = radius <= np.median(radius)

    def ratio(rows: np.ndarray) -> float:
        return float(np.log(g[rows].sum() / i[rows].sum()))

    return {
        "i_over_r": float(np.log(i.sum() / r.sum())),
        "g_over_r": float(np.log(g.sum() / r.sum())),
        "colour_gradient": ratio(~inner) - ratio(inner) if (~inner).any() else 0.0,
    }
