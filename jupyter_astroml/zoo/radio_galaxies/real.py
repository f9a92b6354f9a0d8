"""Radio galaxies of FIRST with the class that experts gave them.

A folder holds one or both of

- MiraBest (Porter & Scaife 2023): ``mirabest_labels.csv`` (columns ``file``, ``fr_class``,
  ``confidence``, ``code``, ``ra``, ``dec``) and ``mirabest_fits.zip`` (FITS images of 150×150
  pixels, Jy/beam);
- the collection of Griese et al. 2023: ``first_images.h5`` with ``image`` (n, 300, 300) of uint8,
  noise cut off and brightest pixel 255, ``label``, ``ra``, ``dec`` and ``key``.

A source that is listed twice is read once, from MiraBest where it is there: its fluxes are whole.
Pixels are 1.8 arcsec, images 1.4 GHz with a beam of 5.4 arcsec (Becker, White & Helfand 1995).
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.archives.decode import Image, decode
from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import Cutouts
from jupyter_astroml.zoo.folder import MAX_OBJECTS, hdf5, member, plain, rows
from jupyter_astroml.zoo.folds import repeated

if TYPE_CHECKING:
    from astropy.table import Table

LABELS, IMAGES, FIRST = "mirabest_labels.csv", "mirabest_fits.zip", "first_images.h5"
CLASSES = ("fr1", "fr2", "compact", "bent")
SIZE, PIXEL_SCALE, BAND = 150, 1.8, "1.4GHz"
# Positions of one source in two catalogues differ by less than its size.
SAME_ARCSEC = 60.0
# Third digit of the code of MiraBest: wide-angle and head tails.
_TAILS = ("2", "4")
_COLUMNS = ("id", "label", "fr", "confident", "origin", "ra", "dec")


def read(folder: Path | str) -> tuple[Cutouts, Table]:
    """Read labelled sources.

    Parameters
    ----------
    folder : Path
        Of the layout above.

    Returns
    -------
    Cutouts
        Values of shape (n, 1, 150, 150): Jy/beam from MiraBest, 0 to 1 from the other set.
    Table
        Columns ``id``; ``label``, one of `CLASSES`, empty for hybrids; ``fr`` (``fr1``, ``fr2`` or
        empty); ``confident`` (bool, MiraBest's word); ``origin`` (``mirabest`` or ``first``);
        ``ra``, ``dec`` (degrees).

    Raises
    ------
    DataError
        If neither set is there, or a file is broken; names the object.
    MissingExtraError
        If h5py is needed and not installed.
    """
    from astropy.table import Table

    folder = Path(folder)
    parts = []
    if (folder / LABELS).exists():
        parts.append(_mirabest(folder))
    if (folder / FIRST).exists():
        parts.append(_first(folder / FIRST))
    if not parts:
        raise DataError(
            f"There are no radio galaxies in {folder.name}",
            remedy=f"give a folder with {LABELS} and {IMAGES}, or with {FIRST}",
        )
    values = np.concatenate([p[0] for p in parts])
    columns = {name: np.concatenate([p[1][name] for p in parts]) for name in _COLUMNS}
    kept = ~repeated(columns["ra"], columns["dec"], within_arcsec=SAME_ARCSEC)
    table = Table({name: column[kept] for name, column in columns.items()})
    cutouts = Cutouts(
        ids=np.asarray(table["id"]),
        values=values[kept][:, None],
        bands=(BAND,),
        ra=np.asarray(table["ra"]),
        dec=np.asarray(table["dec"]),
        pixel_scale=np.full(len(table), PIXEL_SCALE),
        flux_unit="Jy/beam",
        meta={"survey": "FIRST", "folder": folder.name},
    )
    return cutouts, table


def _mirabest(folder: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    needed = ("file", "fr_class", "confidence", "code", "ra", "dec")
    table = rows(folder / LABELS, columns=needed, beside=IMAGES)
    fr = np.array([{"FRI": "fr1", "FRII": "fr2"}.get(r["fr_class"], "") for r in table])
    tails = np.array([r["code"][-1:] in _TAILS for r in table])
    values = np.empty((len(table), SIZE, SIZE), dtype=np.float32)
    try:
        with zipfile.ZipFile(folder / IMAGES) as archive:
            inside = {Path(name).name: name for name in archive.namelist()}
            for i, row in enumerate(table):
                file = inside.get(Path(row["file"]).name, row["file"])
                values[i] = _image(member(archive, file, name=row["file"]), name=row["file"])
    except (OSError, zipfile.BadZipFile) as err:
        raise DataError(
            f"The images {IMAGES} cannot be read", cause=str(err), remedy="fetch them again"
        ) from err
    return values, {
        "id": np.array([Path(r["file"]).name.removesuffix(".fits.fz") for r in table]),
        "label": np.where((fr != "") & tails, "bent", fr),
        "fr": fr,
        "confident": np.array([r["confidence"] == "confident" for r in table]),
        "origin": np.full(len(table), "mirabest"),
        "ra": _degrees(table, "ra"),
        "dec": _degrees(table, "dec"),
    }


def _degrees(table: list[dict[str, str]], column: str) -> np.ndarray:
    try:
        return np.array([float(row[column]) for row in table])
    except ValueError as err:
        raise DataError(f"{LABELS} has a {column!r} that is no number", cause=str(err)) from err


def _image(content: bytes, *, name: str) -> np.ndarray:
    try:
        image = decode(content)
    except DataError as err:
        raise DataError(f"The image of the source {name} cannot be read", cause=str(err)) from err
    if not isinstance(image, Image) or image.values.shape != (1, SIZE, SIZE):
        raise DataError(
            f"The image of the source {name} is not one plane of {SIZE}×{SIZE} pixels",
        )
    return np.nan_to_num(image.values[0])


def _first(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    with hdf5(path) as file:
        label, ra, dec, key = (_column(file, name) for name in ("label", "ra", "dec", "key"))
        images = _middles(plain(file, "image"), n=len(label))
    if not len(label) == len(ra) == len(dec) == len(key) == len(images):
        raise DataError(f"The tables of {path.name} do not fit each other")
    if not np.isin(label, np.arange(len(CLASSES))).all():
        raise DataError(f"{path.name} has a class beyond 0 to {len(CLASSES) - 1}")
    names = np.array(CLASSES)[label.astype(int)]
    text = [k.decode("utf-8", "replace") if isinstance(k, bytes) else str(k) for k in key]
    return images.astype(np.float32) / np.float32(255.0), {
        "id": np.array([f"first:{k}" for k in text]),
        "label": names,
        "fr": np.where(np.isin(names, ("fr1", "fr2")), names, ""),
        "confident": np.zeros(len(label), dtype=bool),
        "origin": np.full(len(label), "first"),
        "ra": ra.astype(float),
        "dec": dec.astype(float),
    }


def _column(file: Any, name: str) -> np.ndarray:
    table = plain(file, name)
    if table.ndim != 1 or not 0 < len(table) <= MAX_OBJECTS:
        raise ValueError(f"{name} has the shape {table.shape}")
    return np.asarray(table[()])


def _middles(table: Any, *, n: int) -> np.ndarray:
    """Read the middle of each image."""
    if table.ndim != 3 or len(table) != n or min(table.shape[1:]) < SIZE:
        raise ValueError(f"image has the shape {table.shape}")
    top, left = ((side - SIZE) // 2 for side in table.shape[1:])
    return np.asarray(table[:, top : top + SIZE, left : left + SIZE])
