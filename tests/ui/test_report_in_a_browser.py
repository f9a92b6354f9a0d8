"""The report opened as a file: linked, and safe with names that archives may send."""

import numpy as np
import pytest
from playwright.sync_api import expect

from jupyter_astroml.core.records import Attributions, Cutouts, Predictions
from jupyter_astroml.plots.report import report

BAD = "</script><img src=x onerror=\"document.title='broken in'\">"


def galaxies(ids):
    rng = np.random.default_rng(0)
    return Cutouts(
        ids=np.asarray(ids),
        values=rng.random((len(ids), 3, 24, 24)).astype(np.float32),
        bands=("R", "G", "B"),
        pixel_scale=np.full(len(ids), 0.4),
        simulated=True,
    )


@pytest.fixture
def opened(page, seen, tmp_path):
    ids = [BAD, *(f"g{i}" for i in range(40))]
    p = np.linspace(0.3, 0.98, len(ids))
    predictions = Predictions(
        ids=np.asarray(ids),
        status=np.full(len(ids), "ok"),
        columns={
            "label": np.where(np.arange(len(ids)) % 3, "spiral", BAD),
            f"p_{BAD}": 1 - p,
            "confidence": p,
            "uncertainty": 1 - p,
            "fit": np.full(len(ids), f"outside: {BAD}"),
        },
        meta={"model": BAD},
    )
    samples = galaxies(ids[:6])
    maps = Attributions(
        ids=samples.ids,
        maps=samples.values - 0.5,
        targets=np.zeros(6, int),
        target_names=np.full(6, BAD),
        method="smoothgrad",
        samples=samples,
    )
    path = report(
        tmp_path / "report.html",
        predictions=predictions,
        samples=samples,
        attributions=maps,
        title=BAD,
    )
    page.goto(path.as_uri())
    page.locator(".bk-Canvas canvas").first.wait_for(state="attached")
    page.locator(".slick-row").first.wait_for()
    return page


def stored(page):
    """Titles of the plots as the page draws them now."""
    return page.evaluate(
        """() => [...Bokeh.documents[0]._all_models.values()]
          .filter(model => model.type === 'Title').map(model => model.text)"""
    )


def test_a_picture_a_row_and_a_point_show_their_object(opened, seen, shot):
    words = opened.locator("#astroml-words")
    opened.locator(".card", has_text="g3").click()
    expect(words).to_contain_text("g3: ")
    expect(words).to_contain_text("half of the attribution lies within")
    assert "g3" in stored(opened)
    expect(opened.locator(".card[aria-current]")).to_contain_text("g3")
    opened.locator(".slick-row", has_text="g1").first.click()
    expect(words).to_contain_text("g1: ")
    assert "g1" in stored(opened)
    opened.locator(".slick-row", has_text="g7").first.click()
    expect(words).to_contain_text("holds no picture")
    # Nor does it keep that of the object before.
    assert "g1" not in stored(opened)
    assert "g7" in stored(opened)
    shot("report")
    assert not seen.errors
    assert not seen.failed


def test_names_that_archives_send_stay_text(opened, seen):
    opened.locator(".card").first.click()
    expect(opened.locator("#astroml-words")).to_contain_text("</script>")
    # The tooltip of the first point, which is the hostile one.
    place = opened.evaluate(
        """() => {
          const found = [];
          const walk = v => { found.push(v); (v.child_views || []).forEach(walk); };
          [...(Bokeh.index.roots ?? Object.values(Bokeh.index))].forEach(walk);
          const view = found.find(v => v.canvas_view?.el &&
            v.model.below?.some(a => a.axis_label === 'probability of the label'));
          const source = view.model.renderers[0].data_source;
          const box = view.canvas_view.el.getBoundingClientRect();
          return [box.left + view.frame.x_scale.compute(source.get('x')[0]),
                  box.top + view.frame.y_scale.compute(source.get('y')[0])];
        }"""
    )
    opened.mouse.move(*place)
    expect(opened.get_by_text("answer").first).to_be_visible()
    opened.wait_for_timeout(500)
    assert opened.locator("img[src='x']").count() == 0
    assert opened.title() == BAD
    assert not seen.failed
    assert not seen.errors


def test_a_keyboard_reaches_every_object(opened):
    opened.locator(".card").nth(2).focus()
    opened.keyboard.press("Enter")
    expect(opened.locator("#astroml-words")).to_contain_text("g1: ")
