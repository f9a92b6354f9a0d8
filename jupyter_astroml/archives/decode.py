"""Bytes from an archive to arrays: FITS images and cubes, pictures, light curves, spectra.

Archives are untrusted: sizes are read from headers and refused before data are touched.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import islice
from typing import Any

import numpy as np

from jupyter_astroml.archives import plain
from jupyter_astroml.archives.onsky import OnSky, on_sky, shared
from jupyter_astroml.archives.spectrum import Spectrum, is_spectral, of_fits, of_votable
from jupyter_astroml.archives.unpack import check_tiles, unpacked
from jupyter_astroml.core.errors import AstroMLError, DataError
from jupyter_astroml.core.units import named

# Values of one object: a cutout, not a survey.
MAX_VALUES = 64 * 2**20
OFF_IMAGE = "the position lies outside the image"
# FITS files begin with these bytes.
_FITS = b"SIMPLE  ="
# XML, perhaps after a byte order mark, is a VOTable: the Spectrum model has one as its own form.
_XML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|VOTABLE)")
_FLUX = ("FLUX", "PDCSAP_FLUX", "SAP_FLUX")
_QUALITY = ("QUALITY", "SAP_QUALITY")
# Bits 1 to 6, 8, 13 and 15 of the flags in the TESS Science Data Products Description Document:
# attitude tweaks, safe mode, coarse point, Earth point, argabrightening, desaturation, manual
# exclusion, scattered light and bad calibration.
# Bit 10, impulsive outliers, stays: it marks the peaks of flares too.
_BAD_TESS = 0b101_0000_1011_1111
# "BJD - 2457000, days" is how TESS and Kepler write the unit of their times.
_COUNTED = re.compile(r"^B?JD\s*-\s*([0-9.]+)\s*,\s*days?$", re.IGNORECASE)
MJD_ZERO = 2400000.5
# Numbers by BITPIX (FITS 4.0 section 4.4.1.1).
_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
# Parts of a FITS file that are looked at: those of a mosaic camera, and some.
_MAX_HDUS = 200


@dataclass(frozen=True, eq=False)
class Image:
    """One decoded image.

    Attributes
    ----------
    values : ndarray of float32, shape (band, y, x)
    bands : tuple of str
        Empty when the file does not say.
    flux_unit : str
        ``"picture"`` for display values in 0..1; empty when the file does not say.
    sky : OnSky
        Where it is, as far as the file says.
    simulated : bool
    """

    values: np.ndarray
    bands: tuple[str, ...]
    flux_unit: str
    sky: OnSky
    simulated: bool

    def window(self, rows: slice, columns: slice) -> Image:
        """Return part of the image; the window may reach beyond it, where there is no data.

        Parameters
        ----------
        rows, columns : slice
            With start and stop; unlike for arrays, a negative start lies before the image.
        """
        shape = (len(self.values), rows.stop - rows.start, columns.stop - columns.start)
        values = np.full(shape, np.nan, dtype=np.float32)
        seen = self.values[:, max(rows.start, 0) : rows.stop, max(columns.start, 0) : columns.stop]
        down, right = max(-rows.start, 0), max(-columns.start, 0)
        values[:, down : down + seen.shape[1], right : right + seen.shape[2]] = seen
        return replace(self, values=values, sky=self.sky.moved(x=columns.start, y=rows.start))

    def centred(self, ra: float, dec: float, *, size_arcsec: float) -> Image:
        """Cut the image so that an object stands in the middle.

        An archive without a cutout service sends whole fields, and one with a service trims its
        boxes at the edge of a field: in both, the middle of the image is not where the object is.

        Parameters
        ----------
        ra : float
            Degrees, ICRS.
        dec : float
            Degrees, ICRS.
        size_arcsec : float
            Width and height.

        Returns
        -------
        Image
            Missing pixels are NaN; the same image where the object stands in the middle already,
            or where the file has no WCS.

        Raises
        ------
        DataError
            If the object is not in the image.
        """
        if self.sky.like is None:
            return self
        side = round(size_arcsec / self.sky.scale)
        height, width = self.values.shape[1:]
        x, y = self.sky.find(ra, dec)
        if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
            raise DataError(OFF_IMAGE)
        off = max(abs(x - (width - 1) / 2), abs(y - (height - 1) / 2))
        # Services round the edges of a box to whole pixels in different ways.
        if off <= 1 and max(abs(height - side), abs(width - side)) <= 2:
            return self
        if len(self.values) * side**2 > MAX_VALUES:
            raise DataError(f"A cutout of {side}×{side} pixels is too large for one object")
        top, left = (math.ceil(middle - side / 2) for middle in (y, x))
        return self.window(slice(top, top + side), slice(left, left + side))


@dataclass(frozen=True, eq=False)
class Series:
    """One decoded light curve.

    Attributes
    ----------
    time : ndarray of float64, shape (t,), days
    values, errors : ndarray of float32, shape (t,)
    time_scale : str
    time_zero : float
        Julian date of time 0; NaN when the file does not say.
    band, flux_unit : str
        Empty when the file does not say.
    simulated : bool
    """

    time: np.ndarray
    values: np.ndarray
    errors: np.ndarray
    time_scale: str
    time_zero: float
    band: str
    flux_unit: str
    simulated: bool


def decode(body: bytes) -> Image | Series | Spectrum:
    """Return what a file holds, by its content and not by what its sender calls it.

    Raises
    ------
    DataError
        If the bytes are no FITS, picture or VOTable, are damaged, or are too large.
    """
    body = unpacked(body)
    from astropy.utils.exceptions import AstropyWarning

    quiet = np.errstate(over="ignore", invalid="ignore")
    with untrusted(), quiet, warnings.catch_warnings():
        # Half of all files break a rule that does not matter to anybody.
        warnings.simplefilter("ignore", AstropyWarning)
        if _XML.match(body):
            return of_votable(body)
        return _fits(body) if body.startswith(_FITS) else _picture(body)


@contextmanager
def untrusted() -> Iterator[None]:
    """Turn whatever work on a damaged file raises into one error.

    What astropy, the C code under it and Pillow raise for such files has no family, and one file
    must not stop the objects around it.
    """
    try:
        yield
    except AstroMLError:
        raise
    except Exception as err:
        raise DataError("The file is damaged", cause=f"{type(err).__name__}: {err}"[:300]) from err


def _picture(body: bytes) -> Image:
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        opened = Pillow.open(io.BytesIO(body), formats=("JPEG", "PNG"))
    except UnidentifiedImageError as err:
        start = body[:40].decode("ascii", "replace")
        raise DataError(
            "The archive sent neither FITS nor JPEG nor PNG", cause=f"it starts with {start!r}"
        ) from err
    with opened as picture:
        if picture.width * picture.height * 3 > MAX_VALUES:
            raise DataError(f"A picture of {picture.width}×{picture.height} pixels is too large")
        grey = picture.mode in ("L", "I;16", "1")
        pixels = np.asarray(picture.convert("L" if grey else "RGB"), dtype=np.float32) / 255
    values = pixels[None] if grey else np.moveaxis(pixels, 2, 0)
    # Rows of a picture run downwards, those of FITS upwards.
    return Image(
        values=np.ascontiguousarray(values[:, ::-1]),
        bands=("grey",) if grey else ("R", "G", "B"),
        flux_unit="picture",
        sky=OnSky(),
        simulated=False,
    )


def _fits(body: bytes) -> Image | Series | Spectrum:
    return _plain(body) or _any(body)


def _any(body: bytes) -> Image | Series | Spectrum:
    """Return the first thing in a file that can be used, as astropy reads it."""
    from astropy.io import fits

    with fits.open(io.BytesIO(body), memmap=False, lazy_load_hdus=True) as hdus:
        for number, hdu in enumerate(islice(hdus, _MAX_HDUS)):
            if _is_series(hdu):
                return _series(hdu, hdus[0].header)
            if is_spectral(hdu):
                return of_fits(hdu, partial(_either, hdu.header, hdus[0].header))
            if _is_image(hdu):
                return _image(hdu, number, hdus[0].header, body)
    raise DataError("The FITS file holds no image, light curve or spectrum")


def _plain(body: bytes) -> Image | None:
    """Return the image of a plain file, of whose header only what is its own is read anew."""
    like, found = None, plain.header(body)
    # Whatever is wrong with the header, the way of all other files tells it better.
    with suppress(Exception):
        like = _like(found.shared) if found else None
    if found is None or like is None:
        return None
    image, dtype, shape = like
    size = math.prod(shape)
    if len(body) - found.size < size * dtype.itemsize:
        return None
    values = np.frombuffer(body, dtype, size, found.size).reshape(shape)
    sky = replace(image.sky, pixel=found.pixel, shape=(shape[-1], shape[-2]))
    return replace(image, values=_planes(values), sky=sky)


@lru_cache(maxsize=64)
def _like(cards: bytes) -> tuple[Image, np.dtype, tuple[int, ...]] | None:
    """Return an image without values, and their type and shape, as astropy reads a header.

    None for what is not as plain as it seems.
    """
    from astropy.io import fits

    sky = shared(cards)
    if sky is None:
        return None
    # Not opened as a file, which would be one without its data.
    (hdu,) = fits.HDUList.fromstring(plain.closed(cards))
    header, dtype = hdu.header, _TYPES.get(hdu.header["BITPIX"])
    if header["SIMPLE"] is not True or not _is_image(hdu) or is_spectral(hdu):
        return None
    odd = any(key in header for key in ("BSCALE", "BZERO", "BLANK", "GROUPS"))
    if odd or dtype is None or not 0 < math.prod(hdu.shape) <= MAX_VALUES:
        return None
    return _about(header, header, sky), np.dtype(dtype), tuple(hdu.shape)


def _is_image(hdu: Any) -> bool:
    return bool(getattr(hdu, "is_image", False)) and len(hdu.shape) in (2, 3)


def _is_series(hdu: Any) -> bool:
    if hdu.header.get("XTENSION", "").strip() != "BINTABLE" or "ZIMAGE" in hdu.header:
        return False
    names = {str(n).upper() for n in hdu.columns.names}
    return "TIME" in names and bool(names & set(_FLUX))


def _image(hdu: Any, number: int, primary: Any, body: bytes) -> Image:
    from astropy.io import fits

    # A lying header costs memory before it costs an error: look at the sizes first.
    if int(np.prod([int(n) for n in hdu.shape])) > MAX_VALUES:
        raise DataError(f"An image of shape {hdu.shape} is too large for one object")
    if hasattr(hdu, "compression_type"):
        with fits.open(io.BytesIO(body), memmap=False, disable_image_compression=True) as raw:
            check_tiles(raw[number])
    values = _planes(hdu.data)
    return replace(_about(hdu.header, primary, on_sky(hdu, body)), values=values)


def _planes(data: np.ndarray) -> np.ndarray:
    values = np.asarray(data, dtype=np.float32)
    return values[None] if values.ndim == 2 else values


def _about(header: Any, primary: Any, sky: OnSky) -> Image:
    """Return what headers say of an image, without its values."""
    named = str(_either(header, primary, "BANDS") or _either(header, primary, "FILTER") or "")
    return Image(
        values=np.empty((0, 0, 0), dtype=np.float32),
        bands=tuple(named.replace(" ", "").split(",")) if named else (),
        flux_unit=str(_either(header, primary, "BUNIT") or ""),
        sky=sky,
        simulated=bool(_either(header, primary, "SIMULATD")),
    )


def _series(hdu: Any, primary: Any) -> Series:
    header = hdu.header
    if len(hdu.data) * len(hdu.columns) > MAX_VALUES:
        raise DataError(f"A light curve of {len(hdu.data)} rows is too long")
    names = {str(n).upper(): str(n) for n in hdu.columns.names}
    flux = next(n for n in _FLUX if n in names)
    time = np.asarray(hdu.data[names["TIME"]], dtype=np.float64)
    values = np.array(hdu.data[names[flux]], dtype=np.float32)
    # An error belongs to one flux: that of the raw flux is not that of the corrected one.
    error = next((names[n] for n in (f"{flux}_ERR", "ERROR") if n in names), None)
    errors = np.asarray(hdu.data[error] if error else np.full(len(time), np.nan), dtype=np.float32)
    if not time.ndim == values.ndim == errors.ndim == 1:
        raise DataError("The columns TIME, FLUX and FLUX_ERR of a light curve must be scalar")
    band = str(_either(header, primary, "FILTER") or _either(header, primary, "TELESCOP") or "")
    mission = str(_either(header, primary, "TELESCOP") or "")
    values[_flagged(hdu, names, tess=mission.startswith("TESS"))] = np.nan
    unit, zero = _clock(hdu.columns[names["TIME"]].unit, header)
    keep = np.isfinite(time)
    return Series(
        time=time[keep] * unit,
        values=values[keep],
        errors=errors[keep],
        time_scale=str(header.get("TIMESYS", "TDB")).strip().lower(),
        time_zero=zero,
        band=band,
        flux_unit=str(hdu.columns[names[flux]].unit or "").strip(),
        simulated=bool(_either(header, primary, "SIMULATD")),
    )


def _flagged(hdu: Any, names: dict[str, str], *, tess: bool) -> np.ndarray:
    """Return which cadences the pipeline of the archive found bad, shape (t,)."""
    name = next((names[n] for n in _QUALITY if n in names), None)
    if name is None:
        return np.zeros(len(hdu.data), dtype=bool)
    quality = np.asarray(hdu.data[name], dtype=np.int64)
    return (quality & _BAD_TESS if tess else quality) != 0


def _clock(unit: str | None, header: Any) -> tuple[float, float]:
    """Return the days in a unit of the times, and the Julian date of time 0."""
    from astropy import units as u

    text = str(unit or header.get("TIMEUNIT") or "d").strip()
    zero = _zero(header)
    counted = _COUNTED.match(text)
    if counted:
        return 1.0, zero if np.isfinite(zero) else float(counted[1])
    if text.upper() in ("JD", "BJD", "HJD", "MJD"):
        return 1.0, MJD_ZERO if text.upper() == "MJD" else 0.0
    try:
        days = float(named(text).to(u.day))
    except (ValueError, TypeError, u.UnitConversionError) as err:
        raise DataError(f"The times are in {text[:40]!r}, which is no time") from err
    return days, zero


def _zero(header: Any) -> float:
    """Return the Julian date of time 0 (FITS 4.0 section 9.2.2; BJDREF is the word of TESS)."""
    for key, start in (("BJDREF", 0.0), ("JDREF", 0.0), ("MJDREF", MJD_ZERO)):
        parts = [float(header[k]) for k in (f"{key}I", f"{key}F") if k in header]
        if parts or key in header:
            return start + (sum(parts) if parts else float(header[key]))
    return float("nan")


def _either(header: Any, primary: Any, key: str) -> Any:
    return header[key] if key in header else primary.get(key)
