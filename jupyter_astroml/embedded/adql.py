"""ADQL 2.0 and 2.1 into DuckDB's SQL, denying everything that is not listed here.

sqlglot reads much more than ADQL: functions that open files, ``SELECT * EXCLUDE``, lambdas.
So each query passes four lists: of tokens, of nodes with the arguments that each may carry, of
functions, and of tables with their columns.
What is not on a list is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sqlglot import exp, parser, tokens
from sqlglot.dialects.dialect import Dialect, NormalizationStrategy
from sqlglot.errors import ParseError, SqlglotError, TokenError
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema
from sqlglot.tokens import TokenType

from jupyter_astroml.core.errors import QueryError

from . import geometry
from .tables import FOREIGN

# sqlglot is quadratic in the number of terms: 5000 took ten seconds, 2000 tokens take one.
MAX_CHARACTERS = 16_000
MAX_TOKENS = 2_000
MAX_DEPTH = 40
# DuckDB cannot be interrupted while it resolves names, which takes the cube of the depth of an
# expression: a sum of 700 terms takes seconds, one of 200 a tenth of a second.
MAX_LEVELS = 200
# An argument of a function of geometry stands many times in what DuckDB gets.
MAX_GEOMETRY = 2
# A chain of common tables, each of which names the one before it twice, doubles with every link;
# DuckDB plans them all, and cannot be interrupted then.
MAX_SOURCES = 64

_AGGREGATES = {
    "COUNT": exp.Count,
    "SUM": exp.Sum,
    "AVG": exp.Avg,
    "MIN": exp.Min,
    "MAX": exp.Max,
}
# ADQL's name: DuckDB's name, fewest and most arguments.
SCALARS: dict[str, tuple[str, int, int]] = {
    "ABS": ("abs", 1, 1),
    "ACOS": ("acos", 1, 1),
    "ASIN": ("asin", 1, 1),
    "ATAN": ("atan", 1, 1),
    "ATAN2": ("atan2", 2, 2),
    "CEILING": ("ceil", 1, 1),
    "COALESCE": ("coalesce", 1, 50),
    "COS": ("cos", 1, 1),
    "COT": ("cot", 1, 1),
    "DEGREES": ("degrees", 1, 1),
    "EXP": ("exp", 1, 1),
    "FLOOR": ("floor", 1, 1),
    "IVO_HASHLIST_HAS": ("ivo_hashlist_has", 2, 2),
    "IVO_HASWORD": ("ivo_hasword", 2, 2),
    "IVO_NOCASEMATCH": ("ivo_nocasematch", 2, 2),
    "LOG": ("ln", 1, 1),
    "LOG10": ("log10", 1, 1),
    "LOWER": ("lower", 1, 1),
    "MOD": ("mod", 2, 2),
    "PI": ("pi", 0, 0),
    "POWER": ("pow", 2, 2),
    "RADIANS": ("radians", 1, 1),
    "RAND": ("random", 0, 1),
    "ROUND": ("round", 1, 2),
    "SIN": ("sin", 1, 1),
    "SQRT": ("sqrt", 1, 1),
    "TAN": ("tan", 1, 1),
    "TRUNCATE": ("adql_truncate", 1, 2),
    "UPPER": ("upper", 1, 1),
}
MACROS = r"""
CREATE MACRO adql_truncate(x, n := 0) AS
    list_transform([pow(10, n)], lambda k: trunc(x * k) / k)[1];
CREATE MACRO ivo_nocasematch(value, pattern) AS CAST(value ILIKE pattern AS INTEGER);
CREATE MACRO ivo_hashlist_has(list, item) AS
    CAST(list_contains(string_split(lower(list), '#'), lower(item)) AS INTEGER);
CREATE MACRO ivo_hasword(text, word) AS
    CAST(regexp_matches(lower(text), '\b' || regexp_escape(lower(word)) || '\b') AS INTEGER);
"""

_SYMBOLS = frozenset("( ) , . - + * / < > <= >= = <> != || ;".split())  # noqa: SIM905
_ENDS = frozenset((",", ")", "FROM", "WHERE", "GROUP BY", "ORDER BY", "HAVING"))
_LITERALS = (TokenType.STRING, TokenType.NUMBER, TokenType.IDENTIFIER)

_BINARY = "this expression"
# Every node that a query may hold, with the arguments that it may carry.
_NODES: dict[type[exp.Expr], frozenset[str]] = {
    getattr(exp, name): frozenset(arguments.split())
    for name, arguments in {
        "Select": "with_ kind expressions from_ where group having order limit offset "
        "distinct joins",
        "Union": "with_ this expression distinct order limit offset",
        "Except": "with_ this expression distinct order limit offset",
        "Intersect": "with_ this expression distinct order limit offset",
        "With": "expressions",
        "CTE": "this alias",
        "Subquery": "this alias with_ order limit offset",
        "From": "this",
        "Join": "this on side kind using method",
        "Table": "this alias db joins",
        "TableAlias": "this",
        "Where": "this",
        "Group": "expressions",
        "Having": "this",
        "Order": "expressions",
        "Ordered": "this desc nulls_first",
        "Limit": "expression",
        "Offset": "expression",
        "Distinct": "expressions",
        "Alias": "this alias",
        "Column": "this table db",
        "Identifier": "this quoted",
        "Star": "",
        "Literal": "this is_string",
        "Null": "",
        "Paren": "this",
        "Neg": "this",
        "Not": "this",
        "And": _BINARY,
        "Or": _BINARY,
        "EQ": _BINARY,
        "NEQ": _BINARY,
        "GT": _BINARY,
        "GTE": _BINARY,
        "LT": _BINARY,
        "LTE": _BINARY,
        "Add": _BINARY,
        "Sub": _BINARY,
        "Mul": _BINARY,
        "Div": _BINARY + " typed safe",
        "DPipe": _BINARY + " safe",
        "Like": _BINARY + " negate",
        "ILike": _BINARY + " negate",
        "Is": _BINARY + " negate",
        "Escape": _BINARY,
        "Between": "this low high",
        "In": "this expressions query",
        "Exists": "this",
        "Case": "this ifs default",
        "If": "this true false",
        "Cast": "this to",
        "DataType": "this expressions nested",
        "DataTypeParam": "this",
        "Anonymous": "this expressions",
        "Count": "this big_int",
        "Sum": "this",
        "Avg": "this",
        "Min": "this",
        "Max": "this",
    }.items()
}
_TYPES = frozenset(
    "INT INTEGER BIGINT SMALLINT REAL FLOAT DOUBLE VARCHAR CHAR TEXT TIMESTAMP".split()  # noqa: SIM905
)


class ADQL(Dialect):
    """ADQL for sqlglot."""

    NORMALIZATION_STRATEGY = NormalizationStrategy.LOWERCASE

    class Tokenizer(tokens.Tokenizer):
        """Words and quotes of ADQL."""

        IDENTIFIERS = ['"']  # noqa: RUF012 - sqlglot's way to configure a dialect
        QUOTES = ["'"]  # noqa: RUF012
        STRING_ESCAPES = ["'"]  # noqa: RUF012
        COMMENTS = ["--", ("/*", "*/")]  # noqa: RUF012
        KEYWORDS = {**tokens.Tokenizer.KEYWORDS, "TOP": TokenType.TOP}  # noqa: RUF012

    class Parser(parser.Parser):
        """Only the aggregates are known functions: ``LOG`` and the like keep ADQL's meaning."""

        FUNCTIONS = {  # noqa: RUF012
            name: (lambda args, kind=kind: kind(this=args[0] if len(args) == 1 else None))
            for name, kind in _AGGREGATES.items()
        }
        NO_PAREN_FUNCTIONS = {}  # noqa: RUF012
        FUNCTION_PARSERS = {"CAST": lambda self: self._parse_cast(strict=True)}  # noqa: RUF012
        NO_PAREN_FUNCTION_PARSERS = {  # noqa: RUF012
            "CASE": parser.Parser.NO_PAREN_FUNCTION_PARSERS["CASE"]
        }


def schema(tables: Mapping[str, Mapping[str, Mapping[str, str]]]) -> MappingSchema:
    """Return what `parse` may resolve names against: schema → table → column → SQL type."""
    return MappingSchema(dict(tables), dialect=ADQL, normalize=False)


def parse(query: str, known: MappingSchema) -> exp.Query:
    """Return a checked query with every column resolved.

    Raises
    ------
    QueryError
        With line and column where they are known.
    """
    try:
        tree = _read(query)
        _check(tree, known)
        return qualify(tree, dialect=ADQL, schema=known, quote_identifiers=True, sql=query)
    except RecursionError:
        raise QueryError("The query is nested too deeply") from None
    except SqlglotError as err:
        raise _unclear(err, query) from err
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as err:
        # sqlglot stumbles over some malformed input instead of reporting it.
        raise QueryError("The query cannot be understood", cause=type(err).__name__) from err


def to_sql(tree: exp.Query) -> str:
    """Return DuckDB's SQL for a checked query.

    Raises
    ------
    QueryError
        For wrong arguments of a function.
    """

    def rewritten(node: exp.Expr) -> exp.Expr:
        name = geometry.name_of(node)
        if name in geometry.FUNCTIONS:
            made = geometry.rewrite(node)
        elif name in SCALARS:
            made = _scalar(name, list(node.expressions))
        elif isinstance(node, exp.Literal) and not node.is_string and "." in node.this:
            # DuckDB reads 0.1 as DECIMAL, whose products overflow; with an exponent it is DOUBLE.
            text = node.this
            return exp.Literal.number(text if "e" in text.lower() else f"{text}e0")
        else:
            return node
        # sqlglot does not look into what replaced a node: LOG inside ROUND would stay DuckDB's.
        for child in list(made.iter_expressions()):
            child.replace(child.transform(rewritten, copy=False))
        return made

    try:
        # From the top, so that CONTAINS sees its POINT before that becomes a list.
        return tree.transform(rewritten).sql(dialect="duckdb")
    except RecursionError:
        raise QueryError("The query is nested too deeply") from None


def _scalar(name: str, given: list[exp.Expr]) -> exp.Expr:
    function, fewest, most = SCALARS[name]
    if not fewest <= len(given) <= most:
        wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
        raise QueryError(f"{name} takes {wanted} arguments and got {len(given)}")
    # A seed of RAND is the session's in DuckDB, and sessions are shared.
    return geometry.call(function, *([] if name == "RAND" else given))


def _read(query: str) -> exp.Query:
    if len(query) > MAX_CHARACTERS:
        raise QueryError(f"The query is longer than {MAX_CHARACTERS} characters")
    if any(ord(c) < 32 and c not in "\t\n\r" for c in query):
        raise QueryError("The query holds control characters")
    words = ADQL().tokenize(query)
    while words and words[-1].token_type == TokenType.SEMICOLON:
        words.pop()
    if not words:
        raise QueryError("The query is empty", remedy="write SELECT ... FROM ...")
    _check_tokens(words)
    trees = ADQL().parser().parse(words, query)
    tree = trees[0] if len(trees) == 1 else None
    if not isinstance(tree, exp.Select | exp.SetOperation | exp.Subquery):
        raise QueryError("Only a single SELECT is accepted")
    inner = tree.unnest() if isinstance(tree, exp.Subquery) else tree
    if not isinstance(inner, exp.Query):
        raise QueryError("Only a single SELECT is accepted")
    return inner


def _check_tokens(words: list[tokens.Token]) -> None:
    if len(words) > MAX_TOKENS:
        raise QueryError(f"The query has more than {MAX_TOKENS} words")
    first = words[0]
    if first.token_type not in (TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN):
        raise QueryError(f"A query starts with SELECT, not {first.text[:40]!r}{_place(first)}")
    depth = 0
    before: tokens.Token | None = None
    for word in words:
        # sqlglot forgives "a,, b" and "a, FROM".
        if (
            before is not None
            and before.token_type == TokenType.COMMA
            and word.text.upper() in _ENDS
        ):
            raise QueryError(f"Something is missing after a comma{_place(before)}")
        before = word
        depth += (word.token_type == TokenType.L_PAREN) - (word.token_type == TokenType.R_PAREN)
        if depth > MAX_DEPTH:
            raise QueryError("The query is nested too deeply")
        if word.token_type in _LITERALS or word.text in _SYMBOLS:
            if word.token_type == TokenType.SEMICOLON:
                raise QueryError("Only a single SELECT is accepted" + _place(word))
            continue
        regular = all(part.isascii() and part.isidentifier() for part in word.text.split())
        if not regular or word.text.upper() in FOREIGN:
            raise QueryError(f"{word.text[:40]!r} is not ADQL{_place(word)}")


def _place(word: Any) -> str:
    # sqlglot counts a column from the end of the word.
    return f" (line {word.line}, column {max(word.col - len(word.text) + 1, 1)})"


def _place_of(node: exp.Expr) -> str:
    for found in node.walk():
        if "line" in found.meta:
            column = found.meta["col"] - (found.meta["end"] - found.meta["start"])
            return f" (line {found.meta['line']}, column {max(column, 1)})"
    return ""


def _unclear(err: SqlglotError, query: str) -> QueryError:
    """Put an error of sqlglot into the words of someone who writes ADQL."""
    if isinstance(err, TokenError):
        quote = "'" if query.count("'") % 2 else '"' if query.count('"') % 2 else ""
        if quote:
            line = query[: query.rindex(quote)].count("\n") + 1
            column = query.rindex(quote) - query.rfind("\n", 0, query.rindex(quote))
            return QueryError(f"A quote is never closed (line {line}, column {column})")
        return QueryError("The query cannot be read")
    if isinstance(err, ParseError) and err.errors:
        found = err.errors[0]
        what = str(found.get("description") or "The query cannot be read")
        part = re.match(r"Required keyword: .* missing for <class '.*\.(\w+)'>", what)
        if part:
            what = f"{part[1].upper()} is incomplete"
        what = what.split(" but got <")[0].split(". ")[0].rstrip(".")
        near = str(found.get("highlight") or "")[:40]
        column = max((found.get("col") or 1) - len(near) + 1, 1)
        place = f" (line {found['line']}, column {column})" if found.get("line") else ""
        return QueryError(f"{what}{f' near {near!r}' if near else ''}{place}")
    # Its highlight is in terminal colours, so only the first line is used.
    text = str(err).split("\n")[0]
    unknown = re.match(r"Column '(.*)' could not be resolved.*Line: (\d+), Col: (\d+)", text)
    if unknown:
        name, row, end = unknown.groups()
        start = max(int(end) - len(name.rpartition(".")[2]) + 1, 1)
        return QueryError(f"Unknown column {name[:120]} (line {row}, column {start})")
    return QueryError(re.sub(r"\x1b\[[0-9;]*m", "", text)[:300])


def _check(tree: exp.Query, known: MappingSchema) -> None:
    levels: dict[int, int] = {}
    for node in tree.walk(bfs=True):
        # Parents come first; AND and OR are flattened by DuckDB, so long chains of them are fine.
        above = levels.get(id(node.parent), 0)
        levels[id(node)] = above + (not isinstance(node, exp.Connector))
        if levels[id(node)] > MAX_LEVELS:
            raise QueryError("The query is nested too deeply")
        allowed = _NODES.get(type(node))
        if allowed is None:
            raise QueryError(f"{_name(node)} is not ADQL{_place_of(node)}")
        for key, value in node.args.items():
            if key not in allowed and value not in (None, False, [], ""):
                word = key.rstrip("_").upper()
                raise QueryError(f"{word} in {_name(node)} is not ADQL{_place_of(node)}")
        _check_node(node)
    hidden = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    tables = list(tree.find_all(exp.Table))
    for table in tables:
        _check_table(table, known, hidden)
    if _sources(tree) > MAX_SOURCES:
        raise QueryError(f"The query reads more than {MAX_SOURCES} tables, counted with repetition")
    named = {(t.db.lower(), t.name.lower()) for t in tables if t.db and not t.alias}
    for column in list(tree.find_all(exp.Column)):
        if column.db:
            # schema.table.column is ADQL; sqlglot would look for a field of a structure.
            if (column.db.lower(), column.table.lower()) not in named:
                raise QueryError(f"Unknown column {column.sql()[:120]}{_place_of(column)}")
            column.set("db", None)


def _sources(tree: exp.Query) -> int:
    """Count the tables of a query after every common table is replaced by what it stands for."""
    common: dict[str, list[exp.CTE]] = {}
    for cte in tree.find_all(exp.CTE):
        common.setdefault(cte.alias_or_name.lower(), []).append(cte)
    counted: dict[int, int] = {}

    def size(node: exp.Expr) -> int:
        if id(node) not in counted:
            counted[id(node)] = 1  # what names itself is no table, and is refused later
            inside = [
                t for t in node.find_all(exp.Table) if t.find_ancestor(exp.CTE) in (None, node)
            ]
            counted[id(node)] = sum(
                max((size(c) for c in common.get(t.name.lower(), ())), default=1) if not t.db else 1
                for t in inside
            )
        return counted[id(node)]

    return size(tree)


def _name(node: exp.Expr) -> str:
    return type(node).__name__.upper()


def _check_node(node: exp.Expr) -> None:
    name = geometry.name_of(node)
    if isinstance(node, exp.Anonymous) and name not in SCALARS and name not in geometry.FUNCTIONS:
        raise QueryError(f"Unknown function {str(node.this)[:60]}{_place_of(node)}")
    if name in geometry.COMPUTED and _geometry_above(node) >= MAX_GEOMETRY:
        raise QueryError(f"Geometry is nested too deeply at {name}{_place_of(node)}")
    if isinstance(node, tuple(_AGGREGATES.values())) and node.this is None:
        raise QueryError(f"{_name(node)} takes one argument{_place_of(node)}")
    if isinstance(node, exp.Star) and not isinstance(
        node.parent, exp.Select | exp.Count | exp.Column
    ):
        raise QueryError(f"A * stands for columns in SELECT only{_place_of(node.parent or node)}")
    starred = isinstance(node, exp.Column) and isinstance(node.this, exp.Star)
    if starred and not isinstance(node.parent, exp.Select):
        raise QueryError(f"A * stands for columns in SELECT only{_place_of(node)}")
    if isinstance(node, exp.Distinct) and not isinstance(
        node.parent, (exp.Select, *_AGGREGATES.values())
    ):
        raise QueryError(f"DISTINCT is for SELECT and aggregates{_place_of(node)}")
    if isinstance(node, exp.Select):
        if not node.args.get("from_"):
            raise QueryError(f"FROM is missing after SELECT{_place_of(node)}")
        if node.args.get("kind"):
            raise QueryError(f"SELECT AS {node.args['kind']} is not ADQL")
    if isinstance(node, exp.Join) and (
        node.method.upper() not in ("", "NATURAL")
        or node.kind.upper() not in ("", "INNER", "OUTER", "CROSS")
        or node.side.upper() not in ("", "LEFT", "RIGHT", "FULL")
    ):
        kind = f"{node.method} {node.side} {node.kind}".strip().upper()
        raise QueryError(f"{kind} JOIN is not ADQL{_place_of(node)}")
    if isinstance(node, exp.DataType) and node.this.name not in _TYPES:
        raise QueryError(f"A CAST to {node.sql()[:40]} is not offered")
    if isinstance(node, exp.Limit | exp.Offset):
        number = node.expression
        if not (isinstance(number, exp.Literal) and str(number.this).isdigit()):
            raise QueryError(f"TOP and OFFSET take a whole number{_place_of(node)}")
        if len(number.this) > 18:
            raise QueryError("TOP and OFFSET take at most 18 digits")


def _geometry_above(node: exp.Expr) -> int:
    """Count the functions of geometry that an expression stands in, within its SELECT."""
    count = 0
    above = node.parent
    while above is not None and not isinstance(above, exp.Query):
        count += geometry.name_of(above) in geometry.COMPUTED
        above = above.parent
    return count


def _check_table(table: exp.Table, known: MappingSchema, hidden: set[str]) -> None:
    name, db = table.args.get("this"), table.args.get("db")
    if not isinstance(name, exp.Identifier):
        raise QueryError(f"{table.sql()[:60]} is no table{_place_of(table)}")
    if not db and name.name.lower() in hidden:
        return
    wanted = [part.name if part.quoted else part.name.lower() for part in (db, name) if part]
    found: Any = known.mapping
    for part in wanted if len(wanted) == 2 else ["", *wanted]:
        found = found.get(part, {}) if isinstance(found, Mapping) else {}
    if not found:
        raise QueryError(
            f"Unknown table {'.'.join(wanted)[:120]}{_place_of(table)}",
            remedy="SELECT table_name FROM tap_schema.tables lists what is here",
        )


def sources(tree: exp.Query) -> Iterator[exp.Table]:
    """Yield the published tables that a checked query reads."""
    for table in tree.find_all(exp.Table):
        if table.args.get("db"):
            yield table
