import pickle

import numpy as np
import pytest

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import (
    Attributions,
    Cutouts,
    LightCurves,
    Predictions,
    References,
    Samples,
    join,
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


def test_both_kinds_of_data_follow_the_protocol():
    assert isinstance(cutouts(), Samples)
    assert isinstance(curves([3]), Samples)


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
