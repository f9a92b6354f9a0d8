"""The inspector in a real JupyterLab: taps of a mouse, pixels of a screen."""

import importlib.util
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from lab_steps import READY, cells, has_run
from playwright.sync_api import expect

SKY = Path(__file__).parents[1] / "widgets"

MAKE = """
import sys
sys.path.insert(0, {folder!r})
from simulated_sky import Bump, Shape, classified, detected, explainer, flaring_stars, galaxies
from jupyter_astroml.explain import METHODS
from jupyter_astroml.widgets.inspector import inspector

samples = {samples}
module = {module}
place = {{name: i for i, name in enumerate(samples.ids)}}
found = {predict}(module, samples)
look = inspector(
    found,
    kind=samples.kind,
    fetch=lambda name: samples[place[name]],
    explain=explainer(module, samples=16),
    methods=METHODS,{more}
)
"""
GALAXIES = {"samples": "galaxies(200, side=48)", "module": "Shape(48)", "predict": "classified"}
STARS = {"samples": "flaring_stars(6, cadences=2000)", "module": "Bump()", "predict": "detected"}

# Where a point of the scatter plot is on the screen: the plot whose x axis has this label.
POINT = """async ([label, row]) => {
  const until = async f => {
    for (;;) { const r = f(); if (r) return r; await new Promise(r => setTimeout(r, 50)); }
  };
  const views = () => {
    const found = [];
    const walk = v => { found.push(v); (v.child_views || []).forEach(walk); };
    const roots = window.Bokeh ? [...(Bokeh.index.roots ?? Object.values(Bokeh.index))] : [];
    roots.forEach(walk);
    return found;
  };
  const view = await until(() => views().find(v =>
    v.canvas_view?.el && v.frame && v.model.below?.some(a => a.axis_label === label)));
  const source = view.model.renderers[0].data_source;
  const box = view.canvas_view.el.getBoundingClientRect();
  return [box.left + view.frame.x_scale.compute(source.get('x')[row]),
          box.top + view.frame.y_scale.compute(source.get('y')[row])];
}"""


def notebook(path, *sources):
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(s) for s in sources],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        },
    )
    nbformat.write(made, path)


def run(open_lab, lab, name, what, *, more=""):
    notebook(lab.work / name, MAKE.format(folder=str(SKY), more=more, **what), "look")
    return start(open_lab, name)


def start(open_lab, name, *, seconds=60):
    page = open_lab(name)
    page.set_viewport_size({"width": 1440, "height": 1500})
    page.locator(".jp-NotebookPanel").wait_for()
    page.evaluate(READY)
    page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    has_run(cells(page).nth(1), seconds=seconds)
    return page


def lonely_point():
    """Row of the galaxy whose point is farthest from all others, so that a tap means it alone."""
    spec = importlib.util.spec_from_file_location("simulated_sky", SKY / "simulated_sky.py")
    sky = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sky)
    columns = sky.classified(sky.Shape(48), sky.galaxies(200, side=48)).columns
    points = np.stack([columns["confidence"], columns["uncertainty"]], axis=1)
    distance = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    np.fill_diagonal(distance, np.inf)
    return int(distance.min(axis=1)[1:].argmax()) + 1


def widget(page):
    return page.locator(".jp-astroml-inspector")


def tap(page, label, row):
    page.mouse.click(*page.evaluate(POINT, [label, row]))


def selected(page):
    return widget(page).get_by_label("Object")


@pytest.mark.timeout(240)
def test_a_tapped_point_shows_its_saliency(open_lab, lab, seen, shot):
    page = run(open_lab, lab, "galaxies.ipynb", GALAXIES)
    expect(selected(page)).to_have_value("sim-0", timeout=30_000)
    expect(widget(page).get_by_text("half of the attribution").first).to_be_visible()
    shot("inspector-galaxies")
    row = lonely_point()
    name = f"sim-{row}"
    tap(page, "probability of the label", row)
    expect(selected(page)).to_have_value(name)
    words = widget(page).get_by_text(re.compile(f"^{re.escape(name)}:"))
    expect(words).to_contain_text("half of the attribution", timeout=5_000)
    shot("inspector-galaxies-tapped")
    # Nothing comes from anywhere but our own server.
    assert not seen.failed
    assert not [e for e in seen.errors if "Bokeh" in e or "astroml" in e]
    page.evaluate("void window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_timeout(1500)
    assert (lab.work / "galaxies.ipynb").stat().st_size < 50_000


@pytest.mark.timeout(240)
def test_a_flare_is_explained_where_the_light_curve_is_tapped(open_lab, lab, seen, shot):
    page = run(open_lab, lab, "stars.ipynb", STARS)
    expect(selected(page)).to_have_value("star-0", timeout=30_000)
    expect(widget(page).get_by_text("half of the attribution").first).to_be_visible()
    page.wait_for_timeout(500)
    shot("inspector-stars")
    tap(page, "largest probability", 3)
    expect(selected(page)).to_have_value("star-3")
    page.wait_for_timeout(500)
    shot("inspector-stars-tapped")
    assert not seen.failed


@pytest.mark.timeout(240)
def test_bokehjs_can_be_written_into_the_notebook_instead(open_lab, lab, seen):
    # As in VS Code: nothing has loaded BokehJS into the page.
    open_lab()
    open_lab("").route("**/jupyter-astroml/bokehjs/**", lambda route: route.abort())
    page = run(open_lab, lab, "inline.ipynb", GALAXIES, more='\n    bokehjs="inline",')
    expect(selected(page)).to_have_value("sim-0", timeout=30_000)
    row = lonely_point()
    tap(page, "probability of the label", row)
    expect(selected(page)).to_have_value(f"sim-{row}")
    assert not [u for u in seen.failed if not u.startswith(lab.url)]


DEMO = """
import jupyter_astroml as aml
rows = aml.archive("demo").query("SELECT TOP {n} * FROM demo.{table} {where}")
run = aml.predict(rows, model="{model}", progress=False)
look = aml.inspect(run)
"""


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("table", "model", "where"),
    [
        ("galaxies", "galaxy_morphology", "ORDER BY mag_r"),
        ("stars", "flares", "WHERE n_flares > 0 ORDER BY tmag"),
    ],
)
def test_a_run_on_the_demo_sky_is_inspected(open_lab, lab, seen, shot, table, model, where):
    name = f"demo-{table}.ipynb"
    source = DEMO.format(n=24, table=table, model=model, where=where)
    notebook(lab.work / name, source, "look")
    page = start(open_lab, name, seconds=300)
    words = widget(page).get_by_text("half of the attribution").first
    expect(words).to_be_visible(timeout=60_000)
    expect(widget(page).get_by_text("Refining")).to_have_count(0, timeout=60_000)
    page.wait_for_timeout(500)
    shot(f"inspector-demo-{table}")
    assert not seen.failed
