"""Credentials: found where people keep them, shown to their archive alone."""

import datetime
import ipaddress
import logging
import ssl
import threading
import traceback
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jupyter_astroml.archives.archive import Archive
from jupyter_astroml.archives.archive import archive as open_archive
from jupyter_astroml.archives.credentials import Basic, Bearer, Certificate, Cookie, Header
from jupyter_astroml.archives.downloads import download
from jupyter_astroml.archives.fetch import fetch
from jupyter_astroml.archives.http import Session
from jupyter_astroml.archives.known import Known, lookup
from jupyter_astroml.archives.login import Login, login, logout
from jupyter_astroml.core.errors import ArchiveError, SettingsError
from jupyter_astroml.embedded import serve

SECRET = "s3cret-word-of-mine"
KINDS = [
    Bearer(SECRET),
    Basic("me", SECRET),
    Cookie("CADC_SSO", SECRET),
    Header("X-Auth-Token", SECRET),
]
CODED = "bWU6czNjcmV0LXdvcmQtb2YtbWluZQ=="  # base64 of me:s3cret-word-of-mine
CADC = lookup("cadc")


class Witness(BaseHTTPRequestHandler):
    """Remembers what it was shown; /away and /back lead to another server."""

    def do_GET(self):
        peer = getattr(self.connection, "getpeercert", dict)()
        self.server.shown.append((self.path, str(self.headers), bool(peer)))
        if self.path == "/echo":
            self.send_error(403, explain=f"You sent {self.headers}")
            return
        self.send_response(302 if self.path in self.server.ways else 200)
        self.send_header("Set-Cookie", "session=jar-of-the-archive")
        if self.path in self.server.ways:
            self.send_header("Location", self.server.ways[self.path])
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


@contextmanager
def witness(context=None):
    with ThreadingHTTPServer(("127.0.0.1", 0), Witness) as made:
        if context:
            made.socket = context.wrap_socket(made.socket, server_side=True)
        made.shown, made.ways = [], {}
        made.url = f"{'https' if context else 'http'}://127.0.0.1:{made.server_port}"
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def two():
    """Two servers: /away on the first leads to /back on the second, which leads to the first."""
    with witness() as ours, witness() as theirs:
        ours.ways["/away"] = f"{theirs.url}/back"
        theirs.ways["/back"] = f"{ours.url}/end"
        yield ours, theirs


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home without credentials."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("ASTROML_TOKEN_CADC", "CADC_TOKEN", "CADC_SSO", "CADC_CERT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def ours_only(server, credential):
    return Login("ours", credential, Known("ours", "Ours", f"{server.url}/tap").origins)


def written(home, text, *, name=".config/jupyter_astroml/credentials.yaml", mode=0o600):
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def names_secret(text):
    return SECRET in text or CODED in text


@pytest.mark.parametrize("credential", KINDS, ids=lambda c: type(c).__name__)
def test_a_redirect_carries_no_credential_to_another_host_and_the_way_back_has_it(two, credential):
    ours, theirs = two
    with Session(login=ours_only(ours, credential)) as session:
        download(session, f"{ours.url}/away")
    assert [names_secret(headers) for _, headers, _ in ours.shown] == [True, True]
    assert [path for path, _, _ in ours.shown] == ["/away", "/end"]
    (there,) = theirs.shown
    assert not names_secret(there[1])
    assert "jar-of-the-archive" not in there[1]


@pytest.mark.parametrize("credential", KINDS, ids=lambda c: type(c).__name__)
def test_a_row_that_names_another_host_brings_it_no_credential(two, credential):
    ours, theirs = two
    with Session(login=ours_only(ours, credential)) as session:
        download(session, f"{ours.url}/x")
        download(session, f"{theirs.url}/x")
    assert names_secret(ours.shown[0][1])
    assert not names_secret(theirs.shown[0][1])
    assert "jar-of-the-archive" not in theirs.shown[0][1]


@pytest.mark.parametrize("credential", KINDS, ids=lambda c: type(c).__name__)
def test_answers_errors_and_logs_do_not_know_the_secret(two, credential, caplog):
    ours, _ = two
    ours.ways["/loop"] = f"{ours.url}/loop"
    caplog.set_level(logging.DEBUG)
    with Session(login=ours_only(ours, credential)) as session:
        answer = session.get(f"{ours.url}/away")
        for each in (answer, *answer.history):
            assert not names_secret(str(each.request.headers))
        session.max_redirects = 2
        with pytest.raises(ArchiveError) as caught:
            download(session, f"{ours.url}/loop")
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.to_json())
    assert not names_secret(told + caplog.text)


@pytest.mark.parametrize("credential", KINDS, ids=lambda c: type(c).__name__)
def test_an_archive_that_repeats_what_it_was_sent_is_not_quoted_with_the_secret(two, credential):
    ours, _ = two
    with (
        Session(login=ours_only(ours, credential)) as session,
        pytest.raises(ArchiveError, match=r"403.*You sent") as caught,
    ):
        download(session, f"{ours.url}/echo")
    assert names_secret(ours.shown[0][1])
    assert not names_secret(str(caught.value))


class Echo(BaseHTTPRequestHandler):
    """A TAP service that says in every refusal what it was sent."""

    def do_GET(self):
        self.send_error(403, "No", f"You sent {self.headers}")

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("sync"):
            words = " ".join(str(self.headers).split())
            body = (
                '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
                '<RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">'
                f"You sent {words}</INFO></RESOURCE></VOTABLE>"
            ).encode()
            self.send_response(400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            self.do_GET()

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("credential", KINDS, ids=lambda c: type(c).__name__)
def test_a_service_that_repeats_what_it_was_sent_is_not_quoted_with_the_secret(credential):
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        known = Known("ours", "Ours", f"http://127.0.0.1:{made.server_port}/tap")
        given = Login("ours", credential, known.origins)
        with Archive(known, login=given) as sky:
            told = []
            for ask in (
                lambda: sky.query("SELECT 1"),
                lambda: sky.submit("SELECT 1"),
                lambda: sky.keep(Table({"x": [1]}), name="a.b"),
                lambda: sky.look("SELECT 1"),
            ):
                with pytest.raises(ArchiveError) as caught:
                    ask()
                told.append("".join(traceback.format_exception(caught.value)))
                told.append(repr(caught.value.to_json()))
        made.shutdown()
    assert not names_secret("".join(told))
    assert "You sent" in told[0]


@pytest.mark.parametrize("credential", KINDS, ids=lambda c: type(c).__name__)
def test_a_credential_does_not_show_itself(credential):
    found = Login("ours", credential, frozenset())
    assert not names_secret(f"{credential!r}{credential}{found!r}{found}")


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("https://ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca/argus/sync", True),
        ("https://ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca:443/argus", True),
        ("https://WS.cadc-ccda.hia-iha.nrc-cnrc.gc.ca/", True),
        ("http://ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca/argus", False),
        ("https://ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca:8443/argus", False),
        ("https://ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca.evil.org/argus", False),
        ("https://ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca@evil.org/argus", False),
        ("https://evil.org/ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca", False),
        ("https://cadc.nrc.ca/caom2ops", False),
        ("https://[bad/", False),
    ],
)
def test_only_the_archive_itself_over_https_may_see_a_credential(url, seen):
    assert Login("cadc", KINDS[0], CADC.origins).may_see(url) is seen


def test_a_login_at_this_machine_goes_through_no_proxy(two, monkeypatch):
    ours, proxy = two
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("http_proxy", proxy.url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Session(login=ours_only(ours, Bearer(SECRET))) as session:
        download(session, f"{ours.url}/file")
        session.get(f"{ours.url}/file")
        # Whatever is elsewhere goes through it, and without the login.
        session.get("http://vo.example.org/file")
    assert [names_secret(headers) for _, headers, _ in ours.shown] == [True, True]
    ((path, headers, _),) = proxy.shown
    assert "vo.example.org" in path
    assert not names_secret(headers)


def test_a_server_whose_certificate_is_not_checked_is_shown_nothing():
    assert not Login("cadc", KINDS[0], CADC.origins).may_see(CADC.url, verify=False)


def test_plain_http_to_a_site_s_own_archive_carries_nothing():
    entry = Known("site", "Site", "http://vo.example.org/tap")
    assert not Login("site", KINDS[0], entry.origins).may_see("http://vo.example.org/tap/sync")


def test_the_embedded_archive_answers_with_its_token_and_refuses_without(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    (tmp_path / "stars.csv").write_text("ra,dec\n10.0,20.0\n")
    with serve.start(tmp_path, token=SECRET) as running:
        entry = Known("site", "Site", running.tap)
        adql = "SELECT table_name FROM tap_schema.tables"
        with Archive(entry) as archive, pytest.raises(ArchiveError) as refused:
            archive.query(adql)
        with open_archive(running.tap, credential=Bearer(SECRET)) as archive:
            table = archive.query(adql)
            job = archive.query(adql, mode="async")
    assert len(table) == len(job) > 0
    assert not names_secret(repr(table.meta) + repr(job.meta) + str(refused.value) + caplog.text)


def test_files_behind_a_token_are_fetched_where_the_token_is_known(tmp_path, monkeypatch):
    values = np.arange(64.0, dtype=np.float32).reshape(8, 8)
    fits.PrimaryHDU(values, fits.Header({"BUNIT": "Jy"})).writeto(tmp_path / "a.fits")
    with serve.start(tmp_path, token=SECRET) as running:
        with open_archive(running.tap, credential=Bearer(SECRET)) as archive:
            (name,) = (
                t.name for s in archive.schema() for t in s.tables if t.name.endswith(".images")
            )
            rows = archive.samples(archive.query(f"SELECT * FROM {name}"))
        # A worker has the references and looks for a credential of its own.
        nobody, failures = fetch(rows)
        assert nobody is None
        assert all("401" in why for why in failures.values())
        monkeypatch.setenv("ASTROML_TOKEN_127_0_0_1", SECRET)
        found, failures = fetch(rows)
    assert failures == {}
    assert (found.values[0, 0] == values).all()


def test_the_argument_comes_before_the_environment_and_that_before_files(home, monkeypatch):
    assert login(CADC) is None
    written(home, pem(), name=".ssl/cadcproxy.pem")
    assert isinstance(login(CADC).credential, Certificate)
    written(home, "cadc: {cookie: CADC_SSO=from-file}")
    assert login(CADC).credential == Cookie("CADC_SSO", "from-file")
    monkeypatch.setenv("CADC_SSO", "from-environment")
    assert login(CADC).credential == Cookie("CADC_SSO", "from-environment")
    monkeypatch.setenv("ASTROML_TOKEN_CADC", "token")
    assert login(CADC).credential == Bearer("token")
    assert login(CADC, credential=KINDS[0]).credential == KINDS[0]


def test_a_token_of_one_archive_is_not_found_for_another(home, monkeypatch):
    monkeypatch.setenv("ASTROML_TOKEN_CADC", "token")
    written(home, "cadc: {token: x}")
    assert login(lookup("rubin")) is None


@pytest.mark.parametrize(
    ("text", "credential"),
    [
        ("rubin: {token: abc}", Bearer("abc")),
        ("rubin: {user: me, password: abc}", Basic("me", "abc")),
        ("rubin: {header: 'X-Auth-Token: abc'}", Header("X-Auth-Token", "abc")),
    ],
)
def test_a_file_of_credentials_describes_every_kind(home, text, credential):
    written(home, text)
    assert login(lookup("rubin")).credential == credential


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o606])
@pytest.mark.parametrize("name", [".config/jupyter_astroml/credentials.yaml", ".ssl/cadcproxy.pem"])
def test_a_file_that_others_may_read_is_refused(home, mode, name):
    written(home, "cadc: {token: abc}", name=name, mode=mode)
    with pytest.raises(SettingsError, match="chmod 600"):
        login(CADC)


@pytest.mark.parametrize(
    "text",
    [
        f"cadc: {{token: {SECRET}",
        f"cadc: {SECRET}",
        f"cadc: {{token: {SECRET}, user: me}}",
        f"cadc: {{token: '{SECRET} {SECRET}'}}",
        f"cadc: {{cookie: 'A={SECRET}; B=c'}}",
        f'cadc: {{token: "{SECRET}\\r\\nX: y"}}',
    ],
)
def test_a_damaged_file_is_told_without_its_secret(home, text):
    written(home, text)
    with pytest.raises(SettingsError) as caught:
        login(CADC)
    assert not names_secret("".join(traceback.format_exception(caught.value)))


def test_a_login_is_asked_for_at_the_keyboard_only_when_wanted(home, monkeypatch):
    # Python's getpass falls back to standard input where there is no terminal.
    import getpass

    monkeypatch.setattr(getpass, "getpass", lambda _: SECRET)
    site = Known("site", "Site", "https://vo.example.org/tap")
    assert login(site) is None
    assert login(site, ask=True).credential == Bearer(SECRET)
    logout(site)


def key_and_certificate(name):
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return key, made


def pem(name="me"):
    key, made = key_and_certificate(name)
    plain = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return (plain + made.public_bytes(serialization.Encoding.PEM)).decode()


def test_a_client_certificate_is_shown_to_the_archive_alone(home, monkeypatch):
    mine, server = written(home, pem(), name="me.pem"), written(home, pem("server"), name="s.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(mine)
    with witness(context) as ours, witness(context) as theirs:
        ours.ways["/away"] = f"{theirs.url}/back"
        theirs.ways["/back"] = f"{ours.url}/end"
        with Session(login=ours_only(ours, Certificate(mine))) as session:
            download(session, f"{ours.url}/away")
    assert [shown for _, _, shown in ours.shown] == [True, True]
    assert [shown for _, _, shown in theirs.shown] == [False]
