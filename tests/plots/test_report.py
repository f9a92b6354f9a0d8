import base64
import io
import re

import numpy as np
from PIL import Image
from records_of_plots import classified, curve, cutouts, detected, explained, header

from jupyter_astroml.plots import report as module
from jupyter_astroml.plots.report import report
from jupyter_astroml.plots.thumbnails import data_url


def test_a_report_holds_everything_and_asks_for_nothing(tmp_path):
    samples = cutouts(n=3, wcs=header(cd=[[-1, 0], [0, 1]]))
    path = report(
        tmp_path / "new" / "report.html",
        predictions=classified(),
        samples=samples,
        attributions=explained(samples, samples.values),
        truth=np.array(["spiral", "merger"] * 3),
        title="Test run",
        meta={"query": "SELECT 1"},
    )
    page = path.read_text(encoding="utf-8")
    body = page.rpartition("<main>")[2]
    outside = re.findall(r'(?:src|href)="(?!data:)([^"]*)"', body)
    assert outside == []
    assert body.count("<img ") == 6
    assert page.count('alt="SmoothGrad for spiral: half of') == 3
    assert "6 objects: 3 merger, 3 spiral." in page
    assert "Expected calibration error" in page
    assert "SELECT 1" in page
    assert 'lang="en"' in page


def test_light_curves_are_reported_too(tmp_path):
    curves = curve()
    path = report(
        tmp_path / "flares.html",
        predictions=detected(curves),
        samples=curves,
        attributions=[explained(curves, curves.values, targets=100)],
    )
    page = path.read_text(encoding="utf-8")
    assert page.rpartition("<main>")[2].count("data:image/svg+xml") == 2
    assert "BTJD" in page


def test_a_report_needs_no_pictures(tmp_path):
    page = report(tmp_path / "r.html", predictions=classified()).read_text(encoding="utf-8")
    assert '<h2 id="objects">' not in page
    assert "Tap a point to find its row." in page


def test_simulated_data_are_marked(tmp_path):
    from dataclasses import replace

    samples = replace(cutouts(), simulated=True)
    page = report(tmp_path / "r.html", predictions=classified(), samples=samples)
    assert "Simulated data: never observed." in page.read_text(encoding="utf-8")


def test_names_from_archives_are_escaped_everywhere(tmp_path):
    bad = "</script><img src=x onerror=alert(1)>"
    samples = cutouts(n=1)
    object.__setattr__(samples, "ids", np.array([bad]))
    predictions = classified(2, ids=[bad, "b"], labels=np.array([bad, "spiral"]))
    page = report(
        tmp_path / "r.html",
        predictions=predictions,
        samples=samples,
        attributions=explained(samples, samples.values, name=bad),
        title=bad,
        meta={bad: bad},
    ).read_text(encoding="utf-8")
    assert bad not in page
    assert "<img src=x" not in page


def test_only_the_first_objects_are_pictured(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_PICTURES", 2)
    page = report(tmp_path / "r.html", predictions=classified(), samples=cutouts(n=5))
    assert page.read_text(encoding="utf-8").count('class="card"') == 2


def test_a_thumbnail_is_the_picture_the_right_way_up():
    # The bright pixel is above and right of the middle; rows of a PNG run downwards.
    samples = cutouts()
    body = base64.b64decode(data_url(samples, 0).split(",")[1])
    pixels = np.asarray(Image.open(io.BytesIO(body)))
    assert np.unravel_index(pixels[..., 0].argmax(), (16, 16)) == (5, 12)
