"""The engines ``dask`` and ``pool`` against bare torch on the same cores.

What a bare loop is, what an engine does beside it, and how both are compared in turn (A B A B) is
told in `inference.py`, whose parts are used here.  The pool is a real service process, with real
HTTP and tokens; its clients, its service and its workers share the cores with nobody else's.

Memory is a peak while 1×, 10× and 100× objects run: of this process with its workers for ``here``
and ``dask``, of the service and of the client for the pool, there with a model that is made for the
purpose and costs 0.02 ms an object: the bundled one would take hours.

The naive way is what one would write without this package: ``dask.array.map_blocks`` over blocks of
64 objects, with a function that builds the network and loads its weights each time.

With ``--hyrax PYTHON`` the same weights and values go through hyrax's ``infer`` as well, in the
environment of that interpreter (``pip install torch==2.13.0 hyrax``, where only a CPU is there).

Prints one JSON object last.  ``--quick`` is good for a look only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import inference
import numpy as np
import psutil
from fairness import objects, run_job
from inference import Bare, Bench, Clock, Rate, best_step, loaded, make_data, say

from jupyter_astroml.compute.blocks import fit_block_size
from jupyter_astroml.compute.dask_engine import Dask
from jupyter_astroml.compute.pool_client import PoolClient
from jupyter_astroml.compute.pool_engine import Pool
from jupyter_astroml.core.jobs import Engine, Job
from jupyter_astroml.core.records import References
from jupyter_astroml.tasks import Question, ask

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "pool"))
from pools import Provider, Service, poison_model

MODEL = "galaxy_morphology"
WORKERS = 2
GOALS = {"dask": 0.95, "pool": 0.85}
NAIVE_GOAL = 3.0
BASE, CHUNK = 2_000, 1_000


def asked(job: Job, data: References) -> Question:
    """Read a block of the memory map for the pool, with the same checks as for an archive's."""
    return ask(job, inference.read(job, data))


def naive(values: np.ndarray, folder: str) -> np.ndarray:
    """A block of the naive way."""
    import torch
    from safetensors.torch import load_file

    from jupyter_astroml.models.catalogue import find
    from jupyter_astroml.models.loading import build

    torch.set_num_threads(1)
    module = build(find(MODEL).card).eval()
    module.load_state_dict(load_file(Path(folder) / "weights.safetensors"))
    with torch.inference_mode():
        return module(torch.from_numpy(np.ascontiguousarray(values))).numpy()[0]


def naive_rate(path: Path, n: int) -> Rate:
    """Run the naive way on workers of its own, as Dask starts them."""
    import dask.array as da
    from distributed import LocalCluster

    from jupyter_astroml.models.catalogue import find

    entry = find(MODEL)
    stored = np.load(path / "values.npy", mmap_mode="r")
    values = stored[np.arange(n) % len(stored)]
    array = da.from_array(values, chunks=(64, *values.shape[1:]))
    answers = array.map_blocks(
        naive,
        folder=str(entry.folder),
        drop_axis=(2, 3),
        chunks=(array.chunks[0], (len(entry.card.outputs.names),)),
        dtype=np.float32,
    )
    with LocalCluster(n_workers=WORKERS, threads_per_worker=1) as cluster, cluster.get_client():
        # Workers import torch once, before the clock starts.
        answers[: 64 * WORKERS].compute()
        clock = Clock()
        return clock.rate(len(answers.compute()))


def hyrax_rate(python: Path, path: Path, n: int) -> float:
    """Objects a second of hyrax's ``infer``, in the environment of an interpreter."""
    here = Path(__file__).parent
    # Its one process may use every core.
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    environment["PYTHONPATH"] = os.pathsep.join([str(here), str(here.parent)])
    done = subprocess.run(
        [python, here / "hyrax_infer.py", path / "values.npy", MODEL, str(n)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"hyrax failed:\n{done.stderr[-3000:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["objects_per_second"])


def against_hyrax(python: Path | None, bench: Bench, engine: Engine, n: int) -> Any:
    """The rates of hyrax and of an engine, in turn, and by how much the engine is faster."""
    if python is None:
        return "not compared: give --hyrax PYTHON, an interpreter whose environment has it"
    size = fit_block_size(engine, bench.job, bench.references(100_000)).objects
    pairs = [
        (hyrax_rate(python, bench.path, n), bench.rate(engine, n, block=size).wall)
        for _ in range(3)
    ]
    return {
        "objects": n,
        "objects_per_second": round(statistics.median(theirs for theirs, _ in pairs), 1),
        "ratios": [round(ours / theirs, 2) for theirs, ours in pairs],
        "dask_is_faster": round(statistics.median(ours / theirs for theirs, ours in pairs), 2),
        "goal": NAIVE_GOAL,
    }


def compare(
    bench: Bench, engine: Engine, bare: Bare, *, step: int, seconds: float, rounds: int
) -> dict[str, Any]:
    """Ratio of an engine to bare torch, in turn."""
    size = fit_block_size(engine, bench.job, bench.references(100_000)).objects
    warm = bare.rate(4 * step * WORKERS, step=step, processes=WORKERS).wall
    n = max(4, round(seconds * warm / size / WORKERS)) * size * WORKERS
    bench.rate(engine, 2 * size * WORKERS, block=size)
    pairs = []
    for _ in range(rounds):
        limit = bare.rate(n, step=step, processes=WORKERS)
        pairs.append((bench.rate(engine, n, block=size), limit))
    ratio = statistics.median(a.wall / b.wall for a, b in pairs)
    found = {
        "ratio": round(ratio, 3),
        "ratios": [round(a.wall / b.wall, 3) for a, b in pairs],
        # Hardly touched by others on the machine, and blind for waiting.
        "cpu_ratio": round(statistics.median(a.cpu / b.cpu for a, b in pairs), 3),
        "objects_per_second": round(statistics.median(a.wall for a, _ in pairs), 1),
        "bare_per_second": round(statistics.median(b.wall for _, b in pairs), 1),
        "objects": n,
        "block": size,
        "goal": GOALS[engine.name],
        "met": ratio >= GOALS[engine.name],
    }
    say(f"{engine.name}: {found}")
    return found


def resident(process: psutil.Process, work: Callable[[], object]) -> dict[str, float]:
    """Largest resident sets, in MiB, of a process and of this one while some work is done."""
    peak = {"service": 0, "client": 0}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            peak["service"] = max(peak["service"], process.memory_info().rss)
            peak["client"] = max(peak["client"], psutil.Process().memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        over.set()
        watcher.join()
    return {name: round(size / 2**20, 1) for name, size in peak.items()}


def memory(
    service: Service, token: str, digest: str, *, factors: tuple[int, ...]
) -> dict[str, Any]:
    """Memory of the service and of the client over the size of a job."""
    client, piece = PoolClient(service.url, token=token, connections=16), objects(CHUNK)
    process = psutil.Process(service.process.pid)
    # The network of the purpose is loaded, and every path was gone once.
    run_job(client, "simulated_cheap", digest, chunks=(piece for _ in range(8)))
    found = {}
    for factor in factors:
        chunks = (piece for _ in range(BASE // CHUNK * factor))
        work = partial(run_job, client, "simulated_cheap", digest, chunks=chunks)
        found[f"{factor}x"] = resident(process, work)
    grown = {
        who: round(found[f"{factors[-1]}x"][who] / found["1x"][who] - 1, 3)
        for who in ("service", "client")
    }
    return {"base_objects": BASE, "peak_mib": found, "growth": grown}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a look, not a measurement")
    parser.add_argument("--hyrax", type=Path, metavar="PYTHON", help="interpreter that has hyrax")
    given = parser.parse_args()
    quick = given.quick
    seconds, rounds = (3.0, 2) if quick else (8.0, 5)
    load = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        bench = Bench(MODEL, make_data(MODEL, root), root)
        bare = Bare(MODEL, bench.path, processes=WORKERS)
        each = np.load(bench.path / "values.npy", mmap_mode="r")[0].nbytes
        step, _ = best_step(MODEL, bare, seconds=0.3 if quick else 1.0)
        ratios = {}
        with Dask(inference.perform, workers=WORKERS) as cluster:
            found = compare(bench, cluster, bare, step=step, seconds=seconds, rounds=rounds)
            ratios["dask"] = found
            hyrax = against_hyrax(given.hyrax, bench, cluster, found["objects"])
            say(f"hyrax: {hyrax}")
        local = inference.memory(bench, workers=WORKERS, quick=quick)
        slow = naive_rate(bench.path, 64 * WORKERS * (2 if quick else 4))
        digest = poison_model(root / "site", "simulated_cheap", milliseconds=0.02, fixed=1.0)
        provider = Provider()
        service = Service(
            root / "pool",
            models=root / "site",
            policy={
                "oidc": provider.policy(),
                "workers": {"count": WORKERS, "memory": "2GiB"},
            },
        ).start()
        try:
            engine = Pool(service.url, ask=asked, token=provider.token("one"))
            found = compare(bench, engine, bare, step=step, seconds=seconds, rounds=rounds)
            process = psutil.Process(service.process.pid)
            before = sum(process.cpu_times()[:2])
            bench.rate(engine, found["objects"], block=found["block"])
            took = sum(process.cpu_times()[:2]) - before
            moved = found["objects"] * each / 1e6
            ratios["pool"] = {**found, "service_mb_per_cpu_second": round(moved / took)}
            engine.close()
            factors = (1, 10) if quick else (1, 10, 100)
            flat = {"pool": memory(service, provider.token("two"), digest, factors=factors)}
            say(f"memory: {flat}")
        finally:
            service.stop()
            provider.close()
            bare.close()
    load.append(os.getloadavg()[0])
    print(
        json.dumps(
            {
                "name": "engines",
                "ratio": min(found["ratio"] / GOALS[name] for name, found in ratios.items()),
                "goal": 1.0,
                "quick": quick,
                "workers": WORKERS,
                "load": [round(x, 1) for x in load],
                "weights": loaded(MODEL).digest,
                "micro_batch": step,
                "engines": ratios,
                "naive_map_blocks": {
                    "objects_per_second": round(slow.wall, 1),
                    "dask_is_faster": round(ratios["dask"]["objects_per_second"] / slow.wall, 2),
                    "goal": NAIVE_GOAL,
                },
                "memory": {**local, **flat},
                "hyrax": hyrax,
            }
        )
    )


if __name__ == "__main__":
    # By its own name, so that workers find the functions again.
    import engines

    engines.main()
