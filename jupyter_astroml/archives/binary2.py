"""Rows of a VOTable's BINARY or BINARY2 stream, decoded in whole columns.

A row (VOTable 1.5 sections 5.3 and 5.4) is, in BINARY2, one bit a field that says whether the value
is null, then the values one after the other, big-endian; a value of variable length has its length
in front.  Rows are therefore found one after the other, but everything between two lengths is
decoded for thousands of rows at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from struct import Struct
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import ArchiveError

if TYPE_CHECKING:
    from astropy.io.votable.tree import Field

_LENGTH = Struct(">i")
_NULLS = "nulls"
_PIECE = 1 << 20
# VOTable 1.5 section 2.1: datatype and what it is in a stream.
_TYPES = {
    "boolean": "u1",
    "unsignedByte": "u1",
    "short": ">i2",
    "int": ">i4",
    "long": ">i8",
    "float": ">f4",
    "double": ">f8",
}
_TRUE, _FALSE, _UNKNOWN = b"Tt1", b"Ff0", b"\0 ?"


@dataclass(frozen=True)
class Layout:
    """How one field lies in a row.

    Attributes
    ----------
    item : dtype
        One element, big-endian; of a text, one character.
    shape : tuple of int, or None
        Of a value; None when its length stands in front of it.
    text : str
        Encoding of a text; empty for numbers.
    result : dtype
        Of the column: what astropy takes for the field.
    null : int or float, optional
        A number that stands for null (``<VALUES null=…>``).
    """

    item: np.dtype
    shape: tuple[int, ...] | None
    text: str
    result: np.dtype
    null: Any


def layout(field: Field) -> Layout | None:
    """Return how a field lies in a row; None for a kind that only astropy reads.

    Those are bits, complex numbers and variable arrays of more than one dimension.
    """
    size = str(field.arraysize or "")
    result = np.dtype(field.converter.format)
    if field.datatype in ("char", "unicodeChar"):
        wide = field.datatype == "unicodeChar"
        item, text = (np.dtype(">u2"), "utf-16-be") if wide else (np.dtype("u1"), "utf-8")
        if "x" in size:
            return None
        shape = None if size.endswith("*") else (int(size or 1),)
        return Layout(item, shape, text, result, None)
    if field.datatype not in _TYPES or ("x" in size and size.endswith("*")):
        return None
    if field.datatype == "boolean" and size not in ("", "1"):
        return None
    # The first axis of the standard varies fastest, as numpy's last one does.
    axes = None if size.endswith("*") else tuple(int(n) for n in size.split("x") if n)[::-1]
    item = np.dtype(_TYPES[field.datatype])
    return Layout(item, axes, "", result, field.values.null)


def element(field: Field) -> np.dtype:
    """Return what the elements of an array of variable length are.

    Raises
    ------
    ArchiveError
        For bits and complex numbers.
    """
    if field.datatype == "boolean":
        return np.dtype(bool)
    if field.datatype not in _TYPES or "x" in str(field.arraysize):
        raise ArchiveError(
            f"Arrays such as '{field.name}' cannot be kept in Parquet", remedy="leave it out"
        )
    return np.dtype(_TYPES[field.datatype]).newbyteorder("=")


class Rows:
    """Decodes a stream of rows as its pieces arrive.

    Parameters
    ----------
    layouts : sequence of Layout
        Of all fields.
    nulls : bool
        Each row begins with its null bits: BINARY2.
    """

    def __init__(self, layouts: Sequence[Layout], *, nulls: bool) -> None:
        self._layouts = layouts
        self._nulls = (len(layouts) + 7) // 8 if nulls else 0
        # Runs of values of fixed length; between two of them stands a value of variable length.
        self._runs: list[np.dtype] = []
        self._loose: list[int] = []
        run: list[tuple[Any, ...]] = [(_NULLS, "u1", (self._nulls,))] if nulls else []
        for i, each in enumerate(layouts):
            if each.shape is None:
                self._runs.append(np.dtype(run))
                self._loose.append(i)
                run = []
            else:
                run.append((str(i), each.item, each.shape))
        self._runs.append(np.dtype(run))
        self._rest = bytearray()
        self._needed, self._piece = 1, 1 << 12
        self._parts: list[list[np.ma.MaskedArray]] = [[] for _ in layouts]
        self.n = self._taken = 0

    def feed(self, data: bytes) -> None:
        """Decode the rows that are whole with this piece, and keep the rest for the next.

        Raises
        ------
        ArchiveError
            If a length is negative, a text is no text, or a truth value none.
        """
        self._rest += data
        if len(self._rest) >= max(self._needed, self._piece):
            self._decode()
            # The first rows are there at once, the others in pieces that are worth the trouble.
            self._piece = min(2 * self._piece, _PIECE)

    def _decode(self) -> None:
        if self._loose:
            starts, lengths, used = self._found()
        else:
            row = self._runs[0].itemsize
            n = len(self._rest) // row if row else 0
            starts, lengths, used = np.arange(n)[None] * row, np.empty((0, n), int), n * row
        if used:
            whole = np.frombuffer(bytes(self._rest[:used]), np.uint8)
            for kept, column in zip(
                self._parts, self._columns(whole, starts, lengths), strict=True
            ):
                kept.append(column)
            self.n += starts.shape[1]
            del self._rest[:used]

    @property
    def held(self) -> int:
        """Number of rows that were decoded and not taken."""
        return self.n - self._taken

    def taken(self) -> list[np.ma.MaskedArray]:
        """Return the rows that were decoded since the last call, and forget them."""
        found = []
        for i, each in enumerate(self._layouts):
            parts, self._parts[i] = self._parts[i], []
            found.append(np.ma.concatenate(parts) if parts else _empty(each))
        self._taken = self.n
        return found

    def columns(self) -> list[np.ma.MaskedArray]:
        """Return the rows that are left, a masked array for each field, and forget them.

        Raises
        ------
        ArchiveError
            If the stream broke off inside a row.
        """
        self._decode()
        if self._rest:
            raise ArchiveError(
                f"The table broke off in row {self.n + 1}",
                cause=f"{len(self._rest)} bytes are no whole row",
                remedy="ask again",
            )
        return self.taken()

    def _found(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Find where runs and values of variable length begin in the rows that are whole.

        Returns
        -------
        ndarray of int, shape (run, row)
            Offset of each run.
        ndarray of int, shape (loose value, row)
            Number of elements of each value; it begins four bytes after the run before it ends.
        int
            Bytes of all whole rows.
        """
        read, data, size = _LENGTH.unpack_from, bytes(self._rest), len(self._rest)
        loose = len(self._loose)
        each = [self._layouts[i].item.itemsize for i in self._loose]
        before = [run.itemsize for run in self._runs[:-1]]
        # From one length to the next: its own four bytes, the value, and the run behind it.
        gaps = [4 + n for n in before[1:]] + [4 + self._runs[-1].itemsize + before[0]]
        found: list[int] = []
        keep, at = found.append, before[0]
        # The only loop over rows that is left: 0.2 µs a value.
        for item, gap in cycle(zip(each, gaps, strict=True)):
            if at + 4 > size:
                break
            (n,) = read(data, at)
            if n < 0:
                raise ArchiveError(
                    f"Row {self.n + len(found) // loose + 1} of the table is damaged",
                    cause=f"a value has the length {n}",
                    remedy="ask again",
                )
            keep(n)
            at += n * item + gap
        rows = len(found) // loose
        lengths = np.array(found[: rows * loose], dtype=np.int64).reshape(rows, loose).T
        # A run, the length behind it, and its value.
        inner = np.array(before)[:, None] + 4 + lengths * np.array(each)[:, None]
        offsets = np.concatenate([np.zeros((1, rows), np.int64), np.cumsum(inner, axis=0)])
        ends = np.cumsum(offsets[-1] + self._runs[-1].itemsize)
        whole = int(np.count_nonzero(ends <= size))
        used = int(ends[whole - 1]) if whole else 0
        # A long value is waited for without looking at its row again and again.
        self._needed = max(at - used, size - used + 1)
        begins = np.concatenate([[0], ends])[:whole]
        return begins + offsets[:, :whole], lengths[:, :whole], used

    def _columns(
        self, data: np.ndarray, starts: np.ndarray, lengths: np.ndarray
    ) -> list[np.ma.MaskedArray]:
        n = starts.shape[1]
        fixed: dict[str, np.ndarray] = {}
        for run, at in zip(self._runs, starts, strict=True):
            if run.itemsize and n:
                windows = np.lib.stride_tricks.sliding_window_view(data, run.itemsize)
                records = np.ascontiguousarray(windows[at]).view(run)[:, 0]
                fixed.update({name: records[name] for name in run.names or ()})
        if self._nulls:
            nulls = np.unpackbits(fixed[_NULLS], axis=1)[:, : len(self._layouts)].astype(bool)
        else:
            nulls = np.zeros((n, len(self._layouts)), dtype=bool)
        loose = {
            i: (at + run.itemsize + 4, count)
            for i, at, run, count in zip(self._loose, starts, self._runs, lengths, strict=False)
        }
        return [
            _loose(each, data, *loose[i])
            if each.shape is None
            else _fixed(each, fixed[str(i)], nulls[:, i])
            for i, each in enumerate(self._layouts)
        ]


def _empty(each: Layout) -> np.ma.MaskedArray:
    base, shape = each.result.subdtype or (each.result, ())
    return np.ma.masked_array(np.empty((0, *shape), dtype=base), mask=np.zeros((0, *shape), bool))


def _fixed(each: Layout, raw: np.ndarray, nulls: np.ndarray) -> np.ma.MaskedArray:
    """Turn the bytes of a value of fixed length into a column."""
    if each.text:
        # astropy gives texts no mask, and neither do we: an empty text may be null or empty.
        n, length = raw.shape
        texts = _texts(raw.tobytes(), np.full(n, length), each)
        cut = [text.partition("\0")[0] for text in texts]
        return np.ma.masked_array(np.array(cut, dtype=each.result), mask=False)
    base = each.result.base
    if base.kind == "b":
        values, unknown = _truth(raw)
    else:
        values = raw.astype(base)
        unknown = _is_null(values, each.null)
    mask = unknown | nulls.reshape(-1, *[1] * (values.ndim - 1))
    return np.ma.masked_array(values, mask=mask)


def _loose(each: Layout, data: np.ndarray, at: np.ndarray, count: np.ndarray) -> np.ma.MaskedArray:
    """Turn values of variable length into a column of texts or arrays."""
    whole = data.tobytes()
    ends = at + count * each.item.itemsize
    pieces = [whole[a:b] for a, b in zip(at.tolist(), ends.tolist(), strict=True)]
    if each.text:
        texts = _texts(b"".join(pieces), count, each)
        return np.ma.masked_array(np.array(texts, dtype=each.result), mask=False)
    values = np.empty(len(pieces), dtype=object)
    native = each.item.newbyteorder("=")
    for i, piece in enumerate(pieces):
        numbers = np.frombuffer(piece, each.item).astype(native)
        values[i] = np.ma.masked_array(numbers, mask=_is_null(numbers, each.null))
    return np.ma.masked_array(values, mask=np.zeros(len(pieces), dtype=bool))


def _texts(data: bytes, count: np.ndarray, each: Layout) -> list[str]:
    """Decode texts that follow each other, `count` characters of the stream each."""
    size = each.item.itemsize
    ends = np.cumsum(count)
    spans = list(zip((ends - count).tolist(), ends.tolist(), strict=True))
    try:
        whole = data.decode(each.text)
        if len(whole) * size == len(data):
            return [whole[a:b] for a, b in spans]
        # Some letters take more than one character of the stream.
        return [data[a * size : b * size].decode(each.text) for a, b in spans]
    except UnicodeDecodeError as err:
        raise ArchiveError("A text in the table is no text", cause=str(err)) from err


def _is_null(values: np.ndarray, null: Any) -> np.ndarray:
    if null is not None:
        return values == null
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, dtype=bool)


def _truth(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return truth values, and where they are unknown (VOTable 1.5 section 6, "boolean")."""
    true, unknown = _among(raw, _TRUE), _among(raw, _UNKNOWN)
    odd = ~(true | unknown | _among(raw, _FALSE))
    if odd.any():
        raise ArchiveError(
            "A truth value in the table is none", cause=f"it is the byte {int(raw[odd][0])}"
        )
    return true, unknown


def _among(raw: np.ndarray, letters: bytes) -> np.ndarray:
    return np.isin(raw, np.frombuffer(letters, np.uint8))
