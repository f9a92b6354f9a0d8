"""Events in a probability per cadence."""

import numpy as np
import pytest

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.models.events import Rule, detrended, events, longest_run

CADENCE = 2.0 / 1440.0


@pytest.fixture
def star():
    """A light curve that goes up and down by 0.001 around 1, and a silent network."""
    n = 600
    time = 1354.0 + np.arange(n) * CADENCE
    flux = 1 + 1e-3 * np.where(np.arange(n) % 2, 1.0, -1.0)
    return {
        "probability": np.full((1, n), 0.01),
        "std": np.full((1, n), 0.002),
        "time": time[None],
        "flux": flux[None],
    }


def _brighten(star, first, heights, probability=0.9):
    part = slice(first, first + len(heights))
    star["flux"][0, part] += heights
    star["probability"][0, part] = probability


def test_an_event_has_the_times_and_the_height_of_its_run(star):
    _brighten(star, 300, [0.02, 0.05, 0.03, 0.02])
    star["probability"][0, 302] = 0.97
    star["std"][0, 302] = 0.05
    table = events(**star, ids=np.array(["star"]))
    assert len(table) == 1
    row = table[0]
    assert row["id"] == "star"
    assert row["t_start"] == star["time"][0, 300]
    assert row["t_peak"] == star["time"][0, 301]
    assert row["t_stop"] == star["time"][0, 303]
    assert row["n_cadences"] == 4
    # The flux at cadence 301 is 1 + 0.001 + 0.05, the running median 1 ± 0.001.
    assert row["amplitude"] == pytest.approx(0.051, abs=1.1e-3)
    assert row["probability"] == pytest.approx(0.97)
    assert row["probability_std"] == pytest.approx(0.05)
    # Four cadences with a light of 0.12 in all, and an error of 0.01 each: 0.12 / 0.02.
    given = events(**star, error=np.full((1, 600), 0.01))
    assert given["snr"][0] == pytest.approx(6.0, abs=0.25)


def test_a_single_bright_cadence_is_no_event(star):
    _brighten(star, 300, [0.2])
    assert len(events(**star)) == 0
    assert len(events(**star, min_cadences=1)) == 1


def test_a_network_that_is_sure_of_nothing_in_the_flux_is_not_believed(star):
    _brighten(star, 300, np.zeros(8))
    assert len(events(**star)) == 0
    assert len(events(**star, min_cadences=0)) == 1


def test_bright_cadences_below_the_threshold_are_no_event(star):
    _brighten(star, 300, [0.05] * 5, probability=0.4)
    assert len(events(**star)) == 0
    assert len(events(**star, threshold=0.3)) == 1


def test_runs_that_are_close_are_one_event_and_distant_ones_are_not(star):
    _brighten(star, 200, [0.05] * 4)
    _brighten(star, 206, [0.05] * 4)
    _brighten(star, 400, [0.05] * 4)
    assert events(**star)["n_cadences"].tolist() == [10, 4]
    assert len(events(**star, merge_cadences=1)) == 3


def test_missing_cadences_do_not_end_an_event(star):
    _brighten(star, 300, [0.05] * 8)
    star["flux"][0, 303] = np.nan
    star["probability"][0, 303] = np.nan
    table = events(**star)
    assert len(table) == 1
    assert table["t_stop"][0] == star["time"][0, 307]


def test_a_light_curve_without_measurements_has_no_event(star):
    star["flux"][:] = np.nan
    table = events(**star)
    assert len(table) == 0
    assert "t_peak" in table.colnames


def test_trend_does_not_reach_across_a_gap():
    # Two flat halves at different levels, one day apart.
    time = np.concatenate([np.arange(300), np.arange(300) + 1020]) * CADENCE
    flux = np.repeat([1.0, 1.1], 300)
    assert np.abs(detrended(time, flux)).max() < 0.02


def test_longest_run_is_counted():
    assert longest_run(np.array([True, False, True, True, True, False])) == 3
    assert longest_run(np.zeros(4, dtype=bool)) == 0


def test_shapes_that_differ_are_refused(star):
    with pytest.raises(DataError, match="'std'"):
        events(**{**star, "std": star["std"][:, :10]})


def test_unknown_parts_of_the_rule_are_refused(star):
    with pytest.raises(DataError):
        events(**star, treshold=0.4)


def test_the_table_says_under_which_rule_it_was_made(star):
    assert events(**star, rule=Rule(threshold=0.25)).meta["rule"]["threshold"] == 0.25
