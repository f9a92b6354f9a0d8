"""Words and names of the Astronomical Data Query Language."""

from __future__ import annotations

import re
from collections.abc import Set

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

# What a query is made of, in the order in which people need it (ADQL 2.1 sections 2.2 and 3).
KEYWORDS = tuple(
    """
    SELECT FROM WHERE AND OR NOT ORDER GROUP BY TOP DISTINCT AS JOIN ON IN BETWEEN LIKE IS NULL
    HAVING INNER LEFT RIGHT FULL OUTER CROSS NATURAL USING ASC DESC CASE WHEN THEN ELSE END EXISTS
    UNION ALL INTERSECT EXCEPT OFFSET WITH CAST ILIKE
    """.split()  # noqa: SIM905
)

# Functions and their arguments (ADQL 2.1 sections 2.3, 4.2 and 4.3): angles in degrees.
FUNCTIONS = {
    "CONTAINS": "(region, region) → 1 or 0",
    "POINT": "(longitude, latitude)",
    "CIRCLE": "(longitude, latitude, radius)",
    "POLYGON": "(longitude, latitude, …)",
    "BOX": "(longitude, latitude, width, height)",
    "DISTANCE": "(point, point)",
    "INTERSECTS": "(region, region) → 1 or 0",
    "CENTROID": "(region)",
    "AREA": "(region)",
    "COORD1": "(point)",
    "COORD2": "(point)",
    "COUNT": "(*)",
    "AVG": "(x)",
    "MIN": "(x)",
    "MAX": "(x)",
    "SUM": "(x)",
    "ABS": "(x)",
    "ROUND": "(x, decimals)",
    "TRUNCATE": "(x, decimals)",
    "FLOOR": "(x)",
    "CEILING": "(x)",
    "MOD": "(x, y)",
    "POWER": "(x, y)",
    "SQRT": "(x)",
    "EXP": "(x)",
    "LOG": "(x), natural",
    "LOG10": "(x)",
    "SIN": "(radians)",
    "COS": "(radians)",
    "TAN": "(radians)",
    "COT": "(radians)",
    "ASIN": "(x)",
    "ACOS": "(x)",
    "ATAN": "(x)",
    "ATAN2": "(y, x)",
    "DEGREES": "(radians)",
    "RADIANS": "(degrees)",
    "PI": "()",
    "RAND": "(seed)",
    "COALESCE": "(x, …)",
    "LOWER": "(text)",
    "UPPER": "(text)",
    "IN_UNIT": "(x, 'unit')",
}

_REGULAR = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def delimited(name: str, *, also: Set[str] = frozenset()) -> str:
    """Return a name as it must be written in a query: quoted when reserved or not regular.

    Parameters
    ----------
    name : str
        Of a column, or one part of a table's name.
    also : set of str
        More words that a service reserves, in capitals.
    """
    if _REGULAR.fullmatch(name) and name.upper() not in RESERVED | also:
        return name
    return '"' + name.replace('"', '""') + '"'
