"""Whose turn it is: deficit round robin in seconds of worker time.

Shreedhar & Varghese 1996, section III: each user in turn is credited a quantum, and is served while
the credit lasts.  Here the price of a unit is the time that it is expected to take, so that a user
who asks for expensive work gets fewer objects done, not a larger part of the workers.

Nothing here waits, sleeps or knows the time: the dispatcher asks, and tests can ask too.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar


class Unit(Protocol):
    """A piece of work that is done in one go."""

    @property
    def user(self) -> str:
        """Who asked for it."""

    @property
    def kind(self) -> Hashable:
        """Units of one kind can be computed together."""

    @property
    def mergeable(self) -> bool:
        """Whether it may share a batch with other units."""

    @property
    def seconds(self) -> float:
        """Worker time that it is expected to take."""

    @property
    def seconds_in_all(self) -> float:
        """Worker time of this unit and of all that follow it."""

    @property
    def added(self) -> float:
        """Worker time that it adds to a batch of others: less than it takes alone."""

    @property
    def batch_seconds(self) -> float:
        """Worker time that a batch with it should take at most, unless it takes longer alone."""

    def __len__(self) -> int:
        """Return the number of objects."""

    def following(self) -> Any:
        """Return the next unit of the same request, cut now that this one is taken."""


U = TypeVar("U", bound=Unit)


@dataclass
class _Line(Generic[U]):
    """What one user waits for, and the user's credit in seconds."""

    units: deque[U] = field(default_factory=deque)
    credit: float = 0.0


class FairQueue(Generic[U]):
    """Units that wait, served in fair order.

    Parameters
    ----------
    quantum : float
        Seconds of credit a turn brings to a user with a share of 1.
        About half a unit: the order is then fair to within a unit or two.
    share : callable
        ``share(user)``: worker time relative to other users, who have 1.
    """

    def __init__(
        self, *, quantum: float = 0.05, share: Callable[[str], float] = lambda _: 1.0
    ) -> None:
        self._quantum = quantum
        self._share = share
        # The first user's turn is next.
        self._lines: OrderedDict[str, _Line[U]] = OrderedDict()
        # What users owe who wait for nothing, as (round, credit): with the rounds it is paid back.
        self._debts: dict[str, tuple[float, float]] = {}
        self._round = 0.0

    def __len__(self) -> int:
        return sum(len(line.units) for line in self._lines.values())

    def __iter__(self) -> Iterator[U]:
        for line in self._lines.values():
            yield from line.units

    @property
    def users(self) -> list[str]:
        """Who waits."""
        return list(self._lines)

    def put(self, unit: U, *, first: bool = False) -> None:
        """Add a unit at the end of its user's line, or at its head to try again."""
        line = self._lines.get(unit.user)
        if line is None:
            line = self._lines[unit.user] = _Line(credit=self._owed(unit.user))
        if first:
            line.units.appendleft(unit)
        else:
            line.units.append(unit)

    def take(self, *, objects: int = 1) -> list[U]:
        """Return the units whose turn it is: one, and others of its kind that fit beside it.

        Parameters
        ----------
        objects : int
            Most in a batch of several units; a single unit may be larger.
            Its time is limited by the first unit's ``batch_seconds``.

        Returns
        -------
        list of Unit
            Of one kind, of any users; empty when nothing waits.
        """
        first = self._next()
        if first is None:
            return []
        batch = [first]
        if first.mergeable:
            batch += self._beside(first, objects - len(first), first.batch_seconds - first.seconds)
        return batch

    def charge(self, user: str, seconds: float) -> None:
        """Correct a user's credit, when a unit took longer than expected (or shorter)."""
        line = self._lines.get(user)
        if line is not None:
            line.credit -= seconds
        else:
            self._owe(user, self._owed(user) - seconds)

    def drop(self, unwanted: Callable[[U], bool]) -> list[U]:
        """Take out and return every unit that is unwanted."""
        dropped: list[U] = []
        for user, line in list(self._lines.items()):
            kept: deque[U] = deque()
            for unit in line.units:
                (dropped if unwanted(unit) else kept).append(unit)
            line.units = kept
            if not kept:
                self._leave(user, line)
        return dropped

    @property
    def shared(self) -> bool:
        """Whether several users wait."""
        return len(self._lines) > 1

    def waiting(self) -> dict[str, float]:
        """Return the seconds of work that each user waits for."""
        return {
            user: sum(unit.seconds_in_all for unit in line.units)
            for user, line in self._lines.items()
        }

    def ahead(self, user: str, waiting: Mapping[str, float]) -> float:
        """Return the seconds of others' work that will be done before this user's last unit.

        While a user has so much to do, everybody else gets as much as the shares say, or all that
        they wait for if that is less.
        """
        own = waiting.get(user, 0.0) / self._share(user)
        return sum(
            min(own * self._share(other), seconds)
            for other, seconds in waiting.items()
            if other != user
        )

    def _next(self) -> U | None:
        passed = 0
        while self._lines:
            if passed >= len(self._lines):
                self._skip_rounds()
                passed = 0
            user, line = next(iter(self._lines.items()))
            if line.credit >= line.units[0].seconds:
                return self._pop(user, line)
            line.credit += self._quantum * self._share(user)
            self._round += 1 / len(self._lines)
            self._lines.move_to_end(user)
            passed += 1
        return None

    def _skip_rounds(self) -> None:
        """Give everybody the rounds in which nobody could be served, in one step."""
        rounds = min(
            (line.units[0].seconds - line.credit) / (self._quantum * self._share(user))
            for user, line in self._lines.items()
        )
        if rounds > 1:
            self._round += int(rounds)
            for user, line in self._lines.items():
                line.credit += int(rounds) * self._quantum * self._share(user)

    def _pop(self, user: str, line: _Line[U]) -> U:
        unit = line.units.popleft()
        line.credit -= unit.seconds
        following = unit.following()
        if following is not None:
            line.units.appendleft(following)
        if not line.units:
            self._leave(user, line)
        return unit

    def _leave(self, user: str, line: _Line[U]) -> None:
        """Take away an empty line.

        Who does not wait saves no credit, or could claim all workers later; what is owed stays, or
        asking for one thing at a time would be a way to pay nothing.
        """
        del self._lines[user]
        self._owe(user, line.credit)

    def _owe(self, user: str, credit: float) -> None:
        if not self._lines:
            # Nobody was kept waiting.
            self._debts.clear()
        elif credit < 0:
            self._debts[user] = (self._round, credit)
        else:
            self._debts.pop(user, None)

    def _owed(self, user: str) -> float:
        """Return the credit of a user who waits for nothing: zero, or less."""
        since, credit = self._debts.get(user, (self._round, 0.0))
        return min(0.0, credit + (self._round - since) * self._quantum * self._share(user))

    def _beside(self, first: U, objects: int, seconds: float) -> list[U]:
        """Take the heads of lines that can be computed together with `first`.

        They come before their turn, which costs nobody anything, and are charged for it.
        """
        found: list[U] = []
        if objects < 1 or seconds < first.added / len(first):
            # No object of this kind fits: with many users, a look at all of their lines costs more
            # than everything else here.
            return found
        # The user of the batch comes last: sharing it is of more use to the others.
        order = [user for user in self._lines if user != first.user] + [first.user]
        for user in order:
            while line := self._lines.get(user):
                head = line.units[0]
                if head.kind != first.kind or not head.mergeable:
                    break
                if len(head) > objects or head.added > seconds:
                    break
                objects, seconds = objects - len(head), seconds - head.added
                found.append(self._pop(user, line))
        return found
