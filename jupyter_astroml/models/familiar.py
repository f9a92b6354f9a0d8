"""Tell whether an object is like those that a model was trained on.

An input contract catches what the data say of themselves.  What they do not say (a stretch, a
swapped filter, another telescope) shows in their distribution: an object far from everything that
the model has seen is outside, whatever its header tells.

Three views are compared, since a network learns to ignore what does not matter for its classes, and
its embedding alone is blind to much of it (measured in ``tests/models/test_familiar.py``):

``embedding``
    What the heads of the network read (`jupyter_astroml.models.embedding`), the first principal
    components.
``light``
    How the values are distributed, how rough they are on small and large scales and, for images,
    how they fall off from the middle.
``colour``
    How the bands of an image relate.

In each view the distance is that to the fifth nearest of a few hundred training objects (Sun et al.
2022, ICML, arXiv:2204.06507), in units of the scatter of each number.  Its limit is a quantile over
objects that were held out from the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError, ModelError
from jupyter_astroml.models.cards import FAMILIAR, digest_of, write_facts
from jupyter_astroml.models.embedding import embedded
from jupyter_astroml.models.fit import ANY, OUTSIDE, Prepared

if TYPE_CHECKING:
    from jupyter_astroml.models.loading import Model

# Neighbours, components of the embedding, and training objects that are kept.
NEIGHBOURS, COMPONENTS, KEPT = 5, 32, 1000
# Share of the held-out objects within the limits of all views together, about.
LEVEL = 0.97
# A limit needs that many objects beyond it to mean something.
FEWEST = 100
_BLOCK = 128


@dataclass(frozen=True, eq=False)
class View:
    """One way to look at objects, and how the training objects look.

    Attributes
    ----------
    centre, scatter : ndarray, shape (d,)
    axes : ndarray, shape (d, k)
        Components that are kept.
    known : ndarray, shape (m, k)
        Training objects.
    limit : float
        Largest distance that is usual.
    """

    centre: np.ndarray
    scatter: np.ndarray
    axes: np.ndarray
    known: np.ndarray
    limit: float = np.inf

    @classmethod
    def of(cls, found: np.ndarray, *, components: int, seed: int) -> View:
        """Learn a view from training objects, shape (n, d)."""
        centre, scatter = found.mean(axis=0), found.std(axis=0)
        scatter = np.maximum(scatter, 1e-3 * max(float(scatter.max()), 1e-6))
        scaled = (found - centre) / scatter
        d = scaled.shape[1]
        axes = np.eye(d, dtype=found.dtype)
        if components < d:
            axes = np.linalg.svd(scaled, full_matrices=False)[2][:components].T
        rows = np.random.default_rng(seed).permutation(len(found))[:KEPT]
        # As they will be read back: half precision is much finer than the distances.
        known = (scaled[rows] @ axes).astype(np.float16)
        single = [a.astype(np.float32) for a in (centre, scatter, axes)]
        return cls(single[0], single[1], single[2], known)

    def distance(self, found: np.ndarray) -> np.ndarray:
        """Return the distance to the fifth nearest training object, shape (n,)."""
        from scipy.spatial import cKDTree

        at = ((found - self.centre) / self.scatter) @ self.axes
        tree = cKDTree(self.known.astype(np.float64))
        k = min(NEIGHBOURS, len(self.known))
        # Not a number is far from everything.
        finite = np.isfinite(at).all(axis=1)
        far = np.full(len(at), np.inf)
        if finite.any():
            far[finite] = tree.query(at[finite], k=[k])[0][:, 0]
        return far


def learn(
    model: Model,
    known: Sequence[np.ndarray],
    *,
    held_out: Sequence[np.ndarray],
    seed: int = 0,
    level: float = LEVEL,
) -> Path:
    """Write what the training objects of a model look like beside its weights.

    Parameters
    ----------
    model : Model
        From a folder of one's own.
    known : sequence of ndarray of float32, each of shape (n, ...)
        Training objects in the input contract; light curves of several lengths are several arrays.
    held_out : sequence of ndarray of float32
        Objects of the same kind that training did not see: they set the limits.
    seed : int
        Of the choice of the training objects that are kept.
    level : float
        Share of the held-out objects that is within the limits of all views.

    Returns
    -------
    Path
        The file; its digest is in ``facts.json``.

    Raises
    ------
    DataError
        If there are too few objects for a limit.
    """
    from safetensors.numpy import save

    counts = [sum(map(len, arrays)) for arrays in (known, held_out)]
    if min(counts) < FEWEST:
        raise DataError(
            f"{counts[0]} training and {counts[1]} other objects say too little",
            remedy=f"give {FEWEST} of each or more",
        )
    if model.folder is None or model.card.facts is None:
        raise ModelError(f"The model {model.card.id} has no folder to write to")
    ours, others = _together(model, known), _together(model, held_out)
    learned = {
        name: View.of(
            found, components=COMPONENTS if name == "embedding" else found.shape[1], seed=seed
        )
        for name, found in ours.items()
    }
    far = {name: view.distance(others[name]) for name, view in learned.items()}
    share = _share(far, level)
    learned = {
        name: replace(view, limit=float(np.quantile(far[name], share)))
        for name, view in learned.items()
    }
    tensors = {
        f"{name}.{part}": np.ascontiguousarray(getattr(view, part))
        for name, view in learned.items()
        for part in ("centre", "scatter", "axes", "known")
    }
    tensors |= {f"{n}.limit": np.array([v.limit], np.float32) for n, v in learned.items()}
    path = model.folder / FAMILIAR
    path.write_bytes(save(tensors))
    write_facts(model.folder, model.card.facts.model_copy(update={"familiar": digest_of(path)}))
    return path


def _together(model: Model, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    found = [views(model, values) for values in arrays]
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def _share(far: dict[str, np.ndarray], level: float) -> float:
    """Return the quantile that each view takes so that all together leave `level` inside."""
    for share in np.linspace(level, 1.0, 61):
        inside = [found <= np.quantile(found, share) for found in far.values()]
        if np.logical_and.reduce(inside).mean() >= level:
            return float(share)
    return 1.0


def judge(model: Model, prepared: Prepared) -> Prepared:
    """Note for each object that fits so far whether it is like the training objects.

    Parameters
    ----------
    model : Model
        Brings its statistics, or none.
    prepared : Prepared
        Of this model.  Where the model brings no statistics, it is returned as it is.
    """
    views_known = _read(model)
    rows = np.flatnonzero(prepared.fit.status != OUTSIDE)
    if not views_known or not len(rows):
        return prepared
    names = list(views_known)
    excess = np.zeros((len(prepared.fit.status), len(names)))
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        found = views(model, prepared.samples.values[block])
        for j, name in enumerate(names):
            view = views_known[name]
            excess[block, j] = view.distance(found[name]) / view.limit
    worst = excess.argmax(axis=1)
    prepared.fit.note(
        excess.max(axis=1) > 1,
        OUTSIDE,
        lambda i: (
            f"unlike the training data ({names[worst[i]]}: "
            f"{excess[i, worst[i]]:.3g} times the usual distance)"
        ),
    )
    return prepared


def _read(model: Model) -> dict[str, View]:
    facts = model.card.facts
    if model.folder is None or facts is None or not facts.familiar:
        return {}
    return _views_of(model.folder / FAMILIAR, facts.familiar)


@lru_cache(maxsize=8)
def _views_of(path: Path, digest: str) -> dict[str, View]:
    from jupyter_astroml.models.files import verified

    return _views(verified(path, digest))


def _views(content: bytes) -> dict[str, View]:
    from safetensors.numpy import load

    found = load(content)
    names = sorted({key.rpartition(".")[0] for key in found})
    return {
        name: View(
            centre=found[f"{name}.centre"],
            scatter=found[f"{name}.scatter"],
            axes=found[f"{name}.axes"],
            known=found[f"{name}.known"],
            limit=float(found[f"{name}.limit"][0]),
        )
        for name in names
    }


def views(model: Model, values: np.ndarray) -> dict[str, np.ndarray]:
    """Describe objects in each view.

    Parameters
    ----------
    model : Model
        Whose embedding is one of the views.
    values : ndarray of float32, shape (n, ...)
        In the input contract.

    Returns
    -------
    mapping of str to ndarray of float64, shape (n, d)
    """
    found: dict[str, Any] = {"embedding": embedded(model, values).reshape(len(values), -1)}
    blocks = [values[i : i + _BLOCK] for i in range(0, len(values), _BLOCK)]
    if values.ndim == 4:
        if model.card.input.flux_unit == ANY:
            blocks = [_in_noise(block) for block in blocks]
        # A model of any bands sees all of them as one, and which there are is no surprise.
        some = model.card.input.fewest_bands is not None
        found["light"] = np.concatenate([_image(block, joined=some) for block in blocks])
        if values.shape[1] > 1 and not some:
            found["colour"] = np.concatenate([_colours(block) for block in blocks])
    else:
        found["light"] = np.concatenate([_series(block) for block in blocks])
    return {name: np.asarray(v, dtype=np.float64) for name, v in found.items()}


_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.995)
_LAGS = (1, 2, 4, 8)
# Radii of rings, in units of half the width of an image.
_RINGS = (0, 0.03, 0.06, 0.11, 0.17, 0.25, 0.37, 0.56, 0.78, 1.0, 9.0)
# Values around which numbers of both signs turn from linear to logarithmic.
_SOFT = 0.01
# Cadences of a piece of a light curve.
_PIECE = 800


def _in_noise(values: np.ndarray) -> np.ndarray:
    """Return planes above their sky, in their noise: for a network that divides the unit out.

    A plane of equal pixels was not observed and becomes zero.
    """
    flat = values.reshape(*values.shape[:2], -1)
    light = flat - np.median(flat, axis=2, keepdims=True)
    noise = 1.4826 * np.median(np.abs(light), axis=2, keepdims=True)
    # Where half of the pixels are equal, a thousandth of the peak stands for the noise.
    noise = np.maximum(noise, 1e-3 * np.abs(light).max(axis=2, keepdims=True))
    return (_SOFT * light / np.where(noise > 0, noise, 1.0)).reshape(values.shape)


def _image(values: np.ndarray, *, joined: bool = False) -> np.ndarray:
    """Levels, roughness and radial profile of each band, or mean of observed ones, shape (n, d)."""
    n = len(values)
    # One pixel in four is enough for quantiles.
    thin = values[..., ::2, ::2].reshape(*values.shape[:2], -1)
    levels = np.quantile(thin, _QUANTILES, axis=2)
    steps = [
        np.abs(values[..., lag:] - values[..., :-lag])[..., ::2, :].reshape(*values.shape[:2], -1)
        for lag in _LAGS
        if lag < values.shape[-1]
    ]
    rough = [f(step) for step in steps for f in (_median, _large)]
    parts = [*levels, *rough, *np.moveaxis(_profile(values), 2, 0)]
    found = np.arcsinh(np.stack(parts, axis=1) / _SOFT)
    if joined:
        observed = np.ptp(values.reshape(*values.shape[:2], -1), axis=2) > 0
        # An object without any light has no band to take the mean of.
        share = observed / np.maximum(observed.sum(axis=1, keepdims=True), 1)
        found = found @ share[..., None]
    return found.reshape(n, -1)


def _median(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.median(values, axis=-1))


def _large(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.quantile(values, 0.95, axis=-1))


def _profile(values: np.ndarray) -> np.ndarray:
    """Mean in rings about the middle, shape (n, band, ring)."""
    n, bands, height, width = values.shape
    y, x = np.indices((height, width))
    radius = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2) / (min(height, width) / 2)
    ring = np.digitize(radius.ravel(), _RINGS) - 1
    # A small image has no pixel in the innermost rings.
    rings = [ring == i for i in range(len(_RINGS) - 1) if (ring == i).any()]
    weights = np.stack([r / r.sum() for r in rings], axis=1)
    return values.reshape(n, bands, -1) @ weights


def _colours(values: np.ndarray) -> np.ndarray:
    """Relative differences of neighbouring bands in rings, and of single pixels, shape (n, d)."""
    profile = _profile(values)[:, :, :6]
    a, b = profile[:, :-1], profile[:, 1:]
    rings = (a - b) / (np.abs(a) + np.abs(b) + _SOFT)
    pixels = np.abs(values[:, :-1, ::2, ::2] - values[:, 1:, ::2, ::2])
    single = np.log(_median(pixels.reshape(*pixels.shape[:2], -1)) + 1e-4)
    return np.concatenate([rings.reshape(len(values), -1), single], axis=1)


def _series(values: np.ndarray) -> np.ndarray:
    """Levels about the median and roughness on four scales, shape (n, d).

    The mean over pieces of a day or so, since extremes grow with the length of a light curve.
    """
    pieces = max(1, round(values.shape[1] / _PIECE))
    parts = [_piece(part) for part in np.array_split(values, pieces, axis=1)]
    return np.asarray(np.mean(parts, axis=0))


def _piece(values: np.ndarray) -> np.ndarray:
    """Describe the shape of a light curve; its noise is for the contract to judge."""
    flat = values - np.median(values, axis=1, keepdims=True)
    levels = list(np.quantile(flat, (0.005, 0.05, 0.25, 0.75, 0.95, 0.995), axis=1))
    steps = [np.abs(values[:, lag:] - values[:, :-lag]) for lag in _LAGS]
    rough = [f(step) for step in steps for f in (_median, _large)]
    noise = rough[0] + 1e-7
    smooth = np.log(np.stack(rough[1:], 1) + 1e-7) - np.log(noise)[:, None]
    asymmetry = (levels[0] + levels[-1]) / (levels[-1] - levels[0] + 1e-7)
    bulk = (levels[1] + levels[4]) / (levels[4] - levels[1] + 1e-7)
    heights = np.arcsinh(np.stack(levels, 1) / noise[:, None])
    return np.concatenate([heights, smooth, np.stack([asymmetry, bulk], 1)], axis=1)
