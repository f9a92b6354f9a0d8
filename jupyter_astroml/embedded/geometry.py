"""ADQL's geometry in DuckDB: spherical macros, and the rewriting of ADQL functions into them.

A point is a pair of longitude and latitude, a circle a triple, a polygon a list
``[lon, lat, lon, lat, ...]`` whose edges are great circles (ADQL 2.1 section 4.2); all in degrees.
Polygons must be smaller than a hemisphere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from jupyter_astroml.core.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence

FUNCTIONS = frozenset(
    (
        "POINT",
        "CIRCLE",
        "BOX",
        "POLYGON",
        "CONTAINS",
        "INTERSECTS",
        "DISTANCE",
        "AREA",
        "COORD1",
        "COORD2",
    )
)
_SHAPES = ("POINT", "CIRCLE", "BOX", "POLYGON")
# ADQL 2.1 ignores the frame; answering a galactic query with equatorial columns would be worse.
_FRAMES = frozenset(("", "ICRS", "UNKNOWNFRAME"))
_POSITIONS = frozenset(("", "GEOCENTER", "BARYCENTER", "TOPOCENTER", "UNKNOWNREFPOS"))

# The position angle is taken with sin(b2-b) apart, so that arcseconds keep all their digits.
# A point lies in a polygon when the directions to the vertices turn once around it; the same
# holds for its antipode, which the mean cosine tells apart.
# A macro is expanded wherever it stands, so the test of edges against edges is written out.
MACROS = r"""
CREATE MACRO adql_half(x) AS sin(radians(x) / 2);
CREATE MACRO adql_dist(l1, b1, l2, b2) AS degrees(2 * asin(least(1.0, sqrt(
    adql_half(b2 - b1) ** 2 + cos(radians(b1)) * cos(radians(b2)) * adql_half(l2 - l1) ** 2))));
CREATE MACRO adql_pa(l1, b1, l2, b2) AS atan2(
    sin(radians(l2 - l1)) * cos(radians(b2)),
    sin(radians(b2 - b1)) + 2 * sin(radians(b1)) * cos(radians(b2)) * adql_half(l2 - l1) ** 2);
CREATE MACRO adql_turn(a) AS a - 2 * pi() * round(a / (2 * pi()));
CREATE MACRO adql_corners(p) AS range(1, len(p) // 2 + 1);
CREATE MACRO adql_after(p, i) AS (i % (len(p) // 2)) + 1;
CREATE MACRO adql_in_circle(l, b, cl, cb, r) AS CAST(adql_dist(l, b, cl, cb) <= r AS INTEGER);
CREATE MACRO adql_in_poly(l, b, p) AS CAST(
    abs(list_sum(list_transform(adql_corners(p), lambda i: adql_turn(
        adql_pa(l, b, p[2 * adql_after(p, i) - 1], p[2 * adql_after(p, i)])
        - adql_pa(l, b, p[2 * i - 1], p[2 * i]))))) > pi()
    AND list_sum(list_transform(adql_corners(p), lambda i:
        cos(radians(adql_dist(l, b, p[2 * i - 1], p[2 * i]))))) > 0
    AS INTEGER);
CREATE MACRO adql_along(d, a) AS degrees(atan2(sin(radians(d)) * cos(a), cos(radians(d))));
CREATE MACRO adql_across(d, a) AS degrees(abs(asin(sin(radians(d)) * sin(a))));
CREATE MACRO adql_to_edge(l, b, l1, b1, l2, b2) AS CASE
    WHEN adql_along(adql_dist(l1, b1, l, b), adql_pa(l1, b1, l, b) - adql_pa(l1, b1, l2, b2))
        BETWEEN 0 AND adql_dist(l1, b1, l2, b2)
    THEN adql_across(adql_dist(l1, b1, l, b), adql_pa(l1, b1, l, b) - adql_pa(l1, b1, l2, b2))
    ELSE least(adql_dist(l, b, l1, b1), adql_dist(l, b, l2, b2)) END;
CREATE MACRO adql_to_poly(l, b, p) AS list_min(list_transform(adql_corners(p), lambda i:
    adql_to_edge(l, b, p[2 * i - 1], p[2 * i],
        p[2 * adql_after(p, i) - 1], p[2 * adql_after(p, i)])));
CREATE MACRO adql_circle_meets_poly(l, b, r, p) AS CAST(
    adql_in_poly(l, b, p) = 1 OR adql_to_poly(l, b, p) <= r AS INTEGER);
CREATE MACRO adql_circle_in_poly(l, b, r, p) AS CAST(
    adql_in_poly(l, b, p) = 1 AND adql_to_poly(l, b, p) >= r AS INTEGER);
CREATE MACRO adql_poly_in_circle(p, l, b, r) AS CAST(
    list_max(list_transform(adql_corners(p), lambda i:
        adql_dist(l, b, p[2 * i - 1], p[2 * i]))) <= r AS INTEGER);
CREATE MACRO adql_side(l1, b1, l2, b2, l3, b3) AS
    cos(radians(b1)) * cos(radians(b2)) * sin(radians(b3)) * sin(radians(l2 - l1))
    + cos(radians(b2)) * cos(radians(b3)) * sin(radians(b1)) * sin(radians(l3 - l2))
    + cos(radians(b3)) * cos(radians(b1)) * sin(radians(b2)) * sin(radians(l1 - l3));
CREATE MACRO adql_cross(l1, b1, l2, b2, l3, b3, l4, b4) AS
    adql_side(l1, b1, l2, b2, l3, b3) * adql_side(l1, b1, l2, b2, l4, b4) < 0
    AND adql_side(l3, b3, l4, b4, l1, b1) * adql_side(l3, b3, l4, b4, l2, b2) < 0
    AND sin(radians(b1)) * sin(radians(b3))
        + cos(radians(b1)) * cos(radians(b3)) * cos(radians(l1 - l3)) > 0;
CREATE MACRO adql_edges_cross(p, q) AS list_max(list_transform(adql_corners(p), lambda i:
    list_max(list_transform(adql_corners(q), lambda j: CAST(adql_cross(
        p[2 * i - 1], p[2 * i], p[2 * adql_after(p, i) - 1], p[2 * adql_after(p, i)],
        q[2 * j - 1], q[2 * j], q[2 * adql_after(q, j) - 1], q[2 * adql_after(q, j)])
        AS INTEGER))))) = 1;
CREATE MACRO adql_poly_in_poly(p, q) AS CAST(
    list_min(list_transform(adql_corners(p), lambda i:
        adql_in_poly(p[2 * i - 1], p[2 * i], q))) = 1
    AND NOT adql_edges_cross(p, q) AS INTEGER);
CREATE MACRO adql_poly_meets_poly(p, q) AS CAST(
    adql_in_poly(p[1], p[2], q) = 1 OR adql_in_poly(q[1], q[2], p) = 1
    OR adql_edges_cross(p, q) AS INTEGER);
CREATE MACRO adql_box(l, b, w, h) AS list_value(
    l - w / 2, b - h / 2, l + w / 2, b - h / 2, l + w / 2, b + h / 2, l - w / 2, b + h / 2);
CREATE MACRO adql_circle_area(r) AS 4 * pi() * adql_half(r) ** 2 * (180 / pi()) ** 2;
CREATE MACRO adql_excess(l1, b1, l2, b2) AS 2 * atan2(
    tan(adql_turn(radians(l2 - l1)) / 2) * (tan(radians(b1) / 2) + tan(radians(b2) / 2)),
    1 + tan(radians(b1) / 2) * tan(radians(b2) / 2));
CREATE MACRO adql_sum_excess(p) AS abs(list_sum(list_transform(adql_corners(p), lambda i:
    adql_excess(p[2 * i - 1], p[2 * i],
        p[2 * adql_after(p, i) - 1], p[2 * adql_after(p, i)]))));
CREATE MACRO adql_around_pole(p) AS abs(list_sum(list_transform(adql_corners(p), lambda i:
    adql_turn(radians(p[2 * adql_after(p, i) - 1] - p[2 * i - 1]))))) > pi();
CREATE MACRO adql_poly_area(p) AS (180 / pi()) ** 2 * CASE
    WHEN adql_around_pole(p) THEN 2 * pi() - adql_sum_excess(p) ELSE adql_sum_excess(p) END;
"""


def name_of(node: exp.Expr) -> str:
    """Return the upper-case name of a function call, or an empty string."""
    if isinstance(node, exp.Anonymous) and isinstance(node.this, str):
        return str(node.this).upper()
    return ""


def call(name: str, *args: exp.Expr | float) -> exp.Anonymous:
    """Return a call of a DuckDB function or macro."""
    made = [a if isinstance(a, exp.Expr) else exp.Literal.number(a) for a in args]
    return exp.Anonymous(this=name, expressions=made)


def rewrite(node: exp.Expr) -> exp.Expr:
    """Turn a geometry function of ADQL into calls of the macros.

    Raises
    ------
    QueryError
        For arguments that ADQL does not allow, or a frame other than ICRS.
    """
    name = name_of(node)
    if name in _SHAPES:
        return _value(node)
    given = list(node.expressions)
    if name == "DISTANCE" and len(given) == 4:
        return call("adql_dist", *given)
    _count(name, given, 1 if name in ("AREA", "COORD1", "COORD2") else 2)
    if name == "DISTANCE":
        return call("adql_dist", *_point(given[0]), *_point(given[1]))
    if name == "COORD1":
        return _point(given[0])[0]
    if name == "COORD2":
        return _point(given[0])[1]
    if name == "AREA":
        if name_of(given[0]) == "CIRCLE":
            return call("adql_circle_area", _circle(given[0])[2])
        return call("adql_poly_area", _polygon(given[0]))
    return _contains(*given) if name == "CONTAINS" else _intersects(*given)


def xtype(node: exp.Expr) -> str:
    """Return DALI's type of a shape that a query asks for, or an empty string."""
    return {"POINT": "point", "CIRCLE": "circle", "BOX": "polygon", "POLYGON": "polygon"}.get(
        name_of(node), ""
    )


def _count(name: str, given: Sequence[exp.Expr], wanted: int) -> None:
    if len(given) != wanted:
        raise QueryError(f"{name} takes {wanted} arguments and got {len(given)}")


def _arguments(shape: exp.Expr) -> list[exp.Expr]:
    """Arguments without the frame, which ADQL 2.0 puts first."""
    given = list(shape.expressions)
    if not (given and isinstance(given[0], exp.Literal) and given[0].is_string):
        return given
    words = str(given[0].this).upper().split()
    if (words[0] if words else "") not in _FRAMES or not set(words[1:]) <= _POSITIONS:
        raise QueryError(
            f"The frame {given[0].this!r} is not offered",
            cause="this archive computes in ICRS only",
            remedy="convert the position to ICRS and leave the frame out",
        )
    return given[1:]


def _point(node: exp.Expr) -> list[exp.Expr]:
    if name_of(node) == "POINT":
        given = _arguments(node)
        _count("POINT", given, 2)
        return given
    if isinstance(node, exp.Column):
        return [call("list_extract", node.copy(), 1), call("list_extract", node.copy(), 2)]
    raise QueryError(f"A POINT is expected where {_shown(node)} stands")


def _circle(node: exp.Expr) -> list[exp.Expr]:
    given = _arguments(node)
    if len(given) == 2:
        return [*_point(given[0]), given[1]]
    _count("CIRCLE", given, 3)
    return given


def _polygon(node: exp.Expr) -> exp.Expr:
    name = name_of(node)
    if name == "POLYGON":
        flat: list[exp.Expr] = []
        for part in _arguments(node):
            flat += _point(part) if name_of(part) == "POINT" else [part]
        if len(flat) < 6 or len(flat) % 2:
            raise QueryError("A POLYGON needs at least three points, two coordinates each")
        return call("list_value", *flat)
    if name == "BOX":
        given = _arguments(node)
        if len(given) == 3:
            given = [*_point(given[0]), *given[1:]]
        _count("BOX", given, 4)
        return call("adql_box", *given)
    if isinstance(node, exp.Column):
        return node.copy()
    raise QueryError(f"A region is expected where {_shown(node)} stands")


def _value(node: exp.Expr) -> exp.Expr:
    name = name_of(node)
    if name == "POINT":
        return call("list_value", *_point(node))
    if name == "CIRCLE":
        return call("list_value", *_circle(node))
    return _polygon(node)


def _contains(inner: exp.Expr, outer: exp.Expr) -> exp.Expr:
    if name_of(outer) == "POINT":
        raise QueryError("CONTAINS asks whether its first argument lies in the second, a region")
    round_outer = name_of(outer) == "CIRCLE"
    if name_of(inner) == "CIRCLE":
        lon, lat, radius = _circle(inner)
        if round_outer:
            l2, b2, r2 = _circle(outer)
            return call("adql_in_circle", lon, lat, l2, b2, exp.Sub(this=r2, expression=radius))
        return call("adql_circle_in_poly", lon, lat, radius, _polygon(outer))
    if name_of(inner) in ("POLYGON", "BOX") or _is_region(inner):
        if round_outer:
            return call("adql_poly_in_circle", _polygon(inner), *_circle(outer))
        return call("adql_poly_in_poly", _polygon(inner), _polygon(outer))
    if round_outer:
        return call("adql_in_circle", *_point(inner), *_circle(outer))
    return call("adql_in_poly", *_point(inner), _polygon(outer))


def _intersects(one: exp.Expr, two: exp.Expr) -> exp.Expr:
    if name_of(one) == "POINT":
        return _contains(one, two)
    if name_of(two) == "POINT":
        return _contains(two, one)
    if name_of(two) == "CIRCLE" and name_of(one) != "CIRCLE":
        one, two = two, one
    if name_of(one) != "CIRCLE":
        return call("adql_poly_meets_poly", _polygon(one), _polygon(two))
    lon, lat, radius = _circle(one)
    if name_of(two) != "CIRCLE":
        return call("adql_circle_meets_poly", lon, lat, radius, _polygon(two))
    l2, b2, r2 = _circle(two)
    return call("adql_in_circle", lon, lat, l2, b2, exp.Add(this=radius, expression=r2))


def _is_region(node: exp.Expr) -> bool:
    # The tables of this archive hold regions, and no columns of points.
    return isinstance(node, exp.Column)


def _shown(node: exp.Expr) -> str:
    return name_of(node) or node.sql()[:60]
