"""Bytes from an archive to arrays: FITS images and cubes, pictures, light curves.

Archives are untrusted: sizes are read from headers and refused before data are touched.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from jupyter_astroml.core.errors import DataError

# Values of one object: a cutout, not a survey.
MAX_VALUES = 64 * 2**20
# FITS files (and their gzipped form) begin with these bytes.
_FITS, _GZIP = b"SIMPLE  =", b"\x1f\x8b"
_FLUX = ("FLUX", "PDCSAP_FLUX", "SAP_FLUX")
_ERROR = ("FLUX_ERR", "PDCSAP_FLUX_ERR", "SAP_FLUX_ERR", "ERROR")


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
    pixel_scale : float, arcsec per pixel
        NaN without a WCS.
    wcs : str
        Header of the celestial WCS, empty without one.
    simulated : bool
    """

    values: np.ndarray
    bands: tuple[str, ...]
    flux_unit: str
    pixel_scale: float
    wcs: str
    simulated: bool


@dataclass(frozen=True, eq=False)
class Series:
    """One decoded light curve.

    Attributes
    ----------
    time : ndarray of float64, shape (t,), days
    values, errors : ndarray of float32, shape (t,)
    time_scale : str
    time_zero : float
        Julian date of time 0.
    band, flux_unit : str
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


def decode(body: bytes) -> Image | Series:
    """Return what a file holds, by its content and not by what its sender calls it.

    Raises
    ------
    DataError
        If the bytes are neither FITS nor a picture, are damaged, or are too large.
    """
    if body.startswith(_FITS):
        return _fits(body)
    if body.startswith(_GZIP):
        raise DataError(
            "A gzipped file came",
            cause="its size is unknown before it is unpacked",
            remedy="ask the archive for plain or tile-compressed FITS",
        )
    return _picture(body)


def _picture(body: bytes) -> Image:
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        with Pillow.open(io.BytesIO(body), formats=("JPEG", "PNG")) as picture:
            if picture.width * picture.height * 3 > MAX_VALUES:
                raise DataError(
                    f"A picture of {picture.width}×{picture.height} pixels is too large"
                )
            grey = picture.mode in ("L", "I;16", "1")
            pixels = np.asarray(picture.convert("L" if grey else "RGB"), dtype=np.float32) / 255
    except (UnidentifiedImageError, OSError, SyntaxError, Pillow.DecompressionBombError) as err:
        start = body[:40].decode("ascii", "replace")
        raise DataError(
            "The archive sent neither FITS nor JPEG nor PNG", cause=f"it starts with {start!r}"
        ) from err
    values = pixels[None] if grey else np.moveaxis(pixels, 2, 0)
    # Rows of a picture run downwards, those of FITS upwards.
    return Image(
        values=np.ascontiguousarray(values[:, ::-1]),
        bands=("grey",) if grey else ("R", "G", "B"),
        flux_unit="picture",
        pixel_scale=float("nan"),
        wcs="",
        simulated=False,
    )


def _fits(body: bytes) -> Image | Series:
    import warnings

    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            with fits.open(io.BytesIO(body), memmap=False, lazy_load_hdus=True) as hdus:
                for hdu in hdus:
                    if _is_series(hdu):
                        return _series(hdu, hdus[0].header)
                    if _is_image(hdu):
                        return _image(hdu, hdus[0].header)
        except (OSError, ValueError, TypeError, KeyError, IndexError) as err:
            raise DataError("The FITS file is damaged", cause=str(err)) from err
    raise DataError("The FITS file holds neither an image nor a light curve")


def _is_image(hdu: Any) -> bool:
    return bool(getattr(hdu, "is_image", False)) and len(hdu.shape) in (2, 3)


def _is_series(hdu: Any) -> bool:
    if hdu.header.get("XTENSION", "").strip() != "BINTABLE" or "ZIMAGE" in hdu.header:
        return False
    names = {str(n).upper() for n in hdu.columns.names}
    return "TIME" in names and bool(names & set(_FLUX))


def _image(hdu: Any, primary: Any) -> Image:
    from astropy.wcs import WCS
    from astropy.wcs.utils import proj_plane_pixel_scales

    header = hdu.header
    # A lying header costs memory before it costs an error: look at the sizes first.
    if int(np.prod([int(n) for n in hdu.shape])) > MAX_VALUES:
        raise DataError(f"An image of shape {hdu.shape} is too large for one object")
    values = np.asarray(hdu.data, dtype=np.float32)
    values = values[None] if values.ndim == 2 else values
    wcs = WCS(header, naxis=2)
    scale, text = float("nan"), ""
    if wcs.has_celestial:
        scale = float(np.mean(proj_plane_pixel_scales(wcs.celestial))) * 3600
        text = wcs.celestial.to_header_string()
    named = str(_either(header, primary, "BANDS") or _either(header, primary, "FILTER") or "")
    return Image(
        values=values,
        bands=tuple(named.replace(" ", "").split(",")) if named else (),
        flux_unit=str(_either(header, primary, "BUNIT") or ""),
        pixel_scale=scale,
        wcs=text,
        simulated=bool(_either(header, primary, "SIMULATD")),
    )


def _series(hdu: Any, primary: Any) -> Series:
    header = hdu.header
    if len(hdu.data) * len(hdu.columns) > MAX_VALUES:
        raise DataError(f"A light curve of {len(hdu.data)} rows is too long")
    names = {str(n).upper(): str(n) for n in hdu.columns.names}
    flux = next(names[n] for n in _FLUX if n in names)
    error = next((names[n] for n in _ERROR if n in names), None)
    time = np.asarray(hdu.data[names["TIME"]], dtype=np.float64)
    values = np.asarray(hdu.data[flux], dtype=np.float32)
    if time.ndim != 1 or values.ndim != 1:
        raise DataError("The columns TIME and FLUX of a light curve must be scalar")
    keep = np.isfinite(time)
    zero = float(header.get("BJDREFI", 0)) + float(header.get("BJDREFF", 0.0))
    unit = hdu.columns[flux].unit or ""
    return Series(
        time=time[keep],
        values=values[keep],
        errors=(
            np.asarray(hdu.data[error], dtype=np.float32)[keep]
            if error
            else np.full(int(keep.sum()), np.nan, dtype=np.float32)
        ),
        time_scale=str(header.get("TIMESYS", "TDB")).strip().lower(),
        time_zero=zero,
        band=str(_either(header, primary, "FILTER") or _either(header, primary, "TELESCOP") or ""),
        flux_unit=str(unit).strip(),
        simulated=bool(_either(header, primary, "SIMULATD")),
    )


def _either(header: Any, primary: Any, key: str) -> Any:
    return header[key] if key in header else primary.get(key)
