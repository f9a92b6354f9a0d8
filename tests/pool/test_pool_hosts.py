"""A pool whose workers are on hosts of their own, with nothing between them but a network."""

import os
import shutil
import subprocess
import time
from contextlib import suppress

import numpy as np
import pytest
import requests
from hosts import HERE, Network, certificate, dask_command
from pools import SITE, free_port


@pytest.fixture
def network():
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces want root and iproute2")
    made = Network()
    yield made
    made.close()


@pytest.fixture
def cluster(network, site, tmp_path):
    """A Dask scheduler here, and a worker on each of two other hosts."""
    tls, port = certificate(tmp_path), free_port()
    address, log = f"tls://{HERE}:{port}", tmp_path / "dask.log"
    environment = {
        **os.environ,
        "ASTROML_MODEL_PATH": str(site),
        "PYTHONPATH": os.pathsep.join([str(SITE), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
    }
    with log.open("ab") as file:
        scheduler = subprocess.Popen(
            dask_command("scheduler", tls, "--host", HERE, "--port", str(port)),
            stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=tmp_path,
        )  # fmt: skip
    hosts = [network.host(), network.host()]
    for host in hosts:
        command = dask_command(
            "worker", tls, "--host", host.address, "--nthreads", "1", "--memory-limit", "1GiB",
            "--local-directory", str(tmp_path / host.name), address,
        )  # fmt: skip
        host.run(*command, log=log, env=environment, cwd=tmp_path)
    yield {"kind": "scheduler", "address": address, **tls}, hosts
    scheduler.kill()
    scheduler.wait()


def workers(root):
    with suppress(requests.RequestException):
        return [each["address"] for each in root.get("status")["workers"]]
    return []


@pytest.mark.timeout(180)
def test_a_host_that_is_cut_off_in_mid_run_loses_nothing(make_pool, cluster, client, job, objects):
    where, (near, far) = cluster
    pool = make_pool("hosts", where=where, deadline=3.0)
    ready, root = client(pool), client(pool, "root")
    end = time.monotonic() + 60
    while len(workers(root)) < 2 and time.monotonic() < end:
        time.sleep(0.2)
    assert {address.split("/")[2].split(":")[0] for address in workers(root)} == {
        near.address,
        far.address,
    }
    chunks = [objects(500, seed=seed) for seed in range(10)]
    name = ready.create(job("slow"))
    for number, values in enumerate(chunks):
        ready.send(name, number, values)
    ready.fetch(name, 2)

    far.cut_off()

    begin = time.monotonic()
    for number, values in enumerate(chunks):
        got = ready.fetch(name, number)
        assert not got.status.any()
        mean = values.reshape(len(values), -1).mean(axis=1, dtype=np.float32)
        np.testing.assert_allclose(got.outputs[:, 0], np.stack([mean, -mean], 1), rtol=1e-5)
    assert root.get("status")["events"]["workers_lost"] >= 1
    assert [near.address in address for address in workers(root)] == [True]
    print(f"the run went on for {time.monotonic() - begin:.1f} s with one host of two")
