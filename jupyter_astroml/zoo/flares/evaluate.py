"""How well the model finds catalogued flares, beside a baseline and the published network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jupyter_astroml.core.errors import DataError, MissingExtraError
from jupyter_astroml.models.evaluation import Evaluation, bootstrap, measure
from jupyter_astroml.models.events import Rule, events, events_of
from jupyter_astroml.zoo.flares import baseline, matching, published
from jupyter_astroml.zoo.flares.real import read

if TYPE_CHECKING:
    from astropy.table import Table

    from jupyter_astroml.core.records import LightCurves
    from jupyter_astroml.models.loading import Model

NAME = "flares"


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
        The main metric is the F1 score of the events.
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
    found, strict, rule, criteria = predicted_events(model, curves, progress=progress)
    counted = matching.counts(found, flares, curves)
    classical = matching.counts(baseline.search(curves, criteria=criteria), flares, curves)

    def interval(statistic: Callable[[np.ndarray], float]) -> dict[str, float]:
        return measure(bootstrap(statistic, counted, seed=seed), baseline=statistic(classical))

    main = bootstrap(matching.f1, counted, seed=seed)
    stella, about_stella = _published(curves, flares, rule=rule, folder=Path(folder), seed=seed)
    untuned = baseline.search(curves)
    metrics = {
        "recall": interval(matching.recall),
        "precision": interval(matching.precision),
        "n_flares": measure(len(flares)),
        "n_events": measure(len(found), baseline=classical.sum(axis=0)[matching.EVENTS]),
        **_scores("strict", strict, flares, curves, seed=seed),
        **_scores("classical_untuned", untuned, flares, curves, seed=seed),
        **stella,
    }
    if "stella_precision" in metrics:
        own = metrics["precision"]["value"]
        for word in ("stella", "stella_runs", "stella_same_rule"):
            theirs = metrics[f"{word}_precision"]["value"]
            metrics[f"precision_over_{word}"] = measure(own / theirs if theirs else float("nan"))
    return Evaluation(
        model=model.card.id,
        data=Path(folder).resolve().name,
        n=len(curves),
        metric="event F1",
        value=main.value,
        low=main.low,
        high=main.high,
        higher_is_better=True,
        baseline=(
            f"{criteria.n3} cadences in a row {criteria.n1:g}σ above a running median of "
            f"{criteria.trend} cadences (Chang et al. 2015), tuned on the same simulation"
        ),
        baseline_value=matching.f1(classical),
        seed=seed,
        metrics=metrics,
        split="stars that no training saw: the networks and all thresholds come from simulation",
        notes=_NOTES + about_stella,
    )


_NOTES = (
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


def predicted_events(
    model: Model, curves: LightCurves, *, progress: Callable[[int, int], None] | None = None
) -> tuple[Table, Table, Rule, baseline.Criteria]:
    """Run a model star by star as a user does.

    Parameters
    ----------
    model : Model
        Of this architecture.
    curves : LightCurves
        Any number of stars.
    progress : callable, optional
        Called with the number of stars done and the total.

    Returns
    -------
    Table
        The events, see `jupyter_astroml.models.events.events`.
    Table
        The events that have three outliers in a row: fewer, and surer.
    Rule
        What made the first table.
    Criteria
        Of the baseline that was tuned beside the model.
    """
    from astropy.table import vstack

    rule = Rule.of(model.card)
    parts, strict = [], []
    for i in range(len(curves)):
        star = curves[i]
        arrays = model.predict(star).arrays
        parts.append(events_of(model.card, arrays, star))
        strict.append(
            events(
                arrays["probability"],
                arrays["probability_std"],
                star.time,
                star.values,
                star.errors,
                ids=star.ids,
                rule=rule,
                min_cadences=3,
            )
        )
        if progress:
            progress(i + 1, len(curves))
    stored = model.card.facts.calibration if model.card.facts else {}
    usual = baseline.Criteria()
    criteria = baseline.Criteria(
        n1=float(stored.get("baseline_n1", usual.n1)),
        n3=int(stored.get("baseline_n3", usual.n3)),
        trend=int(stored.get("baseline_trend", usual.trend)),
    )
    # Each table carries the same rule in its meta.
    return (
        vstack(parts, metadata_conflicts="silent"),
        vstack(strict, metadata_conflicts="silent"),
        rule,
        criteria,
    )


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
        metrics |= _scores(name, table, flares, curves, seed=seed)
    return metrics, (
        f"Published: {', '.join(n.name for n in networks)}, at p ≥ 0.5. "
        "'stella' is its own search for events, 'stella_runs' every run of cadences, "
        "'stella_same_rule' the rule of our model with the flux test, which removes most of the "
        "false events of any network."
    )


def _scores(
    name: str, found: Table, flares: Table, curves: LightCurves, *, seed: int
) -> dict[str, dict[str, float]]:
    """Recall, precision and number of events of another method."""
    counted = matching.counts(found, flares, curves)
    return {
        f"{name}_{statistic.__name__}": measure(bootstrap(statistic, counted, seed=seed))
        for statistic in (matching.recall, matching.precision)
    } | {f"{name}_n_events": measure(len(found))}
