"""How many simulated detections the model and its baseline miss, where the truth is known.

Surveys judge such filters by the share of real detections that are missed when a fixed share of the
bogus ones comes through (Brink et al. 2013, MNRAS 435, 1047).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jupyter_astroml.models.evaluation import Evaluation, bootstrap, measure
from jupyter_astroml.zoo import forest, scores
from jupyter_astroml.zoo.judging import Judged
from jupyter_astroml.zoo.real_bogus import baseline
from jupyter_astroml.zoo.real_bogus.simulate import BOGUS, CLASSES, REAL, simulate

if TYPE_CHECKING:
    from astropy.table import Table

    from jupyter_astroml.models.loading import Model

# Share of the bogus detections that may come through.
ALLOWED = 0.01
# Alerts that are judged; their seed is so far from those of the training, which are small.
JUDGED, _APART = 2_000, 1_000_003
# Significance of the detections that are told apart.
SNR = (5.0, 7.0, 10.0, 20.0, 50.0, np.inf)


def on_simulation(
    model: Model,
    files: Path,
    *,
    seed: int,
    n: int = JUDGED,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Judge a model on new simulated alerts.

    Parameters
    ----------
    model : Model
        Of this architecture.
    files : Path
        Folder that holds what the forest grows from.
    seed : int
        Of the bootstrap; the alerts have a seed of their own that no training used.
    n : int
        Number of alerts, half of them real.
    progress : callable, optional
        Called with the number of alerts done and the total.

    Returns
    -------
    Evaluation
        Main metric: the share of the real detections that is missed when one bogus detection in a
        hundred comes through.
    """
    cutouts, truth = simulate(n, seed=seed + _APART)
    values = model.prepare(cutouts).samples.values
    p, usual = answers(model, values, files, progress=progress)
    classes = np.array([CLASSES.index(label) for label in truth["label"]])
    judged = Judged(classes, p, usual, seed=seed)
    limits = [threshold(classes, each[:, 1]) for each in (p, usual)]
    lost = [each[:, 1] < limit for each, limit in zip((p, usual), limits, strict=True)]

    def gain(truth: np.ndarray, mine: np.ndarray, theirs: np.ndarray) -> float:
        return missed(truth, theirs) - missed(truth, mine)

    metrics = {"gain": measure(bootstrap(gain, classes, p, usual, seed=seed))}
    metrics |= {
        "auc": judged.both(scores.auc),
        "calibration_error": judged.both(scores.calibration_error),
        "threshold": measure(limits[0]),
    }
    return Evaluation(
        model=model.card.id,
        data="simulation",
        n=n,
        metric="share of the real alerts missed at one bogus in a hundred",
        **judged.main(missed),
        higher_is_better=False,
        baseline=baseline.NAME,
        seed=seed,
        metrics=metrics | _in_parts(truth, classes, lost),
        split="alerts of a seed that no training used",
        sample=f"{n} simulated alerts",
        curves=scores.curves(classes, p, usual, names=CLASSES),
        notes="'missed' are real alerts below the threshold, 'passed' bogus ones above it.",
    )


def answers(
    model: Model,
    values: np.ndarray,
    files: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities by the model and by its baseline, shape (n, 2) each.

    Parameters
    ----------
    model : Model
        Of this architecture.
    values : ndarray of float32, shape (n, 3, 63, 63)
        In the input contract.
    files : Path
        Folder that holds what the forest grows from.
    progress : callable, optional
        Called with the number of alerts done and the total.
    """
    p = scores.softmax(model.logits(values, progress=progress).astype(np.float64)).mean(axis=0)
    usual = forest.probabilities(
        files / forest.FILE,
        baseline.measure(values),
        names=CLASSES,
        columns=baseline.FEATURES,
    )
    return p, usual


def _in_parts(
    truth: Table, classes: np.ndarray, lost: list[np.ndarray]
) -> dict[str, dict[str, float]]:
    """Tell what is missed by significance and kind, and what comes through by kind."""
    kinds, snr = np.asarray(truth["kind"]), np.asarray(truth["snr"])

    def share(rows: np.ndarray, found: list[np.ndarray]) -> dict[str, float]:
        mine, theirs = (float(each[rows].mean()) for each in found)
        return measure(mine, baseline=theirs) | {"n": float(rows.sum())}

    parts = {
        f"missed, {_span(a, b)} sigma": (classes == 1) & (snr >= a) & (snr < b)
        for a, b in pairwise(SNR)
    } | {f"missed, {kind}": kinds == kind for kind in REAL}
    passed = [~each for each in lost]
    return {name: share(rows, lost) for name, rows in parts.items() if rows.any()} | {
        f"passed, {kind}": share(kinds == kind, passed) for kind in BOGUS if kind in kinds
    }


def _span(low: float, high: float) -> str:
    return f"{low:g} to {high:g}" if np.isfinite(high) else f"above {low:g}"


def threshold(classes: np.ndarray, score: np.ndarray) -> float:
    """Return the score that the allowed share of the bogus detections reaches.

    Parameters
    ----------
    classes : ndarray of int, shape (n,)
        1 for real.
    score : ndarray, shape (n,)
        Large for real.
    """
    return float(np.quantile(score[classes == 0], 1.0 - ALLOWED, method="higher"))


def missed(classes: np.ndarray, p: np.ndarray) -> float:
    """Share of the real detections below the threshold of the same alerts; NaN without a class."""
    if len(set(classes.tolist())) < len(CLASSES):
        return float("nan")
    return float((p[classes == 1, 1] < threshold(classes, p[:, 1])).mean())
