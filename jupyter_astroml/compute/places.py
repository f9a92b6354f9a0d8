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

from jupyter_astroml.compute.clusters import GATEWAY, LOCAL, QUEUES, Plan, planned
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
        Address of the scheduler or of the pool, or the kind of cluster that is made on demand;
        empty where none is needed.
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


def places(
    *, pool: str = "", model: str = "", digest: str = "", workers: int = 0, all_: bool = True
) -> Places:
    """Return where models can run.

    The hub's pool comes first if it answers, and offers the model if one is named: it is there for
    everybody, and nothing has to be started.
    A cluster that Dask's configuration names (``jupyter_astroml.cluster.address`` or
    ``scheduler-address`` in any of its files, or ``DASK_SCHEDULER_ADDRESS``) comes next if it
    answers: somebody set it up for this work.
    Clusters of JupyterLab's Dask panel are listed, and taken only when they are named: they may be
    for something else.

    Parameters
    ----------
    pool : str
        Address of the hub's pool, if there is one.
    model, digest : str
        What is to run; any model if empty.
    workers : int
        Of a cluster that would be started; 0 takes those of Dask's configuration.
    all_ : bool
        Ask for those too that are taken only when they are named.

    Raises
    ------
    SettingsError
        If Dask's configuration of our cluster is not well formed.
    """
    plan = planned(workers=workers)
    named = [*_pool(pool, model, digest), *_named(plan)]
    return Places(
        [
            *(place for place in named if place.state == "ready"),
            Place("here", "", "ready", "this process, one core: for up to some thousand objects"),
            _started(plan),
            *(place for place in named if place.state != "ready"),
            *(_of_lab() if all_ else ()),
            *_on_demand(plan),
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


def _named(plan: Plan) -> Iterator[Place]:
    import dask

    addresses = (plan.address, str(dask.config.get("scheduler-address", "") or "").strip())
    for address in dict.fromkeys(filter(None, addresses)):
        answers = _answers(address)
        yield Place(
            "dask",
            address,
            "ready" if answers else "not answering",
            "the cluster that Dask's configuration names"
            + ("" if answers else ": is it still running?"),
        )


def _started(plan: Plan) -> Place:
    """Return what ``engine="dask"`` starts when no cluster is named."""
    from dask.system import CPU_COUNT

    if plan.kind == LOCAL:
        count = plan.workers or CPU_COUNT
        return Place("dask", "", "ready", f"{count} processes on this machine, started for a run")
    return Place(
        "dask",
        plan.kind,
        "set up",
        f"a {plan.kind} cluster of {plan.workers} workers, as Dask's configuration says, "
        "started for a run",
        plan.workers,
    )


def _of_lab() -> Iterator[Place]:
    from jupyter_astroml.compute.lab_clusters import lab_clusters

    for cluster in lab_clusters():
        answers = _answers(cluster.address)
        yield Place(
            "dask",
            cluster.address,
            "ready" if answers else "not answering",
            f"{cluster.name!r} of JupyterLab's Dask panel, {cluster.workers} workers: "
            + ("give its address as cluster" if answers else "it cannot be reached from here"),
            cluster.workers,
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


def _on_demand(plan: Plan) -> Iterator[Place]:
    import dask

    address = dask.config.get("gateway.address", None)
    if address and find_spec("dask_gateway") and plan.kind != GATEWAY:
        yield Place(
            "dask",
            GATEWAY,
            "set up",
            f"Dask Gateway at {address}: give cluster='gateway' and workers, "
            "or choose with aml.cluster_form()",
        )
    if not find_spec("dask_jobqueue"):
        return
    # Each batch system has a section with a name, of which most are null.
    for section, made in (dask.config.get("jobqueue", None) or {}).items():
        if isinstance(made, dict) and made.get("queue") and section != (plan.section or plan.kind):
            known = section in QUEUES
            yield Place(
                "dask",
                section if known else "",
                "set up",
                f"the queue {made['queue']!r} of section {section!r}: give "
                + (f"cluster='{section}' and workers" if known else "")
                + ("" if known else f"cluster=aml.cluster(…, section={section!r})"),
            )
