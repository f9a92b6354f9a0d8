"""Five thousand cutouts from an archive in which three of a hundred go wrong."""

import io
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from astropy.io import fits

from jupyter_astroml.archives.fetch import fetch
from jupyter_astroml.core.records import References

N, BLOCK, SHARE = 5000, 250, 0.03
# What a fault does to the object: it comes after another try, or never.
MENDED = ("busy", "cut", "dropped")
LOST = ("gone", "page", "garbage", "half", "empty", "refused")


class Server(ThreadingHTTPServer):
    """Sends one image for all, except for those objects that have a fault."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        out = io.BytesIO()
        header = fits.Header({"BUNIT": "nanomaggy", "FILTER": "r"})
        fits.PrimaryHDU(np.ones((16, 16), np.float32), header).writeto(out)
        self.image = out.getvalue()
        self.asked = Counter()
        rng = np.random.default_rng(7)
        chosen = rng.choice(N, int(SHARE * N), replace=False)
        self.faults = dict(
            zip(chosen.tolist(), rng.choice([*MENDED, *LOST], len(chosen)), strict=True)
        )
        self.lock = threading.Lock()

    def handle_error(self, *_):
        """Say nothing about connections that were dropped on purpose."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        number = int(self.path.strip("/"))
        with self.server.lock:
            self.server.asked[number] += 1
            first = self.server.asked[number] == 1
        fault = self.server.faults.get(number, "")
        image = self.server.image
        if fault == "busy" and first:
            self.answer(b"", status=503, headers={"Retry-After": "0"})
        elif fault == "cut" and first:
            self.answer(image, cut=1000)
        elif fault == "dropped" and first:
            self.close_connection = True
        elif fault == "gone":
            self.answer(b"no such file", status=404)
        elif fault == "refused":
            self.answer(b"proprietary", status=403)
        elif fault == "page":
            self.answer(b"<html>Please log in</html>")
        elif fault == "garbage":
            self.answer(np.random.default_rng(number).bytes(5000))
        elif fault == "half":
            self.answer(image[: len(image) // 2])
        elif fault == "empty":
            self.answer(b"")
        else:
            self.answer(image)

    def answer(self, body, *, status=200, headers=None, cut=0):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) - cut])
        self.close_connection = bool(cut)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def test_every_object_comes_or_has_a_reason_and_none_is_fetched_twice(server):
    address = f"http://127.0.0.1:{server.server_port}"
    everything = References(
        ids=[str(i) for i in range(N)],
        urls=[f"{address}/{i}" for i in range(N)],
        formats=["image/fits"] * N,
        kind="cutouts",
    )
    came, failures = [], {}
    for start in range(0, N, BLOCK):
        found, lost = fetch(everything[start : start + BLOCK])
        came += found.ids.tolist()
        assert (found.values == 1.0).all()
        failures |= lost
    wrong = {i for i, fault in server.faults.items() if fault in LOST}
    again = {i for i, fault in server.faults.items() if fault in MENDED}
    assert set(server.faults.values()) == {*MENDED, *LOST}
    assert {int(i) for i in failures} == wrong
    assert [int(i) for i in came] == [i for i in range(N) if i not in wrong]
    assert all(failures.values())
    # Only what had not come was asked for again.
    assert {i for i, times in server.asked.items() if times != 1} == again
