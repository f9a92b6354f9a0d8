"""What users ask the pool to do, kept in the journal and handed to the dispatcher."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from jupyter_astroml.core.errors import as_cause
from jupyter_astroml.core.jobs import Answer
from jupyter_astroml.pool.audit import Audit
from jupyter_astroml.pool.auth import User
from jupyter_astroml.pool.dispatch import Dispatcher
from jupyter_astroml.pool.errors import PoolError
from jupyter_astroml.pool.journal import LEAST_BYTES, QUEUED, Chunk, Job, Journal
from jupyter_astroml.pool.offers import Offer, Offers
from jupyter_astroml.pool.policy import Limits, Policy
from jupyter_astroml.pool.runner import OPERATIONS
from jupyter_astroml.pool.work import Kind, Request

MOST_CHUNKS = 10**9
# What is answered in the request itself, without the journal.
SMALL_OBJECTS = 256
_HOUR = 3600.0
# Of one user, with those that are done or empty.
_MOST_JOBS = 100

log = logging.getLogger(__name__)


class Jobs:
    """Jobs of all users.

    Parameters
    ----------
    journal : Journal
    dispatcher : Dispatcher
    offers : Offers
    policy : Policy
    audit : Audit
    """

    def __init__(
        self,
        journal: Journal,
        dispatcher: Dispatcher,
        offers: Offers,
        policy: Policy,
        audit: Audit,
    ) -> None:
        self._journal = journal
        self._audit = audit
        self._dispatcher = dispatcher
        self._offers = offers
        self._policy = policy
        self._requests: dict[tuple[str, int], Request] = {}
        # Bytes of each user that are on their way, or wait outside the journal.
        self._flying: dict[str, int] = {}
        self._users: dict[str, User] = {}
        # Chunks in work of each job, by its user.
        self._working: dict[str, Counter[str]] = defaultdict(Counter)
        # Requests of each user that are being answered.
        self._asking: Counter[str] = Counter()
        self.draining = False

    @property
    def workers(self) -> int:
        """How many workers there are now."""
        return len(self._dispatcher.slots)

    def waits(self, user: User) -> float:
        """Return the seconds until what this user waits for is done, and the others' turns."""
        return self._dispatcher.seconds_until(user.name)

    @property
    def ready(self) -> bool:
        """Whether work is taken and there are workers for it."""
        return bool(self._dispatcher.slots) and not self.draining

    @property
    def idle(self) -> bool:
        """Whether nothing is in work."""
        return self._dispatcher.idle

    def offered(self) -> list[dict[str, Any]]:
        """Return what users have to know of the models."""
        return [offer.to_json() for offer in self._offers.values()]

    def offer(self, asked: dict[str, Any]) -> Offer:
        """Return the model that a request names.

        Raises
        ------
        PoolError
        """
        return self._offers.named(str(asked.get("model", "")), str(asked.get("digest", "")))

    @contextmanager
    def asking(self, user: User) -> Iterator[None]:
        """Count a request while it is answered, so that one user leaves connections to the others.

        The user's groups are remembered, which decide on the share of what waits.

        Raises
        ------
        PoolError
        """
        self._users[user.name] = user
        limit = self.limits(user).requests
        if self._asking[user.name] >= limit:
            raise _full(f"{limit} of your requests are being answered", "ask for less at once")
        self._asking[user.name] += 1
        try:
            yield
        finally:
            self._asking[user.name] -= 1
            if not self._asking[user.name]:
                del self._asking[user.name]

    def share(self, name: str) -> float:
        """Return a user's worker time relative to others."""
        user = self._users.get(name)
        return self._policy.share(user.groups if user else ())

    def most_crashes(self, name: str) -> int:
        """Return how many workers a user's inputs may crash in ten minutes."""
        return self.limits(self._users.get(name) or User(name)).crashes

    def used(self, user: User) -> dict[str, Any]:
        """Return what a user has of each limit."""
        return {
            "queued_bytes": self._journal.bytes(user.name, state=QUEUED),
            "kept_bytes": self._journal.bytes(user.name),
            "running_jobs": len(self._working.get(user.name, ())),
            "requests": self._asking[user.name],
            "crashes": self._dispatcher.strikes.count(user.name),
        }

    # Jobs -------------------------------------------------------------------------------------

    def create(self, user: User, asked: dict[str, Any]) -> Job:
        """Make a job, or return the one that this client made before under the same name.

        Raises
        ------
        PoolError
            If the request makes no sense, or the user has too many jobs.  How many may have work
            at the same time is looked at when their chunks come.
        """
        self._open()
        client = str(asked.get("client_id") or "")
        if not client or len(client) > 200 or not client.isprintable():
            raise _bad("client_id", "a line of at most 200 characters that is new for each job")
        kind = self._kind(asked)
        chunks = asked.get("chunks")
        if not isinstance(chunks, int) or isinstance(chunks, bool) or not 0 < chunks <= MOST_CHUNKS:
            raise _bad("chunks", f"a number from 1 to {MOST_CHUNKS}")
        mine = self._journal.jobs(user.name)
        if len(mine) >= _MOST_JOBS and not any(job.client == client for job in mine):
            raise _full(f"{len(mine)} jobs of yours are kept here", "delete some")
        job = self._journal.create(
            user.name,
            client,
            model=kind.model,
            digest=kind.digest,
            operation=kind.operation,
            exact=kind.exact,
            chunks=chunks,
        )
        self._audit.note(user.name, "job", job=job.id, model=job.model, digest=job.digest)
        return job

    def mine(self, user: User, name: str) -> Job:
        """Return a job of this user.

        Raises
        ------
        PoolError
            404, also for the job of somebody else: whether that exists is nobody's business.
        """
        job = self._journal.job(name, user=user.name)
        if job is None:
            raise _no_job()
        return job

    def all_mine(self, user: User) -> list[dict[str, Any]]:
        """Return the state of every job of this user, the oldest first."""
        return [self.state(job) for job in self._journal.jobs(user.name)]

    def state(self, job: Job) -> dict[str, Any]:
        """Return how far a job is."""
        tally = self._journal.tally(job)
        waits = bool(tally[QUEUED])
        ahead = self._dispatcher.waiting if waits else {}
        return {
            "job": job.id,
            "client_id": job.client,
            "model": job.model,
            "digest": job.digest,
            "operation": job.operation,
            "chunks": job.chunks,
            "arrived": sum(tally.values()),
            **tally,
            "users_waiting": len(set(ahead) | {job.user}) if waits else 0,
            "eta_s": round(self._dispatcher.seconds_until(job.user), 1) if waits else 0.0,
            "expires": self._journal.touched(job) + self._kept_seconds(job.user),
        }

    def delete(self, job: Job) -> None:
        """Cancel what is not done, and forget the rest."""
        for key in [key for key in self._requests if key[0] == job.id]:
            self._requests.pop(key).answer.cancel()
        self._journal.delete(job)
        self._audit.note(job.user, "deleted", job=job.id)

    def expire(self) -> None:
        """Forget the jobs whose time is over."""
        for job in self._journal.jobs():
            if self._journal.touched(job) + self._kept_seconds(job.user) < time.time():
                self.delete(job)

    def _kept_seconds(self, name: str) -> float:
        user = self._users.get(name)
        if user is None:
            # After a restart nobody's groups are known: nothing is thrown away too early.
            return _HOUR * self._policy.longest_kept_hours
        return _HOUR * self.limits(user).kept_hours

    def recover(self) -> int:
        """Hand what waited when the pool went down to the dispatcher again."""
        found = 0
        for job in self._journal.jobs():
            for chunk in self._journal.chunks(job, state=QUEUED):
                self._submit(job, chunk)
                found += 1
        return found

    # Chunks -----------------------------------------------------------------------------------

    def room(self, user: User, job: Job | None, number: int, size: int) -> None:
        """Refuse a chunk before its bytes are taken.

        Raises
        ------
        PoolError
        """
        self._open()
        limits = self.limits(user)
        most = min(limits.chunk_bytes, limits.queued_bytes, limits.kept_bytes)
        if size > most:
            raise PoolError(
                413,
                "size",
                f"A request may have at most {most} bytes",
                cause=f"this one has {size}",
                remedy="send fewer objects at once",
            )
        self._dispatcher.strikes.check(user.name)
        if job is None:
            return
        if not 0 <= number < job.chunks:
            raise _bad("chunk", f"a number below {job.chunks}, which the job was made for")
        running = self._working.get(user.name, ())
        if job.id not in running and len(running) >= limits.running_jobs:
            raise _full(
                f"{limits.running_jobs} of your jobs are running", "wait for one, or delete it"
            )
        size = max(size, LEAST_BYTES)
        flying = self._flying.get(user.name, 0)
        if self._journal.bytes(user.name, state=QUEUED) + flying + size > limits.queued_bytes:
            raise _full(f"{limits.queued_bytes} bytes of yours wait", "send the rest later")
        if self._journal.bytes(user.name) + flying + size > limits.kept_bytes:
            raise _full(
                f"{limits.kept_bytes} bytes of your results are kept here",
                "fetch results, and delete jobs that you do not need",
            )
        if self._journal.bytes() + sum(self._flying.values()) + size > self._policy.spool_bytes:
            raise _full("the pool's disk is full", "send the rest later")

    def has(self, job: Job, number: int) -> bool:
        """Tell whether a chunk has arrived."""
        return self._journal.chunk(job, number) is not None

    @contextmanager
    def receiving(self, user: User, job: Job, number: int, size: int) -> Iterator[Path]:
        """Give a file for the bytes of a chunk, which count for the user from now on.

        Raises
        ------
        PoolError
            Also if the job is deleted meanwhile, or the disk is full.
        """
        # From its first byte on the job runs: else many could begin at the same time.
        self._working[user.name][job.id] += 1
        try:
            with self.counted(user, size), self._journal.receiving(job, number) as path:
                yield path
        except (FileNotFoundError, sqlite3.IntegrityError) as err:
            raise _no_job() from err
        except (OSError, sqlite3.Error) as err:
            raise no_room(err) from err
        finally:
            self._finished(user.name, job.id)

    def receive(
        self, job: Job, number: int, *, shape: tuple[int, ...], sha256: str, file: Path
    ) -> bool:
        """Take in a chunk whose bytes have arrived; tell whether it is new.

        Raises
        ------
        PoolError
            409 if other bytes came under this number before.
        """
        known = self._journal.chunk(job, number)
        if known is not None:
            if (known.sha256, known.shape) != (sha256, shape):
                raise PoolError(
                    409,
                    "chunk",
                    f"Chunk {number} is here already, with other bytes",
                    remedy="make a job of its own for other data",
                )
            return False
        self._submit(job, self._journal.add(job, number, sha256=sha256, shape=shape, file=file))
        return True

    async def result(self, job: Job, number: int, *, wait: float) -> Chunk:
        """Return a chunk, after waiting for its answer for some seconds.

        Raises
        ------
        PoolError
            404 before it was sent.
        """
        request = self._requests.get((job.id, number)) or self._resubmitted(job, number)
        if request is not None and wait > 0:
            await asyncio.wait({request.answer}, timeout=wait)
            # The answer is written by a callback of the same future.
            await asyncio.sleep(0)
        chunk = self._journal.chunk(job, number)
        if chunk is None:
            raise PoolError(404, "chunk", f"Chunk {number} is not here", remedy="send it first")
        return chunk

    def _resubmitted(self, job: Job, number: int) -> Request | None:
        """Hand in again what waits in the journal only: its answer could not be written."""
        chunk = self._journal.chunk(job, number)
        if chunk is None or chunk.state != QUEUED or self.draining:
            return None
        self._submit(job, chunk)
        return self._requests.get((job.id, number))

    def file(self, chunk: Chunk) -> Path:
        """Return the file of a chunk's answer."""
        return self._journal.result(chunk)

    def release(self, job: Job, number: int) -> None:
        """Forget a chunk whose answer was fetched, or is not wanted any more."""
        request = self._requests.pop((job.id, number), None)
        if request is not None:
            request.answer.cancel()
        self._journal.release(job, number)

    def check(self, job: Job, shape: tuple[int, ...]) -> None:
        """Refuse a shape that the job's model cannot take."""
        self._offers.named(job.model, job.digest).check(shape)

    # Small requests ---------------------------------------------------------------------------

    async def infer(self, user: User, asked: dict[str, Any], values: np.ndarray) -> Answer:
        """Answer a few objects at once, without a trace in the journal; their bytes are `counted`.

        Raises
        ------
        PoolError
        """
        self._open()
        kind = self._kind(asked, shape=values.shape[1:])
        self._offers.named(kind.model, kind.digest).check(values.shape)
        if len(values) > SMALL_OBJECTS:
            raise PoolError(
                413, "size", f"At most {SMALL_OBJECTS} objects at once", remedy="make a job"
            )
        request = self._dispatcher.submit(user.name, kind, values)
        try:
            answer = await request.answer
        finally:
            request.answer.cancel()
        self._note(user.name, kind, answer)
        return answer

    @contextmanager
    def counted(self, user: User, size: int) -> Iterator[None]:
        """Count bytes that are about to come, and refuse them if there are too many.

        Raises
        ------
        PoolError
        """
        limit, before = self.limits(user).queued_bytes, self._flying.get(user.name, 0)
        if before + size > limit:
            raise _full(f"{limit} bytes of yours wait", "wait for their answers")
        self._flying[user.name] = before + size
        try:
            yield
        finally:
            self._flying[user.name] -= size
            if not self._flying[user.name]:
                del self._flying[user.name]

    def limits(self, user: User) -> Limits:
        """Return what this user may ask for."""
        return self._policy.limits_of(user.groups)

    def _kind(self, asked: dict[str, Any], shape: tuple[int, ...] = ()) -> Kind:
        operation = str(asked.get("operation") or "logits")
        if operation not in OPERATIONS:
            raise _bad("operation", f"one of {', '.join(OPERATIONS)}")
        offer = self.offer(asked)
        exact = asked.get("exact") in (True, 1, "1", "true")
        return Kind(offer.entry.name, offer.digest, operation, shape, exact)

    def _submit(self, job: Job, chunk: Chunk) -> None:
        kind = job.kind(chunk.shape[1:])
        try:
            request = self._dispatcher.submit(job.user, kind, self._journal.values(chunk))
        except PoolError as err:
            self._journal.fail(chunk, as_cause(err))
            return
        key = (job.id, chunk.number)
        self._requests[key] = request
        self._working[job.user][job.id] += 1
        request.answer.add_done_callback(lambda _: self._answered(key, chunk, request))

    def _answered(self, key: tuple[str, int], chunk: Chunk, request: Request) -> None:
        if self._requests.get(key) is request:
            del self._requests[key]
        self._finished(request.user, chunk.job)
        if request.answer.cancelled():
            return
        try:
            self._write(chunk, request)
        except (OSError, sqlite3.Error):
            # It still waits in the journal, and is tried again when somebody asks for it.
            log.exception("the answer of chunk %d of job %s is not kept", chunk.number, chunk.job)

    def _write(self, chunk: Chunk, request: Request) -> None:
        """Put an answer into the journal, or why there is none."""
        err = request.answer.exception()
        if err is None:
            answer = request.answer.result()
            try:
                self._journal.keep(chunk, answer)
            except OSError as why:
                err = PoolError(507, "disk", "The pool has no room for the answer", cause=str(why))
            else:
                self._note(request.user, request.kind, answer, job=chunk.job)
                return
        self._journal.fail(chunk, as_cause(err))
        self._audit.note(request.user, "failed", job=chunk.job, why=as_cause(err))

    def _finished(self, user: str, job: str) -> None:
        """Count one chunk in work less."""
        working = self._working[user]
        working[job] -= 1
        if not working[job]:
            del working[job]
        if not working:
            del self._working[user]

    def _note(self, user: str, kind: Kind, answer: Answer, **facts: Any) -> None:
        objects, bad = len(answer.status), int((answer.status != 0).sum())
        self._audit.note(user, "answered", model=kind.model, objects=objects, failed=bad, **facts)

    def _open(self) -> None:
        if self.draining:
            raise PoolError(
                503,
                "draining",
                "The pool is about to stop and takes no new work",
                remedy="send it again in a minute",
                retry_after=10,
            )


def no_room(err: BaseException) -> PoolError:
    """Return what users are told when the journal or its files cannot be written."""
    log.error("the spool cannot be written", exc_info=err)
    return PoolError(
        503,
        "disk",
        "The pool has no room for your data",
        cause=str(err),
        remedy="send them again later; the pool's administrator has to look at its disk",
        retry_after=30,
    )


def _no_job() -> PoolError:
    return PoolError(404, "job", "You have no such job", remedy="it was deleted, or has expired")


def _bad(name: str, wanted: str) -> PoolError:
    return PoolError(400, "request", f"'{name}' makes no sense", remedy=f"give {wanted}")


def _full(cause: str, remedy: str) -> PoolError:
    return PoolError(
        429,
        "full",
        "The pool takes no more from you now",
        cause=cause,
        remedy=remedy,
        retry_after=2,
    )
