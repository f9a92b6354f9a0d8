"""Published weights, read without the library that wrote them."""

import csv
import json
import pickle

import numpy as np
import pytest
from click.testing import CliRunner

import jupyter_astroml as aml
from jupyter_astroml.cli import main
from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.models.cards import read_card as find_card
from jupyter_astroml.models.catalogue import find
from jupyter_astroml.models.importing import import_model, read_network, read_weights
from jupyter_astroml.models.loading import load
from jupyter_astroml.session import replay_model
from jupyter_astroml.zoo.flares import real as tess

h5py = pytest.importorskip("h5py")


@pytest.fixture(scope="module")
def weights(sky_data):
    return sky_data / "weights"


def test_braai_gives_the_scores_that_its_authors_published(
    weights, sky_data, tmp_path, monkeypatch
):
    told = CliRunner().invoke(
        main,
        [
            *("models", "import", str(weights / "braai_d6_m9.h5"), "--as", "braai"),
            *("--into", str(tmp_path), "--bands", "science,reference,difference"),
            *("--classes", "bogus,real", "--normalise", "l2", "--licence", "MIT"),
        ],
    )
    assert told.exit_code == 0, told.output
    monkeypatch.setenv("ASTROML_MODEL_PATH", str(tmp_path))
    model = load("braai")
    alerts = sky_data / "ztf_alerts" / "dev"
    with np.load(alerts / "btsbot_example.npz") as stored:
        stamps = stored["triplets"].transpose(0, 3, 1, 2)
    with (alerts / "btsbot_example.csv").open() as file:
        published = [float(row["new_drb"]) for row in csv.DictReader(file)]
    (logits,) = model.logits(np.ascontiguousarray(stamps))
    score = 1 / (1 + np.exp(-(logits[:, 1] - logits[:, 0]).astype(float)))
    assert len(score) == len(published) == 23
    np.testing.assert_allclose(score, published, atol=1e-6)
    # Fluxes of an alert, not yet divided by anything, give the same.
    (raw,) = model.logits(np.ascontiguousarray(1234 * stamps))
    np.testing.assert_allclose(raw, logits, atol=1e-4)
    assert find("braai").card.licence == "MIT"
    assert "fill in" in find("braai").card.citations[0].text


def test_stella_is_read_as_its_layers_say(weights):
    found = read_weights(weights / "stella_ensemble_s0005_i0350_b0.73.h5")
    assert found.shape == (1, 200)
    assert found.binary
    assert [layer["kind"] for layer in found.layers].count("conv") == 2
    assert sum(array.size for array in found.tensors.values()) == 105_729


def test_stella_finds_the_flares_of_the_catalogue_in_the_place_of_flares(
    weights, sky_data, tmp_path, monkeypatch
):
    folder = import_model(
        weights / "stella_ensemble_s0005_i0350_b0.73.h5",
        name="stella",
        folder=tmp_path / "models",
        bands=("TESS",),
        classes=("flare",),
        about={"licence": "MIT", "citation": "Feinstein et al. 2020, AJ 160, 219"},
    )
    assert find_card(folder).citations[0].text.startswith("Feinstein")
    monkeypatch.setenv("ASTROML_MODEL_PATH", str(tmp_path / "models"))
    curves, flares = tess.read(sky_data / "tess_flares" / "dev")
    star = curves[:1]
    flares = flares[flares["id"] == star.ids[0]]
    run = aml.predict(star, model="stella", engine="here", run=tmp_path / "run", progress=False)
    found = run.predictions()
    assert found.columns["fit"][0].startswith("converted")
    assert replay_model("stella").passed
    p = found.arrays["probability"][0]
    near = [np.nanmax(p[np.abs(star.time[0] - t) < 20 / 720]) > 0.5 for t in flares["t_peak"]]
    assert len(near) > 5
    assert np.mean(near) >= 0.9
    assert np.nanmean(p > 0.5) < 0.1
    events = aml.events(run, min_cadences=3)
    assert len(events) >= len(flares) / 2


def test_published_state_dicts_run_as_networks(weights):
    import torch

    with torch.inference_mode():
        upsilon = read_network(weights / "upsilont_state_dict.pt")
        (classes,) = upsilon(torch.rand(3, 16))
        # A batch is normalised by the moments of the training: each object answers by itself.
        alone = upsilon(torch.rand(3, 16)[:1])
        assert classes.shape == (3, 21)
        assert alone.shape == (1, 1, 21)
        series = torch.rand(3, 30, 8)
        supernova = read_network(weights / "fink_snn_snia_vs_nonia.pt")
        (found,) = supernova(series)
        (again,) = supernova(series[1:2])
    assert found.shape == (3, 2)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found[1], again[0])


@pytest.mark.parametrize("name", ["fink_snn_snia_vs_nonia.pt", "upsilont_state_dict.pt"])
def test_networks_without_a_kind_of_data_here_become_no_model(weights, tmp_path, name):
    with pytest.raises(ModelError, match="takes arrays of the shape") as caught:
        import_model(weights / name, name="it", folder=tmp_path)
    assert "read_network" in caught.value.remedy


def written_card(path):
    """Write a card of a small network of layers, and return a network of torch that is the same."""
    import torch
    import yaml
    from torch import nn

    conv = {"kind": "conv", "dims": 2, "inputs": 3, "outputs": 4, "kernel": [3, 3]}
    layers = [
        conv | {"stride": [1, 1], "same": False, "separable": False, "multiplier": 1},
        {"kind": "activation", "name": "relu"},
        {"kind": "norm", "size": 4, "dims": 2, "epsilon": 1e-5},
        {"kind": "global_mean"},
        {"kind": "dense", "inputs": 4, "outputs": 2},
    ]
    card = {
        "format": 1,
        "id": "theirs",
        "version": "2.0",
        "title": "Disc or spheroid",
        "task": "classify",
        "description": "Published by others.",
        "input": {"kind": "cutouts", "bands": ["g", "r", "i"], "flux_unit": "any", "size": [8, 8]},
        "outputs": {"axis": "class", "names": ["disc", "spheroid"]},
        "network": {"architecture": "layers", "options": {"layers": layers}},
        "baseline": "none",
        "datasets": [{"name": "theirs", "source": "https://example.org", "licence": "MIT"}],
        "limits": ["Not measured here."],
        "licence": "MIT",
        "citations": [{"text": "They 2020"}],
    }
    path.write_text(yaml.safe_dump(card))
    torch.manual_seed(0)
    flat = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), flat, nn.Linear(4, 2))
    net(torch.rand(16, 3, 8, 8))  # moments of the normalisation
    return net.eval()


def test_a_state_dict_and_a_card_become_a_model(tmp_path, monkeypatch):
    import torch

    card = tmp_path / "card.yaml"
    theirs = written_card(card)
    torch.save(theirs.state_dict(), tmp_path / "theirs.pt")
    asked = ["models", "import", str(tmp_path / "theirs.pt"), "--as", "mine", "--card", str(card)]
    told = CliRunner().invoke(main, [*asked, "--into", str(tmp_path / "models")])
    assert told.exit_code == 0, told.output
    monkeypatch.setenv("ASTROML_MODEL_PATH", str(tmp_path / "models"))
    values = torch.rand(5, 3, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(load("mine").module(values)[0], theirs(values))
    assert find("mine").card.version == "2.0"
    assert replay_model("mine").passed


def test_arrays_without_an_order_need_the_names_of_the_network(tmp_path):
    card = tmp_path / "card.yaml"
    state = {name: v.numpy() for name, v in written_card(card).state_dict().items()}
    np.savez(tmp_path / "theirs.npz", **state)
    with pytest.raises(ModelError, match="does not fit the network 'layers'") as caught:
        import_model(tmp_path / "theirs.npz", name="mine", folder=tmp_path, card=card)
    assert "layers.0.conv.weight (4, 3, 3, 3)" in caught.value.cause
    names = {"0": "layers.0.conv", "2": "layers.2", "4": "layers.4"}
    ours = {f"{names[k[0]]}.{k.partition('.')[2]}": v for k, v in state.items()}
    np.savez(tmp_path / "ours.npz", **ours)
    made = import_model(tmp_path / "ours.npz", name="mine", folder=tmp_path, card=card)
    assert (made / "weights.safetensors").exists()


def test_what_does_not_fit_its_card_leaves_nothing_behind(tmp_path):
    import torch

    card = tmp_path / "card.yaml"
    theirs = written_card(card)
    torch.save(dict(list(theirs.state_dict().items())[:3]), tmp_path / "part.pt")
    with pytest.raises(ModelError, match="does not fit"):
        import_model(tmp_path / "part.pt", name="mine", folder=tmp_path, card=card)
    # A network that cannot take what the card promises is noticed when it is tried.
    card.write_text(card.read_text().replace("- 8\n  - 8", "- 2\n  - 2"))
    torch.save(theirs.state_dict(), tmp_path / "whole.pt")
    with pytest.raises(ModelError, match=r"cannot take inputs of the shape \(3, 2, 2\)"):
        import_model(tmp_path / "whole.pt", name="mine", folder=tmp_path, card=card)
    for name in ("../mine", "Bad Name"):
        with pytest.raises(ModelError, match="'id'"):
            import_model(tmp_path / "whole.pt", name=name, folder=tmp_path / "in", card=card)
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        ("superphot_paper_mlp-0.pt", 8),
        ("naul_asas_full_gru64_emb64.weights.h5", 40),
    ],
)
def test_arrays_are_read_where_no_network_is_described(weights, name, arrays, tmp_path):
    found = read_weights(weights / name)
    assert len(found.tensors) == arrays
    assert all(np.isfinite(array).all() for array in found.tensors.values())
    with pytest.raises(ModelError, match="does not describe their network"):
        import_model(weights / name, name="it", folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_with_code_is_refused_and_the_code_does_not_run(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(ModelError, match="is refused"):
        read_weights(weights / "superphot_model_full_UNSAFE.pt")
    mark = tmp_path / "mark"

    class Gadget:
        def __reduce__(self):
            return (open, (str(mark), "w"))

    import torch

    torch.save({"weight": Gadget()}, tmp_path / "gadget.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Gadget()))
    mark.unlink(missing_ok=True)
    np.savez(tmp_path / "gadget.npz", x=np.array([Gadget()], dtype=object))
    mark.unlink(missing_ok=True)
    for name in ("gadget.pt", "plain.pt", "gadget.npz"):
        with pytest.raises(ModelError, match="is refused"):
            read_weights(tmp_path / name)
    for name in ("model.pkl", "model.pt2", "model.onnx", "model.keras", "model.mar", "model"):
        (tmp_path / name).write_bytes(b"anything")
        with pytest.raises(ModelError, match="are not read"):
            read_weights(tmp_path / name)
    assert not mark.exists()


def sequential(kind):
    return {"class_name": "Sequential", "config": {"layers": [{"class_name": kind, "config": {}}]}}


@pytest.mark.parametrize(
    "config",
    [
        {"class_name": "Model", "config": {}},
        sequential("Lambda"),
        sequential("__class__"),
        sequential("add"),
        sequential("Dropout"),
        {"class_name": "Sequential"},
        {"class_name": "Sequential", "config": 3},
        [],
    ],
)
def test_networks_that_are_not_known_are_refused(tmp_path, config):
    path = tmp_path / "it.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.create_group("model_weights").attrs["layer_names"] = []
    with pytest.raises(ModelError):
        import_model(path, name="it", folder=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["it.h5"]


def test_arrays_that_are_elsewhere_or_too_large_are_not_read(tmp_path):
    (tmp_path / "secret").write_bytes(b"s" * 400)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["w"] = np.ones(100, np.float32)
    for name in ("outside", "linked", "huge"):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            group = file.create_group("model_weights")
            group.attrs["layer_names"] = [b"one"]
            one = group.create_group("one")
            one.attrs["weight_names"] = [b"w"]
            if name == "outside":
                one.create_dataset("w", (100,), "f4", external=[(tmp_path / "secret", 0, 400)])
            elif name == "linked":
                one["w"] = h5py.ExternalLink(tmp_path / "other.h5", "/w")
            else:
                one.create_dataset("w", (10**10,), "f4", chunks=(1 << 20,), compression="gzip")
        with pytest.raises(ModelError, match="is no Keras file"):
            read_weights(tmp_path / f"{name}.h5")
