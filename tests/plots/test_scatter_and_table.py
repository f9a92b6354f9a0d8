from dataclasses import replace

import numpy as np
import pytest
from records_of_plots import classified, curve, cutouts, detected

from jupyter_astroml.core.records import Predictions
from jupyter_astroml.plots import look, scatter
from jupyter_astroml.plots.gallery import GalleryView, thumbnail
from jupyter_astroml.plots.table import TableView, order, orders


def many(n):
    rng = np.random.default_rng(0)
    p = rng.random(n)
    label = np.where(p > 0.5, "a", "b").astype("U8")
    label[n // 2] = "rare"
    return Predictions(
        ids=np.arange(n).astype(str),
        status=np.full(n, "ok"),
        columns={"label": label, "confidence": p, "uncertainty": 1 - p},
    )


def test_points_are_probability_against_uncertainty():
    view = scatter.ScatterView(classified())
    np.testing.assert_allclose(view.source.data["x"], np.linspace(0.55, 0.95, 6))
    np.testing.assert_allclose(view.source.data["y"], np.linspace(0.45, 0.05, 6))
    assert view.note() == ""


def test_detections_are_grouped_by_whether_there_is_an_event():
    found = detected(curve())
    assert scatter.labels(found).tolist() == [scatter.WITH]
    view = scatter.ScatterView(found)
    assert view.layout.xaxis[0].axis_label == "largest probability"


def test_many_points_are_sampled_with_every_label_and_said():
    view = scatter.ScatterView(many(20_000))
    assert len(view.rows) <= scatter.MOST
    assert 10_000 in view.rows
    assert (np.diff(view.rows) > 0).all()
    assert "5,000 of 20,000" in view.note()
    assert "same number of each label" in view.note()


@pytest.mark.parametrize(
    "counts", [[100, 1700, 100_000], [1, 1, 1, 9000], [3000, 3000], [1] * 6000]
)
def test_labels_of_any_frequency_share_the_room(counts):
    label = np.repeat(np.arange(len(counts)).astype(str), counts)
    n = len(label)
    found = Predictions(
        ids=np.arange(n).astype(str),
        status=np.full(n, "ok"),
        columns={"label": label, "confidence": np.ones(n), "uncertainty": np.zeros(n)},
    )
    rows = scatter.chosen(found)
    assert len(rows) == len(set(rows.tolist())) == scatter.MOST
    _, drawn = np.unique(label[rows], return_counts=True)
    # Nobody is cut to fewer points than a more frequent label gets.
    cut = drawn < np.array(counts)[: len(drawn)]
    assert drawn[cut].size == 0 or np.ptp(drawn[cut]) <= 1


def test_an_object_that_was_left_out_is_still_ringed():
    found = many(20_000)
    view = scatter.ScatterView(found)
    row = int(np.setdiff1d(np.arange(20_000), view.rows)[0])
    view.mark(row)
    assert view.ring.data["x"] == [found.columns["confidence"][row]]
    view.mark(None)
    assert view.ring.data == {"x": [], "y": []}


def test_objects_without_an_answer_have_a_group_of_their_own():
    found = classified()
    status = found.status.astype("U20")
    status[2] = "no pixels"
    found = replace(found, status=status)
    assert scatter.labels(found)[2] == scatter.NO_ANSWER
    assert scatter.ScatterView(found).describe().endswith("5 objects.")


def test_colours_and_markers_tell_labels_apart_beyond_six():
    names = [str(i) for i in range(30)]
    pairs = set(zip(look.colours(names), look.markers(names), strict=True))
    assert len(pairs) == 30


def test_the_diverging_palette_is_clear_in_the_middle_and_even_at_the_ends():
    palette = look.signed_palette()
    assert len(palette) == 256
    assert palette[0] == look.LOWERS + "ff"
    assert palette[-1] == look.RAISES + "ff"
    assert int(palette[127][-2:], 16) < 4
    assert int(palette[128][-2:], 16) < 4


def test_a_table_orders_all_objects_and_not_only_its_page():
    found = many(1000)
    view = TableView(found, page_size=100)
    view.sort(by="uncertainty", descending=True)
    wanted = np.sort(found.columns["uncertainty"])[::-1]
    np.testing.assert_array_equal(view.source.data["uncertainty"], wanted[:100])
    view.turn(3)
    np.testing.assert_array_equal(view.source.data["uncertainty"], wanted[300:400])
    assert view.note() == "rows 301 to 400 of 1,000"
    view.turn(99)
    assert view.page == 9


def test_marking_an_object_turns_to_its_page():
    view = TableView(many(1000), page_size=100)
    view.mark(523)
    assert (view.page, view.source.selected.indices) == (5, [23])
    assert view.source.data["id"][23] == "523"


def test_objects_without_a_number_come_last_in_both_directions():
    found = classified(3)
    columns = {**found.columns, "uncertainty": np.array([np.nan, 0.2, 0.4])}
    found = replace(found, columns=columns)
    assert order(found, by="uncertainty").tolist() == [1, 2, 0]
    assert order(found, by="uncertainty", descending=True).tolist() == [2, 1, 0]
    assert order(found, by="label").tolist() == [1, 0, 2]


def test_only_orders_that_exist_are_offered():
    assert "members disagree most first" not in orders(classified())
    assert "most events first" in orders(detected(curve()))


def test_a_gallery_names_its_places_and_fills_them():
    view = GalleryView(across=3, down=2)
    samples = cutouts(n=7)
    view.expect(samples.ids.tolist(), ["spiral 0.9"] * 7)
    assert list(view.tiles.data["id"]) == ["g0", "g1", "g2", "g3", "g4", "g5"]
    view.fill(4, samples, index=4)
    assert view.pictures.data["x"] == [pytest.approx(1.04)]
    view.select("g5")
    assert view.tiles.selected.indices == [5]
    view.select("g6")
    assert view.tiles.selected.indices == []


def test_a_thumbnail_keeps_the_highest_cadence():
    time, flux = np.arange(20_000.0), np.ones(20_000)
    flux[12_345], flux[500] = 9.0, -1.0
    x, y = thumbnail(time, flux)
    assert len(x) <= 160
    assert x[y.argmax()] == pytest.approx(12_345 / 20_000, abs=0.01)
    assert (y.min(), y.max()) == (0, 1)
    assert thumbnail(time, np.full(20_000, np.nan))[0].size == 0
