"""Simple Cone Search 1.03: the rows of a table around a position."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import tornado.web

from jupyter_astroml.core.errors import AstroMLError, QueryError

from . import dal, votable
from .build import written
from .tables import Column, Table, delimited

STANDARD = "ivo://ivoa.net/std/ConeSearch"
MEDIA = "text/xml;content=x-votable"
MAIN_RA, MAIN_DEC, MAIN_ID = "pos.eq.ra;meta.main", "pos.eq.dec;meta.main", "meta.id;meta.main"
# Section 2.2 of the standard is older than the UCDs of today and asks for these.
_UCDS = {MAIN_RA: "POS_EQ_RA_MAIN", MAIN_DEC: "POS_EQ_DEC_MAIN", MAIN_ID: "ID_MAIN"}


def searchable(table: Table) -> bool:
    """Whether a table has the position and the name that the standard asks for."""
    return all(_main(table, ucd) is not None for ucd in _UCDS)


def _main(table: Table, ucd: str) -> Column | None:
    return next((c for c in table.columns if c.ucd == ucd), None)


class Cone(dal.Dal):
    """The resource ``/scs/SCHEMA.TABLE``."""

    async def get(self, name: str) -> None:
        """Answer with the rows in a circle."""
        table = self.service.database.tables.get(name.lower())
        if table is None or not searchable(table):
            raise tornado.web.HTTPError(404, "No such cone search")
        ra, dec, radius = (dal.number(self._needed(n), name=n) for n in ("RA", "DEC", "SR"))
        ra, dec = dal.position(ra, dec)
        if not 0 <= radius <= 180:
            raise QueryError(f"SR is {radius:g}", remedy="give degrees from 0 to 180")
        # Section 2.1: a radius of 0 asks for the columns only.
        maxrec = self.maxrec() if radius else 0
        verbosity = self.one("VERB", "2")
        if verbosity not in ("1", "2", "3"):
            raise QueryError(f"VERB is {verbosity[:40]!r}", remedy="send 1, 2 or 3")
        columns = _columns(table, verbosity)
        answer = await self.rows(_query(table, columns, ra, dec, radius), maxrec=maxrec)
        told = [
            replace(shown, ucd=_UCDS.get(own.ucd, own.ucd))
            for own, shown in zip(columns, answer.columns, strict=True)
        ]
        self.table(answer, told, media=MEDIA)

    post = get

    def _needed(self, name: str) -> str:
        value = self.one(name)
        if not value:
            raise QueryError(f"{name} is missing", remedy="send RA, DEC and SR in degrees")
        return value

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer as section 2.3 asks: a VOTable with an INFO called Error, and no HTTP error."""
        err = kwargs.get("exc_info", (None, None, None))[1]
        if not isinstance(err, AstroMLError):
            super().write_error(status_code, **kwargs)
            return
        self.set_status(200)
        self.set_header("Content-Type", MEDIA)
        self.finish(votable.error(str(err), own=[("Error", str(err))]))


def _columns(table: Table, verbosity: str) -> list[Column]:
    if verbosity == "3":
        return list(table.columns)
    return [c for c in table.columns if c.ucd in _UCDS or (verbosity == "2" and c.principal)]


def _query(table: Table, columns: list[Column], ra: float, dec: float, radius: float) -> str:
    wanted = ", ".join(
        f"CAST({delimited(c.name)} AS VARCHAR) AS {delimited(c.name)}"
        if c.ucd == MAIN_ID and c.datatype not in ("char", "unicodeChar")
        else delimited(c.name)
        for c in columns
    )
    right, up = (_main(table, ucd) for ucd in (MAIN_RA, MAIN_DEC))
    assert right is not None and up is not None  # noqa: S101, PT018 - `searchable` has looked
    place = f"DISTANCE({delimited(right.name)}, {delimited(up.name)}, {ra!r}, {dec!r})"
    return f"SELECT {wanted} FROM {written(table.name)} WHERE {place} <= {radius!r}"  # noqa: S608 - parsed as ADQL
