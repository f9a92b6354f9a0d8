"""The query client against TAP services that do not mean well, on the loopback."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jupyter_astroml.archives import archive as module
from jupyter_astroml.archives.archive import archive
from jupyter_astroml.core.errors import ArchiveError

HEAD = b'<?xml version="1.0"?><VOTABLE version="1.4"><RESOURCE type="results">'


class Hostile(BaseHTTPRequestHandler):
    """Answers the first part of the path with a table that never ends."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-votable+xml")
        self.end_headers()
        part, pause = (b" ", 0.05) if self.path.startswith("/drip") else (b" " * 2**16, 0)
        self.wfile.write(HEAD)
        for _ in range(200):
            self.wfile.write(part)
            time.sleep(pause)

    do_GET = do_POST

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """Say nothing: a client that has seen enough hangs up."""


@pytest.fixture(scope="module")
def hostile():
    with Server(("127.0.0.1", 0), Hostile) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()


def test_a_table_that_drips_for_ever_ends_with_the_timeout(hostile):
    with archive(f"{hostile}/drip") as sky, pytest.raises(ArchiveError, match="end in time"):
        sky.query("SELECT TOP 1 * FROM a.b", timeout=0.4)


def test_a_table_beyond_the_limit_is_refused(hostile, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 2**20)
    with archive(f"{hostile}/huge") as sky, pytest.raises(ArchiveError, match="more than 1 MiB"):
        sky.query("SELECT TOP 1 * FROM a.b")
