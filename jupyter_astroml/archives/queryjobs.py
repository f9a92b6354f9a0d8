"""Asynchronous queries that outlive the notebook that asked them (UWS 1.1).

A job is written to disk before it starts, so that a kernel that dies loses nothing: the next one
finds the job, waits on, and reads the table that was fetched once.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from jupyter_astroml.archives.answer import (
    PIECE,
    filed,
    rows_told,
    tabled,
    translated,
    warn_if_cut,
)
from jupyter_astroml.archives.bundled import DEMO
from jupyter_astroml.archives.closing import Closing
from jupyter_astroml.archives.tablefile import TableFile, room
from jupyter_astroml.core.errors import ArchiveError

if TYPE_CHECKING:
    from astropy.table import Table
    from pyvo.dal import AsyncTAPJob

# Phases of UWS 1.1 section 2.1.3 in which a job will not change any more.
OVER = {"COMPLETED", "ERROR", "ABORTED", "ARCHIVED"}
# Silence of this many polls in a row ends the patience with a job's server.
_LOST_POLLS = 8
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True)
class Record:
    """What is kept of a job.

    Attributes
    ----------
    archive, tap : str
        Name of the archive and URL of its TAP service.
    adql : str
        The query.
    url : str
        Where the job is.
    created : str
        Date and time, UTC.
    """

    archive: str
    tap: str
    adql: str
    url: str
    created: str


class QueryJob:
    """A query that an archive works at, or has answered.

    Parameters
    ----------
    record : Record
        What to remember.
    folder : Path
        Where jobs are remembered.
    name : str
        Of its files there.
    session : Closing
        That of the archive.
    """

    def __init__(self, record: Record, *, folder: Path, name: str, session: Closing) -> None:
        self.record = record
        self._session = session
        self._file = folder / f"{name}.json"
        self._table = folder / f"{name}.xml"

    def __repr__(self) -> str:
        return f"<QueryJob {self.record.created} on {self.record.archive}: {self.record.adql!r}>"

    @property
    def phase(self) -> str:
        """Phase of the job now (UWS 1.1 section 2.1.3), asked of the archive."""
        if self._table.exists():
            return "COMPLETED"
        with self._asking():
            return str(self._job.phase)

    def wait(
        self, *, timeout: float = 300.0, progress: Callable[[str], None] | None = None
    ) -> None:
        """Wait until the job is over.

        A dropped connection while polling says nothing about the job, which goes on at the server:
        the poll is tried again.

        Parameters
        ----------
        timeout : float
            Seconds for the whole wait, not for one request.
        progress : callable, optional
            Called with the phase, whenever it changes.

        Raises
        ------
        QueryError
            If the archive could not answer the query.
        ArchiveError
            If the job was aborted, or is not over in time; it can be waited for again.
        """
        if self._table.exists():
            return
        with self._session.released():
            phase = self._polled(time.monotonic() + timeout, timeout, progress)
        if phase == "ERROR":
            with self._asking():
                self._job.raise_if_error()
        if phase != "COMPLETED":
            raise ArchiveError(
                f"The job {self.record.url} on {self.record.archive} ended as {phase}",
                remedy="ask again",
            )

    def table(
        self, *, timeout: float = 300.0, progress: Callable[[str], None] | None = None
    ) -> Table:
        """Wait for the job, and return its table; it is fetched once and kept on disk.

        Parameters
        ----------
        timeout, progress
            As for `wait`.

        Raises
        ------
        QueryError, ArchiveError
            As `wait`; or if the table does not arrive whole, after which it can be asked for again.
        """
        self._wait_and_fetch(timeout, progress)
        with self._forgetting_what_is_damaged():
            table = tabled(_pieces(self._table), about=self._about, progress=rows_told(progress))
        warn_if_cut(table)
        return table

    def download(
        self,
        path: Path | str,
        *,
        timeout: float = 3600.0,
        progress: Callable[[str], None] | None = None,
    ) -> TableFile:
        """Wait for the job, and write its table to a Parquet file, block by block.

        Parameters
        ----------
        path : Path or str
            As for `jupyter_astroml.archives.archive.Archive.download`.
        timeout, progress
            As for `wait`.

        Raises
        ------
        QueryError, ArchiveError
            As `table`; or if the file cannot be written.
        """
        path = Path(path)
        with self._session.allowing(room(path)):
            self._wait_and_fetch(timeout, progress)
        with self._forgetting_what_is_damaged():
            told = rows_told(progress)
            file = filed(_pieces(self._table), path, about=self._about, progress=told)
        warn_if_cut(file)
        return file

    def abort(self) -> None:
        """Tell the archive to stop working at it."""
        with self._asking():
            self._job.abort()

    def forget(self) -> None:
        """Delete the job at the archive and what is kept here."""
        self._table.unlink(missing_ok=True)
        self._file.unlink(missing_ok=True)
        with self._asking():
            self._job.delete()

    def write(self) -> None:
        """Remember the job."""
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._file.with_suffix(f".{uuid4().hex[:8]}")
        draft.write_text(json.dumps(asdict(self.record)))
        draft.replace(self._file)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Ask the archive about the job, say errors in our words, and close what pyvo left open."""
        with self._session.released(), translated(self.record.archive):
            yield

    @cached_property
    def _job(self) -> AsyncTAPJob:
        from pyvo.dal import AsyncTAPJob

        return AsyncTAPJob(self.record.url, session=self._session, delete=False)

    def _polled(self, end: float, timeout: float, progress: Callable[[str], None] | None) -> str:
        from pyvo.dal import DALServiceError

        pause, lost, last = 0.1, 0, ""
        while True:
            try:
                with self._session.released():
                    phase = str(self._job.phase)
                    if phase == "PENDING":
                        # Its process died between the note on disk and the start.
                        self._job.run()
                lost = 0
            except (DALServiceError, OSError) as err:
                lost += 1
                if lost >= _LOST_POLLS:
                    raise ArchiveError(
                        f"{self.record.archive} no longer answers about the job {self.record.url}",
                        cause=str(err),
                        remedy="the job may still finish: find it with archive.jobs()",
                    ) from err
                phase = last
            if progress and phase != last:
                progress(phase)
            last = phase
            if phase in OVER:
                return phase
            if time.monotonic() + pause > end:
                raise ArchiveError(
                    f"The job {self.record.url} is still {phase or 'unknown'} "
                    f"after {timeout:.0f} s",
                    remedy="wait on with archive.jobs()[0].table(timeout=…)",
                )
            # A class that starts at the same time shall not ask at the same time for ever.
            time.sleep(pause * (0.75 + 0.5 * random.random()))  # noqa: S311 - jitter
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    @property
    def _about(self) -> dict[str, Any]:
        return {
            "archive": self.record.archive,
            "url": self.record.tap,
            "simulated": self.record.archive == DEMO,
            "adql": self.record.adql,
            "mode": "async",
            "job": self.record.url,
        }

    def _wait_and_fetch(self, timeout: float, progress: Callable[[str], None] | None) -> None:
        with self._session.within(timeout):
            self.wait(timeout=timeout, progress=progress)
            if not self._table.exists():
                with self._asking():
                    self._fetch()

    @contextmanager
    def _forgetting_what_is_damaged(self) -> Iterator[None]:
        try:
            yield
        except ArchiveError:
            # It broke off, or is an error page: asking again may bring the table.
            self._table.unlink(missing_ok=True)
            raise

    def _fetch(self) -> None:
        """Write the answer to disk; under its own name only when it is whole."""
        draft = self._table.with_suffix(f".{uuid4().hex[:8]}")
        try:
            with self._session.get(self._job.result_uri, stream=True) as answer:
                answer.raise_for_status()
                with draft.open("wb") as file:
                    for piece in answer.iter_content(PIECE):
                        file.write(piece)
            draft.replace(self._table)
        finally:
            draft.unlink(missing_ok=True)


def remembered(folder: Path, *, tap: str, session: Closing) -> list[QueryJob]:
    """Return the jobs of a service that are on disk, the newest first, without damaged files."""
    found = []
    for file in folder.glob("*.json"):
        try:
            told: dict[str, Any] = json.loads(file.read_text())
            record = Record(**{key: str(value) for key, value in told.items()})
        except (OSError, ValueError, TypeError, AttributeError):
            continue
        # Whatever address stands there, the session shows a login to the archive's own alone.
        if record.tap == tap and record.url.startswith(("http://", "https://")):
            found.append(QueryJob(record, folder=folder, name=file.stem, session=session))
    return sorted(found, key=lambda job: job.record.created, reverse=True)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
