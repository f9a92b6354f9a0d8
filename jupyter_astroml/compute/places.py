"""Where models can run from here, found without starting anything."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from html import escape
from importlib.util import find_spec
from typing import Any, Literal
from urllib.parse import urlsplit

from jupyter_astroml.core.errors import AstroMLError

State = Literal["ready", "not answering", "set up"]
# Seconds to wait for a scheduler that a configuration names.
_PATIENCE = 2.0
_DASK_PORT = 8786
# Dask's other protocols reach no further than this process.
_OTHER_PROCESSES = frozenset(("tcp", "tls", "ws", "wss"))
_TABLE_HEAD = ("engine", "address", "state", "what it is")
_SHOWN = ("name", "cluster", "state", "note")


@dataclass(frozen=True)
class Place:
    """One place where models can run.

    Attributes
    ----------
    name : str
        For ``aml.predict(engine=…)``.
    cluster : str
        Address of the scheduler or of the pool; empty where none is needed.
    state : str
        ``"ready"``; ``"not answering"``; or ``"set up"`` for what makes clusters on demand.
    note : str
        What it is, and how to use it.
    workers : int
        Of a pool.
    waits : float
        Seconds of work that wait in a pool.
    """

    name: str
    cluster: str
    state: State
    note: str
    workers: int = 0
    waits: float = 0.0

    @property
    def address(self) -> str | None:
        """What to give as ``cluster``."""
        return self.cluster if self.name == "dask" and self.cluster else None


class Places(tuple[Place, ...]):
    """Places where models can run, the preferred one first; a table in a notebook."""

    __slots__ = ()

    @property
    def best(self) -> Place:
        """The first that is ready."""
        return next(place for place in self if place.state == "ready")

    def to_json(self) -> list[dict[str, Any]]:
        """Return plain values."""
        return [asdict(place) for place in self]

    def __str__(self) -> str:
        return "\n".join(f"{p.name:5} {p.cluster or '–':32} {p.state}: {p.note}" for p in self)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{word}</th>" for word in _TABLE_HEAD)
        rows = "".join(
            "<tr>"
            + "".join(f"<td>{escape(getattr(place, name))}</td>" for name in _SHOWN)
            + "</tr>"
            for place in self
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def places(*, pool: str = "", model: str = "", digest: str = "") -> Places:
    """Return where models can run.

    The hub's pool comes first if it answers, and offers the model if one is named: it is there for
    everybody, and nothing has to be started.
    A cluster that Dask's configuration names (``scheduler-address`` in any of its files, or
    ``DASK_SCHEDULER_ADDRESS``) comes next if it answers: somebody set it up for this work.

    Parameters
    ----------
    pool : str
        Address of the hub's pool, if there is one.
    model, digest : str
        What is to run; any model if empty.
    """
    from dask.system import CPU_COUNT

    named = [*_pool(pool, model, digest), *_named()]
    return Places(
        [
            *(place for place in named if place.state == "ready"),
            Place("here", "", "ready", "this process, one core: for up to some thousand objects"),
            Place("dask", "", "ready", f"{CPU_COUNT} processes on this machine, started for a run"),
            *(place for place in named if place.state != "ready"),
            *_on_demand(),
        ]
    )


def _pool(url: str, model: str, digest: str) -> Iterator[Place]:
    if not url:
        return
    from jupyter_astroml.compute.pool_client import PoolClient

    try:
        client = PoolClient(url, patience=_PATIENCE)
    except AstroMLError as err:
        yield Place("pool", url, "not answering", f"{err.what}: {err.remedy}")
        return
    try:
        me, offered = client.get("me"), client.get("models")["models"]
    except (AstroMLError, KeyError) as err:
        yield Place("pool", url, "not answering", str(err))
        return
    finally:
        client.close()
    if model and not any((o["id"], o["digest"]) == (model, digest) for o in offered):
        yield Place("pool", url, "set up", f"the hub's pool, which does not offer {model}")
        return
    workers = int(me.get("workers", 0))
    yield Place(
        "pool",
        url,
        "ready" if workers else "not answering",
        f"the hub's pool: {workers} worker{'s' * (workers != 1)} for all users, "
        f"{len(offered)} models",
        workers,
        float(me.get("waits_s", 0.0)),
    )


def _named() -> Iterator[Place]:
    import dask

    address = str(dask.config.get("scheduler-address", "") or "").strip()
    if address:
        answers = _answers(address)
        yield Place(
            "dask",
            address,
            "ready" if answers else "not answering",
            "the cluster that Dask's configuration names"
            + ("" if answers else ": is it still running?"),
        )


def _answers(address: str) -> bool:
    """Tell whether somebody listens at ``tls://host:port``."""
    with suppress(OSError, ValueError):
        parts = urlsplit(address if "://" in address else f"tcp://{address}")
        if parts.scheme not in _OTHER_PROCESSES:
            return False
        where = (parts.hostname or "", parts.port or _DASK_PORT)
        with socket.create_connection(where, timeout=_PATIENCE):
            return True
    return False


def _on_demand() -> Iterator[Place]:
    import dask

    gateway = dask.config.get("gateway.address", None)
    if gateway and find_spec("dask_gateway"):
        yield Place(
            "dask",
            "",
            "set up",
            f"Dask Gateway at {gateway}: cluster = dask_gateway.Gateway().new_cluster(), "
            "then give cluster=cluster",
        )
    if find_spec("dask_jobqueue"):
        # Each batch system has a section with a name, of which most are null.
        for system, made in (dask.config.get("jobqueue", None) or {}).items():
            if isinstance(made, dict) and made.get("queue"):
                yield Place(
                    "dask",
                    "",
                    "set up",
                    f"the {system} queue {made['queue']!r}: make a cluster with dask_jobqueue, "
                    "then give cluster=cluster",
                )
