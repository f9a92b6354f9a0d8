"""A run on one page: a file that holds everything and needs no network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.embed import components
from bokeh.model import Model
from bokeh.models import CustomJS
from bokeh.models.annotations import Title
from bokeh.resources import Resources

from jupyter_astroml.core.records import Attributions, LightCurves, Predictions

from . import calibration, describe
from .look import escaped
from .maps import CutoutView, LightCurveView, view_of
from .scatter import MOST, ScatterView
from .table import TableView
from .thumbnails import data_url

if TYPE_CHECKING:
    from astropy.table import Table

# Objects whose pictures and maps the page holds: each costs about 50 kB.
MOST_PICTURES = 24


def report(
    path: Path | str,
    *,
    predictions: Predictions,
    samples: Any = None,
    attributions: Attributions | Iterable[Attributions] = (),
    events: Table | None = None,
    truth: np.ndarray | None = None,
    title: str = "",
    meta: Mapping[str, Any] | None = None,
) -> Path:
    """Write a run as one HTML file.

    The table, the plot and the pictures are linked: what is selected in one is shown in all.
    The page is readable without JavaScript, in black and white, and by a screen reader.

    Parameters
    ----------
    path : Path
        File to write; its folder is made.
    predictions : Predictions
        Answers for any number of objects; beyond 5000 a sample is drawn, and the page says so.
    samples : Cutouts or LightCurves, optional
        Data of a few of the objects; the first 24 are shown.
    attributions : Attributions or iterable of Attributions, optional
        Maps of some of these objects.
    events : Table, optional
        Events in the light curves, to be marked: see `LightCurveView.mark_events`.
    truth : ndarray of str, shape (n,), optional
        True labels, in the order of the predictions; they add a reliability diagram.
    title : str
        Heading of the page.
    meta : mapping, optional
        Where all of it comes from; shown at the end.

    Returns
    -------
    Path
        The file.
    """
    path = Path(path)
    title = title or "Predictions"
    maps = _by_id(attributions)
    place = {name: i for i, name in enumerate(predictions.ids.tolist())}
    shown = [] if samples is None else [n for n in samples.ids.tolist() if n in place]
    shown = shown[:MOST_PICTURES]
    plots = _linked(predictions, samples, maps, shown, events)
    if truth is not None and "label" in predictions.columns:
        found = calibration.from_labels(predictions, truth)
        plots["calibration"] = calibration.draw(found)
    script, places = components(plots)
    parts = [
        _head(predictions, samples, title),
        _explore(predictions, places, shown, _words(predictions, maps, shown[0]) if shown else ""),
        _table(places),
        _cards(predictions, samples, maps, shown),
        _reliability(places, found) if "calibration" in places else "",
        _origin(meta or {}, predictions),
    ]
    needed: Any = ["bokeh", "bokeh-widgets", "bokeh-tables"]
    bokehjs = Resources(mode="inline", components=needed).render()
    page = _PAGE.format(
        title=escaped(title), style=_STYLE, bokehjs=bokehjs, body="\n".join(parts), script=script
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def _by_id(attributions: Attributions | Iterable[Attributions]) -> dict[str, Attributions]:
    records = [attributions] if isinstance(attributions, Attributions) else list(attributions)
    return {str(r.ids[i]): r[i] for r in records for i in range(len(r))}


# Plots


def _linked(
    predictions: Predictions,
    samples: Any,
    maps: dict[str, Attributions],
    shown: list[str],
    events: Table | None,
) -> dict[str, Model]:
    """Return scatter, table and object, whose selections follow one another in the browser."""
    scatter = ScatterView(predictions, width=430, height=400)
    kept = predictions[scatter.rows]
    table = TableView(kept, page_size=MOST, width=1060, height=min(300, 34 + 24 * len(kept)))
    # One source for both: Bokeh itself keeps the selections equal.
    table.layout.source = scatter.source
    plots: dict[str, Model] = {"scatter": scatter.layout, "table": table.layout}
    texts = {n: _words(predictions, maps, n) for n in shown}
    args: dict[str, Any] = {"points": scatter.source, "ring": scatter.ring, "texts": texts}
    if shown:
        view = view_of(samples, **({"width": 600} if _curves(samples) else {"side": 220}))
        if isinstance(view, LightCurveView) and events is not None:
            view.mark_events(events)
        args |= _stored(view, predictions, samples, maps, shown)
        plots["object"] = view.layout
        first = int(np.flatnonzero(predictions.ids == shown[0])[0])
        scatter.mark(first)
        scatter.source.selected.indices = np.flatnonzero(scatter.rows == first).tolist()
    scatter.source.selected.js_on_change("indices", CustomJS(args=args, code=_SELECT))
    scatter.source.name = "astroml-points"
    return plots


def _curves(samples: Any) -> bool:
    return isinstance(samples, LightCurves)


def _words(predictions: Predictions, maps: dict[str, Attributions], name: str) -> str:
    row = int(np.flatnonzero(predictions.ids == name)[0])
    words = describe.prediction(predictions, row)
    return f"{words} {describe.attribution(maps[name])}" if name in maps else words


def _stored(
    view: CutoutView | LightCurveView,
    predictions: Predictions,
    samples: Any,
    maps: dict[str, Attributions],
    shown: list[str],
) -> dict[str, Any]:
    """Draw every object once and keep what the view then holds, for the browser to put back."""
    sources, models = _parts(view)
    kept: dict[str, Any] = {}
    # The first object is drawn last, so that the page opens with it.
    for name in reversed(shown):
        index = int(np.flatnonzero(samples.ids == name)[0])
        if isinstance(view, LightCurveView):
            row = int(np.flatnonzero(predictions.ids == name)[0])
            view.show(samples, maps.get(name), predictions[row], index=index, title=name)
        else:
            view.show(samples[index], maps.get(name), title=name)
        kept[name] = {
            "data": [dict(s.data) for s in sources],
            "set": [{k: _value(m, k) for k in names} for m, names in models],
        }
    found = [m for m, _ in models]
    titles = [m for m in found if isinstance(m, Title)]
    return {"kept": kept, "sources": sources, "models": found, "titles": titles}


def _value(model: Any, name: str) -> Any:
    return getattr(model, name)


def _parts(view: Any) -> tuple[list[Any], list[tuple[Any, tuple[str, ...]]]]:
    """Return the sources of a view and the properties that differ between objects."""
    span = ("start", "end", "reset_start", "reset_end")
    if isinstance(view, LightCurveView):
        sources = [view.flux, view.saliency, view.probability, view.events]
        models: list[tuple[Any, tuple[str, ...]]] = [
            (view.mapper, ("low", "high")),
            (view.top.x_range, span),
            (view.top.y_range, span),
            (view.top.title, ("text",)),
            *((s, ("location", "visible")) for s in view.target),
        ]
        return sources, models
    sources = [view.picture, view.overlay, view._arrows, view._letters]
    models = [
        (view.mapper, ("low", "high")),
        (view.left.x_range, span),
        (view.left.y_range, span),
        (view.left.title, ("text",)),
        (view.right.title, ("text",)),
        (view.left.xaxis[0], ("axis_label",)),
        (view.right.xaxis[0], ("axis_label",)),
        (view.left.yaxis[0], ("axis_label",)),
    ]
    return sources, models


_SELECT = """
const row = points.selected.indices[0];
const plain = from => from instanceof Map ? Object.fromEntries(from) : from;
const say = text => {
  const place = document.getElementById('astroml-words');
  if (place) { place.textContent = text; }
};
for (const card of document.querySelectorAll('.card')) { card.removeAttribute('aria-current'); }
if (row == null) { return; }
const id = points.data.id[row];
// Bokeh turns a dictionary into an object or a Map, by its keys.
const get = (from, key) => from instanceof Map ? from.get(key) : from[key];
ring.data = {x: [points.data.x[row]], y: [points.data.y[row]]};
if (typeof kept === 'undefined' || get(kept, id) == null) {
  // The picture of another object must not stay beside this one's name.
  if (typeof sources !== 'undefined') {
    for (const source of sources) {
      source.data = Object.fromEntries(Object.keys(source.data).map(key => [key, []]));
    }
    titles.forEach((title, i) => { title.text = i ? '' : id; });
  }
  say(`${id}: this page holds no picture of it.`);
  return;
}
const found = get(kept, id);
models.forEach((model, i) => model.setv(plain(get(found, 'set')[i])));
sources.forEach((source, i) => { source.data = plain(get(found, 'data')[i]); });
say(get(texts, id));
for (const card of document.querySelectorAll('.card')) {
  if (card.dataset.id === id) { card.setAttribute('aria-current', 'true'); }
}
"""


# Sections


def _head(predictions: Predictions, samples: Any, title: str) -> str:
    simulated = bool(getattr(samples, "simulated", False))
    mark = '<p class="mark">Simulated data: never observed.</p>' if simulated else ""
    model = predictions.meta.get("model")
    by = f'<p class="quiet">Model <code>{escaped(model)}</code></p>' if model else ""
    words = escaped(describe.predictions(predictions))
    return f"<header><h1>{escaped(title)}</h1>{by}{mark}<p>{words}</p></header>"


def _explore(
    predictions: Predictions, places: Mapping[str, str], shown: list[str], first: str
) -> str:
    view = ScatterView(replace(predictions, arrays={}), width=100, height=100)
    note = f'<p class="quiet">{escaped(view.describe())} {escaped(view.note())}</p>'
    hint = (
        "Tap a point, a row or a picture to see the object and what moved the model's answer."
        if shown
        else "Tap a point to find its row."
    )
    picture = ""
    if "object" in places:
        picture = (
            f'<div>{places["object"]}<p id="astroml-words" role="status" aria-live="polite">'
            f"{escaped(first)}</p></div>"
        )
    return (
        f'<section aria-labelledby="explore"><h2 id="explore">Prediction and uncertainty</h2>'
        f'<p class="quiet">{escaped(hint)}</p>'
        f'<div class="side"><div>{places["scatter"]}{note}</div>{picture}</div></section>'
    )


def _table(places: Mapping[str, str]) -> str:
    return (
        '<section aria-labelledby="table"><h2 id="table">Results</h2>'
        f'<div class="wide">{places["table"]}</div></section>'
    )


def _cards(
    predictions: Predictions, samples: Any, maps: dict[str, Attributions], shown: list[str]
) -> str:
    if not shown:
        return ""
    cards = []
    for place, name in enumerate(shown):
        index = int(np.flatnonzero(samples.ids == name)[0])
        pictures = [(data_url(samples, index), f"Data of {name}")]
        if name in maps:
            text = describe.attribution(maps[name])
            pictures.append((data_url(samples, index, maps[name]), text))
        images = "".join(f'<img src="{u}" alt="{escaped(t)}">' for u, t in pictures)
        words = escaped(_words(predictions, maps, name).split(": ", 1)[-1])
        wide = " curve" if _curves(samples) else ""
        cards.append(
            f'<li><button type="button" class="card{wide}" data-id="{escaped(name)}"'
            f"{'' if place else ' aria-current=true'}>"
            f'<span class="pair">{images}</span><strong>{escaped(name)}</strong>'
            f"<span>{words}</span></button></li>"
        )
    key = (
        '<p class="quiet"><span class="key raises"></span> raises the score '
        '<span class="key lowers"></span> lowers it</p>'
    )
    return (
        '<section aria-labelledby="objects"><h2 id="objects">Objects</h2>'
        f'{key if maps else ""}<ul class="cards">{"".join(cards)}</ul></section>'
    )


def _reliability(places: Mapping[str, str], found: calibration.Reliability) -> str:
    return (
        '<section aria-labelledby="calibration"><h2 id="calibration">Reliability</h2>'
        f"{places['calibration']}<p>{escaped(found.describe())}</p></section>"
    )


def _origin(meta: Mapping[str, Any], predictions: Predictions) -> str:
    shown = {**predictions.meta, **meta}
    text = json.dumps(shown, indent=2, default=str, ensure_ascii=False)
    from jupyter_astroml._version import __version__

    stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f'<section aria-labelledby="origin"><h2 id="origin">Origin</h2>'
        f'<p class="quiet">Written by jupyter_astroml {escaped(__version__)} on {stamp}.</p>'
        f"<details><summary>Provenance</summary><pre>{escaped(text)}</pre></details></section>"
    )


_STYLE = """
:root { color-scheme: light; --ink: #24292f; --quiet: #57606a; --line: #d0d7de; --accent: #0072B2; }
body { margin: 0 auto; max-width: 1120px; padding: 24px 28px 60px; color: var(--ink);
  background: #fff; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem;
  border-bottom: 1px solid var(--line); padding-bottom: .3rem; }
.quiet { color: var(--quiet); font-size: .9rem; margin: .3rem 0; }
.mark { display: inline-block; border: 1px solid #9a6700; color: #7d4e00; border-radius: 4px;
  padding: 0 .5rem; font-weight: 600; }
.side { display: flex; flex-wrap: wrap; gap: 20px; } .side > div { max-width: 640px; }
.side > div:first-child { max-width: 440px; } .wide { overflow-x: auto; }
.cards { list-style: none; margin: 0; padding: 0; display: grid; gap: 14px;
  grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); }
.card { display: flex; flex-direction: column; gap: 4px; width: 100%; height: 100%; padding: 8px;
  text-align: left; font: inherit; font-size: .82rem; color: inherit; background: #fff;
  border: 1px solid var(--line); border-radius: 6px; cursor: pointer; line-height: 1.4; }
.card:hover { border-color: var(--accent); }
.card:focus-visible { outline: 3px solid var(--accent); outline-offset: 1px; }
.card[aria-current] { border-color: #D55E00; box-shadow: 0 0 0 2px #D55E00; }
.card strong { overflow-wrap: anywhere; }
.pair { display: flex; gap: 4px; } .pair img { width: calc(50% - 2px); border-radius: 3px; }
.curve .pair { flex-direction: column; }
.curve .pair img { width: auto; border: 1px solid var(--line); }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-left: .6em; }
.raises { background: #D55E00; } .lowers { background: #0072B2; }
pre { overflow: auto; background: #f6f8fa; padding: 10px; border-radius: 6px; font-size: .8rem; }
@media print { .card { break-inside: avoid; } }
"""

_CLICKS = """
document.addEventListener('click', event => {
  const card = event.target.closest('.card');
  if (!card || !window.Bokeh) { return; }
  for (const doc of Bokeh.documents) {
    const points = doc.get_model_by_name('astroml-points');
    if (!points) { continue; }
    const row = Array.from(points.data.id).indexOf(card.dataset.id);
    if (row >= 0) {
      points.selected.indices = [row];
      document.getElementById('explore').scrollIntoView({block: 'start'});
    }
  }
});
"""

_PAGE = (
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
{bokehjs}
</head>
<body>
<main>
{body}
</main>
{script}
<script>"""
    + _CLICKS.replace("{", "{{").replace("}", "}}")
    + """</script>
</body>
</html>
"""
)
