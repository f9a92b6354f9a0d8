"""What the simple protocols share: each request becomes a query in ADQL.

So one set of walls stands before the tables, whatever door a request comes through.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from jupyter_astroml.core.errors import QueryError

from . import datalink, tap, votable
from .engine import Answer
from .tables import Column
from .votable import attribute
from .web import Endpoint


def number(text: str, *, name: str) -> float:
    """Read a finite number.

    Raises
    ------
    QueryError
        For anything else.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:
        raise QueryError(f"{name} is {text[:40]!r}", remedy="give a finite number")
    return value


def position(ra: float, dec: float) -> tuple[float, float]:
    """Return a position with its right ascension between 0 and 360 degrees.

    Raises
    ------
    QueryError
        For a declination beyond a pole.
    """
    if abs(dec) > 90:
        raise QueryError(f"The declination {dec:g} is beyond a pole")
    return ra % 360, dec


def interval(text: str, *, name: str) -> tuple[float, float]:
    """Read ``low high``, or one value that is both (DALI 1.1 section 3.3.6); infinite is open.

    Raises
    ------
    QueryError
        For anything else.
    """
    words = text.split()
    try:
        values = [float(w) for w in words if "_" not in w]
    except ValueError:
        values = []
    if len(values) != len(words) or len(values) not in (1, 2) or any(map(math.isnan, values)):
        raise QueryError(f"{name} is {text[:60]!r}", remedy="give a number, or two with a space")
    low, high = values[0], values[-1]
    if low > high:
        raise QueryError(f"{name} is {text[:60]!r}", remedy="give the smaller number first")
    return low, high


def overlap(low: str, high: str, wanted: tuple[float, float]) -> str:
    """Return the condition that the range between two columns meets an interval."""
    return both(
        f"{high} >= {wanted[0]!r}" if math.isfinite(wanted[0]) else f"{high} IS NOT NULL",
        f"{low} <= {wanted[1]!r}" if math.isfinite(wanted[1]) else f"{low} IS NOT NULL",
    )


def literal(text: str) -> str:
    """Return a text as ADQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def either(*conditions: str) -> str:
    """Return the condition that one of several holds."""
    return "(" + " OR ".join(conditions) + ")"


def both(*conditions: str) -> str:
    """Return the condition that all of several hold."""
    return "(" + " AND ".join(conditions) + ")"


def circle(ra: float, dec: float, radius: float) -> str:
    """Return the condition that a dataset of ObsCore meets a circle; degrees, ICRS."""
    shape = f"CIRCLE({ra!r}, {dec!r}, {radius!r})"
    return _meets(shape)


def polygon(corners: Sequence[tuple[float, float]]) -> str:
    """Return the condition that a dataset of ObsCore meets a polygon; degrees, ICRS."""
    return _meets(f"POLYGON({', '.join(f'{ra!r}, {dec!r}' for ra, dec in corners)})")


def _meets(shape: str) -> str:
    # A dataset without an outline, such as a spectrum, is where it points.
    point = both("s_region IS NULL", f"1 = CONTAINS(POINT(s_ra, s_dec), {shape})")
    return either(f"1 = INTERSECTS({shape}, s_region)", point)


class Dal(Endpoint):
    """A handler that answers with a table."""

    def maxrec(self, *, most: int = tap.MOST_ROWS) -> int:
        """Return how many rows may come."""
        given = self.one("MAXREC")
        if not given:
            return min(tap.DEFAULT_ROWS, most)
        if not (given.isascii() and given.isdigit() and len(given) < 19):
            raise QueryError(f"MAXREC is {given[:40]!r}", remedy="give a whole number from 0")
        return min(int(given), most)

    async def rows(self, query: str, *, maxrec: int) -> Answer:
        """Run a query."""
        database = self.service.database
        return await self.at_work(
            self.service.queries,
            lambda: database.run(database.plan(query, maxrec=maxrec), seconds=tap.SYNC_SECONDS),
        )

    def table(
        self,
        answer: Answer,
        columns: Sequence[Column],
        *,
        standard: str = "",
        media: str = votable.MEDIA,
        linked: str = "",
        infos: Iterable[tuple[str, str]] = (),
        params: str = "",
    ) -> None:
        """Answer with rows.

        Parameters
        ----------
        answer : Answer
            The rows.
        columns : sequence of Column
            As they are to be described.
        standard : str
            Identifier of the protocol.
        media : str
            Media type.
        linked : str
            Column whose values the DataLink service takes.
        infos : iterable of (name, value)
            Written as INFO elements.
        params : str
            PARAM elements about the service.
        """
        told = [("standardID", standard)] if standard else []
        self.set_header("Content-Type", media)
        self.finish(
            votable.document(
                columns,
                answer.rows,
                overflow=answer.overflow,
                infos=[*told, *infos],
                params=params,
                extra=_links(self.service.base, linked) if linked else "",
                named=True,
            )
        )


def _links(base: str, column: str) -> str:
    """Return the descriptor of the DataLink service (DataLink 1.1 section 4)."""
    return (
        '<RESOURCE type="meta" utype="adhoc:service">\n'
        f'<PARAM name="standardID" datatype="char" arraysize="*" value="{datalink.STANDARD}"/>\n'
        f'<PARAM name="accessURL" datatype="char" arraysize="*" value="{base}/datalink"/>\n'
        '<GROUP name="inputParams">\n'
        '<PARAM name="ID" datatype="char" arraysize="*" value="" '
        f'ucd="meta.id;meta.main" ref={attribute(column)}/>\n'
        "</GROUP>\n</RESOURCE>\n"
    )
