"""What moved an answer, and how far to trust that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError, ModelError
from jupyter_astroml.core.records import (
    Attributions,
    LightCurves,
    Predictions,
    References,
    Samples,
)
from jupyter_astroml.models import catalogue

from .fetching import fetch, rows_of, samples
from .running import open_run

if TYPE_CHECKING:
    from astropy.table import Table

    from jupyter_astroml.compute.run import Run
    from jupyter_astroml.models.cards import Card

# Cadences about the explained one that an explanation of a light curve shows.
WINDOW = 1000


def explain(
    data: Any,
    *,
    model: str = "",
    digest: str = "",
    ids: Iterable[str] | str | None = None,
    target: str | float | None = None,
    method: str = "smoothgrad",
    window: int = WINDOW,
    progress: Callable[[int, int], Any] | None = None,
    **options: Any,
) -> Attributions:
    """Show what in the data moved the model's answer.

    Parameters
    ----------
    data : Run, its name or folder, Table, References, Cutouts, LightCurves or Spectra
        A run brings its model with it.
    model : str
        Name of the model; not needed with a run.
    digest : str
        Refuse any other weights; a run brings the digest of those that answered.
    ids : str or iterable of str, optional
        Objects to explain; needed for a run or a long table, since each costs many passes.
    target : str or float, optional
        Classifier: name of a class, by default the predicted one.
        Regression: name of a parameter, by default the first one.
        Detector: time in days on the axis of the light curve, by default the most probable cadence.
    method : str
        A key of `jupyter_astroml.explain.methods.METHODS`.
    window : int
        Detector: cadences shown about the explained one.
    progress : callable, optional
        Called with the numbers of passes done and to do; what it raises stops the work.
    **options
        As `jupyter_astroml.explain.methods.attribute`: ``samples``, ``steps``, ``seed``, ….

    Returns
    -------
    Attributions
        Maps in the axes of the data as the model saw them.

    Raises
    ------
    DataError
        For an unknown id, class or method, or data that could not be fetched.
    ModelError
        If there is no such model, or it is not the one that answered.
    """
    from jupyter_astroml.compute.run import Run
    from jupyter_astroml.explain import attribute, completeness
    from jupyter_astroml.explain.methods import settled
    from jupyter_astroml.models.loading import load
    from jupyter_astroml.models.threads import one_thread

    if isinstance(data, Path) or (isinstance(data, str) and not model):
        data = open_run(data)
    if isinstance(data, Run) and model in ("", data.job.model):
        model, digest = data.job.model, digest or data.job.digest
    if not model:
        raise ModelError("No model is named", remedy="write explain(…, model='…')")
    wanted = [ids] if isinstance(ids, str) else ids
    if not isinstance(data, Run | References | Samples):
        data = samples(data, model=model)
    loaded = load(model, digest or None)
    loaded.card.must_answer()
    seen = loaded.prepare(fetch(data, ids=wanted)).samples
    with one_thread():
        targets = _targets(loaded, seen, target)
        if loaded.card.outputs.axis == "time":
            seen, targets, names = _about(seen, targets, window=window)
            if method == "smoothgrad":
                options.setdefault("noise", _own_noise(seen.values))
        else:
            names = np.asarray(loaded.card.outputs.names)[targets]
        maps = attribute(
            loaded.module, seen.values, targets=targets, method=method, progress=progress, **options
        )
        used = settled(method, seen.values.shape, **options)
        if method == "integrated_gradients" and used["signed"]:
            used["completeness"] = completeness(
                loaded.module, seen.values, maps, targets=targets, baseline=used["baseline"]
            )
    return Attributions(
        ids=seen.ids,
        maps=maps,
        targets=targets,
        target_names=names,
        method=method,
        samples=seen,
        signed=bool(options.get("signed", True)),
        meta={"model": model, "digest": loaded.digest, **used},
        ra=seen.ra,
        dec=seen.dec,
    )


def trust(attributions: Attributions) -> Table:
    """Test how far maps can be trusted, without labels.

    Parameters
    ----------
    attributions : Attributions
        What `explain` returned.

    Returns
    -------
    Table
        ``id``;
        ``deletion_gain``: how much faster the score falls when what the map calls important is
        deleted than when anything is, in units of the score (good: above 0);
        ``unlearned``: rank correlation with the map of the same network without its learning
        (good: near 0);
        ``completeness``: how far signed integrated gradients miss the change of the score (good:
        0.05 or less), NaN for other maps;
        ``verdict``: what the three numbers say, in words.

    Raises
    ------
    DataError
        If the maps do not tell which model they explain.
    """
    from astropy.table import Table as AstropyTable

    from jupyter_astroml.explain import deletion, randomisation, verdict
    from jupyter_astroml.models.loading import load
    from jupyter_astroml.models.threads import one_thread

    if not isinstance(attributions, Attributions):
        raise DataError(
            f"These are no maps but {type(attributions).__name__}",
            remedy="test what aml.explain returned",
        )
    options = dict(attributions.meta)
    if not {"model", "digest"} <= set(options):
        raise DataError("These maps name no model", remedy="test what aml.explain returned")
    module = load(options.pop("model"), options.pop("digest")).module
    missed = options.pop("completeness", np.full(len(attributions), np.nan))
    values, targets = attributions.samples.values, attributions.targets
    with one_thread():
        fall = deletion(module, values, attributions.maps, targets=targets)
        alike = randomisation(
            module, values, targets=targets, method=attributions.method, **options
        )
    return AstropyTable(
        {
            "id": attributions.ids,
            "deletion_gain": fall.gain,
            "unlearned": alike,
            "completeness": missed,
            "verdict": [verdict(*each) for each in zip(fall.gain, alike, missed, strict=True)],
        }
    )


def events(
    predictions: Run | Predictions, curves: LightCurves | None = None, **changes: Any
) -> Table:
    """List the events that a detector found in light curves, under the model's own rule.

    Parameters
    ----------
    predictions : Run or Predictions
        Answers of a detector, of these light curves and perhaps of others.
    curves : LightCurves, optional
        As the archive gave them: what `fetch` returns.
        Without them, those of a run that have an answer are fetched again.
    **changes
        Another rule than the card's: ``threshold``, ``min_cadences`` and the other fields of
        `jupyter_astroml.models.events.Rule`, such as ``min_cadences=3`` for fewer and surer events.

    Returns
    -------
    Table
        One row an event: see `jupyter_astroml.models.events.events`.

    Raises
    ------
    ModelError
        If the model that answered is not here.
    DataError
        If the answers are not those of a detector for these light curves.
    """
    from jupyter_astroml.compute.run import Run
    from jupyter_astroml.models.events import events_of

    if isinstance(predictions, Run):
        run, predictions = predictions, predictions.predictions()
        curves = curves or fetch(run, ids=predictions.ids[predictions.ok])
    if curves is None:
        raise DataError(
            "Answers alone do not tell how bright an event is",
            remedy="give the run, or the light curves too: aml.events(answers, aml.fetch(rows))",
        )
    meta = predictions.meta
    entry = catalogue.find(str(meta.get("model", "")), meta.get("digest"))
    found = predictions[rows_of(predictions.ids, curves.ids)]
    if "probability" not in found.arrays:
        raise DataError(
            f"The model {entry.name} finds no events",
            remedy="use a model for the task 'detect': aml.models()",
        )
    width = curves.values.shape[1]
    arrays = {name: _as_wide(found.arrays[name], width) for name in found.arrays}
    return events_of(entry.card, arrays, curves, **changes)


def _as_wide(values: np.ndarray, width: int) -> np.ndarray:
    """Cut or pad to a number of cadences: blocks and fetches pad to the longest of their own."""
    pad = max(0, width - values.shape[1])
    return np.pad(values[:, :width], ((0, 0), (0, pad)), constant_values=np.nan)


def _targets(loaded: Any, seen: Any, target: str | float | None) -> np.ndarray:
    """Return the index of the output to explain, for each object."""
    card: Card = loaded.card
    if card.outputs.axis == "class":
        names = list(card.outputs.names)
        if target is None:
            return loaded.logits(seen.values).mean(axis=0).argmax(axis=-1)
        if target not in names:
            raise DataError(
                f"The model {card.id} has no class {target!r}", remedy=f"use {', '.join(names)}"
            )
        return np.full(len(seen), names.index(str(target)))
    if card.outputs.axis == "parameter":
        return np.full(len(seen), _parameter(card, target))
    if target is None:
        return loaded.logits(seen.values).mean(axis=0).argmax(axis=-1)
    try:
        time = float(target)
    except ValueError as err:
        raise DataError(f"The target {target!r} is no time in days") from err
    return np.abs(seen.time - time).argmin(axis=1)


def _parameter(card: Card, target: str | float | None) -> int:
    """Return the index of a parameter by its name; the first is the one that a model is for."""
    names = list(card.outputs.names)
    if target is None:
        return 0
    if target not in names:
        raise DataError(
            f"The model {card.id} has no parameter {target!r}", remedy=f"use {', '.join(names)}"
        )
    return names.index(str(target))


def _own_noise(values: np.ndarray) -> np.ndarray:
    """Return the noise of each light curve as a share of its range, for SmoothGrad.

    The usual share of the range would bury a quiet star that has one large flare.
    The noise is read from neighbouring cadences, between which a star hardly changes.
    """
    steps = np.abs(np.diff(values, axis=1))
    # Median absolute step of white noise with standard deviation 1: 0.954.
    noise = np.median(steps, axis=1) / 0.954
    return noise / np.maximum(np.ptp(values, axis=1), 1e-12)


def _about(
    seen: LightCurves, targets: np.ndarray, *, window: int
) -> tuple[LightCurves, np.ndarray, np.ndarray]:
    """Cut light curves to the cadences about their targets."""
    width = min(window, seen.values.shape[1])
    starts = np.clip(targets - width // 2, 0, seen.values.shape[1] - width)
    columns = starts[:, None] + np.arange(width)
    time = np.take_along_axis(seen.time, columns, axis=1)
    cut = replace(seen, time=time, values=np.take_along_axis(seen.values, columns, axis=1))
    inner = targets - starts
    names = np.array([f"t = {t:.4f} d" for t in time[np.arange(len(seen)), inner]])
    return cut, inner, names


def describe(attributions: Attributions) -> list[str]:
    """Say in words what each map shows: for people who cannot or need not see it."""
    from jupyter_astroml.plots.describe import attribution

    return [attribution(attributions, row) for row in range(len(attributions))]
