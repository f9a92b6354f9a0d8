"""Figures of READMEs: what they are drawn from, and that they say it."""

import numpy as np
import pytest
from PIL import Image

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.zoo import drawing, scores

CLASSES = np.array([0, 0, 0, 0, 1, 1, 1, 1])
SECOND = np.array([0.1, 0.2, 0.3, 0.8, 0.2, 0.6, 0.9, 0.95])
P = np.stack([1 - SECOND, SECOND], axis=1)


def read(path):
    """Return levels of shape (y, x, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def blue(path):
    """Count the pixels in the colour of the network."""
    pixels = read(path)
    return int((np.abs(pixels - [0x00, 0x72, 0xB2]).max(axis=-1) < 8).sum())


def test_bins_of_confidence_add_up_to_the_calibration_error():
    bins = scores.reliability(CLASSES, P)
    assert [n for *_, n in bins] == [1, 1, 3, 3]
    assert bins[0] == pytest.approx((0.6, 1.0, 1))
    # Of the answers at 0.8 two are right: 0.2 and 0.2 say "first", and one of them is not.
    assert bins[2] == pytest.approx((0.8, 1 / 3, 3))
    error = (0.4 + 0.3 + 3 * (0.8 - 1 / 3) + 3 * (1 - 2.75 / 3)) / 8
    assert scores.calibration_error(CLASSES, P) == pytest.approx(error)


def test_the_characteristic_counts_ties_against_the_network():
    found = scores.characteristic(CLASSES, P)
    at = dict(zip(scores.FALSE_SHARES.round(4), found, strict=True))
    # 0.9 and 0.95 stand above all of the first class, 0.6 above all but one, and 0.2 beside one.
    assert at[0.0] == 0.5
    assert at[0.25] == 0.75
    assert found[np.flatnonzero(scores.FALSE_SHARES < 0.75)[-1]] == 0.75
    assert found[-1] == 1.0
    area = np.trapezoid(found, scores.FALSE_SHARES)
    assert area == pytest.approx(scores.auc(CLASSES, P), abs=0.04)


def test_answers_are_counted_by_true_class():
    assert scores.confusion(CLASSES, P) == [[3, 1], [1, 3]]
    three = np.eye(3)[[0, 2, 2]]
    assert scores.confusion(np.array([0, 1, 2]), three) == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]


@pytest.mark.parametrize("k", [2, 3])
def test_a_figure_shows_network_and_baseline(tmp_path, k):
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(1)
    classes = rng.integers(k, size=300)
    sure = scores.softmax(3 * np.eye(k)[classes] + rng.normal(size=(300, k)))
    found = scores.curves(classes, sure, sure[::-1], names=[f"kind_{i}" for i in range(k)])
    drawing.judged(tmp_path / "one.png", found)
    drawing.judged(tmp_path / "two.png", found)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert (tmp_path / "one.png").stat().st_size < 60_000
    assert blue(tmp_path / "one.png") > 100
    assert ("confusion" in found) == (k == 3)


def test_a_sheet_shows_each_object_and_its_words(tmp_path):
    pictures = [np.full((32, 32), 40 * i, dtype=np.uint8) for i in range(6)]
    words = [[f"object {i}", "called something else"] for i in range(6)]
    drawing.sheet(tmp_path / "sheet.jpg", pictures, words)
    page = read(tmp_path / "sheet.jpg")[..., 1]
    assert page.shape[1] == 4 * (128 + 8)
    high = page.shape[0] // 2
    middles = [page[68 + high * (i // 4), 68 + 136 * (i % 4)] for i in range(6)]
    np.testing.assert_allclose(middles, [40 * i for i in range(6)], atol=4)
    # There are dark letters under each, and nothing where no object is.
    for i in range(6):
        row, column = divmod(i, 4)
        assert (
            page[row * high + 134 : (row + 1) * high, column * 136 : (column + 1) * 136].min() < 90
        )
    assert page[high:, 2 * 136 :].min() > 240


def test_long_words_make_room_for_themselves(tmp_path):
    white = [np.full((32, 32), 255, dtype=np.uint8)] * 2
    drawing.sheet(tmp_path / "sheet.jpg", white, [["a name that is wider than the picture"]] * 2)
    page = read(tmp_path / "sheet.jpg")[..., 1]
    half = page.shape[1] // 2
    assert half > 180
    # The first name ends before the second begins.
    assert page[:, half - 4 : half + 3].min() > 200
    assert page[:, : half - 4].min() < 90 > page[:, half + 3 :].min()


def test_a_sheet_stays_small_and_is_never_empty(tmp_path):
    rng = np.random.default_rng(2)
    noisy = [rng.integers(256, size=(128, 128, 3), dtype=np.uint8) for _ in range(20)]
    drawing.sheet(tmp_path / "noise.jpg", noisy, [["noise"]] * 20)
    assert read(tmp_path / "noise.jpg").shape[:2] == (2 * (128 + 13 + 12), 4 * 136)
    assert (tmp_path / "noise.jpg").stat().st_size < 100_000
    with pytest.raises(DataError, match="no picture"):
        drawing.sheet(tmp_path / "none.jpg", [], [])


def test_faint_light_is_seen_beside_bright_light():
    plane = np.zeros((40, 40))
    plane[5:10, 5:10], plane[20:30, 20:30] = 100.0, 3.0
    plane[0, 0] = np.nan
    shown = drawing.levels(plane)
    assert shown.dtype == np.uint8
    assert (shown[0, 0], shown[7, 7], shown[35, 5]) == (0, 255, 0)
    assert shown[25, 25] > 20
    assert drawing.levels(np.full((3, 3), np.nan)).max() == 0
