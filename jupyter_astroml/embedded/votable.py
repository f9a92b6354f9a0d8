"""Writes VOTable 1.4, CSV and Parquet from Arrow columns, without a Python loop over rows."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from jupyter_astroml.core.errors import QueryError

from .engine import Answer
from .tables import Column

if TYPE_CHECKING:
    import pyarrow as pa

MEDIA = "application/x-votable+xml"
# What RESPONSEFORMAT may be, by the name of the writer (TAP 1.1 section 2.7.3, DALI 1.1 section 4).
FORMATS = {
    "votable": "tabledata",
    "votable/td": "tabledata",
    "votable/b2": "binary2",
    "application/x-votable+xml": "tabledata",
    "application/x-votable+xml;serialization=tabledata": "tabledata",
    "application/x-votable+xml;serialization=binary2": "binary2",
    "text/xml": "tabledata",
    "csv": "csv",
    "text/csv": "csv",
    "text/csv;header=present": "csv",
    "parquet": "parquet",
    "application/vnd.apache.parquet": "parquet",
}
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
)
# Rows in a piece of a BINARY2 stream: the scatter below needs some eight times the piece's bytes.
_ROWS_AT_ONCE = 8_192
_WIDTHS = {"boolean": 1, "short": 2, "int": 4, "long": 8, "float": 4, "double": 8}
_DTYPES = {"short": ">i2", "int": ">i4", "long": ">i8", "float": ">f4", "double": ">f8"}


def writer(name: str | None) -> str:
    """Return which writer a RESPONSEFORMAT means.

    Raises
    ------
    QueryError
        For a format that is not offered.
    """
    key = (name or "votable").lower().replace(" ", "")
    if key not in FORMATS:
        raise QueryError(
            f"The format {name!r} is not offered", remedy=f"ask for one of {', '.join(FORMATS)}"
        )
    return FORMATS[key]


def write(answer: Answer, *, form: str, infos: Iterable[tuple[str, str]] = ()) -> tuple[str, bytes]:
    """Return media type and bytes of an answer.

    Parameters
    ----------
    answer : Answer
        Columns and rows.
    form : str
        A name that `writer` returned.
    infos : iterable of (name, value)
        Written as INFO elements of a VOTable.
    """
    if form == "csv":
        return "text/csv;header=present", _csv(answer)
    if form == "parquet":
        return "application/vnd.apache.parquet", _parquet(answer)
    media = MEDIA if form == "tabledata" else f"{MEDIA};serialization=BINARY2"
    return media, document(
        answer.columns, answer.rows, overflow=answer.overflow, infos=infos, form=form
    )


def document(
    columns: Sequence[Column],
    rows: pa.Table,
    *,
    overflow: bool = False,
    infos: Iterable[tuple[str, str]] = (),
    params: str = "",
    extra: str = "",
    form: str = "tabledata",
    named: bool = False,
) -> bytes:
    """Return a VOTable document with one table of results.

    Parameters
    ----------
    columns : sequence of Column
        Become FIELD elements.
    rows : pyarrow.Table
        In the order of the columns.
    overflow : bool
        Adds the mark of DALI 1.1 section 4.4.1 behind the table.
    infos : iterable of (name, value)
        Written as INFO elements.
    form : str
        ``tabledata`` or ``binary2``.
    params : str
        PARAM elements about the service.
    extra : str
        More RESOURCE elements, such as service descriptors.
    named : bool
        Gives each FIELD its name as ID, for descriptors that refer to it.
    """
    head = [_HEAD, '<RESOURCE type="results">\n<INFO name="QUERY_STATUS" value="OK"/>\n']
    head += [f"<INFO name={attribute(n)} value={attribute(v)}/>\n" for n, v in infos]
    head += [params, "<TABLE>\n", *(_field(c, named=named) for c in columns), "<DATA>"]
    tail = "</DATA>\n</TABLE>\n"
    if overflow:
        tail += '<INFO name="QUERY_STATUS" value="OVERFLOW"/>\n'
    tail += f"</RESOURCE>\n{extra}</VOTABLE>\n"
    body = _tabledata(columns, rows) if form == "tabledata" else _binary2(columns, rows)
    return "".join(head).encode() + body + tail.encode()


def error(message: str, *, own: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return the document by which DALI 1.1 section 4.4 reports an error.

    `own` are INFO elements by which older protocols report it.
    """
    more = "".join(
        f"<INFO ID={attribute(n)} name={attribute(n)} value={attribute(v)}/>\n" for n, v in own
    )
    return (
        f'{_HEAD}{more}<RESOURCE type="results">\n'
        f'<INFO name="QUERY_STATUS" value="ERROR">{text(message)}</INFO>\n'
        "</RESOURCE>\n</VOTABLE>\n"
    ).encode()


def _allowed(text: str) -> str:
    """Drop what XML 1.0 cannot hold."""
    return "".join(
        c
        for c in text
        if c in "\t\n\r" or (" " <= c <= "\ufffd" and not "\ud800" <= c <= "\udfff") or c > "\uffff"
    )


def text(value: str) -> str:
    """Escape a text for the content of an XML element."""
    return escape(_allowed(value))


def attribute(value: str) -> str:
    """Quote and escape a text for an XML attribute."""
    return quoteattr(_allowed(value))


def _field(column: Column, *, named: bool) -> str:
    given = {
        "ID": column.name if named else "",
        "name": column.name,
        "datatype": column.datatype,
        "arraysize": column.arraysize,
        "xtype": column.xtype,
        "unit": column.unit,
        "ucd": column.ucd,
        "utype": column.utype,
    }
    attributes = "".join(f" {k}={attribute(v)}" for k, v in given.items() if v)
    if not column.description:
        return f"<FIELD{attributes}/>\n"
    return f"<FIELD{attributes}><DESCRIPTION>{text(column.description)}</DESCRIPTION></FIELD>\n"


def _tabledata(columns: Sequence[Column], rows: pa.Table) -> bytes:
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(rows) == 0:
        return b"<TABLEDATA></TABLEDATA>"
    pieces: list[Any] = ["<TR><TD>"]
    for column, array in zip(columns, rows.columns, strict=True):
        pieces += [_cells(column, array), "</TD><TD>"]
    pieces[-1] = "</TD></TR>\n"
    lines = pc.binary_join_element_wise(
        *(p.cast(pa.large_string()) if not isinstance(p, str) else _large(p) for p in pieces),
        _large(""),
        null_handling="replace",
        null_replacement="",
    )
    flat = lines.combine_chunks() if isinstance(lines, pa.ChunkedArray) else lines
    whole = pc.binary_join(pa.LargeListArray.from_arrays([0, len(flat)], flat), _large(""))
    return b"<TABLEDATA>\n" + whole[0].as_buffer().to_pybytes() + b"</TABLEDATA>"


def _large(text: str) -> Any:
    import pyarrow as pa

    return pa.scalar(text, type=pa.large_string())


def _cells(column: Column, array: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the texts of a column, escaped."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_list(array.type):
        texts = [
            None if v is None else " ".join("NaN" if x is None else _number(x) for x in v)
            for v in array.to_pylist()
        ]
        return pa.chunked_array([pa.array(texts, type=pa.string())])
    if pa.types.is_floating(array.type):
        texts = array.cast(pa.string())
        for arrow, votable in (("nan", "NaN"), ("inf", "+Inf"), ("-inf", "-Inf")):
            texts = pc.if_else(pc.equal(texts, arrow), votable, texts)
        return texts
    texts = array.cast(pa.string())
    if column.datatype in ("char", "unicodeChar"):
        if pc.any(pc.match_substring_regex(texts, r"[&<>]"), min_count=0).as_py():
            for plain, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
                texts = pc.replace_substring(texts, plain, entity)
        # Characters that XML 1.0 section 2.2 forbids, even as references.
        texts = pc.replace_substring_regex(texts, r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "")
    return texts


def _number(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)


def _binary2(columns: Sequence[Column], rows: pa.Table) -> bytes:
    parts = [
        _stream(columns, rows.slice(start, _ROWS_AT_ONCE))
        for start in range(0, len(rows), _ROWS_AT_ONCE)
    ]
    coded = base64.b64encode(b"".join(parts))
    return b'<BINARY2>\n<STREAM encoding="base64">' + coded + b"</STREAM>\n</BINARY2>"


def _stream(columns: Sequence[Column], rows: pa.Table) -> bytes:
    """Return rows as VOTable 1.4 section 5.4 lays them out: null flags, then the cells.

    Each row has a length of its own as soon as one cell is a text, so the place of each cell is
    computed first and all cells of a column are then scattered at once.
    """
    n = len(rows)
    nulls = np.zeros((n, len(columns)), dtype=bool)
    cells: list[tuple[np.ndarray, np.ndarray]] = []
    for i, (column, chunked) in enumerate(zip(columns, rows.columns, strict=True)):
        array = chunked.combine_chunks()
        nulls[:, i] = np.asarray(array.is_null())
        cells.append(_encoded(column, array))
    flags = np.packbits(nulls, axis=1)
    lengths = np.full(n, flags.shape[1], dtype=np.int64)
    for _, sizes in cells:
        lengths += sizes
    starts = np.concatenate(([0], np.cumsum(lengths)))[:-1]
    out = np.empty(int(lengths.sum()), dtype=np.uint8)
    out[starts[:, None] + np.arange(flags.shape[1])] = flags
    place = starts + flags.shape[1]
    for data, sizes in cells:
        # Cell k of this column begins at place[k] in `out` and at ends[k] - sizes[k] in `data`.
        shift = np.repeat(place - (np.cumsum(sizes) - sizes), sizes)
        out[shift + np.arange(len(data))] = data
        place = place + sizes
    return out.tobytes()


def _encoded(column: Column, array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return the bytes of a column, shape (bytes,), and the length of each cell, shape (n,)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    n = len(array)
    if column.datatype in ("char", "unicodeChar"):
        coding, width = ("utf-8", 1) if column.datatype == "char" else ("utf-16-be", 2)
        texts = [(t or "").encode(coding, "replace") for t in array.cast(pa.string()).to_pylist()]
        counts = np.fromiter((len(t) for t in texts), dtype=np.int64, count=n)
        return _counted(b"".join(texts), counts // width, counts)
    if column.arraysize:
        filled = pc.fill_null(array.flatten(), float("nan"))
        counts = np.asarray(pc.fill_null(pc.list_value_length(array), 0), dtype=np.int64)
        width = _WIDTHS[column.datatype]
        flat = np.asarray(filled).astype(_DTYPES[column.datatype])
        return _counted(flat.tobytes(), counts, counts * width)
    if column.datatype == "boolean":
        truth = np.where(np.asarray(pc.fill_null(array, fill_value=False)), ord("T"), ord("F"))
        return truth.astype(np.uint8), np.ones(n, dtype=np.int64)
    filled = pc.fill_null(array, 0)
    values = np.asarray(filled).astype(_DTYPES[column.datatype])
    width = _WIDTHS[column.datatype]
    return np.frombuffer(values.tobytes(), dtype=np.uint8), np.full(n, width, dtype=np.int64)


def _counted(data: bytes, counts: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put the number of items, 4 bytes, before the bytes of each cell of variable length."""
    total = sizes + 4
    begins = np.cumsum(total) - total
    out = np.empty(int(total.sum()), dtype=np.uint8)
    heads = counts.astype(">u4").view(np.uint8).reshape(-1, 4)
    out[begins[:, None] + np.arange(4)] = heads
    shift = np.repeat(begins + 4 - (np.cumsum(sizes) - sizes), sizes)
    out[shift + np.arange(len(data))] = np.frombuffer(data, dtype=np.uint8)
    return out, total


def _named(answer: Answer) -> pa.Table:
    """Return the rows under unique names, since Parquet and CSV readers want such."""
    names: list[str] = []
    for column in answer.columns:
        name, number = column.name, 2
        while name in names:
            name, number = f"{column.name}_{number}", number + 1
        names.append(name)
    return answer.rows.rename_columns(names)


def _csv(answer: Answer) -> bytes:
    import pyarrow as pa
    from pyarrow import csv

    table = _named(answer)
    for i, array in enumerate(table.columns):
        if pa.types.is_list(array.type):
            texts = [None if v is None else " ".join(map(str, v)) for v in array.to_pylist()]
            table = table.set_column(i, table.schema.names[i], pa.array(texts, type=pa.string()))
    out = io.BytesIO()
    csv.write_csv(table, out)
    return out.getvalue()


def _parquet(answer: Answer) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    table = _named(answer)
    pairs = list(zip(table.schema, answer.columns, strict=True))
    fields = [
        field.with_metadata(
            {k: v for k in ("unit", "ucd", "description") if (v := getattr(column, k))}
        )
        for field, column in pairs
    ]
    # By the convention of the IVOA, a VOTable without data says what the columns mean; astropy
    # (format="parquet.votable") and TOPCAT read it.
    columns = [replace(column, name=field.name) for field, column in pairs]
    status = "OVERFLOW" if answer.overflow else "OK"
    header = "".join(
        (
            f'{_HEAD}<RESOURCE type="results">\n<INFO name="QUERY_STATUS" value="{status}"/>\n',
            "<TABLE>\n",
            *(_field(c, named=False) for c in columns),
            "</TABLE>\n</RESOURCE>\n</VOTABLE>\n",
        )
    )
    told = {
        "overflow": str(answer.overflow).lower(),
        "IVOA.VOTable-Parquet.version": "1.0",
        "IVOA.VOTable-Parquet.content": header,
    }
    schema = pa.schema(fields, metadata=told)
    out = io.BytesIO()
    parquet.write_table(table.cast(schema), out)
    return out.getvalue()
