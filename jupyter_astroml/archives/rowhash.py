"""A hash of the rows of a table: equal for equal answers, in whatever form they came."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

# Rows whose bytes are put together at once: texts may be long.
_PIECE = 1 << 12


class RowHash:
    """SHA-256 over the values of all columns, row after row; the order of the rows counts.

    Three streams are hashed for each column: which values are null, how long each value is where
    lengths differ, and the values, little-endian, texts as UTF-8.  What a null value hides does
    not count, a NaN is null, and it does not matter in which blocks the rows came.

    Parameters
    ----------
    names : sequence of str
        Of the columns; they count too.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._columns = [(name, [hashlib.sha256() for _ in range(3)]) for name in names]

    def add(self, columns: Iterable[np.ndarray]) -> None:
        """Take the next rows: an array, masked or not, for each column."""
        for (_, hashes), column in zip(self._columns, columns, strict=True):
            # Slices of astropy's columns take ten times as long.
            plain = np.ma.asarray(column)
            for start in range(0, len(plain), _PIECE):
                piece = plain[start : start + _PIECE]
                for each, stream in zip(hashes, _streams(piece), strict=True):
                    each.update(stream)

    def hexdigest(self) -> str:
        """Return ``sha256:`` and the hash of what was added so far."""
        whole = hashlib.sha256()
        for name, hashes in self._columns:
            whole.update(f"{len(name)}:{name}".encode())
            for each in hashes:
                whole.update(each.digest())
        return f"sha256:{whole.hexdigest()}"


def row_hash(names: Sequence[str], columns: Iterable[np.ndarray]) -> str:
    """Return the hash of whole columns; see `RowHash`."""
    made = RowHash(names)
    made.add(columns)
    return made.hexdigest()


def _streams(column: np.ndarray) -> tuple[bytes, bytes, bytes]:
    """Return nulls, lengths and values of a column."""
    if column.dtype.kind == "O":
        # `tolist` would make lists of the arrays within.
        cells = list(np.ma.getdata(column))
        mask = np.ma.getmaskarray(column)
        for i in np.flatnonzero(mask).tolist():
            cells[i] = ""
        if set(map(type, cells)) <= {str}:
            return (b"", *_texts(cells))
        return _arrays(cells)
    if column.dtype.kind in "US":
        # A text that is null and one that is empty are the same in most forms of VOTable.
        return (b"", *_texts(np.ma.filled(column, "").astype(str).tolist()))
    flags, numbers = _numbers(column)
    return flags, b"", numbers


def _texts(texts: Sequence[str]) -> tuple[bytes, bytes]:
    lengths = np.fromiter(map(len, texts), dtype="<i8", count=len(texts))
    return lengths.tobytes(), "".join(texts).encode("utf-8", "surrogatepass")


def _arrays(cells: Sequence[object]) -> tuple[bytes, bytes, bytes]:
    arrays: list[Any] = [
        np.ma.asarray([] if isinstance(cell, str) else cell).ravel() for cell in cells
    ]
    lengths = np.array([len(array) for array in arrays], dtype="<i8")
    both = [_numbers(array) for array in arrays]
    nulls, values = (b"".join(parts) for parts in zip(*both, strict=True))
    return nulls, lengths.tobytes(), values


def _numbers(column: np.ndarray) -> tuple[bytes, bytes]:
    """Return which numbers are null, and the numbers, the same bytes for those that are equal."""
    nulls = np.ma.getmaskarray(column)
    values = np.array(np.ma.getdata(column), dtype=column.dtype.newbyteorder("<"))
    if values.dtype.kind in "fc":
        nulls = nulls | np.isnan(values)
        # Forms that write numbers as texts lose the sign of −0.
        values += 0
    values[nulls] = 0
    return nulls.tobytes(), values.tobytes()
