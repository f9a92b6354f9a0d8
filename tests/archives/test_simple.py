"""Images and spectra without ADQL; both servers answer in tests/servers, the odd ones here."""

from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.time import Time
from serving import serving

from jupyter_astroml.archives.archive import OverflowedWarning, archive
from jupyter_astroml.archives.known import Known
from jupyter_astroml.archives.simple import in_obscore
from jupyter_astroml.core.errors import ArchiveError, DataError, QueryError

PLACE = SkyCoord(150.123456789, -2.2, unit="deg")


@pytest.fixture
def server():
    with serving() as made:
        yield made


def votable(fields, *rows, status="OK", words=""):
    """Return an answer; each field is its attributes."""
    head = "".join(f"<FIELD {field}/>" for field in fields)
    cells = "".join(f"<TR>{''.join(f'<TD>{c}</TD>' for c in row)}</TR>" for row in rows)
    return f"""<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
        <RESOURCE type="results"><INFO name="QUERY_STATUS" value="{status}">{words}</INFO>
        <TABLE>{head}<DATA><TABLEDATA>{cells}</TABLEDATA></DATA></TABLE></RESOURCE>
        </VOTABLE>""".encode()


TEXT = 'datatype="char" arraysize="*"'
SSA = (
    f'name="acref" utype="ssa:Access.Reference" {TEXT}',
    f'name="mime" utype="Spectrum.Access.Format" {TEXT}',
    f'name="did" utype="ssa:Curation.PublisherDID" {TEXT}',
    'name="where" utype="ssa:Char.SpatialAxis.Coverage.Location.Value" unit="deg"'
    ' datatype="double" arraysize="2"',
)
ROW = ("http://x/1", "application/fits", "ivo://x/1", "150.5 2.5")


def asked(server):
    """Return the parameters of the last request."""
    return parse_qs(urlsplit(server.asked[-1]).query)


def told(server, **more):
    """Return an archive whose addresses we know."""
    return archive(Known("some", "Some archive", "", **more))


def test_spectra_come_in_the_words_of_obscore_and_make_samples(server):
    server.files["/ssa"] = votable(SSA, ROW)
    with told(server, ssa=f"{server.url}/ssa") as some:
        rows = some.spectra(position=PLACE, radius=1 * u.arcmin, band=[400, 700] * u.nm)
    assert rows.meta["astroml"]["parameters"] == {k: v[0] for k, v in asked(server).items()}
    assert asked(server)["POS"] == ["150.123456789,-2.2"]
    # SSA 1.1 section 4.1.1.2: SIZE is a diameter.
    assert float(asked(server)["SIZE"][0]) == pytest.approx(2 / 60)
    samples = some.samples(rows)
    assert (samples.ids[0], samples.urls[0], samples.formats[0]) == (ROW[2], ROW[0], ROW[1])
    assert (samples.ra[0], samples.dec[0], samples.kind) == (150.5, 2.5, "spectra")


def test_times_are_sent_in_utc_whatever_their_scale(server):
    server.files |= {"/ssa": votable(SSA), "/sia": votable([f'name="access_url" {TEXT}'])}
    # TT is 69.184 s ahead of UTC since 2017.
    noon = Time("2020-03-01T12:01:09.184", scale="tt")
    with told(server, ssa=f"{server.url}/ssa", sia2=f"{server.url}/sia") as some:
        some.spectra(time=noon)
        assert asked(server)["TIME"] == ["2020-03-01T12:00:00/2020-03-01T12:00:00"]
        some.images(time=noon)
    low, high = map(float, asked(server)["TIME"][0].split())
    assert low == high == pytest.approx(58909.5, abs=1e-8)


def test_a_place_of_images_keeps_all_its_digits(server):
    server.files["/sia"] = votable([f'name="access_url" {TEXT}'])
    with told(server, sia2=f"{server.url}/sia") as some:
        some.images(position=PLACE, radius=2 * u.arcmin, collection="HST", maxrec=7)
    sent = asked(server)
    shape, ra, dec, radius = sent["POS"][0].split()
    assert (shape, float(ra), float(dec)) == ("CIRCLE", pytest.approx(150.123456789), -2.2)
    assert float(radius) == pytest.approx(1 / 30)
    assert (sent["COLLECTION"], sent["MAXREC"]) == (["HST"], ["7"])


def test_a_service_is_asked_where_its_capabilities_say(server):
    server.files["/sia/capabilities"] = f"""<vosi:capabilities
        xmlns:vosi="http://www.ivoa.net/xml/VOSICapabilities/v1.0"
        xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1"
        xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
        <capability standardID="ivo://ivoa.net/std/SIA#query-2.0">
        <interface xsi:type="vs:ParamHTTP" role="std">
        <accessURL use="base">{server.url}/elsewhere</accessURL></interface></capability>
        </vosi:capabilities>""".encode()
    server.files["/elsewhere"] = votable([f'name="access_url" {TEXT}'], ["http://x/1"])
    with told(server, sia2=f"{server.url}/sia") as some:
        assert len(some.images()) == 1
        some.images()
    assert sum("capabilities" in path for path in server.asked) == 1


def test_the_demo_archive_finds_its_own_services(demo_archive):
    with archive(demo_archive.tap) as sky:
        fields = sky.images()
        assert len(fields) == 8
        middle = SkyCoord(fields["s_ra"][0], fields["s_dec"][0], unit="deg")
        (row,) = sky.images(position=middle)
        assert row["obs_publisher_did"] == fields["obs_publisher_did"][0]
        with pytest.warns(OverflowedWarning, match="at 3 rows"):
            assert sky.images(maxrec=3).meta["astroml"]["overflow"]
        assert len(sky.spectra()) == 0


def test_an_archive_without_such_a_service_says_what_else_to_do():
    with archive(Known("bare", "Bare", "")) as bare:
        with pytest.raises(ArchiveError, match=r"Bare names no service of SIA2.*observations"):
            bare.images()
        with pytest.raises(ArchiveError, match="no TAP service"):
            bare.query("SELECT 1 AS one")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"radius": 1 * u.deg}, QueryError, "without a position"),
        ({"position": PLACE, "radius": 1}, DataError, "without a unit"),
        ({"position": PLACE, "radius": 91 * u.deg}, QueryError, "0 to 90"),
        ({"position": "12 nowhere"}, QueryError, "nowhere"),
        ({"band": 3 * u.s}, QueryError, "no band"),
        ({"maxrec": 0}, QueryError, "maxrec is 0"),
    ],
)
@pytest.mark.parametrize("call", ["images", "spectra"])
def test_a_wrong_question_is_told_before_it_is_sent(server, call, options, error, words):
    with (
        told(server, sia2=f"{server.url}/sia", ssa=f"{server.url}/ssa") as some,
        pytest.raises(error, match=words),
    ):
        getattr(some, call)(**options)
    assert not [path for path in server.asked if "capabilities" not in path]


def test_a_refusal_is_told_in_the_services_words(server):
    server.files["/ssa"] = votable(SSA, status="ERROR", words="BAND is odd")
    with (
        told(server, ssa=f"{server.url}/ssa") as some,
        pytest.raises(QueryError, match=r"refused.*BAND is odd.*what the service takes"),
    ):
        some.spectra()


def test_an_answer_that_is_no_table_is_an_error(server):
    server.files["/ssa"] = b"<html>Sorry</html>"
    with (
        told(server, ssa=f"{server.url}/ssa") as some,
        pytest.raises(ArchiveError, match=r"no VOTable|no table"),
    ):
        some.spectra()


def column(values, **meta):
    from astropy.table import MaskedColumn

    return MaskedColumn(values, meta=meta)


def test_columns_without_utypes_are_known_by_their_ucds():
    rows = in_obscore(
        Table(
            {
                "link": column(["http://x/1"], ucd="meta.ref.url"),
                "type": column(["application/fits"], ucd="meta.code.mime"),
                "ra": column([10.0], ucd="pos.eq.ra;meta.main"),
                "dec": column([-5.0], ucd="pos.eq.dec;meta.main"),
            }
        )
    )
    assert (rows["s_ra"][0], rows["s_dec"][0]) == (10.0, -5.0)
    assert rows["access_format"][0] == "application/fits"
    # An address names a dataset that has no identifier.
    assert rows["obs_publisher_did"][0] == rows["access_url"][0] == "http://x/1"


@pytest.mark.parametrize(
    "odd", [np.array([[1.0, 2.0, 3.0]]), np.array(["150 2"]), np.array([None])]
)
def test_a_position_that_is_no_pair_is_unknown(odd):
    rows = in_obscore(Table({"where": column(odd, utype="ssa:Target.Pos")}))
    assert np.isnan(rows["s_ra"]).all()
    assert rows["dataproduct_type"].tolist() == ["spectrum"]
