"""Tables that users make on the archive: what is kept, what is refused, and what stays shut."""

import io
import threading

import pytest
import pyvo
import requests
from astropy.io.votable import from_table
from astropy.table import Table
from pyvo.utils.prototype import activate_features, deactivate_features

from jupyter_astroml.embedded import serve

TOKEN = "a-secret.token_of+this/test=="
VOTABLE = {"Content-Type": "application/x-votable+xml"}
CSV = {"Content-Type": "text/csv"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stars")
    (folder / "stars.csv").write_text("ra,dec\n10.0,20.0\n")
    return folder


@pytest.fixture(scope="module")
def kept(folder):
    with serve.start(folder, user_tables=True) as running:
        yield running


@pytest.fixture
def tap(kept):
    activate_features("cadc-tb-upload")
    yield pyvo.dal.TAPService(kept.tap)
    deactivate_features("cadc-tb-upload")


def definition(**columns):
    file = io.BytesIO()
    table = Table(columns)
    from_table(table[:0]).to_xml(file)
    return file.getvalue()


def put(archive, name, body, headers=VOTABLE):
    return requests.put(f"{archive.tap}/tables/{name}", data=body, headers=headers, timeout=20)


def load(archive, name, text, headers=CSV):
    return requests.post(f"{archive.tap}/load/{name}", data=text, headers=headers, timeout=20)


def drop(archive, name):
    return requests.delete(f"{archive.tap}/tables/{name}", timeout=20)


def test_pyvo_makes_fills_asks_and_drops_a_table(tap):
    about = definition(id=["a"], n=[1], x=[1.5], ok=[True])
    tap.create_table("mine.stars", io.BytesIO(about), format="VOTable")
    tap.load_table("mine.stars", io.BytesIO(b"id,n,x,ok\na,1,1.5,true\nb,,,\n"), format="csv")
    tap.load_table("mine.stars", io.BytesIO(b"n\tid\n9007199254740993\tc d\n"), format="tsv")
    rows = tap.search("SELECT id, n, x, ok FROM mine.stars ORDER BY id").to_table()
    assert rows["id"].tolist() == ["a", "b", "c d"]
    assert rows["n"].tolist() == [1, None, 9007199254740993]
    assert rows["ok"].tolist() == [True, None, None]
    names = tap.search("SELECT table_name FROM tap_schema.tables").to_table()["table_name"]
    assert "mine.stars" in names.tolist()
    assert "mine.stars" in tap.tables
    assert len(tap.search("SELECT s.id FROM mine.stars AS s WHERE s.n = 1")) == 1
    tap.remove_table("mine.stars")
    with pytest.raises(pyvo.dal.DALQueryError, match=r"mine\.stars"):
        tap.search("SELECT * FROM mine.stars")
    names = tap.search("SELECT table_name FROM tap_schema.tables").to_table()["table_name"]
    assert "mine.stars" not in names.tolist()


@pytest.mark.parametrize(
    "name",
    ["stars", "tap_schema.tables", "ivoa.obscore", "mine.", "mine.a;b", 'mine."a"', "mine.a.b"],
)
def test_only_names_in_the_schema_of_users_are_made(kept, name):
    answer = put(kept, name, definition(x=[1]))
    assert answer.status_code == 400
    assert "cannot be called" in answer.text


def test_a_published_table_is_neither_filled_nor_dropped(kept):
    name = pyvo.dal.TAPService(kept.tap).search(
        "SELECT table_name FROM tap_schema.tables WHERE table_name LIKE '%.stars'"
    )["table_name"][0]
    assert load(kept, name, "ra,dec\n1,2\n").status_code == 404
    assert drop(kept, name).status_code == 404
    assert len(pyvo.dal.TAPService(kept.tap).search(f"SELECT * FROM {name}")) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("n,x\n1,none\n", "cannot be read"),
        ("n,other\n1,2\n", "other"),
        ("n,n\n1,2\n", "twice|cannot be read"),
        ("n,x\n1,2,3\n", "cannot be read"),
        ("", "cannot be read"),
        ("n\n99999999999999999999999\n", "cannot be read"),
    ],
)
def test_rows_of_another_shape_change_nothing(kept, text, why):
    import re

    assert put(kept, "mine.shape", definition(n=[1], x=[1.5])).status_code == 200
    answer = load(kept, "mine.shape", text)
    found = pyvo.dal.TAPService(kept.tap).search("SELECT COUNT(*) AS c FROM mine.shape")
    drop(kept, "mine.shape")
    assert answer.status_code == 400
    assert re.search(why, answer.text)
    assert found["c"][0] == 0


def test_text_in_cells_is_text(kept):
    put(kept, "mine.words", definition(word=["'); DROP TABLE x; --"]))
    words = ["'); DROP TABLE mine.words; --", 'say "hi"', "a,b\nc", "α"]
    quoted = "\n".join('"' + word.replace('"', '""') + '"' for word in words)
    load(kept, "mine.words", f"word\n{quoted}\n".encode())
    found = pyvo.dal.TAPService(kept.tap).search("SELECT word FROM mine.words")
    drop(kept, "mine.words")
    assert [str(word) for word in found["word"]] == words


def test_quotas_hold_and_a_name_is_taken_once(kept):
    assert put(kept, "mine.t0", definition(n=[1])).status_code == 200
    assert "already" in put(kept, "mine.t0", definition(n=[1])).text
    rows = "n\n" + "1\n" * 400_000
    assert [load(kept, "mine.t0", rows).status_code for _ in range(3)] == [200, 200, 400]
    assert load(kept, "mine.t0", b"n\n" + b" " * (33 << 20)).status_code == 400
    more = [put(kept, f"mine.t{i}", definition(n=[1])).status_code for i in range(1, 25)]
    assert more.count(200) == 19
    for i in range(20):
        drop(kept, f"mine.t{i}")


def test_many_users_at_once_lose_nothing(kept):
    put(kept, "mine.many", definition(n=[1]))
    seen = []

    def act(i):
        seen.append(load(kept, "mine.many", f"n\n{i}\n").status_code)
        seen.append(
            len(pyvo.dal.TAPService(kept.tap).search("SELECT n FROM mine.many")["n"]) > 0 or 0
        )

    threads = [threading.Thread(target=act, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = pyvo.dal.TAPService(kept.tap).search("SELECT n FROM mine.many")
    drop(kept, "mine.many")
    assert sorted(found["n"].tolist()) == list(range(12))


@pytest.mark.parametrize("body", [b"", b"no xml", b"<VOTABLE/>", definition(x=[1])[:200]])
def test_a_definition_that_is_no_votable_is_refused(kept, body):
    assert put(kept, "mine.bad", body).status_code == 400
    assert put(kept, "mine.bad", body, headers={"Content-Type": "text/xml"}).status_code == 415
    assert drop(kept, "mine.bad").status_code == 404


def test_an_archive_keeps_no_tables_unless_it_is_told_to(folder):
    with serve.start(folder) as running:
        assert put(running, "mine.a", definition(x=[1])).status_code == 405
        assert load(running, "mine.a", "x\n1\n").status_code == 405
        assert drop(running, "mine.a").status_code == 405
        assert "table-load" not in requests.get(f"{running.tap}/capabilities", timeout=20).text


def test_tables_are_made_only_with_the_token(folder):
    with serve.start(folder, user_tables=True, token=TOKEN) as running:
        assert put(running, "mine.a", definition(x=[1])).status_code == 401
        known = {**VOTABLE, "Authorization": f"Bearer {TOKEN}"}
        assert put(running, "mine.a", definition(x=[1]), headers=known).status_code == 200
        assert load(running, "mine.a", "x\n1\n").status_code == 401
        assert drop(running, "mine.a").status_code == 401
