"""The simulator of flaring stars."""

import numpy as np
import pytest

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.zoo.flares.simulate import (
    CADENCE_DAYS,
    SECTOR_START,
    davenport,
    simulate,
    simulate_parts,
    tovar_mendoza,
)
from jupyter_astroml.zoo.flares.train import FLARE, QUIET, UNDECIDED, bridged, findable, labels


def test_davenport_template_has_the_values_of_its_equations():
    # At -0.5: 1 - 0.9705 - 0.04375 + 0.28075 - 0.0703125; at 1: 0.689 e^-1.6 + 0.303 e^-0.2783.
    found = davenport(np.array([-1.5, -0.5, 0.0, 1.0]))
    assert found == pytest.approx([0.0, 0.1961875, 1.0, 0.368501], abs=1e-5)


def test_tovar_mendoza_template_is_a_flare_one_width_wide():
    phase = np.linspace(-3, 15, 18001)
    shape = tovar_mendoza(phase)
    bright = phase[shape >= shape.max() / 2]
    assert shape.max() == pytest.approx(0.95, abs=0.01)
    assert phase[shape.argmax()] == pytest.approx(0.0, abs=0.02)
    assert bright[-1] - bright[0] == pytest.approx(1.0, abs=0.1)
    # It rises faster than it falls.
    assert bright[-1] > -bright[0]


def test_a_star_is_the_same_whatever_the_number_of_stars():
    few, flares_of_few = simulate(2, seed=5, cadences=600)
    many, flares_of_many = simulate(6, seed=5, cadences=600)
    np.testing.assert_array_equal(few.values, many.values[:2])
    same = np.isin(flares_of_many["id"], few.ids)
    assert flares_of_few["t_peak"].tolist() == flares_of_many["t_peak"][same].tolist()
    assert not np.array_equal(many.values, simulate(6, seed=6, cadences=600)[0].values)


def test_simulated_light_curves_say_that_they_are_simulated():
    curves, flares = simulate(1, seed=1, cadences=300)
    assert curves.simulated
    assert flares.meta["simulated"]
    assert curves.time_scale == "tdb"
    assert curves.time_zero == 2457000.0


def test_median_flux_is_one_and_cadence_two_minutes():
    curves, _ = simulate(5, seed=2, cadences=1000)
    assert np.nanmedian(curves.values, axis=1) == pytest.approx(np.ones(5), abs=1e-6)
    assert np.diff(curves.time, axis=1) == pytest.approx(np.full((5, 999), CADENCE_DAYS), abs=1e-9)
    assert np.isnan(curves.values).any()
    assert np.isnan(curves.values).mean() < 0.2


def test_injected_light_has_the_peak_that_the_table_says():
    made = simulate_parts(60, seed=3, cadences=1500, active=1.0)
    alone = made.stars["id"][made.stars["n_flares"] == 1]
    checked = 0
    for flare in made.flares[np.isin(made.flares["id"], alone)]:
        row = int(np.flatnonzero(made.curves.ids == flare["id"])[0])
        at = np.searchsorted(made.curves.time[row], flare["t_peak"])
        near = slice(max(at - 2, 0), at + 3)
        if not np.isfinite(made.curves.values[row, near]).all():
            continue
        assert made.flare_flux[row, near].max() == pytest.approx(flare["peak_flux"], rel=1e-4)
        # The mean over a cadence is never above the template's peak.
        assert flare["peak_flux"] <= flare["amplitude"]
        checked += 1
    assert checked >= 3


def test_quiet_stars_have_no_flare():
    made = simulate_parts(10, seed=4, cadences=500, active=0.0)
    assert len(made.flares) == 0
    assert not made.flare_flux.any()
    assert made.stars["n_flares"].sum() == 0


def test_a_sector_has_its_downlink_gap():
    curves, _ = simulate(1, seed=1, cadences=19740, start_btjd=SECTOR_START)
    since = curves.time[0] - SECTOR_START
    assert np.isnan(curves.values[0][(since > 13.1) & (since < 14.4)]).all()
    assert np.isfinite(curves.values[0][(since > 12.0) & (since < 12.4)]).any()


@pytest.mark.parametrize(("n", "cadences", "active"), [(0, 500, 0.5), (1, 100, 0.5), (1, 500, 1.5)])
def test_impossible_requests_are_refused(n, cadences, active):
    with pytest.raises(DataError):
        simulate(n, seed=1, cadences=cadences, active=active)


def test_labels_follow_the_injected_light():
    made = simulate_parts(40, seed=8, cadences=1500, active=1.0)
    marks = labels(made)
    sigma = np.asarray(made.stars["noise"])[:, None]
    assert (marks == FLARE).sum() > 100
    assert (made.flare_flux >= sigma - 1e-6)[marks == FLARE].all()
    assert (made.flare_flux < 0.3 * sigma)[marks == QUIET].all()
    assert (marks[~np.isfinite(made.curves.values)] == UNDECIDED).all()


def test_missing_cadences_are_bridged_by_straight_lines():
    values = np.array([[np.nan, 1.0, np.nan, np.nan, 4.0, np.nan]], dtype=np.float32)
    assert bridged(values).tolist() == [[1.0, 1.0, 2.0, 3.0, 4.0, 4.0]]


def test_findable_flares_are_the_bright_ones():
    made = simulate_parts(30, seed=9, cadences=2000, active=1.0)
    bright = findable(made)
    assert 0 < len(bright) < len(made.flares)
    assert bright["snr"].min() > 5.0
    assert np.median(bright["snr"]) > np.median(made.flares["snr"])
