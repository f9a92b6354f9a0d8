"""The list of archives, and the ways to add to it."""

import json
from urllib.parse import urlsplit

import pytest

from jupyter_astroml.archives.archive import archive
from jupyter_astroml.archives.known import (
    KNOWN,
    Archives,
    Known,
    SkippedArchiveWarning,
    archives,
    lookup,
)
from jupyter_astroml.core.errors import ArchiveError

HERE = {"name": "here", "title": "Ours", "url": "https://vo.example.org/tap", "auth": ["bearer"]}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Write a file of a site."""

    def write(content, *, name="site.yaml"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        monkeypatch.setenv("ASTROML_ARCHIVES", str(path))

    return write


def test_every_bundled_archive_is_an_https_service_with_a_page():
    for entry in KNOWN[1:]:
        for address in (entry.url, entry.sia2 or entry.url, entry.ssa or entry.url, entry.page):
            assert urlsplit(address).scheme == "https", entry.name
    assert len({k.name for k in KNOWN}) == len(KNOWN) == 17


def test_an_ivoa_identifier_is_no_host_of_an_archive():
    hosts = {host for _, host, _ in lookup("cadc").origins}
    assert hosts == {
        "ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca",
        "ws-cadc.canfar.net",
        "ws-uv.canfar.net",
    }


def test_a_site_adds_an_archive_and_moves_another(site):
    site([HERE, {"name": "gaia", "url": "https://mirror.example.org/tap"}])
    assert lookup("here").auth == ("bearer",)
    assert lookup("gaia").url == "https://mirror.example.org/tap"
    assert archives()[-1].name == "here"


def test_a_site_cannot_replace_the_demo(site):
    site([{"name": "demo", "url": "https://vo.example.org/tap"}])
    assert lookup("demo").url == ""


def test_a_file_in_a_configuration_folder_of_jupyter_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    (tmp_path / "jupyter_astroml_archives.json").write_text(json.dumps([HERE]))
    assert lookup("here").title == "Ours"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"url": "file:///etc/passwd"}, "no http"),
        ({"url": ""}, "url is missing"),
        ({"name": "<b>"}, "no word"),
        ({"color": "red"}, "no key 'color'"),
        ({"auth": ["magic"]}, "magic"),
        ({"rows": True}, "rows"),
        ({"hosts": ["evil.org/@x"]}, "no name of a host"),
        ({"cite": "gaia"}, "cite"),
    ],
)
def test_a_damaged_entry_is_skipped_and_the_others_are_kept(site, change, reason):
    site([{**HERE, **change}, {**HERE, "name": "there"}])
    with pytest.warns(SkippedArchiveWarning, match=reason):
        names = [k.name for k in archives()]
    assert "there" in names
    assert "here" not in names


@pytest.mark.parametrize(
    "content", ["{", "a: b", "!!python/object/apply:os.system [ls]", "[" * 5000, "x" * 2**21]
)
def test_a_damaged_file_is_skipped(site, content):
    site(content)
    with pytest.warns(SkippedArchiveWarning, match=r"site\.yaml"):
        assert len(archives()) == len(KNOWN)


def test_a_package_adds_archives_by_an_entry_point(tmp_path, monkeypatch):
    (tmp_path / "their_archives.py").write_text(
        "from jupyter_astroml.archives.known import Known\n"
        "one = Known('theirs', 'Theirs', 'https://vo.example.org/tap')\n"
        "wrong = 'no archive'\n"
    )
    info = tmp_path / "their_archives-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-archives\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[jupyter_astroml.archives]\n"
        "one = their_archives:one\nwrong = their_archives:wrong\ngone = no_such_module:x\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.warns(SkippedArchiveWarning) as said:
        assert lookup("theirs").title == "Theirs"
    assert len(said) == 2


def test_any_tap_service_is_an_archive_by_its_url():
    entry = lookup("https://vo.example.org:8443/tap/")
    assert entry.url == "https://vo.example.org:8443/tap"
    assert entry.origins == {("https", "vo.example.org", 8443)}


@pytest.mark.parametrize("user", ["user:s3cret@", "s3cret@", ":s3cret@"])
def test_a_password_in_an_address_is_refused_and_not_repeated(user):
    address = f"https://{user}vo.example.org/tap"
    for ask in (lambda: lookup(address), lambda: archive("cadc", url=address)):
        with pytest.raises(ArchiveError, match="password") as told:
            ask()
        assert "s3cret" not in str(told.value)
        assert "credential=" in told.value.remedy


def test_titles_cannot_put_markup_into_a_notebook():
    shown = Archives([Known("x", "<script>", "https://x.org/tap", note="<img>")])._repr_html_()
    assert "<script>" not in shown
    assert "<img>" not in shown
