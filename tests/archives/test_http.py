"""A real server that misbehaves, on the loopback."""

import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jupyter_astroml.archives import http
from jupyter_astroml.archives.downloads import download
from jupyter_astroml.archives.http import Session
from jupyter_astroml.core.errors import ArchiveError


class Misbehaving(BaseHTTPRequestHandler):
    """Answers by the script that stands in the path's name."""

    def do_GET(self):
        seen = self.server.seen
        seen.append(self.path)
        self.server.passwords.append(self.headers.get("Authorization"))
        times = seen.count(self.path)
        name = self.path.strip("/")
        if (name.startswith("busy") and times < 3) or name.startswith("never"):
            self.send_response(503)
            self.send_header("Retry-After", "0")
            self.end_headers()
        elif name.startswith("gone"):
            self.send_response(404)
            self.end_headers()
            self.wfile.write(b"<html><h1>No such observation</h1></html>")
        elif name.startswith("cut") and times < 2:
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"half")
        elif name.startswith("huge"):
            self.send_response(200)
            self.end_headers()
            for _ in range(64):
                self.wfile.write(b"x" * 2**16)
        elif name.startswith("drip"):
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b"x")
                time.sleep(0.05)
        elif name.startswith("damaged"):
            self.send_response(404)
            self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(b"this was never gzipped")
        elif name.startswith("away"):
            self.send_response(302)
            self.send_header("Location", self.server.away)
            self.end_headers()
        else:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(b"all of it")

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """Say nothing: a client that has seen enough hangs up."""


@pytest.fixture
def server():
    with Server(("127.0.0.1", 0), Misbehaving) as made:
        made.seen, made.passwords = [], []
        made.url = f"http://127.0.0.1:{made.server_port}"
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()


@pytest.fixture
def session():
    with Session() as made:
        yield made


def test_a_busy_archive_is_asked_again(server, session):
    assert download(session, f"{server.url}/busy")[0] == b"all of it"
    assert len(server.seen) == 3


def test_an_archive_that_stays_busy_is_left_after_a_few_tries(server, session):
    with pytest.raises(ArchiveError, match="503"):
        download(session, f"{server.url}/never")
    assert len(server.seen) == http.TRIES


def test_an_answer_that_will_not_change_is_not_asked_for_again(server, session):
    with pytest.raises(ArchiveError, match=r"404.*No such observation"):
        download(session, f"{server.url}/gone")
    assert len(server.seen) == 1


@pytest.mark.parametrize("zone", ["GMT", "+0000"])
def test_an_archive_may_say_when_to_come_back_as_a_date(zone):
    def on(days):
        return (datetime.now(UTC) + timedelta(days=days)).strftime(f"%a, %d %b %Y %H:%M:%S {zone}")

    assert http.pause(0, on(-1)) == 0.0
    assert http.pause(0, on(1)) == http.MAX_PAUSE


@pytest.mark.parametrize("asked", ["soon", "²", "-1", "", None, "Mon, 99 Foo 2026", "1.5"])
def test_what_is_no_time_to_come_back_is_not_waited_for(asked):
    assert 0.0 < http.pause(0, asked) < 1.0


def test_a_body_that_broke_off_is_fetched_again(server, session):
    assert download(session, f"{server.url}/cut")[0] == b"all of it"


def test_a_body_beyond_the_limit_is_refused(server):
    with Session(limit=2**20) as session, pytest.raises(ArchiveError, match="more than 1 MiB"):
        download(session, f"{server.url}/huge")


def test_an_archive_that_drips_for_ever_is_left(server):
    with Session(seconds=0.3) as session, pytest.raises(ArchiveError, match="end in time"):
        download(session, f"{server.url}/drip")
    assert len(server.seen) == 1


def test_an_error_document_that_cannot_be_read_leaves_the_error(server, session):
    with pytest.raises(ArchiveError, match="404"):
        download(session, f"{server.url}/damaged")


@pytest.mark.parametrize("path", ["plain", "away"])
def test_no_password_of_netrc_goes_to_a_host_that_a_row_names(
    server, session, path, tmp_path, monkeypatch
):
    (tmp_path / "netrc").write_text("default login me password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.away = server.url.replace("127.0.0.1", "localhost")
    assert download(session, f"{server.url}/{path}")[0] == b"all of it"
    assert set(server.passwords) == {None}


@pytest.mark.parametrize("url", ["http://[bad/x", "http://a..b/x", "http://x:port/", "http://"])
def test_what_is_no_address_is_refused_at_once(session, url):
    with pytest.raises(ArchiveError, match="Refused to fetch"):
        download(session, url)


@pytest.mark.parametrize("away", ["http://[bad/", "http://a..b/", "file:///etc/passwd"])
def test_a_way_to_what_is_no_address_is_not_followed(server, session, away):
    server.away = away
    with pytest.raises(ArchiveError, match="Refused to fetch"):
        download(session, f"{server.url}/away")


def test_nobody_at_the_address_is_told_with_a_remedy(session, monkeypatch):
    monkeypatch.setattr(http, "MAX_PAUSE", 0.01)
    with pytest.raises(ArchiveError, match="could not be reached"):
        download(session, "http://127.0.0.1:9/")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/etc/passwd", ""])
def test_rows_cannot_make_us_read_local_files(session, url):
    with pytest.raises(ArchiveError, match=r"no http\(s\) address"):
        download(session, url)
