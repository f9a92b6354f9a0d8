"""Files in a user's space: names, and the login that goes to the space alone."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from astropy.table import Table
from serving import image, references

import jupyter_astroml as aml
from jupyter_astroml.archives.fetch import fetch
from jupyter_astroml.archives.known import Known, lookup
from jupyter_astroml.archives.vospace import located, spaces
from jupyter_astroml.core.errors import DataError

TOKEN = "t0ken-of-the-space"
CADC = spaces([lookup("cadc")])


class VOSpace(BaseHTTPRequestHandler):
    """Serves files to who has the token, as CADC's vault does: by a redirect to a storage site.

    It is written from OpenCADC's code and addresses; the real service could not be asked.
    """

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Authorization", "")))
        name = self.path.removeprefix("/arc/files/")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401, b"login required")
        elif name in self.server.files:
            self.answer(303, b"", Location=f"{self.server.storage}/minoc/preauth/{name}")
        else:
            self.answer(404, b"NodeNotFound")

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Storage(VOSpace):
    """A storage site, which lets in who knows the address."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Authorization", "")))
        self.answer(200, self.server.files[self.path.removeprefix("/minoc/preauth/")])


@contextmanager
def server(handler):
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as made:
        made.asked, made.files = [], {}
        made.url = f"http://127.0.0.1:{made.server_port}"
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def space(tmp_path, monkeypatch):
    """An archive of a site with a space called ``campus`` that asks for a token."""
    with server(VOSpace) as made, server(Storage) as storage:
        made.storage, made.files = storage.url, storage.files
        made.other = storage
        file = tmp_path / "archives.json"
        entry = {
            "name": "campus",
            "url": f"{made.url}/tap",
            "spaces": [f"campus ivo://vo.example.org/arc {made.url}/arc"],
        }
        file.write_text(json.dumps([entry]))
        monkeypatch.setenv("ASTROML_ARCHIVES", str(file))
        monkeypatch.setenv("ASTROML_TOKEN_CAMPUS", TOKEN)
        yield made


def test_files_of_a_space_are_fetched_with_its_login_and_the_storage_sees_none(space):
    space.files["projects/x%20y/a.fits"] = image(np.ones((4, 4)))
    names = ["campus:projects/x%20y/a.fits", "vos://vo.example.org~arc/projects/x%20y/a.fits"]
    rows = Table({"id": ["a", "b"], "access_url": names})
    found = aml.fetch(aml.samples(rows))
    assert found.ids.tolist() == ["a", "b"]
    assert (found.values == 1).all()
    assert {authorization for _, authorization in space.asked} == {f"Bearer {TOKEN}"}
    assert {authorization for _, authorization in space.other.asked} == {""}


def test_each_file_that_does_not_come_has_its_reason(space):
    space.files["here.fits"] = image(np.ones((4, 4)))
    names = [
        "campus:here.fits",
        "campus:none.fits",
        "ftp://x/y",
        "vos://evil.org~arc/a",
        "campus:../a",
    ]
    found, failures = fetch(references(names))
    assert found.ids.tolist() == ["o0"]
    assert "404" in failures["o1"]
    assert "no known VOSpace" in failures["o2"]
    assert "no known VOSpace" in failures["o3"]
    assert "no name of a file" in failures["o4"]


def test_rows_of_another_archive_do_not_use_the_login_of_the_space(space):
    space.files["here.fits"] = image(np.ones((4, 4)))
    rows = references(["campus:here.fits"], meta={"archive": "vizier"})
    found, failures = fetch(rows)
    assert found is None
    assert "401" in failures["o0"]
    assert space.asked == [("/arc/files/here.fits", "")]


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("vos:me/a.fits", "https://ws-cadc.canfar.net/vault/files/me/a.fits"),
        ("vos:/me/a.fits", "https://ws-cadc.canfar.net/vault/files/me/a.fits"),
        ("vos://cadc.nrc.ca~vault/me/a.fits", "https://ws-cadc.canfar.net/vault/files/me/a.fits"),
        ("vos://cadc.nrc.ca!vault/me/a.fits", "https://ws-cadc.canfar.net/vault/files/me/a.fits"),
        ("arc:home/me/a+b c.fits", "https://ws-uv.canfar.net/arc/files/home/me/a%2Bb%20c.fits"),
        ("vos://cadc.nrc.ca~arc/home/é", "https://ws-uv.canfar.net/arc/files/home/%C3%A9"),
    ],
)
def test_names_of_cadc_become_its_addresses(name, url):
    assert located(name, CADC)[0] == url


@pytest.mark.parametrize(
    "name",
    [
        "vos:",
        "vos:me//a",
        "vos:../a",
        "vos:me/%2e%2e/a",
        "vos:me/%2E/a",
        "vos:me%2f..%2fa",
        "vos:me/a%0d%0aHost: evil",
        "vos:me/a\nb",
        "vos://evil.org/me/a",
        "vos://cadc.nrc.ca/me/a",
        "vos://user@cadc.nrc.ca~vault/me/a",
        "vos://cadc.nrc.ca~vault:80/me/a",
        "arc://cadc.nrc.ca~arc/a",
        "arc:me/" + "%00",
        "file:///etc/passwd",
        "javascript:alert(1)",
    ],
)
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(DataError, match="Refused"):
        located(name, CADC)


def test_a_site_s_space_that_is_none_is_skipped_with_its_reason(tmp_path, monkeypatch):
    from jupyter_astroml.archives.known import SkippedArchiveWarning, archives

    file = tmp_path / "archives.json"
    entry = {"name": "x", "url": "https://x.org/tap", "spaces": ["arc ivo://x file:///etc"]}
    file.write_text(json.dumps([entry]))
    monkeypatch.setenv("ASTROML_ARCHIVES", str(file))
    with pytest.warns(SkippedArchiveWarning, match="spaces has"):
        archives()


def test_a_space_is_one_of_the_places_of_its_archive():
    entry = Known("x", "X", "https://x.org/tap", spaces=("s ivo://x/s https://s.x.org/s", ""))
    assert ("https", "s.x.org", 443) in entry.origins
    assert len(spaces([entry])) == 1
