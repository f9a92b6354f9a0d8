"""Simple Image Access 2.0: the images and cubes of ``ivoa.obscore``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import tornado.web

from jupyter_astroml.core.errors import QueryError

from . import dal, soda

STANDARD = "ivo://ivoa.net/std/SIA#query-2.0"
MOST_CORNERS = 100
# Section 2.1: intervals that a column must lie in, and texts that it must be one of.
_INTERVALS = {
    "FOV": "s_fov",
    "SPATRES": "s_resolution",
    "SPECRP": "em_res_power",
    "EXPTIME": "t_exptime",
    "TIMERES": "t_resolution",
}
_TEXTS = {
    "ID": "obs_publisher_did",
    "COLLECTION": "obs_collection",
    "FACILITY": "facility_name",
    "INSTRUMENT": "instrument_name",
    "DPTYPE": "dataproduct_type",
    "TARGET": "target_name",
    "FORMAT": "access_format",
}
# Wider than this, the edges of a range turn away from great circles too much to be followed.
_WIDEST = 90.0


class Query(dal.Dal):
    """The resource ``/sia2/query``."""

    async def get(self) -> None:
        """Answer with the datasets that fit all parameters, each of which may be repeated."""
        if "ivoa.obscore" not in self.service.database.tables:
            raise tornado.web.HTTPError(404, "This archive has no images")
        query = f"SELECT * FROM ivoa.obscore WHERE {conditions(self.every)}"  # noqa: S608
        answer = await self.rows(query, maxrec=self.maxrec())
        self.table(answer, answer.columns, standard=STANDARD, linked="obs_publisher_did")

    post = get


def conditions(every: Callable[[str], list[str]]) -> str:
    """Return what the parameters ask for, in ADQL.

    Parameters
    ----------
    every : callable
        Returns all values of a parameter.

    Raises
    ------
    QueryError
        For a value that the standard does not allow.
    """
    wanted = ["dataproduct_type IN ('image', 'cube')"]

    def add(name: str, condition: Callable[[str], str]) -> None:
        given = every(name)
        if given:
            wanted.append(dal.either(*map(condition, given)))

    add("POS", _position)
    add("BAND", lambda v: dal.overlap("em_min", "em_max", dal.interval(v, name="BAND")))
    add("TIME", lambda v: dal.overlap("t_min", "t_max", dal.interval(v, name="TIME")))
    for name, column in _INTERVALS.items():
        add(name, lambda v, n=name, c=column: _within(c, dal.interval(v, name=n)))  # type: ignore[misc]
    for name, column in _TEXTS.items():
        add(name, lambda v, c=column: f"{c} = {dal.literal(v)}")  # type: ignore[misc]
    add("POL", lambda v: f"pol_states LIKE {dal.literal(f'%/{_state(v)}/%')}")
    add("CALIB", lambda v: f"calib_level = {_level(v)}")
    return " AND ".join(wanted)


def _within(column: str, wanted: tuple[float, float]) -> str:
    low, high = wanted
    parts = [f"{column} IS NOT NULL"]
    parts += [f"{column} >= {low!r}"] if math.isfinite(low) else []
    parts += [f"{column} <= {high!r}"] if math.isfinite(high) else []
    return dal.both(*parts)


def _state(text: str) -> str:
    if not (text.isalnum() and text.isascii() and len(text) <= 8):
        raise QueryError(f"POL is {text[:40]!r}", remedy="send a state such as I or Q")
    return text


def _level(text: str) -> int:
    if text not in ("0", "1", "2", "3", "4"):
        raise QueryError(f"CALIB is {text[:40]!r}", remedy="send 0, 1, 2, 3 or 4")
    return int(text)


def _position(text: str) -> str:
    kind, *numbers = text.split() or [""]
    if kind.upper() == "RANGE":
        return _range(numbers)
    shape = soda.region(pos=text)
    if shape is None:
        raise QueryError("POS is empty", remedy="send CIRCLE ra dec radius")
    if shape.circle is not None:
        return dal.circle(*shape.circle)
    return dal.polygon(_corners(shape.corners))


def _corners(corners: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    found = list(corners)
    if len(found) > MOST_CORNERS:
        raise QueryError(f"POS has more than {MOST_CORNERS} corners")
    return found


def _range(texts: list[str]) -> str:
    """Return the condition that a dataset meets a range of coordinates, open where infinite."""
    try:
        west, east, south, north = (float(t) for t in texts)
    except ValueError as err:
        raise QueryError("RANGE takes four numbers: ra1 ra2 dec1 dec2") from err
    west, east = max(west, 0.0), min(east, 360.0)
    south, north = max(south, -90.0), min(north, 90.0)
    if not (west <= east and south <= north):
        raise QueryError("RANGE takes the smaller of two numbers first")
    if 0 < east - west <= _WIDEST and 0 < north - south <= _WIDEST:
        return dal.polygon(outline(west, east, south, north))
    # As much of the sky as this holds a dataset when it holds its centre.
    inside = f"s_ra BETWEEN {west!r} AND {east!r} AND s_dec BETWEEN {south!r} AND {north!r}"
    return dal.both(inside)


def outline(west: float, east: float, south: float, north: float) -> list[tuple[float, float]]:
    """Return a polygon whose edges follow the parallels of a range to some arcseconds; degrees.

    A chord of one degree along a parallel leaves it by 4 arcsec at most.
    """
    steps = max(2, math.ceil(east - west) + 1) if east - west <= 45 else 46
    along = np.linspace(west, east, steps).tolist()
    low = [(along[0], south)] if south == -90 else [(ra, south) for ra in along]
    high = [(along[0], north)] if north == 90 else [(ra, north) for ra in reversed(along)]
    return low + high
