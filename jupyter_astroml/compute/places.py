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

State = Literal["ready", "not answering", "set up"]
# Seconds to wait for a scheduler that a configuration names.
_PATIENCE = 2.0
_DASK_PORT = 8786
# Dask's other protocols reach no further than this process.
_OTHER_PROCESSES = frozenset(("tcp", "tls", "ws", "wss"))
_TABLE_HEAD = ("engine", "cluster", "state", "what it is")


@dataclass(frozen=True)
class Place:
    """One place where models can run.

    Attributes
    ----------
    name : str
        For ``aml.predict(engine=…)``.
    cluster : str
        For ``aml.predict(cluster=…)``; empty where none is needed.
    state : str
        ``"ready"``; ``"not answering"``; or ``"set up"`` for what makes clusters on demand.
    note : str
        What it is, and how to use it.
    """

    name: str
    cluster: str
    state: State
    note: str


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
            + "".join(f"<td>{escape(text)}</td>" for text in asdict(place).values())
            + "</tr>"
            for place in self
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def places() -> Places:
    """Return where models can run.

    A cluster that Dask's configuration names (``scheduler-address`` in any of its files, or
    ``DASK_SCHEDULER_ADDRESS``) comes first when it answers: somebody set it up for this work.
    """
    from dask.system import CPU_COUNT

    named = list(_named())
    return Places(
        [
            *(place for place in named if place.state == "ready"),
            Place("here", "", "ready", "this process, one core: for up to some thousand objects"),
            Place("dask", "", "ready", f"{CPU_COUNT} processes on this machine, started for a run"),
            *(place for place in named if place.state != "ready"),
            *_on_demand(),
        ]
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
