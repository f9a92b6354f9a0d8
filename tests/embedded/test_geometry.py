"""Geometry against astropy, and against figures worked out by hand."""

import itertools

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from jupyter_astroml.core.errors import QueryError


@pytest.fixture(scope="module")
def places(catalogue):
    return SkyCoord(catalogue["ra"], catalogue["dec"], unit=u.deg)


@pytest.fixture(scope="module")
def value(ask):
    return lambda text: ask(f"SELECT TOP 1 {text} AS x FROM demo.specz")[0][0]


@pytest.mark.parametrize(
    "cone", [(150.3, 2.5, 0.4), (149.01, 1.0, 0.7), (0.0, 89.0, 0.3), (359.9, 89.2, 0.6)]
)
@pytest.mark.parametrize(
    "form",
    [
        "1 = CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', {}, {}, {}))",
        "CONTAINS(POINT(ra, dec), CIRCLE(POINT({}, {}), {})) = 1",
        "DISTANCE(POINT(ra, dec), POINT({}, {})) <= {}",
        "DISTANCE(ra, dec, {}, {}) <= {}",
        "1 = INTERSECTS(CIRCLE({}, {}, {}), POINT(ra, dec))",
    ],
)
def test_a_cone_holds_the_sources_that_astropy_finds(ask, catalogue, places, cone, form):
    centre = SkyCoord(cone[0], cone[1], unit=u.deg)
    wanted = set(catalogue["id"][places.separation(centre).deg <= cone[2]].tolist())
    assert len(wanted) > 20
    rows = ask(f"SELECT id FROM demo.sources WHERE {form.format(*cone)}")
    assert {r[0] for r in rows} == wanted


def test_the_outside_of_a_cone_is_the_rest(ask, catalogue):
    inside, outside = (
        ask(
            f"SELECT COUNT(*) FROM demo.sources WHERE {k} = "
            "CONTAINS(POINT(ra, dec), CIRCLE(150, 2.2, 0.3))"
        )[0][0]
        for k in (1, 0)
    )
    assert inside > 0
    assert inside + outside == len(catalogue["id"])


def test_distances_agree_with_astropy_to_a_nanoarcsecond(ask, places):
    found = np.array([r[0] for r in ask("SELECT DISTANCE(ra, dec, 150.3, 2.5) FROM demo.sources")])
    wanted = places.separation(SkyCoord(150.3, 2.5, unit=u.deg)).arcsec
    assert np.abs(found * 3600 - wanted).max() < 1e-9 * 3600


def test_small_distances_keep_their_digits(value):
    assert value("DISTANCE(10, 80, 10, 80.0000000001)") * 3.6e9 == pytest.approx(0.36, rel=1e-4)


@pytest.mark.parametrize(
    "corners",
    [
        [(149.5, 1.9), (150.5, 1.9), (150.2, 2.7)],
        [(149.2, 1.2), (150.8, 1.2), (150.0, 2.0), (150.8, 2.8), (149.2, 2.8)],
        # around a pole, and across right ascension 0
        [(0.0, 88.6), (120.0, 88.6), (240.0, 88.6)],
        [(359.7, 88.7), (0.4, 88.7), (0.3, 89.3), (359.6, 89.3)],
    ],
)
def test_a_polygon_holds_what_a_test_by_planes_finds(ask, catalogue, places, corners):
    """Independent: the polygon is split into triangles, and a point is inside a triangle when it
    lies on the same side of the planes through its three edges."""
    points = SkyCoord(*np.array(corners).T, unit=u.deg).cartesian.xyz.value.T
    targets = places.cartesian.xyz.value.T
    crossings = np.zeros(len(targets), dtype=int)
    for a, b in itertools.pairwise(points[1:]):
        sides = [
            np.sign(targets @ np.cross(p, q)) for p, q in ((points[0], a), (a, b), (b, points[0]))
        ]
        turn = np.sign(np.dot(points[0], np.cross(a, b)))
        crossings += (np.abs(np.sum(sides, axis=0)) == 3) * int(turn)
    wanted = set(catalogue["id"][crossings != 0].tolist())
    assert len(wanted) > 20
    flat = ", ".join(f"{x!r}, {y!r}" for x, y in corners)
    rows = ask(f"SELECT id FROM demo.sources WHERE 1 = CONTAINS(POINT(ra, dec), POLYGON({flat}))")
    assert {r[0] for r in rows} == wanted


def test_a_box_on_the_equator_holds_its_quarter_of_a_square_degree(value):
    inside = "CONTAINS(POINT({}, {}), BOX(10, 0, 0.5, 0.5))"
    assert value(inside.format(10.24, 0.24)) == 1
    assert value(inside.format(10.26, 0)) == 0
    assert value(inside.format(190, 0)) == 0  # the antipode


@pytest.mark.parametrize(
    ("text", "area"),
    [
        # A hemisphere, an octant, and a degree square near the equator.
        ("CIRCLE(0, 90, 90)", 360 * 360 / np.pi / 2),
        ("POLYGON(0, 0, 90, 0, 0, 90)", 360 * 360 / np.pi / 8),
        ("POLYGON(0, 60, 120, 60, 240, 60)", None),
        ("BOX(10, 0, 1, 1)", 0.99997),
    ],
)
def test_areas_are_those_of_spherical_geometry(value, text, area):
    if area is None:
        # Three equal triangles at the pole: excess by the half-side theorem.
        side = SkyCoord(0, 60, unit=u.deg).separation(SkyCoord(120, 60, unit=u.deg)).rad
        s, a = (side + 2 * np.radians(30)) / 2, np.radians(30)
        t = np.tan(s / 2) * np.tan((s - side) / 2) * np.tan((s - a) / 2) ** 2
        area = 3 * 4 * np.arctan(np.sqrt(t)) * (180 / np.pi) ** 2
    assert value(f"AREA({text})") == pytest.approx(area, rel=1e-4)


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("INTERSECTS(CIRCLE(10, 0, 1), CIRCLE(11.9, 0, 1))", 1),
        ("INTERSECTS(CIRCLE(10, 0, 1), CIRCLE(12.1, 0, 1))", 0),
        # A circle in a polygon, one over an edge far from all corners, one outside.
        ("INTERSECTS(CIRCLE(10, 0, 0.1), BOX(10, 0, 4, 4))", 1),
        ("INTERSECTS(BOX(10, 0, 4, 4), CIRCLE(12.3, 0, 0.4))", 1),
        ("INTERSECTS(CIRCLE(12.5, 0, 0.4), BOX(10, 0, 4, 4))", 0),
        ("CONTAINS(CIRCLE(10, 0, 1.9), BOX(10, 0, 4, 4))", 1),
        ("CONTAINS(CIRCLE(10, 0, 2.1), BOX(10, 0, 4, 4))", 0),
        ("CONTAINS(BOX(10, 0, 1, 1), CIRCLE(10, 0, 0.75))", 1),
        ("CONTAINS(BOX(10, 0, 1, 1), CIRCLE(10, 0, 0.65))", 0),
        ("CONTAINS(CIRCLE(10, 0, 1), CIRCLE(10.5, 0, 1.6))", 1),
        ("CONTAINS(CIRCLE(10, 0, 1), CIRCLE(10.5, 0, 1.4))", 0),
        # Two boxes that cross without a corner in the other.
        ("INTERSECTS(BOX(10, 0, 6, 1), BOX(10, 0, 1, 6))", 1),
        ("INTERSECTS(BOX(10, 0, 1, 1), BOX(10, 0, 6, 6))", 1),
        ("INTERSECTS(BOX(10, 0, 1, 1), BOX(20, 0, 6, 6))", 0),
        ("CONTAINS(BOX(10, 0, 1, 1), BOX(10, 0, 6, 6))", 1),
        ("CONTAINS(BOX(10, 0, 6, 1), BOX(10, 0, 1, 6))", 0),
        # Across right ascension 0.
        ("INTERSECTS(CIRCLE(359.9, 0, 0.4), BOX(0.5, 0, 0.5, 0.5))", 1),
        ("CONTAINS(POINT(359.9, 0), BOX(0, 0, 1, 1))", 1),
        ("CONTAINS(POINT(0.1, 0), BOX(360, 0, 1, 1))", 1),
        ("COORD1(POINT(12, 34))", 12),
        ("DISTANCE(COORD1(POINT(1, 2)), LOG(EXP(2)), 1, 3)", pytest.approx(1)),
        ("CONTAINS(POINT(COORD2(POINT(5, 10)), 0), BOX(LOG(EXP(10)), 0, SQRT(ABS(-1)), 1))", 1),
        ("COORD2(POINT('ICRS', 12, 34))", 34),
    ],
)
def test_shapes_meet_as_drawn_on_paper(value, text, truth):
    assert value(text) == truth


def test_a_column_of_regions_can_be_searched(ask):
    found = "SELECT name FROM demo.fields WHERE 1 = {}"
    assert ask(found.format("CONTAINS(POINT(150, 2), outline)")) == [("a",)]
    assert ask(found.format("CONTAINS(POINT(151, 2), outline)")) == []
    assert ask(found.format("INTERSECTS(CIRCLE(151, 2, 0.6), outline)")) == [("a",)]
    assert ask(found.format("INTERSECTS(outline, BOX(150, 2, 0.1, 0.1))")) == [("a",)]
    assert ask(found.format("CONTAINS(outline, CIRCLE(150, 2, 0.8))")) == [("a",)]


def test_a_region_is_written_in_the_words_of_stc(ask):
    assert ask("SELECT outline FROM demo.fields ORDER BY name") == [
        ("POLYGON ICRS 149.5 1.5 150.5 1.5 150.5 2.5 149.5 2.5",),
        (None,),
    ]


@pytest.mark.parametrize("frame", ["GALACTIC", "FK4", "FK5", "ECLIPTIC", "ICRS NOWHERE"])
def test_another_frame_is_refused_rather_than_ignored(ask, frame):
    with pytest.raises(QueryError, match="ICRS only"):
        ask(f"SELECT id FROM demo.sources WHERE 1=CONTAINS(POINT('{frame}',1,2), CIRCLE(1,2,3))")


@pytest.mark.parametrize("frame", ["", "ICRS", "icrs", "ICRS GEOCENTER", "ICRS BARYCENTER"])
def test_icrs_may_be_written_as_adql_2_0_does(ask, frame):
    assert ask(f"SELECT TOP 1 COORD1(POINT('{frame}', 5, 2)) FROM demo.sources") == [(5,)]
