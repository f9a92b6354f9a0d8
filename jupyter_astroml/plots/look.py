"""Colours, markers and texts that all plots share."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import Toolbar
from bokeh.palettes import Cividis256
from bokeh.plotting import figure

# Okabe & Ito 2008, "Color universal design": told apart with every common colour blindness.
# Its yellow and black are left out: the one is lost on white, the other is our text.
LABELS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
# A second sign beside the colour, for print and for those who see none.
MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "hex")
RAISES, LOWERS = "#D55E00", "#0072B2"
INK, QUIET, LINE = "#24292f", "#6e7781", "#d0d7de"
STEPS = 256


def colours(factors: Sequence[str]) -> list[str]:
    """Return one colour a label; they repeat after six, where the markers have to help."""
    return [LABELS[i % len(LABELS)] for i in range(len(factors))]


def markers(factors: Sequence[str]) -> list[str]:
    """Return one marker a label, so that pairs with the colour repeat after 36."""
    n = len(LABELS)
    return [MARKERS[(i + i // n) % n] for i in range(len(factors))]


def signed_palette() -> list[str]:
    """Blue for what lowers the score, orange for what raises it, transparent for nothing."""
    half = STEPS // 2
    low = [_clear(LOWERS, 1 - i / half) for i in range(half)]
    high = [_clear(RAISES, (i + 1) / half) for i in range(half)]
    return low + high


def magnitude_palette() -> list[str]:
    """Cividis, made for colour-blind eyes (Nuñez et al. 2018), transparent at the lower end."""
    return [_clear(colour, i / (STEPS - 1)) for i, colour in enumerate(Cividis256)]


def solid_palette() -> list[str]:
    """Blue to orange through grey, for points on white."""
    grey, half = np.array([200.0, 204.0, 209.0]), STEPS // 2
    low, high = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (LOWERS, RAISES))
    ramp = np.linspace(0, 1, half)[:, None]
    rgb = np.concatenate([low + (grey - low) * ramp, grey + (high - grey) * ramp])
    return ["#" + "".join(f"{round(v):02x}" for v in row) for row in rgb]


def _clear(colour: str, opacity: float) -> str:
    return f"{colour}{round(255 * opacity):02x}"


def plain(text: Any) -> str:
    r"""Return a text that Bokeh draws as it is.

    Bokeh takes ``$$…$$``, ``\(…\)`` and ``\[…\]`` for formulas and fetches MathJax for them; a name
    from an archive must not start that.
    """
    kept = str(text)
    for sign in ("$$", "\\(", "\\["):
        kept = kept.replace(sign, sign[0] + "\u200b" + sign[1])
    return kept


def escaped(text: Any) -> str:
    """Return a text that is safe between HTML tags and in quoted attributes."""
    return html.escape(str(text), quote=True)


def limit(maps: np.ndarray, *, percentile: float = 99.0) -> float:
    """Return the magnitude at which colours end.

    A percentile and not the maximum: one extreme pixel would leave the rest without colour.
    """
    size = np.abs(maps[np.isfinite(maps)])
    size = size[size > 0]
    return float(np.percentile(size, percentile)) if size.size else 1.0


def canvas(
    *, width: int, height: int, tools: str = "pan,wheel_zoom,box_zoom,reset", **options: Any
) -> Any:
    """Return an empty `bokeh.plotting.figure` with the looks of this package.

    Typed as Any: Bokeh's annotations leave out properties that its figures have.
    """
    plot: Any = figure(
        width=width,
        height=height,
        tools=tools,
        active_drag=None,
        toolbar_location=options.pop("toolbar_location", "above"),
        output_backend="canvas",
        **options,
    )
    plot.outline_line_color = LINE
    plot.grid.grid_line_color = "#eaeef2"
    for axis in plot.axis:
        axis.axis_line_color = LINE
        axis.major_tick_line_color = LINE
        axis.minor_tick_line_color = None
        axis.major_label_text_color = QUIET
        axis.axis_label_text_color = INK
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = "12px"
    plot.title.text_color = INK
    plot.title.text_font_size = "13px"
    plot.title.text_font_style = "bold"
    if isinstance(plot.toolbar, Toolbar):
        plot.toolbar.logo = None
        plot.toolbar.autohide = True
    return plot
