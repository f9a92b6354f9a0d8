"""Searching the registry, at a server that answers with documents as RegTAP services send them."""

import threading
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from jupyter_astroml.archives.registry import find
from jupyter_astroml.core.errors import ArchiveError, QueryError

BETWEEN = ":::py VO sep:::"
COLUMNS = [
    "ivoid",
    "res_type",
    "short_name",
    "res_title",
    "content_level",
    "res_description",
    "reference_url",
    "creator_seq",
    "created",
    "updated",
    "rights",
    "content_type",
    "source_format",
    "source_value",
    "region_of_regard",
    "waveband",
    "access_urls",
    "standard_ids",
    "intf_types",
    "intf_roles",
    "cap_descriptions",
]
CAPABILITIES = b"""<?xml version="1.0"?>
<cap:capabilities xmlns:cap="http://www.ivoa.net/xml/VOSICapabilities/v1.0"
  xmlns:tr="http://www.ivoa.net/xml/TAPRegExt/v1.0"
  xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<capability standardID="ivo://ivoa.net/std/TAP" xsi:type="tr:TableAccess">
<interface role="std" xsi:type="vs:ParamHTTP"><accessURL use="base">x</accessURL></interface>
<language><name>ADQL</name><version ivo-id="ivo://ivoa.net/std/ADQL#v2.0">2.0</version>
<languageFeatures type="ivo://ivoa.net/std/TAPRegExt#features-adql-sets">
<feature><form>UNION</form></feature></languageFeatures></language>
<outputFormat><mime>application/x-votable+xml</mime></outputFormat>
</capability></cap:capabilities>"""


def document(*rows):
    def declared(name):
        kind = 'datatype="float"' if name == "region_of_regard" else 'datatype="char" arraysize="*"'
        return f'<FIELD name="{name}" {kind}/>'

    def cells(row):
        return "".join(f"<TD>{escape(row.get(name, ''))}</TD>" for name in COLUMNS)

    return f"""<?xml version="1.0"?>
        <VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
        <RESOURCE type="results"><INFO name="QUERY_STATUS" value="OK"/>
        <TABLE>{"".join(map(declared, COLUMNS))}<DATA><TABLEDATA>
        {"".join(f"<TR>{cells(row)}</TR>" for row in rows)}
        </TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>""".encode()


def service(name, *interfaces, **more):
    urls, standards = zip(*interfaces, strict=True)
    return {
        "ivoid": f"ivo://example/{name}",
        "res_type": "vs:catalogservice",
        "short_name": name,
        "res_title": f"The {name}",
        "reference_url": f"https://example.org/{name}",
        "access_urls": BETWEEN.join(urls),
        "standard_ids": BETWEEN.join(standards),
        "intf_types": BETWEEN.join(["vs:paramhttp"] * len(urls)),
        "intf_roles": BETWEEN.join(["std"] * len(urls)),
        "cap_descriptions": BETWEEN.join([""] * len(urls)),
        **more,
    }


class Registry(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(CAPABILITIES if self.path == "/tap/capabilities" else b"")

    def do_POST(self):
        size = int(self.headers["Content-Length"])
        self.server.asked.append(parse_qs(self.rfile.read(size).decode()))
        self.answer(self.server.document)

    def answer(self, body):
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "application/x-votable+xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def registry(monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as made:
        made.asked, made.document = [], document()
        monkeypatch.setenv("IVOA_REGISTRY", f"http://127.0.0.1:{made.server_port}/tap")
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


TAP, SIA2, SSA = (
    "ivo://ivoa.net/std/tap",
    "ivo://ivoa.net/std/sia#query-2.0",
    "ivo://ivoa.net/std/ssa",
)


def test_a_search_returns_archives_with_the_address_of_the_service(registry):
    registry.document = document(
        service("one", ("https://example.org/web", ""), ("https://example.org/tap/", TAP)),
        service("two", ("https://example.org/two", f"{TAP}#aux")),
    )
    found = find(keywords="white dwarf", waveband="Optical")
    assert [k.url for k in found] == ["https://example.org/tap", "https://example.org/two"]
    assert (found[0].name, found[0].title) == ("ivo://example/one", "The one")
    assert found[0].page == "https://example.org/one"


@pytest.mark.parametrize(("name", "standard"), [("sia2", SIA2), ("ssa", SSA)])
def test_images_and_spectra_have_services_of_their_own(registry, name, standard):
    registry.document = document(service("x", ("https://example.org/x", standard)))
    (found,) = find(keywords="M31", service=name)
    assert getattr(found, name) == "https://example.org/x"
    assert found.url == ""


def test_words_bands_and_services_are_asked_for_and_quoted(registry):
    find(keywords=["barnard's star"], waveband="x-ray", most=7)
    (asked,) = registry.asked
    (adql,) = asked["QUERY"]
    assert "'barnard''s'" in adql
    assert "'star'" in adql
    assert "ivo_hashlist_has(rr.resource.waveband, 'x-ray')" in adql
    assert f"'{TAP}'" in adql
    assert asked["MAXREC"] == ["7"]


def test_what_a_stranger_registers_is_text_and_no_address_of_another_kind(registry):
    registry.document = document(
        service("bad", ("javascript:alert(1)", TAP)),
        service(
            "odd",
            ("https://example.org/tap", TAP),
            res_title="<script>alert(1)</script>",
            reference_url="javascript:alert(1)",
        ),
    )
    (found,) = archives = find(keywords="x")
    assert found.page == ""
    assert "<script>" not in archives._repr_html_()


@pytest.mark.parametrize(
    ("search", "match"),
    [
        ({}, "Nothing is searched"),
        ({"keywords": "x", "waveband": "purple"}, "infrared"),
        ({"keywords": "x", "service": "ftp"}, "sia2"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_before_it_is_sent(registry, search, match):
    with pytest.raises(QueryError, match=match):
        find(**search)
    assert registry.asked == []


def test_a_registry_that_does_not_answer_is_told():
    with pytest.raises(ArchiveError, match="The registry did not answer"):
        find(keywords="x", registry="http://127.0.0.1:9/tap")


def test_a_registry_that_answers_no_table_is_told(registry):
    registry.document = b"<html>down for maintenance</html>"
    with pytest.raises(ArchiveError, match="The registry"):
        find(keywords="x")
