"""Users whose inputs crash one worker after the other have to wait."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from jupyter_astroml.pool.errors import PoolError

WINDOW_SECONDS = 600.0


class Strikes:
    """Crashes of workers that each user's inputs caused in the last ten minutes.

    Parameters
    ----------
    most : callable
        ``most(user)``: with so many, the user's requests are refused until the window has passed.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self,
        most: Callable[[str], int] = lambda _: 8,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._clock = clock
        self._seen: dict[str, deque[float]] = {}

    def add(self, user: str) -> bool:
        """Count a crash; tell whether it was one too many."""
        self._recent(user).append(self._clock())
        return self.count(user) >= self._most(user)

    def count(self, user: str) -> int:
        """Return the crashes in the window."""
        return len(self._recent(user)) if user in self._seen else 0

    def check(self, user: str) -> None:
        """Refuse a user who has to wait.

        Raises
        ------
        PoolError
        """
        if user in self._seen and self.count(user) >= self._most(user):
            raise self.error(user)

    def error(self, user: str) -> PoolError:
        """Return what such a user is told."""
        seen = self._recent(user)
        wait = max(1.0, WINDOW_SECONDS - (self._clock() - seen[0])) if seen else WINDOW_SECONDS
        return PoolError(
            429,
            "suspended",
            "The pool takes no work from you for a while",
            cause=f"your inputs crashed its workers {len(seen)} times in ten minutes",
            remedy="look at the objects whose status says so; leave them out",
            retry_after=wait,
        )

    def _recent(self, user: str) -> deque[float]:
        seen = self._seen.setdefault(user, deque())
        while seen and self._clock() - seen[0] > WINDOW_SECONDS:
            seen.popleft()
        return seen
