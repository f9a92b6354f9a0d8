"""Do what is missing in a run, on any engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any

from jupyter_astroml.compute.run import Progress, Run
from jupyter_astroml.core.jobs import ALSO, Block, Engine, together
from jupyter_astroml.core.records import Predictions

# Progress is told at least this often, also while a long block is worked on.
_TICK = 0.25
# Results that wait to be written; more would only hide a slow disk in memory.
_WAITING = 4

_END = object()


def drive(
    run: Run,
    engine: Engine,
    *,
    progress: Callable[[Progress], Any] | None = None,
    cancel: Callable[[], bool] | Event | None = None,
    failed: bool = False,
) -> Progress:
    """Run the blocks that have no answers, and keep each answer as it arrives.

    Parameters
    ----------
    run : Run
        New, or one that was cut off.
    engine : Engine
        Where the blocks are run; any engine gives the same answers.
    progress : callable, optional
        Called in this thread with a `Progress`, at least twice a second.
    cancel : callable or Event, optional
        Asked as often; when it is true (or set), what is in flight is cancelled.
    failed : bool
        Run blocks with objects that failed again, too.

    Returns
    -------
    Progress
        At the end; ``finished`` is false after a cancel.

    Raises
    ------
    RunError
        If somebody else drives the run, it cannot be written, or somebody paused it: what follows
        in a notebook must not take a part of the answers for all.
    AstroMLError
        If a whole block fails.
    KeyboardInterrupt
        Passed on; as after any error, what arrived is kept and the run can be resumed.
    """
    return drive_together([run], engine, progress=progress, cancel=cancel, failed=failed)


def drive_together(
    runs: Sequence[Run],
    engine: Engine,
    *,
    progress: Callable[[Progress], Any] | None = None,
    cancel: Callable[[], bool] | Event | None = None,
    failed: bool = False,
) -> Progress:
    """Run several models over the same objects in one pass: their data are fetched once.

    A block in which a worker died may have answers of the first model only; the other runs then
    lack it, and can be driven alone.

    Parameters
    ----------
    runs : sequence of Run
        Of the same data in the same blocks; their jobs differ in the model only.
    engine, progress, cancel, failed
        As for `drive`.

    Returns
    -------
    Progress
        Of the first run.
    """
    with ExitStack() as stack:
        for run in runs:
            stack.enter_context(run.locked())
        return _Drive(runs, engine, progress=progress, cancel=cancel, failed=failed).go()


class _Drive:
    """The engine works in one thread; this one writes, tells and listens."""

    def __init__(
        self,
        runs: Sequence[Run],
        engine: Engine,
        *,
        progress: Callable[[Progress], Any] | None,
        cancel: Callable[[], bool] | Event | None,
        failed: bool,
    ) -> None:
        self._runs = runs
        self._run = runs[0]
        self._engine = engine
        self._tell = progress
        self._cancelled = cancel.is_set if isinstance(cancel, Event) else cancel
        self._stop = Event()
        self._arrived: Queue[Any] = Queue(maxsize=_WAITING)
        self._begin = time.monotonic()
        self._told = float("-inf")
        todo = sorted({i for run in runs for i in run.missing_blocks(failed=failed)})
        self._at = self._run.progress(without=todo)
        self._before = self._at
        job = together([run.job for run in runs])
        self._results = engine.run(job, self._until_stopped(map(self._run.block, todo)))
        self._worker = Thread(target=self._pump, name="astroml-drive", daemon=True)

    def go(self) -> Progress:
        self._worker.start()
        try:
            self._loop()
        except KeyboardInterrupt:
            self._halt()
            self._keep_waiting()
            raise
        except BaseException:
            # What waits cannot be written, or follows a block that failed: resuming does it again.
            self._halt()
            raise
        self._halt()
        self._keep_waiting()
        self._report(force=True)
        at = self._run.progress()
        for run in self._runs:
            if run.paused and not at.finished:
                raise run.waits()
        return at

    def _loop(self) -> None:
        while True:
            self._report()
            if self._unwanted():
                return
            try:
                item = self._arrived.get(timeout=_TICK)
            except Empty:
                continue
            if item is _END:
                return
            if isinstance(item, BaseException):
                raise item
            self._keep(*item)

    def _unwanted(self) -> bool:
        if any(run.paused for run in self._runs):
            return True
        return self._cancelled is not None and self._cancelled()

    def _keep(self, block: Block, found: Predictions) -> None:
        others = found.meta.get(ALSO, ())
        meta = {name: value for name, value in found.meta.items() if name != ALSO}
        for run, part in zip(self._runs, (replace(found, meta=meta), *others), strict=False):
            # Where poison was sought, a part of the block may bring answers of the others.
            if len(part) == len(block):
                engine = {"engine": self._engine.name}
                run.add(block, replace(part, meta={**part.meta, **engine}))
        failed = int((~found.ok).sum())
        self._at = replace(
            self._at, done=self._at.done + len(found), failed=self._at.failed + failed
        )

    def _report(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if self._tell is None or (now - self._told < _TICK and not force):
            return
        self._told = now
        spent = now - self._begin
        new = self._at.done - self._before.done
        eta = spent / new * (self._at.total - self._at.done) if new else None
        note = getattr(self._engine, "note", "")
        self._tell(replace(self._at, seconds=self._before.seconds + spent, eta=eta, note=note))

    def _keep_waiting(self) -> None:
        """Write what had arrived when the engine was stopped."""
        with suppress(Empty):
            while True:
                item = self._arrived.get_nowait()
                if isinstance(item, tuple):
                    self._keep(*item)

    def _halt(self) -> None:
        """Stop the engine, and return when nothing of it is at work here."""
        self._stop.set()
        self._close()
        self._worker.join()

    def _close(self) -> None:
        close = getattr(self._results, "close", None)
        if close is not None:
            # A plain generator that is at work in the other thread cannot be closed from this one;
            # it ends after its block.
            with suppress(ValueError):
                close()

    # In the other thread ----------------------------------------------------------------------

    def _pump(self) -> None:
        try:
            for result in self._results:
                if not self._put(result):
                    return
            self._put(_END)
        except BaseException as err:  # noqa: BLE001 - it is raised in the thread that drives
            self._put(err)
        finally:
            self._close()

    def _put(self, item: Any) -> bool:
        while not self._stop.is_set():
            try:
                self._arrived.put(item, timeout=_TICK)
            except Full:
                continue
            else:
                return True
        return False

    def _until_stopped(self, blocks: Iterator[Block]) -> Iterator[Block]:
        for block in blocks:
            if self._stop.is_set():
                return
            yield block
