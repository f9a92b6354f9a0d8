"""Radio galaxies: what is read, what is measured, and what the trained model answers."""

import json

import numpy as np
import pytest
from radio_folder import write_first, write_mirabest

import jupyter_astroml as aml
from jupyter_astroml.core.errors import DataError
from jupyter_astroml.models.cards import read_card
from jupyter_astroml.models.loading import load
from jupyter_astroml.zoo.radio_galaxies import baseline, real
from jupyter_astroml.zoo.radio_galaxies.evaluate import (
    HERE,
    fr_scores,
    light_of,
    taught_folds,
)
from jupyter_astroml.zoo.radio_galaxies.report import measured
from jupyter_astroml.zoo.radio_galaxies.simulate import simulate


def test_a_source_that_is_in_both_sets_is_read_once(tmp_path):
    cutouts, labels = write_mirabest(tmp_path, n=6, seed=1)
    others, classes = simulate(4, seed=2)
    write_first(
        tmp_path,
        type(cutouts)(
            ids=np.arange(6).astype(str),
            values=np.concatenate([others.values, cutouts.values[:2]]),
            bands=cutouts.bands,
            ra=np.concatenate([others.ra, cutouts.ra[:2]]),
            # A catalogue's position of an extended source: 20 arcsec off.
            dec=np.concatenate([others.dec, cutouts.dec[:2] + 20 / 3600]),
        ),
        [*classes, *labels[:2]],
    )
    found, table = real.read(tmp_path)
    assert table["origin"].tolist() == ["mirabest"] * 6 + ["first"] * 4
    assert table["label"].tolist() == [*labels, *classes]
    # Bent sources of MiraBest are FR I; those of the other set have no such class.
    assert table["fr"].tolist()[:3] == ["fr1", "fr2", "fr1"]
    assert table["fr"].tolist()[6:] == ["fr1", "fr2", "", ""]
    assert table["confident"].tolist() == [True] * 6 + [False] * 4
    assert found.values.shape == (10, 1, 150, 150)
    np.testing.assert_allclose(found.values[0], cutouts.values[0], atol=1e-4)


@pytest.mark.parametrize("absent", ["mirabest", "first"])
def test_a_folder_with_one_of_the_sets_is_read(tmp_path, absent):
    cutouts, labels = simulate(4, seed=3)
    if absent == "mirabest":
        write_first(tmp_path, cutouts, labels)
    else:
        write_mirabest(tmp_path, n=4, seed=3)
    assert len(real.read(tmp_path)[1]) == 4


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DataError, match="no radio galaxies"):
        real.read(tmp_path)
    write_mirabest(tmp_path, n=1, seed=4, contents=[b"SIMPLE  = nonsense"])
    with pytest.raises(DataError, match="sim4-00000"):
        real.read(tmp_path)
    (tmp_path / "first_images.h5").write_bytes(b"no HDF5")
    (tmp_path / "mirabest_labels.csv").unlink()
    with pytest.raises(DataError, match=r"first_images\.h5"):
        real.read(tmp_path)


def test_the_noise_is_cut_off_and_the_scale_of_the_flux_does_not_matter():
    values = simulate(4, seed=5)[0].values
    light = light_of(values)
    assert light.max(axis=(1, 2, 3)).tolist() == [1.0] * 4
    # Of a Gaussian, 0.13 % lies above three standard deviations; most of what is left is source.
    assert ((light > 0).mean(axis=(1, 2, 3)) < 0.05).all()
    np.testing.assert_allclose(light_of(1e3 * values + 7.0), light, atol=1e-3)


def test_the_criterion_of_fanaroff_and_riley_tells_edge_brightened_sources():
    cutouts, labels = simulate(40, seed=6, classes=("fr1", "fr2"))
    separation = baseline.measure(light_of(cutouts.values)[:, 0])[:, 0]
    assert np.median(separation[labels == "fr2"]) > 0.5 > np.median(separation[labels == "fr1"])


def test_bent_sources_count_as_class_one():
    p = np.array([[0.2, 0.4, 0.1, 0.3], [0.1, 0.6, 0.2, 0.1]])
    two, truth = fr_scores(p, np.array(["fr1", "fr2"]))
    assert two[:, 1] == pytest.approx([4 / 9, 6 / 8])
    assert truth.tolist() == [0, 1]


def test_places_that_training_knew_are_recognised(tmp_path):
    (tmp_path / "taught.csv").write_text("ra,dec,fold\n10.0,20.0,3\n50.0,0.0,1\n50.1,0.0,2\n")
    # 1 arcmin from the first; between two of different folds; elsewhere.
    found = taught_folds(tmp_path, np.array([10.0, 50.05, 200.0]), np.array([20.0167, 0.0, 0.0]))
    assert found.tolist() == [3, -2, -1]


def test_simulated_sources_fit_and_their_probabilities_add_up():
    cutouts, _ = simulate(8, seed=8, classes=("fr1", "fr2"))
    model = load("radio_galaxies")
    found = model.predict(cutouts)
    assert {word.split(":")[0] for word in found.columns["fit"]} == {"fits"}
    np.testing.assert_allclose(sum(found.columns[f"p_{name}"] for name in real.CLASSES), 1.0)


def test_a_folder_of_the_same_layout_is_evaluated(tmp_path):
    write_mirabest(tmp_path / "field", n=12, seed=9)
    found = aml.evaluate("radio_galaxies", data=tmp_path / "field")
    said = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (said["model"], said["data"], said["n"]) == ("radio_galaxies", "field", 12)
    assert said["low"] <= said["value"] <= said["high"]
    assert said["split"] == "sources that training did not see, each by all members"


def test_the_readme_compares_two_networks_only_where_both_were_trained():
    facts = read_card(HERE).facts
    figures = {"weights": 9, "fr_accuracy": 0.5, "by_fold": [0.25, 0.75], "minutes": 2.0}
    one = {**facts.training, "equivariant": figures}
    one.pop("plain", None)
    assert "plain" not in measured(facts.model_copy(update={"training": one}))
    both = {**one, "plain": figures}
    told = measured(facts.model_copy(update={"training": both}))
    for name in ("equivariant", "plain"):
        assert f"| {name} | 9 | 0.500 | 0.250, 0.750 | 2 |" in told
