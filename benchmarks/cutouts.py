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

Prints one JSON object last.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from urllib.parse import urlencode, urlsplit

import requests
from astropy import units as u
from astropy.io import fits

GOAL = 0.9
OBJECTS, ROUNDS = 400, 5
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


def saturated(urls: list[str], *, connections: int) -> int:
    """Take all there is, and look at nothing."""
    left: SimpleQueue[str] = SimpleQueue()
    for url in urls:
        left.put(url)
    host = urlsplit(urls[0]).netloc
    sizes: list[int] = []

    def client() -> None:
        connection = http.client.HTTPConnection(host)
        while True:
            try:
                parts = urlsplit(left.get_nowait())
            except Empty:
                break
            connection.request("GET", f"{parts.path}?{parts.query}")
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
            works = {
                "ours": lambda: ours(wanted),
                "archive": lambda: saturated(urls, connections=PARALLEL),
                "loop": lambda: looped(urls[:LOOP]),
            }
            for work in works.values():
                work()
            rates: dict[str, list[float]] = {name: [] for name in works}
            for _ in range(given.rounds):
                for name, work in works.items():
                    rates[name].append(rate(work))
                say(", ".join(f"{name} {found[-1]:.0f}/s" for name, found in rates.items()))
        finally:
            running.stop()
    ratios = [a / b for a, b in zip(rates["ours"], rates["archive"], strict=True)]
    report = {
        "name": "cutouts",
        "ratio": round(statistics.median(ratios), 2),
        "goal": GOAL,
        "ratios": [round(x, 2) for x in ratios],
        "cutouts_per_second": {k: round(statistics.median(v), 1) for k, v in rates.items()},
        "over_loop": round(statistics.median(rates["ours"]) / statistics.median(rates["loop"]), 2),
        "objects": len(urls),
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(report))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
