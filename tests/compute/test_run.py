from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import compute_performs as performs
import numpy as np
import pytest
import zarr

from jupyter_astroml.compute import store
from jupyter_astroml.compute.run import Run, runs
from jupyter_astroml.core.errors import AstroMLError, DataError, RunError
from jupyter_astroml.core.records import LightCurves, Predictions, References, Spectra


@pytest.fixture
def run(tmp_path, make_job) -> Run:
    return Run.create(
        tmp_path / "run", job=make_job(), data=performs.references(50), block_size=16, meta={"a": 1}
    )


def finish(run: Run) -> None:
    for block in run.missing():
        run.add(block, performs.answers(run.job, block.data))


def light_curves(n: int) -> LightCurves:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(n, 30)).astype(np.float32)
    values[:, 25:] = np.nan
    return LightCurves(
        ids=[f"s{i}" for i in range(n)],
        time=np.tile(np.arange(30.0), (n, 1)),
        values=values,
        errors=np.abs(values),
        time_zero=2457000.0,
        band="TESS",
        simulated=True,
        meta={"seed": 1},
    )


def spectra(n: int) -> Spectra:
    values = np.random.default_rng(2).normal(size=(n, 12)).astype(np.float32)
    values[:, 10:] = np.nan
    wavelength = np.linspace(4000, 4100, 12) + np.arange(n)[:, None]
    ids = [f"q{i}" for i in range(n)]
    return Spectra(ids, wavelength, values, medium="air", frame="rest", flux_unit="Jy")


def parts(n: int) -> References:
    """References to parts of files."""
    whole = performs.references(n)
    return replace(whole, wave_range=(4e-7, 7e-7), time_range=(58000.0, 58001.5))


@pytest.mark.parametrize(
    "data",
    [performs.references(20), parts(20), performs.cutouts(20), light_curves(20), spectra(20)],
)
def test_data_come_back_from_disk_bit_for_bit(tmp_path, make_job, data):
    made = Run.create(tmp_path / "run", job=make_job(), data=data, block_size=7)
    blocks = list(Run.open(made.folder).missing())
    assert [len(b) for b in blocks] == [7, 7, 6]
    for block, start in zip(blocks, (0, 7, 14), strict=True):
        want = data[start : start + 7]
        assert type(block.data) is type(data)
        for name, value in vars(want).items():
            got = getattr(block.data, name)
            if isinstance(value, np.ndarray):
                assert got.dtype.kind == value.dtype.kind, name
                assert np.array_equal(got, value, equal_nan=value.dtype.kind == "f"), name
            else:
                assert got == value, name


def test_blocks_are_read_right_across_the_groups_of_the_table(tmp_path, make_job):
    n = 40_000
    data = performs.references(n)
    made = Run.create(tmp_path / "run", job=make_job(), data=data, block_size=3000)
    for index in (13, 0, 5, 6):
        want = data.ids[index * 3000 : (index + 1) * 3000]
        assert made.block(index).data.ids.tolist() == want.tolist()
    assert made.select(["o39999", "o00000"]).ids.tolist() == ["o39999", "o00000"]


def test_a_thread_gets_its_own_objects_whatever_others_read_meanwhile(tmp_path, make_job):
    data = performs.references(40_000)
    made = Run.create(tmp_path / "run", job=make_job(), data=data, block_size=4096)

    def give_way(frame, event, _):
        # Between any two lines of the reader another thread may read objects of another group.
        if frame.f_code.co_filename != store.__file__:
            return None
        if event == "line":
            made.block(9)
        return give_way

    before = sys.gettrace()
    sys.settrace(give_way)
    try:
        got = made.block(0)
    finally:
        sys.settrace(before)
    assert got.data.ids.tolist() == data.ids[:4096].tolist()


def test_answers_come_back_in_the_order_of_the_objects_whatever_order_they_arrived_in(run):
    blocks = list(run.missing())
    for block in (blocks[2], blocks[0]):
        run.add(block, performs.answers(run.job, block.data))
    part = Run.open(run.folder).predictions()
    assert part.ids.tolist() == performs.references(50).ids[[*range(16), *range(32, 48)]].tolist()
    assert Run.open(run.folder).progress().done == 32
    assert [b.index for b in run.missing()] == [1, 3]
    finish(run)
    want = performs.answers(run.job, performs.references(50))
    got = Run.open(run.folder).predictions()
    assert performs.same(got, want)
    assert got.meta["model"] == "test/model"
    assert got.meta["a"] == 1
    at = run.progress()
    assert (at.done, at.total, at.failed, at.finished) == (50, 50, 5, True)


@pytest.mark.parametrize(
    "values",
    [
        np.arange(24, dtype=">f8").reshape(2, 3, 4),
        np.arange(6, dtype=np.int16).reshape(2, 3)[:, ::-1],
        np.array([[True, False], [False, True]]),
        np.zeros((2, 0), dtype=np.float32),
        np.full((2, 5), np.nan, dtype=np.float16),
        np.arange(2, dtype=np.uint8),
    ],
    ids=lambda v: f"{v.dtype} {v.shape}",
)
def test_dense_answers_are_zarr_arrays_that_anybody_can_read(tmp_path, make_job, values):
    made = Run.create(tmp_path / "run", job=make_job(), data=performs.references(2), block_size=2)
    block = made.block(0)
    made.add(block, Predictions(block.data.ids, ["ok"] * 2, {}, arrays={"x": values}))
    stored = zarr.open_group(made.folder / "blocks/00000/arrays.zarr", mode="r")
    assert stored.metadata.zarr_format == 3
    assert np.array_equal(stored["x"][...], values, equal_nan=values.dtype.kind == "f")
    got = Run.open(made.folder).predictions().arrays["x"]
    assert got.dtype == values.dtype.newbyteorder("=")
    assert np.array_equal(got, values, equal_nan=values.dtype.kind == "f")


def test_a_run_without_answers_is_empty_and_says_so(run):
    assert len(run.predictions()) == 0
    assert run.summary["done"] == 0
    assert "0 of 50" in repr(run)


def test_texts_of_a_run_are_escaped_in_a_notebook(tmp_path, make_job):
    made = Run.create(
        tmp_path / "<img src=x>", job=make_job(), data=performs.references(2), block_size=2
    )
    assert "<img" not in made._repr_html_()


def damage_truncate(block: Path) -> None:
    os.truncate(block / "columns.parquet", 40)


def damage_one_bit(block: Path) -> None:
    chunk = next(p for p in (block / "arrays.zarr/curve/c").rglob("*") if p.is_file())
    raw = bytearray(chunk.read_bytes())
    raw[len(raw) // 2] ^= 1
    chunk.write_bytes(raw)


def damage_remove(block: Path) -> None:
    (block / "columns.parquet").unlink()


def damage_manifest(block: Path) -> None:
    (block / "block.json").write_text('{"index": 1, "n"')


def damage_empty(block: Path) -> None:
    shutil.rmtree(block)
    block.mkdir()


def damage_numbers(block: Path) -> None:
    about = json.loads((block / "block.json").read_text())
    (block / "block.json").write_text(json.dumps({**about, "n": "many"}))


def damage_link(block: Path) -> None:
    aside = block.with_name("aside")
    block.rename(aside)
    block.symlink_to(aside)


@pytest.mark.parametrize(
    "damage",
    [
        damage_truncate,
        damage_one_bit,
        damage_remove,
        damage_manifest,
        damage_empty,
        damage_numbers,
        damage_link,
    ],
)
def test_a_damaged_block_is_found_and_done_again(run, damage):
    finish(run)
    before = run.predictions()
    damage(run.folder / "blocks/00001")
    again = Run.open(run.folder)
    assert [b.index for b in again.missing()] == [1]
    assert len(again.predictions()) == 34
    finish(again)
    assert performs.same(Run.open(run.folder).predictions(), before)


def test_drafts_of_a_killed_driver_are_not_answers_and_are_removed(run):
    finish(run)
    shutil.copytree(run.folder / "blocks/00001", run.folder / "blocks/.00001.abcd")
    assert run.progress().done == 50
    with run.locked():
        assert not (run.folder / "blocks/.00001.abcd").exists()


def about(run: Run) -> dict:
    return json.loads((run.folder / "run.json").read_text())


HOSTILE = {
    "no format": lambda a: a.pop("format"),
    "a later format": lambda a: a.update(format=99),
    "no job": lambda a: a.pop("job"),
    "a task that is a path": lambda a: a["job"].update(task="../../etc/passwd"),
    "a task that is code": lambda a: a["job"].update(task="os.system"),
    "a model with a line break": lambda a: a["job"].update(model="a\nb"),
    "a model that is a list": lambda a: a["job"].update(model=["a"]),
    "a digest that is no text": lambda a: a["job"].update(digest=None),
    "options that are a list": lambda a: a["job"].update(options=["x"]),
    "a block size of zero": lambda a: a.update(block_size=0),
    "a negative block size": lambda a: a.update(block_size=-16),
    "a block size that is true": lambda a: a.update(block_size=True),
    "a block size beyond all measure": lambda a: a.update(block_size=10**30),
    "a fractional block size": lambda a: a.update(block_size=1.5),
    "another block size": lambda a: a.update(block_size=17),
    "more objects than there are": lambda a: a["data"].update(n=51),
    "an unknown record": lambda a: a["data"].update(record="Predictions"),
    "a record that is a path": lambda a: a["data"].update(record="../x"),
    "fields that no record has": lambda a: a["data"]["scalars"].update(evil=1),
    "ids in the wrong place": lambda a: a["data"]["scalars"].update(ids=["x"]),
    "scalars that are text": lambda a: a["data"].update(scalars="x"),
    "groups of no rows": lambda a: a["data"].update(group_rows=0),
    "meta that is no mapping": lambda a: a.update(meta=[1]),
    "data that are no mapping": lambda a: a.update(data=3),
}


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_values_in_run_json_are_refused(run, spoil):
    given = about(run)
    spoil(given)
    (run.folder / "run.json").write_text(json.dumps(given))
    with pytest.raises(RunError):
        next(Run.open(run.folder).missing())


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"block_size": NaN}'])
def test_a_run_json_that_is_no_run_is_refused(run, text):
    (run.folder / "run.json").write_text(text)
    with pytest.raises(RunError):
        Run.open(run.folder)


def test_arrays_with_pickled_objects_are_refused(tmp_path, make_job):
    made = Run.create(tmp_path / "run", job=make_job(), data=performs.cutouts(4), block_size=2)
    np.save(made.folder / "data/values.npy", np.array([print] * 4, dtype=object), allow_pickle=True)
    with pytest.raises(RunError):
        Run.open(made.folder)


def test_a_run_whose_blocks_lie_elsewhere_is_refused(run, tmp_path):
    (run.folder / "blocks").rename(tmp_path / "elsewhere")
    (run.folder / "blocks").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="no directory"):
        Run.open(run.folder)


def test_a_folder_that_is_taken_is_left_as_it_is(run, make_job):
    before = about(run)
    with pytest.raises(RunError, match="taken"):
        Run.create(run.folder, job=make_job(), data=performs.references(3), block_size=1)
    assert about(run) == before


def test_an_id_that_stands_twice_is_refused_with_its_name(tmp_path, make_job):
    data = performs.references(5)
    with pytest.raises(DataError, match="o00003"):
        Run.create(tmp_path / "x", job=make_job(), data=data[[0, 3, 3]], block_size=2)
    with pytest.raises(DataError, match="no object"):
        Run.create(tmp_path / "x", job=make_job(), data=data[:0], block_size=2)
    assert list(tmp_path.iterdir()) == [tmp_path / "log"]


def test_answers_of_other_objects_or_in_another_order_are_refused(run):
    first, second, *_ = run.missing()
    with pytest.raises(RunError, match="not those of its objects"):
        run.add(first, performs.answers(run.job, second.data))
    with pytest.raises(RunError, match="not those of its objects"):
        run.add(first, performs.answers(run.job, first.data)[::-1])
    assert run.progress().done == 0


@pytest.mark.parametrize("name", ["../x", "a/b", "", "ra", "id", ".hidden", "x" * 200, "a\0b"])
def test_answers_with_names_that_are_paths_or_taken_are_refused(run, name):
    block = next(run.missing())
    good = performs.answers(run.job, block.data)
    for columns, arrays in [({name: np.zeros(16)}, {}), ({}, {name: np.zeros((16, 2))})]:
        bad = Predictions(ids=good.ids, status=good.status, columns=columns, arrays=arrays)
        with pytest.raises(DataError):
            run.add(block, bad)
    assert [p.name for p in (run.folder / "blocks").iterdir()] == []


def test_a_folder_where_one_may_not_write_gives_a_clear_error(make_job):
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        made = Run.create(folder / "run", job=make_job(), data=performs.references(8), block_size=4)
        first, second = made.missing()
        made.add(first, performs.answers(made.job, first.data))
        (made.folder / "blocks").chmod(0o555)
        answers = performs.answers(made.job, second.data)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            with pytest.raises(RunError, match="cannot be written") as caught:
                made.add(second, answers)
            with pytest.raises(RunError, match="cannot be made"):
                Run.create(folder / "b", job=made.job, data=performs.references(8), block_size=4)
        finally:
            if root:
                os.seteuid(0)
        assert "Permission denied" in caught.value.cause
        assert Run.open(made.folder).progress().done == 4
    finally:
        (folder / "run/blocks").chmod(0o755)
        shutil.rmtree(folder)


def full_disk() -> None:
    """Let the kernel refuse to write files past 3 kB, as a full disk or quota does."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))


WRITE_ALL = """
import sys
import compute_performs as performs
from jupyter_astroml.compute.run import Run
from jupyter_astroml.core.errors import RunError
run = Run.open(sys.argv[1])
for block in run.missing():
    try:
        run.add(block, performs.answers(run.job, block.data))
    except RunError as err:
        print(err)
        sys.exit(3)
"""


def test_a_full_disk_gives_a_clear_error_and_keeps_what_was_written(tmp_path, make_job):
    made = Run.create(
        tmp_path / "run", job=make_job(), data=performs.references(432), block_size=400
    )
    small = made.block(1)
    made.add(small, performs.answers(made.job, small.data))
    ended = subprocess.run(
        [sys.executable, "-c", WRITE_ALL, str(made.folder)],
        preexec_fn=full_disk,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
    )
    assert ended.returncode == 3, ended.stderr
    assert "cannot be written" in ended.stdout
    assert "make room on the disk" in ended.stdout
    assert sorted(p.name for p in (made.folder / "blocks").iterdir()) == ["00001"]
    again = Run.open(made.folder)
    assert again.progress().done == 32
    finish(again)
    assert again.progress().finished


HOLD = """
import sys, time
from jupyter_astroml.compute.run import Run
with Run.open(sys.argv[1]).locked():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_driver_is_refused_and_told_who_has_the_run(run):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.folder)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match=f"process {holder.pid}"), run.locked():
            pass
        holder.kill()
        holder.wait()
    # The lock of a killed process is free at once.
    with run.locked(), pytest.raises(RunError, match="already"), Run.open(run.folder).locked():
        pass


def test_runs_of_a_folder_are_listed_oldest_first_and_broken_ones_named(tmp_path, make_job):
    for name, created in (("b", "2026-01-01"), ("a", "2026-02-01")):
        data = performs.references(3)
        meta = {"created": created}
        Run.create(tmp_path / name, job=make_job(), data=data, block_size=2, meta=meta)
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    (tmp_path / "c/run.json").write_text("{}")
    with pytest.warns(UserWarning, match=r"/c is left out"):
        found = runs(tmp_path)
    assert [r.folder.name for r in found] == ["b", "a"]


def test_an_unknown_id_is_named(run):
    with pytest.raises(RunError, match="no object 'o99'"):
        run.select(["o00001", "o99"])
    with pytest.raises(AstroMLError, match="No object was named"):
        run.select([])


def test_a_run_is_found_by_its_whole_path_when_the_working_directory_changes(
    tmp_path, make_job, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    made = Run.create("here", job=make_job(), data=performs.references(3), block_size=2)
    monkeypatch.chdir("/")
    finish(made)
    assert made.progress().finished
