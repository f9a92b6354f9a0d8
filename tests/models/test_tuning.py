"""A classifier learns objects of one's own."""

import numpy as np
import pytest
import torch

import jupyter_astroml as aml
from jupyter_astroml.core.errors import DataError, ModelError, RunError
from jupyter_astroml.models.loading import load
from jupyter_astroml.session import replay_model
from jupyter_astroml.zoo.galaxy_morphology.simulate import simulate


class Blobs(torch.nn.Module):
    """Two numbers of a picture, and a head that was never taught."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Linear(64, 8)
        self.head = torch.nn.Linear(8, 2)

    def forward(self, values):
        return self.head(torch.tanh(self.body(values.flatten(1))))


CARD = {
    "id": "blobs",
    "version": "1.0",
    "title": "Blobs",
    "task": "classify",
    "description": "d",
    "input": {"kind": "cutouts", "bands": ["r"], "flux_unit": "picture", "size": [8, 8]},
    "outputs": {"axis": "class", "names": ["left", "right"]},
    "baseline": "none",
    "datasets": [],
    "limits": ["A toy."],
    "licence": "BSD-3-Clause",
    "citations": [],
}


@pytest.fixture
def blobs(tmp_path, monkeypatch):
    """The name of a model with a random network, and a folder for others."""
    monkeypatch.setenv("ASTROML_MODEL_PATH", str(tmp_path / "models"))
    torch.manual_seed(1)
    aml.register(Blobs(), CARD)
    return tmp_path / "models"


def sided(n, *, seed=0):
    """Return pictures that are brighter on one side, and the side."""
    rng = np.random.default_rng(seed)
    right = rng.random(n) < 0.5
    values = rng.normal(0.4, 0.1, (n, 1, 8, 8)).astype(np.float32)
    values[right, ..., 4:] += 0.2
    values[~right, ..., :4] += 0.2
    names = np.where(right, "right", "left")
    return aml.Cutouts(ids=[f"{seed}-{i}" for i in range(n)], values=values, bands=("r",)), names


@pytest.mark.parametrize("blocks", [0, 1])
def test_a_head_is_taught_and_the_card_tells_its_lineage(blobs, tmp_path, blocks):
    told = []
    data, side = sided(200)
    entry = aml.finetune(
        "blobs", data, side, name="taught", blocks=blocks, progress=lambda *at: told.append(at)
    )
    assert told[-1][0] == told[-1][1]
    assert told == sorted(told)
    unseen, truth = sided(200, seed=1)
    before = np.mean(load("blobs").predict(unseen).columns["label"] == truth)
    found = load("taught").predict(unseen)
    after = np.mean(found.columns["label"] == truth)
    assert after > 0.95 > before
    # Calibrated: the mean confidence is the share of the right ones.
    assert abs(found.columns["confidence"].mean() - after) < 0.05
    card = entry.card
    assert (card.lineage.parent, card.lineage.n) == ("blobs", 200)
    assert card.lineage.digest == aml.model("blobs").digest != entry.digest
    assert "prediction_set" in found.columns
    assert card.facts.training["held_accuracy"] > 0.9
    assert "Fine-tuned from" in card._repr_html_()
    assert replay_model("taught").passed
    # Nobody scores what was taught.
    assert "0-0" in (entry.folder / "training_ids.txt").read_text().split()


def test_a_cancelled_training_writes_nothing(blobs):
    data, side = sided(60)
    with pytest.raises(RunError, match="cancelled"):
        aml.finetune("blobs", data, side, name="never", progress=False, cancel=lambda: True)
    assert not (blobs / "never").exists()


def test_the_parent_stays_as_it_was_and_the_same_seed_gives_the_same_weights(blobs):
    data, side = sided(80)
    before = load("blobs").module.state_dict()["inner.head.weight"].clone()
    one = aml.finetune("blobs", data, side, name="one", progress=False)
    two = aml.finetune("blobs", data, side, name="two", progress=False)
    assert one.digest == two.digest
    torch.testing.assert_close(load("blobs").module.state_dict()["inner.head.weight"], before)


def test_what_cannot_be_learned_is_told(blobs):
    data, side = sided(20)
    with pytest.raises(DataError, match="A class needs 4"):
        aml.finetune("blobs", data, np.full(20, "left"), name="it", progress=False)
    with pytest.raises(DataError, match="A class needs 4"):
        aml.finetune("blobs", data, ["rare", *side[1:]], name="it", progress=False)
    with pytest.raises(ModelError, match="no classifier"):
        aml.finetune("flares", data, side, name="it", progress=False)
    with pytest.raises(ModelError, match="already"):
        aml.finetune("blobs", data, side, name="flares", progress=False)
    assert [p.name for p in blobs.iterdir()] == ["blobs"]


def test_galaxies_learn_other_classes_than_those_of_galaxy_zoo(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROML_MODEL_PATH", str(tmp_path))
    data, truth = simulate(60, seed=3)
    flat = np.where(np.asarray(truth["label"]) == "edge_on", "flat", "other")
    entry = aml.finetune("galaxy_morphology", data, flat, name="flat_or_not", progress=False)
    assert entry.card.outputs.names == ("flat", "other")
    assert entry.card.network.options["classes"] == 2
    assert entry.card.facts.training["held_accuracy"] >= 0.8
    assert replay_model("flat_or_not").passed
