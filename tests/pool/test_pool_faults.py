"""What goes wrong on workers, made to go wrong: nothing but the guilty object is lost."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import psutil
import pytest
import requests

from jupyter_astroml.core.errors import RunError
from jupyter_astroml.core.jobs import CRASHED, DEADLINE, MODEL_ERROR, NOT_FINITE

CRASH, HANG, EAT, FAIL, EXIT = -1.0, -2.0, -3.0, -4.0, -5.0


def poisoned(values, row, what):
    values = values.copy()
    values[row, 0, 0, 0] = what
    return values


def answer(client, job, values, number=0):
    name = client.create(job)
    client.send(name, number, values)
    try:
        return client.fetch(name, number)
    finally:
        client.delete(name)


def expected(values):
    mean = values.reshape(len(values), -1).mean(axis=1, dtype=np.float32)
    return np.stack([mean, -mean], axis=1)[:, None]


def status(client):
    return client.get("status")


def test_answers_are_those_of_the_model(pool, client, job, objects):
    values = objects(300)
    got = answer(client(pool), job(), values)
    np.testing.assert_allclose(got.outputs, expected(values), rtol=1e-5)
    assert not got.status.any()


@pytest.mark.parametrize("what", [CRASH, EXIT, EAT])
def test_one_object_that_kills_its_worker_is_found_and_the_others_answered(
    pool, client, job, objects, what
):
    values = poisoned(objects(2560), 1234, what)
    begin = time.monotonic()
    before = status(client(pool, "root"))["events"]["workers_lost"]
    bystander = client(pool, "bob")
    with ThreadPoolExecutor(1) as threads:
        others = threads.submit(answer, bystander, job(), objects(64, seed=1))
        got = answer(client(pool), job(), values)
        assert not others.result().status.any()
    (guilty,) = np.flatnonzero(got.status)
    assert guilty == 1234
    assert got.status[guilty] == CRASHED
    assert np.isnan(got.outputs[guilty]).all()
    good = np.delete(np.arange(2560), 1234)
    np.testing.assert_allclose(got.outputs[good], expected(values)[good], rtol=1e-5)
    lost = status(client(pool, "root"))["events"]["workers_lost"] - before
    # A worker that is being ended for its memory may be met once more by the next try.
    assert lost <= 4
    print(f"{what}: {lost} workers lost, {time.monotonic() - begin:.1f} s")


def test_an_object_that_hangs_is_given_up_and_its_worker_replaced(make_pool, client, job, objects):
    pool = make_pool("hang", deadline=1.0)
    ready = client(pool)
    answer(ready, job(), objects(4))
    got = answer(ready, job(), poisoned(objects(64), 7, HANG))
    assert np.flatnonzero(got.status).tolist() == [7]
    assert got.status[7] == DEADLINE
    assert not answer(ready, job(), objects(64)).status.any()


def test_an_object_on_which_the_model_fails_costs_no_worker(pool, client, job, objects):
    before = status(client(pool, "root"))["events"]["workers_lost"]
    values = poisoned(objects(200), 100, FAIL)
    got = answer(client(pool), job(), values)
    assert np.flatnonzero(got.status).tolist() == [100]
    assert got.status[100] == MODEL_ERROR
    assert status(client(pool, "root"))["events"]["workers_lost"] == before


@pytest.mark.parametrize("bad", [0, 1])
def test_the_neighbour_of_an_object_on_which_the_model_fails_is_answered(
    pool, client, job, objects, bad
):
    got = answer(client(pool), job(), poisoned(objects(2), bad, FAIL))
    assert np.flatnonzero(got.status).tolist() == [bad]


def test_values_that_are_not_finite_are_named(pool, client, job, objects):
    values = objects(50)
    values[3, 0, 2, 2] = np.inf
    values[9] = np.nan
    got = answer(client(pool), job(), values)
    assert np.flatnonzero(got.status).tolist() == [3, 9]
    assert set(got.status[[3, 9]]) == {NOT_FINITE}
    assert np.isnan(got.outputs[[3, 9]]).all()


@pytest.mark.timeout(180)
def test_workers_may_be_killed_every_two_seconds(pool, client, job, objects):
    ready = client(pool)
    chunks = [objects(500, seed=seed) for seed in range(20)]
    stop = threading.Event()
    killed = []

    def kill():
        while not stop.wait(2):
            victims = pool.workers
            if victims:
                os.kill(victims[0].pid, signal.SIGKILL)
                killed.append(victims[0].pid)

    killer = threading.Thread(target=kill)
    name = ready.create(job("slow"))
    killer.start()
    try:
        for number, values in enumerate(chunks):
            ready.send(name, number, values)
        found = [ready.fetch(name, number) for number in range(len(chunks))]
    finally:
        stop.set()
        killer.join()
    assert len(killed) >= 2
    for values, got in zip(chunks, found, strict=True):
        assert not got.status.any()
        np.testing.assert_allclose(got.outputs, expected(values), rtol=1e-5)


@pytest.mark.timeout(120)
def test_who_cancels_before_the_blame_is_found_is_blamed_all_the_same(
    make_pool, client, job, objects
):
    pool = make_pool("cancel", limits={"crashes": 2})
    attacker, root = client(pool, "mallory"), client(pool, "root")
    end = time.monotonic() + 90
    while attacker.get("me")["used"]["crashes"] < 2:
        assert time.monotonic() < end
        lost = status(root)["events"]["workers_lost"]
        name = attacker.create(job())
        with suppress(RunError):
            # The blame for the last one may come at any time.
            attacker.send(name, 0, poisoned(objects(1), 0, CRASH))
        while status(root)["events"]["workers_lost"] == lost and time.monotonic() < end:
            if attacker.get("me")["used"]["crashes"] >= 2:
                break
            time.sleep(0.01)
        attacker.delete(name)
        time.sleep(0.3)
    with pytest.raises(RunError, match="takes no work from you"):
        attacker.send(attacker.create(job()), 0, objects(1))


@pytest.mark.timeout(120)
def test_who_sends_nothing_but_poison_is_suspended_and_others_hardly_notice(
    make_pool, client, job, objects
):
    pool = make_pool("attack")
    attacker, bob = client(pool, "mallory"), client(pool, "bob")
    answer(bob, job(), objects(8))
    over = threading.Event()

    def attack():
        name = attacker.create(job())
        try:
            for number in range(100):
                values = objects(4)
                values[:, 0, 0, 0] = CRASH
                attacker.send(name, number, values)
            for number in range(100):
                attacker.fetch(name, number)
        except RunError as err:
            return err
        finally:
            over.set()
        return None

    took = []
    with ThreadPoolExecutor(1) as threads:
        attacked = threads.submit(attack)
        while not over.is_set():
            begin = time.monotonic()
            assert not answer(bob, job(), objects(16)).status.any()
            took.append(time.monotonic() - begin)
        err = attacked.result()
    assert err is not None
    assert "crashed" in err.cause
    events = status(client(pool, "root"))["events"]
    assert events["suspended"] >= 1
    assert events["workers_lost"] <= 14
    print(f"{events['workers_lost']} deaths, {len(took)} answers, longest {max(took):.2f} s")
    assert max(took) < 10
    with pytest.raises(RunError, match="no work from you"):
        attacker.send(attacker.create(job()), 0, objects(4))


@pytest.mark.timeout(180)
def test_a_service_that_is_killed_loses_no_chunk(make_pool, client, job, objects):
    pool = make_pool("killed")
    ready = client(pool)
    name = ready.create(job("slow"))
    chunks = [objects(400, seed=seed) for seed in range(20)]
    for number, values in enumerate(chunks):
        ready.send(name, number, values)
    done = ready.fetch(name, 0)
    left = pool.kill()
    begin = time.monotonic()
    _, alive = psutil.wait_procs(left, timeout=10)
    gone_after = time.monotonic() - begin
    assert not alive
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(ready.fetch, name, 19)
        time.sleep(1)
        pool.start()
        waiting.result()
    found = [ready.fetch(name, number) for number in range(len(chunks))]
    np.testing.assert_array_equal(found[0].outputs, done.outputs)
    for values, got in zip(chunks, found, strict=True):
        np.testing.assert_allclose(got.outputs, expected(values), rtol=1e-5)
    print(f"children gone after {gone_after:.2f} s")


@pytest.mark.timeout(120)
def test_a_service_that_is_stopped_finishes_what_it_has(make_pool, client, job, objects):
    pool = make_pool("drained")
    ready = client(pool)
    name = ready.create(job("slow"))
    for number in range(4):
        ready.send(name, number, objects(250, seed=number))
    children = psutil.Process(pool.process.pid).children(recursive=True)
    pool.stop()
    assert pool.process.returncode in (0, -signal.SIGTERM)
    assert not psutil.wait_procs(children, timeout=5)[1]
    pool.start()
    begin = time.monotonic()
    for number in range(4):
        assert not ready.fetch(name, number).status.any()
    # The answers were on disk: half a second of work for each would be needed to find them anew.
    assert ready.get(f"jobs/{name}")["done"] == 4
    assert time.monotonic() - begin < 10


@pytest.mark.timeout(120)
def test_who_waits_is_answered_while_a_pool_stops_and_nobody_is_let_in(
    make_pool, client, job, objects, provider
):
    pool = make_pool("draining")
    ready = client(pool)
    name = ready.create(job("slow"))
    # Four seconds of work.
    for number in range(16):
        ready.send(name, number, objects(500, seed=number))
    pool.process.send_signal(signal.SIGTERM)
    header = {"Authorization": f"Bearer {provider.token('bob')}"}
    end = time.monotonic() + 5
    while requests.get(f"{pool.url}/ready", timeout=5).status_code == 200:
        assert time.monotonic() < end
    refused = requests.post(
        f"{pool.url}/v1/jobs", json=dict(job("slow")), headers=header, timeout=5
    )
    assert (refused.status_code, refused.json()["code"]) == (503, "draining")
    assert int(refused.headers["Retry-After"]) > 0
    assert not ready.fetch(name, 0).status.any()
    assert pool.process.wait(40) == 0
    pool.start()
    for number in range(1, 16):
        assert not ready.fetch(name, number).status.any()


def test_cancelling_empties_the_queue(pool, client, job, objects):
    ready, root = client(pool), client(pool, "root")
    name = ready.create(job("slow"))
    for number in range(40):
        ready.send(name, number, objects(500, seed=number))
    assert sum(root.get("status")["waiting_s"].values()) > 5
    begin = time.monotonic()
    ready.delete(name)
    took = time.monotonic() - begin
    assert not root.get("status")["waiting_s"]
    assert not answer(client(pool, "bob"), job(), objects(64)).status.any()
    print(f"cancelled in {1e3 * took:.0f} ms")
