"""What the archive knows about a table and its columns, in the words of TAP_SCHEMA."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

# ADQL 2.1 section 2.1.3; a column with such a name must be written "like this".
RESERVED = frozenset(
    """
    ABS ACOS AREA ASIN ATAN ATAN2 BIGINT BOX CEILING CENTROID CIRCLE CONTAINS COORD1 COORD2 COORDSYS
    COS COT DEGREES DISTANCE EXP FLOOR ILIKE INTERSECTS IN_UNIT LOG LOG10 MOD OFFSET PI POINT
    POLYGON POWER RADIANS REGION RAND ROUND SIN SQRT TAN TOP TRUNCATE
    ABSOLUTE ACTION ADD ALL ALLOCATE ALTER AND ANY ARE AS ASC ASSERTION AT AUTHORIZATION AVG BEGIN
    BETWEEN BIT BIT_LENGTH BOTH BY CASCADE CASCADED CASE CAST CATALOG CHAR CHARACTER
    CHARACTER_LENGTH CHAR_LENGTH CHECK CLOSE COALESCE COLLATE COLLATION COLUMN COMMIT CONNECT
    CONNECTION CONSTRAINT CONSTRAINTS CONTINUE CONVERT CORRESPONDING COUNT CREATE CROSS CURRENT
    CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER CURSOR DATE DAY DEALLOCATE DECIMAL
    DECLARE DEFAULT DEFERRABLE DEFERRED DELETE DESC DESCRIBE DESCRIPTOR DIAGNOSTICS DISCONNECT
    DISTINCT DOMAIN DOUBLE DROP ELSE END END-EXEC ESCAPE EXCEPT EXCEPTION EXEC EXECUTE EXISTS
    EXTERNAL EXTRACT FALSE FETCH FIRST FLOAT FOR FOREIGN FOUND FROM FULL GET GLOBAL GO GOTO GRANT
    GROUP HAVING HOUR IDENTITY IMMEDIATE IN INDICATOR INITIALLY INNER INPUT INSENSITIVE INSERT INT
    INTEGER INTERSECT INTERVAL INTO IS ISOLATION JOIN KEY LANGUAGE LAST LEADING LEFT LEVEL LIKE
    LOCAL LOWER MATCH MAX MIN MINUTE MODULE MONTH NAMES NATIONAL NATURAL NCHAR NEXT NO NOT NULL
    NULLIF NUMERIC OCTET_LENGTH OF ON ONLY OPEN OPTION OR ORDER OUTER OUTPUT OVERLAPS PAD PARTIAL
    POSITION PRECISION PREPARE PRESERVE PRIMARY PRIOR PRIVILEGES PROCEDURE PUBLIC READ REAL
    REFERENCES RELATIVE RESTRICT REVOKE RIGHT ROLLBACK ROWS SCHEMA SCROLL SECOND SECTION SELECT
    SESSION SESSION_USER SET SIZE SMALLINT SOME SPACE SQL SQLCODE SQLERROR SQLSTATE SUBSTRING SUM
    SYSTEM_USER TABLE TEMPORARY THEN TIME TIMESTAMP TIMEZONE_HOUR TIMEZONE_MINUTE TO TRAILING
    TRANSACTION TRANSLATE TRANSLATION TRIM TRUE UNION UNIQUE UNKNOWN UPDATE UPPER USAGE USER USING
    VALUE VALUES VARCHAR VARYING VIEW WHEN WHENEVER WHERE WITH WORK WRITE YEAR ZONE
    """.split()  # noqa: SIM905
)
# Words of other dialects, which an unquoted query may not hold.
FOREIGN = frozenset(
    """
    ANTI ASOF COLLATE COPY CUBE FETCH GLOB INTO LATERAL LIMIT LOCK NOTNULL OVER PARTITIONED_BY
    PIVOT QUALIFY RECURSIVE REGEXP RETURNING RLIKE ROLLUP SEMI SUMMARIZE TABLESAMPLE UNCACHE
    UNNEST UNPIVOT VALUES WINDOW XOR
    """.split()  # noqa: SIM905
)

_REGULAR = re.compile(r"[a-z][a-z0-9_]*")


def delimited(name: str) -> str:
    """Return a name as it must be written in ADQL: quoted when it is reserved or not regular."""
    if _REGULAR.fullmatch(name) and name.upper() not in RESERVED | FOREIGN:
        return name
    return '"' + name.replace('"', '""') + '"'


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
