"""Finds the files of a folder that may be published: none outside it, whatever links there are."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from jupyter_astroml.core.errors import DataError

from .products import MAX_BYTES

PICTURES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}
FITS = (".fits", ".fit", ".fits.gz", ".fits.fz", ".fit.gz")
MAX_FILES = 200_000


@dataclass(frozen=True)
class Entry:
    """A file, or a member of a zip file.

    Attributes
    ----------
    path : str
        Relative to the folder, with forward slashes.
    member : str
        Name inside the zip file, or empty.
    size : int
        Bytes.
    """

    path: str
    member: str
    size: int

    # Thousands of entries are compared by name, so each name is cut out once.
    @cached_property
    def name(self) -> str:
        """Name without folders."""
        return (self.member or self.path).rpartition("/")[2]

    @cached_property
    def ending(self) -> str:
        """Ending in lower case; ``.fits.gz`` counts as one."""
        lowered = self.name.lower()
        for ending in FITS:
            if lowered.endswith(ending):
                return ending
        stem, dot, ending = lowered.rpartition(".")
        return dot + ending if stem else ""

    @cached_property
    def stem(self) -> str:
        """Name without folders and ending."""
        return self.name[: len(self.name) - len(self.ending)]

    @property
    def media(self) -> str:
        """Media type of the file, or an empty string when it is none of ours."""
        if self.ending in FITS:
            return "application/fits"
        return PICTURES.get(self.ending, "")


def within(root: Path, path: Path) -> bool:
    """Whether a file is inside a folder after following links."""
    return path.resolve().is_relative_to(root.resolve())


def named(root: Path, path: str) -> Path:
    """Return a file that a description names.

    Raises
    ------
    DataError
        When it is not there or leads out of the folder.
    """
    found = root / path
    if not found.exists():
        raise DataError(f"There is no {path} in {root}")
    if not within(root, found):
        raise DataError(
            f"{path} leads out of {root}", remedy="copy the file into the folder you publish"
        )
    return found


def entries(root: Path, wanted: str) -> list[Entry]:
    """Return the files that a zip file, a folder or a pattern stands for, in order of names.

    Raises
    ------
    DataError
        When there is none, or too many.
    """
    if any(c in wanted for c in "*?["):
        found = [
            _entry(root, path)
            for path in sorted(root.glob(wanted))
            if path.is_file() and within(root, path)
        ]
    else:
        place = named(root, wanted)
        if place.is_dir():
            found = [
                _entry(root, path)
                for path in sorted(place.rglob("*"))
                if path.is_file() and within(root, path) and not path.name.startswith(".")
            ]
        elif place.suffix.lower() == ".zip":
            found = list(members(root, place))
        else:
            found = [_entry(root, place)]
    if not found:
        raise DataError(f"There are no files {wanted} in {root}")
    if len(found) > MAX_FILES:
        raise DataError(f"{wanted} stands for more than {MAX_FILES} files")
    return found


def _entry(root: Path, path: Path) -> Entry:
    return Entry(path.relative_to(root).as_posix(), "", path.stat().st_size)


def members(root: Path, path: Path) -> Iterator[Entry]:
    """Yield the members of a zip file that are plain files of a sane name and size.

    Raises
    ------
    DataError
        When the file is no zip file.
    """
    relative = path.relative_to(root).as_posix()
    try:
        with zipfile.ZipFile(path) as archive:
            listed = {info.filename: info for info in archive.infolist()}
    except (zipfile.BadZipFile, OSError, ValueError) as err:
        raise DataError(f"{path.name} is no zip file", cause=str(err)[:200]) from err
    for name, info in sorted(listed.items()):
        place = PurePosixPath(name)
        odd = place.is_absolute() or ".." in place.parts or "\\" in name or ":" in name
        link = stat.S_ISLNK(info.external_attr >> 16)
        encrypted = bool(info.flag_bits & 1)
        if not (odd or link or encrypted or info.is_dir() or info.file_size > MAX_BYTES):
            yield Entry(relative, name, info.file_size)
