"""Clusters of the user's own, as Dask's configuration describes them."""

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import compute_performs as performs
import dask
import pytest

import jupyter_astroml as aml
from jupyter_astroml.compute.clusters import DEFAULTS, Plan, planned
from jupyter_astroml.compute.dask_engine import Dask
from jupyter_astroml.core.errors import SettingsError


def configured(**values):
    return dask.config.set({"jupyter_astroml": {"cluster": values}})


def test_without_a_word_of_dask_a_cluster_is_of_this_machine():
    assert planned() == Plan(kind="local", workers=0)
    assert planned(workers=3).workers == 3


def test_an_argument_beats_a_setting_which_beats_dasks_configuration(monkeypatch):
    def workers(given=0):
        return aml.engine("dask", workers=given)._plan.workers

    with configured(workers=5, memory="3 GiB"):
        assert workers() == 5
        monkeypatch.setenv("ASTROML_WORKERS", "6")
        assert workers() == 6
        assert workers(given=7) == 7
        assert aml.engine("dask")._plan.memory == "3 GiB"


def test_options_of_one_kind_are_not_given_to_another():
    with configured(kind="slurm", section="big", workers=4, options={"queue": "long"}):
        assert planned().options == {"queue": "long"}
        assert planned(walltime="1:00").options == {"queue": "long", "walltime": "1:00"}
        other = planned("gateway", image="sky:1")
    assert (other.section, other.workers, other.options) == ("", 4, {"image": "sky:1"})


def test_a_scheduler_of_our_section_is_preferred_to_dasks_own():
    ours, dasks = "tcp://127.0.0.1:1", "tcp://127.0.0.1:2"
    with configured(address=ours), dask.config.set({"scheduler-address": dasks}):
        found = [place.cluster for place in aml.engines() if place.state == "not answering"]
        assert found == [ours, dasks]
        assert aml.engine("dask")._plan.address == ours


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"kinds": "local"}, "Unknown key 'kinds'"),
        ({"kind": "abacus"}, "no kind of cluster 'abacus'"),
        ({"workers": "many"}, "'workers'"),
        ({"workers": -1}, "'workers'"),
        ({"options": ["a"]}, "'options'"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(values, told):
    with configured(**values), pytest.raises(SettingsError, match=told):
        aml.engine("dask")
    with dask.config.set({"jupyter_astroml": "slurm"}), pytest.raises(SettingsError):
        aml.engines()


def test_a_cluster_that_is_not_of_this_machine_needs_a_number_of_workers():
    with pytest.raises(SettingsError, match="How many workers"):
        aml.cluster("slurm")
    with pytest.raises(SettingsError, match="no Dask Gateway"):
        aml.cluster("gateway", workers=1)


def test_a_file_to_fill_in_is_written_and_read_by_dask(tmp_path):
    def ask(code):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "DASK_CONFIG": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        )
        return done.stdout.strip()

    written = Path(ask("from jupyter_astroml.compute.clusters import *;print(write_defaults())"))
    assert written.parent == tmp_path
    # Every line is a comment, and nothing is changed by it.
    assert all(not line.strip() or line.startswith("#") for line in written.read_text().split("\n"))
    written.write_text(DEFAULTS.read_text().replace("workers: 0", "workers: 9"))
    ask("from jupyter_astroml.compute.clusters import *;write_defaults()")
    told = "from jupyter_astroml.compute.clusters import *;print(planned().workers)"
    assert ask(told) == "9"


def test_memory_and_threads_of_our_own_workers_are_those_of_the_plan():
    with Dask(performs.answers, cluster=Plan(workers=1, threads=3, memory="1 GiB")) as engine:
        engine.start()
        (worker,) = engine._client.scheduler_info()["workers"].values()
    assert (worker["nthreads"], worker["memory_limit"]) == (3, 2**30)


needs_jobqueue = pytest.mark.skipif(
    find_spec("dask_jobqueue") is None, reason="no dask-jobqueue here: pip install dask-jobqueue"
)
QUEUE = """
import signal
import threading

import compute_performs as performs
import jupyter_astroml as aml
from jupyter_astroml.compute.clusters import planned
from jupyter_astroml.compute.dask_engine import Dask
from jupyter_astroml.core.errors import RunError
from jupyter_astroml.core.jobs import Block, Job

before = signal.getsignal(signal.SIGINT)
engine = Dask(performs.answers, cluster=planned("shell", workers=2))
try:
    aml.cluster("slurm", workers=1, threads=1, memory="1 GiB", no_such_thing=1)
except RunError as err:
    assert "no_such_thing" in err.cause, err
    print(err.what)
objects = performs.references(8)
blocks = iter([Block(i, objects[2 * i : 2 * i + 2]) for i in range(4)])
with engine:
    # dask-jobqueue would take it away.
    assert signal.getsignal(signal.SIGINT) is before
    # A run starts its cluster in a thread of its own.
    thread = threading.Thread(target=lambda: print(*engine.start()))
    thread.start()
    thread.join()
    found = {block.index: len(p) for block, p in engine.run(Job("predict", "m", "d", {}), blocks)}
    (address,) = {engine._client.scheduler.address.split(":")[0]}
print(sorted(found.items()), address)
"""


@needs_jobqueue
def test_a_batch_system_is_used_by_name_and_its_jobs_end_with_the_run(tmp_path):
    (tmp_path / "ours.yaml").write_text(
        "jobqueue: {local: {cores: 1, memory: 1 GiB}}\njupyter_astroml: {cluster: {kind: shell}}\n"
    )
    # dask-jobqueue leaves the files of its certificates to the collector: in a process of its own.
    done = subprocess.run(
        [sys.executable, "-c", QUEUE],
        env={
            **os.environ,
            "DASK_CONFIG": str(tmp_path),
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    refused, pids, answered = done.stdout.splitlines()
    assert refused == "The slurm cluster cannot be made"
    assert answered == "[(0, 2), (1, 2), (2, 2), (3, 2)] tls"
    assert len(pids.split()) == 2
    end = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids.split()):
        assert time.monotonic() < end
        time.sleep(0.1)
