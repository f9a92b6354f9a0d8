"""What is sent to a worker, and when: with workers that compute when they are told to."""

import asyncio

import numpy as np

from jupyter_astroml.core.jobs import CRASHED
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

    async def load(self, model, digest):
        return Computed("done")

    async def compute(self, model, digest, operation, values, *, exact):
        self.batches.append(len(values))
        await self.go.wait()
        n = len(values)
        answers, finite = np.zeros((n, 1), np.float32), np.ones(n, dtype=bool)
        return Computed("done", answers, finite, SECONDS * n)


def sent(*requests):
    """Ask for so many objects, each time as another user, while the worker is busy with one."""

    async def go():
        dispatcher = Dispatcher(Cluster())
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


class Cluster:
    """Stands where the pool has a Dask cluster; workers die of negative numbers."""

    shared = False

    def __init__(self, *names):
        self.workers = {name: Mortal(self, name) for name in names}

    async def start(self):
        pass

    async def close(self):
        pass

    async def addresses(self):
        return set(self.workers)

    async def actor(self, name):
        return self.workers[name], {"device": "cpu"}


class Mortal(Worker):
    def __init__(self, cluster, name):
        super().__init__()
        self.cluster, self.name = cluster, name
        # A worker computes one batch after the other.
        self.turn = asyncio.Lock()

    async def compute(self, model, digest, operation, values, *, exact):
        self.batches.append(len(values))
        async with self.turn:
            await asyncio.sleep(0.01)
        if (values < 0).any():
            self.cluster.workers.pop(self.name, None)
        if self.name not in self.cluster.workers:
            raise OSError("gone")
        n = len(values)
        answers, finite = np.zeros((n, 1), np.float32), np.ones(n, dtype=bool)
        return Computed("done", answers, finite, 0.05)


def with_poison(*names, replaced, busy):
    """Send one bad object to workers that nobody replaces, perhaps beside endless other work."""

    async def go():
        cluster = Cluster(*names)
        dispatcher = Dispatcher(cluster, replaced=replaced)
        await dispatcher.start()
        while len(dispatcher.slots) < len(names):
            await asyncio.sleep(0.01)
        others = []
        if busy:
            endless = np.ones((3_000_000, 3), np.float32)
            others = [dispatcher.submit(user, KIND, endless) for user in ("bulk", "mass")]
            await asyncio.sleep(0.05)
        bad = np.ones((1, 3), np.float32)
        bad[0] = -1
        request = dispatcher.submit("mallory", KIND, bad)
        try:
            return await asyncio.wait_for(request.answer, 10), len(cluster.workers)
        finally:
            for other in others:
                other.answer.cancel()
            await dispatcher.close()

    return asyncio.run(go())


def test_a_suspect_is_tried_where_others_never_leave_a_worker_idle():
    answer, left = with_poison(*"abcd", replaced=60.0, busy=True)

    assert answer.status.tolist() == [CRASHED]
    assert left == 2


def test_a_suspect_is_tried_when_lost_workers_are_not_replaced():
    answer, left = with_poison(*"ab", replaced=0.2, busy=False)

    assert answer.status.tolist() == [CRASHED]
    assert left == 0


def test_small_requests_that_come_while_a_worker_is_busy_go_together():
    early, in_all = sent(*[1] * 20)

    assert early == [1]
    assert in_all == [1, 20]


def test_a_whole_unit_is_sent_ahead_so_that_the_worker_never_waits():
    early, _ = sent(900)

    assert len(early) == 2
