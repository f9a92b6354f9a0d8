"""Jobs and chunks on disk: a pool that is killed knows afterwards what it had promised.

An SQLite file says what there is; the numbers themselves are plain files beside it, so that no
memory is held for what waits.  Files are written under another name and renamed, and only then
noted: what the journal names is complete.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any
from uuid import uuid4

import numpy as np

from jupyter_astroml.core.errors import SettingsError
from jupyter_astroml.core.jobs import Answer
from jupyter_astroml.pool.work import Kind, Spooled

_VERSION = 1
_SCHEMA = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, user TEXT NOT NULL, client TEXT NOT NULL,
    model TEXT NOT NULL, digest TEXT NOT NULL, operation TEXT NOT NULL,
    exact INTEGER NOT NULL, chunks INTEGER NOT NULL, created REAL NOT NULL,
    UNIQUE (user, client)
);
CREATE TABLE chunks (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL, sha256 TEXT NOT NULL, shape TEXT NOT NULL,
    state TEXT NOT NULL, output TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '',
    bytes INTEGER NOT NULL,
    PRIMARY KEY (job, number)
);
"""
# Seconds to wait for a pool that is about to stop.
_PATIENCE = 5.0
QUEUED, ANSWERED, FAILED = "queued", "done", "failed"
# A chunk counts for so many bytes at least: rows and files are not for nothing.
LEAST_BYTES = 65_536
_JOB_FOLDER = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Job:
    """Chunks of one user that are computed in the same way.

    Attributes
    ----------
    id, user : str
    client : str
        Name that the user's client gave it: asking twice makes one job.
    model, digest, operation, exact
        As in `Kind`.
    chunks : int
        How many there will be.
    created : float
        Seconds since 1970.
    """

    id: str
    user: str
    client: str
    model: str
    digest: str
    operation: str
    exact: bool
    chunks: int
    created: float

    def kind(self, shape: tuple[int, ...]) -> Kind:
        """Return the kind of work for objects of this shape."""
        return Kind(self.model, self.digest, self.operation, shape, self.exact)


@dataclass(frozen=True)
class Chunk:
    """Some objects of a job.

    Attributes
    ----------
    job : str
    number : int
    sha256 : str
        Of the bytes that were sent.
    shape : tuple of int
        Of the values, the number of objects first.
    state : str
        ``queued``, ``done`` or ``failed``.
    output : tuple of int
        Shape of the outputs, once done.
    error : str
        What the user is told, if it failed.
    bytes : int
        On disk.
    """

    job: str
    number: int
    sha256: str
    shape: tuple[int, ...]
    state: str
    output: tuple[int, ...]
    error: str
    bytes: int


class Journal:
    """The spool folder.

    Parameters
    ----------
    folder : Path
        Made if it is not there, for its owner only.
    clock : callable
        Seconds since 1970.

    Raises
    ------
    SettingsError
        If the folder cannot be used, was written by another version, or is another pool's: two
        would do all that waits twice.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        from filelock import FileLock, Timeout

        self._folder = folder
        self._clock = clock
        self._lock = FileLock(folder / "lock", timeout=_PATIENCE)
        # Of a large job thousands of files are removed, while requests go on.
        self._removing = ThreadPoolExecutor(1, thread_name_prefix="astroml-spool")
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
            self._lock.acquire()
            self._db = sqlite3.connect(folder / "journal.sqlite", isolation_level=None)
            self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._prepare()
            self._sweep()
        except Timeout as err:
            raise SettingsError(
                f"Another pool keeps its jobs in {folder}",
                remedy="stop that one, or name another folder in 'spool'",
            ) from err
        except (OSError, sqlite3.Error) as err:
            raise SettingsError(
                f"The pool cannot keep its jobs in {folder}",
                cause=str(err),
                remedy="give 'spool' a folder of the pool's own, on a local disk",
            ) from err

    def _prepare(self) -> None:
        (found,) = self._db.execute("PRAGMA user_version").fetchone()
        if found == 0:
            self._db.executescript(f"{_SCHEMA} PRAGMA user_version = {_VERSION};")
        elif found != _VERSION:
            raise SettingsError(
                f"The journal in {self._folder} was written by another version of the pool",
                remedy="let that version finish its jobs, or name another folder",
            )
        self._owners = dict(self._db.execute("SELECT id, user FROM jobs"))
        self._bytes: Counter[tuple[str, str]] = Counter()
        for user in set(self._owners.values()):
            self._count(user)

    def _sweep(self) -> None:
        """Remove files that a pool left which was killed: what is not noted is not complete."""
        for folder in self._folder.iterdir():
            if not _JOB_FOLDER.fullmatch(folder.name):
                continue
            if folder.name not in self._owners:
                rmtree(folder, ignore_errors=True)
                continue
            rows = self._db.execute(
                "SELECT number, state FROM chunks WHERE job = ?", (folder.name,)
            )
            ends = {QUEUED: "in", ANSWERED: "out"}
            noted = {f"{number}.{ends[state]}" for number, state in rows if state in ends}
            for path in folder.iterdir():
                if path.name not in noted:
                    path.unlink()

    def _count(self, user: str) -> None:
        """Add up anew what a user has here."""
        for state in (QUEUED, ANSWERED, FAILED):
            self._bytes.pop((user, state), None)
        rows = self._db.execute(
            "SELECT state, sum(max(bytes, ?)) FROM chunks JOIN jobs ON jobs.id = job "
            "WHERE user = ? GROUP BY state",
            (LEAST_BYTES, user),
        )
        self._bytes.update({(user, state): size for state, size in rows})

    def _moved(self, chunk: Chunk, state: str, size: int) -> None:
        """Count a chunk in its new state."""
        user = self._owners.get(chunk.job, "")
        self._bytes[user, chunk.state] -= max(chunk.bytes, LEAST_BYTES)
        self._bytes[user, state] += max(size, LEAST_BYTES)

    def close(self) -> None:
        """Close the file, and let another pool have the folder."""
        self._removing.shutdown()
        self._db.close()
        self._lock.release()

    # Jobs -------------------------------------------------------------------------------------

    def create(
        self,
        user: str,
        client: str,
        *,
        model: str,
        digest: str,
        operation: str,
        exact: bool,
        chunks: int,
    ) -> Job:
        """Return the job of this user and client name, made if it is not there."""
        known = self._one("user = ? AND client = ?", user, client)
        if known is not None:
            return known
        made = Job(
            uuid4().hex, user, client, model, digest, operation, exact, chunks, self._clock()
        )
        (self._folder / made.id).mkdir(mode=0o700)
        self._db.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(made))
        self._owners[made.id] = user
        return made

    def job(self, name: str, *, user: str) -> Job | None:
        """Return a job of this user."""
        return self._one("id = ? AND user = ?", name, user)

    def jobs(self, user: str | None = None) -> list[Job]:
        """Return the jobs of a user, or all; the oldest first."""
        where, values = ("WHERE user = ?", (user,)) if user is not None else ("", ())
        rows = self._db.execute(f"{_JOBS} {where} ORDER BY created", values)
        return [_job(row) for row in rows]

    def delete(self, job: Job) -> None:
        """Forget a job, its chunks and its results."""
        try:
            self._db.execute("DELETE FROM jobs WHERE id = ?", (job.id,))
        except sqlite3.OperationalError:
            # On a full disk not even this can be written down, before the files are gone.
            rmtree(self._folder / job.id, ignore_errors=True)
            self._db.execute("DELETE FROM jobs WHERE id = ?", (job.id,))
        self._owners.pop(job.id, None)
        self._count(job.user)
        self._removing.submit(rmtree, self._folder / job.id, ignore_errors=True)

    def touched(self, job: Job) -> float:
        """Return when a chunk of the job last came, was answered or was released; since 1970."""
        with suppress(OSError):
            return max(job.created, (self._folder / job.id).stat().st_mtime)
        return job.created

    # Chunks -----------------------------------------------------------------------------------

    @contextmanager
    def receiving(self, job: Job, number: int) -> Iterator[Path]:
        """Give a file to write the bytes of a chunk to; it is away afterwards unless noted."""
        path = self._folder / job.id / f"{number}-{uuid4().hex}.part"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def add(
        self, job: Job, number: int, *, sha256: str, shape: tuple[int, ...], file: Path
    ) -> Chunk:
        """Note a chunk whose bytes have all arrived."""
        size = file.stat().st_size
        kept = file.rename(self._input(job.id, number))
        try:
            self._db.execute(
                "INSERT INTO chunks (job, number, sha256, shape, state, bytes) "
                "VALUES (?,?,?,?,?,?)",
                (job.id, number, sha256, _text(shape), QUEUED, size),
            )
        except sqlite3.Error:
            kept.unlink(missing_ok=True)
            raise
        self._bytes[job.user, QUEUED] += max(size, LEAST_BYTES)
        return Chunk(job.id, number, sha256, shape, QUEUED, (), "", size)

    def chunk(self, job: Job, number: int) -> Chunk | None:
        """Return what is known of a chunk."""
        row = self._db.execute(
            f"{_CHUNKS} WHERE job = ? AND number = ?",
            (job.id, number),
        ).fetchone()
        return _chunk(row) if row else None

    def chunks(self, job: Job, *, state: str | None = None) -> list[Chunk]:
        """Return the chunks of a job that have arrived, in order."""
        rows = self._db.execute(
            f"{_CHUNKS} WHERE job = ? ORDER BY number",
            (job.id,),
        )
        return [chunk for chunk in map(_chunk, rows) if state in (None, chunk.state)]

    def tally(self, job: Job) -> dict[str, int]:
        """Return the number of chunks in each state."""
        rows = self._db.execute(
            "SELECT state, count(*) FROM chunks WHERE job = ? GROUP BY state", (job.id,)
        )
        return {QUEUED: 0, ANSWERED: 0, FAILED: 0} | dict(rows.fetchall())

    def values(self, chunk: Chunk) -> Spooled:
        """Return the values of a chunk, which are read when they are needed."""
        return Spooled(self._input(chunk.job, chunk.number), chunk.shape)

    def keep(self, chunk: Chunk, answer: Answer) -> None:
        """Write the answer of a chunk; its values are not needed any more."""
        path = self._result(chunk.job, chunk.number)
        if not path.parent.is_dir():
            # The job was deleted in the meantime.
            return
        part = path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                file.write(np.ascontiguousarray(answer.outputs, dtype="<f4").data)
                file.write(answer.status.tobytes())
                size = file.tell()
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)
        changed = self._db.execute(
            "UPDATE chunks SET state = ?, output = ?, bytes = ? "
            "WHERE job = ? AND number = ? AND state = ?",
            (ANSWERED, _text(answer.outputs.shape), size, chunk.job, chunk.number, QUEUED),
        )
        if changed.rowcount:
            self._moved(chunk, ANSWERED, size)
        else:
            path.unlink()
        self._input(chunk.job, chunk.number).unlink(missing_ok=True)

    def fail(self, chunk: Chunk, error: str) -> None:
        """Note why a chunk has no answer."""
        changed = self._db.execute(
            "UPDATE chunks SET state = ?, error = ?, bytes = 0 "
            "WHERE job = ? AND number = ? AND state = ?",
            (FAILED, error, chunk.job, chunk.number, QUEUED),
        )
        if changed.rowcount:
            self._moved(chunk, FAILED, 0)
        self._input(chunk.job, chunk.number).unlink(missing_ok=True)

    def release(self, job: Job, number: int) -> None:
        """Forget a chunk."""
        known = self.chunk(job, number)
        if known is None:
            return
        # Files first: on a full disk nothing else can be written down.
        self._input(job.id, number).unlink(missing_ok=True)
        self._result(job.id, number).unlink(missing_ok=True)
        self._db.execute("DELETE FROM chunks WHERE job = ? AND number = ?", (job.id, number))
        self._bytes[job.user, known.state] -= max(known.bytes, LEAST_BYTES)

    def result(self, chunk: Chunk) -> Path:
        """Return the file of a chunk's answer: outputs, then one status byte an object."""
        return self._result(chunk.job, chunk.number)

    def bytes(self, user: str | None = None, *, state: str | None = None) -> int:
        """Return the bytes on disk of a user, or of all, in a state or in any.

        No chunk counts for less than `LEAST_BYTES`, also one that failed.
        """
        if user is None:
            return sum(self._bytes.values())
        states = (state,) if state else (QUEUED, ANSWERED, FAILED)
        return sum(self._bytes[user, each] for each in states)

    def _one(self, where: str, *values: Any) -> Job | None:
        row = self._db.execute(f"{_JOBS} WHERE {where}", values).fetchone()
        return _job(row) if row else None

    def _input(self, job: str, number: int) -> Path:
        return self._folder / job / f"{number}.in"

    def _result(self, job: str, number: int) -> Path:
        return self._folder / job / f"{number}.out"


_JOBS = "SELECT id, user, client, model, digest, operation, exact, chunks, created FROM jobs"
_CHUNKS = "SELECT job, number, sha256, shape, state, output, error, bytes FROM chunks"


def _job(row: tuple[Any, ...]) -> Job:
    name, user, client, model, digest, operation, exact, chunks, created = row
    return Job(name, user, client, model, digest, operation, bool(exact), chunks, created)


def _chunk(row: tuple[Any, ...]) -> Chunk:
    job, number, sha256, shape, state, output, error, size = row
    return Chunk(job, number, sha256, _shape(shape), state, _shape(output), error, size)


def _text(shape: tuple[int, ...]) -> str:
    return ",".join(map(str, shape))


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",")) if text else ()
