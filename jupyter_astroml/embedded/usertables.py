"""Tables that users keep on the archive: made, filled and dropped, held in memory.

The archive's own tables stay read-only; these end with the archive.
"""

from __future__ import annotations

import io
import re
import threading
from typing import TYPE_CHECKING, Any

from jupyter_astroml.core.errors import QueryError

from . import votable_reader
from .build import TAP_SCHEMA_TABLES, tap_schema_rows, tap_schema_table
from .tables import Table

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from .engine import Database

SCHEMA = "mine"
DESCRIPTION = "Tables that users made; they end with the archive"
MOST_TABLES = 20
MOST_ROWS = 1_000_000
_NAME = re.compile(rf"{SCHEMA}\.[a-z][a-z0-9_]{{0,62}}")
# Where TAP_SCHEMA's rows about these tables are, which the published views add to the others.
META = "user_tap_schema"


def prepare(con: duckdb.DuckDBPyConnection) -> None:
    """Make room for tables beside the archive's own, which are read-only."""
    con.execute(f"CREATE SCHEMA memory.{SCHEMA}")
    con.execute(f"CREATE SCHEMA memory.{META}")
    for name, _ in TAP_SCHEMA_TABLES:
        con.execute(f"CREATE TABLE memory.{META}.{name} AS FROM arc.tap_schema.{name} LIMIT 0")
    _describe(con, ())


def _describe(con: duckdb.DuckDBPyConnection, tables: tuple[Table, ...]) -> None:
    rows = tap_schema_rows({SCHEMA: DESCRIPTION}, tables)
    for name, _ in TAP_SCHEMA_TABLES:
        con.execute(f"DELETE FROM memory.{META}.{name}")  # noqa: S608 - names of ours
        con.register("told", tap_schema_table(name, rows[name]))
        con.execute(f"INSERT INTO memory.{META}.{name} FROM told")
        con.unregister("told")


class UserTables:
    """What users made.

    Parameters
    ----------
    database : Database
        Opened with room for them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._tables: dict[str, Table] = {}
        self._rows: dict[str, int] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._tables

    def create(self, name: str, body: bytes) -> None:
        """Make a table with the columns, and the rows, of a VOTable.

        Raises
        ------
        QueryError
            For a name that is none or taken, too many tables, or a VOTable that cannot be read.
        """
        if not _NAME.fullmatch(name):
            raise QueryError(
                f"A table cannot be called {name[:80]!r}",
                remedy=f"use {SCHEMA}.NAME, of lower-case letters, digits and '_'",
            )
        columns, values = votable_reader.read(body)
        with self._lock:
            if name in self._tables:
                raise QueryError(f"There is a table {name} already", remedy="drop it first")
            if len(self._tables) >= MOST_TABLES:
                raise QueryError(f"There are {MOST_TABLES} tables of users", remedy="drop some")
            rows = _arrow(values, [c.name for c in columns])
            self._room(len(rows))
            made = {**self._tables, name: Table(name, columns, description="Made by a user")}
            self._change(f"CREATE TABLE memory.{_quoted(name)} AS FROM incoming", made, rows)
            self._rows[name] = len(rows)

    def load(self, name: str, body: bytes, *, separator: str) -> None:
        """Add rows to a table, all or none.

        Parameters
        ----------
        name : str
            Of the table.
        body : bytes
            Lines of text, the first with the names of the columns; empty cells are nulls.
        separator : str
            Of the cells.

        Raises
        ------
        QueryError
            If the text has other columns, other types, or too many rows.
        """
        with self._lock:
            table = self._table(name)
            rows = self._parsed(table, body, separator)
            self._room(len(rows))
            names = ", ".join(_quoted(c) for c in rows.column_names)
            self._change(
                f"INSERT INTO memory.{_quoted(name)} ({names}) FROM incoming",
                self._tables,
                rows,
            )
            self._rows[name] += len(rows)

    def drop(self, name: str) -> None:
        """Drop a table."""
        with self._lock:
            self._table(name)
            left = {k: v for k, v in self._tables.items() if k != name}
            self._change(f"DROP TABLE memory.{_quoted(name)}", left)
            del self._rows[name]

    def _table(self, name: str) -> Table:
        if name not in self._tables:
            raise QueryError(f"There is no table {name[:80]!r} of a user")
        return self._tables[name]

    def _room(self, more: int) -> None:
        if sum(self._rows.values()) + more > MOST_ROWS:
            raise QueryError(f"Tables of users have at most {MOST_ROWS} rows", remedy="drop some")

    def _change(self, sql: str, tables: dict[str, Table], rows: pa.Table | None = None) -> None:
        """Change tables and what TAP_SCHEMA says of them in one transaction."""
        import duckdb

        con = self._database.cursor()
        try:
            if rows is not None:
                con.register("incoming", rows)
            con.execute("BEGIN")
            con.execute(sql)
            if tables is not self._tables:
                _describe(con, tuple(tables.values()))
            con.execute("COMMIT")
        except duckdb.Error as err:
            raise QueryError("The table was not changed", cause=str(err)[:300]) from err
        finally:
            # A connection that closes rolls back what it has not committed.
            con.close()
        gone = {k: v for k, v in self._database.tables.items() if k not in self._tables}
        self._tables = tables
        self._database.publish({**gone, **tables})

    def _parsed(self, table: Table, body: bytes, separator: str) -> pa.Table:
        import pyarrow as pa
        from pyarrow import csv

        con = self._database.cursor()
        try:
            wanted = con.sql(f"FROM memory.{_quoted(table.name)} LIMIT 0").to_arrow_table().schema
        finally:
            con.close()
        try:
            found = csv.read_csv(
                io.BytesIO(body),
                parse_options=csv.ParseOptions(delimiter=separator, newlines_in_values=True),
                convert_options=csv.ConvertOptions(
                    column_types=wanted,
                    null_values=[""],
                    strings_can_be_null=True,
                    true_values=["true", "t", "1"],
                    false_values=["false", "f", "0"],
                ),
            )
        except pa.ArrowException as err:
            raise QueryError("The rows cannot be read", cause=str(err)[:300]) from err
        found = found.rename_columns([name.strip().lower() for name in found.column_names])
        unknown = set(found.column_names) - set(wanted.names)
        if unknown or len(set(found.column_names)) < len(found.column_names):
            raise QueryError(
                f"The rows have a column {min(unknown, default='twice')[:80]!r}",
                remedy=f"the table has {', '.join(wanted.names)}",
            )
        return found.cast(pa.schema([wanted.field(name) for name in found.column_names]))


def _arrow(values: list[Any], names: list[str]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_arrays(values, names=names)


def _quoted(name: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))
