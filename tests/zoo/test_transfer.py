"""Simulate, then transfer: a tiny run of the whole study, and how it parts and scores."""

from pathlib import Path

import numpy as np
import pytest
from galaxy_folder import write_folder

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.models.tuning import FEWEST
from jupyter_astroml.zoo import galaxy_morphology
from jupyter_astroml.zoo.galaxy_morphology import train, transfer


def test_a_run_that_was_ended_goes_on_and_gives_the_same_answers(tmp_path):
    data, work, out = tmp_path / "field", tmp_path / "work", tmp_path / "out"
    write_folder(data, n=80, seed=3)
    tiny = ["--counts", "12", "--seeds", "1", "--simulated", "150", "--steps", "4"]
    given = [f"--data={data}", f"--work={work}", f"--out={out}", *tiny]
    transfer.main(given)
    page = (out / "transfer.md").read_text("utf-8")
    assert all(page.count(f"| 12 | {words} |") == 1 for words in transfer.METHODS.values())
    assert (out / "transfer.svg").read_text("utf-8").count("<circle") == 2 * (1 + 4) + 4

    ended = [path for name in ("nothing", "head") for path in work.rglob(f"{name}-12-0.npy")]
    kept = {path: np.load(path) for path in ended}
    for path in kept:
        path.unlink()
    transfer.main(given)
    assert len(kept) == 2
    for path, before in kept.items():
        np.testing.assert_array_equal(np.load(path), before, err_msg=path.name)
    assert (out / "transfer.md").read_text("utf-8") == page


def test_no_label_is_drawn_beside_a_galaxy_that_was_put_aside(tmp_path):
    names = [str(i << 16) for i in range(40)]
    aside = next(name for name in names if train.part(name) % train.PARTS == 0)
    beside = next(
        name for i in range(1, 99) if train.part(name := str(int(aside) + i)) % train.PARTS
    )
    # The neighbour on the frame of a galaxy put aside would be drawn from, were it elsewhere.
    shapes = write_folder(tmp_path, n=41, seed=5, ids=[*names, beside])
    assert shapes[-1] in transfer.SHAPES
    pool, held = transfer.parted(tmp_path)
    assert beside not in set(pool.ids) | set(held.ids)
    frames = [{int(name) >> 16 for name in part.ids} for part in (pool, held)]
    assert all(frames)
    assert not frames[0] & frames[1]


def test_more_labels_hold_the_fewer_and_every_class():
    classes = np.array([0] * 80 + [1] * 10 + [2] * 10)
    few, many = (transfer.chosen(classes, n, seed=1) for n in (14, 60))
    assert set(few) < set(many)
    assert len(set(many)) == 60
    assert np.bincount(classes[few], minlength=3).min() >= FEWEST
    assert set(few) != set(transfer.chosen(classes, 14, seed=2))
    for n in (11, 101):
        with pytest.raises(DataError, match=f"{n} labels"):
            transfer.chosen(classes, n, seed=1)


def test_scores_are_those_worked_out_by_hand():
    # Three of the one class, all right; one of the other, right with one seed of two.
    classes = np.array([0, 0, 0, 1])
    right = np.array([[1, 1, 1, 1], [1, 1, 1, 0]], dtype=bool)
    found = transfer.judged(right, classes)
    assert found["accuracy"].value == pytest.approx((3 + 0.5) / 4)
    assert found["recall"].value == pytest.approx((1 + 0.5) / 2)
    same = transfer.judged(right.astype(int) - right, classes)
    assert same["recall"] == (0.0, 0.0, 0.0)


def test_an_interval_holds_the_scatter_of_the_draws_too():
    classes = np.zeros(400, dtype=int)
    rng = np.random.default_rng(0)
    steady = np.repeat(rng.random((1, 400)) < 0.8, 3, axis=0)
    moody = rng.random((3, 400)) < np.array([[0.6], [0.8], [1.0]])
    width = {
        name: (found := transfer.judged(right, classes)["accuracy"]).high - found.low
        for name, right in {"steady": steady, "moody": moody}.items()
    }
    # Of the galaxies alone: 2 · 1.96 · √(0.8 · 0.2 / 400).
    assert width["steady"] == pytest.approx(0.078, abs=0.01)
    assert width["moody"] > 3 * width["steady"]


def test_a_page_of_part_of_the_answers_leaves_the_others_out():
    classes, right = np.array([0, 0, 1, 2]), np.array([[1, 1, 0, 1], [1, 0, 1, 1]], dtype=bool)
    found = transfer.Found(
        study=transfer.Study(counts=(20, 50), seeds=2),
        pool=60,
        classes=classes,
        simulated=right[:1],
        unseen=right[0],
        right={
            (m, n): right
            for m in ("nothing", "head")
            for n in (20, 50)
            if (m, n) != ("nothing", 50)
        },
    )
    page = transfer.page(found)
    words = transfer.METHODS
    assert f"| 20 | {words['nothing']} | 0.750 [" in page
    assert f"| 50 | {words['nothing']} |" not in page
    assert f"- {words['nothing']}: not measured with 50 labels." in page
    assert f"- {words['forest']}: not measured with 20 and 50 labels." in page
    assert f"- {words['head']}: mean recall no difference seen with 20; " in page
    assert transfer.curves(found).count("<circle") == 2 * (1 + 3) + 4


def test_the_page_is_what_the_study_wrote():
    home = Path(galaxy_morphology.__file__).parent
    page, study = (home / transfer.PAGE).read_text("utf-8"), transfer.Study()
    for n in study.counts:
        for method in ("forest", "head"):
            assert page.count(f"| {n} | {transfer.METHODS[method]} |") == 1
    assert all(page.count(f"| {study.counts[0]} | {w} |") == 1 for w in transfer.METHODS.values())
    assert f"drawn {study.seeds} times" in page
    assert (home / transfer.PICTURE).is_file()
