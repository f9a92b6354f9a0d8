"""A job is a name and plain values, never a function: an engine looks the name up on the worker."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

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
