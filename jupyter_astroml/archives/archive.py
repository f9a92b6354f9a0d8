"""An archive: ask it in ADQL, look at its tables, turn rows into references."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

import requests

from jupyter_astroml.archives.http import TIMEOUT, Session
from jupyter_astroml.archives.known import Known, lookup
from jupyter_astroml.archives.rows import references
from jupyter_astroml.core.errors import ArchiveError, QueryError

if TYPE_CHECKING:
    from astropy.table import Table
    from pyvo.dal import AsyncTAPJob, TAPService

    from jupyter_astroml.core.records import References

Mode = Literal["sync", "async"]
# Phases of UWS 1.1 section 2.1.3 in which a job will not change any more.
_OVER = {"COMPLETED", "ERROR", "ABORTED", "ARCHIVED"}
# A table of this size in memory is a question that was meant otherwise.
MAX_BYTES = 2**30
# Silence of this many polls in a row ends the patience with a job's server.
_LOST_POLLS = 8


class OverflowedWarning(UserWarning):
    """The archive cut the answer at its row limit: rows are missing."""


@dataclass(frozen=True)
class ColumnInfo:
    """A column of a table, as TAP_SCHEMA describes it (TAP 1.1 section 4)."""

    name: str
    datatype: str
    unit: str
    ucd: str
    description: str


@dataclass(frozen=True)
class TableInfo:
    """A table and its columns."""

    name: str
    description: str
    columns: tuple[ColumnInfo, ...]


@dataclass(frozen=True)
class Schema:
    """A schema and its tables."""

    name: str
    description: str
    tables: tuple[TableInfo, ...]


class _Session(Session):
    """A session that closes what a library left open.

    pyvo asks for answers as streams, and does not read all of them to the end.
    """

    def __init__(self) -> None:
        super().__init__(limit=MAX_BYTES)
        self._answers: list[requests.Response] = []

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        answer = super().request(method, url, **options)
        self._answers.append(answer)
        return answer

    @contextmanager
    def released(self) -> Iterator[None]:
        try:
            yield
        finally:
            while self._answers:
                self._answers.pop().close()


class Archive:
    """A TAP service (Table Access Protocol 1.1) and the data that its rows point to.

    It holds connections, which `close` or a ``with`` block gives back.

    Parameters
    ----------
    known : Known
        Name, title and URL.
    """

    def __init__(self, known: Known) -> None:
        self.name = known.name
        self.title = known.title
        self.url = known.url
        self._session = _Session()

    def close(self) -> None:
        """Give back the connections; the next question opens new ones."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Archive {self.name}: {self.url}>"

    def query(
        self,
        adql: str,
        *,
        mode: Mode = "sync",
        maxrec: int | None = None,
        timeout: float = 300.0,
        progress: Callable[[str], None] | None = None,
    ) -> Table:
        """Ask a question in ADQL.

        Parameters
        ----------
        adql : str
            ADQL 2.0 or 2.1, one SELECT.
        mode : {"sync", "async"}
            ``"async"`` makes a job on the server: for answers that take longer than a minute.
        maxrec : int, optional
            Most rows to return; None takes the service's own limit.
        timeout : float
            Seconds in all that the answer may take; a job may take as long, and its table again.
        progress : callable, optional
            Called with the phase of an asynchronous job, whenever it changes.

        Returns
        -------
        astropy.table.Table
            With units, UCDs and descriptions; ``meta["astroml"]`` says archive, query, date, job,
            number of rows, and ``overflow``: True when the archive cut the answer.

        Raises
        ------
        QueryError
            If the archive refuses the query; the cause is the archive's own message.
        ArchiveError
            If the archive cannot be reached, or does not finish in time.

        Warns
        -----
        OverflowedWarning
            If rows are missing.
        """
        if maxrec is not None and maxrec < 1:
            raise QueryError(f"maxrec is {maxrec}", remedy="give a positive number of rows")
        ask = self._ask_sync if mode == "sync" else self._ask_async
        with warnings.catch_warnings():
            # The same fact reaches the user as our own warning and as a flag.
            warnings.filterwarnings("ignore", message="Partial result set")
            warnings.filterwarnings("ignore", message="Results truncated")
            with self._session.released():
                results, job = _translated(
                    lambda: ask(adql, maxrec=maxrec, timeout=timeout, progress=progress),
                    name=self.name,
                )
        table = results.to_table()
        overflow = results.status[0] == "OVERFLOW"
        table.meta["astroml"] = {
            "archive": self.name,
            "url": self.url,
            "adql": adql,
            "mode": mode,
            "job": job,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "rows": len(table),
            "overflow": overflow,
        }
        if overflow:
            warnings.warn(
                f"{self.name} cut the answer at {len(table)} rows: more match the query. "
                "To do: raise maxrec, or ask with a narrower WHERE",
                OverflowedWarning,
                stacklevel=2,
            )
        return table

    def samples(self, rows: Table, **options: Any) -> References:
        """Turn rows into references to their data; nothing is fetched yet.

        See `jupyter_astroml.archives.rows.references` for the options.
        """
        return references(rows, **options)

    def schema(self) -> tuple[Schema, ...]:
        """Return the schemas, tables and columns that TAP_SCHEMA lists.

        Raises
        ------
        ArchiveError
            If the archive does not answer.
        """
        return self._schema

    @cached_property
    def _schema(self) -> tuple[Schema, ...]:
        schemas = self._rows("SELECT schema_name, description FROM tap_schema.schemas")
        tables = self._rows("SELECT schema_name, table_name, description FROM tap_schema.tables")
        columns = self._rows(
            "SELECT table_name, column_name, datatype, unit, ucd, description "
            "FROM tap_schema.columns"
        )
        of_table: dict[str, list[ColumnInfo]] = {}
        for row in columns:
            of_table.setdefault(row["table_name"], []).append(
                ColumnInfo(
                    name=row["column_name"],
                    datatype=row["datatype"],
                    unit=row["unit"],
                    ucd=row["ucd"],
                    description=row["description"],
                )
            )
        of_schema: dict[str, list[TableInfo]] = {}
        for row in tables:
            name = row["table_name"]
            of_schema.setdefault(row["schema_name"], []).append(
                TableInfo(name, row["description"], tuple(of_table.get(name, ())))
            )
        return tuple(
            Schema(s["schema_name"], s["description"], tuple(of_schema.get(s["schema_name"], ())))
            for s in schemas
        )

    def _rows(self, adql: str) -> list[Mapping[str, str]]:
        """Ask for texts only; nulls become empty."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OverflowedWarning)
            table = self.query(adql, maxrec=1_000_000)
        texts = {
            name.lower(): ["" if value is None else str(value) for value in table[name].tolist()]
            for name in table.colnames
        }
        return [
            dict(zip(texts, values, strict=True)) for values in zip(*texts.values(), strict=True)
        ]

    @cached_property
    def _service(self) -> TAPService:
        from pyvo.dal import TAPService

        return TAPService(self.url, session=self._session)

    def _ask_sync(
        self,
        adql: str,
        *,
        maxrec: int | None,
        timeout: float,
        progress: Callable[[str], None] | None,
    ) -> tuple[Any, str]:
        # pyvo's own calls take no time limit: it stands in the session.
        self._session.patience = (TIMEOUT[0], timeout)
        self._session.bounds.seconds = timeout
        if progress:
            progress("EXECUTING")
        return self._service.run_sync(adql, maxrec=maxrec), ""

    def _ask_async(
        self,
        adql: str,
        *,
        maxrec: int | None,
        timeout: float,
        progress: Callable[[str], None] | None,
    ) -> tuple[Any, str]:
        self._session.patience = TIMEOUT
        self._session.bounds.seconds = timeout
        job = self._service.submit_job(adql, maxrec=maxrec)
        job.run()
        phase = _wait(job, timeout=timeout, progress=progress)
        if phase != "COMPLETED":
            job.raise_if_error()
            raise ArchiveError(
                f"The job {job.url} on {self.name} ended as {phase}", remedy="ask again"
            )
        return job.fetch_result(), job.url


def _wait(job: AsyncTAPJob, *, timeout: float, progress: Callable[[str], None] | None) -> str:
    """Poll a job until it is over; `timeout` bounds the whole wait, not one request.

    A dropped connection while polling says nothing about the job, which goes on at the server:
    the poll is tried again.
    """
    from pyvo.dal import DALServiceError

    end = time.monotonic() + timeout
    pause, lost, last = 0.1, 0, ""
    while True:
        try:
            phase = job.phase
            lost = 0
        except (DALServiceError, OSError) as err:
            lost += 1
            if lost >= _LOST_POLLS:
                raise ArchiveError(
                    f"The archive no longer answers about the job {job.url}",
                    cause=str(err),
                    remedy="the job may still finish: look at that address later",
                ) from err
            phase = last
        if progress and phase != last:
            progress(phase)
        last = phase
        if phase in _OVER:
            return phase
        if time.monotonic() + pause > end:
            raise ArchiveError(
                f"The job {job.url} is still {phase or 'unknown'} after {timeout:.0f} s",
                remedy="give a larger timeout, or look at that address later",
            )
        time.sleep(pause)
        pause = min(pause * 1.5, 5.0)


def _translated(ask: Callable[[], tuple[Any, str]], *, name: str) -> tuple[Any, str]:
    """Run a pyvo call and say its errors in our words."""
    from pyvo.dal import DALFormatError, DALQueryError, DALServiceError

    try:
        return ask()
    except DALQueryError as err:
        raise QueryError(
            f"{name} refused the query",
            cause=str(err),
            remedy="compare the names with archive.schema()",
        ) from err
    except (DALServiceError, DALFormatError, OSError) as err:
        raise ArchiveError(
            f"{name} did not answer the query",
            cause=str(err),
            remedy="check the network and the address, then ask again",
        ) from err


def archive(name: str, *, url: str = "") -> Archive:
    """Return the archive of this name.

    Parameters
    ----------
    name : str
        A name of `jupyter_astroml.archives.known.KNOWN`, or the URL of any TAP service.
    url : str, optional
        Address of the service, for an archive that has no fixed one.

    Raises
    ------
    ArchiveError
        If the name is unknown.
    """
    known = lookup(name)
    return Archive(Known(known.name, known.title, url) if url else known)
