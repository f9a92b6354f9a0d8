"""From a request to its answer: units go to workers in fair order, and no fault loses one.

Dask promises little for actors, so what follows a fault is decided here.

- A worker dies: the batch that it was at is blamed, those behind it are not.
  Blame of the first death is a suspicion (the answer of a finished batch may have been lost with
  the worker); the batch is tried again with nothing else on its worker.
  A second death is proof, and the objects are tried one by one.
- A worker does not come to an end with a batch: it is ended, and the batch treated as above.
- A device has not enough memory: the batch is halved.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jupyter_astroml.core.jobs import (
    CRASHED,
    DEADLINE,
    DONE,
    MODEL_ERROR,
    NOT_FINITE,
    Answer,
)
from jupyter_astroml.pool.costs import Costs
from jupyter_astroml.pool.errors import PoolError
from jupyter_astroml.pool.fair import FairQueue
from jupyter_astroml.pool.runner import Computed
from jupyter_astroml.pool.strikes import Strikes
from jupyter_astroml.pool.work import Kind, Request, Spooled, Unit
from jupyter_astroml.pool.workers import Cluster

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.05
# A scheduler that does not answer is asked again.
_ASK_SECONDS = 5.0
# A worker that is lost and not replaced in this time will not be.  One that is still listed after
# it lives, and only its connection broke.
_REPLACED_SECONDS = 20.0
# A unit that is expected to take long gets so many times its expectation.
_PATIENCE = 20
# Weights may come from a slow disk.
_LOAD_PATIENCE = 60.0
_UNIT_OBJECTS = 1024
# Units of a user who is alone are so many times longer: networks work faster on more objects, and
# nobody waits.  Who came of late will ask again.
_ALONE = 3.0
_COMPANY_SECONDS = 10.0
# Everybody who waits asks how long it takes: with thousands of units it is not added up each time.
_FRESH_SECONDS = 0.25
# A model that ended two workers while it was loaded is not tried for so long.
_MOST_LOAD_DEATHS = 2
_BROKEN_SECONDS = 60.0
# Objects of a request on which the model fails, until the rest is not tried.
_MOST_FAILURES = 16


@dataclass(eq=False)
class _Batch:
    """Units that are computed together."""

    units: list[Unit]
    alone: bool = False
    due: float = float("inf")

    def values(self, *, shared: bool) -> np.ndarray | Spooled:
        """Return the values of all objects; takes a file's time for what waits in the spool.

        Workers that share our disk read what is in one file themselves.
        """
        if len(self.units) == 1:
            return self.units[0].values if shared else self.units[0].hold()
        return np.concatenate([unit.hold() for unit in self.units])

    @property
    def kind(self) -> Kind:
        return self.units[0].kind

    @property
    def model(self) -> tuple[str, str]:
        return self.kind.model, self.kind.digest

    @property
    def seconds(self) -> float:
        return sum(unit.seconds for unit in self.units)


@dataclass(eq=False)
class Slot:
    """A worker, its actor, and the batches that were given to it, the first one being computed.

    Attributes
    ----------
    address : str
    device : str
    batches, objects : int
        Done so far.
    busy : float
        Seconds of computing.
    memory : mapping of str to int
        Bytes of the ``process`` and of its ``device``, after its last batch.
    loaded : set of (str, str)
        Names and digests of the models that are ready.
    began : float
        When the batch that is computed began; monotonic seconds.
    """

    address: str
    actor: Any
    device: str
    batches: int = 0
    objects: int = 0
    busy: float = 0.0
    alive: bool = True
    memory: Mapping[str, int] = field(default_factory=dict)
    loaded: set[tuple[str, str]] = field(default_factory=set)
    began: float = 0.0
    _line: deque[_Batch] = field(default_factory=deque)
    _sending: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def computing(self) -> bool:
        """Whether the worker has something to do."""
        return bool(self._line)

    @property
    def alone(self) -> bool:
        """Whether a suspect is tried here, with nothing beside it."""
        return bool(self._line) and self._line[0].alone


@dataclass
class Counts:
    """What happened since the start."""

    units: int = 0
    objects: int = 0
    batches: int = 0
    workers_lost: int = 0
    retried: int = 0
    innocent: int = 0
    isolated: int = 0
    halved: int = 0
    suspended: int = 0
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)


class Dispatcher:
    """Take requests, give answers.

    Parameters
    ----------
    cluster : Cluster
    unit_seconds, deadline : float
    depth, merge : int
        As in `jupyter_astroml.pool.policy.Policy`.
    replaced : float
        Seconds in which a lost worker is replaced, or never.
    share : callable
        ``share(user)``: worker time relative to others.
    strikes : Strikes
        Counts the crashes of each user.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        unit_seconds: float = 0.1,
        depth: int = 2,
        merge: int = 256,
        deadline: float = 30.0,
        replaced: float = _REPLACED_SECONDS,
        share: Callable[[str], float] = lambda _: 1.0,
        strikes: Strikes | None = None,
    ) -> None:
        self.costs = Costs()
        self.counts = Counts()
        self.slots: dict[str, Slot] = {}
        self.strikes = strikes or Strikes()
        self._cluster = cluster
        self._unit_seconds = unit_seconds
        self._depth = depth
        self._merge = merge
        self._deadline = deadline
        self._replaced = replaced
        self._queue: FairQueue[Unit] = FairQueue(quantum=unit_seconds / 2, share=share)
        self._suspects: deque[list[Unit]] = deque()
        # Addresses of workers that were given up, and when.
        self._dead: dict[str, float] = {}
        self._coming: set[str] = set()
        # Workers that there are when all that were lost of late are replaced.
        self._expected = 0
        # Deaths of workers while they loaded a model, and until when it is not tried.
        self._load_deaths: dict[tuple[str, str], int] = {}
        self._broken: dict[tuple[str, str], float] = {}
        self._changed = float("-inf")
        # When somebody last asked while somebody else was there.
        self._company = float("-inf")
        self._sweeping = False
        # Seconds that each user waits for, and when they were added up.
        self._waits: tuple[float, dict[str, float]] = (float("-inf"), {})
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    async def start(self) -> None:
        """Start the cluster, and return when a worker is ready."""
        await self._cluster.start()
        self._later(self._look_after())
        while not self.slots:
            await asyncio.sleep(_LOOK_SECONDS)

    async def close(self) -> None:
        """Stop at once; what was not answered stays so."""
        self._closing = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._cluster.close()

    def submit(self, user: str, kind: Kind, values: np.ndarray | Spooled) -> Request:
        """Add a request; its ``answer`` is a future.

        Raises
        ------
        PoolError
            If the user's inputs crashed too many workers of late, or the model ends them.
        """
        self.strikes.check(user)
        if time.monotonic() < self._broken.get((kind.model, kind.digest), 0.0):
            raise _unusable(kind.model, "workers ended while they loaded it")
        if any(other != user for other in self._computing()):
            self._company = time.monotonic()
        request = Request(
            user,
            kind,
            values,
            costs=self.costs,
            unit_seconds=self._aim,
            unit_objects=max(_UNIT_OBJECTS, self._merge),
        )
        first = request.unit()
        if first is None:
            request.answer.set_result(
                Answer(np.empty((0, 0), np.float32), np.empty(0, dtype=np.uint8))
            )
            return request
        self._queue.put(first)
        request.answer.add_done_callback(lambda _: self._forget(request))
        self._pump()
        return request

    def _aim(self) -> float:
        """Return how long a unit that is cut now should take, in seconds."""
        now = time.monotonic()
        if self._queue.shared:
            self._company = now
        alone = now > self._company + _COMPANY_SECONDS
        return self._unit_seconds * (_ALONE if alone else 1.0)

    def _computing(self) -> Iterator[str]:
        """Yield everybody who is computed for."""
        for slot in self.slots.values():
            for batch in slot._line:
                yield from (unit.user for unit in batch.units)

    def seconds_until(self, user: str) -> float:
        """Return about how long it takes until all that the user waits for is done."""
        waiting = self.waiting
        if user not in waiting:
            # The user came a moment ago.
            self._waits = (float("-inf"), {})
            waiting = self.waiting
        flying = sum(b.seconds for slot in self.slots.values() for b in slot._line)
        ahead = self._queue.ahead(user, waiting)
        return (waiting.get(user, 0.0) + ahead + flying) / max(1, len(self.slots))

    @property
    def waiting(self) -> dict[str, float]:
        """Seconds of work that each user waits for, a moment ago at most."""
        when, found = self._waits
        if time.monotonic() > when + _FRESH_SECONDS:
            found = self._queue.waiting()
            self._waits = (time.monotonic(), found)
        return found

    @property
    def idle(self) -> bool:
        """Whether nothing is queued or computed."""
        flying = any(slot._line for slot in self.slots.values())
        return not (flying or len(self._queue) or self._suspects)

    # Workers ----------------------------------------------------------------------------------

    async def _look_after(self) -> None:
        """Meet workers that come, forget those that went, end those that hang."""
        # Being cancelled is not enough: wait_for of Python 3.11 loses what comes as it ends.
        while not self._closing:
            try:
                there = await asyncio.wait_for(self._cluster.addresses(), _ASK_SECONDS)
                if not self._closing:
                    self._look(there)
            except (OSError, TimeoutError):
                # The scheduler is away; its workers' connections tell whether they are, too.
                self._look(set(self.slots))
            except Exception:
                # Without this loop no worker would be missed or replaced.
                log.exception("the pool could not look after its workers")
            await asyncio.sleep(_LOOK_SECONDS)

    def _look(self, now: set[str]) -> None:
        for address in [a for a in self.slots if a not in now]:
            self._lose(self.slots[address])
        clock = time.monotonic()
        # The scheduler lists a dead worker for a moment; an actor for it would never come.
        self._dead = {
            a: lost for a, lost in self._dead.items() if a in now and clock < lost + self._replaced
        }
        for address in now - set(self.slots) - set(self._dead) - self._coming:
            self._coming.add(address)
            self._later(self._meet(address))
        for slot in list(self.slots.values()):
            if slot._line and clock > slot._line[0].due:
                self._lose(slot, hung=True)
                self._later(self._cluster.restart(slot.address))
        if self._expected > len(self.slots) and clock > self._changed + self._replaced:
            self._expected = len(self.slots)
            self._pump()

    async def _meet(self, address: str) -> None:
        try:
            actor, told = await self._cluster.actor(address)
        except (OSError, TimeoutError, RuntimeError, ValueError) as err:
            log.warning("no actor on %s: %r", address, err)
            await asyncio.sleep(1)
        else:
            self.slots[address] = Slot(address, actor, told["device"])
            self._expected = max(self._expected, len(self.slots))
            self._changed = time.monotonic()
            self._pump()
        finally:
            self._coming.discard(address)

    def _lose(self, slot: Slot, *, hung: bool = False) -> None:
        """Take a worker off the list, and decide what becomes of its batches."""
        if not slot.alive:
            return
        slot.alive = False
        self._dead[slot.address] = self._changed = time.monotonic()
        self.slots.pop(slot.address, None)
        self.counts.workers_lost += 1
        line, slot._line = list(slot._line), deque()
        for batch in reversed(line[1:]):
            self.counts.innocent += len(batch.units)
            self._again(batch)
        if line and line[0].model not in slot.loaded:
            self._blame_model(line[0])
        elif line:
            self._charge(line[0], time.monotonic() - slot.began)
            self._blame(line[0], hung=hung)
        self._pump()

    def _blame_model(self, batch: _Batch) -> None:
        """Try a batch again whose model was being loaded: no object can have ended the worker."""
        deaths = self._load_deaths.get(batch.model, 0) + 1
        self._load_deaths[batch.model] = deaths
        if deaths < _MOST_LOAD_DEATHS:
            self._again(batch)
            return
        self._broken[batch.model] = time.monotonic() + _BROKEN_SECONDS
        same = self._queue.drop(lambda u: (u.kind.model, u.kind.digest) == batch.model)
        for unit in (*batch.units, *same):
            unit.request.fail(_unusable(batch.model[0], "workers end while they load it"))

    def _charge(self, batch: _Batch, took: float) -> None:
        """Charge the time of a batch that brought nothing; nobody, if several users shared it."""
        objects = sum(len(unit) for unit in batch.units)
        shared = len({unit.user for unit in batch.units}) > 1
        for unit in batch.units:
            used = 0.0 if shared else took * len(unit) / objects
            self._queue.charge(unit.user, used - unit.seconds)

    # Turns ------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Give every worker that has room the next batch, the emptiest ones first."""
        for depth in range(self._depth):
            spared = self._spared() if depth else None
            for slot in list(self.slots.values()):
                if not slot.alive or len(slot._line) != depth or slot.alone or slot is spared:
                    continue
                if depth and not self._full():
                    return
                batch = self._suspect(depth) or self._next()
                if batch is not None:
                    self._send(slot, batch)

    def _full(self) -> bool:
        """Tell whether the next batch is worth sending before its worker is free.

        Small requests had better wait here, where others can still join them: sent ahead, a batch
        is closed.
        """
        objects, seconds = 0, 0.0
        for unit in self._queue:
            objects, seconds = objects + len(unit), seconds + unit.added
            if not unit.mergeable or objects >= self._merge:
                return True
            if unit.seconds_in_all > unit.seconds:
                # More of the same request follows: it was cut, and will not grow.
                return True
            if max(seconds, unit.seconds) >= unit.batch_seconds / 2:
                return True
        return False

    def _next(self) -> _Batch | None:
        while units := self._queue.take(objects=self._merge):
            wanted = [unit for unit in units if not unit.request.over]
            if wanted:
                return _Batch(wanted)
        return None

    @property
    def _trying(self) -> bool:
        """Whether a suspect can be tried now: the last worker that others can use is not for it."""
        free = sum(not slot.alone for slot in self.slots.values())
        return bool(self._suspects) and (free > 1 or self._expected <= 1)

    def _spared(self) -> Slot | None:
        """Return the worker that gets nothing sent ahead, so that it is soon free for a suspect."""
        if not self._trying:
            return None
        busy = [slot for slot in self.slots.values() if not slot.alone]
        return min(busy, key=lambda slot: len(slot._line), default=None)

    def _suspect(self, depth: int) -> _Batch | None:
        """Return a suspect for an empty worker."""
        while not depth and self._trying:
            # Cancelling does not end a trial: workers could be killed for ever, and nobody blamed.
            # Who was in a batch by chance does not wait for all that the other one sends.
            first = min(self._suspects, key=lambda units: self.strikes.count(units[0].user))
            self._suspects.remove(first)
            units = [unit for unit in first if unit.on_trial]
            if units:
                return _Batch(units, alone=True)
        return None

    def _send(self, slot: Slot, batch: _Batch) -> None:
        slot._line.append(batch)
        if len(slot._line) == 1:
            self._set_due(slot)
        self._later(self._compute(slot, batch))

    def _set_due(self, slot: Slot) -> None:
        """Start the clock of the batch that is computed now."""
        if slot._line:
            batch = slot._line[0]
            slot.began = time.monotonic()
            first = 0.0 if batch.model in slot.loaded else _LOAD_PATIENCE
            batch.due = slot.began + max(first, self._deadline, _PATIENCE * batch.seconds)

    async def _compute(self, slot: Slot, batch: _Batch) -> None:
        try:
            found = await self._answer(slot, batch)
        except asyncio.CancelledError:
            raise
        except Exception as err:  # noqa: BLE001 - an actor never raises: its worker has ended
            log.info("worker %s is lost: %r", slot.address, err)
            self._lose(slot)
            return
        if batch not in slot._line:
            # The worker was given up, and its batches tried elsewhere.
            return
        began = slot.began
        slot._line.remove(batch)
        self._set_due(slot)
        self._settle(slot, batch, began, found)
        self._pump()

    async def _answer(self, slot: Slot, batch: _Batch) -> Computed:
        kind, model = batch.kind, batch.model
        # Batches reach the worker in the order in which they were given to it.
        async with slot._sending:
            if model not in slot.loaded:
                told = Computed(*await slot.actor.load(*model))
                if told.outcome != "done":
                    return told
                slot.loaded.add(model)
                self._load_deaths.pop(model, None)
                self._set_due(slot)
            if not batch.alone:
                # What was cancelled meanwhile must not spoil the rest.
                batch.units = [unit for unit in batch.units if not unit.request.over]
            if not batch.units:
                return Computed("lost")
            try:
                values = await asyncio.to_thread(batch.values, shared=self._cluster.shared)
            except (OSError, ValueError) as err:
                return Computed("lost", text=f"{type(err).__name__}: {err}")
            future = slot.actor.compute(
                kind.model, kind.digest, kind.operation, values, exact=kind.exact
            )
        return Computed(*await future)

    # Outcomes ---------------------------------------------------------------------------------

    def _settle(self, slot: Slot, batch: _Batch, began: float, found: Computed) -> None:
        if found.outcome == "done" and found.outputs is not None and found.finite is not None:
            self._count(slot, batch, found.seconds, found.memory)
            start = 0
            for unit in batch.units:
                rows = slice(start, start + len(unit))
                start += len(unit)
                status = np.where(found.finite[rows], DONE, NOT_FINITE).astype(np.uint8)
                unit.keep(found.outputs[rows], status)
            return
        self._charge(batch, time.monotonic() - began)
        if found.outcome == "memory":
            self._halve(batch, found.text)
        elif found.outcome == "lost":
            self._missing(batch, found.text)
        elif found.outcome == "refused":
            for unit in batch.units:
                unit.request.fail(_unusable(unit.kind.model, found.text))
        else:
            self._failed(batch, found.text)

    def _missing(self, batch: _Batch, text: str) -> None:
        """Say which units' values are gone from the spool, and try the others again."""
        for unit in batch.units:
            if _can_try_again(unit):
                self._queue.put(unit, first=True)
                continue
            err = PoolError(
                410, "spool", "Your data are gone from the pool's disk", cause=text,
                remedy="resume the run: they are sent again",
            )  # fmt: skip
            unit.request.fail(err)

    def _count(self, slot: Slot, batch: _Batch, seconds: float, memory: Mapping[str, int]) -> None:
        objects = sum(len(unit) for unit in batch.units)
        self.costs.learn(batch.kind, objects=objects, seconds=seconds)
        slot.batches += 1
        slot.objects += objects
        slot.busy += seconds
        slot.memory = memory
        self.counts.batches += 1
        self.counts.units += len(batch.units)
        self.counts.objects += objects
        for unit in batch.units:
            took = seconds * len(unit) / objects
            self._queue.charge(unit.user, took - unit.seconds)
            key = (unit.user, batch.kind.model)
            self.counts.seconds[key] = self.counts.seconds.get(key, 0.0) + took

    def _failed(self, batch: _Batch, text: str) -> None:
        """Find the objects that the model fails on; the others get their answers."""
        tried_alone = len(batch.units) == 1 and len(batch.units[0]) == 1
        for unit in self._smaller(batch):
            if not tried_alone and unit.request.failures < _MOST_FAILURES:
                self._queue.put(unit, first=True)
                continue
            log.info("%s failed on %d objects: %s", unit.kind.model, len(unit), text)
            unit.request.failures += 1
            unit.give_up(MODEL_ERROR)

    def _halve(self, batch: _Batch, text: str) -> None:
        self.counts.halved += 1
        for unit in self._smaller(batch):
            if len(batch.units) == 1 and len(batch.units[0]) == 1:
                log.warning("one object of %s needs more memory: %s", unit.kind.model, text)
                unit.give_up(MODEL_ERROR)
            else:
                self._queue.put(unit, first=True)

    def _smaller(self, batch: _Batch) -> list[Unit]:
        """Take a batch apart: its units, or the halves of the only one."""
        units = batch.units
        if len(units) == 1 and len(units[0]) > 1:
            units = units[0].halves()
        for unit in units:
            unit.apart = True
        return units

    def _again(self, batch: _Batch) -> None:
        """Try innocent units again, in their turn."""
        if batch.alone:
            self._suspects.appendleft(batch.units)
            return
        for unit in reversed(batch.units):
            # Its next turn is charged again.
            self._queue.charge(unit.user, -unit.seconds)
            self._queue.put(unit, first=True)

    def _blame(self, batch: _Batch, *, hung: bool) -> None:
        """Decide what becomes of the units that a worker died with."""
        for unit in batch.units:
            unit.deaths += 1
            if (unit.deaths == 1 or len(batch.units) > 1) and _can_try_again(unit):
                self.counts.retried += 1
                self._suspects.append([unit])
            elif self.strikes.add(unit.user):
                self._suspend(unit)
            elif unit.request.over:
                continue
            elif len(unit) == 1:
                unit.give_up(DEADLINE if hung else CRASHED)
            else:
                self.counts.isolated += 1
                self._suspects.extend([part] for part in unit.objects())

    def _suspend(self, unit: Unit) -> None:
        """Refuse all that a user waits for, whose inputs crash one worker after the other."""
        self.counts.suspended += 1
        err = self.strikes.error(unit.user)
        waiting = [unit, *self._queue.drop(lambda u: u.user == unit.user)]
        waiting += [u for units in self._suspects for u in units if u.user == unit.user]
        self._suspects = deque(us for us in self._suspects if us[0].user != unit.user)
        for one in waiting:
            one.request.fail(err)

    def _forget(self, request: Request) -> None:
        """Take what nobody waits for out of the queue; once for all that end at the same time."""
        gone = request.answer.cancelled() or request.answer.exception() is not None
        if gone and not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_soon(self._sweep)

    def _sweep(self) -> None:
        self._sweeping = False
        self._waits = (float("-inf"), {})
        self._queue.drop(lambda unit: unit.request.over)
        self._pump()

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and not self._closing:
            log.error("the pool's dispatcher failed", exc_info=task.exception())


def _can_try_again(unit: Unit) -> bool:
    """Tell whether the values are still there; who deletes them is blamed on suspicion."""
    try:
        unit.hold()
    except (OSError, ValueError):
        return False
    return True


def _unusable(model: str, why: str) -> PoolError:
    return PoolError(
        503,
        "model",
        f"The pool cannot use {model}",
        cause=why,
        remedy="tell the pool's administrator; meanwhile engine='here' may do",
        retry_after=_BROKEN_SECONDS,
    )
