"""How objects meet an input contract, in words that every kind of data shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from jupyter_astroml.models.cards import Range

# A network that divides the unit out takes any.
ANY = "any"
FITS, CONVERTED, OUTSIDE = "fits", "converted", "outside"
_RANK = {FITS: 0, CONVERTED: 1, OUTSIDE: 2}
# A larger share of missing values leaves too little of the object to judge.
MAX_MISSING = 0.2
# Errors that a pipeline quotes are wrong by a tenth or so; a range of signal-to-noise is that soft.
NOISE_MARGIN = 0.2
# Pixels that are so much coarser than the contract's may be interpolated.
MAX_STRETCH = 1.25


@dataclass(eq=False)
class Fit:
    """How each object meets the contract.

    Attributes
    ----------
    status : ndarray of str, shape (n,)
        ``fits``, ``converted`` or ``outside``.
    reasons : list of list of str
        How it was converted, why it is outside, or what could not be checked.
    """

    status: np.ndarray
    reasons: list[list[str]]

    @classmethod
    def good(cls, n: int) -> Fit:
        """Return a fit in which nothing is wrong yet."""
        return cls(np.full(n, FITS, dtype="U9"), [[] for _ in range(n)])

    @property
    def everyone(self) -> np.ndarray:
        """Mask of all objects, shape (n,)."""
        return np.ones(len(self.status), dtype=bool)

    def note(self, rows: np.ndarray, status: str, why: str | Callable[[int], str]) -> None:
        """Lower the status of some rows and say why."""
        for i in np.flatnonzero(rows):
            if _RANK[status] > _RANK[str(self.status[i])]:
                self.status[i] = status
            self.reasons[i].append(why if isinstance(why, str) else why(int(i)))

    def note_noise(self, ratio: np.ndarray, span: Range) -> None:
        """Compare signal-to-noise ratios, shape (n,), with those that a model takes."""
        known, soft = np.isfinite(ratio), 1 - NOISE_MARGIN
        self.note(~known, FITS, "the signal-to-noise ratio is unknown")
        self.note(
            known & ((ratio < span.low * soft) | (ratio > span.high / soft)),
            OUTSIDE,
            lambda i: (
                f"a signal-to-noise ratio of {ratio[i]:.3g}, not {span.low:g} to {span.high:g}"
            ),
        )

    def words(self) -> np.ndarray:
        """Return one text an object: ``fits``, ``converted: how`` or ``outside: why``.

        ``fits: the pixel scale is unknown`` says what could not be checked.
        """
        return np.array(
            [
                f"{s}: {'; '.join(r)}" if r else str(s)
                for s, r in zip(self.status, self.reasons, strict=True)
            ],
            dtype=str,
        )


@dataclass(frozen=True, eq=False)
class Prepared:
    """Samples in the shape and unit that the network takes.

    Attributes
    ----------
    samples : Cutouts, LightCurves or Spectra
        Finite everywhere.
    fit : Fit
    place : ndarray of int, shape (n, t), or None
        For light curves: where each given cadence stands on the even grid; -1 for padding.
    """

    samples: Any
    fit: Fit
    place: np.ndarray | None = None


def medians(values: np.ndarray) -> np.ndarray:
    """Return the median of the finite values in each row, NaN where there is none."""
    finite = [row[np.isfinite(row)] for row in values]
    return np.array([np.median(row) if len(row) else np.nan for row in finite])
