import numpy as np
import pytest
from test_contract import COMMON

from jupyter_astroml.models.answers import classify
from jupyter_astroml.models.cards import Card


@pytest.fixture
def card():
    return Card.model_validate(
        COMMON
        | {
            "id": "two",
            "task": "classify",
            "input": {
                "kind": "cutouts",
                "bands": ["r"],
                "flux_unit": "picture",
                "size": [4, 4],
            },
            "outputs": {"axis": "class", "names": ["yes", "no"]},
            "facts": {
                "digest": "sha256:" + "0" * 64,
                "calibration": {"conformal_threshold": 0.6},
            },
        }
    )


def test_members_that_agree_on_a_coin_toss_are_uncertain_but_do_not_disagree(card):
    columns, _ = classify(card, np.zeros((3, 1, 2)))
    assert columns["uncertainty"][0] == pytest.approx(1.0)
    assert columns["disagreement"][0] == pytest.approx(0.0)


def test_members_that_contradict_each_other_disagree(card):
    sure = 50.0
    columns, _ = classify(card, np.array([[[sure, -sure]], [[-sure, sure]]]))
    # Mean (1/2, 1/2): total entropy log 2; each member alone is certain: mutual information log 2.
    assert columns["disagreement"][0] == pytest.approx(np.log(2))
    assert columns["p_yes"][0] == pytest.approx(0.5)


def test_the_prediction_set_holds_the_classes_above_the_conformal_threshold(card):
    # 1 - p <= 0.6 means p >= 0.4.
    logits = np.log(np.array([[[0.95, 0.05], [0.55, 0.45]]]))
    columns, _ = classify(card, logits)
    assert columns["prediction_set"].tolist() == ["yes", "yes|no"]
    assert columns["label"].tolist() == ["yes", "yes"]
