"""The trained galaxy model: replay, evaluation on made and on real data, training from scratch."""

import json
import shutil

import numpy as np
import pytest
from galaxy_folder import write_folder
from safetensors.torch import load_file, save_file

import jupyter_astroml as aml
from jupyter_astroml.core.errors import DataError
from jupyter_astroml.models.cards import Facts, digest_of, read_card, write_facts
from jupyter_astroml.models.loading import load
from jupyter_astroml.zoo.galaxy_morphology import evaluate as evaluation
from jupyter_astroml.zoo.galaxy_morphology import real, train
from jupyter_astroml.zoo.galaxy_morphology.evaluate import HERE, evaluate, training_ids
from jupyter_astroml.zoo.galaxy_morphology.simulate import CLASSES, simulate


def test_the_card_keeps_what_was_reached():
    # Floors a little under the card's figures: a training that costs more must be noticed.
    found = read_card(HERE).facts.evaluation
    accuracy = found["metrics"]["accuracy"]
    assert accuracy["value"] > max(0.84, accuracy["baseline"])
    assert found["value"] > 0.70


def test_members_of_the_ensemble_differ():
    with np.load(HERE / "replay.npz") as stored:
        logits = stored["logits"]
    assert logits.shape[0] == 5
    assert float(logits.std(axis=0).min()) > 1e-3


def test_simulated_fluxes_are_drawn_as_pictures_and_mostly_recognised():
    cutouts, truth = simulate(60, seed=21, classes=["elliptical", "edge_on", "spiral"])
    found = load("galaxy_morphology").predict(cutouts)
    assert all(word.startswith("converted") for word in found.columns["fit"])
    assert (found.columns["label"] == np.asarray(truth["label"])).mean() > 0.6
    total = sum(found.columns[f"p_{name}"] for name in CLASSES)
    np.testing.assert_allclose(total, 1.0)


def test_a_folder_of_the_same_layout_is_evaluated(tmp_path):
    labels = write_folder(tmp_path / "field", n=40, seed=31)
    seen = []
    found = evaluate(tmp_path / "field", progress=lambda done, total: seen.append((done, total)))
    said = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (said["model"], said["data"], said["n"]) == ("galaxy_morphology", "field", 40)
    assert seen[-1] == (40, 40)
    assert said["metric"] == "macro_f1"
    assert said["low"] <= said["value"] <= said["high"]
    assert said["higher_is_better"] is True
    assert said["metrics"]["n_spiral"]["value"] == labels.count("spiral")
    for name in ("accuracy", "negative_log_likelihood", "expected_calibration_error"):
        assert said["metrics"][name]["baseline"] is not None
    assert 1.0 <= said["metrics"]["conformal_set_size"]["value"] <= 4.0
    assert evaluate(tmp_path / "field").to_json() == said


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site's model on the bundled architecture, whose logits are turned upside down."""
    folder = tmp_path / "models" / "ours"
    folder.mkdir(parents=True)
    text = (HERE / "card.yaml").read_text(encoding="utf-8")
    (folder / "card.yaml").write_text(text.replace("id: galaxy_morphology", "id: ours"), "utf-8")
    weights = load_file(HERE / "weights.safetensors")
    weights["temperature"] = -weights["temperature"]
    save_file(weights, folder / "weights.safetensors")
    facts = Facts(digest=digest_of(folder / "weights.safetensors"))
    write_facts(folder, facts)
    monkeypatch.setenv("ASTROML_MODEL_PATH", str(folder.parent))
    return folder


def test_a_model_of_the_site_is_measured_itself(site, tmp_path):
    write_folder(tmp_path / "field", n=40, seed=31)
    bundled, ours = (
        aml.evaluate(name, data=tmp_path / "field") for name in ("galaxy_morphology", "ours")
    )
    assert (bundled.model, ours.model) == ("galaxy_morphology", "ours")
    assert ours.value < 0.5 * bundled.value
    # The one baseline stands beside both.
    assert ours.baseline_value == bundled.baseline_value
    assert "does not tell which ones its training used" in ours.split


def test_what_a_model_of_the_site_was_taught_is_not_scored(site, tmp_path):
    known = sorted(training_ids())[:1]
    write_folder(tmp_path / "field", n=6, seed=32, ids=[*known, "1", "2", "3", "4", "5"])
    (site / evaluation.TRAINING_IDS).write_text("1\n2\n")
    found = aml.evaluate("ours", data=tmp_path / "field")
    # Nor is what the bundled baseline was taught.
    assert (found.n, found.excluded) == (3, 3)
    shutil.copy(HERE / evaluation.forest.FILE, site)
    assert aml.evaluate("ours", data=tmp_path / "field").excluded == 2


def test_objects_that_training_used_are_never_scored(tmp_path):
    known = sorted(training_ids())[:3]
    assert len(known) == 3
    write_folder(tmp_path / "mixed", n=6, seed=32, ids=[*known, "1", "2", "3"])
    found = evaluate(tmp_path / "mixed")
    assert (found.n, found.excluded) == (3, 3)
    assert "3 were used in training" in found.excluded_why
    write_folder(tmp_path / "seen", n=3, seed=33, ids=known)
    with pytest.raises(DataError, match="no object to score"):
        evaluate(tmp_path / "seen")


def test_no_training_object_was_put_aside():
    assert all(train.part(name) % train.PARTS for name in training_ids())


def test_twins_of_objects_put_aside_are_found():
    pictures = np.random.default_rng(0).integers(0, 255, (6, 3, 128, 128), dtype=np.uint8)
    pictures[4] = np.clip(pictures[1].astype(int) + 1, 0, 255)
    aside = np.array([False, True, False, False, False, True])
    assert train.same_picture(pictures, aside).tolist() == [False] * 4 + [True, False]


def test_neighbours_on_the_survey_frame_of_an_object_put_aside_are_found():
    names = np.array(["587722953303916935", "587722953303916936", "588000000000000000", "x1"])
    aside = np.array([True, False, False, False])
    assert train._same_frame(names, aside).tolist() == [False, True, False, False]


@pytest.mark.slow
def test_training_from_scratch_writes_a_model_that_judges_itself(tmp_path):
    write_folder(tmp_path / "data", n=90, seed=41)
    out = tmp_path / "model"
    out.mkdir()
    text = (HERE / "card.yaml").read_text(encoding="utf-8")
    old = "{members: 5, widths: [3, 4, 8, 16], hidden: 64, field: 76, size: 56}"
    assert old in text
    small = "{members: 5, widths: [1, 1, 2], hidden: 8, field: 76, size: 48}"
    (out / "card.yaml").write_text(text.replace(old, small))
    shutil.copy(HERE / "README.md", out)
    recipe = train.Recipe(simulated=20, warm_up=4, epochs=2, more_epochs=2, batch=10, composites=1)
    lines = []
    train.train(tmp_path / "data", out, recipe=recipe, threads=1, say=lines.append)
    card = read_card(out)
    assert card.facts.digest == digest_of(out / "weights.safetensors")
    assert card.facts.evaluation["n"] == sum(
        train.part(name) % train.PARTS == 0 for name in real.labels(tmp_path / "data")["id"]
    )
    assert 0.0 < card.facts.calibration["conformal_threshold"] <= 1.0
    learned = set((out / evaluation.TRAINING_IDS).read_text().split())
    assert learned
    assert not any(train.part(name) % train.PARTS == 0 for name in learned)
    assert "not measured yet" not in (out / "README.md").read_text()
    assert lines[-1] == card.key_metric
