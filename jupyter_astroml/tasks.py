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
from jupyter_astroml.compute.memory import worker_bytes
from jupyter_astroml.core.errors import RunError
from jupyter_astroml.core.jobs import ALSO, UNANSWERED, Job, apart
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
        A name and plain values; of several models (see `together`) the data are fetched and
        decoded once.
    data : References, Samples or Fetched
        What `prepare` did is not done again.

    Returns
    -------
    Predictions
        One row an object, in the order of the block; objects that failed say why in ``status``.
        Those of the other models of the job stand in ``meta``.

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

    def answers(alone: Job) -> Predictions:
        return _finished(ready, task(alone, ready.samples) if ready.samples is not None else None)

    first, *others = [answers(alone) for alone in apart(job)]
    return replace(first, meta={**first.meta, ALSO: others}) if others else first


@dataclass(frozen=True, eq=False)
class Question:
    """The objects of a block as a network takes them, for a network that runs elsewhere.

    Attributes
    ----------
    values : ndarray of float32, shape (n, ...), or None
        In the input contract of the model; None if no object could be fetched.
    """

    values: np.ndarray | None
    _job: Job
    _fetched: Fetched
    _prepared: Any = None

    def answered(self, outputs: np.ndarray, status: np.ndarray) -> Predictions:
        """Turn what the network found into answers for all objects of the block.

        Parameters
        ----------
        outputs : ndarray of float32, shape (n, member, k)
            Logits.
        status : ndarray of uint8, shape (n,)
            0 for objects with an answer, else as in `UNANSWERED`.
        """
        from jupyter_astroml.models.catalogue import find
        from jupyter_astroml.models.contract import prepare as into_contract
        from jupyter_astroml.models.loading import answered

        card = find(self._job.model, self._job.digest).card
        samples, prepared = self._fetched.samples, self._prepared
        failures = dict(self._fetched.failures)
        if samples is None:
            return _finished(self._fetched, None)
        good = status == 0
        if not good.all():
            for i in np.flatnonzero(~good):
                failures[str(samples.ids[i])] = UNANSWERED.get(int(status[i]), "no answer came")
            samples, outputs = samples[good], outputs[good]
            prepared = into_contract(card, samples) if len(samples) else None
        found = None
        if prepared is not None:
            logits = np.moveaxis(outputs, 1, 0)
            found = answered(card, self._job.digest, logits, given=samples, prepared=prepared)
        return _finished(replace(self._fetched, samples=samples, failures=failures), found)


def ask(job: Job, data: References | Samples) -> Question:
    """Fetch, decode and prepare a block for a network that runs elsewhere: torch is not needed.

    Raises
    ------
    RunError
        For a task that is no prediction.
    ModelError
        If the model is not here, or has another digest.
    """
    from jupyter_astroml.models.catalogue import find
    from jupyter_astroml.models.contract import prepare as into_contract

    if job.task != "predict":
        raise RunError(f"The pool knows no task {job.task!r}", remedy="use engine='here' or 'dask'")
    card = find(job.model, job.digest).card
    fetched = prepare(job, data)
    if fetched.samples is None:
        return Question(None, job, fetched)
    prepared = into_contract(card, fetched.samples)
    return Question(prepared.samples.values, job, fetched, prepared)


def predict(job: Job, samples: Samples) -> Predictions:
    """Answer with the model of the job.

    The model room keeps loaded models by digest, so that each worker loads one once.
    """
    from jupyter_astroml.models.loading import ROOM, load
    from jupyter_astroml.models.threads import one_thread

    if not job.digest:
        raise RunError(
            f"The job names no digest of {job.model}",
            remedy="make the job with the digest that the catalogue gives",
        )
    unknown = sorted(set(job.options) - {"exact"})
    if unknown:
        raise RunError(f"'predict' knows no option {unknown[0]!r}", remedy="leave it out")
    # The rest of a worker's memory is for data and activations.
    model = load(job.model, job.digest, room=worker_bytes() // 4 or ROOM)
    with one_thread():
        return model.predict(samples, exact=bool(job.options.get("exact")))


TASKS: Mapping[str, Callable[[Job, Any], Predictions]] = MappingProxyType({"predict": predict})


def _task(job: Job) -> Callable[[Job, Any], Predictions]:
    try:
        return TASKS[job.task]
    except KeyError:
        raise RunError(
            f"There is no task {job.task!r}", remedy=f"use one of {', '.join(TASKS)}"
        ) from None


def _finished(ready: Fetched, found: Predictions | None) -> Predictions:
    """Put answers and failures into the order of the block, with the manifest of what came."""
    ordered = _in_order(ready, found)
    if not ready.manifest:
        return ordered
    return replace(ordered, meta={**ordered.meta, MANIFEST: ready.manifest})


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
