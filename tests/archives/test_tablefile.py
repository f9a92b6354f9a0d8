"""Answers of one query in all forms and ways: the same rows, in memory or on disk."""

import io
import json
import multiprocessing
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io.votable.tree import Info, VOTableFile
from astropy.table import Table

from jupyter_astroml.archives import answer, votables
from jupyter_astroml.archives.archive import OverflowedWarning, archive
from jupyter_astroml.archives.rowhash import RowHash, row_hash
from jupyter_astroml.archives.tablefile import TableFile, Writer
from jupyter_astroml.core.errors import ArchiveError, QueryError

FORMS = ["tabledata", "binary2", "parquet"]
EVERYTHING = "SELECT * FROM demo.stars"


@pytest.fixture
def sky(demo_archive):
    with archive(demo_archive.tap) as made:
        yield made


def same(found: Table, expected: Table) -> None:
    assert found.colnames == expected.colnames
    for name in expected.colnames:
        a, b = found[name], expected[name]
        assert a.dtype == b.dtype, name
        assert (a.unit, a.description, a.meta) == (b.unit, b.description, b.meta)
        assert row_hash(["x"], [a]) == row_hash(["x"], [b]), name
        assert (np.ma.getmaskarray(a) == np.ma.getmaskarray(b)).all()


@pytest.mark.parametrize("query", [EVERYTHING, "SELECT * FROM ivoa.obscore"])
def test_an_answer_is_the_same_in_every_form_and_way(sky, query, tmp_path):
    expected = sky.query(query, form="binary2")
    for form in FORMS:
        for mode in ("sync", "async"):
            found = sky.query(query, form=form, mode=mode)
            same(found, expected)
            assert found.meta["astroml"]["row_hash"] == expected.meta["astroml"]["row_hash"]
            file = sky.download(query, tmp_path / f"{form}.parquet", form=form, mode=mode)
            same(file.read(), expected)
            assert file.meta["astroml"]["row_hash"] == expected.meta["astroml"]["row_hash"]
            assert file.meta["astroml"]["mode"] == mode
            assert bool(file.meta["astroml"]["job"]) == (mode == "async")
    assert len(list(tmp_path.iterdir())) == len(FORMS)


def test_parquet_is_what_was_asked_for(sky):
    assert "parquet" in sky._form("parquet")
    with sky._session.released():
        asked = sky._service.create_query(EVERYTHING, **sky._options(None, None, "parquet"))
        assert asked.submit().raw.read(4) == b"PAR1"


def test_a_form_that_is_not_offered_is_told_with_those_that_are(sky, monkeypatch):
    sky._forms = ["text/csv"]
    with pytest.raises(QueryError, match=r"does not offer 'parquet'.*text/csv"):
        sky.query(EVERYTHING, form="parquet")


@pytest.mark.parametrize("form", FORMS)
def test_a_cut_answer_is_flagged_in_every_form(sky, form, tmp_path):
    with pytest.warns(OverflowedWarning):
        rows = sky.query(EVERYTHING, maxrec=3, form=form)
    with pytest.warns(OverflowedWarning):
        file = sky.download(EVERYTHING, tmp_path / "s.parquet", maxrec=3, form=form)
    assert len(rows) == len(file) == 3
    assert rows.meta["astroml"]["overflow"]
    assert file.meta["astroml"]["overflow"]


def test_only_what_is_needed_of_a_file_is_read(sky, tmp_path):
    file = sky.download(EVERYTHING, tmp_path / "stars.parquet")
    some = file.read(columns=["tmag", "id"], rows=5)
    assert some.colnames == ["tmag", "id"]
    assert len(some) == 5
    assert some["tmag"].unit == "mag"
    assert some.meta["astroml"]["rows"] == len(file)
    with pytest.raises(ArchiveError, match="no column 'magnitude'"):
        file.read(columns=["magnitude"])


def test_astropy_reads_the_file_with_its_units(sky, tmp_path):
    # Texts of any length are too much for astropy's reader of this form.
    file = sky.download("SELECT ra, tmag FROM demo.stars", tmp_path / "stars.parquet")
    found = Table.read(file.path, format="parquet.votable")
    assert found["tmag"].unit == "mag"
    assert found["ra"].meta["ucd"] == file.read()["ra"].meta["ucd"]


def test_a_file_shows_its_first_rows_and_how_many_there_are(sky, tmp_path):
    file = sky.download(EVERYTHING, tmp_path / "stars.parquet")
    html = file._repr_html_()
    assert f"{len(file)} rows" in html
    assert html.count("<tr>") < 12


# --- what goes wrong -----------------------------------------------------------------------------


def document(form: str, n: int, *, nrows: str = "", behind: str = "") -> bytes:
    table = Table({"id": np.arange(n), "name": [f"<x{i}>" for i in range(n)]})
    made = VOTableFile.from_table(table)
    made.resources[0].type = "results"
    made.resources[0].infos.append(Info(name="QUERY_STATUS", value="OK"))
    out = io.BytesIO()
    made.to_xml(out, tabledata_format=form)
    after = f'<INFO name="QUERY_STATUS" value="{behind}">disk full</INFO>' if behind else ""
    text = out.getvalue().replace(b"</TABLE>", f"</TABLE>{after}".encode())
    return text.replace(b"<TABLE", f'<TABLE nrows="{nrows}"'.encode(), 1) if nrows else text


def pieces(data: bytes, size: int = 1 << 16) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


ABOUT = {"archive": "here"}


@pytest.mark.parametrize("form", ["tabledata", "binary2"])
@pytest.mark.parametrize("size", [97, 1 << 16])
def test_a_file_of_many_blocks_holds_every_row_once(form, size, tmp_path, monkeypatch):
    monkeypatch.setattr(votables, "BLOCK", 100)
    monkeypatch.setattr(votables, "_PIECE", 5000)
    data = document(form, 3000, nrows="3000")
    told = []
    path = tmp_path / "t.parquet"
    file = answer.filed(pieces(data, size), path, about=ABOUT, progress=told.append)
    expected = answer.tabled(pieces(data), about=ABOUT)
    same(file.read(), expected)
    assert file.meta["astroml"]["row_hash"] == expected.meta["astroml"]["row_hash"]
    assert told == sorted(told)
    assert told[-1] == 3000
    assert pq.ParquetFile(path).metadata.num_row_groups > 1


@pytest.mark.parametrize("form", ["tabledata", "binary2"])
@pytest.mark.parametrize("fault", ["cut", "lost", "behind"])
def test_an_answer_that_is_not_whole_leaves_the_old_file_alone(form, fault, tmp_path):
    path = tmp_path / "t.parquet"
    answer.filed([document(form, 5)], path, about=ABOUT)
    data = document(
        form, 300, nrows="301" if fault == "lost" else "", behind="ERROR" * (fault == "behind")
    )
    with pytest.raises(ArchiveError):
        answer.filed(pieces(data[: -700 if fault == "cut" else None]), path, about=ABOUT)
    assert len(TableFile(path)) == 5
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_whose_writing_was_interrupted_says_so(tmp_path):
    left = Writer(tmp_path / "t.parquet")
    with pytest.raises(ArchiveError, match="not finished"):
        len(TableFile(tmp_path / "t.parquet"))
    left.__exit__()


def test_two_downloads_to_one_file_do_not_write_into_each_other(tmp_path):
    path = tmp_path / "t.parquet"

    def slowly():
        first, *others = pieces(document("binary2", 3000))
        yield first
        # Another process asks for the same file, and has it before this one.
        answer.filed([document("binary2", 5)], path, about=ABOUT)
        assert len(TableFile(path)) == 5
        yield from others

    answer.filed(slowly(), path, about=ABOUT)
    assert len(TableFile(path).read()) == 3000
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_does_not_exist_is_told_before_the_query(sky, tmp_path):
    with pytest.raises(ArchiveError, match="cannot be written"):
        sky.download(EVERYTHING, tmp_path / "no" / "t.parquet")


def test_the_hash_counts_values_and_order_and_not_what_nulls_hide():
    a = np.ma.masked_array([1.0, np.nan, 3.0], mask=[False, True, False])
    b = np.ma.masked_array([1.0, 7.0, 3.0], mask=[False, True, False])
    assert row_hash(["x"], [a]) == row_hash(["x"], [b])
    assert row_hash(["x"], [a]) != row_hash(["y"], [a])
    assert row_hash(["x"], [a]) != row_hash(["x"], [a[::-1]])
    assert row_hash(["x"], [np.array(["ab", "c"])]) != row_hash(["x"], [np.array(["a", "bc"])])
    made = RowHash(["x"])
    made.add([a[:1]])
    made.add([a[1:]])
    assert made.hexdigest() == row_hash(["x"], [a])


# --- Parquet of strangers ------------------------------------------------------------------------


def in_parquet(table: pa.Table, **options) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def test_a_file_without_a_votable_is_read_by_its_own_types():
    given = pa.table(
        {
            "n": pa.array([1, None, 3], pa.int32()),
            "t": ["a", None, "c"],
            "x": pa.array([[1.0, 2.0], [], None]),
            "when": pa.array([0, 1, 2], pa.timestamp("s")),
            "b": [True, False, None],
        }
    )
    found = answer.tabled([in_parquet(given)], about=ABOUT)
    assert found["n"].tolist() == [1, None, 3]
    assert found["t"].tolist() == ["a", "", "c"]
    assert [len(x) for x in found["x"]] == [2, 0, 0]
    assert found["when"][0] == "1970-01-01 00:00:00.000"
    assert found["b"].tolist() == [True, False, None]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_parquet_file_that_breaks_off_is_an_error(share):
    data = in_parquet(pa.table({"a": list(range(1000))}))
    with pytest.raises(ArchiveError):
        answer.tabled([data[: int(share * len(data))]], about=ABOUT)


def number(value: int) -> bytes:
    """A number as Thrift's compact protocol writes it."""
    value, out = value << 1, b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


BOMBS = {
    "unpacks": lambda: in_parquet(
        pa.table({"a": np.zeros(30_000_000)}), compression="zstd", use_dictionary=False,
        data_page_size=2**30, write_batch_size=2**28,
    ),
    "many rows": lambda: in_parquet(
        pa.table({"a": np.zeros(1000, "i4")}), compression=None, use_dictionary=False
    ).replace(number(1000), number(8000), 1),
    "lists": lambda: in_parquet(
        pa.table({"a": [[0.0] * 200_000] * 60}), write_statistics=False
    ),
    "texts": lambda: in_parquet(pa.table({"a": ["x" * 100_000] * 1000})),
    "front coded": lambda: in_parquet(
        pa.table({"a": ["x" * 10_000] * 10_000}), use_dictionary=False,
        column_encoding={"a": "DELTA_BYTE_ARRAY"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_parquet_file_that_would_fill_the_memory_is_refused_unread(name, monkeypatch):
    monkeypatch.setattr(answer, "_MAX_HELD", 50 * 2**20)
    data = BOMBS[name]()
    before = pa.total_allocated_bytes()
    with pytest.raises(ArchiveError, match=r"Refused to read|would take more"):
        answer.tabled([data], about=ABOUT)
    assert pa.total_allocated_bytes() - before < 2**20


def test_texts_that_repeat_stand_in_memory_once():
    data = in_parquet(pa.table({"a": ["x" * 10_000] * 5000}))
    found = answer.tabled([data], about=ABOUT)
    assert len({id(t) for t in found["a"]}) == 1


def test_damaged_bytes_end_in_an_error_of_ours_or_in_a_table():
    rng = np.random.default_rng(1)
    data = in_parquet(
        pa.table(
            {"a": rng.normal(size=500), "b": [f"x{i}" for i in range(500)], "c": [[1, 2]] * 500}
        )
    )
    for _ in range(300):
        bad = bytearray(data)
        for at in rng.integers(4, len(bad), 3):
            bad[at] = rng.integers(256)
        with suppress(ArchiveError):
            answer.tabled([bytes(bad)], about=ABOUT)


# --- memory --------------------------------------------------------------------------------------

ROWS = 1_000_000


def answered_in_pieces(blocks: int):
    """A BINARY2 table of `ROWS` rows of 60 bytes, made as it is read."""
    import base64

    head = document("binary2", 1)
    start, _, rest = head.partition(b'encoding="base64">')
    row = base64.b64decode(rest.partition(b"</STREAM>")[0])
    # A text of fixed length makes the rows of a size whose base64 needs no filling.
    part = row * (3 * 4096)
    yield start + b'encoding="base64">'
    for _ in range(blocks):
        yield base64.b64encode(part)
    yield b"</STREAM>" + rest.partition(b"</STREAM>")[2]


def measured(path: str, pipe) -> None:
    import resource

    blocks = ROWS // (3 * 4096)
    answer.filed(answered_in_pieces(1), path, about=ABOUT)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    file = answer.filed(answered_in_pieces(blocks), path, about=ABOUT)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send((len(file), after - before))


def test_a_million_rows_go_to_disk_in_bounded_memory(tmp_path):
    from pathlib import Path

    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    work = context.Process(target=measured, args=(Path(tmp_path / "t.parquet"), there))
    work.start()
    rows, kilobytes = here.recv()
    work.join()
    assert rows > 990_000
    # The texts alone take some 60 MB as Python objects.
    assert kilobytes < 60_000, f"{kilobytes} kB"


def test_provenance_is_kept_in_the_file_and_may_be_anything(sky, tmp_path):
    file = sky.download(EVERYTHING, tmp_path / "t.parquet")
    told = pq.ParquetFile(file.path).metadata.metadata
    assert json.loads(told[b"jupyter_astroml"])["adql"] == EVERYTHING
    assert set(file.meta["astroml"]["versions"]) == {"jupyter_astroml", "astropy", "numpy", "pyvo"}
    other = tmp_path / "o.parquet"
    table = pq.read_table(file.path)
    pq.write_table(table.replace_schema_metadata({"jupyter_astroml": "[1"}), other)
    assert TableFile(other).meta["astroml"] == {}
