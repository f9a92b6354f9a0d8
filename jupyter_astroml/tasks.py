"""What a worker can do: a closed table from a name to a function.

A job that reaches a worker is a name and plain values.
Nothing that is not in the table can be run, whoever wrote the job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from jupyter_astroml.compute.allocator import fit_allocator
from jupyter_astroml.compute.faults import failed
from jupyter_astroml.core.errors import RunError
from jupyter_astroml.core.jobs import Job
from jupyter_astroml.core.joining import join
from jupyter_astroml.core.manifest import MANIFEST, columns
from jupyter_astroml.core.records import Predictions, References, Samples


@dataclass(frozen=True, eq=False)
class Fetched:
    """Objects of a block whose data are here, and the others with the reason.

    Attributes
    ----------
    asked : References or Samples
        All objects of the block, in its order.
    samples : Samples or None
        Those that could be fetched, in any order.
    failures : mapping of str to str
        Reason by id.
    manifest : mapping of str to list
        Columns of `jupyter_astroml.core.manifest.Entry`; empty if nothing had to be fetched.
    """

    asked: References | Samples
    samples: Samples | None
    failures: Mapping[str, str] = field(default_factory=dict)
    manifest: Mapping[str, list[Any]] = field(default_factory=dict)


def prepare(job: Job, data: References | Samples) -> Fetched:
    """Fetch and decode a block: what can be done while the model is busy with another one.

    Raises
    ------
    RunError
        If the table has no such task: nothing is fetched for it.
    """
    _task(job)
    if not isinstance(data, References):
        return Fetched(asked=data, samples=data)
    from jupyter_astroml.archives.fetch import deliver

    got = deliver(data)
    told = columns(got.manifest)
    return Fetched(asked=data, samples=got.samples, failures=got.failures, manifest=told)


def perform(job: Job, data: References | Samples | Fetched) -> Predictions:
    """Run a job on a block.

    Parameters
    ----------
    job : Job
        A name and plain values.
    data : References, Samples or Fetched
        What `prepare` did is not done again.

    Returns
    -------
    Predictions
        One row an object, in the order of the block; objects that failed say why in ``status``.

    Raises
    ------
    RunError
        For a task that is not in the table.
    ModelError
        If the model is not here, or has another digest.
    """
    task = _task(job)
    fit_allocator()
    ready = data if isinstance(data, Fetched) else prepare(job, data)
    found = _in_order(ready, task(job, ready.samples) if ready.samples is not None else None)
    if not ready.manifest:
        return found
    return replace(found, meta={**found.meta, MANIFEST: ready.manifest})


def predict(job: Job, samples: Samples) -> Predictions:
    """Answer with the model of the job.

    The model room keeps loaded models by digest, so that each worker loads one once.
    """
    from jupyter_astroml.models.loading import load
    from jupyter_astroml.models.threads import one_thread

    if not job.digest:
        raise RunError(
            f"The job names no digest of {job.model}",
            remedy="make the job with the digest that the catalogue gives",
        )
    if job.options:
        raise RunError(
            f"'predict' knows no option {sorted(job.options)[0]!r}", remedy="leave it out"
        )
    model = load(job.model, job.digest)
    with one_thread():
        return model.predict(samples)


TASKS: Mapping[str, Callable[[Job, Any], Predictions]] = MappingProxyType({"predict": predict})


def _task(job: Job) -> Callable[[Job, Any], Predictions]:
    try:
        return TASKS[job.task]
    except KeyError:
        raise RunError(
            f"There is no task {job.task!r}", remedy=f"use one of {', '.join(TASKS)}"
        ) from None


def _in_order(ready: Fetched, found: Predictions | None) -> Predictions:
    """Put answers and failures into the order of the block."""
    asked = ready.asked
    have: set[str] = set() if found is None else set(found.ids.tolist())
    lost = np.array([name not in have for name in asked.ids.tolist()], dtype=bool)
    if found is not None and not lost.any() and np.array_equal(found.ids, asked.ids):
        return found
    rest: Any = asked[lost]
    reasons = [ready.failures.get(name, "the archive gave no data") for name in rest.ids.tolist()]
    without = failed(rest, reasons)
    if found is None:
        return without
    both = join([found, without]) if len(without) else found
    place = {name: i for i, name in enumerate(both.ids.tolist())}
    return both[np.array([place[name] for name in asked.ids.tolist()])]
