"""The whole story against the demo sky: real archive, real models, real runs."""

import json
import re
import shutil
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from astropy import units as u

import jupyter_astroml as aml
from jupyter_astroml.core.errors import AstroMLError, DataError, ModelError, RunError
from jupyter_astroml.explain import quick
from jupyter_astroml.models.cards import digest_of
from jupyter_astroml.session import archive as any_archive
from jupyter_astroml.session import events, least_sure, trust


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


@pytest.fixture
def retrained(tmp_path, monkeypatch):
    """A site's model that answered a run and was trained again since."""
    folder = tmp_path / "models" / "ours"
    shutil.copytree(aml.model("galaxy_morphology").folder, folder)
    card = (folder / "card.yaml").read_text(encoding="utf-8")
    (folder / "card.yaml").write_text(card.replace("id: galaxy_morphology", "id: ours"), "utf-8")
    monkeypatch.setenv("ASTROML_MODEL_PATH", str(folder.parent))

    def train_again():
        from safetensors.torch import load_file, save_file

        weights = load_file(folder / "weights.safetensors")
        save_file({k: v * 1.5 for k, v in weights.items()}, folder / "weights.safetensors")
        facts = json.loads((folder / "facts.json").read_text())
        facts["digest"] = digest_of(folder / "weights.safetensors")
        (folder / "facts.json").write_text(json.dumps(facts))

    return train_again


def test_a_run_is_explained_by_the_weights_that_answered_and_no_others(
    galaxies, retrained, tmp_path
):
    run = aml.predict(galaxies[:2], model="ours", run=tmp_path / "run", block=2, progress=False)
    name = str(run.predictions().ids[0])
    aml.explain(run, ids=name, method="gradient")
    retrained()
    with pytest.raises(ModelError, match="not those that were asked for"):
        aml.explain(run, ids=name, method="gradient")
    with pytest.raises(ModelError, match="not those that were asked for"):
        aml.report(run, tmp_path / "report.html", objects=1)
    widget = aml.inspect(run, bokehjs="served")
    assert "not those that were asked for" in widget.status.value
    widget.close()


def test_events_are_those_that_the_model_counted(star_run):
    found = star_run.predictions()
    # Alone, a light curve may be shorter than the padding of its block.
    for name, count in zip(found.ids, found.columns["n_events"], strict=True):
        table = events(found, aml.fetch(star_run, ids=[name]))
        assert len(table) == count
        assert set(table["id"]) <= {name}


def test_inspector_and_report_mark_the_events_of_the_model(star_run, tmp_path):
    found = star_run.predictions()
    row = int(np.argmax(found.columns["n_events"]))
    widget = aml.inspect(star_run, bokehjs="served")
    widget.select(str(found.ids[row]))
    count = int(found.columns["n_events"][row])
    assert len(widget.view.events.data["time"]) == count
    assert len(widget.target.options) == 1 + count
    threshold = aml.model("flares").card.facts.calibration["threshold"]
    assert widget.view.rule.location == threshold
    widget.close()


def test_fit_is_told_before_a_run(galaxies):
    found = aml.check(galaxies[:3], model="galaxy_morphology")
    assert all(str(w).startswith("converted") for w in found["fit"])
    # The model may come first, or second: a name is not data.
    for again in (
        aml.check("galaxy_morphology", galaxies[:3]),
        aml.check(galaxies[:3], "galaxy_morphology"),
    ):
        assert again["fit"].tolist() == found["fit"].tolist()
    with pytest.raises(ModelError, match="no model ''"):
        aml.check(galaxies[:3])


def test_a_report_stands_alone(galaxy_run, star_run, tmp_path):
    path = aml.report([galaxy_run, star_run], tmp_path / "report.html")
    # The pages stand in frames, as escaped text; BokehJS itself knows the names of its networks.
    text = unescape(path.read_text())
    assert "Simulated data: never observed" in text
    fetched = r"<(?:script|link|iframe)\b[^>]*\b(?:src|href)=[\"']https?:"
    assert re.findall(fetched, text) == []


def test_two_runs_of_one_model_are_two_tabs(galaxies, galaxy_run, tmp_path):
    other = aml.predict(
        galaxies[:2], model="galaxy_morphology", run=tmp_path / "run", block=2, progress=False
    )
    third = aml.predict(
        galaxies[:1], model="galaxy_morphology", run=tmp_path / "third", progress=False
    )
    path = aml.report([galaxy_run, other, third], tmp_path / "report.html", objects=1)
    assert path.read_text().count("<iframe") == 3
    path = aml.report([other, third], tmp_path / "report.html", objects=1)
    labels = re.findall("<label[^>]*>(.*?)</label>", path.read_text())
    assert labels == ["galaxy_morphology, run", "galaxy_morphology, third"]


def test_a_run_without_one_answer_is_reported_too(galaxies, tmp_path):
    gone = galaxies[:2].copy()
    gone["access_url"] = "http://127.0.0.1:9/nothing"
    with pytest.warns(UserWarning, match="None of the 2 objects"):
        run = aml.predict(
            gone, model="galaxy_morphology", run=tmp_path / "run", block=2, progress=False
        )
    found = run.predictions()
    assert not found.ok.any()
    assert least_sure(found, n=2) == []
    assert "2 without an answer" in aml.report(run, tmp_path / "report.html").read_text()


def test_only_objects_with_an_answer_are_doubtful(galaxy_run):
    found = galaxy_run.predictions()
    status = found.status.astype("U20")
    status[3:] = "no pixels"
    names = least_sure(replace(found, status=status), n=12)
    assert sorted(names) == sorted(found.ids[:3])


@pytest.fixture
def half_gone(galaxies):
    """Three galaxies, of which the archive has lost the second."""
    rows = galaxies[:3].copy()
    rows["access_url"] = rows["access_url"].astype("U200")
    rows["access_url"][1] = "http://127.0.0.1:9/nothing"
    return rows


def test_what_cannot_be_fetched_is_told_in_its_row(half_gone):
    found = aml.check(half_gone, model="galaxy_morphology")
    assert found["id"].tolist() == half_gone["id"].tolist()
    assert [w.split(":")[0] for w in found["fit"]] == ["converted", "not fetched", "converted"]
    gone = half_gone[1:2]
    assert aml.check(gone, model="galaxy_morphology")["fit"][0].startswith("not fetched: ")


def test_fetching_says_what_did_not_come(half_gone):
    lost = str(half_gone["id"][1])
    with pytest.warns(UserWarning, match=f"1 of 3 objects could not be fetched, such as {lost}"):
        assert len(aml.fetch(half_gone)) == 2


def test_a_manifest_tells_of_every_object_of_a_fetch(half_gone):
    with pytest.warns(UserWarning, match="could not be fetched"):
        came = aml.fetch(half_gone)
    found = aml.manifest(came)
    assert found["id"].tolist() == half_gone["id"].tolist()
    assert found["url"].tolist() == half_gone["access_url"].tolist()
    assert [s == "ok" for s in found["status"]] == [True, False, True]
    assert "could not be reached" in found["status"][1] or "not answering" in found["status"][1]
    assert (found["bytes"] > 0).tolist() == [len(h) == 64 for h in found["sha256"]]
    assert found["bytes"].unit == "byte"
    assert found["tries"].tolist()[::2] == [1, 1]


def test_a_run_tells_how_its_objects_came(half_gone, tmp_path):
    run = aml.predict(
        half_gone, model="galaxy_morphology", block=2, run=tmp_path / "run", progress=False
    )
    found = aml.manifest(aml.open_run(tmp_path / "run"))
    assert found["id"].tolist() == half_gone["id"].tolist()
    assert [s == "ok" for s in found["status"]] == run.predictions().ok.tolist()
    assert "manifest" not in run.predictions().meta
    came = aml.fetch(run, ids=[str(half_gone["id"][0])])
    again = aml.predict(came, model="galaxy_morphology", run=tmp_path / "two", progress=False)
    assert len(aml.manifest(again)) == 0
    with pytest.raises(DataError, match="do not tell how they came"):
        aml.manifest(replace(came, meta={}))


def test_the_size_counts_for_references_too(galaxies, tmp_path):
    given = aml.samples(galaxies[:1], size=40 * u.arcsec)
    run = aml.predict(
        given,
        model="galaxy_morphology",
        size=20 * u.arcsec,
        run=tmp_path / "run",
        progress=False,
    )
    assert 50 <= aml.fetch(run).values.shape[2] <= 52
    with pytest.raises(DataError, match="size of data that are here"):
        aml.predict(aml.fetch(run), model="galaxy_morphology", size=20 * u.arcsec)


def test_a_light_curve_has_one_map_alone_and_among_others(star_run):
    names = star_run.predictions().ids[:3].tolist()
    # Times in the explained windows; all curves of the demo sky have the same cadences.
    together = aml.explain(star_run, ids=names, samples=3, window=400)
    alone = aml.explain(star_run, ids=names[1], samples=3, window=400)
    np.testing.assert_allclose(alone.maps[0], together.maps[1], rtol=1e-3, atol=1e-6)
    assert len(set(np.ravel(together.meta["noise"]))) == 3


@pytest.mark.parametrize("method", ["smoothgrad", "integrated_gradients"])
def test_maps_of_real_answers_can_be_tested(galaxy_run, method):
    names = galaxy_run.predictions().ids[:2].tolist()
    found = aml.explain(galaxy_run, ids=names, method=method, **quick(method, ()))
    told = trust(found)
    assert told["id"].tolist() == names
    # What these maps point at matters to the network, and comes from what it learned.
    assert (told["deletion_gain"] > 0).all()
    assert (np.abs(told["unlearned"]) < 0.7).all()
    assert np.isfinite(told["completeness"]).all() == (method == "integrated_gradients")
    missed = np.nan_to_num(np.array(told["completeness"]))
    doubtful = np.array([each.startswith("doubtful") for each in told["verdict"]])
    assert (doubtful == (missed > 0.05)).all()


def test_the_inspector_says_what_integrated_gradients_miss(galaxy_run):
    widget = aml.inspect(galaxy_run, bokehjs="served")
    widget.method.value = "integrated_gradients"
    assert "misses the change of the score by" in widget.summary.value
    widget.close()


def test_a_run_goes_to_a_cluster_by_its_address(galaxies, galaxy_run, tmp_path):
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        run = aml.predict(
            galaxies[:2],
            model="galaxy_morphology",
            cluster=cluster.scheduler_address,
            block=2,
            run=tmp_path / "run",
            progress=False,
        )
    assert run.meta["engine"] == "dask"
    labels = galaxy_run.predictions().columns["label"][:2]
    assert run.predictions().columns["label"].tolist() == labels.tolist()


def test_a_map_tells_how_to_make_it_again(galaxy_run):
    name = str(galaxy_run.predictions().ids[0])
    found = aml.explain(galaxy_run, ids=name)
    assert {k: found.meta[k] for k in ("samples", "seed", "noise", "signed")} == {
        "samples": 50,
        "seed": 0,
        "noise": 0.15,
        "signed": True,
    }


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
