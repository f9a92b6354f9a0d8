"""How well the model and its baseline agree with the experts about candidates of Space Warps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.models.evaluation import Evaluation, measure
from jupyter_astroml.zoo import folds, forest, scores
from jupyter_astroml.zoo.judging import Judged, baseline_folder, model_of
from jupyter_astroml.zoo.lens_finder import baseline, real

if TYPE_CHECKING:
    from jupyter_astroml.models.loading import Model

NAME = "lens_finder"
HERE = Path(__file__).parent
# Folds of the forests that learn from candidates.
_FOLDS = 5
# Grade of the candidates that experts were nearly sure of.
_NEARLY_SURE = 2.0


def evaluate(
    folder: Path | str,
    *,
    model: Model | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score a model and a baseline, both taught by simulation alone, on graded candidates.

    Parameters
    ----------
    folder : Path
        In the layout of `jupyter_astroml.zoo.lens_finder.real`.
    model : Model, optional
        Of this architecture, by default the bundled one.
    seed : int
        Of the bootstrap over candidates.
    progress : callable, optional
        Called with the number of candidates done and the total.

    Returns
    -------
    Evaluation
        Main metric: area under the receiver operating characteristic for a grade of `real.SURE`
        and above.

    Raises
    ------
    DataError
        If the folder is not of the layout, or has lenses only, or none.
    ModelError
        If the model is not trained, or names other classes.
    """
    model = model_of(model, NAME, names=real.CLASSES)
    usual_files = baseline_folder(model, HERE)
    cutouts, table = real.read(folder)
    grade = np.asarray(table["grade"])
    classes = classes_of(grade)
    if len(set(classes.tolist())) < len(real.CLASSES):
        raise DataError(
            f"{Path(folder).name} lacks a class",
            remedy=f"give candidates with grades below {real.SURE:g} and above",
        )
    values = model.prepare(cutouts).samples.values
    p = scores.softmax(model.logits(values, progress=progress).astype(np.float64)).mean(axis=0)
    features = baseline.measure(values)
    usual = forest.probabilities(
        usual_files / forest.FILE, features, names=real.CLASSES, columns=baseline.FEATURES
    )
    judged = Judged(classes, p, usual, seed=seed)
    ids = np.asarray(table["id"])
    metrics = {
        "gain": judged.gain(scores.auc),
        "rank_correlation": replace(judged, truth=grade).both(rank_correlation),
        "auc_grade_2": replace(judged, truth=(grade >= _NEARLY_SURE).astype(int)).both(scores.auc),
        "expected_calibration_error": judged.both(scores.calibration_error),
        "negative_log_likelihood": judged.both(scores.surprise),
        **judged.by_class(real.CLASSES),
        "forest_of_candidates_auc": measure(_forest_of_candidates(features, classes, ids)),
    }
    return Evaluation(
        model=model.card.id,
        data=Path(folder).resolve().name,
        n=len(classes),
        metric=f"AUC for an expert grade of {real.SURE:g} and above",
        **judged.main(scores.auc),
        higher_is_better=True,
        baseline=baseline.NAME,
        seed=seed,
        metrics=metrics,
        split="candidates that no training saw: network and baseline know simulation alone",
        sample=f"{len(classes)} candidates of Space Warps in CFHTLS",
        notes=_NOTES,
        curves=scores.curves(classes, p, usual, names=real.CLASSES),
    )


def _forest_of_candidates(features: np.ndarray, classes: np.ndarray, ids: np.ndarray) -> float:
    """Return the area of forests that learned from the candidates of the other folds."""
    fold = np.array([folds.fold_of(name, folds=_FOLDS) for name in ids])
    p = np.full((len(classes), 2), 0.5)
    for k in range(_FOLDS):
        known, asked = fold != k, fold == k
        if asked.any() and known.any():
            p[asked] = forest.grown(features[known], classes[known], features[asked], k=2)
    return scores.auc(classes, p)


def rank_correlation(grade: np.ndarray, p: np.ndarray) -> float:
    """Spearman's correlation of grades and p(lens); NaN where one of them is constant."""
    from scipy.stats import rankdata

    ours, theirs = rankdata(p[:, 1]), rankdata(grade)
    if not np.ptp(ours) or not np.ptp(theirs):
        return float("nan")
    return float(np.corrcoef(ours, theirs)[0, 1])


def worst(folder: Path | str, model: Model) -> list[dict[str, Any]]:
    """Return the candidates about which model and experts differ most; see `folds.worst`."""
    cutouts, table = real.read(folder)
    logits = model.logits(model.prepare(cutouts).samples.values)
    p = scores.softmax(logits.astype(np.float64)).mean(axis=0)
    named = [
        f"{name} (grade {grade:g})" for name, grade in zip(table["id"], table["grade"], strict=True)
    ]
    return folds.worst(np.array(named), classes_of(table["grade"]), p, names=real.CLASSES, n=12)


def classes_of(grade: np.ndarray) -> np.ndarray:
    """Return the index into `real.CLASSES` of candidates with some grades."""
    return (np.asarray(grade) >= real.SURE).astype(int)


_NOTES = (
    "All candidates were picked by volunteers, so the others look like lenses too; the area says "
    "nothing about random galaxies. "
    "'gain' is the area of the network minus that of the baseline on the same candidates. "
    "'auc_grade_2' asks for a grade of 2 and above. "
    "'rank_correlation' is Spearman's, of p(lens) and grade. "
    "'forest_of_candidates_auc' is that of forests that learned the same measurements from the "
    "candidates of four folds and judged the fifth. "
    "Intervals: 95 %, bootstrap over candidates, each place on the sky once."
)
