"""VOTable, CSV and Parquet hold what was put in, as astropy and pyarrow read it."""

import io
import warnings

import numpy as np
import pyarrow as pa
import pytest
from astropy.io.votable import parse

from jupyter_astroml.core.errors import QueryError
from jupyter_astroml.embedded import votable
from jupyter_astroml.embedded.engine import Answer
from jupyter_astroml.embedded.tables import Column
from jupyter_astroml.embedded.types import arrow_array, field_type

VALUES = {
    "long": pa.array([587722953303916935, None, -1], pa.int64()),
    "int": pa.array([None, 7, -2147483648], pa.int32()),
    "short": pa.array([1, -32768, None], pa.int16()),
    "double": pa.array([0.1, float("nan"), None]),
    "wide": pa.array([float("inf"), float("-inf"), 5e-324]),
    "float": pa.array([0.5, None, 1e30], pa.float32()),
    "truth": pa.array([True, None, False]),
    "text": pa.array(["a<b & c>", None, ""]),
    "accents": pa.array(["é", "naïve 💫", None]),
    "list": pa.array([[1.5, float("nan")], [], None], pa.list_(pa.float64())),
}


@pytest.fixture
def answer():
    columns = []
    for name, array in VALUES.items():
        datatype, arraysize, xtype = field_type(array)
        unit = "mag" if name == "float" else ""
        columns.append(Column(name, datatype, arraysize, xtype, unit=unit, description=f"<{name}>"))
    return Answer(tuple(columns), pa.table(VALUES), overflow=True)


@pytest.mark.parametrize("form", ["tabledata", "binary2"])
def test_every_type_and_null_comes_back_through_astropy(answer, form):
    media, body = votable.write(answer, form=form, infos=[("QUERY", 'a "quoted" <query>')])
    assert media.startswith("application/x-votable+xml")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = parse(io.BytesIO(body), verify="exception")
    table = document.get_first_table()
    found = table.to_table()
    for name in ("long", "int", "short", "truth"):
        assert [None if v is np.ma.masked else v for v in found[name]] == VALUES[name].to_pylist()
    assert found["double"][0] == 0.1
    assert not np.isfinite(np.ma.filled(found["double"][1:], np.nan)).any()
    assert found["wide"].tolist() == [np.inf, -np.inf, 5e-324]
    assert found["float"][2] == np.float32(1e30)
    assert [str(v) if v else "" for v in found["accents"].tolist()] == ["é", "naïve 💫", ""]
    assert [str(v) if v else "" for v in found["text"].tolist()] == ["a<b & c>", "", ""]
    np.testing.assert_array_equal(np.ma.filled(found["list"][0], np.nan), [1.5, np.nan])
    assert str(found["float"].unit) == "mag"
    assert found["float"].description == "<float>"
    assert [(i.name, i.value) for i in document.resources[0].infos] == [
        ("QUERY_STATUS", "OK"),
        ("QUERY", 'a "quoted" <query>'),
        ("QUERY_STATUS", "OVERFLOW"),
    ]


def test_both_serialisations_hold_the_same(answer):
    first, second = (
        parse(io.BytesIO(votable.write(answer, form=form)[1])).get_first_table().array
        for form in ("tabledata", "binary2")
    )
    # TABLEDATA cannot tell an empty list from none, so lists are left to the test above.
    for name in set(VALUES) - {"list"}:
        assert repr(first[name].tolist()) == repr(second[name].tolist())


def test_more_rows_than_a_piece_of_the_stream_are_all_there():
    n = votable._ROWS_AT_ONCE * 2 + 5
    rows = pa.table({"n": np.arange(n), "s": [str(i) * (i % 4) for i in range(n)]})
    columns = (Column("n", "long"), Column("s", "char", "*"))
    _, body = votable.write(Answer(columns, rows, overflow=False), form="binary2")
    found = parse(io.BytesIO(body)).get_first_table().to_table()
    assert found["n"].tolist() == list(range(n))
    assert found["s"][-1] == str(n - 1) * ((n - 1) % 4)


def test_no_rows_are_a_table_with_its_columns():
    columns = (Column("n", "long"), Column("s", "char", "*"))
    rows = pa.table({"n": pa.array([], pa.int64()), "s": pa.array([], pa.string())})
    for form in ("tabledata", "binary2"):
        body = votable.write(Answer(columns, rows, overflow=False), form=form)[1]
        found = parse(io.BytesIO(body)).get_first_table()
        assert (len(found.array), [f.name for f in found.fields]) == (0, ["n", "s"])


def test_control_characters_do_not_break_the_document():
    rows = pa.table({"s": ["a\x00b\x1fc"]})
    for form in ("tabledata", "binary2"):
        body = votable.write(Answer((Column("s", "char", "*"),), rows, overflow=False), form=form)[
            1
        ]
        assert len(parse(io.BytesIO(body)).get_first_table().array) == 1
    parse(io.BytesIO(votable.error("a\x00b\ud800 <&> \uffff")))


def test_csv_and_parquet_hold_the_same_rows(answer):
    from pyarrow import csv, parquet

    media, body = votable.write(answer, form="csv")
    assert media == "text/csv;header=present"
    found = csv.read_csv(io.BytesIO(body))
    assert found["long"].to_pylist() == VALUES["long"].to_pylist()
    assert found["text"].to_pylist()[0] == "a<b & c>"
    media, body = votable.write(answer, form="parquet")
    table = parquet.read_table(io.BytesIO(body))
    assert table["accents"].to_pylist() == VALUES["accents"].to_pylist()
    assert table.schema.field("float").metadata == {b"unit": b"mag", b"description": b"<float>"}
    assert table.schema.metadata[b"overflow"] == b"true"


def test_two_columns_of_one_name_can_be_written_as_csv():
    columns = (Column("id", "long"), Column("id", "long"))
    rows = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["0", "1"])
    _, body = votable.write(Answer(columns, rows, overflow=False), form="csv")
    assert body.split() == [b'"id","id_2"', b"1,2"]


def test_an_unknown_format_is_refused_with_those_that_are_offered():
    with pytest.raises(QueryError, match="csv"):
        votable.writer("application/x-msdos-program")
    assert votable.writer(None) == "tabledata"
    assert votable.writer("application/x-votable+xml; serialization=BINARY2") == "binary2"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.array([1, 2], ">i4"), ("int", "", "")),
        (np.array([1, 2], "u1"), ("short", "", "")),
        (np.array([1.5], ">f4"), ("float", "", "")),
        (np.array([b"abc"]), ("char", "*", "")),
        (np.array(["é"]), ("unicodeChar", "*", "")),
        (np.array([[1.0, 2.0]]), ("double", "*", "")),
        (np.array(["2020-01-01"], "M8[s]"), ("char", "*", "timestamp")),
        (np.ma.MaskedArray([1, 2], mask=[True, False]), ("long", "", "")),
    ],
)
def test_numpy_types_become_those_of_votable(values, kind):
    assert field_type(arrow_array(values)) == kind
