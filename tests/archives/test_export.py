"""Tables that other programs read: what a VOTable of ours keeps."""

import json
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io.votable import parse
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.time import Time

import jupyter_astroml as aml
from jupyter_astroml.core.errors import DataError


def by_name_datatypes(table):
    """Return the types of the texts of a table; xtypes are for ``char`` alone."""
    return {f.name: f.datatype for f in table.fields if f.arraysize and f.arraysize != "1"}


def again(table, tmp_path):
    """Write a table and let astropy, which knows nothing of us, read it strictly."""
    path = aml.to_votable(table, tmp_path / "t.vot")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)
        return parse(path, verify="exception")


def test_units_ucds_utypes_and_nulls_are_kept(tmp_path):
    table = Table()
    table["flux"] = MaskedColumn(
        np.array([1.5, 2.5], "f4"),
        mask=[False, True],
        unit="erg / (Angstrom cm2 s)",
        description="of the line",
        meta={"ucd": "phot.flux", "utype": "spec:Data.FluxAxis.Value"},
    )
    table["n"] = MaskedColumn([1, 2], mask=[True, False])
    table["name"] = MaskedColumn(["α Cen", "secret"], mask=[False, True])
    read = again(table, tmp_path).get_first_table()
    field = read.fields[0]
    assert (field.ucd, field.utype, field.description) == (
        "phot.flux",
        "spec:Data.FluxAxis.Value",
        "of the line",
    )
    assert field.unit == u.Unit("erg / (Angstrom cm2 s)")
    rows = read.to_table()
    assert rows["flux"].tolist() == [1.5, None]
    assert rows["n"].tolist() == [None, 2]
    assert rows["name"].tolist() == ["α Cen", ""]
    assert "secret" not in (tmp_path / "t.vot").read_text()


@pytest.mark.parametrize(
    "kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "b1", "c16"]
)
def test_numbers_of_every_type_come_back_equal(kind, tmp_path):
    values = np.array([0, 1, 100], dtype=kind)
    assert (again(Table({"x": values}), tmp_path).get_first_table().array["x"] == values).all()


def test_a_number_that_no_votable_holds_is_refused_by_the_name_of_its_column(tmp_path):
    with pytest.raises(DataError, match=r"'big'.*2\^63"):
        aml.to_votable(Table({"big": np.array([2**63], "u8")}), tmp_path / "t.vot")
    assert list(tmp_path.iterdir()) == []


def test_what_has_no_form_in_a_votable_is_refused(tmp_path):
    mixed = np.empty(1, dtype=object)
    mixed[:] = [{"a": 1}]
    for values in (mixed, np.array([["a", "b"]])):
        with pytest.raises(DataError, match=r"'odd'.*leave it out"):
            aml.to_votable(Table({"odd": values}), tmp_path / "t.vot")


def test_arrays_of_one_and_of_several_lengths_come_back(tmp_path):
    ragged = np.empty(3, dtype=object)
    ragged[:] = [np.array([1.0, np.nan]), [3, 4, 5], None]
    table = Table({"square": np.arange(6).reshape(3, 2), "ragged": ragged})
    found = again(table, tmp_path).get_first_table().array
    assert found["square"].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert [len(each) for each in found["ragged"]] == [2, 3, 0]
    assert found["ragged"][1].tolist() == [3, 4, 5]


def test_times_quantities_and_positions_become_plain_columns(tmp_path):
    table = QTable()
    table["when"] = Time(["2020-01-01T00:00:00.000466789", "2021-01-01T12:00:00"], scale="tdb")
    table["day"] = Column(np.array(["2020-01-01", "NaT"], "M8[D]"))
    table["size"] = [1.0, 2.0] * u.arcmin
    table["place"] = SkyCoord([10, 20], [-5, 5], unit="deg", frame="icrs")
    document = again(table, tmp_path).get_first_table()
    found = document.to_table()
    assert found["when"].tolist() == [
        "2020-01-01T00:00:00.000466789",
        "2021-01-01T12:00:00.000000000",
    ]
    assert table["when"].precision == 3
    assert by_name_datatypes(document) == {"when": "char", "day": "char"}
    assert found["day"].tolist() == ["2020-01-01", ""]
    assert table["day"].meta == {}
    assert found["size"].unit == u.arcmin
    assert found["place_dec"].tolist() == [-5.0, 5.0]
    by_name = {field.name: field for field in document.fields}
    assert "TDB" in by_name["when"].description
    assert by_name["when"].xtype == "timestamp"
    assert by_name["place_ra"].ucd == "pos.eq.ra;meta.main"


def test_where_an_answer_came_from_stands_in_the_file(demo_archive, tmp_path):
    adql = "SELECT TOP 3 id, ra, mag_r FROM demo.galaxies WHERE mag_r < 30"
    rows = aml.archive("demo").query(adql)
    document = again(rows, tmp_path)
    told = {info.name: info.value for info in document.resources[0].infos}
    assert told["query"] == adql
    assert told["publisher"] == "demo"
    assert told["request_date"].startswith("20")
    assert told["simulated"].startswith("true")
    assert json.loads(told["jupyter_astroml"])["rows"] == 3
    assert document.get_first_table().fields[1].ucd == "pos.eq.ra;meta.main"


def test_letters_that_xml_has_not_do_not_break_the_file(tmp_path):
    table = Table({"x": Column([1], description="a\x00b<&\ud800", meta={"utype": "a:\x07b"})})
    table.meta["astroml"] = {"adql": "SELECT '\x0b' <"}
    document = again(table, tmp_path)
    assert document.get_first_table().fields[0].description == "a b<&"
    assert document.resources[0].infos[0].value == "SELECT ' ' <"


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match="cannot be written"):
        aml.to_votable(Table({"x": [1]}), tmp_path / "nowhere" / "t.vot")


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_table_of_quantities_and_positions_goes_along_with_a_query(demo_archive, mode):
    sky = aml.archive("demo")
    rows = sky.query("SELECT TOP 3 id, ra, dec FROM demo.galaxies")
    mine = QTable(
        {"id": rows["id"], "n": np.array([1, 2, 3], "u4"), "seen": Time(["2020-01-01"] * 3)}
    )
    mine["place"] = SkyCoord(rows["ra"], rows["dec"], unit="deg")
    found = sky.query(
        "SELECT m.id, m.n, m.seen, g.ra - m.place_ra AS off FROM tap_upload.mine AS m "
        "JOIN demo.galaxies AS g ON g.id = m.id ORDER BY m.n",
        upload={"mine": mine},
        mode=mode,
    )
    assert found["id"].tolist() == rows["id"].tolist()
    assert found["off"].tolist() == [0, 0, 0]
    assert found["seen"][0].startswith("2020-01-01")


def test_a_column_that_cannot_go_along_is_named(demo_archive):
    with pytest.raises(DataError, match="'odd'"):
        aml.archive("demo").query(
            "SELECT * FROM tap_upload.mine", upload={"mine": Table({"odd": [{"a": 1}]})}
        )
