"""How well the model and its baselines tell stars and galaxies of unseen fields apart."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.models.evaluation import Evaluation, measure
from jupyter_astroml.zoo import folds, forest, scores
from jupyter_astroml.zoo.judging import Judged, baseline_folder, model_of
from jupyter_astroml.zoo.star_galaxy import baseline, real

if TYPE_CHECKING:
    from jupyter_astroml.models.loading import Model

NAME = "star_galaxy"
TAUGHT = "taught.csv"
HERE = Path(__file__).parent


def evaluate(
    folder: Path | str,
    *,
    model: Model | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score a model and a baseline on labelled cutouts, each by networks that saw no such field.

    Parameters
    ----------
    folder : Path
        In the layout of `jupyter_astroml.zoo.star_galaxy.real`.
    model : Model, optional
        Of this architecture, by default the bundled one.
    seed : int
        Of the bootstrap over fields.
    progress : callable, optional
        Called with the number of cutouts done and the total.

    Returns
    -------
    Evaluation
        Main metric: area under the receiver operating characteristic of p(galaxy).

    Raises
    ------
    DataError
        If the folder is not of the layout, or lacks a class.
    ModelError
        If the model is not trained, or names other classes.
    """
    model = model_of(model, NAME, names=real.CLASSES)
    usual_files = baseline_folder(model, HERE)
    cutouts, table = real.read(folder)
    fields = np.asarray(table["field"])
    classes = np.array([real.CLASSES.index(label) for label in table["label"]])
    if len(set(classes.tolist())) < len(real.CLASSES):
        raise DataError(
            f"{Path(folder).name} lacks a class", remedy="give labelled stars and galaxies"
        )
    fold = taught_folds(model.folder or HERE, fields)
    p = folds.answers(model, model.prepare(cutouts).samples.values, fold, progress=progress)
    features = baseline.measure(light_of(cutouts.values))
    usual = forest.probabilities(
        usual_files / forest.FILE,
        features,
        names=real.CLASSES,
        columns=baseline.FEATURES,
        fold=taught_folds(usual_files, fields),
    )
    judged = Judged(classes, p, usual, seed=seed, groups=fields)
    core = features[:, baseline.FEATURES.index("core")]
    cut = baseline.ranked(core, classes, fields)
    metrics = {
        "auc_over_cutouts": replace(judged, groups=None).both(scores.auc),
        "gain": judged.gain(scores.auc),
        "concentration_cut_auc": measure(scores.auc(classes, np.stack([-cut, cut], axis=1))),
        "expected_calibration_error": judged.both(scores.calibration_error),
        "negative_log_likelihood": judged.both(scores.surprise),
        "accuracy": judged.both(scores.accuracy),
        **judged.by_class(real.CLASSES, scores.recall, scores.precision),
    }
    for field in np.unique(fields):
        rows = fields == field
        if min(np.bincount(classes[rows], minlength=2)) >= 5:
            metrics[f"auc_{field}"] = measure(
                scores.auc(classes[rows], p[rows]), baseline=scores.auc(classes[rows], usual[rows])
            )
    known = int((fold != folds.UNSEEN).sum())
    return Evaluation(
        model=model.card.id,
        data=Path(folder).resolve().name,
        n=len(classes),
        metric="AUC",
        **judged.main(scores.auc),
        higher_is_better=True,
        baseline=baseline.NAME,
        seed=seed,
        metrics=metrics,
        split="each cutout by the member that saw nothing of its field"
        if known == len(classes)
        else f"{len(classes) - known} cutouts of fields that training did not see, {known} others "
        "each by the member that saw nothing of its field",
        sample=f"{len(classes)} cutouts of {len(set(fields.tolist()))} fields",
        notes=_NOTES,
        curves=scores.curves(classes, p, usual, names=real.CLASSES),
    )


def worst(folder: Path | str, model: Model) -> list[dict[str, Any]]:
    """Return the cutouts that were judged worst; see `folds.worst`."""
    cutouts, table = real.read(folder)
    fold = taught_folds(model.folder or HERE, np.asarray(table["field"]))
    p = folds.answers(model, model.prepare(cutouts).samples.values, fold)
    classes = np.array([real.CLASSES.index(label) for label in table["label"]])
    return folds.worst(np.asarray(table["id"]), classes, p, names=real.CLASSES)


_NOTES = (
    "Objects recur in the exposures of a field, so intervals are 95 %, bootstrap over fields; "
    "'auc_over_cutouts' draws single cutouts, as if they were independent. "
    "'gain' is the area of the network minus that of the forest on the same draws. "
    "'concentration_cut_auc' ranks by the share of the light in the core alone, in the direction "
    "that the other fields show: in pictures that are cut off above, bright stars look flat."
)


def taught_folds(files: Path, fields: np.ndarray) -> np.ndarray:
    """Return the fold of each field that training knew, and `folds.UNSEEN` for the others.

    Parameters
    ----------
    files : Path
        Folder of the model.
    fields : ndarray of str, shape (n,)
        Names of telescope fields.
    """
    path = files / TAUGHT
    if not path.exists():
        return np.full(len(fields), folds.UNSEEN)
    with path.open(newline="", encoding="utf-8") as file:
        known = {row["field"]: int(row["fold"]) for row in csv.DictReader(file)}
    return np.array([known.get(str(field), folds.UNSEEN) for field in fields])


def light_of(values: np.ndarray) -> np.ndarray:
    """Return one-band cutouts of shape (n, 1, y, x) above the sky, in their noise, (n, y, x)."""
    import torch

    from jupyter_astroml.zoo.star_galaxy.network import above_sky

    light, noise = above_sky(torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)))
    return (light / noise[..., None, None])[:, 0].numpy()
