"""The configuration of dask-gateway itself; gateway_config.py names it to the hub."""

import os
import sys

c = get_config()  # noqa: F821 - dask-gateway gives it
c.DaskGateway.authenticator_class = "dask_gateway_server.auth.JupyterHubAuthenticator"
# Clusters are processes of this machine, under the account of their user.  It needs root, or sudo;
# a hub on Kubernetes or on a batch system names the backend of that.
c.DaskGateway.backend_class = os.environ.get(
    "GATEWAY_BACKEND", "dask_gateway_server.backends.local.LocalBackend"
)
c.DaskGateway.address = os.environ.get("GATEWAY_PRIVATE", "127.0.0.1:8002")
c.Proxy.address = os.environ.get("GATEWAY_LISTENS", "127.0.0.1:8001")
c.Proxy.prefix = "/services/dask-gateway"
# The names that dask-gateway starts by itself, dask-scheduler and dask-worker, are gone from Dask.
c.ClusterConfig.scheduler_cmd = [sys.executable, "-m", "dask", "scheduler"]
c.ClusterConfig.worker_cmd = [sys.executable, "-m", "dask", "worker"]
# What one cluster may take.
c.ClusterConfig.worker_cores = 1
c.ClusterConfig.worker_memory = "2 G"
c.ClusterConfig.cluster_max_workers = 4
c.ClusterConfig.idle_timeout = 3600
