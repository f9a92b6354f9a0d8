"""Real or bogus: what the trained model answers, what it is shown, and what its card says."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from alert_folder import write_alerts

import jupyter_astroml as aml
from jupyter_astroml.core.errors import DataError
from jupyter_astroml.models.cards import read_card
from jupyter_astroml.models.importing import import_model
from jupyter_astroml.models.loading import from_folder, load
from jupyter_astroml.zoo import scores
from jupyter_astroml.zoo.real_bogus import real
from jupyter_astroml.zoo.real_bogus.evaluate import HERE, evaluate, worst
from jupyter_astroml.zoo.real_bogus.network import build
from jupyter_astroml.zoo.real_bogus.simulate import simulate
from jupyter_astroml.zoo.real_bogus.train import Plan, train
from jupyter_astroml.zoo.symmetry import Column, turned
from jupyter_astroml.zoo.training import Cycle


@pytest.fixture(scope="module")
def alerts():
    return simulate(130, seed=901)


def stamps(cutouts):
    return torch.from_numpy(load("real_bogus").prepare(cutouts).samples.values)


@pytest.mark.parametrize("side", [31, 63])
def test_columns_for_pictures_of_odd_side_are_symmetric(side):
    torch.manual_seed(0)
    column = Column(2, (2, 3, 4), k=5, stride=1 + side // 63, pool_first=True).eval()
    pictures = torch.randn(2, 2, side, side)
    with torch.inference_mode():
        here = column(pictures)
        for g in range(1, 8):
            torch.testing.assert_close(column(turned(pictures, g)), here, rtol=1e-4, atol=1e-5)


def test_the_unit_of_the_fluxes_is_divided_out(alerts):
    model, values = load("real_bogus"), stamps(alerts[0][:6])
    with torch.inference_mode():
        torch.testing.assert_close(
            model.module(values * 50.0), model.module(values), rtol=1e-3, atol=1e-3
        )


def test_stamps_of_another_size_are_refused_by_the_network():
    with pytest.raises(DataError, match="give science, template and difference"):
        build()(torch.zeros(2, 3, 64, 64))


def test_simulated_alerts_are_told_apart_and_probabilities_mean_what_they_say(alerts):
    cutouts, truth = alerts
    found = load("real_bogus").predict(cutouts)
    p = found.columns["p_real"]
    np.testing.assert_allclose(p + found.columns["p_bogus"], 1.0)
    classes = (np.asarray(truth["label"]) == "real").astype(int)
    two = np.stack([1 - p, p], axis=1)
    assert scores.auc(classes, two) > 0.95
    assert abs(p.mean() - classes.mean()) < 0.08


def test_arrays_go_through_predict(alerts, tmp_path):
    cutouts, _ = alerts
    mine = aml.Cutouts(
        ids=np.array(["a", "b", "c"]),
        values=cutouts.values[:3],
        bands=("science", "template", "difference"),
        flux_unit="DN",
    )
    run = aml.predict(mine, model="real_bogus", run=tmp_path / "run", progress=False)
    found = run.predictions().columns["p_real"]
    alone = load("real_bogus").predict(cutouts[:3]).columns["p_real"]
    np.testing.assert_allclose(found, alone, atol=1e-5)


def test_a_missing_difference_image_is_told(alerts):
    cutouts, _ = alerts
    values = cutouts.values[:40]
    two = replace(cutouts[:40], values=values[:, :2], bands=("science", "template"))
    said = aml.check(two, model="real_bogus")["fit"]
    assert all("bands science,template, not science,template,difference" in word for word in said)
    assert all(word.startswith("outside: ") for word in said)
    for lost in (np.nan, 0.0):
        blank = values.copy()
        blank[:, 2] = lost
        found = load("real_bogus").check(replace(cutouts[:40], values=blank))
        assert (found.status == "outside").mean() >= 0.95, lost
    twice = np.concatenate([values[:, :2], values[:, :1]], axis=1)
    found = load("real_bogus").check(replace(cutouts[:40], values=twice))
    assert (found.status == "outside").mean() >= 0.95


def test_usual_alerts_fit_and_other_scales_do_not(alerts):
    model, (cutouts, _) = load("real_bogus"), alerts
    whole = np.isnan(cutouts.values).mean(axis=(1, 2, 3)) < 0.2
    assert (model.check(cutouts[whole]).status == "outside").mean() <= 0.05
    norms = np.sqrt(np.nansum(cutouts.values**2, axis=(2, 3), keepdims=True))
    divided = replace(cutouts, values=cutouts.values / norms)
    assert (model.check(divided).status == "outside").mean() >= 0.95
    words = model.check(replace(cutouts[:2], flux_unit="nJy")).words()
    assert all("values in nJy, not DN" in word for word in words)


def test_a_folder_of_the_same_layout_is_compared_with_braai(tmp_path):
    write_alerts(tmp_path / "night", n=40, seed=903)
    found = aml.evaluate("real_bogus", data=tmp_path / "night")
    said = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (said["model"], said["data"], said["n"]) == ("real_bogus", "night", 40)
    assert "not truth" in said["metric"]
    assert said["value"] > 0.9
    # The scores of the table are the truth here, and the two columns are the same.
    assert said["metrics"]["versions_area"]["value"] == 1.0
    assert said["metrics"]["drb_area"]["value"] == said["value"]
    assert said["metrics"]["n_asteroid"]["value"] == 4.0
    disputed = worst(tmp_path / "night", load("real_bogus"), n=3)
    gaps = [abs(row["p_real"] - row["braai"]) for row in disputed]
    assert gaps == sorted(gaps, reverse=True)


def test_agreement_needs_both_sides_of_the_threshold(tmp_path):
    write_alerts(tmp_path / "night", n=3, seed=904, scores=[0.9, 0.8, 0.7])
    with pytest.raises(DataError, match="both sides"):
        evaluate(tmp_path / "night")


def test_a_model_is_trained_from_start_to_end(tmp_path):
    out = tmp_path / "model"
    out.mkdir()
    for name in ("card.yaml", "README.md"):
        (out / name).write_text((HERE / name).read_text(encoding="utf-8"))
    said = []
    plan = Plan(alerts=64, checked=32, judged=40, measured=64, cycle=Cycle(epochs=4, batch=16))
    for _ in range(2):
        train(out, cache=tmp_path / "cache", plan=plan, say=said.append)
    first, second = (line for line in said if line.startswith("member 0"))
    assert first == second
    facts = from_folder(out).card.facts
    assert facts.training["simulated"]["n"] == 40
    assert facts.evaluation == {}
    assert "Not compared with real alerts" in (out / "README.md").read_text(encoding="utf-8")
    assert (out / "kinds.png").stat().st_size < 400_000


def test_the_network_misses_less_than_its_baseline_on_simulation():
    found = read_card(HERE).facts.training["simulated"]
    assert found["high"] < found["baseline_value"]
    assert found["metrics"]["gain"]["low"] > 0


@pytest.mark.slow
def test_the_card_says_what_evaluation_says_of_simulated_alerts():
    found, stored = evaluate().to_json(), read_card(HERE).facts.training["simulated"]
    assert found["n"] == stored["n"]
    for name in ("value", "baseline_value"):
        assert found[name] == pytest.approx(stored[name], abs=0.01)


@pytest.mark.slow
def test_usual_real_alerts_fit(sky_data):
    folder = sky_data / "ztf_alerts" / "dev"
    if not folder.is_dir():
        pytest.skip("no alerts among the real sky data")
    # The others are known, or set the limits.
    unseen = real.read(folder)[0][3::4]
    model = load("real_bogus")
    fits = model.prepare(unseen).fit.status != "outside"
    assert (model.check(unseen[fits]).status == "outside").mean() <= 0.08


@pytest.mark.slow
def test_the_scores_of_braai_in_the_table_are_those_of_the_imported_network(
    sky_data, tmp_path, monkeypatch
):
    pytest.importorskip("h5py")
    folder, weights = Path(sky_data) / "ztf_alerts" / "dev", sky_data / "weights"
    if not folder.is_dir():
        pytest.skip("no alerts among the real sky data")
    import_model(
        weights / "braai_d6_m9.h5",
        name="braai",
        folder=tmp_path,
        bands=("science", "template", "difference"),
        classes=("bogus", "real"),
        normalise="l2",
    )
    monkeypatch.setenv("ASTROML_MODEL_PATH", str(tmp_path))
    cutouts, table = real.read(folder)
    # As its authors do: what is missing is 0.
    (logits,) = load("braai").logits(np.nan_to_num(cutouts.values))
    score = 1 / (1 + np.exp(-(logits[:, 1] - logits[:, 0]).astype(float)))
    known = np.isfinite(table["braai"])
    np.testing.assert_allclose(score[known], table["braai"][known], atol=1e-3)
