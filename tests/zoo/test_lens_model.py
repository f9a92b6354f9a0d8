"""The lens model: simulation, symmetry, the trained model, and its figures."""

import json
import shutil

import numpy as np
import pytest
import torch

import jupyter_astroml as aml
from jupyter_astroml.core.errors import DataError, ModelError
from jupyter_astroml.models import estimates
from jupyter_astroml.models.cards import read_card
from jupyter_astroml.models.loading import from_folder, load
from jupyter_astroml.zoo import lensing, training
from jupyter_astroml.zoo.lens_model import baseline, network, simulate, train
from jupyter_astroml.zoo.lens_model.evaluate import FRESH_SEED, HERE, evaluate
from jupyter_astroml.zoo.lens_model.report import measured
from jupyter_astroml.zoo.lens_model.simulate import COLUMNS, NAMES
from jupyter_astroml.zoo.symmetry import turned

pytest.importorskip("lenstronomy")


@pytest.fixture(scope="module")
def lenses():
    return simulate.simulate(60, seed=11)


def test_the_same_seed_takes_the_same_images(lenses):
    cutouts, table = simulate.simulate(2, seed=11)
    np.testing.assert_array_equal(cutouts.values, lenses[0].values[:2])
    assert table["theta_e"].tolist() == lenses[1]["theta_e"][:2].tolist()
    assert min(lenses[1]["snr"]) >= simulate.LEAST_SNR
    assert cutouts.simulated


def test_training_calibration_and_evaluation_draw_from_seeds_of_their_own():
    starts = sorted([train.TRAINING_SEED, train.CALIBRATION_SEED, train.ELSEWHERE_SEED, FRESH_SEED])
    # A training takes 1000 seeds for each of its own; nobody will train a thousand times.
    assert min(np.diff(starts)) > 1000 * 1000 - 1


def test_a_folder_that_was_written_is_read_and_what_is_broken_is_named(tmp_path, lenses):
    cutouts, table = lenses[0][:3], lenses[1][:3]
    simulate.write(tmp_path / "some", cutouts, table)
    again, truth = simulate.read(tmp_path / "some")
    np.testing.assert_array_equal(again.values, cutouts.values)
    for name in COLUMNS:
        np.testing.assert_allclose(truth[name], table[name])
    np.savez(tmp_path / "some" / "images.npz", values=cutouts.values[:2])
    with pytest.raises(DataError, match="for 3 rows"):
        simulate.read(tmp_path / "some")
    (tmp_path / "some" / "images.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"images\.npz"):
        simulate.read(tmp_path / "some")
    with pytest.raises(DataError, match=r"truth\.csv"):
        simulate.read(tmp_path)


def test_every_element_of_the_group_turns_lens_and_image_alike():
    lens = lensing.draw(lensing.Priors(), rng=np.random.default_rng(5))
    camera = simulate.scene(rng=np.random.default_rng(5)).camera
    arcs = torch.from_numpy(lensing.arcs_image(lens, camera))
    mass = torch.tensor([float(getattr(lens.mass, name)) for name in NAMES])
    for quarters in range(4):
        # `turned` turns from y to x, a lens from x to y.
        other = lensing.turned(lens, quarters=-quarters)
        torch.testing.assert_close(
            turned(arcs, quarters),
            torch.from_numpy(lensing.arcs_image(other, camera)),
            atol=1e-6 * float(arcs.max()),
            rtol=0,
        )
        wanted = torch.tensor([float(getattr(other.mass, name)) for name in NAMES])
        torch.testing.assert_close(network.matrix_of(quarters) @ mass, wanted)


@pytest.mark.parametrize("g", range(1, 8))
def test_a_turned_image_gives_the_turned_lens(lenses, g):
    values = torch.from_numpy(lenses[0].values[:2])
    module = load("lens_model").module
    with torch.inference_mode():
        here, there = module(values).numpy(), module(turned(values, g)).numpy()
    matrix = network.matrix_of(g).numpy()
    a, b = (estimates.joined(logits, NAMES) for logits in (here, there))
    np.testing.assert_allclose(b.values, a.values @ matrix.T, atol=1e-4)
    np.testing.assert_allclose(b.covariance, matrix @ a.covariance @ matrix.T, atol=1e-5)


def test_the_likelihood_of_training_is_that_of_the_answer(lenses):
    torch.manual_seed(0)
    module = network.build().eval()
    seen = network.planes(torch.from_numpy(lenses[0].values[:3]))
    truth = torch.tensor([[1.0, 0.1, 0.0, 0.05, -0.1]]).expand(3, 5)
    with torch.inference_mode():
        values, factors = module.turned_back(module.hidden(seen))
        surprise = module.surprise(seen, truth)
    there = torch.distributions.MultivariateNormal(values, factors @ factors.transpose(-1, -2))
    constant = 2.5 * np.log(2 * np.pi) + float(np.log(network.WIDTH).sum())
    torch.testing.assert_close(
        surprise, -there.log_prob(truth[:, None]) - constant, atol=1e-3, rtol=1e-3
    )


def test_answers_do_not_depend_on_the_brightness_of_everything(lenses):
    model = load("lens_model")
    values = lenses[0].values[:4]
    np.testing.assert_allclose(model.logits(values * 30), model.logits(values), atol=1e-3)


def test_a_lens_is_measured_with_errors_units_and_covariance(lenses):
    cutouts, table = lenses
    found = aml.predict(cutouts, model="lens_model")
    answers = found.predictions() if hasattr(found, "predictions") else found
    assert answers.parameters == NAMES
    off = answers.columns["theta_e"] - np.asarray(table["theta_e"])
    assert np.median(np.abs(off)) < 0.1
    inside = (answers.columns["theta_e_low"] <= table["theta_e"]) & (
        table["theta_e"] <= answers.columns["theta_e_high"]
    )
    assert inside.mean() > 0.85
    shown = answers.to_table()
    assert str(shown["theta_e_std"].unit) == "arcsec"
    assert shown["e1"].unit is None
    np.testing.assert_allclose(
        np.sqrt(answers.arrays["covariance"][:, 0, 0]), answers.columns["theta_e_std"], rtol=1e-5
    )
    assert set(answers.columns["fit"]) == {"fits"}


def test_any_parameter_can_be_explained_and_no_other(lenses):
    found = aml.explain(lenses[0][:1], model="lens_model", target="e2", samples=2)
    assert found.target_names.tolist() == ["e2"]
    first = aml.explain(lenses[0][:1], model="lens_model", samples=2)
    assert first.target_names.tolist() == ["theta_e"]
    with pytest.raises(DataError, match="no parameter 'mass'"):
        aml.explain(lenses[0][:1], model="lens_model", target="mass", samples=2)


def test_images_of_another_shape_are_refused():
    with pytest.raises(DataError, match="64×64"):
        load("lens_model").module(torch.zeros(1, 1, 32, 32))


def test_an_image_without_light_has_an_answer_and_a_large_error(lenses):
    model = load("lens_model")
    empty = simulate.as_cutouts(["empty"], np.zeros((1, 1, 64, 64), dtype=np.float32))
    found = model.predict(empty).columns
    assert np.isfinite(found["theta_e"]).all()
    usual = model.predict(lenses[0]).columns
    assert found["uncertainty"][0] > np.median(usual["uncertainty"])


def test_the_moments_find_a_ring():
    y, x = np.indices((64, 64)) - 31.5
    ring = np.exp(-0.5 * ((np.hypot(x, y) * 0.1 - 1.2) / 0.1) ** 2)
    noise = 0.01 * np.random.default_rng(0).standard_normal((64, 64))
    found = dict(
        zip(baseline.FEATURES, baseline.measure((ring + noise)[None, None])[0], strict=True)
    )
    assert found["radius_mean"] == pytest.approx(1.2, abs=0.03)
    assert found["middle_x"] == pytest.approx(0.0, abs=0.06)
    assert found["quadrupole_1"] == pytest.approx(0.0, abs=0.02)
    assert baseline.measure(np.zeros((1, 1, 64, 64))).any() == np.False_


def test_a_baseline_of_another_version_is_refused(tmp_path):
    np.savez(tmp_path / "b.npz", features=np.zeros((2, 1)), truth=np.zeros((2, 5)), columns=["x"])
    with pytest.raises(ModelError, match="another version"):
        baseline.estimates(tmp_path / "b.npz", np.zeros((1, len(baseline.FEATURES))))


def test_a_folder_of_the_same_layout_is_evaluated(tmp_path, lenses):
    simulate.write(tmp_path / "sky", *lenses)
    found = aml.evaluate("lens_model", data=tmp_path / "sky")
    said = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (said["model"], said["data"], said["n"]) == ("lens_model", "sky", 60)
    assert said["low"] <= said["value"] <= said["high"]
    assert said["value"] < said["baseline_value"]
    assert set(said["metrics"]["coverage_95_joint"]) == {"value", "low", "high"}


def test_a_model_that_is_judged_on_real_data_asks_for_them():
    with pytest.raises(DataError, match="judged on real data"):
        aml.evaluate("star_galaxy")


def test_the_card_says_that_nothing_of_it_is_real():
    card = read_card(HERE)
    assert "simulations only" in card.title
    assert all(data.simulated for data in card.datasets)
    assert card.limits[0].startswith("Simulations only")


def test_intervals_and_ellipsoids_held_what_they_promise():
    metrics = read_card(HERE).facts.evaluation["metrics"]
    for name in (*NAMES, "joint"):
        for level in (68, 95):
            found = metrics[f"coverage_{level}_{name}"]
            assert found["value"] == pytest.approx(level / 100, abs=0.03)
    for name in NAMES:
        assert metrics[f"rmse_{name}"]["high"] < metrics[f"rmse_{name}"]["baseline"]


@pytest.mark.slow
def test_a_short_training_writes_a_whole_model_and_goes_on_where_it_was_stopped(tmp_path):
    out, kept, told = tmp_path / "lens_model", tmp_path / "kept", []
    out.mkdir()
    for name in ("card.yaml", "README.md"):
        shutil.copy(HERE / name, out / name)
    numbers = train.Numbers(learned=128, usual=100, calibrating=120, judged=30, elsewhere=3)
    cycle = training.Cycle(epochs=1, batch=16)
    for _ in range(2):
        train.train(out, kept=kept, numbers=numbers, cycle=cycle, threads=1, say=told.append)
    assert [line.startswith("128 lenses drawn") for line in told].count(True) == 1
    assert [line.startswith("  step 8/8") for line in told].count(True) == 1
    model = from_folder(out)
    assert model.predict(simulate.simulate(2, seed=1)[0]).parameters == NAMES
    assert set(read_card(out).facts.training["elsewhere"]) >= set(train.ELSEWHERE)
    assert (out / "answers.svg").read_text().startswith("<svg")
    assert measured(read_card(out).facts) in (out / "README.md").read_text()


@pytest.mark.slow
def test_the_card_says_what_evaluation_says():
    # Without a folder new lenses are drawn.
    found, stored = evaluate().to_json(), read_card(HERE).facts.evaluation
    assert (found["n"], found["data"]) == (stored["n"], "new simulations, seed 0")
    for name in ("value", "baseline_value"):
        assert found[name] == pytest.approx(stored[name], rel=0.02)
    for name, m in stored["metrics"].items():
        assert found["metrics"][name]["value"] == pytest.approx(m["value"], rel=0.05, abs=0.005)
