import pytest

from jupyter_astroml.archives.archive import archive
from jupyter_astroml.archives.completion import MOST, complete
from jupyter_astroml.archives.schema import ColumnInfo, Schema, TableInfo


def column(name: str, unit: str = "") -> ColumnInfo:
    return ColumnInfo(name, "double", unit, f"ucd.of.{name}", f"the {name}")


def table(name: str, *columns: str) -> TableInfo:
    return TableInfo(name, f"table {name}", tuple(column(c, "deg") for c in columns))


SCHEMAS = (
    Schema("demo", "", (table("demo.galaxies", "id", "ra", "mag_r"), table("demo.stars", "teff"))),
    Schema("J/A+A/1", "", (table('"J/A+A/1"."table"', "RAJ2000"),)),
)


def at_cursor(query: str):
    """Return the piece that would be replaced and what would replace it, at the mark ``|``."""
    at = query.index("|")
    found = complete(query.replace("|", "", 1), at, schemas=SCHEMAS)
    return query[found.start : at], [each.text for each in found.options]


@pytest.mark.parametrize(
    ("query", "piece", "first"),
    [
        ("SELECT * FROM |", "", ["demo.galaxies", "demo.stars", '"J/A+A/1"."table"']),
        ("SELECT * FROM de|", "de", ["demo.galaxies", "demo.stars"]),
        ("SELECT * FROM gal|", "gal", ["demo.galaxies"]),
        ("select * from demo.|", "", ["galaxies", "stars"]),
        ("SELECT * FROM demo.st|", "st", ["stars"]),
        ("SELECT * FROM demo.galaxies AS g, st|", "st", ["demo.stars"]),
        ("SELECT * FROM demo.galaxies AS g JOIN |", "", ["demo.galaxies", "demo.stars"]),
        ("SELECT m| FROM demo.galaxies", "m", ["mag_r", "MIN", "MAX", "MOD"]),
        ("SELECT MA| FROM demo.galaxies", "MA", ["mag_r", "MAX"]),
        ("SELECT g.| FROM demo.galaxies AS g", "", ["id", "ra", "mag_r"]),
        ("SELECT g.i| FROM demo.galaxies g", "i", ["id"]),
        ("SELECT s.| FROM demo.galaxies AS g, demo.stars AS s", "", ["teff"]),
        ("SELECT s.t| FROM demo.galaxies g JOIN demo.stars s ON g.id = s.id", "t", ["teff"]),
        ("SELECT demo.stars.| FROM demo.stars", "", ["teff"]),
        ('SELECT "R| FROM "J/A+A/1"."table"', '"R', ["RAJ2000"]),
        ('SELECT t.| FROM "J/A+A/1"."table" AS t', "", ["RAJ2000"]),
        ("SELECT te| -- FROM demo.stars", "te", []),
        ("SELECT te| FROM demo.stars -- x", "te", ["teff"]),
        ("SELECT 'FROM demo.stars', te|", "te", []),
        ("SELECT 'it''s|", "", []),
        ("SELECT 'a|", "", []),
        ("SELECT 1 -- note|", "", []),
        ("SELECT x.| FROM demo.galaxies", "", []),
        ("SELECT ra FROM demo.galaxies WHE|", "WHE", ["WHERE", "WHEN"]),
    ],
)
def test_what_fits_at_the_cursor_comes_first(query, piece, first):
    replaced, options = at_cursor(query)
    assert (replaced, options[: len(first)]) == (piece, first)
    assert options or not first


def test_columns_functions_and_keywords_follow_each_other():
    _, options = at_cursor("SELECT | FROM demo.galaxies AS g")
    places = [options.index(each) for each in ("id", "g", "CONTAINS", "WHERE")]
    assert places == sorted(places)


def test_an_option_says_type_unit_and_meaning():
    (option,) = complete("SELECT te FROM demo.stars", 9, schemas=SCHEMAS).options
    assert (option.kind, option.detail) == ("column", "double [deg]")
    assert option.info == "the teff; ucd.of.teff"


def test_a_large_archive_is_cut():
    many = Schema("s", "", tuple(table(f"s.t{i}", "x") for i in range(3 * MOST)))
    assert len(complete("SELECT * FROM ", 14, schemas=[many]).options) == MOST


@pytest.mark.parametrize(
    "query", ["", "'", '"', "FROM " * 3000, 'FROM "' * 900, "a." * 5000, "\0", "FROM a,b," * 1000]
)
def test_no_input_is_too_odd(query):
    assert complete(query, len(query), schemas=SCHEMAS).start <= len(query)
    assert complete(query, 10**9, schemas=SCHEMAS).start <= len(query)


def test_the_demo_archive_completes_its_own_columns(demo_archive):
    with archive(demo_archive.tap) as sky:
        found = sky.complete("SELECT mag_ FROM demo.galaxies", 11)
    assert {"mag_r"} <= {each.text for each in found.options}
    assert found.start == 7
