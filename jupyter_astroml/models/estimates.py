"""Several numbers of one object, with what is not known about them: joint Gaussians and intervals.

A network for the task ``regress`` with k outputs gives k + k (k + 1) / 2 numbers an object: the
values, and the lower triangle of the Cholesky factor L of their covariance L Lᵀ, row by row, all in
the units of the card.

Calibration numbers that ``facts.json`` holds for such a model; without them a Gaussian is believed:

``width_68_NAME``, ``width_95_NAME``
    Half the width of the interval that held the truth of so many held-out objects, in standard
    deviations of the network: split conformal prediction with a normalised residual (Lei et al.
    2018, JASA 113, 1094, section 5.2).
``radius_68``, ``radius_95``
    The same for all outputs together: Mahalanobis radius of the ellipsoid, in the covariance that
    is widened to ``width_68``.
``spread_NAME``
    Standard deviation of the truth over the training objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jupyter_astroml.core.errors import ModelError

LEVELS = (0.68, 0.95)


@dataclass(frozen=True, eq=False)
class Estimates:
    """Values with their covariance.

    Attributes
    ----------
    names : tuple of str
        Of the k outputs.
    values : ndarray, shape (n, k)
    covariance : ndarray, shape (n, k, k)
    scatter : ndarray, shape (n, k)
        Variance of the values over the members, which is part of the covariance.
    """

    names: tuple[str, ...]
    values: np.ndarray
    covariance: np.ndarray
    scatter: np.ndarray

    @property
    def sigma(self) -> np.ndarray:
        """One standard deviation, shape (n, k)."""
        return np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))

    def distance(self, truth: np.ndarray) -> np.ndarray:
        """Return the Mahalanobis distance of the truth, shape (n,)."""
        off = np.asarray(truth) - self.values
        solved = np.linalg.solve(self.covariance, off[..., None])[..., 0]
        return np.sqrt(np.maximum((off * solved).sum(axis=1), 0.0))


def joined(logits: np.ndarray, names: Sequence[str]) -> Estimates:
    """Return the moments of the mixture of the Gaussians of all members.

    Parameters
    ----------
    logits : ndarray, shape (member, n, k + k (k + 1) / 2)
        Values and Cholesky factors.
    names : sequence of str
        Of the k outputs.

    Raises
    ------
    ModelError
        If the network gives another number of outputs.
    """
    logits, k = np.asarray(logits, dtype=np.float64), len(names)
    if logits.ndim != 3 or logits.shape[2] != k + k * (k + 1) // 2:
        raise ModelError(
            f"The network gives outputs of shape {logits.shape} for {k} numbers an object",
            remedy=f"return {k} values and the {k * (k + 1) // 2} numbers of a Cholesky factor",
        )
    factor = np.zeros((*logits.shape[:2], k, k))
    factor[..., *np.tril_indices(k)] = logits[..., k:]
    values = logits[..., :k]
    mean = values.mean(axis=0)
    off = values - mean
    within = (factor @ factor.swapaxes(-1, -2)).mean(axis=0)
    between = np.einsum("mni,mnj->nij", off, off) / len(logits)
    scatter = np.diagonal(between, axis1=1, axis2=2)
    return Estimates(tuple(names), mean, within + between, scatter)


def calibration(
    found: Estimates, truth: np.ndarray, *, alike: Sequence[Sequence[str]] = ()
) -> dict[str, float]:
    """Return the numbers that make intervals hold the truth as often as they say.

    Parameters
    ----------
    found : Estimates
        Of objects that training did not see.
    truth : ndarray, shape (n, k)
        In the units of the card.
    alike : sequence of sequence of str
        Outputs that a symmetry exchanges, such as x and y: they share a width, which is known
        better then.
    """
    off = np.abs(truth - found.values) / found.sigma
    numbers: dict[str, float] = {}
    for name in found.names:
        peers = next((group for group in alike if name in group), (name,))
        sizes = off[:, [found.names.index(peer) for peer in peers]].ravel()
        numbers |= {f"width_{_percent(level)}_{name}": _held(sizes, level) for level in LEVELS}
    distance = widened(found, numbers).distance(truth)
    numbers |= {f"radius_{_percent(level)}": _held(distance, level) for level in LEVELS}
    return numbers


def widened(found: Estimates, numbers: Mapping[str, float]) -> Estimates:
    """Return estimates whose standard deviation is half of the interval of 68 %.

    Parameters
    ----------
    found : Estimates
        As the network gives them.
    numbers : mapping
        From `calibration`, or nothing.
    """
    wide = np.array([numbers.get(f"width_68_{name}", 1.0) for name in found.names])
    return Estimates(
        found.names,
        found.values,
        found.covariance * np.outer(wide, wide),
        found.scatter * wide**2,
    )


def half_widths(found: Estimates, numbers: Mapping[str, float], *, level: float) -> np.ndarray:
    """Return half the width of the intervals of a level, shape (n, k).

    Parameters
    ----------
    found : Estimates
        As the network gives them.
    numbers : mapping
        From `calibration`, or nothing.
    level : {0.68, 0.95}
        Share of the truths that the intervals hold.
    """
    usual = {0.68: 1.0, 0.95: 1.96}[level]
    wide = [numbers.get(f"width_{_percent(level)}_{name}", usual) for name in found.names]
    return found.sigma * np.array(wide)


def _held(size: np.ndarray, level: float) -> float:
    """Return the ⌈(n + 1) · level⌉-th smallest, or the largest if there are too few."""
    rank = min(int(np.ceil((len(size) + 1) * level)), len(size))
    return float(np.sort(size)[rank - 1])


def _percent(level: float) -> int:
    return round(100 * level)
