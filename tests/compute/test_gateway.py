"""A real Dask Gateway whose administrator offers options: chosen in a form, or by name in code."""

import os
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

SERVER = """
import sys
from dask_gateway_server.options import Integer, Options, Select
c = get_config()
c.DaskGateway.authenticator_class = "dask_gateway_server.auth.SimpleAuthenticator"
c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.DaskGateway.address = "127.0.0.1:0"
c.Proxy.address = "127.0.0.1:{port}"
c.ClusterConfig.scheduler_cmd = [sys.executable, "-m", "dask", "scheduler"]
c.ClusterConfig.worker_cmd = [sys.executable, "-m", "dask", "worker"]
c.Backend.cluster_options = Options(
    Integer("worker_cores", default=1, min=1, max=2, label="Cores"),
    Select("sky", options=["day", "night"], label="Sky"),
    handler=lambda chosen: {{"worker_cores": chosen.worker_cores}},
)
"""
NOTEBOOK = """
import compute_performs as performs
import jupyter_astroml as aml
from dask_gateway import Gateway
from jupyter_astroml.compute.dask_engine import Dask
from jupyter_astroml.core.errors import RunError
from jupyter_astroml.core.jobs import Block, Job

print([p.note for p in aml.engines() if p.cluster == "gateway"][0].split(":")[0])
try:
    aml.cluster("gateway", workers=1, worker_cores=5)
except RunError as err:
    print(err.cause)
form = aml.cluster_form()
form.workers.value, form.options.sky = 1, "night"
form.start.click()
print(form.told.value.split(" ", 1)[1])
objects = performs.references(4)
with Dask(performs.answers, cluster=form.cluster) as engine:
    jobs = engine.run(Job("predict", "m", "d", {}), iter([Block(0, objects)]))
    print([len(p) for _, p in jobs])
print(dict(Gateway().list_clusters()[0].options))
form.stop.click()
print(form.cluster, len(Gateway().list_clusters()))
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    if not find_spec("dask_gateway") or not find_spec("dask_gateway_server"):
        pytest.skip("no dask-gateway here: run tests/hub/install.sh")
    folder = tmp_path_factory.mktemp("gateway")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config.py").write_text(SERVER.format(port=port))
    program = Path(sys.executable).with_name("dask-gateway-server")
    server = subprocess.Popen(
        [str(program), "-f", str(folder / "config.py")],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
    )
    end = time.monotonic() + 60
    while socket.socket().connect_ex(("127.0.0.1", port)):
        assert time.monotonic() < end
        assert server.poll() is None
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(30)


def test_a_gateway_cluster_is_chosen_in_a_form_and_refused_in_plain_words(gateway):
    # dask-gateway leaves its connections to the collector: in a process of its own.
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK],
        env={
            **os.environ,
            "DASK_GATEWAY__ADDRESS": gateway,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == [
        "Dask Gateway at http",
        "worker_cores must be <= 2.000000, got 5",
        "is there: give cluster=form.cluster",
        "[4]",
        "{'worker_cores': 1, 'sky': 'night'}",
        "None 0",
    ]
