"""Cutouts per second: our fetch against what the archive can give, and against a plain loop.

What is compared
----------------
The embedded archive serves the demo sky in a process of its own.  The same cutouts (SODA, a circle
around each galaxy) are fetched

- by `archives.fetch.deliver`: links followed, cutouts decoded, stacked and told in the manifest;
- by a client that only saturates the archive: as many connections as we use, addresses that are
  known beforehand, bodies thrown away; more than that the archive does not give;
- by the loop that one writes in a notebook: one address after the other, read with astropy.

The three follow each other in each round (A B C A B C); the ratio is the median of ours over what
the archive gives in the same round.

That is done twice, and both ratios are told.
``shared``: straight on the loopback, where archive and client share the cores of this machine, and
each millisecond of ours is one that the archive does not have; this one measures our processor.
``network``: through a relay that makes the archive as far away as a real one is (`ROUND_TRIP`,
`BANDWIDTH`; a proxy of the environment, so that no address goes past it); what the archive gives is
bounded by the way there, as it is for a user.

Prints one JSON object last; ``ratio`` alone is that of ``shared``, the harder one.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import io
import json
import multiprocessing
import multiprocessing.connection
import os
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from urllib.parse import urlencode, urlsplit

import requests
from astropy import units as u
from astropy.io import fits

GOAL = 0.9
OBJECTS, ROUNDS = 400, 5
# Seconds there and back, and bytes per second: a good line to another continent's archive.
ROUND_TRIP, BANDWIDTH = 0.05, 12.5e6
# Objects that are fetched together, as in a run; a loop shows its pace with fewer.
BLOCK, LOOP = 200, 60


def addresses(wanted) -> list[str]:
    """Return the addresses of the cutouts, found out beforehand."""
    from jupyter_astroml.archives.datalink import follow
    from jupyter_astroml.archives.http import Session
    from jupyter_astroml.archives.soda import asked

    with Session() as session:
        links = follow(session, wanted.urls.tolist())
    found = []
    for i, url in enumerate(wanted.urls.tolist()):
        part = asked(wanted, i, takes=links[url].takes)
        found.append(f"{links[url].cut}&{urlencode(part)}")
    return found


def ours(wanted) -> int:
    from jupyter_astroml.archives.fetch import deliver

    came = 0
    for start in range(0, len(wanted), BLOCK):
        found = deliver(wanted[start : start + BLOCK])
        assert found.samples is not None
        assert not found.failures
        came += len(found.samples)
    return came


class Relay:
    """An HTTP proxy that is as slow as the way to an archive; it knows only what is needed here."""

    def __init__(self) -> None:
        self._free = 0.0

    async def serve(self, told: multiprocessing.connection.Connection) -> None:
        """Answer at a free port, whose number is sent to who started this."""
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    async def _client(self, asks: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        archives: dict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
        try:
            while True:
                head = await asks.readuntil(b"\r\n\r\n")
                host, line = re.match(rb"GET http://([^/]+)(.*)", head, re.DOTALL).groups()
                await asyncio.sleep(ROUND_TRIP / 2)
                if host not in archives:
                    archives[host] = await asyncio.open_connection(*host.decode().split(":"))
                comes, goes = archives[host]
                goes.write(b"GET " + line)
                head = await comes.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                body = await comes.readexactly(int(length[1]) if length else 0)
                await asyncio.sleep(ROUND_TRIP / 2 + self._turn(len(body)))
                answers.write(head + body)
                await answers.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for writer in (answers, *(goes for _, goes in archives.values())):
                writer.close()

    def _turn(self, size: int) -> float:
        """Return seconds until so many bytes have passed the line that all share."""
        now = time.monotonic()
        self._free = max(now, self._free) + size / BANDWIDTH
        return self._free - now


def relay(told: multiprocessing.connection.Connection) -> None:
    asyncio.run(Relay().serve(told))


@contextmanager
def far_away() -> Iterator[str]:
    """Put a relay between all requests and their archives; yields its host and port."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=relay, args=(theirs,), daemon=True)
    process.start()
    host = f"127.0.0.1:{ours.recv()}"
    before = dict(os.environ)
    os.environ |= {"http_proxy": f"http://{host}", "no_proxy": ""}
    try:
        yield host
    finally:
        os.environ.clear()
        os.environ |= before
        process.terminate()
        process.join()


def saturated(urls: list[str], *, connections: int, through: str = "") -> int:
    """Take all there is, and look at nothing."""
    left: SimpleQueue[str] = SimpleQueue()
    for url in urls:
        left.put(url)
    host = through or urlsplit(urls[0]).netloc
    sizes: list[int] = []

    def client() -> None:
        connection = http.client.HTTPConnection(host)
        while True:
            try:
                url = left.get_nowait()
            except Empty:
                break
            parts = urlsplit(url)
            connection.request("GET", url if through else f"{parts.path}?{parts.query}")
            sizes.append(len(connection.getresponse().read()))
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(sizes) > 0
    return len(sizes)


def looped(urls: list[str]) -> int:
    for url in urls:
        with fits.open(io.BytesIO(requests.get(url, timeout=60).content)) as found:
            assert any(hdu.data is not None for hdu in found)
    return len(urls)


def rate(work: Callable[[], int]) -> float:
    begin = time.perf_counter()
    n = work()
    return n / (time.perf_counter() - begin)


def compared(works: dict[str, Callable[[], int]], *, rounds: int) -> dict[str, object]:
    """Do each work in each round; return their rates, and the ratio of the first two."""
    for work in works.values():
        work()
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            rates[name].append(rate(work))
        say(", ".join(f"{name} {found[-1]:.0f}/s" for name, found in rates.items()))
    ratios = [a / b for a, b in zip(rates["ours"], rates["archive"], strict=True)]
    return {
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(x, 2) for x in ratios],
        "cutouts_per_second": {k: round(statistics.median(v), 1) for k, v in rates.items()},
        "over_loop": round(statistics.median(rates["ours"]) / statistics.median(rates["loop"]), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--objects", type=int, default=OBJECTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        os.environ["ASTROML_CACHE_DIR"] = str(Path(root) / "cache")
        import jupyter_astroml as aml
        from jupyter_astroml.archives.hosts import PARALLEL
        from jupyter_astroml.embedded.serve import demo

        running = demo(progress=say)
        try:
            with aml.archive("demo") as sky:
                rows = sky.query(f"SELECT TOP {given.objects} * FROM demo.galaxies")
            wanted = aml.samples(rows, size=20 * u.arcsec)
            urls = addresses(wanted)

            def works(through: str = "") -> dict[str, Callable[[], int]]:
                return {
                    "ours": lambda: ours(wanted),
                    "archive": lambda: saturated(urls, connections=PARALLEL, through=through),
                    "loop": lambda: looped(urls[:LOOP]),
                }

            shared = compared(works(), rounds=given.rounds)
            with far_away() as through:
                network = compared(works(through), rounds=given.rounds)
        finally:
            running.stop()
    report = {
        "name": "cutouts",
        "ratio": shared["ratio"],
        "goal": GOAL,
        "shared": shared,
        "network": {**network, "round_trip_s": ROUND_TRIP, "bytes_per_second": BANDWIDTH},
        "objects": len(urls),
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(report))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
