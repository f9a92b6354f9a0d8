"""How far a map can be trusted: three checks that need no labels."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from jupyter_astroml.core.errors import DataError

from .methods import attribute, background, checked_targets, checked_values
from .passes import Progress, Scores, at_rest, scores_of

# Rank correlation with the map of an untrained network above which a map says little of what was
# learned (Adebayo et al. 2018, NeurIPS, show maps for which it stays near 1).
ALIKE = 0.7
# Part of the change of the score that may be missing (Sundararajan et al. 2017, section 5).
MISSED = 0.05


def completeness(
    module: Any,
    values: np.ndarray,
    maps: np.ndarray,
    *,
    targets: int | np.ndarray,
    baseline: float | np.ndarray | None = None,
    batch: int = 32,
) -> np.ndarray:
    """How far signed integrated gradients miss the change of the score that they should add up to.

    Parameters
    ----------
    module, values, targets, baseline, batch
        As given to `attribute`.
    maps : ndarray, shape of `values`
        What `attribute` returned for them.

    Returns
    -------
    ndarray of float, shape (n,)
        ``|sum(map) - change| / |change|``, where the change is the score of the data minus the
        score of the baseline.
        Sundararajan et al. (2017, section 5) ask for 0.05 or less; more `steps` lower it.
        Infinite where the score does not change but the map is not empty.

    Raises
    ------
    DataError
        If maps and data do not fit.
    """
    values, maps = _pair(values, maps)
    scores = Scores(module, checked_targets(targets, len(values)))
    x, base = scores.tensor(values), scores.tensor(background(values, baseline))
    import torch

    base = torch.where(torch.isfinite(x), base, x)
    ends = torch.stack([base, x])
    with at_rest(module):
        low, high = (
            scores_of(scores, len(x), lambda which, rows: ends[which, rows], repeats=2, batch=batch)
            .cpu()
            .double()
            .numpy()
        )
    change = high - low
    missed = np.abs(maps.reshape(len(maps), -1).sum(axis=1, dtype=np.float64) - change)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(missed == 0, 0.0, missed / np.abs(change))


@dataclass(frozen=True, eq=False)
class Deletion:
    """Score of each object while its values are replaced by the baseline.

    Attributes
    ----------
    fraction : ndarray, shape (s,)
        Part of the values that is gone.
    by_map : ndarray, shape (n, s)
        Score when the values with the largest attribution go first.
    by_chance : ndarray, shape (n, s)
        Score when they go in random order.
    """

    fraction: np.ndarray
    by_map: np.ndarray
    by_chance: np.ndarray

    @property
    def gain(self) -> np.ndarray:
        """Area between the curves, shape (n,), in units of the score.

        Positive where the map finds what the model uses better than chance does.
        """
        return np.trapezoid(self.by_chance - self.by_map, self.fraction, axis=1)


def deletion(
    module: Any,
    values: np.ndarray,
    maps: np.ndarray,
    *,
    targets: int | np.ndarray,
    steps: int = 20,
    baseline: float | np.ndarray | None = None,
    seed: int = 0,
    batch: int = 32,
    progress: Progress | None = None,
) -> Deletion:
    """Delete what a map calls important and watch the score fall (Samek et al. 2017).

    All bands of a pixel go together, in the order of their summed attribution.

    Parameters
    ----------
    module, values, targets, baseline, batch, progress
        As given to `attribute`.
    maps : ndarray, shape of `values`
        Attributions to be judged.
    steps : int
        Number of equal steps from nothing deleted to everything deleted.
    seed : int
        Of the random order.

    References
    ----------
    Samek et al. 2017, IEEE TNNLS 28, 2660 (arXiv:1509.06321).
    """
    import torch

    values, maps = _pair(values, maps)
    scores = Scores(module, checked_targets(targets, len(values)))
    x, base = scores.tensor(values), scores.tensor(background(values, baseline))
    base = torch.where(torch.isfinite(x), base, x)
    n = len(values)
    weight = maps.sum(axis=1).reshape(n, -1) if maps.ndim == 4 else maps
    size = weight.shape[1]
    rank_map = np.argsort(np.argsort(-weight, axis=1, kind="stable"), axis=1, kind="stable")
    rank_chance = np.random.default_rng(seed).permuted(np.tile(np.arange(size), (n, 1)), axis=1)
    fraction = np.linspace(0, 1, steps + 1)
    grid = (n, 1, *values.shape[2:]) if values.ndim == 4 else values.shape

    gone = torch.as_tensor(fraction * size, device=scores.device).reshape(-1, *[1] * x.ndim)

    def curve(rank: np.ndarray) -> np.ndarray:
        placed = torch.as_tensor(rank.reshape(grid), device=scores.device)
        found = scores_of(
            scores,
            n,
            lambda some, rows: torch.where(placed[rows] < gone[some], base[rows], x[rows]),
            repeats=len(fraction),
            batch=batch,
            progress=progress,
        )
        return found.T.cpu().numpy()

    with at_rest(module):
        return Deletion(fraction, curve(rank_map), curve(rank_chance))


def randomisation(
    module: Any,
    values: np.ndarray,
    *,
    targets: int | np.ndarray,
    method: str = "smoothgrad",
    seed: int = 0,
    **options: Any,
) -> np.ndarray:
    """Rank correlation of the maps with those of the same network without its learning.

    The entries of every weight tensor are shuffled in a copy of the module.
    A map that looks the same afterwards shows edges of the data, not what the model learned
    (Adebayo et al. 2018, arXiv:1810.03292).

    Parameters
    ----------
    module, values, targets, method, seed, **options
        As given to `attribute`.

    Returns
    -------
    ndarray, shape (n,)
        Spearman's coefficient of the magnitudes; near 0 is good, near 1 is bad.
    """
    import torch
    from scipy.stats import rankdata

    shuffled = copy.deepcopy(module)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in shuffled.parameters():
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.reshape(-1)[order].reshape(weight.shape))
    trained, random = (
        np.abs(attribute(net, values, targets=targets, method=method, seed=seed, **options))
        for net in (module, shuffled)
    )
    # What neither network looks at (the rim that a crop removes) would count as agreement.
    used = (trained > 0) | (random > 0)
    found = np.zeros(len(trained))
    for i, mask in enumerate(used):
        a, b = rankdata(trained[i][mask]), rankdata(random[i][mask])
        if a.size > 1 and a.std() > 0 and b.std() > 0:
            found[i] = np.corrcoef(a, b)[0, 1]
    return found


def _pair(values: np.ndarray, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, maps = checked_values(values), np.asarray(maps)
    if maps.shape != values.shape:
        raise DataError(
            f"Maps of shape {maps.shape} do not fit data of shape {values.shape}",
            remedy="give the maps that 'attribute' returned for these data",
        )
    return values, maps


def verdict(gain: float, alike: float, missed: float) -> str:
    """Say in words what the tests of a map found.

    Parameters
    ----------
    gain : float
        Of `deletion`.
    alike : float
        Of `randomisation`.
    missed : float
        Of `completeness`; NaN for maps without that property.

    Returns
    -------
    str
        Each reason for doubt; they can rule a map out, and never prove it right.
    """
    doubts = []
    if not gain > 0:
        doubts.append("the score does not fall faster where the map points than elsewhere")
    if alike > ALIKE:
        doubts.append("an untrained network gives much the same map")
    if missed > MISSED:
        doubts.append(f"the map leaves out {missed:.0%} of the change of the score")
    return "doubtful: " + "; ".join(doubts) if doubts else "no reason for doubt was found"
