"""Geometry against other ways to compute it, for random polygons anywhere on the sky.

The truth comes from unit vectors: a star-shaped polygon is a fan of triangles around its middle,
and a point lies in a triangle when it is on the inner side of the planes through its edges.
"""

import numpy as np
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_astroml.embedded.tables import Column, Table
from jupyter_astroml.embedded.uploads import Uploaded

# A function of a polygon takes the archive a second to plan, whatever it is given.
RANDOM = settings(max_examples=12, deadline=None, derandomize=True)
# Points nearer to an edge than this may be on either side of it; radians.
EDGE = 1e-9


class Star:
    """A star-shaped polygon, smaller than a hemisphere.

    Attributes
    ----------
    middle : ndarray, shape (3,)
    corners : ndarray, shape (n, 3)
        Unit vectors.
    """

    def __init__(self, ra, dec, radii, turn, *, backwards):
        n = len(radii)
        middle = SkyCoord(ra, dec, unit="deg")
        angles = (turn + np.arange(n) * 360 / n) * u.deg
        points = middle.directional_offset_by(angles, np.array(radii) * u.deg)
        points = points[::-1] if backwards else points
        self.flat = [float(v) for p in points for v in (p.ra.deg, p.dec.deg)]
        self.middle = middle.cartesian.xyz.value
        self.corners = points.cartesian.xyz.value.T

    @property
    def edges(self):
        return zip(self.corners, np.roll(self.corners, -1, axis=0), strict=True)

    def holds(self, points: np.ndarray) -> np.ndarray:
        inside = np.zeros(len(points), dtype=bool)
        for a, b in self.edges:
            planes = np.array(
                [np.cross(x, y) for x, y in ((self.middle, a), (a, b), (b, self.middle))]
            )
            turn = np.sign(planes[0] @ b)
            inside |= ((points @ planes.T) * turn >= 0).all(axis=1)
        return inside

    def from_edges(self, points: np.ndarray) -> np.ndarray:
        """Distance of points from the nearest edge, radians."""
        return np.min([to_arc(points, a, b) for a, b in self.edges], axis=0)

    def outline(self, per_edge: int = 400) -> np.ndarray:
        return np.concatenate([arc(a, b, per_edge) for a, b in self.edges])

    def triangles(self):
        for a, b in self.edges:
            yield self.middle, a, b


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), np.sum(a * b, axis=-1))


def to_arc(points, a, b):
    pole = np.cross(a, b)
    pole /= np.linalg.norm(pole)
    along = (points @ np.cross(pole, a) >= 0) & (points @ np.cross(b, pole) >= 0)
    off = np.abs(np.arcsin(np.clip(points @ pole, -1, 1)))
    return np.where(along, off, np.minimum(angle(points, a), angle(points, b)))


def arc(a, b, n):
    """Points along the shorter great circle from a to b."""
    whole = angle(a, b)
    t = np.linspace(0, 1, n, endpoint=False)[:, None]
    return (np.sin((1 - t) * whole) * a + np.sin(t * whole) * b) / np.sin(whole)


def sphere(n: int, seed: int) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(n, 3))
    return points / np.linalg.norm(points, axis=1)[:, None]


def near(star: Star, n: int, seed: int) -> np.ndarray:
    """Points all over the sky, and as many around the polygon."""
    around = star.middle + sphere(n, seed) * np.max(angle(star.corners, star.middle))
    return np.concatenate([sphere(n, seed + 1), around / np.linalg.norm(around, axis=1)[:, None]])


def degrees(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.degrees(np.arctan2(points[:, 1], points[:, 0])) % 360,
        np.degrees(np.arcsin(np.clip(points[:, 2], -1, 1))),
    )


SPECIAL_RA = st.sampled_from([0.0, 359.999, 180.0, 90.0])
SPECIAL_DEC = st.sampled_from([0.0, 90.0, -90.0, 89.9, -60.0])


@st.composite
def stars(draw, largest=80.0):
    n = draw(st.integers(3, 8))
    scale = draw(st.sampled_from([1e-3, 0.1, 5.0, largest]))
    return Star(
        draw(st.one_of(SPECIAL_RA, st.floats(0, 360))),
        draw(st.one_of(SPECIAL_DEC, st.floats(-90, 90))),
        [scale * draw(st.floats(0.2, 1.0)) for _ in range(n)],
        draw(st.floats(0, 360)),
        backwards=draw(st.booleans()),
    )


@pytest.fixture(scope="module")
def compute(database):
    """Return the value of an expression for each row of a table of shapes."""

    def values(expression: str, **columns):
        arrays = {k: pa.array(v) for k, v in columns.items()}
        table = Table("tap_upload.t", tuple(Column(k) for k in columns))
        sent = (Uploaded(table, pa.table(arrays)),)
        query = f"SELECT {expression} AS x FROM tap_upload.t"
        plan = database.plan(query, maxrec=100_000, uploads=sent)
        return database.run(plan, seconds=30).rows.columns[0].to_pylist()

    return values


@RANDOM
@given(star=stars(), seed=st.integers(0, 1000))
def test_a_polygon_holds_the_points_on_the_inner_side_of_its_edges(compute, star, seed):
    points = near(star, 200, seed)
    points = points[star.from_edges(points) > EDGE]
    lon, lat = degrees(points)
    found = compute("CONTAINS(POINT(lon, lat), p)", lon=lon, lat=lat, p=[star.flat] * len(lon))
    np.testing.assert_array_equal(np.array(found, dtype=bool), star.holds(points))


@RANDOM
@given(star=stars())
def test_a_polygon_in_the_query_is_that_in_a_column(compute, star):
    lon, lat = degrees(near(star, 20, 1))
    shape = ", ".join(map(repr, star.flat))
    written = compute(f"CONTAINS(POINT(lon, lat), POLYGON({shape}))", lon=lon, lat=lat)
    text = " ".join(map(repr, star.flat))
    region = compute(f"CONTAINS(POINT(lon, lat), REGION('POLYGON ICRS {text}'))", lon=lon, lat=lat)
    column = compute("CONTAINS(POINT(lon, lat), p)", lon=lon, lat=lat, p=[star.flat] * len(lon))
    assert written == column == region


@RANDOM
@given(star=stars())
def test_area_and_centroid_are_those_of_the_triangles(compute, star):
    areas, moment = [], np.zeros(3)
    for a, b, c in star.triangles():
        area = 2 * np.arctan2(abs(np.dot(a, np.cross(b, c))), 1 + a @ b + b @ c + c @ a)
        areas.append(area)
        # The centroid of a triangle, summed over small ones, since it has no short formula.
        moment += small_triangles(a, b, c, depth=4 if area > 1e-6 else 0)
    (found,) = compute("AREA(p)", p=[star.flat])
    assert found == pytest.approx(sum(areas) * (180 / np.pi) ** 2, rel=1e-6)
    ((lon, lat),) = compute("CENTROID(p)", p=[star.flat])
    assert 0 <= lon <= 360
    there = SkyCoord(lon, lat, unit="deg").cartesian.xyz.value
    size = np.sqrt(sum(areas))
    # Degrees hold a position near a pole to some 1e-16, and the area of arcseconds is 1e-10.
    assert angle(there, moment / np.linalg.norm(moment)) < 3e-3 * size + 3e-7


def small_triangles(a, b, c, depth: int) -> np.ndarray:
    if depth == 0:
        area = 2 * np.arctan2(abs(np.dot(a, np.cross(b, c))), 1 + a @ b + b @ c + c @ a)
        middle = a + b + c
        return area * middle / np.linalg.norm(middle)
    ab, bc, ca = ((x + y) / np.linalg.norm(x + y) for x, y in ((a, b), (b, c), (c, a)))
    parts = ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))
    return sum((small_triangles(*part, depth=depth - 1) for part in parts), np.zeros(3))


@RANDOM
@given(star=stars(), seed=st.integers(0, 1000), scale=st.floats(0.01, 1.5))
def test_circles_meet_and_lie_in_polygons_as_their_distances_say(compute, star, seed, scale):
    centres = near(star, 30, seed)
    radius = np.degrees(scale * np.max(angle(star.corners, star.middle)))
    far = star.from_edges(centres)
    clear = np.abs(far - np.radians(radius)) > EDGE
    centres, far = centres[clear & (far > EDGE)], far[clear & (far > EDGE)]
    lon, lat = degrees(centres)
    inside = star.holds(centres)
    given_ = {"lon": lon, "lat": lat, "p": [star.flat] * len(lon), "r": [radius] * len(lon)}
    meets = compute("INTERSECTS(CIRCLE(lon, lat, r), p)", **given_)
    np.testing.assert_array_equal(np.array(meets, bool), inside | (far < np.radians(radius)))
    within = compute("CONTAINS(CIRCLE(lon, lat, r), p)", **given_)
    np.testing.assert_array_equal(np.array(within, bool), inside & (far > np.radians(radius)))
    # A polygon lies in a circle when the outline does, unless it holds the far side of the sky.
    rim = star.outline(50)
    farthest = np.array([angle(rim, c).max() for c in centres])
    clear = np.abs(farthest - np.radians(radius)) > 1e-3 * np.radians(radius)
    holds = np.array(compute("CONTAINS(p, CIRCLE(lon, lat, r))", **given_), bool)
    antipodes = star.holds(-centres)
    np.testing.assert_array_equal(
        holds[clear], ((farthest < np.radians(radius)) & ~antipodes)[clear]
    )


@RANDOM
@given(one=stars(largest=60.0), data=st.data())
def test_two_polygons_meet_when_their_outlines_cross_or_one_holds_the_other(compute, one, data):
    # The second stands around a point of the outline or the inside of the first, or far off.
    rim = one.outline(40)
    place = data.draw(st.sampled_from([*range(0, len(rim), 7), -1]))
    target = sphere(1, 5)[0] if place < 0 else rim[place]
    size = np.degrees(np.max(angle(one.corners, one.middle)))
    lon, lat = degrees((target + one.middle * data.draw(st.floats(0, 0.5)))[None])
    radii = [size * data.draw(st.floats(0.05, 0.7)) for _ in range(data.draw(st.integers(3, 6)))]
    two = Star(float(lon[0]), float(np.clip(lat[0], -90, 90)), radii, data.draw(st.floats(0, 360)),
               backwards=data.draw(st.booleans()))  # fmt: skip
    rims = one.outline(), two.outline()
    hold = one.holds(rims[1]), two.holds(rims[0])
    gap = min(one.from_edges(rims[1]).min(), two.from_edges(rims[0]).min())
    both = {"p": [one.flat], "q": [two.flat]}
    (meets,), (back,) = compute("INTERSECTS(p, q)", **both), compute("INTERSECTS(q, p)", **both)
    assert meets == back
    if hold[0].any() or hold[1].any():
        assert meets == 1
    elif gap > 0.01 * np.radians(size):
        assert meets == 0
    (inner,) = compute("CONTAINS(q, p)", **both)
    if hold[0].all() and gap > 0.01 * np.radians(size):
        assert inner == 1
    if not hold[0].all():
        assert inner == 0


@RANDOM
@given(star=stars())
def test_a_polygon_meets_and_holds_itself_and_its_neighbour_at_a_shared_edge(compute, star):
    assert compute("INTERSECTS(p, p)", p=[star.flat]) == [1]
    assert compute("CONTAINS(p, p)", p=[star.flat]) == [1]
    a, b = star.corners[0], star.corners[1]
    # A triangle outside, on the first edge.
    outer = (a + b) / np.linalg.norm(a + b)
    outer = outer + (outer - star.middle) * 0.3
    lon, lat = degrees((outer / np.linalg.norm(outer))[None])
    neighbour = [*star.flat[:4], float(lon[0]), float(lat[0])]
    assert compute("INTERSECTS(p, q)", p=[star.flat], q=[neighbour]) == [1]


@RANDOM
@given(
    ra=st.floats(0, 360), dec=st.floats(-90, 90), width=st.floats(0.001, 120),
    height=st.floats(0.001, 120), seed=st.integers(0, 99),
)  # fmt: skip
def test_the_sides_of_a_box_stand_square_on_the_arms_of_its_cross(
    compute, ra, dec, width, height, seed
):
    """ADQL 2.1 section 4.2.9: arms along the axes, and great circles at their ends."""
    centre = SkyCoord(ra, dec, unit="deg")
    north, east = (
        np.array(v)
        for v in (
            [-np.sin(centre.dec.rad) * np.cos(centre.ra.rad),
             -np.sin(centre.dec.rad) * np.sin(centre.ra.rad), np.cos(centre.dec.rad)],
            [-np.sin(centre.ra.rad), np.cos(centre.ra.rad), 0.0],
        )
    )  # fmt: skip
    c = centre.cartesian.xyz.value
    points = c + sphere(200, seed) * np.tan(np.radians(min(max(width, height), 150) / 2)) * 1.5
    points /= np.linalg.norm(points, axis=1)[:, None]
    # The side at the end of an arm is the great circle whose pole is the arm's direction there.
    off = []
    for arm, full in ((east, width), (north, height)):
        half = np.radians(full) / 2
        for sign in (1, -1):
            pole = np.cos(half) * sign * arm - np.sin(half) * c
            off.append(points @ pole)
    off = np.array(off)
    clear = (np.abs(off) > EDGE).all(axis=0)
    wanted = (off < 0).all(axis=0)
    lon, lat = degrees(points)
    found = compute(f"CONTAINS(POINT(lon, lat), BOX({ra!r}, {dec!r}, {width!r}, {height!r}))",
                    lon=lon, lat=lat)  # fmt: skip
    np.testing.assert_array_equal(np.array(found, bool)[clear], wanted[clear])


def test_centroids_of_simple_shapes_are_their_centres(compute):
    def middle(shape):
        return compute(f"CENTROID({shape})", k=[1])[0]

    assert middle("POINT(10, 20)") == [10, 20]
    assert middle("CIRCLE('ICRS', 10, 20, 3)") == [10, 20]
    assert middle("BOX(10, 20, 3, 4)") == [10, 20]
    assert middle("REGION('POSITION 10 20')") == [10, 20]
    assert middle("POLYGON(359, -1, 1, -1, 1, 1, 359, 1)") == pytest.approx([0, 0], abs=1e-9) or (
        middle("POLYGON(359, -1, 1, -1, 1, 1, 359, 1)") == pytest.approx([360, 0], abs=1e-9)
    )
    assert middle("POLYGON(0, 80, 90, 80, 180, 80, 270, 80)")[1] == pytest.approx(90, abs=1e-6)
    assert compute("DISTANCE(CENTROID(BOX(10, 20, 3, 4)), POINT(10, 21))", k=[1]) == [
        pytest.approx(1)
    ]
    assert compute("COORD2(CENTROID(CIRCLE(10, 20, 3)))", k=[1]) == [20]
    assert compute("CONTAINS(CENTROID(p), p)", p=[[10.0, 10, 12, 10, 11, 12]]) == [1]


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("CIRCLE ICRS 10 20 0.5", "CIRCLE(10, 20, 0.5)"),
        ("circle 10 20 .5", "CIRCLE(10, 20, 0.5)"),
        ("Polygon ICRS GEOCENTER 1 2 3 4 5 6", "POLYGON(1, 2, 3, 4, 5, 6)"),
        ("BOX ICRS 10 20 1e0 2", "BOX(10, 20, 1, 2)"),
        ("POSITION -10 -20", "POINT(-10, -20)"),
    ],
)
def test_a_region_in_words_is_the_shape_that_it_names(compute, text, shape):
    assert compute(f"REGION('{text}')", k=[1]) == compute(shape, k=[1])


def test_shapes_of_nothing_are_null(compute):
    for text in ("CONTAINS(POINT(1, 2), p)", "INTERSECTS(p, q)", "CONTAINS(p, q)", "AREA(p)",
                 "CENTROID(p)", "INTERSECTS(CIRCLE(1, 2, 3), p)"):  # fmt: skip
        nothing = pa.array([None], type=pa.list_(pa.float64()))
        given_ = {"p": nothing, "q": [[1.0, 2, 3, 4, 5, 7]]}
        assert compute(text, **given_) in ([None], [[None, None]])
