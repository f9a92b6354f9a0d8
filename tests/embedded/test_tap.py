"""TAP over HTTP: what a client of the Virtual Observatory meets."""

import io

import numpy as np
import pytest
import pyvo
import requests
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io.votable import parse


def sync(archive, query="SELECT TOP 3 id FROM demo.galaxies", method="get", **parameters):
    sent = {"LANG": "ADQL", "QUERY": query, **parameters}
    if method == "post":
        return requests.post(f"{archive.tap}/sync", data=sent, timeout=60)
    return requests.get(f"{archive.tap}/sync", params=sent, timeout=60)


def status(answer) -> str:
    """Return the last QUERY_STATUS of a VOTable answer, with its text."""
    found = parse(io.BytesIO(answer.content)).resources[0].infos
    last = [i for i in found if i.name == "QUERY_STATUS"][-1]
    return f"{last.value}: {last.content or ''}"


def test_pyvo_sees_the_service_and_its_tables(tap):
    names = {t.name for t in tap.tables}
    assert {"demo.galaxies", "demo.stars", "demo.flares", "ivoa.obscore"} <= names
    assert {
        f"tap_schema.{n}" for n in ("schemas", "tables", "columns", "keys", "key_columns")
    } <= names
    columns = {c.name: c for c in tap.tables["demo.galaxies"].columns}
    assert str(columns["ra"].unit) == "deg"
    assert columns["ra"].ucd == "pos.eq.ra;meta.main"
    assert all(c.description for c in columns.values())


def test_pyvo_finds_the_examples_and_they_all_give_rows(tap):
    assert len(tap.examples) >= 3
    assert all(len(tap.run_sync(e["QUERY"])) > 0 for e in tap.examples)


def test_a_cone_over_http_agrees_with_astropy(tap):
    table = tap.run_sync("SELECT id, ra, dec FROM demo.galaxies").to_table()
    centre = SkyCoord(150.05, 2.15, unit=u.deg)
    near = SkyCoord(table["ra"], table["dec"]).separation(centre) < 0.08 * u.deg
    found = tap.run_sync(
        "SELECT id FROM demo.galaxies WHERE 1 = CONTAINS(POINT('ICRS', ra, dec), "
        "CIRCLE('ICRS', 150.05, 2.15, 0.08))"
    )
    assert set(found["id"]) == set(table["id"][near])
    assert 5 < len(found) < len(table)


def test_async_gives_the_same_rows_as_sync(tap):
    query = "SELECT TOP 7 id, mag_r FROM demo.galaxies ORDER BY mag_r"
    np.testing.assert_array_equal(
        tap.run_async(query).to_table().as_array(), tap.run_sync(query).to_table().as_array()
    )


def test_the_truth_of_the_flares_joins_with_the_stars(tap):
    rows = tap.run_sync(
        "SELECT s.id, s.n_flares, COUNT(f.t_peak) AS n FROM demo.stars AS s "
        "LEFT OUTER JOIN demo.flares AS f ON f.star_id = s.id GROUP BY s.id, s.n_flares"
    ).to_table()
    assert len(rows) == len(set(rows["id"])) == 300
    assert rows["n"].tolist() == rows["n_flares"].tolist()


def test_an_overflow_is_marked_behind_the_table(archive, tap):
    cut = sync(archive, "SELECT id FROM demo.galaxies", MAXREC=5)
    assert status(cut).startswith("OVERFLOW")
    assert len(parse(io.BytesIO(cut.content)).get_first_table().array) == 5
    found = tap.run_sync("SELECT id FROM demo.galaxies", maxrec=5)
    assert (len(found), found.query_status) == (5, "OVERFLOW")
    assert status(sync(archive, MAXREC=3)).startswith("OK")
    assert status(sync(archive, MAXREC=0)).startswith("OVERFLOW")


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"QUERY": ""}, "QUERY is missing"),
        ({"LANG": ""}, "LANG"),
        ({"LANG": "PQL"}, "LANG must be one of"),
        ({"REQUEST": "getMilk"}, "REQUEST must be doQuery"),
        ({"MAXREC": "-1"}, "whole number"),
        ({"MAXREC": "many"}, "whole number"),
        ({"MAXREC": "9" * 40}, "whole number"),
        ({"RESPONSEFORMAT": "gif"}, "is not offered"),
        ({"UPLOAD": "mine,http://example.org/x"}, "only tables in the form"),
        ({"QUERY": "SELECT nosuch FROM demo.galaxies"}, "line 1, column 8"),
    ],
)
def test_a_wrong_request_is_answered_by_a_dali_error(archive, parameters, reason):
    for method in ("get", "post"):
        answer = sync(archive, method=method, **parameters)
        assert answer.status_code == 400
        assert answer.headers["Content-Type"].startswith("application/x-votable+xml")
        assert status(answer).startswith("ERROR")
        assert reason in status(answer)


def test_pyvo_turns_the_error_document_into_its_exception(tap):
    with pytest.raises(pyvo.dal.DALQueryError, match="Unknown column nosuch"):
        tap.run_sync("SELECT nosuch FROM demo.galaxies")


def test_parameters_are_read_without_case_and_not_twice(archive):
    query = "SELECT TOP 1 id FROM demo.galaxies"
    answer = requests.get(
        f"{archive.tap}/sync", params={"lang": "ADQL", "Query": query, "responseFormat": "csv"}
    )
    assert answer.text.splitlines()[0] == '"id"'
    twice = requests.get(f"{archive.tap}/sync?LANG=ADQL&QUERY=SELECT+1&QUERY=SELECT+2", timeout=10)
    assert twice.status_code == 400
    assert "given 2 times" in status(twice)


@pytest.mark.parametrize(
    ("form", "media"),
    [
        ("votable", "application/x-votable+xml"),
        ("votable/b2", "application/x-votable+xml;serialization=BINARY2"),
        ("csv", "text/csv;header=present"),
        ("parquet", "application/vnd.apache.parquet"),
    ],
)
def test_each_format_comes_with_its_media_type(archive, form, media):
    assert sync(archive, RESPONSEFORMAT=form).headers["Content-Type"] == media


@pytest.mark.parametrize("form", ["parquet", "application/vnd.apache.parquet", "PARQUET"])
def test_parquet_holds_what_votable_holds(archive, tap, form):
    from pyarrow import parquet

    query = "SELECT TOP 20 id, ra, mag_r, field, bands FROM demo.galaxies ORDER BY id"
    answer = sync(archive, query, RESPONSEFORMAT=form)
    assert answer.headers["Content-Type"] == "application/vnd.apache.parquet"
    found = parquet.read_table(io.BytesIO(answer.content))
    wanted = tap.run_sync(query).to_table()
    assert found.column_names == wanted.colnames
    assert all(found[name].to_pylist() == list(wanted[name]) for name in wanted.colnames)
    assert found.schema.field("ra").metadata[b"ucd"] == b"pos.eq.ra;meta.main"
    cut = sync(archive, "SELECT id FROM demo.galaxies", RESPONSEFORMAT=form, MAXREC=3)
    table = parquet.read_table(io.BytesIO(cut.content))
    assert (len(table), table.schema.metadata[b"overflow"]) == (3, b"true")


def test_a_parquet_file_says_what_its_columns_mean_in_the_way_of_the_ivoa(archive, tmp_path):
    from astropy.table import Table

    path = tmp_path / "answer.parquet"
    query = "SELECT ra, ra, mag_r FROM demo.galaxies"
    path.write_bytes(sync(archive, query, RESPONSEFORMAT="parquet").content)
    found = Table.read(path, format="parquet.votable")
    assert found.colnames == ["ra", "ra_2", "mag_r"]
    assert [str(found[name].unit) for name in found.colnames] == ["deg", "deg", "mag"]
    assert found["ra_2"].description == "Right ascension"


def test_the_formats_are_declared(archive):
    told = requests.get(f"{archive.tap}/capabilities", timeout=10).text
    assert "<mime>application/vnd.apache.parquet</mime><alias>parquet</alias>" in told


def test_the_answer_repeats_the_query(archive):
    query = "SELECT TOP 1 id FROM demo.galaxies WHERE mag_r < 20 AND 'a' <> '<&>'"
    infos = parse(io.BytesIO(sync(archive, query).content)).resources[0].infos
    assert [i.value for i in infos if i.name == "QUERY"] == [query]


def test_tables_can_be_had_one_by_one_or_in_brief(archive):
    one = requests.get(f"{archive.tap}/tables/demo.stars", timeout=10).text
    assert "<name>tmag</name>" in one
    assert "galaxies" not in one
    brief = requests.get(f"{archive.tap}/tables", params={"detail": "min"}, timeout=10).text
    assert "<name>demo.stars</name>" in brief
    assert "<column" not in brief
    assert requests.get(f"{archive.tap}/tables/demo.nosuch", timeout=10).status_code == 404
    assert requests.get(f"{archive.tap}/tables?detail=odd", timeout=10).status_code == 400


def test_tap_schema_and_the_tables_resource_agree(tap):
    listed = {
        (t.name, c.name): (c.datatype.content, str(c.unit or ""), c.ucd or "")
        for t in tap.tables
        for c in t.columns
    }
    rows = tap.run_sync(
        "SELECT table_name, column_name, datatype, unit, ucd FROM tap_schema.columns"
    ).to_table()
    stored = {
        (r["table_name"], r["column_name"]): tuple(
            "" if v is np.ma.masked else str(v) for v in (r["datatype"], r["unit"], r["ucd"])
        )
        for r in rows.filled("")
    }
    assert listed == stored


def test_links_in_rows_are_addresses_of_this_archive(archive, tap):
    for table in ("demo.galaxies", "demo.stars", "ivoa.obscore"):
        urls = tap.run_sync(f"SELECT TOP 5 access_url FROM {table}")["access_url"]
        assert all(str(url).startswith(f"{archive.url}/datalink?ID=ivo") for url in urls)
