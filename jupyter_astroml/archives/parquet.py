"""Parquet files with a VOTable header: what some archives send, and what `download` writes.

By the convention of the IVOA ("VOTable-Parquet", 2025) the key ``IVOA.VOTable-Parquet.content`` of
the footer holds a VOTable without rows, which says what the columns mean; astropy
(``format="parquet.votable"``) and TOPCAT read it too.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING

import numpy as np

from jupyter_astroml.archives import pages
from jupyter_astroml.archives.binary2 import element
from jupyter_astroml.archives.votables import read_document
from jupyter_astroml.core.errors import ArchiveError
from jupyter_astroml.core.units import is_endless

if TYPE_CHECKING:
    import pyarrow as pa
    from astropy.io.votable.tree import Field, VOTableFile

CONTENT = "IVOA.VOTable-Parquet.content"
VERSION = "IVOA.VOTable-Parquet.version"
BLOCK = 1 << 16
# Datatype of VOTable for a number of Arrow.
_DATATYPES = {
    "bool": "boolean",
    "uint8": "unsignedByte",
    "int8": "short",
    "int16": "short",
    "uint16": "int",
    "int32": "int",
    "uint32": "long",
    "int64": "long",
    "uint64": "long",
    "halffloat": "float",
    "float": "float",
    "double": "double",
}


class Parquet:
    """A Parquet file that was looked at before anything of it is decoded.

    Parameters
    ----------
    file : binary file
        Stays the caller's.
    limit : int
        Most bytes that its table may take in memory.

    Attributes
    ----------
    document : VOTableFile
        The header, or one that was made from the names and types of the columns.
    fields : list of Field
        Of the columns.
    rows : int

    Raises
    ------
    ArchiveError
        If it is no whole Parquet file, or one that would take too much memory.
    """

    def __init__(self, file: IO[bytes], *, limit: int) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pages.check_footer(file)
        file.seek(0)
        try:
            opened = pq.ParquetFile(file)
            pages.check_pages(file, opened.metadata, limit=limit)
            schema = opened.schema_arrow
            # Texts that repeat stand in memory once, however often a page says them.
            texts = [f.name for f in schema if _is_text(f.type)]
            self._file = pq.ParquetFile(file, metadata=opened.metadata, read_dictionary=texts)
        except (pa.ArrowException, OSError, ValueError) as err:
            raise ArchiveError("The Parquet file cannot be read", cause=_short(err)) from err
        self._left = limit
        self.rows = opened.metadata.num_rows
        self.told = {
            key.decode("utf-8", "replace"): value
            for key, value in (opened.metadata.metadata or {}).items()
        }
        self.document = _header(self.told.get(CONTENT), schema)
        self.fields: list[Field] = list(self.document.get_first_table().fields)
        if len(self.fields) != len(schema):
            raise ArchiveError(
                "The header of the Parquet file does not fit",
                cause=f"it describes {len(self.fields)} of {len(schema)} columns",
            )

    def blocks(
        self, columns: Sequence[int] | None = None, *, rows: int = BLOCK
    ) -> Iterator[list[np.ma.MaskedArray]]:
        """Yield the rows in blocks, a masked array for each column.

        Parameters
        ----------
        columns : sequence of int, optional
            Places of the columns that are read; None takes all.
        rows : int
            Most rows in a block.
        """
        import pyarrow as pa

        wanted = range(len(self.fields)) if columns is None else columns
        names = [self._file.schema_arrow.names[i] for i in wanted]
        try:
            for batch in self._file.iter_batches(rows, columns=names, use_threads=False):
                self._left -= sum(map(_unpacked, batch.columns))
                if self._left < 0:
                    raise pages.too_large()
                yield [
                    _column(array, self.fields[i])
                    for i, array in zip(wanted, batch.columns, strict=True)
                ]
        except (pa.ArrowException, OSError, ValueError, TypeError) as err:
            raise ArchiveError(
                "The Parquet file is damaged", cause=_short(err), remedy="ask again"
            ) from err


def is_parquet(head: bytes) -> bool:
    """Tell whether a file begins like Parquet."""
    return head.startswith(pages.MAGIC)


def joined(
    parts: Sequence[Sequence[np.ma.MaskedArray]], fields: Sequence[Field]
) -> list[np.ma.MaskedArray]:
    """Put blocks of columns one after the other."""
    if not parts:
        return [_empty(field) for field in fields]
    return [np.ma.concatenate(column) for column in zip(*parts, strict=True)]


def _short(err: Exception) -> str:
    return " ".join(str(err).split())[:300]


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow.types as t

    return bool(t.is_string(kind) or t.is_large_string(kind))


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow.types as t

    return bool(t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind))


# Header -------------------------------------------------------------------------------------------


def _header(content: bytes | None, schema: pa.Schema) -> VOTableFile:
    """Return the VOTable of a footer, or make one from what Arrow knows."""
    if content is not None:
        return read_document(content)
    from astropy.io.votable.tree import Field, Resource, TableElement, VOTableFile

    document = VOTableFile()
    resource = Resource(type="results")
    table = TableElement(document)
    resource.tables.append(table)
    document.resources.append(resource)
    for field in schema:
        told = {k.decode(): v.decode("utf-8", "replace") for k, v in (field.metadata or {}).items()}
        kind, size = _datatype(field.type)
        made = Field(document, name=field.name, datatype=kind, arraysize=size, ucd=told.get("ucd"))
        made.unit = None if is_endless(told.get("unit", "")) else told.get("unit")
        made.description = told.get("description")
        table.fields.append(made)
    table.create_arrays(0)
    return document


def _datatype(kind: pa.DataType) -> tuple[str, str | None]:
    """Return datatype and arraysize of a FIELD for a type of Arrow."""
    import pyarrow.types as t

    if str(kind) in _DATATYPES:
        return _DATATYPES[str(kind)], None
    if _is_text(kind) or t.is_temporal(kind):
        return "unicodeChar", "*"
    if _is_list(kind) and str(kind.value_type) in _DATATYPES:
        return _DATATYPES[str(kind.value_type)], "*"
    raise ArchiveError(f"A Parquet column is of the type {kind}", remedy="select other columns")


# Columns ------------------------------------------------------------------------------------------


def _column(array: pa.Array, field: Field) -> np.ma.MaskedArray:
    """Turn an array of Arrow into what astropy makes of the field."""
    result = np.dtype(field.converter.format)
    base, shape = result.subdtype or (result, ())
    if field.datatype in ("char", "unicodeChar"):
        return np.ma.masked_array(_texts(array).astype(result), mask=False)
    if not _is_list(array.type):
        values, mask = _numbers(array, base)
        return np.ma.masked_array(values.reshape(-1, *shape), mask=mask.reshape(-1, *shape))
    if base.kind == "O":
        return _lists(array, element(field))
    return _arrays(array, base, shape)


def _unpacked(array: pa.Array) -> int:
    """Return how many bytes the texts of a column take when none stands for another."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(array.type):
        return 0
    lengths = pc.binary_length(array.dictionary).take(array.indices)
    return int(pc.sum(lengths.cast(pa.int64())).as_py() or 0)


def _texts(array: pa.Array) -> np.ndarray:
    """Return texts; those that are null are empty, as in VOTables."""
    import pyarrow as pa

    if not pa.types.is_dictionary(array.type):
        texts = array.cast(pa.string()).to_pylist()
        return np.array([t or "" for t in texts], dtype=object)
    words = np.array([*array.dictionary.to_pylist(), ""], dtype=object)
    places = array.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
    return words[places]


def _numbers(array: pa.Array, base: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers and where they are null; a NaN is null, as astropy takes it."""
    import pyarrow as pa

    mask = array.is_null().to_numpy(zero_copy_only=False)
    if base.kind == "b":
        return array.fill_null(pa.scalar(value=False)).to_numpy(zero_copy_only=False), mask
    plain = array.cast(pa.from_numpy_dtype(base))
    values = np.array(plain.fill_null(0).to_numpy(zero_copy_only=False))
    return values, mask | np.isnan(values) if base.kind == "f" else mask


def _lists(array: pa.Array, base: np.dtype) -> np.ma.MaskedArray:
    """Return arrays of different lengths, a masked array in each cell."""
    import pyarrow.compute as pc

    lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    values, mask = _numbers(array.flatten(), base)
    ends = np.cumsum(lengths)
    cells = np.empty(len(array), dtype=object)
    for i, (a, b) in enumerate(zip((ends - lengths).tolist(), ends.tolist(), strict=True)):
        cells[i] = np.ma.masked_array(values[a:b], mask=mask[a:b])
    return np.ma.masked_array(cells, mask=np.zeros(len(cells), dtype=bool))


def _arrays(array: pa.Array, base: np.dtype, shape: tuple[int, ...]) -> np.ma.MaskedArray:
    """Return arrays of one shape; a null among them is null in all its elements."""
    import pyarrow as pa
    import pyarrow.compute as pc

    count = int(np.prod(shape))
    missing = array.is_null().to_numpy(zero_copy_only=False)
    lengths = pc.list_value_length(array).to_numpy(zero_copy_only=False)
    if (lengths[~missing] != count).any():
        raise pa.ArrowInvalid(f"an array is not of the shape {shape}")
    values = np.zeros((len(array), count), dtype=base)
    mask = np.ones((len(array), count), dtype=bool)
    some, nulls = _numbers(array.filter(array.is_valid()).flatten(), base)
    values[~missing], mask[~missing] = some.reshape(-1, count), nulls.reshape(-1, count)
    return np.ma.masked_array(values.reshape(-1, *shape), mask=mask.reshape(-1, *shape))


def _empty(field: Field) -> np.ma.MaskedArray:
    result = np.dtype(field.converter.format)
    base, shape = result.subdtype or (result, ())
    return np.ma.masked_array(np.empty((0, *shape), base), mask=np.zeros((0, *shape), bool))


# Writing ------------------------------------------------------------------------------------------


def schema_of(names: Sequence[str], fields: Sequence[Field]) -> pa.Schema:
    """Return the columns of a file for fields of a VOTable.

    Raises
    ------
    ArchiveError
        For a kind of value that Parquet has no word for.
    """
    import pyarrow as pa

    columns = []
    for name, field in zip(names, fields, strict=True):
        result = np.dtype(field.converter.format)
        base, shape = result.subdtype or (result, ())
        if field.datatype in ("char", "unicodeChar"):
            kind = pa.string()
        else:
            base = element(field) if base.kind == "O" else base
            if base.kind == "c":
                raise ArchiveError(
                    f"The complex numbers in '{name}' cannot be written to Parquet",
                    remedy="leave the column out, or use query() and write FITS",
                )
            kind = pa.from_numpy_dtype(base)
            if shape:
                kind = pa.list_(kind, int(np.prod(shape)))
            elif result.kind == "O":
                kind = pa.list_(kind)
        about = {"unit": field.unit, "ucd": field.ucd, "description": field.description}
        columns.append(pa.field(name, kind, metadata={k: str(v) for k, v in about.items() if v}))
    return pa.schema(columns)


def batch_of(schema: pa.Schema, columns: Sequence[np.ndarray]) -> pa.RecordBatch:
    """Return a block of rows for a file."""
    import pyarrow as pa

    arrays = [_array(np.ma.asarray(c), f.type) for c, f in zip(columns, schema, strict=True)]
    return pa.record_batch(arrays, schema=schema)


def _array(column: np.ma.MaskedArray, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    values, mask = np.ma.getdata(column), np.ma.getmaskarray(column)
    if _is_text(kind):
        return pa.array(values.tolist(), kind)
    if pa.types.is_fixed_size_list(kind):
        flat = pa.array(values.ravel(), kind.value_type, mask=mask.ravel())
        return pa.FixedSizeListArray.from_arrays(flat, type=kind)
    if not pa.types.is_list(kind):
        return pa.array(values, kind, mask=mask)
    wanted = kind.value_type.to_pandas_dtype()
    cells = [np.ma.asarray(cell).astype(wanted) for cell in values]
    offsets = np.concatenate([[0], np.cumsum([len(cell) for cell in cells])])
    flat = np.ma.concatenate([np.ma.zeros(0, dtype=wanted), *cells])
    inner = pa.array(np.ma.getdata(flat), kind.value_type, mask=np.ma.getmaskarray(flat))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), inner, type=kind)


def header(document: VOTableFile) -> bytes:
    """Return a VOTable without its rows, for the footer of a file."""
    import warnings

    from astropy.io.votable.exceptions import VOTableSpecWarning

    document.get_first_table().create_arrays(0)
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VOTableSpecWarning)
        document.to_xml(out, tabledata_format="tabledata")
    return out.getvalue()
