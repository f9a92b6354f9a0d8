"""Tables that come with a query: the parameter UPLOAD of TAP 1.1 section 2.5."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_astroml.core.errors import DataError, QueryError

from . import votable_reader
from .tables import Table

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = "tap_upload"
MOST_TABLES = 10
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
# Returns the VOTable that a place stands for.
Fetch = Callable[[str], bytes]


@dataclass(frozen=True)
class Source:
    """One entry of UPLOAD.

    Attributes
    ----------
    name : str
        Of the table, lower-case, without its schema.
    place : str
        ``param:`` and the name of a part of the form, or an address.
    """

    name: str
    place: str


@dataclass(frozen=True)
class Uploaded:
    """A table that was sent, for one query.

    Attributes
    ----------
    table : Table
        Called ``tap_upload.name``.
    rows : pyarrow.Table
        With the columns in the same order.
    """

    table: Table
    rows: pa.Table


def sources(given: str) -> tuple[Source, ...]:
    """Read the parameter, such as ``mine,param:part1;others,http://…``.

    Raises
    ------
    QueryError
        For names that are none or come twice.
    """
    found: list[Source] = []
    for entry in filter(None, (e.strip() for e in given.split(";"))):
        name, _, place = (part.strip() for part in entry.partition(","))
        name = re.sub(r"(?i)^tap_upload\.", "", name)
        if not _NAME.fullmatch(name) or not place:
            raise QueryError(
                f"UPLOAD holds {entry[:60]!r}", remedy="send UPLOAD=name,param:part with the form"
            )
        source = Source(name.lower(), place)
        if source not in found:
            found.append(source)
    if len({s.name for s in found}) != len(found):
        raise QueryError("UPLOAD names two tables alike")
    if len(found) > MOST_TABLES:
        raise QueryError(f"More than {MOST_TABLES} tables are uploaded")
    return tuple(found)


def read(wanted: Sequence[Source], fetch: Fetch) -> tuple[Uploaded, ...]:
    """Return the tables that are uploaded.

    Raises
    ------
    QueryError
        For a table that is not there, too large or damaged.
    """
    return tuple(_uploaded(source, fetch(source.place)) for source in wanted)


def _uploaded(source: Source, body: bytes) -> Uploaded:
    import pyarrow as pa

    if len(body) > votable_reader.MAX_BYTES:
        raise QueryError(
            f"The table {source.name} is larger than {votable_reader.MAX_BYTES >> 20} MiB"
        )
    try:
        columns, values = votable_reader.read(body)
    except DataError as err:
        raise QueryError(
            f"The uploaded table {source.name} cannot be read", cause=err.what, remedy=err.remedy
        ) from err
    rows = pa.Table.from_arrays(values, names=[c.name for c in columns])
    return Uploaded(Table(f"{SCHEMA}.{source.name}", columns), rows)
