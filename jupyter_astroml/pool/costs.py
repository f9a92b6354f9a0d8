"""What an object costs on a worker, learned from what former ones took."""

from __future__ import annotations

import math

# Before the first measurement; a wrong guess is corrected by the first unit.
_FIRST_GUESS = 2e-3
# How much a new measurement counts: the mean forgets in about ten units.
_NEW = 0.2
# Networks work on micro-batches of this many objects; a unit is best a whole number of them.
_MICRO_BATCH = 64


class Costs:
    """Seconds an object of each kind of work takes, as a mean that forgets.

    A kind is whatever makes objects cost the same: model, digest, operation and shape.
    """

    def __init__(self) -> None:
        self._each: dict[object, float] = {}

    def each(self, kind: object) -> float:
        """Return the seconds that one object is expected to take."""
        return self._each.get(kind, _FIRST_GUESS)

    def known(self, kind: object) -> bool:
        """Tell whether this kind of work was measured."""
        return kind in self._each

    def learn(self, kind: object, *, objects: int, seconds: float) -> None:
        """Take in what a batch took."""
        if objects < 1 or not math.isfinite(seconds) or seconds <= 0:
            return
        each = seconds / objects
        before = self._each.get(kind)
        self._each[kind] = each if before is None else before + _NEW * (each - before)

    def objects(self, kind: object, *, seconds: float, most: int) -> int:
        """Return how many objects take about so many seconds.

        What a batch costs beside its objects is in the mean, so that sizes that are used settle
        where a whole batch takes this time.
        """
        count = seconds / self.each(kind)
        if count >= _MICRO_BATCH:
            count = round(count / _MICRO_BATCH) * _MICRO_BATCH
        return max(1, min(most, round(count)))
