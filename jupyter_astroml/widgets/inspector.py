"""The inspector: every prediction beside its data and what in the data moved it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import numpy as np
from bokeh.events import Tap

from jupyter_astroml.core.errors import AstroMLError, DataError
from jupyter_astroml.core.records import Attributions, LightCurves, Predictions
from jupyter_astroml.plots import describe
from jupyter_astroml.plots.gallery import GalleryView
from jupyter_astroml.plots.look import escaped
from jupyter_astroml.plots.maps import CutoutView, LightCurveView
from jupyter_astroml.plots.scatter import ScatterView, axis_title, choices, labels
from jupyter_astroml.plots.table import TableView, orders

from .live import Live, Progress, Work
from .live import bokehjs as provide_bokehjs

if TYPE_CHECKING:
    from astropy.table import Table

Fetch = Callable[[str], Any]
Target = str | float
Explain = Callable[[Any, Target, str, Progress], Attributions]
Code = Callable[[str, Target, str], str]
Events = Callable[[LightCurves, Predictions], "Table"]

# Objects and maps that are kept, so that going back costs nothing.
_KEPT = 128
# Fits the output of a cell beside an open sidebar on a laptop.
_WIDTH = 880


def inspector(
    predictions: Predictions,
    *,
    kind: str,
    fetch: Fetch,
    explain: Explain,
    methods: Mapping[str, str] | Sequence[str],
    refine: Explain | None = None,
    events: Events | None = None,
    code: Code | None = None,
    bokehjs: str = "auto",
) -> Inspector:
    """Look at predictions, their uncertainty, the data and the saliency, all linked.

    Parameters
    ----------
    predictions : Predictions
        Answers of a model, of any number of objects.
    kind : {"cutouts", "light_curves"}
        Kind of the data.
    fetch : callable
        ``fetch(id) -> Cutouts or LightCurves`` of one object.
    explain : callable
        ``explain(sample, target, method, progress) -> Attributions`` of one object, where the
        target is the name of a class, or a time in days on the axis of the light curve.
        It calls ``progress(done, total)`` as it goes; that raises when its map is not wanted any
        more.
        It decides how many passes it spends; a tap should be answered within a second.
    methods : mapping of str to str
        Names of the methods and a line about each, as `jupyter_astroml.explain.METHODS`.
    refine : callable, optional
        As `explain`, with more passes: its map replaces the first one when it is ready.
    events : callable, optional
        ``events(sample, prediction) -> Table`` of one light curve, as
        `jupyter_astroml.session.events` gives it: the events are marked and can be explained.
    code : callable, optional
        ``code(id, target, method) -> str``: a line that gives the same picture.
    bokehjs : {"auto", "served", "inline"}
        Where the page gets BokehJS: see `jupyter_astroml.widgets.live.bokehjs`.

    Returns
    -------
    Inspector
        A widget; ``.select(id)`` shows an object.

    Raises
    ------
    DataError
        If there is no object.
    """
    if len(predictions) == 0:
        raise DataError(
            "There is nothing to inspect",
            cause="the predictions hold no object",
            remedy="run a model on some objects first",
        )
    provide_bokehjs(bokehjs)
    return Inspector(
        predictions,
        kind=kind,
        fetch=fetch,
        explain=explain,
        refine=refine,
        events=events,
        methods=methods,
        code=code or _line,
    )


def _line(object_id: str, target: Target, method: str) -> str:
    return f"aml.explain(run, ids=[{object_id!r}], target={target!r}, method={method!r})"


class _Kept(OrderedDict[Any, Any]):
    """The last few results."""

    def get_or(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self:
            self[key] = make()
            while len(self) > _KEPT:
                self.popitem(last=False)
        self.move_to_end(key)
        return self[key]


class Inspector(ipw.VBox):
    """What `inspector` returns.

    Attributes
    ----------
    scatter, table, gallery, view
        The linked plots, from `jupyter_astroml.plots`.
    selected : str
        Id of the selected object.
    attributions : Attributions or None
        What is drawn over the selected object.
    """

    def __init__(
        self,
        predictions: Predictions,
        *,
        kind: str,
        fetch: Fetch,
        explain: Explain,
        refine: Explain | None,
        events: Events | None,
        methods: Mapping[str, str] | Sequence[str],
        code: Code,
    ) -> None:
        self._predictions = predictions
        self._kind = kind
        self._fetch, self._explain, self._refine, self._code = fetch, explain, refine, code
        self._events = events
        self._samples, self._maps = _Kept(), _Kept()
        self._work, self._thumbs = Work(), Work()
        self._row: int | None = None
        self._sample: Any = None
        self._busy = False
        self.attributions: Attributions | None = None
        self._place = {name: i for i, name in enumerate(predictions.ids.tolist())}
        self._make_plots()
        self._make_controls(methods)
        super().__init__(children=self._lay_out())
        self.add_class("jp-astroml-inspector")
        self._connect()
        self._fill_gallery(0)
        first = np.flatnonzero(predictions.ok)
        self._select(int(first[0]) if len(first) else 0)

    # Making

    def _make_plots(self) -> None:
        p = self._predictions
        self.scatter = ScatterView(p, width=330, height=360)
        self.table = TableView(p, width=_WIDTH, height=230)
        self.gallery = GalleryView(across=8, width=_WIDTH)
        curves = self._kind == "light_curves"
        self.view: Any = LightCurveView(width=540) if curves else CutoutView(side=200)
        self._live = [Live(v.layout) for v in (self.scatter, self.view, self.gallery, self.table)]

    def _make_controls(self, methods: Mapping[str, str] | Sequence[str]) -> None:
        lines = dict(methods) if isinstance(methods, Mapping) else {m: m for m in methods}
        wide = ipw.Layout(width="264px")
        small = ipw.Layout(width="auto")
        self.method = ipw.Dropdown(
            options=[(describe.method_name(m), m) for m in lines],
            description="Method",
            tooltip="How the saliency is computed",
            layout=wide,
        )
        self._lines = lines
        self.target = ipw.Dropdown(
            options=self._targets(), description="Explain", layout=wide,
            tooltip="Which answer of the model is explained",
        )  # fmt: skip
        self.sign = ipw.Dropdown(
            options=[("raises and lowers", True), ("magnitude", False)],
            description="Colours", layout=wide,
        )  # fmt: skip
        self.opacity = ipw.FloatSlider(
            value=0.8, min=0, max=1, step=0.05, description="Opacity", layout=wide,
            continuous_update=False,
        )  # fmt: skip
        ids = self._predictions.ids
        self.object = ipw.Combobox(
            # A browser lists a few hundred well; any id can be typed.
            options=[str(i) for i in ids[:500]],
            description="Object", placeholder="type an id", continuous_update=False, layout=wide,
        )  # fmt: skip
        self.previous = ipw.Button(description="Previous", icon="arrow-left", layout=small)
        self.next = ipw.Button(description="Next", icon="arrow-right", layout=small)
        self.order = ipw.Dropdown(
            options=list(orders(self._predictions)), description="Order", layout=wide
        )
        self.back = ipw.Button(description="Previous page", layout=small)
        self.forth = ipw.Button(description="Next page", layout=small)
        names = choices(self._predictions)
        self.x, self.y = (
            ipw.Dropdown(
                options=[(axis_title(n), n) for n in names],
                value=now if now in names else None,
                description=f"{letter} axis",
                layout=ipw.Layout(width="320px"),
            )
            for letter, now in (("x", self.scatter.x), ("y", self.scatter.y))
        )
        self.status = ipw.HTML()
        self.summary = ipw.HTML()
        self.line = ipw.HTML()
        self._page = ipw.HTML()

    def _lay_out(self) -> list[ipw.Widget]:
        scatter, view, gallery, table = self._live
        notes = f"{self.scatter.describe()} {self.scatter.note()}"
        head = f"<b>{escaped(describe.predictions(self._predictions))}</b>"
        wrap = ipw.Layout(flex_flow="row wrap", align_items="center")
        said: list[ipw.Widget] = [self.status, self.summary, self.line]
        # Light curves stand high: the words fill the room beside them.
        below, beside = ([], said) if self._kind == "light_curves" else (said, [])
        left = ipw.VBox(
            [
                scatter,
                ipw.HTML(f"<div style='font-size:11px;line-height:1.4'>{escaped(notes)}</div>"),
                self.x,
                self.y,
                *beside,
            ],
            layout=ipw.Layout(width="336px"),
        )
        right = ipw.VBox(
            [
                ipw.HBox([self.object, self.previous, self.next], layout=wrap),
                ipw.HBox([self.method, self.target], layout=wrap),
                ipw.HBox([self.sign, self.opacity], layout=wrap),
                view,
                *below,
            ],
            layout=ipw.Layout(max_width="548px"),
        )
        return [
            ipw.HTML(head),
            ipw.HBox(
                [left, right], layout=ipw.Layout(flex_flow="row wrap", align_items="flex-start")
            ),
            ipw.HBox([self.order, self.back, self.forth, self._page], layout=wrap),
            gallery,
            table,
        ]

    def _connect(self) -> None:
        self.scatter.source.selected.on_change("indices", self._tapped_point)
        self.table.source.selected.on_change("indices", self._tapped_row)
        self.gallery.tiles.selected.on_change("indices", self._tapped_tile)
        if self._kind == "light_curves":
            for plot in (self.view.top, self.view.bottom):
                plot.on_event(Tap, self._tapped_time)
        for live in self._live:
            live.on_drawn(partial(_send_again, live._model))
        self.method.observe(lambda _: self._show(), names="value")
        self.target.observe(lambda _: self._show(), names="value")
        self.sign.observe(lambda _: self._recolour(), names="value")
        self.opacity.observe(lambda change: self.view.opacity(change.new), names="value")
        self.object.observe(self._typed, names="value")
        self.previous.on_click(lambda _: self._step(-1))
        self.next.on_click(lambda _: self._step(1))
        self.order.observe(self._reorder, names="value")
        self.back.on_click(lambda _: self._turn(-1))
        self.forth.on_click(lambda _: self._turn(1))
        for box in (self.x, self.y):
            box.observe(lambda _: self._axes(), names="value")

    # Choosing an object

    @property
    def selected(self) -> str:
        """Id of the selected object."""
        return "" if self._row is None else str(self._predictions.ids[self._row])

    def select(self, object_id: str) -> None:
        """Show an object.

        Raises
        ------
        DataError
            If there is no such object.
        """
        if object_id not in self._place:
            raise DataError(
                f"There is no object {object_id!r}", remedy="take an id from the predictions"
            )
        self._select(self._place[object_id])

    def _select(self, row: int) -> None:
        if row == self._row or self._busy:
            return
        # Marking an object in one plot must not be taken for a tap in another.
        self._busy = True
        try:
            self._row = row
            self.scatter.mark(row)
            found = np.flatnonzero(self.scatter.rows == row)
            self.scatter.source.selected.indices = [int(i) for i in found]
            self.table.mark(row)
            self._page.value = escaped(self.table.note())
            self.gallery.select(self.selected)
            self.object.value = self.selected
            self._sample, self.attributions = None, None
            self.target.options = self._targets()
            self.target.value = ""
        finally:
            self._busy = False
        self._show()

    def _tapped_point(self, _attr: str, _old: Any, new: list[int]) -> None:
        if new:
            self._select(int(self.scatter.rows[new[0]]))

    def _tapped_row(self, _attr: str, _old: Any, new: list[int]) -> None:
        if new and not self._busy:
            self._select(int(self.table.shown[new[0]]))

    def _tapped_tile(self, _attr: str, _old: Any, new: list[int]) -> None:
        if new:
            self._select(self._place[str(self.gallery.tiles.data["id"][new[0]])])

    def _typed(self, change: Any) -> None:
        if self._busy or change.new == self.selected:
            return
        if change.new in self._place:
            self._select(self._place[change.new])
        elif change.new:
            self._say(f"There is no object {change.new} in this run.", kind="error")

    def _step(self, by: int) -> None:
        place = int(np.flatnonzero(self.table.rows == self._row)[0]) + by
        if 0 <= place < len(self.table.rows):
            self._select(int(self.table.rows[place]))

    # Order, pages, axes

    def _reorder(self, change: Any) -> None:
        by, descending = orders(self._predictions)[change.new]
        self._quietly(lambda: self.table.sort(by=by, descending=descending))
        self._fill_gallery(0)

    def _turn(self, by: int) -> None:
        size = self.gallery.size
        start = int(np.clip(self._gallery_start + by * size, 0, len(self.table.rows) - 1))
        self._fill_gallery(start // size * size)

    def _quietly(self, act: Callable[[], Any]) -> None:
        self._busy = True
        try:
            act()
        finally:
            self._busy = False
        self._page.value = escaped(self.table.note())

    def _axes(self) -> None:
        self.scatter.choose(x=self.x.value, y=self.y.value)
        self.scatter.mark(self._row)

    def _fill_gallery(self, start: int) -> None:
        """Name the objects of the gallery's page at once, and draw them as they arrive."""
        self._gallery_start = start
        rows = self.table.rows[start : start + self.gallery.size]
        ids = [str(i) for i in self._predictions.ids[rows]]
        groups = labels(self._predictions[rows])
        sure = self._predictions.columns.get(self.scatter.x)
        numbers = ["" if sure is None else f" {sure[r]:.2f}" for r in rows]
        captions = [f"{g}{n}" for g, n in zip(groups, numbers, strict=True)]
        self.gallery.expect(ids, captions)
        self._quietly(lambda: self.gallery.select(self.selected))
        if not rows.size:
            return
        self._quietly(lambda: self._page_of(start))
        self._thumbs.begin()
        for place, name in enumerate(ids):
            self._thumbs.do(
                partial(self._sample_of, name),
                then=partial(self.gallery.fill, place),
                # The place stays empty; the reason is shown when the object is selected.
                failed=lambda _: None,
            )

    def _page_of(self, start: int) -> None:
        """Turn the table to the page of the gallery, if that is another one."""
        first = int(self.table.rows[start])
        if first not in self.table.shown:
            self.table.turn(start // max(1, len(self.table.shown)))

    # Showing

    def _sample_of(self, object_id: str, _: Progress) -> Any:
        return self._samples.get_or(object_id, lambda: self._fetch(object_id))

    def _one(self) -> Predictions:
        return self._predictions[self._row if self._row is not None else 0]

    def _wanted(self) -> Target | None:
        """Return what is to be explained; None where there is nothing."""
        if self.target.value != "":
            return self.target.value
        columns = self._predictions.columns
        if "label" in columns:
            return str(columns["label"][self._row]) or None
        if self._predictions.parameters:
            return self._predictions.parameters[0]
        value = float(columns["t_max"][self._row]) if "t_max" in columns else float("nan")
        return value if np.isfinite(value) else None

    def _show(self) -> None:
        """Fetch, explain and draw the selected object; the data appear before the map."""
        if self._busy or self._row is None:
            return
        one, name = self._one(), self.selected
        self._work.begin()
        self.summary.value = self._words(one, None)
        self.line.value = ""
        if self._sample is None:
            self._say(f"Fetching {name} …")
        begun = time.perf_counter()

        def explain_it(sample: Any) -> None:
            self._draw_sample(sample, one)
            target = self._wanted()
            if target is None or not one.ok[0]:
                self._say("There is no answer to explain.")
                return
            self._make_map(sample, one, target, begun)

        self._work.do(partial(self._sample_of, name), then=explain_it, failed=self._failed)

    def _make_map(self, sample: Any, one: Predictions, target: Target, begun: float) -> None:
        """Work the map out, quickly and then well, unless it is known."""
        method = self.method.value
        draw = partial(self._draw_map, one=one, target=target, begun=begun)
        key = (self.selected, target, method)
        if ("fine", key) in self._maps:
            draw(self._maps["fine", key])
            return

        def work(explain: Explain, grade: str, then: Callable[[Attributions], Any]) -> None:
            def call(progress: Progress) -> Attributions:
                return self._maps.get_or(
                    (grade, key), lambda: explain(sample, target, method, progress)
                )

            words = f"{describe.method_name(method)} of {key[0]}"
            doing = "Refining" if grade == "fine" else "Working out"
            if ("quick", key) not in self._maps:
                self._say(f"{doing} {words} …")
            self._work.do(
                call,
                then=then,
                failed=self._failed,
                tell=lambda done, total: self._say(f"{doing} {words}: {done} of {total} passes"),
            )

        def first(found: Attributions) -> None:
            draw(found)
            if self._refine is not None:
                work(self._refine, "fine", draw)

        work(self._explain, "quick", first)

    def _draw_sample(self, sample: Any, one: Predictions) -> None:
        fresh = self._sample is None
        self._sample = sample
        if not fresh:
            return
        if not isinstance(sample, LightCurves):
            self.view.show(sample, title=self.selected)
            return
        self.view.show(sample, None, one, title=self.selected)
        if self._events is not None and one.ok[0]:
            found = self._events(sample, one)
            self.view.mark_events(found)
            self._quietly(lambda: self._offer(found))

    def _draw_map(
        self, found: Attributions, one: Predictions, target: Target, begun: float
    ) -> None:
        self.attributions = found
        if isinstance(self._sample, LightCurves):
            self.view.show(self._sample, found, one, title=self.selected)
        else:
            self.view.show(self._sample, found, title=self.selected)
        self.summary.value = self._words(one, found)
        line = self._code(self.selected, target, self.method.value)
        self.line.value = (
            f'<details><summary>Code</summary><pre tabindex="0">{escaped(line)}</pre></details>'
        )
        self._say(f"{self._lines[self.method.value]} – {time.perf_counter() - begun:.2f} s")

    def _recolour(self) -> None:
        self.view.use_sign(signed=self.sign.value)
        if self.attributions is not None and self._row is not None:
            if isinstance(self._sample, LightCurves):
                self.view.show(self._sample, self.attributions, self._one(), title=self.selected)
            else:
                self.view.show(self._sample, self.attributions, title=self.selected)

    # Targets

    def _targets(self) -> list[tuple[str, Any]]:
        if self._kind == "light_curves":
            return [("most probable event", "")]
        if names := self._predictions.parameters:
            return [("the first parameter", ""), *((n, n) for n in names[1:])]
        names = tuple(n[2:] for n in self._predictions.columns if n.startswith("p_"))
        return [("the given label", ""), *((n, n) for n in names)]

    def _offer(self, events: Table) -> None:
        """List events as targets."""
        # The most probable first: a noisy curve may have hundreds.
        best = events[np.argsort(-np.asarray(events["probability"]), kind="stable")[:50]]
        self.target.options = [
            *self._targets(),
            *(
                (f"t = {t:.4f} d, p = {p:.2f}", float(t))
                for t, p in zip(best["t_peak"], best["probability"], strict=True)
            ),
        ]
        self.target.value = ""

    def _tapped_time(self, event: Any) -> None:
        """Explain the cadence that was tapped."""
        if self._sample is None or event.x is None:
            return
        all_times = self._sample.time[0]
        near = float(all_times[np.abs(all_times - event.x).argmin()])
        if near in [value for _, value in self.target.options]:
            self.target.value = near
            return

        def offer() -> None:
            self.target.options = [*self.target.options, (f"t = {near:.4f} d, tapped", near)]

        self._quietly(offer)
        self.target.value = near

    # Saying

    def _words(self, one: Predictions, found: Attributions | None) -> str:
        words = describe.prediction(one)
        if found is not None:
            words += " " + describe.attribution(found)
            gap = found.meta.get("completeness")
            if gap is not None:
                words += (
                    f" The map misses the change of the score by {float(np.ravel(gap)[0]):.1%}."
                )
        # The words replace the picture for those who do not see it, so they are announced.
        return (
            f'<div role="status" aria-live="polite" style="line-height:1.45">{escaped(words)}</div>'
        )

    def _say(self, words: str, *, kind: str = "") -> None:
        if kind == "error":
            self.status.value = (
                f'<div role="alert" style="color:#b42318;line-height:1.45">{escaped(words)}</div>'
            )
        else:
            self.status.value = (
                f'<div role="status" style="opacity:.75;line-height:1.45">{escaped(words)}</div>'
            )

    def _failed(self, error: Exception) -> None:
        """Show an error with its cause and remedy, and take away the map that it is not about."""
        self.attributions = None
        self.view.clear_map()
        if isinstance(error, AstroMLError):
            told = error.to_json()
        else:
            told = {"what": f"{type(error).__name__}: {error}", "cause": "", "remedy": ""}
        parts = [f"<b>{escaped(told['what'])}</b>"]
        if told["cause"]:
            parts.append(f"Cause: {escaped(told['cause'])}")
        if told["remedy"]:
            parts.append(f"To do: {escaped(told['remedy'])}")
        body = "<br>".join(parts)
        self.status.value = f'<div role="alert" style="color:#b42318;line-height:1.45">{body}</div>'

    def close(self) -> None:
        """End the threads and take the widget away."""
        self._work.close()
        self._thumbs.close()
        super().close()


def _send_again(model: Any) -> None:
    """Send the data of every plot once more, for a page that has only now drawn them."""
    from bokeh.models import ColumnDataSource, Range1d

    for source in model.select({"type": ColumnDataSource}):
        source.data = dict(source.data)
    for span in model.select({"type": Range1d}):
        span.trigger("start", span.start, span.start)
