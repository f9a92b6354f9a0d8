"""How well the model and its baseline agree with the experts about candidates of Space Warps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError, ModelError
from jupyter_astroml.models.evaluation import Evaluation, bootstrap, measure
from jupyter_astroml.zoo import folds, forest, scores
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
    from jupyter_astroml.models.loading import load

    model = model or load(NAME)
    if model.card.outputs.names != real.CLASSES:
        raise ModelError("The card of the model names other classes than its data")
    files = model.folder or HERE
    usual_files = files if (files / forest.FILE).exists() else HERE
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
    metrics = _metrics(grade, p, usual, seed=seed)
    ids = np.asarray(table["id"])
    metrics["forest_of_candidates_auc"] = measure(_forest_of_candidates(features, classes, ids))
    main = bootstrap(scores.auc, classes, p, seed=seed)
    return Evaluation(
        model=model.card.id,
        data=Path(folder).resolve().name,
        n=len(classes),
        metric=f"AUC for an expert grade of {real.SURE:g} and above",
        value=main.value,
        low=main.low,
        high=main.high,
        higher_is_better=True,
        baseline=baseline.NAME,
        baseline_value=scores.auc(classes, usual),
        seed=seed,
        metrics=metrics,
        split="candidates that no training saw: network and baseline know simulation alone",
        sample=f"{len(classes)} candidates of Space Warps in CFHTLS",
        notes=_NOTES,
    )


def _metrics(
    grade: np.ndarray, p: np.ndarray, usual: np.ndarray, *, seed: int
) -> dict[str, dict[str, float]]:
    """Score ranks and probabilities."""
    classes = classes_of(grade)
    drawn = partial(bootstrap, seed=seed)

    def both(score: Callable[..., float], truth: np.ndarray) -> dict[str, float]:
        return measure(drawn(score, truth, p), baseline=score(truth, usual))

    def gain(truth: np.ndarray, mine: np.ndarray, theirs: np.ndarray) -> float:
        return scores.auc(truth, mine) - scores.auc(truth, theirs)

    sure = (grade >= _NEARLY_SURE).astype(int)
    return {
        "gain": measure(drawn(gain, classes, p, usual)),
        "rank_correlation": both(rank_correlation, grade),
        "auc_grade_2": both(scores.auc, sure),
        "expected_calibration_error": both(scores.calibration_error, classes),
        "negative_log_likelihood": both(scores.surprise, classes),
        **{
            f"n_{name}": measure(float((classes == k).sum())) for k, name in enumerate(real.CLASSES)
        },
    }


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
