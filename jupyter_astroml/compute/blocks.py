"""How many objects go into a block."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from jupyter_astroml.core.jobs import Block, Engine, Job

_FEW = 4
_MORE = 32
_MOST = 4096
# Samples that travel with their block pass through the scheduler and wait in memory.
_MOST_BYTES = 8 << 20
# Below this many objects a measurement costs more than it saves.
_WORTH_MEASURING = 64


@dataclass(frozen=True)
class BlockSize:
    """A block size and the measurement that it comes from.

    Attributes
    ----------
    objects : int
        Objects in a block.
    seconds_per_object : float or None
        On one worker; None where nothing was measured.
    """

    objects: int
    seconds_per_object: float | None = None


def fit_block_size(engine: Engine, job: Job, data: Any, *, seconds: float = 0.2) -> BlockSize:
    """Choose a block size so that a block takes about `seconds`.

    A block should be long enough to hide the scheduler (0.01 s) and the overhead of a batch, and
    short enough that a cancel, a lost worker or another user's turn costs little.
    A few objects are run through the engine, in two sizes: the difference is free of what each
    block costs whatever its size, and the first call, in which the model is loaded, is not counted.

    Parameters
    ----------
    engine : Engine
        Where the job will run.
    job : Job
        What will run.
    data : References or Samples
        All objects of the run to come.
    seconds : float
        Time a block should take on one worker.

    Raises
    ------
    AstroMLError
        If the job cannot be run at all, which is good to know before a run is made.
    """
    n = len(data)
    most = max(1, min(_MOST, _MOST_BYTES // _bytes_per_object(data)))
    if n < _WORTH_MEASURING:
        return BlockSize(min(most, max(1, n // 4)))
    _timed(engine, job, data[:_FEW])
    few = _timed(engine, job, data[:_FEW])
    more = _timed(engine, job, data[_FEW : _FEW + _MORE])
    each = (more - few) / (_MORE - _FEW)
    if each <= 0:
        each = more / _MORE
    objects = max(1, min(most, int(seconds / each)))
    # Whole micro-batches of 32 leave no small rest in each block.
    return BlockSize(objects - objects % 32 if objects > 32 else objects, each)


def _timed(engine: Engine, job: Job, data: Any) -> float:
    begin = time.perf_counter()
    results = engine.run(job, iter([Block(0, data)]))
    with closing(results):  # type: ignore[type-var]
        for _ in results:
            pass
    return max(time.perf_counter() - begin, 1e-9)


def _bytes_per_object(data: Any) -> int:
    values = getattr(data, "values", None)
    if values is None:
        return 1
    dense = [values, getattr(data, "errors", None), getattr(data, "masks", None)]
    return max(1, sum(a.nbytes for a in dense if a is not None) // max(1, len(data)))
