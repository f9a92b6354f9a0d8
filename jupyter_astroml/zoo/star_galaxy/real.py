"""Cutouts of one band with the class star or galaxy.

A folder holds ``labels.csv`` (columns ``file``, ``class``, ``field``) and ``images.zip`` (one JPEG
or PNG of 64×64 pixels an object, grey, the object in the middle).
An object recurs in the exposures of its field, so objects are split by field only.
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

if TYPE_CHECKING:
    from astropy.table import Table

LABELS, IMAGES = "labels.csv", "images.zip"
CLASSES = ("star", "galaxy")
# The planes of the network: an unknown filter, and those of SDSS.
GREY = "grey"
BANDS = (GREY, "u", "g", "r", "i", "z")
SIZE = 64


def read(folder: Path | str) -> tuple[Cutouts, Table]:
    """Read labelled cutouts.

    Parameters
    ----------
    folder : Path
        Of the layout above.

    Returns
    -------
    Cutouts
        Values of shape (n, 1, 64, 64), 0 to 1, band grey.
    Table
        Columns ``id``, ``label`` (one of `CLASSES`) and ``field``.

    Raises
    ------
    DataError
        If a file is missing, too large or broken, or a class is unknown; names the object.
    """
    from astropy.table import Table

    folder = Path(folder)
    found = rows(folder / LABELS, columns=("file", "class", "field"), beside=IMAGES)
    unknown = sorted({r["class"] for r in found} - set(CLASSES))
    if unknown:
        raise DataError(f"{LABELS} has the class {unknown[0]!r}", remedy="use star or galaxy")
    values = np.empty((len(found), 1, SIZE, SIZE), dtype=np.float32)
    try:
        with zipfile.ZipFile(folder / IMAGES) as archive:
            for i, row in enumerate(found):
                values[i, 0] = _grey(member(archive, row["file"], name=row["file"]), row["file"])
    except (OSError, zipfile.BadZipFile) as err:
        raise DataError(
            f"The pictures {IMAGES} cannot be read", cause=str(err), remedy="fetch them again"
        ) from err
    cutouts = Cutouts(
        ids=np.array([r["file"] for r in found]),
        values=values,
        bands=(GREY,),
        flux_unit="picture",
        meta={"folder": folder.name},
    )
    columns = {"id": "file", "label": "class", "field": "field"}
    return cutouts, Table({new: [r[old] for r in found] for new, old in columns.items()})


def _grey(content: bytes, name: str) -> np.ndarray:
    try:
        image = decode(content)
    except DataError as err:
        raise DataError(f"The picture {name} cannot be decoded", cause=str(err)) from err
    if not isinstance(image, Image) or image.values.shape[1:] != (SIZE, SIZE):
        raise DataError(f"The picture {name} does not have {SIZE}×{SIZE} pixels")
    return image.values.mean(axis=0)
