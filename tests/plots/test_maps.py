from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from records_of_plots import classified, curve, cutouts, detected, explained, header

from jupyter_astroml.core.records import Cutouts
from jupyter_astroml.plots import describe, maps
from jupyter_astroml.plots.pictures import colour, orientation

EAST_LEFT = [[-1, 0], [0, 1]]
EAST_RIGHT = [[1, 0], [0, 1]]
TURNED = [[-0.5, -(3**0.5) / 2], [-(3**0.5) / 2, 0.5]]


def bright(view):
    """Offsets of the bright pixel as drawn: (x, y) in the axes' unit."""
    data = view.picture.data
    image = data["image"][0].view(np.uint8).reshape(*data["image"][0].shape, 4)[..., 0]
    row, column = np.unravel_index(image.argmax(), image.shape)
    scale = data["dw"][0] / image.shape[1]
    return data["x"][0] + (column + 0.5) * scale, data["y"][0] + (row + 0.5) * scale


def shown(wcs, scale=0.5):
    view = maps.CutoutView()
    view.show(cutouts(wcs=wcs, scale=scale))
    return view


def test_east_is_left_and_offsets_are_those_of_the_wcs():
    # Column 12 lies 4.5 pixels of 0.5 arcsec right of the centre, so 2.25 arcsec to the West.
    view = shown(header(cd=EAST_LEFT))
    assert bright(view) == pytest.approx((-2.25, 1.25))
    assert view.left.x_range.start > view.left.x_range.end
    assert view.left.xaxis[0].axis_label == "East offset [arcsec]"


def test_an_image_with_east_on_the_right_is_mirrored():
    view = shown(header(cd=EAST_RIGHT))
    assert bright(view) == pytest.approx((2.25, 1.25))
    assert view.left.x_range.start > view.left.x_range.end


def test_a_turned_image_keeps_its_pixels_and_gets_a_compass():
    lie = orientation(cutouts(wcs=header(cd=TURNED)))
    assert not lie.aligned
    np.testing.assert_allclose(np.dot(lie.east, lie.north), 0, atol=1e-6)
    # Pixel steps of one unit East: the inverse of the matrix, column 1.
    np.testing.assert_allclose(lie.east, [-0.5, -(3**0.5) / 2], atol=1e-6)
    view = shown(header(cd=TURNED))
    assert view.left.x_range.start < view.left.x_range.end
    assert view._letters.data["text"] == ["E", "N"]
    assert view.left.xaxis[0].axis_label == "x offset [arcsec]"


def test_the_scale_comes_from_the_wcs_where_the_record_has_none():
    assert orientation(cutouts(wcs=header(cd=EAST_LEFT, scale=0.4), scale=np.nan)).scale == (
        pytest.approx(0.4)
    )


def test_without_a_wcs_the_axes_claim_no_direction():
    view = shown(None)
    assert view.left.xaxis[0].axis_label == "x offset [arcsec]"
    assert view._letters.data["text"] == ["orientation unknown"]
    assert bright(view) == pytest.approx((2.25, 1.25))


def test_without_a_scale_the_axes_are_pixels_and_say_so():
    view = shown(None, scale=np.nan)
    assert view.left.xaxis[0].axis_label == "x offset [pixels]"
    assert view._letters.data["text"] == ["scale and orientation unknown"]
    assert bright(view) == pytest.approx((4.5, 2.5))


@pytest.mark.parametrize("text", ["garbage", "SIMPLE  = T", "CTYPE1  = 'RA---TAN'", "\0" * 99])
def test_a_damaged_wcs_costs_the_compass_and_not_the_picture(text):
    assert orientation(cutouts(wcs=text)).east == (0.0, 0.0)


@pytest.mark.parametrize("cd", [EAST_LEFT, EAST_RIGHT, TURNED])
def test_the_map_lies_on_its_pixel(cd):
    samples = cutouts(wcs=header(cd=cd))
    view = maps.CutoutView()
    view.show(samples, explained(samples, samples.values))
    drawn = view.overlay.data["image"][0]
    row, column = np.unravel_index(drawn.argmax(), drawn.shape)
    scale = 0.5
    place = (-4 + (column + 0.5) * scale, -4 + (row + 0.5) * scale)
    assert place == pytest.approx(bright(view))


def test_colours_end_at_the_same_distance_on_both_sides():
    samples = cutouts()
    view = maps.CutoutView()
    view.show(samples, explained(samples, np.where(samples.values > 0, -3.0, 0.5)))
    assert view.mapper.low == -view.mapper.high
    assert view.overlay.data["image"][0].min() == pytest.approx(-9)
    view.use_sign(signed=False)
    view.show(samples, explained(samples, np.where(samples.values > 0, -3.0, 0.5)))
    assert view.mapper.low == 0
    assert view.overlay.data["image"][0].max() == pytest.approx(9)


def test_an_empty_map_is_drawn_and_said():
    samples = cutouts()
    found = explained(samples, np.zeros_like(samples.values))
    maps.CutoutView().show(samples, found)
    assert "the map is empty" in describe.attribution(found)


def test_flux_is_drawn_red_first_and_missing_pixels_are_clear():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1, 3, 32, 32)).astype(np.float32)
    values[0, :, 16, 16] = [1, 10, 100]
    values[0, 1, 3, 4] = np.nan
    found = Cutouts(ids=["a"], values=values, bands=("g", "r", "i"), flux_unit="nanomaggy")
    pixels = colour(found)
    assert pixels[3, 4, 3] == 0
    assert pixels[0, 0, 3] == 255
    red, green, blue = pixels[16, 16, :3].astype(int)
    assert red >= green >= blue


def test_one_band_is_grey():
    found = Cutouts(ids=["a"], values=np.full((1, 1, 4, 4), 0.5, np.float32), bands=("grey",))
    assert (colour(found)[..., :3] == 128).all()


def test_a_light_curve_is_drawn_in_days_with_band_and_events():
    curves = curve()
    view = maps.LightCurveView()
    view.show(curves, None, detected(curves))
    assert view.bottom.xaxis[0].axis_label == "BTJD = BJD − 2457000 [days, TDB]"
    assert len(view.flux.data["time"]) == 199
    data = view.probability.data
    assert len(data["p"]) == 199
    assert data["high"].max() == 1.0
    assert data["low"].min() == 0.0


def found_events(**columns):
    return Table(columns, meta={"rule": {"threshold": 0.38}})


def test_the_events_of_the_model_are_marked_and_no_others():
    curves = curve()
    peak = curves.time[0, 102]
    view = maps.LightCurveView()
    view.show(curves, None, detected(curves))
    # A high probability is no event: the model's rule asks more.
    assert len(view.events.data["time"]) == 0
    assert not view.rule.visible
    view.mark_events(found_events(id=["other", "star"], t_peak=[1.0, peak], probability=[0.8, 0.9]))
    assert view.events.data["time"].tolist() == [peak]
    assert view.events.data["flux"].tolist() == [1.5]
    assert (view.rule.location, view.rule.visible) == (0.38, True)
    view.show(type(curves)(ids=["third"], time=curves.time, values=curves.values))
    assert len(view.events.data["time"]) == 0
    view.show(curves)
    view.mark_events(found_events(id=np.array([], dtype=str), t_peak=[], probability=[]))
    assert len(view.events.data["time"]) == 0


def test_saliency_is_drawn_on_the_cadences_that_were_explained():
    curves = curve()
    part = curves[0]
    seen = type(curves)(
        ids=part.ids, time=part.time[:, 90:120], values=part.values[:, 90:120], time_zero=2457000.0
    )
    found = explained(seen, np.where(seen.values > 1.2, 2.0, -0.5), targets=12)
    view = maps.LightCurveView()
    view.show(curves, found, detected(curves))
    data = view.saliency.data
    np.testing.assert_array_equal(data["time"], seen.time[0])
    np.testing.assert_allclose(data["raises"] + data["lowers"], data["map"])
    assert data["raises"].max() == 2
    assert data["lowers"].min() == -0.5
    assert [s.location for s in view.target] == [seen.time[0, 12]] * 3
    # Zoomed to the explained part; reset shows everything.
    assert view.top.x_range.start == pytest.approx(seen.time[0, 0], abs=1e-2)
    assert view.top.x_range.reset_end == curves.time[0, -1]


def test_a_light_curve_without_one_good_cadence_is_drawn_empty():
    curves = curve()
    empty = type(curves)(
        ids=["x"], time=curves.time, values=np.full_like(curves.values, np.nan), time_zero=0.0
    )
    view = maps.LightCurveView()
    view.show(empty)
    assert len(view.flux.data["time"]) == 0
    assert view.bottom.xaxis[0].axis_label == "time [days, TDB]"


def test_the_words_about_a_map_are_right_by_hand():
    # All on one pixel, 4.5 columns and 2.5 rows from the centre: 5.15 pixels, 2.6 arcsec.
    samples = cutouts()
    words = describe.attribution(explained(samples, samples.values))
    assert "within 2.6 arcsec of the centre" in words
    assert "100\u00a0% of it raises the score" in words
    without = describe.attribution(explained(cutouts(scale=np.nan), samples.values))
    assert "within 5.1 pixels of the centre" in without


def test_the_words_about_a_flare_are_right_by_hand():
    curves = curve()
    weights = np.zeros(curves.values.shape)
    weights[0, [100, 136]] = 3, -1
    found = explained(curves, weights, targets=100)
    radius, _, raises = describe.spread(found)
    assert (radius, raises) == (0.0, 0.75)
    weights[0, [100, 136]] = 1, -3
    radius, _, raises = describe.spread(explained(curves, weights, targets=100))
    assert (radius, raises) == (pytest.approx(0.05), 0.25)


def test_draw_shows_one_object_of_either_kind():
    samples = cutouts(n=2)
    assert maps.draw(samples, index=1).children
    curves = curve()
    assert maps.draw(curves, predictions=detected(curves)).children


def test_names_from_an_archive_start_no_formula():
    view = maps.CutoutView()
    view.show(cutouts(), title=r"$$\href{https://x}{y}$$")
    assert "$$" not in view.left.title.text


def test_the_words_about_predictions_count_them():
    words = describe.predictions(classified())
    assert words == "6 objects: 3 merger, 3 spiral. Median uncertainty 0.25."
    assert describe.prediction(classified(), 0) == (
        "g0: spiral, probability 0.55, uncertainty 0.45 of 1."
    )
    given = replace(
        classified(2), columns={**classified(2).columns, "prediction_set": ["spiral|merger", ""]}
    )
    assert describe.prediction(given, 0).endswith("Possible: spiral, merger.")
    assert describe.prediction(given, 1).endswith("No class is likely enough.")
    assert describe.prediction(detected(curve())) == (
        "star: 1 event, largest probability 0.90 ± 0.20 at 1354.1389 d."
    )
