"""dask-gateway on the same hub: a cluster that a user has alone, beside the pool of everybody."""

import subprocess
import sys
from importlib.util import find_spec

import pytest
from hubs import SHIPPED

SCRIPT = """
from dask_gateway import Gateway

import jupyter_astroml as aml

rows = aml.archive("demo").query("SELECT TOP 16 * FROM demo.galaxies ORDER BY id")
with Gateway() as gateway, gateway.new_cluster() as cluster:
    cluster.scale(1)
    with cluster.get_client() as client:
        client.wait_for_workers(1, timeout=120)
    run = aml.predict(
        rows, model="galaxy_morphology", cluster=cluster, block=4, progress=False
    )
    print(run.predictions().ok.sum(), "answers of the engine", run.meta["engine"])
    print(len(gateway.list_clusters()), "cluster")
"""


@pytest.fixture(scope="module")
def hub_with_gateway(make_hub):
    if not find_spec("dask_gateway") or not find_spec("dask_gateway_server"):
        pytest.skip("no dask-gateway here: run tests/hub/install.sh")
    hub = make_hub(more=[SHIPPED / "gateway_config.py"], workers={"count": 1})
    yield hub
    hub.stop()


@pytest.mark.timeout(400)
def test_a_user_runs_a_model_on_a_gateway_cluster(hub_with_gateway):
    hub = hub_with_gateway
    hub.start_server("bob")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=hub.server_environment("bob"),
        cwd=hub.home / "bob",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr[-3000:]}\n{hub.told()}"
    assert done.stdout.splitlines() == ["16 answers of the engine dask", "1 cluster"]


def test_a_token_without_the_gateway_scope_makes_no_cluster(hub_with_gateway):
    hub = hub_with_gateway
    page = f"{hub.url}/services/dask-gateway/api/v1/clusters/"
    may = hub.token("alice", scopes=["access:services!service=dask-gateway"])
    assert hub.status_of(page, kind="jupyterhub", token=may["token"]) == 200
    assert hub.status_of(page, kind="jupyterhub", token=hub.token("alice")["token"]) == 401
