"""Where on the sky an image is, found out once for all cutouts of one field.

astropy takes five times as long for the celestial coordinates of a small cutout as for its pixels,
and cutouts of one field differ in their reference pixel alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.archives.plain import LONGEST, OWN

if TYPE_CHECKING:
    from astropy.io.fits import Header
    from astropy.wcs import WCS

# Cutouts of a field may have many sizes.
_SIZES = (b"NAXIS1  ", b"NAXIS2  ")
_PIXEL = ("CRPIX1", "CRPIX2")
_CARD = 80


@dataclass(frozen=True, eq=False)
class OnSky:
    """Where an image is.

    Attributes
    ----------
    like : WCS or None
        Celestial coordinates but for the reference pixel, if the image has any.
    scale : float
        Arcsec per pixel; NaN if unknown.
    text : str
        FITS header text of `like`, or empty.
    pixel : tuple of float
        Reference pixel (x, y), from 1 as in FITS.
    shape : tuple of int or None
        Width and height, where they are not those of `like`.
    """

    like: WCS | None = None
    scale: float = float("nan")
    text: str = ""
    pixel: tuple[float, float] = (0.0, 0.0)
    shape: tuple[int, int] | None = None

    @cached_property
    def wcs(self) -> WCS | None:
        """Celestial coordinates, if the image has any."""
        from astropy.wcs import Sip

        if self.like is None:
            return None
        wcs = self.like.deepcopy()
        wcs.wcs.crpix = self.pixel
        if wcs.sip is not None:
            wcs.sip = Sip(wcs.sip.a, wcs.sip.b, wcs.sip.ap, wcs.sip.bp, wcs.wcs.crpix)
        if self.shape:
            wcs.pixel_shape = self.shape
        return wcs

    @property
    def header(self) -> str:
        """The same as the text of a FITS header, or empty."""
        if self.like is None or self.pixel == tuple(self.like.wcs.crpix):
            return self.text
        cards = [self.text[at : at + _CARD] for at in range(0, len(self.text), _CARD)]
        places = [i for name in _PIXEL for i, c in enumerate(cards) if c.startswith(f"{name}  =")]
        if len(places) != len(_PIXEL) or self.wcs is None:
            return self.wcs.to_header_string() if self.wcs else ""
        for place, name, value in zip(places, _PIXEL, self.pixel, strict=True):
            cards[place] = _card(name, value)
        return "".join(cards)

    def moved(self, *, x: int, y: int) -> OnSky:
        """Return where an image is that begins at a pixel, which may lie before the first."""
        return replace(self, pixel=(self.pixel[0] - x, self.pixel[1] - y))

    def find(self, ra: float, dec: float) -> tuple[float, float]:
        """Return the pixel (x, y) of a position, from 0; NaN for what cannot be shown.

        Parameters
        ----------
        ra, dec : float
            Degrees, ICRS.
        """
        from astropy import units as u
        from astropy.coordinates import SkyCoord
        from astropy.wcs import NoConvergence

        wcs = self.like
        if wcs is None:
            return float("nan"), float("nan")
        try:
            if wcs.wcs.radesys == "ICRS" and wcs.wcs.ctype[0].startswith("RA--"):
                # In the frame of the image no SkyCoord is needed, which takes a millisecond.
                x, y = wcs.all_world2pix(ra, dec, 0)
            else:
                x, y = wcs.world_to_pixel(SkyCoord(ra, dec, unit=u.deg, frame="icrs"))
        except NoConvergence:
            return float("nan"), float("nan")
        # Pixels count from the reference pixel, those of distortions (SIP) too.
        off = self.pixel - wcs.wcs.crpix
        return float(x + off[0]), float(y + off[1])


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
    pixel = tuple(header.get(name) for name in _PIXEL)
    if not 0 < len(cards) <= LONGEST or not all(isinstance(p, float | int) for p in pixel):
        return _found(header)
    each = (cards[at : at + _CARD] for at in range(0, len(cards), _CARD))
    found = shared(b"".join(card for card in each if not card.startswith(OWN)))
    if found is None:
        return _found(header)
    return replace(found, pixel=pixel, shape=(header["NAXIS1"], header["NAXIS2"]))


def _cards(hdu: Any, body: bytes) -> bytes:
    about = hdu.fileinfo()
    return body[about["hdrLoc"] : about["datLoc"]] if about else b""


def shared(cards: bytes) -> OnSky | None:
    """Return what the cutouts of a field share; None where the reference pixel is not all.

    Parameters
    ----------
    cards : bytes
        Header of a cutout, without its reference pixel (CRPIX1, CRPIX2) and what is for people.
    """
    each = (cards[at : at + _CARD] for at in range(0, len(cards), _CARD))
    return _shared(b"".join(card for card in each if not card.startswith(_SIZES)))


@lru_cache(maxsize=64)
def _shared(cards: bytes) -> OnSky | None:
    from astropy.io.fits import Header

    header = Header.fromstring(cards)
    # Coordinates of 0 would be left out of the text.
    header["CRPIX1"], header["CRPIX2"] = 1.0, 1.0
    found = _found(header)
    wcs = found.like
    if wcs is None or wcs.naxis != 2 or (wcs.wcs.lng, wcs.wcs.lat) != (0, 1):
        return None
    tables = (wcs.sip, wcs.cpdis1, wcs.cpdis2, wcs.det2im1, wcs.det2im2)
    return found if all(each is None for each in tables) else None


def _card(name: str, value: float) -> str:
    text = str(float(value))
    # astropy, which shortens and rewrites long numbers, needs fifty microseconds for a card.
    if len(text) <= 20 and "e" not in text:
        return f"{name:8}= {text:>20}".ljust(_CARD)
    from astropy.io.fits import Card

    return str(Card(name, value))


def _found(header: Header) -> OnSky:
    from astropy.wcs import WCS
    from astropy.wcs.utils import proj_plane_pixel_scales

    wcs = WCS(header, naxis=2)
    if not wcs.has_celestial:
        return OnSky()
    wcs = wcs.celestial
    scale = float(np.mean(proj_plane_pixel_scales(wcs))) * 3600
    if not 0 < scale < np.inf:
        return OnSky()
    return OnSky(wcs, scale, wcs.to_header_string(), tuple(wcs.wcs.crpix.tolist()))
