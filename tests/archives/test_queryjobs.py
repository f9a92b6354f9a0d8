"""Queries that outlive whoever asked them, against the embedded archive in another process."""

import gc
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import requests
from astropy.table import Table

from jupyter_astroml.archives.archive import archive
from jupyter_astroml.core.errors import ArchiveError, QueryError
from jupyter_astroml.core.settings import settings

SLOW = (
    "SELECT COUNT(*) AS n FROM demo.galaxies a, demo.galaxies b, demo.stars c "
    "WHERE a.ra + b.ra > c.ra"
)
SLOWER = "SELECT COUNT(*) AS n FROM demo.galaxies a, demo.galaxies b, demo.galaxies c, demo.stars d"


@pytest.fixture
def sky(demo_archive, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROML_CACHE_DIR", str(tmp_path))
    with archive(demo_archive.tap) as made:
        yield made


@pytest.fixture
def jobs_folder(sky):
    return settings().cache_dir / "jobs"


def test_a_query_goes_on_when_its_kernel_is_killed(sky, jobs_folder):
    program = (
        "import sys; from jupyter_astroml.archives.archive import archive; "
        "archive(sys.argv[1]).query(sys.argv[2], mode='async')"
    )
    kernel = subprocess.Popen([sys.executable, "-c", program, sky.url, SLOW])
    deadline = time.monotonic() + 60
    while not list(jobs_folder.glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(kernel.pid, signal.SIGKILL)
    kernel.wait()
    (job,) = sky.jobs()
    galaxies, stars = (
        sky.query(f"SELECT ra FROM demo.{name}")["ra"].astype(float)
        for name in ("galaxies", "stars")
    )
    sums = np.sort(np.add.outer(galaxies, galaxies).ravel())
    expected = sum(len(sums) - np.searchsorted(sums, ra, side="right") for ra in stars)
    assert job.table()["n"][0] == expected
    assert len(sky.jobs()) == 1


def test_a_table_is_fetched_once_and_kept(sky, jobs_folder):
    job = sky.submit("SELECT TOP 5 id, ra FROM demo.galaxies ORDER BY id")
    first = job.table()
    # The archive forgets the job; what was fetched is here.
    sky._session.delete(job.record.url).close()
    (again,) = sky.jobs()
    assert again.phase == "COMPLETED"
    assert again.table()["id"].tolist() == first["id"].tolist()
    assert again.table()["ra"].unit == first["ra"].unit
    assert first.meta["astroml"]["job"] == job.record.url


def test_the_answers_of_polls_are_given_back(sky):
    sky.submit("SELECT TOP 5 id FROM demo.galaxies").forget()
    gc.collect()
    job = sky.submit(SLOW)
    for _ in range(20):
        assert job.phase
    job.table()
    gc.collect()
    # `isinstance` would ask deprecated stand-ins of other libraries for their class, which warns.
    held = [each for each in gc.get_objects() if issubclass(type(each), requests.Response)]
    assert len(held) < 5


def test_a_job_can_be_aborted_and_forgotten(sky):
    job = sky.submit(SLOWER)
    job.abort()
    assert job.phase == "ABORTED"
    with pytest.raises(ArchiveError, match="ABORTED"):
        job.table()
    job.forget()
    assert sky.jobs() == []
    assert sky._session.get(job.record.url).status_code == 404


def test_a_refused_query_is_told_when_its_table_is_asked_for(sky):
    job = sky.submit("SELECT no_such FROM demo.galaxies")
    with pytest.raises(QueryError, match="no_such"):
        job.table()


def test_a_table_that_broke_off_is_fetched_again(sky, jobs_folder):
    job = sky.submit("SELECT TOP 5 id FROM demo.galaxies")
    whole = job.table()
    (kept,) = jobs_folder.glob("*.xml")
    kept.write_bytes(kept.read_bytes()[:-60])
    with pytest.raises(ArchiveError):
        job.table()
    assert len(job.table()) == len(whole)


def test_damaged_notes_are_passed_over(sky, jobs_folder):
    sky.submit("SELECT TOP 1 id FROM demo.galaxies").table()
    (good,) = jobs_folder.glob("*.json")
    note = json.loads(good.read_text())
    (jobs_folder / "cut.json").write_text(good.read_text()[:20])
    (jobs_folder / "odd.json").write_text("[1, 2]")
    (jobs_folder / "more.json").write_text(json.dumps({**note, "token": "x"}))
    (jobs_folder / "near.json").write_text(json.dumps({**note, "url": "file:///etc/passwd"}))
    assert [job.record.url for job in sky.jobs()] == [note["url"]]


def test_a_job_whose_address_is_on_another_host_is_found_again(sky):
    # The embedded archive calls itself 127.0.0.1, whatever it was called.
    with archive(sky.url.replace("127.0.0.1", "localhost")) as same:
        job = same.submit("SELECT TOP 1 id FROM demo.galaxies")
        (found,) = same.jobs()
        assert found.record.url == job.record.url
        assert "localhost" not in job.record.url
        assert len(found.table()) == 1


def test_the_first_rows_can_be_looked_at_without_a_word_about_the_others(sky, recwarn):
    rows = sky.look("SELECT * FROM demo.galaxies", rows=4)
    assert len(rows) == 4
    assert rows.meta["astroml"]["overflow"]
    assert not recwarn.list


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_table_of_ones_own_is_matched_with_the_archives(sky, mode):
    some = sky.query("SELECT TOP 3 id, ra, dec FROM demo.galaxies ORDER BY id")
    mine = Table({"which": [1, 2, 3], "ra": some["ra"], "dec": some["dec"]})
    found = sky.query(
        "SELECT m.which, g.id FROM tap_upload.mine AS m JOIN demo.galaxies AS g "
        "ON 1 = CONTAINS(POINT(m.ra, m.dec), CIRCLE(g.ra, g.dec, 0.0003)) ORDER BY m.which",
        upload={"mine": mine},
        mode=mode,
    )
    assert found["id"].tolist() == some["id"].tolist()


def test_a_name_that_is_no_identifier_is_refused_before_it_is_sent(sky):
    with pytest.raises(QueryError, match="uploaded as"):
        sky.query("SELECT 1", upload={"a;b": Table({"x": [1]})})


def test_the_archives_binary_form_is_asked_for(sky):
    assert "binary2" in sky._form("").lower()
    table = sky.query("SELECT TOP 2 id, ra FROM demo.galaxies ORDER BY id")
    assert table["ra"].dtype == np.float64
