"""What Fanaroff & Riley measured, and what came after: numbers for a random forest.

Fanaroff & Riley 1974 (MNRAS 167, 31P) told the classes apart by the distance between the regions of
highest brightness on opposite sides of the galaxy, over the whole extent of the source: less than
half is class I.
Beside that ratio stand size, bending, symmetry and concentration.
All are ratios or pixels of 1.8 arcsec, so that the scale of the fluxes does not matter.
"""

from __future__ import annotations

import numpy as np

from jupyter_astroml.zoo import structure

NAME = (
    "random forest on the separation of the brightest regions over the extent (Fanaroff & Riley "
    "1974), size, bending, asymmetry and concentration"
)
FEATURES = (
    "separation",
    "extent",
    "area",
    "axis_ratio",
    "parts",
    "peaks",
    "second_peak",
    "edge_brightness",
    "middle",
    "bend",
    "opening",
    "concentration",
    "asymmetry",
    "gini",
    "m20",
    "kurtosis",
)
# A local maximum below this share of the brightest is no lobe.
_LOBE = 0.1


def measure(values: np.ndarray) -> np.ndarray:
    """Measure shape and brightness.

    Parameters
    ----------
    values : ndarray, shape (n, y, x)
        Noise cut off, the brightest pixel is 1: `jupyter_astroml.zoo.radio_galaxies.real.cleaned`.

    Returns
    -------
    ndarray of float32, shape (n, len(FEATURES))
        0 for an empty picture.
    """
    found = [_measured(v.astype(np.float64)) for v in values]
    return np.array(found, dtype=np.float32).reshape(-1, len(FEATURES))


def _measured(picture: np.ndarray) -> list[float]:
    from scipy import ndimage

    parts, _ = ndimage.label(picture > 0, structure=np.ones((3, 3)))
    sizes = np.bincount(parts.ravel())
    mask = (parts > 0) & (sizes[parts] >= 5)
    if not mask.any():
        return [0.0] * len(FEATURES)
    light = np.where(mask, picture, 0.0)
    y, x = np.nonzero(mask)
    flux = light[mask]
    cy, cx = np.average(y, weights=flux), np.average(x, weights=flux)
    dy, dx = y - cy, x - cx
    smooth = ndimage.gaussian_filter(light, 1.0)
    ratio, _ = structure.shape(dy, dx, flux)
    along, across = _axes(dy, dx, flux)
    extent = max(float(np.ptp(along)), 1.0)
    peaks = _peaks(smooth, mask)
    count, second = structure.nuclei(smooth, mask)
    place = np.abs(along) / (extent / 2)
    middle = np.hypot(y - (picture.shape[0] - 1) / 2, x - (picture.shape[1] - 1) / 2) < 4
    found = {
        "separation": _separation(peaks) / extent,
        "extent": np.log(extent),
        "area": np.log(mask.sum()),
        "axis_ratio": ratio,
        "parts": len(np.unique(parts[mask])),
        "peaks": min(count, 20.0),
        "second_peak": second,
        "edge_brightness": np.average(place, weights=flux),
        "middle": flux[middle].sum() / flux.sum(),
        "bend": _bend(along, across, flux, extent),
        "opening": _opening(peaks, cy, cx),
        "concentration": structure.concentration(np.hypot(dy, dx), flux),
        "asymmetry": structure.asymmetry(light, mask, cy, cx),
        "gini": structure.gini(flux),
        "m20": structure.m20(dy, dx, flux),
        "kurtosis": structure.kurtosis(dy, dx, flux),
    }
    return [float(found[name]) for name in FEATURES]


def _axes(dy: np.ndarray, dx: np.ndarray, flux: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of pixels along and across the major axis, pixels."""
    vectors = np.linalg.eigh(np.cov(np.stack([dy, dx]), aweights=flux, bias=True))[1]
    across, along = np.stack([dy, dx]).T @ vectors[:, 0], np.stack([dy, dx]).T @ vectors[:, 1]
    return along, across


def _peaks(smooth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the places (y, x) of the brightest maxima, the brightest first; at most three."""
    from scipy import ndimage

    top = (smooth == ndimage.maximum_filter(smooth, 5)) & mask & (smooth > _LOBE * smooth.max())
    places = np.argwhere(top)
    return places[np.argsort(-smooth[top])][:3].astype(float)


def _separation(peaks: np.ndarray) -> float:
    """Distance between the two brightest regions; 0 where there is one."""
    return float(np.hypot(*(peaks[0] - peaks[1]))) if len(peaks) > 1 else 0.0


def _bend(along: np.ndarray, across: np.ndarray, flux: np.ndarray, extent: float) -> float:
    """Sagitta of the parabola through the light, over the extent."""
    curve = np.polyfit(along, across, 2, w=np.sqrt(flux)) if np.ptp(along) > 2 else np.zeros(3)
    return float(abs(curve[0]) * extent / 4)


def _opening(peaks: np.ndarray, cy: float, cx: float) -> float:
    """Cosine of the angle under which the two brightest regions are seen from the middle.

    -1 for a straight source, 0 where there is one region.
    """
    if len(peaks) < 2:
        return 0.0
    a, b = peaks[0] - (cy, cx), peaks[1] - (cy, cx)
    return float(a @ b / max(np.hypot(*a) * np.hypot(*b), 1e-9))
