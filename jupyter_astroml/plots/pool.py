"""The state of a pool over time; a page's script fills in what comes from the service."""

from __future__ import annotations

from bokeh.models import (
    ColumnDataSource,
    DataRange1d,
    DatetimeTickFormatter,
    FactorRange,
    Model,
)
from bokeh.models.annotations import Title
from bokeh.plotting import figure

from .look import INK, LABELS

# Names by which the page's script finds the sources.
OVER_TIME, WAITING = "over_time", "waiting"
_HEIGHT = 220


def charts() -> dict[str, Model]:
    """Return empty charts by name, in the order of a page.

    The source ``over_time`` has the columns ``time`` (ms since 1970), ``speed`` (objects a second),
    ``busy`` (share of the workers' time, 0 to 1) and ``waiting`` (s); the source ``waiting`` has
    ``user`` and ``seconds``.
    """
    columns: dict[str, list[float]] = {"time": [], "speed": [], "busy": [], "waiting": []}
    history = ColumnDataSource(columns, name=OVER_TIME)
    return {
        "speed": _line(history, "speed", "Objects a second", colour=LABELS[0]),
        "busy": _line(history, "busy", "Share of the workers' time in use", colour=LABELS[2]),
        "waiting": _line(history, "waiting", "Seconds of work that wait", colour=LABELS[3]),
        "users": _bars(),
    }


def _line(source: ColumnDataSource, column: str, title: str, *, colour: str) -> figure:
    plot = figure(
        title=Title(text=title, text_color=INK),
        height=_HEIGHT,
        sizing_mode="stretch_width",
        x_axis_type="datetime",
        y_range=DataRange1d(start=0),
        tools="",
        toolbar_location=None,
    )
    plot.line("time", column, source=source, line_width=2, color=colour)
    plot.xaxis.formatter = DatetimeTickFormatter(seconds="%H:%M:%S", minsec="%H:%M:%S")
    return plot


def _bars() -> figure:
    source = ColumnDataSource({"user": [], "seconds": []}, name=WAITING)
    plot = figure(
        title=Title(text="Seconds of work that wait, by user", text_color=INK),
        height=_HEIGHT,
        x_range=DataRange1d(start=0),
        sizing_mode="stretch_width",
        y_range=FactorRange(name="users"),
        tools="",
        toolbar_location=None,
    )
    plot.hbar(y="user", right="seconds", height=0.7, source=source, color=LABELS[1])
    return plot
