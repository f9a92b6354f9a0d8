"""Colour pictures from fluxes, against values worked out by hand."""

import math

import numpy as np
import pytest

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.models.picture import BLACK, SOFTENING, STRETCH, WEIGHTS, lupton


def one_pixel(g, r, i):
    return np.array([g, r, i], dtype=np.float64).reshape(3, 1, 1)


def test_a_grey_pixel_follows_the_formula_of_the_paper():
    # Weighted fluxes of 0.47 each, above the black level of -0.03: light 0.5 in each plane.
    assert (BLACK, WEIGHTS) == (-0.03, (1.0, 1.3, 1.8))
    flux = one_pixel(0.47 / 1.8, 0.47 / 1.3, 0.47)
    by_hand = math.asinh(0.6 * 4.0 * 0.5) / 4.0  # = 0.253993...
    assert (STRETCH, SOFTENING) == (0.6, 4.0)
    assert by_hand == pytest.approx(0.253993, abs=1e-6)
    np.testing.assert_allclose(lupton(flux, ("g", "r", "i")).ravel(), by_hand, rtol=1e-6)


def test_colour_does_not_depend_on_brightness():
    faint = lupton(one_pixel(0.1, 0.2, 0.3) + BLACK / one_pixel(1.8, 1.3, 1.0), ("g", "r", "i"))
    bright = lupton(one_pixel(1.0, 2.0, 3.0) + BLACK / one_pixel(1.8, 1.3, 1.0), ("g", "r", "i"))
    np.testing.assert_allclose(faint / faint.max(), bright / bright.max(), rtol=1e-5)


def test_a_saturated_pixel_keeps_its_colour_and_stays_in_range():
    picture = lupton(one_pixel(10.0, 100.0, 400.0), ("g", "r", "i")).ravel()
    assert picture.max() == 1.0
    np.testing.assert_allclose(picture[1] / picture[0], (130.0 + 0.03) / (400.0 + 0.03), rtol=1e-5)


def test_a_pixel_below_black_is_black_and_not_undefined():
    assert lupton(one_pixel(-1.0, -1.0, -1.0), ("g", "r", "i")).ravel().tolist() == [0, 0, 0]


def test_planes_are_red_green_blue_whatever_the_order_of_the_bands():
    flux = np.random.default_rng(0).random((2, 3, 4, 4))
    np.testing.assert_array_equal(
        lupton(flux, ("g", "r", "i")), lupton(flux[:, ::-1], ("i", "r", "g"))
    )


def test_a_missing_band_is_named():
    with pytest.raises(DataError, match="i, r, g") as caught:
        lupton(np.zeros((2, 4, 4)), ("g", "r"))
    assert "g, r" in caught.value.cause
