"""Where on the sky an image is, found out once for all cutouts of one field.

astropy takes five times as long for the celestial coordinates of a small cutout as for its pixels,
and cutouts of one field differ in their reference pixel alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from astropy.io.fits import Header
    from astropy.wcs import WCS

# What differs from one cutout of a field to the next, and what is for people.
_OWN = (b"CRPIX1  ", b"CRPIX2  ", b"NAXIS1  ", b"NAXIS2  ", b"HISTORY ", b"COMMENT ")
_PIXEL = ("CRPIX1  ", "CRPIX2  ")
_CARD = 80
# Headers of more bytes are not remembered.
_LONGEST = 64 * 2880


@dataclass(frozen=True, eq=False)
class OnSky:
    """Where an image is.

    Attributes
    ----------
    wcs : WCS or None
        Celestial coordinates, if it has any.
    scale : float
        Arcsec per pixel; NaN if unknown.
    header : str
        FITS header text of `wcs`, or empty.
    """

    wcs: WCS | None = None
    scale: float = float("nan")
    header: str = ""


def on_sky(hdu: Any, body: bytes) -> OnSky:
    """Return where the image of an HDU is.

    Parameters
    ----------
    hdu : astropy.io.fits HDU
        An image.
    body : bytes
        The file that it is in.
    """
    header = hdu.header
    # Of a compressed image the file has another header than astropy shows.
    cards = _cards(hdu, body) if type(hdu).__name__ in ("PrimaryHDU", "ImageHDU") else b""
    pixel = (header.get("CRPIX1"), header.get("CRPIX2"))
    if not 0 < len(cards) <= _LONGEST or not all(isinstance(p, float | int) for p in pixel):
        return _found(header)
    each = (cards[at : at + _CARD] for at in range(0, len(cards), _CARD))
    shared = _shared(b"".join(card for card in each if not card.startswith(_OWN)))
    if shared is None:
        return _found(header)
    return _at(shared, pixel, shape=(header["NAXIS1"], header["NAXIS2"]))


def _cards(hdu: Any, body: bytes) -> bytes:
    about = hdu.fileinfo()
    return body[about["hdrLoc"] : about["datLoc"]] if about else b""


@lru_cache(maxsize=64)
def _shared(cards: bytes) -> OnSky | None:
    """Return what the cutouts of a field share; None where the reference pixel is not all."""
    from astropy.io.fits import Header

    header = Header.fromstring(cards)
    # Coordinates of 0 would be left out of the text.
    header["CRPIX1"], header["CRPIX2"] = 1.0, 1.0
    found = _found(header)
    wcs = found.wcs
    if wcs is None or wcs.naxis != 2 or (wcs.wcs.lng, wcs.wcs.lat) != (0, 1):
        return None
    tables = (wcs.sip, wcs.cpdis1, wcs.cpdis2, wcs.det2im1, wcs.det2im2)
    return found if all(each is None for each in tables) else None


def _at(shared: OnSky, pixel: tuple[float, float], *, shape: tuple[int, int]) -> OnSky:
    """Return the coordinates with the reference pixel of one cutout."""
    from astropy.io.fits import Card

    if shared.wcs is None:
        return shared
    wcs = shared.wcs.deepcopy()
    wcs.wcs.crpix = pixel
    wcs.pixel_shape = shape
    text = shared.header
    for name, value in zip(_PIXEL, pixel, strict=True):
        at = next(i for i in range(0, len(text), _CARD) if text.startswith(name, i))
        text = f"{text[:at]}{Card(name.strip(), float(value))}{text[at + _CARD :]}"
    return replace(shared, wcs=wcs, header=text)


def _found(header: Header) -> OnSky:
    from astropy.wcs import WCS
    from astropy.wcs.utils import proj_plane_pixel_scales

    wcs = WCS(header, naxis=2)
    if not wcs.has_celestial:
        return OnSky()
    wcs = wcs.celestial
    scale = float(np.mean(proj_plane_pixel_scales(wcs))) * 3600
    return OnSky(wcs, scale, wcs.to_header_string()) if 0 < scale < np.inf else OnSky()
