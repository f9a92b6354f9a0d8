"""How well the model finds catalogued flares, beside a baseline and the published network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jupyter_astroml.core.errors import DataError, MissingExtraError
from jupyter_astroml.models.evaluation import Evaluation, bootstrap, measure
from jupyter_astroml.models.events import Rule, events
from jupyter_astroml.zoo.flares import baseline, matching, published, rules
from jupyter_astroml.zoo.flares.real import read

if TYPE_CHECKING:
    from astropy.table import Table

    from jupyter_astroml.core.records import LightCurves
    from jupyter_astroml.models.loading import Model

NAME = "flares"
# Share of the catalogued flares that a list must hold to be called complete.
RECALL = 0.95


def evaluate(
    folder: Path,
    *,
    model: Model | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure a model on light curves with a catalogue of flares.

    Parameters
    ----------
    folder : Path
        In the layout of `jupyter_astroml.zoo.flares.real`.
    model : Model, optional
        Of this architecture, by default the bundled one.
    seed : int
        Of the bootstrap.
    progress : callable, optional
        Called with the number of stars done and the total.

    Returns
    -------
    Evaluation
        The main metric is the precision of the events at a recall of at least `RECALL`.
        Recall is the share of the catalogued flares that an event overlaps; precision the share of
        the events that overlap a catalogued flare (`matching`).
        The intervals come from drawing days of the stars with replacement.

    Raises
    ------
    DataError
        If the folder does not have the layout, or its stars have no catalogued flare.
    """
    from jupyter_astroml.models.loading import load

    curves, flares = read(folder)
    if not len(flares):
        raise DataError(
            f"No catalogued flare falls in the light curves of {Path(folder).name}",
            remedy="check the star numbers and the times of the catalogue (BTJD)",
        )
    model = model or load(NAME)
    rule = Rule.of(model.card)
    strict = replace(rule, min_cadences=3)
    tables = predicted_events(model, curves, [rule, strict, *rules.grid()], progress=progress)
    network = np.stack([matching.counts(t, flares, curves) for t in tables], axis=1)
    usual = network[:, 0]
    searches = list(baseline.grid())
    classical = _searched(curves, flares, searches)
    complete, balanced = _best(classical)

    def both(statistic: Callable[[np.ndarray], float], beside: float) -> dict[str, float]:
        return measure(bootstrap(statistic, usual, seed=seed), baseline=beside)

    metrics = {
        "recall": both(matching.recall, matching.recall(classical[:, complete])),
        "precision": both(matching.precision, matching.precision(classical[:, complete])),
        "n_events": measure(len(tables[0]), baseline=_events(classical[:, complete])),
        "f1": both(matching.f1, matching.f1(classical[:, balanced])),
        "best_f1": measure(
            bootstrap(matching.best_f1, network, seed=seed), baseline=matching.best_f1(classical)
        ),
        "gain": measure(bootstrap(_gain, network, classical, seed=seed)),
        "n_flares": measure(len(flares)),
        **_scores("strict", network[:, 1], seed=seed),
        **_scores("classical_complete", classical[:, complete], seed=seed),
        **_scores("classical_balanced", classical[:, balanced], seed=seed),
        **_scores(
            "classical_simulated", _searched(curves, flares, [_tuned(model)])[:, 0], seed=seed
        ),
    }
    stella, about_stella = _published(curves, flares, rule=rule, folder=Path(folder), seed=seed)
    metrics |= stella
    if "stella_precision" in metrics:
        own = metrics["precision"]["value"]
        for word in ("stella", "stella_runs", "stella_same_rule"):
            theirs = metrics[f"{word}_precision"]["value"]
            metrics[f"precision_over_{word}"] = measure(own / theirs if theirs else float("nan"))
    main = bootstrap(_precision, network, seed=seed)
    sectors = ", ".join(str(s) for s in curves.meta["sectors"])
    return Evaluation(
        model=model.card.id,
        data=Path(folder).resolve().name,
        n=len(curves),
        metric=f"precision at recall ≥ {RECALL:g}",
        value=main.value,
        low=main.low,
        high=main.high,
        higher_is_better=True,
        baseline=(
            f"best of {len(searches)} classical searches (Chang et al. 2015), "
            f"{_words(searches[complete])}"
        ),
        baseline_value=_precision(classical),
        seed=seed,
        metrics=metrics,
        split="stars that no training saw: the networks and their rule come from simulation",
        sample=f"{len(curves)} stars with {len(flares)} catalogued flares, TESS sector {sectors}",
        summary=_summary(metrics, strict=strict, balanced=_words(searches[balanced])),
        notes=_NOTES + about_stella,
        curves={
            "least": RECALL,
            "choices": {"network": _choices(network), "baseline": _choices(classical)},
            "default": _choices(network[:, :1]),
        },
    )


_precision = partial(matching.precision_at, least=RECALL)


def _gain(mine: np.ndarray, theirs: np.ndarray) -> float:
    return _precision(mine) - _precision(theirs)


def _choices(tables: np.ndarray) -> list[list[float]]:
    """Return recall and precision of each setting that finds anything, by recall, each once."""
    settings = [tables[:, i] for i in range(tables.shape[1])]
    pairs = ((matching.recall(t), matching.precision(t)) for t in settings)
    found = {(round(r, 3), round(p, 3)) for r, p in pairs if np.isfinite([r, p]).all()}
    return [list(pair) for pair in sorted(found)]


_NOTES = (
    f"Precision at recall ≥ {RECALL:g}: each method at the best of its settings on these stars, "
    "the network among the rules and the baseline among the criteria that training tries. "
    "'gain' is that of the network minus that of the baseline on the same draws. "
    "Precision is a lower bound: the catalogue is not complete, and an event that it does not list "
    "may be a flare. "
    "The catalogue itself began with three cadences in a row above 3σ, so a classical search with "
    "those numbers agrees with it more than it would with a complete one. "
    f"An event and a flare match when the event overlaps the time from "
    f"{matching.MINUTES_BEFORE:.0f} minutes before to {matching.MINUTES_AFTER:.0f} minutes after "
    "the catalogued peak; several flares of one outburst may share an event. "
    "Intervals: 95 %, from drawing days of the stars with replacement; a handful of stars is too "
    "few to draw stars, so the intervals hold for these stars and not for all stars. "
)


def _summary(metrics: dict[str, dict[str, float]], *, strict: Rule, balanced: str) -> str:
    """Say what the default answer gains and loses against the strict one and the baseline."""

    def at(recall: float, precision: float) -> str:
        return f"recall {recall:.3f} at precision {precision:.3f}"

    def pair(name: str) -> str:
        return at(metrics[f"{name}recall"]["value"], metrics[f"{name}precision"]["value"])

    return (
        f"Default answer: {pair('')}; strict answer (min_cadences={strict.min_cadences}): "
        f"{pair('strict_')}. "
        f"Classical search with the best F1, {balanced}: {pair('classical_balanced_')}; "
        f"the best one with recall ≥ {RECALL:g}: {pair('classical_complete_')}."
    )


def _words(criteria: baseline.Criteria) -> str:
    return (
        f"{criteria.n3} cadences in a row {criteria.n1:g}σ above a running median of "
        f"{criteria.trend} cadences"
    )


def _tuned(model: Model) -> baseline.Criteria:
    """Return the criteria that were chosen on the simulation with which the model was trained."""
    stored = model.card.facts.calibration if model.card.facts else {}
    usual = baseline.Criteria()
    return baseline.Criteria(
        n1=float(stored.get("baseline_n1", usual.n1)),
        n3=int(stored.get("baseline_n3", usual.n3)),
        trend=int(stored.get("baseline_trend", usual.trend)),
    )


def _searched(
    curves: LightCurves, flares: Table, criteria: Sequence[baseline.Criteria]
) -> np.ndarray:
    """Count under each of the criteria, shape (block, criteria, 4)."""
    parts = []
    for trend, some in groupby(criteria, key=lambda c: c.trend):
        heights = baseline.heights(curves, trend=trend)
        for each in some:
            found = baseline.search_heights(curves, heights, criteria=each)
            parts.append(matching.counts(found, flares, curves))
    return np.stack(parts, axis=1)


def _best(tables: np.ndarray) -> tuple[int, int]:
    """Return the settings with the best precision at high recall, and with the best F1."""
    settings = range(tables.shape[1])

    def complete(i: int) -> tuple[float, float]:
        recall = matching.recall(tables[:, i])
        # Where no setting finds enough, the one that finds most.
        return min(recall, RECALL), np.nan_to_num(matching.precision(tables[:, i]))

    return max(settings, key=complete), max(settings, key=lambda i: matching.f1(tables[:, i]))


def predicted_events(
    model: Model,
    curves: LightCurves,
    under: Sequence[Rule],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[Table]:
    """Run a model star by star as a user does.

    Parameters
    ----------
    model : Model
        Of this architecture.
    curves : LightCurves
        Any number of stars.
    under : sequence of Rule
        What makes an event.
    progress : callable, optional
        Called with the number of stars done and the total.

    Returns
    -------
    list of Table
        The events under each rule, see `jupyter_astroml.models.events.events`.
    """
    from astropy.table import vstack

    parts: list[list[Table]] = [[] for _ in under]
    for i in range(len(curves)):
        star = curves[i]
        arrays = model.predict(star).arrays
        given = (arrays["probability"], arrays["probability_std"])
        for part, rule in zip(parts, under, strict=True):
            part.append(
                events(*given, star.time, star.values, star.errors, ids=star.ids, rule=rule)
            )
        if progress:
            progress(i + 1, len(curves))
    # The tables of a rule carry it in their meta.
    return [vstack(part, metadata_conflicts="silent") for part in parts]


def _published(
    curves: LightCurves, flares: Table, *, rule: Rule, folder: Path, seed: int
) -> tuple[dict[str, dict[str, float]], str]:
    """Measure the published network where its file is found: metrics, and a note in words."""
    paths = published.find(folder)
    if not paths:
        return {}, "The published stella network was not found beside the data: not compared."
    try:
        networks = [published.Stella(path) for path in paths]
    except MissingExtraError as err:
        return {}, f"The published stella network was not compared: {err.what}."
    probability = np.full(curves.values.shape, np.nan)
    for i in range(len(curves)):
        good = np.isfinite(curves.values[i])
        answers = [network.probability(curves.values[i][good]) for network in networks]
        probability[i, good] = np.mean(answers, axis=0)
    given = (curves.time, curves.values, curves.errors)
    quiet = np.zeros_like(probability)
    tables = {
        "stella": published.own_events(curves.ids, curves.time, curves.values, probability),
        "stella_runs": events(
            probability,
            quiet,
            *given,
            ids=curves.ids,
            rule=Rule(threshold=0.5, min_cadences=0, merge_cadences=1),
        ),
        "stella_same_rule": events(
            probability, quiet, *given, ids=curves.ids, rule=rule, threshold=0.5
        ),
    }
    metrics: dict[str, dict[str, float]] = {}
    for name, table in tables.items():
        metrics |= _scores(name, matching.counts(table, flares, curves), seed=seed)
    return metrics, (
        f"Published: {', '.join(n.name for n in networks)}, at p ≥ 0.5. "
        "'stella' is its own search for events, 'stella_runs' every run of cadences, "
        "'stella_same_rule' the rule of our model with the flux test, which removes most of the "
        "false events of any network."
    )


def _events(counted: np.ndarray) -> float:
    return float(counted.sum(axis=0)[matching.EVENTS])


def _scores(name: str, counted: np.ndarray, *, seed: int) -> dict[str, dict[str, float]]:
    """Recall, precision and number of events of another method."""
    return {
        f"{name}_{statistic.__name__}": measure(bootstrap(statistic, counted, seed=seed))
        for statistic in (matching.recall, matching.precision)
    } | {f"{name}_n_events": measure(_events(counted))}
