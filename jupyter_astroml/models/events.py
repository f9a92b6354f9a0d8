"""From a probability at every cadence to events: runs above a threshold that the flux confirms.

An event is a run of cadences above the threshold, in which the flux stands out of its trend for
some cadences in a row.
The second half of the rule is the classical one for flares (three consecutive outliers; Chang, Byun
& Hartman 2015, ApJ 814, 35, section 3): a cosmic ray brightens one cadence, a flare several.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError

if TYPE_CHECKING:
    from astropy.table import Table

    from jupyter_astroml.core.records import LightCurves
    from jupyter_astroml.models.cards import Card

# Medians are taken at every eighth cadence and joined by straight lines: the trend is slower.
_STEP = 8
# From the median absolute deviation to the standard deviation of a normal distribution.
_MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True)
class Rule:
    """What makes an event.

    The fields are the names that ``facts.json`` uses under ``calibration``.

    Attributes
    ----------
    threshold : float
        Probability from which a cadence belongs to an event.
    n_sigma : float
        Height above the trend, in units of the scatter, that counts as an outlier.
    min_cadences : int
        Outliers in a row that an event needs; 0 takes every run above the threshold.
    merge_cadences : int
        Runs that are at most this many cadences apart are one event.
    trend_cadences : int
        Width of the running median, cadences.
    """

    threshold: float = 0.5
    n_sigma: float = 3.0
    min_cadences: int = 3
    merge_cadences: int = 3
    trend_cadences: int = 193

    @classmethod
    def of(cls, card: Card) -> Rule:
        """Return the rule that was chosen when the model of a card was trained."""
        stored = card.facts.calibration if card.facts else {}
        given: dict[str, Any] = {f.name: stored[f.name] for f in fields(cls) if f.name in stored}
        whole = {k: v if k in ("threshold", "n_sigma") else int(v) for k, v in given.items()}
        return cls(**whole)


COLUMNS = (
    "id",
    "t_start",
    "t_peak",
    "t_stop",
    "n_cadences",
    "amplitude",
    "snr",
    "probability",
    "probability_std",
)


def events(
    probability: np.ndarray,
    std: np.ndarray,
    time: np.ndarray,
    flux: np.ndarray,
    error: np.ndarray | None = None,
    *,
    ids: np.ndarray | None = None,
    rule: Rule | None = None,
    **changes: Any,
) -> Table:
    """List the events in light curves.

    Parameters
    ----------
    probability, std : ndarray, shape (n, t)
        Mean and standard deviation over the members of an ensemble; NaN where nothing was measured.
    time : ndarray, shape (n, t), days
        Increasing; padding repeats the last time.
    flux : ndarray, shape (n, t)
        In any unit; NaN where nothing was measured.
    error : ndarray, shape (n, t), optional
        One standard deviation of the flux; without it the scatter about the trend is used.
    ids : ndarray of str, shape (n,), optional
        Names for the first column; by default the row numbers.
    rule : Rule, optional
        By default `Rule()`.
    **changes
        Fields of `Rule` that replace those of `rule`, such as ``threshold=0.8``.

    Returns
    -------
    Table
        One row an event, by object and time: ``id``; ``t_start, t_peak, t_stop`` in the time of the
        light curve (days); ``n_cadences`` from start to stop; ``amplitude``, the largest height
        above the trend, in the unit of the flux; ``snr``, the light above the trend over its
        error; ``probability`` (largest in the event) and ``probability_std`` at that cadence.

    Raises
    ------
    DataError
        If the shapes differ, or a change names no field of `Rule`.
    """
    from dataclasses import replace

    from astropy import units as u
    from astropy.table import Table

    shape = np.shape(probability)
    given = {"std": std, "time": time, "flux": flux} | ({} if error is None else {"error": error})
    for name, values in given.items():
        if np.shape(values) != shape or len(shape) != 2:
            raise DataError(
                f"'{name}' has the shape {np.shape(values)}, the probability {shape}",
                remedy="give arrays of the same shape (object, time)",
            )
    try:
        rule = replace(rule or Rule(), **changes)
    except TypeError as err:
        raise DataError(
            f"The rule for events has no {', '.join(changes)}",
            cause=str(err),
            remedy=f"use some of {', '.join(f.name for f in fields(Rule))}",
        ) from err
    names = np.arange(shape[0]).astype(str) if ids is None else np.asarray(ids, dtype=str)
    rows: list[tuple[Any, ...]] = []
    for i in range(shape[0]):
        e = None if error is None else error[i]
        found = _events_of(probability[i], std[i], time[i], flux[i], e, rule)
        rows += [(names[i], *event) for event in found]
    return Table(
        rows=rows or None,
        names=COLUMNS,
        dtype=(names.dtype, float, float, float, int, float, float, float, float),
        units={"t_start": u.day, "t_peak": u.day, "t_stop": u.day},
        meta={"rule": {f.name: getattr(rule, f.name) for f in fields(rule)}},
    )


def events_of(card: Card, predictions_arrays: Any, given: LightCurves, **changes: Any) -> Table:
    """List the events under the rule of a card.

    Parameters
    ----------
    card : Card
        Of a model for the task ``detect``.
    predictions_arrays : mapping
        With ``probability`` and ``probability_std``, shape (n, t), as `Predictions.arrays` has.
    given : LightCurves
        The light curves that were predicted.
    **changes
        Fields of `Rule` that replace the card's.

    Returns
    -------
    Table
        See `events`.
    """
    return events(
        predictions_arrays["probability"],
        predictions_arrays["probability_std"],
        given.time,
        given.values,
        given.errors,
        ids=given.ids,
        rule=Rule.of(card),
        **changes,
    )


def count_events(card: Card, mean: np.ndarray, std: np.ndarray, given: LightCurves) -> np.ndarray:
    """Return the number of events of each object under the rule of a card, shape (n,)."""
    rule = Rule.of(card)
    errors = given.errors if given.errors is not None else [None] * len(given)
    return np.array(
        [
            len(_events_of(mean[i], std[i], given.time[i], given.values[i], errors[i], rule))
            for i in range(len(given))
        ],
        dtype=int,
    )


def detrended(time: np.ndarray, flux: np.ndarray, *, width: int = 193) -> np.ndarray:
    """Height of the flux above a running median.

    Parameters
    ----------
    time : ndarray, shape (t,), days
        Increasing.
    flux : ndarray, shape (t,)
        Finite.
    width : int
        Of the running median, in cadences.
        Gaps are bridged by straight lines first, so that the median does not reach across them.

    Returns
    -------
    ndarray, shape (t,), in the unit of the flux
    """
    from scipy.ndimage import median_filter

    if len(flux) < 3:
        return np.zeros(len(flux))
    steps = np.diff(time)
    cadence = np.median(steps[steps > 0]) if (steps > 0).any() else 1.0
    # Step by step, as the times of the input contract's grid are made: barycentric times drift.
    at = np.concatenate([[0], np.cumsum(np.maximum(np.rint(steps / cadence), 1))]).astype(np.int64)
    if at[-1] > 50 * len(flux):
        raise DataError(
            f"{len(flux)} cadences stretch over {at[-1]} steps of {cadence:.3g} d",
            remedy="cut the light curve at its long gaps",
        )
    even = np.interp(np.arange(at[-1] + 1), at, flux)
    half = min(width // 2, len(even) - 1)
    knots = np.arange(0, len(even) + _STEP, _STEP)
    padded = np.pad(even, half, mode="reflect")
    padded = np.pad(padded, (0, int(knots[-1]) + 1 - len(even)), mode="edge")
    # All of them by the sliding sort of scipy take a third of the time of every eighth by numpy.
    medians = median_filter(padded, size=2 * half + 1)[half : len(padded) - half : _STEP]
    return flux - np.interp(at, knots, medians)


def scatter(heights: np.ndarray) -> float:
    """Robust standard deviation: 1.4826 times the median absolute deviation."""
    if not len(heights):
        return float("nan")
    return float(_MAD_TO_SIGMA * np.median(np.abs(heights - np.median(heights))))


def longest_run(mask: np.ndarray) -> int:
    """Length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0


def _events_of(
    probability: np.ndarray,
    std: np.ndarray,
    time: np.ndarray,
    flux: np.ndarray,
    error: np.ndarray | None,
    rule: Rule,
) -> list[tuple[Any, ...]]:
    good = np.isfinite(probability) & np.isfinite(flux) & np.isfinite(time)
    p, s, t, f = probability[good], std[good], time[good], flux[good]
    if len(t) < 3 or not (p >= rule.threshold).any():
        return []
    height = detrended(t, f, width=rule.trend_cadences)
    sigma = scatter(height)
    e = np.full(len(t), sigma) if error is None else error[good]
    e = np.where(np.isfinite(e) & (e > 0), e, sigma)
    steps = np.diff(t)
    cadence = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0
    found = []
    for first, last in _runs(p >= rule.threshold, t, join=(rule.merge_cadences + 0.5) * cadence):
        part = slice(first, last + 1)
        # The first outlier of a steep rise may stand one cadence before the network is sure.
        wide = slice(max(first - 1, 0), last + 2)
        if longest_run(height[wide] > rule.n_sigma * sigma) < rule.min_cadences:
            continue
        peak = first + int(np.argmax(height[part]))
        sure = first + int(np.argmax(p[part]))
        light = float(height[part].sum() / np.sqrt((e[part] ** 2).sum()))
        found.append(
            (
                float(t[first]),
                float(t[peak]),
                float(t[last]),
                last - first + 1,
                float(height[peak]),
                light,
                float(p[sure]),
                float(s[sure]),
            )
        )
    return found


def _runs(above: np.ndarray, time: np.ndarray, *, join: float) -> list[tuple[int, int]]:
    """First and last index of the runs of True, with runs that are close in time joined."""
    at = np.flatnonzero(above)
    new = np.flatnonzero(np.diff(time[at]) > join) + 1
    firsts = at[np.concatenate([[0], new])]
    lasts = at[np.concatenate([new - 1, [len(at) - 1]])]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))
