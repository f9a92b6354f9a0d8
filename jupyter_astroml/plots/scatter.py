"""Prediction against uncertainty, one point an object."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from bokeh.models import (
    CategoricalColorMapper,
    ColumnDataSource,
    HoverTool,
    TapTool,
)
from bokeh.models.annotations import Legend, LegendItem
from bokeh.transform import factor_mark, transform

from jupyter_astroml.core.records import UNITS, Predictions

from .look import INK, QUIET, canvas, colours, markers, plain

# Points that a browser draws and selects without delay.
MOST = 5000
NO_ANSWER = "no answer"
WITH, WITHOUT = "with events", "no event"

_TITLES = {
    "confidence": "probability of the label",
    "uncertainty": "uncertainty",
    "disagreement": "disagreement of the members",
    "max_probability": "largest probability",
    "n_events": "number of events",
    "t_max": "time of the largest probability [days]",
}


def axis_title(name: str, units: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the label of an axis for a column of predictions, with its unit where it has one."""
    if name.startswith("p_"):
        return f"probability of {name[2:]}"
    unit = f" [{units[name]}]" if units.get(name) else ""
    return _TITLES.get(name, name.replace("_", " ")) + unit


def labels(predictions: Predictions) -> np.ndarray:
    """Return the group of each object, which decides its colour, shape (n,)."""
    columns = predictions.columns
    if "label" in columns:
        found = np.asarray(columns["label"]).astype(str)
    elif "n_events" in columns:
        found = np.where(np.nan_to_num(columns["n_events"]) > 0, WITH, WITHOUT)
    else:
        found = np.full(len(predictions), "object")
    return np.where(predictions.ok, found, NO_ANSWER)


def axes(predictions: Predictions) -> tuple[str, str]:
    """Return the two columns that are drawn against each other first."""
    have = predictions.columns
    x = next((n for n in ("confidence", "max_probability") if n in have), "")
    numeric = choices(predictions)
    x = x or (numeric[0] if numeric else "")
    return x, "uncertainty" if "uncertainty" in have else x


def choices(predictions: Predictions) -> list[str]:
    """Return the columns that hold numbers."""
    return [k for k, v in predictions.columns.items() if np.asarray(v).dtype.kind in "fiu"]


def chosen(predictions: Predictions, *, most: int = MOST, seed: int = 0) -> np.ndarray:
    """Return the rows that are drawn: all, or a sample in which the labels have equal room.

    Parameters
    ----------
    predictions : Predictions
        Of any number of objects.
    most : int
        Number of rows beyond which they are sampled.
    seed : int
        Of the sampling.

    Returns
    -------
    ndarray of int, shape (at most `most`,), rising
    """
    n = len(predictions)
    if n <= most:
        return np.arange(n)
    rng = np.random.default_rng(seed)
    names, group, counts = np.unique(labels(predictions), return_inverse=True, return_counts=True)
    # A rare label would vanish from an even sample.
    # The rarest choose first, and what they leave is shared by the others.
    kept, left = [], most
    for done, i in enumerate(np.argsort(counts, kind="stable")):
        rows, room = np.flatnonzero(group == i), left // (len(names) - done)
        kept.append(rows if len(rows) <= room else rng.choice(rows, room, replace=False))
        left -= len(kept[-1])
    return np.sort(np.concatenate(kept))


def columns(predictions: Predictions, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns of some rows as Bokeh takes them, with ``row``, ``id`` and ``group``."""
    data: dict[str, np.ndarray] = {
        "row": rows,
        "id": predictions.ids[rows].astype(object),
        "group": labels(predictions[rows]).astype(object),
        "status": predictions.status[rows].astype(object),
    }
    for name, values in predictions.columns.items():
        part = np.asarray(values)[rows]
        data[name] = part.astype(object) if part.dtype.kind in "USO" else part
    return data


class ScatterView:
    """Points that can be tapped, with a ring around the selected object.

    Attributes
    ----------
    layout : figure
        What Bokeh shows.
    source : ColumnDataSource
        What `columns` gives for the rows that are drawn, and ``x`` and ``y``.
    ring : ColumnDataSource
        The selected object, ``x`` and ``y``; drawn even if its point was left out.
    """

    def __init__(
        self,
        predictions: Predictions,
        *,
        x: str = "",
        y: str = "",
        most: int = MOST,
        width: int = 460,
        height: int = 340,
    ) -> None:
        self._predictions = predictions
        first = axes(predictions)
        self.rows = chosen(predictions, most=most)
        self.source = ColumnDataSource(columns(predictions, self.rows))
        self.ring = ColumnDataSource({"x": [], "y": []})
        self._hover = HoverTool()
        self.layout = canvas(width=width, height=height, tools="pan,wheel_zoom,box_zoom,reset")
        self.choose(x=x or first[0], y=y or first[1])
        factors = [f for f in _by_number(self.source.data["group"]) if f != NO_ANSWER]
        self._points(factors)
        self.layout.scatter(
            "x", "y", source=self.ring, size=17, fill_color=None, line_color=INK, line_width=2
        )

    def _points(self, factors: list[str]) -> None:
        self._glyph = self.layout.scatter(
            "x",
            "y",
            source=self.source,
            size=8 if len(self.rows) < 1000 else 5,
            marker=factor_mark("group", markers(factors), factors) if factors else "circle",
            fill_color=transform("group", CategoricalColorMapper(
                factors=factors or [""], palette=colours(factors) or [QUIET]
            )),
            line_color="white",
            line_width=0.4,
            fill_alpha=0.8,
            nonselection_fill_alpha=0.8,
            nonselection_line_alpha=1.0,
        )  # fmt: skip
        self.layout.add_tools(TapTool(renderers=[self._glyph]))
        self._hover.renderers = [self._glyph]
        self.layout.add_tools(self._hover)
        self._legend(factors)

    def _legend(self, factors: list[str]) -> None:
        items = []
        for factor, fill, marker in zip(factors, colours(factors), markers(factors), strict=True):
            key = self.layout.scatter(
                [np.nan], [np.nan], marker=marker, size=8, fill_color=fill, line_color="white"
            )
            items.append(LegendItem(label={"value": plain(factor)}, renderers=[key]))
        legend = Legend(
            items=items, orientation="horizontal", ncols=4, border_line_color=None,
            label_text_font_size="11px",  margin=2, spacing=8, glyph_width=14,
            label_standoff=2,
        )  # fmt: skip
        self.layout.add_layout(legend, "below")

    def choose(self, *, x: str, y: str) -> None:
        """Draw one column against another."""
        for axis, name in (("x", x), ("y", y)):
            values = self._predictions.columns.get(name)
            number = np.full(len(self.rows), np.nan) if values is None else values[self.rows]
            self.source.data[axis] = np.asarray(number, dtype=np.float64)
        self.x, self.y = x, y
        titles = self._title(x), self._title(y)
        self.layout.xaxis.axis_label, self.layout.yaxis.axis_label = map(plain, titles)
        shown = [("id", "@id"), ("answer", "@group")]
        shown += [(titles[0], "@x{0.000}"), (titles[1], "@y{0.000}")]
        self._hover.tooltips = shown + ([("input", "@fit")] if "fit" in self.source.data else [])

    def _title(self, name: str) -> str:
        return axis_title(name, dict(self._predictions.meta.get(UNITS) or {}))

    def mark(self, row: int | None) -> None:
        """Put the ring around an object, by its row in the predictions; None takes it away."""
        have = self._predictions.columns
        if row is None or self.x not in have:
            self.ring.data = {"x": [], "y": []}
            return
        self.ring.data = {"x": [float(have[self.x][row])], "y": [float(have[self.y][row])]}

    def note(self) -> str:
        """Say what is not drawn; empty when everything is."""
        n, drawn = len(self._predictions), len(self.rows)
        if drawn == n:
            return ""
        return (
            f"The plot shows {drawn:,} of {n:,} objects: the same number of each label where there "
            "are so many, drawn at random."
        )

    def describe(self) -> str:
        """Say in words what the points show."""
        have, ok = self._predictions.columns, self._predictions.ok
        if self.x not in have or not ok.any():
            return "No object has an answer."
        a = np.asarray(have[self.x], dtype=float)[ok]
        b = np.asarray(have[self.y], dtype=float)[ok]
        words = (
            f"{self._title(self.x)} from {np.nanmin(a):.2f} to {np.nanmax(a):.2f}, "
            f"{self._title(self.y)} from {np.nanmin(b):.2f} to {np.nanmax(b):.2f}, "
            f"{int(ok.sum()):,} object{'' if ok.sum() == 1 else 's'}."
        )
        return words[0].upper() + words[1:]


def _by_number(groups: Any) -> list[str]:
    """Return the labels, the most frequent first, so that they keep the best colours."""
    names, counts = np.unique(np.asarray(groups, dtype=str), return_counts=True)
    return [str(names[i]) for i in np.argsort(-counts, kind="stable")]
