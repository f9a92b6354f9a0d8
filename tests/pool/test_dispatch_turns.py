"""What is sent to a worker, and when: with workers that compute when they are told to."""

import asyncio
import time

import numpy as np
import pytest

from jupyter_astroml.core.jobs import CRASHED
from jupyter_astroml.pool.dispatch import Dispatcher, Slot
from jupyter_astroml.pool.errors import PoolError
from jupyter_astroml.pool.runner import Computed
from jupyter_astroml.pool.strikes import Strikes
from jupyter_astroml.pool.work import Kind, Spooled

KIND = Kind("galaxies", "sha256:0", "logits", (3,))
# So cheap that a hundred are far from a unit.
SECONDS = 1e-4
FAILS = -7.0


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

    def __init__(self, *names, replacing=False):
        self.workers = {name: Mortal(self, name) for name in names}
        self.replacing = replacing
        self.deaths = 0

    def die(self, name):
        if self.workers.pop(name, None) is not None:
            self.deaths += 1
            if self.replacing:
                after = f"{name}'"
                self.workers[after] = Mortal(self, after)

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

    async def load(self, model, digest):
        if model == "deadly":
            self.cluster.die(self.name)
            raise OSError("gone")
        return Computed("done")

    async def compute(self, model, digest, operation, values, *, exact):
        self.batches.append(len(values))
        async with self.turn:
            await asyncio.sleep(0.01)
        if (values == FAILS).any():
            return Computed("failed", text="no")
        if (values < 0).any():
            self.cluster.die(self.name)
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


def attended(work, *names, **options):
    """Do some work with a dispatcher whose workers are replaced when they die."""

    async def go():
        cluster = Cluster(*names, replacing=True)
        dispatcher = Dispatcher(cluster, **options)
        await dispatcher.start()
        try:
            return await asyncio.wait_for(work(dispatcher, cluster), 30)
        finally:
            await dispatcher.close()

    return asyncio.run(go())


def test_who_cancels_when_the_objects_are_apart_kills_no_more_workers():
    async def work(dispatcher, cluster):
        # Each unit is of a size that was tried before.
        dispatcher.costs.learn(KIND, objects=64, seconds=0.05)
        request = dispatcher.submit("mallory", KIND, np.full((64, 3), -1, np.float32))
        while not dispatcher.counts.isolated:
            await asyncio.sleep(0.005)
        request.answer.cancel()
        await asyncio.sleep(1.0)
        return cluster.deaths, dispatcher.counts.suspended

    deaths, suspended = attended(work, "a", "b")
    assert deaths <= 4
    assert suspended == 0


def test_who_was_beside_poison_by_chance_does_not_wait_for_all_of_it():
    async def work(dispatcher, cluster):
        # So cheap that all that waits goes together.
        dispatcher.costs.learn(KIND, objects=1000, seconds=0.05)
        good = np.ones((1, 3), np.float32)
        poison = dispatcher.submit("mallory", KIND, np.full((12, 3), -1, np.float32))
        while not dispatcher.counts.isolated:
            await asyncio.sleep(0.001)
        before = cluster.deaths
        # Twelve suspects wait; bob is in one batch with one object more of that kind.
        dispatcher.submit("carol", KIND, good)
        more = dispatcher.submit("mallory", KIND, np.full((1, 3), -1, np.float32))
        bob = dispatcher.submit("bob", KIND, good)
        assert not (await bob.answer).status.any()
        deaths = cluster.deaths - before
        await asyncio.wait([poison.answer, more.answer])
        return deaths, cluster.deaths - before

    early, in_all = attended(work, "a", "b", strikes=Strikes(lambda _: 100))
    assert in_all >= 12
    assert early <= 4


def test_a_model_that_ends_its_workers_is_nobodys_fault():
    async def work(dispatcher, cluster):
        deadly = Kind("deadly", "sha256:0", "logits", (3,))
        request = dispatcher.submit("alice", deadly, np.ones((300, 3), np.float32))
        with pytest.raises(PoolError, match="cannot use deadly"):
            await request.answer
        with pytest.raises(PoolError, match="cannot use deadly"):
            dispatcher.submit("bob", deadly, np.ones((3, 3), np.float32))
        good = dispatcher.submit("alice", KIND, np.ones((30, 3), np.float32))
        assert not (await good.answer).status.any()
        return cluster.deaths, dispatcher.strikes.count("alice")

    assert attended(work, "a", "b") == (2, 0)


def test_who_sends_what_fails_gets_no_more_than_a_share():
    async def work(dispatcher, cluster):
        (worker,) = cluster.workers.values()
        bulk = dispatcher.submit("bulk", KIND, np.ones((1_000_000, 3), np.float32))
        bad = np.full((1, 3), FAILS, np.float32)
        end = asyncio.get_running_loop().time() + 3
        while asyncio.get_running_loop().time() < end:
            await dispatcher.submit("mallory", KIND, bad).answer
        bulk.answer.cancel()
        return dispatcher.counts.batches / len(worker.batches)

    # Ten milliseconds each are charged for what fails, fifty for what does not.
    assert attended(work, "a") > 0.1


def test_values_that_are_gone_fail_their_own_request_only(tmp_path):
    async def work(dispatcher, cluster):
        gone = dispatcher.submit("alice", KIND, Spooled(tmp_path / "0.in", (3, 3)))
        good = dispatcher.submit("bob", KIND, np.ones((3, 3), np.float32))
        with pytest.raises(PoolError, match="gone from the pool's disk"):
            await gone.answer
        return (await good.answer).status.any(), cluster.deaths

    assert attended(work, "a") == (False, 0)


def test_closing_while_the_cluster_tells_its_workers_comes_to_an_end():
    class Telling(Cluster):
        def __init__(self):
            super().__init__("a")
            self.told = asyncio.Event()

        async def addresses(self):
            # Who waits for this closes before the answer has arrived.
            self.told.set()
            return await super().addresses()

    async def go():
        cluster = Telling()
        dispatcher = Dispatcher(cluster)
        await dispatcher.start()
        cluster.told.clear()
        await cluster.told.wait()
        await asyncio.wait_for(dispatcher.close(), 10)

    asyncio.run(go())


def test_thousands_of_requests_are_cancelled_without_holding_up_the_loop():
    async def work(dispatcher, cluster):
        ones = np.ones((1, 3), np.float32)
        requests = [dispatcher.submit("alice", KIND, ones) for _ in range(4000)]
        begin = time.process_time()
        for request in requests:
            request.answer.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return time.process_time() - begin

    # Once for all takes 0.02 s; once for each took ten.
    assert attended(work, "a") < 2


def test_small_requests_that_come_while_a_worker_is_busy_go_together():
    early, in_all = sent(*[1] * 20)

    assert early == [1]
    assert in_all == [1, 20]


def test_a_whole_unit_is_sent_ahead_so_that_the_worker_never_waits():
    early, _ = sent(900)

    assert len(early) == 2
