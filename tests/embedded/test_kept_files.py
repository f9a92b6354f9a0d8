"""A file of the archive is sent once to a client that keeps it, and an answer is never kept."""

import pytest
import requests

from jupyter_astroml.archives.downloads import download
from jupyter_astroml.archives.http import Session
from jupyter_astroml.archives.kept import Kept

LIGHT_CURVE = "SELECT TOP 1 access_url FROM demo.stars"


@pytest.fixture
def url(tap):
    links = str(tap.run_sync(LIGHT_CURVE)["access_url"][0])
    return links.replace("/datalink?", "/files?")


def test_a_file_that_is_here_is_asked_about_and_not_sent_again(url, tmp_path):
    with Session(kept=Kept(tmp_path / "downloads", limit=2**30)) as session:
        first, second = (download(session, url) for _ in range(2))
    assert (first.kept, second.kept) == (False, True)
    assert first.body == second.body
    told = requests.get(url, timeout=10).headers
    assert told["Cache-Control"] == "private, no-cache"
    again = requests.get(url, headers={"If-None-Match": told["ETag"]}, timeout=10)
    assert (again.status_code, again.content) == (304, b"")


def test_answers_and_errors_are_not_to_be_kept(archive, url):
    asked = {"LANG": "ADQL", "QUERY": LIGHT_CURVE}
    answers = [
        requests.get(f"{archive.tap}/sync", params=asked, timeout=10),
        requests.get(f"{archive.url}/files", params={"ID": "nosuch"}, timeout=10),
        requests.get(f"{archive.url}/soda", params={"ID": "ivo://astroml.demo/sky?field-00"},
                     timeout=10),
    ]  # fmt: skip
    assert [a.status_code for a in answers] == [200, 404, 200]
    assert {a.headers["Cache-Control"] for a in answers} == {"no-store"}
