"""A real JupyterHub for the tests: proxy, users' servers, and the pool as its service."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import requests
import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SHIPPED = ROOT / "docs" / "pool"
ACCESS = "access:services!service=pool"
_MARK = "HUB_OF_THE_TESTS"


def proxy_command():
    """The proxy that `install.sh` puts beside Python, or one that is named."""
    beside = str(Path(sys.executable).parent)
    path = os.environ.get("ASTROML_HUB_PROXY") or shutil.which(
        "configurable-http-proxy", path=os.pathsep.join([beside, os.environ["PATH"]])
    )
    return [path] if path else []


def free_ports(number):
    """Ports that were free a moment ago, all of them different."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


class Hub:
    """One hub with everything it started.

    Parameters
    ----------
    home : Path
        Folder for all its files.
    policy : dict
        What is other than in the administrator's file.
    environment : dict
        Of the users' servers.
    more : list of Path
        Further configuration files.
    apart : bool
        Whether the pool runs by itself, as under systemd.
    """

    def __init__(self, home, *, policy, environment, more=(), apart=False):
        self.home = home
        home.mkdir(parents=True)
        front, hub, api, pool, gateway, private = free_ports(6)
        self.url = f"http://127.0.0.1:{front}"
        self.api = f"{self.url}/hub/api"
        self.pool = f"{self.url}/services/pool"
        # As the proxy sees it: what remains when the hub is gone.
        self.pool_itself = f"http://127.0.0.1:{pool}/services/pool"
        self.password = secrets.token_urlsafe(24)
        self.services = {name: secrets.token_hex(16) for name in ("tests", "other", "prometheus")}
        self.log = home / "hub.log"
        for user in ("alice", "bob", "carol", "ada"):
            (home / user).mkdir()
        about = {
            "home": str(home),
            "url": self.url,
            "hub": f"http://127.0.0.1:{hub}",
            "proxy": proxy_command(),
            "proxy_api": f"http://127.0.0.1:{api}",
            "password": self.password,
            "pool_config": str(SHIPPED / "pool_config.py"),
            "more": [str(path) for path in more],
            "services": self.services,
            "environment": environment,
        }
        (home / "about.json").write_text(json.dumps(about))
        shipped = yaml.safe_load((SHIPPED / "policy.yaml").read_text())
        own = {**shipped, "spool": str(home / "spool"), **policy}
        (home / "pool.yaml").write_text(yaml.safe_dump(own))
        self._environment = {
            **os.environ,
            _MARK: str(home / "about.json"),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "OMP_NUM_THREADS": "1",
            "POOL_POLICY": str(home / "pool.yaml"),
            "POOL_LISTENS": f"http://127.0.0.1:{pool}",
            "POOL_REACHED": self.pool,
            "POOL_SERVICES": "pool dask-gateway",
            "GATEWAY_CONFIG": str(SHIPPED / "dask_gateway_config.py"),
            # The other one wants an account of the machine for each user.
            "GATEWAY_BACKEND": "dask_gateway_server.backends.local.UnsafeLocalBackend",
            "GATEWAY_LISTENS": f"127.0.0.1:{gateway}",
            "GATEWAY_PRIVATE": f"127.0.0.1:{private}",
            "GATEWAY_REACHED": f"{self.url}/services/dask-gateway",
        }
        self.process = self.pool_process = None
        self._about_pool = {}
        if apart:
            secret = secrets.token_hex(32)
            self._environment["POOL_TOKEN"] = secret
            self._about_pool = {
                "JUPYTERHUB_API_TOKEN": secret,
                "JUPYTERHUB_API_URL": f"http://127.0.0.1:{hub}/hub/api",
                "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{pool}",
            }

    # Life -------------------------------------------------------------------------------------

    def start(self):
        if self._about_pool and self.pool_process is None:
            self._start_pool()
        with self.log.open("ab") as log:
            self.process = psutil.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", str(HERE / "jupyterhub_config.py")],
                env=self._environment,
                cwd=self.home,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.until(self._ready, "the pool is ready", seconds=120)
        return self

    def _start_pool(self):
        """Do what systemd would do with the administrator's files."""
        lines = (SHIPPED / "pool.env").read_text().splitlines()
        given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        assert set(self._about_pool) < set(given)
        unit = (SHIPPED / "astroml-pool.service").read_text()
        (line,) = re.findall("^ExecStart=(.*)", unit, re.M)
        program, room, *words = line.split()
        assert (Path(program).name, room) == ("jupyter", "astroml")
        words[words.index("--policy") + 1] = str(self.home / "pool.yaml")
        with (self.home / "pool.log").open("ab") as log:
            self.pool_process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_astroml", *words],
                env={**os.environ, **given, **self._about_pool},
                cwd=self.home,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the hub ended:\n{self.told()}")
        return self.status_of(f"{self.pool}/ready") == 200

    def status_of(self, url, token="", *, kind="token"):
        """Status of an answer; 0 if there is none."""
        headers = {"Authorization": f"{kind} {token}"} if token else {}
        try:
            return requests.get(url, headers=headers, timeout=30).status_code
        except requests.RequestException:
            return 0

    def until(self, true, what, *, seconds=60):
        end = time.monotonic() + seconds
        while not (found := true()):
            assert time.monotonic() < end, f"not within {seconds} s: {what}\n{self.told()}"
            time.sleep(0.5)
        return found

    def told(self):
        return self.log.read_text(errors="replace")[-6000:]

    def service_process(self):
        """The process of the pool that listens."""
        found = [p for p in self.processes() if _words(p)[-3:-1] == ["serve", "--policy"]]
        return found[0] if found else None

    def server_environment(self, user):
        """What a process that the user starts in JupyterLab gets."""
        for process in self.processes():
            with suppress(psutil.Error):
                found = process.environ()
                if found.get("JUPYTERHUB_USER") == user and "jupyterhub.singleuser" in _words(
                    process
                ):
                    return found
        raise AssertionError(f"{user} has no server")

    def processes(self):
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self):
        """End the hub as its service manager would, and whatever it left behind."""
        if self.process is None:
            return
        for process in filter(None, (self.process, self.pool_process)):
            if process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired, psutil.TimeoutExpired):
                    process.wait(40)
        for process in self._ours():
            with suppress(psutil.Error):
                process.kill()
        self.process.wait(10)

    def kill(self):
        """As when its machine's memory is full; what it started goes on."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def _ours(self):
        """Processes that name this hub's folder in their command or their environment."""
        home = str(self.home)
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if any(home in text for text in (*process.cmdline(), *process.environ().values())):
                    yield process

    # Asking the hub ---------------------------------------------------------------------------

    def ask(self, method, path, **body):
        reply = requests.request(
            method,
            f"{self.api}/{path}",
            headers={"Authorization": f"token {self.services['tests']}"},
            json=body or None,
            timeout=60,
        )
        assert reply.ok, f"{method} {path}: {reply.status_code} {reply.text}"
        return reply.json() if reply.content else {}

    def token(self, user, scopes=(ACCESS,)):
        """A new token of a user; its name is under 'id'."""
        return self.ask("POST", f"users/{user}/tokens", scopes=list(scopes), note="tests")

    def start_server(self, user):
        self.ask("POST", f"users/{user}/server")
        self.until(lambda: self.ask("GET", f"users/{user}")["server"], f"the server of {user}")


def _words(process):
    with suppress(psutil.Error):
        return process.cmdline()
    return []
