"""Simulated bars, and lengths from maps, without any training."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jupyter_astroml.models.evaluation import Interval
from jupyter_astroml.zoo import galaxy_morphology
from jupyter_astroml.zoo.galaxy_morphology import bars


@pytest.fixture(scope="module")
def some():
    return bars.simulate(24, seed=5)


def test_every_second_disc_has_a_bar_as_long_as_is_said(some):
    has = some.length > 0
    assert has.tolist() == [False, True] * 12
    np.testing.assert_array_equal(some.inside.any(axis=(1, 2)), has)
    for inside, length in zip(some.inside[has], some.length[has], strict=True):
        y, x = np.nonzero(inside)
        reach = np.hypot(y - 63.5, x - 63.5).max()
        assert 2 * reach == pytest.approx(length, abs=2.5)


def test_the_same_seed_gives_the_same_bars(some):
    again = bars.simulate(24, seed=5)
    np.testing.assert_array_equal(again.pictures, some.pictures)


def test_bars_are_brighter_than_the_discs_beside_them(some):
    red = some.pictures[:, 0].astype(float)
    along = [m.mean() for m in (one[i] for one, i in zip(red, some.inside, strict=True)) if len(m)]
    across = [
        one[np.rot90(inside) & ~inside].mean()
        for one, inside in zip(red, some.inside, strict=True)
        if inside.any()
    ]
    assert np.mean(np.array(along) > np.array(across)) > 0.9


def test_a_map_that_lights_up_the_bar_gives_its_length(some):
    barred = some[np.flatnonzero(some.length > 0)]
    noise = np.random.default_rng(0).random(barred.inside.shape)
    lit = bars.extent(barred.inside + 0.05 * noise, level=0.5)
    fit = bars.line(lit[:6], barred.length[:6])
    np.testing.assert_allclose(fit(lit[6:]), barred.length[6:], atol=2.0)
    found = bars.judged(barred.length[6:], fit(lit[6:]))
    assert found["r"].value > 0.98
    # Without the bars in the maps the line is of no use.
    blind = bars.judged(barred.length[6:], fit(bars.extent(noise, level=0.5)[6:]))
    assert blind["rmse"].value > 2 * found["rmse"].value


def figures(text):
    """Read the figures of the page back, as the study gives them to it."""
    cells = re.findall(r"\| (\S+) \[(\S+), (\S+)\] \| (\S+) \[(\S+), (\S+)\] \|", text)
    rows = [[float(n) for n in row] for row in cells]
    pairs = [{"r": Interval(*row[:3]), "rmse": Interval(*row[3:])} for row in rows]
    (auc,) = re.findall(r"under the curve (\S+) on", text)
    (scatter,) = re.findall(r"scatter by (\S+):", text)
    ((inside, area),) = re.findall(r"(\S+) lies inside the bar .* covers (\S+) of", text)
    return {
        "methods": {name: pairs[i::3] for i, name in enumerate(("map", "direct", "size"))},
        "auc": float(auc),
        "scatter": float(scatter),
        "share_inside": float(inside),
        "area_inside": float(area),
    }


def test_the_page_is_what_the_study_writes():
    folder = Path(galaxy_morphology.__file__).parent
    text = (folder / "bars.md").read_text(encoding="utf-8")
    assert bars.page(figures(text)) == text
    with Image.open(folder / "bars.png") as sheet:
        # Twice 76 pixels a picture.
        assert sheet.size == (bars.EXAMPLES * 152, 3 * 152)


def test_the_readme_says_of_maps_what_the_page_measured():
    folder = Path(galaxy_morphology.__file__).parent
    found = figures((folder / "bars.md").read_text(encoding="utf-8"))["methods"]
    most = {name: rows[-1] for name, rows in found.items()}
    # "Known no better than from the size of the galaxy".
    assert abs(most["map"]["rmse"].value - most["size"]["rmse"].value) < 0.1
    # "A network that learns lengths measures them far better".
    assert all(
        d["rmse"].high < m["rmse"].low for d, m in zip(found["direct"], found["map"], strict=True)
    )
