"""What a plot shows, in words: for screen readers, for captions, and for checking one's eyes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jupyter_astroml.core.records import UNITS, Attributions, LightCurves, Predictions, Spectra

from .pictures import orientation

_METHODS = {
    "gradient": "gradient",
    "smoothgrad": "SmoothGrad",
    "integrated_gradients": "integrated gradients",
    "occlusion": "occlusion",
}


def method_name(method: str) -> str:
    """Return the name of a method as people write it."""
    return _METHODS.get(method, method.replace("_", " "))


def spread(attributions: Attributions, row: int = 0) -> tuple[float, float, float]:
    """Return where the attribution of one object lies, as numbers.

    Returns
    -------
    radius : float
        Within which half of the magnitude lies: from the centre of a cutout (arcsec, or pixels
        where the scale is unknown), from the explained time of a light curve (days), or from the
        strongest wavelength of a spectrum (in its unit).
    even : float
        The same radius if the attribution were spread evenly.
    raises : float
        Part of the magnitude that raises the score, 0 to 1.
    """
    samples = attributions.samples
    maps = np.nan_to_num(np.asarray(attributions.maps[row], dtype=np.float64))
    if isinstance(samples, LightCurves):
        time = samples.time[row]
        centre = time[min(int(attributions.targets[row]), len(time) - 1)]
        distance, size = np.abs(time - centre), np.abs(maps)
    elif isinstance(samples, Spectra):
        wave, size = samples.wavelength[row], np.abs(maps)
        distance = np.abs(wave - wave[size.argmax()])
    else:
        scale = orientation(samples, row).scale
        y, x = np.indices(maps.shape[1:])
        middle = (np.array(maps.shape[1:]) - 1) / 2
        distance = np.hypot(y - middle[0], x - middle[1]).ravel() * scale
        size = np.abs(maps).sum(axis=0).ravel()
    total = float(np.abs(maps).sum())
    raises = float(maps[maps > 0].sum() / total) if total else 0.0
    return _half(distance, size), _half(distance, np.ones_like(size)), raises


def _half(distance: np.ndarray, weight: np.ndarray) -> float:
    """Return the radius within which half of the weight lies; NaN without weight."""
    order = np.argsort(distance, kind="stable")
    grown = np.cumsum(weight[order])
    if not grown.size or grown[-1] <= 0:
        return float("nan")
    return float(distance[order][np.searchsorted(grown, grown[-1] / 2)])


def attribution(attributions: Attributions, row: int = 0) -> str:
    """Say in words where the attribution of one object lies."""
    radius, even, raises = spread(attributions, row)
    samples = attributions.samples
    name = method_name(attributions.method).capitalize() if attributions.method else "Map"
    name = {"Smoothgrad": "SmoothGrad"}.get(name, name)
    target = attributions.target_names[row]
    if not np.isfinite(radius):
        return f"{name} for {target}: the map is empty, no value moved the score."
    if isinstance(samples, LightCurves):
        unit, digits, middle = "days", 4, "the explained time"
    elif isinstance(samples, Spectra):
        unit, digits = samples.wave_unit, 1
        strongest = samples.wavelength[row, np.abs(np.nan_to_num(attributions.maps[row])).argmax()]
        middle = f"{strongest:.6g} {unit}, where it is strongest"
    else:
        unit = "arcsec" if orientation(samples, row).unit == "arcsec" else "pixels"
        digits, middle = 1, "the centre"
    words = (
        f"{name} for {target}: half of the attribution lies within {radius:.{digits}f} {unit} of "
        f"{middle}; spread evenly it would be within {even:.{digits}f} {unit}."
    )
    if attributions.signed:
        words += f" {raises:.0%} of it raises the score."
    return words.replace("%", "\u00a0%")


def _with_error(value: float, error: float) -> str:
    """Write a value and its error, to the second digit of the error."""
    digits = 1 - math.floor(math.log10(error)) if 0 < error < math.inf else 3
    digits = min(max(digits, 0), 12)
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def prediction(predictions: Predictions, row: int = 0) -> str:
    """Say in words what the model answered for one object."""
    name = predictions.ids[row]
    if not predictions.ok[row]:
        return f"{name}: no answer, {predictions.status[row]}."
    get = {k: v[row] for k, v in predictions.columns.items()}
    if "label" in get:
        words = f"{name}: {get['label']}, probability {get['confidence']:.2f}"
        words += f", uncertainty {get['uncertainty']:.2f} of 1."
        if "prediction_set" in get:
            likely = str(get["prediction_set"]).replace("|", ", ")
            words += f" Possible: {likely}." if likely else " No class is likely enough."
    elif predictions.parameters:
        units = dict(predictions.meta.get(UNITS) or {})
        told = [
            f"{p} {_with_error(get[p], get[f'{p}_std'])} {units.get(p, '')}".rstrip()
            for p in predictions.parameters
        ]
        words = f"{name}: {', '.join(told)}."
    else:
        count = int(get.get("n_events", 0))
        words = f"{name}: {count} event{'' if count == 1 else 's'}"
        if np.isfinite(get.get("max_probability", np.nan)):
            words += (
                f", largest probability {get['max_probability']:.2f} ± {get['uncertainty']:.2f}"
            )
            words += f" at {get['t_max']:.4f} d"
        words += "."
    if str(get.get("fit", "fits")) not in ("fits", ""):
        words += f" Input {get['fit']}."
    return words


def predictions(found: Predictions) -> str:
    """Say in words what a model answered for all objects."""
    n, ok = len(found), int(found.ok.sum())
    words = f"{n} object{'' if n == 1 else 's'}"
    if ok < n:
        words += f", {n - ok} without an answer"
    columns: dict[str, Any] = {k: np.asarray(v)[found.ok] for k, v in found.columns.items()}
    if "label" in columns:
        names, counts = np.unique(columns["label"], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        words += ": " + ", ".join(f"{counts[i]} {names[i]}" for i in order)
    elif "n_events" in columns:
        events = np.nan_to_num(columns["n_events"]).astype(int)
        words += f": {events.sum()} events in {int((events > 0).sum())} light curves"
    words += "."
    if ok and "uncertainty" in columns:
        words += f" Median uncertainty {np.nanmedian(columns['uncertainty']):.2f}."
    outside = np.char.startswith(np.asarray(columns.get("fit", []), dtype=str), "outside")
    if outside.any():
        words += f" {int(outside.sum())} outside the model's input contract."
    return words
