"""What a Parquet file will become in memory, found out before anything of it is decoded.

A page of a few hundred bytes can claim two thousand million values, or unpack to two gigabytes, and
Arrow believes it.  The headers of all pages are therefore read here first; they are structures of
Thrift's compact protocol that stand before each page (Apache Parquet format, "parquet.thrift":
PageHeader).
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from jupyter_astroml.core.errors import ArchiveError

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData

MAGIC = b"PAR1"
# Writers aim at a megabyte.
MAX_PAGE = 64 * 2**20
_MAX_FOOTER = 16 * 2**20
_HEADERS = (1 << 10, 1 << 20)
_DEEPEST = 8
# Encoding in which each text may repeat the one before it: its size is known only when it is there.
_FRONT_CODED = 7
# Fields of PageHeader, by number.
_UNPACKED, _PACKED, _DATA, _DATA_2 = 2, 3, 5, 8


def check_footer(file: IO[bytes]) -> None:
    """Refuse a file that has no footer, or one that is too large to be read.

    Raises
    ------
    ArchiveError
        If the file broke off, or is none.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - 8))
    tail = file.read(8)
    length = int.from_bytes(tail[:4], "little")
    if size < 12 or tail[4:] != MAGIC or length > size - 12:
        raise ArchiveError("The Parquet file broke off", cause="its end is missing")
    if length > _MAX_FOOTER:
        raise _refused(f"its footer takes {length / 2**20:.0f} MiB")


def check_pages(file: IO[bytes], about: FileMetaData, *, limit: int) -> None:
    """Refuse a file whose pages do not hold what its footer says, or too much.

    Parameters
    ----------
    file : binary file
        Is read at the places of the headers only.
    about : FileMetaData
        Its footer.
    limit : int
        Most bytes in memory.

    Raises
    ------
    ArchiveError
        For a file that must not be decoded.
    """
    total = 0
    for g in range(about.num_row_groups):
        group = about.row_group(g)
        for c in range(group.num_columns):
            chunk = group.column(c)
            repeated = about.schema.column(c).max_repetition_level > 0
            values = _values(file, chunk, most=limit)
            if values != chunk.num_values or (not repeated and values != group.num_rows):
                raise _refused(
                    f"'{chunk.path_in_schema}' has {values} values for {group.num_rows} rows"
                )
            total += 8 * values
            if total > limit:
                raise too_large()


def _values(file: IO[bytes], chunk: Any, *, most: int) -> int:
    """Return the number of values in the pages of a column chunk."""
    at = chunk.data_page_offset
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        at = min(at, chunk.dictionary_page_offset)
    end, found = at + chunk.total_compressed_size, 0
    if at < len(MAGIC) or end > file.seek(0, 2):
        raise _refused("a column lies outside the file")
    while at < end and found < most:
        header, length = _header(file, at)
        packed, unpacked = _whole(header, _PACKED), _whole(header, _UNPACKED)
        if unpacked > MAX_PAGE:
            raise _refused(f"a page of {packed} bytes says that it holds {unpacked}")
        for kind, coding in ((_DATA, 2), (_DATA_2, 4)):
            page = header.get(kind)
            if isinstance(page, dict):
                found += _whole(page, 1)
                if page.get(coding) == _FRONT_CODED:
                    raise _refused("its texts are coded in a way whose size cannot be told")
        at += length + packed
    return found


def _whole(found: dict[int, Any], number: int) -> int:
    value = found.get(number)
    if not isinstance(value, int) or value < 0:
        raise _refused("the header of a page is damaged")
    return value


def _header(file: IO[bytes], at: int) -> tuple[dict[int, Any], int]:
    """Return the fields of a page header, and its length."""
    for most in _HEADERS:
        file.seek(at)
        try:
            return _Compact(file.read(most)).header()
        except IndexError:
            continue
    raise _refused("the header of a page has no end")


class _Compact:
    """Reads structures of Thrift's compact protocol; IndexError where the bytes end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def header(self) -> tuple[dict[int, Any], int]:
        return self._struct(0), self._at

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _number(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return found
            if shift > 63:
                raise _refused("a number in the header of a page has no end")

    def _signed(self) -> int:
        found = self._number()
        return (found >> 1) ^ -(found & 1)

    def _struct(self, depth: int) -> dict[int, Any]:
        found: dict[int, Any] = {}
        number = 0
        while byte := self._byte():
            step = byte >> 4
            number = number + step if step else self._signed()
            found[number] = self._value(byte & 15, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        """Return a value of one of the kinds 1 to 12 of the protocol."""
        if depth > _DEEPEST:
            raise _refused("the header of a page is too deep")
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 7:
            self._at += 8
        elif kind == 8:
            length = self._number()
            self._at += length
        elif kind in (9, 10):
            byte = self._byte()
            for _ in range(byte >> 4 if byte >> 4 < 15 else self._number()):
                # A truth value within a list takes a byte.
                self._value(3 if byte & 15 in (1, 2) else byte & 15, depth + 1)
                if self._at > len(self._data):
                    raise IndexError
        elif kind == 12:
            return self._struct(depth + 1)
        else:
            raise _refused("the header of a page is damaged")
        return None


def too_large() -> ArchiveError:
    """Return the error for a table that does not fit into memory."""
    return ArchiveError(
        "The table would take more memory than an archive is allowed",
        remedy="download() it to a file, or ask for fewer rows or columns",
    )


def _refused(cause: str) -> ArchiveError:
    return ArchiveError("Refused to read a Parquet file", cause=cause, remedy="ask in another form")
