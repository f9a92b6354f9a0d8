"""What each file says about itself: the look into images, light curves and spectra."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from jupyter_astroml.core import units
from jupyter_astroml.core.errors import DataError

from . import readers, roles
from .config import FilesTable, ImagesTable, LightCurvesTable, SpectraTable
from .files import Entry, named
from .products import Store, series
from .soda import image_hdu

# Pairs of cards with the position of the object; in SDSS, RA is where the telescope points.
_PLACES = (("PLUG_RA", "PLUG_DEC"), ("RA_OBJ", "DEC_OBJ"), ("RA_TARG", "DEC_TARG"), ("RA", "DEC"))
# Wavelengths in air are shorter by the refraction of air, 0.028 per cent in the optical
# (Morton 1991, ApJS 77, 119).
_AIR = 1.00028
# Surveys keep a spectrum with its errors and masks in an image of few rows.
MOST_ROWS = 7


def look(store: Store, entry: Entry, table: FilesTable) -> dict[str, Any]:
    """Return what a file says.

    Parameters
    ----------
    store : Store
        Where the file is.
    entry : Entry
        The file.
    table : FilesTable
        What its description adds.

    Returns
    -------
    dict
        ``media``, ``kind`` (of `build.Product`), ``unit``, and what is known of position (``ra``,
        ``dec``, ``s_region``), size, time (``t_min``) and wavelength (``em_min``, in metres,
        vacuum).

    Raises
    ------
    DataError
        When the file is damaged or does not hold what the table is to hold.
    """
    if isinstance(table, ImagesTable):
        return _image(store, entry)
    if entry.ending in readers.SERIES_ENDINGS:
        return _text(store, entry, table)
    if isinstance(table, LightCurvesTable):
        return _npy(store, entry) if entry.ending == ".npy" else _curve(store, entry)
    return _spectrum(store, entry, table)


@contextmanager
def _opened(store: Store, entry: Entry) -> Iterator[Any]:
    """Give the HDUs of a file, and one error for whatever is wrong with it."""
    import warnings

    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning

    path = named(store.root, entry.path)
    source = io.BytesIO(store.member(path, entry.member)) if entry.member else path
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            with fits.open(source, lazy_load_hdus=True) as hdus:
                yield hdus
        except (OSError, ValueError, TypeError, KeyError, IndexError, fits.VerifyError) as err:
            raise DataError(f"{entry.name} is damaged", cause=str(err)[:120]) from err


def _image(store: Store, entry: Entry) -> dict[str, Any]:
    if entry.media != "application/fits":
        # Pictures are looked at when they are sent: thousands of them would delay the start.
        return {"media": entry.media, "kind": "file", "bands": "R,G,B", "unit": "picture"}
    with _opened(store, entry) as hdus:
        hdu = image_hdu(hdus)
        if hdu is None:
            raise DataError(f"{entry.name} holds no image")
        return _image_facts(hdu.header, hdu.shape, hdus[0].header)


def _image_facts(header: Any, shape: tuple[int, ...], primary: Any) -> dict[str, Any]:
    from astropy.wcs.utils import proj_plane_pixel_scales

    planes = shape[0] if len(shape) == 3 else 1
    said = str(header.get("BANDS") or header.get("FILTER") or primary.get("FILTER") or "")
    bands = [b for b in re.split(r"[,\s]+", said) if b]
    facts: dict[str, Any] = {
        "media": "application/fits",
        "kind": "file",
        "bands": ",".join(bands if len(bands) == planes else map(str, range(planes))),
        "unit": str(header.get("BUNIT") or primary.get("BUNIT") or ""),
        "s_xel1": int(shape[-1]),
        "s_xel2": int(shape[-2]),
        "em_xel": planes,
    }
    wcs = _wcs(header)
    if wcs is not None:
        facts |= _sky_facts(wcs.celestial, shape[-2:])
        facts["scale"] = float(np.mean(proj_plane_pixel_scales(wcs.celestial))) * 3600
    return facts


def _wcs(header: Any) -> Any:
    """Return the WCS of an image if it has positions that can be computed, else None."""
    from astropy.wcs import WCS, WcsError

    try:
        found = WCS(header, naxis=2)
    except (WcsError, ValueError, TypeError, KeyError):
        return None
    return found if found.has_celestial else None


def _sky_facts(wcs: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return centre and outline in ICRS of an image with a celestial WCS."""
    height, width = shape
    x = np.array([(width - 1) / 2, -0.5, width - 0.5, width - 0.5, -0.5])
    y = np.array([(height - 1) / 2, -0.5, -0.5, height - 0.5, height - 0.5])
    places = wcs.pixel_to_world(x, y).icrs
    ra, dec = places.ra.deg, places.dec.deg
    if not (np.isfinite(ra).all() and np.isfinite(dec).all()):
        return {}
    outline = [float(v) for pair in zip(ra[1:], dec[1:], strict=True) for v in pair]
    return {
        "kind": "cube",
        "ra": float(ra[0]),
        "dec": float(dec[0]),
        "s_region": outline,
        "s_fov": float(places[1].separation(places[3]).deg),
    }


def _npy(store: Store, entry: Entry) -> dict[str, Any]:
    time = series(named(store.root, entry.path))[0]
    return {"media": "application/fits", "kind": "npy", "unit": "", **_times(time)}


def _times(time: np.ndarray) -> dict[str, Any]:
    good = time[np.isfinite(time)]
    return {
        "t_xel": len(time),
        "t_min": float(good.min()) if len(good) else None,
        "t_max": float(good.max()) if len(good) else None,
    }


def _curve(store: Store, entry: Entry) -> dict[str, Any]:
    with _opened(store, entry) as hdus:
        for hdu in hdus:
            columns = getattr(hdu, "columns", None)
            names = [str(n).upper() for n in columns.names] if columns else []
            if "TIME" in names and any("FLUX" in n for n in names):
                return _curve_facts(hdu, hdus[0].header, names)
    raise DataError(f"{entry.name} has no table with the columns TIME and FLUX")


def _curve_facts(hdu: Any, primary: Any, names: list[str]) -> dict[str, Any]:
    header = hdu.header
    unit = hdu.columns[next(i for i, n in enumerate(names) if "FLUX" in n)].unit
    facts = {
        "media": "application/fits",
        "kind": "file",
        "unit": str(unit or ""),
        "t_xel": int(header["NAXIS2"]),
        "t_min": header.get("TSTART"),
        "t_max": header.get("TSTOP"),
        **_place(header, primary, cards=(("RA_OBJ", "DEC_OBJ"),)),
    }
    if "BJDREFI" not in header:
        return facts
    return {**facts, "zero": float(header["BJDREFI"]) + float(header.get("BJDREFF", 0.0))}


def _place(
    header: Any, primary: Any, *, cards: tuple[tuple[str, str], ...] = _PLACES
) -> dict[str, float]:
    """Return the position in a header, where it is one in degrees."""
    for pair in cards:
        found = [header.get(card, primary.get(card)) for card in pair]
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in found):
            ra, dec = (float(v) for v in found)
            if 0 <= ra <= 360 and abs(dec) <= 90:
                return {"ra": ra, "dec": dec}
    return {}


def _spectrum(store: Store, entry: Entry, table: SpectraTable) -> dict[str, Any]:
    with _opened(store, entry) as hdus:
        primary = hdus[0].header
        for hdu in hdus:
            found = spectral(hdu)
            if found is not None:
                wave, unit, flux_unit = found
                return {
                    "media": "application/fits",
                    "kind": "file",
                    "unit": flux_unit or str(hdu.header.get("BUNIT") or ""),
                    **_waves(wave, unit or table.wave_unit, table),
                    **_place(hdu.header, primary),
                }
    raise DataError(f"{entry.name} has no wavelengths with fluxes")


def spectral(hdu: Any) -> tuple[np.ndarray, str, str] | None:
    """Return the wavelengths of a spectrum, their unit and that of flux, or None for other HDUs.

    Units are empty where the file does not say.
    """
    if getattr(hdu, "is_image", False):
        return _spectral_image(hdu)
    columns: Any = getattr(hdu, "columns", None)
    found = roles.find(map(str, columns.names)) if columns else {}
    if "wavelength" not in found or "flux" not in found or not len(hdu.data):
        return None
    name = found["wavelength"]
    wave, unit = np.ravel(np.asarray(hdu.data[name], dtype=float)), str(columns[name].unit or "")
    if roles.logarithmic(name):
        wave, unit = 10**wave, "Angstrom"
    return wave, unit, str(columns[found["flux"]].unit or "")


def _spectral_image(hdu: Any) -> tuple[np.ndarray, str, str] | None:
    """Read the axis of an image of one spectrum, as IRAF, SDSS and LAMOST write it."""
    shape, header = hdu.shape, hdu.header
    rows = shape[0] if len(shape) == 2 else 1
    if len(shape) not in (1, 2) or rows > MOST_ROWS or shape[-1] <= MOST_ROWS:
        return None
    pixel = np.arange(min(int(shape[-1]), 1_000_000))
    unit = str(header.get("CUNIT1") or "")
    if "COEFF0" in header and "COEFF1" in header:
        return 10 ** (header["COEFF0"] + header["COEFF1"] * pixel), "Angstrom", ""
    step = header.get("CD1_1", header.get("CDELT1"))
    if "CRVAL1" not in header or step is None or str(header.get("CTYPE1", "")).startswith("RA"):
        return None
    axis = header["CRVAL1"] + step * (pixel + 1 - header.get("CRPIX1", 1))
    if header.get("DC-FLAG", 0) == 1:
        return 10**axis, unit or "Angstrom", ""
    return axis, unit, ""


def _waves(wave: np.ndarray, unit: str, table: SpectraTable) -> dict[str, Any]:
    """Return number and range of wavelengths, the range in metres in vacuum."""
    from astropy import units as u

    good = wave[np.isfinite(wave) & (wave > 0)]
    known = units.named(unit) if unit else None
    facts: dict[str, Any] = {"em_xel": len(wave), "em_min": None, "em_max": None}
    if not len(good) or known is None or not known.is_equivalent(u.m, u.spectral()):
        return facts
    ends = (np.array([good.min(), good.max()]) * known).to_value(u.m, u.spectral())
    ends *= _AIR if table.medium == "air" else 1.0
    return {**facts, "em_min": float(ends.min()), "em_max": float(ends.max())}


def _text(store: Store, entry: Entry, table: LightCurvesTable | SpectraTable) -> dict[str, Any]:
    """Look into a table of text with one light curve or spectrum."""
    rows = readers.read(named(store.root, entry.path))
    found = roles.find(rows.columns)
    if roles.kind(rows.columns) != table.kind or not len(rows):
        wanted = "time" if table.kind == "light_curves" else "wavelength"
        raise DataError(f"{entry.name} has no columns of {wanted} and flux")
    unit = rows.units.get(found.get("flux", found.get("magnitude", "")), "")
    facts = {"media": "application/fits", "kind": "text", "unit": unit}
    axis = readers.numbers(rows, found["time" if table.kind == "light_curves" else "wavelength"])
    if isinstance(table, LightCurvesTable):
        return {**facts, **_times(axis)}
    name = found["wavelength"]
    if roles.logarithmic(name):
        return {**facts, **_waves(10**axis, "Angstrom", table)}
    return {**facts, **_waves(axis, rows.units.get(name, "") or table.wave_unit, table)}
