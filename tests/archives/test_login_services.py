"""Logins that are bought with a password, that end, and that other programs keep."""

import datetime
import getpass
import io
import json
import sys
import threading
import time
import traceback
from base64 import b64encode, urlsafe_b64encode
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import jupyter_astroml as aml
from jupyter_astroml.archives.archive import Archive
from jupyter_astroml.archives.credentials import Basic, Bearer, Certificate, Cookie
from jupyter_astroml.archives.downloads import download
from jupyter_astroml.archives.http import Session
from jupyter_astroml.archives.known import Known, lookup
from jupyter_astroml.archives.login import Login, login, logout
from jupyter_astroml.archives.wallet import ExpiredLoginWarning
from jupyter_astroml.core.errors import ArchiveError, SettingsError
from jupyter_astroml.embedded import serve

TOKEN = "t0ken-of-the-service"
PASSWORD = "pass-w0rd-of-mine"
HOUR = 3600
CADC = lookup("cadc")


class Doorkeeper(BaseHTTPRequestHandler):
    """Takes one name and password, as CADC does (a token as text) and as Gaia does (a cookie)."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append((self.path, body))
        form = {key: values[0] for key, values in parse_qs(body).items()}
        if self.path == "/away":
            self.answer(307, b"", Location=f"{self.server.elsewhere}/login")
        elif form != {"username": "me", "password": PASSWORD}:
            self.answer(401, f"you sent {body}".encode())
        elif self.path == "/cookie":
            self.answer(200, b"OK", **{"Set-Cookie": f"JSESSIONID={TOKEN}; Path=/; HttpOnly"})
        else:
            self.answer(200, self.server.token.encode())

    def do_GET(self):
        self.server.asked.append((self.path, str(self.headers)))
        self.answer(200, b"data", **{"Set-Cookie": "JSESSIONID=of-nobody; Path=/"})

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def doorkeeper(token=TOKEN):
    with ThreadingHTTPServer(("127.0.0.1", 0), Doorkeeper) as made:
        made.asked, made.token, made.elsewhere = [], token, ""
        made.url = f"http://127.0.0.1:{made.server_port}"
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def door():
    with doorkeeper() as made:
        yield made


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home without credentials."""
    monkeypatch.setenv("HOME", str(tmp_path))
    names = ("CADC_TOKEN", "CADC_SSO", "CADC_CERT", "MAST_API_TOKEN", "ACCESS_TOKEN")
    for name in (*names, "ASTROML_TOKEN_CADC"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def keyboard(home, monkeypatch):
    """Someone who types a name and a password, and the number of times that they were asked."""
    times = []
    # Without a terminal, Python's getpass reads the line from standard input as input() does.
    monkeypatch.setattr(getpass, "getpass", lambda _: times.append(1) or PASSWORD)
    monkeypatch.setattr(sys, "stdin", io.StringIO("me\n" * 5))
    return times


def site(door, **changes):
    given = {"auth": ("bearer",), "login": f"{door.url}/login"}
    return Known("site", "Site", f"{door.url}/tap", **{**given, **changes})


def web_token(end):
    """Return a JSON web token that ends at a Unix time; nobody here checks its signature."""
    parts = ({"alg": "none"}, {"exp": end, "sub": "me"})
    coded = [urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return ".".join([*coded, "signature"])


def cadc_token(end):
    """Return a token as OpenCADC's SignedToken writes it, in milliseconds."""
    text = f"expirytime={end * 1000}&userid=me&domain=canfar.net&signature=abc"
    return "base64:" + b64encode(text.encode()).decode()


def proxy(path, *, hours, mode=0o600):
    """Write a certificate with its key that is good for so many hours more."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "me")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=100))
        .not_valid_after(now + datetime.timedelta(hours=hours))
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + plain)
    path.chmod(mode)
    return path


def written(home, text, *, name=".config/jupyter_astroml/credentials.yaml", mode=0o600):
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_password_is_exchanged_for_a_token_and_only_that_goes_to_the_archive(door, home):
    made = login(site(door), credential=Basic("me", PASSWORD))
    logout(site(door))
    assert made.credential == Bearer(TOKEN)
    with Session(login=made) as session:
        download(session, f"{door.url}/tap/sync")
    (_, form), (_, headers) = door.asked
    assert PASSWORD in form
    assert PASSWORD not in headers
    assert f"Bearer {TOKEN}" in headers


def test_a_credential_that_was_given_is_not_kept_for_others(door, home):
    assert login(site(door), credential=Basic("me", PASSWORD)).credential == Bearer(TOKEN)
    assert login(site(door)) is None


def test_a_service_that_answers_with_a_cookie_is_known_by_that_cookie(door, home):
    entry = site(door, auth=("cookie",), login=f"{door.url}/cookie")
    made = login(entry, credential=Basic("me", PASSWORD))
    logout(entry)
    assert made.credential == Cookie("JSESSIONID", TOKEN)
    with Session(login=made) as session:
        download(session, f"{door.url}/tap")
        download(session, f"{door.url}/tap")
    # The archive began a session for nobody in between; it is not sent beside ours.
    assert "of-nobody" not in door.asked[-1][1]
    assert f"JSESSIONID={TOKEN}" in door.asked[-1][1]


def test_a_refused_password_is_told_without_it(door, home):
    with pytest.raises(ArchiveError, match=r"did not take.*401") as caught:
        login(site(door), credential=Basic("me", f"not-{PASSWORD}"))
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.to_json())
    assert PASSWORD in door.asked[0][1]
    assert PASSWORD not in told


def test_a_refused_password_is_not_tried_again_and_another_one_is(door, home):
    written(home, f"site: {{user: me, password: not-{PASSWORD}}}")
    for _ in range(3):
        with pytest.raises(ArchiveError, match="did not take"):
            login(site(door))
    assert len(door.asked) == 1
    written(home, f"site: {{user: me, password: {PASSWORD}}}")
    assert login(site(door)).credential == Bearer(TOKEN)
    logout(site(door))


def test_who_is_at_the_keyboard_can_correct_a_password_that_was_refused(door, keyboard, home):
    written(home, f"site: {{user: me, password: not-{PASSWORD}}}")
    assert login(site(door), ask=True).credential == Bearer(TOKEN)
    assert len(keyboard) == 1
    logout(site(door))


def test_a_password_follows_no_redirect(door, home):
    entry = site(door, login=f"{door.url}/away")
    with doorkeeper() as thief:
        door.elsewhere = thief.url
        with pytest.raises(ArchiveError, match="307"):
            login(entry, credential=Basic("me", PASSWORD))
    assert len(door.asked) == 1
    assert thief.asked == []


def test_a_password_is_not_sent_over_plain_http(home):
    entry = Known("site", "Site", "https://vo.example.org/tap", login="http://vo.example.org/login")
    with pytest.raises(ArchiveError, match="password is not sent"):
        login(entry, credential=Basic("me", PASSWORD))


def test_a_silent_login_service_is_told_without_the_password(home):
    entry = Known("site", "Site", "http://127.0.0.1:9/tap", login="http://127.0.0.1:9/login")
    with pytest.raises(ArchiveError, match="could not be reached") as caught:
        login(entry, credential=Basic("me", PASSWORD))
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_who_was_asked_once_is_known_until_the_logout(door, keyboard):
    entry = site(door)
    for _ in range(3):
        assert login(entry, ask=True).credential == Bearer(TOKEN)
    assert login(entry).credential == Bearer(TOKEN)
    assert len(keyboard) == len(door.asked) == 1
    logout(entry)
    assert login(entry) is None


def test_another_server_on_the_same_host_does_not_get_the_login(door, keyboard):
    login(site(door), ask=True)
    with doorkeeper() as other:
        assert login(site(other)) is None
    logout(site(door))


def test_a_login_that_has_ended_is_asked_for_again(door, keyboard, tmp_path):
    entry = site(door)
    mine = Certificate(proxy(tmp_path / "mine.pem", hours=1))
    login(entry, credential=mine, ask=True)
    assert login(entry, ask=True).credential == mine
    assert keyboard == []
    proxy(mine.path, hours=-1)
    assert login(entry, ask=True).credential == Bearer(TOKEN)
    logout(entry)
    assert len(keyboard) == 1


def test_where_nobody_can_be_asked_the_remedy_is_a_variable(home, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(SettingsError, match="ASTROML_TOKEN_CADC"):
        login(CADC, ask=True)


@pytest.mark.parametrize("name", ["vizier", "demo", "alma"])
def test_nobody_is_asked_for_a_login_that_there_is_not(keyboard, name):
    with pytest.raises(SettingsError, match=f"has no login.*aml.archive..{name}"):
        aml.login(name)
    assert keyboard == []


def test_the_archive_shows_how_one_is_logged_in_and_until_when(tmp_path, home):
    (tmp_path / "stars.csv").write_text("ra,dec\n10.0,20.0\n")
    end = int(time.time()) + HOUR
    token = web_token(end)
    with serve.start(tmp_path, token=token) as running:
        place = aml.login(running.tap, credential=Bearer(token))
        day = f"{datetime.datetime.fromtimestamp(end, datetime.UTC):%Y-%m-%d %H:%M} UTC"
        assert f"known by a token until {day}" in repr(place)
        assert token not in f"{place!r}{place.login!r}{place.login}"
        # The rest of the process knows it too, until the logout.
        assert len(aml.archive(running.tap).query("SELECT table_name FROM tap_schema.tables")) > 0
        aml.logout(running.tap)
        assert aml.archive(running.tap).login is None


@pytest.mark.parametrize("make", [web_token, cadc_token])
def test_tokens_say_when_they_end(make):
    assert Bearer(make(1_800_000_000)).until == datetime.datetime(
        2027, 1, 15, 8, tzinfo=datetime.UTC
    )


@pytest.mark.parametrize(
    "token",
    [
        "opaque",
        "a.b.c",
        "a.bm90IGpzb24.c",
        "a." + urlsafe_b64encode(b'{"exp": "soon"}').decode() + ".c",
        "a." + urlsafe_b64encode(b'{"exp": 1e300}').decode() + ".c",
        "a." + urlsafe_b64encode(b"[1]").decode() + ".c",
        "a." + urlsafe_b64encode(b"[" * 9000).decode() + ".c",
        "base64:not-base64",
        "base64:" + b64encode(b"userid=me").decode(),
    ],
)
def test_tokens_of_any_other_form_say_nothing(token):
    assert Bearer(token).until is None


def test_a_token_that_ended_is_not_sent(door, home, monkeypatch):
    monkeypatch.setenv("ASTROML_TOKEN_SITE", web_token(int(time.time()) - HOUR))
    with pytest.raises(SettingsError, match=r"has ended.*aml.login\('site'\)"):
        login(site(door))
    ended = Login("site", Bearer(web_token(1)), site(door).origins)
    with Session(login=ended) as session, pytest.raises(SettingsError, match="1970-01-01"):
        session.get(f"{door.url}/tap")
    assert door.asked == []


def test_a_certificate_that_the_user_names_must_be_good(home, monkeypatch):
    path = proxy(home / "mine.pem", hours=-1)
    monkeypatch.setenv("CADC_CERT", str(path))
    with pytest.raises(SettingsError, match=r"has ended.*cadc-get-cert"):
        login(CADC)
    proxy(path, hours=20)
    assert " certificate until 20" in str(login(CADC))


def test_a_certificate_that_lies_about_and_ended_is_told_and_not_used(home):
    proxy(home / ".ssl" / "cadcproxy.pem", hours=-1)
    with pytest.warns(ExpiredLoginWarning, match=r"ended on .*cadc-get-cert"):
        assert login(CADC) is None


def test_a_file_without_a_certificate_says_how_to_make_one(home):
    written(home, "nothing", name=".ssl/cadcproxy.pem")
    with pytest.raises(SettingsError, match="cadc-get-cert"):
        login(CADC)


def canfar(home, told, *, mode=0o600):
    return written(home, json.dumps(told), name=".canfar/config.yaml", mode=mode)


def test_the_login_of_the_canfar_client_is_found(home):
    path = proxy(home / "elsewhere.pem", hours=20)
    canfar(
        home, {"version": 1, "authentication": [{"idp": "cadc", "mode": "x509", "path": f"{path}"}]}
    )
    assert login(CADC).credential == Certificate(path)
    # As its versions before 1 wrote it.
    server = {"name": "CANFAR", "url": "https://ws-uv.canfar.net/skaha"}
    canfar(home, {"contexts": {"x": {"mode": "x509", "path": f"{path}", "server": server}}})
    assert login(CADC).credential == Certificate(path)
    token = {"mode": "oidc", "idp": "cadc", "token": {"access": TOKEN}}
    canfar(home, {"version": 1, "authentication": [token]})
    assert login(CADC).credential == Bearer(TOKEN)
    canfar(home, {"version": 1, "authentication": [token]}, mode=0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        login(CADC)


@pytest.mark.parametrize(
    "told",
    [
        {
            "version": 1,
            "authentication": [{"idp": "srcnet", "mode": "oidc", "token": {"access": "x"}}],
        },
        {"contexts": {"x": {"mode": "oidc", "token": {"access": "x"}, "server": None}}},
        {
            "contexts": {
                "x": {
                    "mode": "oidc",
                    "token": {"access": "x"},
                    "server": {"url": "https://canfar.net.evil.org"},
                }
            }
        },
        {"version": 1, "authentication": [{"idp": "cadc", "mode": "x509", "path": "/nowhere.pem"}]},
        {"authentication": 7, "contexts": ["x"]},
        {"contexts": {"x": {"server": [1]}}},
        ["list"],
        7,
    ],
)
def test_a_canfar_file_without_a_login_at_cadc_gives_none(home, told):
    canfar(home, told)
    assert login(CADC) is None


def test_each_archive_finds_the_variable_that_its_own_tools_use(home, monkeypatch):
    monkeypatch.setenv("MAST_API_TOKEN", TOKEN)
    monkeypatch.setenv("ACCESS_TOKEN", "of-another-program")
    assert login(lookup("mast")).credential == Cookie("mast_token", TOKEN)
    assert login(lookup("rubin")) is None
    monkeypatch.setenv("ACCESS_TOKEN", "gt-platform")
    assert login(lookup("rubin")).credential == Bearer("gt-platform")
    assert login(CADC) is None


def test_one_login_is_for_both_services_of_cadc(home):
    login(CADC, credential=Bearer(TOKEN), ask=True)
    assert login(lookup("youcat")).credential == Bearer(TOKEN)
    logout(lookup("youcat"))
    assert login(CADC) is None


def test_a_host_that_is_called_like_an_archive_gets_nothing(home, monkeypatch):
    monkeypatch.setenv("ASTROML_TOKEN_CADC", TOKEN)
    monkeypatch.setenv("CADC_TOKEN", TOKEN)
    assert login(lookup("https://cadc/tap")) is None
    (home / "archives.json").write_text(
        json.dumps([{"name": "my-campus", "url": "https://vo.campus.example/tap"}])
    )
    monkeypatch.setenv("ASTROML_ARCHIVES", str(home / "archives.json"))
    monkeypatch.setenv("ASTROML_TOKEN_MY_CAMPUS", TOKEN)
    assert login(lookup("my-campus")) is not None
    for host in ("my-campus", "my.campus", "MY-CAMPUS"):
        assert login(lookup(f"https://{host}/tap")) is None


@pytest.fixture
def kernel(home, door, monkeypatch):
    """A notebook's kernel that knows the archive `site`."""
    from jupyter_client.manager import KernelManager

    entry = {"name": "site", "url": f"{door.url}/tap", "auth": ["bearer"]}
    (home / "archives.json").write_text(json.dumps([{**entry, "login": f"{door.url}/login"}]))
    monkeypatch.setenv("ASTROML_ARCHIVES", str(home / "archives.json"))
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


CELL = "import jupyter_astroml as aml; aml.login('site')"


def test_a_notebook_asks_below_the_cell_and_shows_no_secret(kernel, door):
    asked, shown = [], []

    def answer(message):
        asked.append(message["content"])
        kernel.input(PASSWORD if message["content"]["password"] else "me")

    kernel.execute_interactive(
        CELL, allow_stdin=True, stdin_hook=answer, output_hook=shown.append, timeout=60
    )
    assert [each["password"] for each in asked] == [False, True]
    assert "known by a token" in str([each["content"] for each in shown])
    assert PASSWORD not in str(shown)
    assert TOKEN not in str(shown)
    assert len(door.asked) == 1


def test_a_notebook_that_nobody_looks_at_says_what_to_do(kernel):
    shown = []
    kernel.execute_interactive(CELL, allow_stdin=False, output_hook=shown.append, timeout=60)
    assert "ASTROML_TOKEN_SITE" in str([each["content"].get("evalue") for each in shown])


def test_an_archive_without_a_login_says_nothing_of_one():
    assert "known by" not in repr(Archive(lookup("vizier")))
