"""JupyterLab in a real browser: one server for the session, one fresh workspace for each test."""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import expect

TOKEN = "a-token-of-the-tests"
# A browser, a server and a kernel may share two busy cores.
expect.set_options(timeout=30_000)


@dataclass
class Lab:
    """A running JupyterLab."""

    url: str
    work: Path
    log: Path
    settings: Path

    def set(self, plugin: str, **values: object) -> None:
        """Write settings of a user, as the settings editor does."""
        package, name = plugin.rsplit(":", 1)
        path = self.settings / package / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


@dataclass
class Seen:
    """What a page has said and asked while a test ran."""

    errors: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="session")
def lab(tmp_path_factory, sky):
    root = tmp_path_factory.mktemp("lab")
    port = free_port()
    work = root / "work"
    work.mkdir()
    found = Lab(f"http://127.0.0.1:{port}", work, root / "lab.log", root / "settings")
    # No news and no updates: both want the network.
    found.set(
        "@jupyterlab/apputils-extension:notification", fetchNews="false", checkForUpdates=False
    )
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(root / "config"),
        "JUPYTER_DATA_DIR": str(root / "data"),
        "JUPYTER_RUNTIME_DIR": str(root / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(found.settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(root / "workspaces"),
        "IPYTHONDIR": str(root / "ipython"),
        "ASTROML_CACHE_DIR": str(sky),
        "ASTROML_RUN_DIR": str(root / "runs"),
        "OMP_NUM_THREADS": "1",
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
        *(f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}"),
        *(f"--ServerApp.root_dir={work}", "--LabApp.expose_app_in_browser=True"),
    ]
    with found.log.open("w") as log:
        server = subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait(found, server)
        yield found
    finally:
        _stop(server)
        _stop_demo_archive(root / "runtime")


def _stop(server: subprocess.Popen) -> None:
    server.terminate()
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        raise


def _stop_demo_archive(runtime: Path) -> None:
    # It serves all notebooks of a user, so it outlives a server.
    state = runtime / "jupyter_astroml" / "demo.json"
    if state.exists():
        with contextlib.suppress(ProcessLookupError):
            os.kill(json.loads(state.read_text())["pid"], signal.SIGTERM)


def _wait(lab: Lab, server: subprocess.Popen) -> None:
    end = time.monotonic() + 90
    while True:
        try:
            urllib.request.urlopen(f"{lab.url}/api?token={TOKEN}", timeout=2).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > end:
                pytest.fail(f"JupyterLab did not start:\n{lab.log.read_text()}")
            time.sleep(0.1)
        else:
            return


@pytest.fixture
def seen(page):
    found = Seen()
    page.on("console", lambda m: found.errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: found.errors.append(str(e)))
    page.on("requestfailed", lambda r: found.failed.append(r.url))
    page.on("request", lambda r: found.asked.append(r.url))
    return found


@pytest.fixture
def open_lab(page, lab, seen):
    """Open the lab, or a notebook in it, in a workspace of its own."""
    numbers = itertools.count()

    def go(path=""):
        tree = f"/tree/{path}" if path else ""
        name = f"test-{time.time_ns()}-{next(numbers)}"
        page.goto(f"{lab.url}/lab/workspaces/{name}{tree}?token={TOKEN}&reset")
        page.locator("#jupyterlab-splash").wait_for(state="detached", timeout=60_000)
        page.wait_for_function("window.jupyterapp && window.jupyterapp.shell")
        page.evaluate("() => window.jupyterapp.restored.then(() => true)")
        return page

    return go


@pytest.fixture
def shot(page):
    """Keep a picture, where a folder for them is named."""
    folder = os.environ.get("ASTROML_SCREENSHOTS")

    def take(name):
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}.png")

    return take
