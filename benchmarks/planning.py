"""How many users a number of GPUs can serve: a simulation of the pool's queue.

The queue and the costs are the pool's own (`FairQueue`, `Costs`), driven by a clock that is turned
from event to event; users and workers are simulated, and so is the time that a batch takes.  HTTP,
disks and networks are not in it: `fairness.py` measures these on a real pool.

Users are of three kinds: explorers (70 %) ask for 64 objects and look at the answer for about half
a minute; analysts (25 %) ask for 2 000 every five minutes; surveys (5 %) always wait, eight chunks
of 2 000 at a time, and get what the others leave.

A worker takes ``fixed + each · n`` for a batch, within ten per cent.  ``cpu`` is galaxy_morphology,
measured here on one core before the simulation begins, in CPU time, unless ``--cpu FIXED_MS
EACH_MS`` gives it; ``gpu`` is an assumption, to be replaced by what `jupyter astroml pool doctor`
or the pool's metrics say of yours: ``--gpu FIXED_MS EACH_MS``.

Prints one JSON object last.  ``--quick`` simulates a tenth of the time.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from jupyter_astroml.pool.costs import Costs
from jupyter_astroml.pool.fair import FairQueue

UNIT_SECONDS = 0.1
MERGE = 256
UNIT_OBJECTS = 1024
# What the line of a CPU core is drawn through.
MODEL, SIZES, REPEATS = "galaxy_morphology", (1, 2, 4, 8, 16, 32, 64), 5
GPU_MS = (5.0, 0.1)
# Share of the users, objects of a request, seconds between an answer and the next request.
KINDS = {
    "explorer": (0.70, 64, 30.0),
    "analyst": (0.25, 2_000, 300.0),
    "survey": (0.05, 2_000, 0.0),
}
SURVEY_CHUNKS = 8
NOISE = 0.1


@dataclass(eq=False)
class Asked:
    """A request that was made."""

    user: str
    kind: str
    objects: int
    at: float
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.objects


@dataclass(eq=False)
class Piece:
    """A unit of a request, as the queue sees it."""

    asked: Asked
    start: int
    costs: Costs
    mergeable: bool = True
    kind: str = "galaxies"

    def __post_init__(self) -> None:
        most = self.costs.objects(self.kind, seconds=UNIT_SECONDS, most=UNIT_OBJECTS)
        self._n = min(most, self.asked.objects - self.start)
        self.seconds = self.costs.seconds(self.kind, self._n)

    def __len__(self) -> int:
        return self._n

    @property
    def user(self) -> str:
        """Who asked."""
        return self.asked.user

    @property
    def added(self) -> float:
        """Seconds that it adds to a batch."""
        return self._n * self.costs.each(self.kind)

    @property
    def batch_seconds(self) -> float:
        """Seconds that a batch should take."""
        return self.costs.aim(self.kind, seconds=UNIT_SECONDS)

    @property
    def seconds_in_all(self) -> float:
        """Seconds of all that is left of the request."""
        return self.costs.seconds(self.kind, self.asked.objects - self.start)

    def following(self) -> Piece | None:
        """Return the next unit of the request."""
        start = self.start + self._n
        return Piece(self.asked, start, self.costs) if start < self.asked.objects else None


class Simulation:
    """Users and workers on a clock.

    Parameters
    ----------
    users, workers : int
    line : tuple of float
        Seconds of a batch and of an object.
    seed : int
    """

    def __init__(self, users: int, workers: int, line: tuple[float, float], *, seed: int) -> None:
        self._random = random.Random(seed)
        self._line = line
        self._workers = workers
        self._free = workers
        self._costs = Costs()
        self._queue: FairQueue[Piece] = FairQueue(quantum=UNIT_SECONDS / 2)
        self._now = 0.0
        self._order = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self.waits: dict[str, list[float]] = defaultdict(list)
        self.done: dict[str, int] = defaultdict(int)
        self.busy = 0.0
        self.batches = 0
        self.thinking = 0.0
        self._counts_from = 0.0
        # As the pool does before it knows better: small units first.
        for n in (8, 64, 256, 1, 16):
            self._costs.learn("galaxies", objects=n, seconds=line[0] + line[1] * n)
        for i in range(users):
            self._invite(f"u{i}", _kind(i, users))

    def run(self, *, warm: float, seconds: float) -> None:
        """Let time pass; what happens after `warm` seconds counts."""
        self._counts_from = warm
        while self._events and self._now < warm + seconds:
            self._now, _, event = heapq.heappop(self._events)
            event()

    def seconds_of_asking(self) -> float:
        """Return what it costs to tell one who waits how much comes first."""
        waiting = self._queue.users[:20]
        begin = time.process_time()
        for user in waiting:
            self._queue.ahead(user, self._queue.waiting())
        return (time.process_time() - begin) / max(1, len(waiting))

    def _at(self, delay: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self._now + delay, next(self._order), event))

    def _invite(self, user: str, kind: str) -> None:
        _, objects, pause = KINDS[kind]
        for _ in range(SURVEY_CHUNKS if kind == "survey" else 1):
            first = self._random.uniform(0, pause)
            self._at(first, lambda: self._ask(Asked(user, kind, objects, self._now)))

    def _ask(self, asked: Asked) -> None:
        asked.at = self._now
        begin = time.process_time()
        self._queue.put(Piece(asked, 0, self._costs))
        self.thinking += time.process_time() - begin
        self._pump()

    def _pump(self) -> None:
        while self._free:
            begin = time.process_time()
            batch = self._queue.take(objects=MERGE)
            self.thinking += time.process_time() - begin
            if not batch:
                return
            self._free -= 1
            fixed, each = self._line
            took = (fixed + each * sum(map(len, batch))) * self._random.uniform(
                1 - NOISE, 1 + NOISE
            )
            self._at(took, lambda batch=batch, took=took: self._finish(batch, took))

    def _finish(self, batch: list[Piece], took: float) -> None:
        self._free += 1
        self.batches += 1
        objects = sum(map(len, batch))
        begin = time.process_time()
        self._costs.learn("galaxies", objects=objects, seconds=took)
        for piece in batch:
            self._queue.charge(piece.user, took * len(piece) / objects - piece.seconds)
        self.thinking += time.process_time() - begin
        counts = self._now >= self._counts_from
        self.busy += took * counts
        for piece in batch:
            asked = piece.asked
            asked.left -= len(piece)
            self.done[asked.kind] += len(piece) * counts
            if not asked.left:
                self._answered(asked, counts=counts)
        self._pump()

    def _answered(self, asked: Asked, *, counts: bool) -> None:
        if counts:
            self.waits[asked.kind].append(self._now - asked.at)
        pause = KINDS[asked.kind][2]
        delay = self._random.expovariate(1 / pause) if pause else 0.0
        self._at(delay, lambda: self._ask(Asked(asked.user, asked.kind, asked.objects, 0.0)))


def _kind(i: int, users: int) -> str:
    """Every twentieth user is a survey, every fourth of the others an analyst."""
    place = (i * 37 % 100) / 100 if users >= 100 else i / users
    for kind, (share, _, _) in KINDS.items():
        if place < share:
            return kind
        place -= share
    return "explorer"


def plan(
    users: int, workers: int, line: tuple[float, float], *, seconds: float, seed: int = 0
) -> dict[str, Any]:
    """Simulate one site."""
    simulation = Simulation(users, workers, line, seed=seed)
    simulation.run(warm=30.0, seconds=seconds)
    most = workers * UNIT_OBJECTS / (line[0] + line[1] * UNIT_OBJECTS)
    asking = simulation.seconds_of_asking()
    found: dict[str, Any] = {
        "users": users,
        "workers": workers,
        "objects_per_second": round(sum(simulation.done.values()) / seconds),
        "bare_objects_per_second": round(most),
        "busy": round(simulation.busy / seconds / workers, 3),
        "for_surveys": round(simulation.done["survey"] / max(1, sum(simulation.done.values())), 3),
        "queue_us_per_batch": round(1e6 * simulation.thinking / max(1, simulation.batches), 1),
        "ahead_us": round(1e6 * asking, 1),
        "queue_share_of_a_core": round(simulation.thinking / (30.0 + seconds), 4),
    }
    for kind, waits in simulation.waits.items():
        cuts = statistics.quantiles(waits, n=20) if len(waits) > 1 else waits * 19
        found[kind] = {
            "p50_s": round(cuts[9], 3),
            "p95_s": round(cuts[18], 3),
            "answers": len(waits),
        }
    say(f"{found}")
    return found


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def measured_line() -> tuple[float, float]:
    """Return the CPU seconds of a batch, and of each object in it, of a real network on one core.

    The line goes through the medians over `REPEATS` rounds, by least squares of what is relative:
    otherwise the largest batch alone would decide.
    """
    import torch

    from jupyter_astroml.compute.allocator import fit_allocator
    from jupyter_astroml.models.catalogue import find
    from jupyter_astroml.models.loading import load

    torch.set_num_threads(1)
    fit_allocator()
    entry = find(MODEL)
    model, contract = load(MODEL, entry.digest), entry.card.input
    shape = (len(contract.bands), *contract.size)
    batches = {n: np.random.default_rng(n).random((n, *shape), dtype=np.float32) for n in SIZES}
    took: dict[int, list[float]] = defaultdict(list)
    for _ in range(REPEATS + 1):
        for n, values in batches.items():
            begin = time.process_time()
            model.logits(values)
            took[n].append(time.process_time() - begin)
    times = np.array([statistics.median(took[n][1:]) for n in SIZES])
    design = np.stack([np.ones(len(SIZES)), SIZES], axis=1) / times[:, None]
    fixed, each = np.linalg.lstsq(design, np.ones(len(SIZES)), rcond=None)[0]
    return float(max(fixed, 0.0)), float(each)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the time")
    parser.add_argument("--gpu", nargs=2, type=float, default=GPU_MS, metavar="MS")
    parser.add_argument("--cpu", nargs=2, type=float, default=None, metavar="MS")
    given = parser.parse_args()
    cpu = tuple(1e-3 * ms for ms in given.cpu) if given.cpu else measured_line()
    gpu = (1e-3 * given.gpu[0], 1e-3 * given.gpu[1])
    seconds = 30.0 if given.quick else 300.0
    sites = [(4, 200, gpu), (4, 400, gpu), (4, 800, gpu), (4, 1600, gpu)]
    sites += [(64, 5_000, gpu), (64, 10_000, gpu), (16, 200, cpu)]
    plans = []
    for workers, users, line in sites:
        found = plan(users, workers, line, seconds=min(seconds, 60.0) if workers == 64 else seconds)
        plans.append({"place": "cpu" if line is cpu else "gpu, assumed", **found})
    large = next(p for p in plans if p["users"] == 5_000)
    print(
        json.dumps(
            {
                "name": "planning",
                "ratio": round(UNIT_SECONDS / (1e-6 * large["queue_us_per_batch"] * 64), 1),
                "goal": 1.0,
                "what": "a simulation; ratio: times that the queue is faster than 64 workers need",
                "quick": given.quick,
                "unit_seconds": UNIT_SECONDS,
                "line_ms": {"cpu": [round(1e3 * x, 2) for x in cpu], "gpu": list(given.gpu)},
                "plans": plans,
            }
        )
    )


if __name__ == "__main__":
    main()
