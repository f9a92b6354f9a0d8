"""Clusters that the user started in JupyterLab's Dask panel (dask-labextension).

They live in the user's own Jupyter server, whose extension lists them at ``dask/clusters``.
A server leaves a note with its address and token in the user's runtime folder; on a hub the token
is that of the environment, and goes to the server with the user's own prefix only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PATIENCE = 2.0
_MOST_BYTES = 1 << 20
_MOST_SERVERS = 8
_MOST_CLUSTERS = 50
_MOST_TEXT = 200


@dataclass(frozen=True)
class LabCluster:
    """A cluster as the panel shows it.

    Attributes
    ----------
    name, address : str
    workers : int
    """

    name: str
    address: str
    workers: int


def lab_clusters() -> list[LabCluster]:
    """Return the clusters of this user's Jupyter servers; none where nothing answers."""
    found: dict[str, LabCluster] = {}
    for server in _servers():
        for cluster in _asked(server):
            found.setdefault(cluster.address, cluster)
    return list(found.values())[:_MOST_CLUSTERS]


def _servers() -> Iterator[Mapping[str, Any]]:
    """Yield the notes of servers that run, those of our own process tree or not."""
    from jupyter_core.paths import jupyter_runtime_dir

    notes = sorted(Path(jupyter_runtime_dir()).glob("jpserver-*.json"))
    for path in notes[:_MOST_SERVERS]:
        try:
            note = json.loads(path.read_text())
            os.kill(int(note["pid"]), 0)
        except (OSError, OverflowError, ValueError, TypeError, KeyError):
            continue
        yield note


def _asked(server: Mapping[str, Any]) -> Iterator[LabCluster]:
    import requests

    url = str(server.get("url", ""))
    if not url.startswith(("http://", "https://")):
        return
    token = server.get("token") or _hub_token(server)
    with requests.Session() as session:
        # No proxy, and no password of ~/.netrc in the place of the token.
        session.trust_env = False
        try:
            with session.get(
                f"{url.rstrip('/')}/dask/clusters",
                headers={"Authorization": f"token {token}"} if token else {},
                timeout=_PATIENCE,
                allow_redirects=False,
                stream=True,
            ) as reply:
                if reply.status_code != requests.codes.ok:
                    return
                listed = json.loads(reply.raw.read(_MOST_BYTES, decode_content=True))
        except (requests.RequestException, OSError, ValueError, RecursionError):
            return
    yield from _clusters(listed)


def _hub_token(server: Mapping[str, Any]) -> str:
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    own = bool(prefix) and server.get("base_url") == prefix
    return os.environ.get("JUPYTERHUB_API_TOKEN", "") if own else ""


def _clusters(listed: Any) -> Iterator[LabCluster]:
    for each in listed if isinstance(listed, list) else []:
        if not isinstance(each, Mapping):
            continue
        name, address, workers = (each.get(k) for k in ("name", "scheduler_address", "workers"))
        if not (isinstance(address, str) and "://" in address[:16] and len(address) < _MOST_TEXT):
            continue
        yield LabCluster(
            name=str(name)[:_MOST_TEXT],
            address=address,
            workers=workers if isinstance(workers, int) else 0,
        )
