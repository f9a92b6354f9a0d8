"""How light is spread over a segment: the numbers that astronomers measured before networks.

Concentration, asymmetry and smoothness follow Conselice 2003 (ApJS 147, 1); Gini and M20 follow
Lotz, Primack & Madau 2004 (AJ 128, 163).
`y`, `x`, `radius` and `flux` are the pixels of a segment, shape (n,): distances from its centre in
pixels, and light in any unit.
`light`, `mask` and `smooth` are images, shape (y, x).
"""

from __future__ import annotations

import numpy as np


def shape(y: np.ndarray, x: np.ndarray, flux: np.ndarray) -> tuple[float, float]:
    """Axis ratio and major axis (one standard deviation, pixels) by second moments."""
    covariance = np.cov(np.stack([y, x]), aweights=flux, bias=True) + np.eye(2) / 12
    minor, major = np.sqrt(np.linalg.eigvalsh(covariance))
    return float(minor / major), float(major)


def concentration(radius: np.ndarray, flux: np.ndarray) -> float:
    """C = 5 log10(r80 / r20), circular apertures inside the segment."""
    order = np.argsort(radius)
    growth = np.cumsum(flux[order]) / flux.sum()
    r20, r80 = (radius[order][np.searchsorted(growth, share)] for share in (0.2, 0.8))
    return float(5.0 * np.log10(max(r80, 0.5) / max(r20, 0.5)))


def asymmetry(light: np.ndarray, mask: np.ndarray, cy: float, cx: float) -> float:
    """Share of the light that changes under half a turn, at the best of nine centres."""
    from scipy import ndimage

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    # Room before and after for what half a turn moves out of the segment's box.
    room = [
        (max(0, round(first + last - 2 * c) + 2), max(0, round(2 * c - first - last) + 2))
        for first, last, c in ((rows[0], rows[-1], cy), (columns[0], columns[-1], cx))
    ]
    galaxy = np.pad((light * mask)[box], room)
    cy, cx = cy - rows[0] + room[0][0], cx - columns[0] + room[1][0]
    best = np.inf
    for dy in (-1.0, 0.0, 1.0):
        for dx in (-1.0, 0.0, 1.0):
            to = (2 * (cy + dy) - (galaxy.shape[0] - 1), 2 * (cx + dx) - (galaxy.shape[1] - 1))
            turned = ndimage.shift(galaxy[::-1, ::-1], to, order=1)
            best = min(best, float(np.abs(galaxy - turned).sum()))
    return best / (2.0 * max(float(galaxy.sum()), 1e-6))


def smoothness(light: np.ndarray, mask: np.ndarray) -> float:
    """Share of the light in structure finer than three pixels."""
    from scipy import ndimage

    rest = light - ndimage.gaussian_filter(light, 3.0)
    return float(np.maximum(rest, 0.0)[mask].sum() / max(light[mask].sum(), 1e-6))


def gini(flux: np.ndarray) -> float:
    """Equation 6 of Lotz et al. 2004: 0 for equal pixels, 1 for one bright pixel."""
    n = len(flux)
    if n < 2:
        return 0.0
    ordered = np.sort(flux)
    weights = 2 * np.arange(1, n + 1) - n - 1
    return float((weights * ordered).sum() / (ordered.mean() * n * (n - 1)))


def m20(y: np.ndarray, x: np.ndarray, flux: np.ndarray) -> float:
    """Equation 8 of Lotz et al. 2004: second moment of the brightest fifth of the light."""
    order = np.argsort(-flux)
    moment = (flux * (y**2 + x**2))[order]
    fifth = np.cumsum(flux[order]) <= 0.2 * flux.sum()
    fifth[0] = True
    return float(np.log10(max(moment[fifth].sum(), 1e-6) / max(moment.sum(), 1e-6)))


def kurtosis(y: np.ndarray, x: np.ndarray, flux: np.ndarray) -> float:
    """Fourth moment along the major axis over the squared second: 3 for a Gaussian."""
    covariance = np.cov(np.stack([y, x]), aweights=flux, bias=True) + np.eye(2) / 12
    along = np.stack([y, x]).T @ np.linalg.eigh(covariance)[1][:, 1]
    second = np.average(along**2, weights=flux)
    return float(np.average(along**4, weights=flux) / max(second**2, 1e-6))


def nuclei(smooth: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Number of peaks inside the segment, and brightness of the second relative to the first."""
    from scipy import ndimage

    peaks = (smooth == ndimage.maximum_filter(smooth, 5)) & mask
    # Neighbouring pixels of equal height are one peak.
    labels, n = ndimage.label(peaks, structure=np.ones((3, 3)))
    heights = np.sort(ndimage.maximum(smooth, labels, np.arange(1, n + 1)))[::-1]
    return float(len(heights)), float(heights[1] / heights[0]) if len(heights) > 1 else 0.0
