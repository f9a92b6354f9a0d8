"""Several models in one pass over the data."""

import shutil

import numpy as np
import pytest
import yaml

import jupyter_astroml as aml
from jupyter_astroml.compute.drive import drive_together
from jupyter_astroml.compute.run import Run
from jupyter_astroml.core.errors import SettingsError
from jupyter_astroml.models import catalogue

N = 12
OTHER = "galaxy_twin"


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """Another model for the same cutouts: the bundled one under a name of its own."""
    root = tmp_path_factory.mktemp("models")
    folder = root / OTHER
    source = catalogue.find("galaxy_morphology").folder
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    card = yaml.safe_load((source / "card.yaml").read_text())
    (folder / "card.yaml").write_text(yaml.safe_dump({**card, "id": OTHER}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASTROML_MODEL_PATH", str(root))
        yield OTHER


@pytest.fixture(scope="module")
def files(demo_archive):
    """References to galaxies."""
    with aml.archive(demo_archive.tap) as sky:
        rows = sky.query(f"SELECT TOP {N} * FROM demo.galaxies ORDER BY id")
        return aml.samples(rows, model="galaxy_morphology")


def same(a, b):
    first, second = a.predictions(), b.predictions()
    assert first.ids.tolist() == second.ids.tolist()
    assert first.ok.all()
    assert second.ok.all()
    for name, values in first.columns.items():
        assert np.array_equal(values, second.columns[name]), name


@pytest.mark.parametrize("engine", ["here", "dask"])
def test_each_model_has_a_run_of_its_own_like_that_of_a_run_alone(files, twin, tmp_path, engine):
    told = []
    names = ["galaxy_morphology", twin]
    both = aml.predict(
        files,
        model=names,
        run=tmp_path / "both",
        block=5,
        engine=engine,
        workers=1,
        progress=told.append,
    )
    assert [run.job.model for run in both] == names
    assert [run.folder for run in both] == [tmp_path / "both" / name for name in names]
    assert [run.meta["together"] for run in both] == [names, names]
    assert "also" not in both[0].job.options
    assert told[-1].finished
    for name, run in zip(names, both, strict=True):
        alone = aml.predict(
            files, model=name, run=tmp_path / name, block=5, engine="here", progress=False
        )
        assert alone.job == run.job
        same(alone, run)
    # Data were fetched for both at once: their manifests are one.
    first, second = (aml.manifest(run) for run in both)
    assert first["seconds"].tolist() == second["seconds"].tolist()


def test_a_pass_that_was_cut_off_is_completed_run_by_run(files, twin, tmp_path):
    both = aml.predict(
        files,
        model=["galaxy_morphology", twin],
        run=tmp_path / "both",
        block=4,
        engine="here",
        progress=False,
        cancel=lambda: any((tmp_path / "both").glob("*/blocks/0*")),
    )
    assert all(0 < run.progress().done < N for run in both)
    done = [aml.resume(run, engine="here", progress=False) for run in both]
    assert [run.summary["state"] for run in done] == ["done", "done"]
    same(done[0], done[1])


def test_a_run_that_lacks_a_block_gets_it_in_the_next_pass(files, twin, tmp_path):
    both = aml.predict(
        files,
        model=["galaxy_morphology", twin],
        run=tmp_path / "both",
        block=4,
        engine="here",
        progress=False,
    )
    (both[1].folder / "blocks" / "00001" / "block.json").unlink()
    again = [Run.open(run.folder) for run in both]
    assert again[1].missing_blocks() == [1]
    drive_together(again, aml.engine("here"))
    assert again[1].missing_blocks() == []
    same(*again)


@pytest.mark.parametrize("names", [[], ["galaxy_morphology", "galaxy_morphology"]])
def test_odd_lists_of_models_are_refused(files, names, tmp_path):
    with pytest.raises(SettingsError, match=r"No model|twice"):
        aml.predict(files, model=names, run=tmp_path / "run")


def test_several_models_are_not_detached(files, twin, tmp_path):
    with pytest.raises(SettingsError, match="cannot be detached"):
        aml.predict(files, model=["galaxy_morphology", twin], run=tmp_path / "run", detach=True)
