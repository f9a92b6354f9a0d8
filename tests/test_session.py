"""The whole story against the demo sky: real archive, real models, real runs."""

import re
from html import unescape

import numpy as np
import pytest
from astropy import units as u

import jupyter_astroml as aml
from jupyter_astroml.core.errors import AstroMLError, DataError, ModelError, RunError
from jupyter_astroml.session import archive as any_archive


@pytest.fixture(scope="module")
def sky(demo_archive):
    return any_archive(demo_archive.tap)


@pytest.fixture(scope="module")
def galaxies(sky):
    return sky.query("SELECT TOP 24 * FROM demo.galaxies ORDER BY id")


@pytest.fixture(scope="module")
def stars(sky):
    return sky.query("SELECT TOP 6 * FROM demo.stars WHERE n_flares > 2 ORDER BY tmag")


@pytest.fixture(scope="module")
def galaxy_run(galaxies, tmp_path_factory):
    folder = tmp_path_factory.mktemp("galaxies") / "run"
    return aml.predict(galaxies, model="galaxy_morphology", run=folder, block=7, progress=False)


@pytest.fixture(scope="module")
def star_run(stars, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stars") / "run"
    return aml.predict(stars, model="flares", run=folder, block=2, progress=False)


def test_every_row_of_a_query_gets_an_answer_in_its_order(galaxies, galaxy_run):
    found = galaxy_run.predictions()
    assert found.ids.tolist() == galaxies["id"].tolist()
    assert found.ok.all()
    p = np.array([found.columns[f"p_{n}"] for n in ("elliptical", "edge_on", "spiral", "merger")])
    np.testing.assert_allclose(p.sum(axis=0), 1, atol=1e-6)


def test_most_simulated_galaxies_are_named_as_they_were_drawn(galaxies, galaxy_run):
    right = galaxy_run.predictions().columns["label"] == galaxies["true_class"]
    # Four classes: guessing gives one quarter.
    assert right.mean() > 0.6


def test_answers_carry_query_model_and_digest(galaxies, galaxy_run):
    meta = galaxy_run.predictions().meta
    assert meta["query"]["adql"] == galaxies.meta["astroml"]["adql"]
    assert meta["digest"] == aml.model("galaxy_morphology").digest


def test_fluxes_are_told_as_converted(galaxy_run):
    assert {w.split(":")[0] for w in galaxy_run.predictions().columns["fit"]} == {"converted"}


def test_dask_gives_the_same_answers_as_this_process(galaxies, galaxy_run, tmp_path):
    other = aml.predict(
        galaxies,
        model="galaxy_morphology",
        engine="dask",
        workers=1,
        block=7,
        run=tmp_path / "run",
        progress=False,
    )
    here, there = galaxy_run.predictions(), other.predictions()
    for name, values in here.columns.items():
        np.testing.assert_array_equal(values, there.columns[name], err_msg=name)


def test_flares_stand_in_most_light_curves_that_have_some(star_run):
    found = star_run.predictions()
    assert found.ok.all()
    assert (found.columns["n_events"] > 0).mean() > 0.5
    assert found.arrays["probability"].shape == found.arrays["probability_std"].shape


def test_a_cancelled_run_is_completed_by_resume(galaxies, galaxy_run, tmp_path):
    seen = []
    part = aml.predict(
        galaxies,
        model="galaxy_morphology",
        block=7,
        run=tmp_path / "run",
        progress=seen.append,
        cancel=lambda: bool(seen) and seen[-1].done >= 7,
    )
    done = part.progress().done
    assert 0 < done < len(galaxies)
    whole = aml.resume(tmp_path / "run", progress=False).predictions()
    np.testing.assert_array_equal(whole.columns["label"], galaxy_run.predictions().columns["label"])


def test_a_galaxy_is_explained_on_its_own_pixels(galaxy_run):
    name = str(galaxy_run.predictions().ids[0])
    found = aml.explain(galaxy_run, ids=name, samples=4)
    assert found.maps.shape == found.samples.values.shape
    assert found.target_names[0] == galaxy_run.predictions().columns["label"][0]
    assert np.abs(found.maps).max() > 0
    assert "attribution" in aml.describe(found)[0]


def test_another_class_gives_another_map(galaxy_run):
    name = str(galaxy_run.predictions().ids[0])
    one, two = (
        aml.explain(galaxy_run, ids=name, target=t, method="gradient").maps
        for t in ("elliptical", "spiral")
    )
    assert not np.allclose(one, two)


def test_a_flare_is_explained_near_its_time(star_run):
    found = star_run.predictions()
    row = int(np.argmax(found.columns["max_probability"]))
    shown = aml.explain(star_run, ids=str(found.ids[row]), method="gradient", window=600)
    time = shown.samples.time[0]
    at = time[int(shown.targets[0])]
    assert at == pytest.approx(found.columns["t_max"][row], abs=0.01)
    weight = np.abs(shown.maps[0])
    # Windows of 200 two-minute cadences reach 0.14 d to each side.
    assert weight[np.abs(time - at) < 0.2].sum() > 0.7 * weight.sum()


def test_fit_is_told_before_a_run(galaxies):
    found = aml.check(galaxies[:3], model="galaxy_morphology")
    assert all(str(w).startswith("converted") for w in found["fit"])


def test_a_report_stands_alone(galaxy_run, star_run, tmp_path):
    path = aml.report([galaxy_run, star_run], tmp_path / "report.html")
    # The pages stand in frames, as escaped text; BokehJS itself knows the names of its networks.
    text = unescape(path.read_text())
    assert "Simulated data: never observed" in text
    fetched = r"<(?:script|link|iframe)\b[^>]*\b(?:src|href)=[\"']https?:"
    assert re.findall(fetched, text) == []


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda g, _: aml.predict(g, model="galaxy_morpholgy"), ModelError, "galaxy_morphology"),
        (
            lambda _, s: aml.predict(s, model="galaxy_morphology", progress=False),
            AstroMLError,
            "takes cutouts, not light_curves",
        ),
        (lambda g, _: aml.fetch(g, ids=["nobody"]), DataError, "no object 'nobody'"),
        (lambda *_: aml.resume("nowhere"), RunError, "no run"),
        (lambda g, _: aml.samples(g, size=3), DataError, "without a unit"),
        (lambda g, _: aml.explain(g), ModelError, "No model is named"),
        (lambda g, _: aml.engine("gpu"), AstroMLError, "here, dask"),
    ],
)
def test_bad_input_says_what_and_what_to_do(
    galaxies, stars, call, error, words, monkeypatch, tmp_path
):
    monkeypatch.setenv("ASTROML_RUN_DIR", str(tmp_path))
    with pytest.raises(error, match=words) as caught:
        call(galaxies, stars)
    assert caught.value.what


def test_the_size_of_cutouts_can_be_chosen(galaxies):
    found = aml.fetch(aml.samples(galaxies[:2], size=20 * u.arcsec))
    assert 50 <= found.values.shape[2] <= 52
