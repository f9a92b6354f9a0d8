"""Tables that stay on disk: written while an archive sends them, read as far as they are needed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from glob import escape
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from jupyter_astroml.archives import parquet
from jupyter_astroml.archives.rowhash import RowHash
from jupyter_astroml.archives.votables import filled, names_of
from jupyter_astroml.core.errors import ArchiveError

if TYPE_CHECKING:
    from astropy.io.votable.tree import TableElement, VOTableFile
    from astropy.table import Table

PROVENANCE = "jupyter_astroml"
# A file of one's own may be larger than what an archive is allowed to put into memory.
_LIMIT = 2**36
_SHOWN = 8


@dataclass(frozen=True)
class TableFile:
    """A table in a Parquet file, of which only what is asked for is read.

    Other programs read the file too: pandas and DuckDB the values, TOPCAT also the units; astropy
    by ``Table.read(path, format="parquet")``, or with its units, where no column is a text, by
    ``format="parquet.votable"``.

    Parameters
    ----------
    path : Path
        The file.

    Examples
    --------
    >>> stars = TableFile("stars.parquet")  # doctest: +SKIP
    >>> stars.read(columns=["ra", "dec"])  # doctest: +SKIP
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    def __len__(self) -> int:
        return int(self._about[0])

    @property
    def colnames(self) -> list[str]:
        """Names of the columns."""
        return list(self._about[1])

    @property
    def meta(self) -> dict[str, Any]:
        """What is known of the table: ``meta["astroml"]`` as for a table of `query`."""
        return dict(self._about[2])

    def read(self, *, columns: Sequence[str] | None = None, rows: int | None = None) -> Table:
        """Read the table into memory.

        Parameters
        ----------
        columns : sequence of str, optional
            Only these columns, in this order.
        rows : int, optional
            Only so many rows, the first ones.

        Returns
        -------
        astropy.table.Table
            With units, UCDs, descriptions and provenance.

        Raises
        ------
        ArchiveError
            If there is no such column, or the file is missing, not finished or damaged.
        """
        with _opened(self.path) as found:
            first = found.document.get_first_table()
            names = names_of(first)
            wanted = names if columns is None else list(columns)
            if unknown := [name for name in wanted if name not in names]:
                raise ArchiveError(
                    f"There is no column {unknown[0]!r} in {self.path.name}",
                    remedy=f"take some of {', '.join(names)}",
                )
            places = [names.index(name) for name in wanted]
            parts = list(_first(found.blocks(places), rows))
            values = parquet.joined(parts, [found.fields[i] for i in places])
            return filled(first, dict(zip(wanted, values, strict=True)), self.meta)

    def _repr_html_(self) -> str:
        shown = self.read(rows=_SHOWN)
        return f"<p>{self}</p>{shown._repr_html_()}"

    def __str__(self) -> str:
        return f"{len(self)} rows of {len(self.colnames)} columns on disk"

    @cached_property
    def _about(self) -> tuple[int, list[str], dict[str, Any]]:
        with _opened(self.path) as found:
            first = found.document.get_first_table()
            meta = dict(first.to_table(use_names_over_ids=True).meta)
            if told := found.told.get(PROVENANCE):
                meta["astroml"] = _provenance(told)
            return found.rows, names_of(first), meta


def _provenance(told: bytes) -> dict[str, Any]:
    try:
        found = json.loads(told)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def _opened(path: Path) -> Iterator[parquet.Parquet]:
    try:
        file = path.open("rb")
    except OSError as err:
        left = _parts(path)
        raise ArchiveError(
            f"{path} was not finished" if left else f"{path} cannot be read",
            cause=f"its writing goes on, or broke off and left {left[0].name}"
            if left
            else str(err),
            remedy="ask the archive again" if left else "give the name of a file that is there",
        ) from err
    with file:
        if not parquet.is_parquet(file.read(4)):
            raise ArchiveError(
                f"{path} is no Parquet file",
                remedy=f"read it with astropy: Table.read({path.name!r})",
            )
        file.seek(0)
        yield parquet.Parquet(file, limit=_LIMIT)


def _first(
    blocks: Iterable[list[np.ma.MaskedArray]], rows: int | None
) -> Iterator[list[np.ma.MaskedArray]]:
    """Yield blocks until there are enough rows."""
    left = rows
    for block in blocks:
        if left is None:
            yield block
            continue
        yield [column[:left] for column in block]
        left -= len(block[0]) if block else left
        if left <= 0:
            return


def _part(path: Path) -> Path:
    """Return a name for a file that is not whole; two that write one file must not share it."""
    return path.with_name(f"{path.name}.{uuid4().hex[:8]}.part")


def _parts(path: Path) -> list[Path]:
    """Return what the writers of a file left behind, or still write."""
    return sorted(path.parent.glob(f"{escape(path.name)}.*.part"))


class Writer:
    """Writes a table block by block; the file has its name only when it is whole.

    Parameters
    ----------
    path : Path
        Replaced if it exists, but not before the new one is whole.

    Raises
    ------
    ArchiveError
        If the folder does not exist, or may not be written to.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._draft = path, _part(path)
        try:
            self._file: IO[bytes] = self._draft.open("xb")
        except OSError as err:
            raise _unwritable(path, err) from err
        self._hash: RowHash | None = None
        self._out: Any = None

    def add(self, table: TableElement, columns: list[np.ma.MaskedArray]) -> None:
        """Write a block of rows."""
        import pyarrow.parquet as pq

        try:
            if self._out is None or self._hash is None:
                names = names_of(table)
                self._schema = parquet.schema_of(names, table.fields)
                self._hash = RowHash(names)
                self._out = pq.ParquetWriter(self._file, self._schema, compression="zstd")
            if columns and len(columns[0]):
                self._out.write_batch(parquet.batch_of(self._schema, columns))
                self._hash.add(columns)
        except OSError as err:
            raise _unwritable(self._path, err) from err

    @property
    def hash(self) -> str:
        """Hash of the rows so far: see `RowHash`."""
        return self._hash.hexdigest() if self._hash else ""

    def finish(self, document: VOTableFile, about: Mapping[str, Any]) -> None:
        """Write what the columns mean and where they came from, and give the file its name."""
        content = parquet.header(document)
        told = {parquet.VERSION: "1.0", parquet.CONTENT: content, PROVENANCE: json.dumps(about)}
        try:
            self._out.add_key_value_metadata(told)
            self._out.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._draft.replace(self._path)
        except OSError as err:
            raise _unwritable(self._path, err) from err

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._out and not self._file.closed:
            with suppress(OSError):
                self._out.close()
        self._file.close()
        self._draft.unlink(missing_ok=True)


def room(path: Path) -> int:
    """Return how many bytes a file may grow to.

    Raises
    ------
    ArchiveError
        If there is no such folder.
    """
    try:
        return shutil.disk_usage(path.absolute().parent).free
    except OSError as err:
        raise _unwritable(path, err) from err


def _unwritable(path: Path, err: OSError) -> ArchiveError:
    return ArchiveError(
        f"{path} cannot be written",
        cause=err.strerror or str(err),
        remedy="choose another folder, or make room",
    )
