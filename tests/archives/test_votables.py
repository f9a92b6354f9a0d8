import io
import warnings

import numpy as np
import pytest
from astropy.io.votable import parse
from astropy.io.votable.tree import Field, Info, Resource, TableElement, Values, VOTableFile
from astropy.table import Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_astroml.archives.votables import read
from jupyter_astroml.core.errors import ArchiveError

NUMBERS = {
    "unsignedByte": st.integers(0, 255),
    "short": st.integers(-(2**15), 2**15 - 1),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32),
    "double": st.floats(),
    "boolean": st.booleans(),
}
LETTERS = {
    "char": st.characters(min_codepoint=32, max_codepoint=126),
    "unicodeChar": st.characters(min_codepoint=32, exclude_categories=["Cs"]),
}
NULL = 42


@st.composite
def columns(draw, n):
    """A field, its values and their mask."""
    kind = draw(st.sampled_from([*NUMBERS, *LETTERS]))
    if kind in LETTERS:
        size = draw(st.sampled_from(["5", "5*", "*"]))
        most = None if size == "*" else 5
        # A letter beyond the first plane is two characters of the stream.
        texts = st.text(LETTERS[kind], max_size=most).filter(
            lambda text: most is None or len(text.encode("utf-16-be")) <= 10
        )
        return kind, size, None, draw(st.lists(texts, min_size=n, max_size=n)), [False] * n
    sizes = [None] if kind == "boolean" else [None, "3", "2x3", "*"]
    size = draw(st.sampled_from(sizes))
    null = draw(st.sampled_from([None, NULL])) if kind in ("short", "int", "long") else None
    shape = {"3": (3,), "2x3": (3, 2), None: ()}.get(size, (draw(st.integers(0, 4)),))
    count = int(np.prod(shape))
    values = [
        np.array(draw(st.lists(NUMBERS[kind], min_size=count, max_size=count))).reshape(shape)
        for _ in range(n)
    ]
    mask = [size != "*" and draw(st.booleans()) for _ in range(n)]
    return kind, size, null, values, mask


@st.composite
def documents(draw):
    """A VOTable in one of the binary forms, as astropy writes it, and how it arrives."""
    n = draw(st.integers(0, 7))
    found = draw(st.lists(columns(n), min_size=1, max_size=10))
    form = draw(st.sampled_from(["binary", "binary2"]))
    document = VOTableFile()
    resource = Resource(type="results")
    document.resources.append(resource)
    table = TableElement(document, name="t")
    resource.tables.append(table)
    for i, (kind, size, null, _, _) in enumerate(found):
        field = Field(
            document,
            name=f"c{i}",
            datatype=kind,
            arraysize=size,
            unit="km" if kind not in LETTERS else None,
            ucd="meta.code",
        )
        if null is not None:
            field.values = Values(document, field, null=null)
            field._setup({}, (0, 0))
        field.description = "a <b> & c"
        table.fields.append(field)
    table.create_arrays(n)
    for i, (kind, size, null, values, mask) in enumerate(found):
        # Integers without a value for null can only be null by a bit, and not within an array.
        able = kind in ("float", "double") or null is not None
        able = able or (form == "binary2" and size is None)
        for row, value in enumerate(values):
            if size == "*" and kind not in LETTERS:
                numbers = value.astype(table.fields[i].converter._base.format)
                whole = np.ma.masked_array(numbers, mask=np.zeros(len(numbers), bool))
                table.array.data[f"c{i}"][row] = whole
            else:
                table.array[f"c{i}"][row] = value
                table.array.mask[f"c{i}"][row] = able and mask[row]
    resource.infos.append(Info(name="QUERY_STATUS", value="OVERFLOW"))
    out = io.BytesIO()
    document.to_xml(out, tabledata_format=form)
    return out.getvalue(), draw(st.integers(1, 400))


def same(a: np.ma.MaskedArray, b: np.ma.MaskedArray) -> None:
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    assert (np.ma.getmaskarray(a) == np.ma.getmaskarray(b)).all()
    if a.dtype == object and a.size and not isinstance(a[0], str):
        for one, two in zip(a, b, strict=True):
            assert (np.ma.getmaskarray(one) == np.ma.getmaskarray(two)).all()
            np.testing.assert_array_equal(one.filled(0), two.filled(0))
    elif a.dtype.kind == "f":
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    else:
        assert (np.asarray(a) == np.asarray(b)).all()


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(documents())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_table_equals_what_astropy_reads_however_it_arrives(given):
    data, size = given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = parse(io.BytesIO(data)).get_first_table().to_table(use_names_over_ids=True)
        found = read(pieces(data, size))
        table = found.table()
    # astropy writes no stream for no rows.
    assert found.columns is not None or len(expected) == 0
    assert table.colnames == expected.colnames
    for name in table.colnames:
        same(table[name], expected[name])
        assert table[name].unit == expected[name].unit
        assert table[name].description == expected[name].description
        assert table[name].meta == expected[name].meta
    # What stands behind the table says whether rows are missing.
    assert found.document.resources[0].infos[0].value == "OVERFLOW"


def written(form: str) -> bytes:
    document = VOTableFile.from_table(
        Table({"a": np.arange(5000), "b": [f"x{i}" for i in range(5000)]})
    )
    out = io.BytesIO()
    document.to_xml(out, tabledata_format=form)
    return out.getvalue()


def test_what_is_no_stream_is_left_to_astropy():
    found = read(pieces(written("tabledata"), 100))
    assert found.columns is None
    assert found.table()["a"].tolist() == list(range(5000))


def test_rows_are_told_while_they_arrive():
    told = []
    read(pieces(written("binary2"), 1000), progress=told.append)
    assert told == sorted(told)
    assert len(set(told)) > 2


@pytest.mark.parametrize("form", ["tabledata", "binary2", "binary"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_a_table_that_breaks_off_is_an_error(form, share):
    data = written(form)
    with pytest.raises(ArchiveError):
        read(pieces(data[: int(share * len(data))], 512))


HEAD = (
    '<VOTABLE version="1.4"><RESOURCE><TABLE><FIELD name="a" datatype="char" arraysize="*"/><DATA>'
)
TAIL = "</DATA></TABLE></RESOURCE></VOTABLE>"


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        ('<BINARY2><STREAM href="file:///etc/passwd"/></BINARY2>', "elsewhere"),
        ('<FITS><STREAM\nhref="file:///etc/passwd"/></FITS>', "elsewhere"),
        ('<FITS><STREAM encoding=">" href="file:///etc/passwd"/></FITS>', "elsewhere"),
        ('<v:BINARY xmlns:v="x"><v:STREAM href="http://127.0.0.1/"/></v:BINARY>', "elsewhere"),
        # A length of −1, one of 2 GB, and no base64.
        ('<BINARY2><STREAM encoding="base64">AP////8=</STREAM></BINARY2>', "damaged"),
        ('<BINARY2><STREAM encoding="base64">AH////8=</STREAM></BINARY2>', "broke off"),
        ('<BINARY2><STREAM encoding="base64">!!!!!!!!</STREAM></BINARY2>', "damaged"),
        ('<BINARY2><STREAM encoding="base64">AAAAAAH/</STREAM></BINARY2>', "no text"),
    ],
)
def test_a_hostile_stream_is_refused(inside, why):
    with pytest.raises(ArchiveError, match=why):
        read([(HEAD + inside + TAIL).encode()])


def test_a_document_that_declares_entities_is_refused():
    bomb = '<!DOCTYPE v [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    with pytest.raises(ArchiveError, match="entities"):
        read([(bomb + HEAD + TAIL).encode()])


@pytest.mark.parametrize("unit", ["10**99999999 m", "10+99999999 m", "1&#48;^99999999"])
def test_a_unit_that_would_take_minutes_is_refused(unit):
    field = f'<FIELD name="b" datatype="double" unit="{unit}"/>'
    with pytest.raises(ArchiveError, match="unit such as"):
        read([(HEAD.replace("<DATA>", f"{field}<DATA>") + TAIL).encode()])


def test_an_error_page_is_told_as_that():
    with pytest.raises(ArchiveError, match="no VOTable") as told:
        read([b"<html><body><p>Service unavailable<br></body></html>"])
    assert "Service unavailable" in str(told.value)
