"""Bootstrap and evaluation records, against values worked out by hand."""

import json
import math

import numpy as np
import pytest

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.models.evaluation import Evaluation, Interval, bootstrap, measure


def test_the_interval_of_a_mean_is_that_of_the_binomial():
    # 400 objects, half of them 1: the mean of a resample has standard deviation 0.5/20 = 0.025.
    values = np.repeat([0.0, 1.0], 200)
    value, low, high = bootstrap(np.mean, values, seed=1, n=4000)
    assert value == 0.5
    assert low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.005)
    assert high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.005)


def test_objects_of_a_group_are_drawn_together():
    # Two groups of equal rows: a resample holds 0, 1 or 2 times the second, with odds 1 to 2 to 1.
    values = np.array([0.0, 0.0, 1.0, 1.0])
    groups = np.array(["a", "a", "b", "b"])
    seen = set()

    def mean(v):
        seen.add(float(v.mean()))
        return float(v.mean())

    found = bootstrap(mean, values, seed=0, n=500, groups=groups)
    assert seen == {0.0, 0.5, 1.0}
    assert found == (0.5, 0.0, 1.0)


def test_the_arrays_are_resampled_in_step():
    a = np.arange(50.0)
    found = bootstrap(lambda x, y: float(np.abs(x - y).max()), a, a.copy(), seed=2)
    assert found == Interval(0.0, 0.0, 0.0)


def test_the_same_seed_gives_the_same_interval_and_another_does_not():
    values = np.random.default_rng(0).normal(size=100)
    assert bootstrap(np.mean, values, seed=3) == bootstrap(np.mean, values, seed=3)
    assert bootstrap(np.mean, values, seed=3) != bootstrap(np.mean, values, seed=4)


def test_draws_in_which_the_statistic_is_undefined_are_left_out():
    values = np.array([1.0] + [np.nan] * 3)

    def known(v):
        good = v[np.isfinite(v)]
        return float(good.mean()) if len(good) else math.nan

    assert bootstrap(known, values, seed=0) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("arrays", [(np.zeros(3), np.zeros(4)), (np.zeros(0),), ()])
def test_arrays_that_cannot_be_resampled_are_refused(arrays):
    with pytest.raises(DataError):
        bootstrap(np.mean, *arrays, seed=0)


def test_an_evaluation_is_json_that_every_parser_reads():
    found = Evaluation(
        model="m",
        data="d",
        n=2,
        metric="macro_f1",
        value=float(np.float32(0.5)),
        low=0.4,
        high=math.nan,
        higher_is_better=True,
        baseline="b",
        baseline_value=0.1,
        seed=0,
        metrics={"accuracy": measure(Interval(0.5, 0.25, 0.75), baseline=np.float64(0.3))},
    ).to_json()
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again["high"] is None
    assert again["metrics"]["accuracy"] == {
        "value": 0.5,
        "low": 0.25,
        "high": 0.75,
        "baseline": 0.3,
    }
    wanted = "model data n metric value low high higher_is_better baseline baseline_value seed"
    assert set(wanted.split()) < set(again)
