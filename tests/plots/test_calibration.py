import numpy as np
import pytest
from records_of_plots import classified, curve, detected

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.plots import calibration


def test_bins_hold_stated_and_found_frequency_by_hand():
    p = np.array([0.1, 0.3, 0.7, 0.9])
    found = calibration.reliability(p, np.array([False, True, True, True]), bins=2)
    np.testing.assert_allclose(found.stated, [0.2, 0.8])
    np.testing.assert_allclose(found.found, [0.5, 1.0])
    assert found.count.tolist() == [2, 2]
    # |0.2 - 0.5| and |0.8 - 1|, each for half of the objects.
    assert found.error == pytest.approx(0.25)
    assert "0.250 too unsure" in found.describe()


def test_the_interval_of_a_perfect_bin_is_wilsons():
    # One standard deviation: centre (f + 1/2n)/(1 + 1/n), n = 4, f = 1: 0.9 ± 0.1.
    found = calibration.reliability(np.full(4, 0.9), np.ones(4, bool), bins=1)
    np.testing.assert_allclose([found.low[0], found.high[0]], [0.8, 1.0])


def test_honest_probabilities_have_a_small_error():
    rng = np.random.default_rng(0)
    p = rng.random(50_000)
    assert calibration.reliability(p, rng.random(50_000) < p).error < 0.01


def test_labels_are_compared_with_the_truth_where_it_is_known():
    found = classified(6)
    truth = np.array(["spiral", "spiral", "spiral", "merger", "", "merger"])
    result = calibration.from_labels(found, truth, bins=1)
    assert result.count.tolist() == [5]
    assert result.found[0] == pytest.approx(4 / 5)
    assert calibration.draw(result).renderers


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: calibration.reliability(np.ones(3), np.ones(2)), "do not fit"),
        (lambda: calibration.reliability(np.full(2, np.nan), np.ones(2)), "No object"),
        (lambda: calibration.from_labels(detected(curve()), np.array(["a"])), "no labels"),
        (lambda: calibration.from_labels(classified(6), np.array(["a"])), "1 true labels for 6"),
    ],
)
def test_what_cannot_be_compared_is_an_error(act, words):
    with pytest.raises(DataError, match=words):
        act()
