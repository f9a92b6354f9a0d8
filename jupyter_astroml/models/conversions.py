"""What can be converted without inventing anything: units, pixel scales, wavelengths."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from jupyter_astroml.core.units import named

# 1 nanomaggy is magnitude 22.5 on the AB scale (the zero point of the Sloan Digital Sky Survey).
NANOMAGGY_ZERO_POINT = 22.5
_COUNTS = ("ct", "adu", "DN", "electron", "ct / s", "adu / s", "DN / s", "electron / s")
# "e-/s" is how TESS and Kepler write electrons per second.
_ELECTRONS = re.compile(r"(?<![\w.])e-?(?=\s*(?:/|$))")
# Nobody measures light per ampere.
_ANGSTROMS = re.compile(r"\b(?:ang|angstroms?|(?-i:A))\b", re.IGNORECASE)


def factor(have: str, want: str, *, zero_point: float | None = None) -> float | None:
    """Return what a flux must be multiplied with to change its unit.

    Parameters
    ----------
    have, want : str
        Units, as astropy reads them.
    zero_point : float, optional
        AB magnitude of one count, for detector counts.

    Returns
    -------
    float or None
        None where one unit does not become the other.
    """
    from astropy import units as u

    wanted = named(want)
    given = named(have.replace("counts", "count"))
    if zero_point is not None and any(given == u.Unit(c) for c in _COUNTS):
        maggies = 10 ** (-0.4 * (float(zero_point) - NANOMAGGY_ZERO_POINT))
        value, given = maggies * 1e-9, u.mgy
    else:
        value = 1.0
    try:
        # A maggy is 3631 Jy on the AB scale.
        return float(value * given.to(wanted, equivalencies=u.zero_point_flux(3631 * u.Jy)))
    except (ValueError, TypeError, AttributeError):
        return None


def is_per_pixel(unit: str) -> bool:
    """Tell whether a pixel of twice the area holds twice the value: a flux, not a brightness."""
    from astropy import units as u

    found = named(unit)
    if not isinstance(found, u.UnitBase) or unit in ("", "picture", "relative"):
        return False
    return not any("rad" in str(base) for base in found.decompose().bases)


def is_flux(text: str) -> bool:
    """Tell whether a unit is linear in the light: a magnitude is not, nor is what nobody knows."""
    from astropy import units as u

    unit = unit_of_light(text)
    if unit.is_equivalent(u.mag) or isinstance(unit, u.function.FunctionUnitBase):
        return False
    counted = (u.one, u.electron, u.ct, u.adu, u.DN, u.ph, u.ph / u.m**2, u.ph / u.m**3, u.mgy)
    return any(
        unit.is_equivalent(light)
        for light in (*counted, *(c / u.s for c in counted), u.Jy, u.W / u.m**2, u.W / u.m**3)
    )


def is_count(text: str) -> bool:
    """Tell whether values are counts of a detector: a pixel of twice the width holds twice."""
    given = unit_of_light(text)
    return any(given == named(count) for count in _COUNTS)


def unit_of_light(text: str) -> Any:
    """Return the unit that a survey means: ``e-/s``, ``counts``, ``1E-17 erg/cm^2/s/Ang``."""
    spelled = _ELECTRONS.sub("electron", text).replace("counts", "count").replace("ergs", "erg")
    spelled = _ANGSTROMS.sub("Angstrom", spelled)
    first, *rest = (part.strip() for part in spelled.split("/"))
    # Slash after slash is what everybody writes, and what astropy warns of.
    chained = len(rest) > 1 and not any(sign in spelled for sign in "()")
    return named(f"{first} / ({' '.join(rest)})" if chained else spelled)


def edges(middles: np.ndarray) -> np.ndarray:
    """Return the edges of pixels whose middles rise: halfway between them, shape (pixel + 1,)."""
    half = np.diff(middles) / 2
    inner = middles[:-1] + half
    return np.concatenate([middles[:1] - half[:1], inner, middles[-1:] + half[-1:]])


def rebinned(values: np.ndarray, have: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Return a spectrum on new pixels, each the mean of the old ones under it.

    The integral over whole pixels is kept, as by Carnall 2017 (arXiv:1705.05165).

    Parameters
    ----------
    values : ndarray, shape (p,)
        Per wavelength; NaN where missing.
    have, want : ndarray, shapes (p,) and (q,)
        Middles of the old and of the new pixels, rising, in one unit.  A gap between the old ones,
        such as that between two detectors, is missing.

    Returns
    -------
    ndarray, shape (q,)
        NaN where less than half of a pixel is known.
    """
    values, have = _with_gaps(values, have)
    known, old, new = np.isfinite(values), edges(have), edges(want)
    width = np.diff(old) * known
    light = width * np.where(known, values, 0.0)
    seen, flux = (
        np.diff(np.interp(new, old, np.concatenate([[0.0], np.cumsum(each)])))
        for each in (width, light)
    )
    # Half, but for rounding.
    enough = seen > 0.499 * np.diff(new)
    return np.where(enough, flux / np.where(enough, seen, 1.0), np.nan)


def _with_gaps(values: np.ndarray, middles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put two missing pixels into each gap, so that its neighbours do not widen into it."""
    from scipy.ndimage import median_filter

    steps = np.diff(middles)
    usual = median_filter(steps, size=9, mode="nearest")
    at = np.flatnonzero(steps > 3 * usual)
    ends = np.stack([middles[at] + usual[at], middles[at + 1] - usual[at]], axis=1).ravel()
    after = np.repeat(at + 1, 2)
    return np.insert(values, after, np.nan), np.insert(middles, after, ends)


def resampled(
    values: np.ndarray, *, middle: np.ndarray, step: float, size: tuple[int, int]
) -> np.ndarray:
    """Return an image on new pixels, each the mean of the old ones under it.

    Parameters
    ----------
    values : ndarray, shape (band, y, x)
        NaN where missing.
    middle : ndarray, shape (2,), pixels (y, x)
        Of the old image, where the middle of the new one is to be.
    step : float
        Side of a new pixel in old ones.
    size : tuple of int
        Of the new image (y, x); beyond the edge of the old one the edge is repeated.

    Returns
    -------
    ndarray, shape (band, y, x)
        NaN where more than half of the light under a pixel is missing.
    """
    known = np.isfinite(values)
    rows, columns = (
        _weights(have, want, at, step)
        for have, want, at in zip(values.shape[1:], size, middle, strict=True)
    )
    seen = rows @ known.astype(np.float64) @ columns.T
    light = rows @ np.where(known, values, 0.0) @ columns.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(seen > 0.5, light / seen, np.nan).astype(values.dtype)


def _weights(have: int, want: int, middle: float, step: float) -> np.ndarray:
    """Linear interpolation, as wide as the wider pixels; shape (want, have)."""
    new = np.clip(middle + (np.arange(want) - (want - 1) / 2) * step, 0, have - 1)
    weight = np.clip(1 - np.abs(new[:, None] - np.arange(have)) / max(step, 1.0), 0, None)
    return weight / weight.sum(axis=1, keepdims=True)


def vacuum(air: np.ndarray) -> np.ndarray:
    """Return wavelengths in vacuum for those in air.

    Parameters
    ----------
    air : ndarray, angstroms
        In standard air.

    Returns
    -------
    ndarray, angstroms
        By the inverse of `air` that N. Piskunov fitted for the VALD line list.  Below 2000 Å
        nobody measures in air.
    """
    s2 = (1e4 / np.asarray(air, dtype=np.float64)) ** 2
    index = (
        1
        + 8.336624212083e-5
        + 2.408926869968e-2 / (130.1065924522 - s2)
        + 1.599740894897e-4 / (38.92568793293 - s2)
    )
    return np.where(np.asarray(air) >= 2000.0, air * index, air)


def air(vacuum: np.ndarray) -> np.ndarray:
    """Return wavelengths in standard air for those in vacuum, angstroms.

    The refractive index is that of Birch & Downs 1994 (Metrologia 31, 315), as VALD uses it.
    """
    s2 = (1e4 / np.asarray(vacuum, dtype=np.float64)) ** 2
    index = 1 + 8.34254e-5 + 2.406147e-2 / (130 - s2) + 1.5998e-4 / (38.9 - s2)
    return np.where(np.asarray(vacuum) >= 2000.0, vacuum / index, vacuum)
