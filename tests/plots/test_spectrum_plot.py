import numpy as np
import pytest
from bokeh.models import ColumnDataSource

from jupyter_astroml.core.records import Spectra
from jupyter_astroml.plots.maps import draw
from jupyter_astroml.plots.spectrum import describe


def spectra(**changes):
    values = np.array([[1.0, 5.0, np.nan, 2.0], [3.0, 1.0, np.nan, np.nan]], dtype=np.float32)
    wave = np.array([[4000.0, 4010.0, 4020.0, 4030.0], [5000.0, 5010.0, 5010.0, 5010.0]])
    given = {"ids": ["a", "b"], "wavelength": wave, "values": values, "medium": "air"}
    return Spectra(**{**given, **changes})


def drawn(plot):
    return plot.select_one({"type": ColumnDataSource}).data


def test_a_spectrum_is_drawn_without_its_padding_and_with_its_gaps():
    plot = draw(spectra(), index=1)
    assert drawn(plot)["wave"].tolist() == [5000, 5010]
    np.testing.assert_array_equal(drawn(draw(spectra()))["flux"], [1, 5, np.nan, 2])
    assert plot.xaxis.axis_label == "wavelength [Angstrom, air]"


def test_errors_are_a_band_about_the_line():
    found = drawn(draw(spectra(errors=np.full((2, 4), 0.5, np.float32))))
    assert (found["low"][0], found["high"][0]) == (0.5, 1.5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "a: 4000 to 4030 Angstrom, brightest at 4010"),
        ({"wave_unit": "", "simulated": True}, "a (simulated): 4000 to 4030, brightest at 4010"),
        ({"values": np.full((2, 4), np.nan, np.float32)}, "a: no data"),
    ],
)
def test_the_title_says_in_words_what_is_seen(changes, words):
    assert describe(spectra(**changes)) == words
    assert draw(spectra(**changes)).title.text == words
