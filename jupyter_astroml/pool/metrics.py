"""What an administrator watches: counters for Prometheus, and the state of the whole pool."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from jupyter_astroml.pool.dispatch import Dispatcher
from jupyter_astroml.pool.journal import Journal

_EVENTS = {
    "units": "Units computed",
    "objects": "Objects computed",
    "batches": "Batches computed; units divided by batches is how full they were",
    "workers_lost": "Workers that died or were ended",
    "retried": "Units tried again with nothing beside them",
    "innocent": "Units put back because another one killed their worker",
    "isolated": "Units whose objects were tried one by one",
    "halved": "Batches that were too large for the device",
    "suspended": "Users refused because their inputs crashed workers",
}


class Metrics(Collector):
    """Numbers that are read when somebody asks for them.

    Parameters
    ----------
    dispatcher : Dispatcher
    journal : Journal
    """

    def __init__(self, dispatcher: Dispatcher, journal: Journal) -> None:
        self._dispatcher = dispatcher
        self._journal = journal
        self._begin = time.monotonic()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def request(self, route: str, status: int) -> None:
        """Count a request."""
        self._requests[route, status] += 1

    def text(self) -> tuple[bytes, str]:
        """Return the metrics in the format of Prometheus, and its media type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def status(self) -> dict[str, Any]:
        """Describe the pool as it is now."""
        counts = self._dispatcher.counts
        return {
            "uptime_s": round(time.monotonic() - self._begin, 1),
            "workers": [
                {
                    "address": slot.address,
                    "device": slot.device,
                    "batches": slot.batches,
                    "objects": slot.objects,
                    "busy_s": round(slot.busy, 3),
                    "computing": slot.computing,
                }
                for slot in self._dispatcher.slots.values()
            ],
            "waiting_s": {u: round(s, 3) for u, s in self._dispatcher.waiting.items()},
            "events": {name: getattr(counts, name) for name in _EVENTS},
            "used": [
                {"user": user, "model": model, "seconds": round(seconds, 3)}
                for (user, model), seconds in counts.seconds.items()
            ],
            "spool_bytes": self._journal.bytes(),
        }

    def collect(self) -> Iterator[Metric]:
        """Give all metrics; called for each scrape."""
        yield self._requested()
        yield from self._events()
        yield from self._now()
        yield from self._workers()

    def _requested(self) -> Metric:
        found = CounterMetricFamily("pool_requests", "Requests", labels=["route", "status"])
        for (route, status), number in self._requests.items():
            found.add_metric([route, str(status)], number)
        return found

    def _events(self) -> Iterator[Metric]:
        counts = self._dispatcher.counts
        for name, text in _EVENTS.items():
            yield CounterMetricFamily(f"pool_{name}", text, value=getattr(counts, name))
        seconds = CounterMetricFamily(
            "pool_compute_seconds", "Worker time", labels=["user", "model"]
        )
        for labels, number in counts.seconds.items():
            seconds.add_metric(list(labels), number)
        yield seconds

    def _now(self) -> Iterator[Metric]:
        slots = self._dispatcher.slots
        yield GaugeMetricFamily("pool_workers", "Workers that are ready", value=len(slots))
        yield GaugeMetricFamily(
            "pool_spool_bytes", "Chunks and results on disk", value=self._journal.bytes()
        )
        waiting = GaugeMetricFamily(
            "pool_waiting_seconds", "Work that waits, as expected", labels=["user"]
        )
        for user, number in self._dispatcher.waiting.items():
            waiting.add_metric([user], number)
        yield waiting

    def _workers(self) -> Iterator[Metric]:
        busy = CounterMetricFamily("pool_worker_busy_seconds", "Computing", labels=["worker"])
        process = GaugeMetricFamily("pool_worker_bytes", "Of the process", labels=["worker"])
        device = GaugeMetricFamily("pool_device_bytes", "Of the GPU's memory", labels=["worker"])
        for slot in self._dispatcher.slots.values():
            busy.add_metric([slot.address], slot.busy)
            process.add_metric([slot.address], slot.memory.get("process", 0))
            device.add_metric([slot.address], slot.memory.get("device", 0))
        yield from (busy, process, device)
