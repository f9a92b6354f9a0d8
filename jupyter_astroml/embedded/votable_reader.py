"""Reads a table out of a VOTable that somebody sent: nothing in it is believed or followed.

The readers of astropy are for files of one's own: they fetch a STREAM from the address in it,
and make room for as many rows and characters as a header claims.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

import numpy as np

from jupyter_astroml.core.errors import DataError

from .tables import Column

if TYPE_CHECKING:
    import pyarrow as pa

MAX_BYTES = 32 << 20
MOST_ROWS = 100_000
MOST_COLUMNS = 500
MOST_ITEMS = 100_000
_MOST_LEVELS = 50
# Format of struct and bytes of one item (VOTable 1.4 section 2.1); the complex types have no
# counterpart in the database.
_ITEMS = {
    "bit": ("?", 1),
    "boolean": ("c", 1),
    "unsignedByte": ("B", 1),
    "short": ("h", 2),
    "int": ("i", 4),
    "long": ("q", 8),
    "float": ("f", 4),
    "double": ("d", 8),
    "char": ("c", 1),
    "unicodeChar": ("H", 2),
}
_ARROW = {
    "bit": "bool_",
    "boolean": "bool_",
    "unsignedByte": "int16",
    "short": "int16",
    "int": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "char": "string",
    "unicodeChar": "string",
}
_TRUE, _FALSE = frozenset(("t", "true", "1")), frozenset(("f", "false", "0"))


@dataclass
class _Field:
    """A FIELD with what is needed to read its cells."""

    name: str
    datatype: str
    arraysize: str
    attributes: Mapping[str, str]
    null: str = ""
    description: str = ""

    @property
    def text(self) -> bool:
        return self.datatype in ("char", "unicodeChar")

    @property
    def scalar(self) -> bool:
        return self.text or self.arraysize in ("", "1")

    @property
    def count(self) -> int | None:
        """Items of a cell, or None when each cell says it."""
        if "*" in self.arraysize:
            return None
        return math.prod(int(n) for n in self.arraysize.split("x")) if self.arraysize else 1

    def column(self, name: str) -> Column:
        given = {k: self.attributes.get(k, "")[:200] for k in ("unit", "ucd", "utype", "xtype")}
        return Column(
            name,
            datatype="boolean" if self.datatype == "bit" else self.datatype,
            arraysize="*" if self.text or not self.scalar else "",
            description=self.description[:2000],
            unit=given["unit"],
            ucd=given["ucd"],
            utype=given["utype"],
            xtype=given["xtype"],
        )


@dataclass
class _Document:
    """What the parser has seen of the first table."""

    fields: list[_Field] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    stream: list[str] = field(default_factory=list)
    form: str = ""
    done: bool = False
    levels: list[str] = field(default_factory=list)
    words: list[str] | None = None

    def start(self, tag: str, given: dict[str, str]) -> None:
        name = tag.rpartition(" ")[2]
        self.levels.append(name)
        if len(self.levels) > _MOST_LEVELS:
            raise DataError("The VOTable is nested too deeply")
        if self.done:
            return
        above = self.levels[-2] if len(self.levels) > 1 else ""
        if name == "FIELD" and above == "TABLE":
            self.fields.append(_field(given))
            if len(self.fields) > MOST_COLUMNS:
                raise DataError(f"The table has more than {MOST_COLUMNS} columns")
        elif name == "VALUES" and above == "FIELD":
            self.fields[-1].null = given.get("null", "")
        elif name in ("TABLEDATA", "BINARY", "BINARY2", "FITS") and above == "DATA":
            self._begin(name)
        elif name == "STREAM":
            self._stream(given)
        elif name == "TR":
            self.rows.append([])
            if len(self.rows) > MOST_ROWS:
                raise DataError(f"The table has more than {MOST_ROWS} rows")
        elif name == "TD" or (name == "DESCRIPTION" and above == "FIELD"):
            self.words = []
            if name == "TD" and "encoding" in given:
                raise DataError("A cell in an encoding of its own is not taken")

    def _begin(self, form: str) -> None:
        if form == "FITS":
            raise DataError(
                "A VOTable with a FITS file in it is not taken",
                remedy="send TABLEDATA, BINARY or BINARY2",
            )
        self.form = form

    def _stream(self, given: dict[str, str]) -> None:
        if "href" in given:
            raise DataError("A VOTable that names another file is not taken")
        if given.get("encoding", "base64") != "base64":
            raise DataError(f"A STREAM in {given['encoding'][:20]} is not taken")
        self.words = self.stream

    def words_in(self, text: str) -> None:
        if self.words is not None:
            self.words.append(text)

    def end(self, tag: str) -> None:
        name = self.levels.pop()
        if self.done:
            return
        if name == "TD" and self.words is not None and self.rows:
            self.rows[-1].append("".join(self.words))
        elif name == "DESCRIPTION" and self.words is not None:
            self.fields[-1].description = "".join(self.words).strip()
        if name in ("TD", "DESCRIPTION", "STREAM"):
            self.words = None
        self.done = name == "TABLE"


def read(body: bytes) -> tuple[tuple[Column, ...], list[pa.Array]]:
    """Return columns and values of the first table of a VOTable.

    Parameters
    ----------
    body : bytes
        TABLEDATA, BINARY or BINARY2.

    Returns
    -------
    columns : tuple of Column
        Names as ADQL sees them: regular ones in lower case, others as they are.
    values : list of pyarrow.Array

    Raises
    ------
    DataError
        For anything else; the place in the document is given where it is known.
    """
    found = _parsed(body)
    if not found.fields:
        raise DataError("There is no table with columns in the VOTable")
    names = _names(found.fields)
    cells = _from_text(found) if found.form in ("", "TABLEDATA") else _from_stream(found)
    values = [_array(f, column) for f, column in zip(found.fields, cells, strict=True)]
    columns = tuple(f.column(name) for f, name in zip(found.fields, names, strict=True))
    return columns, values


def _parsed(body: bytes) -> _Document:
    found = _Document()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = found.start
    parser.EndElementHandler = found.end
    parser.CharacterDataHandler = found.words_in
    # Entities of its own are how a small document becomes a large one.
    parser.StartDoctypeDeclHandler = _no_doctype
    try:
        parser.Parse(body, True)  # noqa: FBT003 - expat's way to say that this is all
    except expat.ExpatError as err:
        raise DataError("The table is no VOTable", cause=str(err)[:200]) from err
    except (ValueError, LookupError) as err:
        raise DataError("The table is in an unknown encoding", cause=str(err)[:200]) from err
    return found


def _no_doctype(*given: object) -> None:
    raise DataError("A VOTable with a document type of its own is not taken")


def _field(given: dict[str, str]) -> _Field:
    name, datatype = given.get("name", ""), given.get("datatype", "")
    size = given.get("arraysize", "").replace(" ", "")
    if datatype not in _ITEMS:
        raise DataError(f"The column {name[:60]!r} is of the type {datatype[:20]!r}, not taken")
    numbers = size.removesuffix("*").removesuffix("x")
    if numbers and not all(n.isascii() and n.isdigit() and len(n) < 9 for n in numbers.split("x")):
        raise DataError(f"The column {name[:60]!r} has the arraysize {size[:20]!r}")
    if datatype == "bit" and size not in ("", "1"):
        raise DataError(f"The column {name[:60]!r} holds lists of bits, which are not taken")
    if datatype in ("char", "unicodeChar") and "x" in size:
        raise DataError(f"The column {name[:60]!r} holds lists of texts, which are not taken")
    return _Field(name, datatype, size, given)


def _names(fields: Sequence[_Field]) -> list[str]:
    """Return the names for ADQL, which compares regular names without case."""
    names = [
        f.name.lower() if f.name.isascii() and f.name.isidentifier() else f.name for f in fields
    ]
    for name in names:
        if not name or len(name) > 128 or '"' in name or not name.isprintable():
            raise DataError(f"{name[:60]!r} cannot be the name of a column")
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DataError(
            f"Two columns are called {min(twice)!r}", cause="ADQL compares names without case"
        )
    return names


def _from_text(found: _Document) -> list[list[Any]]:
    width = len(found.fields)
    for number, row in enumerate(found.rows, start=1):
        if len(row) != width:
            raise DataError(f"Row {number} has {len(row)} cells instead of {width}")
    cells = []
    for k, one in enumerate(found.fields):
        value = _text_reader(one)
        column = []
        for number, row in enumerate(found.rows, start=1):
            try:
                column.append(value(row[k]))
            except (ValueError, OverflowError) as err:
                raise DataError(
                    f"Row {number} of the column {one.name!r} is {row[k][:40]!r}",
                    cause=f"that is no {one.datatype}",
                ) from err
        cells.append(column)
    return cells


def _text_reader(one: _Field) -> Callable[[str], Any]:
    """Return what turns the text of a cell into a value; an empty cell is null."""
    if one.text:
        return lambda text: text or None
    item = _WORDS.get(one.datatype, _whole)
    if not one.scalar:
        return lambda text: _items(text, one, item)
    null = one.null.strip()

    def scalar(text: str) -> Any:
        bare = text.strip()
        return None if not bare or (null and bare == null) else item(bare)

    return scalar


def _items(text: str, one: _Field, item: Callable[[str], Any]) -> Any:
    words = text.split(None, MOST_ITEMS)
    if len(words) > MOST_ITEMS:
        raise DataError(f"A cell of the column {one.name!r} holds more than {MOST_ITEMS} values")
    if not words:
        return None
    values = [item(word) for word in words]
    # Numbers take a sixth of the room in an array.
    return values if one.datatype == "boolean" else np.array(values, dtype=_ARROW[one.datatype])


def _truth(text: str) -> bool | None:
    word = text.lower()
    if word not in _TRUE | _FALSE | {"?"}:
        raise ValueError(word)
    return None if word == "?" else word in _TRUE


def _float(text: str) -> float:
    return float(text.replace("_", "?"))


def _whole(text: str) -> int:
    if len(text) > 40 or "_" in text:
        raise ValueError(text)
    return int(text, 16) if text.lower().startswith("0x") else int(text)


_WORDS: dict[str, Callable[[str], Any]] = {
    "bit": _truth,
    "boolean": _truth,
    "float": _float,
    "double": _float,
}


def _from_stream(found: _Document) -> list[list[Any]]:
    try:
        data = base64.b64decode("".join("".join(found.stream).split()), validate=True)
    except (binascii.Error, ValueError) as err:
        raise DataError("The STREAM is no base64", cause=str(err)[:200]) from err
    cells: list[list[Any]] = [[] for _ in found.fields]
    flags = -(-len(found.fields) // 8) if found.form == "BINARY2" else 0
    place = rows = 0
    while place < len(data):
        begin, rows = place, rows + 1
        if rows > MOST_ROWS:
            raise DataError(f"The table has more than {MOST_ROWS} rows")
        nulls = data[place : place + flags]
        place += flags
        for k, one in enumerate(found.fields):
            value, place = _cell(one, data, place, row=rows)
            null = flags and nulls[k // 8] & (0x80 >> k % 8)
            cells[k].append(None if null else value)
        if place == begin:
            raise DataError("The rows of the table are empty")
    return cells


def _cell(one: _Field, data: bytes, place: int, *, row: int) -> tuple[Any, int]:
    """Return the value of a cell of a STREAM and where the next one begins."""
    count = one.count
    if count is None:
        if place + 4 > len(data):
            raise _cut(row)
        (count,) = struct.unpack_from(">I", data, place)
        place += 4
    if count > MOST_ITEMS and not one.text:
        raise DataError(f"A cell of the column {one.name!r} holds more than {MOST_ITEMS} values")
    code, width = _ITEMS[one.datatype]
    end = place + count * width
    # What a cell claims must be there before room is made for it.
    if end > len(data):
        raise _cut(row)
    raw = data[place:end]
    if one.datatype == "char":
        return raw.split(b"\0", 1)[0].decode("utf-8", "replace"), end
    if one.datatype == "unicodeChar":
        return raw.decode("utf-16-be", "replace").split("\0", 1)[0], end
    if one.datatype == "boolean":
        values = [_letter(v) for v in raw]
        return (values[0] if one.scalar else values), end
    if not one.scalar:
        numbers = np.frombuffer(raw, dtype=f">{code}")
        return numbers.astype(_ARROW[one.datatype]), end
    # A bit is the first of its byte, but astropy writes another.
    (value,) = struct.unpack(f">{code}", raw)
    return (None if one.null and str(value) == one.null.strip() else value), end


def _letter(value: int) -> bool | None:
    letter = chr(value).lower()
    return True if letter in "t1" else False if letter in "f0" else None


def _cut(row: int) -> DataError:
    return DataError(f"The STREAM ends within row {row}")


def _array(one: _Field, values: list[Any]) -> pa.Array:
    import pyarrow as pa

    item = getattr(pa, _ARROW[one.datatype])()
    if one.attributes.get("xtype", "").lower() == "adql:region" and one.text:
        regions = list(_regions(values))
        if None not in regions or values == [None] * len(values):
            return pa.array([r or None for r in regions], type=pa.list_(pa.float64()))
    try:
        return pa.array(values, type=item if one.scalar else pa.list_(item))
    except (pa.ArrowInvalid, OverflowError, pa.ArrowTypeError) as err:
        raise DataError(
            f"A value of the column {one.name!r} does not fit {one.datatype}", cause=str(err)[:200]
        ) from err


def _regions(texts: Sequence[str | None]) -> Iterator[list[float] | None]:
    """Yield polygons in the words of STC-S as lists, an empty list for null, None for others."""
    for text in texts:
        if text is None:
            yield []
            continue
        shape, *words = text.split()
        if words and words[0].upper() == "ICRS":
            words = words[1:]
        try:
            numbers = [float(w) for w in words]
        except ValueError:
            numbers = []
        good = shape.upper() == "POLYGON" and len(numbers) >= 6 and len(numbers) % 2 == 0
        yield numbers if good else None
