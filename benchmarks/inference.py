"""Throughput of the engines against bare torch on the same cores, and memory against size.

What is compared
----------------
Bare torch: processes with one torch thread each and the same allocator settings, which take slices
of a memory map and run the network on micro-batches of the size that is best for it here (measured
first).  They do nothing else: no check of the input contract, no answers, no results on disk.

Engines: a run directory is made and driven to its end by `drive`, as a user's run is: block by
block through the engine, `Model.predict` with its check of the contract and its uncertainties,
results written to disk.  Only fetching is replaced, because an archive on the same two cores would
take them from the network: the function that is performed reads rows of the same memory map, whose
numbers it takes from the ids of its block.

``here`` is compared with one bare process, ``dask`` on two workers with two bare processes, in turn
(A B A B); each ratio is the median over the rounds of the ratio of two neighbours in time, so that
other users of the machine touch both alike.

Memory is the largest sum of the proportional set sizes of this process and its children while a
run of 1×, 10× and 100× objects is driven.

The data are simulated.  Where a bundled model has no weights yet, they are drawn at random, and the
report says so: the time that a network takes does not depend on them.

Prints one JSON object last.  ``--quick`` takes a fraction of the time and is good for a look only.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from jupyter_astroml.compute.allocator import ENVIRONMENT, fit_allocator
from jupyter_astroml.compute.blocks import fit_block_size
from jupyter_astroml.compute.dask_engine import Dask
from jupyter_astroml.compute.drive import drive
from jupyter_astroml.compute.here import Here
from jupyter_astroml.compute.run import Run
from jupyter_astroml.core.jobs import Engine, Job
from jupyter_astroml.core.records import Cutouts, LightCurves, Predictions, References
from jupyter_astroml.models.loading import Model

GOAL = 0.9
MODELS = ("galaxy_morphology", "flares")
UNIQUE = {"galaxy_morphology": 256, "flares": 64}
MICRO_BATCHES = {"galaxy_morphology": (8, 16, 32, 64), "flares": (1, 2, 4, 8)}
CADENCES = 18_300
# The time that one measurement should take; the last blocks, when a worker idles, are a part of it.
SECONDS, QUICK_SECONDS = 8.0, 2.0
ROUNDS, QUICK_ROUNDS = 5, 2


# In the workers -----------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def loaded(name: str) -> Model:
    """The bundled model, or its network with fresh weights where it was not trained yet."""
    import torch

    from jupyter_astroml.core.errors import ModelError
    from jupyter_astroml.models.catalogue import find
    from jupyter_astroml.models.loading import build, load

    torch.set_num_threads(1)
    try:
        return load(name)
    except ModelError:
        torch.manual_seed(0)
        card = find(name).card
        return Model(card=card, digest="none: fresh weights", module=build(card).eval())


@lru_cache(maxsize=4)
def mapped(path: str) -> dict[str, np.ndarray]:
    return {p.stem: np.load(p, mmap_mode="r") for p in Path(path).glob("*.npy")}


def read(job: Job, data: References) -> LightCurves | Cutouts:
    """Read the rows that the ids name from a memory map."""
    model = loaded(job.model)
    arrays = mapped(job.options["path"])
    rows = np.array([int(name) for name in data.ids.tolist()]) % len(arrays["values"])
    values = arrays["values"][rows]
    if "time" in arrays:
        return LightCurves(
            ids=data.ids,
            time=arrays["time"][rows],
            values=values,
            errors=arrays["errors"][rows],
            time_zero=2457000.0,
            band="TESS",
            simulated=True,
        )
    return Cutouts(
        ids=data.ids,
        values=values,
        bands=tuple(model.card.input.bands),
        pixel_scale=np.full(len(rows), 0.396),
        simulated=True,
    )


def perform(job: Job, data: References) -> Predictions:
    """Read a block, and give it to the model."""
    return loaded(job.model).predict(read(job, data))


def forward(module: Callable[..., Any], values: np.ndarray, *, rows: range, step: int) -> int:
    """The bare loop: slices of the map in, logits out."""
    import torch

    done = 0
    with torch.inference_mode():
        for start in range(rows.start, rows.stop, step):
            index = np.arange(start, min(start + step, rows.stop)) % len(values)
            done += module(torch.from_numpy(values[index])).numpy().shape[1]
    return done


def bare(name: str, path: str, pipe: Connection) -> None:
    """A bare process: does ranges of rows on demand until it is told None."""
    fit_allocator()
    module = loaded(name).module
    arrays = mapped(path)
    values = arrays.get("network", arrays["values"])
    while True:
        order = pipe.recv()
        if order is None:
            return
        pipe.send(forward(module, values, rows=range(*order[:2]), step=order[2]))


# In the driver ------------------------------------------------------------------------------------


class Rate(NamedTuple):
    """Objects per second of the clock, and per CPU second of all our processes.

    The second hardly notices other users of the machine; it does not see waiting either.
    """

    wall: float
    cpu: float


class Clock:
    """Starts when it is made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _cpu_seconds()

    def rate(self, n: int) -> Rate:
        """Return the rate of `n` objects since the start."""
        return Rate(n / (time.perf_counter() - self._wall), n / (_cpu_seconds() - self._cpu))


def _cpu_seconds() -> float:
    me = psutil.Process()
    times = [p.cpu_times() for p in (me, *me.children(recursive=True))]
    return sum(t.user + t.system for t in times)


class Bare:
    """Bare processes that stay alive between rounds, as the workers of an engine do."""

    def __init__(self, name: str, path: Path, *, processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes, self._processes = [], []
        before = {k: os.environ.get(k) for k in (*ENVIRONMENT, "OMP_NUM_THREADS")}
        os.environ.update(ENVIRONMENT, OMP_NUM_THREADS="1")
        try:
            for _ in range(processes):
                ours, theirs = context.Pipe()
                process = context.Process(target=bare, args=(name, str(path), theirs), daemon=True)
                process.start()
                self._pipes.append(ours)
                self._processes.append(process)
        finally:
            for key, value in before.items():
                if value is None:
                    os.environ.pop(key)
                else:
                    os.environ[key] = value

    def rate(self, n: int, *, step: int, processes: int) -> Rate:
        """Run the network on `n` rows, shared evenly between some of the processes."""
        pipes = self._pipes[:processes]
        # Whole micro-batches in each share.
        edges = [step * round(n * i / processes / step) for i in range(processes)] + [n]
        clock = Clock()
        for pipe, start, stop in zip(pipes, edges, edges[1:], strict=False):
            pipe.send((start, stop, step))
        return clock.rate(sum(pipe.recv() for pipe in pipes))

    def close(self) -> None:
        """Let the processes end."""
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            pipe.send(None)
            process.join()


@dataclass
class Bench:
    """One model, its data, and where its runs go."""

    name: str
    path: Path
    folder: Path
    count: int = 0

    @property
    def job(self) -> Job:
        """The job of a run: the same for every engine."""
        return Job("predict", self.name, loaded(self.name).digest, {"path": str(self.path)})

    def references(self, n: int) -> References:
        """`n` objects whose ids are rows of the memory map, counted round and round."""
        return References(
            ids=np.array([f"{i:09d}" for i in range(n)]),
            urls=np.full(n, "memory map"),
            formats=np.full(n, ""),
            kind=loaded(self.name).card.kind,
        )

    def run(self, n: int, block: int) -> Run:
        """A fresh run directory."""
        self.count += 1
        return Run.create(
            self.folder / f"{self.name}-{self.count}",
            job=self.job,
            data=self.references(n),
            block_size=block,
        )

    def rate(self, engine: Engine, n: int, *, block: int) -> Rate:
        """Drive a whole run, from the first block to the last file."""
        run = self.run(n, block)
        clock = Clock()
        at = drive(run, engine)
        found = clock.rate(n)
        if at.done != n or at.failed:
            raise SystemExit(f"{at.done} of {n} done, {at.failed} failed: nothing was measured")
        return found


def make_data(name: str, folder: Path) -> Path:
    """Simulated data in the input contract, as memory maps."""
    from importlib import import_module

    from jupyter_astroml.models.catalogue import architecture

    simulate = import_module(f"{architecture(name)}.simulate").simulate
    path = folder / f"data-{name}"
    path.mkdir()
    n = UNIQUE[name]
    if name == "flares":
        curves, _ = simulate(n, seed=0, cadences=CADENCES)
        arrays = {"values": curves.values, "time": curves.time, "errors": curves.errors}
    else:
        # Drawing a galaxy takes longer than naming it: a few, turned.
        few, _ = simulate(n // 16, seed=0)
        pictures = loaded(name).prepare(few).samples.values
        arrays = {"values": np.concatenate([np.roll(pictures, i, axis=-1) for i in range(16)])}
    if name == "flares":
        # The network sees the series on an even grid without gaps.
        arrays["network"] = loaded(name).prepare(curves).samples.values
    for key, values in arrays.items():
        np.save(path / f"{key}.npy", values)
    return path


def best_step(name: str, process: Bare, *, seconds: float) -> tuple[int, float]:
    """The micro-batch with which one bare process is fastest, and its rate."""
    steps = MICRO_BATCHES[name]
    process.rate(2 * max(steps), step=max(steps), processes=1)
    rate = process.rate(2 * max(steps), step=max(steps), processes=1).wall
    n = max(2 * max(steps), int(rate * seconds))
    found: dict[int, list[float]] = {step: [] for step in steps}
    for _ in range(3):
        for step in steps:
            found[step].append(process.rate(n, step=step, processes=1).wall)
    best = max(steps, key=lambda step: max(found[step]))
    return best, statistics.median(found[best])


def throughput(bench: Bench, *, workers: int, quick: bool) -> dict[str, Any]:
    """Ratios of both engines to bare torch."""
    seconds, rounds = (QUICK_SECONDS, QUICK_ROUNDS) if quick else (SECONDS, ROUNDS)
    processes = Bare(bench.name, bench.path, processes=workers)
    step, rate = best_step(bench.name, processes, seconds=0.3 if quick else 1.0)
    result = {"weights": loaded(bench.name).digest, "micro_batch": step}
    with Dask(perform, workers=workers) as cluster:
        for engine, beside in ((Here(perform), 1), (cluster, workers)):
            size = fit_block_size(engine, bench.job, bench.references(100_000))
            n = max(size.objects * 4 * beside, int(seconds * beside * rate))
            # Whole blocks for each worker: what is measured is the steady state.
            n -= n % (size.objects * beside)
            bench.rate(engine, size.objects * 2 * beside, block=size.objects)
            pairs = []
            for _ in range(rounds):
                limit = processes.rate(n, step=step, processes=beside)
                pairs.append((bench.rate(engine, n, block=size.objects), limit))
            result[engine.name] = {
                "ratio": round(statistics.median(a.wall / b.wall for a, b in pairs), 3),
                "ratios": [round(a.wall / b.wall, 3) for a, b in pairs],
                "cpu_ratio": round(statistics.median(a.cpu / b.cpu for a, b in pairs), 3),
                "objects_per_second": round(statistics.median(a.wall for a, _ in pairs), 2),
                "bare_per_second": round(statistics.median(b.wall for _, b in pairs), 2),
                "bare_processes": beside,
                "objects": n,
                "block": size.objects,
            }
            say(f"{bench.name} {engine.name}: {result[engine.name]}")
    processes.close()
    return result


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """Sample the memory of this process and its children; the list gets the peak in MB."""
    found: list[float] = []
    stop = threading.Event()
    me = psutil.Process()

    def watch() -> None:
        peak = 0
        while not stop.wait(0.1):
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            peak = max(peak, total)
        found.append(round(peak / 2**20, 1))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        stop.set()
        watcher.join()


def memory(bench: Bench, *, workers: int, quick: bool) -> dict[str, Any]:
    """Peak memory of the driver and its workers at 1, 10 and 100 times the objects."""
    factors = (1, 10) if quick else (1, 10, 100)
    result = {}
    with Dask(perform, workers=workers) as cluster:
        for engine in (Here(perform), cluster):
            places = workers if engine.name == "dask" else 1
            size = fit_block_size(engine, bench.job, bench.references(1000), seconds=0.1).objects
            base = size * 2 * places
            bench.rate(engine, base, block=size)
            peaks = {}
            for factor in factors:
                with peak_memory() as found:
                    bench.rate(engine, base * factor, block=size)
                peaks[f"{factor}x"] = found[0]
            result[engine.name] = {
                "base_objects": base,
                "peak_mib": peaks,
                "growth": round(max(peaks.values()) / peaks["1x"] - 1, 3),
                "spread": round(max(peaks.values()) / min(peaks.values()) - 1, 3),
            }
            say(f"memory {bench.name} {engine.name}: {result[engine.name]}")
    return result


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a look, not a measurement")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--no-memory", action="store_true")
    given = parser.parse_args()

    workers = min(2, len(os.sched_getaffinity(0)))
    busy = [os.getloadavg()[0]]
    details, used = {}, {}
    with tempfile.TemporaryDirectory() as root:
        for name in given.models:
            bench = Bench(name, make_data(name, Path(root)), Path(root))
            details[name] = throughput(bench, workers=workers, quick=given.quick)
            if not given.no_memory:
                used[name] = memory(bench, workers=workers, quick=given.quick)
    busy.append(os.getloadavg()[0])
    ratios = {f"{m}/{e}": details[m][e]["ratio"] for m in details for e in ("here", "dask")}
    report = {
        "name": "inference",
        "ratio": min(ratios.values()),
        "goal": GOAL,
        "ratios": ratios,
        "quick": given.quick,
        "workers": workers,
        "load": [round(x, 1) for x in busy],
        "throughput": details,
        "memory": used,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    # By its own name, and not as __main__: workers must find the functions again, and keep what
    # they loaded from one block to the next.
    import inference

    inference.main()
