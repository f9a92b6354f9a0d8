"""The engine of bulk work: a Dask cluster of the user's own.

What Dask does not promise is done here.

- The number of blocks in flight is bounded, so that memory stays flat and other users of the
  cluster get their turn.
- When a worker dies, Dask blames every task that the worker held.
  Those blocks are set aside, and when nothing else of ours is in flight each is run alone; if it
  kills again it is halved, until the objects that do it stand alone.
- Cancelling a future frees its place in the queue at once, but a task that runs cannot be
  interrupted: a worker is free after the block that it is at, and blocks are short for that reason.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from queue import Empty, SimpleQueue
from threading import BoundedSemaphore, Event, Lock
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from jupyter_astroml.compute.allocator import fit_allocator
from jupyter_astroml.compute.clusters import LOCAL, Plan, close
from jupyter_astroml.compute.faults import as_run_error, failed
from jupyter_astroml.core.errors import RunError
from jupyter_astroml.core.jobs import Block, Job, Perform
from jupyter_astroml.core.joining import join
from jupyter_astroml.core.records import Predictions

if TYPE_CHECKING:
    from distributed import Client, Future

    from jupyter_astroml.compute.own_cluster import OwnCluster

Prepare = Callable[[Job, Any], Any]

# A block that saw so many deaths is suspected of them.  Workers of our own have no other reason to
# die; those of a big cluster come and go, and running suspects alone holds up all of it.
SUSPECT_AFTER_OWN, SUSPECT_AFTER = 1, 2
# Suspects are run alone, and everything else waits; so they are collected, but not without end.
MOST_SUSPECTS = 8
# So many suspects in a row without one surviving object: it is not the data.
HOPELESS_AFTER = 3
KILLS = "its worker died each time it was tried alone (out of memory, or a crash in native code)"
NOT_NARROWED = "its worker died, as for too many objects of its block to find which ones did it"
_POLL_SECONDS = 1.0
_REFRESH_SECONDS = 2.0


class Dask:
    """Run blocks on a Dask cluster.

    Parameters
    ----------
    perform : callable
        ``perform(job, data) -> Predictions``, a function of a module that workers can import.
    prepare : callable, optional
        ``prepare(job, data) -> data``: fetching and decoding, which need no model.
        On our own cluster a worker prepares one block while it performs another.
    cluster : str, distributed cluster, Client or Plan, optional
        A scheduler's address, or what `distributed` or a gateway gave; they are left as they are.
        Or a cluster to be, which is started for the first run and given back at the end; without
        any, processes on this machine.
    workers : int
        Number of processes of our own cluster; 0 takes one for each core that we may use.
        Not used with `cluster`.
    window : int
        Blocks in flight for each worker; half as many more may be on their way back.
    dashboard : bool
        Serve Dask's dashboard of our own cluster on a free port of the loopback.
        Everybody with an account on this machine can read it.
    patience : float
        Seconds to wait for a scheduler to answer, or for a cluster without workers to get one.
    why : str
        Why this engine was taken.
    """

    name = "dask"

    def __init__(
        self,
        perform: Perform,
        *,
        prepare: Prepare | None = None,
        cluster: Any = None,
        workers: int = 0,
        window: int = 2,
        dashboard: bool = False,
        patience: float = 60.0,
        why: str = "",
    ) -> None:
        self.why = why
        self._perform = perform
        self._prepare = prepare
        self._plan = cluster if isinstance(cluster, Plan) else Plan(workers=workers)
        self._plan.ready()
        self._given = None if isinstance(cluster, Plan) else cluster
        self._window = max(1, window)
        self._dashboard = dashboard
        self._patience = patience
        self._lock = Lock()
        self._client: Client | None = None
        self._own: OwnCluster | None = None
        self._made: Any = None

    def __repr__(self) -> str:
        return f"<engine {self.name}{': ' + self.why if self.why else ''}>"

    def __enter__(self) -> Dask:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, job: Job, blocks: Iterator[Block]) -> Iterator[tuple[Block, Predictions]]:
        """Yield the answers of each block as they arrive.

        The iterator's ``close()`` may be called from any thread.

        Raises
        ------
        AstroMLError
            When a whole block fails, or the cluster is gone.
            Single objects that fail or that kill their worker are rows with a status.
        """
        return _Flight(self, job, blocks)

    def close(self) -> None:
        """Give back a cluster that we started; leave one that was given as it is."""
        with self._lock:
            client, own, made = self._client, self._own, self._made
            self._client = self._own = self._made = None
        if client is not None and client is not self._given:
            client.close()
        for started in (own, made):
            if started is not None:
                close(started)

    def start(self) -> list[int]:
        """Start or join the cluster now, and return the process ids of its workers."""
        found = self._connected().run(os.getpid)
        return sorted(found.values())

    def _submit(self, client: Client, job: Job, data: Any, *, key: str) -> Future:
        import dask

        # One inference at a time in a worker of ours: its second thread is there for fetching.
        together = 1 if self._own else 0
        task = (self._perform, self._prepare, together, job, data)
        # Blocks of samples are megabytes on purpose.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GiB"}):
            return client.submit(_on_worker, *task, key=key, pure=False)

    def _trust(self) -> int:
        return SUSPECT_AFTER_OWN if self._own else SUSPECT_AFTER

    def _in_flight(self, client: Client) -> int:
        """How many blocks keep the cluster busy, as it is now."""
        places = self._own.workers if self._own else sum(client.nthreads().values())
        return self._window * max(1, places)

    def _connected(self) -> Client:
        from distributed import Client

        with self._lock:
            if self._client is not None:
                return self._client
            if isinstance(self._given, Client):
                self._client = self._given
            elif self._given is not None:
                self._client = _joined(self._given, timeout=self._patience)
            elif self._plan.address:
                self._client = _joined(self._plan.address, timeout=self._patience)
            elif self._plan.kind != LOCAL:
                made = self._plan.start()
                try:
                    self._client = _joined(made, timeout=self._patience)
                except RunError:
                    close(made)
                    raise
                self._made = made
            else:
                from jupyter_astroml.compute.own_cluster import OwnCluster

                own = OwnCluster(
                    workers=self._plan.workers,
                    threads=self._plan.threads,
                    memory=self._plan.memory,
                    dashboard=self._dashboard,
                )
                try:
                    self._client = own.client(patience=self._patience)
                except RunError:
                    own.close()
                    raise
                self._own = own
            if self._client.asynchronous:
                self._client = None
                raise RunError(
                    "The Dask client is asynchronous",
                    remedy="give the scheduler's address, or a Client(..., asynchronous=False)",
                )
            return self._client


def _joined(cluster: Any, *, timeout: float) -> Client:
    from distributed import Client

    try:
        # The user's default client stays the one that the user chose.
        return Client(cluster, set_as_default=False, timeout=timeout)
    except (OSError, TimeoutError, ValueError, TypeError) as err:
        address = getattr(cluster, "scheduler_address", cluster)
        raise RunError(
            f"The Dask scheduler at {address} cannot be joined",
            cause=str(err) or type(err).__name__,
            remedy="check the address, and the TLS certificates in Dask's configuration",
        ) from err


@lru_cache(maxsize=4)
def _gate(together: int) -> BoundedSemaphore:
    return BoundedSemaphore(together)


def _on_worker(
    perform: Perform, prepare: Prepare | None, together: int, job: Job, data: Any
) -> Predictions:
    """Run one block, in a worker process."""
    # Workers of a cluster that we did not start have Dask's allocator settings.
    fit_allocator()
    if prepare is not None:
        data = prepare(job, data)
    with _gate(together) if together else nullcontext():
        return perform(job, data)


class _ClosedError(Exception):
    """The consumer wants no more results."""


@dataclass(eq=False)
class _Attempt:
    """A block on its way: computed first (`computed`), then fetched (`found`), unless it failed."""

    block: Block
    future: Future
    deaths: int
    computed: bool = False
    found: Predictions | None = None
    error: BaseException | None = None


class _Flight:
    """Blocks in flight, and the iterator over what comes back."""

    def __init__(self, engine: Dask, job: Job, blocks: Iterator[Block]) -> None:
        self._engine = engine
        self._job = job
        self._blocks = iter(blocks)
        self._exhausted = False
        self._client: Any = None
        self._window, self._window_asked = 0, float("-inf")
        self._name = f"astroml-{uuid4().hex[:12]}"
        self._count = 0
        self._flying: dict[str, _Attempt] = {}
        # Names of what was computed or has arrived; None wakes up whoever waits.
        self._news: SimpleQueue[str | None] = SimpleQueue()
        self._suspects: deque[Block] = deque()
        self._alone = False
        self._deaths_left = 0
        self._hopeless = 0
        self._closed = Event()
        self._steps = self._go()

    def __iter__(self) -> _Flight:
        return self

    def __next__(self) -> tuple[Block, Predictions]:
        return next(self._steps)

    def close(self) -> None:
        """Cancel what is in flight; a worker is free after the block that it is at."""
        self._closed.set()
        self._news.put(None)
        self._cancel()

    def _go(self) -> Iterator[tuple[Block, Predictions]]:
        try:
            if not self._closed.is_set():
                self._client = self._engine._connected()
            while not self._closed.is_set():
                self._refill()
                if self._flying:
                    attempt, found = self._land()
                    if found is not None:
                        yield attempt.block, found
                    elif attempt.deaths < self._engine._trust():
                        self._send(attempt.block, deaths=attempt.deaths)
                    else:
                        self._suspects.append(attempt.block)
                elif self._suspects:
                    yield from self._tried()
                else:
                    return
        except _ClosedError:
            return
        finally:
            self._cancel()

    def _refill(self) -> None:
        """Send blocks until the window is full, or enough suspects wait for an empty cluster."""
        if self._alone:
            return
        if time.monotonic() - self._window_asked > _REFRESH_SECONDS:
            # Clusters grow and shrink; one that does not answer now keeps its window.
            with suppress(OSError, TimeoutError):
                self._window = self._engine._in_flight(self._client)
            self._window_asked = time.monotonic()
        while not self._exhausted and len(self._suspects) < MOST_SUSPECTS and self._room():
            block = next(self._blocks, None)
            if block is None:
                self._exhausted = True
            else:
                self._send(block, deaths=0)

    def _room(self) -> bool:
        """Whether a place is free, and answers do not pile up faster than they can be fetched."""
        window = max(1, self._window)
        computing = sum(not attempt.computed for attempt in self._flying.values())
        return computing < window and len(self._flying) < window + (window + 1) // 2

    def _send(self, block: Block, *, deaths: int) -> None:
        from distributed.client import ClosedClientError

        self._count += 1
        key = f"{self._name}-{block.index}-{self._count}"
        try:
            future = self._engine._submit(self._client, self._job, block.data, key=key)
        except (ClosedClientError, OSError) as err:
            raise _gone() from err
        self._flying[key] = _Attempt(block, future, deaths)
        future.add_done_callback(lambda _: self._news.put(key))

    def _land(self) -> tuple[_Attempt, Predictions | None]:
        """Wait for one block; None instead of its answers when its worker died."""
        while True:
            key = self._next_news()
            attempt = self._flying.get(key)
            if attempt is None:
                continue
            if not attempt.computed:
                attempt.computed = True
                # Answers are fetched while others are waited for: a far or busy cluster takes
                # its time, and one after the other would be the limit of the whole run.
                self._client.loop.add_callback(self._fetch, key, attempt)
                self._refill()
                continue
            del self._flying[key]
            self._refill()
            if attempt.error is not None:
                self._count_deaths(attempt, attempt.error)
            return attempt, attempt.found

    async def _fetch(self, key: str, attempt: _Attempt) -> None:
        """Wait for the answers, or the error; runs in the client's own loop."""
        try:
            # Should the worker die now, with the answers, then the block is computed again.
            attempt.found = await attempt.future
        except BaseException as err:  # noqa: BLE001 - it is told apart where the results are awaited
            attempt.error = err
        self._news.put(key)

    def _count_deaths(self, attempt: _Attempt, err: BaseException) -> None:
        """Count deaths; raise whatever else went wrong."""
        from distributed import CancelledError, KilledWorker

        if isinstance(err, CancelledError):
            if self._closed.is_set():
                raise _ClosedError
            raise _gone() from err
        if not isinstance(err, KilledWorker):
            told = as_run_error(attempt.block.index, err)
            if told is err:
                raise told
            raise told from err
        attempt.deaths += err.allowed_failures + 1

    def _next_news(self) -> str:
        seen_workers = time.monotonic()
        while True:
            try:
                key = self._news.get(timeout=_POLL_SECONDS)
            except Empty:
                if self._some_worker():
                    seen_workers = time.monotonic()
                elif time.monotonic() - seen_workers > self._engine._patience:
                    raise RunError(
                        "The Dask cluster has no workers",
                        cause=f"none came in {self._engine._patience:.0f} s",
                        remedy="add workers (with a nanny, which replaces dead ones), then resume",
                    ) from None
                continue
            if self._closed.is_set():
                raise _ClosedError
            if key is not None:
                return key

    def _some_worker(self) -> bool:
        try:
            return bool(self._client.nthreads())
        except (OSError, TimeoutError):
            # The client is reconnecting; if it fails, our futures are cancelled and we hear of it.
            return True

    def _tried(self) -> Iterator[tuple[Block, Predictions]]:
        """Run each suspect alone, now that nothing else of ours is in flight."""
        self._alone = True
        while self._suspects:
            block = self._suspects.popleft()
            # Halving down to one object costs two deaths a level; several of them cost more.
            self._deaths_left = 8 + 4 * len(block).bit_length()
            found = self._narrowed(block.index, block.data)
            killed = np.isin(found.status, [KILLS, NOT_NARROWED]).all()
            self._hopeless = self._hopeless + 1 if killed else 0
            if self._hopeless >= HOPELESS_AFTER and len(block) > 1:
                raise RunError(
                    "Workers die on whatever they are given",
                    cause=f"in {self._hopeless} blocks in a row no object survived",
                    remedy="give the workers more memory, or look at their logs, then resume",
                )
            yield block, found
        self._alone = False

    def _narrowed(self, index: int, data: Any, *, guilty: bool = False) -> Predictions:
        """Halve what kills its worker until the objects that do it stand alone.

        Parameters
        ----------
        index : int
            Of the block.
        data : References or Samples
            The block or a part of it.
        guilty : bool
            The whole killed and the other half survived: this half need not be seen to kill.
        """
        # A machine may kill a process for reasons of its own: of one object, one death is no proof.
        asks = (2 if len(data) == 1 else 1) - guilty
        for _ in range(asks):
            if self._deaths_left <= 0:
                return failed(data, NOT_NARROWED)
            self._send(Block(index, data), deaths=0)
            attempt, found = self._land()
            if found is not None:
                return found
            self._deaths_left -= attempt.deaths
        if len(data) == 1:
            return failed(data, KILLS)
        middle = len(data) // 2
        first = self._narrowed(index, data[:middle])
        innocent = not np.isin(first.status, [KILLS, NOT_NARROWED]).any()
        second = self._narrowed(index, data[middle:], guilty=innocent)
        return replace(join([first, second]), meta=first.meta or second.meta)

    def _cancel(self) -> None:
        """Cancel without waiting, so that any thread may do it, the client's own included."""
        futures = [attempt.future for attempt in list(self._flying.values())]
        self._flying.clear()
        if futures:
            self._client.loop.add_callback(_cancelled, self._client, futures)


async def _cancelled(client: Client, futures: list[Future]) -> None:
    from distributed.client import ClosedClientError

    # Nothing is left to cancel when the scheduler or the client is gone.
    with suppress(ClosedClientError, OSError, TimeoutError):
        await client.cancel(futures, asynchronous=True, force=True)


def _gone() -> RunError:
    return RunError(
        "The Dask scheduler is gone",
        cause="it closed the connection or cancelled our work",
        remedy="blocks that arrived are kept: start the cluster and resume the run",
    )
