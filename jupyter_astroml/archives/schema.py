"""What an archive says about its tables: TAP_SCHEMA (TAP 1.1 section 4), read when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

from jupyter_astroml.archives.compose import select
from jupyter_astroml.core.errors import QueryError

if TYPE_CHECKING:
    from astropy.table import Table


# VizieR has tens of thousands of tables, and a notebook keeps what it shows.
_SHOWN = 200


@dataclass(frozen=True)
class ColumnInfo:
    """A column of a table, as TAP_SCHEMA describes it."""

    name: str
    datatype: str
    unit: str
    ucd: str
    description: str


@dataclass(frozen=True)
class TableInfo:
    """A table and its columns."""

    name: str
    description: str
    columns: tuple[ColumnInfo, ...]


@dataclass(frozen=True)
class Schema:
    """A schema and its tables."""

    name: str
    description: str
    tables: tuple[TableInfo, ...]


class Schemas(tuple[Schema, ...]):
    """All schemas of an archive; shows itself as tables to unfold in a notebook."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(
            f"{table.name}: {', '.join(column.name for column in table.columns)}"
            for schema in self
            for table in schema.tables
        )

    def _repr_html_(self) -> str:
        return "".join(map(_table_html, [t for schema in self for t in schema.tables][:_SHOWN]))


def _table_html(table: TableInfo) -> str:
    cells = "".join(
        "<tr>"
        + "".join(f"<td>{escape(x)}</td>" for x in (c.name, c.unit, c.datatype, c.ucd))
        + f"<td>{escape(c.description)}</td></tr>"
        for c in table.columns
    )
    head = "".join(f"<th>{h}</th>" for h in ("column", "unit", "type", "UCD", "description"))
    return (
        f"<details><summary><b>{escape(table.name)}</b> {escape(table.description)}</summary>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table></details>"
    )


class TapSchema:
    """The tables of an archive, each described once.

    Parameters
    ----------
    ask : callable
        Answers a query in ADQL with a table.
    """

    def __init__(self, ask: Callable[[str], Table]) -> None:
        self._ask = ask
        self._seen: dict[str, Mapping[str, str]] = {}

    @cached_property
    def schemas(self) -> Schemas:
        """All schemas, with their tables and columns."""
        schemas = self._rows("SELECT schema_name, description FROM tap_schema.schemas")
        tables = self._rows("SELECT schema_name, table_name, description FROM tap_schema.tables")
        columns = self._rows(
            "SELECT table_name, column_name, datatype, unit, ucd, description "
            "FROM tap_schema.columns"
        )
        of_table: dict[str, list[ColumnInfo]] = {}
        for row in columns:
            of_table.setdefault(row["table_name"], []).append(
                ColumnInfo(
                    name=row["column_name"],
                    datatype=row["datatype"],
                    unit=row["unit"],
                    ucd=row["ucd"],
                    description=row["description"],
                )
            )
        of_schema: dict[str, list[TableInfo]] = {}
        for row in tables:
            name = row["table_name"]
            of_schema.setdefault(row["schema_name"], []).append(
                TableInfo(name, row["description"], tuple(of_table.get(name, ())))
            )
        return Schemas(
            Schema(s["schema_name"], s["description"], tuple(of_schema.get(s["schema_name"], ())))
            for s in schemas
        )

    @cached_property
    def table_names(self) -> list[str]:
        """Names of all tables, which cost less than what they hold."""
        if "schemas" in self.__dict__:
            return [table.name for schema in self.schemas for table in schema.tables]
        rows = self._rows("SELECT table_name FROM tap_schema.tables")
        return [row["table_name"] for row in rows]

    def columns(self, table: str) -> list[str] | None:
        """Return the names of the columns of a table, or None if there is no such table."""
        found = self._ucds_of(table)
        return None if found is None else list(found)

    def place_columns(self, table: str) -> tuple[str, str]:
        """Return the main right ascension and declination of a table, found by their UCDs.

        Raises
        ------
        QueryError
            If it has none that is known.
        """
        ucds = {name: ucd.lower() for name, ucd in (self._ucds_of(table) or {}).items()}
        found = []
        for axis in ("pos.eq.ra", "pos.eq.dec"):
            named = [name for name, ucd in ucds.items() if ucd.split(";")[0] == axis]
            main = [name for name in named if "meta.main" in ucds[name]]
            found += (main or named)[:1]
        if len(found) != 2:
            raise QueryError(
                f"The table {table} has no known columns of position",
                cause="" if ucds else "TAP_SCHEMA does not list it",
                remedy="name them: cone(…, ra='…', dec='…')",
            )
        return found[0], found[1]

    def _ucds_of(self, table: str) -> Mapping[str, str] | None:
        """Return the UCD of each column of a table, or None if there is no such table."""
        if "schemas" in self.__dict__:
            return self._ucds.get(table.replace('"', "").lower())
        if table not in self._seen:
            # An unquoted name is written in any case; archives list most of them in lower case.
            for name in dict.fromkeys([table, table.lower(), table.replace('"', "")]):
                adql = select(
                    "tap_schema.columns",
                    columns=["column_name", "ucd"],
                    where=[("table_name", "=", name)],
                )
                found = {row["column_name"]: row["ucd"] for row in self._rows(adql)}
                if found:
                    # A table that is not there now may be made later.
                    self._seen[table] = found
                    break
        return self._seen.get(table)

    @cached_property
    def _ucds(self) -> dict[str, dict[str, str]]:
        """The same for all tables, by their names without quotes in lower case."""
        return {
            table.name.replace('"', "").lower(): {c.name: c.ucd for c in table.columns}
            for schema in self.schemas
            for table in schema.tables
        }

    def _rows(self, adql: str) -> list[Mapping[str, str]]:
        """Ask for texts only; nulls become empty."""
        table = self._ask(adql)
        texts = {
            name.lower(): ["" if value is None else str(value) for value in table[name].tolist()]
            for name in table.colnames
        }
        return [
            dict(zip(texts, values, strict=True)) for values in zip(*texts.values(), strict=True)
        ]
