"""Jobs: their life from PENDING to deletion."""

import time

import pytest
import pyvo
import requests

HEAVY = (
    "SELECT COUNT(*) AS n FROM demo.galaxies AS a, demo.galaxies AS b, demo.galaxies AS c, "
    "demo.galaxies AS d WHERE DISTANCE(a.ra, b.dec, c.ra, d.dec) "
    "< DISTANCE(b.ra, c.dec, d.ra, a.dec)"
)


@pytest.fixture
def submit(archive):
    made = []

    def job(query="SELECT TOP 3 id FROM demo.galaxies", **more) -> str:
        answer = requests.post(
            f"{archive.tap}/async",
            data={"LANG": "ADQL", "QUERY": query, **more},
            allow_redirects=False,
            timeout=10,
        )
        assert answer.status_code == 303
        made.append(answer.headers["Location"])
        return made[-1]

    yield job
    for url in made:
        requests.delete(url, timeout=10)


def phase(url: str) -> str:
    return requests.get(f"{url}/phase", timeout=10).text


def post(url: str, **data) -> requests.Response:
    return requests.post(url, data=data, timeout=10, allow_redirects=False)


def wait(url: str, seconds: int = 20) -> str:
    end = time.monotonic() + seconds
    while phase(url) in ("PENDING", "QUEUED", "EXECUTING") and time.monotonic() < end:
        requests.get(url, params={"WAIT": 5}, timeout=20)
    return phase(url)


def test_a_job_goes_from_pending_to_completed_and_away(submit):
    url = submit()
    assert phase(url) == "PENDING"
    assert post(f"{url}/phase", PHASE="RUN").status_code == 303
    assert wait(url) == "COMPLETED"
    result = requests.get(f"{url}/results/result", timeout=10)
    assert result.headers["Content-Type"] == "application/x-votable+xml"
    assert result.text.count("<TR>") == 3
    assert requests.get(f"{url}/error", timeout=10).status_code == 404
    assert requests.delete(url, timeout=10, allow_redirects=False).status_code == 303
    assert requests.get(url, timeout=10).status_code == 404
    assert requests.get(f"{url}/results/result", timeout=10).status_code == 404


def test_a_job_may_be_created_running(submit):
    assert wait(submit(PHASE="RUN", RESPONSEFORMAT="csv")) == "COMPLETED"


def test_parameters_can_be_changed_until_the_job_runs(submit):
    url = submit("SELECT nonsense", RUNID="mine")
    assert post(f"{url}/parameters", QUERY="SELECT TOP 1 id FROM demo.stars").status_code == 303
    document = requests.get(url, timeout=10).text
    assert "demo.stars" in document
    assert "<uws:runId>mine</uws:runId>" in document
    post(f"{url}/phase", PHASE="RUN")
    assert wait(url) == "COMPLETED"
    assert post(f"{url}/parameters", QUERY="SELECT 1").status_code == 403


def test_a_wrong_query_ends_in_error_with_its_reason(submit):
    url = submit("SELECT nosuch FROM demo.galaxies", PHASE="RUN")
    assert wait(url) == "ERROR"
    assert "Unknown column nosuch" in requests.get(url, timeout=10).text
    error = requests.get(f"{url}/error", timeout=10)
    assert 'value="ERROR"' in error.text
    assert requests.get(f"{url}/results/result", timeout=10).status_code == 404


def test_a_running_job_can_be_aborted_and_others_are_not_blocked(submit, archive):
    url = submit(HEAVY, PHASE="RUN")
    for _ in range(100):
        if phase(url) == "EXECUTING":
            break
        time.sleep(0.05)
    assert phase(url) == "EXECUTING"
    before = time.monotonic()
    quick = requests.get(
        f"{archive.tap}/sync",
        params={"LANG": "ADQL", "QUERY": "SELECT TOP 1 id FROM demo.stars"},
        timeout=30,
    )
    assert quick.status_code == 200
    assert time.monotonic() - before < 15
    post(f"{url}/phase", PHASE="ABORT")
    assert phase(url) == "ABORTED"
    assert requests.get(f"{url}/results/result", timeout=10).status_code == 404


def test_a_job_ends_at_its_execution_duration(submit):
    url = submit(HEAVY)
    post(f"{url}/executionduration", EXECUTIONDURATION="1")
    assert requests.get(f"{url}/executionduration", timeout=10).text == "1"
    post(f"{url}/phase", PHASE="RUN")
    assert wait(url, 30) == "ERROR"
    assert "longer than 1 s" in requests.get(url, timeout=10).text


def test_wait_blocks_until_the_phase_changes_and_no_longer(submit):
    url = submit()
    before = time.monotonic()
    requests.get(url, params={"WAIT": 1}, timeout=10)
    assert 0.9 < time.monotonic() - before < 8
    before = time.monotonic()
    requests.get(url, params={"WAIT": 30, "PHASE": "EXECUTING"}, timeout=10)
    assert time.monotonic() - before < 8  # it is in another phase
    assert requests.get(url, params={"WAIT": "soon"}, timeout=10).status_code == 400


def test_destruction_can_be_moved_within_limits_and_is_carried_out(submit):
    url = submit()
    post(f"{url}/destruction", DESTRUCTION="2099-01-01T00:00:00Z")
    assert requests.get(f"{url}/destruction", timeout=10).text < "2098"
    assert post(f"{url}/destruction", DESTRUCTION="tomorrow").status_code == 400
    post(f"{url}/destruction", DESTRUCTION="2001-01-01T00:00:00Z")
    submit()  # jobs are cleaned whenever one is added
    assert requests.get(url, timeout=10).status_code == 404


def test_the_list_of_jobs_can_be_filtered(submit, archive):
    pending, done = submit(), submit(PHASE="RUN")
    wait(done)
    listed = requests.get(f"{archive.tap}/async", params={"PHASE": "COMPLETED"}, timeout=10).text
    assert done in listed
    assert pending not in listed
    last = requests.get(f"{archive.tap}/async", params={"LAST": 1}, timeout=10).text
    assert last.count("<uws:jobref") == 1
    future = requests.get(
        f"{archive.tap}/async", params={"AFTER": "2099-01-01T00:00:00Z"}, timeout=10
    )
    assert "<uws:jobref" not in future.text
    assert requests.get(f"{archive.tap}/async?LAST=none", timeout=10).status_code == 400


def test_nonsense_to_a_job_is_refused(submit):
    url = submit()
    assert post(f"{url}/phase", PHASE="FLY").status_code == 400
    assert post(f"{url}/executionduration", EXECUTIONDURATION="-5").status_code == 400
    assert post(f"{url}/nosuch", X="1").status_code == 404
    assert requests.get(f"{url}/nosuch", timeout=10).status_code == 404
    assert requests.get(url.replace(url[-16:], "0" * 16), timeout=10).status_code == 404
    assert post(url.rsplit("/", 1)[0], QUERY="x", RUNID="a" * 1000).status_code == 400


def test_pyvo_walks_a_job_through_its_life(tap):
    job = tap.submit_job("SELECT TOP 10 * FROM demo.galaxies")
    assert job.phase == "PENDING"
    job.run()
    job.wait(timeout=30)
    job.raise_if_error()
    assert len(job.fetch_result()) == 10
    assert job.execution_duration.to_value("s") == 600
    job.delete()
    failing = tap.submit_job("SELECT nosuch FROM demo.galaxies")
    failing.run()
    failing.wait(timeout=30)
    with pytest.raises(pyvo.dal.DALQueryError, match="nosuch"):
        failing.raise_if_error()
    failing.delete()
