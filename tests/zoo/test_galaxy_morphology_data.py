"""Reading labelled pictures, the classical measurements, and the scores."""

import io

import numpy as np
import pytest
from galaxy_folder import jpeg, write_folder, write_parts
from PIL import Image

from jupyter_astroml.core.errors import DataError, ModelError
from jupyter_astroml.zoo import forest, scores, structure
from jupyter_astroml.zoo.galaxy_morphology import baseline, real
from jupyter_astroml.zoo.galaxy_morphology.simulate import CLASSES

GREY = np.full((3, 128, 128), 0.5)


def test_pictures_and_labels_come_back_as_they_were_written(tmp_path):
    labels = write_folder(tmp_path, n=8, seed=1)
    cutouts, table = real.read(tmp_path)
    assert table["label"].tolist() == labels
    assert cutouts.ids.tolist() == table["id"].tolist()
    assert cutouts.bands == ("i", "r", "g")
    assert cutouts.flux_unit == "picture"
    assert cutouts.values.shape == (8, 3, 128, 128)
    assert 0.0 <= cutouts.values.min() < cutouts.values.max() <= 1.0


def test_red_is_the_first_plane(tmp_path):
    red = np.zeros((3, 128, 128))
    red[0] = 1.0
    write_parts(tmp_path, [("1", "merger", "1.jpg")], [jpeg(red)])
    means = real.read(tmp_path)[0].values.mean(axis=(0, 2, 3))
    assert means[0] > 0.95
    assert means[1:].max() < 0.05


def test_both_senses_of_rotation_are_spirals_and_dont_know_has_no_label(tmp_path):
    votes = ["spiral_clockwise", "spiral_anticlockwise", "spiral_edge_on", "dont_know"]
    rows = [(str(i), vote, f"{i}.jpg") for i, vote in enumerate(votes)]
    write_parts(tmp_path, rows, [jpeg(GREY)] * 4)
    assert real.labels(tmp_path)["label"].tolist() == ["spiral", "spiral", "edge_on", ""]


def test_only_the_objects_asked_for_are_read(tmp_path):
    write_folder(tmp_path, n=6, seed=2)
    wanted = real.labels(tmp_path)["id"][[4, 1]]
    cutouts, _ = real.read(tmp_path, ids=wanted)
    assert sorted(cutouts.ids) == sorted(wanted)


def test_a_name_that_climbs_out_of_the_folder_writes_nothing(tmp_path):
    inner = tmp_path / "inner"
    write_parts(inner, [("1", "merger", "../../escaped.jpg")], [jpeg(GREY)])
    before = sorted(p.name for p in tmp_path.rglob("*"))
    cutouts, _ = real.read(inner)
    assert len(cutouts) == 1
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def _bomb():
    stream = io.BytesIO()
    Image.new("L", (6000, 6000)).save(stream, format="PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("rows", "contents", "words"),
    [
        ([("1", "ring", "1.jpg")], [jpeg(GREY)], "class 'ring'"),
        ([("1", "merger", "1.jpg"), ("1", "merger", "1.jpg")], [jpeg(GREY)], "1 twice"),
        ([("1", "merger", "1.jpg"), ("2", "merger", "2.jpg")], [jpeg(GREY)], "object 2"),
        ([("7", "merger", "7.jpg")], [b"no picture"], "object 7 cannot be decoded"),
        ([("7", "merger", "7.jpg")], [jpeg(GREY)[:400]], "object 7"),
        ([("7", "merger", "7.jpg")], [jpeg(GREY[:, :64])], "128×64 pixels"),
        ([("7", "merger", "7.jpg")], [_bomb()], "6000×6000"),
        ([("7", "merger", "7.jpg")], [b"0" * 1_000_001], "too large"),
        ([("7", "", "7.jpg")], [jpeg(GREY)], "no 'class_name' in line 2"),
        ([], [], "0 rows"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, rows, contents, words):
    write_parts(tmp_path, rows, contents)
    with pytest.raises(DataError, match=words):
        real.read(tmp_path)


def test_a_folder_without_the_layout_says_what_to_give(tmp_path):
    with pytest.raises(DataError) as caught:
        real.read(tmp_path)
    assert "labels.csv" in caught.value.remedy
    (tmp_path / "labels.csv").write_text("objid,class_name,file\n1,merger,1.jpg\n")
    (tmp_path / "images.zip").write_bytes(b"not a zip")
    with pytest.raises(DataError, match=r"images\.zip"):
        real.read(tmp_path)


def blob(*, minor=12.0, major=12.0, dy=0.0, dx=0.0, peak=0.6):
    y, x = np.indices((128, 128)) - 63.5
    return peak * np.exp(-0.5 * (((y - dy) / minor) ** 2 + ((x - dx) / major) ** 2))


def measured(*images):
    found = baseline.measure(np.stack([np.stack([image] * 3) for image in images]))
    return {name: found[:, i] for i, name in enumerate(baseline.FEATURES)}


def test_a_flat_blob_is_flat_and_a_round_one_round():
    found = measured(blob(minor=5.0, major=15.0), blob(minor=9.0, major=9.0))
    assert found["axis_ratio"][0] == pytest.approx(1 / 3, abs=0.04)
    assert found["axis_ratio"][1] == pytest.approx(1.0, abs=0.03)


def test_half_a_turn_leaves_a_symmetric_galaxy_alone_but_not_a_lopsided_one():
    lopsided = np.maximum(blob(minor=8, major=8), 0.5 * blob(minor=6, major=6, dx=16))
    found = measured(blob(minor=8, major=8), lopsided)
    assert found["asymmetry"][0] < 0.02
    assert found["asymmetry"][1] > 0.1


def test_two_nuclei_are_counted():
    pair = np.maximum(blob(minor=4, major=4, dx=-7), 0.5 * blob(minor=4, major=4, dx=7))
    found = measured(blob(minor=6, major=6), pair)
    assert found["nuclei"].tolist() == [1.0, 2.0]
    assert found["second_nucleus"][1] == pytest.approx(0.5, abs=0.05)


def test_gini_is_zero_for_equal_pixels_and_one_for_a_single_bright_one():
    assert structure.gini(np.ones(50)) == pytest.approx(0.0)
    assert structure.gini(np.array([0.0] * 49 + [1.0])) == pytest.approx(1.0)
    # Two pixels of 1 and 3: (−1·1 + 1·3) / (mean 2 · 2 · 1) = 1/2.
    assert structure.gini(np.array([3.0, 1.0])) == pytest.approx(0.5)


def test_an_empty_picture_is_measured_as_zeros():
    found = baseline.measure(np.zeros((1, 3, 128, 128)))
    assert found.tolist() == [[0.0] * len(baseline.FEATURES)]


def test_the_forest_learns_simulated_classes_and_grows_the_same_each_time(tmp_path):
    labels = write_folder(tmp_path, n=60, seed=5)
    features = baseline.measure(real.read(tmp_path)[0].values)
    classes = np.array([CLASSES.index(c) for c in labels])
    path = tmp_path / "baseline.npz"
    names = {"names": CLASSES, "columns": baseline.FEATURES}
    forest.save(path, features=features[:40], classes=classes[:40], **names)
    p = forest.probabilities(path, features[40:], **names)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    assert scores.accuracy(classes[40:], p) > 0.6
    np.testing.assert_array_equal(p, forest.probabilities(path, features[40:], **names))
    with pytest.raises(ModelError, match="another version"):
        forest.probabilities(path, features, names=("a", "b"), columns=baseline.FEATURES)


# Four objects of three classes; answers 0, 1, 1, 2.
TRUE = np.array([0, 1, 2, 2])
P = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [0.1, 0.2, 0.7]])


def test_scores_are_those_worked_out_by_hand():
    assert scores.accuracy(TRUE, P) == 0.75
    assert scores.recall(TRUE, P, of=2) == 0.5
    assert scores.precision(TRUE, P, of=1) == 0.5
    assert scores.f1(TRUE, P, of=1) == pytest.approx(2 / 3)
    assert scores.macro_f1(TRUE, P) == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    by_hand = -(np.log(0.8) + np.log(0.5) + np.log(0.3) + np.log(0.7)) / 4
    assert scores.surprise(TRUE, P) == pytest.approx(by_hand)
    # Each object has a bin of its own: gaps of 0.2, 0.5, 0.6 and 0.3.
    assert scores.calibration_error(TRUE, P) == pytest.approx((0.2 + 0.5 + 0.6 + 0.3) / 4)


def test_a_class_that_does_not_occur_is_left_out_of_the_mean():
    assert scores.macro_f1(np.array([0, 0]), np.array([[0.9, 0.1], [0.8, 0.2]])) == 1.0


def test_prediction_sets_hold_at_least_the_promised_share():
    # Nine calibration objects at level 0.8: the 8th smallest of 1 - p.
    right = np.linspace(0.1, 0.9, 9)
    threshold = scores.conformal_threshold(right, level=0.8)
    assert threshold == pytest.approx(0.8)
    assert scores.conformal_threshold(right, level=0.95) == 1.0
    assert scores.covered(TRUE, P, threshold=0.5) == 0.75
    # Classes of 0.5 or more: one in each row but none missing.
    assert scores.set_size(P, threshold=0.5) == 1.0
