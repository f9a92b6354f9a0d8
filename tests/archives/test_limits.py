"""How many rows an archive sends: from its capabilities."""

import pytest
from serving import serving

import jupyter_astroml as aml
from jupyter_astroml.archives.archive import Archive
from jupyter_astroml.archives.known import Known
from jupyter_astroml.archives.limits import Limits


def capabilities(limit):
    return f"""<?xml version="1.0"?>
    <vosi:capabilities xmlns:vosi="http://www.ivoa.net/xml/VOSICapabilities/v1.0"
      xmlns:tr="http://www.ivoa.net/xml/TAPRegExt/v1.0"
      xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1"
      xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
    <capability standardID="ivo://ivoa.net/std/TAP" xsi:type="tr:TableAccess">
    <interface xsi:type="vs:ParamHTTP" role="std"><accessURL use="base">x</accessURL></interface>
    {limit}</capability></vosi:capabilities>""".encode()


def test_the_demo_says_its_limits(demo_archive):
    assert aml.archive("demo").limits() == Limits(usual=50_000, most=1_000_000)


@pytest.mark.parametrize(
    ("limit", "found"),
    [
        ('<outputLimit><hard unit="row">7</hard></outputLimit>', Limits(0, 7)),
        ('<outputLimit><default unit="row">5</default></outputLimit>', Limits(5, 900)),
        ('<outputLimit><hard unit="byte">7</hard></outputLimit>', Limits(0, 900)),
        ('<outputLimit><hard unit="row">-7</hard></outputLimit>', Limits(0, 900)),
        ('<outputLimit><hard unit="row">many</hard></outputLimit>', Limits(0, 900)),
        ("<outputLimit/>", Limits(0, 900)),
        ("", Limits(0, 900)),
        ("<broken", Limits(0, 900)),
    ],
)
def test_what_is_not_said_in_rows_is_what_the_list_knows(limit, found):
    with serving() as server:
        server.files["/tap/capabilities"] = capabilities(limit)
        with Archive(Known("x", "X", f"{server.url}/tap", rows=900)) as archive:
            assert archive.limits() == found


def test_a_silent_archive_has_no_known_limits():
    with Archive(Known("x", "X", "http://127.0.0.1:9/tap")) as archive:
        assert archive.limits() == Limits(0, 0)
