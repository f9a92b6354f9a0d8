"""ADQL made from what people fill into a form; shown to them, so that they learn it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jupyter_astroml.core.adql import delimited
from jupyter_astroml.core.errors import QueryError
from jupyter_astroml.core.units import angle, position

if TYPE_CHECKING:
    from astropy.time import Time
    from astropy.units import Quantity

# ADQL 2.1 section 2.1.2: a regular identifier, or any text in double quotes.
_NAME = r'(?:[A-Za-z][A-Za-z0-9_]*|"(?:[^"]|"")+")'
_TABLE = re.compile(rf"{_NAME}(?:\.{_NAME}){{0,2}}")
_COMPARISONS = ("=", "<>", "<", "<=", ">", ">=", "LIKE")
# ObsCore 1.1 section 3.3.1, and what the vocabulary of product types has added since.
PRODUCTS = (
    "image",
    "cube",
    "spectrum",
    "sed",
    "timeseries",
    "visibility",
    "event",
    "measurements",
    "dynamic-spectrum",
    "event-list",
    "spatial-profile",
    "spatially-resolved-dataset",
    "spectrally-resolved-dataset",
    "temporally-resolved-dataset",
    "time-cube",
)
_NUMBER = re.compile(r"\s*[+-]?[\d.]+\s*(?:d|deg|°)?\s*")
# Degrees, or hours and degrees with their letters or colons.
_COORDINATES = re.compile(r"\s*[\d.+-][\d.:hms°'\"d\s]*[\s,]+[\d.+-][\d.:ms°'\"d\s]*")
# What an observer asks ObsCore for first (ObsCore 1.1 table 1).
_OBSERVATION = (
    "obs_publisher_did",
    "obs_collection",
    "dataproduct_type",
    "target_name",
    "s_ra",
    "s_dec",
    "s_fov",
    "t_min",
    "t_max",
    "t_exptime",
    "em_min",
    "em_max",
    "instrument_name",
    "access_url",
    "access_format",
    "access_estsize",
)


def select(
    table: str,
    *,
    columns: Sequence[str] = ("*",),
    where: Sequence[tuple[str, str, Any]] = (),
    position: Any = None,
    radius: Any = None,
    ra: str = "ra",
    dec: str = "dec",
    order: str = "",
    top: int | None = None,
) -> str:
    r"""Write a query of one table.

    Parameters
    ----------
    table : str
        With its schema.
    columns : sequence of str
        Names, or ``"*"``.
    where : sequence of (column, comparison, value)
        All must hold; a comparison is one of ``= <> < <= > >= LIKE``, a value a number or a text.
    position : SkyCoord or str, optional
        Centre of a cone, or the name of a target that the name resolver of CDS (Sesame) knows.
    radius : Quantity, angle, optional
        Of the cone.
    ra, dec : str
        Columns of the position, degrees, ICRS.
    order : str
        Column to sort by.
    top : int, optional
        Most rows.

    Returns
    -------
    str
        ADQL 2.0.

    Raises
    ------
    QueryError
        For what is no name or value; `DataError` for a position or an angle that is none.

    Examples
    --------
    >>> select("demo.galaxies", columns=["id", "ra"], where=[("mag_r", "<", 17)], top=5)
    'SELECT TOP 5 id, ra\nFROM demo.galaxies\nWHERE mag_r < 17'
    """
    wanted = ", ".join("*" if name == "*" else _name(name) for name in columns)
    conditions = [_condition(*each) for each in where]
    if position is not None:
        point = f"POINT({_name(ra)}, {_name(dec)})"
        conditions.insert(0, f"1 = CONTAINS({point}, {_circle(position, radius)})")
    return _query(wanted, _table(table), conditions, order=_name(order) if order else "", top=top)


def observations(
    *,
    position: Any = None,
    radius: Any = None,
    band: Quantity | None = None,
    time: Time | None = None,
    product: str = "",
    collection: str = "",
    top: int | None = None,
) -> str:
    """Write a query of ObsCore, the table of observations that every archive has (ObsCore 1.1).

    Parameters
    ----------
    position : SkyCoord or str, optional
        A place that the observations cover, or the name of a target.
    radius : Quantity, angle, optional
        Then they must overlap a circle of this radius.
    band : Quantity, optional
        A wavelength, frequency or energy that they cover, or two for a range that they overlap.
    time : Time, optional
        A time that they cover, or two for a range that they overlap.
    product : str
        ``"image"``, ``"spectrum"``, ``"timeseries"``, ``"cube"`` …
    collection : str
        Such as ``"HST"``.
    top : int, optional
        Most rows.

    Raises
    ------
    QueryError, DataError
        As `select`.
    """
    conditions = []
    if position is not None and radius is not None:
        conditions.append(f"1 = INTERSECTS(s_region, {_circle(position, radius)})")
    elif position is not None:
        middle = place(position)
        point = f"POINT({middle.ra.deg:.9g}, {middle.dec.deg:.9g})"
        conditions.append(f"1 = CONTAINS({point}, s_region)")
    elif radius is not None:
        raise QueryError("A radius was given without a position", remedy="give both")
    if band is not None:
        low, high = interval(metres(band))
        conditions.append(f"em_min <= {high:.9g} AND em_max >= {low:.9g}")
    if time is not None:
        low, high = interval(time.utc.mjd)
        # Twelve digits of a day are a tenth of a microsecond.
        conditions.append(f"t_min <= {high:.12g} AND t_max >= {low:.12g}")
    if product:
        _known_product(product)
        conditions.append(f"dataproduct_type = {_value(product)}")
    if collection:
        conditions.append(f"obs_collection = {_value(collection)}")
    return _query(", ".join(_OBSERVATION), "ivoa.obscore", conditions, order="", top=top)


def _known_product(word: str) -> None:
    if word not in PRODUCTS:
        near = difflib.get_close_matches(word, PRODUCTS, n=2) or PRODUCTS
        raise QueryError(
            f"{word!r} is no type of data product", remedy=f"use one of {', '.join(near)}"
        )


def _query(columns: str, table: str, conditions: list[str], *, order: str, top: int | None) -> str:
    if top is not None and top < 1:
        raise QueryError(f"top is {top}", remedy="give a positive number of rows")
    lines = [f"SELECT {f'TOP {int(top)} ' if top else ''}{columns}", f"FROM {table}"]
    if conditions:
        lines.append("WHERE " + "\n  AND ".join(conditions))
    if order:
        lines.append(f"ORDER BY {order}")
    return "\n".join(lines)


def _name(text: str) -> str:
    if not text or "\0" in text:
        raise QueryError(f"{text!r} is no name of a column")
    return delimited(text)


def _table(text: str) -> str:
    if not _TABLE.fullmatch(text):
        raise QueryError(
            f"{text!r} is no name of a table",
            remedy='write schema.table; odd names in double quotes, as "J/A+A/1"',
        )
    return text


def _condition(column: str, comparison: str, value: Any) -> str:
    word = comparison.upper().strip()
    if word not in _COMPARISONS:
        raise QueryError(
            f"{comparison!r} is no comparison", remedy=f"use one of {' '.join(_COMPARISONS)}"
        )
    return f"{_name(column)} {word} {_value(value)}"


def _value(value: Any) -> str:
    import numpy as np

    if isinstance(value, str):
        text = value.replace("'", "''")
        return f"'{text}'"
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        raise QueryError(f"{value!r} is no value for a query", remedy="give a number or a text")
    if not np.isfinite(value):
        raise QueryError(f"{value} cannot be compared with", remedy="give a finite number")
    return repr(value.item() if isinstance(value, np.generic) else value)


def _circle(where: Any, radius: Any) -> str:
    if radius is None:
        raise QueryError("A position was given without a radius", remedy="give both")
    middle, degrees = place(where), angle(radius, "deg", name="radius")
    if not 0 < degrees <= 180:
        raise QueryError(f"The radius is {degrees:g} degrees", remedy="give 0 to 180 degrees")
    return f"CIRCLE({middle.ra.deg:.9g}, {middle.dec.deg:.9g}, {degrees:.9g})"


def place(where: Any) -> Any:
    """Return a position; what is no pair of coordinates is a name, and asked of CDS."""
    if not isinstance(where, str):
        return position(where)
    from astropy.coordinates import SkyCoord
    from astropy.coordinates.name_resolve import NameResolveError

    if _COORDINATES.fullmatch(where):
        # Sixties are hours of right ascension, as everybody writes them; plain numbers degrees.
        sixties = ":" in where or len(where.replace(",", " ").split()) == 6
        with suppress(ValueError):
            return SkyCoord(
                where.replace(",", " "), unit=("hourangle", "deg") if sixties else "deg"
            )
    if _NUMBER.fullmatch(where):
        # CDS would be asked for an object of this name, and know none.
        raise QueryError(
            f"{where!r} is one number",
            remedy="give two: right ascension and declination, '150.1 2.2'",
        )
    try:
        return SkyCoord.from_name(where)
    except NameResolveError as err:
        raise QueryError(
            f"No position is known for {where!r}",
            cause=str(err),
            remedy="check the name and the network, or give degrees: '150.1 2.2'",
        ) from err


def metres(band: Any) -> Any:
    """Return wavelengths, frequencies or energies as wavelengths in metres, in vacuum."""
    from astropy import units as u

    try:
        return u.Quantity(band).to_value(u.m, equivalencies=u.spectral())
    except (u.UnitConversionError, TypeError) as err:
        raise QueryError(
            f"{band!r} is no band", remedy="give for example [400, 700] * u.nm"
        ) from err


def interval(values: Any) -> tuple[float, float]:
    """Return the smaller and the larger of two values; one value is both."""
    import numpy as np

    found = np.atleast_1d(values).astype(float)
    if found.size not in (1, 2) or not np.isfinite(found).all():
        raise QueryError(f"{values!r} is no value and no range", remedy="give one or two")
    return float(found.min()), float(found.max())
