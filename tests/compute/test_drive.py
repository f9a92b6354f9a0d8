from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import compute_performs as performs
import psutil
import pytest

from jupyter_astroml.compute.drive import drive
from jupyter_astroml.compute.here import Here
from jupyter_astroml.compute.run import Run
from jupyter_astroml.core.errors import RunError

HERE = Path(__file__).parent


@pytest.fixture
def make_run(tmp_path, make_job):
    def make(n=60, size=5, name="run", **options) -> Run:
        data = performs.references(n)
        return Run.create(tmp_path / name, job=make_job(**options), data=data, block_size=size)

    return make


@pytest.fixture(params=["here", "dask"])
def engine(request):
    if request.param == "here":
        return Here(performs.answers)
    return request.getfixturevalue("cluster_engine")


def test_a_driven_run_holds_the_answers_of_every_object(make_run, engine):
    run = make_run()
    at = drive(run, engine)
    assert (at.done, at.total, at.failed, at.finished) == (60, 60, 6, True)
    again = Run.open(run.folder)
    assert performs.same(again.predictions(), performs.answers(run.job, performs.references(60)))
    assert again.predictions().meta["engine"] == engine.name
    assert 0 < again.progress().seconds < 60


def test_only_what_is_missing_is_done(make_run, engine, log):
    run = make_run()
    for index in (0, 3, 7):
        block = run.block(index)
        run.add(block, performs.answers(run.job, block.data))
    for path in log.iterdir():
        path.unlink()
    drive(run, engine)
    assert len(performs.notes(log)) == 9
    drive(run, engine)
    assert len(performs.notes(log)) == 9


def test_progress_is_told_twice_a_second_while_a_block_takes_long(make_run):
    run = make_run(n=4, size=2, seconds=1.2)
    told = []
    drive(run, Here(performs.answers), progress=lambda at: told.append((time.monotonic(), at)))
    times = [t for t, _ in told]
    assert max(b - a for a, b in pairwise(times)) < 0.5
    assert [at.done for _, at in told][-1] == 4
    assert told[-1][1].eta == 0.0
    halfway = [at for _, at in told if at.done == 2]
    assert all(at.eta is not None and at.eta > 0.5 for at in halfway)
    assert told[0][1].eta is None


@pytest.mark.parametrize("how", ["callable", "event"])
def test_a_cancel_stops_within_a_block_and_the_run_can_go_on(make_run, engine, log, how):
    run = make_run(n=400, size=5, seconds=0.2)
    event = threading.Event()
    seen = []

    def told(at):
        if at.done >= 10 and not seen:
            seen.append(time.monotonic())
            event.set()

    cancel = event if how == "event" else event.is_set
    at = drive(run, engine, progress=told, cancel=cancel)
    assert time.monotonic() - seen[0] < 0.2 + 1.0
    assert 10 <= at.done < 60
    assert not at.finished
    begun = len(performs.notes(log))
    time.sleep(0.6)
    assert len(performs.notes(log)) <= begun + 2
    if how == "event":
        short = make_run(n=20, size=5, name="short")
        assert drive(short, engine).finished


@pytest.fixture
def listens_to_ctrl_c():
    """A job in the background of a shell starts deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listens_to_ctrl_c")
def test_ctrl_c_leaves_a_run_that_can_be_resumed(make_run, engine):
    run = make_run(n=200, size=5, seconds=0.05)

    def interrupted(at):
        if at.done >= 20:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        drive(run, engine, progress=interrupted)
    assert 0 < run.progress().done < 200
    fast = Run.open(run.folder)
    assert drive(fast, engine).finished


def test_an_error_in_a_block_keeps_the_others_and_the_run_can_go_on(make_run, engine, log):
    run = make_run(bug="o00042")
    with pytest.raises(RunError, match="Block 8 failed") as caught:
        drive(run, engine)
    assert "ZeroDivisionError: a bug of ours" in caught.value.cause
    arrived = run.progress().done
    # On two workers, blocks after the failing one may have arrived, and one before it may not.
    assert 30 <= arrived < 60
    about = json.loads((run.folder / "run.json").read_text())
    del about["job"]["options"]["bug"]
    (run.folder / "run.json").write_text(json.dumps(about))
    assert drive(Run.open(run.folder), engine).finished


def test_a_run_cannot_be_driven_twice_at_once(make_run):
    run = make_run(n=4, size=2, seconds=0.3)
    refused = []

    def second(_):
        if not refused:
            with pytest.raises(RunError, match="already"):
                drive(Run.open(run.folder), Here(performs.answers))
            refused.append(1)

    assert drive(run, Here(performs.answers), progress=second).finished
    assert refused


def test_an_error_of_the_progress_function_stops_the_run_and_frees_it(make_run, engine):
    run = make_run()

    def broken(_):
        raise LookupError

    with pytest.raises(LookupError):
        drive(run, engine, progress=broken)
    assert drive(run, engine).finished


DRIVE = """
import sys
import compute_performs as performs
from jupyter_astroml.compute.run import Run
from jupyter_astroml.compute.drive import drive
from jupyter_astroml.compute.here import Here

def main():
    run = Run.open(sys.argv[1])
    if sys.argv[2] == "here":
        engine = Here(performs.answers)
    else:
        from jupyter_astroml.compute.dask_engine import Dask
        engine = Dask(performs.answers, workers=2)
    drive(run, engine)
    engine.close()
    print("finished", flush=True)

if __name__ == "__main__":
    main()
"""


def start_driver(tmp_path: Path, run: Run, engine: str) -> subprocess.Popen:
    script = tmp_path / "driver.py"
    script.write_text(DRIVE)
    return subprocess.Popen(
        [sys.executable, str(script), str(run.folder), engine],
        env={**os.environ, "PYTHONPATH": str(HERE)},
        stdout=subprocess.PIPE,
    )


def family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


@pytest.mark.parametrize(("engine", "in_flight"), [("here", 1), ("dask", 6)])
def test_a_driver_killed_at_any_moment_loses_only_what_was_in_flight(
    tmp_path, make_run, log, engine, in_flight
):
    run = make_run(n=300, size=5, seconds=0.02)
    rng = random.Random(4)
    kills = 3 if engine == "here" else 1
    for _ in range(kills):
        before = run.progress().done
        with start_driver(tmp_path, run, engine) as driver:
            # Killed in the middle of its work, at a moment that has nothing to do with blocks.
            while Run.open(run.folder).progress().done < before + 40:
                assert driver.poll() is None
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.1))
            everyone = family(driver.pid)
            driver.kill()
            driver.wait()
        _, alive = psutil.wait_procs(everyone, timeout=20)
        assert not alive, "workers outlive their driver"
        assert before + 40 <= run.progress().done < 300
    performed = {n["first"] for n in performs.notes(log)}
    with start_driver(tmp_path, run, engine) as driver:
        assert driver.communicate(timeout=60)[0] == b"finished\n"
    assert run.progress().finished
    begun = performs.notes(log)
    # In the driver, 4 results may wait, one before them and one that is being written.
    assert 60 <= len(begun) <= 60 + kills * (in_flight + 4 + 2)
    assert len(performed) < 60
    assert performs.same(run.predictions(), performs.answers(run.job, performs.references(300)))


MEMORY = """
import sys
from pathlib import Path
import compute_performs as performs
from jupyter_astroml.compute.drive import drive
from jupyter_astroml.compute.here import Here
from jupyter_astroml.compute.run import Run

drive(Run.open(sys.argv[1]), Here(performs.answers))
# Not ru_maxrss, which begins at what the parent had.
status = Path("/proc/self/status").read_text()
print(1024 * int(status.split("VmHWM:")[1].split()[0]))
"""


def peak_bytes(run: Run) -> int:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(run.folder)],
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_memory_does_not_grow_with_the_number_of_samples(tmp_path, make_job):
    peaks = []
    for n in (64, 1280):
        data = performs.cutouts(n, side=64)
        made = Run.create(tmp_path / str(n), job=make_job(), data=data, block_size=16)
        peaks.append(peak_bytes(made))
    # 1280 of these samples are 42 MB; the rest is what each process varies by itself.
    assert peaks[1] - peaks[0] < 14e6, peaks
