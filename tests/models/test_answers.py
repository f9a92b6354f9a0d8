import numpy as np
import pytest
from test_contract import COMMON

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.core.records import UNITS, Predictions
from jupyter_astroml.models import answers, estimates
from jupyter_astroml.models.answers import classify
from jupyter_astroml.models.cards import Card, Outputs
from jupyter_astroml.models.embedding import heads
from jupyter_astroml.plots import describe
from jupyter_astroml.plots.scatter import ScatterView


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


def measured(**calibration):
    return Card.model_validate(
        COMMON
        | {
            "id": "lengths",
            "task": "regress",
            "input": {"kind": "cutouts", "bands": ["r"], "flux_unit": "ct", "size": [4, 4]},
            "outputs": {"axis": "parameter", "names": ["a", "b"], "units": ["arcsec", ""]},
            "facts": {"digest": "sha256:" + "0" * 64, "calibration": calibration},
        }
    )


# Values 1 and 2; L = [[0.3, 0], [0.4, 0.5]], so that L Lᵀ = [[0.09, 0.12], [0.12, 0.41]].
ONE = [1.0, 2.0, 0.3, 0.4, 0.5]


def test_a_number_has_the_error_of_its_cholesky_factor():
    columns, arrays = answers.regress(measured(), np.array([[ONE]]))
    assert columns["a"][0] == pytest.approx(1.0)
    assert columns["a_std"][0] == pytest.approx(0.3)
    assert columns["b_std"][0] == pytest.approx(np.sqrt(0.41))
    assert columns["a_low"][0] == pytest.approx(1.0 - 1.96 * 0.3)
    np.testing.assert_allclose(arrays["covariance"][0], [[0.09, 0.12], [0.12, 0.41]])
    # The determinant is (0.3 · 0.5)²: the mean axis is the root of 0.15.
    assert columns["uncertainty"][0] == pytest.approx(np.sqrt(0.15))
    assert columns["disagreement"][0] == pytest.approx(0.0)


def test_members_that_measure_differently_widen_the_error():
    other = [1.8, *ONE[1:]]
    columns, _ = answers.regress(measured(), np.array([[ONE], [other]]))
    assert columns["a"][0] == pytest.approx(1.4)
    # Each is 0.4 from their mean: 0.09 + 0.16 = 0.5².
    assert columns["a_std"][0] == pytest.approx(0.5)
    assert columns["disagreement"][0] == pytest.approx(0.5 * 0.16 / 0.25)


def test_intervals_are_as_wide_as_held_out_objects_asked_for():
    columns, arrays = answers.regress(
        measured(width_68_a=2.0, width_95_a=5.0, spread_a=10.0), np.array([[ONE]])
    )
    assert columns["a_std"][0] == pytest.approx(0.6)
    assert columns["a_high"][0] == pytest.approx(1.0 + 5.0 * 0.3)
    np.testing.assert_allclose(arrays["covariance"][0], [[0.36, 0.24], [0.24, 0.41]])


def test_calibration_makes_intervals_and_ellipsoids_hold_the_truth():
    rng = np.random.default_rng(1)
    factor = np.array([[0.3, 0.0], [0.4, 0.5]])
    logits = np.tile(ONE, (1, 4000, 1))
    # The network believes in errors that are half of what they are.
    truth = np.array([1.0, 2.0]) + 2.0 * rng.standard_normal((4000, 2)) @ factor.T
    found = estimates.joined(logits, ("a", "b"))
    numbers = estimates.calibration(found, truth)
    # A Gaussian holds 68 % within 0.994 and 95 % within 1.96 standard deviations.
    assert numbers["width_68_a"] == pytest.approx(2 * 0.994, rel=0.05)
    assert numbers["width_95_b"] == pytest.approx(2 * 1.96, rel=0.05)
    # In two dimensions a Gaussian holds p within sqrt(-2 log(1 - p)) of its middle.
    assert numbers["radius_95"] == pytest.approx(np.sqrt(-2 * np.log(0.05)) / 0.994, rel=0.05)
    half = estimates.half_widths(found, numbers, level=0.95)
    assert (np.abs(truth - found.values) <= half).mean(axis=0) == pytest.approx(0.95, abs=0.001)


def test_a_network_of_another_number_of_outputs_is_refused():
    with pytest.raises(ModelError, match="2 numbers an object"):
        answers.regress(measured(), np.zeros((1, 3, 4)))


def test_a_table_of_answers_has_the_units_of_the_card():
    card = measured()
    columns, _ = answers.regress(card, np.array([[ONE]]))
    found = Predictions(
        ids=np.array(["x"]),
        status=np.array(["ok"]),
        columns=columns,
        meta={"model": "lengths", UNITS: answers.units_of(card)},
    )
    table = found.to_table()
    assert (str(table["a"].unit), str(table["a_low"].unit)) == ("arcsec", "arcsec")
    assert table["b"].unit is None
    assert table.meta == {"model": "lengths"}
    assert found.parameters == ("a", "b")
    assert describe.prediction(found) == "x: a 1.00 ± 0.30 arcsec, b 2.00 ± 0.64."


def test_an_axis_of_a_measured_number_has_its_unit():
    columns, _ = answers.regress(measured(), np.array([[ONE, ONE]]))
    found = Predictions(
        ids=np.array(["x", "y"]),
        status=np.array(["ok", "ok"]),
        columns=columns,
        meta={"model": "lengths", UNITS: answers.units_of(measured())},
    )
    view = ScatterView(found)
    view.choose(x="a", y="b")
    assert view.layout.xaxis.axis_label == "a [arcsec]"
    assert view.layout.yaxis.axis_label == "b"


def test_the_head_of_a_network_that_measures_has_values_and_covariance():
    from torch import nn

    card = measured()
    assert card.width == len(ONE)
    network = nn.Sequential(nn.Linear(7, 2), nn.ReLU(), nn.Linear(2, 5))
    assert list(heads(network, card)) == ["2"]


@pytest.mark.parametrize(
    ("names", "units", "why"),
    [
        (("a", "b"), ("arcsec",), "1 units for 2 parameters"),
        (("a", "fit"), ("", ""), "two columns.*'fit'"),
        (("a", "a_std"), ("", ""), "two columns.*'a_std'"),
        (("a",), ("furlong per fortnite",), "no unit"),
    ],
)
def test_parameters_that_could_not_be_told_apart_or_measured_are_refused(names, units, why):
    with pytest.raises(ValueError, match=why):
        Outputs(axis="parameter", names=names, units=units)


def test_classes_have_no_units_and_who_measures_has_parameters():
    with pytest.raises(ValueError, match="only parameters"):
        Outputs(axis="class", names=("a", "b"), units=("", ""))
    wrong = measured().model_dump() | {"outputs": {"axis": "class", "names": ["a", "b"]}}
    with pytest.raises(ValueError, match="go together"):
        Card.model_validate(wrong)


def test_numbers_that_a_symmetry_exchanges_share_their_widths():
    truth = np.random.default_rng(2).standard_normal((500, 2)) * [0.3, 1.3]
    found = estimates.joined(np.tile([0.0, 0.0, 1.0, 0.0, 1.0], (1, 500, 1)), ("a", "b"))
    numbers = estimates.calibration(found, truth, alike=[("a", "b")])
    alone = estimates.calibration(found, truth)
    assert numbers["width_68_a"] == numbers["width_68_b"]
    assert alone["width_68_a"] < numbers["width_68_a"] < alone["width_68_b"]
