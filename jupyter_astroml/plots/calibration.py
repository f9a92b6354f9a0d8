"""Are probabilities what they say? Reliability diagrams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, LayoutDOM, Range1d
from bokeh.models.annotations import Whisker

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import Predictions

from .look import INK, LABELS, QUIET, canvas


@dataclass(frozen=True, eq=False)
class Reliability:
    """Stated against found probability in bins of equal numbers of objects.

    Attributes
    ----------
    stated : ndarray, shape (bin,)
        Mean probability that the model gave.
    found : ndarray, shape (bin,)
        Part of the objects for which the statement was true.
    low, high : ndarray, shape (bin,)
        68 % interval of `found` (Wilson 1927).
    count : ndarray of int, shape (bin,)
        Objects in each bin.
    """

    stated: np.ndarray
    found: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of both, weighted by the objects."""
        return float(np.average(np.abs(self.stated - self.found), weights=self.count))

    def describe(self) -> str:
        """Say in words how far stated and found probabilities lie apart."""
        signed = float(np.average(self.stated - self.found, weights=self.count))
        lean = "too sure" if signed > 0 else "too unsure"
        return (
            f"Expected calibration error {self.error:.3f} on {int(self.count.sum()):,} statements; "
            f"on average the model is {abs(signed):.3f} {lean}."
        )


def reliability(probability: np.ndarray, true: np.ndarray, *, bins: int = 10) -> Reliability:
    """Compare stated with found probabilities.

    Parameters
    ----------
    probability : ndarray, shape (n,)
        That a statement is true.
        Missing ones are left out.
    true : ndarray of bool, shape (n,)
        Whether it was.
    bins : int
        Number of bins; they hold equal numbers of objects.

    Raises
    ------
    DataError
        If the shapes differ, or nothing is left to compare.

    References
    ----------
    Wilson 1927, JASA 22, 209; Naeini, Cooper & Hauskrecht 2015, AAAI 29, 2901.
    """
    probability, true = np.asarray(probability, dtype=float), np.asarray(true)
    if probability.shape != true.shape or probability.ndim != 1:
        raise DataError(
            f"Probabilities of shape {probability.shape} do not fit truths of shape {true.shape}",
            remedy="give one of each for every object",
        )
    good = np.isfinite(probability)
    if not good.any():
        raise DataError("No object has a probability", remedy="give predictions with answers")
    order = np.argsort(probability[good], kind="stable")
    p, t = probability[good][order], true[good][order].astype(float)
    parts = [i for i in np.array_split(np.arange(len(p)), bins) if len(i)]
    count = np.array([len(i) for i in parts])
    found = np.array([t[i].mean() for i in parts])
    low, high = _wilson(found, count)
    stated = np.array([p[i].mean() for i in parts])
    return Reliability(stated=stated, found=found, low=low, high=high, count=count)


def _wilson(found: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of one standard deviation, which keeps its sense at 0 and 1."""
    centre = (found + 0.5 / count) / (1 + 1 / count)
    half = np.sqrt(found * (1 - found) / count + 0.25 / count**2) / (1 + 1 / count)
    return centre - half, centre + half


def from_labels(predictions: Predictions, truth: np.ndarray, *, bins: int = 10) -> Reliability:
    """Compare the probability of the given label with how often it is the true one.

    Parameters
    ----------
    predictions : Predictions
        With the columns ``label`` and ``confidence``.
    truth : ndarray of str, shape (n,)
        True label of each object; empty where unknown.
    bins : int
        As for `reliability`.

    Raises
    ------
    DataError
        If the predictions have no labels, or no truth is known.
    """
    if "label" not in predictions.columns:
        raise DataError(
            "These predictions have no labels", remedy="use reliability(probability, true)"
        )
    truth = np.asarray(truth, dtype=str)
    if truth.shape != (len(predictions),):
        raise DataError(f"{truth.size} true labels for {len(predictions)} objects")
    known = (truth != "") & predictions.ok
    return reliability(
        np.asarray(predictions.columns["confidence"], dtype=float)[known],
        np.asarray(predictions.columns["label"])[known] == truth[known],
        bins=bins,
    )


def draw(found: Reliability, *, width: int = 340, height: int = 340) -> LayoutDOM:
    """Draw a reliability diagram: on the diagonal the model is as often right as it says."""
    low = min(float(found.stated.min()), float(found.low.min()))
    start = max(0.0, np.floor(low * 10) / 10 - 0.02) if low > 0.1 else -0.02
    plot = canvas(
        width=width,
        height=height,
        x_range=Range1d(start=start, end=1.02),
        y_range=Range1d(start=start, end=1.02),
    )
    plot.xaxis.axis_label = "stated probability"
    plot.yaxis.axis_label = "found frequency"
    plot.line([0, 1], [0, 1], color=QUIET, line_dash=[4, 4])
    source = ColumnDataSource(
        {
            "stated": found.stated,
            "found": found.found,
            "low": found.low,
            "high": found.high,
            "count": found.count,
        }
    )
    whisker = Whisker(source=source, base="stated", lower="low", upper="high", line_color=INK)
    for head in (whisker.lower_head, whisker.upper_head):
        if head is not None:
            head.size = 5
    plot.add_layout(whisker)
    points = plot.scatter("stated", "found", source=source, size=8, color=LABELS[0])
    plot.add_tools(
        HoverTool(
            renderers=[points],
            tooltips=[
                ("stated", "@stated{0.000}"),
                ("found", "@found{0.000}"),
                ("objects", "@count"),
            ],
        )
    )
    return plot
