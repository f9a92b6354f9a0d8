"""Arcs and colours, measured after the light of the lens is taken off, for a random forest.

What is the same at all azimuths (the median of each ring, in each band) is taken as the light of
the galaxy in the middle.
What is left is looked at as arc finders do (Alard 2006, arXiv:astro-ph/0606757; Gavazzi et al.
2014, ApJ 785, 144): how blue it is against the middle, how long along the ring and how wide across,
how much of the azimuth it fills, and whether something stands on the other side.
Lengths are pixels of 0.1875 arcsec, light is in levels of the picture, 0 to 1.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

NAME = (
    "random forest on arcs and colours, after the azimuthal median is taken off as the light of "
    "the lens"
)
# Borders of the rings, pixels: 0.6 to 8 arcsec.
_RINGS = (3, 6, 10, 15, 21, 28, 43)
_SECTORS = 24
# What stands out of the noise by so much belongs to an arc.
_CUT = 3.0
_OF_RINGS = ("left", "blue", "filled", "peak")
_OF_ARC = (
    "arc_length",
    "arc_width",
    "arc_ratio",
    "arc_radius",
    "arc_angle",
    "arc_level",
    "arc_blue",
    "arc_opposite",
)
FEATURES = (
    "core_level",
    "core_blue",
    "core_green",
    "wide_level",
    "wide_blue",
    "concentration",
    "asymmetry",
    "red_peaks",
    "blue_parts",
    "azimuth",
    "contrast",
    *(f"{name}_{ring}" for name in _OF_RINGS for ring in _RINGS[1:]),
    *_OF_ARC,
)


def measure(values: np.ndarray) -> np.ndarray:
    """Measure pictures.

    Parameters
    ----------
    values : ndarray, shape (n, 3, y, x), 0 to 1
        Bands i, r, g, the candidate in the middle.

    Returns
    -------
    ndarray of float32, shape (n, len(FEATURES))
        0 where there is no arc to measure.
    """
    found = [_measured(v.astype(np.float64)) for v in values]
    return np.array(found, dtype=np.float32).reshape(-1, len(FEATURES))


def _measured(picture: np.ndarray) -> list[float]:
    from scipy import ndimage

    middle = (picture.shape[-1] - 1) / 2
    y, x = np.indices(picture.shape[1:]) - middle
    radius, azimuth = np.hypot(y, x), np.arctan2(y, x)
    left = without_middle(picture, radius)
    smooth = ndimage.gaussian_filter(left, (0, 1.0, 1.0))
    noise = 1.4826 * np.median(np.abs(smooth[:, radius > _RINGS[0]]), axis=1)
    inside = (radius > _RINGS[0]) & (radius < _RINGS[-1])
    bright = (smooth[2] > _CUT * noise[2]) & inside
    parts, count = ndimage.label(bright, structure=np.ones((3, 3)))
    core, wide = picture[:, radius < 4].mean(axis=1), picture[:, radius < 12].mean(axis=1)
    light = picture.mean(axis=0)
    sector = ((azimuth + np.pi) / (2 * np.pi) * _SECTORS).astype(int) % _SECTORS
    arc = _arc(parts, count, smooth, radius, azimuth)
    found = {
        "core_level": core.mean(),
        "core_blue": _blue(core),
        "core_green": core[1] / max(core.sum(), 1e-6),
        "wide_level": wide.mean(),
        "wide_blue": _blue(wide),
        "concentration": core.mean() / max(wide.mean(), 1e-6),
        "asymmetry": _asymmetry(light[radius < 20], light[::-1, ::-1][radius < 20]),
        "red_peaks": _peaks(ndimage.gaussian_filter(picture[0], 1.0), radius),
        "blue_parts": count,
        "azimuth": len(np.unique(sector[bright])) / _SECTORS,
        # An arc is bluer than the galaxy that makes it.
        "contrast": arc["arc_blue"] - _blue(core) if count else 0.0,
        **_rings(smooth, bright, radius, sector),
        **arc,
    }
    return [float(found[name]) for name in FEATURES]


def without_middle(picture: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Take the median of each ring, one pixel wide, off each band.

    Parameters
    ----------
    picture : ndarray, shape (3, y, x)
        With the candidate in the middle.
    radius : ndarray, shape (y, x), pixels
        Distance from the middle.
    """
    ring = np.minimum(radius.astype(int), _RINGS[-1] + 8).ravel()
    order = np.argsort(ring, kind="stable")
    pieces = np.split(order, np.flatnonzero(np.diff(ring[order])) + 1)
    flat = picture.reshape(len(picture), -1)
    found = np.empty_like(flat)
    for piece in pieces:
        found[:, piece] = flat[:, piece] - np.median(flat[:, piece], axis=1, keepdims=True)
    return found.reshape(picture.shape)


def _blue(light: np.ndarray) -> float:
    """Return g against i, from -1 (all in i) to 1."""
    return float((light[2] - light[0]) / max(light[2] + light[0], 1e-3))


def _asymmetry(light: np.ndarray, turned: np.ndarray) -> float:
    return float(np.abs(light - turned).sum() / max(2 * light.sum(), 1e-6))


def _peaks(red: np.ndarray, radius: np.ndarray) -> float:
    from scipy import ndimage

    top = (red == ndimage.maximum_filter(red, 5)) & (red > 0.25) & (radius < _RINGS[-1])
    return float(top.sum())


def _rings(
    smooth: np.ndarray, bright: np.ndarray, radius: np.ndarray, sector: np.ndarray
) -> dict[str, float]:
    """Measure what is left in each ring: level, colour, filled azimuth, brightest sector."""
    found: dict[str, float] = {}
    for low, high in pairwise(_RINGS):
        ring = (radius >= low) & (radius < high)
        above = np.maximum(smooth[:, ring], 0.0).mean(axis=1)
        count = np.maximum(np.bincount(sector[ring], minlength=_SECTORS), 1)
        by_sector = np.bincount(sector[ring], weights=smooth[2][ring], minlength=_SECTORS) / count
        found |= {
            f"left_{high}": above[2],
            f"blue_{high}": _blue(above),
            f"filled_{high}": len(np.unique(sector[ring & bright])) / _SECTORS,
            f"peak_{high}": by_sector.max(),
        }
    return found


def _arc(
    parts: np.ndarray, count: int, smooth: np.ndarray, radius: np.ndarray, azimuth: np.ndarray
) -> dict[str, float]:
    """Measure the part that is longest along the ring."""
    best = dict.fromkeys(_OF_ARC, 0.0)
    for k in range(1, count + 1):
        mask = parts == k
        if mask.sum() < 6:
            continue
        weight = np.maximum(smooth[2][mask], 1e-6)
        r, phase = radius[mask], np.exp(1j * azimuth[mask])
        mean = np.average(phase, weights=weight)
        along = np.angle(phase * np.conj(mean)) * r
        at = np.average(r, weights=weight)
        length = np.sqrt(np.average(along**2, weights=weight))
        if length <= best["arc_length"]:
            continue
        width = np.sqrt(np.average((r - at) ** 2, weights=weight)) + 0.3
        other = (np.abs(radius - at) < 3) & (np.cos(azimuth - np.angle(mean)) < -0.7)
        best = {
            "arc_length": length,
            "arc_width": width,
            "arc_ratio": length / width,
            "arc_radius": at,
            "arc_angle": length / at,
            "arc_level": float(weight.mean()),
            "arc_blue": _blue(np.maximum(smooth[:, mask], 0.0).mean(axis=1)),
            "arc_opposite": float(np.maximum(smooth[2][other], 0.0).mean()) if other.any() else 0.0,
        }
    return best
