"""The engine of a hub: the pool, where many users share a few workers.

Data are fetched, decoded and brought into the model's input contract here, with this user's rights;
the pool gets nothing but numbers, and gives numbers back.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from threading import Event
from typing import Any, Protocol
from uuid import uuid4

import numpy as np

from jupyter_astroml.compute.faults import explained
from jupyter_astroml.compute.pool_client import PoolClient
from jupyter_astroml.core.errors import AstroMLError
from jupyter_astroml.core.jobs import Answer, Block, Job
from jupyter_astroml.core.records import Predictions

# Far below what a pool takes in one request, and enough to hide a round trip.
_PIECE_BYTES = 16 << 20
# Who cancels does not want to wait for a pool that is away.
_LAST_PATIENCE = 3.0
# Seconds for which what the pool said of its queue is worth telling.
_FRESH = 5.0
_MOST_CHUNKS = 10**9


class Question(Protocol):
    """The objects of a block, as the model takes them."""

    @property
    def values(self) -> np.ndarray | None:
        """Of the objects that could be fetched, in the model's input contract."""

    def answered(self, outputs: np.ndarray, status: np.ndarray) -> Predictions:
        """Turn what the network found into answers for all objects of the block."""
        ...


class Pool:
    """Run blocks on the hub's pool.

    Parameters
    ----------
    url, token : str
        As for `PoolClient`.
    ask : callable
        ``ask(job, data) -> Question``: fetches, decodes and prepares the objects of a block.
    window : int
        Blocks in flight; 0 takes two for each worker of the pool, and no less than four.
    why : str
        Why this engine was taken.

    """

    name = "pool"

    def __init__(
        self,
        url: str,
        *,
        ask: Callable[[Job, Any], Question],
        token: str = "",
        window: int = 0,
        why: str = "",
    ) -> None:
        self.why = why
        self._heard = (float("-inf"), "")
        self._ask = ask
        self._client = PoolClient(url, token=token, connections=64)
        self._window = window

    def __repr__(self) -> str:
        return f"<engine {self.name} at {self._client.url}{': ' + self.why if self.why else ''}>"

    @property
    def note(self) -> str:
        """What the pool said of its queue a moment ago; empty when there was no need to wait."""
        when, text = self._heard
        return text if time.monotonic() - when < _FRESH else ""

    def run(self, job: Job, blocks: Iterator[Block]) -> Iterator[tuple[Block, Predictions]]:
        """Yield the answers of each block; closing the iterator takes the rest out of the queue.

        Raises
        ------
        AstroMLError
            If the pool refuses the job, or is away for more than two minutes.
        """
        return _Flight(self, job, blocks)

    def close(self) -> None:
        """Close the connections; the pool goes on without us."""
        self._client.close()

    def _in_flight(self) -> int:
        if not self._window:
            self._window = max(4, 2 * int(self._client.get("me").get("workers", 1)))
        return self._window


class _Flight(Iterator[tuple[Block, Predictions]]):
    """Blocks of one run, some of them on their way."""

    def __init__(self, engine: Pool, job: Job, blocks: Iterator[Block]) -> None:
        self._engine = engine
        self._client = engine._client
        self._job = job
        self._blocks = blocks
        self._stop = Event()
        self._flying: deque[tuple[Block, Future[Predictions]]] = deque()
        self._threads: ThreadPoolExecutor | None = None
        self._name = ""
        # Of the chunks; threads take them in any order.
        self._numbers = count()

    def __next__(self) -> tuple[Block, Predictions]:
        try:
            self._refill()
            block, future = self._flying.popleft() if self._flying else (None, None)
            if block is not None and future is not None:
                with explained(block.index):
                    return block, future.result()
        except BaseException:
            self.close()
            raise
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Give up what was not answered, here and in the pool."""
        self._stop.set()
        name, self._name = self._name, ""
        if name:
            # Threads that wait for its answers come back then.  It expires by itself, should the
            # pool be away.
            with suppress(AstroMLError):
                self._client.delete(name, patience=_LAST_PATIENCE)
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)

    def _refill(self) -> None:
        if self._stop.is_set():
            return
        if self._threads is None:
            window = self._engine._in_flight()
            self._name = self._client.create(
                {
                    "model": self._job.model,
                    "digest": self._job.digest,
                    "operation": "logits",
                    "exact": bool(self._job.options.get("exact")),
                    "chunks": _MOST_CHUNKS,
                    "client_id": uuid4().hex,
                },
                full=self._full,
                stopped=self._stop.is_set,
            )
            self._threads = ThreadPoolExecutor(window, thread_name_prefix="astroml-pool")
        while len(self._flying) < self._engine._window:
            block = next(self._blocks, None)
            if block is None:
                return
            self._flying.append((block, self._threads.submit(self._done, self._name, block)))

    def _done(self, name: str, block: Block) -> Predictions:
        """Prepare a block, have it computed, and read the answers; in a thread of its own."""
        question = self._engine._ask(self._job, block.data)
        if question.values is None:
            return question.answered(np.empty((0, 0), np.float32), np.empty(0, dtype=np.uint8))
        pieces = _pieces(question.values)
        numbers = [next(self._numbers) for _ in pieces]
        for number, piece in zip(numbers, pieces, strict=True):
            self._client.send(name, number, piece, full=self._full, stopped=self._stop.is_set)
        found: list[Answer] = [
            self._client.fetch(name, number, waiting=self._waiting, stopped=self._stop.is_set)
            for number in numbers
        ]
        for number in numbers:
            # The answers are here; the job is deleted in the end, or expires.
            with suppress(AstroMLError):
                self._client.release(name, number, patience=_LAST_PATIENCE)
        return question.answered(
            np.concatenate([answer.outputs for answer in found]),
            np.concatenate([answer.status for answer in found]),
        )

    def _waiting(self, state: Mapping[str, Any]) -> None:
        """Keep what the pool says of the queue for whoever looks at the progress."""
        others = max(0, int(state.get("users_waiting", 1)) - 1)
        seconds = float(state.get("eta_s", 0.0))
        shared = f", shared with {others} other{'s' * (others > 1)}" if others else ""
        text = f"in the pool's queue: about {seconds:.0f} s{shared}"
        self._engine._heard = (time.monotonic(), text)

    def _full(self, why: str) -> None:
        self._engine._heard = (time.monotonic(), f"the pool takes no more now: {why}")


def _pieces(values: np.ndarray) -> list[np.ndarray]:
    """Cut the values of a block into chunks that a pool takes."""
    each = max(1, values.nbytes // len(values))
    step = max(1, _PIECE_BYTES // each)
    return [values[start : start + step] for start in range(0, len(values), step)]
