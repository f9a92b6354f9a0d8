"""Tables to and from other programs: a real hub, and a real second client."""

import os
import threading
from contextlib import contextmanager
from xmlrpc.client import Fault

import pytest
from astropy.table import Table
from pyvo.samp import SAMPHubServer, SAMPIntegratedClient, conf
from serving import serving

import jupyter_astroml as aml
from jupyter_astroml.core.errors import ArchiveError, AstroMLError

TABLE = "table.load.votable"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub of this test's own, on the loopback; its lock file is in the home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SAMP_HUB", raising=False)
    with conf.set_temp("use_internet", False):
        made = SAMPHubServer(addr="127.0.0.1", web_profile=False)
        made.start()
        yield made
        made.stop()


@contextmanager
def program(name="Topcat of the test", *, answer=("samp.ok", None)):
    """Another program, which takes tables and keeps what it was sent in `got`."""
    made = SAMPIntegratedClient(name=name, addr="127.0.0.1")
    made.connect()
    made.got = []

    def came(key, sender, message, kind, told, extra):
        made.got.append((told, Table.read(told["url"].removeprefix("file://"))))
        made.ereply(message, answer[0], result={}, error=answer[1])

    made.bind_receive_call(TABLE, came)
    try:
        yield made
    finally:
        made.disconnect()


def test_a_table_is_sent_and_the_program_is_named(hub):
    table = Table({"ra": [1.0, 2.0], "name": ["a", "β"]})
    with program() as other:
        assert aml.send(table, name="two stars") == ("Topcat of the test",)
    ((told, got),) = other.got
    assert told["name"] == "two stars"
    assert got["name"].tolist() == ["a", "β"]


def test_one_of_several_programs_is_chosen_by_its_name(hub):
    with program("TOPCAT") as one, program("Aladin") as two:
        assert aml.send(Table({"x": [1]}), to="aladin") == ("Aladin",)
        assert one.got == []
        assert len(two.got) == 1
        with pytest.raises(ArchiveError, match=r"called 'ds9'.*TOPCAT"):
            aml.send(Table({"x": [1]}), to="ds9")


def test_a_program_that_refuses_is_told_with_its_words(hub):
    with (
        program("A", answer=("samp.error", {"samp.errortxt": "too many stars"})),
        pytest.raises(ArchiveError, match="A: too many stars"),
    ):
        aml.send(Table({"x": [1]}))


def test_one_that_refuses_among_others_is_a_warning(hub):
    refusal = ("samp.error", {"samp.errortxt": "too many stars"})
    with (
        program("A", answer=refusal),
        program("B"),
        pytest.warns(UserWarning, match="A: too many stars"),
    ):
        assert aml.send(Table({"x": [1]})) == ("B",)


def test_without_a_hub_the_remedy_is_to_start_a_program(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SAMP_HUB", raising=False)
    for act in (lambda: aml.send(Table({"x": [1]})), aml.receive):
        with pytest.raises(ArchiveError, match="start TOPCAT"):
            act()


def offer(other, url, *, tell=None):
    """Send an address to jupyter_astroml as soon as it is there; return the thread that does."""

    def act():
        while not (ours := list(other.get_subscribed_clients(TABLE))):
            pass
        told = {"samp.mtype": TABLE, "samp.params": {"url": url, "name": "my stars"}}
        reply = other.call_and_wait(ours[0], told, "20")
        if tell is not None:
            tell.append(reply)

    thread = threading.Thread(target=act)
    thread.start()
    return thread


@contextmanager
def sender():
    made = SAMPIntegratedClient(name="Topcat", addr="127.0.0.1")
    made.connect()
    try:
        yield made
    finally:
        made.disconnect()


def test_a_table_that_another_program_sends_arrives_with_its_name(hub, tmp_path):
    aml.to_votable(Table({"ra": [1.5], "n": [7]}), tmp_path / "sent stars.vot")
    told = []
    with sender() as other:
        thread = offer(other, (tmp_path / "sent stars.vot").as_uri(), tell=told)
        table = aml.receive(timeout=20)
        thread.join()
    assert table["n"].tolist() == [7]
    assert table.meta["name"] == "my stars"
    assert table.meta["astroml"]["sender"] == "Topcat"
    assert told[0]["samp.status"] == "samp.ok"


def test_a_table_is_fetched_from_a_server_and_stays_simulated(hub, demo_archive, tmp_path):
    rows = aml.archive("demo").query("SELECT TOP 2 id, ra, dec FROM demo.galaxies")
    file = aml.to_votable(rows, tmp_path / "demo.vot")
    with serving() as server, sender() as other:
        server.files["/t.vot"] = file.read_bytes()
        thread = offer(other, f"{server.url}/t.vot")
        table = aml.receive(timeout=20)
        thread.join()
    assert table["id"].tolist() == rows["id"].tolist()
    assert table.meta["astroml"]["simulated"] is True


STIL = """<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
<RESOURCE><TABLE name="t" nrows="1">
<PARAM arraysize="39" datatype="char" name="simulated"
 value="true: nothing of this was ever observed"/>
<PARAM arraysize="*" datatype="char" name="jupyter_astroml" value='{}'/>
<FIELD ID="ra" datatype="double" name="ra"/>
<DATA><TABLEDATA><TR><TD>1.5</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"""


@pytest.mark.parametrize(
    ("said", "origin"),
    [
        ('{"archive": "demo", "adql": "SELECT 1", "row_hash": "x"}', {"archive", "adql"}),
        ('{"archive": 7, "adql": ["x"]}', set()),
        ("[1]", set()),
        ("no json", set()),
        ("[" * 50_000, set()),
    ],
    ids=["ours", "of other types", "a list", "no json", "deep"],
)
def test_where_rows_are_from_survives_the_way_through_topcat(hub, tmp_path, said, origin):
    """As STIL, which TOPCAT and STILTS write with, lays out what it read."""
    (tmp_path / "t.vot").write_text(STIL.format(said))
    with sender() as other:
        thread = offer(other, (tmp_path / "t.vot").as_uri())
        about = aml.receive(timeout=20).meta["astroml"]
        thread.join()
    assert about["simulated"] is True
    assert about["sender"] == "Topcat"
    assert set(about) == {*origin, "date", "simulated", "overflow", "sender", "received", "rows"}


def test_whatever_is_no_plain_file_or_web_address_is_refused(hub, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_text("root:x:0:0")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**40)
    urls = {
        "ftp://example.org/t.vot": "no file and no http",
        "javascript:alert(1)": "no file and no http",
        "": "no file and no http",
        "file://other.example.org/t.vot": "another machine",
        f"file://{tmp_path}/pipe": "no plain file",
        f"file://{tmp_path}/huge": "no plain file",
        "file:///dev/zero": "no plain file",
        f"file://{tmp_path}": "cannot be read|no plain file",
        f"file://{tmp_path}/none%00": "cannot be read",
        f"file://{tmp_path}/text": "no VOTable",
        "http://127.0.0.1:bad/": "Refused",
    }
    for url, why in urls.items():
        told = []
        with sender() as other:
            thread = offer(other, url, tell=told)
            with pytest.raises(AstroMLError, match=why):
                aml.receive(timeout=20)
            thread.join()
        assert told[0]["samp.status"] == "samp.error"


def test_whoever_sent_an_address_does_not_hear_what_stands_there(hub, tmp_path):
    (tmp_path / "secret").write_text("the key is 7319")
    with serving() as server, sender() as other:
        server.files["/secret"] = b"the key is 7319"
        for url in ((tmp_path / "secret").as_uri(), f"{server.url}/secret"):
            told = []
            thread = offer(other, url, tell=told)
            with pytest.raises(AstroMLError, match="7319"):
                aml.receive(timeout=20)
            thread.join()
            assert told[0]["samp.status"] == "samp.error"
            assert "key" not in str(told)


def test_nobody_can_ask_us_for_the_environment(hub, monkeypatch):
    monkeypatch.setenv("CADC_TOKEN", "secret-of-the-user")
    found = []

    def ask(other):
        while not (ours := list(other.get_subscribed_clients(TABLE))):
            pass
        message = {"samp.mtype": "client.env.get", "samp.params": {"name": "CADC_TOKEN"}}
        try:
            found.append(other.call_and_wait(ours[0], message, "5"))
        except Fault as err:
            found.append(err.faultString)

    with sender() as other:
        thread = threading.Thread(target=ask, args=(other,))
        thread.start()
        with pytest.raises(ArchiveError, match="No program sent"):
            aml.receive(timeout=2)
        thread.join()
    assert found
    assert "secret" not in str(found)
    # pyvo's own client would have told it.
    with sender() as other, program() as careless:
        message = {"samp.mtype": "client.env.get", "samp.params": {"name": "CADC_TOKEN"}}
        reply = other.call_and_wait(careless.get_public_id(), message, "5")
    assert reply["samp.result"]["value"] == "secret-of-the-user"
