"""Compare lists of events with lists of known flares, and count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from astropy.table import Table

    from jupyter_astroml.core.records import LightCurves

# An event is a known flare when it overlaps the time from ten minutes before the known peak to
# twenty after it: the peaks of a fit and of a light curve differ by cadences, and flares decay.
MINUTES_BEFORE, MINUTES_AFTER = 10.0, 20.0
BLOCK_DAYS = 1.0
# Columns of the counts.
FLARES, FOUND, EVENTS, TRUE = range(4)


def matched(events: Table, flares: Table) -> tuple[np.ndarray, np.ndarray]:
    """Say which flares were found, and which events are known flares.

    Several events may belong to one flare and several flares to one event, as in outbursts with
    many peaks: each counts.

    Parameters
    ----------
    events : Table
        Columns ``id, t_start, t_stop`` (days).
    flares : Table
        Columns ``id, t_peak`` (days).

    Returns
    -------
    ndarray of bool, shape (number of flares,)
    ndarray of bool, shape (number of events,)
    """
    found = np.zeros(len(flares), dtype=bool)
    true = np.zeros(len(events), dtype=bool)
    event_id = np.asarray(events["id"], dtype=str)
    flare_id = np.asarray(flares["id"], dtype=str)
    start, stop = _days(events, "t_start"), _days(events, "t_stop")
    peak = _days(flares, "t_peak")
    for name in np.unique(flare_id):
        e, f = np.flatnonzero(event_id == name), np.flatnonzero(flare_id == name)
        overlap = (start[e][:, None] <= peak[f] + MINUTES_AFTER / 1440) & (
            stop[e][:, None] >= peak[f] - MINUTES_BEFORE / 1440
        )
        found[f] = overlap.any(axis=0)
        true[e] = overlap.any(axis=1)
    return found, true


def counts(events: Table, flares: Table, curves: LightCurves) -> np.ndarray:
    """Count flares, found flares, events and true events in blocks of one day of each star.

    Parameters
    ----------
    events, flares : Table
        As `matched` takes them.
    curves : LightCurves
        Blocks are counted from the first cadence of each light curve.

    Returns
    -------
    ndarray of int, shape (block, 4)
        Only blocks in which something was measured: the columns `FLARES, FOUND, EVENTS, TRUE`.
    """
    found, true = matched(events, flares)
    event_id = np.asarray(events["id"], dtype=str)
    flare_id = np.asarray(flares["id"], dtype=str)
    peaks, starts = _days(flares, "t_peak"), _days(events, "t_start")
    parts = []
    for i, name in enumerate(curves.ids):
        measured = curves.time[i][np.isfinite(curves.values[i])]
        if not len(measured):
            continue
        zero = measured[0]
        f, e = flare_id == name, event_id == name
        flare_block, event_block = _block(peaks[f], zero), _block(starts[e], zero)
        blocks = np.unique(np.concatenate([_block(measured, zero), flare_block, event_block]))
        row = np.zeros((len(blocks), 4), dtype=int)
        for column, where in (
            (FLARES, flare_block),
            (FOUND, flare_block[found[f]]),
            (EVENTS, event_block),
            (TRUE, event_block[true[e]]),
        ):
            np.add.at(row[:, column], np.searchsorted(blocks, where), 1)
        parts.append(row)
    return np.concatenate(parts) if parts else np.zeros((0, 4), dtype=int)


def _days(table: Table, name: str) -> np.ndarray:
    return np.asarray(table[name], dtype=float)


def _block(time: np.ndarray, zero: float) -> np.ndarray:
    return np.floor((time - zero) / BLOCK_DAYS).astype(int)


def recall(table: np.ndarray) -> float:
    """Share of the known flares that were found; NaN without flares."""
    total = table.sum(axis=0)
    return float(total[FOUND] / total[FLARES]) if total[FLARES] else float("nan")


def precision(table: np.ndarray) -> float:
    """Share of the events that are known flares; NaN without events."""
    total = table.sum(axis=0)
    return float(total[TRUE] / total[EVENTS]) if total[EVENTS] else float("nan")


def f1(table: np.ndarray) -> float:
    """Harmonic mean of `recall` and `precision`; 0 when nothing was found."""
    return f_score(table, beta=1.0)


def f_score(table: np.ndarray, *, beta: float) -> float:
    """Weighted harmonic mean in which recall counts `beta` times as much as precision.

    Parameters
    ----------
    table : ndarray of int, shape (block, 4)
        From `counts`.
    beta : float
        Van Rijsbergen 1979, chapter 7.

    Returns
    -------
    float
        NaN without flares, 0 when nothing was found.
    """
    r, p = recall(table), precision(table)
    if np.isnan(r):
        return float("nan")
    return (1 + beta**2) * r * p / (r + beta**2 * p) if p > 0 and r > 0 else 0.0


def precision_at(tables: np.ndarray, *, least: float) -> float:
    """Largest precision among the settings of a method that find enough of the flares.

    Parameters
    ----------
    tables : ndarray of int, shape (block, setting, 4)
        `counts` under each setting.
    least : float
        Recall that counts as enough.

    Returns
    -------
    float
        0 if no setting finds enough, NaN without flares.
    """
    rows = range(tables.shape[1])
    if np.isnan(recall(tables[:, 0])):
        return float("nan")
    return max(
        (precision(tables[:, i]) for i in rows if recall(tables[:, i]) >= least), default=0.0
    )


def best_f1(tables: np.ndarray) -> float:
    """Largest `f1` among the settings of a method; see `precision_at`."""
    return max(f1(tables[:, i]) for i in range(tables.shape[1]))
