"""Downloads follow an archive wherever it leads, as a browser would and no further."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jupyter_astroml.archives.credentials import Bearer
from jupyter_astroml.archives.downloads import download
from jupyter_astroml.archives.http import Session
from jupyter_astroml.archives.login import Login
from jupyter_astroml.core.errors import ArchiveError


class Leading(BaseHTTPRequestHandler):
    """Sends what stands in `server.answers[path]`: status, headers and body."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.asked.append((self.path, self.headers))
        server.callers.add(self.client_address)
        status, headers, body = server.answers.get(self.path, (200, {}, b"the file"))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def servers():
    """Two servers on the loopback, which are two hosts to a client."""
    made = [ThreadingHTTPServer(("127.0.0.1", 0), Leading) for _ in range(2)]
    for server, name in zip(made, ("127.0.0.1", "localhost"), strict=True):
        server.asked, server.answers, server.callers = [], {}, set()
        server.url = f"http://{name}:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    for server in made:
        server.shutdown()
        server.server_close()


def away(place, status=302, **headers):
    return status, {"Location": place, **headers}, b"<html>moved</html>"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("place", ["/there", "there", "//{host}/there", "http://{host}/there#x"])
def test_a_file_that_lies_elsewhere_is_fetched_there_on_the_same_connection(servers, status, place):
    server = servers[0]
    host = f"127.0.0.1:{server.server_port}"
    server.answers["/here"] = away(place.format(host=host), status)
    with Session() as session:
        assert download(session, f"{server.url}/here").body == b"the file"
    assert [path for path, _ in server.asked] == ["/here", "/there"]
    assert len(server.callers) == 1


def test_the_login_goes_to_its_own_hosts_on_every_hop_and_to_no_other(servers):
    mine, other = servers
    mine.answers["/a"] = away(f"{other.url}/b")
    other.answers["/b"] = away(f"{mine.url}/c")
    place = ("http", "127.0.0.1", mine.server_port)
    login = Login("mine", Bearer("a.secret-token"), frozenset([place]))
    with Session(login=login) as session:
        session.cookies.set("session", "of mine", domain="127.0.0.1", path="/")
        assert download(session, f"{mine.url}/a").body == b"the file"
    assert [h["Authorization"] for _, h in mine.asked] == ["Bearer a.secret-token"] * 2
    assert [(h["Authorization"], h["Cookie"]) for _, h in other.asked] == [(None, None)]


def test_a_password_in_an_address_is_not_sent(servers):
    url = servers[0].url.replace("//", "//me:secret@")
    with Session() as session:
        assert download(session, f"{url}/a").body == b"the file"
    assert servers[0].asked[0][1]["Authorization"] is None


def test_a_cookie_that_is_set_on_the_way_is_sent_on(servers):
    server = servers[0]
    server.answers["/a"] = away("/b", **{"Set-Cookie": "seen=1; Path=/"})
    with Session() as session:
        download(session, f"{server.url}/a")
    assert [h["Cookie"] for _, h in server.asked] == [None, "seen=1"]


def test_an_archive_that_leads_in_a_circle_is_left_at_once(servers):
    server = servers[0]
    server.answers["/a"] = away("/a")
    with Session() as session, pytest.raises(ArchiveError, match="in a row"):
        download(session, f"{server.url}/a")
    assert len(server.asked) == 30


def test_letters_of_all_scripts_may_stand_in_an_address(servers):
    server = servers[0]
    server.answers["/a"] = away("/ä b".encode().decode("latin-1"))
    with Session() as session:
        download(session, f"{server.url}/a")
        download(session, f"{server.url}/π?q=[β] %20")
    assert [p for p, _ in server.asked] == ["/a", "/%C3%A4%20b", "/%CF%80?q=%5B%CE%B2%5D%20%20"]


def test_a_line_break_in_an_address_does_not_become_a_header(servers):
    with Session() as session:
        download(session, f"{servers[0].url}/a\r\nX-Mine: 1")
    assert [h["X-Mine"] for _, h in servers[0].asked] == [None]


def test_what_is_compressed_on_the_way_is_counted_unpacked(servers):
    server = servers[0]
    server.answers["/a"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 2**21))
    with Session() as session:
        assert download(session, f"{server.url}/a").body == b"x" * 2**21
    with Session(limit=2**20) as session, pytest.raises(ArchiveError, match="more than 1 MiB"):
        download(session, f"{server.url}/a")


def test_a_proxy_of_the_environment_is_used(servers, monkeypatch):
    monkeypatch.setenv("http_proxy", servers[0].url)
    monkeypatch.setenv("no_proxy", "")
    with Session() as session:
        download(session, "http://archive.test/x?y=1")
    assert [path for path, _ in servers[0].asked] == ["http://archive.test/x?y=1"]
