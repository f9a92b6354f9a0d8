"""The database behind the archive: DuckDB, shut in, asked in ADQL.

Walls, from outside to inside: the lists of `adql`, a file that is attached read-only, no access to
files or the network, a locked configuration, a limit of memory and a limit of time for each query.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, build_scope

from jupyter_astroml.core.errors import QueryError

from . import adql, geometry, usertables
from .build import Product
from .tables import Column, ForeignKey, Table
from .types import field_type
from .uploads import SCHEMA, Uploaded

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

MEMORY = "1GB"
# DuckDB loses an interruption that comes between two statements, so it is repeated.
_TICK_SECONDS = 0.05
# Looking a file up in the database takes longer than cutting it, so the first are kept at hand.
_KEPT_PRODUCTS = 10_000
_TEXTS = ("datatype", "arraysize", "xtype", "unit", "ucd", "utype", "description")
_FLAGS = ("indexed", "principal", "std")


class Cancel:
    """Stops a running query from another thread."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the query to stop."""
        self._event.set()

    @property
    def asked(self) -> bool:
        """Whether the query was asked to stop."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the request to stop."""
        return self._event.wait(seconds)


@dataclass(frozen=True)
class Answer:
    """Rows of a query.

    Attributes
    ----------
    columns : tuple of Column
    rows : pyarrow.Table
        With the columns in the same order.
    overflow : bool
        More rows exist than the limit let through.
    """

    columns: tuple[Column, ...]
    rows: pa.Table
    overflow: bool


@dataclass(frozen=True)
class Plan:
    """A query that was checked and translated."""

    sql: str
    columns: tuple[Column | None, ...]
    maxrec: int
    uploads: tuple[Uploaded, ...] = ()


class Database:
    """The published tables.

    Parameters
    ----------
    path : Path
        A database written by `build.Builder`.
    base : str
        Address of the archive, which completes the relative links in the tables.
    users : bool
        Whether users may add tables, in memory.
    """

    def __init__(
        self, path: Path, *, base: str = "", threads: int = 2, users: bool = False
    ) -> None:
        self._con = _connect(path, threads=threads)
        self.tables: Mapping[str, Table] = _read_tables(self._con)
        self.schemas: dict[str, str] = dict(
            self._con.execute(
                "SELECT trim(schema_name, '\"'), description FROM arc.tap_schema.schemas "
                "ORDER BY schema_index"
            ).fetchall()
        )
        if users:
            usertables.prepare(self._con)
            self.schemas[usertables.SCHEMA] = usertables.DESCRIPTION
        _expose(self._con, self.tables.values(), base=base, users=users)
        _lock(self._con)
        first = self._fetch("SELECT * FROM arc.internal.products LIMIT ?", [_KEPT_PRODUCTS])
        self._products = {row[0]: _product(row) for row in first}
        self._known = adql.schema(_tree_of_names(self.tables))

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of its own to the same tables."""
        return self._con.cursor()

    def publish(self, tables: Mapping[str, Table]) -> None:
        """Let queries name these tables, and no others."""
        self.tables, self._known = tables, adql.schema(_tree_of_names(tables))

    def close(self) -> None:
        """Close the database."""
        self._con.close()

    def product(self, did: str) -> Product | None:
        """Return the file with an identifier."""
        if did in self._products:
            return self._products[did]
        found = self._fetch("SELECT * FROM arc.internal.products WHERE did = ?", [did])
        return _product(found[0]) if found else None

    def _fetch(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        cursor = self._con.cursor()
        try:
            return cursor.execute(sql, list(values)).fetchall()
        finally:
            cursor.close()

    def plan(self, query: str, *, maxrec: int, uploads: Sequence[Uploaded] = ()) -> Plan:
        """Check and translate a query, which may name tables that came with it.

        Raises
        ------
        QueryError
            For anything that is not ADQL over the published tables.
        """
        tables = {**self.tables, **{u.table.name: u.table for u in uploads}}
        known = adql.schema(_tree_of_names(tables)) if uploads else self._known
        tree = adql.parse(query, known)
        columns = _columns(tree, tables)
        for table in adql.sources(tree):
            _place(table)
        # One row more shows whether there was more; the limit lets DuckDB sort only the top.
        limit = tree.args.get("limit")
        wanted = maxrec + 1
        if limit is not None:
            wanted = min(wanted, int(limit.expression.this))
        tree.set("limit", exp.Limit(expression=exp.Literal.number(wanted)))
        return Plan(adql.to_sql(tree), columns, maxrec, tuple(uploads))

    def run(self, plan: Plan, *, seconds: float, cancel: Cancel | None = None) -> Answer:
        """Run a query.

        Raises
        ------
        QueryError
            When it fails, is cancelled or takes longer than `seconds`.
        """
        import duckdb

        cancel = cancel or Cancel()
        cursor = self._con.cursor()
        late, done = threading.Event(), threading.Event()
        watch = threading.Thread(
            target=_watch, args=(cursor, cancel, late, done, seconds), daemon=True
        )
        watch.start()
        try:
            for one in plan.uploads:
                cursor.register(one.table.name, one.rows)
            rows = cursor.sql(plan.sql).to_arrow_table()
        except duckdb.InterruptException:
            raise _stopped(late, seconds) from None
        except duckdb.Error as err:
            if cancel.asked or late.is_set():
                raise _stopped(late, seconds) from None
            raise _refused(err) from err
        finally:
            done.set()
            watch.join()
            cursor.close()
        overflow = len(rows) > plan.maxrec or plan.maxrec == 0
        return _answer(plan, rows.slice(0, plan.maxrec), overflow=overflow)


def _product(row: Sequence[Any]) -> Product:
    told = dict(zip(Product.__dataclass_fields__, row, strict=True))
    told["headers"] = tuple((k, v) for k, v in json.loads(told["headers"]))
    return Product(**told)


def _place(table: exp.Table) -> None:
    """Lead the name of a table to where DuckDB has it."""
    if table.db == SCHEMA:
        # The catalogue of a connection's own, which no other request can see and which goes with
        # the connection.
        table.set("this", exp.to_identifier(f"{SCHEMA}.{table.name}", quoted=True))
        table.set("db", exp.to_identifier("main", quoted=True))
        table.set("catalog", exp.to_identifier("temp", quoted=True))
    else:
        # Views in the catalogue in memory, under their full name: a schema may be called as the
        # file is.
        table.set("catalog", exp.to_identifier("memory", quoted=True))


def _columns(tree: exp.Query, tables: Mapping[str, Table]) -> tuple[Column | None, ...]:
    scope, parts = _first(build_scope(tree))
    return tuple(_origin(scope, part, tables) for part in parts)


def _origin(scope: Scope | None, part: exp.Expr, tables: Mapping[str, Table]) -> Column | None:
    """Return the published column that a column of an answer is, or what a shape tells."""
    value = part.unalias()
    if isinstance(value, exp.Anonymous) and geometry.xtype(value):
        return Column(part.alias_or_name, xtype=geometry.xtype(value), unit="deg")
    if not isinstance(value, exp.Column) or scope is None:
        return None
    source = scope.sources.get(value.table)
    if isinstance(source, exp.Table):
        table = tables.get(f"{source.db}.{source.name}")
        return table.column(value.name) if table else None
    inner, parts = _first(source)
    found = next((p for p in parts if p.alias_or_name == value.name), None)
    return _origin(inner, found, tables) if found is not None else None


def _first(scope: Any) -> tuple[Scope | None, list[exp.Expr]]:
    """Return scope and columns of the first SELECT of a union, which names those of the answer."""
    while isinstance(scope, Scope) and isinstance(scope.expression, exp.SetOperation):
        scope = scope.set_operation_scopes[0] if scope.set_operation_scopes else None
    if isinstance(scope, Scope) and isinstance(scope.expression, exp.Select):
        return scope, scope.expression.selects
    return None, []


def _connect(path: Path, *, threads: int) -> duckdb.DuckDBPyConnection:
    import duckdb

    con = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": MEMORY,
            "threads": threads,
            "temp_directory": "",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        },
    )
    quoted = str(path).replace("'", "''")
    con.execute(f"ATTACH '{quoted}' AS arc (READ_ONLY)")
    con.execute(geometry.MACROS + adql.MACROS)
    return con


def _lock(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


def _expose(con: duckdb.DuckDBPyConnection, tables: Any, *, base: str, users: bool) -> None:
    """Make a view of each table in which the links are complete addresses.

    Views of TAP_SCHEMA have what it says of the tables of users too.
    """
    for table in tables:
        schema, _, name = table.name.partition(".")
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(schema)}")
        columns = ", ".join(
            f"'{base}/' || {_quoted(c.name)} AS {_quoted(c.name)}" if c.link else _quoted(c.name)
            for c in table.columns
        )
        con.execute(
            f"CREATE VIEW memory.{_quoted(schema)}.{_quoted(name)} AS "  # noqa: S608 - quoted
            f"SELECT {columns} FROM arc.{_quoted(schema)}.{_quoted(name)}"
            + (
                f" UNION ALL SELECT {columns} FROM "  # noqa: S608 - quoted
                f"memory.{usertables.META}.{_quoted(name)}"
                if users and schema == "tap_schema"
                else ""
            )
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _bare_table(name: str) -> str:
    # A name is written schema.table, each perhaps delimited; neither holds a dot.
    return ".".join(_bare(part) for part in name.split("."))


def _read_tables(con: duckdb.DuckDBPyConnection) -> dict[str, Table]:
    links = {(t, c) for t, c in con.execute("SELECT * FROM arc.internal.links").fetchall()}
    columns: dict[str, list[Column]] = {}
    for row in con.execute(
        f"SELECT table_name, column_name, {', '.join(_TEXTS + _FLAGS)} "  # noqa: S608 - our names
        "FROM arc.tap_schema.columns ORDER BY table_name, column_index"
    ).fetchall():
        table, name = _bare_table(row[0]), _bare(row[1])
        told: dict[str, Any] = {k: v or "" for k, v in zip(_TEXTS, row[2:9], strict=True)}
        told |= {k: bool(v) for k, v in zip(_FLAGS, row[9:12], strict=True)}
        columns.setdefault(table, []).append(Column(name, **told, link=(table, name) in links))
    keys: dict[str, dict[str, ForeignKey]] = {}
    for source, number, target, text, a, b in con.execute(
        "SELECT k.from_table, k.key_id, k.target_table, k.description, "
        "c.from_column, c.target_column FROM arc.tap_schema.keys k "
        "JOIN arc.tap_schema.key_columns c USING (key_id) ORDER BY k.key_id"
    ).fetchall():
        of_table = keys.setdefault(_bare_table(source), {})
        old = of_table.get(number)
        pairs = (*(old.columns if old else ()), (_bare(a), _bare(b)))
        of_table[number] = ForeignKey(_bare_table(target), pairs, text or "")
    return {
        _bare_table(name): Table(
            _bare_table(name),
            tuple(columns[_bare_table(name)]),
            description=description or "",
            utype=utype or "",
            keys=tuple(keys.get(_bare_table(name), {}).values()),
        )
        for name, description, utype in con.execute(
            "SELECT table_name, description, utype FROM arc.tap_schema.tables ORDER BY table_index"
        ).fetchall()
    }


def _tree_of_names(tables: Mapping[str, Table]) -> dict[str, dict[str, dict[str, str]]]:
    tree: dict[str, dict[str, dict[str, str]]] = {}
    for table in tables.values():
        schema, _, name = table.name.partition(".")
        # Types are DuckDB's business; sqlglot needs the names only.
        tree.setdefault(schema, {})[name] = {c.name: "VARCHAR" for c in table.columns}
    return tree


def _watch(
    cursor: duckdb.DuckDBPyConnection,
    cancel: Cancel,
    late: threading.Event,
    done: threading.Event,
    seconds: float,
) -> None:
    deadline = time.monotonic() + seconds
    while not done.wait(_TICK_SECONDS):
        if time.monotonic() > deadline:
            late.set()
        if late.is_set() or cancel.asked:
            cursor.interrupt()


def _stopped(late: threading.Event, seconds: float) -> QueryError:
    if late.is_set():
        return QueryError(
            f"The query took longer than {seconds:g} s",
            remedy="ask for less, or run it as a job with a longer execution duration",
        )
    return QueryError("The query was stopped")


def _refused(err: Exception) -> QueryError:
    text = str(err).split("\n")[0]
    return QueryError("The query failed", cause=text[:300])


def _answer(plan: Plan, rows: pa.Table, *, overflow: bool) -> Answer:
    columns, arrays = [], []
    known = [*plan.columns, *([None] * (len(rows.schema.names) - len(plan.columns)))]
    for name, array, origin in zip(rows.schema.names, rows.columns, known, strict=False):
        value = _plain(array)
        if origin is not None and origin.xtype.lower() == "adql:region":
            value = _stc_s(value)
        datatype, arraysize, _ = field_type(value)
        if origin is not None and {origin.datatype, datatype} == {"char", "unicodeChar"}:
            datatype = "unicodeChar"
        xtype = (origin.xtype if origin else "") or field_type(array)[2]
        made = replace(origin or Column(name), name=name, xtype=xtype)
        columns.append(replace(made, datatype=datatype, arraysize=arraysize))
        arrays.append(value)
    import pyarrow as pa

    table = pa.Table.from_arrays(arrays, names=[str(i) for i in range(len(arrays))])
    return Answer(tuple(columns), table, overflow)


def _plain(array: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column in a type that VOTable has: no decimals, unsigned numbers or dates."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_decimal(kind):
        # DuckDB sums whole numbers in 128 bits; astronomers count below 2**63.
        whole = kind.scale == 0
        try:
            return array.cast(pa.int64() if whole else pa.float64())
        except pa.ArrowInvalid:
            return array.cast(pa.float64())
    if pa.types.is_uint64(kind):
        return array.cast(pa.int64())
    if pa.types.is_uint32(kind):
        return array.cast(pa.int64())
    if pa.types.is_uint16(kind):
        return array.cast(pa.int32())
    if pa.types.is_int8(kind) or pa.types.is_uint8(kind):
        return array.cast(pa.int16())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return pc.strftime(array.cast(pa.timestamp("ms")), format="%Y-%m-%dT%H:%M:%S")
    if pa.types.is_null(kind):
        return array.cast(pa.string())
    if pa.types.is_list(kind) and not pa.types.is_floating(kind.value_type):
        return array.cast(pa.list_(pa.float64()))
    return array


def _stc_s(array: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    if not pa.types.is_list(array.type):
        # A table that was uploaded may hold other regions, which stay the texts they are.
        return array
    texts = [
        None if value is None else "POLYGON ICRS " + " ".join(repr(float(x)) for x in value)
        for value in array.to_pylist()
    ]
    return pa.chunked_array([pa.array(texts, type=pa.string())])
