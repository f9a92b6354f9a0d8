"""Quantities at the door, private degrees inside."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jupyter_astroml.core.errors import DataError

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

# astropy works a power of ten out to its last digit: 10**99999999 takes minutes and all memory.
_ENDLESS = re.compile(r"10\s*(?:\*\*|\^|[+-])[\s(+-]*\d{5,}")


def is_endless(text: str) -> bool:
    """Tell whether astropy must not be given this as a unit."""
    return bool(_ENDLESS.search(text))


def named(text: str) -> Any:
    """Return the unit that a text of an untrusted file names.

    Parameters
    ----------
    text : str
        As the file has it.

    Returns
    -------
    astropy.units.UnitBase
        An `~astropy.units.UnrecognizedUnit`, which can be converted to nothing, where it is none.
    """
    from astropy import units as u

    if is_endless(text):
        return u.UnrecognizedUnit(text)
    return u.Unit(text, parse_strict="silent")


def angle(value: Any, unit: str, *, name: str) -> float:
    """Return an angle as a plain number in `unit`.

    Parameters
    ----------
    value : Quantity, angle, or str
        What the user gave, such as ``2 * u.arcmin`` or ``"2 arcmin"``.
    unit : str
        Any angular unit that astropy can parse.
    name : str
        Name of the argument, for the error.

    Raises
    ------
    DataError
        For a bare number: 30 could be degrees or arcseconds, a factor of 3600 apart.
    """
    from astropy import units as u

    if isinstance(value, str):
        with suppress(TypeError, ValueError):
            read = u.Quantity(value)
            value = read if read.unit != u.one else value
        if isinstance(value, str) and re.match(r"\s*[-+.\d]+[\deE.+-]*\s*[^\d\s]", value):
            raise DataError(
                f"'{name}' is {value!r}, whose unit is not known",
                remedy=f"write for example {name}='30 arcsec' or '5 arcmin'",
            )
    if not isinstance(value, u.Quantity):
        raise DataError(
            f"'{name}' is {value!r}, a number without a unit",
            remedy=f"write for example {name}='30 arcsec' or {name}=30*u.arcsec",
        )
    try:
        return float(value.to_value(unit))
    except u.UnitConversionError as err:
        raise DataError(f"'{name}' is no angle", cause=str(err)) from err


def position(value: Any, *, name: str = "position") -> SkyCoord:
    """Return a scalar sky position, ICRS.

    Raises
    ------
    DataError
        For anything but one `~astropy.coordinates.SkyCoord`.
    """
    from astropy.coordinates import SkyCoord

    if not isinstance(value, SkyCoord) or not value.isscalar:
        raise DataError(
            f"'{name}' is {type(value).__name__}, not one sky position",
            remedy="give SkyCoord(ra, dec, unit='deg')",
        )
    return value.icrs
