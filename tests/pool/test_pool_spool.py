"""The folder in which a pool keeps its jobs."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_astroml.core.errors import SettingsError
from jupyter_astroml.core.jobs import Answer
from jupyter_astroml.pool.journal import ANSWERED, FAILED, LEAST_BYTES, QUEUED, Journal

HOLD = """
import sys
from pathlib import Path
from jupyter_astroml.pool.journal import Journal
journal = Journal(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_folder_has_one_pool_until_that_ends(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(SettingsError, match="Another pool keeps its jobs"):
            Journal(tmp_path)
        # As by the kernel's memory guard: nothing is cleaned up.
        other.kill()
    journal = Journal(tmp_path)
    assert journal.jobs() == []
    journal.close()
    Journal(tmp_path).close()


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path)
    yield made
    made.close()


def new_job(journal, user="alice", client="one"):
    about = {"model": "m", "digest": "d", "operation": "logits", "exact": False, "chunks": 99}
    return journal.create(user, client, **about)


def add(journal, job, number, n=3):
    with journal.receiving(job, number) as path:
        path.write_bytes(np.arange(4 * n, dtype="<f4").tobytes())
        return journal.add(job, number, sha256="", shape=(n, 4), file=path)


def answer(n=3):
    return Answer(np.ones((n, 2), np.float32), np.zeros(n, np.uint8))


def test_only_the_rows_that_are_asked_for_are_read(journal):
    chunk = add(journal, new_job(journal), 0, n=5)
    values = journal.values(chunk)
    assert len(values) == 5
    np.testing.assert_array_equal(values[1:5][2:4].read(), np.arange(12, 20).reshape(2, 4))


def test_a_chunk_whose_file_was_cut_is_not_read_as_something_else(journal, tmp_path):
    job = new_job(journal)
    chunk = add(journal, job, 0, n=5)
    os.truncate(tmp_path / job.id / "0.in", 70)
    with pytest.raises(ValueError, match="reshape"):
        journal.values(chunk)[3:5].read()


def test_what_a_killed_pool_left_behind_is_removed_and_nothing_else(journal, tmp_path):
    job = new_job(journal)
    add(journal, job, 0)
    journal.keep(add(journal, job, 1), answer())
    folder = tmp_path / job.id
    noted = {"0.in", "1.out"}
    for name in ("0.out", "1.in", "2.in", "7-0.part"):
        (folder / name).write_bytes(b"left")
    (tmp_path / ("ab" * 16)).mkdir()
    (tmp_path / ("ab" * 16) / "0.in").write_bytes(b"left")
    (tmp_path / "mine").mkdir()
    journal.close()

    again = Journal(tmp_path)

    assert {path.name for path in folder.iterdir()} == noted
    assert not (tmp_path / ("ab" * 16)).exists()
    assert (tmp_path / "mine").exists()
    again.close()


steps = st.lists(
    st.tuples(
        st.sampled_from(("add", "keep", "fail", "release", "delete")),
        st.sampled_from("ab"),
        st.integers(0, 3),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=30)
@given(steps)
def test_the_bytes_that_are_counted_are_those_that_a_new_pool_counts(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("spool")
    journal = Journal(folder)
    for step, user, number in steps:
        job = new_job(journal, user)
        chunk = journal.chunk(job, number)
        if step == "add" and chunk is None:
            add(journal, job, number, n=1 + 9000 * number)
        elif step == "keep" and chunk is not None and chunk.state == QUEUED:
            journal.keep(chunk, answer(1 + 9000 * number))
        elif step == "fail" and chunk is not None and chunk.state == QUEUED:
            journal.fail(chunk, "no")
        elif step == "release":
            journal.release(job, number)
        elif step == "delete":
            journal.delete(job)
    states = (QUEUED, ANSWERED, FAILED)
    counted = {(u, s): journal.bytes(u, state=s) for u in "ab" for s in states}
    journal.close()
    again = Journal(folder)
    assert counted == {(u, s): again.bytes(u, state=s) for u in "ab" for s in states}
    assert again.bytes() == sum(counted.values())
    again.close()


def test_a_chunk_counts_for_what_keeping_track_of_it_costs(journal):
    job = new_job(journal)
    for number in range(10):
        add(journal, job, number)
    assert journal.bytes("alice", state=QUEUED) == 10 * LEAST_BYTES
