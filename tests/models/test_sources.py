"""Where models come from: a hub's cache, a site's folder, a module of one's own."""

import shutil
import sys

import numpy as np
import pytest
import torch

import jupyter_astroml as aml
from jupyter_astroml.core.errors import MissingExtraError, ModelError
from jupyter_astroml.models import hub
from jupyter_astroml.models.catalogue import find
from jupyter_astroml.models.importing import read_weights
from jupyter_astroml.models.loading import load
from jupyter_astroml.session import replay_model

COMMIT = "a" * 40
FILES = ("card.yaml", "facts.json", "weights.safetensors", "replay.npz")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """What huggingface_hub has of someone/flares when there is no network: links to blobs."""
    root = tmp_path / "hub" / "models--someone--flares"
    snapshot = root / "snapshots" / COMMIT
    for folder in (snapshot, root / "blobs", root / "refs"):
        folder.mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    for i, name in enumerate(FILES):
        shutil.copy(find("flares").folder / name, root / "blobs" / str(i))
        (snapshot / name).symlink_to(f"../../blobs/{i}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    hub.snapshot.cache_clear()
    yield snapshot
    hub.snapshot.cache_clear()


def curves(n=2):
    values = 1 + np.random.default_rng(1).normal(0, 0.002, (n, 500)).astype(np.float32)
    time = np.tile(np.arange(500) / 720, (n, 1))
    return aml.LightCurves(ids=[str(i) for i in range(n)], time=time, values=values, band="TESS")


def test_a_model_of_the_hub_answers_like_its_twin(cache, tmp_path):
    name = "hf://someone/flares"
    assert aml.model(name).source == "Hugging Face hub"
    found = aml.predict(curves(), model=name, engine="here", run=tmp_path / "run", progress=False)
    twin = load("flares").predict(curves())
    np.testing.assert_allclose(
        found.predictions().columns["max_probability"], twin.columns["max_probability"], rtol=1e-5
    )
    assert replay_model(name).passed


def test_a_file_of_the_hub_that_leads_elsewhere_is_refused(cache, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s")
    (cache / "card.yaml").unlink()
    (cache / "card.yaml").symlink_to(secret)
    with pytest.raises(ModelError, match="leads out of"):
        find("hf://someone/flares")


def test_weights_of_the_hub_that_changed_are_refused(cache):
    blob = (cache / "weights.safetensors").resolve()
    blob.write_bytes(blob.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(ModelError, match="not those of the card"):
        load("hf://someone/flares")


@pytest.mark.parametrize(
    "name",
    ["hf://", "hf://one", "hf://a/b/c", "hf://../x", "hf://a/..", "hf://a/b@../c", "hf://-/b"],
)
def test_addresses_that_are_none_are_refused(name):
    with pytest.raises(ModelError, match="no address"):
        find(name)


def test_what_the_hub_does_not_have_is_told(cache):
    with pytest.raises(ModelError, match="does not give the model"):
        find("hf://someone/else")


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    hub.snapshot.cache_clear()
    with pytest.raises(MissingExtraError) as caught:
        find("hf://someone/flares")
    assert "jupyter_astroml[hf]" in caught.value.remedy


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of models that only its owner may change."""
    folder = tmp_path / "site"
    shutil.copytree(find("flares").folder, folder / "site_flares")
    card = folder / "site_flares" / "card.yaml"
    card.write_text(card.read_text().replace("id: flares", "id: site_flares"))
    monkeypatch.setenv("ASTROML_MODEL_PATH", str(folder))
    yield folder
    (folder / "site_flares").chmod(0o755)


def test_a_folder_that_cannot_be_written_is_enough(site):
    for path in (*(site / "site_flares").iterdir(), site / "site_flares"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    assert len(load("site_flares").predict(curves())) == 2


@pytest.mark.parametrize("what", ["folder", "file"])
def test_links_out_of_a_site_are_refused_and_links_inside_are_not(site, tmp_path, what):
    (site / "store").mkdir()
    shutil.move(site / "site_flares" / "weights.safetensors", site / "store" / "w")
    (site / "site_flares" / "weights.safetensors").symlink_to("../store/w")
    assert load("site_flares").digest == find("flares").digest
    if what == "file":
        shutil.move(site / "store" / "w", tmp_path / "w")
        (site / "store" / "w").symlink_to(tmp_path / "w")
    else:
        shutil.move(site / "site_flares", tmp_path / "elsewhere")
        (site / "site_flares").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="leads out of"):
        find("site_flares")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt2", "model.onnx", "model.pkl"])
def test_weights_that_may_carry_code_are_refused_by_name(site, name):
    (site / "site_flares" / "weights.safetensors").rename(site / "site_flares" / name)
    with pytest.raises(ModelError, match=f"holds {name}, but no weights.safetensors") as caught:
        load("site_flares")
    assert "safetensors" in caught.value.remedy


def test_onnx_is_refused_for_its_external_data(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"x")
    with pytest.raises(ModelError, match="are not read") as caught:
        read_weights(tmp_path / "m.onnx")
    assert "any other file" in caught.value.cause


class Bright(torch.nn.Module):
    """Tells bright from faint by the mean."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(1, 2)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[-10.0], [10.0]]))
            self.head.bias.copy_(torch.tensor([5.0, -5.0]))

    def forward(self, values):
        return self.head(values.mean(dim=(1, 2, 3))[:, None])


CARD = {
    "id": "bright",
    "version": "1.0",
    "title": "Bright or faint",
    "task": "classify",
    "description": "By the mean of the picture.",
    "input": {"kind": "cutouts", "bands": ["r"], "flux_unit": "picture", "size": [8, 8]},
    "outputs": {"axis": "class", "names": ["faint", "bright"]},
    "baseline": "none",
    "datasets": [],
    "limits": [],
    "licence": "BSD-3-Clause",
    "citations": [],
}


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROML_MODEL_PATH", str(tmp_path / "mine"))
    return tmp_path / "mine"


def pictures():
    values = np.stack([np.full((1, 8, 8), level, np.float32) for level in (0.1, 0.9)])
    return aml.Cutouts(ids=["a", "b"], values=values, bands=("r",))


def test_a_module_of_ones_own_is_a_model(mine, tmp_path):
    entry = aml.register(Bright(), CARD, samples=pictures())
    run = aml.predict(
        pictures(), model="bright", engine="here", run=tmp_path / "run", progress=False
    )
    assert run.predictions().columns["label"].tolist() == ["faint", "bright"]
    assert aml.check(pictures(), model="bright")["fit"].tolist() == ["fits"] * 2
    assert replay_model("bright").passed
    assert sorted(p.name for p in entry.folder.iterdir()) == sorted(FILES)
    # A better one takes its place, and is not mistaken for the first.
    other = Bright()
    torch.nn.init.zeros_(other.head.weight)
    assert aml.register(other, CARD).digest != entry.digest
    assert load("bright").predict(pictures()).columns["p_bright"][1] < 0.1


def test_weights_without_their_module_say_what_to_do(mine, monkeypatch):
    aml.register(Bright(), {**CARD, "id": "lost"})
    monkeypatch.delitem(load.__globals__["module_of"].__globals__["_MODULES"], "own_lost")
    with pytest.raises(ModelError, match="not known in this process") as caught:
        load("lost")
    assert "aml.register again" in caught.value.remedy


def test_a_name_that_is_taken_is_refused(mine):
    with pytest.raises(ModelError, match="already"):
        aml.register(Bright(), {**CARD, "id": "flares"})
    with pytest.raises(ModelError, match="'outputs': Field required"):
        aml.register(Bright(), {k: v for k, v in CARD.items() if k != "outputs"})
