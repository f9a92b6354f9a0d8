"""How fair the pool is, and what sharing it costs.

A real service process with two workers, real HTTP, tokens of a provider of identity, and every user
a client of its own.  Only a model's cost is simulated where the bundled one would take hours on a
CPU: the model named ``simulated_…`` answers with a mean, and sleeps as long as a GPU would compute,
a fixed time for a batch and some for each object in it.  The report names the figures.

(a) A user asks for 64 objects again and again, while another user's job of 10^5 runs.
    Goals: 95 % of the answers within 10 units of time and within a second; the job keeps 0.85 of
    the speed that it has alone, though a second user works beside it.
(b) Two users who always wait, and whose objects differ 20 times in cost.
    Goal: each gets 40 to 60 % of the workers' time.
(c) Thirty students ask at once, object by object.
    Goals: no error, the weights once on each worker, and three times the throughput of a pool that
    merges nothing.  With the simulated model, and with the bundled galaxies.

Prints one JSON object last.  ``--quick`` is good for a look only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import numpy as np
import urllib3

from jupyter_astroml.compute.pool_client import PoolClient

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "pool"))
from pools import SIDE, Provider, Service, poison_model

WORKERS = 2
UNIT_SECONDS = 0.1
# The bulk job of (a); a chunk is what a client sends at once.
BULK, CHUNK = 100_000, 2_000
SMALL = 64
STUDENTS = 30
# Milliseconds for each object, and for each batch.
CHEAP = {"milliseconds": 0.2, "fixed": 2.0}
DEAR = {"milliseconds": 4.0, "fixed": 2.0}
GPU = {"milliseconds": 0.1, "fixed": 10.0}


class Users:
    """Everybody who asks one pool, by name."""

    def __init__(self, service: Service, provider: Provider) -> None:
        self._service = service
        self._provider = provider

    def client(self, name: str) -> PoolClient:
        """Return a client of one user."""
        return PoolClient(self._service.url, token=self._provider.token(name), connections=16)

    def status(self) -> dict[str, Any]:
        """Return what an administrator sees."""
        return self.client("root").get("status")

    def asker(self, name: str, model: str, digest: str, values: np.ndarray) -> Callable[[], None]:
        """Return a function that asks for these objects in one request, and checks the answer."""
        query = urlencode(
            {"model": model, "digest": digest, "shape": ",".join(map(str, values.shape))}
        )
        url = f"{self._service.url}/v1/infer?{query}"
        headers = {"Authorization": f"token {self._provider.token(name)}"}
        http, body = urllib3.PoolManager(retries=False), values.tobytes()

        def ask() -> None:
            reply = http.request("POST", url, body=body, headers=headers)
            if reply.status != 200 or any(reply.data[-len(values) :]):
                raise RuntimeError(f"{reply.status}: {reply.data[:200]!r}")

        return ask


def run_job(client: PoolClient, model: str, digest: str, *, chunks: Iterator[np.ndarray]) -> int:
    """Run a job as the engine does, eight chunks in flight; return the objects that were done."""
    job = client.create(
        {"model": model, "digest": digest, "chunks": 10**6, "client_id": uuid4().hex}
    )

    def one(numbered: tuple[int, np.ndarray]) -> int:
        number, values = numbered
        client.send(job, number, values)
        answer = client.fetch(job, number)
        client.release(job, number)
        return int((answer.status == 0).sum())

    with ThreadPoolExecutor(8) as threads:
        done = sum(threads.map(one, enumerate(chunks)))
    client.delete(job)
    return done


def objects(n: int, shape: tuple[int, ...] = (1, SIDE, SIDE)) -> np.ndarray:
    return np.random.default_rng(0).random((n, *shape), dtype=np.float32)


def beside_a_bulk_job(users: Users, digest: str, *, bulk: int) -> dict[str, Any]:
    """(a): how long small requests take, and what they take from the job."""
    piece = objects(CHUNK)
    name, count = "simulated_cheap", bulk // CHUNK

    def job() -> float:
        begin = time.perf_counter()
        chunks = (piece for _ in range(count))
        done = run_job(users.client("bulk"), name, digest, chunks=chunks)
        if done != bulk:
            raise SystemExit(f"{done} of {bulk} objects were done: nothing was measured")
        return time.perf_counter() - begin

    ask = users.asker("small", name, digest, objects(SMALL))
    job()
    alone = statistics.median(job() for _ in range(2))
    took: list[float] = []
    over = threading.Event()

    def ask_again() -> None:
        while not over.is_set():
            begin = time.perf_counter()
            ask()
            took.append(time.perf_counter() - begin)
            # Somebody who looks at the answer before the next question.
            time.sleep(0.3)

    with ThreadPoolExecutor(1) as thread:
        asking = thread.submit(ask_again)
        beside = statistics.median(job() for _ in range(2))
        over.set()
        asking.result()
    p95 = float(np.quantile(took, 0.95))
    return {
        "requests": len(took),
        "p50_s": round(float(np.median(took)), 3),
        "p95_s": round(p95, 3),
        "p95_units": round(p95 / UNIT_SECONDS, 2),
        "bulk_objects": bulk,
        "bulk_alone_s": round(alone, 2),
        "bulk_beside_s": round(beside, 2),
        "bulk_keeps": round(alone / beside, 3),
        "met": p95 <= min(1.0, 10 * UNIT_SECONDS) and alone / beside >= 0.85,
    }


def unlike_costs(users: Users, digest: str, *, seconds: float) -> dict[str, Any]:
    """(b): how worker time is shared between users who always wait."""
    over = threading.Event()
    names = {"frugal": "simulated_cheap", "greedy": "simulated_dear"}

    def chunks(user: str) -> Iterator[np.ndarray]:
        piece = objects(CHUNK if user == "frugal" else CHUNK // 20)
        while not over.is_set():
            yield piece

    def used() -> dict[str, float]:
        found = {one["user"]: one["seconds"] for one in users.status()["used"]}
        return {user: found.get(user, 0.0) for user in names}

    with ThreadPoolExecutor(2) as threads:
        going = [
            threads.submit(_until_over, users.client(user), model, digest, chunks(user), over)
            for user, model in names.items()
        ]
        # Costs are not known in the first second.
        time.sleep(2)
        before = used()
        time.sleep(seconds)
        after = used()
        over.set()
        for one in going:
            one.result()
    spent = {user: after[user] - before[user] for user in names}
    shares = {user: round(t / sum(spent.values()), 3) for user, t in spent.items()}
    return {
        "seconds": seconds,
        "shares": shares,
        "met": all(0.4 <= s <= 0.6 for s in shares.values()),
    }


def _until_over(
    client: PoolClient,
    model: str,
    digest: str,
    chunks: Iterator[np.ndarray],
    over: threading.Event,
) -> None:
    """Keep eight chunks waiting until it is over; `map` would draw them all at once."""
    job = client.create(
        {"model": model, "digest": digest, "chunks": 10**6, "client_id": uuid4().hex}
    )
    lock, numbers = threading.Lock(), iter(range(10**6))

    def keep_asking(_: int) -> None:
        while not over.is_set():
            with lock:
                number, values = next(numbers), next(chunks, None)
            if values is None:
                return
            client.send(job, number, values)
            client.fetch(job, number)
            client.release(job, number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(keep_asking, range(8)))
    client.delete(job)


def students(
    users: Users, model: str, digest: str, shape: tuple[int, ...], *, seconds: float
) -> dict[str, Any]:
    """(c): requests of one object each, from thirty users at once, for some seconds."""
    asks = [users.asker(f"s{i}", model, digest, objects(1, shape)) for i in range(STUDENTS)]
    errors: list[str] = []
    done: list[float] = []
    start, stop = time.perf_counter() + 2.0, time.perf_counter() + 2.0 + seconds

    def sit(ask: Callable[[], None]) -> None:
        while (now := time.perf_counter()) < stop:
            try:
                ask()
            except (RuntimeError, urllib3.exceptions.HTTPError) as err:
                errors.append(str(err)[:200])
            else:
                # The first two seconds teach the pool what an object costs.
                if now >= start:
                    done.append(time.perf_counter() - now)

    before = users.status()["events"]
    with ThreadPoolExecutor(STUDENTS) as threads:
        list(threads.map(sit, asks))
    after = users.status()["events"]
    batches = after["batches"] - before["batches"]
    return {
        "errors": len(errors),
        "first_error": errors[0] if errors else "",
        "objects_per_second": round(len(done) / seconds, 1),
        "p95_s": round(float(np.quantile(done, 0.95)), 3) if done else None,
        "objects_per_batch": round((after["objects"] - before["objects"]) / batches, 2),
    }


def copies_of_weights(diary: Path) -> dict[str, int]:
    """How many processes built the network, and how often one did so at most."""
    each = Counter(diary.read_text().split())
    return {"processes": len(each), "most_in_a_process": max(each.values())}


def classroom(
    make: Callable[..., Any], digests: dict[str, str], *, diary: Path, seconds: float
) -> dict[str, Any]:
    """(c) with merging and without, for both models."""
    result: dict[str, Any] = {}
    cases = {"simulated_gpu": (1, SIDE, SIDE), "galaxy_morphology": _shape("galaxy_morphology")}
    rates: dict[tuple[str, bool], float] = {}
    for merges in (True, False):
        with make(merge=256 if merges else 1) as users:
            for model, shape in cases.items():
                found = students(users, model, digests[model], shape, seconds=seconds)
                rates[model, merges] = found["objects_per_second"]
                result.setdefault(model, {})["merged" if merges else "one by one"] = found
                say(f"{model} merges={merges}: {found}")
        if merges:
            result["copies_of_weights"] = copies_of_weights(diary)
    for model in cases:
        result[model]["gain"] = round(rates[model, True] / rates[model, False], 2)
    return result


def _shape(model: str) -> tuple[int, ...]:
    from jupyter_astroml.models.catalogue import find

    contract = find(model).card.input
    return (len(contract.bands), *contract.size)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a look, not a measurement")
    quick = parser.parse_args().quick
    from jupyter_astroml.models.catalogue import find

    provider = Provider()
    with tempfile.TemporaryDirectory() as root:
        site = Path(root) / "site"
        models = {"simulated_cheap": CHEAP, "simulated_dear": DEAR, "simulated_gpu": GPU}
        diary = Path(root) / "diary"
        digests = {
            name: poison_model(site, name, **cost, diary=str(diary) if cost is GPU else "")
            for name, cost in models.items()
        }
        digests["galaxy_morphology"] = find("galaxy_morphology").digest

        @contextmanager
        def make(**policy: Any) -> Iterator[Users]:
            service = Service(
                Path(root) / uuid4().hex,
                models=site,
                policy={
                    "oidc": provider.policy(),
                    "workers": {"count": WORKERS, "memory": "1GiB"},
                    "admins": ["root"],
                    "unit_seconds": UNIT_SECONDS,
                    **policy,
                },
            ).start()
            try:
                yield Users(service, provider)
            finally:
                service.stop()

        load = [os.getloadavg()[0]]
        with make() as users:
            bulk = BULK // 10 if quick else BULK
            a = beside_a_bulk_job(users, digests["simulated_cheap"], bulk=bulk)
            say(f"(a) {a}")
            b = unlike_costs(users, digests["simulated_dear"], seconds=3 if quick else 10)
            say(f"(b) {b}")
        c = classroom(make, digests, diary=diary, seconds=3 if quick else 8)
        load.append(os.getloadavg()[0])
    provider.close()
    print(
        json.dumps(
            {
                "name": "fairness",
                "ratio": a["bulk_keeps"],
                "goal": 0.85,
                "quick": quick,
                "workers": WORKERS,
                "unit_seconds": UNIT_SECONDS,
                "load": [round(x, 1) for x in load],
                "simulated_cost_ms": models,
                "small_beside_bulk": a,
                "unlike_costs": b,
                "classroom": c,
            }
        )
    )


if __name__ == "__main__":
    main()
