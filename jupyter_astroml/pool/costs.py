"""What a batch costs on a worker, learned from what former ones took.

A batch takes ``fixed + each · n`` seconds: starting the layers of a network costs the same for one
object as for many.  On a CPU the fixed part is that of two or three objects, so that units must not
be too small, and that merging small requests pays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Before the first measurement; a wrong guess is corrected by the first unit.
_FIRST_GUESS = 2e-3
# How much a new measurement counts: the fit forgets in about ten units.
_NEW = 0.2
# Sizes that differ by less than a tenth say little about what is fixed.
_SPREAD = 0.1
# A line through two neighbours must not be followed far.
_GROWTH = 2.0
# Of a unit's time that may be fixed, if the unit does not get too long by it.
_FIXED_SHARE = 0.1
_LONGEST = 3.0
# Kinds of work that are remembered: a user may send light curves of any length.
_MOST_KINDS = 1000
# Networks work on micro-batches of this many objects; a unit is best a whole number of them.
_MICRO_BATCH = 64


@dataclass
class _Fit:
    """A line through the times of batches, by least squares that forget.

    Attributes
    ----------
    fixed, each : float
        Seconds of a batch, and of an object in it.
    largest : float
        About how many objects the largest batch of late had.
    """

    fixed: float = 0.0
    each: float = _FIRST_GUESS
    largest: float = 0.0
    _n: float = 0.0
    _t: float = 0.0
    _nn: float = 0.0
    _nt: float = 0.0

    def learn(self, n: int, t: float) -> None:
        new = _NEW if self.largest else 1.0
        self._n += new * (n - self._n)
        self._t += new * (t - self._t)
        self._nn += new * (n * n - self._nn)
        self._nt += new * (n * t - self._nt)
        self.largest = max(n, self.largest + new * (n - self.largest))
        # The steeper line is what the sizes say; where they are all alike, the fixed part
        # keeps its share of the time.
        told = self.each * self._t / (self.fixed + self.each * self._n)
        doubt = (_SPREAD * self._n) ** 2
        varied, together = self._nn - self._n**2, self._nt - self._n * self._t
        slope = (together + doubt * told) / (varied + doubt)
        # Neither part is negative.
        self.each = min(max(slope, 0.0), self._t / self._n)
        self.fixed = self._t - self.each * self._n


class Costs:
    """Seconds that batches of each kind of work take.

    A kind is whatever makes objects cost the same: model, digest, operation and shape.
    """

    def __init__(self) -> None:
        self._fits: dict[object, _Fit] = {}

    def seconds(self, kind: object, objects: float) -> float:
        """Return the seconds that a batch is expected to take."""
        fit = self._fits.get(kind, _UNKNOWN)
        return fit.fixed + fit.each * objects

    def each(self, kind: object) -> float:
        """Return the seconds that one more object in a batch is expected to take."""
        return self._fits.get(kind, _UNKNOWN).each

    def known(self, kind: object) -> bool:
        """Tell whether this kind of work was measured."""
        return kind in self._fits

    def learn(self, kind: object, *, objects: int, seconds: float) -> None:
        """Take in what a batch took."""
        if objects < 1 or not math.isfinite(seconds) or seconds <= 0:
            return
        # The kinds that were used last stand at the end.
        fit = self._fits[kind] = self._fits.pop(kind, _Fit())
        fit.learn(objects, seconds)
        if len(self._fits) > _MOST_KINDS:
            del self._fits[next(iter(self._fits))]

    def aim(self, kind: object, *, seconds: float) -> float:
        """Return how long a batch should take, where about so many seconds are wished for.

        It is longer, up to three times, where a batch so short would be spent on its fixed part.
        """
        fixed = self._fits.get(kind, _UNKNOWN).fixed
        return min(max(seconds, fixed / _FIXED_SHARE), _LONGEST * seconds)

    def objects(self, kind: object, *, seconds: float, most: int) -> int:
        """Return how many objects a batch should have, where so many seconds are wished for."""
        fit = self._fits.get(kind, _UNKNOWN)
        room = self.aim(kind, seconds=seconds) - fit.fixed
        limit = min(most, _GROWTH * fit.largest) if fit.largest else most
        count = min(room / fit.each, limit) if fit.each > 0 else limit
        if count >= _MICRO_BATCH:
            count = round(count / _MICRO_BATCH) * _MICRO_BATCH
        return max(1, min(most, round(count)))


_UNKNOWN = _Fit()
