"""dask-gateway as another service of the hub, for clusters that users have to themselves.

Beside the pool: load_subconfig("gateway_config.py") after "pool_config.py", with
POOL_SERVICES="pool dask-gateway" in the hub's environment.
"""

import os
import sys
from pathlib import Path

CONFIG = os.environ.get("GATEWAY_CONFIG", "/etc/jupyterhub/dask_gateway_config.py")
LISTENS = os.environ.get("GATEWAY_LISTENS", "127.0.0.1:8001")
REACHED = os.environ.get("GATEWAY_REACHED", "http://127.0.0.1:8000/services/dask-gateway")

c = get_config()  # noqa: F821 - JupyterHub gives it
c.JupyterHub.services.append(
    {
        "name": "dask-gateway",
        "url": f"http://{LISTENS}",
        "command": [str(Path(sys.executable).with_name("dask-gateway-server")), "-f", CONFIG],
        "environment": {
            name: value for name, value in os.environ.items() if name.startswith("GATEWAY_")
        },
        "display": False,
    }
)
c.Spawner.environment.update(
    {
        "DASK_GATEWAY__ADDRESS": REACHED,
        # Talk with schedulers does not go through the hub's proxy, which knows HTTP only.
        "DASK_GATEWAY__PROXY_ADDRESS": f"gateway://{LISTENS}",
        "DASK_GATEWAY__AUTH__TYPE": "jupyterhub",
    }
)
