"""Gives out files of the archive, and nothing else."""

from __future__ import annotations

import io
import threading
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import numpy as np

from jupyter_astroml.core.errors import DataError

from . import readers, roles
from .build import Product
from .web import Endpoint, NotFoundError

# A compressed member may claim any size; this bounds what is read, whatever it claims.
MAX_BYTES = 256 << 20
# A picture of more pixels is a decompression bomb rather than a galaxy.
MAX_PIXELS = 50_000_000
_MAX_SERIES = 5_000_000


def inside(root: Path, path: str) -> Path:
    """Return the place of a published file, after following links.

    Raises
    ------
    NotFoundError
        When that is not inside `root`: the link may have been changed after publication.
    """
    top = root.resolve()
    found = (top / path).resolve()
    if not found.is_relative_to(top) or not found.is_file():
        raise NotFoundError(f"The file {PurePosixPath(path).name} is no longer there")
    return found


class Store:
    """Reads files of a folder.

    Zip files stay open: reading the list of members of a large one takes longer than a member.

    Parameters
    ----------
    root : Path
        Nothing outside this folder is read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._zips: dict[Path, tuple[tuple[int, int], zipfile.ZipFile]] = {}
        self._lock = threading.Lock()

    def read(self, product: Product) -> bytes:
        """Return the bytes that are sent for a product.

        Raises
        ------
        NotFoundError
            When the file is gone.
        DataError
            When it is damaged or too large.
        """
        path = inside(self.root, product.path)
        if product.kind in ("npy", "text"):
            return (light_curve if product.kind == "npy" else from_text)(path, product)
        body = self.member(path, product.member) if product.member else _plain(path)
        if product.media in ("image/jpeg", "image/png"):
            check_picture(body, product.title)
        return body

    def member(self, path: Path, name: str) -> bytes:
        """Return the bytes of a member of a zip file.

        Raises
        ------
        DataError
            When it is not there, damaged or too large.
        """
        try:
            with self._opened(path).open(name) as file:
                body = file.read(MAX_BYTES + 1)
        except (KeyError, zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as err:
            raise DataError(f"{path.name} does not give {name}", cause=str(err)) from err
        if len(body) > MAX_BYTES:
            raise DataError(f"{name} in {path.name} is larger than {MAX_BYTES >> 20} MiB")
        return body

    def _opened(self, path: Path) -> zipfile.ZipFile:
        state = path.stat()
        stamp = (state.st_mtime_ns, state.st_size)
        with self._lock:
            known = self._zips.get(path)
            if known is None or known[0] != stamp:
                # One that was replaced is not closed here: another thread may be reading it.
                known = self._zips[path] = (stamp, zipfile.ZipFile(path))
            return known[1]

    def close(self) -> None:
        """Close the zip files."""
        for _, opened in self._zips.values():
            opened.close()
        self._zips.clear()


def _plain(path: Path) -> bytes:
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path.name} is larger than {MAX_BYTES >> 20} MiB")
    return path.read_bytes()


def check_picture(body: bytes, name: str) -> tuple[int, int]:
    """Return width and height of a JPEG or PNG, from its header alone.

    Raises
    ------
    DataError
        When it is no picture or has more than `MAX_PIXELS`.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(body), formats=("JPEG", "PNG")) as picture:
            width, height = picture.size
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as err:
        raise DataError(f"{name} is no JPEG or PNG", cause=str(err)[:120]) from err
    if width * height > MAX_PIXELS:
        raise DataError(f"{name} has {width}×{height} pixels, too many for one object")
    return width, height


def series(path: Path) -> np.ndarray:
    """Return the time, flux and error of a light curve.

    Parameters
    ----------
    path : Path
        A ``.npy`` file.

    Returns
    -------
    ndarray, shape (3, t)
        A view of the file: nothing is read until it is used.

    Raises
    ------
    DataError
        For another shape, for objects (which would run code), or for a damaged file.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as err:
        raise DataError(f"{path.name} is no array of numbers", cause=str(err)[:200]) from err
    good = array.ndim == 2 and array.shape[0] == 3 and array.dtype.kind in "fiu"
    if not good or not 0 < array.shape[1] <= _MAX_SERIES:
        raise DataError(
            f"{path.name} has shape {array.shape} and type {array.dtype}",
            remedy="give three rows of numbers: time, flux, error",
        )
    return array


def light_curve(path: Path, product: Product) -> bytes:
    """Return a light curve in an array of three rows as a FITS table in the layout of TESS."""
    from astropy.io import fits

    time, flux, error = np.asarray(series(path), dtype=np.float64)
    columns = [
        fits.Column("TIME", "D", unit="d", array=time),
        fits.Column("FLUX", "E", array=flux),
        fits.Column("FLUX_ERR", "E", array=error),
    ]
    return _fits_table(columns, product)


def _fits_table(columns: list[Any], product: Product) -> bytes:
    """Return a FITS file with one table and what the description adds to its header."""
    from astropy.io import fits

    name = "SPECTRUM" if columns[0].name == "WAVELENGTH" else "LIGHTCURVE"
    table = fits.BinTableHDU.from_columns(columns, name=name)
    primary = fits.PrimaryHDU()
    primary.header["OBJECT"] = product.title[:60]
    for key, value in product.headers:
        if key == "TUNIT3" and not (len(columns) > 2 and columns[2].name.endswith("_ERR")):
            continue
        # A unit in the file is better than one in a description.
        table.header.setdefault(key, value)
    out = io.BytesIO()
    fits.HDUList([primary, table]).writeto(out)
    return out.getvalue()


def from_text(path: Path, product: Product) -> bytes:
    """Return a light curve or spectrum in a table of text as a FITS table.

    What the archive recognises gets the names TIME or WAVELENGTH, FLUX or MAG, and FLUX_ERR or
    MAG_ERR, and comes first; the other columns follow under their own names.
    """
    from astropy.io import fits

    rows = readers.read(path)
    if len(rows) > _MAX_SERIES:
        raise DataError(f"{path.name} has more than {_MAX_SERIES} rows")
    names = roles.standard(roles.find(rows.columns))
    columns = []
    for own in [*names, *(n for n in rows.columns if n not in names)]:
        unit = rows.units.get(own)
        try:
            values = readers.numbers(rows, own)
        except DataError:
            texts = [str(v or "").encode("ascii", "replace") for v in rows.columns[own].to_pylist()]
            width = max(map(len, texts), default=1) or 1
            columns.append(fits.Column(own, f"{width}A", array=texts))
            continue
        if names.get(own) == "WAVELENGTH" and roles.logarithmic(own):
            values, unit = 10**values, "Angstrom"
        columns.append(fits.Column(names.get(own, own), "D", unit=unit, array=values))
    return _fits_table(columns, product)


class Files(Endpoint):
    """The resource ``/files``: a published file, named by its identifier and never by a path."""

    async def get(self) -> None:
        """Send a file."""
        did = self.one("ID")
        product = self.service.database.product(did)
        if product is None:
            raise NotFoundError(f"There is no file {did[:200]!r}")
        body = await self.at_work(self.service.files, self.service.store.read, product)
        self.set_header("Content-Type", product.media)
        name = PurePosixPath(product.member or product.path).name
        if product.kind in ("npy", "text"):
            name = f"{PurePosixPath(name).stem}.fits"
        self.set_header("Content-Disposition", f"inline; filename*=UTF-8''{quote(name)}")
        if not self.service.token:
            # Tornado tells an ETag of the body and answers 304 to whoever has it (RFC 9111 section
            # 5.2.2.4); what asks for a token is kept by nobody.
            self.set_header("Cache-Control", "private, no-cache")
        self.finish(body)

    head = get
