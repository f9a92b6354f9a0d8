"""UWS 1.1: queries as jobs, with waiting, aborting, limits of time and an end of life."""

from __future__ import annotations

import asyncio
import concurrent.futures
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape

import tornado.web

from jupyter_astroml.core.errors import AstroMLError, QueryError

from . import tap, votable
from .engine import Cancel, Database
from .forms import FormEndpoint
from .uploads import Fetch
from .votable_reader import MAX_BYTES

DEFAULT_SECONDS = 600
MOST_SECONDS = 3_600
LIFE = timedelta(days=1)
MOST_LIFE = timedelta(days=7)
MOST_JOBS = 200
AT_ONCE = 2
MOST_WAIT = 60
_CLEAN_EVERY_SECONDS = 30
ACTIVE = ("PENDING", "QUEUED", "EXECUTING")
_PARAMETERS = ("REQUEST", "LANG", "QUERY", "MAXREC", "FORMAT", "RESPONSEFORMAT", "UPLOAD")
_NAMESPACES = (
    ' xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)


def stamp(moment: datetime) -> str:
    """Return a time as DALI 1.1 section 3.3.3 writes it, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Job:
    """A query that was handed in."""

    parameters: dict[str, str]
    run_id: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    phase: str = "PENDING"
    created: datetime = field(default_factory=_now)
    started: datetime | None = None
    ended: datetime | None = None
    destruction: datetime = field(default_factory=lambda: _now() + LIFE)
    seconds: int = DEFAULT_SECONDS
    error: str = ""
    media: str = ""
    # Files of the form, on disk: two hundred jobs may wait for days.
    inputs: dict[str, Path] = field(default_factory=dict)
    cancel: Cancel = field(default_factory=Cancel)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def enter(self, phase: str) -> None:
        """Change the phase and wake those who wait for that."""
        self.phase = phase
        self.changed.set()
        self.changed = asyncio.Event()


class Jobs:
    """All jobs of the archive; they live as long as it.

    Parameters
    ----------
    database : Database
    base : str
        Address of the archive.
    """

    def __init__(self, database: Database, *, base: str) -> None:
        self._database = database
        self._base = base
        self._jobs: dict[str, Job] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="astroml-jobs-"))
        self._pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE, thread_name_prefix="job")
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def __getitem__(self, key: str) -> Job:
        if key not in self._jobs:
            raise tornado.web.HTTPError(404, "No such job")
        return self._jobs[key]

    @property
    def busy(self) -> bool:
        """Whether a job waits or runs."""
        return any(j.phase in ("QUEUED", "EXECUTING") for j in self._jobs.values())

    def add(self, job: Job) -> None:
        """Keep a job, and drop the oldest that is done when there are too many."""
        self.clean()
        if len(self._jobs) >= MOST_JOBS:
            idle = [j for j in self._jobs.values() if j.phase not in ("QUEUED", "EXECUTING")]
            if not idle:
                raise QueryError("Too many jobs wait", remedy="delete some of them")
            self.remove(idle[0])
        self._jobs[job.id] = job

    def remove(self, job: Job) -> None:
        """Stop a job and forget it."""
        job.cancel.cancel()
        self._jobs.pop(job.id, None)
        self.result(job).unlink(missing_ok=True)
        self._forget_inputs(job)
        job.enter("ABORTED" if job.phase in ACTIVE else job.phase)

    def result(self, job: Job) -> Path:
        """Return where the result of a job is."""
        return self._folder / job.id

    def keep(self, job: Job, files: Mapping[str, bytes]) -> None:
        """Keep the files of a form until the job has run."""
        for name, body in files.items():
            path = job.inputs.setdefault(name, self._folder / f"{job.id}-{len(job.inputs)}")
            path.write_bytes(body)

    def _forget_inputs(self, job: Job) -> None:
        for path in job.inputs.values():
            path.unlink(missing_ok=True)

    def fetcher(self, files: Mapping[str, bytes | Path]) -> Fetch:
        """Return what gives the table behind an entry of UPLOAD.

        That is a file of the form, or the result of a job of this archive: no request is sent to
        anybody.
        """

        def fetch(place: str) -> bytes:
            kind, _, name = place.partition(":")
            if kind.lower() != "param":
                return self._own(place)
            found = files.get(name)
            if found is None:
                raise QueryError(f"UPLOAD names a part {name[:60]!r} that the form has not")
            return found.read_bytes() if isinstance(found, Path) else found

        return fetch

    def _own(self, url: str) -> bytes:
        key = url.removeprefix(f"{self._base}/tap/async/").removesuffix("/results/result")
        job = self._jobs.get(key)
        if job is None or job.phase != "COMPLETED" or url != self.address(job, "/results/result"):
            raise QueryError(
                f"UPLOAD names {url[:80]!r}",
                cause="only tables in the form and results of this archive's jobs are taken",
                remedy="send the table in the form, as param:name",
            )
        path = self.result(job)
        if not job.media.startswith(votable.MEDIA) or path.stat().st_size > MAX_BYTES:
            raise QueryError(f"The result of the job {key} is no VOTable, or too large")
        return path.read_bytes()

    def address(self, job: Job, part: str = "") -> str:
        """Return the address of a job or of a part of it."""
        return f"{self._base}/tap/async/{job.id}{part}"

    def clean(self) -> None:
        """Forget jobs whose end of life has come."""
        for job in list(self._jobs.values()):
            if job.destruction <= _now():
                self.remove(job)

    async def keep_clean(self) -> None:
        """Clean again and again."""
        while True:
            await asyncio.sleep(_CLEAN_EVERY_SECONDS)
            self.clean()

    def close(self) -> None:
        """Stop all jobs and delete their results."""
        for job in list(self._jobs.values()):
            job.cancel.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self, job: Job) -> None:
        """Queue a job that is pending."""
        job.enter("QUEUED")
        task = asyncio.get_running_loop().create_task(self._run(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def abort(self, job: Job) -> None:
        """Stop a job and keep its record."""
        job.cancel.cancel()
        job.ended = _now()
        job.enter("ABORTED")

    async def _run(self, job: Job) -> None:
        loop = asyncio.get_running_loop()

        def begin() -> None:
            if job.phase == "QUEUED":
                job.started = _now()
                job.enter("EXECUTING")

        def work() -> None:
            if job.cancel.asked:
                return
            loop.call_soon_threadsafe(begin)
            asked = tap.request(lambda name: job.parameters.get(name, ""))
            job.media, body = tap.perform(
                self._database,
                asked,
                fetch=self.fetcher(job.inputs),
                seconds=job.seconds,
                cancel=job.cancel,
            )
            self.result(job).write_bytes(body)

        try:
            await loop.run_in_executor(self._pool, work)
        except AstroMLError as err:
            self._end(job, "ERROR", str(err))
        except Exception:
            self._end(job, "ERROR", "The archive failed on this query; its log says more")
            raise
        else:
            self._end(job, "COMPLETED", "")
        finally:
            self._forget_inputs(job)

    def _end(self, job: Job, phase: str, error: str) -> None:
        if job.phase not in ("QUEUED", "EXECUTING"):
            # It was aborted or deleted meanwhile.
            self.result(job).unlink(missing_ok=True)
            return
        job.error = error
        job.started = job.started or _now()
        job.ended = _now()
        job.enter(phase)


class JobList(FormEndpoint):
    """The resource ``/tap/async``."""

    def get(self) -> None:
        """List the jobs, filtered as UWS 1.1 section 2.2.2.1 says."""
        phases = {p.upper() for p in self.every("PHASE")}
        last, after = self.one("LAST"), self.one("AFTER")
        found = [j for j in self.service.jobs if not phases or j.phase in phases]
        found.sort(key=lambda j: j.created, reverse=bool(last))
        if after:
            moment = _moment(after, name="AFTER")
            found = [j for j in found if j.created > moment]
        if last:
            found = found[: _whole(last, name="LAST", least=1)]
        listed = "".join(
            f'<uws:jobref id="{j.id}" xlink:type="simple" '
            f'xlink:href="{self.service.jobs.address(j)}">'
            f"<uws:phase>{j.phase}</uws:phase>"
            + (f"<uws:runId>{escape(j.run_id)}</uws:runId>" if j.run_id else "")
            + f"<uws:creationTime>{stamp(j.created)}</uws:creationTime></uws:jobref>"
            for j in found
        )
        self.xml(f'<uws:jobs version="1.1"{_NAMESPACES}>{listed}</uws:jobs>')

    def post(self) -> None:
        """Take a job in."""
        given = {name: self.parameter(name) for name in _PARAMETERS if self.every(name)}
        job = Job(given, run_id=_run_id(self.one("RUNID")))
        self.service.jobs.add(job)
        self.service.jobs.keep(job, self.files)
        if self.one("PHASE").upper() == "RUN":
            self.service.jobs.start(job)
        self.redirect(self.service.jobs.address(job), status=303)


class JobResource(FormEndpoint):
    """A job and what hangs on it: ``/tap/async/ID/...``."""

    async def get(self, key: str, part: str = "") -> None:
        """Answer with the job or a part of it."""
        job = self.service.jobs[key]
        if not part:
            await self._wait(job)
            self.xml(self._document(job))
        elif part in ("phase", "executionduration", "destruction", "quote", "owner"):
            self.text(
                {
                    "phase": job.phase,
                    "executionduration": job.seconds,
                    "destruction": stamp(job.destruction),
                }.get(part, "")
            )
        elif part == "parameters":
            self.xml(self._parameters(job, namespaces=_NAMESPACES))
        elif part == "results":
            self.xml(self._results(job, namespaces=_NAMESPACES))
        elif part == "results/result" and job.phase == "COMPLETED":
            body = await self.at_work(self.service.files, self.service.jobs.result(job).read_bytes)
            self.set_header("Content-Type", job.media)
            self.finish(body)
        elif part == "error" and job.error:
            self.set_header("Content-Type", votable.MEDIA)
            self.finish(votable.error(job.error))
        else:
            raise tornado.web.HTTPError(404, "The job has no such part")

    def post(self, key: str, part: str = "") -> None:
        """Change a job."""
        job = self.service.jobs[key]
        if self.one("ACTION").upper() == "DELETE":
            self.delete(key)
            return
        if part == "phase":
            self._change_phase(job, self.one("PHASE").upper())
        elif part == "destruction":
            wanted = _moment(self.one("DESTRUCTION"), name="DESTRUCTION")
            job.destruction = min(wanted, _now() + MOST_LIFE)
        elif part == "executionduration":
            seconds = _whole(self.one("EXECUTIONDURATION"), name="EXECUTIONDURATION", least=0)
            # UWS 1.1 section 2.1.1: 0 asks for no limit, which is ours.
            job.seconds = min(seconds or MOST_SECONDS, MOST_SECONDS)
        elif part in ("", "parameters"):
            if job.phase != "PENDING":
                raise tornado.web.HTTPError(403, "The job has been started")
            given = {n: self.parameter(n) for n in _PARAMETERS if self.every(n)}
            if "UPLOAD" in given and "UPLOAD" in job.parameters:
                # One more table, and not another one instead.
                given["UPLOAD"] = f"{job.parameters['UPLOAD']};{given['UPLOAD']}"
            job.parameters.update(given)
            self.service.jobs.keep(job, self.files)
            if self.every("RUNID"):
                job.run_id = _run_id(self.one("RUNID"))
            if self.one("PHASE"):
                self._change_phase(job, self.one("PHASE").upper())
        else:
            raise tornado.web.HTTPError(404, "The job has no such part")
        self.redirect(self.service.jobs.address(job), status=303)

    def delete(self, key: str, part: str = "") -> None:
        """Forget a job."""
        if part:
            raise tornado.web.HTTPError(405)
        self.service.jobs.remove(self.service.jobs[key])
        self.redirect(f"{self.service.base}/tap/async", status=303)

    def _change_phase(self, job: Job, wanted: str) -> None:
        if wanted == "RUN":
            if job.phase == "PENDING":
                self.service.jobs.start(job)
        elif wanted == "ABORT":
            if job.phase in ACTIVE:
                self.service.jobs.abort(job)
        else:
            raise QueryError(f"PHASE is {wanted[:40]!r}", remedy="send RUN or ABORT")

    async def _wait(self, job: Job) -> None:
        """Block until the phase changes, as WAIT of UWS 1.1 section 2.2.1.1 asks."""
        given, phase = self.one("WAIT"), self.one("PHASE").upper()
        if not given or job.phase not in ACTIVE or (phase and phase != job.phase):
            return
        asked = MOST_WAIT if given == "-1" else _whole(given, name="WAIT", least=0)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(asked, MOST_WAIT)
        before = job.phase
        while job.phase == before and (left := deadline - loop.time()) > 0:
            try:
                await asyncio.wait_for(job.changed.wait(), left)
            except TimeoutError:
                return

    def _parameters(self, job: Job, *, namespaces: str = "") -> str:
        listed = "".join(
            f'<uws:parameter id="{name.lower()}">{votable.text(value)}</uws:parameter>'
            for name, value in job.parameters.items()
        )
        return f"<uws:parameters{namespaces}>{listed}</uws:parameters>"

    def _results(self, job: Job, *, namespaces: str = "") -> str:
        listed = ""
        if job.phase == "COMPLETED":
            listed = (
                '<uws:result id="result" xlink:type="simple" '
                f'xlink:href="{self.service.jobs.address(job, "/results/result")}"/>'
            )
        return f"<uws:results{namespaces}>{listed}</uws:results>"

    def _document(self, job: Job) -> str:
        def moment(name: str, value: datetime | None) -> str:
            if value is None:
                return f'<uws:{name} xsi:nil="true"/>'
            return f"<uws:{name}>{stamp(value)}</uws:{name}>"

        failed = (
            '<uws:errorSummary type="fatal" hasDetail="true">'
            f"<uws:message>{votable.text(job.error)}</uws:message></uws:errorSummary>"
        )
        return (
            f'<uws:job version="1.1"{_NAMESPACES}><uws:jobId>{job.id}</uws:jobId>'
            + (f"<uws:runId>{votable.text(job.run_id)}</uws:runId>" if job.run_id else "")
            + '<uws:ownerId xsi:nil="true"/>'
            + f"<uws:phase>{job.phase}</uws:phase>"
            + '<uws:quote xsi:nil="true"/>'
            + moment("creationTime", job.created)
            + moment("startTime", job.started)
            + moment("endTime", job.ended)
            + f"<uws:executionDuration>{job.seconds}</uws:executionDuration>"
            + moment("destruction", job.destruction)
            + self._parameters(job)
            + self._results(job)
            + (failed if job.error else "")
            + "</uws:job>"
        )


def _run_id(text: str) -> str:
    if len(text) > 64:
        raise QueryError("RUNID is longer than 64 characters")
    return text


def _whole(text: str, *, name: str, least: int) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least:
        return int(text)
    raise QueryError(f"{name} is {text[:40]!r}", remedy=f"give a whole number from {least}")


def _moment(text: str, *, name: str) -> datetime:
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as err:
        raise QueryError(
            f"{name} is {text[:40]!r}", remedy="give a UTC time like 2026-01-31T12:00:00Z"
        ) from err
    return found if found.tzinfo else found.replace(tzinfo=UTC)
