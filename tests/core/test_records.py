import pickle
from dataclasses import replace

import numpy as np
import pytest

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.joining import join
from jupyter_astroml.core.records import (
    Attributions,
    Cutouts,
    LightCurves,
    Predictions,
    References,
    Samples,
    Spectra,
)


def cutouts(n=3, **changes):
    values = np.arange(n * 2 * 4 * 4, dtype=np.float32).reshape(n, 2, 4, 4)
    given = {"ids": [f"o{i}" for i in range(n)], "values": values, "bands": ("g", "r")}
    return Cutouts(**{**given, **changes})


def curves(lengths):
    width = max(lengths)
    values = np.full((len(lengths), width), np.nan, dtype=np.float32)
    for i, length in enumerate(lengths):
        values[i, :length] = 1.0
    time = np.tile(np.arange(width, dtype=float), (len(lengths), 1))
    return LightCurves(ids=[f"s{i}" for i in range(len(lengths))], time=time, values=values)


def spectra(lengths, *, step=2.0, **changes):
    width = max(lengths)
    values = np.full((len(lengths), width), np.nan, dtype=np.float32)
    for i, length in enumerate(lengths):
        values[i, :length] = 1.0
    wavelength = np.tile(4000.0 + step * np.arange(width), (len(lengths), 1))
    ids = [f"q{i}" for i in range(len(lengths))]
    return Spectra(**{"ids": ids, "wavelength": wavelength, "values": values, **changes})


def test_every_kind_of_data_follows_the_protocol():
    for samples in (cutouts(), curves([3]), spectra([3])):
        assert isinstance(samples, Samples)
        assert len(samples.axes()) == samples.values.ndim


def test_selected_rows_keep_their_own_ids_and_values():
    picked = cutouts()[np.array([2, 0])]
    assert picked.ids.tolist() == ["o2", "o0"]
    assert picked.values[0, 0, 0, 0] == 64.0
    assert picked.bands == ("g", "r")


def test_the_last_row_can_be_selected_by_a_negative_index():
    assert cutouts()[-1].ids.tolist() == ["o2"]


def test_a_record_refuses_a_field_of_another_length():
    with pytest.raises(DataError, match="2 entries in 'ra' for 3 objects"):
        cutouts(ra=[1.0, 2.0])


def test_cutouts_refuse_bands_that_do_not_match_the_planes():
    with pytest.raises(DataError, match="do not fit the bands"):
        cutouts(bands=("g",))


def test_unknown_positions_are_nan():
    assert np.isnan(cutouts().positions.ra.deg).all()


def test_the_length_of_a_light_curve_ends_at_its_padding():
    assert curves([3, 5, 1]).lengths().tolist() == [3, 5, 1]


def test_joined_light_curves_of_different_lengths_are_padded_at_the_end():
    joined = join([curves([3]), curves([5])])
    assert joined.values.shape == (2, 5)
    assert joined.lengths().tolist() == [3, 5]
    assert joined.time[0].tolist() == [0.0, 1.0, 2.0, 2.0, 2.0]


def test_spectra_of_different_lengths_are_padded_and_keep_their_own_grids():
    joined = join([spectra([2], step=1.0), spectra([3])])
    assert joined.wavelength.tolist() == [[4000.0, 4001.0, 4001.0], [4000.0, 4002.0, 4004.0]]
    assert joined.lengths().tolist() == [2, 3]
    assert joined.grid is None
    assert joined[1].grid.tolist() == [4000.0, 4002.0, 4004.0]


def test_wavelengths_and_values_of_a_spectrum_have_one_shape():
    with pytest.raises(DataError, match=r"wavelengths \(1, 2\) and values \(1, 3\)"):
        spectra([3], wavelength=np.ones((1, 2)))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_errors_of_some_parts_are_kept_and_unknown_for_the_others(order):
    with_errors = replace(curves([3]), errors=np.full((1, 3), 0.5, np.float32))
    parts = [with_errors, curves([5])]
    joined = join([parts[k] for k in order])
    known = joined.errors[order.index(0)]
    np.testing.assert_array_equal(known, [0.5, 0.5, 0.5, np.nan, np.nan])
    assert np.isnan(joined.errors[order.index(1)]).all()


def test_masks_of_some_parts_are_kept_and_nothing_is_masked_in_the_others():
    masked = cutouts(1, masks=np.ones((1, 2, 4, 4), bool), wcs=np.array(["text"], object))
    joined = join([cutouts(1), masked])
    assert joined.masks.mean(axis=(1, 2, 3)).tolist() == [0.0, 1.0]
    assert joined.masks.dtype == bool
    assert joined.wcs.tolist() == ["", "text"]


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (cutouts(), cutouts(bands=("r", "g")), "different bands"),
        (cutouts(), cutouts(flux_unit="nanomaggy"), "different flux_unit"),
        (curves([3]), replace(curves([3]), time_zero=2457000.0), "different time_zero"),
        (curves([3]), replace(curves([3]), band="TESS"), "different band"),
        (cutouts(), cutouts(values=np.zeros((3, 2, 5, 5), np.float32)), "different sizes"),
        (cutouts(), curves([3]), "Cutouts and LightCurves"),
        (spectra([3]), spectra([3], medium="air"), "different medium"),
        (spectra([3]), spectra([3], wave_unit="nm"), "different wave_unit"),
        (spectra([3]), spectra([3], frame="rest"), "different frame"),
    ],
)
def test_parts_that_mean_different_things_are_not_joined(one, other, words):
    with pytest.raises(DataError, match=words):
        join([one, other])


def test_what_is_partly_simulated_is_told_as_simulated():
    assert join([cutouts(), cutouts(simulated=True)]).simulated


def test_joined_predictions_keep_failures_that_have_no_columns():
    good = Predictions(["a"], ["ok"], {"p": np.array([0.5]), "label": np.array(["x"])})
    bad = Predictions(["b"], ["gone"], {})
    joined = join([good, bad])
    assert joined.columns["label"].tolist() == ["x", ""]
    assert np.isnan(joined.columns["p"][1])
    assert joined.failures() == {"b": "gone"}


def test_a_prediction_table_has_units_and_provenance():
    table = Predictions(["a"], ["ok"], {"p": np.array([0.5])}, meta={"model": "m"}).to_table()
    assert str(table["ra"].unit) == "deg"
    assert table.meta["model"] == "m"


def test_attributions_have_the_shape_of_their_samples():
    with pytest.raises(DataError, match="Maps of shape"):
        Attributions(
            ids=["o0", "o1", "o2"],
            maps=np.zeros((3, 2, 4, 3)),
            targets=np.zeros(3, int),
            target_names=np.array(["x"] * 3),
            method="gradient",
            samples=cutouts(),
        )


def test_records_survive_the_way_to_a_worker():
    there = References(ids=["a"], urls=["http://x/y"], formats=["image/fits"], kind="cutouts")
    back = pickle.loads(pickle.dumps(there))
    assert back.urls.tolist() == ["http://x/y"]
    assert back.kind == "cutouts"
