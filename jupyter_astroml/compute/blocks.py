"""How many objects go into a block."""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

from jupyter_astroml.core.jobs import Block, Engine, Job

# The network works on micro-batches of this many; a block is best a whole number of them.
_MICRO_BATCH = 64
# So many cutouts of a usual size are 200 MB in a worker, where references become samples.
_MOST = 1024
# Samples that travel with their block pass through the scheduler and wait in memory.
_MOST_BYTES = 8 << 20
# Blocks of one object with which the workers are warmed up.
_WARM = 8
# Two sizes are compared; the time between them should be this part of what a block is to take.
_LONG_ENOUGH = 0.4
# The measurement may take about this part of the whole work.
_SHARE = 8


@dataclass(frozen=True)
class BlockSize:
    """A block size and the measurement that it comes from.

    Attributes
    ----------
    objects : int
        Objects in a block.
    seconds_per_object : float
        On one worker.
    """

    objects: int
    seconds_per_object: float


def fit_block_size(engine: Engine, job: Job, data: Any, *, seconds: float = 0.3) -> BlockSize:
    """Choose a block size so that a block takes about `seconds`.

    A block should be long enough to hide what it costs beside its objects (some 0.02 s through
    Dask), and short enough that a cancel, a lost worker or another user's turn costs little.
    A few objects are run through the engine, then more and more.  What an object takes is told by
    the *difference* of two sizes: messages, a request to an archive and the start of a network cost
    each block the same, and a block of two looks slow for them.  The first blocks, for which
    workers load the model, do not count; both sizes are timed twice and the shorter time counts,
    because somebody else may use the machine.

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
    most = max(1, min(_MOST, n, _MOST_BYTES // _bytes_per_object(data)))
    _timed(engine, job, *[data[:1]] * min(_WARM, max(1, n // _SHARE)))
    small, large = 1, min(4, most)
    limit = max(large, min(most, n // _SHARE))
    before, took = _timed(engine, job, data[:small]), _timed(engine, job, data[:large])
    while took.seconds - before.seconds < _LONG_ENOUGH * seconds and large < limit:
        small, before = large, took
        large = min(4 * large, limit)
        took = _timed(engine, job, data[:large])
    before = min(before, _timed(engine, job, data[:small]))
    took = min(took, _timed(engine, job, data[:large]))
    if took.answered <= before.answered or took.seconds <= before.seconds:
        before = _Timed(0.0, 0)
    if not took.answered:
        # Failures take no time; the objects after them may.
        return BlockSize(min(most, _MICRO_BATCH), took.seconds / large)
    each = (took.seconds - before.seconds) / (took.answered - before.answered)
    return BlockSize(max(1, min(most, _whole(seconds / each))), each)


def _whole(objects: float) -> int:
    """Round up, and to whole micro-batches where that changes the time by no more than twice.

    A forward pass has its fixed cost too: half a micro-batch took 7 % longer for each object.
    """
    if objects < _MICRO_BATCH / 2:
        return math.ceil(objects)
    return max(1, round(objects / _MICRO_BATCH)) * _MICRO_BATCH


class _Timed(NamedTuple):
    """What some blocks took, and how many of their objects were answered."""

    seconds: float
    answered: int


def _timed(engine: Engine, job: Job, *parts: Any) -> _Timed:
    begin, answered = time.perf_counter(), 0
    results = engine.run(job, iter([Block(i, data) for i, data in enumerate(parts)]))
    with closing(results):  # type: ignore[type-var]
        for _, found in results:
            answered += int(found.ok.sum())
    return _Timed(max(time.perf_counter() - begin, 1e-9), answered)


def _bytes_per_object(data: Any) -> int:
    values = getattr(data, "values", None)
    if values is None:
        return 1
    dense = [values, getattr(data, "errors", None), getattr(data, "masks", None)]
    return max(1, sum(a.nbytes for a in dense if a is not None) // max(1, len(data)))
