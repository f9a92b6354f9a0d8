"""An archive: ask it in ADQL, look at its tables, turn rows into references."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property, partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar
from uuid import uuid4

import requests

from jupyter_astroml.archives import simple, usertables
from jupyter_astroml.archives.adql import Problem, check
from jupyter_astroml.archives.answer import (
    OverflowedWarning,
    answered,
    kept,
    rows_told,
    translated,
    warn_if_cut,
)
from jupyter_astroml.archives.closing import Closing
from jupyter_astroml.archives.completion import Completions, complete
from jupyter_astroml.archives.compose import observations, select
from jupyter_astroml.archives.credentials import Credential
from jupyter_astroml.archives.export import fitted
from jupyter_astroml.archives.http import BUSY, TIMEOUT, TRIES, pause
from jupyter_astroml.archives.known import DEMO, Known, lookup
from jupyter_astroml.archives.limits import Limits, capability, limits
from jupyter_astroml.archives.login import Login, login
from jupyter_astroml.archives.queryjobs import QueryJob, Record, remembered
from jupyter_astroml.archives.rows import references
from jupyter_astroml.archives.schema import Schemas, TapSchema
from jupyter_astroml.archives.tablefile import TableFile, room
from jupyter_astroml.core.errors import ArchiveError, QueryError
from jupyter_astroml.core.settings import settings

if TYPE_CHECKING:
    from astropy.table import Table
    from pyvo.dal import TAPService
    from pyvo.dal.query import DALQuery

    from jupyter_astroml.core.records import References

T = TypeVar("T")
Mode = Literal["sync", "async"]
Form = Literal["", "binary2", "tabledata", "parquet"]
# A table of this size in memory is a question that was meant otherwise.
MAX_BYTES = 2**30
# Names that a table may be uploaded under: TAP 1.1 section 2.7.5 wants an ADQL identifier.
# Names that promise what a download does not write.
_OTHER_FORMATS = (".csv", ".ecsv", ".vot", ".xml", ".fits", ".hdf5")
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}")
# What archives call a form of answers, the best name first.
_FORMS: Mapping[str, tuple[str, ...]] = {
    "binary2": ("binary2",),
    "tabledata": ("tabledata", "votable/td", "votable-td", "votable"),
    "parquet": ("parquet",),
}


class Archive:
    """A TAP service (Table Access Protocol 1.1) and the data that its rows point to.

    It holds connections, which `close` or a ``with`` block gives back.
    It is for one thread at a time, since a question sets the time limits of its connections.

    Parameters
    ----------
    known : Known
        Name, title and URL.
    login : Login, optional
        Goes to the archive's own hosts and nowhere else.
    """

    def __init__(self, known: Known, *, login: Login | None = None) -> None:
        self.name = known.name
        self.title = known.title
        self.url = known.url
        self._known = known
        self._session = Closing(limit=MAX_BYTES, login=login)
        self._described = TapSchema(self._described_in)
        self._addresses: dict[str, str] = {}

    def close(self) -> None:
        """Give back the connections; the next question opens new ones."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        known = f", known by {self.login}" if self.login else ""
        return f"<Archive {self.name}: {self.url}{known}>"

    @property
    def login(self) -> Login | None:
        """How one is logged in and until when, without the secret; None as nobody."""
        return self._session.bounds.login

    def query(
        self,
        adql: str,
        *,
        mode: Mode = "sync",
        maxrec: int | None = None,
        upload: Mapping[str, Table] | None = None,
        form: Form = "",
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
            It outlives this process: see `jobs`.
        maxrec : int, optional
            Most rows to return; None takes the service's own limit.
        upload : mapping of str to Table, optional
            Tables of yours that the query calls ``tap_upload.<name>`` (TAP 1.1 section 2.7.5).
        form : {"", "binary2", "tabledata", "parquet"}
            How the rows come; the table is the same.  Empty takes BINARY2 where it is offered,
            whose rows are decoded while they arrive; Parquet takes fewer bytes on the way.
        timeout : float
            Seconds in all that the answer may take; a job may take as long, and its table again.
        progress : callable, optional
            Called with the phase of a job whenever it changes, and with the rows that arrived.

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
        with self._explaining(adql):
            if mode == "async":
                job = self.submit(adql, maxrec=maxrec, upload=upload, form=form)
                with self._session.within(timeout):
                    return job.table(timeout=timeout, progress=progress)
            asked = (maxrec, upload, form)
            table = self._asked(adql, answered, *asked, timeout=timeout, progress=progress)
        warn_if_cut(table)
        return table

    def download(
        self,
        adql: str,
        path: Path | str,
        *,
        mode: Mode = "sync",
        maxrec: int | None = None,
        upload: Mapping[str, Table] | None = None,
        form: Form = "",
        timeout: float = 3600.0,
        progress: Callable[[str], None] | None = None,
    ) -> TableFile:
        """Ask a question in ADQL, and write the answer to a Parquet file while it arrives.

        For answers that are larger than memory: no more than a few blocks of rows are held, unless
        an archive sends a kind of VOTable that only astropy can read.

        Parameters
        ----------
        adql, mode, maxrec, upload, form, timeout, progress
            As for `query`.
        path : Path or str
            File to write; until the answer is whole it has a name of its own that ends in
            ``.part``, and a file that is there already stays as it is.

        Returns
        -------
        TableFile
            ``read(columns=…)`` brings what is needed of it into memory.

        Raises
        ------
        QueryError, ArchiveError
            As `query`; or if the file cannot be written.

        Warns
        -----
        OverflowedWarning
            If rows are missing.
        """
        path = Path(path)
        if path.suffix in _OTHER_FORMATS:
            raise ArchiveError(
                f"{path.name} would be no {path.suffix[1:]} file",
                cause="answers are written as Parquet while they arrive",
                remedy=f"name it {path.stem}.parquet, or write what query() returns",
            )
        with self._explaining(adql), self._session.allowing(room(path)):
            if mode == "async":
                job = self.submit(adql, maxrec=maxrec, upload=upload, form=form)
                with self._session.within(timeout):
                    return job.download(path, timeout=timeout, progress=progress)
            asked, take = (maxrec, upload, form), partial(kept, path=path)
            file = self._asked(adql, take, *asked, timeout=timeout, progress=progress)
        warn_if_cut(file)
        return file

    def look(self, adql: str, *, rows: int = 50) -> Table:
        """Return the first rows of an answer, for a look at what a query brings.

        Parameters
        ----------
        adql : str
            As for `query`, whose errors it raises; nothing is said about rows that are missing.
        rows : int
            Most rows to return.
        """
        with self._explaining(adql):
            return self._asked(adql, answered, rows)

    def cone(
        self, table: str, *, position: Any, radius: Any, maxrec: int | None = None, **options: Any
    ) -> Table:
        """Return the rows of a table within a circle on the sky.

        Parameters
        ----------
        table : str
            With its schema; its columns of right ascension and declination are found by their UCDs.
        position : SkyCoord or str
            Centre, or the name of a target that the name resolver of CDS (Sesame) knows.
        radius : Quantity, angle
            Of the circle.
        maxrec : int, optional
            As for `query`.
        **options
            As for `jupyter_astroml.archives.compose.select`.

        Returns
        -------
        astropy.table.Table
            ``meta["astroml"]["adql"]`` is the query that was made.

        Raises
        ------
        QueryError, ArchiveError
            As `query`; or if the table has no position.
        """
        adql = self.compose(table, position=position, radius=radius, **options)
        return self.query(adql, maxrec=maxrec)

    def observations(self, *, maxrec: int | None = None, **options: Any) -> Table:
        """Return observations from the archive's ObsCore table.

        Parameters
        ----------
        maxrec : int, optional
            As for `query`.
        **options
            ``position``, ``radius``, ``band``, ``time``, ``product``, ``collection``, ``top``: see
            `jupyter_astroml.archives.compose.observations`.

        Returns
        -------
        astropy.table.Table
            `samples` takes it; ``meta["astroml"]["adql"]`` is the query that was made.
        """
        return self.query(observations(**options), maxrec=maxrec)

    def images(self, *, maxrec: int | None = None, timeout: float = 300.0, **options: Any) -> Table:
        """Return images from the archive's image service (SIA 2.0).

        Parameters
        ----------
        maxrec, timeout
            As for `query`.
        **options
            ``position``: a SkyCoord, or the name of a target; ``radius``: of a circle that the
            images must meet, else they must hold the position; ``band`` and ``time``: a value that
            they cover, or two for a range that they overlap; ``collection``.

        Returns
        -------
        astropy.table.Table
            In the columns of ObsCore; `samples` takes it.
            ``meta["astroml"]["parameters"]`` is what was asked.

        Raises
        ------
        QueryError
            If the archive refuses the question.
        ArchiveError
            If the archive has no such service, or does not answer.

        Warns
        -----
        OverflowedWarning
            If rows are missing.
        """
        table = self._simple("sia2", simple.images, maxrec=maxrec, timeout=timeout, **options)
        warn_if_cut(table)
        return table

    def spectra(
        self, *, maxrec: int | None = None, timeout: float = 300.0, **options: Any
    ) -> Table:
        """Return spectra from the archive's service of spectra (SSA 1.1).

        Parameters
        ----------
        maxrec, timeout
            As for `query`.
        **options
            ``position``, ``radius``, ``band`` and ``time`` as for `images`; without a radius the
            service takes what it finds near enough.

        Returns
        -------
        astropy.table.Table
            In the columns of ObsCore, with more of SSA; `samples` takes it.

        Raises
        ------
        QueryError, ArchiveError
            As `images`.

        Warns
        -----
        OverflowedWarning
            If rows are missing.
        """
        table = self._simple("ssa", simple.spectra, maxrec=maxrec, timeout=timeout, **options)
        warn_if_cut(table)
        return simple.in_obscore(table)

    def submit(
        self,
        adql: str,
        *,
        maxrec: int | None = None,
        upload: Mapping[str, Table] | None = None,
        form: Form = "",
    ) -> QueryJob:
        """Let the archive work at a query, and return at once.

        The job is remembered on disk before it starts.

        Parameters
        ----------
        adql, maxrec, upload, form
            As for `query`.

        Raises
        ------
        QueryError, ArchiveError
            If the archive does not take the job.
        """
        folder = self._jobs_folder()
        with self._session.released(), translated(self.name):
            job = self._service.submit_job(adql, **self._options(maxrec, upload, form))
            record = Record(
                archive=self.name,
                tap=self.url,
                adql=adql,
                url=job.url,
                created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            )
            made = QueryJob(record, folder=folder, name=uuid4().hex, session=self._session)
            made.write()
            job.run()
        return made

    def keep(self, table: Table, *, name: str) -> str:
        """Keep a table of yours on the archive, where the archive does that for its users.

        Parameters
        ----------
        table : astropy.table.Table
            Any rows, such as predictions.
        name : str
            ``schema.table`` in a schema of yours; for Gaia, which chooses the schema, the table.

        Returns
        -------
        str
            What queries call it.

        Raises
        ------
        ArchiveError
            If the archive refuses, or keeps no tables of users.
        DataError
            If the archive could not hold a column.
        """
        with self._session.released():
            called = usertables.keep(self._known, table, name=name, session=self._session)
        self._described = TapSchema(self._described_in)
        return called

    def drop(self, name: str) -> None:
        """Drop a table that was kept.

        Parameters
        ----------
        name : str
            As it was given to `keep`.

        Raises
        ------
        ArchiveError
            If the archive refuses, or there is no such table of yours.
        """
        with self._session.released():
            usertables.drop(self._known, name=name, session=self._session)
        self._described = TapSchema(self._described_in)

    def jobs(self) -> list[QueryJob]:
        """Return the jobs that were submitted to this archive from here, the newest first.

        Those of other processes too: after a kernel died, ``archive.jobs()[0].table()`` is the
        answer that it waited for.
        """
        return remembered(self._jobs_folder(), tap=self.url, session=self._session)

    def check(self, adql: str) -> list[Problem]:
        """Look for mistakes in a query before it is sent.

        Parameters
        ----------
        adql : str
            As for `query`.

        Returns
        -------
        list of Problem
            Syntax with its place, and tables and columns that do not exist with the nearest names;
            empty when nothing was found.
            The archive has the last word: it may know functions and tables that it does not list.
        """
        return check(
            adql,
            columns=self._described.columns,
            tables=lambda: self._described.table_names,
        )

    def compose(self, table: str, *, position: Any = None, **options: Any) -> str:
        """Write a query of one table, to be looked at before it is sent.

        Parameters
        ----------
        table : str
            With its schema.
        position : SkyCoord or str, optional
            Centre of a cone; the columns of right ascension and declination are found by UCDs.
        **options
            ``columns``, ``where``, ``radius``, ``order``, ``top``, and ``ra``, ``dec`` where the
            archive does not say which they are: see `jupyter_astroml.archives.compose.select`.

        Returns
        -------
        str
            ADQL.

        Examples
        --------
        >>> archive.compose("demo.galaxies", where=[("mag_r", "<", 17)], top=5)  # doctest: +SKIP
        """
        if position is not None and not {"ra", "dec"} <= set(options):
            options["ra"], options["dec"] = self._described.place_columns(table)
        return select(table, position=position, **options)

    def complete(self, adql: str, at: int) -> Completions:
        """Return what could be written at a place of an unfinished query.

        Parameters
        ----------
        adql : str
            As far as it is written.
        at : int
            Characters before the cursor.

        Returns
        -------
        Completions
            See `jupyter_astroml.archives.completion.complete`; the first call reads the schema.
        """
        return complete(adql, at, schemas=self.schema())

    def samples(self, rows: Table, **options: Any) -> References:
        """Turn rows into references to their data; nothing is fetched yet.

        See `jupyter_astroml.archives.rows.references` for the options.
        """
        return references(rows, **options)

    def schema(self) -> Schemas:
        """Return the schemas, tables and columns that TAP_SCHEMA lists.

        Raises
        ------
        ArchiveError
            If the archive does not answer.
        """
        return self._described.schemas

    def _described_in(self, adql: str) -> Table:
        """Ask TAP_SCHEMA, where a cut answer is better than none."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OverflowedWarning)
            return self.query(adql, maxrec=1_000_000)

    @cached_property
    def _service(self) -> TAPService:
        from pyvo.dal import TAPService

        if not self.url:
            raise ArchiveError(
                f"{self.title} has no TAP service", remedy="search with service='tap'"
            )
        return TAPService(self.url, session=self._session)

    @cached_property
    def _forms(self) -> list[str]:
        """Words by which this archive offers forms of answers."""
        with self._session.released():
            formats = getattr(capability(self._service), "outputformats", ())
        return [str(word) for each in formats for word in (each.mime, *each.aliases) if word]

    def limits(self) -> Limits:
        """Return how many rows an answer has, as the archive says in its capabilities.

        An answer that is cut says so: ``meta["astroml"]["overflow"]``.
        """
        with self._session.released():
            said = limits(self._service)
        return said if said.most else replace(said, most=self._known.rows)

    def _form(self, form: Form) -> str:
        """Return what this archive calls a form; by default BINARY2, or nothing without it."""
        for name in _FORMS[form or "binary2"]:
            for word in self._forms:
                if name in word.lower():
                    return word
        if form:
            raise QueryError(
                f"{self.title} does not offer {form!r}",
                cause=f"it names {', '.join(self._forms) or 'no forms at all'}",
                remedy="leave 'form' out",
            )
        return ""

    def _options(
        self, maxrec: int | None, upload: Mapping[str, Table] | None = None, form: Form = ""
    ) -> dict[str, Any]:
        """Return the options of a query in pyvo's words."""
        if maxrec is not None and maxrec < 1:
            raise QueryError(f"maxrec is {maxrec}", remedy="give a positive number of rows")
        for name in upload or ():
            if not _IDENTIFIER.fullmatch(name):
                raise QueryError(
                    f"A table cannot be uploaded as {name!r}",
                    remedy="use letters, digits and '_', a letter first",
                )
        word = self._form(form)
        asked = {"RESPONSEFORMAT": word} if word else {}
        sent = {name: fitted(table) for name, table in (upload or {}).items()}
        return {"maxrec": maxrec, "uploads": sent, **asked}

    def _asked(
        self,
        adql: str,
        take: Callable[..., T],
        *asked: Any,
        timeout: float = 300.0,
        progress: Callable[[str], None] | None = None,
    ) -> T:
        """Ask with `_options` of `asked`; return what `take` makes of it: a table or a file."""
        if progress:
            progress("EXECUTING")
        with self._within(timeout):
            question = self._service.create_query(adql, **self._options(*asked))
            answer = self._patiently(question.submit, timeout=timeout)
            about = self._about(adql=adql, job="")
            return take(answer, about=about, progress=rows_told(progress))

    def _simple(
        self, protocol: str, write: Callable[..., DALQuery], *, timeout: float, **options: Any
    ) -> Table:
        """Ask a service that takes parameters instead of ADQL."""
        with self._within(timeout):
            address = self._address(protocol)
            question = write(address, session=self._session, **options)
            answer = self._patiently(question.submit, timeout=timeout)
            about = self._about(service=address, parameters=simple.asked(question))
            return answered(answer, about=about)

    def _address(self, protocol: str) -> str:
        """Return where a simple protocol takes questions: as we were told, or beside TAP."""
        if protocol not in self._addresses:
            told = getattr(self._known, protocol)
            if told and protocol == "sia2":
                told = simple.image_address(told, session=self._session)
            elif not told and self.url:
                standard = simple.SIA2 if protocol == "sia2" else simple.SSA
                told = simple.offered(self._service.capabilities, standard)
            if not told:
                raise ArchiveError(
                    f"{self.title} names no service of {protocol.upper()}",
                    remedy=f"search for one, aml.find(service={protocol!r}, keywords=…), or use "
                    "archive.observations(…)",
                )
            self._addresses[protocol] = told
        return self._addresses[protocol]

    @contextmanager
    def _within(self, seconds: float) -> Iterator[None]:
        """Ask within a time limit, say errors in our words, and close what pyvo left open."""
        # pyvo's own calls take no time limit: it stands in the session.
        patience = (TIMEOUT[0], seconds)
        with self._session.within(seconds, patience=patience), translated(self.name):
            yield

    def _about(self, **more: Any) -> dict[str, Any]:
        """Return what an answer says of where it came from."""
        simulated = self.name == DEMO
        return {
            "archive": self.name,
            "url": self.url,
            "simulated": simulated,
            "mode": "sync",
            **more,
        }

    @contextmanager
    def _explaining(self, adql: str) -> Iterator[None]:
        """Add to an archive's refusal what we think was meant."""
        try:
            yield
        except QueryError as err:
            # What `check` asks itself is not looked through again.
            own = "tap_schema" in adql.lower() or not err.cause
            with suppress(ArchiveError, QueryError):
                found = [] if own else self.check(adql)
                if found:
                    err.remedy = "look at: " + "; ".join(map(str, found))
            raise

    @staticmethod
    def _patiently(ask: Callable[[], requests.Response], *, timeout: float) -> requests.Response:
        """Ask again while the archive says that it is busy, as long as there is time."""
        end = time.monotonic() + timeout
        for attempt in count():
            answer = ask()
            wait = pause(attempt, answer.headers.get("Retry-After"))
            if answer.status_code not in BUSY or attempt >= TRIES - 1:
                break
            if time.monotonic() + wait > end:
                break
            answer.close()
            time.sleep(wait)
        return answer

    def _jobs_folder(self) -> Path:
        return settings().cache_dir / "jobs"


def archive(
    name: str | Known, *, url: str = "", credential: Credential | None = None, ask: bool = False
) -> Archive:
    """Return the archive of this name.

    Parameters
    ----------
    name : str or Known
        A name of `jupyter_astroml.archives.known.archives`, the URL of any TAP service, or what a
        search of the registry found.
    url : str, optional
        Address of the service, for an archive that has no fixed one.
    credential, ask
        As for `jupyter_astroml.archives.login.login`.

    Raises
    ------
    ArchiveError
        If the name is unknown.
    """
    known = lookup(name) if isinstance(name, str) else name
    if url:
        known = replace(known, url=lookup(url).url)
    return Archive(known, login=login(known, credential=credential, ask=ask))
