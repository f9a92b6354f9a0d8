"""From the logits of an ensemble to what a user reads: columns and dense arrays.

Calibration numbers that ``facts.json`` may hold:

``conformal_threshold``
    Task ``classify``: a class belongs to the prediction set when 1 − p ≤ this number, the split
    conformal rule of Sadinle, Lei & Wasserman 2019, section 2; p is the mean over the members.
``conformal_level``
    Share of the true classes that the sets promise to hold, such as 0.9.
``threshold``
    Task ``detect``: probability above which a cadence belongs to an event.

Those of the task ``regress`` are told in `jupyter_astroml.models.estimates`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jupyter_astroml.core.records import LightCurves
from jupyter_astroml.models.cards import Card
from jupyter_astroml.models.estimates import half_widths, joined, widened
from jupyter_astroml.models.fit import Prepared

Answer = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


def answer(card: Card, logits: np.ndarray, *, given: Any, prepared: Prepared) -> Answer:
    """Return columns and arrays for the task of the card.

    Parameters
    ----------
    card : Card
        Of the model.
    logits : ndarray, shape (member, n, k)
        Of every member of the ensemble.
    given : Cutouts, LightCurves or Spectra
        As the archive gave them.
    prepared : Prepared
        As the network saw them.
    """
    if card.task == "classify":
        columns, arrays = classify(card, logits)
    elif card.task == "regress":
        columns, arrays = regress(card, logits)
    else:
        columns, arrays = detect(card, logits, given=given, prepared=prepared)
    return {**columns, "fit": prepared.fit.words()}, arrays


def classify(card: Card, logits: np.ndarray) -> Answer:
    """Class probabilities with their uncertainty.

    ``uncertainty`` is the entropy of the mean probabilities divided by log k (total uncertainty,
    0 to 1); ``disagreement`` is the mutual information between answer and member in nats, the part
    that more data could remove (Gal 2016, section 3.3.1; Lakshminarayanan et al. 2017).
    """
    members = _softmax(np.asarray(logits, dtype=np.float64))
    p = members.mean(axis=0)
    total = _entropy(p)
    names = np.asarray(card.outputs.names, dtype=str)
    columns: dict[str, np.ndarray] = {"label": names[p.argmax(axis=1)]}
    columns |= {f"p_{name}": p[:, i] for i, name in enumerate(names)}
    columns |= {
        "confidence": p.max(axis=1),
        "uncertainty": total / np.log(len(names)),
        "disagreement": np.maximum(total - _entropy(members).mean(axis=0), 0.0),
    }
    calibration = card.facts.calibration if card.facts else {}
    if "conformal_threshold" in calibration:
        inside = 1.0 - p <= calibration["conformal_threshold"]
        columns["prediction_set"] = np.array(["|".join(names[row]) for row in inside], dtype=str)
    return columns, {}


def regress(card: Card, logits: np.ndarray) -> Answer:
    """Values of the parameters with their intervals and their covariance.

    ``NAME`` ± ``NAME_std`` holds the truth of 68 % of the objects, ``NAME_low`` to ``NAME_high``
    of 95 %; the array ``covariance`` has ``NAME_std`` squared on its diagonal.
    ``uncertainty`` is the size of the covariance, as the mean axis of its ellipsoid, over the
    scatter of the training objects: 0 sure, 1 no idea.
    ``disagreement`` is the share of the variance that is scatter of the members.
    """
    numbers = card.facts.calibration if card.facts else {}
    given = joined(logits, card.outputs.names)
    found, half = widened(given, numbers), half_widths(given, numbers, level=0.95)
    columns: dict[str, np.ndarray] = {}
    for i, name in enumerate(found.names):
        value = found.values[:, i]
        columns |= {
            name: value,
            f"{name}_std": found.sigma[:, i],
            f"{name}_low": value - half[:, i],
            f"{name}_high": value + half[:, i],
        }
    spread = np.array([numbers.get(f"spread_{name}", 1.0) for name in found.names])
    size = np.linalg.slogdet(found.covariance / np.outer(spread, spread))[1]
    columns["uncertainty"] = np.exp(size / (2 * len(spread)))
    columns["disagreement"] = (found.scatter / found.sigma**2).mean(axis=1)
    return columns, {"covariance": found.covariance}


def units_of(card: Card) -> dict[str, str]:
    """Return the units of the columns that `answer` gives, of those that have one."""
    return {
        f"{name}{end}": unit
        for name, unit in zip(card.outputs.names, card.outputs.units, strict=False)
        for end in ("", "_std", "_low", "_high")
        if unit
    }


def detect(card: Card, logits: np.ndarray, *, given: LightCurves, prepared: Prepared) -> Answer:
    """Probability for each cadence, its scatter over the members, and the events in it.

    Cadences that were missing from the archive's light curve stay NaN.
    """
    from jupyter_astroml.models.events import count_events

    members = 1.0 / (1.0 + np.exp(-np.asarray(logits, dtype=np.float64)))
    place = prepared.place
    if place is None:
        raise TypeError("a detector needs light curves")
    mean, std = _back(members.mean(axis=0), place), _back(members.std(axis=0), place)
    n = len(given)
    # A light curve without one finite cadence has no maximum; its probabilities stay NaN.
    best = np.argmax(np.where(np.isfinite(mean), mean, -1.0), axis=1)
    rows = np.arange(n)
    columns = {
        "n_events": count_events(card, mean, std, given),
        "max_probability": mean[rows, best],
        "uncertainty": std[rows, best],
        "t_max": np.where(np.isfinite(mean[rows, best]), given.time[rows, best], np.nan),
    }
    arrays = {"probability": mean.astype(np.float32), "probability_std": std.astype(np.float32)}
    return columns, arrays


def _back(values: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Read values on the even grid at the cadences that the archive gave."""
    found = np.take_along_axis(values, np.maximum(place, 0), axis=1)
    return np.where(place >= 0, found, np.nan)


def _softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _entropy(p: np.ndarray) -> np.ndarray:
    return -(p * np.log(np.clip(p, 1e-12, 1.0))).sum(axis=-1)
