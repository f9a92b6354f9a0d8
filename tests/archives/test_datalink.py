"""Following links of an archive that writes what real and hostile ones write."""

import numpy as np
import pytest
from serving import DATALINK, image, links, put, references, serving

from jupyter_astroml.archives.datalink import follow
from jupyter_astroml.archives.fetch import fetch
from jupyter_astroml.archives.http import Session


@pytest.fixture
def server():
    with serving() as made:
        yield made


@pytest.mark.parametrize("bad", ["http://[bad?ID=x", "http://a..b/links?ID=x", "http://a:b/?ID=x"])
def test_a_link_that_is_no_address_fails_for_its_object_only(server, bad):
    urls = put(server, links=links(("good", f"{server.url}/a", "", "")), a=image(np.ones((8, 8))))
    asked = references([bad, f"{urls[0]}?ID=good"], formats=DATALINK)
    found, failures = fetch(asked)
    assert found.ids.tolist() == ["o1"]
    assert "Refused to fetch" in failures["o0"]


def test_a_document_with_broken_addresses_fails_for_its_object_only(server):
    rows = [("a", "http://[bad", "", ""), ("b", f"{server.url}/b", "", "")]
    urls = put(server, links=links(*rows), b=image(np.ones((8, 8))))
    found, failures = fetch(references([f"{urls[0]}?ID={d}" for d in "ab"], formats=DATALINK))
    assert found.ids.tolist() == ["o1"]
    assert "Refused to fetch 'http://[bad'" in failures["o0"]


def test_a_broken_address_of_a_cutout_service_is_a_reason(server):
    rows = [("a", "", "soda", "")]
    urls = put(server, links=links(*rows, soda="http://[bad/soda"))
    _, failures = fetch(references([f"{urls[0]}?ID=a"], formats=DATALINK, size_arcsec=4.0))
    assert "Refused to fetch 'http://[bad/soda" in failures["o0"]


def test_one_dataset_may_be_written_in_two_ways(server):
    urls = put(server, links=links(("x/1", f"{server.url}/a", "", "")), a=image(np.ones((8, 8))))
    spelled = [f"{urls[0]}?ID=x/1", f"{urls[0]}?ID=x%2F1"]
    found, failures = fetch(references(spelled, formats=DATALINK))
    assert found.ids.tolist() == ["o0", "o1"]
    assert failures == {}


# A file of 8640 bytes: as it is, in kilobytes of both kinds, not said, and said wrongly.
@pytest.mark.parametrize("size", [8640, 8000, 9000, 8 * 1024, 9 * 1024, "", -1, 86400, 864, 1])
def test_a_file_is_about_as_long_as_its_link_says(server, size):
    file = image(np.ones((8, 8)))
    assert len(file) == 8640
    urls = put(server, links=links(("a", f"{server.url}/a", "", ""), size=size), a=file)
    _, failures = fetch(references([f"{urls[0]}?ID=a"], formats=DATALINK))
    if size in (86400, 864, 1):
        assert f"announced a file of {size} bytes and sent 8640" in failures["o0"]
    else:
        assert failures == {}


@pytest.mark.parametrize(
    "batch",
    [
        lambda ids: None,
        lambda ids: b"<html>Only one ID, please</html>",
        lambda ids: links((ids[0], f"http://127.0.0.1/{ids[0]}", "", "")),
    ],
    ids=["refused", "no document", "only the first"],
)
def test_datasets_that_cannot_be_asked_for_together_are_asked_for_alone(server, batch):
    def answer(query):
        ids = query["ID"]
        if len(ids) > 1:
            return batch(ids)
        return None if ids[0] == "bad" else links((ids[0], f"http://127.0.0.1/{ids[0]}", "", ""))

    server.files["/links"] = answer
    urls = [f"{server.url}/links?ID={d}" for d in ("a", "bad", "b")]
    with Session() as session:
        found = follow(session, urls)
    assert [found[u].this for u in urls] == ["http://127.0.0.1/a", "", "http://127.0.0.1/b"]
    assert "404" in found[urls[1]].error


def test_an_archive_that_is_away_is_not_asked_for_each_dataset(server):
    gone = "http://127.0.0.1:9/links"
    with Session() as session:
        found = follow(session, [f"{gone}?ID={i}" for i in range(5)])
    assert all("could not be reached" in links.error for links in found.values())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<TABLEDATA>", '<BINARY2><STREAM href="file:///etc/passwd"/></BINARY2><TABLEDATA>'),
        ("<TABLE>", '<TABLE><FIELD name="x" datatype="double" unit="10**99999999 m"/>'),
        ("<VOTABLE", '<!DOCTYPE v [<!ENTITY a "aaaa">]><VOTABLE'),
    ],
)
def test_a_hostile_document_is_refused_as_that_of_a_query_is(server, old, new):
    document = links(("a", "http://127.0.0.1/a", "", ""))
    server.files["/links"] = document.replace(old.encode(), new.encode(), 1)
    with Session() as session:
        (found,) = follow(session, [f"{server.url}/links?ID=a"]).values()
    assert found.this == ""
    assert "Refused" in found.error
