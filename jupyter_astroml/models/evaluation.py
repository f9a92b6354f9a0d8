"""How well a model does, with the uncertainty of that statement and a baseline beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from jupyter_astroml.core.errors import DataError


class Interval(NamedTuple):
    """A statistic and its bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Evaluation:
    """Result of one evaluation of one model on one set of labelled data.

    Attributes
    ----------
    model : str
        Id of the model.
    data : str
        Name of the folder that was read; its path stays private.
    n : int
        Number of objects that were scored.
    metric : str
        Name of the main metric.
    value, low, high : float
        The main metric and its interval.
    higher_is_better : bool
    baseline : str
        The classical method on the same objects, in words.
    baseline_value : float
        Its main metric.
    seed : int
        Of the bootstrap.
    metrics : mapping of str to mapping
        The other metrics: ``value`` and, where defined, ``low``, ``high`` and ``baseline``.
    split : str
        Which objects were scored.
    sample : str
        What these objects are, in words that follow "on"; empty where "n objects of data" says it.
    summary : str
        What a user gains and loses by the default answer, with figures, in a sentence or two.
    excluded : int
        Number of objects in the folder that were not scored.
    excluded_why : str
        The reasons, with counts.
    notes : str
        What a reader must know to compare the numbers with others.
    curves : mapping
        What a figure of the answers is drawn from, see `jupyter_astroml.zoo.scores.curves`; empty
        where there is none.
    """

    model: str
    data: str
    n: int
    metric: str
    value: float
    low: float
    high: float
    higher_is_better: bool
    baseline: str
    baseline_value: float
    seed: int
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    split: str = ""
    sample: str = ""
    summary: str = ""
    excluded: int = 0
    excluded_why: str = ""
    notes: str = ""
    curves: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain values that JSON can hold: a number that is not finite becomes None."""
        return {key: _plain(value) for key, value in asdict(self).items()}


def measure(value: Interval | float, *, baseline: float | None = None) -> dict[str, float]:
    """Return one entry of `Evaluation.metrics`.

    Parameters
    ----------
    value : Interval or float
        With or without an interval.
    baseline : float, optional
        Value of the classical method.
    """
    found = value._asdict() if isinstance(value, Interval) else {"value": float(value)}
    return found if baseline is None else {**found, "baseline": float(baseline)}


def bootstrap(
    statistic: Callable[..., float],
    *arrays: np.ndarray,
    seed: int,
    n: int = 1000,
    level: float = 0.95,
    groups: np.ndarray | None = None,
) -> Interval:
    """Return a statistic and its percentile interval over resampled objects.

    Objects are drawn with replacement (Efron & Tibshirani 1993, chapter 13).
    Rows of the same object, or objects that are not independent, must be drawn together:
    give their group.

    Parameters
    ----------
    statistic : callable
        Takes the resampled arrays, returns a number; NaN where it is not defined.
    *arrays : ndarray, shape (objects, ...)
        Resampled together along their first axis.
    seed : int
        Of the draws.
    n : int
        Number of draws.
    level : float
        Content of the interval.
    groups : ndarray, shape (objects,), optional
        Rows with equal entries are drawn together.

    Returns
    -------
    Interval
        ``(value, low, high)``; the value is that of the arrays as given.

    Raises
    ------
    DataError
        If there is no array, no object, or the lengths differ.
    """
    lengths = {len(a) for a in arrays} | ({len(groups)} if groups is not None else set())
    if len(lengths) != 1 or lengths == {0}:
        raise DataError(
            "A bootstrap needs arrays of one common length above 0",
            cause=f"lengths are {sorted(lengths)}",
        )
    size = lengths.pop()
    rng = np.random.default_rng(seed)
    members = _members(groups) if groups is not None else None
    drawn = np.empty(n)
    for i in range(n):
        if members is None:
            rows = rng.integers(size, size=size)
        else:
            picked = rng.integers(len(members), size=len(members))
            rows = np.concatenate([members[g] for g in picked])
        drawn[i] = statistic(*(a[rows] for a in arrays))
    value = float(statistic(*arrays))
    drawn = drawn[np.isfinite(drawn)]
    if drawn.size == 0:
        return Interval(value, float("nan"), float("nan"))
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    return Interval(value, float(low), float(high))


def _members(groups: np.ndarray) -> list[np.ndarray]:
    _, index = np.unique(groups, return_inverse=True)
    order = np.argsort(index, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(index[order])) + 1)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
