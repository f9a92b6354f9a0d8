"""ADQL's geometry in DuckDB: spherical macros, and the rewriting of ADQL functions into them.

A point is a pair of longitude and latitude, a circle a triple, a polygon a list
``[lon, lat, lon, lat, ...]`` whose edges are great circles (ADQL 2.1 section 4.2); all in degrees.
A polygon is the smaller of the two sides of its edges, whichever way they go around it.
"""

from __future__ import annotations

import re
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
        "REGION",
        "CENTROID",
        "CONTAINS",
        "INTERSECTS",
        "DISTANCE",
        "AREA",
        "COORD1",
        "COORD2",
    )
)
_SHAPES = ("POINT", "CIRCLE", "BOX", "POLYGON", "REGION", "CENTROID")
# Functions that compute; one in another multiplies what DuckDB has to resolve, see `adql`.
COMPUTED = FUNCTIONS - {"POINT", "CIRCLE", "BOX", "POLYGON", "REGION", "COORD1", "COORD2"}
_POINTS = ("POINT", "CENTROID")
# ADQL 2.1 ignores the frame; answering a galactic query with equatorial columns would be worse.
_FRAMES = frozenset(("", "ICRS", "UNKNOWNFRAME"))
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_POSITIONS = frozenset(("", "GEOCENTER", "BARYCENTER", "TOPOCENTER", "UNKNOWNREFPOS"))

# The position angle is taken with sin(b2-b) apart, so that arcseconds keep all their digits.
# A point lies in a polygon when the directions to the vertices turn once around it, in the sense
# in which the vertices go around the smaller side; around its antipode they turn in the other.
# The sense is the sign of the area of the triangles between the first corner and each edge.
# Differences of unit vectors are taken by halves of angles, and longitudes on both sides of 0 are
# brought together first, or the centroid of some arcseconds would be lost in rounding.
# Two arcs cross when all four triple products of three of their ends say so (as in Google's S2).
# Shapes that share a corner or an edge meet, so what is nearer than a microarcsecond touches.
# A macro is expanded wherever it stands, and each of its arguments wherever that stands: so the
# test of edges against edges is written out, and shapes that must be computed go through `_ONCE`.
# What lies apart by the circles around it is not looked at any further.
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
CREATE MACRO adql_side(l1, b1, l2, b2, l3, b3) AS
    cos(radians(b1)) * cos(radians(b2)) * sin(radians(b3)) * sin(radians(l2 - l1))
    + cos(radians(b2)) * cos(radians(b3)) * sin(radians(b1)) * sin(radians(l3 - l2))
    + cos(radians(b3)) * cos(radians(b1)) * sin(radians(b2)) * sin(radians(l1 - l3));
CREATE MACRO adql_dot(l1, b1, l2, b2) AS sin(radians(b1)) * sin(radians(b2))
    + cos(radians(b1)) * cos(radians(b2)) * cos(radians(l2 - l1));
CREATE MACRO adql_excess(l1, b1, l2, b2, l3, b3) AS 2 * atan2(
    adql_side(l1, b1, l2, b2, l3, b3),
    1 + adql_dot(l1, b1, l2, b2) + adql_dot(l2, b2, l3, b3) + adql_dot(l3, b3, l1, b1));
CREATE MACRO adql_signed_area(p) AS 2 * adql_turn(list_sum(list_transform(adql_corners(p),
    lambda i: adql_excess(p[1], p[2], p[2 * i - 1], p[2 * i],
        p[2 * adql_after(p, i) - 1], p[2 * adql_after(p, i)]))) / 2);
CREATE MACRO adql_sense(p) AS -sign(adql_signed_area(p));
CREATE MACRO adql_winding(l, b, p) AS list_sum(list_transform(adql_corners(p), lambda i: adql_turn(
    adql_pa(l, b, p[2 * adql_after(p, i) - 1], p[2 * adql_after(p, i)])
    - adql_pa(l, b, p[2 * i - 1], p[2 * i]))));
CREATE MACRO adql_in_poly(l, b, p) AS CAST(
    adql_winding(l, b, p) * adql_sense(p) > pi() AS INTEGER);
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
CREATE MACRO adql_poly_in_circle(p, l, b, r) AS CAST(CASE
    WHEN r < 90 THEN list_max(list_transform(adql_corners(p), lambda i:
        adql_dist(l, b, p[2 * i - 1], p[2 * i]))) <= r
    ELSE adql_in_poly(l + 180, -b, p) = 0 AND adql_to_poly(l + 180, -b, p) >= 180 - r
    END AS INTEGER);
CREATE MACRO adql_cross(l1, b1, l2, b2, l3, b3, l4, b4) AS
    adql_side(l1, b1, l2, b2, l3, b3) * adql_side(l1, b1, l2, b2, l4, b4) < 0
    AND adql_side(l3, b3, l4, b4, l1, b1) * adql_side(l3, b3, l4, b4, l2, b2) < 0
    AND adql_side(l1, b1, l2, b2, l3, b3) * adql_side(l3, b3, l4, b4, l1, b1) < 0;
CREATE MACRO adql_edges_cross(p, q) AS list_max(list_transform(adql_corners(p), lambda i:
    list_max(list_transform(adql_corners(q), lambda j: CAST(adql_cross(
        p[2 * i - 1], p[2 * i], p[2 * adql_after(p, i) - 1], p[2 * adql_after(p, i)],
        q[2 * j - 1], q[2 * j], q[2 * adql_after(q, j) - 1], q[2 * adql_after(q, j)])
        AS INTEGER))))) = 1;
CREATE MACRO adql_touches(l, b, p) AS
    adql_in_poly(l, b, p) = 1 OR adql_to_poly(l, b, p) < 3e-10;
CREATE MACRO adql_reach(p) AS list_max(list_transform(adql_corners(p), lambda i:
    adql_dist(p[1], p[2], p[2 * i - 1], p[2 * i])));
CREATE MACRO adql_apart(p, q) AS adql_reach(p) < 90 AND adql_reach(q) < 90
    AND adql_dist(p[1], p[2], q[1], q[2]) > adql_reach(p) + adql_reach(q) + 1e-9;
CREATE MACRO adql_corner_touches(p, q) AS list_bool_or(list_transform(adql_corners(p), lambda i:
    adql_touches(p[2 * i - 1], p[2 * i], q)));
CREATE MACRO adql_poly_in_poly(p, q) AS CASE
    WHEN p IS NULL OR q IS NULL THEN NULL
    WHEN adql_apart(p, q) THEN 0
    WHEN adql_edges_cross(p, q) THEN 0
    ELSE CAST(list_bool_and(list_transform(adql_corners(p), lambda i:
        adql_touches(p[2 * i - 1], p[2 * i], q))) AS INTEGER) END;
CREATE MACRO adql_poly_meets_poly(p, q) AS CASE
    WHEN p IS NULL OR q IS NULL THEN NULL
    WHEN adql_apart(p, q) THEN 0
    WHEN adql_edges_cross(p, q) THEN 1
    ELSE CAST(adql_corner_touches(p, q) OR adql_corner_touches(q, p) AS INTEGER) END;
CREATE MACRO adql_box_corner(l, b, x, y) AS list_value(
    l + degrees(atan2(x, cos(radians(b)) - y * sin(radians(b)))),
    degrees(asin((sin(radians(b)) + y * cos(radians(b))) / sqrt(1 + x * x + y * y))));
CREATE MACRO adql_box(l, b, w, h) AS CASE WHEN w > 0 AND w < 180 AND h > 0 AND h < 180 THEN
    adql_box_corner(l, b, -tan(radians(w / 2)), -tan(radians(h / 2)))
    || adql_box_corner(l, b, tan(radians(w / 2)), -tan(radians(h / 2)))
    || adql_box_corner(l, b, tan(radians(w / 2)), tan(radians(h / 2)))
    || adql_box_corner(l, b, -tan(radians(w / 2)), tan(radians(h / 2))) END;
CREATE MACRO adql_circle_area(r) AS 4 * pi() * adql_half(r) ** 2 * (180 / pi()) ** 2;
CREATE MACRO adql_unwrapped(p) AS list_transform(range(1, len(p) + 1), lambda i:
    CASE WHEN i % 2 = 1 THEN p[i] - 360 * round((p[i] - p[1]) / 360) ELSE p[i] END);
CREATE MACRO adql_poly_area(p) AS list_transform([adql_unwrapped(p)], lambda q:
    abs(adql_signed_area(q)) * (180 / pi()) ** 2)[1];
CREATE MACRO adql_mid(x, y) AS radians((x + y) / 2);
CREATE MACRO adql_dx(l1, b1, l2, b2) AS
    -2 * cos(radians(b2)) * sin(adql_mid(l1, l2)) * adql_half(l2 - l1)
    - 2 * sin(adql_mid(b1, b2)) * adql_half(b2 - b1) * cos(radians(l1));
CREATE MACRO adql_dy(l1, b1, l2, b2) AS
    2 * cos(radians(b2)) * cos(adql_mid(l1, l2)) * adql_half(l2 - l1)
    - 2 * sin(adql_mid(b1, b2)) * adql_half(b2 - b1) * sin(radians(l1));
CREATE MACRO adql_dz(l1, b1, l2, b2) AS 2 * cos(adql_mid(b1, b2)) * adql_half(b2 - b1);
CREATE MACRO adql_normal(l1, b1, l2, b2) AS list_value(
    cos(radians(b1)) * sin(radians(l1)) * adql_dz(l1, b1, l2, b2)
        - sin(radians(b1)) * adql_dy(l1, b1, l2, b2),
    sin(radians(b1)) * adql_dx(l1, b1, l2, b2)
        - cos(radians(b1)) * cos(radians(l1)) * adql_dz(l1, b1, l2, b2),
    cos(radians(b1)) * (cos(radians(l1)) * adql_dy(l1, b1, l2, b2)
        - sin(radians(l1)) * adql_dx(l1, b1, l2, b2)));
CREATE MACRO adql_per_sine(d) AS CASE WHEN d < 1e-9 THEN 1 ELSE radians(d) / sin(radians(d)) END;
CREATE MACRO adql_moment(p, k) AS -adql_sense(p) * list_sum(list_transform(adql_corners(p),
    lambda i: adql_per_sine(adql_dist(p[2 * i - 1], p[2 * i],
            p[2 * adql_after(p, i) - 1], p[2 * adql_after(p, i)]))
        * adql_normal(p[2 * i - 1], p[2 * i],
            p[2 * adql_after(p, i) - 1], p[2 * adql_after(p, i)])[k]));
CREATE MACRO adql_towards(x, y, z) AS list_value(
    (degrees(atan2(y, x)) + 360) % 360, degrees(atan2(z, sqrt(x * x + y * y))));
CREATE MACRO adql_centroid(p) AS list_transform([adql_unwrapped(p)], lambda q:
    adql_towards(adql_moment(q, 1), adql_moment(q, 2), adql_moment(q, 3)))[1];
"""

# Macros of shapes with their arguments.
_OF_SHAPES = {
    "adql_in_poly": ("l", "b", "p"),
    "adql_circle_meets_poly": ("l", "b", "r", "p"),
    "adql_circle_in_poly": ("l", "b", "r", "p"),
    "adql_poly_in_circle": ("p", "l", "b", "r"),
    "adql_poly_in_poly": ("p", "q"),
    "adql_poly_meets_poly": ("p", "q"),
    "adql_poly_area": ("p",),
    "adql_centroid": ("p",),
}
MACROS += "".join(
    "CREATE MACRO {name}_once({given}) AS "
    "list_transform([struct_pack({packed})], lambda s: {name}({again}))[1];\n".format(
        name=name,
        given=", ".join(given),
        packed=", ".join(f"{a} := {a}" for a in given),
        again=", ".join(f"s.{a}" for a in given),
    )
    for name, given in _OF_SHAPES.items()
)


def name_of(node: exp.Expr) -> str:
    """Return the upper-case name of a function call, or an empty string."""
    if isinstance(node, exp.Anonymous) and isinstance(node.this, str):
        return str(node.this).upper()
    return ""


def call(name: str, *args: exp.Expr | float) -> exp.Anonymous:
    """Return a call of a DuckDB function or macro."""
    made = [a if isinstance(a, exp.Expr) else exp.Literal.number(a) for a in args]
    return exp.Anonymous(this=name, expressions=made)


def _over(name: str, *args: exp.Expr) -> exp.Anonymous:
    """Return a call of a macro of shapes, in which what must be computed is computed once."""
    return call(name if all(map(_at_hand, args)) else f"{name}_once", *args)


def _at_hand(value: exp.Expr) -> bool:
    if name_of(value) == "LIST_VALUE":
        return all(map(_at_hand, value.expressions))
    bare = value.this if isinstance(value, exp.Neg) else value
    return isinstance(bare, exp.Column | exp.Literal)


def rewrite(node: exp.Expr) -> exp.Expr:
    """Turn a geometry function of ADQL into calls of the macros.

    Raises
    ------
    QueryError
        For arguments that ADQL does not allow, or a frame other than ICRS.
    """
    name = name_of(node)
    if name in _SHAPES:
        return _value(_plain(node))
    given = [_plain(part) for part in node.expressions]
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
        return _over("adql_poly_area", _polygon(given[0]))
    return _contains(*given) if name == "CONTAINS" else _intersects(*given)


def xtype(node: exp.Expr) -> str:
    """Return DALI's type of a shape that a query asks for, or an empty string."""
    kinds = {"CENTROID": "point", "BOX": "polygon"}
    kind = name_of(_plain(node))
    return kinds.get(kind, kind.lower() if kind in ("POINT", "CIRCLE", "POLYGON") else "")


def _plain(node: exp.Expr) -> exp.Expr:
    """Return the shape that a REGION stands for, and other nodes as they are.

    Its text is a shape in the words of STC-S or of DALI: ``CIRCLE ICRS 10 20 0.5``.
    """
    if name_of(node) != "REGION":
        return node
    _count("REGION", node.expressions, 1)
    text = node.expressions[0]
    if not (isinstance(text, exp.Literal) and text.is_string):
        raise QueryError("REGION takes a text in quotes, such as 'CIRCLE ICRS 10 20 0.5'")
    shape, *words = str(text.this).split() or [""]
    frame = []
    while words and words[0][0].isalpha():
        frame.append(words.pop(0))
    name = {"POSITION": "POINT"}.get(shape.upper(), shape.upper())
    if name not in ("POINT", "CIRCLE", "BOX", "POLYGON"):
        raise QueryError(
            f"REGION holds {shape[:20]!r}", remedy="give a POSITION, CIRCLE, BOX or POLYGON"
        )
    if not all(_NUMBER.fullmatch(word) for word in words):
        raise QueryError(f"REGION holds something that is no number: {str(text.this)[:60]!r}")
    numbers = [exp.Literal.number(f"{float(word)!r}") for word in words]
    return exp.Anonymous(this=name, expressions=[exp.Literal.string(" ".join(frame)), *numbers])


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
    if name_of(node) == "CENTROID":
        made = _centroid(node)
        return made if isinstance(made, list) else [_part(made, 1), _part(made, 2)]
    if isinstance(node, exp.Column):
        return [_part(node, 1), _part(node, 2)]
    raise QueryError(f"A POINT is expected where {_shown(node)} stands")


def _part(value: exp.Expr, number: int) -> exp.Expr:
    return call("list_extract", value.copy(), number)


def _centroid(node: exp.Expr) -> exp.Expr | list[exp.Expr]:
    """Return the middle of a shape: of a polygon, that of its area."""
    _count("CENTROID", node.expressions, 1)
    shape = _plain(node.expressions[0])
    name = name_of(shape)
    if name in ("POINT", "CENTROID"):
        return _point(shape)
    if name == "CIRCLE":
        return _circle(shape)[:2]
    if name == "BOX":
        return _box(shape)[:2]
    return _over("adql_centroid", _polygon(shape))


def _box(node: exp.Expr) -> list[exp.Expr]:
    given = _arguments(node)
    if len(given) == 3:
        given = [*_point(given[0]), *given[1:]]
    _count("BOX", given, 4)
    return given


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
        return call("adql_box", *_box(node))
    if isinstance(node, exp.Column):
        return node.copy()
    raise QueryError(f"A region is expected where {_shown(node)} stands")


def _value(node: exp.Expr) -> exp.Expr:
    name = name_of(node)
    if name == "POINT":
        return call("list_value", *_point(node))
    if name == "CIRCLE":
        return call("list_value", *_circle(node))
    if name == "CENTROID":
        return call("list_value", *_point(node))
    return _polygon(node)


def _contains(inner: exp.Expr, outer: exp.Expr) -> exp.Expr:
    if name_of(outer) in _POINTS:
        raise QueryError("CONTAINS asks whether its first argument lies in the second, a region")
    round_outer = name_of(outer) == "CIRCLE"
    if name_of(inner) == "CIRCLE":
        lon, lat, radius = _circle(inner)
        if round_outer:
            l2, b2, r2 = _circle(outer)
            return call("adql_in_circle", lon, lat, l2, b2, exp.Sub(this=r2, expression=radius))
        return _over("adql_circle_in_poly", lon, lat, radius, _polygon(outer))
    if name_of(inner) in ("POLYGON", "BOX") or _is_region(inner):
        if round_outer:
            return _over("adql_poly_in_circle", _polygon(inner), *_circle(outer))
        return _over("adql_poly_in_poly", _polygon(inner), _polygon(outer))
    if round_outer:
        return call("adql_in_circle", *_point(inner), *_circle(outer))
    return _over("adql_in_poly", *_point(inner), _polygon(outer))


def _intersects(one: exp.Expr, two: exp.Expr) -> exp.Expr:
    if name_of(one) in _POINTS:
        return _contains(one, two)
    if name_of(two) in _POINTS:
        return _contains(two, one)
    if name_of(two) == "CIRCLE" and name_of(one) != "CIRCLE":
        one, two = two, one
    if name_of(one) != "CIRCLE":
        return _over("adql_poly_meets_poly", _polygon(one), _polygon(two))
    lon, lat, radius = _circle(one)
    if name_of(two) != "CIRCLE":
        return _over("adql_circle_meets_poly", lon, lat, radius, _polygon(two))
    l2, b2, r2 = _circle(two)
    return call("adql_in_circle", lon, lat, l2, b2, exp.Add(this=radius, expression=r2))


def _is_region(node: exp.Expr) -> bool:
    # The tables of this archive hold regions, and no columns of points.
    return isinstance(node, exp.Column)


def _shown(node: exp.Expr) -> str:
    return name_of(node) or node.sql()[:60]
