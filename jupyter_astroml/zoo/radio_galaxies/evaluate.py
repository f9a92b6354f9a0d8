"""How often the model and its baseline agree with the experts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.models.evaluation import Evaluation, bootstrap, measure
from jupyter_astroml.zoo import folds, forest, scores
from jupyter_astroml.zoo.judging import Judged, baseline_folder, model_of
from jupyter_astroml.zoo.radio_galaxies import baseline, real

if TYPE_CHECKING:
    from jupyter_astroml.models.loading import Model

NAME = "radio_galaxies"
TAUGHT = "taught.csv"
HERE = Path(__file__).parent
# Images of sources that are closer than this overlap.
NEAR_ARCSEC = 300.0
# What `fr_scores` tells apart.
FR = ("FR I", "FR II")


def evaluate(
    folder: Path | str,
    *,
    model: Model | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score a model and a baseline on labelled sources, each by networks that did not see it.

    Parameters
    ----------
    folder : Path
        In the layout of `jupyter_astroml.zoo.radio_galaxies.real`.
    model : Model, optional
        Of this architecture, by default the bundled one.
    seed : int
        Of the bootstrap over sources.
    progress : callable, optional
        Called with the number of sources done and the total.

    Returns
    -------
    Evaluation
        Main metric: accuracy of FR I against FR II on the sources of which MiraBest is confident,
        or on all FR I and FR II where the folder has no MiraBest.

    Raises
    ------
    DataError
        If the folder is not of the layout, or holds no FR I or FR II.
    ModelError
        If the model is not trained, or names other classes.
    """
    model = model_of(model, NAME, names=real.CLASSES)
    usual_files = baseline_folder(model, HERE)
    cutouts, table = real.read(folder)
    fold = taught_folds(model.folder or HERE, table["ra"], table["dec"])
    scored = np.asarray((table["label"] != "") & (fold != folds.ALL_KNOW))
    excluded = int((~scored).sum())
    cutouts, table, fold = cutouts[scored], table[scored], fold[scored]
    sure = np.asarray(table["fr"] != "")
    confident = sure & np.asarray(table["confident"])
    judged = confident if confident.any() else sure
    if not judged.any():
        raise DataError(
            f"{Path(folder).name} holds no FR I or FR II source to score",
            remedy="give labelled sources of both classes",
        )
    values = model.prepare(cutouts).samples.values
    p = folds.answers(model, values, fold, progress=progress)
    usual = forest.probabilities(
        usual_files / forest.FILE,
        baseline.measure(light_of(values)[:, 0]),
        names=real.CLASSES,
        columns=baseline.FEATURES,
        fold=taught_folds(usual_files, table["ra"], table["dec"]),
    )
    fr, truth = fr_scores(p[judged], table["fr"][judged])
    usual_fr, _ = fr_scores(usual[judged], table["fr"][judged])
    two = Judged(truth, fr, usual_fr, seed=seed)
    metrics = {
        **_two(two),
        **_apart(two[fold[judged] == 0]),
        **_four(table, p, usual, model, seed=seed),
    }
    others = sure & ~judged
    if others.any():
        answered, known = fr_scores(p[others], table["fr"][others])
        beside, _ = fr_scores(usual[others], table["fr"][others])
        other = Judged(known, answered, beside, seed=seed)
        metrics["fr_accuracy_other_set"] = other.both(scores.accuracy)
        metrics["n_other_set"] = measure(float(others.sum()))
    out_of_fold = int((fold[judged] != folds.UNSEEN).sum())
    kind = "of which MiraBest is confident" if confident.any() else "of the set beside MiraBest"
    return Evaluation(
        model=model.card.id,
        data=Path(folder).resolve().name,
        n=int(judged.sum()),
        metric="FR I / FR II accuracy",
        **two.main(scores.accuracy),
        higher_is_better=True,
        baseline=baseline.NAME,
        seed=seed,
        metrics=metrics,
        split=_split(out_of_fold, len(truth)),
        sample=f"{int(judged.sum())} FR I and FR II sources {kind}",
        excluded=excluded,
        excluded_why="hybrids, and sources close to training sources of several folds",
        notes=_NOTES,
        curves=scores.curves(truth, fr, usual_fr, names=FR),
    )


def worst(folder: Path | str, model: Model) -> list[dict[str, Any]]:
    """Return the FR I and FR II sources that were told apart worst; see `folds.worst`."""
    cutouts, table = real.read(folder)
    fold = taught_folds(model.folder or HERE, table["ra"], table["dec"])
    sure = np.asarray(table["confident"] & (table["fr"] != "") & (fold != folds.ALL_KNOW))
    p = folds.answers(model, model.prepare(cutouts[sure]).samples.values, fold[sure])
    fr, truth = fr_scores(p, table["fr"][sure])
    return folds.worst(np.asarray(table["id"][sure]), truth, fr, names=FR)


_NOTES = (
    "FR I against FR II by the larger of p(FR I) + p(bent) and p(FR II): MiraBest counts its bent "
    "sources, wide-angle and head tails, as FR I. "
    "'other_set' are the FR I and FR II that are in FIRST's collection but not in MiraBest. "
    "'gain' is the accuracy of the network minus that of the baseline on the same sources. "
    "Intervals: 95 %, bootstrap over sources."
)


def _split(known: int, n: int) -> str:
    if known == 0:
        return "sources that training did not see, each by all members"
    if known == n:
        return "out of fold: each source by the member that did not see it nor its neighbours"
    return f"{known} sources out of fold, {n - known} that training did not see"


def taught_folds(files: Path, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Return the fold of each position that training knew, and `folds.UNSEEN` for the others.

    Parameters
    ----------
    files : Path
        Folder of the model.
    ra, dec : ndarray, shape (n,), degrees, ICRS
        Positions.
    """
    return folds.at_positions(files / TAUGHT, ra, dec, within_arcsec=NEAR_ARCSEC)


def light_of(values: np.ndarray) -> np.ndarray:
    """Return what is left of images, shape (n, 1, y, x), when their noise is cut off; 0 to 1."""
    import torch

    from jupyter_astroml.zoo.radio_galaxies.network import cleaned

    return cleaned(torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))).numpy()


def fr_scores(p: np.ndarray, fr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities of FR I and FR II, shape (n, 2), and the true index, shape (n,).

    Parameters
    ----------
    p : ndarray, shape (n, 4)
        Of `real.CLASSES`; bent sources count as FR I, as in MiraBest.
    fr : ndarray of str, shape (n,)
        ``fr1`` or ``fr2``.
    """
    two = np.stack([p[:, 0] + p[:, 3], p[:, 1]], axis=1) + 1e-9
    return two / two.sum(axis=1, keepdims=True), (np.asarray(fr) == "fr2").astype(int)


def _two(two: Judged) -> dict[str, dict[str, float]]:
    """Score FR I against FR II."""
    return {
        "gain": two.gain(scores.accuracy),
        "fr_auc": two.both(scores.auc),
        "fr1_recall": two.both(partial(scores.recall, of=0)),
        "fr2_recall": two.both(partial(scores.recall, of=1)),
        "fr_calibration_error": two.both(scores.calibration_error),
        "fr_negative_log_likelihood": two.both(scores.surprise),
    }


def _apart(untouched: Judged) -> dict[str, dict[str, float]]:
    """Score the fold that no choice was made on."""
    n = len(untouched.truth)
    if not n:
        return {}
    return {
        "fr_accuracy_untouched_fold": untouched.both(scores.accuracy),
        "n_untouched_fold": measure(float(n)),
    }


def _four(
    table: object, p: np.ndarray, usual: np.ndarray, model: Model, *, seed: int
) -> dict[str, dict[str, float]]:
    """Score all four classes on all sources."""
    classes = np.array([real.CLASSES.index(label) for label in table["label"]])  # type: ignore[index]
    four = Judged(classes, p, usual, seed=seed)
    found = {
        "n_four_classes": measure(float(len(classes))),
        "accuracy": four.both(scores.accuracy),
        "macro_f1": four.both(scores.macro_f1),
        "expected_calibration_error": four.both(scores.calibration_error),
        **four.by_class(real.CLASSES, scores.recall, scores.precision),
    }
    calibration = model.card.facts.calibration if model.card.facts else {}
    if "conformal_threshold" in calibration:
        covered = partial(scores.covered, threshold=calibration["conformal_threshold"])
        found["conformal_coverage"] = measure(bootstrap(covered, classes, p, seed=seed))
    return found
