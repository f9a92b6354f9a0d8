"""What could stand where the cursor is in a query: tables, columns, functions, keywords."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from jupyter_astroml.core.adql import FUNCTIONS, KEYWORDS

if TYPE_CHECKING:
    from jupyter_astroml.archives.schema import ColumnInfo, Schema, TableInfo

Kind = Literal["column", "table", "schema", "alias", "function", "keyword"]

# More than a list can show; VizieR has tens of thousands of tables.
MOST = 200
# Reading longer ones takes too long for somebody who types.
_MAX_CHARACTERS = 16_000
_NAME = r'(?:"(?:[^"]|"")*"|[A-Za-z_]\w*)'
_TABLE = rf"{_NAME}(?:\.{_NAME}){{0,2}}"
# A comment or a text; a text may still be open.
_ASIDE = re.compile(r"--[^\n]*|'(?:[^']|'')*(?:'|\Z)")
_FROM = re.compile(r"\b(?:FROM|JOIN)\s+", re.IGNORECASE)
_SOURCE = re.compile(rf"({_TABLE})(?:\s+(?:AS\s+)?({_NAME}))?", re.IGNORECASE)
_COMMA = re.compile(r"\s*,\s*")
# What was written of a name, with the names and dots before it; the last quote may be open.
_PATH = re.compile(rf'(?<![\w".])((?:{_NAME}\.)*)("[^"]*|[A-Za-z_]\w*)?\Z')


@dataclass(frozen=True)
class Completion:
    """One thing that could be written.

    Attributes
    ----------
    text : str
        As a query must spell it.
    kind : str
        ``"column"``, ``"table"``, ``"schema"``, ``"alias"``, ``"function"`` or ``"keyword"``.
    detail : str
        In a word or two: type and unit of a column, arguments of a function.
    info : str
        What the archive says about it.
    """

    text: str
    kind: Kind
    detail: str = ""
    info: str = ""


@dataclass(frozen=True)
class Completions:
    """What could be written instead of the piece of a name before the cursor.

    Attributes
    ----------
    start : int
        Where that piece begins, in characters from the beginning of the query.
    options : tuple of Completion
        The likeliest first.
    """

    start: int
    options: tuple[Completion, ...] = ()


def complete(query: str, at: int, *, schemas: Sequence[Schema]) -> Completions:
    """Return what could stand at a place of an unfinished query.

    Parameters
    ----------
    query : str
        ADQL as far as it is written, also behind the cursor.
    at : int
        Characters before the cursor.
    schemas : sequence of Schema
        Of the archive.

    Returns
    -------
    Completions
        Tables behind FROM and JOIN, what belongs to a name behind its dot, and elsewhere the
        columns of the tables of the query, functions and keywords.
        No options inside a text or a comment.
    """
    before = query[:at]
    aside = list(_ASIDE.finditer(before))
    if len(query) > _MAX_CHARACTERS or (aside and aside[-1].end() == at and _open(aside[-1][0])):
        return Completions(len(before))
    written = _PATH.search(before)
    qualifier, piece = (written[1].rstrip("."), written[2] or "") if written else ("", "")
    start = len(before) - len(piece)
    tables = {_plain(table.name): table for schema in schemas for table in schema.tables}
    # What is being written is no name of a table yet.
    used = dict(_used(_blanked(before[:start] + query[at:]), tables))
    if qualifier:
        options = _behind(_plain(qualifier), used=used, schemas=schemas, tables=tables)
    elif _table_follows(_blanked(before)[:start]):
        options = _tables(schemas)
    else:
        options = _expressions(used)
    begun = _plain(piece)
    fitting = (each for each in options if _fits(each, begun))
    return Completions(start, tuple(dict.fromkeys(fitting))[:MOST])


def _open(aside: str) -> bool:
    """Tell whether a comment or text goes on behind its last character."""
    return aside.startswith("--") or aside.count("'") % 2 == 1


def _blanked(query: str) -> str:
    """Return a query of the same length without its comments and texts."""
    return _ASIDE.sub(lambda found: " " * len(found[0]), query)


def _plain(name: str) -> str:
    """Return a name as names are compared: without quotes, in lower case."""
    return name.replace('"', "").lower()


def _used(
    query: str, tables: Mapping[str, TableInfo]
) -> Iterator[tuple[str, tuple[str, TableInfo]]]:
    """Yield the tables of a query: how a name is compared, as it was written, and the table."""
    for begin in _FROM.finditer(query):
        at = begin.end()
        while (found := _SOURCE.match(query, at)) and found[1].upper() not in KEYWORDS:
            alias = found[2] if found[2] and found[2].upper() not in KEYWORDS else None
            table = tables.get(_plain(found[1]))
            if table is not None:
                name = alias or found[1]
                yield _plain(name), (name, table)
            comma = _COMMA.match(query, found.end(2) if alias else found.end(1))
            if not comma:
                break
            at = comma.end()


def _table_follows(before: str) -> bool:
    """Tell whether the next name is one of FROM's list."""
    begins = [found.end() for found in _FROM.finditer(before)]
    if not begins:
        return False
    at = begins[-1]
    while found := _SOURCE.match(before, at):
        comma = _COMMA.match(before, found.end())
        if not comma:
            return False
        at = comma.end()
    return at == len(before)


def _tables(schemas: Sequence[Schema]) -> Iterator[Completion]:
    for schema in schemas:
        for table in schema.tables:
            yield Completion(table.name, "table", schema.name, table.description)


def _columns(columns: Sequence[ColumnInfo]) -> Iterator[Completion]:
    for column in columns:
        detail = " ".join(filter(None, (column.datatype, column.unit and f"[{column.unit}]")))
        info = "; ".join(filter(None, (column.description, column.ucd)))
        yield Completion(column.name, "column", detail, info)


def _behind(
    qualifier: str,
    *,
    used: Mapping[str, tuple[str, TableInfo]],
    schemas: Sequence[Schema],
    tables: Mapping[str, TableInfo],
) -> Iterator[Completion]:
    """Yield what belongs to a table, another name of one, or a schema."""
    table = used[qualifier][1] if qualifier in used else tables.get(qualifier)
    if table is not None:
        yield from _columns(table.columns)
    for each in (table for schema in schemas for table in schema.tables):
        if _plain(each.name).startswith(f"{qualifier}."):
            yield Completion(each.name[len(qualifier) + 1 :], "table", "", each.description)


def _expressions(used: Mapping[str, tuple[str, TableInfo]]) -> Iterator[Completion]:
    for _, table in used.values():
        yield from _columns(table.columns)
    for name, table in used.values():
        yield Completion(name, "alias", table.name if name != table.name else "", table.description)
    for name, arguments in FUNCTIONS.items():
        yield Completion(name, "function", arguments)
    for word in KEYWORDS:
        yield Completion(word, "keyword")


def _fits(option: Completion, begun: str) -> bool:
    """Tell whether an option begins like the piece, or a table's own name does."""
    text = _plain(option.text)
    return text.startswith(begun) or (
        option.kind == "table" and text.rpartition(".")[2].startswith(begun)
    )
