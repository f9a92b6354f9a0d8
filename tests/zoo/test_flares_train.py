"""Training: seeded, complete, and without a real star."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from jupyter_astroml.models.cards import FACTS, REPLAY, WEIGHTS, digest_of
from jupyter_astroml.zoo.flares.network import build
from jupyter_astroml.zoo.flares.report import measured
from jupyter_astroml.zoo.flares.simulate import simulate_parts
from jupyter_astroml.zoo.flares.train import (
    Plan,
    calibrate,
    choose_criteria,
    decided,
    findable,
    fit,
    probabilities,
    train,
)

SMALL = Plan(stars=80, cadences=800, members=1, epochs=2, pieces=1920, batch=32, sectors=1)
TINY = Plan(stars=15, cadences=800, members=2, epochs=2, pieces=128, batch=32, sectors=1)


@pytest.fixture(scope="module")
def trained():
    torch.set_num_threads(1)
    return fit(SMALL, say=lambda _line: None)


def test_the_same_plan_gives_the_same_weights():
    torch.set_num_threads(1)
    first, again = (fit(TINY, say=lambda _line: None).state_dict() for _ in range(2))
    for name, value in first.items():
        torch.testing.assert_close(value, again[name], atol=0, rtol=0)
    other = fit(replace(TINY, seed=8), say=lambda _line: None).state_dict()
    assert not torch.equal(first["members.0.last.bias"], other["members.0.last.bias"])


def test_a_short_training_already_tells_flares_from_quiet_stars(trained):
    unseen = simulate_parts(30, seed=77, cadences=800, active=1.0)
    logits, truth = decided(trained, unseen)
    mean, _ = probabilities(logits)
    assert mean[truth].mean() > 2 * mean[~truth].mean()


def test_calibration_brings_the_mean_probability_to_the_frequency(trained):
    stars = simulate_parts(40, seed=78, cadences=800)
    before = probabilities(decided(trained, stars)[0])[0].mean()
    calibrate(trained, stars)
    logits, truth = decided(trained, stars)
    after = probabilities(logits)[0].mean()
    assert abs(after - truth.mean()) < 0.2 * truth.mean()
    assert abs(after - truth.mean()) < abs(before - truth.mean())


def test_training_writes_weights_replay_and_facts_that_agree(tmp_path):
    train(tmp_path, plan=TINY, say=lambda _line: None)
    facts = json.loads((tmp_path / FACTS).read_text())
    assert facts["digest"] == digest_of(tmp_path / WEIGHTS)
    assert facts["training"]["real_stars"] == 0
    assert 0 < facts["calibration"]["threshold"] < 1
    module = build(members=2).eval()
    module.load_state_dict(load_file(tmp_path / WEIGHTS))
    assert module.temperature.item() == pytest.approx(facts["calibration"]["temperature"])
    with np.load(tmp_path / REPLAY, allow_pickle=False) as stored, torch.inference_mode():
        found = module(torch.from_numpy(stored["values"])).numpy()
        np.testing.assert_allclose(found, stored["logits"], atol=1e-5)


def test_the_baseline_is_tuned_on_simulated_stars():
    stars = simulate_parts(3, seed=79, cadences=6000, active=1.0)
    criteria, counted = choose_criteria(stars)
    assert counted.sum(axis=0)[0] == len(findable(stars))
    assert criteria.n3 >= 2


def test_the_measured_part_of_the_readme_is_that_of_the_facts():
    from jupyter_astroml.models.catalogue import find

    entry = find("flares")
    assert measured(entry.card.facts) in (entry.folder / "README.md").read_text()
