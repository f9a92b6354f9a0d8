"""Reading a folder of labelled data that somebody else made: tables of labels, and archives."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from pathlib import Path

from jupyter_astroml.core.errors import DataError

# A picture of one object has some kilobytes; more than this is not what it says it is.
MAX_MEMBER_BYTES = 1_000_000
MAX_OBJECTS = 500_000
MAX_LABELS_BYTES = 200_000_000


def rows(path: Path, *, columns: Sequence[str], beside: str) -> list[dict[str, str]]:
    """Read a table of labels.

    Parameters
    ----------
    path : Path
        A CSV file with a header.
    columns : sequence of str
        Must have a value in each row.
    beside : str
        The other file of the layout, for the error.

    Raises
    ------
    DataError
        If the file is missing, too large, empty, or lacks a value; names the line.
    """
    try:
        if path.stat().st_size > MAX_LABELS_BYTES:
            raise DataError(f"{path.name} is too large for a table of labels")
        with path.open(newline="", encoding="utf-8") as file:
            found = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise DataError(
            f"There are no labels in {path.parent.name}",
            cause=str(err),
            remedy=f"give a folder with {path.name} and {beside}",
        ) from err
    if not found or len(found) > MAX_OBJECTS:
        raise DataError(f"{path.name} has {len(found)} rows", remedy=f"give 1 to {MAX_OBJECTS}")
    for i, row in enumerate(found):
        absent = [c for c in columns if not row.get(c)]
        if absent:
            raise DataError(
                f"{path.name} has no {absent[0]!r} in line {i + 2}",
                remedy=f"give the columns {', '.join(columns)}",
            )
    return found


def member(archive: zipfile.ZipFile, file: str, *, name: str) -> bytes:
    """Read one file of a zip archive.

    Parameters
    ----------
    archive : ZipFile
        Open for reading.
    file : str
        Name of the member.
    name : str
        Of the object, for the error.

    Raises
    ------
    DataError
        If it is missing or too large.
    """
    try:
        info = archive.getinfo(file)
    except KeyError as err:
        raise DataError(f"There is no picture of the object {name}", cause=str(err)) from err
    # The size that a zip declares may be a lie: read at most one byte more than is allowed.
    with archive.open(info) as stream:
        content = stream.read(MAX_MEMBER_BYTES + 1)
    if len(content) > MAX_MEMBER_BYTES:
        raise DataError(
            f"The picture of the object {name} is too large",
            cause=f"it has more than {MAX_MEMBER_BYTES} bytes",
        )
    return content
