"""Where models can run, and which place is taken when none is named."""

import json
import os
import socket
import subprocess
import sys

import dask
import pytest
from distributed import LocalCluster

import jupyter_astroml as aml


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, silence_logs="ERROR"
    ) as made:
        yield made.scheduler_address


@pytest.fixture
def nobody():
    """Address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"tls://127.0.0.1:{taken.getsockname()[1]}"


def test_without_a_cluster_a_model_runs_in_this_process():
    with dask.config.set({"scheduler-address": None}):
        found = aml.engines()
        assert [place.name for place in found][:2] == ["here", "dask"]
        chosen = aml.engine("auto")
    assert (chosen.name, found.best.name) == ("here", "here")
    assert "this process" in chosen.why
    assert "this process" in repr(chosen)
    assert "<td>here</td>" in found._repr_html_()


def test_a_cluster_of_the_configuration_is_preferred_and_used(cluster, demo_archive, tmp_path):
    with dask.config.set({"scheduler-address": cluster}):
        best = aml.engines().best
        assert (best.name, best.cluster, best.state) == ("dask", cluster, "ready")
        with aml.archive(demo_archive.tap) as sky:
            rows = sky.query("SELECT TOP 3 * FROM demo.galaxies")
        run = aml.predict(
            rows,
            model="galaxy_morphology",
            engine="auto",
            block=2,
            run=tmp_path / "run",
            progress=False,
        )
    assert run.meta["engine"] == "dask"
    assert run.predictions().ok.all()
    # A cluster that was found is not ours to stop.
    with socket.create_connection(cluster.removeprefix("tcp://").split(":"), timeout=5):
        pass


def test_a_cluster_that_does_not_answer_is_told_and_not_taken(nobody):
    with dask.config.set({"scheduler-address": nobody}):
        found = aml.engines()
        chosen = aml.engine("auto")
    assert chosen.name == "here"
    (gone,) = [place for place in found if place.cluster]
    assert (gone.cluster, gone.state) == (nobody, "not answering")
    assert "still running" in gone.note


@pytest.mark.parametrize("address", ["inproc://1", "tcp://", "tcp://[::bad", "tcp://h:99999999"])
def test_an_odd_address_does_not_answer(address):
    with dask.config.set({"scheduler-address": address}):
        assert aml.engines().best.name == "here"


def test_what_is_named_is_taken():
    assert aml.engine("here").why == "it was named"
    with aml.engine("dask", cluster="tcp://127.0.0.1:1") as given:
        assert given.why == "a cluster was given"


def test_the_shell_lists_the_places(nobody):
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_astroml", "engines", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "DASK_SCHEDULER_ADDRESS": nobody},
    )
    found = json.loads(done.stdout)
    assert found[0]["name"] == "here"
    assert nobody in [place["cluster"] for place in found]
