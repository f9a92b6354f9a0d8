"""Reads ADQL as people write it, and tells where it goes wrong before an archive does."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.scope import Scope

# Reading longer ones takes seconds; the archive will say what it thinks of them.
_MAX_CHARACTERS = 16_000
_WORD = re.compile(r"\w+")
_NAME = re.compile(r'(?:"[^"]*"|\w+)(?:\.(?:"[^"]*"|\w+))*')
# Letters of a long line that are shown before and after a mistake.
_BEFORE = 60


@dataclass(frozen=True)
class Problem:
    """What is probably wrong in a query.

    Attributes
    ----------
    what : str
        In words.
    line, column : int
        Where, from 1; 0 when it is not known.
    nearest : tuple of str
        Names that may have been meant.
    """

    what: str
    line: int = 0
    column: int = 0
    nearest: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = f" (line {self.line}, column {self.column})" if self.line else ""
        meant = f"; did you mean {' or '.join(self.nearest)}?" if self.nearest else ""
        return f"{self.what}{place}{meant}"

    def marked(self, query: str) -> str:
        """Return the line of the query that is meant, with marks below; empty if it is unknown.

        Parameters
        ----------
        query : str
            The one that was checked.
        """
        lines = query.splitlines()
        if not 0 < self.line <= len(lines) or self.column < 1:
            return ""
        # A tab would move the marks; letters that control a terminal are none of a query's.
        line = "".join(c if c.isprintable() else " " for c in lines[self.line - 1])
        at = self.column - 1
        word = _NAME.match(line, at)
        length = len(word[0]) if word else 1
        start = max(0, at - _BEFORE)
        shown = line[start : at + max(length, _BEFORE)]
        head = f"{self.line:>4} | "
        return f"{head}{shown}\n{' ' * (len(head) + at - start)}{'~' * length}"


def check(
    query: str,
    *,
    columns: Callable[[str], Sequence[str] | None],
    tables: Callable[[], Sequence[str]],
) -> list[Problem]:
    """Return what is probably wrong with a query; an archive may still know more than we do.

    Parameters
    ----------
    query : str
        ADQL.
    columns : callable
        Gives the columns of a table by its full name, or None for a table that does not exist.
    tables : callable
        Gives the names of all tables; asked only when one does not exist.

    Returns
    -------
    list of Problem
        Empty when nothing was found.
    """
    from sqlglot import exp, parse
    from sqlglot.errors import SqlglotError

    if not query.strip():
        return [Problem("The query is empty")]
    if len(query) > _MAX_CHARACTERS:
        return []
    try:
        trees = parse(query, dialect=_dialect())
        if len(trees) != 1 or not isinstance(trees[0], exp.Query):
            return [Problem("A query is a single SELECT")]
        return [*_limits(query), *_unknown(trees[0], columns=columns, tables=tables)]
    except SqlglotError as err:
        return [_unclear(err, query)]
    except RecursionError:
        return [Problem("The query is nested too deeply")]


def _limits(query: str) -> Iterator[Problem]:
    """Find LIMIT, which most dialects of SQL have and ADQL has not (ADQL 2.1, section 2.1.1)."""
    from sqlglot.tokens import TokenType

    for token in _dialect()().tokenize(query):
        if token.token_type is TokenType.LIMIT:
            column = token.col - len(token.text) + 1
            yield Problem("ADQL has no LIMIT: write SELECT TOP 5 instead", token.line, column)


def _unknown(
    tree: exp.Query,
    *,
    columns: Callable[[str], Sequence[str] | None],
    tables: Callable[[], Sequence[str]],
) -> Iterator[Problem]:
    from sqlglot import exp
    from sqlglot.optimizer.scope import traverse_scope

    told = set()
    for scope in traverse_scope(tree):
        known: dict[str, Sequence[str] | None] = {}
        for alias, source in scope.sources.items():
            found = _columns_of(source, columns)
            known[alias.lower()] = found
            if found is None and isinstance(source, exp.Table):
                name = _name(source)
                yield Problem(
                    f"There is no table {name}", *_place(source.parts[0]), _nearest(name, tables())
                )
        for problem in _unknown_columns(scope, known):
            if problem not in told:
                told.add(problem)
                yield problem


def _unknown_columns(scope: Scope, known: Mapping[str, Sequence[str] | None]) -> Iterator[Problem]:
    # What the SELECT names may be used again in ORDER BY.
    selects: list[Any] = getattr(scope.expression, "selects", [])
    named = {each.alias.lower() for each in selects if each.alias}
    outer = scope.parent is not None and scope.is_correlated_subquery
    for column in scope.columns:
        table, name = column.table.lower(), column.name
        if table:
            candidates = known.get(table, ())
            if table not in known:
                if not outer and scope.parent is None:
                    yield Problem(
                        f"There is no table {column.table} in FROM",
                        *_place(column.parts[0]),
                        _nearest(column.table, list(known)),
                    )
                continue
        elif None in known.values() or outer or scope.parent is not None:
            # A name of an outer query, or of a table that nobody knows.
            continue
        else:
            candidates = [each for found in known.values() for each in found or ()]
        if candidates is None or not candidates:
            continue
        if name.lower() not in {each.lower().strip('"') for each in candidates} | named:
            where = f" in {table}" if table else ""
            yield Problem(
                f"There is no column {name}{where}",
                *_place(column.this),
                _nearest(name, candidates),
            )


def _columns_of(
    source: Any, columns: Callable[[str], Sequence[str] | None]
) -> Sequence[str] | None:
    """Return the columns of a table or a subquery; None when they are not known."""
    if _is_table(source):
        return () if _name(source).lower().startswith("tap_upload.") else columns(_name(source))
    selects: list[exp.Expression] = source.expression.selects
    return (
        None if any(each.is_star for each in selects) else [each.alias_or_name for each in selects]
    )


def _is_table(source: Any) -> bool:
    from sqlglot import exp

    return isinstance(source, exp.Table)


def _name(table: Any) -> str:
    """Return a table's name as TAP_SCHEMA has it: quoted where the query quotes it."""
    parts = [f'"{part.name}"' if part.args.get("quoted") else part.name for part in table.parts]
    return ".".join(parts)


def _place(name: Any) -> tuple[int, int]:
    """Return line and column where a name begins."""
    at = name.meta
    # sqlglot counts from the end of a word.
    return (at["line"], at["col"] - (at["end"] - at["start"])) if "line" in at else (0, 0)


def _nearest(name: str, known: Sequence[str]) -> tuple[str, ...]:
    lower = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), list(lower), n=2, cutoff=0.6)
    # galaxies for demo.galaxies: the schema was forgotten.
    ends = [each for each in lower if each.rpartition(".")[2] == name.lower().rpartition(".")[2]]
    return tuple(lower[each] for each in dict.fromkeys([*ends[:2], *close]))


def _dialect() -> Any:
    """Return ADQL for sqlglot: standard SQL with TOP, and function names as they are written."""
    from sqlglot import parser, tokens
    from sqlglot.dialects.dialect import Dialect, NormalizationStrategy

    class Adql(Dialect):
        NORMALIZATION_STRATEGY = NormalizationStrategy.LOWERCASE

        class Tokenizer(tokens.Tokenizer):
            IDENTIFIERS = ['"']  # noqa: RUF012 - sqlglot's way to configure a dialect
            QUOTES = ["'"]  # noqa: RUF012
            STRING_ESCAPES = ["'"]  # noqa: RUF012
            KEYWORDS = {**tokens.Tokenizer.KEYWORDS, "TOP": tokens.TokenType.TOP}  # noqa: RUF012

        class Parser(parser.Parser):
            FUNCTIONS = {}  # noqa: RUF012

    return Adql


def _unclear(err: SqlglotError, query: str) -> Problem:
    """Put an error of sqlglot into the words of someone who writes ADQL."""
    from sqlglot.errors import ParseError

    if isinstance(err, ParseError) and err.errors:
        found = err.errors[0]
        near = str(found.get("highlight") or "")[:40]
        column = max(int(found.get("col") or 1) - len(near) + 1, 1)
        return Problem(f"This is no ADQL from {near!r} on", int(found.get("line") or 0), column)
    for quote, word in (("'", "text"), ('"', "name")):
        if query.count(quote) % 2:
            at = query.rindex(quote)
            column = at - query.rfind("\n", 0, at)
            return Problem(f"A {word} is never closed", query[:at].count("\n") + 1, column)
    return Problem("The query cannot be read")
