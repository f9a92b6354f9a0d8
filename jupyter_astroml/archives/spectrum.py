"""Bytes from an archive to one spectrum: FITS tables and images, VOTables of the Spectrum model.

The layouts are those of the Spectrum Data Model 1.1 (by utypes), of ESO's and SDSS's tables, and of
images with one spectral axis as IRAF, SDSS and LAMOST write them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from jupyter_astroml.archives import votables
from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.units import named

# Pixels of one spectrum; the longest echelle spectra have a million.
MAX_PIXELS = 4 * 2**20
# Utypes of the Spectrum Data Model, in lower case and without its name, and names in capitals.
_ROLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "log": ("", ("LOGLAM", "LOGLAMBDA", "LOG_LAM", "LOG_LAMBDA")),
    "wave": (
        "data.spectralaxis.value",
        ("WAVELENGTH", "WAVE", "LAMBDA", "LAM", "SPECTRAL", "WAVE_AIR", "WAVE_VAC", "FREQUENCY"),
    ),
    "flux": ("data.fluxaxis.value", ("FLUX", "FLAM", "FNU", "F_LAMBDA", "FLUX_DENSITY")),
    "error": (
        "data.fluxaxis.accuracy.staterror",
        ("ERROR", "ERR", "FLUX_ERR", "FLUX_ERROR", "ERR_FLUX", "FLUXERR", "SIGMA", "UNCERTAINTY"),
    ),
    # SDSS: an inverse variance of 0 means no data; its and_mask tells much that does no harm.
    "ivar": ("", ("IVAR", "INVVAR", "FLUX_IVAR")),
    "quality": ("data.fluxaxis.quality", ("QUALITY", "QUAL", "MASK")),
}
# FITS 4.0 table 25 and what was written before it; an image may have other first axes.
_AXES = ("WAVE", "AWAV", "LAMBDA", "FREQ", "ENER")
# Surveys keep a spectrum with its errors and masks in an image of few rows.
_MOST_ROWS = 7
_IRAF_UNITS = re.compile(r"units\s*=\s*\"?([A-Za-z]+)")
Said = Callable[[str], Any]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """One decoded spectrum.

    Attributes
    ----------
    wavelength : ndarray of float64, shape (pixel,), in `wave_unit`
        Finite and rising.
    values, errors : ndarray of float32, shape (pixel,)
        NaN where there is no data.
    wave_unit, flux_unit : str
        Empty when the file does not say.
    medium, frame : str
        As for `jupyter_astroml.core.records.Spectra`.
    simulated : bool
    """

    wavelength: np.ndarray
    values: np.ndarray
    errors: np.ndarray
    wave_unit: str
    flux_unit: str
    medium: str
    frame: str
    simulated: bool

    def to(self, *, wave_unit: str, flux_unit: str) -> Spectrum:
        """Return the spectrum in other units, each as far as it can be converted.

        A flux per wavelength becomes one per frequency where that is asked for.
        """
        from astropy import units as u

        wave, values, errors = self.wavelength, self.values, self.errors
        have, given = self.wave_unit, self.flux_unit
        light = u.spectral_density(wave * _unit(have)) if have else []
        with suppress(u.UnitConversionError, ValueError, TypeError):
            values, errors = (
                _unit(given).to(_unit(flux_unit), each, light).astype(np.float32)
                for each in (values, errors)
            )
            given = flux_unit
        if have and wave_unit:
            wave, have = _unit(have).to(_unit(wave_unit), wave), wave_unit
        return replace(
            self, wavelength=wave, values=values, errors=errors, wave_unit=have, flux_unit=given
        )


@dataclass(frozen=True, eq=False)
class _Column:
    """A column of a table, with what it says of itself."""

    name: str
    values: Callable[[], Any]
    unit: str = ""
    utype: str = ""
    ucd: str = ""


def is_spectral(hdu: Any) -> bool:
    """Tell whether a HDU holds one spectrum."""
    if getattr(hdu, "is_image", False):
        return _is_spectral_image(hdu.shape, hdu.header)
    if hdu.header.get("XTENSION", "").strip() != "BINTABLE" or "ZIMAGE" in hdu.header:
        return False
    found = _roles(_fits_columns(hdu))
    return "flux" in found and bool({"wave", "log"} & set(found))


def of_fits(hdu: Any, said: Said) -> Spectrum:
    """Return the spectrum of a HDU.

    Parameters
    ----------
    hdu : HDU of astropy.io.fits
        One that `is_spectral`.
    said : callable
        Returns the value of a card, of this header or the primary one, or None.

    Raises
    ------
    DataError
        If it is too large, holds several spectra, or has an axis that is no wavelength.
    """
    if getattr(hdu, "is_image", False):
        return _of_image(hdu, said)
    # A lying header costs memory before it costs an error: look at the sizes first.
    if int(hdu.header["NAXIS1"]) * int(hdu.header["NAXIS2"]) > 64 * MAX_PIXELS:
        raise DataError(f"A spectrum of {hdu.header['NAXIS2']} rows is too long")
    return _of_columns(_fits_columns(hdu), said)


def of_votable(body: bytes) -> Spectrum:
    """Return the spectrum of a VOTable.

    Raises
    ------
    DataError, ArchiveError
        If it is no VOTable, or one that holds no spectrum.
    """
    table = votables.read([body]).table()
    columns = [
        _Column(
            name=name,
            values=partial(table.__getitem__, name),
            unit=str(table[name].unit or ""),
            utype=_bare(table[name].meta.get("utype", "")),
            ucd=str(table[name].meta.get("ucd", "")),
        )
        for name in table.colnames
    ]
    found = _roles(columns)
    if "flux" not in found or not {"wave", "log"} & set(found):
        raise DataError("The VOTable holds no spectrum", cause="no column has wavelengths or flux")
    return _of_columns(columns, lambda key: None)


def _bare(utype: Any) -> str:
    """Return a utype in lower case, without the name of its model."""
    return str(utype).strip().lower().rpartition(":")[2].removeprefix("spectrum.")


def _fits_columns(hdu: Any) -> list[_Column]:
    header = hdu.header
    return [
        _Column(
            name=str(column.name),
            values=partial(_field, hdu, column.name),
            unit=str(column.unit or ""),
            utype=_bare(header.get(f"TUTYP{number}", "")),
            ucd=str(header.get(f"TUCD{number}", "")),
        )
        for number, column in enumerate(hdu.columns, start=1)
    ]


def _field(hdu: Any, name: str) -> Any:
    return hdu.data[name]


def _roles(columns: Iterable[_Column]) -> dict[str, _Column]:
    """Return the column of each role: by its utype, else by the first of the usual names."""
    utypes = {c.utype: c for c in reversed(list(columns)) if c.utype}
    names = {c.name.strip().upper(): c for c in reversed(list(columns))}
    found = {}
    for role, (utype, usual) in _ROLES.items():
        column = utypes.get(utype) or next((names[n] for n in usual if n in names), None)
        if column is not None:
            found[role] = column
    return found


def _of_columns(columns: list[_Column], said: Said) -> Spectrum:
    found = _roles(columns)
    axis = found.get("wave") or found["log"]
    wave, flux = _pixels(axis), _pixels(found["flux"]).astype(np.float32)
    if len(wave) != len(flux):
        raise DataError(f"The file has {len(wave)} wavelengths and {len(flux)} values of flux")
    unit = axis.unit
    if "wave" not in found:
        # SDSS: decimal logarithms of vacuum wavelengths in angstroms.
        wave, unit = 10**wave, "Angstrom"
    errors = _errors(found, len(flux))
    bad = ~np.isfinite(errors) if "ivar" in found and "error" not in found else _no(flux)
    if "quality" in found:
        bad = bad | (_pixels(found["quality"]) != 0)
    flux[bad] = np.nan
    logarithmic = "wave" not in found
    return _rising(
        wave,
        flux,
        errors,
        unit=unit,
        flux_unit=found["flux"].unit or str(said("BUNIT") or ""),
        medium=_medium(said, ucd=axis.ucd, name=axis.name) or ("vacuum" if logarithmic else ""),
        said=said,
    )


def _no(values: np.ndarray) -> np.ndarray:
    return np.zeros(len(values), dtype=bool)


def _pixels(column: _Column) -> np.ndarray:
    """Return the numbers of a column, one a pixel: one in each row, or all in the only row."""
    values = column.values()
    if len(values) == 1:
        values = values[0]
    numbers = np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan)
    if numbers.ndim == 0:
        numbers = numbers[None]
    if numbers.ndim != 1:
        raise DataError(f"The file holds {len(numbers)} spectra", remedy="ask for one at a time")
    if len(numbers) > MAX_PIXELS:
        raise DataError(f"A spectrum of {len(numbers)} pixels is too long")
    return np.array(numbers)


def _errors(found: dict[str, _Column], n: int) -> np.ndarray:
    """Return one standard deviation, NaN where unknown."""
    if "error" in found:
        errors = _pixels(found["error"])
    elif "ivar" in found:
        variance = _pixels(found["ivar"])
        errors = np.where(variance > 0, 1 / np.sqrt(np.where(variance > 0, variance, 1)), np.nan)
    else:
        errors = np.full(n, np.nan)
    if len(errors) != n:
        raise DataError(f"The file has {n} values of flux and {len(errors)} errors")
    return errors.astype(np.float32)


def _is_spectral_image(shape: tuple[int, ...], header: Any) -> bool:
    rows = shape[0] if len(shape) == 2 else 1
    if len(shape) not in (1, 2) or rows > _MOST_ROWS or shape[-1] <= _MOST_ROWS:
        return False
    if "COEFF0" in header and "COEFF1" in header:
        return True
    if "CRVAL1" not in header or not ({"CDELT1", "CD1_1"} & set(header)):
        return False
    axis = str(header.get("CTYPE1", "")).strip().upper()
    # Few rows may also be a narrow image of the sky; one row is none.
    plain = axis in ("", "LINEAR") and (len(shape) == 1 or "DC-FLAG" in header)
    return plain or axis.startswith(_AXES)


def _of_image(hdu: Any, said: Said) -> Spectrum:
    if int(np.prod([int(n) for n in hdu.shape])) > _MOST_ROWS * MAX_PIXELS:
        raise DataError(f"A spectrum of {hdu.shape[-1]} pixels is too long")
    header = hdu.header
    values = np.array(hdu.data, dtype=np.float32)
    # The first row is the flux everywhere; what the others are differs from survey to survey.
    flux = values if values.ndim == 1 else values[0]
    axis = str(header.get("CTYPE1", "")).strip().upper()
    wave, unit = _image_axis(header, axis, len(flux))
    told = "air" if axis.startswith("AWAV") else "vacuum" if axis.startswith("WAVE") else ""
    sloan = "vacuum" if "COEFF0" in header else ""
    return _rising(
        wave,
        flux.copy(),
        np.full(len(flux), np.nan, dtype=np.float32),
        unit=unit,
        flux_unit=str(said("BUNIT") or ""),
        medium=_medium(said) or told or sloan,
        said=said,
    )


def _image_axis(header: Any, axis: str, n: int) -> tuple[np.ndarray, str]:
    """Return the wavelengths of an image and their unit."""
    pixel = np.arange(n, dtype=np.float64)
    if "COEFF0" in header:
        return 10 ** (float(header["COEFF0"]) + float(header["COEFF1"]) * pixel), "Angstrom"
    start, step = float(header["CRVAL1"]), float(header.get("CD1_1", header.get("CDELT1")))
    away = step * (pixel + 1 - float(header.get("CRPIX1", 1)))
    unit = str(header.get("CUNIT1") or "").strip()
    iraf = _IRAF_UNITS.search(str(header.get("WAT1_001", "")))
    unit = unit or (iraf[1] if iraf else "Hz" if axis.startswith("FREQ") else "")
    if header.get("DC-FLAG", 0) == 1:
        return 10 ** (start + away), unit or "Angstrom"
    _, _, algorithm = axis.partition("-")
    if algorithm.strip("-") == "LOG":
        # FITS 4.0 section 8.4, equation 5 of Greisen et al. 2006, A&A 446, 747.
        return start * np.exp(away / start), unit
    if algorithm.strip("-"):
        raise DataError(f"The wavelengths follow {axis!r}, which is not read here")
    return start + away, unit


def _medium(said: Said, *, ucd: str = "", name: str = "") -> str:
    """Return what the wavelengths were measured in, if it is told."""
    word = str(said("AIRORVAC") or "").strip().lower()
    if word[:3] in ("air", "vac"):
        return "air" if word.startswith("air") else "vacuum"
    if said("VACUUM") is not None:
        return "vacuum" if said("VACUUM") in (True, 1, "T") else "air"
    # Of a UCD that is how ESO says it, of a name how catalogues do.
    if "obs.atmos" in ucd.lower() or name.upper().endswith("_AIR"):
        return "air"
    return "vacuum" if name.upper().endswith("_VAC") else ""


def _frame(said: Said) -> str:
    """Return the frame of the wavelengths (SPECSYS of FITS 4.0 table 27), if it is told."""
    system = str(said("SPECSYS") or "").strip().upper()
    return "rest" if system == "SOURCE" else "observed" if system else ""


def _rising(
    wave: np.ndarray,
    flux: np.ndarray,
    errors: np.ndarray,
    *,
    unit: str,
    flux_unit: str,
    medium: str,
    said: Said,
) -> Spectrum:
    """Bring an axis into wavelengths that rise; pixels without one are left out."""
    keep = np.isfinite(wave) & (wave > 0)
    if not keep.any():
        raise DataError("The spectrum has no wavelengths")
    wave, unit, light = _wavelengths(wave[keep], unit)
    order = np.argsort(wave, kind="stable")
    return Spectrum(
        wavelength=wave[order],
        values=flux[keep][order],
        errors=errors[keep][order],
        wave_unit=unit,
        flux_unit=flux_unit.strip(),
        medium=medium or light,
        frame=_frame(said),
        simulated=bool(said("SIMULATD")),
    )


def _wavelengths(axis: np.ndarray, unit: str) -> tuple[np.ndarray, str, str]:
    """Return wavelengths, their unit, and the medium that a frequency or energy stands for."""
    from astropy import units as u

    if not unit.strip():
        return axis, "", ""
    known = _unit(unit)
    if known.is_equivalent(u.m):
        return axis, known.to_string(), ""
    if not known.is_equivalent(u.m, u.spectral()):
        raise DataError(f"The wavelengths are in {unit[:40]!r}, which is no wavelength")
    return (axis * known).to_value(u.AA, u.spectral()), "Angstrom", "vacuum"


def _unit(text: str) -> Any:
    """Return a unit; surveys write it in capitals and in the plural."""
    from astropy import units as u

    for spelling in (text.strip(), text.strip().lower().removesuffix("s")):
        found = named(spelling)
        if not isinstance(found, u.UnrecognizedUnit):
            return found
    return found
