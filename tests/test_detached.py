"""What a run will take, and runs that go on without the process that asked for them."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import jupyter_astroml as aml
from jupyter_astroml.compute.detached import start
from jupyter_astroml.compute.run import LOG, Run
from jupyter_astroml.core.errors import DataError, RunError, SettingsError

KERNEL = """
import os, signal, sys
import jupyter_astroml as aml
rows = aml.archive(sys.argv[1]).query("SELECT TOP 60 * FROM demo.galaxies ORDER BY id")
aml.predict(rows, model="galaxy_morphology", run=sys.argv[2], block=2, detach=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def galaxies(demo_archive):
    with aml.archive(demo_archive.tap) as sky:
        return sky.query("SELECT TOP 60 * FROM demo.galaxies ORDER BY id")


def until(true, seconds=120.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_estimate_tells_objects_bytes_and_time(galaxies):
    found = aml.estimate(galaxies, model="galaxy_morphology", workers=2)
    assert (found.objects, found.tried, found.failed, found.workers) == (60, 8, 0, 2)
    assert found.bytes == pytest.approx(60 * found.bytes_each)
    assert found.bytes_each >= 3 * 76 * 76 * 4
    assert found.seconds["here"] == pytest.approx(60 * found.seconds_each)
    assert 0 < found.seconds["here"] < 60
    for words in (str(found), found._repr_html_()):
        assert "60, of which 8 were tried" in words
    json.dumps(found.to_json(), allow_nan=False)


def test_an_estimate_says_why_objects_fail(galaxies):
    broken = aml.samples(galaxies, model="galaxy_morphology")
    broken = replace(broken, urls=np.array([u + "&x=1" for u in broken.urls]))
    broken.urls[0] = "file:///etc/passwd"
    broken.formats[0] = "image/fits"
    found = aml.estimate(broken, model="galaxy_morphology", workers=2)
    assert found.failed == 1
    assert "http" in found.first_failure
    with pytest.raises(DataError, match="takes light_curves"):
        aml.estimate(galaxies, model="flares")


def test_a_run_goes_on_when_its_kernel_is_killed(demo_archive, tmp_path):
    folder = tmp_path / "run"
    killed = subprocess.run(
        [sys.executable, "-c", KERNEL, demo_archive.tap, str(folder)], check=False, timeout=200
    )
    assert killed.returncode == -signal.SIGKILL
    told = []
    made = aml.watch(folder, progress=told.append)
    assert made.summary["state"] == "done"
    assert made.predictions().ok.all()
    assert told[-1].finished


def test_a_detached_run_is_stopped_and_completed(galaxies, tmp_path):
    made = aml.predict(
        galaxies, model="galaxy_morphology", run=tmp_path / "run", block=1, detach=True
    )
    until(lambda: made.progress().done > 0)
    driver = made.driver()
    assert driver["pid"] != os.getpid()
    assert made.summary["state"] == "running"
    with pytest.raises(RunError, match="already being driven"):
        aml.resume(made, progress=False)
    stopped = aml.stop(made).summary
    assert stopped["state"] == "stopped"
    assert 0 < stopped["done"] < 60
    assert made.driver() is None
    with pytest.raises(RunError, match="stopped after"):
        aml.watch(made, progress=False)
    before = {path.name: path.stat().st_mtime_ns for path in (made.folder / "blocks").iterdir()}
    assert aml.resume(made, progress=False).summary["state"] == "done"
    after = {path.name: path.stat().st_mtime_ns for path in (made.folder / "blocks").iterdir()}
    assert before.items() <= after.items()


NOTEBOOK = """
import sys
import jupyter_astroml as aml
rows = aml.archive(sys.argv[1]).query("SELECT TOP 60 * FROM demo.galaxies ORDER BY id")
try:
    aml.predict(rows, model="galaxy_morphology", run=sys.argv[2], block=1, engine="here",
                progress=False)
except KeyboardInterrupt:
    pass
kept = 7
print("all variables are here:", kept)
"""


def test_a_notebook_that_drives_a_run_is_not_ended_with_it(demo_archive, tmp_path):
    folder = tmp_path / "run"
    notebook = subprocess.Popen(
        [sys.executable, "-c", NOTEBOOK, demo_archive.tap, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
    )
    until(lambda: (folder / "run.json").exists() and Run.open(folder).driver())
    with pytest.raises(RunError, match="notebook") as told:
        aml.stop(folder)
    assert "interrupt it there" in told.value.remedy
    notebook.send_signal(signal.SIGINT)
    assert "all variables are here: 7" in notebook.communicate(timeout=100)[0]
    assert notebook.returncode == 0


def test_why_a_detached_run_failed_is_told(galaxies, tmp_path):
    here = aml.predict(
        galaxies[:2], model="galaxy_morphology", run=tmp_path / "run", block=1, progress=False
    )
    text = (here.folder / "run.json").read_text()
    digest = here.job.digest
    (here.folder / "run.json").write_text(text.replace(digest, digest[:-4] + "0000"))
    for block in (here.folder / "blocks").iterdir():
        (block / "block.json").unlink()
    made = Run.open(here.folder)
    start(made)
    until(lambda: made.driver() is None and (made.folder / LOG).stat().st_size > 0)
    with pytest.raises(RunError, match="stopped after 0 of 2") as told:
        aml.watch(made, progress=False)
    assert "not those that were asked for" in told.value.cause


def test_an_engine_of_this_process_cannot_be_detached(galaxies, tmp_path):
    with pytest.raises(SettingsError, match="Another process"):
        aml.predict(
            galaxies,
            model="galaxy_morphology",
            engine=aml.engine("here"),
            run=tmp_path / "run",
            detach=True,
        )


def test_a_shell_detaches_watches_and_lists(demo_archive, tmp_path):
    def shell(*words):
        done = subprocess.run(
            [sys.executable, "-m", "jupyter_astroml", *map(str, words), "--json"],
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    asked = ["--query", "SELECT TOP 6 * FROM demo.galaxies", "--archive", demo_archive.tap]
    assert shell("estimate", "galaxy_morphology", *asked)["objects"] == 6
    shell("predict", "galaxy_morphology", *asked, "--run", tmp_path / "run", "--detach")
    assert shell("watch", tmp_path / "run")["done"] == 6
    assert shell("stop", tmp_path / "run")["state"] == "done"
    assert [r["state"] for r in shell("runs", "--folder", tmp_path)] == ["done"]
