"""What astronomers measured before networks: structure and colour, and a random forest on them.

Concentration, asymmetry and smoothness follow Conselice 2003 (ApJS 147, 1); Gini and M20 follow
Lotz, Primack & Madau 2004 (AJ 128, 163); the forest is that of Breiman 2001.
The measurements are taken on the stretched values of a picture, since its fluxes are lost: they
rank galaxies, and are not comparable with published values.

The forest is not stored: a few hundred kilobytes of measurements of the training objects are, and
the forest grows from them in seconds, the same each time. No file that carries code is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jupyter_astroml.core.errors import ModelError

FILE = "baseline.npz"
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
    ratio, radius = _shape(y - cy, x - cx, flux)
    found = {
        "concentration": _concentration(np.hypot(y - cy, x - cx), flux),
        "asymmetry": _asymmetry(light, mask, cy, cx),
        "smoothness": _smoothness(light, mask),
        "gini": _gini(flux),
        "m20": _m20(y - cy, x - cx, flux),
        "axis_ratio": ratio,
        "major_axis": np.log(radius),
        "extent": np.log(mask.sum()),
        "kurtosis": _kurtosis(y - cy, x - cx, flux),
        "nuclei": (nuclei := _nuclei(smooth, mask))[0],
        "second_nucleus": nuclei[1],
        "centre_offset": np.hypot(cy - peak[0], cx - peak[1]),
        "peak": smooth[peak],
        **_colours(picture, mask, np.hypot(y - cy, x - cx)),
    }
    return np.array([found[name] for name in FEATURES], dtype=np.float32)


def _shape(y: np.ndarray, x: np.ndarray, flux: np.ndarray) -> tuple[float, float]:
    """Axis ratio and major axis (one standard deviation, pixels) by second moments."""
    covariance = np.cov(np.stack([y, x]), aweights=flux, bias=True) + np.eye(2) / 12
    minor, major = np.sqrt(np.linalg.eigvalsh(covariance))
    return float(minor / major), float(major)


def _concentration(radius: np.ndarray, flux: np.ndarray) -> float:
    """C = 5 log10(r80 / r20), circular apertures inside the segment."""
    order = np.argsort(radius)
    growth = np.cumsum(flux[order]) / flux.sum()
    r20, r80 = (radius[order][np.searchsorted(growth, share)] for share in (0.2, 0.8))
    return float(5.0 * np.log10(max(r80, 0.5) / max(r20, 0.5)))


def _asymmetry(light: np.ndarray, mask: np.ndarray, cy: float, cx: float) -> float:
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


def _smoothness(light: np.ndarray, mask: np.ndarray) -> float:
    """Share of the light in structure finer than three pixels."""
    from scipy import ndimage

    rest = light - ndimage.gaussian_filter(light, 3.0)
    return float(np.maximum(rest, 0.0)[mask].sum() / max(light[mask].sum(), 1e-6))


def _gini(flux: np.ndarray) -> float:
    """Equation 6 of Lotz et al. 2004: 0 for equal pixels, 1 for one bright pixel."""
    n = len(flux)
    if n < 2:
        return 0.0
    ordered = np.sort(flux)
    weights = 2 * np.arange(1, n + 1) - n - 1
    return float((weights * ordered).sum() / (ordered.mean() * n * (n - 1)))


def _m20(y: np.ndarray, x: np.ndarray, flux: np.ndarray) -> float:
    """Equation 8 of Lotz et al. 2004: second moment of the brightest fifth of the light."""
    order = np.argsort(-flux)
    moment = (flux * (y**2 + x**2))[order]
    fifth = np.cumsum(flux[order]) <= 0.2 * flux.sum()
    fifth[0] = True
    return float(np.log10(max(moment[fifth].sum(), 1e-6) / max(moment.sum(), 1e-6)))


def _kurtosis(y: np.ndarray, x: np.ndarray, flux: np.ndarray) -> float:
    """Fourth moment along the major axis over the squared second: 3 for a Gaussian."""
    covariance = np.cov(np.stack([y, x]), aweights=flux, bias=True) + np.eye(2) / 12
    along = np.stack([y, x]).T @ np.linalg.eigh(covariance)[1][:, 1]
    second = np.average(along**2, weights=flux)
    return float(np.average(along**4, weights=flux) / max(second**2, 1e-6))


def _nuclei(smooth: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Number of peaks inside the segment, and brightness of the second relative to the first."""
    from scipy import ndimage

    peaks = (smooth == ndimage.maximum_filter(smooth, 5)) & mask
    # Neighbouring pixels of equal height are one peak.
    labels, n = ndimage.label(peaks, structure=np.ones((3, 3)))
    heights = np.sort(ndimage.maximum(smooth, labels, np.arange(1, n + 1)))[::-1]
    return float(len(heights)), float(heights[1] / heights[0]) if len(heights) > 1 else 0.0


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


def save(path: Path, *, features: np.ndarray, classes: np.ndarray, names: Sequence[str]) -> None:
    """Store what the forest grows from.

    Parameters
    ----------
    path : Path
        Of the file.
    features : ndarray, shape (n, len(FEATURES))
        From `measure`, of the training objects.
    classes : ndarray of int, shape (n,)
        Index into `names`.
    names : sequence of str
        The classes.
    """
    np.savez_compressed(
        path,
        features=features.astype(np.float32),
        classes=classes.astype(np.int8),
        names=np.asarray(names, dtype=str),
        columns=np.asarray(FEATURES, dtype=str),
    )


def probabilities(path: Path, features: np.ndarray, *, names: Sequence[str]) -> np.ndarray:
    """Grow the forest and ask it.

    Parameters
    ----------
    path : Path
        Written by `save`.
    features : ndarray, shape (n, len(FEATURES))
        From `measure`.
    names : sequence of str
        The classes in the order of the answer.

    Returns
    -------
    ndarray, shape (n, len(names))
        Share of the votes of the trees.

    Raises
    ------
    ModelError
        If the file is missing, broken, or of another version of this module.
    """
    from sklearn.ensemble import RandomForestClassifier

    try:
        with np.load(path, allow_pickle=False) as stored:
            known, classes = stored["features"], stored["classes"]
            columns, labels = stored["columns"].tolist(), stored["names"].tolist()
    except (OSError, ValueError, KeyError) as err:
        raise ModelError(
            f"{path.name} holds no baseline", cause=str(err), remedy="install the model again"
        ) from err
    if columns != list(FEATURES) or labels != list(names):
        raise ModelError(
            f"{path.name} is of another version",
            remedy="run: python -m jupyter_astroml.zoo.galaxy_morphology.train --help",
        )
    forest = RandomForestClassifier(
        n_estimators=200, min_samples_leaf=2, class_weight="balanced_subsample", random_state=0
    )
    forest.fit(known, classes)
    found = np.zeros((len(features), len(labels)))
    if len(features):
        found[:, forest.classes_] = forest.predict_proba(features)
    return found
