"""The classical search for flares: consecutive outliers above a running median.

The criteria are those of Chang, Byun & Hartman 2015 (ApJ 814, 35, equations 3a to 3d), also known
as FINDFLARE: a flare is a run of at least N3 cadences, each of them N1 standard deviations above
the quiet level, and N2 with its own error taken off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from jupyter_astroml.models.events import detrended, scatter

if TYPE_CHECKING:
    from astropy.table import Table

    from jupyter_astroml.core.records import LightCurves


@dataclass(frozen=True)
class Criteria:
    """Numbers of the search.

    Attributes
    ----------
    n1, n2 : float
        Standard deviations above the running median: the flux, and the flux less its error.
    n3 : int
        Cadences in a row.
    trend : int
        Width of the running median, cadences.
    """

    n1: float = 3.0
    n2: float = 1.0
    n3: int = 3
    trend: int = 193


def grid() -> Iterator[Criteria]:
    """Yield the criteria among which training chooses on simulated stars."""
    for trend, n1, n3 in product((65, 129, 193), (2.0, 2.5, 3.0, 3.5, 4.0, 5.0), (2, 3, 4, 5)):
        yield Criteria(n1=n1, n3=n3, trend=trend)


def search(curves: LightCurves, *, criteria: Criteria | None = None) -> Table:
    """Find flares in light curves.

    Parameters
    ----------
    curves : LightCurves
        Missing cadences are NaN.
    criteria : Criteria, optional
        By default those of the paper.

    Returns
    -------
    Table
        One row an event: ``id, t_start, t_peak, t_stop`` (days), ``n_cadences``, ``amplitude``.
    """
    criteria = criteria or Criteria()
    return search_heights(curves, heights(curves, trend=criteria.trend), criteria=criteria)


def heights(curves: LightCurves, *, trend: int) -> list[tuple[np.ndarray, ...]]:
    """Return time, height above the trend and error of the measured cadences of each star."""
    found: list[tuple[np.ndarray, ...]] = []
    for i in range(len(curves)):
        good = np.isfinite(curves.values[i]) & np.isfinite(curves.time[i])
        time, flux = curves.time[i][good], curves.values[i][good].astype(float)
        error = curves.errors[i][good] if curves.errors is not None else np.zeros(len(flux))
        found.append((time, detrended(time, flux, width=trend), np.nan_to_num(error)))
    return found


def search_heights(
    curves: LightCurves, prepared: list[tuple[np.ndarray, ...]], *, criteria: Criteria
) -> Table:
    """Search light curves whose trend was taken off by `heights`; see `search`."""
    from astropy import units as u
    from astropy.table import Table

    rows = []
    for name, (time, height, error) in zip(curves.ids, prepared, strict=True):
        sigma = scatter(height)
        above = (height >= criteria.n1 * sigma) & (height - error >= criteria.n2 * sigma)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], above, [False]]).astype(np.int8)))
        for first, stop in zip(edges[::2], edges[1::2], strict=True):
            if stop - first < criteria.n3:
                continue
            peak = first + int(np.argmax(height[first:stop]))
            rows.append(
                (name, time[first], time[peak], time[stop - 1], int(stop - first), height[peak])
            )
    return Table(
        rows=rows or None,
        names=("id", "t_start", "t_peak", "t_stop", "n_cadences", "amplitude"),
        dtype=(curves.ids.dtype, float, float, float, int, float),
        units={"t_start": u.day, "t_peak": u.day, "t_stop": u.day},
    )
