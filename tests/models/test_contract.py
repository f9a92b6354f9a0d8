from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.joining import join
from jupyter_astroml.core.records import Cutouts, LightCurves
from jupyter_astroml.models.cards import Card, Range
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
    given = {
        "ids": [str(i) for i in range(n)],
        "values": values,
        "bands": ("i", "r", "g"),
        "pixel_scale": np.full(n, 0.4),
    }
    return Cutouts(**{**given, **changes})


def curve(time, flux, **changes):
    given = {
        "ids": ["s"],
        "time": np.array([time], float),
        "values": np.array([flux], np.float32),
        "band": "TESS",
    }
    return LightCurves(**{**given, **changes})


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


def test_an_image_that_nobody_took_is_told(pictures):
    values = cutouts().values
    values[1, 2] = 0.25
    fine, lost = check(pictures, cutouts(values=values)).words()
    assert fine == "fits"
    assert lost == "outside: nothing in g: all pixels are equal"


@pytest.mark.parametrize("unit", ["picture", "nanomaggy"])
def test_a_wrong_number_of_bands_is_outside_and_still_has_the_shape_of_the_network(pictures, unit):
    grey = np.full((2, 1, 8, 8), 0.5, np.float32)
    prepared = prepare(pictures, cutouts(values=grey, bands=("grey",), flux_unit=unit))
    assert prepared.fit.words()[0] == "outside: bands grey, not i,r,g"
    assert prepared.samples.values.shape == (2, 3, 8, 8)
    assert (prepared.samples.values == 0.5).all()


def test_masked_pixels_are_missing_whatever_they_hold(pictures):
    values = np.full((2, 3, 8, 8), 0.25, np.float32)
    values[:, 0, 0, :4] = 1e9
    masks = values > 1
    masks[1] = True
    prepared = prepare(pictures, cutouts(values=values, masks=masks))
    assert (prepared.samples.values[0] == 0.25).all()
    assert prepared.fit.words()[0].startswith("converted: 2.1% of the pixels")
    assert prepared.fit.words()[1] == "outside: 100% of the pixels are missing"


def test_a_pixel_scale_that_nobody_knows_is_told(pictures):
    fit = check(pictures, cutouts(pixel_scale=[0.4, np.nan]))
    assert fit.words().tolist() == ["fits", "fits: the pixel scale is unknown"]


def test_only_the_object_with_the_wrong_pixel_scale_is_outside(pictures):
    fit = check(pictures, cutouts(pixel_scale=[0.396, 1.5]))
    assert fit.status.tolist() == ["fits", "outside"]
    assert "1.5 arcsec/pixel" in fit.words()[1]


def test_larger_cutouts_are_cut_about_their_centre(pictures):
    given = cutouts(size=12)
    prepared = prepare(pictures, given)
    np.testing.assert_array_equal(prepared.samples.values, given.values[:, :, 2:10, 2:10])
    assert prepared.fit.status.tolist() == ["converted"] * 2
    assert "taken to be the middle" in prepared.fit.words()[0]


def field(x, y):
    """Return an image of 40 × 40 pixels with one bright pixel, and the header of its WCS."""
    values = np.zeros((1, 3, 40, 40), np.float32)
    values[0, :, y, x] = 1.0
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, 2.0]
    wcs.wcs.crpix = [x + 1, y + 1]
    wcs.wcs.cdelt = [-0.4 / 3600, 0.4 / 3600]
    return values, wcs.to_header_string()


@pytest.mark.parametrize(("x", "y"), [(30, 6), (4, 35)])
def test_a_whole_field_is_cut_about_the_object_and_not_about_its_middle(pictures, x, y):
    values, header = field(x, y)
    given = cutouts(1, values=values, wcs=np.array([header], object), ra=[150.0], dec=[2.0])
    prepared = prepare(pictures, given)
    assert prepared.samples.values[0, 0, 4, 4] == 1.0
    assert prepared.fit.words()[0] == "converted: 40×40 pixels, the model takes 8×8"


def test_an_object_at_the_edge_of_a_field_is_outside(pictures):
    values, header = field(39, 20)
    given = cutouts(1, values=values, wcs=np.array([header], object), ra=[150.0], dec=[2.0])
    assert "the image ends 0 pixels from its place" in check(pictures, given).words()[0]


def test_a_header_that_is_none_leaves_the_place_unknown(pictures):
    given = cutouts(1, size=40, wcs=np.array(["nonsense"], object), ra=[150.0], dec=[2.0])
    assert "taken to be the middle" in check(pictures, given).words()[0]


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


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ([0, 1, 2, 1, *range(4, 30)], "times do not increase"),
        ([5] * 30, "times do not increase"),
        ([*range(29), 10_000], "cut it at gaps"),
        ([*range(29), 1e300], "cut it at gaps"),
    ],
)
def test_times_that_make_no_grid_are_outside_for_their_object_only(flashes, time, words):
    good = curve(range(30), np.ones(30))
    prepared = prepare(flashes, join([curve(time, np.ones(30)), good]))
    assert prepared.fit.status.tolist() == ["outside", "fits"]
    assert words in prepared.fit.words()[0]
    assert (prepared.place[0] == -1).all()
    assert prepared.place[1].tolist() == list(range(30))
    assert np.isfinite(prepared.samples.values).all()


def test_a_light_curve_is_the_same_alone_and_beside_a_longer_one(flashes):
    flux = np.where(np.arange(30) < 20, 1.0, 1.5)
    short, long = curve(range(30), flux), curve(range(200), np.ones(200))
    alone, beside = prepare(flashes, short), prepare(flashes, join([short, long]))
    np.testing.assert_array_equal(beside.samples.values[0, :30], alone.samples.values[0])
    assert alone.samples.values[0, 0] == 1.0


@pytest.mark.parametrize("unit", ["mag", "mmag", "mag(AB)", "dex", "d", "nonsense"])
def test_what_is_not_linear_in_the_light_is_outside(flashes, unit):
    fit = check(flashes, curve(range(30), np.full(30, 14.2), flux_unit=unit))
    assert f"outside: values in {unit}, not relative flux" in fit.words()[0]


@pytest.mark.parametrize("unit", ["e-/s", "electron/s", "adu", "Jy", "1e-17 erg/(s cm2 AA)", "DN"])
def test_a_flux_in_any_linear_unit_is_converted(flashes, unit):
    fit = check(flashes, curve(range(30), np.full(30, 14.2), flux_unit=unit))
    assert fit.words()[0] == "converted: flux divided by its median"


def test_a_flux_without_a_unit_is_told(flashes):
    fit = check(flashes, curve(range(30), np.ones(30), flux_unit=""))
    assert fit.words()[0] == "fits: the unit of the flux is unknown"


@pytest.mark.parametrize(
    ("band", "words"),
    [("tess", "fits"), ("V", "outside: filter V, not TESS"), ("", "fits: the filter is unknown")],
)
def test_the_filter_is_compared(flashes, band, words):
    assert check(flashes, curve(range(30), np.ones(30), band=band)).words()[0] == words


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (0.01, "fits"),
        # 4.5e-3 is a ratio of 222: within what quoted errors are worth.
        (4.5e-3, "fits"),
        (0.1, "outside: a signal-to-noise ratio of 10, not 50 to 200"),
        (0.001, "outside: a signal-to-noise ratio of 1e+03, not 50 to 200"),
        (np.nan, "fits: the signal-to-noise ratio is unknown"),
        (None, "fits: the signal-to-noise ratio is unknown"),
    ],
)
def test_the_noise_is_compared(flashes, error, words):
    span = Range(low=50, high=200, unit="per cadence")
    contract = flashes.input.model_copy(update={"signal_to_noise": span})
    errors = None if error is None else np.full((1, 30), error, np.float32)
    card = flashes.model_copy(update={"input": contract})
    assert check(card, curve(range(30), np.ones(30), errors=errors)).words()[0] == words


def test_a_slow_drift_of_the_times_opens_no_gap(flashes):
    # Barycentric correction: two cadences lost little by little over the light curve.
    time = np.arange(1000) * (1 - 2e-3)
    place = prepare(flashes, curve(time, np.ones(1000))).place[0]
    assert place.tolist() == list(range(1000))


def test_fluxes_in_other_units_are_turned_into_those_of_the_contract(pictures):
    given = cutouts(bands=("g", "r", "i"), flux_unit="nanomaggy")
    # 1 nanomaggy is 3.631 µJy on the AB scale.
    same = replace(given, values=given.values * np.float32(3.631), flux_unit="uJy")
    found, wanted = prepare(pictures, same), prepare(pictures, given)
    np.testing.assert_allclose(found.samples.values, wanted.samples.values, rtol=1e-5)
    assert "uJy turned into nanomaggy (factor 0.2754)" in found.fit.words()[0]


def test_counts_need_a_zero_point(pictures):
    counts = cutouts(bands=("g", "r", "i"), flux_unit="adu")
    assert check(pictures, counts).words()[0] == "outside: values in adu, not picture"
    known = replace(counts, meta={"zero_point": 22.5})
    assert "adu turned into nanomaggy (factor 1)" in check(pictures, known).words()[0]


def test_finer_pixels_are_joined_about_the_object_and_keep_the_flux(pictures):
    card = pictures.model_copy(
        update={"input": pictures.input.model_copy(update={"flux_unit": "nanomaggy"})}
    )
    values = np.ones((2, 3, 16, 16), np.float32)
    given = Cutouts(
        ids=["fine", "right"],
        values=values,
        bands=("i", "r", "g"),
        flux_unit="nanomaggy",
        pixel_scale=[0.1, 0.3],
    )
    found = prepare(card, given)
    # Four pixels of 1 nanomaggy become one of 4.
    np.testing.assert_allclose(found.samples.values[0], 4.0, rtol=1e-6)
    np.testing.assert_allclose(found.samples.values[1], 1.0)
    assert found.samples.pixel_scale.tolist() == [0.2, 0.3]
    fine, right = found.fit.words()
    assert fine == "converted: resampled from 0.1 to 0.2 arcsec/pixel"
    assert right.startswith("converted: 16×16 pixels, the model takes 8×8")


def test_a_surface_brightness_is_not_changed_by_larger_pixels(pictures):
    contract = pictures.input.model_copy(update={"flux_unit": "MJy/sr"})
    given = Cutouts(
        ids=["a"],
        values=np.ones((1, 3, 16, 16), np.float32),
        bands=("i", "r", "g"),
        flux_unit="MJy/sr",
        pixel_scale=[0.1],
    )
    found = prepare(pictures.model_copy(update={"input": contract}), given)
    np.testing.assert_allclose(found.samples.values, 1.0, rtol=1e-6)


def test_pixels_are_stretched_a_little_and_no_more(pictures):
    given = replace(cutouts(), pixel_scale=np.full(len(cutouts()), 0.7))
    assert "resampled from 0.7 to 0.6" in check(pictures, given).words()[0]
    given = replace(given, pixel_scale=np.full(len(given), 1.0))
    assert "1 arcsec/pixel, not 0.2 to 0.6" in check(pictures, given).words()[0]


def asking(card, **contract):
    """Return a card that asks for more."""
    told = card.model_dump() | {"input": card.input.model_dump() | contract}
    return Card.model_validate(told)


def test_a_telescope_that_is_too_sharp_or_too_blurred_is_outside(pictures):
    sharp = asking(pictures, psf={"low": 0.6, "high": 0.9, "unit": "arcsec"})
    found = [
        check(sharp, replace(cutouts(), meta={"psf_fwhm": w})).words()[1] for w in (0.1, 0.7, 1.4)
    ]
    assert found[1] == "fits"
    assert found[0] == "outside: points are 0.1 arcsec wide, not 0.6 to 0.9"
    assert found[2] == "outside: points are 1.4 arcsec wide, not 0.6 to 0.9"
    # Few archives tell it: silence is no reason.
    assert check(sharp, cutouts()).words()[0] == "fits"
    assert "points 0.6 to 0.9 arcsec wide" in sharp.input.words


def test_a_width_of_points_is_in_arcsec_and_of_images(pictures, flashes):
    with pytest.raises(ValueError, match="its unit is arcsec"):
        asking(pictures, psf={"low": 2, "high": 6, "unit": "pixel"})
    with pytest.raises(ValueError, match="only cutouts"):
        asking(flashes, psf={"low": 2, "high": 6, "unit": "arcsec"})


def test_images_with_too_little_signal_for_their_errors_are_outside(pictures):
    card = asking(pictures, signal_to_noise={"low": 20, "high": 1000, "unit": "all pixels"})
    noise = np.random.default_rng(2).normal(0, 0.01, (3, 3, 8, 8)).astype(np.float32)
    values = 0.2 + noise
    # In each of three bands 50 and 5 times the error: 87 and 9 together, and nothing at all.
    values[:2, :, 4, 4] += np.array([[0.5], [0.05]], np.float32)
    errors = np.full_like(values, 0.01)
    given = cutouts(3, values=values, errors=errors)
    clear, faint, empty = check(card, given).words()
    assert clear == "fits"
    assert "a signal-to-noise ratio of" in faint
    assert faint.startswith("outside")
    assert empty.startswith("outside")
    # What is masked, or has no error, is no signal.
    masks = np.zeros(values.shape, bool)
    masks[0, :, 4, 4] = True
    assert check(card, replace(given, masks=masks)).status[0] == "outside"
    errors[0, :, 4, 4] = np.nan
    assert check(card, replace(given, errors=errors)).status[0] == "outside"
    assert check(card, cutouts()).words()[0] == "fits: the signal-to-noise ratio is unknown"
