"""SODA 1.0: cutouts of FITS images by position, as pixels of the stored grid."""

from __future__ import annotations

import io
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError, QueryError

from .build import Product
from .products import Store, inside
from .web import Endpoint, NotFoundError

if TYPE_CHECKING:
    from astropy.io.fits import Header
    from astropy.wcs import WCS

MAX_PIXELS = 1 << 28
# Decoded images that are kept: a block of cutouts mostly comes from few fields.
_KEPT_BYTES = 192 << 20


@dataclass(frozen=True)
class Image:
    """A decoded image.

    Attributes
    ----------
    values : ndarray, shape (y, x) or (band, y, x)
        Numbers of a type that FITS has.
    cards : tuple of str
        The header of a file with these values, 80 characters a card.
    wcs : WCS
        Celestial, of the last two axes.
    icrs : bool
        Whether the axes are right ascension and declination in ICRS.
    scales : tuple of float
        Width and height of a pixel, degrees.
    """

    values: np.ndarray
    cards: tuple[str, ...]
    wcs: WCS
    icrs: bool
    scales: tuple[float, float]


class Images:
    """Decodes images and keeps the last few.

    Parameters
    ----------
    store : Store
        Where the files are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[tuple[str, str, int, int], Image] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, product: Product) -> Image:
        """Return the image in a file, or in a member of a zip file.

        Raises
        ------
        DataError
            When there is no image with a celestial WCS, or a very large one.
        """
        path = inside(self._store.root, product.path)
        state = path.stat()
        key = (str(path), product.member, state.st_mtime_ns, state.st_size)
        # The lock is held while decoding: six requests for one field decode it once.
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            else:
                self._kept[key] = self._load(path, product.member)
                while len(self._kept) > 1 and self._bytes() > _KEPT_BYTES:
                    self._kept.popitem(last=False)
            return self._kept[key]

    def _load(self, path: Path, member: str) -> Image:
        if member:
            return load(io.BytesIO(self._store.member(path, member)), name=member)
        return load(path, name=path.name)

    def _bytes(self) -> int:
        return sum(i.values.nbytes for i in self._kept.values())


def image_hdu(hdus: Any) -> Any:
    """Return the first HDU with an image of two or three axes, or None, without decoding it."""
    for hdu in hdus:
        if getattr(hdu, "is_image", False) and len(hdu.shape) in (2, 3):
            return hdu
    return None


def load(source: Path | io.BytesIO, *, name: str) -> Image:
    """Decode a FITS image, compressed by tiles or not.

    Parameters
    ----------
    source : Path or BytesIO
        The file.
    name : str
        Of the file, for errors.

    Raises
    ------
    DataError
        When there is no image with a celestial WCS, or a very large one.
    """
    import warnings

    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning
    from astropy.wcs import WCS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            with fits.open(source, memmap=False, lazy_load_hdus=True) as hdus:
                hdu = image_hdu(hdus)
                if hdu is None:
                    raise DataError(f"{name} holds no image")
                # A lying header must cost an error before it costs memory.
                if math.prod(int(n) for n in hdu.shape) > MAX_PIXELS:
                    raise DataError(f"{name} holds an image of shape {hdu.shape}, too large")
                wcs = WCS(hdu.header, naxis=2).celestial
                values = _plain(np.asarray(hdu.data))
                header = hdu.header.copy()
        except (OSError, ValueError, TypeError, KeyError) as err:
            raise DataError(f"{name} is damaged", cause=str(err)[:200]) from err
        if not wcs.has_celestial:
            raise DataError(f"{name} has no positions")
        return _image(values, header, wcs)


def _plain(values: np.ndarray) -> np.ndarray:
    """Return values that FITS stores without an offset; whole numbers stay exact."""
    kind = values.dtype
    if kind.kind == "u" and kind.itemsize > 1:
        return values.astype(np.float32 if kind.itemsize == 2 else np.float64)
    return values.astype(kind.newbyteorder("="), copy=False)


def _image(values: np.ndarray, header: Header, wcs: WCS) -> Image:
    from astropy.io import fits
    from astropy.wcs.utils import proj_plane_pixel_scales

    for key in ("CHECKSUM", "DATASUM", "EXTNAME", "XTENSION", "PCOUNT", "GCOUNT"):
        header.remove(key, ignore_missing=True)
    for key, value in (("CRPIX1", wcs.wcs.crpix[0]), ("CRPIX2", wcs.wcs.crpix[1])):
        header.setdefault(key, value)
    made = fits.PrimaryHDU(values[..., :1, :1], header)
    made.verify("silentfix")
    text = made.header.tostring(padding=False, endcard=False)
    scale_x, scale_y = proj_plane_pixel_scales(wcs)
    return Image(
        values=values,
        cards=tuple(text[i : i + 80] for i in range(0, len(text), 80)),
        wcs=wcs,
        icrs=wcs.wcs.radesys == "ICRS" and wcs.wcs.ctype[0].startswith("RA--"),
        scales=(float(scale_x), float(scale_y)),
    )


@dataclass(frozen=True)
class Region:
    """What to cut: a circle, or the corners of a polygon; degrees, ICRS.

    Attributes
    ----------
    circle : tuple of float or None
        Right ascension, declination and radius.
    corners : tuple of (float, float)
        Right ascension and declination of each corner.
    """

    circle: tuple[float, float, float] | None = None
    corners: tuple[tuple[float, float], ...] = ()


def region(*, pos: str = "", circle: str = "", polygon: str = "") -> Region | None:
    """Read the parameters of SODA 1.0 section 3.3.

    Raises
    ------
    QueryError
        For a shape that is none, or more than one shape.
    """
    given = [text for text in (pos, circle, polygon) if text]
    if not given:
        return None
    if len(given) > 1:
        raise QueryError("More than one of POS, CIRCLE and POLYGON is given")
    if not pos:
        return _shape("CIRCLE" if circle else "POLYGON", given[0].split())
    kind, *numbers = pos.split() or [""]
    return _shape(kind.upper(), numbers)


def _shape(kind: str, texts: list[str]) -> Region:
    try:
        numbers = [float(text) for text in texts]
    except ValueError as err:
        raise QueryError(f"{kind} holds something that is no number", cause=str(err)) from err
    n = len(numbers)
    wanted = {"CIRCLE": n == 3, "RANGE": n == 4, "POLYGON": 6 <= n <= 2000 and n % 2 == 0}
    if not wanted.get(kind, False):
        raise QueryError(
            f"{kind[:20]!r} with {n} numbers is no shape of SODA",
            remedy="send CIRCLE ra dec radius, RANGE ra1 ra2 dec1 dec2 or POLYGON ra1 dec1 ...",
        )
    if not all(math.isfinite(x) for x in numbers):
        if kind != "RANGE":
            raise QueryError(f"{kind} holds a number that is not finite")
        raise QueryError("An open RANGE is not offered", remedy="give four finite numbers")
    if kind == "CIRCLE":
        ra, dec, radius = numbers
        if not (abs(dec) <= 90 and 0 < radius <= 90):
            raise QueryError(f"CIRCLE {ra:g} {dec:g} {radius:g} is not on the sky")
        return Region(circle=(ra % 360, dec, radius))
    if kind == "RANGE":
        a, b, c, d = numbers
        pairs = [(a, c), (b, c), (b, d), (a, d)]
    else:
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    if any(abs(dec) > 90 for _, dec in pairs):
        raise QueryError(f"A corner of {kind} has a declination beyond 90 degrees")
    return Region(corners=tuple((ra % 360, dec) for ra, dec in pairs))


def box(image: Image, wanted: Region) -> tuple[slice, slice] | None:
    """Return rows and columns of the image around a region, or None when it misses the image.

    A circle gives a square of ``round(2 r / scale)`` pixels around its centre, the rule of
    `astropy.nddata.Cutout2D`, so that equal radii give equal sizes; at the edge of the image the
    square is trimmed.
    A polygon gives the smallest box that holds its corners' pixels.
    """
    from astropy.nddata import NoOverlapError, overlap_slices

    shape = image.values.shape[-2:]
    if wanted.circle is not None:
        ra, dec, radius = wanted.circle
        x, y = _pixels(image, [ra], [dec])
        if not np.isfinite([x[0], y[0]]).all():
            return None
        size = [max(1, round(2 * radius / scale)) for scale in reversed(image.scales)]
        try:
            large, _ = overlap_slices(shape, size, (float(y[0]), float(x[0])), mode="trim")
        except NoOverlapError:
            return None
        return large
    ra, dec = np.array(wanted.corners).T
    x, y = _pixels(image, ra, dec)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    rows, columns = (
        slice(max(0, math.floor(v.min() + 0.5)), min(n, math.floor(v.max() + 0.5) + 1))
        for v, n in ((y, shape[0]), (x, shape[1]))
    )
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _pixels(image: Image, ra: Any, dec: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return 0-based pixel coordinates; NaN for what the projection cannot show."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from astropy.wcs import NoConvergence

    try:
        if image.icrs:
            x, y = image.wcs.all_world2pix(ra, dec, 0)
        else:
            x, y = image.wcs.world_to_pixel(SkyCoord(ra, dec, unit=u.deg, frame="icrs"))
    except NoConvergence:
        return np.full(len(ra), np.nan), np.full(len(ra), np.nan)
    return np.atleast_1d(x), np.atleast_1d(y)


def cut(image: Image, wanted: Region) -> bytes | None:
    """Return a FITS file with the pixels around a region, or None when it misses the image."""
    found = box(image, wanted)
    if found is None:
        return None
    rows, columns = found
    values = image.values[..., rows, columns]
    return _header(image, rows, columns) + _padded(
        np.ascontiguousarray(values, dtype=values.dtype.newbyteorder(">")).tobytes(), b"\0"
    )


def _header(image: Image, rows: slice, columns: slice) -> bytes:
    """Return the header of a cutout: that of the image with other sizes and reference pixels.

    astropy needs ten times as long to write a small file as to cut it, so the cards that change
    are put into the text of the header.
    """
    from astropy.io.fits import Card

    old = image.wcs.wcs.crpix
    changed = {
        "NAXIS1": columns.stop - columns.start,
        "NAXIS2": rows.stop - rows.start,
        "CRPIX1": float(old[0]) - columns.start,
        "CRPIX2": float(old[1]) - rows.start,
    }
    cards = []
    for card in image.cards:
        key = card[:8].rstrip()
        cards.append(str(Card(key, changed[key])) if key in changed else card)
    for text in (
        f"cutout: rows {rows.start} to {rows.stop - 1} and columns",
        f"{columns.start} to {columns.stop - 1} of the stored image, from 0",
    ):
        cards.append(f"HISTORY {text}".ljust(80))
    cards.append("END".ljust(80))
    return _padded("".join(cards).encode("ascii"), b" ")


def _padded(block: bytes, fill: bytes) -> bytes:
    # FITS 4.0 section 3.1: blocks of 2880 bytes.
    return block + fill * (-len(block) % 2880)


class Soda(Endpoint):
    """The resource ``/soda``."""

    async def get(self) -> None:
        """Answer with a cutout, or with the whole file where there is no position to cut by."""
        did = self.one("ID")
        if not did:
            raise QueryError("ID is missing")
        product = self.service.database.product(did)
        if product is None:
            raise NotFoundError(f"There is no dataset {did[:200]!r}")
        wanted = region(pos=self.one("POS"), circle=self.one("CIRCLE"), polygon=self.one("POLYGON"))
        if wanted is None or product.kind != "cube":
            body = await self.at_work(self.service.files, self.service.store.read, product)
            self.set_header("Content-Type", product.media)
            self.finish(body)
            return

        def work() -> bytes | None:
            return cut(self.service.images.get(product), wanted)

        made = await self.at_work(self.service.files, work)
        if made is None:
            # SODA 1.0 section 4.1: nothing there is not an error.
            self.set_status(204)
            self.finish()
            return
        self.set_header("Content-Type", "application/fits")
        self.finish(made)

    post = get
