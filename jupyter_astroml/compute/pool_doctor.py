"""Why does the pool not work?  Look from a user's side."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import urllib3

from jupyter_astroml.compute.pool_client import PoolClient
from jupyter_astroml.core.errors import AstroMLError

_PATIENCE = 5.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    good : bool
    what : str
        What was found.
    remedy : str
        What to do, if it is not good.
    """

    good: bool
    what: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def examine(url: str) -> list[Finding]:
    """Ask the pool as a user would, one step after the other, until a step fails.

    Parameters
    ----------
    url : str
        Of the pool.
    """
    url = url.rstrip("/")
    found = [_alive(url)]
    if not found[-1].good:
        return found
    found.append(_ready(url))
    try:
        client = PoolClient(url, patience=_PATIENCE)
        me = client.get("me")
        models = client.get("models")["models"]
        client.close()
    except AstroMLError as err:
        cause = f": {err.cause}" if err.cause else ""
        return [*found, Finding(good=False, what=f"{err.what}{cause}", remedy=err.remedy)]
    found.append(Finding(good=True, what=f"the pool knows you as {me['user']}"))
    names = ", ".join(model["id"] for model in models)
    workers = f"{me['workers']} worker{'s' * (me['workers'] != 1)}"
    found.append(Finding(good=True, what=f"it offers {names} on {workers}"))
    return found


def _alive(url: str) -> Finding:
    status, told = _page(f"{url}/health")
    if status == 200 and told.get("alive"):
        return Finding(good=True, what=f"a pool answers at {url}")
    return Finding(
        good=False,
        what=f"no pool answers at {url} ({told.get('why') or f'status {status}'})",
        remedy="the address ends in /services/NAME on a hub; is the service running?",
    )


def _ready(url: str) -> Finding:
    status, _ = _page(f"{url}/ready")
    if status == 200:
        return Finding(good=True, what="it takes work")
    return Finding(
        good=False,
        what="it takes no work now",
        remedy="it has no workers, or is about to stop: look at its log",
    )


def _page(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib3.PoolManager(retries=False, timeout=_PATIENCE) as http:
            reply = http.request("GET", url, redirect=False)
            found = json.loads(reply.data)
    except (urllib3.exceptions.HTTPError, ValueError) as err:
        return 0, {"why": str(err)}
    return reply.status, found if isinstance(found, dict) else {}
