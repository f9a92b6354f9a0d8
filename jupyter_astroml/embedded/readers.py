"""Reads tables that people keep in folders: CSV, VOTable, FITS, ECSV and Parquet."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError

from .types import arrow_array

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_ENDINGS = (".csv", ".tsv", ".txt")
ASTROPY_ENDINGS = (".ecsv", ".fits", ".fit", ".vot", ".votable", ".xml")
ENDINGS = (*TEXT_ENDINGS, *ASTROPY_ENDINGS, ".parquet")
# Tables of text that may hold one light curve or spectrum each.
SERIES_ENDINGS = (".csv", ".tsv", ".ecsv")
MAX_BYTES = 1 << 30
_NOTHING = ("", "NaN", "nan", "NULL", "null", "N/A", "--")
_WHOLE = r"^[+-]?(?:0|[1-9][0-9]*)$"


@dataclass(frozen=True)
class Rows:
    """A table as it stands in a file.

    Attributes
    ----------
    columns : dict of str to Arrow array
        By the names in the file.
    units, ucds, descriptions : dict of str to str
        Where the file says them.
    left_out : tuple of str
        Columns of a kind that VOTable has not.
    """

    columns: dict[str, pa.Array]
    units: dict[str, str] = field(default_factory=dict)
    ucds: dict[str, str] = field(default_factory=dict)
    descriptions: dict[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0


def read(path: Path) -> Rows:
    """Read a table.

    Raises
    ------
    DataError
        When the file is no table or is damaged.
    """
    ending = path.suffix.lower()
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path.name} is larger than {MAX_BYTES >> 20} MiB")
    if ending in TEXT_ENDINGS:
        found = _text(path)
    elif ending == ".parquet":
        found = _parquet(path)
    elif ending in ASTROPY_ENDINGS:
        found = _astropy(path)
    else:
        raise DataError(
            f"{path.name} is no table that can be read",
            remedy=f"save it with one of the endings {', '.join(ENDINGS)}",
        )
    if not found.columns:
        raise DataError(f"{path.name} has no columns")
    return found


def numbers(rows: Rows, name: str) -> np.ndarray:
    """Return a column as floats, NaN where there is nothing.

    Raises
    ------
    DataError
        When it holds texts.
    """
    import pyarrow as pa

    try:
        array = rows.columns[name].cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as err:
        raise DataError(f"The column '{name}' holds no numbers", cause=str(err)[:200]) from err
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=float)


def _text(path: Path) -> Rows:
    """Read CSV with our own rules for types, which lose no digit of an identifier.

    A column is whole numbers only when every value is one without leading zeros that fits 64 bits.
    """
    import pyarrow as pa
    from pyarrow import csv

    with path.open(encoding="utf-8", errors="replace") as file:
        head = file.readline(1 << 16)
    delimiter = max(",;\t|", key=head.count)
    try:
        names = csv.open_csv(path, parse_options=csv.ParseOptions(delimiter=delimiter)).schema.names
        raw = csv.read_csv(
            path,
            read_options=csv.ReadOptions(use_threads=False),
            parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as err:
        raise DataError(f"{path.name} is no CSV", cause=str(err)[:200]) from err
    if len(set(names)) != len(names):
        raise DataError(f"{path.name} has two columns of one name")
    return Rows({name: _typed(raw.column(name)) for name in names})


def _typed(texts: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    array = texts.combine_chunks()
    bare = pc.utf8_trim_whitespace(array)
    empty = pc.is_in(bare, value_set=pa.array(_NOTHING))
    if pc.all(empty, min_count=0).as_py():
        return pa.nulls(len(array), pa.string())
    values = pc.if_else(empty, pa.scalar(None, pa.string()), bare)
    kinds: list[Any] = []
    if pc.all(pc.match_substring_regex(values, _WHOLE), min_count=0).as_py():
        kinds = [pa.int64()]
    elif not pc.any(pc.match_substring_regex(values, r"^[+-]?0[0-9]+$"), min_count=0).as_py():
        kinds = [pa.float64()]
    for kind in kinds:
        try:
            return pc.cast(pc.utf8_ltrim(values, "+"), kind)
        except pa.ArrowInvalid:
            continue
    lowered = pc.utf8_lower(values)
    if pc.all(pc.is_in(lowered, value_set=pa.array(["true", "false", None]))).as_py():
        return pc.equal(lowered, "true")
    return array


def _parquet(path: Path) -> Rows:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path, use_threads=False)
    except (pa.ArrowException, OSError) as err:
        raise DataError(f"{path.name} is no Parquet file", cause=str(err)[:200]) from err
    columns, left, notes = {}, [], {}
    for found in table.schema:
        column = _publishable(table.column(found.name))
        if column is None:
            left.append(found.name)
            continue
        columns[found.name] = column
        notes[found.name] = {k.decode(): v.decode() for k, v in (found.metadata or {}).items()}
    return Rows(
        columns,
        units={k: n["unit"] for k, n in notes.items() if "unit" in n},
        ucds={k: n["ucd"] for k, n in notes.items() if "ucd" in n},
        descriptions={k: n["description"] for k, n in notes.items() if "description" in n},
        left_out=tuple(left),
    )


def _publishable(column: pa.ChunkedArray) -> pa.Array | None:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = kind.value_type
        if not (pa.types.is_floating(inner) or pa.types.is_integer(inner)):
            return None
        return column.cast(pa.list_(inner)).combine_chunks()
    if pa.types.is_large_string(kind):
        return column.cast(pa.string()).combine_chunks()
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us")).combine_chunks()
    good = (
        pa.types.is_string(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
    )
    return column.combine_chunks() if good else None


def _astropy(path: Path) -> Rows:
    import warnings

    from astropy.table import Table
    from astropy.utils.exceptions import AstropyWarning

    formats = {".ecsv": "ascii.ecsv", ".fits": "fits", ".fit": "fits"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            table = Table.read(path, format=formats.get(path.suffix.lower(), "votable"))
        except Exception as err:
            # The readers of astropy raise what their parsers raise.
            raise DataError(f"{path.name} holds no table", cause=str(err)[:200]) from err
    columns, left = {}, []
    for name in table.colnames:
        try:
            columns[name] = arrow_array(table[name])
        except (DataError, TypeError, ValueError):
            left.append(name)
    return Rows(
        columns,
        units={n: str(table[n].unit) for n in columns if getattr(table[n], "unit", None)},
        ucds={n: table[n].info.meta["ucd"] for n in columns if _has_ucd(table[n])},
        descriptions={
            n: str(table[n].info.description) for n in columns if table[n].info.description
        },
        left_out=tuple(left),
    )


def _has_ucd(column: Any) -> bool:
    return bool((column.info.meta or {}).get("ucd"))
