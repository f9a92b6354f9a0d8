"""VOTables as they come over the line: large ones column by column, the rest by astropy."""

from __future__ import annotations

import binascii
import io
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

import numpy as np

from jupyter_astroml.archives.binary2 import Rows, layout
from jupyter_astroml.core.errors import ArchiveError
from jupyter_astroml.core.units import is_endless

if TYPE_CHECKING:
    from astropy.io.votable.tree import TableElement, VOTableFile
    from astropy.table import Table

    Write = Callable[[TableElement, list[np.ma.MaskedArray]], None]

# Letters of base64 that are decoded at once.
_PIECE = 1 << 20
# Rows that are written at once.
BLOCK = 1 << 16
_SPACE = b" \t\r\n"
_STREAM = b'<STREAM encoding="base64">'
# An attribute may hold ">", and nothing but a tag begins with "<".
_NROWS = re.compile(rb"(<[\w:.-]*TABLE\b[^<]*?)\snrows\s*=\s*(?:\"[^\"<]*\"|'[^'<]*')")
_UNIT = re.compile(rb"""unit\s*=\s*("[^"]*"|'[^']*')""")
_ELSEWHERE = re.compile(rb"<[\w:.-]*STREAM\b[^<]*?\bhref", re.IGNORECASE)


@dataclass(frozen=True)
class Parsed:
    """A VOTable whose first table may have been read apart.

    Attributes
    ----------
    document : VOTableFile
        Everything astropy read: fields, groups, INFO, other tables; the first table has no rows if
        `columns` has them.
    columns : list of MaskedArray, or None
        Of the first table, one for each field.
    rows : int
        Of the first table, those that were written elsewhere included.
    """

    document: VOTableFile
    columns: list[np.ma.MaskedArray] | None
    rows: int

    def table(self) -> Table:
        """Return the first table with names, units, UCDs, descriptions and masks.

        Equal to what astropy's ``to_table(use_names_over_ids=True)`` makes of the same document.
        """
        first = self.document.get_first_table()
        empty = first.to_table(use_names_over_ids=True)
        if self.columns is None:
            return empty
        return filled(first, dict(zip(empty.colnames, self.columns, strict=True)), empty.meta)


def filled(
    first: TableElement, columns: Mapping[str, np.ma.MaskedArray], meta: Mapping[str, Any]
) -> Table:
    """Make a table of columns, with what their fields say of them.

    Parameters
    ----------
    first : TableElement
        Has the fields.
    columns : mapping of str to MaskedArray
        By the names that astropy gives to the fields.
    meta : mapping
        Of the table.
    """
    from astropy.table import MaskedColumn, Table

    made = Table(
        [MaskedColumn(values, name=name, copy=False) for name, values in columns.items()],
        meta=dict(meta),
        copy=False,
    )
    fields = dict(zip(names_of(first), first.fields, strict=True))
    for name in made.colnames:
        fields[name].to_table_column(made[name])
    return made


def names_of(first: TableElement) -> list[str]:
    """Return what astropy calls the columns of a table."""
    return list(first.to_table(use_names_over_ids=True).colnames)


def read(
    chunks: Iterable[bytes],
    *,
    progress: Callable[[int], None] | None = None,
    write: Write | None = None,
) -> Parsed:
    """Read a VOTable while it arrives.

    The first stream of base64 in a BINARY or BINARY2 element is decoded here, in columns, and is
    never held as text; memory is that of the table.  astropy reads the document without it.

    Parameters
    ----------
    chunks : iterable of bytes
        The document, in order.
    progress : callable, optional
        Called with the number of rows so far.
    write : callable, optional
        Takes the rows in blocks, as ``write(table, columns)``: the table as astropy knows it,
        without rows, and a masked array for each field.  Then no rows are returned, and memory is
        that of a few blocks.

    Raises
    ------
    ArchiveError
        If it is no VOTable, breaks off, declares entities, or points to data elsewhere.
    """
    splitter = _Splitter(progress, write)
    for chunk in chunks:
        splitter.feed(chunk)
    return splitter.close()


class _Splitter:
    """Sends the first stream to `Rows` and keeps the rest of the document for astropy."""

    def __init__(self, progress: Callable[[int], None] | None, write: Write | None) -> None:
        self._progress = progress
        self._write = write
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.buffer_size = _PIECE
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.EntityDeclHandler = _refuse_entity
        self._open: list[str] = []
        self._kept = bytearray()
        self._chunk, self._begin = b"", 0
        self._looking = True
        self._table: TableElement | None = None
        self._rows: Rows | None = None
        self._texts: _Texts | None = None
        # What the table that is read says of its length, if it does.
        self._tables, self._said, self._promised = 0, "", ""
        self._inside = False
        self._letters = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the document."""
        if self._texts:
            self._kept += self._texts.feed(chunk)
            self._tell()
            return
        self._chunk = chunk
        if not self._inside:
            self._kept += chunk
        if self._looking:
            self._parse(chunk)
        self._begin += len(chunk)

    def close(self) -> Parsed:
        """Return what was read."""
        if self._looking:
            self._parse(b"", final=True)
        columns = self._rows.columns() if self._rows else None
        if self._rows:
            self._tell()
        document = read_document(bytes(self._kept))
        first = next(document.iter_tables(), None)
        if first is None:
            # A refusal has no table; who asks looks at its status.
            return Parsed(document, None, 0)
        n = self._texts.n if self._texts else self._rows.n if self._rows else len(first.array)
        if self._promised.isdigit() and n != int(self._promised):
            raise ArchiveError(
                f"The table has {n} rows and says that it has {int(self._promised)}",
                remedy="ask again",
            )
        if self._write and not self._texts:
            self._write(first, columns or _columns(first))
            columns = None
        return Parsed(document, columns, n)

    def _parse(self, chunk: bytes, *, final: bool = False) -> None:
        try:
            self._parser.Parse(chunk, final)
        except expat.ExpatError as err:
            raise _no_table(str(err), bytes(self._kept[:200])) from err

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        parent = self._open[-1].rpartition(":")[2] if self._open else ""
        self._open.append(name)
        name = name.rpartition(":")[2]
        if name == "TABLE":
            self._tables += 1
            self._said = attributes.get("nrows", "")
        if name == "TABLEDATA":
            self._promised = self._said if self._tables == 1 else ""
            # An element for each value: astropy is faster at these.
            self._stop()
            if self._write and self._tables == 1:
                self._cut()
        if name == "STREAM" and parent in ("BINARY", "BINARY2"):
            rows = self._rows_of(parent) if attributes.get("encoding") == "base64" else None
            if rows is None:
                self._stop()
            else:
                del self._kept[self._parser.CurrentByteIndex :]
                self._kept += _STREAM
                self._rows, self._inside, self._promised = rows, True, self._said
                self._parser.CharacterDataHandler = self._text

    def _end(self, name: str) -> None:
        self._open.pop()
        if self._inside and name.rpartition(":")[2] == "STREAM":
            self._decode(self._letters, last=True)
            # The tag may have begun in the chunk before this one; it ends in this one.
            after = self._chunk.find(b">", max(0, self._parser.CurrentByteIndex - self._begin)) + 1
            self._kept += b"</STREAM>" + self._chunk[after:]
            self._inside = False
            self._parser.CharacterDataHandler = None
            self._stop()

    def _stop(self) -> None:
        """Leave the rest of the document to astropy alone."""
        self._looking = False
        self._parser.StartElementHandler = self._parser.EndElementHandler = None

    def _cut(self) -> None:
        """Let the rows of a TABLEDATA be read and written piece by piece."""
        after = self._kept.find(b">", self._parser.CurrentByteIndex) + 1
        if self._write is None or self._kept[after - 2 : after] == b"/>":
            return
        head = bytes(self._kept[:after])
        rest = bytes(self._kept[after:])
        self._texts = _Texts(head, list(self._open), self._write)
        self._kept = bytearray(head) + self._texts.feed(rest)

    def _rows_of(self, parent: str) -> Rows | None:
        """Return a decoder for the table whose stream begins; None if only astropy can read it."""
        head = bytes(self._kept[: self._parser.CurrentByteIndex])
        document = read_document(head + _STREAM + b"</STREAM>" + _ends(self._open[:-1]))
        self._table = document.get_first_table()
        layouts = [layout(field) for field in self._table.fields]
        known = [each for each in layouts if each is not None]
        return Rows(known, nulls=parent == "BINARY2") if len(known) == len(layouts) else None

    def _text(self, text: str) -> None:
        self._decode(self._letters + text.encode().translate(None, _SPACE), last=False)

    def _decode(self, letters: bytes, *, last: bool) -> None:
        """Decode whole groups of four letters; keep the others for the next piece."""
        whole = len(letters) - (0 if last else len(letters) % 4)
        self._letters = letters[whole:]
        try:
            data = binascii.a2b_base64(letters[:whole], strict_mode=True) if whole else b""
        except binascii.Error as err:
            raise ArchiveError(
                "The table is damaged", cause=f"no base64: {err}", remedy="ask again"
            ) from err
        if self._rows is not None:
            self._rows.feed(data)
            if self._write and self._table is not None and self._rows.held >= BLOCK:
                self._write(self._table, self._rows.taken())
            self._tell()

    def _tell(self) -> None:
        n = self._texts.n if self._texts else self._rows.n if self._rows else 0
        if self._progress:
            self._progress(n)


class _Texts:
    """Reads the rows of a TABLEDATA in pieces, each of which astropy takes for a table.

    Parameters
    ----------
    head : bytes
        The document up to the first row.
    opened : list of str
        Names of the elements that are open there.
    write : callable
        As for `read`.
    """

    def __init__(self, head: bytes, opened: list[str], write: Write) -> None:
        self._head, self._ends, self._write = head, _ends(opened), write
        prefix = opened[-1][: -len("TABLEDATA")]
        self._row, self._last = f"</{prefix}TR>".encode(), f"</{prefix}TABLEDATA".encode()
        self._rest = bytearray()
        self._over = False
        self.n = 0

    def feed(self, chunk: bytes) -> bytes:
        """Take the next piece of the document; return what does not belong to the rows."""
        if self._over:
            return chunk
        before = max(0, len(self._rest) - len(self._last))
        self._rest += chunk
        end = self._rest.find(self._last, before)
        if end < 0:
            if len(self._rest) >= _PIECE:
                self._read(self._rest.rfind(self._row) + len(self._row))
            return b""
        self._read(end)
        self._over = True
        return bytes(self._rest)

    def _read(self, end: int) -> None:
        if end < len(self._row):
            return
        piece = read_document(self._head + self._rest[:end] + self._ends).get_first_table()
        del self._rest[:end]
        self.n += len(piece.array)
        self._write(piece, _columns(piece))


def _columns(table: TableElement) -> list[np.ma.MaskedArray]:
    """Return the columns of a table that astropy has read."""
    found = table.to_table(use_names_over_ids=True)
    return [np.ma.masked_array(np.ma.getdata(c), np.ma.getmaskarray(c)) for c in found.itercols()]


def _ends(names: list[str]) -> bytes:
    """Return the end tags of elements that are open."""
    return "".join(f"</{name}>" for name in reversed(names)).encode()


def read_document(xml: bytes) -> VOTableFile:
    """Let astropy read a document in which no stream lies elsewhere."""
    from astropy.io.votable import parse
    from astropy.io.votable.exceptions import VOTableSpecError, VOTableSpecWarning

    for quoted in _UNIT.findall(xml):
        unit = unescape(quoted[1:-1].decode("utf-8", "replace"))
        if is_endless(unit):
            raise ArchiveError(f"Refused to read a table with a unit such as {unit[:40]!r}")
    # astropy would open the address, and it may be a file of this machine.
    if _ELSEWHERE.search(xml) or b"\0" in xml:
        raise ArchiveError("Refused to read a table whose rows lie elsewhere")
    # astropy makes room for as many rows as are promised, those of an empty table too.
    xml = _NROWS.sub(rb"\1", xml)
    with warnings.catch_warnings():
        # Half of the archives break a rule that does not matter to anybody.
        warnings.simplefilter("ignore", VOTableSpecWarning)
        try:
            return parse(io.BytesIO(xml), verify="ignore")
        except (expat.ExpatError, VOTableSpecError, ValueError, IndexError, TypeError) as err:
            raise _no_table(str(err), xml) from err


def _no_table(cause: str, xml: bytes) -> ArchiveError:
    said = " ".join(xml[:200].decode("utf-8", "replace").split())
    return ArchiveError(
        "The archive's answer is no VOTable, or it broke off",
        cause=f"{cause}; it begins with {said!r}",
        remedy="ask again; if it stays so, tell the archive",
    )


def _refuse_entity(*_: object) -> None:
    raise ArchiveError("Refused to read a table that declares XML entities")
