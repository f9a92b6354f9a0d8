"""What is sent to a worker, and when: with workers that compute when they are told to."""

import asyncio

import numpy as np

from jupyter_astroml.pool.dispatch import Dispatcher, Slot
from jupyter_astroml.pool.runner import Computed
from jupyter_astroml.pool.work import Kind

KIND = Kind("galaxies", "sha256:0", "logits", (3,))
# So cheap that a hundred are far from a unit.
SECONDS = 1e-4


class Worker:
    """Stands where Dask has an actor, and notes the batches that it gets."""

    def __init__(self):
        self.batches = []
        self.go = asyncio.Event()

    async def compute(self, model, digest, operation, values, *, exact):
        self.batches.append(len(values))
        await self.go.wait()
        n = len(values)
        answers, finite = np.zeros((n, 1), np.float32), np.ones(n, dtype=bool)
        return Computed("done", answers, finite, SECONDS * n)


def sent(*requests):
    """Ask for so many objects, each time as another user, while the worker is busy with one."""

    async def go():
        dispatcher = Dispatcher(None)
        worker = Worker()
        dispatcher.costs.learn(KIND, objects=100, seconds=100 * SECONDS)
        dispatcher.slots["w"] = Slot("w", worker, "cpu")
        answers = []
        for user, n in enumerate((1, *requests)):
            request = dispatcher.submit(f"u{user}", KIND, np.ones((n, 3), np.float32))
            answers.append(request.answer)
            await asyncio.sleep(0.01)
        early = list(worker.batches)
        worker.go.set()
        await asyncio.wait_for(asyncio.gather(*answers), 10)
        return early, worker.batches

    return asyncio.run(go())


def test_small_requests_that_come_while_a_worker_is_busy_go_together():
    early, in_all = sent(*[1] * 20)

    assert early == [1]
    assert in_all == [1, 20]


def test_a_whole_unit_is_sent_ahead_so_that_the_worker_never_waits():
    early, _ = sent(900)

    assert len(early) == 2
