"""``engine="pool"``: the same answers as here, through the same calls."""

import socket
import time
from urllib.parse import urlsplit

import numpy as np
import pytest

from jupyter_astroml import session
from jupyter_astroml.core.errors import RunError, SettingsError
from jupyter_astroml.core.records import Cutouts


@pytest.fixture
def at_the_pool(pool, provider, monkeypatch):
    monkeypatch.setenv("ASTROML_POOL", pool.url)
    monkeypatch.setenv("ASTROML_POOL_TOKEN", provider.token("erin"))


@pytest.fixture(scope="module")
def rows(demo_archive):
    return session.archive("demo").query("SELECT TOP 40 * FROM demo.galaxies")


def columns(run):
    return run.predictions().columns


def test_the_pool_answers_as_this_process_does(at_the_pool, rows, tmp_path):
    there = session.predict(
        rows, model="galaxy_morphology", engine="pool", run=tmp_path / "a", progress=False
    )
    here = session.predict(
        rows, model="galaxy_morphology", engine="here", run=tmp_path / "b", progress=False
    )
    assert there.progress().finished
    assert there.predictions().ok.all()
    for name, found in columns(here).items():
        if found.dtype.kind == "f":
            np.testing.assert_allclose(columns(there)[name], found, atol=1e-5)
        else:
            np.testing.assert_array_equal(columns(there)[name], found)


def test_exact_answers_are_equal_to_the_last_bit_wherever_they_are_made(
    at_the_pool, rows, tmp_path
):
    common = {"model": "galaxy_morphology", "exact": True, "progress": False}
    runs = [
        session.predict(rows, engine="pool", block=40, run=tmp_path / "a", **common),
        session.predict(rows, engine="pool", block=7, run=tmp_path / "b", **common),
        session.predict(rows, engine="here", block=13, run=tmp_path / "c", **common),
    ]
    for name, found in columns(runs[0]).items():
        for run in runs[1:]:
            np.testing.assert_array_equal(columns(run)[name], found)


def test_light_curves_go_through_the_pool_too(at_the_pool, demo_archive, tmp_path):
    stars = session.archive("demo").query("SELECT TOP 3 * FROM demo.stars")
    common = {"model": "flares", "progress": False}
    there = session.predict(stars, engine="pool", run=tmp_path / "a", **common).predictions()
    here = session.predict(stars, engine="here", run=tmp_path / "b", **common).predictions()
    np.testing.assert_array_equal(there.columns["n_events"], here.columns["n_events"])
    np.testing.assert_allclose(
        there.arrays["probability"], here.arrays["probability"], atol=1e-5, equal_nan=True
    )


def test_the_pool_is_preferred_where_it_offers_the_model(at_the_pool, rows):
    assert session.engines("galaxy_morphology").best.name == "pool"
    assert session.engine("auto", model="galaxy_morphology").name == "pool"
    told = session.estimate(rows, model="galaxy_morphology")
    assert told.seconds["pool"] > 0
    assert "the hub's pool, 2 workers" in str(told)


def test_a_pool_that_does_not_answer_is_said_and_not_taken(monkeypatch):
    monkeypatch.setenv("ASTROML_POOL", "http://127.0.0.1:9")
    monkeypatch.setenv("ASTROML_POOL_TOKEN", "0123456789")
    begin = time.monotonic()
    found = {place.name: place for place in session.engines()}
    assert found["pool"].state == "not answering"
    assert session.engines().best.name != "pool"
    assert time.monotonic() - begin < 20


def test_without_a_token_the_remedy_is_told(pool, monkeypatch):
    monkeypatch.setenv("ASTROML_POOL", pool.url)
    for name in ("ASTROML_POOL_TOKEN", "JUPYTERHUB_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RunError, match="no token for the pool"):
        session.engine("pool")
    monkeypatch.delenv("ASTROML_POOL")
    with pytest.raises(SettingsError, match="no pool here"):
        session.engine("pool")


def test_a_client_that_has_to_wait_is_told_why(make_pool, client, job, objects):
    ready = client(make_pool("narrow", limits={"running_jobs": 1}))
    busy = ready.create(job("slow"))
    ready.send(busy, 0, objects(8000))
    told = []
    with pytest.raises(RunError, match="stopped"):
        ready.send(ready.create(job()), 0, objects(4), full=told.append, stopped=lambda: bool(told))
    assert told == ["1 of your jobs are running"]
    ready.delete(busy)


def test_a_job_runs_from_the_first_byte_of_a_chunk(make_pool, client, job, objects, provider):
    pool = make_pool("begun", limits={"running_jobs": 1})
    ready = client(pool)
    where = urlsplit(pool.url)
    values, token = objects(4), provider.token(ready.get("me")["user"])
    shape = ",".join(map(str, values.shape))
    head = (
        f"PUT /v1/jobs/{ready.create(job())}/chunks/0?shape={shape} HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {token}\r\n"
        f"Content-Length: {values.nbytes}\r\n\r\n"
    )
    other, told = ready.create(job()), []
    with socket.create_connection((where.hostname, where.port), timeout=20) as door:
        door.sendall(head.encode() + b"x" * 100)
        end = time.monotonic() + 20
        while not ready.get("me")["used"]["running_jobs"] and time.monotonic() < end:
            time.sleep(0.05)
        with pytest.raises(RunError, match="stopped"):
            ready.send(other, 0, values, full=told.append, stopped=lambda: bool(told))
    assert told == ["1 of your jobs are running"]
    # Who broke off does not run any more.
    ready.send(other, 0, values)
    assert not ready.fetch(other, 0).status.any()


def test_a_run_that_is_cancelled_leaves_nothing_in_the_pool(
    at_the_pool, pool, client, objects, site, monkeypatch, tmp_path
):
    monkeypatch.setenv("ASTROML_MODEL_PATH", str(site))
    values = objects(2000)
    samples = Cutouts(
        ids=np.arange(2000).astype(str),
        values=values,
        bands=("r",),
        flux_unit="picture",
        pixel_scale=np.full(2000, 0.4),
    )
    begin = time.monotonic()
    run = session.predict(
        samples,
        model="slow",
        engine="pool",
        block=100,
        run=tmp_path / "a",
        progress=False,
        cancel=lambda: time.monotonic() - begin > 1.0,
    )
    assert not run.progress().finished
    root = client(pool, "root")
    end = time.monotonic() + 5
    while root.get("status")["waiting_s"] and time.monotonic() < end:
        time.sleep(0.1)
    assert not root.get("status")["waiting_s"]
    assert session.resume(run, engine="pool", progress=False).progress().finished
