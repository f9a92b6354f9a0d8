"""The main job from the sidebar, on the simulated demo sky: query, predict, inspect, explain."""

import re
import time

import pytest
from lab_steps import cells, has_run, open_sidebar, row, section
from playwright.sync_api import expect

# Of the scatter plot in the inspector: the loneliest of its points, so that a tap means it alone.
LONELY = """async () => {
  const until = async f => {
    for (;;) { const r = f(); if (r) return r; await new Promise(r => setTimeout(r, 50)); }
  };
  const all = view => [view, ...(view.child_views ?? []).flatMap(all)];
  const scatter = () => [...(Bokeh.index.roots ?? Object.values(Bokeh.index))]
    .flatMap(all)
    .find(v => v.frame && v.model.below?.some(a => a.axis_label === 'probability of the label'));
  const view = await until(scatter);
  const source = view.model.renderers[0].data_source;
  const xs = view.frame.x_scale.v_compute(source.get('x'));
  const ys = view.frame.y_scale.v_compute(source.get('y'));
  const room = (_, i) => Math.min(...[...xs].map((x, j) =>
    i === 0 || i === j ? (i === 0 ? -1 : Infinity) : Math.hypot(x - xs[i], ys[j] - ys[i])));
  const rooms = [...xs].map(room);
  const best = rooms.indexOf(Math.max(...rooms));
  const box = view.canvas_view.el.getBoundingClientRect();
  return {x: box.left + xs[best], y: box.top + ys[best]};
}"""


@pytest.mark.timeout(600)
def test_the_main_job_is_done_from_the_sidebar(open_lab, seen, shot, record_property):
    page = open_lab()
    page.set_viewport_size({"width": 1600, "height": 1500})
    open_sidebar(page)
    expect(row(page, "Schema demo")).to_be_visible(timeout=60_000)
    section(page, "query").locator(".cm-content").fill("SELECT TOP 30 * FROM demo.galaxies")
    page.get_by_role("button", name="Insert query").click()
    has_run(cells(page).nth(0), seconds=120)

    section(page, "models").locator("article", has_text="galaxy_morphology").get_by_role(
        "button", name="Predict with"
    ).click()
    has_run(cells(page).nth(1), seconds=300)
    expect(cells(page).nth(1).locator("table")).to_contain_text("confidence")
    shot("predicted")

    page.get_by_role("button", name="Inspect run").click()
    look = cells(page).nth(2).locator(".jp-astroml-inspector")
    half = look.get_by_text("half of the attribution").first
    expect(half).to_be_visible(timeout=120_000)
    page.evaluate("void window.jupyterapp.commands.execute('application:toggle-left-area')")
    look.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)  # the plots take their new width
    shot("inspected")

    chosen = look.get_by_label("Object")
    before = chosen.input_value()
    place = page.evaluate(LONELY)
    start = time.perf_counter()
    page.mouse.click(place["x"], place["y"])
    expect(chosen).not_to_have_value(before)
    name = chosen.input_value()
    expect(look.get_by_text(re.compile(f"^{re.escape(name)}:"))).to_contain_text(
        "half of the attribution", timeout=15_000
    )
    seconds = time.perf_counter() - start
    record_property("seconds from tap to saliency", round(seconds, 2))
    print(f"from tap to saliency: {seconds:.2f} s")
    shot("tapped")
    assert not seen.failed
    assert not [
        text for text in seen.errors if "astroml" in text.lower() or "bokeh" in text.lower()
    ]

    page.evaluate("void window.jupyterapp.commands.execute('jupyter-astroml:explain')")
    last = cells(page).nth(3)
    has_run(last, seconds=120)
    expect(last.locator("canvas").first).to_be_visible(timeout=20_000)
    shot("explained")
