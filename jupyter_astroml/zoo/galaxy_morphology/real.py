"""Galaxy Zoo 1 pictures with the class that most volunteers chose.

A folder holds ``labels.csv`` (columns ``objid``, ``class_name``, ``file``) and ``images.zip`` (one
JPEG or PNG of 128×128 pixels an object, red = i, green = r, blue = g, the galaxy in the middle).
The classes are those of Lintott et al. 2008 (MNRAS 389, 1179), table 1; we join the two senses of
rotation, because a mirror turns one into the other and says nothing about the galaxy.
Pictures are decoded in memory and never written out.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import Cutouts
from jupyter_astroml.models.picture import PICTURE_BANDS
from jupyter_astroml.zoo.folder import member
from jupyter_astroml.zoo.folder import rows as folder_rows

if TYPE_CHECKING:
    from astropy.table import Table

LABELS, IMAGES = "labels.csv", "images.zip"
SIZE = 128
# Class of the votes: class of the model. "Don't know" is no shape, so it is not among them.
CLASS_OF = {
    "elliptical": "elliptical",
    "spiral_edge_on": "edge_on",
    "spiral_clockwise": "spiral",
    "spiral_anticlockwise": "spiral",
    "merger": "merger",
}
UNSURE = "dont_know"


def read(folder: Path | str, *, ids: Iterable[str] | None = None) -> tuple[Cutouts, Table]:
    """Read labelled pictures.

    Parameters
    ----------
    folder : Path
        Of the layout above.
    ids : iterable of str, optional
        Read these objects only, in the order of the file; all when absent (0.2 MB an object).

    Returns
    -------
    Cutouts
        Values of shape (n, 3, 128, 128), 0 to 1, bands i, r, g; positions and pixel scale unknown.
    Table
        Columns ``id``, ``label`` (empty for "don't know") and ``votes`` (class of the votes).

    Raises
    ------
    DataError
        If a file is missing, too large, or not what its name says; names the object.
    """
    table = labels(folder, ids=ids)
    values = pictures(folder, table).astype(np.float32) / np.float32(255.0)
    cutouts = Cutouts(
        ids=np.asarray(table["id"]),
        values=values,
        bands=PICTURE_BANDS,
        flux_unit="picture",
        meta={"survey": "SDSS", "labels": "Galaxy Zoo 1", "folder": Path(folder).name},
    )
    return cutouts, table["id", "label", "votes"]


def labels(folder: Path | str, *, ids: Iterable[str] | None = None) -> Table:
    """Read the labels without any picture.

    Parameters
    ----------
    folder : Path
        Of the layout above.
    ids : iterable of str, optional
        Keep these objects only; all when absent.

    Returns
    -------
    Table
        Columns ``id``, ``label`` (empty for "don't know"), ``votes`` and ``file``.

    Raises
    ------
    DataError
        If the file is missing or has other columns, an unknown class, or an object twice.
    """
    from astropy.table import Table

    path = Path(folder) / LABELS
    rows = folder_rows(path, columns=("objid", "class_name", "file"), beside=IMAGES)
    wanted = None if ids is None else set(ids)
    unknown = sorted({r["class_name"] for r in rows} - set(CLASS_OF) - {UNSURE})
    if unknown:
        raise DataError(
            f"{path.name} has the class {unknown[0]!r}",
            remedy=f"use {', '.join([*CLASS_OF, UNSURE])}",
        )
    names = [r["objid"] for r in rows]
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise DataError(f"{path.name} has the object {twice} twice", remedy="keep one row of it")
    kept = [r for r in rows if wanted is None or r["objid"] in wanted]
    return Table(
        {
            "id": np.array([r["objid"] for r in kept], dtype=str),
            "label": np.array([CLASS_OF.get(r["class_name"], "") for r in kept], dtype=str),
            "votes": np.array([r["class_name"] for r in kept], dtype=str),
            "file": np.array([r["file"] for r in kept], dtype=str),
        }
    )


def pictures(folder: Path | str, table: Table) -> np.ndarray:
    """Decode the pictures of a table of `labels`.

    Parameters
    ----------
    folder : Path
        Of the layout above.
    table : Table
        Rows of `labels`.

    Returns
    -------
    ndarray of uint8, shape (n, 3, 128, 128)
        Bands i, r, g.

    Raises
    ------
    DataError
        If the archive or a picture is missing, too large or broken; names the object.
    """
    path = Path(folder) / IMAGES
    values = np.empty((len(table), 3, SIZE, SIZE), dtype=np.uint8)
    try:
        with zipfile.ZipFile(path) as archive:
            for i, (name, file) in enumerate(zip(table["id"], table["file"], strict=True)):
                values[i] = _decoded(member(archive, str(file), name=str(name)), name=str(name))
    except (OSError, zipfile.BadZipFile) as err:
        raise DataError(
            f"The pictures {path.name} cannot be read", cause=str(err), remedy="fetch them again"
        ) from err
    return values


def _decoded(content: bytes, *, name: str) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            # The header is checked before a pixel is decoded: no bomb goes off.
            if image.size != (SIZE, SIZE):
                raise DataError(
                    f"The picture of the object {name} has {image.size[0]}×{image.size[1]} pixels",
                    remedy=f"give {SIZE}×{SIZE} pixels",
                )
            return np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    except (OSError, ValueError, SyntaxError) as err:
        raise DataError(
            f"The picture of the object {name} cannot be decoded", cause=str(err)
        ) from err
