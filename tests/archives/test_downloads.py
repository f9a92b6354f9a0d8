"""Files are downloaded once, whole, and no more of them than is missing."""

import base64
import hashlib
import multiprocessing
import os
import signal
import stat
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from serving import image, references

from jupyter_astroml.archives import downloads, hosts, kept
from jupyter_astroml.archives.downloads import download
from jupyter_astroml.archives.fetch import deliver, fetch
from jupyter_astroml.archives.hosts import Hosts, UnreachableError
from jupyter_astroml.archives.http import Session
from jupyter_astroml.archives.kept import Kept
from jupyter_astroml.core.errors import ArchiveError

BODY = bytes(range(256)) * 4096


class Careful(BaseHTTPRequestHandler):
    """Knows validators and ranges, and what a test wants to go wrong."""

    def do_GET(self):
        server = self.server
        with server.lock:
            server.asked.append((self.path, dict(self.headers)))
            server.busy += 1
            server.busiest = max(server.busiest, server.busy)
        time.sleep(server.pause)
        with server.lock:
            # Before it answers: a client that has its file may ask for the next at once.
            server.busy -= 1
        self.answer(server)

    def answer(self, server):
        if server.dead:
            return
        if server.drip:
            self.drip()
            return
        body, begin, given = server.body, 0, self.headers
        if server.mute and "If-None-Match" in given:
            return
        modified = server.headers.get("Last-Modified")
        if (server.etag and given.get("If-None-Match") == server.etag) or (
            modified and given.get("If-Modified-Since") == modified
        ):
            self.send_response(304)
            self.end_headers()
            return
        same = server.careless or given.get("If-Range") == server.etag
        ranged = given.get("Range", "") if same else ""
        end = len(body)
        if ranged and server.ranges:
            begin = int(ranged.removeprefix("bytes=").rstrip("-")) + server.off
            if begin >= len(body):
                self.send_response(416)
                self.end_headers()
                return
            end = min(end, begin + server.most)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(body)}")
        else:
            self.send_response(200)
        if server.etag:
            self.send_header("ETag", server.etag)
        for name, value in server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        stop = server.cuts.pop(0) if server.cuts else end
        for at in range(begin, stop, 1 << 16):
            self.wfile.write(body[at : min(at + (1 << 16), stop)])
            time.sleep(server.slow)

    def drip(self):
        for letter in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + b"X-A: 1\r\n" * 1000:
            self.wfile.write(bytes([letter]))
            time.sleep(0.05)

    def version_string(self):
        return self.server.software

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Say nothing: a client that has seen enough hangs up."""


@pytest.fixture
def server():
    with Server(("127.0.0.1", 0), Careful) as made:
        made.lock, made.asked, made.busy, made.busiest = threading.Lock(), [], 0, 0
        made.body, made.etag, made.headers = BODY, '"v1"', {}
        made.ranges, made.cuts, made.slow, made.pause = True, [], 0.0, 0.0
        made.dead = made.drip = made.mute = made.careless = False
        made.software, made.most, made.off = "Careful/1.0", len(BODY), 0
        made.url = f"http://127.0.0.1:{made.server_port}/file"
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "LARGE", 1000)
    return Kept(tmp_path / "downloads", limit=2**30)


@pytest.fixture
def session(store):
    with Session(kept=store) as made:
        yield made


def begun(store):
    """Bytes of the largest part."""
    return max((p.stat().st_size for p in files(store, "parts")), default=0)


def ranges(server):
    return [given.get("Range") for _, given in server.asked]


def files(store, kind):
    return [p for p in (store._folder / kind).glob("*") if p.suffix != ".lock"]


def test_a_file_that_did_not_change_is_not_sent_again(server, session):
    first, second = (download(session, server.url) for _ in range(2))
    assert first.body == second.body == BODY
    assert first.sha256 == second.sha256 == hashlib.sha256(BODY).hexdigest()
    assert (first.kept, second.kept) == (False, True)
    assert server.asked[1][1]["If-None-Match"] == '"v1"'


def test_a_file_that_changed_is_sent_anew(server, session):
    download(session, server.url)
    server.body, server.etag = BODY[::-1], '"v2"'
    found = download(session, server.url)
    assert (found.body, found.kept) == (BODY[::-1], False)


def test_what_cannot_be_asked_about_again_is_not_kept(server, session, store):
    server.etag = ""
    download(session, server.url)
    server.etag, server.headers = '"v1"', {"Cache-Control": "private, no-store"}
    download(session, server.url)
    assert files(store, "content") == []


def test_an_archive_that_is_mute_when_asked_for_changes_is_asked_for_the_file(server, session):
    download(session, server.url)
    server.mute = True
    found = download(session, server.url)
    assert (found.body, found.kept, found.tries) == (BODY, False, 2)
    assert ["If-None-Match" in given for _, given in server.asked] == [False, True, False]


def test_files_of_dachs_are_not_asked_about_again(server, session, store):
    server.software = "DaCHS/2.7 twistedWeb/22.4.0"
    assert [download(session, server.url).kept for _ in range(2)] == [False, False]
    assert files(store, "content") == []


@pytest.mark.parametrize(("age", "same"), [(5, False), (3600, True)])
def test_a_time_of_change_counts_when_it_is_past(server, session, age, same):
    server.etag = ""
    server.headers = {"Last-Modified": formatdate(time.time() - age, usegmt=True)}
    download(session, server.url)
    server.body = BODY[::-1]
    # The second time it has not changed within the second that the archive tells.
    assert download(session, server.url).kept == same


def test_the_rest_of_a_file_that_broke_off_is_asked_for(server, session, store):
    server.cuts = [300_000, 700_000]
    found = download(session, server.url)
    assert (found.body, found.tries) == (BODY, 3)
    assert ranges(server) == [None, "bytes=300000-", "bytes=700000-"]
    assert files(store, "parts") == []


def test_a_file_that_changed_while_it_broke_off_is_begun_anew(server, session):
    server.cuts = [300_000]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(downloads, "TRIES", 1)
        with pytest.raises(UnreachableError):
            download(session, server.url)
    server.body, server.etag = BODY[::-1], '"v2"'
    assert download(session, server.url).body == BODY[::-1]
    assert ranges(server) == [None, "bytes=300000-"]


def broken_off(server, session, *, at=300_000):
    """Let a download break off, which leaves a part."""
    server.cuts = [at]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(downloads, "TRIES", 1)
        with pytest.raises(UnreachableError):
            download(session, server.url)
    server.asked.clear()


def test_two_versions_are_not_mixed_by_a_server_that_knows_no_if_range(server, session, store):
    broken_off(server, session)
    server.careless, server.body, server.etag = True, BODY[::-1], '"v2"'
    found = download(session, server.url)
    assert (found.body, found.tries) == (BODY[::-1], 2)
    assert ranges(server) == ["bytes=300000-", None]
    assert store.find(server.url)[1] == BODY[::-1]


def test_what_a_part_of_the_answer_does_not_say_of_its_version_is_not_added(server, session):
    broken_off(server, session)
    server.careless, server.body, server.etag = True, BODY[::-1], ""
    assert download(session, server.url).body == BODY[::-1]


def test_the_rest_comes_in_as_many_ranges_as_the_server_likes(server, session, store):
    broken_off(server, session)
    server.most = 300_000
    found = download(session, server.url)
    assert (found.body, found.tries) == (BODY, 3)
    assert ranges(server) == ["bytes=300000-", "bytes=600000-", "bytes=900000-"]
    assert store.find(server.url)[1] == BODY


def test_another_range_than_the_one_that_was_asked_for_is_not_added(server, session):
    broken_off(server, session)
    server.off = 5
    assert download(session, server.url).body == BODY
    assert ranges(server) == ["bytes=300000-", None]


def test_a_file_that_became_shorter_than_its_part_is_begun_anew(server, session):
    broken_off(server, session)
    server.careless, server.body, server.etag = True, BODY[:1000], '"v2"'
    assert download(session, server.url).body == BODY[:1000]
    assert ranges(server) == ["bytes=300000-", None]


def test_a_large_file_comes_where_no_part_can_be_kept(server, session, store):
    # Whatever the reason, it is an error of the disk: nobody may write there, or it is full.
    store._folder.write_text("no folder")
    assert download(session, server.url).body == BODY


def test_a_part_that_cannot_be_begun_is_no_reason_to_fail(server, session, store):
    name = hashlib.sha256(server.url.encode()).hexdigest()
    (store._folder / "parts" / f"{name}.json").mkdir(parents=True)
    assert download(session, server.url).body == BODY


def test_a_server_that_knows_no_ranges_is_asked_for_the_whole(server, session):
    server.ranges, server.cuts = False, [300_000]
    assert download(session, server.url).body == BODY


def fetched(url, folder):
    downloads.LARGE = 1000
    with Session(kept=Kept(folder, limit=2**30)) as session:
        download(session, url.replace("file", "small"))
        download(session, url)


def test_a_process_that_is_killed_loses_nothing_and_the_next_repeats_nothing(server, store):
    context = multiprocessing.get_context("spawn")
    server.slow = 0.05
    work = context.Process(target=fetched, args=(server.url, store._folder))
    work.start()
    deadline = time.monotonic() + 60
    while not (files(store, "content") and begun(store) > 200_000):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(work.pid, signal.SIGKILL)
    work.join()
    server.slow = 0.0
    server.asked.clear()
    with Session(kept=store) as session:
        assert download(session, server.url.replace("file", "small")).kept
        assert download(session, server.url).body == BODY
    (begin,) = [r for r in ranges(server) if r]
    assert int(begin.removeprefix("bytes=").rstrip("-")) > 200_000


SHA = hashlib.sha256(BODY)
MD5 = hashlib.md5(BODY, usedforsecurity=False)


def coded(digest):
    return base64.b64encode(digest).decode()


DIGESTS = {
    "Repr-Digest": f"sha-256=:{coded(SHA.digest())}:",
    "Content-Digest": f"sha-256=:{coded(SHA.digest())}:",
    "Digest": f"SHA-256={coded(SHA.digest())}",
    "Content-MD5": coded(MD5.digest()),
    # The digits of the sum, in base64, as CADC is remembered to send them.
    "digest": f"md5={coded(MD5.hexdigest().encode())}",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_a_body_is_compared_with_the_digest_that_is_promised(server, session, name, monkeypatch):
    monkeypatch.setattr(downloads, "TRIES", 1)
    server.headers = {name: DIGESTS[name]}
    assert download(session, server.url).body == BODY
    server.body, server.etag = BODY[:-1] + b"!", '"v2"'
    with pytest.raises(ArchiveError, match="promised"):
        download(session, server.url)


def test_only_the_owner_may_look_at_what_is_kept(server, session, store):
    before = os.umask(0)
    try:
        download(session, server.url)
    finally:
        os.umask(before)
    for path in [store._folder, *store._folder.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    assert server.url not in "".join(p.read_text() for p in files(store, "index"))


def test_what_was_not_needed_for_longest_makes_room(tmp_path):
    store = Kept(tmp_path / "downloads", limit=10_000)
    for i in range(8):
        body = bytes([i]) * 2000
        known = kept.Known(etag=f'"{i}"', modified="", media="", sha256=kept_hash(body))
        store.keep(f"http://a/{i}", known, body)
        os.utime(store._folder / "content" / known.sha256, (i, i))
        if i == 3:
            # Its time becomes now: it was needed.
            assert store.find("http://a/0")
    assert store.find("http://a/0")
    assert not store.find("http://a/1")
    assert store.find("http://a/7")
    assert sum(p.stat().st_size for p in files(store, "content")) <= 10_000


def kept_hash(body):
    return hashlib.sha256(body).hexdigest()


def test_what_was_changed_on_disk_is_not_taken(server, session, store):
    download(session, server.url)
    (path,) = files(store, "content")
    path.write_bytes(b"something else")
    found = download(session, server.url)
    assert (found.body, found.kept) == (BODY, False)
    # It is as it should be again.
    assert download(session, server.url).kept


def test_a_lock_that_is_held_stays_when_room_is_made(tmp_path):
    store = Kept(tmp_path / "downloads", limit=10_000)
    with store.part("http://a/") as one:
        for i in range(8):
            body = bytes([i]) * 2000
            known = kept.Known(etag=f'"{i}"', modified="", media="", sha256=kept_hash(body))
            store.keep(f"http://a/{i}", known, body)
        with store.part("http://a/") as other:
            assert one is not None
            assert other is None


def test_a_part_belongs_to_one_download_at_a_time(store):
    with store.part("http://a/") as one, store.part("http://a/") as other:
        assert one is not None
        assert other is None


def test_nothing_is_kept_where_the_settings_say_so(monkeypatch):
    assert kept.kept() is not None
    monkeypatch.setenv("ASTROML_CACHE_SIZE", "0")
    assert kept.kept() is None


def test_a_manifest_tells_what_was_here_already(server):
    server.body, server.cuts = image(np.ones((8, 8))), [1000]
    wanted = references([server.url, server.url + "2"], ra=[np.nan] * 2, dec=[np.nan] * 2)
    first, second = deliver(wanted).manifest, deliver(wanted).manifest
    assert sorted(entry.tries for entry in first) == [1, 2]
    assert [(e.status, e.kept, e.tries) for e in second] == [("ok", True, 1)] * 2
    assert {e.sha256 for e in [*first, *second]} == {kept_hash(server.body)}
    assert [e.bytes for e in second] == [len(server.body)] * 2


# --- hosts ---------------------------------------------------------------------------------------


def test_a_host_that_does_not_answer_is_left_alone(server, monkeypatch):
    monkeypatch.setattr(downloads, "pause", lambda *_: 0.0)
    server.dead = True
    _, failures = fetch(references([f"{server.url}{i}" for i in range(40)]))
    assert len(failures) == 40
    assert sum("not asked again for" in why for why in failures.values()) > 20
    # Those that were on their way when the last of them failed are the most there can be.
    assert len(server.asked) < hosts.PATIENCE + hosts.PARALLEL


def test_a_host_that_answers_again_is_asked_again(server, monkeypatch):
    monkeypatch.setattr(downloads, "pause", lambda *_: 0.0)
    now = [0.0]
    monkeypatch.setattr(hosts.time, "monotonic", lambda: now[0])
    with Session(hosts=Hosts(rest=30.0)) as session:
        server.dead = True
        for _ in range(4):
            with pytest.raises(UnreachableError):
                download(session, server.url)
        asked = len(server.asked)
        assert asked == hosts.PATIENCE
        now[0] = 31.0
        with pytest.raises(UnreachableError):
            download(session, server.url)
        # One probe, and the next 30 seconds begin.
        assert len(server.asked) == asked + 1
        server.dead, now[0] = False, 62.0
        assert download(session, server.url).body == BODY
        assert download(session, server.url).body == BODY


def test_one_host_gets_a_few_requests_at_a_time(server):
    server.pause = 0.05
    fetch(references([f"{server.url}{i}" for i in range(60)]))
    assert 2 <= server.busiest <= hosts.PARALLEL


def test_an_archive_may_take_its_time_to_answer_and_not_to_be_there(server):
    server.pause = 1.5
    with Session() as session:
        session.patience = (1.0, 60.0)
        found = download(session, server.url)
        assert (found.body, found.tries) == (BODY, 1)
        session.patience = (60.0, 1.0)
        with pytest.raises(UnreachableError):
            download(session, server.url)


def test_headers_that_drip_end_with_the_patience(server):
    server.drip = True
    with Session() as session:
        session.patience = (1.0, 0.3)
        begin = time.monotonic()
        with pytest.raises(OSError, match="time"):
            session.get(server.url)
        # All headers would take minutes, and each byte comes within the patience.
        assert time.monotonic() - begin < 30
