"""Parts of datasets: what a SODA service is asked to cut (SODA 1.0), and what is cut here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from jupyter_astroml.archives.decode import MJD_ZERO, Image, Series, untrusted
from jupyter_astroml.archives.spectrum import Spectrum
from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import References

# What can be cut here, of files that come whole.
_HERE: dict[type, frozenset[str]] = {
    Image: frozenset(("CIRCLE",)),
    Spectrum: frozenset(("BAND", "CIRCLE")),
    Series: frozenset(("TIME", "CIRCLE")),
}


def asked(references: References, i: int, *, takes: frozenset[str]) -> dict[str, str]:
    """Return the parameters for one object, by name (SODA 1.0 section 3.3).

    Parameters
    ----------
    references : References
        Say which part is wanted.
    i : int
        Row of the object.
    takes : frozenset of str
        Parameters that the service declares.
        Every service is asked for a circle; for a band or a time only one that has them.

    Returns
    -------
    dict of str to str
        Positions and radii in degrees, ICRS; wavelengths in metres, vacuum; times in MJD, UTC.
    """
    found = {}
    if references.size_arcsec and _placed(references, i):
        # Services answer with the box that holds the circle.
        place = (references.ra[i], references.dec[i], references.size_arcsec / 7200)
        found["CIRCLE"] = " ".join(f"{v:.9f}" for v in place)
    if references.wave_range and "BAND" in takes:
        found["BAND"] = " ".join(f"{v:.9g}" for v in references.wave_range)
    if references.time_range and "TIME" in takes:
        found["TIME"] = " ".join(f"{v:.12g}" for v in references.time_range)
    return found


def trimmed(
    found: Image | Series | Spectrum, references: References, i: int, *, done: frozenset[str]
) -> Any:
    """Return the part of a decoded dataset that is wanted; services are generous, or cut nothing.

    Parameters
    ----------
    found : Image, Series or Spectrum
        As it was decoded.
    references, i
        As for `asked`.
    done : frozenset of str
        Parameters that a service was asked for.

    Raises
    ------
    DataError
        If nothing is left, or neither the archive nor we can cut it that way.
    """
    wanted = {"BAND": references.wave_range, "TIME": references.time_range}
    for name, part in wanted.items():
        if part and name not in done and name not in _HERE[type(found)]:
            raise DataError(f"The archive does not cut this by {name.lower()}")
    with untrusted():
        if isinstance(found, Image) and references.size_arcsec and _placed(references, i):
            return found.centred(
                references.ra[i], references.dec[i], size_arcsec=references.size_arcsec
            )
        if isinstance(found, Spectrum) and references.wave_range:
            return _in_band(found, references.wave_range)
        if isinstance(found, Series) and references.time_range:
            return _in_time(found, references.time_range)
    return found


def _placed(references: References, i: int) -> bool:
    return bool(np.isfinite(references.ra[i]) and np.isfinite(references.dec[i]))


def _in_band(spectrum: Spectrum, band: tuple[float, float]) -> Spectrum:
    from astropy import units as u

    if not spectrum.wave_unit:
        raise DataError("A band cannot be cut: the file does not say the unit of its wavelengths")
    # Wavelengths in air differ from those in vacuum by 0.03 per cent, which moves an edge a little.
    metres = spectrum.wavelength * u.Unit(spectrum.wave_unit).to(u.m)
    # What a service was asked for and what it sent differ by their rounding.
    keep = _inside(metres, band, slack=1e-9 * band[1])
    if not keep.any():
        raise DataError("The spectrum has nothing in the band")
    return replace(
        spectrum,
        wavelength=spectrum.wavelength[keep],
        values=spectrum.values[keep],
        errors=spectrum.errors[keep],
    )


def _in_time(series: Series, time: tuple[float, float]) -> Series:
    from astropy.time import Time

    if not np.isfinite(series.time_zero) or series.time_scale not in Time.SCALES:
        raise DataError("A time cannot be cut: the file does not say what its times count from")
    ends = getattr(Time(time, format="mjd", scale="utc"), series.time_scale).mjd
    # Days since the zero of the file, which keeps the digits that a Julian date would lose.
    low, high = (float(end) - (series.time_zero - MJD_ZERO) for end in ends)
    keep = _inside(series.time, (low, high), slack=1e-9)
    if not keep.any():
        raise DataError("The light curve has nothing in that time")
    return replace(
        series, time=series.time[keep], values=series.values[keep], errors=series.errors[keep]
    )


def _inside(values: np.ndarray, ends: tuple[float, float], *, slack: float) -> np.ndarray:
    return (values >= ends[0] - slack) & (values <= ends[1] + slack)
