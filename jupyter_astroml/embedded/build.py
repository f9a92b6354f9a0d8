"""Writes the database of an archive: the tables, TAP_SCHEMA, ObsCore and the list of files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError

from .tables import Column, ForeignKey, Table, delimited
from .types import arrow_array, field_type

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

TAP_SCHEMA_TABLES = (
    ("schemas", "The schemas of this archive"),
    ("tables", "The tables of this archive"),
    ("columns", "The columns of this archive"),
    ("keys", "Foreign keys between the tables"),
    ("key_columns", "The columns of each foreign key"),
)
_TEXT, _NUMBER = "string", "int32"
_TAP_SCHEMA_COLUMNS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "schemas": (
        ("schema_name", _TEXT, "Name of the schema"),
        ("utype", _TEXT, "Data model of the schema"),
        ("description", _TEXT, "What the schema holds"),
        ("schema_index", _NUMBER, "Place of the schema in a list"),
    ),
    "tables": (
        ("schema_name", _TEXT, "Schema that the table belongs to"),
        ("table_name", _TEXT, "Name of the table as it is written in a query"),
        ("table_type", _TEXT, "table or view"),
        ("utype", _TEXT, "Data model of the table"),
        ("description", _TEXT, "What the table holds"),
        ("table_index", _NUMBER, "Place of the table in a list"),
    ),
    "columns": (
        ("table_name", _TEXT, "Table that the column belongs to"),
        ("column_name", _TEXT, "Name of the column as it is written in a query"),
        ("datatype", _TEXT, "Data type as in VOTable"),
        ("arraysize", _TEXT, "Array size as in VOTable"),
        ("xtype", _TEXT, "Extended type as in VOTable"),
        ("size", _NUMBER, "Length of the column; deprecated, see arraysize"),
        ("description", _TEXT, "What the column holds"),
        ("utype", _TEXT, "Data model of the column"),
        ("unit", _TEXT, "Unit as in VOUnits"),
        ("ucd", _TEXT, "Meaning, as a UCD"),
        ("indexed", _NUMBER, "1 when a search by this column is fast"),
        ("principal", _NUMBER, "1 when the column matters to most users"),
        ("std", _NUMBER, "1 when a standard defines the column"),
        ("column_index", _NUMBER, "Place of the column in its table"),
    ),
    "keys": (
        ("key_id", _TEXT, "Name of the key"),
        ("from_table", _TEXT, "Table that has the key"),
        ("target_table", _TEXT, "Table that the key names rows of"),
        ("utype", _TEXT, "Data model of the key"),
        ("description", _TEXT, "What the key means"),
    ),
    "key_columns": (
        ("key_id", _TEXT, "Name of the key"),
        ("from_column", _TEXT, "Column of the table that has the key"),
        ("target_column", _TEXT, "Column of the table that the key names rows of"),
    ),
}
_TAP_SCHEMA_KEYS = {
    "tables": (ForeignKey("tap_schema.schemas", (("schema_name", "schema_name"),)),),
    "columns": (ForeignKey("tap_schema.tables", (("table_name", "table_name"),)),),
    "keys": (
        ForeignKey("tap_schema.tables", (("from_table", "table_name"),)),
        ForeignKey("tap_schema.tables", (("target_table", "table_name"),)),
    ),
    "key_columns": (ForeignKey("tap_schema.keys", (("key_id", "key_id"),)),),
}


@dataclass(frozen=True)
class Product:
    """A file that the archive gives out.

    Attributes
    ----------
    did : str
        Publisher's dataset identifier, an IVOID.
    path : str
        Relative to the folder of the archive, with forward slashes.
    member : str
        Name inside a zip file; empty for a plain file.
    media : str
        Media type of what is sent.
    kind : str
        ``cube`` (FITS image with a celestial WCS), ``file`` (sent as it is), ``npy`` (a light
        curve in an array of three rows) or ``text`` (a light curve or spectrum in CSV); the last
        two are sent as FITS tables.
    title : str
    size : int
        Bytes.
    headers : tuple of (str, value)
        What the FITS table of a light curve says about its times.
    """

    did: str
    path: str
    member: str
    media: str
    kind: str
    title: str
    size: int
    headers: tuple[tuple[str, str | float | int], ...] = ()


class Builder:
    """Fills a new database file.

    Parameters
    ----------
    path : Path
        Must not exist.
    """

    def __init__(self, path: Path) -> None:
        import duckdb

        self._con: duckdb.DuckDBPyConnection = duckdb.connect(":memory:", config={"threads": 1})
        quoted = str(path).replace("'", "''")
        # The default of 256 KiB a block makes a database of small tables ten times its content.
        self._con.execute(f"ATTACH '{quoted}' AS made (BLOCK_SIZE 16384)")
        self._con.execute("USE made")
        self._schemas: dict[str, str] = {}
        self._tables: list[Table] = []
        self._products: list[Product] = []

    def schema(self, name: str, description: str) -> None:
        """Announce a schema."""
        self._con.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(name)}")
        self._schemas[name] = description

    def table(
        self,
        name: str,
        values: Mapping[str, Any],
        *,
        columns: Sequence[Column] = (),
        description: str = "",
        utype: str = "",
        keys: tuple[ForeignKey, ...] = (),
    ) -> Table:
        """Add a table of a schema that was announced.

        Parameters
        ----------
        name : str
            ``schema.table``.
        values : mapping of str to array
            Numpy arrays, masked arrays, astropy columns or Arrow arrays; one entry a row.
        columns : sequence of Column
            What is known about the columns; types are taken from the values.
        description, utype : str
            Of the table.
        keys : tuple of ForeignKey
            Columns that name rows of other tables.
        """
        import pyarrow as pa

        arrays = {key: arrow_array(value) for key, value in values.items()}
        lengths = {len(array) for array in arrays.values()}
        if len(lengths) > 1:
            raise DataError(f"The columns of {name} differ in length: {sorted(lengths)}")
        known = {c.name: c for c in columns}
        described = tuple(
            _typed(known.get(key, Column(key)), array) for key, array in arrays.items()
        )
        self._insert(name, pa.table(arrays))
        made = Table(name, described, description=description, utype=utype, keys=keys)
        self._tables.append(made)
        return made

    def products(self, products: Iterable[Product]) -> None:
        """Add files that may be fetched."""
        self._products += products

    def close(self) -> None:
        """Write TAP_SCHEMA and the list of files, and close the database."""
        import pyarrow as pa

        self._con.execute("CREATE SCHEMA internal")
        fields = list(Product.__dataclass_fields__)
        self._insert(
            "internal.products",
            pa.table(
                {
                    f: pa.array(
                        [_stored(getattr(p, f)) for p in self._products],
                        type=pa.int64() if f == "size" else pa.string(),
                    )
                    for f in fields
                }
            ),
        )
        self._con.execute("CREATE INDEX by_did ON internal.products (did)")
        self._tap_schema()
        self._con.execute("CHECKPOINT")
        self._con.close()

    def _insert(self, name: str, values: pa.Table) -> None:
        schema, _, table = name.partition(".")
        self._con.register("incoming", values)
        self._con.execute(f"CREATE TABLE {_quoted(schema)}.{_quoted(table)} AS FROM incoming")
        self._con.unregister("incoming")

    def _tap_schema(self) -> None:
        self.schema("tap_schema", "The tables and columns of this archive (TAP 1.1 section 4)")
        own = [
            Table(
                f"tap_schema.{name}",
                tuple(
                    Column(
                        column,
                        datatype="char" if kind == _TEXT else "int",
                        arraysize="*" if kind == _TEXT else "",
                        description=text,
                        std=True,
                    )
                    for column, kind, text in _TAP_SCHEMA_COLUMNS[name]
                ),
                description=description,
                keys=_TAP_SCHEMA_KEYS.get(name, ()),
            )
            for name, description in TAP_SCHEMA_TABLES
        ]
        rows = tap_schema_rows(self._schemas, [*self._tables, *own])
        for name, _ in TAP_SCHEMA_TABLES:
            self._insert(f"tap_schema.{name}", tap_schema_table(name, rows[name]))
        self._con.execute("CREATE TABLE internal.links (table_name VARCHAR, column_name VARCHAR)")
        links = [(t.name, c.name) for t in self._tables for c in t.columns if c.link]
        if links:
            self._con.executemany("INSERT INTO internal.links VALUES (?, ?)", links)


def _stored(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, tuple) else value


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _typed(column: Column, array: pa.Array) -> Column:
    datatype, arraysize, xtype = field_type(array)
    if column.xtype == "adql:REGION":
        # Regions are lists of numbers inside and STC-S texts outside (TAP 1.0 section 2.3.3).
        return replace(column, datatype="char", arraysize="*")
    return replace(column, datatype=datatype, arraysize=arraysize, xtype=column.xtype or xtype)


def tap_schema_table(name: str, rows: list[tuple[Any, ...]]) -> pa.Table:
    """Return rows of `tap_schema_rows` with the types that a table of TAP_SCHEMA has."""
    import pyarrow as pa

    columns = _TAP_SCHEMA_COLUMNS[name]
    return pa.table(
        {
            column: pa.array(
                [row[i] if row[i] != "" else None for row in rows], type=getattr(pa, kind)()
            )
            for i, (column, kind, _) in enumerate(columns)
        }
    )


def tap_schema_rows(
    schemas: Mapping[str, str], tables: Sequence[Table]
) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of each table of TAP_SCHEMA that describe these schemas and tables."""
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name, _ in TAP_SCHEMA_TABLES}
    for i, (schema, text) in enumerate(schemas.items()):
        rows["schemas"].append((delimited(schema), "", text, i))
    for i, table in enumerate(tables):
        name = written(table.name)
        rows["tables"].append(
            (delimited(table.schema), name, "table", table.utype, table.description, i)
        )
        for j, c in enumerate(table.columns):
            rows["columns"].append(
                (
                    name,
                    delimited(c.name),
                    c.datatype,
                    c.arraysize,
                    c.xtype,
                    None,
                    c.description,
                    c.utype,
                    c.unit,
                    c.ucd,
                    int(c.indexed),
                    int(c.principal),
                    int(c.std),
                    j,
                )
            )
        for key in table.keys:
            number = f"key_{len(rows['keys']) + 1}"
            rows["keys"].append((number, name, written(key.target), "", key.description))
            rows["key_columns"] += [(number, delimited(a), delimited(b)) for a, b in key.columns]
    return rows


def written(name: str) -> str:
    """Return ``schema.table`` as it must be written in ADQL."""
    schema, _, table = name.partition(".")
    return f"{delimited(schema)}.{delimited(table)}"


def masked(values: Iterable[Any], dtype: Any) -> np.ma.MaskedArray:
    """Return values with None masked."""
    listed = list(values)
    empty = np.zeros((), dtype=dtype)[()]
    return np.ma.MaskedArray(
        np.array([empty if v is None else v for v in listed], dtype=dtype),
        mask=[v is None for v in listed],
    )
