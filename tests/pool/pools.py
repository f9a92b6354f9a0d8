"""Real pools for the tests: a process of its own, real tokens, real workers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt
import psutil
import requests
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

SITE = Path(__file__).parent / "site"
SIDE = 8


class Provider:
    """A provider of identity: signs tokens, and publishes the key to check them with."""

    def __init__(self):
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        body = json.dumps({"keys": [{**public, "kid": "one", "alg": "RS256", "use": "sig"}]})

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *about):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def token(self, user, *, groups=(), seconds=3600, key=None, **claims):
        about = {
            "iss": self.url,
            "aud": "pool",
            "exp": time.time() + seconds,
            "preferred_username": user,
            "groups": list(groups),
        }
        key = key or self._key
        return jwt.encode({**about, **claims}, key, algorithm="RS256", headers={"kid": "one"})

    def policy(self):
        return {"issuer": self.url, "audience": "pool", "keys": f"{self.url}/keys"}

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def poison_model(folder, name="poison", **options):
    """A site's model that does what its input says."""
    import torch
    from safetensors.torch import save_file

    from jupyter_astroml.models.cards import Facts, digest_of, write_facts
    from jupyter_astroml.models.catalogue import find

    bundled = yaml.safe_load((find("galaxy_morphology").folder / "card.yaml").read_text())
    bundled["id"] = name
    bundled["input"] |= {"bands": ["r"], "size": [SIDE, SIDE]}
    bundled["network"] = {"architecture": "poison", "options": options}
    bundled["outputs"]["names"] = ["plus", "minus"]
    home = folder / name
    home.mkdir(parents=True)
    (home / "card.yaml").write_text(yaml.safe_dump(bundled))
    save_file({"scale": torch.ones(1)}, home / "weights.safetensors")
    digest = digest_of(home / "weights.safetensors")
    write_facts(home, Facts(digest=digest))
    return digest


class Service:
    """A pool in a process of its own, with everything it started."""

    def __init__(self, folder, *, models, policy, environment=()):
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "pool.log"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "policy.yaml").write_text(
            yaml.safe_dump({"spool": str(folder / "spool"), **policy})
        )
        self._environment = {
            **os.environ,
            "ASTROML_MODEL_PATH": str(models),
            "PYTHONPATH": os.pathsep.join([str(SITE), os.environ.get("PYTHONPATH", "")]),
            "OMP_NUM_THREADS": "1",
            **dict(environment),
        }
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "jupyter_astroml", "pool", "serve"),
                    *("--policy", str(self.folder / "policy.yaml"), "--port", str(self.port)),
                ],
                env=self._environment,
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wait()
        return self

    def wait(self, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"the pool ended: {self.log.read_text()[-3000:]}")
            with suppress(requests.RequestException):
                if requests.get(f"{self.url}/ready", timeout=5).status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(f"the pool is not ready: {self.log.read_text()[-3000:]}")

    @property
    def workers(self):
        """Processes in which models run: the youngest generation."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        return [p for p in found if not p.children() and "resource_tracker" not in cmdline(p)]

    def kill(self):
        """As the kernel's memory guard would: at once, and nothing is asked."""
        left = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait()
        return left

    def stop(self, seconds=40):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise


def cmdline(process):
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
