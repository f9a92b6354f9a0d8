"""A run that waits: its driver ends within a block, and the pause outlives every process."""

import asyncio
import json
import subprocess
import sys
import time

import pytest

import jupyter_astroml as aml
from jupyter_astroml.compute.run import Run
from jupyter_astroml.core.errors import RunError

NOTEBOOK = """
import sys
import jupyter_astroml as aml
rows = aml.archive(sys.argv[1]).query("SELECT TOP 60 * FROM demo.galaxies ORDER BY id")
try:
    aml.predict(rows, model="galaxy_morphology", run=sys.argv[2], block=1, engine="here",
                progress=False)
except aml.AstroMLError as err:
    print(err.what)
"""


@pytest.fixture(scope="module")
def galaxies(demo_archive):
    with aml.archive(demo_archive.tap) as sky:
        return sky.query("SELECT TOP 60 * FROM demo.galaxies ORDER BY id")


def test_a_cell_of_another_notebook_is_paused_and_another_goes_on(demo_archive, tmp_path):
    folder = tmp_path / "run"
    notebook = subprocess.Popen(
        [sys.executable, "-c", NOTEBOOK, demo_archive.tap, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 120
    while not any(folder.glob("blocks/0*")):
        assert time.monotonic() < end
        time.sleep(0.05)
    made = aml.pause(folder)
    assert made.driver() is None
    done = made.progress().done
    assert 0 < done < 60
    assert notebook.communicate(timeout=100)[0] == (
        f"The run run is paused, with {done} of 60 objects done\n"
    )
    assert [r.summary["state"] for r in aml.runs(tmp_path)] == ["paused"]
    with pytest.raises(RunError, match="is paused"):
        aml.watch(folder, progress=False)
    # The shell of tomorrow.
    shell = [sys.executable, "-m", "jupyter_astroml"]
    told = subprocess.run(
        [*shell, "resume", str(folder), "--detach", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    )
    assert json.loads(told.stdout)["state"] in ("running", "done")
    assert aml.watch(folder, progress=False).summary["state"] == "done"
    assert not made.paused


def test_a_pause_frees_the_workers_and_the_run_goes_on_elsewhere(galaxies, tmp_path):
    folder, told, others = tmp_path / "run", [], _workers()

    def paused(at):
        told.append(at)
        if at.done and not Run.open(folder).paused:
            # A callback of the driver itself must not wait for it.
            aml.pause(folder)

    with pytest.raises(RunError, match="is paused") as waits:
        aml.predict(
            galaxies,
            model="galaxy_morphology",
            run=folder,
            block=1,
            engine="dask",
            workers=1,
            progress=paused,
        )
    assert str(folder) in waits.value.remedy
    made = Run.open(folder)
    assert 0 < made.progress().done < 60
    assert made.summary["state"] == "paused"
    assert _workers() == others
    assert aml.resume(folder, engine="here", progress=False).summary["state"] == "done"
    assert aml.pause(folder).summary["state"] == "done"


def _workers() -> set[int]:
    """Return the worker processes that this one has, those of other tests too."""
    import psutil

    return {
        child.pid
        for child in psutil.Process().children(recursive=True)
        if "spawn_main" in " ".join(child.cmdline())
    }


def test_the_buttons_of_the_monitor_pause_a_run_and_go_on(galaxies, tmp_path):
    async def watched():
        made = aml.predict(
            galaxies, model="galaxy_morphology", run=tmp_path / "run", block=1, detach=True
        )
        monitor = aml.monitor(made)

        async def until(state):
            end = time.monotonic() + 120
            while monitor.state != state:
                assert time.monotonic() < end
                await asyncio.sleep(0.05)

        await until("running")
        monitor.pause.click()
        await until("paused")
        assert (monitor.pause.disabled, monitor.resume.disabled) == (True, False)
        assert made.driver() is None
        assert monitor.bar.value == made.progress().done < 60
        monitor.resume.click()
        await until("done")
        assert monitor.bar.value == 60
        assert "60 of 60" in monitor.told.value
        assert (monitor.pause.disabled, monitor.resume.disabled) == (True, True)

    asyncio.run(watched())


def test_the_monitor_of_a_script_shows_how_it_is(galaxies, tmp_path):
    aml.predict(
        galaxies[:2], model="galaxy_morphology", run=tmp_path / "<b>", block=1, progress=False
    )
    monitor = aml.monitor(tmp_path / "<b>")
    assert (monitor.state, monitor.bar.value) == ("done", 2)
    assert "<b>" not in monitor.told.value
