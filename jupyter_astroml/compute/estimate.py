"""What a run will cost, told before it begins, from a few of its objects."""

from __future__ import annotations

import time
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from jupyter_astroml.core.jobs import Job, Perform
from jupyter_astroml.core.records import Predictions

# Objects that are tried: enough to see what they cost, few enough to wait for.
TRIED = 8
# Until the processes of a cluster of our own are there and have imported torch.
START_SECONDS = 5.0


@dataclass(frozen=True)
class Estimate:
    """What a run of a model over some objects is expected to take.

    Attributes
    ----------
    objects : int
        Of the whole run.
    tried, failed : int
        Objects that were run for this estimate, and those among them that got no answer.
    fetch_seconds, compute_seconds : float
        Time for one object: to get and decode its data, and to run the model on one core.
    bytes_each : float
        Of one object's values in memory.
    workers : int
        Processes that a cluster on this machine would have.
    first_failure : str
        Why the first object failed that did.
    pool_workers : int
        Of the hub's pool; 0 where there is none.
    pool_waits : float
        Seconds of work that wait in the pool now.
    """

    objects: int
    tried: int
    failed: int
    fetch_seconds: float
    compute_seconds: float
    bytes_each: float
    workers: int
    first_failure: str = ""
    pool_workers: int = 0
    pool_waits: float = 0.0

    @property
    def seconds_each(self) -> float:
        """Time for one object: the next data are fetched while the model has the last ones."""
        return max(self.fetch_seconds, self.compute_seconds)

    @property
    def bytes(self) -> float:
        """Of all objects; they are never in memory together."""
        return self.bytes_each * self.objects

    @property
    def seconds(self) -> dict[str, float]:
        """Time of the whole run on each engine."""
        here = self.seconds_each * self.objects
        found = {"here": here, "dask": START_SECONDS + here / self.workers}
        if self.pool_workers:
            # Data are fetched here, and computed by workers that are taken to be as fast as this.
            shared = self.compute_seconds / self.pool_workers
            found["pool"] = self.pool_waits + max(self.fetch_seconds, shared) * self.objects
        return found

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "objects": self.objects,
            "tried": self.tried,
            "failed": self.failed,
            "first_failure": self.first_failure,
            "fetch_seconds": self.fetch_seconds,
            "compute_seconds": self.compute_seconds,
            "bytes": self.bytes,
            "workers": self.workers,
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        return "\n".join(f"{name}: {text}" for name, text in self._lines())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>"
            for name, text in self._lines()
        )
        return f"<table>{rows}</table>"

    def _lines(self) -> list[tuple[str, str]]:
        seconds = self.seconds
        return [
            ("objects", f"{self.objects}, of which {self.tried} were tried"),
            ("data", _size(self.bytes)),
            ("in this process", _duration(seconds["here"])),
            (f"Dask, {self.workers} processes here", _duration(seconds["dask"])),
            *(
                [(f"the hub's pool, {self.pool_workers} workers", _duration(seconds["pool"]))]
                if self.pool_workers
                else []
            ),
            *([("failed", f"{self.failed}: {self.first_failure}")] if self.failed else []),
        ]


def estimate(
    perform: Perform, prepare: Any, job: Job, data: Any, *, workers: int, tried: int = TRIED
) -> Estimate:
    """Run a few objects, spread over all, and tell what the whole will take.

    Parameters
    ----------
    perform, prepare : callable
        As an engine takes them.
    job : Job
        What would run.
    data : References or Samples
        All objects.
    workers : int
        Processes of a cluster on this machine; 0 takes one for each core that we may use.
    tried : int
        Most objects to run.

    Raises
    ------
    AstroMLError
        If the job cannot be run at all.
    """
    from dask.system import CPU_COUNT

    rows = np.unique(np.linspace(0, len(data) - 1, min(tried, len(data))).astype(int))
    # The first object loads the model, and opens connections.
    perform(job, prepare(job, data[rows[:1]]))
    begin = time.perf_counter()
    ready = prepare(job, data[rows])
    fetch_seconds = time.perf_counter() - begin
    one = prepare(job, data[rows[:1]])
    before, _ = _timed(perform, job, one)
    took, found = _timed(perform, job, ready)
    reasons = list(found.failures().values())
    answered = len(rows) - len(reasons)
    # What each call costs besides its objects is shared by many in a block.
    more = answered - (one.samples is not None)
    each = (took - before) / more if more > 0 and took > before else took / max(1, answered)
    return Estimate(
        objects=len(data),
        tried=len(rows),
        failed=len(reasons),
        fetch_seconds=fetch_seconds / len(rows),
        compute_seconds=each if answered else float("nan"),
        bytes_each=ready.samples.values.nbytes / answered if answered else float("nan"),
        workers=workers or CPU_COUNT,
        first_failure=reasons[0] if reasons else "",
    )


def _timed(perform: Perform, job: Job, ready: Any) -> tuple[float, Predictions]:
    begin = time.perf_counter()
    found = perform(job, ready)
    return time.perf_counter() - begin, found


def _duration(seconds: float) -> str:
    """Say a time as coarsely as it is known."""
    if not np.isfinite(seconds):
        return "unknown: no object got an answer"
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 1.5 * unit:
            return f"about {seconds / unit:.2g} {name}"
    return f"about {max(1, round(seconds))} s"


def _size(count: float) -> str:
    if not np.isfinite(count):
        return "unknown: nothing came"
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
