"""Thumbnails of cutouts or light curves that can be tapped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d, TapTool

from .look import INK, LABELS, LINE, canvas, plain
from .maps import picture_words

# Points of a thumbnail: more than it has pixels.
_POINTS = 160


class GalleryView:
    """Rows of thumbnails, filled as the data arrive.

    Attributes
    ----------
    layout : figure
        What Bokeh shows.
    tiles : ColumnDataSource
        One row a place: ``id``, ``caption``, centre ``x`` and ``y``; what is tapped is selected.
    pictures, curves : ColumnDataSource
        What fills the tiles.
    """

    def __init__(self, *, across: int = 8, down: int = 1, width: int = 920) -> None:
        self.across, self.down = across, down
        side = width / across
        self.tiles = ColumnDataSource({"id": [], "caption": [], "x": [], "y": []})
        self.pictures = ColumnDataSource({"image": [], "x": [], "y": [], "d": []})
        self.curves = ColumnDataSource({"xs": [], "ys": []})
        self.layout = canvas(
            width=width, height=round(side * down * 1.22) + 6, tools="", toolbar_location=None,
            x_range=Range1d(start=0, end=across), y_range=Range1d(start=-down * 1.22, end=0),
        )  # fmt: skip
        self.layout.axis.visible = False
        self.layout.grid.visible = False
        self.layout.outline_line_color = None
        self.layout.min_border = 0
        self.layout.image_rgba("image", "x", "y", "d", "d", source=self.pictures)
        self.layout.multi_line("xs", "ys", source=self.curves, color=LABELS[0], line_width=1)
        tile = self.layout.rect(
            "x", "y", 0.94, 0.94, source=self.tiles, fill_alpha=0.0, line_color=LINE,
            nonselection_line_color=LINE, nonselection_fill_alpha=0.0, nonselection_line_alpha=1,
            selection_line_color=LABELS[3], selection_line_width=4, selection_fill_alpha=0.0,
        )  # fmt: skip
        self.layout.text(
            "x", "caption_y", "caption", source=self.tiles, text_align="center",
            text_baseline="middle", text_font_size="10px", text_color=INK,
            nonselection_text_alpha=1.0,
        )  # fmt: skip
        self.layout.add_tools(
            TapTool(renderers=[tile]),
            HoverTool(renderers=[tile], tooltips=[("id", "@id"), ("", "@caption")]),
        )
        self.expect([], [])

    @property
    def size(self) -> int:
        """Number of places."""
        return self.across * self.down

    def expect(self, ids: Sequence[str], captions: Sequence[str]) -> None:
        """Name the objects whose data will come, and empty the places."""
        n = min(len(ids), self.size)
        x, y = self._centre(np.arange(n))
        self.tiles.data = {
            "id": list(ids[:n]),
            "caption": [plain(_short(c)) for c in captions[:n]],
            "x": x,
            "y": y,
            "caption_y": y - 0.59,
        }
        self.pictures.data = {"image": [], "x": [], "y": [], "d": []}
        self.curves.data = {"xs": [], "ys": []}

    def _centre(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return place % self.across + 0.5, -(place // self.across) * 1.22 - 0.5

    def fill(self, place: int, samples: Any, *, index: int = 0) -> None:
        """Draw the object that stands in a place."""
        cx, cy = (float(v) for v in self._centre(np.array(place)))
        if samples.kind == "light_curves":
            xs, ys = thumbnail(samples.time[index], samples.values[index])
            new: dict[str, Any] = {"xs": [cx - 0.44 + 0.88 * xs], "ys": [cy - 0.4 + 0.8 * ys]}
            self.curves.stream(new)
            return
        picture = picture_words(samples, index)
        if picture.shape[1] and _runs_backwards(samples, index):
            picture = np.ascontiguousarray(picture[:, ::-1])
        self.pictures.stream({"image": [picture], "x": [cx - 0.46], "y": [cy - 0.46], "d": [0.92]})

    def select(self, object_id: str | None) -> None:
        """Frame an object, if it is in the gallery."""
        names = list(self.tiles.data["id"])
        found = [names.index(object_id)] if object_id in names else []
        if self.tiles.selected.indices != found:
            self.tiles.selected.indices = found


def _runs_backwards(samples: Any, index: int) -> bool:
    """Tell whether the East axis turns the drawn columns round, which a thumbnail has not."""
    from .pictures import orientation

    return orientation(samples, index).aligned


def thumbnail(time: np.ndarray, flux: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shrink a light curve to its lowest and highest value in each of a few bins.

    Means would hide the short events that one looks for.

    Returns
    -------
    x, y : ndarray, shape (2 bins,), 0 to 1
    """
    good = np.isfinite(flux) & np.isfinite(time)
    if not good.any():
        return np.zeros(0), np.zeros(0)
    time, flux = time[good].astype(float), flux[good].astype(float)
    width = max(float(time[-1] - time[0]), 1e-12)
    bins = np.minimum(((time - time[0]) / width * (_POINTS // 2)).astype(int), _POINTS // 2 - 1)
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    low, high = np.minimum.reduceat(flux, starts), np.maximum.reduceat(flux, starts)
    x = np.repeat((bins[starts] + 0.5) / (_POINTS // 2), 2)
    y = np.stack([low, high], axis=1).ravel()
    bottom, top = float(y.min()), float(y.max())
    return x, (y - bottom) / (top - bottom) if top > bottom else np.full_like(y, 0.5)


def _short(text: str, most: int = 17) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
