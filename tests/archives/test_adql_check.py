import pytest

from jupyter_astroml.archives.adql import check
from jupyter_astroml.archives.archive import archive
from jupyter_astroml.core.errors import ArchiveError, QueryError

TABLES = {
    "demo.galaxies": ("id", "ra", "dec", "mag_r"),
    "demo.stars": ("id", "ra", "dec", "mag_t"),
    '"J/A+A/1"."table"': ("Name", "RAJ2000"),
}


def problems(query: str):
    return check(query, columns=TABLES.get, tables=lambda: list(TABLES))


GOOD = [
    "SELECT TOP 5 id, ra FROM demo.galaxies WHERE mag_r < 17 ORDER BY mag_r DESC",
    "SELECT g.id, s.mag_t AS bright FROM demo.galaxies AS g JOIN demo.stars s ON g.id = s.id "
    "ORDER BY bright",
    "SELECT COUNT(*) AS n, AVG(mag_r) FROM demo.galaxies GROUP BY ROUND(mag_r, 1) "
    "HAVING COUNT(*) > 2",
    "SELECT id FROM demo.galaxies WHERE 1 = CONTAINS(POINT('ICRS', ra, dec), CIRCLE(1, 2, 0.1))",
    "SELECT * FROM (SELECT id, mag_r + 1 AS m FROM demo.galaxies) AS q WHERE q.m < 3",
    "SELECT id FROM demo.galaxies g WHERE EXISTS (SELECT 1 FROM demo.stars s WHERE s.id = g.id)",
    'SELECT "Name" FROM "J/A+A/1"."table"',
    "SELECT ivo_healpix_index(8, ra, dec) AS h FROM demo.galaxies",
    "SELECT m.x, g.id FROM tap_upload.mine AS m, demo.galaxies AS g",
    "SELECT id FROM demo.galaxies UNION ALL SELECT id FROM demo.stars",
    "WITH b AS (SELECT id FROM demo.stars) SELECT b.id FROM b",
    "SELECT DISTANCE(POINT(ra, dec), POINT(1, 2)) AS far FROM demo.galaxies -- the nearest",
]


@pytest.mark.parametrize("query", GOOD)
def test_nothing_is_said_about_a_good_query(query):
    assert problems(query) == []


@pytest.mark.parametrize(
    ("query", "what", "place", "nearest"),
    [
        ("SELECT mag_q\nFROM demo.galaxies", "no column mag_q", (1, 8), "mag_r"),
        ("SELECT id,\n  s.mag_r\nFROM demo.stars AS s", "no column mag_r in s", (2, 5), "mag_t"),
        ("SELECT id FROM galaxies", "no table galaxies", (1, 16), "demo.galaxies"),
        ("SELECT id FROM demo.galaxys", "no table demo.galaxys", (1, 16), "demo.galaxies"),
        ("SELECT h.id FROM demo.galaxies AS g", "no table h", (1, 8), None),
        ("SELECT id FROM demo.galaxies WHERE", "from 'WHERE' on", (1, 30), None),
        ("SELEC id FROM demo.galaxies", "from 'FROM' on", (1, 10), None),
        ("SELECT 'a FROM demo.galaxies", "never closed", (1, 8), None),
        ("", "empty", (0, 0), None),
        ("SELECT 1; SELECT 2", "single SELECT", (0, 0), None),
        ("DROP TABLE demo.galaxies", "single SELECT", (0, 0), None),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_was_meant(query, what, place, nearest):
    found = problems(query)
    assert len(found) == 1
    assert what in found[0].what
    assert (found[0].line, found[0].column) == place
    assert nearest is None or nearest in found[0].nearest
    assert nearest is None or f"did you mean {nearest}" in str(found[0])


def test_a_limit_is_told_to_be_a_top():
    (found,) = problems("SELECT id\nFROM demo.galaxies LIMIT 5")
    assert "write SELECT TOP 5 instead" in found.what
    assert (found.line, found.column) == (2, 20)
    assert problems('SELECT "limit" FROM nowhere')[0].what == "There is no table nowhere"


def test_a_closed_port_is_told_in_plain_words():
    with pytest.raises(ArchiveError) as err:
        archive("http://127.0.0.1:9/tap").query("SELECT TOP 1 * FROM x")
    assert err.value.cause == "connection refused"


def test_there_is_one_thing_to_do(demo_archive):
    with archive(demo_archive.tap) as sky, pytest.raises(QueryError) as err:
        sky.query("SELECT id FROM galaxies LIMIT 5")
    assert str(err.value).count("To do") == 1


@pytest.mark.parametrize(
    "query", ["SELECT " + "(" * 3000, "SELECT '" + "x" * 20_000, "((((", "\0", "SELECT \ud800"]
)
def test_no_input_is_too_odd_to_be_looked_at(query):
    assert isinstance(problems(query), list)


def test_an_archive_checks_against_its_own_tables(demo_archive):
    with archive(demo_archive.tap) as sky:
        assert sky.check("SELECT id FROM demo.galaxies") == []
        assert sky.check("SELECT id FROM DEMO.Galaxies") == []
        (found,) = sky.check("SELECT idd FROM demo.galaxies")
        assert "id" in found.nearest
        (found,) = sky.check("SELECT id FROM demo.galaxie")
        assert found.nearest[0] == "demo.galaxies"


def test_a_check_asks_nothing_once_the_schema_is_known(demo_archive):
    with archive(demo_archive.tap) as sky:
        sky.schema()
        asked = []
        sky._session.hooks["response"].append(lambda answer, **_: asked.append(answer.url))
        assert sky.check("SELECT id FROM DEMO.Galaxies") == []
        (table,) = sky.check("SELECT id FROM demo.galaxie")
        (column,) = sky.check("SELECT idd FROM demo.galaxies")
    assert (table.nearest[0], column.nearest[0]) == ("demo.galaxies", "id")
    assert asked == []
