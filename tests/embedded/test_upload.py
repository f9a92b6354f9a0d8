"""Tables that come with a query: over HTTP through pyvo, and by hand where they are hostile."""

import base64
import io
import struct

import numpy as np
import pytest
import pyvo
import requests
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io.votable import from_table, parse, writeto
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_astroml.core.errors import DataError, QueryError
from jupyter_astroml.embedded import forms, uploads, votable_reader

MINE = "SELECT * FROM tap_upload.mine"
HEAD = '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>'
TAIL = "</TABLE></RESOURCE></VOTABLE>"


def votable(table: Table, form: str) -> bytes:
    out = io.BytesIO()
    writeto(from_table(table), out, tabledata_format=form)
    return out.getvalue()


def written(fields: str, data: str) -> bytes:
    return f"{HEAD}{fields}<DATA>{data}</DATA>{TAIL}".encode()


def cells(row: str) -> str:
    return f"<TABLEDATA>{row}</TABLEDATA>"


def send(archive, body: bytes, query: str = MINE, **more) -> requests.Response:
    data = {"LANG": "ADQL", "QUERY": query, "UPLOAD": "mine,param:part", **more}
    part = {"part": ("mine.vot", body, "application/x-votable+xml")}
    return requests.post(f"{archive.tap}/sync", data=data, files=part, timeout=60)


def reason(answer: requests.Response) -> str:
    assert answer.status_code == 400
    infos = parse(io.BytesIO(answer.content)).resources[0].infos
    return str(infos[0].content)


@pytest.fixture(scope="module")
def places(tap) -> Table:
    rows = tap.run_sync("SELECT TOP 4 id, ra, dec FROM demo.galaxies ORDER BY mag_r").to_table()
    table = Table({"Name": [f"n{i} é&<" for i in range(4)], "RA": rows["ra"], "DEC": rows["dec"]})
    table["RA"].unit = table["DEC"].unit = u.deg
    table["RA"].meta["ucd"] = "pos.eq.ra"
    return table


@pytest.mark.parametrize("way", ["run_sync", "run_async"])
def test_a_cross_match_with_an_uploaded_table_agrees_with_astropy(tap, places, way):
    found = getattr(tap, way)(
        "SELECT m.name, g.id FROM tap_upload.mine AS m JOIN demo.galaxies AS g ON 1 = CONTAINS("
        "POINT(g.ra, g.dec), CIRCLE(m.ra, m.dec, 0.05)) ORDER BY m.name, g.id",
        uploads={"mine": places},
    ).to_table()
    galaxies = tap.run_sync("SELECT id, ra, dec FROM demo.galaxies").to_table()
    sky = SkyCoord(galaxies["ra"], galaxies["dec"])
    wanted = [
        (row["Name"], name)
        for row in places
        for name in sorted(
            galaxies["id"][sky.separation(SkyCoord(row["RA"], row["DEC"], unit="deg")).deg <= 0.05]
        )
    ]
    assert len(wanted) > 4
    assert [(r["name"], r["id"]) for r in found] == wanted


def test_units_ucds_and_descriptions_come_back(tap):
    table = Table({"x": [1.5] * u.Jy})
    table["x"].info.description = "how bright"
    table["x"].info.meta = {"ucd": "phot.flux"}
    field = tap.run_sync(MINE, uploads={"mine": table}).fielddescs[0]
    assert (str(field.unit), field.ucd, field.description) == ("Jy", "phot.flux", "how bright")


def test_two_tables_can_be_uploaded_at_once(tap):
    found = tap.run_sync(
        "SELECT a.k FROM tap_upload.one AS a JOIN tap_upload.two AS b ON a.k = b.k",
        uploads={
            "one": Table({"k": [1, 2]}),
            "two": io.BytesIO(votable(Table({"k": [2, 3]}), "binary2")),
        },
    )
    assert list(found["k"]) == [2]


def test_a_result_of_a_job_can_be_uploaded_by_its_address(archive, tap):
    job = tap.submit_job("SELECT TOP 5 id, ra FROM demo.galaxies ORDER BY id")
    job.run()
    job.wait(timeout=30)
    url = job.result.href
    found = tap.run_sync("SELECT id FROM tap_upload.t ORDER BY id", uploads={"t": url})
    assert list(found["id"]) == list(job.fetch_result()["id"])
    job.delete()
    with pytest.raises(pyvo.dal.DALQueryError, match="only tables in the form"):
        tap.run_sync("SELECT id FROM tap_upload.t", uploads={"t": url})


def test_tables_can_be_added_to_a_job_until_it_runs(tap):
    job = tap.submit_job(
        "SELECT a.k FROM tap_upload.one AS a JOIN tap_upload.two AS b ON a.k = b.k",
        uploads={"one": Table({"k": [1, 2]})},
    )
    requests.post(
        f"{job.url}/parameters",
        data={"UPLOAD": "two,param:second"},
        files={"second": ("two.vot", votable(Table({"k": [2, 3]}), "tabledata"))},
        timeout=10,
    )
    job.run()
    job.wait(timeout=30)
    job.raise_if_error()
    assert list(job.fetch_result()["k"]) == [2]
    job.delete()


def test_an_outline_that_went_out_comes_back_as_an_outline(tap):
    query = "SELECT obs_id, s_region FROM ivoa.obscore WHERE dataproduct_type = 'image'"
    fields = tap.run_sync(query)
    sent = {"LANG": "ADQL", "QUERY": query}
    body = requests.get(f"{tap.baseurl}/sync", params=sent, timeout=30).content
    found = tap.run_sync(
        "SELECT f.obs_id, f.s_region FROM tap_upload.f AS f JOIN ivoa.obscore AS o "
        "ON f.obs_id = o.obs_id WHERE 1 = CONTAINS(POINT(o.s_ra, o.s_dec), f.s_region)",
        uploads={"f": io.BytesIO(body)},
    )
    assert sorted(found["obs_id"]) == sorted(fields["obs_id"])
    assert set(found["s_region"]) == set(fields["s_region"])


def test_uploads_of_one_request_are_unknown_to_the_next(archive, tap):
    tap.run_sync(MINE, uploads={"mine": Table({"secret": [1]})})
    with pytest.raises(pyvo.dal.DALQueryError, match=r"Unknown table tap_upload\.mine"):
        tap.run_sync(MINE)
    assert "tap_upload" not in {t.name.partition(".")[0] for t in tap.tables}


# What is read.


@pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])
def test_every_type_comes_back_as_it_was_sent(tap, form):
    table = Table(
        {
            "b": np.array([True, False]),
            "u1": np.array([0, 255], np.uint8),
            "i2": np.array([-32767, 32767], np.int16),
            "i4": np.array([-(2**31) + 1, 7], np.int32),
            "i8": np.array([587722953303916935, -1], np.int64),
            "f4": np.array([1.25, np.nan], np.float32),
            "f8": np.array([1e-300, -np.inf]),
            "text": np.array(["a & b <c>", "é"]),
            "vector": np.array([[1.0, 2.0], [3.0, 4.0]]),
        }
    )
    with io.BytesIO(votable(table, form)) as body:
        found = tap.run_sync(MINE, uploads={"mine": body}).to_table()
    assert found.colnames == table.colnames
    for name in table.colnames:
        if name == "vector":
            assert [list(v) for v in found[name]] == table[name].tolist()
        else:
            np.testing.assert_array_equal(np.asarray(found[name]), np.asarray(table[name]))


@pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])
@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "i8", "f4", "f8"])
def test_lists_of_every_type_are_read(form, kind):
    values = np.array([[1, 2, 100], [3, 4, 7]], dtype=kind)
    _, (found,) = votable_reader.read(votable(Table({"v": values}), form))
    assert found.to_pylist() == values.tolist()


@pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])
def test_what_is_missing_stays_missing(form):
    table = Table({"n": np.ma.MaskedArray([1, 2, 3], mask=[0, 1, 0]),
                   "x": np.ma.MaskedArray([1.5, 2.5, 3.5], mask=[0, 0, 1])})  # fmt: skip
    document = from_table(table)
    # BINARY has no flags: a number stands for null there.
    document.get_first_table().fields[0].values.null = -99
    out = io.BytesIO()
    writeto(document, out, tabledata_format=form)
    columns, values = votable_reader.read(out.getvalue())
    assert [c.name for c in columns] == ["n", "x"]
    assert values[0].to_pylist() == [1, None, 3]
    last = values[1].to_pylist()
    assert last[:2] == [1.5, 2.5]
    assert last[2] is None or np.isnan(last[2])


@pytest.mark.parametrize("xtype", ["timestamp", "point", "circle", "polygon", "interval", "uuid"])
def test_the_extended_type_is_carried(xtype):
    size = "*" if xtype in ("timestamp", "uuid") else "2"
    kind = "char" if size == "*" else "double"
    body = written(
        f'<FIELD name="a" datatype="{kind}" arraysize="{size}" xtype="{xtype}"/>',
        cells("<TR><TD>1 2</TD></TR>"),
    )
    assert votable_reader.read(body)[0][0].xtype == xtype


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-(2**63) + 1, 2**63 - 1)),
            st.one_of(st.none(), st.floats(allow_nan=False)),
            st.text(
                st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), max_codepoint=0xFFFD)
            ),
        ),
        max_size=20,
    )
)
def test_any_table_of_astropy_is_read_as_astropy_reads_it(rows):
    """BINARY2, where nulls are flags and texts have any length."""
    table = Table(
        {
            "n": np.ma.MaskedArray([r[0] or 0 for r in rows], [r[0] is None for r in rows], "i8"),
            "x": np.ma.MaskedArray([r[1] or 0 for r in rows], [r[1] is None for r in rows], "f8"),
            "s": np.array([r[2] for r in rows], dtype="U"),
        }
    )
    if not rows:
        return
    body = votable(table, "binary2")
    own = parse(io.BytesIO(body)).get_first_table().to_table()
    _, values = votable_reader.read(body)
    assert values[0].to_pylist() == [None if v is np.ma.masked else int(v) for v in own["n"]]
    assert values[1].to_pylist() == [None if v is np.ma.masked else float(v) for v in own["x"]]
    assert [v or "" for v in values[2].to_pylist()] == [str(v) for v in own["s"].filled("")]


def test_names_are_kept_where_adql_can_write_them_quoted(archive):
    fields = "".join(
        f'<FIELD name="{n}" datatype="int"/>' for n in ("Plain", "2MASS", "e(B-V)", "a.b", "size")
    )
    body = written(fields, cells("<TR>" + "<TD>7</TD>" * 5 + "</TR>"))
    query = 'SELECT plain, "2MASS", m."e(B-V)", "a.b", "size" FROM tap_upload.mine AS m'
    answer = send(archive, body, query, RESPONSEFORMAT="csv")
    assert answer.text.splitlines() == ['"plain","2MASS","e(B-V)","a.b","size"', "7,7,7,7,7"]


# What is refused.


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no VOTable"),
        (b"not xml", "no VOTable"),
        (b"<VOTABLE/>", "no table"),
        (written("", cells("<TR/>")), "no table"),
        (HEAD.encode(), "no VOTable"),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><VOTABLE>&b;</VOTABLE>',
         "document type"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><VOTABLE/>', "document type"),
        (b'<?xml version="1.0" encoding="utf-7"?><VOTABLE/>', "VOTable|encoding"),
        (b"<a>" * 10_000, "nested too deeply"),
        (written('<FIELD name="a" datatype="int"/>',
                 '<BINARY><STREAM href="http://127.0.0.1:1/x"/></BINARY>'), "another file"),
        (written('<FIELD name="a" datatype="int"/>',
                 '<BINARY2><STREAM href="file:///etc/passwd"/></BINARY2>'), "another file"),
        (written('<FIELD name="a" datatype="int"/>',
                 '<BINARY><STREAM encoding="gzip">AAAA</STREAM></BINARY>'), "in gzip"),
        (written('<FIELD name="a" datatype="int"/>', '<FITS extnum="1"><STREAM/></FITS>'), "FITS"),
        (written('<FIELD name="a" datatype="int"/>',
                 '<BINARY><STREAM encoding="base64">!!!</STREAM></BINARY>'), "base64"),
        (written('<FIELD name="a" datatype="int"/>',
                 '<BINARY><STREAM encoding="base64">AAAAAAA=</STREAM></BINARY>'), "within row 2"),
        (written('<FIELD name="a" datatype="char" arraysize="0"/>',
                 '<BINARY><STREAM encoding="base64">AAAA</STREAM></BINARY>'), "are empty"),
        (written('<FIELD name="a" datatype="char" arraysize="99999999"/>',
                 '<BINARY><STREAM encoding="base64">AAAA</STREAM></BINARY>'), "within row 1"),
        (written('<FIELD name="a" datatype="double" arraysize="99999999x99999999x99999999"/>',
                 '<BINARY2><STREAM encoding="base64">AAAA</STREAM></BINARY2>'),
         "more than 100000 values"),
        (written('<FIELD name="a" datatype="char" arraysize="*"/>',
                 '<BINARY><STREAM encoding="base64">'
                 + base64.b64encode(struct.pack(">I", 2**32 - 1)).decode()
                 + "</STREAM></BINARY>"), "within row 1"),
        (written('<FIELD name="a" datatype="bit" arraysize="*"/>', cells("")), "lists of bits"),
        (written('<FIELD name="a" datatype="double" arraysize="*"/>',
                 cells(f"<TR><TD>{'1 ' * 100_001}</TD></TR>")), "more than 100000 values"),
        (written('<FIELD name="a" datatype="boolean" arraysize="*"/>',
                 '<BINARY2><STREAM encoding="base64">'
                 + base64.b64encode(b"\0" + struct.pack(">I", 100_001) + b"T" * 100_001).decode()
                 + "</STREAM></BINARY2>"), "more than 100000 values"),
        (written('<FIELD name="a" datatype="short" arraysize="*"/>',
                 cells("<TR><TD>1 40000</TD></TR>")), "no short"),
        (written('<FIELD name="a" datatype="int" arraysize="-5"/>', cells("")), "arraysize"),
        (written('<FIELD name="a" datatype="int" arraysize="²"/>', cells("")), "arraysize"),
        (written('<FIELD name="a" datatype="floatComplex"/>', cells("")), "not taken"),
        (written('<FIELD name="a" datatype="char" arraysize="3x4"/>', cells("")), "lists of texts"),
        (written('<FIELD name="a" datatype="int"/>', cells("<TR><TD>1</TD><TD>2</TD></TR>")),
         "2 cells instead of 1"),
        (written('<FIELD name="a" datatype="int"/>', cells("<TR><TD>1.5</TD></TR>")), "no int"),
        (written('<FIELD name="a" datatype="int"/>', cells("<TR><TD>1_0</TD></TR>")), "no int"),
        (written('<FIELD name="a" datatype="int"/>',
                 cells(f"<TR><TD>{'9' * 5000}</TD></TR>")), "no int"),
        (written('<FIELD name="a" datatype="short"/>', cells("<TR><TD>40000</TD></TR>")),
         "does not fit short"),
        (written('<FIELD name="a" datatype="boolean"/>', cells("<TR><TD>maybe</TD></TR>")),
         "no boolean"),
        (written('<FIELD name="a" datatype="int"/><FIELD name="A" datatype="int"/>', cells("")),
         "called 'a'"),
        (written('<FIELD name="a&quot;b" datatype="int"/>', cells("")), "name of a column"),
        (written('<FIELD name="" datatype="int"/>', cells("")), "name of a column"),
        (written(f'<FIELD name="{"a" * 200}" datatype="int"/>', cells("")), "name of a column"),
        (written('<FIELD name="a" datatype="int"/>' * 501, cells("")), "more than 500 columns"),
        (written('<FIELD name="a" datatype="int"/>', cells("<TR><TD/></TR>" * 100_001)),
         "more than 100000 rows"),
    ],
)  # fmt: skip
def test_a_damaged_or_hostile_table_is_refused_with_its_reason(body, why):
    with pytest.raises(DataError, match=why):
        votable_reader.read(body)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400), st.sampled_from(["binary", "binary2"]))
def test_noise_in_a_table_ends_as_a_table_or_an_error(noise, place, form):
    body = votable(Table({"a": [1, 2], "s": ["x", "yy"], "v": [[1.0], [2.0]]}), form)
    try:
        columns, values = votable_reader.read(body[:place] + noise + body[place + len(noise) :])
    except DataError:
        return
    assert len({len(v) for v in values}) == 1
    assert len(columns) == len(values)


def test_the_reason_reaches_the_client_and_the_archive_lives(archive):
    body = written('<FIELD name="a" datatype="int"/>', cells("<TR><TD>x</TD></TR>"))
    assert "Row 1 of the column 'a' is 'x'" in reason(send(archive, body))
    assert "uploaded table mine" in reason(send(archive, b"<nothing"))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("mine", "UPLOAD holds"),
        ("mine,", "UPLOAD holds"),
        ("1mine,param:a", "UPLOAD holds"),
        ('mi"ne,param:a', "UPLOAD holds"),
        ("demo.mine,param:a", "UPLOAD holds"),
        ("mine;param:a", "UPLOAD holds"),
        ("a" * 100 + ",param:a", "UPLOAD holds"),
        ("mine,param:a;MINE,param:b", "two tables alike"),
        (";".join(f"t{i},param:a" for i in range(11)), "More than 10 tables"),
    ],
)
def test_a_wrong_upload_parameter_is_refused(given, why):
    with pytest.raises(QueryError, match=why):
        uploads.sources(given)


def test_names_may_carry_their_schema_and_come_twice_when_they_mean_the_same():
    wanted = (uploads.Source("mine", "param:a"), uploads.Source("b", "http://x/y,z"))
    assert uploads.sources("TAP_UPLOAD.Mine,param:a; b,http://x/y,z;mine,param:a;") == wanted


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/table.vot",
        "https://127.0.0.1/x",
        "file:///etc/passwd",
        "ftp://example.org/x",
        "{base}/tap/sync?LANG=ADQL&QUERY=SELECT+1",
        "{base}/tap/async/0000000000000000/results/result",
        "{base}/tap/async/../../files?ID=x",
        "{base}.example.org/tap/async/0000000000000000/results/result",
        "{base}@example.org/",
        "vos://cadc.nrc.ca~vault/x",
    ],
)
def test_no_address_but_that_of_our_own_results_is_taken(archive, url):
    given = f"mine,{url.format(base=archive.url)}"
    answer = requests.post(
        f"{archive.tap}/sync", data={"LANG": "ADQL", "QUERY": MINE, "UPLOAD": given}, timeout=10
    )
    assert "only tables in the form" in reason(answer)


def test_a_part_that_is_not_there_and_a_form_that_is_too_large_are_refused(archive):
    assert "a part 'nosuch'" in reason(send(archive, b"x", UPLOAD="mine,param:nosuch"))
    try:
        answer = send(archive, b"x" * (33 << 20))
    except requests.ConnectionError:
        pass  # the server hung up in the middle
    else:
        assert answer.status_code in (400, 413)
    assert requests.get(f"{archive.tap}/availability", timeout=10).ok


# Forms as clients write them.

STILTS = "<<<---MULTIPART-BOUNDARY--->>>"


def form(*named: tuple[str, str, str], boundary: str = STILTS, preamble: str = "\r\n") -> bytes:
    pieces = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'
        for name, more, value in named
    ]
    return (preamble + "".join(pieces) + f"--{boundary}--\r\n").encode()


def test_a_chunked_form_with_a_preamble_and_the_boundary_of_stilts_is_read(archive):
    table = votable(Table({"k": [5]}), "tabledata").decode()
    body = form(
        ("LANG", "", "ADQL"),
        ("QUERY", "", MINE),
        ("RESPONSEFORMAT", "", "csv"),
        ("UPLOAD", "", "mine,param:part"),
        ("part", '; filename="part"\r\nContent-Type: application/x-votable+xml', table),
    )
    answer = requests.post(
        f"{archive.tap}/sync",
        data=(body[i : i + 100] for i in range(0, len(body), 100)),
        headers={"Content-Type": f'multipart/form-data; boundary="{STILTS}"'},
        timeout=30,
    )
    assert answer.text.splitlines() == ['"k"', "5"]


@pytest.mark.parametrize("quoted", [f'"{STILTS}"', STILTS, f"{STILTS}; charset=utf-8"])
def test_boundaries_may_be_quoted_or_not(quoted):
    values, files = forms.parts(
        f"multipart/form-data; boundary={quoted}",
        form(("a", "", "1"), ("f", '; filename="x; name=y"', "body\r\n"), ("a", "", "2")),
    )
    assert values == {"a": [b"1", b"2"]}
    assert files == {"f": b"body\r\n"}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", form(("a", "", "1"))),
        ("multipart/form-data; boundary=", form(("a", "", "1"))),
        (f"multipart/form-data; boundary={'b' * 300}", form(("a", "", "1"), boundary="b" * 300)),
        (f"multipart/form-data; boundary={STILTS}", form(("a", "", "1"))[:-40]),
        (f"multipart/form-data; boundary={STILTS}", b""),
        (f"multipart/form-data; boundary={STILTS}", form(*[("a", "", "1")] * 200)),
        (f"multipart/form-data; boundary={STILTS}", form(("a", "\r\nX: " + "y" * 9000, "1"))),
        (f"multipart/form-data; boundary={STILTS}", form(("a", "", "1")).replace(b"; name", b"")),
    ],
)
def test_a_form_that_is_none_is_refused(content_type, body):
    with pytest.raises(QueryError):
        forms.parts(content_type, body)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.binary(max_size=20))
def test_noise_is_split_into_parts_or_refused(noise, boundary):
    kind = f"multipart/form-data; boundary={boundary.decode('latin-1')}"
    try:
        forms.parts(kind, noise.replace(b"X", b"--" + boundary))
    except QueryError:
        return
