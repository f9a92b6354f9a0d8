"""An archive that asks for a token: who gets in, and where the token never shows."""

import subprocess
import sys

import psutil
import pytest
import pyvo
import requests

from jupyter_astroml.core.errors import SettingsError
from jupyter_astroml.embedded import serve

TOKEN = "a-secret.token_of+this/test=="
FIELD = "ivo://astroml.demo/sky?field-00"
QUERY = {"LANG": "ADQL", "QUERY": "SELECT TOP 2 id, access_url FROM demo.stars"}


@pytest.fixture(scope="module")
def locked(surroundings, demo_folder):
    patch = pytest.MonkeyPatch()
    for name in ("ASTROML_CACHE_DIR", "JUPYTER_RUNTIME_DIR"):
        patch.setenv(name, surroundings[name])
    with serve.start(token=TOKEN) as running:
        yield running
    patch.undo()


def get(archive, path: str, authorization: str | None = None, **params) -> requests.Response:
    headers = {"Authorization": authorization} if authorization is not None else {}
    return requests.get(
        f"{archive.url}{path}", headers=headers, params=params, timeout=10, allow_redirects=False
    )


@pytest.mark.parametrize(
    "path",
    [
        "/tap/sync",
        "/tap/async",
        "/tap/async/0000000000000000",
        "/tap/async/0000000000000000/results/result",
        "/tap/tables",
        "/tap/examples",
        "/datalink",
        "/soda",
        "/files",
        "/scs/demo.galaxies",
        "/sia2/query",
        "/ssa/query",
        "/nosuch",
    ],
)
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-3]}",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN} {TOKEN}",
        "Bearer \u00e9".encode().decode("latin-1"),
    ],
)
def test_every_request_for_data_without_the_token_is_challenged(locked, path, authorization):
    answer = get(locked, path, authorization, ID=FIELD, **QUERY)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert 'value="ERROR"' in answer.text
    assert TOKEN not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", ["/tap/sync", "/tap/async", "/tap/async/0000000000000000"])
def test_no_other_method_is_let_in(locked, method, path):
    answer = requests.request(method, locked.url + path, data=QUERY, timeout=10)
    assert answer.status_code == 401


def test_a_token_in_the_address_is_none(locked):
    for name in ("access_token", "token", "Authorization"):
        assert get(locked, "/tap/sync", **{name: TOKEN}, **QUERY).status_code == 401


def test_an_upload_without_the_token_is_not_even_read(locked):
    answer = requests.post(
        f"{locked.tap}/sync", data={**QUERY, "UPLOAD": "a,param:b"},
        files={"b": ("b", b"x" * 9999)}, timeout=10,
    )  # fmt: skip
    assert answer.status_code == 401


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER "])
def test_the_token_opens(locked, kind):
    answer = get(locked, "/tap/sync", f"{kind} {TOKEN}", **QUERY)
    assert answer.status_code == 200
    assert "WWW-Authenticate" not in answer.headers


def test_whoever_asks_is_told_that_a_token_is_needed(locked, archive):
    for path in ("/tap/capabilities", "/sia2/capabilities"):
        told = get(locked, path)
        assert told.status_code == 200
        assert "ivo://ivoa.net/sso#token" in told.text
        assert "securityMethod" not in get(archive, path).text
    assert get(locked, "/tap/availability").status_code == 200
    assert get(locked, "/").status_code == 200


def test_pyvo_with_the_token_works_in_all_ways_and_its_links_do_not_hold_it(locked):
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        tap = pyvo.dal.TAPService(locked.tap, session=session)
        found = tap.run_sync(QUERY["QUERY"])
        assert len(found) == 2
        assert list(tap.run_async(QUERY["QUERY"])["id"]) == list(found["id"])
        documents = [
            session.get(f"{locked.url}{path}", timeout=10, params=QUERY).text
            for path in ("/tap/sync", "/tap/capabilities", "/tap/tables", "/", "/tap/async",
                         "/datalink?ID=ivo://astroml.demo/sky?field-00", "/sia2/query",
                         "/tap/examples")
        ]  # fmt: skip
        link = str(found["access_url"][0])
        assert session.get(link, timeout=10).status_code == 200
    assert requests.get(link, timeout=10).status_code == 401
    assert not any(TOKEN in document for document in documents)


def test_what_asks_for_a_token_is_not_to_be_kept(locked):
    for path in ("/files", "/tap/sync"):
        answer = get(locked, path, f"Bearer {TOKEN}", ID=FIELD, **QUERY)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")


def test_the_token_is_in_no_list_of_processes_and_no_file(locked):
    assert TOKEN not in " ".join(psutil.Process(locked.pid).cmdline())
    assert TOKEN not in repr(locked)
    name = psutil.Process(locked.pid).cmdline()
    path = name[name.index("--token-file") + 1]
    with pytest.raises(FileNotFoundError), open(path):  # noqa: PTH123 - it must not be there
        pass


def test_the_log_of_an_archive_does_not_hold_the_token(
    surroundings, demo_folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("ASTROML_CACHE_DIR", surroundings["ASTROML_CACHE_DIR"])
    secret = tmp_path / "token"
    secret.write_text(f"{TOKEN}\n")
    with (tmp_path / "log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_astroml.embedded", "--token-file", str(secret)],
            stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        with process:
            tap = process.stdout.readline().strip()
            answers = [
                requests.get(f"{tap}{path}", headers={"Authorization": f"Bearer {TOKEN}"},
                             params=params, timeout=10).status_code
                for path, params in (("/sync", QUERY), ("/sync", {"QUERY": TOKEN}), ("/nosuch", {}))
            ]  # fmt: skip
            process.terminate()
            said = process.stdout.read()
        log.seek(0)
        assert TOKEN not in log.read() + said + tap
    assert answers == [200, 400, 404]


@pytest.mark.parametrize("token", ["qwertz", "with a space in the middle", "é" * 20, "a\nb" * 10])
def test_a_token_that_http_cannot_carry_is_refused_and_not_repeated(token, tmp_path):
    with pytest.raises(SettingsError, match="token") as caught:
        serve.start(token=token)
    assert token not in str(caught.value)
    path = tmp_path / "token"
    path.write_text(token)
    with pytest.raises(SettingsError):
        serve._token(str(path))
    with pytest.raises(SettingsError, match="gives no token"):
        serve._token(str(tmp_path / "nosuch"))
