import numpy as np
import pytest

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import Cutouts, LightCurves
from jupyter_astroml.models.cards import Card
from jupyter_astroml.models.contract import check, prepare

COMMON = {
    "format": 1,
    "version": "1",
    "title": "t",
    "description": "d",
    "network": {"architecture": "some_network"},
    "baseline": "b",
    "datasets": [],
    "limits": [],
    "licence": "BSD-3-Clause",
    "citations": [],
}


@pytest.fixture
def pictures():
    return Card.model_validate(
        COMMON
        | {
            "id": "pictures",
            "task": "classify",
            "input": {
                "kind": "cutouts",
                "bands": ["i", "r", "g"],
                "flux_unit": "picture",
                "size": [8, 8],
                "pixel_scale": {"low": 0.2, "high": 0.6, "unit": "arcsec"},
                "convert": ["nanomaggy"],
            },
            "outputs": {"axis": "class", "names": ["a", "b"]},
        }
    )


@pytest.fixture
def flashes():
    return Card.model_validate(
        COMMON
        | {
            "id": "flashes",
            "task": "detect",
            "input": {
                "kind": "light_curves",
                "bands": ["TESS"],
                "flux_unit": "relative",
                "size": [20],
                "cadence": {"low": 0.9, "high": 1.1, "unit": "d"},
            },
            "outputs": {"axis": "time", "names": ["flash"]},
        }
    )


def cutouts(n=2, *, size=8, **changes):
    values = np.random.default_rng(1).random((n, 3, size, size), dtype=np.float32)
    given = {"ids": [str(i) for i in range(n)], "values": values, "bands": ("i", "r", "g")}
    return Cutouts(**{**given, **changes})


def curve(time, flux):
    return LightCurves(ids=["s"], time=np.array([time], float), values=np.array([flux], np.float32))


def test_data_in_the_contract_fit_and_are_not_touched(pictures):
    given = cutouts()
    prepared = prepare(pictures, given)
    assert prepared.fit.words().tolist() == ["fits", "fits"]
    np.testing.assert_array_equal(prepared.samples.values, given.values)


def test_bands_are_brought_into_the_order_of_the_contract(pictures):
    given = cutouts(bands=("g", "r", "i"))
    np.testing.assert_array_equal(prepare(pictures, given).samples.values, given.values[:, ::-1])


def test_fluxes_are_drawn_as_a_picture_and_told_as_converted(pictures):
    given = cutouts(bands=("g", "r", "i"), flux_unit="nanomaggy")
    prepared = prepare(pictures, given)
    assert prepared.fit.status.tolist() == ["converted"] * 2
    assert prepared.samples.values.min() >= 0
    assert prepared.samples.values.max() <= 1


def test_bands_of_other_names_are_outside(pictures):
    assert "bands x,y,z" in check(pictures, cutouts(bands=("x", "y", "z"))).words()[0]


def test_a_wrong_number_of_bands_is_an_error(pictures):
    with pytest.raises(DataError, match="takes the bands i, r, g"):
        check(pictures, cutouts(values=np.zeros((2, 2, 8, 8), np.float32), bands=("i", "r")))


def test_only_the_object_with_the_wrong_pixel_scale_is_outside(pictures):
    fit = check(pictures, cutouts(pixel_scale=[0.396, 1.5]))
    assert fit.status.tolist() == ["fits", "outside"]
    assert "1.5 arcsec/pixel" in fit.words()[1]


def test_larger_cutouts_are_cut_about_their_centre(pictures):
    given = cutouts(size=12)
    prepared = prepare(pictures, given)
    np.testing.assert_array_equal(prepared.samples.values, given.values[:, :, 2:10, 2:10])
    assert prepared.fit.status.tolist() == ["converted"] * 2


def test_much_smaller_cutouts_are_outside(pictures):
    assert check(pictures, cutouts(size=4)).status.tolist() == ["outside"] * 2


def test_missing_pixels_are_filled_and_told(pictures):
    values = np.full((1, 3, 8, 8), 0.25, np.float32)
    values[0, 0, 0, :4] = np.nan
    prepared = prepare(pictures, cutouts(1, values=values))
    assert (prepared.samples.values == 0.25).all()
    assert prepared.fit.words()[0].startswith("converted: 2.1% of the pixels")


def test_an_empty_cutout_is_outside_and_still_finite(pictures):
    prepared = prepare(pictures, cutouts(1, values=np.full((1, 3, 8, 8), np.nan, np.float32)))
    assert prepared.fit.status.tolist() == ["outside"]
    assert np.isfinite(prepared.samples.values).all()


def test_the_wrong_kind_of_data_is_an_error(pictures):
    with pytest.raises(DataError, match="takes cutouts, not light_curves"):
        check(pictures, curve(range(30), np.ones(30)))


def test_a_gap_is_bridged_by_a_straight_line_on_an_even_grid(flashes):
    time = [t for t in range(30) if t not in (10, 11, 12)]
    flux = 1 + 0.01 * np.array(time) - 0.145
    prepared = prepare(flashes, curve(time, flux))
    assert prepared.samples.time[0].tolist() == list(range(30))
    np.testing.assert_allclose(np.diff(prepared.samples.values[0]), 0.01, rtol=1e-2)
    assert prepared.place[0].tolist() == time
    assert "10.0% of the cadences interpolated" in prepared.fit.words()[0]


def test_missing_cadences_have_no_place_on_the_grid(flashes):
    flux = np.ones(30)
    flux[5] = np.nan
    assert prepare(flashes, curve(range(30), flux)).place[0, 5] == -1


def test_another_cadence_is_outside(flashes):
    assert "a cadence of 2 d" in check(flashes, curve(range(0, 80, 2), np.ones(40))).words()[0]


def test_counts_are_divided_by_their_median(flashes):
    prepared = prepare(flashes, curve(range(30), np.full(30, 5000.0)))
    assert (prepared.samples.values == 1).all()
    assert "divided by its median" in prepared.fit.words()[0]


def test_times_that_go_back_are_an_error(flashes):
    with pytest.raises(DataError, match="do not increase"):
        check(flashes, curve([0, 1, 2, 1, *range(4, 30)], np.ones(30)))


def test_a_slow_drift_of_the_times_opens_no_gap(flashes):
    # Barycentric correction: two cadences lost little by little over the light curve.
    time = np.arange(1000) * (1 - 2e-3)
    place = prepare(flashes, curve(time, np.ones(1000))).place[0]
    assert place.tolist() == list(range(1000))
