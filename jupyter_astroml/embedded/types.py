"""Types on the way from numpy and astropy through Arrow and DuckDB to VOTable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_array(values: Any) -> pa.Array:
    """Return a column as an Arrow array; masked values become nulls.

    Parameters
    ----------
    values : array-like
        Array of shape (n,) or (n, k), masked array, astropy column, Arrow array or list.

    Raises
    ------
    DataError
        For a type that VOTable has not.
    """
    import pyarrow as pa

    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks()
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, list):
        return pa.array(values)
    array = np.ma.asarray(values)
    # FITS is big-endian; a mask of a structured or multi-dimensional column is per value.
    data = np.asarray(array.data)
    data = data.astype(data.dtype.newbyteorder("="), copy=False)
    mask = np.ma.getmaskarray(array)
    if data.ndim == 2:
        rows = [None if m.all() else row.tolist() for row, m in zip(data, mask, strict=True)]
        return pa.array(rows, type=pa.list_(pa.from_numpy_dtype(data.dtype)))
    if data.dtype.kind == "S":
        data = np.char.decode(data, "utf-8", "replace")
    if data.dtype.kind == "O":
        data = np.array(["" if v is None else str(v) for v in data], dtype=str)
        mask = mask | np.array([v is None for v in np.asarray(array.data)], dtype=bool)
    if data.dtype.kind == "U":
        return pa.array(data.tolist(), mask=mask, type=pa.string())
    if data.dtype.kind not in "biufM":
        raise DataError(f"A column of type {data.dtype} cannot be published")
    if data.dtype == np.float16:
        data = data.astype(np.float32)
    return pa.array(data, mask=mask if mask.any() else None)


def field_type(array: pa.Array | pa.ChunkedArray) -> tuple[str, str, str]:
    """Return datatype, arraysize and xtype of a FIELD for an Arrow array.

    Text is ``char`` when it is ASCII, as VOTable 1.4 section 6 asks, else ``unicodeChar``.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_list(kind):
        return _number(kind.value_type) or "double", "*", ""
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "char", "*", "timestamp"
    if number := _number(kind):
        return number, "", ""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        plain = pc.all(pc.string_is_ascii(array), min_count=0).as_py()
        return ("char" if plain is not False else "unicodeChar"), "*", ""
    return "char", "*", ""


def _number(kind: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        signed = pa.types.is_signed_integer(kind)
        width = kind.bit_width
        if width <= 16 and (signed or width == 8):
            return "short"
        return "int" if (width == 32 and signed) or width == 16 else "long"
    if pa.types.is_float32(kind):
        return "float"
    return "double" if pa.types.is_floating(kind) or pa.types.is_decimal(kind) else ""
