"""How often the model and its baseline agree with the volunteers of Galaxy Zoo."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.models.evaluation import Evaluation, bootstrap, measure
from jupyter_astroml.zoo import forest, scores
from jupyter_astroml.zoo.galaxy_morphology import baseline, real
from jupyter_astroml.zoo.galaxy_morphology.simulate import CLASSES
from jupyter_astroml.zoo.judging import Judged, baseline_folder, model_of

if TYPE_CHECKING:
    from astropy.table import Table

    from jupyter_astroml.models.loading import Model

NAME = "galaxy_morphology"
TRAINING_IDS = "training_ids.txt"
HERE = Path(__file__).parent
# Pictures of this many objects are in memory at once.
_BLOCK = 256


def evaluate(
    folder: Path | str,
    *,
    model: Model | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score a model and a baseline on labelled pictures that training did not see.

    Parameters
    ----------
    folder : Path
        In the layout of `jupyter_astroml.zoo.galaxy_morphology.real`.
    model : Model, optional
        Of this architecture, by default the bundled one.
        Its folder tells which objects its training used; where it brings no baseline, the bundled
        one stands beside it.
    seed : int
        Of the bootstrap over objects.
    progress : callable, optional
        Called with the number of objects done and the total.

    Returns
    -------
    Evaluation
        Main metric: macro-F1, the mean F1 of the classes that occur.

    Raises
    ------
    DataError
        If the folder is not of the layout, or holds no unseen object.
    ModelError
        If the model is not trained, or names other classes.
    """
    model = model_of(model, NAME, names=CLASSES)
    files, usual_files = model.folder or HERE, baseline_folder(model, HERE)
    table = real.labels(folder)
    taught = training_ids(files) | training_ids(usual_files)
    seen = np.isin(np.asarray(table["id"]), list(taught))
    unsure = np.asarray(table["label"] == "")
    table = table[~seen & ~unsure]
    if not len(table):
        raise DataError(
            f"{Path(folder).name} holds no object to score",
            cause=f"{seen.sum()} were used in training, {unsure.sum()} have no class",
            remedy="give labelled objects that the model has not seen",
        )
    classes = np.array([CLASSES.index(label) for label in table["label"]])
    p, usual, threshold = _answers(folder, table, model, files=usual_files, progress=progress)
    judged = Judged(classes, p, usual, seed=seed)
    metrics = {
        "accuracy": judged.both(scores.accuracy),
        "negative_log_likelihood": judged.both(scores.surprise),
        "expected_calibration_error": judged.both(scores.calibration_error),
        **judged.by_class(CLASSES, scores.recall, scores.precision, scores.f1),
    }
    if threshold is not None:
        covered = partial(scores.covered, threshold=threshold)
        metrics["conformal_coverage"] = measure(bootstrap(covered, classes, p, seed=seed))
        size = partial(scores.set_size, threshold=threshold)
        metrics["conformal_set_size"] = measure(bootstrap(size, p, seed=seed))
    return Evaluation(
        model=model.card.id,
        data=Path(folder).resolve().name,
        n=len(table),
        metric="macro_f1",
        **judged.main(scores.macro_f1),
        higher_is_better=True,
        baseline=baseline.NAME,
        seed=seed,
        metrics=metrics,
        split="labelled objects of the folder that training did not see"
        if (files / TRAINING_IDS).exists()
        else "labelled objects of the folder; the model does not tell which ones its training used",
        excluded=int((seen | unsure).sum()),
        excluded_why=(
            f"{int((seen & ~unsure).sum())} were used in training, "
            f'{int(unsure.sum())} have the class "don\'t know"'
        ),
        notes=_NOTES,
    )


_NOTES = (
    "Classes are those that most volunteers chose; their noise bounds what any method can reach. "
    "Clockwise and anticlockwise spirals are one class. "
    f"Prediction sets promise to hold {scores.LEVEL:.0%} of the true classes. "
    "Intervals: 95 %, bootstrap over objects."
)


def training_ids(files: Path | None = None) -> set[str]:
    """Return the ids of the objects that training used; empty for an untrained model."""
    path = (files or HERE) / TRAINING_IDS
    return set(path.read_text().split()) if path.exists() else set()


def _answers(
    folder: Path | str,
    table: Table,
    model: Model,
    *,
    files: Path,
    progress: Callable[[int, int], None] | None,
) -> tuple[np.ndarray, np.ndarray, float | None]:
    """Return the probabilities of model and baseline, and the conformal threshold of the card."""
    found, features = [], []
    for start in range(0, len(table), _BLOCK):
        block = table[start : start + _BLOCK]
        cutouts, _ = real.read(folder, ids=block["id"])
        values = model.prepare(cutouts).samples.values
        found.append(scores.softmax(model.logits(values).astype(np.float64)).mean(axis=0))
        features.append(baseline.measure(cutouts.values))
        if progress:
            progress(start + len(block), len(table))
    usual = forest.probabilities(
        files / forest.FILE, np.concatenate(features), names=CLASSES, columns=baseline.FEATURES
    )
    calibration = model.card.facts.calibration if model.card.facts else {}
    return np.concatenate(found), usual, calibration.get("conformal_threshold")
