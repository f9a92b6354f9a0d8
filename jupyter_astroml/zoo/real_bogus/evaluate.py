"""How far the model and its baseline agree with what others say of real alerts.

Nobody looked at these alerts: there is no truth here, only agreement.
What is missed, and what comes through, is measured on simulation, when no folder is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.models.evaluation import Evaluation, bootstrap, measure
from jupyter_astroml.zoo import scores
from jupyter_astroml.zoo.judging import Judged, baseline_folder, model_of
from jupyter_astroml.zoo.real_bogus import baseline, real
from jupyter_astroml.zoo.real_bogus.simulate import CLASSES
from jupyter_astroml.zoo.real_bogus.trial import answers, on_simulation

if TYPE_CHECKING:
    from jupyter_astroml.models.loading import Model

NAME = "real_bogus"
HERE = Path(__file__).parent
# Without a folder, new simulated alerts are judged.
SIMULATES = True
# Score of braai from which it calls an alert real; and below and above which it is sure.
HALF, SURE = 0.5, (0.1, 0.9)


def evaluate(
    folder: Path | str | None = None,
    *,
    model: Model | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Compare a model and its baseline with the published network, on real alerts.

    Parameters
    ----------
    folder : Path, optional
        In the layout of `jupyter_astroml.zoo.real_bogus.real`; without it see
        `jupyter_astroml.zoo.real_bogus.trial.on_simulation`.
    model : Model, optional
        Of this architecture, by default the bundled one.
    seed : int
        Of the bootstrap over objects.
    progress : callable, optional
        Called with the number of alerts done and the total.

    Returns
    -------
    Evaluation
        Main metric: area under the curve of p(real) for the alerts that braai calls real, against
        those that it calls bogus. It is agreement, not truth.

    Raises
    ------
    DataError
        If the folder is not of the layout, or braai calls all alerts the same.
    ModelError
        If the model is not trained, or names other classes.
    """
    model = model_of(model, NAME, names=CLASSES)
    usual_files = baseline_folder(model, HERE)
    if folder is None:
        return on_simulation(model, usual_files, seed=seed, progress=progress)
    cutouts, table = real.read(folder)
    braai = np.asarray(table["braai"])
    known = np.isfinite(braai)
    said = (braai[known] >= HALF).astype(int)
    if len(set(said.tolist())) < len(CLASSES):
        raise DataError(
            f"{Path(folder).name} has no alerts on both sides of braai's threshold",
            remedy="give alerts with scores of braai below and above 0.5",
        )
    values = model.prepare(cutouts).samples.values
    p, usual = (found[:, 1] for found in answers(model, values, usual_files, progress=progress))
    groups = np.asarray(table["object"])
    judged = Judged(said, p[known], usual[known], seed=seed, groups=groups[known])
    metrics = {
        **_with_braai(judged, braai[known]),
        **_with_survey(table, p, usual, seed=seed),
        **_with_rules(table, p, usual, seed=seed),
        "n_braai_below_half": measure(float((said == 0).sum())),
    }
    return Evaluation(
        model=model.card.id,
        data=Path(folder).resolve().name,
        n=int(known.sum()),
        metric="agreement with braai (AUC; not truth)",
        **judged.main(area),
        higher_is_better=True,
        baseline=baseline.NAME,
        seed=seed,
        metrics=metrics,
        split="the training saw simulated alerts alone, none of these",
        sample=f"{int(known.sum())} ZTF alerts, {int((said == 0).sum())} of them bogus for braai",
        excluded=int((~known).sum()),
        excluded_why="alerts without a score of braai; rules and the older score use them too",
        notes=_NOTES,
    )


_NOTES = (
    "Nobody looked at these alerts: all figures are agreement with other programs or catalogues. "
    "'gain' is the area of the network minus that of the forest on the same draws. "
    "'sure' are alerts that braai puts below 0.1 or above 0.9. "
    "'versions' is the area of drb, the survey's score by an earlier version of braai, against "
    "braai itself: how far two trainings of one network agree. "
    "'rule' figures are the share of the alerts of known asteroids, and of stars that SIMBAD calls "
    "variable, that are called real at 0.5. "
    "The stream was cut by the survey before anybody saw it, so the usual bogus is rare in it. "
    "Intervals: 95 %, bootstrap over objects."
)


def worst(folder: Path | str, model: Model, *, n: int = 8) -> list[dict[str, Any]]:
    """Return the alerts on which the model and braai differ most, the worst first."""
    cutouts, table = real.read(folder)
    logits = model.logits(model.prepare(cutouts).samples.values)
    p = scores.softmax(logits.astype(np.float64)).mean(axis=0)[:, 1]
    braai = np.asarray(table["braai"])
    far = np.where(np.isfinite(braai), np.abs(p - braai), -1.0)
    return [
        {
            "id": str(table["id"][i]),
            "p_real": round(float(p[i]), 4),
            "braai": round(float(braai[i]), 4),
        }
        for i in np.argsort(-far, kind="stable")[:n]
    ]


def area(said: np.ndarray, score: np.ndarray) -> float:
    """Area under the curve of a score for what somebody calls real (1) and bogus (0)."""
    return scores.auc(said, np.stack([-score, score], axis=1))


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's correlation of two scores."""
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)


def _with_braai(judged: Judged, braai: np.ndarray) -> dict[str, dict[str, float]]:
    """Compare with the scores of the published network."""
    sure = (braai < SURE[0]) | (braai > SURE[1])
    found = {
        "gain": judged.gain(area),
        "rank_correlation": replace(judged, truth=braai).both(rank_correlation),
        "same_answer": judged.both(_same),
        "n_sure": measure(float(sure.sum())),
    }
    if sure.any():
        found["sure_area"] = judged[sure].both(area)
    return found


def _with_survey(
    table: Any, p: np.ndarray, usual: np.ndarray, *, seed: int
) -> dict[str, dict[str, float]]:
    """Compare with the survey's own scores, and these with braai."""
    found = {}
    for name in ("drb", "rb"):
        score = np.asarray(table[name])
        known = np.isfinite(score)
        if known.any():
            said = (score[known] >= HALF).astype(int)
            found[f"{name}_area"] = Judged(said, p[known], usual[known], seed=seed).both(area)
    braai, drb = np.asarray(table["braai"]), np.asarray(table["drb"])
    known = np.isfinite(braai) & np.isfinite(drb)
    if known.any():
        said = (braai[known] >= HALF).astype(int)
        found["versions_area"] = measure(bootstrap(area, said, drb[known], seed=seed))
        found["versions_rank_correlation"] = measure(
            bootstrap(rank_correlation, braai[known], drb[known], seed=seed)
        )
    return found


def _with_rules(
    table: Any, p: np.ndarray, usual: np.ndarray, *, seed: int
) -> dict[str, dict[str, float]]:
    """Tell how many of the alerts with a known cause are called real, by each."""
    found, braai = {}, np.asarray(table["braai"])
    for rule in (real.ASTEROID, real.VARIABLE):
        rows = np.asarray(table["rule"]) == rule
        if not rows.any():
            continue
        found[f"rule_{rule}"] = measure(
            bootstrap(_share, p[rows] >= HALF, seed=seed), baseline=_share(usual[rows] >= HALF)
        )
        found[f"n_{rule}"] = measure(float(rows.sum()))
        scored = rows & np.isfinite(braai)
        if scored.any():
            found[f"rule_{rule}_braai"] = measure(_share(braai[scored] >= HALF))
    return found


def _same(said: np.ndarray, score: np.ndarray) -> float:
    return _share((score >= HALF) == (said == 1))


def _share(true: np.ndarray) -> float:
    return float(np.mean(true))
