"""A request of a user, cut into units that are short enough to take turns."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jupyter_astroml.core.jobs import Answer
from jupyter_astroml.pool.costs import Costs

# Until a kind of work was measured, a unit is as small as this.
_FIRST_UNIT = 8


@dataclass(frozen=True)
class Kind:
    """What makes objects computable together.

    Attributes
    ----------
    model, digest : str
    operation : str
        Name in the closed table of `jupyter_astroml.pool.runner`.
    shape : tuple of int
        Of one object.
    exact : bool
        The bits of an answer depend on nothing but the object: never merged, batches padded.
    """

    model: str
    digest: str
    operation: str
    shape: tuple[int, ...]
    exact: bool = False


@dataclass(frozen=True)
class Spooled:
    """Objects in a file, one after the other as little-endian float32.

    Attributes
    ----------
    path : Path
    shape : tuple of int
        The number of objects first.
    start : int
        Objects before the first one.
    """

    path: Path
    shape: tuple[int, ...]
    start: int = 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Spooled:
        """Return some of the objects, which are still in the file."""
        start, stop, _ = rows.indices(len(self))
        return Spooled(self.path, (stop - start, *self.shape[1:]), self.start + start)

    def read(self) -> np.ndarray:
        """Read the objects.

        Nothing is kept open or mapped for what waits: a user may have thousands of files here.

        Raises
        ------
        OSError
            If there is no such file.
        ValueError
            If it is too short.
        """
        each = math.prod(self.shape[1:])
        found = np.fromfile(
            self.path, dtype="<f4", count=len(self) * each, offset=4 * self.start * each
        )
        return found.reshape(self.shape)


class Request:
    """Objects of one user that are to be computed in the same way.

    Parameters
    ----------
    user : str
    kind : Kind
    values : ndarray or Spooled
        float32, shape (n, ...); rows are read when their unit's turn comes.
    costs : Costs
        Tells how many objects a unit may have.
    unit_seconds : callable
        Returns how long a unit should take, when one is cut.
    unit_objects : int
        Most of a unit.

    Attributes
    ----------
    answer : Future of Answer
        Cancelling it gives the request up.
    failures : int
        Objects on which the model failed so far.
    """

    def __init__(
        self,
        user: str,
        kind: Kind,
        values: np.ndarray | Spooled,
        *,
        costs: Costs,
        unit_seconds: Callable[[], float],
        unit_objects: int,
    ) -> None:
        self.user = user
        self.kind = kind
        self.values = values
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.failures = 0
        self._costs = costs
        self._seconds = unit_seconds
        self._most = unit_objects
        self._outputs: np.ndarray | None = None
        self._status = np.zeros(len(values), dtype=np.uint8)
        self._left = len(values)

    @property
    def over(self) -> bool:
        """Whether nobody waits for it: answered, failed or cancelled."""
        return self.answer.done()

    def unit(self, start: int = 0) -> Unit | None:
        """Cut the unit that begins at this object; None behind the last one."""
        if start >= len(self.values):
            return None
        most = self._most if self._costs.known(self.kind) else min(self._most, _FIRST_UNIT)
        count = self._costs.objects(self.kind, seconds=self._seconds(), most=most)
        return Unit(self, start, min(start + count, len(self.values)))

    def seconds(self, objects: int) -> float:
        """Return the worker time that a unit of so many objects is expected to take."""
        return self._costs.seconds(self.kind, objects)

    def seconds_of_rest(self, start: int) -> float:
        """Return the worker time of all units from this object on."""
        rest = len(self.values) - start
        if rest <= 0:
            return 0.0
        whole = self._costs.objects(self.kind, seconds=self._seconds(), most=self._most)
        return math.ceil(rest / whole) * self.seconds(0) + rest * self.each

    @property
    def each(self) -> float:
        """Worker time that one more object adds to a batch."""
        return self._costs.each(self.kind)

    @property
    def batch_seconds(self) -> float:
        """Worker time that a batch of such objects should take."""
        return self._costs.aim(self.kind, seconds=self._seconds())

    def keep(self, start: int, outputs: np.ndarray | None, status: np.ndarray) -> None:
        """Take in what became of some objects; the last ones answer the request."""
        stop = start + len(status)
        if outputs is not None:
            if self._outputs is None:
                shape = (len(self.values), *outputs.shape[1:])
                self._outputs = np.full(shape, np.nan, dtype=np.float32)
            self._outputs[start:stop] = outputs
        self._status[start:stop] = status
        self._left -= len(status)
        if self._left == 0 and not self.over:
            found = self._outputs
            if found is None:
                found = np.full((len(self.values), 0), np.nan, dtype=np.float32)
            self.answer.set_result(Answer(found, self._status))

    def fail(self, err: BaseException) -> None:
        """Answer with an error."""
        if not self.over:
            self.answer.set_exception(err)


class Unit:
    """Some consecutive objects of a request, computed in one go.

    Attributes
    ----------
    deaths : int
        How often a worker died, or had to be ended, with it.
    apart : bool
        Not to be computed together with others: something went wrong with it.
    """

    def __init__(self, request: Request, start: int, stop: int) -> None:
        self.request = request
        self.start = start
        self.stop = stop
        self.deaths = 0
        self.apart = False
        # Fixed when the unit is cut, so that what was charged is what is corrected later.
        self.seconds = request.seconds(stop - start)
        self._follows = True
        self._held: np.ndarray | None = None

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def user(self) -> str:
        """Who asked for it."""
        return self.request.user

    @property
    def kind(self) -> Kind:
        """Units of one kind can be computed together."""
        return self.request.kind

    @property
    def mergeable(self) -> bool:
        """Whether it may share a batch with other units."""
        return not (self.kind.exact or self.apart or self.deaths)

    @property
    def seconds_in_all(self) -> float:
        """Worker time of this unit and of all that follow it."""
        rest = self.request.seconds_of_rest(self.stop) if self._follows else 0.0
        return self.seconds + rest

    @property
    def added(self) -> float:
        """Worker time that it adds to a batch of others."""
        return len(self) * self.request.each

    @property
    def batch_seconds(self) -> float:
        """Worker time that a batch with it should take."""
        return self.request.batch_seconds

    @property
    def on_trial(self) -> bool:
        """Whether it is still to be found out if this unit kills workers.

        Cancelling after the first death does not end the trial, or workers could be killed for ever
        and nobody be blamed.  The second death is counted, and then nobody waits for more.
        """
        answer = self.request.answer
        return not answer.done() or (answer.cancelled() and self.deaths < 2)

    def hold(self) -> np.ndarray:
        """Read the values of the objects, shape (n, ...), and keep them until the unit is done.

        A unit that is suspected of killing workers is tried again, even if what it came from is
        deleted by then.

        Raises
        ------
        OSError, ValueError
            If what waited in the spool is not there, or not all of it.
        """
        values = self.values
        self._held = values.read() if isinstance(values, Spooled) else values
        return self._held

    @property
    def values(self) -> np.ndarray | Spooled:
        """Values of the objects, where they are now."""
        return self.request.values[self.start : self.stop] if self._held is None else self._held

    def following(self) -> Unit | None:
        """Cut the next unit of the request, once."""
        if not self._follows or self.request.over:
            return None
        self._follows = False
        return self.request.unit(self.stop)

    def halves(self) -> list[Unit]:
        """Cut the unit in two; both are tried like the whole was."""
        middle = (self.start + self.stop) // 2
        return [self._part(self.start, middle), self._part(middle, self.stop)]

    def objects(self) -> list[Unit]:
        """Cut the unit into its single objects, each to be tried alone."""
        return [self._part(i, i + 1) for i in range(self.start, self.stop)]

    def keep(self, outputs: np.ndarray | None, status: np.ndarray) -> None:
        """Give the request what became of the objects."""
        self.request.keep(self.start, outputs, status)

    def give_up(self, status: int) -> None:
        """Leave all objects without an answer."""
        self.keep(None, np.full(len(self), status, dtype=np.uint8))

    def _part(self, start: int, stop: int) -> Unit:
        part = Unit(self.request, start, stop)
        part.deaths, part.apart, part._follows = self.deaths, self.apart, False
        if self._held is not None:
            part._held = self._held[start - self.start : stop - self.start]
        return part
