"""Tables of one's own on an archive: the embedded one, and one that speaks as Gaia's does."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

import jupyter_astroml as aml
from jupyter_astroml.archives.archive import Archive
from jupyter_astroml.archives.credentials import Bearer, Cookie
from jupyter_astroml.archives.known import Known
from jupyter_astroml.archives.login import Login
from jupyter_astroml.core.errors import ArchiveError, DataError, QueryError
from jupyter_astroml.embedded import serve

TOKEN = "a-secret.token_of+this/test=="


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stars")
    (folder / "stars.csv").write_text("id,ra,dec\n1,10.0,20.0\n2,11.0,21.0\n")
    return folder


@pytest.fixture(scope="module")
def place(folder):
    with serve.start(folder, user_tables=True) as running:
        yield aml.archive(running.tap)


def test_a_kept_table_is_asked_like_any_other_and_dropped(place):
    table = Table()
    table["id"] = MaskedColumn([1, 2, 2**62], mask=[False, True, False])
    table["word"] = ['a,"b"\n', "β", ""]
    table["x"] = np.array([1.5, np.nan, -1e-300])
    table["ok"] = [True, False, True]
    assert place.check("SELECT word FROM mine.words") != []
    assert place.keep(table, name="mine.words") == "mine.words"
    assert place.check("SELECT word FROM mine.words") == []
    found = place.query("SELECT id, word, x, ok FROM mine.words")
    assert found["id"].tolist() == [1, None, 2**62]
    assert found["word"].tolist()[:2] == ['a,"b"\n', "β"]
    assert found["ok"].tolist() == [True, False, True]
    assert found["x"][2] == -1e-300
    place.drop("mine.words")
    with pytest.raises(QueryError):
        place.query("SELECT * FROM mine.words")


def test_rows_of_an_archive_are_kept_and_joined_there(place):
    (name,) = (t.name for s in place.schema() for t in s.tables if t.name.endswith(".stars"))
    place.keep(place.query(f"SELECT id, ra FROM {name} WHERE ra > 10.5"), name="mine.near")
    joined = place.query(f"SELECT s.dec FROM {name} AS s JOIN mine.near AS n ON s.id = n.id")
    place.drop("mine.near")
    assert joined["dec"].tolist() == [21.0]


def test_units_and_ucds_are_kept_on_the_archive(place):
    table = Table({"flux": MaskedColumn([1.0], unit="mJy", meta={"ucd": "phot.flux"})})
    place.keep(table, name="mine.fluxes")
    found = place.query("SELECT flux FROM mine.fluxes")
    place.drop("mine.fluxes")
    assert str(found["flux"].unit) == "mJy"
    assert found["flux"].meta["ucd"] == "phot.flux"


@pytest.mark.parametrize("name", ["words", "mine.a.b", "mine.a-b", "mine.", "mine.a/../x", ""])
def test_a_name_that_is_none_is_refused_before_it_is_sent(place, name):
    for act in (lambda: place.keep(Table({"x": [1]}), name=name), lambda: place.drop(name)):
        with pytest.raises(QueryError, match=r"schema\.table"):
            act()


def test_a_column_that_the_archive_cannot_hold_is_named(place):
    with pytest.raises(DataError, match="'maps'"):
        place.keep(Table({"maps": np.zeros((2, 3))}), name="mine.maps")


def test_a_refusal_is_told_in_the_archive_s_words(place):
    with pytest.raises(ArchiveError, match=r"400.*cannot be called"):
        place.keep(Table({"x": [1]}), name="other.words")
    with pytest.raises(ArchiveError, match="does not keep"):
        place.drop("mine.nothing")


def test_a_table_whose_rows_are_refused_is_not_left_behind(place):
    # One row more than the archive keeps for its users.
    with pytest.raises(ArchiveError, match="at most"):
        place.keep(Table({"n": np.ones(1_000_001, dtype=int)}), name="mine.large")
    assert "mine.large" not in [t.name for s in place.schema() for t in s.tables]


def test_an_archive_without_tables_of_users_says_what_else_to_do(folder):
    with serve.start(folder) as running, pytest.raises(ArchiveError, match="upload="):
        aml.archive(running.tap).keep(Table({"x": [1]}), name="mine.x")


def test_only_who_is_logged_in_keeps_tables(folder):
    with serve.start(folder, user_tables=True, token=TOKEN) as running:
        with pytest.raises(ArchiveError, match=r"aml\.login"):
            aml.archive(running.tap).keep(Table({"x": [1]}), name="mine.x")
        known = aml.login(running.tap, credential=Bearer(TOKEN))
        known.keep(Table({"x": [1]}), name="mine.x")
        assert len(known.query("SELECT x FROM mine.x")) == 1
        aml.logout(running.tap)


class TapPlus(BaseHTTPRequestHandler):
    """Takes tables as the client code in astroquery's TAP+ sends them to Gaia.

    It is written from that code; the real service could not be asked.
    """

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.headers, body))
        if f"JSESSIONID={TOKEN.rstrip('=')}" not in self.headers.get("Cookie", ""):
            self.answer(401, b"Not logged in")
        elif b'name="TABLE_NAME"\r\n\r\nlarge\r\n' in body:
            self.answer(303, b"", Location="/tap-server/tap/async/7")
        elif b'name="TABLE_NAME"\r\n\r\ntwice\r\n' in body:
            self.answer(500, b"<html><body>Table <b>twice</b> already exists</body></html>")
        else:
            self.answer(200, b"OK")

    def do_GET(self):
        self.server.polls += 1
        phase = "COMPLETED" if self.server.polls > 2 else "EXECUTING"
        self.answer(
            200,
            b'<uws:job xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0" version="1.1">'
            b"<uws:jobId>7</uws:jobId><uws:phase>" + phase.encode() + b"</uws:phase></uws:job>",
            **{"Content-Type": "text/xml"},
        )

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def gaia(credential=None):
    with ThreadingHTTPServer(("127.0.0.1", 0), TapPlus) as made:
        made.asked, made.polls = [], 0
        threading.Thread(target=made.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{made.server_port}/tap-server"
        entry = Known("gaia", "Gaia", f"{base}/tap", upload=f"{base}/Upload", auth=("cookie",))
        login = Login("gaia", credential, entry.origins) if credential else None
        with Archive(entry, login=login) as archive:
            yield made, archive
        made.shutdown()


SESSION = Cookie("JSESSIONID", TOKEN.rstrip("="))


def test_gaia_takes_a_table_into_the_schema_of_its_user():
    with gaia(SESSION) as (server, archive):
        assert archive.keep(Table({"source_id": [1, 2]}), name="stars").endswith(".stars")
        archive.drop("stars")
    (headers, body), (_, dropped) = server.asked
    assert headers["Content-Type"].startswith("multipart/form-data")
    for part in (b'name="TASKID"\r\n\r\n-1', b'name="FORMAT"\r\n\r\nvotable', b'name="FILE"'):
        assert part in body
    assert b"<VOTABLE" in body
    assert dropped == b"TABLE_NAME=stars&DELETE=TRUE&FORCE_REMOVAL=FALSE"


def test_gaia_takes_a_large_table_by_a_job_that_is_waited_for():
    with gaia(SESSION) as (server, archive):
        archive.keep(Table({"source_id": [1, 2]}), name="large")
    assert server.polls > 2


def test_gaia_s_refusals_are_told_in_its_words():
    with gaia(SESSION) as (_, archive), pytest.raises(ArchiveError, match="twice already exists"):
        archive.keep(Table({"x": [1]}), name="twice")
    with gaia() as (_, archive), pytest.raises(ArchiveError, match=r"aml\.login\('gaia'\)"):
        archive.keep(Table({"x": [1]}), name="stars")
