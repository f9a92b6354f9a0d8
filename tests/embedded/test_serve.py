"""Starting, finding and ending archives."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest
import requests

from jupyter_astroml.core.errors import ArchiveError, DataError, SettingsError
from jupyter_astroml.embedded import serve


@pytest.fixture
def here(monkeypatch, surroundings, demo_folder, tmp_path):
    """Let archives of a test use the cached demo sky and a runtime folder of their own."""
    monkeypatch.setenv("ASTROML_CACHE_DIR", surroundings["ASTROML_CACHE_DIR"])
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    yield tmp_path / "jupyter_astroml"
    found = serve._known(tmp_path / "jupyter_astroml")
    if found is not None:
        found.stop()


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/tap/availability", timeout=5).ok
    except requests.ConnectionError:
        return False


def gone(pid: int, seconds: float = 15) -> bool:
    """Wait for a process to end; one that nobody has taken note of counts as ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_a_child_serves_until_the_context_ends(here):
    with serve.start() as running:
        assert answers(running.url)
        assert running.tap == f"{running.url}/tap"
        assert running.url.startswith("http://127.0.0.1:")
    assert not answers(running.url)
    assert not psutil.pid_exists(running.pid)
    running.stop()  # once more does no harm


def test_starting_costs_less_than_three_seconds_of_processor_time(here):
    """Time on the wall depends on what else runs; the time of the processor does not."""
    with serve.start() as running:
        assert answers(running.url)
        spent = psutil.Process(running.pid).cpu_times()
        assert spent.user + spent.system < 3


def test_a_child_dies_with_its_parent_however_that_ends(here):
    program = (
        "import os, signal; from jupyter_astroml.embedded import serve; "
        "print(serve.start().pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert gone(int(done.stdout))


def test_in_the_foreground_one_line_tells_the_address_and_a_signal_ends_it(here):
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyter_astroml.embedded", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        line = process.stdout.readline().strip()
        assert line.endswith("/tap")
        assert requests.get(f"{line}/availability", timeout=10).ok
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == ""
        assert process.wait(15) == 0


def test_a_taken_port_is_an_error_that_says_so(archive, here):
    port = int(archive.url.rsplit(":", 1)[1])
    with pytest.raises(ArchiveError, match=f"port {port} cannot be used"):
        serve.start(port=port)


def test_an_error_of_the_child_keeps_its_kind_and_its_remedy(here, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="nothing to publish") as caught:
        serve.start(empty)
    assert "archive-folder" in caught.value.remedy
    with pytest.raises(DataError, match="no folder"):
        serve.start(tmp_path / "nosuch")


def test_the_demo_archive_is_one_for_all_and_ends_on_request(here):
    first = serve.demo()
    with serve.demo() as second:
        assert second == first
    assert answers(first.url)  # leaving the context does not take it from the others
    state = serve._state(here)
    assert state.stat().st_mode & 0o077 == 0
    assert json.loads(state.read_text())["pid"] == first.pid
    first.stop()
    assert gone(first.pid)
    assert not answers(first.url)
    third = serve.demo()
    assert third.pid != first.pid
    third.stop()


def test_the_demo_sky_is_built_by_the_archive_and_not_by_the_one_who_asks(
    here, monkeypatch, tmp_path
):
    """A Jupyter server asks, and must go on answering others while the sky is drawn."""
    monkeypatch.setenv("ASTROML_CACHE_DIR", str(tmp_path / "empty"))
    told = []
    before = time.process_time()
    running = serve.demo(progress=told.append)
    spent = time.process_time() - before
    assert answers(running.url)
    assert "drawing field 1 of 8" in told
    built = psutil.Process(running.pid).cpu_times()
    assert spent < (built.user + built.system) / 2
    running.stop()


def test_an_error_of_the_demo_archive_keeps_its_kind(here, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("ASTROML_CACHE_DIR", str(tmp_path / "file" / "below"))
    with pytest.raises(SettingsError, match="demo sky cannot be kept"):
        serve.demo()


def test_two_who_ask_at_once_get_the_same_demo_archive(here):
    found = []
    asking = [threading.Thread(target=lambda: found.append(serve.demo())) for _ in range(3)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert len({r.pid for r in found}) == 1
    found[0].stop()


def test_a_demo_archive_outlives_the_process_that_asked_for_it(here):
    program = "from jupyter_astroml.embedded import serve; print(serve.demo().pid)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    found = serve.demo()
    assert found.pid == int(done.stdout)
    assert answers(found.url)
    found.stop()


@pytest.mark.parametrize(
    "state",
    [
        "",
        "[]",
        "{}",
        '{"url": "http://127.0.0.1:9", "pid": 1, "instance": "x"}',
        '{"url": "http://127.0.0.1:9", "pid": "many", "instance": "x"}',
    ],
)
def test_a_stale_note_of_an_archive_is_not_believed(here, state):
    here.mkdir(parents=True, exist_ok=True)
    serve._state(here).write_text(state)
    assert serve._known(here) is None


def test_another_program_under_the_noted_address_is_left_alone(here, archive):
    """The port and the process number may belong to something else by now."""
    here.mkdir(parents=True, exist_ok=True)
    noted = {"url": archive.url, "pid": os.getpid(), "instance": "of another archive"}
    serve._state(here).write_text(json.dumps(noted))
    assert serve._known(here) is None
    serve.Running(archive.url, os.getpid(), None, "of another archive").stop()
    assert answers(archive.url)


def test_a_demo_archive_of_another_version_is_left_to_those_who_use_it(here, monkeypatch):
    old = serve.demo()
    monkeypatch.setattr(serve, "version", lambda: "newer")
    assert serve._known(here) is None
    assert answers(old.url)
    old.stop()
    assert gone(old.pid)


def test_the_demo_archive_comes_back_at_its_address(here):
    first = serve.demo()
    first.stop()
    assert gone(first.pid)
    assert serve.demo().url == first.url


def test_where_the_port_is_taken_the_demo_archive_takes_another(here):
    here.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", serve._preferred(here))) as taken:
        running = serve.demo()
        assert answers(running.url)
        assert not running.url.endswith(f":{taken.getsockname()[1]}")


def test_an_archive_that_nobody_asks_ends_by_itself(here, tmp_path):
    state = tmp_path / "state.json"
    command = [sys.executable, "-m", "jupyter_astroml.embedded", "--state", str(state)]
    process = subprocess.Popen([*command, "--idle-minutes", "0.05"], stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while not state.exists() and time.monotonic() < end:
            time.sleep(0.05)
        url = json.loads(state.read_text())["url"]
        for _ in range(5):  # five seconds of requests keep it alive beyond its three
            assert answers(url)
            time.sleep(1)
        assert process.wait(20) == 0
        assert not state.exists()
    finally:
        process.kill()
        process.wait()
