"""Attribution methods behind one verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError

from .passes import Progress, Scores, at_rest, mean_gradient, scores_of

if TYPE_CHECKING:
    import torch

METHODS: Mapping[str, str] = MappingProxyType(
    {
        "smoothgrad": "SmoothGrad: the gradient, averaged over noisy copies (Smilkov et al. 2017)",
        "gradient": "Gradient: slope of the score at the data themselves (Simonyan et al. 2014)",
        "integrated_gradients": "Integrated gradients: adds up to the change of the score from an "
        "empty baseline (Sundararajan et al. 2017)",
        "occlusion": "Occlusion: fall of the score when a patch is covered (Zeiler & Fergus 2014)",
    }
)


_OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "smoothgrad": ("samples", "noise", "seed"),
        "gradient": (),
        "integrated_gradients": ("steps", "baseline"),
        "occlusion": ("patch", "stride", "baseline"),
    }
)


def quick(method: str, shape: tuple[int, ...]) -> dict[str, int]:
    """Return options with which a method answers within a second, for a first look.

    At 8 copies a SmoothGrad map of the galaxy classifier correlates with its limit at about 0.9.

    Parameters
    ----------
    method : str
        A key of `METHODS`.
    shape : tuple of int
        Shape of the data, (n, band, y, x) or (n, t).

    Returns
    -------
    dict
        Options of `attribute`.
    """
    if method == "occlusion":
        patch = _patch(shape)
        return {"patch": patch, "stride": patch}
    return {"smoothgrad": {"samples": 8}, "integrated_gradients": {"steps": 12}}.get(method, {})


def settled(method: str, shape: tuple[int, ...], **given: Any) -> dict[str, Any]:
    """Return the options that a map depends on, with those that nobody gave.

    Parameters
    ----------
    method : str
        A key of `METHODS`.
    shape : tuple of int
        Shape of the data, (n, band, y, x) or (n, t).
    **given
        Options of `attribute`.

    Returns
    -------
    dict
        With these the same map is made again.
    """
    usual: dict[str, Any] = {**(attribute.__kwdefaults__ or {}), **given}
    if method == "occlusion":
        usual["patch"], usual["stride"] = _steps(shape, usual["patch"], usual["stride"])
    return {name: usual[name] for name in ("signed", *_OPTIONS[method])}


def attribute(
    module: Any,
    values: np.ndarray,
    *,
    targets: int | np.ndarray,
    method: str = "smoothgrad",
    signed: bool = True,
    samples: int = 50,
    noise: float | np.ndarray = 0.15,
    steps: int = 50,
    baseline: float | np.ndarray | None = None,
    patch: int | None = None,
    stride: int | None = None,
    seed: int = 0,
    batch: int = 32,
    progress: Progress | None = None,
) -> np.ndarray:
    """Tell how much each value moved the model's score of a target.

    The score of an object is the mean over the ensemble's members of the target's logit.
    An object gets the same map alone as among others, and from any `batch`, to rounding.

    Parameters
    ----------
    module : torch.nn.Module
        Takes values as given here, gives logits of shape (member, n, k).
        It is used in evaluation mode and given back as it was.
    values : ndarray, shape (n, band, y, x) or (n, t)
        Images or light curves, in the units that the module expects.
        Missing values (NaN) reach the module as they are, and get attribution 0.
    targets : int or ndarray of int, shape (n,)
        Class or cadence whose logit is explained.
    method : str
        A key of `METHODS`.
    signed : bool
        False gives magnitudes, the absolute value of the signed map.
    samples : int
        SmoothGrad: number of noisy copies of each object.
    noise : float or ndarray, shape (n,)
        SmoothGrad: standard deviation as a fraction of each object's range of values.
    steps : int
        Integrated gradients: nodes of the Gauss-Legendre rule between baseline and data.
    baseline : float or ndarray that broadcasts to `values`, optional
        Integrated gradients and occlusion: what "nothing there" looks like.
        By default 0 for images and the object's median for light curves.
    patch : int, optional
        Occlusion: side of the covered square in pixels, or length in cadences; all bands at once.
        By default an eighth of the image, or a fortieth of the light curve.
    stride : int, optional
        Occlusion: step between patches, by default half a patch.
    seed : int
        SmoothGrad: seed of the noise, which is the same for every object.
    batch : int
        Passes in one call of the module.
    progress : callable, optional
        Called as ``progress(done, total)`` with numbers of passes after each batch.
        An exception that it raises stops the work and reaches the caller.

    Returns
    -------
    ndarray of float32, shape of `values`
        Score per unit of `values` for the gradient methods, score for the other two.

    Raises
    ------
    DataError
        For shapes, targets, methods or options that make no sense, or a score that is no number.
    ModelError
        If the module's answer has another shape or no gradient.

    References
    ----------
    Simonyan, Vedaldi & Zisserman 2014, arXiv:1312.6034; Smilkov et al. 2017, arXiv:1706.03825;
    Sundararajan, Taly & Yan 2017, arXiv:1703.01365; Zeiler & Fergus 2014, arXiv:1311.2901.
    """
    if method not in METHODS:
        raise DataError(
            f"There is no attribution method {method!r}", remedy=f"use one of {', '.join(METHODS)}"
        )
    values = checked_values(values)
    _positive(samples=samples, steps=steps, batch=batch)
    noise = np.asarray(noise, dtype=np.float64)
    if noise.shape not in ((), (len(values),)) or not (np.isfinite(noise) & (noise >= 0)).all():
        raise DataError(
            f"'noise' is {noise.tolist()!r}",
            remedy="give a fraction such as 0.15, or one an object",
        )
    if len(values) == 0:
        return np.zeros(values.shape, dtype=np.float32)
    scores = Scores(module, checked_targets(targets, len(values)))
    x = scores.tensor(values)
    go: dict[str, Callable[[], torch.Tensor]] = {
        "gradient": lambda: _gradient(scores, x, batch, progress),
        "smoothgrad": lambda: _smoothgrad(scores, x, samples, noise, seed, batch, progress),
        "integrated_gradients": lambda: _integrated(
            scores, x, scores.tensor(background(values, baseline)), steps, batch, progress
        ),
        "occlusion": lambda: _occlusion(
            scores,
            x,
            scores.tensor(background(values, baseline)),
            _windows(values.shape, patch, stride),
            batch,
            progress,
        ),
    }
    with at_rest(module):
        maps = go[method]().cpu().numpy().astype(np.float32)
    # A missing value has no slope of its own and no distance from the baseline.
    maps[~np.isfinite(values)] = 0
    return maps if signed else np.abs(maps)


def _gradient(
    scores: Scores, x: torch.Tensor, batch: int, progress: Progress | None
) -> torch.Tensor:
    return mean_gradient(
        scores, x, lambda _, rows: x[rows][None], weights=np.ones(1), batch=batch, progress=progress
    )


def _smoothgrad(
    scores: Scores,
    x: torch.Tensor,
    samples: int,
    noise: np.ndarray,
    seed: int,
    batch: int,
    progress: Progress | None,
) -> torch.Tensor:

    share = noise.reshape(-1, *[1] * (x.ndim - 1))
    spread = scores.tensor(share * _ranges(x.cpu().numpy()))
    drawn = _Noise(tuple(x.shape[1:]), seed)

    def vary(copies: slice, rows: slice) -> torch.Tensor:
        return x[rows] + spread[rows] * scores.tensor(drawn(copies))[:, None]

    weights = np.full(samples, 1 / samples)
    return mean_gradient(scores, x, vary, weights=weights, batch=batch, progress=progress)


class _Noise:
    """Standard normal fields, one a copy, that do not depend on how the copies are batched.

    They are drawn on the CPU in chunks of a fixed size, so that every device and batch sees the
    same ones; only the chunks in use are kept.
    """

    chunk = 16

    def __init__(self, shape: tuple[int, ...], seed: int) -> None:
        import torch

        self._shape = shape
        self._generator = torch.Generator().manual_seed(seed)
        self._chunks: dict[int, torch.Tensor] = {}
        self._drawn = 0

    def __call__(self, copies: slice) -> torch.Tensor:
        """Return the fields of some copies; the copies must be asked for in rising order."""
        import torch

        first, last = copies.start // self.chunk, (copies.stop - 1) // self.chunk
        while self._drawn <= last:
            self._chunks[self._drawn] = torch.randn(
                (self.chunk, *self._shape), generator=self._generator
            )
            self._drawn += 1
        for old in [c for c in self._chunks if c < first]:
            del self._chunks[old]
        fields = [self._chunks[c] for c in range(first, last + 1)]
        start = copies.start - first * self.chunk
        joined = fields[0] if len(fields) == 1 else torch.cat(fields)
        return joined[start : start + copies.stop - copies.start]


def _integrated(
    scores: Scores,
    x: torch.Tensor,
    base: torch.Tensor,
    steps: int,
    batch: int,
    progress: Progress | None,
) -> torch.Tensor:
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    part = scores.tensor((nodes + 1) / 2).reshape(-1, *[1] * x.ndim)
    way = x - base
    mean = mean_gradient(
        scores,
        x,
        lambda some, rows: base[rows] + part[some] * way[rows],
        weights=weights / 2,
        batch=batch,
        progress=progress,
    )
    return mean * way


def _occlusion(
    scores: Scores,
    x: torch.Tensor,
    base: torch.Tensor,
    windows: list[Any],
    batch: int,
    progress: Progress | None,
) -> torch.Tensor:
    import torch

    # What is missing stays missing: a patch must not add data.
    cover = torch.where(torch.isfinite(x), base, x)

    def vary(repetitions: slice, rows: slice) -> torch.Tensor:
        inputs = x[rows].expand(repetitions.stop - repetitions.start, *x[rows].shape).clone()
        for one, repetition in zip(inputs, range(repetitions.start, repetitions.stop), strict=True):
            if repetition:  # repetition 0 is the whole object
                where = (..., *windows[repetition - 1])
                one[where] = cover[rows][where]
        return inputs

    repeats = len(windows) + 1
    found = scores_of(scores, len(x), vary, repeats=repeats, batch=batch, progress=progress)
    fall = found[0] - found[1:]
    total = torch.zeros_like(x)
    count = torch.zeros_like(x[:1])
    shape = (-1,) + (1,) * (x.ndim - 1)
    for window, change in zip(windows, fall, strict=True):
        where = (..., *window)
        total[where] += change.reshape(shape)
        count[where] += 1
    return total / count


def _sides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[2:] if len(shape) == 4 else shape[1:]


def _patch(shape: tuple[int, ...]) -> int:
    sides = _sides(shape)
    return max(1, min(sides) // (8 if len(sides) == 2 else 40))


def _steps(shape: tuple[int, ...], patch: int | None, stride: int | None) -> tuple[int, int]:
    """Return side and step of the patches; what is not given follows from the shape."""
    patch = _patch(shape) if patch is None else patch
    return patch, max(1, patch // 2) if stride is None else stride


def _windows(shape: tuple[int, ...], patch: int | None, stride: int | None) -> list[Any]:
    """Return the slices of the last axes that the patches cover, the last ones cut at the edge."""
    sides = _sides(shape)
    patch, stride = _steps(shape, patch, stride)
    _positive(patch=patch, stride=stride)
    if patch > min(sides):
        raise DataError(
            f"A patch of {patch} does not fit in data of size {min(sides)}",
            remedy="give a smaller 'patch'",
        )
    if stride > patch:
        raise DataError(
            f"A stride of {stride} leaves gaps between patches of {patch}",
            remedy="give a 'stride' of at most 'patch'",
        )
    starts = [[stride * i for i in range(-(-(side - patch) // stride) + 1)] for side in sides]
    if len(starts) == 1:
        return [(slice(s, s + patch),) for s in starts[0]]
    return [(slice(r, r + patch), slice(c, c + patch)) for r in starts[0] for c in starts[1]]


def _ranges(values: np.ndarray) -> np.ndarray:
    """Largest minus smallest finite value of each object, shape (n, 1, ...)."""
    axes = tuple(range(1, values.ndim))
    good = np.isfinite(values)
    high = np.where(good, values, -np.inf).max(axis=axes, keepdims=True)
    low = np.where(good, values, np.inf).min(axis=axes, keepdims=True)
    return np.where(high >= low, high - np.minimum(low, high), 0)


def background(values: np.ndarray, baseline: float | np.ndarray | None) -> np.ndarray:
    """Return the baseline of each object, shape of `values`."""
    if baseline is None:
        if values.ndim == 4:
            return np.zeros_like(values)
        good = np.isfinite(values)
        middle = [
            np.median(row[ok]) if ok.any() else 0 for row, ok in zip(values, good, strict=True)
        ]
        return np.broadcast_to(np.array(middle, dtype=values.dtype)[:, None], values.shape).copy()
    try:
        given = np.broadcast_to(np.asarray(baseline, dtype=values.dtype), values.shape).copy()
    except ValueError as err:
        raise DataError(
            f"A baseline of shape {np.shape(baseline)} does not fit data of shape {values.shape}",
            cause=str(err),
            remedy="give one number, or an array of the shape of the data",
        ) from err
    if not np.isfinite(given).all():
        raise DataError("The baseline has missing values", remedy="give finite numbers")
    return given


def checked_values(values: Any) -> np.ndarray:
    """Return the data as an array of floats, or say what is wrong with them."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu" or array.ndim not in (2, 4):
        raise DataError(
            f"Data of shape {array.shape} and type {array.dtype} cannot be explained",
            remedy="give numbers of shape (object, band, y, x) or (object, time)",
        )
    return array.astype(np.float64 if array.dtype == np.float64 else np.float32, copy=False)


def checked_targets(targets: Any, n: int) -> np.ndarray:
    """Return one index an object, or say what is wrong with them."""
    array = np.asarray(targets)
    if array.dtype.kind not in "iu" or array.ndim > 1 or (array.ndim == 1 and len(array) != n):
        raise DataError(
            f"Targets of shape {array.shape} and type {array.dtype} do not fit {n} objects",
            remedy="give the index of a class or cadence, one for all or one for each object",
        )
    if array.size and int(array.min()) < 0:
        raise DataError(f"Target {int(array.min())} is negative", remedy="count the outputs from 0")
    return np.broadcast_to(array.astype(np.int64), (n,)).copy()


def _positive(**numbers: int) -> None:
    for name, value in numbers.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise DataError(f"'{name}' is {value!r}", remedy="give a whole number above 0")
