"""How often the model and its baseline agree with the volunteers of Galaxy Zoo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.models.evaluation import Evaluation, bootstrap, measure
from jupyter_astroml.zoo import folds, forest, scores
from jupyter_astroml.zoo.galaxy_morphology import baseline, real
from jupyter_astroml.zoo.galaxy_morphology.simulate import CLASSES
from jupyter_astroml.zoo.judging import Judged, baseline_folder, model_of

if TYPE_CHECKING:
    from astropy.table import Table

    from jupyter_astroml.core.records import Cutouts
    from jupyter_astroml.models.loading import Model

NAME = "galaxy_morphology"
TRAINING_IDS = "training_ids.txt"
HERE = Path(__file__).parent
# Pictures of this many objects are in memory at once.
_BLOCK = 256
# Degrees by which so many objects are turned to see whether their answers stay.
ANGLES, TURNED = (15, 30, 45, 60, 75, 90), 250


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
        "gain": judged.gain(scores.macro_f1),
    }
    if threshold is not None:
        covered = partial(scores.covered, threshold=threshold)
        metrics["conformal_coverage"] = measure(bootstrap(covered, classes, p, seed=seed))
        size = partial(scores.set_size, threshold=threshold)
        metrics["conformal_set_size"] = measure(bootstrap(size, p, seed=seed))
    metrics |= turned_metrics(folder, table[:TURNED], model, p[:TURNED], seed=seed)
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
        curves=scores.curves(classes, p, usual, names=CLASSES),
    )


_NOTES = (
    "Classes are those that most volunteers chose; their noise bounds what any method can reach. "
    "Clockwise and anticlockwise spirals are one class. "
    "'gain' is the macro-F1 of the network minus that of the forest on the same draws. "
    f"'same_label' and 'largest_change' are of the first {TURNED} objects, turned by so many "
    "degrees: the share that keeps its answer, and the mean of the largest change of a "
    "probability. "
    f"Prediction sets promise to hold {scores.LEVEL:.0%} of the true classes. "
    "Intervals: 95 %, bootstrap over objects."
)


def worst(folder: Path | str, model: Model) -> list[dict[str, Any]]:
    """Return the unseen objects that were judged worst; see `folds.worst`."""
    table = real.labels(folder)
    seen = np.isin(np.asarray(table["id"]), list(training_ids(model.folder or HERE)))
    table = table[~seen & np.asarray(table["label"] != "")]
    p = np.concatenate([_probabilities(model, cutouts) for cutouts in _blocks(folder, table)])
    classes = np.array([CLASSES.index(label) for label in table["label"]])
    return folds.worst(np.asarray(table["id"]), classes, p, names=CLASSES)


def turned_metrics(
    folder: Path | str, table: Table, model: Model, p: np.ndarray, *, seed: int
) -> dict[str, dict[str, float]]:
    """Tell how far answers stay when pictures are turned, by the angle.

    Parameters
    ----------
    folder : Path
        Of the pictures.
    table : Table
        Objects to turn.
    model : Model
        To be asked.
    p : ndarray, shape (n, class)
        Its answers for the objects as they are.
    seed : int
        Of the bootstrap over objects.
    """
    import torch

    from jupyter_astroml.zoo.turning import turned_by

    blocks = list(_blocks(folder, table))
    found = {}
    for angle in ANGLES:
        again = np.concatenate(
            [
                _probabilities(
                    model,
                    replace(
                        cutouts,
                        values=turned_by(torch.from_numpy(cutouts.values), degrees=angle).numpy(),
                    ),
                )
                for cutouts in blocks
            ]
        )
        same = (again.argmax(axis=1) == p.argmax(axis=1)).astype(float)
        change = np.abs(again - p).max(axis=1)
        for name, each in (("same_label", same), ("largest_change", change)):
            found[f"{name}_{angle}"] = measure(bootstrap(np.mean, each, seed=seed))
    return found


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
    done = 0
    for cutouts in _blocks(folder, table):
        found.append(_probabilities(model, cutouts))
        features.append(baseline.measure(cutouts.values))
        done += len(cutouts)
        if progress:
            progress(done, len(table))
    usual = forest.probabilities(
        files / forest.FILE, np.concatenate(features), names=CLASSES, columns=baseline.FEATURES
    )
    calibration = model.card.facts.calibration if model.card.facts else {}
    return np.concatenate(found), usual, calibration.get("conformal_threshold")


def _blocks(folder: Path | str, table: Table) -> Iterator[Cutouts]:
    """Read the pictures of a table, so many at once."""
    for start in range(0, len(table), _BLOCK):
        yield real.read(folder, ids=table["id"][start : start + _BLOCK])[0]


def _probabilities(model: Model, cutouts: Cutouts) -> np.ndarray:
    logits = model.logits(model.prepare(cutouts).samples.values)
    return scores.softmax(logits.astype(np.float64)).mean(axis=0)
