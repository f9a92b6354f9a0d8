"""Cutouts and light curves with what moved the model's answer, in arcseconds and days."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.layouts import column, row
from bokeh.models import (
    BasicTicker,
    ColumnDataSource,
    HoverTool,
    LayoutDOM,
    LinearColorMapper,
    Range1d,
)
from bokeh.models.annotations import ColorBar, Span

from jupyter_astroml.core.records import Attributions, Cutouts, LightCurves, Predictions

from . import spectrum
from .look import (
    INK,
    LABELS,
    LOWERS,
    QUIET,
    RAISES,
    canvas,
    limit,
    magnitude_palette,
    plain,
    signed_palette,
    solid_palette,
)
from .pictures import colour, orientation, packed

if TYPE_CHECKING:
    from astropy.table import Table

_NOTHING = np.zeros((1, 1), dtype=np.uint32)


def flat(maps: np.ndarray, *, signed: bool) -> np.ndarray:
    """Sum a map over its bands, shape (band, y, x) to (y, x); magnitudes unless `signed`."""
    return (maps if signed else np.abs(maps)).sum(axis=0)


class CutoutView:
    """A cutout and, beside it, the same cutout under its saliency map.

    Attributes
    ----------
    layout : LayoutDOM
        What Bokeh shows.
    picture, overlay : ColumnDataSource
        One row each: ``image`` (y, x), its lower left corner and its size in the axes' unit.
    mapper : LinearColorMapper
        Colours of the map, with limits that are symmetric about 0.
    """

    def __init__(self, *, side: int = 300) -> None:
        box = {"x": [0.0], "y": [0.0], "dw": [1.0], "dh": [1.0]}
        self.picture = ColumnDataSource({"image": [_NOTHING], **box})
        self.overlay = ColumnDataSource({"image": [np.zeros((1, 1), dtype=np.float32)], **box})
        self._arrows = ColumnDataSource({"xs": [], "ys": []})
        self._letters = ColumnDataSource({"x": [], "y": [], "text": []})
        self.mapper = LinearColorMapper(palette=signed_palette(), low=-1, high=1)
        self._signed = True
        x_range, y_range = Range1d(start=0, end=1), Range1d(start=0, end=1)
        ranges: dict[str, Any] = {"x_range": x_range, "y_range": y_range}
        self.left = canvas(width=side + 64, height=side + 76, **ranges)
        self.right = canvas(width=side + 68, height=side + 76, **ranges)
        self.left.title.text, self.right.title.text = "Data", "Saliency"
        for plot in (self.left, self.right):
            plot.grid.visible = False
            plot.background_fill_color = "#000000"
            plot.image_rgba(source=self.picture, image="image", x="x", y="y", dw="dw", dh="dh")
            plot.frame_width = plot.frame_height = side
        self._map = self.right.image(
            source=self.overlay, image="image", x="x", y="y", dw="dw", dh="dh",
            color_mapper=self.mapper,
        )  # fmt: skip
        self._map.glyph.global_alpha = 0.8
        self.left.multi_line("xs", "ys", source=self._arrows, color="white", line_width=1.5)
        self.left.text(
            "x", "y", "text", source=self._letters, color="white", text_font_size="11px",
            text_align="center", text_baseline="middle",
        )  # fmt: skip
        self.right.yaxis.visible = False
        self.right.add_layout(_bar(self.mapper), "right")
        self.right.add_tools(
            HoverTool(
                renderers=[self._map],
                tooltips=[("offset", "$x{0.0}, $y{0.0}"), ("attribution", "@image{0.000e+0}")],
            )
        )
        self.layout: LayoutDOM = row(self.left, self.right, spacing=4)

    def show(
        self,
        cutouts: Cutouts,
        attributions: Attributions | None = None,
        *,
        index: int = 0,
        title: str = "",
    ) -> None:
        """Draw one object; with attributions the data are those that the model saw."""
        if attributions is not None:
            cutouts = attributions.samples
        box = picture_box(cutouts, index)
        lie, half_x, half_y = box.pop("lie"), box.pop("half_x"), box.pop("half_y")
        # East grows to the left: the axis runs backwards, and so do the columns.
        turn = -1 if lie.aligned else 1
        view_x, view_y = self.left.x_range, self.left.y_range
        view_x.update(start=-turn * half_x, end=turn * half_x)
        view_x.update(reset_start=-turn * half_x, reset_end=turn * half_x)
        view_y.update(start=-half_y, end=half_y)
        view_y.update(reset_start=-half_y, reset_end=half_y)
        x_label, y_label = lie.labels()
        self.left.xaxis.axis_label = self.right.xaxis.axis_label = x_label
        self.left.yaxis.axis_label = y_label
        self.left.title.text = plain(title) if title else "Data"
        self.picture.data = {"image": [picture_words(cutouts, index)], **box}
        self._compass(lie, half_x, half_y, turn)
        if attributions is None:
            self.clear_map()
        else:
            self._paint(attributions, index, box)

    def _paint(self, attributions: Attributions, index: int, box: dict[str, Any]) -> None:
        drawn = map_words(attributions, index, signed=self._signed)
        top = limit(drawn)
        self.mapper.update(low=-top if self._signed else 0, high=top)
        self.right.title.text = plain(f"Saliency for {attributions.target_names[index]}")
        self.overlay.data = {"image": [drawn], **box}

    def clear_map(self, *, title: str = "Saliency") -> None:
        """Take the map away; the picture stays."""
        self.right.title.text = title
        empty = np.full((1, 1), np.nan, dtype=np.float32)
        self.overlay.data = {**self.overlay.data, "image": [empty]}

    def opacity(self, value: float) -> None:
        """Set how much the map hides of the picture, 0 to 1."""
        self._map.glyph.global_alpha = value

    def use_sign(self, *, signed: bool) -> None:
        """Choose between two colours by sign, and one scale of magnitudes; for the next `show`."""
        self._signed = signed
        self.mapper.palette = signed_palette() if signed else magnitude_palette()

    def _compass(self, lie: Any, half_x: float, half_y: float, turn: int) -> None:
        if lie.east == (0.0, 0.0):
            self._arrows.data = {"xs": [], "ys": []}
            # What the axes cannot say is said in the picture.
            self._letters.data = {"x": [0.0], "y": [-0.9 * half_y], "text": [lie.note()]}
            return
        length = 0.14 * min(half_x, half_y)
        x0, y0 = turn * 0.72 * half_x, -0.84 * half_y
        xs, ys, letters = [], [], {"x": [], "y": [], "text": []}  # type: ignore[var-annotated]
        for letter, (dx, dy) in (("E", lie.east), ("N", lie.north)):
            tip = x0 + turn * dx * length, y0 + dy * length
            xs.append([x0, tip[0]])
            ys.append([y0, tip[1]])
            letters["x"].append(x0 + turn * dx * length * 1.6)
            letters["y"].append(y0 + dy * length * 1.6)
            letters["text"].append(letter)
        self._arrows.data = {"xs": xs, "ys": ys}
        self._letters.data = letters


def picture_box(cutouts: Cutouts, index: int) -> dict[str, Any]:
    """Return the place of a cutout in its axes, with its orientation and half its size."""
    lie = orientation(cutouts, index)
    height, width = cutouts.values.shape[2:]
    half_x, half_y = lie.scale * width / 2, lie.scale * height / 2
    return {
        "x": [-half_x], "y": [-half_y], "dw": [2 * half_x], "dh": [2 * half_y],
        "lie": lie, "half_x": half_x, "half_y": half_y,
    }  # fmt: skip


def picture_words(cutouts: Cutouts, index: int) -> np.ndarray:
    """Return a cutout as 32-bit colours in the order of its axes, shape (y, x)."""
    return _ordered(packed(colour(cutouts, index)), cutouts, index)


def map_words(attributions: Attributions, index: int, *, signed: bool) -> np.ndarray:
    """Return a map as float32 in the order of the axes of its cutout, shape (y, x)."""
    drawn = flat(np.nan_to_num(attributions.maps[index]), signed=signed and attributions.signed)
    return _ordered(drawn.astype(np.float32), attributions.samples, index)


def _ordered(plane: np.ndarray, cutouts: Cutouts, index: int) -> np.ndarray:
    """Order the columns by rising offset: East offsets fall from left to right in a FITS image."""
    lie = orientation(cutouts, index)
    return np.ascontiguousarray(plane[:, ::-1] if lie.aligned and not lie.mirrored else plane)


def _bar(mapper: LinearColorMapper) -> ColorBar:
    return ColorBar(
        color_mapper=mapper,
        ticker=BasicTicker(desired_num_ticks=5),
        width=10,
        padding=4,
        title=None,
        border_line_color=None,
        background_fill_color="#ffffff",
        major_label_text_font_size="9px",
        major_label_text_color=QUIET,
        label_standoff=4,
    )


class LightCurveView:
    """Flux, saliency and probability against time, one axis of days below all three.

    Attributes
    ----------
    layout : LayoutDOM
        What Bokeh shows.
    flux, saliency, probability, events : ColumnDataSource
        What is drawn: cadences, the explained window, cadences with a probability, and the peaks of
        events.
    """

    def __init__(self, *, width: int = 780) -> None:
        self._shown: tuple[LightCurves, int] | None = None
        self._marked: Table | None = None
        self.flux = ColumnDataSource({"time": [], "flux": []})
        self.saliency = ColumnDataSource(
            {"time": [], "flux": [], "map": [], "raises": [], "lowers": []}
        )
        self.probability = ColumnDataSource({"time": [], "p": [], "low": [], "high": []})
        self.events = ColumnDataSource({"time": [], "p": [], "flux": []})
        self.mapper = LinearColorMapper(palette=solid_palette(), low=-1, high=1)
        self._signed = True
        x_range = Range1d(start=0, end=1)
        wide: dict[str, Any] = {"width": width, "x_range": x_range}
        self.top = canvas(
            height=220,
            tools="xpan,xwheel_zoom,box_zoom,tap,reset",
            y_range=Range1d(start=0, end=1),
            **wide,
        )
        self.middle = canvas(height=90, toolbar_location=None, **wide)
        self.bottom = canvas(
            height=160, y_range=Range1d(start=-0.03, end=1.05), toolbar_location=None, **wide
        )
        self.top.title.text = "Data"
        self._draw_flux()
        self.middle.varea("time", 0, "raises", source=self.saliency, color=RAISES, alpha=0.75)
        self.middle.varea("time", "lowers", 0, source=self.saliency, color=LOWERS, alpha=0.75)
        self._draw_probability()
        self.target = [
            Span(dimension="height", line_color=INK, line_dash=[4, 3], line_width=1, visible=False)
            for _ in range(3)
        ]
        for plot, span in zip((self.top, self.middle, self.bottom), self.target, strict=True):
            plot.add_layout(span)
            plot.min_border_left = 74
        for plot in (self.top, self.middle):
            plot.xaxis.visible = False
        self.middle.yaxis.axis_label = "saliency"
        self.middle.yaxis.ticker = BasicTicker(desired_num_ticks=2)
        self.bottom.yaxis.axis_label = "probability ± σ"
        self.layout: LayoutDOM = column(self.top, self.middle, self.bottom, spacing=0)

    def _draw_flux(self) -> None:
        self.top.scatter("time", "flux", source=self.flux, size=2.5, color="#8c959f", alpha=0.6)
        seen = self.top.scatter(
            "time", "flux", source=self.saliency, size=5, line_color=None,
            fill_color={"field": "map", "transform": self.mapper},
        )  # fmt: skip
        self.top.scatter(
            "time", "flux", source=self.events, marker="inverted_triangle", size=9,
            fill_color=None, line_color=INK,
        )  # fmt: skip
        self.top.add_tools(
            HoverTool(
                renderers=[seen],
                tooltips=[
                    ("time", "@time{0.0000} d"),
                    ("flux", "@flux{0.00000}"),
                    ("attribution", "@map{0.000e+0}"),
                ],
            )
        )

    def _draw_probability(self) -> None:
        self.bottom.varea(
            "time", "low", "high", source=self.probability, color=LABELS[2], alpha=0.3,
        )  # fmt: skip
        self.bottom.line("time", "p", source=self.probability, color=LABELS[2], line_width=1.5)
        self.bottom.scatter(
            "time", "p", source=self.events, marker="inverted_triangle", size=9,
            fill_color=None, line_color=INK,
        )  # fmt: skip
        self.rule = Span(
            dimension="width", line_color=QUIET, line_dash=[2, 4], line_width=1, visible=False
        )
        self.bottom.add_layout(self.rule)

    def show(
        self,
        curves: LightCurves,
        attributions: Attributions | None = None,
        predictions: Predictions | None = None,
        *,
        index: int = 0,
        title: str = "",
    ) -> None:
        """Draw one object, zoomed to what was explained; reset shows all of it.

        Parameters
        ----------
        curves : LightCurves
            The whole light curve.
        attributions : Attributions, optional
            Of one object; its samples are the cadences that were explained.
        predictions : Predictions, optional
            Of one object, with the arrays ``probability`` and ``probability_std``.
        index : int
            Row of the object in `curves`.
        title : str
            Of the uppermost panel.
        """
        time, flux = curves.time[index], curves.values[index].astype(np.float64)
        good = np.isfinite(flux)
        self.flux.data = {"time": time[good], "flux": flux[good]}
        self.top.title.text = plain(title) if title else "Data"
        unit = "relative flux" if curves.flux_unit == "relative" else f"flux [{curves.flux_unit}]"
        self.top.yaxis.axis_label = plain(unit)
        self.bottom.xaxis.axis_label = plain(time_label(curves))
        whole = (float(time[good].min()), float(time[good].max())) if good.any() else (0.0, 1.0)
        self._show_probability(curves, predictions, index)
        self._shown = curves, index
        self._show_events()
        view = whole
        if attributions is None:
            self.clear_map()
        else:
            view = self._show_map(attributions)
        margin = 0.01 * (view[1] - view[0])
        self.top.x_range.update(
            start=view[0] - margin, end=view[1] + margin, reset_start=whole[0], reset_end=whole[1]
        )
        # The height follows the part in view: a giant flare elsewhere must not flatten this one.
        inside = (time[good] >= view[0]) & (time[good] <= view[1])
        low, high = _height(flux[good][inside])
        all_low, all_high = _height(flux[good])
        self.top.y_range.update(start=low, end=high, reset_start=all_low, reset_end=all_high)

    def _show_map(self, attributions: Attributions) -> tuple[float, float]:
        seen = attributions.samples
        time = seen.time[0]
        drawn = np.nan_to_num(np.asarray(attributions.maps[0], dtype=np.float64))
        signed = self._signed and attributions.signed
        drawn = drawn if signed else np.abs(drawn)
        top = limit(drawn)
        self.mapper.update(low=-top if signed else 0, high=top)
        self.saliency.data = {
            "time": time,
            "flux": seen.values[0],
            "map": drawn,
            "raises": np.clip(drawn, 0, None),
            "lowers": np.clip(drawn, None, 0),
        }
        target = min(int(attributions.targets[0]), len(time) - 1)
        for span in self.target:
            span.update(location=float(time[target]), visible=True)
        return _interesting(time, np.abs(drawn), target)

    def _show_probability(
        self, curves: LightCurves, predictions: Predictions | None, index: int
    ) -> None:
        empty: dict[str, Any] = {"time": [], "p": [], "low": [], "high": []}
        self.bottom.visible = predictions is not None and "probability" in predictions.arrays
        if predictions is None or "probability" not in predictions.arrays:
            self.probability.data = empty
            return
        p = np.asarray(predictions.arrays["probability"][0], dtype=np.float64)
        std = predictions.arrays.get("probability_std")
        std = np.zeros_like(p) if std is None else np.nan_to_num(np.asarray(std[0], np.float64))
        size = min(len(p), curves.values.shape[1])
        time, p, std = curves.time[index, :size], p[:size], std[:size]
        good = np.isfinite(p)
        self.probability.data = {
            "time": time[good],
            "p": p[good],
            "low": np.clip(p - std, 0, 1)[good],
            "high": np.clip(p + std, 0, 1)[good],
        }

    def mark_events(self, events: Table) -> None:
        """Mark the peaks of events, and the threshold above which a cadence belongs to one.

        What makes an event is the model's to say, so the plot works out none.

        Parameters
        ----------
        events : Table
            Of any number of objects, with ``id``, ``t_peak`` and ``probability``, and the
            ``threshold`` of the ``rule`` in its meta, as `jupyter_astroml.session.events` gives.
            They are marked on the object that is shown, and on those that will be.
        """
        self._marked = events
        self.rule.update(location=float(events.meta["rule"]["threshold"]), visible=True)
        self._show_events()

    def _show_events(self) -> None:
        if self._marked is None or self._shown is None:
            return
        curves, index = self._shown
        mine = self._marked[np.asarray(self._marked["id"], dtype=str) == curves.ids[index]]
        peaks = np.asarray(mine["t_peak"], dtype=np.float64)
        at = [int(np.nanargmin(np.abs(curves.time[index] - peak))) for peak in peaks]
        self.events.data = {
            "time": peaks,
            "p": np.asarray(mine["probability"], dtype=np.float64),
            "flux": curves.values[index, at],
        }

    def clear_map(self, *, title: str = "") -> None:
        """Take the map away; the light curve stays."""
        if title:
            self.top.title.text = title
        none: list[float] = []
        self.saliency.data = {
            "time": none, "flux": none, "map": none, "raises": none, "lowers": none,
        }  # fmt: skip
        for span in self.target:
            span.visible = False

    def opacity(self, value: float) -> None:
        """Set the strength of the coloured cadences, 0 to 1."""
        self.top.renderers[1].glyph.fill_alpha = value

    def use_sign(self, *, signed: bool) -> None:
        """Choose between two colours by sign, and one scale of magnitudes; for the next `show`."""
        self._signed = signed
        palette = solid_palette()
        self.mapper.palette = palette if signed else palette[len(palette) // 2 :]


def _interesting(time: np.ndarray, weight: np.ndarray, target: int) -> tuple[float, float]:
    """Return the part of the time axis in which nearly all of the attribution lies.

    At least forty cadences on either side of the target, where there are so many.
    """
    near = [max(0, target - 40), min(len(time) - 1, target + 40)]
    total = weight.sum()
    if total > 0:
        grown = np.cumsum(weight) / total
        near += np.searchsorted(grown, [0.01, 0.99]).tolist()
    inside = np.clip(near, 0, len(time) - 1)
    return float(time[inside.min()]), float(time[inside.max()])


def _height(flux: np.ndarray) -> tuple[float, float]:
    """Return the lowest and highest value with a margin."""
    if not flux.size:
        return 0.0, 1.0
    low, high = float(flux.min()), float(flux.max())
    margin = 0.08 * (high - low) or 0.5
    return low - margin, high + margin


def time_label(curves: LightCurves) -> str:
    """Return the label of the time axis with its zero point and scale."""
    scale = curves.time_scale.upper()
    if curves.time_zero == 2457000.0:
        return f"BTJD = BJD − 2457000 [days, {scale}]"
    if curves.time_zero:
        return f"JD − {curves.time_zero:.10g} [days, {scale}]"
    return f"time [days, {scale}]"


def view_of(samples: Any, **options: Any) -> CutoutView | LightCurveView:
    """Return an empty view for the kind of these samples."""
    return LightCurveView(**options) if samples.kind == "light_curves" else CutoutView(**options)


def draw(
    samples: Any,
    attributions: Attributions | None = None,
    predictions: Predictions | None = None,
    *,
    index: int = 0,
) -> LayoutDOM:
    """Draw one object, with its saliency and its prediction where given.

    Parameters
    ----------
    samples : Cutouts, LightCurves or Spectra
        The data; of spectra, nothing but themselves is drawn.
    attributions : Attributions, optional
        Of the same object, alone.
    predictions : Predictions, optional
        Of the same object, alone.
    index : int
        Row of the object in `samples`.

    Returns
    -------
    LayoutDOM
        For ``bokeh.io.show``.
    """
    if samples.kind == "spectra":
        return spectrum.draw(samples, index=index)
    view = view_of(samples)
    title = str(samples.ids[index])
    if isinstance(view, LightCurveView):
        view.show(samples, attributions, predictions, index=index, title=title)
    else:
        view.show(samples[index], attributions, title=title)
    return view.layout
