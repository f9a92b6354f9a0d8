"""Reading a folder of labelled data that somebody else made: tables of labels, and archives."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_astroml.core.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    import h5py

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


@contextmanager
def hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file; what goes wrong while it is read is told in its name.

    Parameters
    ----------
    path : Path
        Of the file.

    Raises
    ------
    DataError
        If it is missing or broken, or a ``ValueError`` says that it holds something else.
    MissingExtraError
        If h5py is not installed.
    """
    try:
        import h5py
    except ImportError as err:
        raise MissingExtraError(
            f"{path.name} needs h5py", cause=str(err), remedy="pip install h5py"
        ) from err
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, ValueError, RuntimeError) as err:
        raise DataError(f"{path.name} cannot be read", cause=str(err)) from err


def plain(file: h5py.File, name: str) -> h5py.Dataset:
    """Return an array of an HDF5 file, unread, if it lies in that file.

    Raises
    ------
    ValueError
        If it is no array, or points elsewhere: a few bytes may describe an array of any size, or
        one in another file.
    """
    import h5py

    table = file[name]
    if not isinstance(table, h5py.Dataset) or table.external or table.is_virtual:
        raise ValueError(f"{name} is no plain table")
    return table
