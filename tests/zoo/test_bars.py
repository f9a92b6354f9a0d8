"""Simulated bars, and lengths from maps, without any training."""

from pathlib import Path

import numpy as np
import pytest

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


def test_the_page_is_what_the_study_wrote():
    page = (Path(galaxy_morphology.__file__).parent / "bars.md").read_text(encoding="utf-8")
    assert page.count("SmoothGrad map") == page.count("learns the lengths") == len(bars.FEW)
    assert "**Simulated**" in page
