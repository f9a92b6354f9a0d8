"""The query client against a TAP service in which one thing after the other goes wrong."""

import io
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import numpy as np
import pytest
from astropy.io.votable.tree import Info, VOTableFile
from astropy.table import Table

from jupyter_astroml.archives.archive import OverflowedWarning, archive
from jupyter_astroml.core.errors import ArchiveError, QueryError

ROWS = 300


def document(form: str, *, status: str = "OK", behind: str = "", nrows: int | None = None) -> bytes:
    table = Table({"id": np.arange(ROWS), "name": [f"x{i}" for i in range(ROWS)]})
    made = VOTableFile.from_table(table)
    resource = made.resources[0]
    resource.type = "results"
    resource.infos.append(Info(name="QUERY_STATUS", value=status))
    out = io.BytesIO()
    made.to_xml(out, tabledata_format=form)
    text = out.getvalue().decode()
    if nrows is not None:
        text = text.replace("<TABLE", f'<TABLE nrows="{nrows}"', 1)
    after = f'<INFO name="QUERY_STATUS" value="{behind}">the disk is full</INFO>' if behind else ""
    return text.replace("</TABLE>", f"</TABLE>{after}").encode()


class Faulty(BaseHTTPRequestHandler):
    """The query is the name of a fault and of the form that the table has."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        sent = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        fault, form = sent["QUERY"][0].split()
        asked = self.server.asked
        asked.append(time.monotonic())
        busy = len(asked) <= 2
        if fault == "busy" and busy:
            self.answer(b"later", status=503)
        elif fault == "told" and busy:
            self.answer(b"later", status=429, headers={"Retry-After": "1"})
        elif fault == "always":
            self.answer(b"<html>maintenance</html>", status=503)
        elif fault == "half":
            self.answer(document(form), halt=True)
        elif fault == "html":
            self.answer(b"<html><body>Please log in<br></body></html>")
        elif fault == "cut":
            self.answer(document(form), cut=700)
        elif fault == "lost":
            self.answer(document(form, nrows=ROWS + 7))
        elif fault == "behind":
            self.answer(document(form, behind="ERROR"))
        elif fault == "overflow":
            self.answer(document(form, behind="OVERFLOW"))
        elif fault == "refused":
            self.answer(document(form, status="ERROR"), status=400)
        else:
            self.answer(document(form))

    def do_GET(self):
        self.answer(b"", status=404)

    def answer(self, body, *, status=200, headers=None, cut=0, halt=False):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/x-votable+xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if halt:
            self.wfile.write(body[:2000])
            self.wfile.flush()
            self.server.begun.set()
            self.server.late = not self.server.waits.wait(40)
            for at in range(2000, len(body), 500):
                self.wfile.write(body[at : at + 500])
                self.wfile.flush()
                time.sleep(0.01)
            return
        self.wfile.write(body[: len(body) - cut])
        if cut:
            self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def faulty():
    with ThreadingHTTPServer(("127.0.0.1", 0), Faulty) as made:
        made.asked, made.begun, made.waits = [], threading.Event(), threading.Event()
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def sky(faulty):
    with archive(f"http://127.0.0.1:{faulty.server_port}/tap") as made:
        yield made


FORMS = pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])


@FORMS
def test_a_table_in_any_form_arrives_whole(sky, form):
    assert sky.query(f"fine {form}")["id"].tolist() == list(range(ROWS))


def test_a_busy_archive_is_asked_again(sky, faulty):
    assert len(sky.query("busy binary2")) == ROWS
    assert len(faulty.asked) == 3


def test_an_archive_that_says_how_long_is_left_alone_so_long(sky, faulty):
    assert len(sky.query("told binary2")) == ROWS
    first, second, third = faulty.asked
    assert min(second - first, third - second) >= 1.0


def test_an_archive_that_stays_busy_is_told_with_its_own_words(sky, faulty):
    with pytest.raises(ArchiveError, match="503") as told:
        sky.query("always binary2")
    assert "maintenance" in str(told.value)
    assert len(faulty.asked) == 4


def test_there_is_no_waiting_beyond_the_timeout(sky, faulty):
    with pytest.raises(ArchiveError, match="429"):
        sky.query("told binary2", timeout=0.5)
    assert len(faulty.asked) == 1


def test_a_page_for_people_is_no_table(sky):
    with pytest.raises(ArchiveError, match="no VOTable"):
        sky.query("html binary2")


@FORMS
@pytest.mark.parametrize("fault", ["cut", "lost"])
def test_a_table_that_is_not_whole_is_no_answer(sky, fault, form):
    with pytest.raises(ArchiveError):
        sky.query(f"{fault} {form}")


@FORMS
def test_an_error_behind_the_table_counts(sky, form):
    with pytest.raises(QueryError, match="disk is full"):
        sky.query(f"behind {form}")


@FORMS
def test_an_overflow_behind_the_table_is_flagged(sky, form):
    with pytest.warns(OverflowedWarning):
        rows = sky.query(f"overflow {form}")
    assert rows.meta["astroml"]["overflow"]
    assert len(rows) == ROWS


def test_a_refusal_is_told_whatever_the_status_of_the_answer(sky):
    with pytest.raises(QueryError):
        sky.query("refused tabledata")


def test_an_answer_that_is_on_its_way_is_not_closed_by_another_thread(sky, faulty):
    found = []
    asking = threading.Thread(target=lambda: found.append(sky.query("half binary2")))
    asking.start()
    assert faulty.begun.wait(60)
    assert len(sky.look("fine binary2")) == ROWS
    faulty.waits.set()
    asking.join()
    # Nor did the one wait for the other.
    assert not faulty.late
    assert len(found[0]) == ROWS


def test_the_time_limit_of_one_question_is_not_that_of_the_next(sky):
    before = sky._session.bounds.seconds, sky._session.patience
    sky.query("fine binary2", timeout=7)
    with pytest.raises(ArchiveError):
        sky.query("html binary2", timeout=7)
    assert (sky._session.bounds.seconds, sky._session.patience) == before
