"""The result table, a page of it at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource
from bokeh.models.widgets.tables import DataTable, NumberFormatter, StringFormatter, TableColumn

from jupyter_astroml.core.records import Predictions

from .look import escaped
from .scatter import columns

PAGE = 200
_TITLES = {"n_events": "events", "max_probability": "max p", "t_max": "t of max p [d]"}


def orders(predictions: Predictions) -> dict[str, tuple[str, bool]]:
    """Return the useful orders of the objects: words to column and whether the largest is first."""
    have = predictions.columns
    found: dict[str, tuple[str, bool]] = {"as queried": ("", False)}
    wanted = {
        "most uncertain first": ("uncertainty", True),
        "least uncertain first": ("uncertainty", False),
        "members disagree most first": ("disagreement", True),
        "most probable first": ("max_probability", True),
        "most events first": ("n_events", True),
        "by label": ("label", False),
    }
    return found | {words: by for words, by in wanted.items() if by[0] in have}


def order(predictions: Predictions, *, by: str = "", descending: bool = False) -> np.ndarray:
    """Return the rows in an order; objects without an answer come last.

    Parameters
    ----------
    predictions : Predictions
        Of any number of objects.
    by : str
        A column; empty keeps the order that they have.
    descending : bool
        Largest first.

    Returns
    -------
    ndarray of int, shape (n,)
    """
    if not by:
        return np.arange(len(predictions))
    values = np.asarray(predictions.columns[by])
    if values.dtype.kind in "fiu":
        number = values.astype(np.float64)
        missing = ~np.isfinite(number)
        key = np.where(missing, 0.0, -number if descending else number)
    else:
        missing = ~predictions.ok
        key = np.unique(values.astype(str), return_inverse=True)[1].astype(np.float64)
        key = -key if descending else key
    return np.lexsort((np.arange(len(values)), key, missing))


class TableView:
    """A table of one page of the objects, in an order; a million rows cost no more than a page.

    Attributes
    ----------
    layout : DataTable
        What Bokeh shows.
    source : ColumnDataSource
        The page; its selection is the selected row.
    rows : ndarray of int, shape (n,)
        All rows in the present order.
    page : int
        Page that is shown, from 0.
    """

    def __init__(
        self,
        predictions: Predictions,
        *,
        page_size: int = PAGE,
        width: int = 920,
        height: int = 240,
    ) -> None:
        self._predictions = predictions
        self._size = page_size
        self.rows = np.arange(len(predictions))
        self.page = 0
        self.source = ColumnDataSource(columns(predictions, self.shown))
        self.layout = DataTable(
            source=self.source,
            columns=_columns(predictions, self.source.data),
            width=width,
            height=height,
            sortable=True,
            selectable=True,
            index_position=None,
            autosize_mode="none",
            row_height=24,
        )

    @property
    def pages(self) -> int:
        """Number of pages, at least 1."""
        return max(1, -(-len(self.rows) // self._size))

    @property
    def shown(self) -> np.ndarray:
        """Rows of the predictions that the page holds."""
        return self.rows[self.page * self._size : (self.page + 1) * self._size]

    def sort(self, *, by: str = "", descending: bool = False) -> None:
        """Order all objects, not only the page, and show the first page."""
        self.rows = order(self._predictions, by=by, descending=descending)
        self.turn(0)

    def turn(self, page: int) -> None:
        """Show another page."""
        self.page = int(np.clip(page, 0, self.pages - 1))
        self.source.selected.indices = []
        self.source.data = columns(self._predictions, self.shown)

    def mark(self, row: int | None) -> None:
        """Select an object by its row in the predictions, and turn to its page."""
        if row is None:
            self.source.selected.indices = []
            return
        place = int(np.flatnonzero(self.rows == row)[0])
        if place // self._size != self.page:
            self.turn(place // self._size)
        at = [place % self._size]
        if self.source.selected.indices != at:
            self.source.selected.indices = at

    def note(self) -> str:
        """Say which part of the table is shown."""
        shown = self.shown
        if not len(shown):
            return "no objects"
        first = self.page * self._size
        return f"rows {first + 1:,} to {first + len(shown):,} of {len(self.rows):,}"


def _columns(predictions: Predictions, data: Any) -> list[TableColumn]:
    first = ["id", "label", "confidence", "n_events", "max_probability", "uncertainty"]
    last = ["fit", "status"]
    names = [n for n in first if n in data]
    names += [n for n in predictions.columns if n not in (*first, *last)]
    names += [n for n in last if n in data]
    found = []
    for name in names:
        kind = np.asarray(data[name]).dtype.kind
        if kind == "f":
            formatter: Any = NumberFormatter(
                format="0.0000" if name == "t_max" else "0.000", nan_format="–"
            )
        elif kind in "iu":
            formatter = NumberFormatter(format="0")
        else:
            formatter = StringFormatter()
        # A title is HTML to the grid, and class names come from cards that others wrote.
        title = _TITLES.get(name, f"p({name[2:]})" if name.startswith("p_") else name)
        wide = {"id": 180, "fit": 180, "prediction_set": 160, "status": 120, "label": 110}
        found.append(
            TableColumn(
                field=name,
                title=escaped(title.replace("_", " ")),
                formatter=formatter,
                width=wide.get(name, 92),
            )
        )
    return found
