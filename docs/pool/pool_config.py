"""The pool of jupyter_astroml as a service of a JupyterHub (5 or later).

Copy it beside the hub's configuration, and write in that: load_subconfig("pool_config.py").
"""

import os
import sys

# This hub's own values, which a systemd unit or a container may give.
POLICY = os.environ.get("POOL_POLICY", "/etc/jupyterhub/pool.yaml")
# Where the service listens: a port of the loopback, which the hub's proxy speaks to.
LISTENS = os.environ.get("POOL_LISTENS", "http://127.0.0.1:8790")
# The pool as the servers of the users reach it: the hub's address, and /services/pool.
REACHED = os.environ.get("POOL_REACHED", "http://127.0.0.1:8000/services/pool")
# An account of this machine for the pool, which owns its spool and can read no user's files.
# Empty: that of the hub.
ACCOUNT = os.environ.get("POOL_ACCOUNT", "")
# A secret that the hub shares with a pool that runs by itself (astroml-pool.service).
# Empty: the hub starts the pool.
TOKEN = os.environ.get("POOL_TOKEN", "")
# Services that every user may speak to: one more where dask-gateway stands beside the pool.
SERVICES = os.environ.get("POOL_SERVICES", "pool").split()
SCOPES = [f"access:services!service={name}" for name in SERVICES]

c = get_config()  # noqa: F821 - JupyterHub gives it

# It has no page that users would look for.
service = {"name": "pool", "url": LISTENS, "display": False}
if TOKEN:
    service["api_token"] = TOKEN
else:
    service["command"] = [
        *(sys.executable, "-m", "jupyter_astroml", "pool", "serve"),
        *("--policy", POLICY),
    ]
    # Where the models of this site are, and how many threads each worker's torch takes.
    kept = ("ASTROML_MODEL_PATH", "OMP_NUM_THREADS")
    service["environment"] = {name: os.environ[name] for name in kept if name in os.environ}
    if ACCOUNT:
        service["user"] = ACCOUNT
c.JupyterHub.services.append(service)

# Every user may speak to the pool.  A hub that defines the role 'user' elsewhere adds it there.
c.JupyterHub.load_roles.append({"name": "user", "scopes": ["self", *SCOPES]})

# The token in each user's server may do so, too: without the last line a notebook gets 403.
c.Spawner.server_token_scopes = ["users:activity!user", "access:servers!server", *SCOPES]

# What makes `engine="pool"` work, and the preferred one, in every notebook.
c.Spawner.environment.update({"ASTROML_POOL": REACHED})
