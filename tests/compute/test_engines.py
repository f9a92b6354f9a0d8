from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import weakref
from itertools import pairwise
from pathlib import Path

import compute_performs as performs
import psutil
import pytest
from distributed import Client, LocalCluster

from jupyter_astroml.compute.dask_engine import Dask
from jupyter_astroml.compute.here import Here
from jupyter_astroml.core.errors import ModelError, RunError
from jupyter_astroml.core.jobs import Block
from jupyter_astroml.core.joining import join

# The scheduler's HTTP server has a port even without a dashboard.
IN_THREADS = {"processes": False, "protocol": "tcp", "dashboard_address": "127.0.0.1:0"}


def collected(engine, job, blocks):
    """Answers of all blocks, joined in the order of the blocks."""
    found = {block.index: answers for block, answers in engine.run(job, iter(blocks))}
    assert sorted(found) == [b.index for b in blocks]
    return join([found[i] for i in sorted(found)])


def wait_for(condition, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("data", [performs.references(60), performs.cutouts(60)])
def test_here_and_dask_give_the_same_answers_bit_for_bit(
    cluster_engine, make_job, make_blocks, data
):
    job = make_job()
    here = collected(Here(performs.answers), job, make_blocks(60, 8, data))
    there = collected(cluster_engine, job, make_blocks(60, 8, data))
    assert performs.same(here, there)
    assert len(here.failures()) == 6


def blocks_that_count(n, *, peak):
    """Blocks made one by one; `peak[0]` is the largest number that was alive at once."""
    alive = weakref.WeakSet()
    for index in range(n):
        data = performs.references(index * 4 + 4)[index * 4 :]
        alive.add(data)
        peak[0] = max(peak[0], len(alive))
        block = Block(index, data)
        del data
        yield block
        del block


@pytest.mark.parametrize("window", [1, 2, 3])
def test_here_holds_no_more_blocks_than_its_window(make_job, window):
    peak = [0]
    engine = Here(performs.answers, prepare=performs.slow_prepare, window=window)
    for _ in engine.run(make_job(prepare_seconds=0.0), blocks_that_count(20, peak=peak)):
        time.sleep(0.002)
    # One more: the consumer still holds the last one when the next is made.
    assert peak[0] <= max(2, window) + 1


def test_dask_holds_no_more_blocks_than_its_window(cluster_engine, make_job, log):
    peak = [0]
    job = make_job(seconds=0.005)
    results = cluster_engine.run(job, blocks_that_count(60, peak=peak))
    for _ in range(10):
        next(results)
    # A consumer that is slow must not let results or blocks pile up.
    time.sleep(1.0)
    begun = len(performs.notes(log))
    # Two for each of two workers, half as many on their way back, and one in hand.
    assert begun <= 10 + 4 + 2 + 1
    assert sum(1 for _ in results) == 50
    assert peak[0] <= 4 + 2 + 2


def test_closing_frees_the_workers_within_a_block(cluster_engine, make_job, make_blocks, log):
    results = cluster_engine.run(make_job(seconds=0.4), iter(make_blocks(400, 4)))
    next(results)
    results.close()
    begun = len(performs.notes(log))
    free = time.monotonic()
    other = cluster_engine.run(make_job_in(log, "other"), iter(make_blocks(8, 4)))
    assert len(list(other)) == 2
    assert time.monotonic() - free < 0.4 + 1.5
    time.sleep(1.0)
    assert len(performs.notes(log)) <= begun + 2
    assert list(results) == []


def make_job_in(log, name):
    from jupyter_astroml.core.jobs import Job

    (log.parent / name).mkdir()
    return Job("predict", "m", "sha256:" + "b" * 64, {"log": str(log.parent / name)})


def test_closing_from_another_thread_ends_a_wait(cluster_engine, make_job, make_blocks):
    results = cluster_engine.run(make_job(seconds=3.0), iter(make_blocks(40, 4)))
    timer = threading.Timer(0.7, results.close)
    timer.start()
    begin = time.monotonic()
    assert list(results) == []
    assert time.monotonic() - begin < 2.5
    timer.join()


def test_a_run_that_was_closed_before_it_began_starts_nothing(make_job, make_blocks):
    engine = Dask(performs.answers, workers=1)
    results = engine.run(make_job(), iter(make_blocks(4, 2)))
    results.close()
    assert list(results) == []
    engine.close()


def test_a_worker_that_is_killed_in_mid_run_changes_nothing(cluster_engine, make_job, make_blocks):
    blocks = make_blocks(200, 4)
    want = collected(Here(performs.answers), make_job(), blocks)
    victim = cluster_engine.start()[0]
    job = make_job(seconds=0.05)
    found = {}
    for block, answers in cluster_engine.run(job, iter(blocks)):
        found[block.index] = answers
        if len(found) == 8:
            os.kill(victim, signal.SIGKILL)
    assert victim not in cluster_engine.start()
    assert performs.same(join([found[i] for i in sorted(found)]), want)


def test_a_worker_that_dies_of_a_block_once_is_given_another_chance(
    cluster_engine, make_job, make_blocks
):
    blocks = make_blocks(40, 4)
    want = collected(Here(performs.answers), make_job(), blocks)
    got = collected(cluster_engine, make_job(crash_once=["o00017", "o00030"]), blocks)
    assert performs.same(got, want)


def test_objects_that_kill_their_worker_are_blamed_and_the_rest_complete(
    cluster_engine, make_job, make_blocks
):
    blocks = make_blocks(32, 8)
    want = collected(Here(performs.answers), make_job(), blocks)
    poison = ["o00010", "o00023"]
    got = collected(cluster_engine, make_job(poison=poison), blocks)
    blamed = {name: why for name, why in got.failures().items() if "its worker died" in why}
    assert sorted(blamed) == poison
    others = [name not in poison for name in want.ids.tolist()]
    assert performs.same(got[others], want[others])


def test_a_poisoned_object_alone_in_its_block_is_blamed(cluster_engine, make_job, make_blocks):
    got = collected(cluster_engine, make_job(poison=["o00001"]), make_blocks(4, 1))
    assert list(got.failures()) == ["o00001"]


def test_when_every_object_kills_its_worker_the_run_ends_with_a_clear_error(
    cluster_engine, make_job, make_blocks, monkeypatch
):
    # Three suspects prove as much as one, and take three times as long.
    monkeypatch.setattr("jupyter_astroml.compute.dask_engine.HOPELESS_AFTER", 1)
    job = make_job(poison=performs.references(4).ids.tolist())
    with pytest.raises(RunError, match="whatever they are given"):
        collected(cluster_engine, job, make_blocks(4, 2))


@pytest.mark.parametrize("place", ["here", "dask"])
def test_an_error_of_a_whole_block_is_raised_with_its_remedy(
    cluster_engine, make_job, make_blocks, place
):
    engine = Here(performs.answers) if place == "here" else cluster_engine
    with pytest.raises(ModelError, match="not those that were asked for") as caught:
        list(engine.run(make_job(wrong_digest=1), iter(make_blocks(8, 4))))
    assert caught.value.remedy == "install them"
    with pytest.raises(RunError, match="Block 1 failed") as caught:
        list(engine.run(make_job(bug="o00005"), iter(make_blocks(8, 4))))
    assert caught.value.cause == "ZeroDivisionError: a bug of ours"


def overlapped(spans) -> bool:
    """Whether a wait of one block and the work of another were at the same time in one process."""
    return any(
        p["pid"] == w["pid"] and p["key"] != w["key"] and p["t0"] < w["t1"] and w["t0"] < p["t1"]
        for p in spans
        if p["what"] == "prepare"
        for w in spans
        if w["what"] == "perform"
    )


@pytest.mark.parametrize("place", ["here", "dask"])
def test_the_next_block_is_fetched_while_one_is_performed(make_job, make_blocks, log, place):
    both = {"prepare": performs.noted_prepare}
    make = Here if place == "here" else Dask
    engine = make(performs.noted_perform, **both, **({"workers": 1} if place == "dask" else {}))
    try:
        got = collected(engine, make_job(), make_blocks(32, 4))
    finally:
        engine.close()
    assert len(got) == 32
    spans = performs.spans(log)
    assert len(spans) == 16
    assert overlapped(spans)
    work = sorted((s["t0"], s["t1"]) for s in spans if s["what"] == "perform")
    # One thread of torch for each core: two blocks are never performed at once in a process.
    assert all(a[1] <= b[0] for a, b in pairwise(work))


def test_a_cluster_of_the_users_own_is_used_and_left_alone(make_job, make_blocks):
    want = collected(Here(performs.answers), make_job(), make_blocks(20, 4))
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            dashboard_address=None,
            protocol="tcp",
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        for given in (cluster, client, cluster.scheduler_address):
            with Dask(performs.answers, cluster=given) as engine:
                assert performs.same(collected(engine, make_job(), make_blocks(20, 4)), want)
        assert client.submit(int, "7").result() == 7


def test_a_scheduler_that_goes_away_is_reported_as_that(make_job, make_blocks):
    with LocalCluster(n_workers=1, threads_per_worker=1, **IN_THREADS) as cluster:
        engine = Dask(performs.answers, cluster=cluster)
        results = engine.run(make_job(seconds=0.1), iter(make_blocks(400, 4)))
        next(results)
        cluster.close()
        with pytest.raises(RunError, match="scheduler is gone"):
            list(results)
        engine.close()


def test_a_cluster_without_workers_is_reported_as_that(make_job, make_blocks):
    with (
        LocalCluster(n_workers=0, **IN_THREADS) as cluster,
        Dask(performs.answers, cluster=cluster, patience=1.0) as engine,
        pytest.raises(RunError, match="no workers"),
    ):
        list(engine.run(make_job(), iter(make_blocks(4, 2))))


def test_an_address_where_nobody_listens_is_reported_as_that(make_job, make_blocks):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    engine = Dask(performs.answers, cluster=address, patience=1.0)
    with pytest.raises(RunError, match="cannot be joined"):
        list(engine.run(make_job(), iter(make_blocks(4, 2))))


def listening(pids) -> list[int]:
    return [
        c.laddr.port
        for pid in pids
        for c in psutil.Process(pid).net_connections(kind="tcp")
        if c.status == psutil.CONN_LISTEN
    ]


LISTENING = """
import json
import os
import psutil
import test_engines
from jupyter_astroml.compute.dask_engine import Dask

with Dask(test_engines.performs.answers, workers=2) as engine:
    pids = [os.getpid(), *engine.start()]
    hosts = {
        c.laddr.ip
        for pid in pids
        for c in psutil.Process(pid).net_connections(kind="tcp")
        if c.status == psutil.CONN_LISTEN
    }
    pages = ("metrics", "info/main/workers.html", "json/counts.json", "status")
    answered = [
        test_engines.http_status(port, page)
        for port in test_engines.listening(pids)
        for page in pages
    ]
print(json.dumps([sorted(hosts), answered]))
"""


def test_our_own_cluster_listens_on_loopback_and_tells_strangers_nothing():
    # In a process of its own: other tests may have left a dashboard of another cluster here.
    done = subprocess.run(
        [sys.executable, "-c", LISTENING],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    hosts, answered = json.loads(done.stdout.splitlines()[-1])
    assert set(hosts) <= {"127.0.0.1", "::1"}
    assert len(answered) >= 3 * 4
    assert set(answered) <= {404, None}


SCRIPT = """\
from jupyter_astroml.compute.dask_engine import Dask

{guard}
    print("begun")
    with Dask(print, workers=1) as engine:
        print(len(engine.start()), "worker")
"""


@pytest.mark.parametrize("started", [["script.py"], ["-m", "script"]])
@pytest.mark.parametrize("guard", ["if True:", "if __name__ == '__main__':"])
def test_a_script_that_its_workers_would_run_again_is_told_so(guard, started, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT.format(guard=guard))
    done = subprocess.run(
        [sys.executable, *started],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.count("begun") == 1
    if "__name__" in guard:
        assert (done.returncode, done.stdout) == (0, "begun\n1 worker\n"), done.stderr[-3000:]
    else:
        assert done.returncode
        assert "Workers would run script.py again" in done.stderr
        assert "put what it does below the line: if __name__ == '__main__':" in done.stderr


def http_status(port: int, page: str) -> int | None:
    """What a stranger's browser gets; None from a TLS port, which hangs up."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        connection.request("GET", f"/{page}")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def test_a_stranger_without_our_certificate_is_turned_away(cluster_engine):
    cluster_engine.start()
    host, port = cluster_engine._connected().scheduler.address.removeprefix("tls://").split(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # In TLS 1.3 the server's refusal is read after the handshake; a Dask server that accepts
    # somebody speaks first.
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        context.wrap_socket(plain) as stranger,
    ):
        try:
            told = stranger.recv(1)
        except (ssl.SSLError, ConnectionError):
            told = b""
    assert told == b""


def test_our_own_workers_keep_freed_memory_and_our_environment_stays(make_job, make_blocks):
    before = dict(os.environ)
    with Dask(performs.environment, workers=1) as engine:
        ((_, got),) = engine.run(make_job(), iter(make_blocks(2, 2)))
        assert dict(os.environ) == before
        (pid,) = engine.start()
    assert got.columns["arena_max"][0] == "1"
    assert int(got.columns["trim"][0]) > 1 << 30
    assert got.columns["threads"][0] == "1"
    assert dict(os.environ) == before
    assert wait_for(lambda: not psutil.pid_exists(pid))
