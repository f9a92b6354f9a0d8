"""The engine of a handful of objects: this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

from jupyter_astroml.compute.allocator import fit_allocator, give_back
from jupyter_astroml.compute.faults import explained
from jupyter_astroml.core.jobs import Block, Job, Perform
from jupyter_astroml.core.records import Predictions

Prepare = Callable[[Job, Any], Any]


class Here:
    """Run blocks one after the other in this process.

    Parameters
    ----------
    perform : callable
        ``perform(job, data) -> Predictions``.
    prepare : callable, optional
        ``prepare(job, data) -> data``: fetching and decoding, which need no model.
        It runs in one thread, on the next blocks, while `perform` has the current one.
    window : int
        Blocks in memory at once, the current one included.
    why : str
        Why this engine was taken.
    """

    name = "here"

    def __init__(
        self,
        perform: Perform,
        *,
        prepare: Prepare | None = None,
        window: int = 2,
        why: str = "",
    ) -> None:
        self._perform = perform
        self._prepare = prepare
        self._ahead = max(1, window - 1)
        self.why = why

    def __repr__(self) -> str:
        return f"<engine {self.name}{': ' + self.why if self.why else ''}>"

    def run(self, job: Job, blocks: Iterator[Block]) -> Iterator[tuple[Block, Predictions]]:
        """Yield the answers of each block, in order.

        Raises
        ------
        AstroMLError
            When a whole block fails; single objects that fail are rows with a status.
        """
        # Before the caller starts threads: a thread that has a heap of its own keeps it.
        fit_allocator()
        return self._answers(job, iter(blocks))

    def close(self) -> None:
        """Do nothing: this engine starts nothing that outlives a run."""

    def _answers(self, job: Job, blocks: Iterator[Block]) -> Iterator[tuple[Block, Predictions]]:
        try:
            # Closing this iterator must end the thread of the inner one before it returns.
            with closing(self._prepared(job, blocks)) as ready:  # type: ignore[type-var]
                for block, data in ready:
                    with explained(block.index):
                        found = self._perform(job, data)
                    yield block, found
        finally:
            give_back()

    def _prepared(self, job: Job, blocks: Iterator[Block]) -> Iterator[tuple[Block, Any]]:
        if self._prepare is None:
            for block in blocks:
                yield block, block.data
            return
        waiting: deque[tuple[Block, Future[Any]]] = deque()
        pool = ThreadPoolExecutor(1, thread_name_prefix="astroml-fetch")
        try:
            for block in blocks:
                waiting.append((block, pool.submit(self._prepare, job, block.data)))
                if len(waiting) > self._ahead:
                    yield _arrived(*waiting.popleft())
            while waiting:
                yield _arrived(*waiting.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _arrived(block: Block, future: Future[Any]) -> tuple[Block, Any]:
    with explained(block.index):
        return block, future.result()
