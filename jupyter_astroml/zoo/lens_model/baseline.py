"""A cheap estimate without a network: moments of the light that stands out, and a random forest.

A lens of one ring needs no more than its radius; the forest learns how the moments of arcs, and of
rings that are brighter on one side, relate to the mass.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.zoo.lens_model.simulate import PIXEL_SCALE

NAME = "random forest on radius and moments of the arcs"
FILE = "baseline.npz"
FEATURES = (
    "radius_mean",
    "radius_median",
    "radius_scatter",
    "radius_peak",
    "radius_inner",
    "radius_outer",
    "centre_x",
    "centre_y",
    "area_x",
    "area_y",
    "middle_x",
    "middle_y",
    "quadrupole_1",
    "quadrupole_2",
    "area_quadrupole_1",
    "area_quadrupole_2",
    "radius_quadrupole_1",
    "radius_quadrupole_2",
    "dipole_x",
    "dipole_y",
    "area",
    "brightness",
)
# Blur, pixels, and threshold in units of the noise that is left then.
_BLUR, _ABOVE = 1.0, 3.0


def measure(values: np.ndarray) -> np.ndarray:
    """Measure images.

    Parameters
    ----------
    values : ndarray, shape (n, 1, y, x)
        The source alone, any unit.

    Returns
    -------
    ndarray of float32, shape (n, len(FEATURES))
        Lengths in arcsec; 0 where nothing stands above the noise.
    """
    found = [_measured(image[0].astype(np.float64)) for image in values]
    return np.array(found, dtype=np.float32).reshape(-1, len(FEATURES))


def _measured(image: np.ndarray) -> list[float]:
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(image - np.median(image), _BLUR)
    noise = 1.4826 * np.median(np.abs(smooth - np.median(smooth)))
    mask = smooth > _ABOVE * noise
    if mask.sum() < 4:
        return [0.0] * len(FEATURES)
    rows, columns = np.nonzero(mask)
    y, x = (
        (a - (s - 1) / 2) * PIXEL_SCALE for a, s in zip((rows, columns), image.shape, strict=True)
    )
    weight = smooth[mask] / smooth[mask].sum()
    even = np.full(len(x), 1.0 / len(x))
    area_x, area_y = x.mean(), y.mean()
    # Half-way between the outermost arcs: a ring that is bright on one side alone keeps its centre.
    middle_x, middle_y = (x.min() + x.max()) / 2, (y.min() + y.max()) / 2
    radius = np.hypot(x - middle_x, y - middle_y)
    angle = np.arctan2(y - middle_y, x - middle_x)
    mean = float(weight @ radius)
    inner, median, outer = np.quantile(radius, [0.1, 0.5, 0.9])
    wave = np.exp(1j * angle), np.exp(2j * angle)
    found = {
        "radius_mean": mean,
        "radius_median": median,
        "radius_scatter": np.sqrt(weight @ (radius - mean) ** 2),
        "radius_peak": radius[smooth[mask].argmax()],
        "radius_inner": inner,
        "radius_outer": outer,
        "centre_x": weight @ x,
        "centre_y": weight @ y,
        "area_x": area_x,
        "area_y": area_y,
        "middle_x": middle_x,
        "middle_y": middle_y,
        **_pair("quadrupole", weight @ wave[1]),
        **_pair("area_quadrupole", even @ wave[1]),
        **_pair("radius_quadrupole", even @ (radius * wave[1]) / max(even @ radius, 1e-6)),
        "dipole_x": (weight @ wave[0]).real,
        "dipole_y": (weight @ wave[0]).imag,
        "area": np.sqrt(mask.sum()) * PIXEL_SCALE,
        "brightness": np.log(smooth[mask].sum() / noise) if noise > 0 else 0.0,
    }
    return [float(found[name]) for name in FEATURES]


def _pair(name: str, value: complex) -> dict[str, float]:
    return {f"{name}_1": value.real, f"{name}_2": value.imag}


def save(path: Path, *, features: np.ndarray, truth: np.ndarray) -> None:
    """Store what the forest grows from, a few hundred kilobytes.

    Parameters
    ----------
    path : Path
        Of the file.
    features : ndarray, shape (n, len(FEATURES))
        Of training images.
    truth : ndarray, shape (n, 5)
        What their masses are.
    """
    np.savez_compressed(
        path,
        features=features.astype(np.float16),
        truth=truth.astype(np.float32),
        columns=np.asarray(FEATURES, dtype=str),
    )


def estimates(path: Path, features: np.ndarray) -> np.ndarray:
    """Grow the forest, the same each time, and ask it.

    Parameters
    ----------
    path : Path
        Written by `save`.
    features : ndarray, shape (n, len(FEATURES))
        Of the images asked for.

    Returns
    -------
    ndarray, shape (n, 5)

    Raises
    ------
    ModelError
        If the file is missing, broken, or of another version of this module.
    """
    from sklearn.ensemble import RandomForestRegressor

    try:
        with np.load(path, allow_pickle=False) as stored:
            known, truth = stored["features"], stored["truth"]
            columns = tuple(stored["columns"].tolist())
    except (OSError, ValueError, KeyError) as err:
        raise ModelError(
            f"{path.name} holds no baseline", cause=str(err), remedy="install the model again"
        ) from err
    if columns != FEATURES:
        raise ModelError(f"{path.name} is of another version", remedy="train the model again")
    forest = RandomForestRegressor(n_estimators=150, min_samples_leaf=3, random_state=0, n_jobs=-1)
    # Splits weigh all five alike.
    scale = truth.std(axis=0)
    # Trees are the same however many threads grow them; sums of answers only in one order.
    forest.fit(known.astype(np.float32), truth / scale).set_params(n_jobs=1)
    return forest.predict(features) * scale
