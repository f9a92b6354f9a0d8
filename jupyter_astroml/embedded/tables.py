"""What the archive knows about a table and its columns, in the words of TAP_SCHEMA."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from jupyter_astroml.core import adql

# Words of other dialects, which an unquoted query may not hold.
FOREIGN = frozenset(
    """
    ANTI ASOF COLLATE COPY CUBE FETCH GLOB INTO LATERAL LIMIT LOCK NOTNULL OVER PARTITIONED_BY
    PIVOT QUALIFY RECURSIVE REGEXP RETURNING RLIKE ROLLUP SEMI SUMMARIZE TABLESAMPLE UNCACHE
    UNNEST UNPIVOT VALUES WINDOW XOR
    """.split()  # noqa: SIM905
)


def delimited(name: str) -> str:
    """Return a name as it must be written in our ADQL: in quotes if it is also a foreign word."""
    return adql.delimited(name, also=FOREIGN)


def regular(name: str, *, taken: Iterable[str] = ()) -> str:
    """Return a lower-case ADQL identifier made from any text.

    Parameters
    ----------
    name : str
        Such as the header of a column in a CSV file.
    taken : iterable of str
        Names in use; ADQL folds case, so ``e_tpeak`` and ``E_tpeak`` collide and the second of
        them gets a number.
    """
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "column"
    if not plain[0].isalpha():
        plain = "c_" + plain
    used = set(taken)
    candidate, number = plain, 2
    while candidate in used:
        candidate, number = f"{plain}_{number}", number + 1
    return candidate


@dataclass(frozen=True)
class Column:
    """A column of a table or of an answer.

    Attributes
    ----------
    name : str
        Without delimiters, lower-case.
    datatype, arraysize, xtype : str
        As in a FIELD of VOTable 1.4; `arraysize` is empty for a single value.
    unit, ucd, utype, description : str
        Empty when unknown.
    indexed, principal, std : bool
        As in TAP_SCHEMA.
    link : bool
        The values are addresses relative to the archive's own, which are completed on output.
    """

    name: str
    datatype: str = "char"
    arraysize: str = ""
    xtype: str = ""
    unit: str = ""
    ucd: str = ""
    utype: str = ""
    description: str = ""
    indexed: bool = False
    principal: bool = True
    std: bool = False
    link: bool = False

    @property
    def scalar(self) -> bool:
        """Whether a cell holds one value; a text counts as one."""
        return not self.arraysize or self.datatype in ("char", "unicodeChar")


@dataclass(frozen=True)
class ForeignKey:
    """Columns of a table that name rows of another."""

    target: str
    columns: tuple[tuple[str, str], ...]
    description: str = ""


@dataclass(frozen=True)
class Table:
    """A published table.

    Attributes
    ----------
    name : str
        ``schema.table``, lower-case.
    columns : tuple of Column
    description, utype : str
    keys : tuple of ForeignKey
    """

    name: str
    columns: tuple[Column, ...]
    description: str = ""
    utype: str = ""
    keys: tuple[ForeignKey, ...] = field(default=())

    @property
    def schema(self) -> str:
        """Name of the schema."""
        return self.name.partition(".")[0]

    def column(self, name: str) -> Column | None:
        """Return the column with a name."""
        return next((c for c in self.columns if c.name == name), None)
