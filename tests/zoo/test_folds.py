"""Which network may answer for which object, and filters of every group."""

import numpy as np
import pytest
import torch

from jupyter_astroml.models.loading import load
from jupyter_astroml.zoo import folds, forest, scores
from jupyter_astroml.zoo.radio_galaxies.simulate import simulate
from jupyter_astroml.zoo.symmetry import Column, turned


def test_an_object_is_answered_by_the_member_that_did_not_see_it():
    model, told = load("radio_galaxies"), []
    values = simulate(4, seed=1)[0].values
    members = scores.softmax(model.logits(values).astype(float))
    fold = np.array([4, folds.UNSEEN, 0, 4])
    p = folds.answers(model, values, fold, progress=lambda *counts: told.append(counts))
    wanted = [members[4, 0], members[:, 1].mean(axis=0), members[0, 2], members[4, 3]]
    np.testing.assert_allclose(p, wanted, atol=1e-5)
    assert np.ptp(members, axis=0).max() > 1e-3
    assert told == [(1, 4), (2, 4), (4, 4)]
    # The model that everybody shares has all of its members still.
    assert len(model.logits(values[:1])) == len(members) == 5


def test_neighbours_on_the_sky_share_a_group_also_over_a_chain():
    # 4 arcmin apart each: the first and the third are friends of a friend.
    dec = np.array([0.0, 4 / 60, 8 / 60, 3.0])
    found = folds.groups_on_sky(np.full(4, 359.99), dec, within_arcsec=300.0)
    assert found[0] == found[1] == found[2] != found[3]


def test_an_object_that_is_listed_twice_is_kept_once_and_first():
    # The third is near the second alone, which is not kept.
    dec = np.array([0.0, 20.0, 40.0, 7200.0, 7201.0]) / 3600
    found = folds.repeated(np.full(5, 359.99), dec, within_arcsec=24.0)
    assert found.tolist() == [False, True, False, False, True]


def test_a_forest_answers_a_fold_without_having_grown_from_it(tmp_path):
    features = np.array([[0.0], [0.1], [1.0], [1.1], [5.0], [5.1]])
    classes = np.array([0, 0, 1, 1, 0, 0])
    names = {"names": ("a", "b"), "columns": ("x",)}
    path = tmp_path / "baseline.npz"
    forest.save(path, features=features, classes=classes, fold=np.repeat([0, 1, 2], 2), **names)
    asked = np.array([[5.05], [5.05]])
    without, knowing = forest.probabilities(path, asked, fold=np.array([2, -1]), **names)
    assert knowing[0] > without[0]


@pytest.mark.parametrize("order", [1, 4, 8])
def test_a_column_is_invariant_under_its_group_and_no_other(order):
    torch.manual_seed(order)
    column = Column(1, (2, 3, 4), order=order).eval()
    picture = torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        here = column(picture)
        for g in range(1, 8):
            change = float((column(turned(picture, g)) - here).abs().max())
            assert (change < 1e-4) == (g < order), (g, change)
