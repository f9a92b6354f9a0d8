"""What a TAP service answers, turned into a table that says where it came from."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from jupyter_astroml.archives import parquet, votables
from jupyter_astroml.archives.rowhash import row_hash
from jupyter_astroml.archives.tablefile import TableFile, Writer
from jupyter_astroml.core.errors import ArchiveError, QueryError, reason

if TYPE_CHECKING:
    from astropy.table import Table
    from requests import Response

PIECE = 1 << 16
# Bytes of a Parquet file's values, in memory or one block after the other.
_MAX_HELD, _MAX_STREAMED = 2**30, 2**36
# Rows are told at least so many seconds apart.
_TOLD = 0.5
_PACKAGES = ("jupyter_astroml", "astropy", "numpy", "pyvo")


class OverflowedWarning(UserWarning):
    """The archive cut the answer at its row limit: rows are missing."""


def answered(
    answer: Response, *, about: dict[str, Any], progress: Callable[[int], None] | None = None
) -> Table:
    """Read a table as it arrives; a refusal is a VOTable too (TAP 1.1 section 3.2).

    Parameters
    ----------
    answer : Response
        Asked for as a stream.
    about : dict
        Goes into ``meta["astroml"]``; needs ``archive``.
    progress : callable, optional
        Called with the number of rows so far.

    Raises
    ------
    QueryError
        If the archive refuses the query.
    ArchiveError
        If the answer is no table, or breaks off.
    """
    with _status_told(answer, about):
        return tabled(answer.iter_content(PIECE), about=about, progress=progress)


def kept(
    answer: Response,
    path: Path,
    *,
    about: dict[str, Any],
    progress: Callable[[int], None] | None = None,
) -> TableFile:
    """Write a table to disk as it arrives; see `answered`."""
    with _status_told(answer, about):
        return filed(answer.iter_content(PIECE), path, about=about, progress=progress)


@contextmanager
def _status_told(answer: Response, about: Mapping[str, Any]) -> Iterator[None]:
    """Tell the status of an answer that is no table, if it was no success."""
    try:
        yield
    except QueryError:
        raise
    except ArchiveError as err:
        if answer.ok:
            raise
        raise ArchiveError(
            f"{about['archive']} answered {answer.status_code} {answer.reason}",
            cause=err.cause,
            remedy="try again later; if it stays so, tell the archive",
        ) from err


def tabled(
    chunks: Iterable[bytes],
    *,
    about: dict[str, Any],
    progress: Callable[[int], None] | None = None,
) -> Table:
    """Make a table of the bytes of a VOTable or a Parquet file; see `answered`."""
    parsed = _read(chunks, progress=progress)
    status = _status(parsed, about)
    table = parsed.table()
    hashed = row_hash(table.colnames, table.itercols())
    table.meta["astroml"] = _said(about, rows=len(table), status=status, hashed=hashed)
    return table


def filed(
    chunks: Iterable[bytes],
    path: Path,
    *,
    about: dict[str, Any],
    progress: Callable[[int], None] | None = None,
) -> TableFile:
    """Write the bytes of a VOTable or a Parquet file block by block; see `answered`."""
    with Writer(path) as file:
        parsed = _read(chunks, progress=progress, write=file.add)
        status = _status(parsed, about)
        said = _said(about, rows=parsed.rows, status=status, hashed=file.hash)
        file.finish(parsed.document, said)
    return TableFile(path)


def _read(
    chunks: Iterable[bytes],
    *,
    progress: Callable[[int], None] | None,
    write: votables.Write | None = None,
) -> votables.Parsed:
    """Read an answer in the form that it turns out to have."""
    stream = iter(chunks)
    head = next(stream, b"")
    whole = chain((head,), stream)
    if not parquet.is_parquet(head):
        return votables.read(whole, progress=progress, write=write)
    # What the columns are stands at the end of the file.
    with tempfile.TemporaryFile() as file:
        for piece in whole:
            file.write(piece)
        return _of_parquet(file, progress=progress, write=write)


def _of_parquet(
    file: IO[bytes],
    *,
    progress: Callable[[int], None] | None,
    write: votables.Write | None,
) -> votables.Parsed:
    found = parquet.Parquet(file, limit=_MAX_STREAMED if write else _MAX_HELD)
    first, parts, n = found.document.get_first_table(), [], 0
    for block in found.blocks():
        n += len(block[0]) if block else 0
        if write:
            write(first, block)
        else:
            parts.append(block)
        if progress:
            progress(n)
    if write:
        write(first, parquet.joined([], found.fields))
    return votables.Parsed(
        found.document, None if write else parquet.joined(parts, found.fields), found.rows
    )


def _status(parsed: votables.Parsed, about: Mapping[str, Any]) -> str:
    """Return ``OK`` or ``OVERFLOW`` (DALI 1.1 section 4.4)."""
    from pyvo.dal import DALFormatError, DALOverflowWarning, DALQueryError, DALResults

    with warnings.catch_warnings():
        # The same fact reaches the user as our own warning and as a flag.
        warnings.simplefilter("ignore", DALOverflowWarning)
        try:
            return str(DALResults(parsed.document, url=about.get("url", "")).status[0])
        except DALQueryError as err:
            if "parameters" in about:
                remedy = "compare what was asked with what the service takes"
                raise refused(about["archive"], err, remedy=remedy) from err
            raise refused(about["archive"], err) from err
        except DALFormatError as err:
            raise ArchiveError(
                f"{about['archive']} sent no table of results", cause=str(err), remedy="ask again"
            ) from err


def _said(about: Mapping[str, Any], *, rows: int, status: str, hashed: str) -> dict[str, Any]:
    """Return what ``meta["astroml"]`` says of an answer."""
    return {
        **about,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": rows,
        "overflow": status == "OVERFLOW",
        "row_hash": hashed,
        "versions": {name: metadata.version(name) for name in _PACKAGES},
    }


def warn_if_cut(table: Table | TableFile) -> None:
    """Warn when rows are missing."""
    about = table.meta["astroml"]
    if about["overflow"]:
        warnings.warn(
            f"{about['archive']} cut the answer at {len(table)} rows: more match the query. "
            "To do: raise maxrec, or ask with a narrower WHERE",
            OverflowedWarning,
            stacklevel=3,
        )


def rows_told(progress: Callable[[str], None] | None) -> Callable[[int], None] | None:
    """Return what tells numbers of rows in words, and not too often."""
    if progress is None:
        return None
    last = time.monotonic()

    def tell(n: int) -> None:
        nonlocal last
        if time.monotonic() - last > _TOLD:
            last = time.monotonic()
            progress(f"{n} rows")

    return tell


def refused(
    name: str, err: Exception, *, remedy: str = "compare names and types with archive.schema()"
) -> QueryError:
    """Say an archive's refusal in our words and its own; one of ours knows a remedy, too."""
    cause, _, own = str(err).partition(". To do: ")
    return QueryError(f"{name} refused the query", cause=cause, remedy=own or remedy)


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Say the errors of pyvo and of the network in our words."""
    from pyvo.dal import DALFormatError, DALQueryError, DALServiceError

    try:
        yield
    except DALQueryError as err:
        raise refused(name, err) from err
    except (DALServiceError, DALFormatError, OSError) as err:
        raise ArchiveError(
            f"{name} did not answer the query",
            cause=reason(err),
            remedy="check the network and the address, then ask again",
        ) from err
