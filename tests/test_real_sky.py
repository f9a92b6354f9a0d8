"""The main job on real data: published, queried, predicted, explained and inspected."""

from pathlib import Path

import numpy as np
import pytest

import jupyter_astroml as aml
from jupyter_astroml.embedded.serve import start

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"


@pytest.fixture(scope="module")
def galaxy_zoo(sky_data):
    folder = sky_data / "galaxies_gz1" / "dev"
    with start(folder, config=EXAMPLES / "galaxy_zoo_1.yaml") as running:
        yield aml.archive(running.tap)


@pytest.fixture(scope="module")
def tess(sky_data):
    folder = sky_data / "tess_flares" / "dev"
    with start(folder, config=EXAMPLES / "tess_flares.yaml") as running:
        yield aml.archive(running.tap)


@pytest.fixture(scope="module")
def unseen(galaxy_zoo):
    """Edge-on and elliptical galaxies that the model was not trained on."""
    folder = aml.model("galaxy_morphology").folder
    seen = set((folder / "training_ids.txt").read_text().split())
    parts = [
        galaxy_zoo.query(f"SELECT * FROM gz1.galaxies WHERE class_name = '{name}'")
        for name in ("elliptical", "spiral_edge_on")
    ]
    from astropy.table import vstack

    fresh = [p[[str(i) not in seen for i in p["id"]]][:30] for p in parts]
    rows = vstack(fresh, metadata_conflicts="silent")
    rows.meta = parts[0].meta
    return rows


@pytest.fixture(scope="module")
def galaxy_run(unseen, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gz") / "run"
    return aml.predict(unseen, model="galaxy_morphology", run=folder, progress=False)


@pytest.fixture(scope="module")
def star_run(tess, tmp_path_factory):
    rows = tess.query("SELECT * FROM tess.stars")
    folder = tmp_path_factory.mktemp("tess") / "run"
    return aml.predict(rows, model="flares", run=folder, progress=False)


def test_the_ids_of_sdss_survive_exactly(galaxy_zoo):
    rows = galaxy_zoo.query("SELECT id FROM gz1.galaxies WHERE objid = 587722953303916935")
    assert rows["id"].tolist() == ["587722953303916935"]


def test_real_galaxies_fit_and_are_mostly_named_as_by_volunteers(unseen, galaxy_run):
    found = galaxy_run.predictions()
    assert found.ok.all()
    # A JPEG has no pixel scale, and these were zoomed to each galaxy.
    assert set(found.columns["fit"]) == {"fits: the pixel scale is unknown"}
    votes = np.where(unseen["class_name"] == "elliptical", "elliptical", "edge_on")
    assert (found.columns["label"] == votes).mean() > 0.7


def test_a_real_galaxy_is_explained_near_its_middle(galaxy_run):
    name = str(galaxy_run.predictions().ids[0])
    weight = np.abs(aml.explain(galaxy_run, ids=name, samples=8).maps[0]).sum(axis=0)
    # A quarter of the area about the centre, where the galaxy is.
    assert weight[32:96, 32:96].sum() > 0.5 * weight.sum()


def test_flares_of_the_catalogue_are_found_in_real_light_curves(tess, star_run):
    catalogue = tess.query("SELECT tic, tpeak_btjd, amp FROM tess.flares")
    found = star_run.predictions()
    curves = aml.fetch(star_run)
    hits = []
    for row in catalogue:
        i = found.ids.tolist().index(str(row["tic"]))
        near = np.abs(curves.time[i] - row["tpeak_btjd"]) < 0.01
        hits.append(np.nanmax(found.arrays["probability"][i][near]) > 0.5)
    assert len(hits) == 53
    assert np.mean(hits) > 0.9


def test_real_data_can_be_inspected(star_run, galaxy_run):
    for run in (star_run, galaxy_run):
        widget = aml.inspect(run, bokehjs="served")
        last = str(run.predictions().ids[-1])
        widget.select(last)
        assert widget.selected == last
        assert widget.attributions is not None
        assert np.abs(widget.attributions.maps).max() > 0
