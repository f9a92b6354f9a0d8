"""A run outlives the process of the demo archive that it asked."""

import pytest
from astropy.table import Table

import jupyter_astroml as aml
from jupyter_astroml.embedded import serve


@pytest.fixture
def moved_run(own_places, monkeypatch, tmp_path):
    """A run whose demo archive ended, and comes back at another address."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "yesterday"))
    with aml.archive("demo") as sky:
        rows = sky.query("SELECT TOP 3 * FROM demo.stars ORDER BY id")
        run = aml.predict(rows, model="flares", run=tmp_path / "run", progress=False, engine="here")
    serve.demo().stop()
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "today"))
    yield rows, run
    serve.demo().stop()


def test_runs_and_rows_of_the_demo_archive_hold_tomorrow(moved_run):
    rows, run = moved_run
    then = str(rows["access_url"][0])
    found = aml.replay(run.folder, progress=False, engine="here")
    assert (found.objects, found.same, found.failed) == (3, 3, 0), str(found)
    assert not then.startswith(serve.demo().url)
    assert len(aml.fetch(rows)) == 3
    assert len(aml.fetch(aml.open_run(run.folder))) == 3


def test_objects_that_do_not_come_again_are_told_apart_from_other_answers(moved_run):
    _, run = moved_run
    run.relocated = lambda urls: urls  # where nobody serves
    found = run_again(run)
    assert (found.different, found.failed, found.passed) == (0, 3, False)
    assert "3 could not be done again" in str(found)
    assert {d.answer for d in found.differences} == {"status"}


def run_again(run):
    from jupyter_astroml.compute.replay import replay

    place = aml.engine("here")
    try:
        return replay(run, place, relative=0, absolute=0)
    finally:
        place.close()


def test_a_run_of_which_everything_failed_says_so(tmp_path):
    rows = Table({"id": ["mine"], "access_url": ["/no/such/file.fits"]})
    with pytest.warns(UserWarning, match="None of the 1 objects .* no http") as told:
        run = aml.predict(
            rows, model="galaxy_morphology", run=tmp_path / "run", progress=False, engine="here"
        )
    assert "archive serve DIR" in str(told[0].message)
    assert repr(run).endswith("1 of 1 objects, 1 failed>")
