"""A job is a name and plain values, never a function: an engine looks the name up on the worker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from jupyter_astroml.core.records import Predictions, References, Samples


@dataclass(frozen=True)
class Job:
    """What to do with each block.

    Attributes
    ----------
    task : str
        Name in the closed table of `jupyter_astroml.tasks`.
    model : str
        Id of the model.
    digest : str
        ``sha256:`` and the hash of the weights; the worker refuses any other file.
    options : mapping
        Plain values only: they are written to disk and sent to workers as JSON.
    """

    task: str
    model: str
    digest: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the job as plain values."""
        return asdict(self)

    @property
    def key(self) -> str:
        """Short hash that is equal for equal jobs."""
        text = json.dumps(self.to_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


# Under this name stand the other models of a pass in the options of its job, and their answers in
# the meta of the first one's.
ALSO = "also"


def together(jobs: Sequence[Job]) -> Job:
    """Return one job that does several on the same data; they differ in the model only."""
    first, *others = jobs
    if not others:
        return first
    named = [[other.model, other.digest] for other in others]
    return replace(first, options={**first.options, ALSO: named})


def apart(job: Job) -> list[Job]:
    """Return the jobs of which `together` made one."""
    options = {name: value for name, value in job.options.items() if name != ALSO}
    named = [(job.model, job.digest), *job.options.get(ALSO, ())]
    return [replace(job, model=m, digest=d, options=options) for m, d in named]


@dataclass(frozen=True, eq=False)
class Block:
    """A few objects that are fetched, decoded and predicted together.

    Attributes
    ----------
    index : int
        Place of the block in the run, from 0.
    data : References or Samples
        References are fetched where the model runs; samples travel with the block.
    """

    index: int
    data: References | Samples

    def __len__(self) -> int:
        return len(self.data)


# What became of an object in the pool, in the status bytes of an answer.
DONE, CRASHED, NOT_FINITE, MODEL_ERROR, DEADLINE = range(5)
UNANSWERED: Mapping[int, str] = MappingProxyType(
    {
        CRASHED: "its worker died each time it was tried alone",
        NOT_FINITE: "its values are not finite",
        MODEL_ERROR: "the model failed on it",
        DEADLINE: "the model did not come to an end with it",
    }
)


@dataclass(frozen=True, eq=False)
class Answer:
    """What the pool's workers found for some objects.

    Attributes
    ----------
    outputs : ndarray of float32, shape (n, ...)
        NaN for objects without an answer.
    status : ndarray of uint8, shape (n,)
        0 for an answer, else as in `UNANSWERED`.
    """

    outputs: np.ndarray
    status: np.ndarray


Perform = Callable[[Job, Any], Predictions]


class Engine(Protocol):
    """A place where jobs run.

    The same job on the same blocks gives the same results on every engine.
    """

    name: str

    def run(self, job: Job, blocks: Iterator[Block]) -> Iterator[tuple[Block, Predictions]]:
        """Yield results as they arrive, in any order, with a bounded number of blocks in flight.

        Closing the iterator cancels what has not been done.
        """
        ...

    def close(self) -> None:
        """Give back what the engine started."""
        ...
