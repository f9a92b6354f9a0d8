"""Candidates of Space Warps with the grade that experts gave them.

A folder holds ``labels.csv`` (columns ``file``, ``ra``, ``dec``, ``grade``) and
``images.zip`` (one JPEG or PNG of 128×128 pixels of 0.1875 arcsec an object, red = i, green = r,
blue = g, the candidate in the middle).
The grade is the mean of three experts, from 0 (no lens) to 3 (almost certainly a lens; More et al.
2016, MNRAS 455, 1191); candidates of grade `SURE` and above count as lenses here.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jupyter_astroml.archives.decode import Image, decode
from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import Cutouts
from jupyter_astroml.zoo.folder import member, rows
from jupyter_astroml.zoo.folds import repeated
from jupyter_astroml.zoo.lens_finder.picture import BANDS

if TYPE_CHECKING:
    from astropy.table import Table

LABELS, IMAGES = "labels.csv", "images.zip"
CLASSES = ("other", "lens")
SIZE, PIXEL_SCALE = 128, 0.1875
# Grade from which a candidate counts as a lens, and the highest grade.
SURE, HIGHEST = 1.3, 3.0
# Pictures of candidates that are closer than this show the same sky.
SAME_ARCSEC = 24.0
_COLUMNS = ("file", "ra", "dec", "grade")


def read(folder: Path | str) -> tuple[Cutouts, Table]:
    """Read graded candidates; one that is listed twice is read once, with its best grade.

    Parameters
    ----------
    folder : Path
        Of the layout above.

    Returns
    -------
    Cutouts
        Values of shape (n, 3, 128, 128), 0 to 1, bands i, r, g.
    Table
        Columns ``id``, ``ra`` and ``dec`` (degrees, ICRS) and ``grade``.

    Raises
    ------
    DataError
        If a file is missing, too large or broken, or a number is none; names the object.
    """
    from astropy.table import Table

    folder = Path(folder)
    found = rows(folder / LABELS, columns=_COLUMNS, beside=IMAGES)
    table = Table(
        {
            "id": [row["file"] for row in found],
            "ra": [_number(row, "ra", 0.0, 360.0) for row in found],
            "dec": [_number(row, "dec", -90.0, 90.0) for row in found],
            "grade": [_number(row, "grade", 0.0, HIGHEST) for row in found],
        }
    )
    values = np.empty((len(found), len(BANDS), SIZE, SIZE), dtype=np.float32)
    try:
        with zipfile.ZipFile(folder / IMAGES) as archive:
            for i, row in enumerate(found):
                values[i] = _picture(member(archive, row["file"], name=row["file"]), row["file"])
    except (OSError, zipfile.BadZipFile) as err:
        raise DataError(
            f"The pictures {IMAGES} cannot be read", cause=str(err), remedy="fetch them again"
        ) from err
    cutouts = Cutouts(
        ids=np.asarray(table["id"]),
        values=values,
        bands=BANDS,
        ra=np.asarray(table["ra"]),
        dec=np.asarray(table["dec"]),
        pixel_scale=np.full(len(found), PIXEL_SCALE),
        flux_unit="picture",
        meta={"survey": "CFHTLS", "labels": "Space Warps", "folder": folder.name},
    )
    # Experts gave two entries of one place different grades; the better one saw the lens.
    best = np.argsort(-np.asarray(table["grade"]), kind="stable")
    ra, dec = (np.asarray(table[name])[best] for name in ("ra", "dec"))
    kept = np.sort(best[~repeated(ra, dec, within_arcsec=SAME_ARCSEC)])
    return cutouts[kept], table[kept]


def _number(row: dict[str, str], column: str, low: float, high: float) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise DataError(
            f"The candidate {row['file']} has {column} = {row[column]!r}",
            remedy=f"give a number from {low:g} to {high:g}",
        )
    return value


def _picture(content: bytes, name: str) -> np.ndarray:
    try:
        image = decode(content)
    except DataError as err:
        raise DataError(
            f"The picture of the candidate {name} cannot be decoded", cause=str(err)
        ) from err
    if not isinstance(image, Image) or image.values.shape != (len(BANDS), SIZE, SIZE):
        raise DataError(
            f"The picture of the candidate {name} does not have {SIZE}×{SIZE} pixels and 3 colours"
        )
    return image.values
