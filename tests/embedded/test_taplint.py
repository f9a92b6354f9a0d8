"""STILTS taplint, the validator of TAP services, finds nothing to complain about."""

import json
import shutil
import subprocess
from typing import Any

import pytest

STAGES = "TMV TME TMS TMC CPV CAP AVV QGE QPO QAS UWS MDQ OBS UPL EXA"

pytestmark = pytest.mark.skipif(
    shutil.which("stilts") is None,
    reason="STILTS is not installed: apt install stilts, or https://www.star.bris.ac.uk/~mbt/stilts",
)


def complaints(url: str, *, stages: str = STAGES) -> list[str]:
    """Return errors, failures, warnings and stages that were not run.

    taplint itself ends with 0 whatever it finds.
    """
    done = subprocess.run(
        ["stilts", "taplint", f"tapurl={url}", "format=json", "report=EWF", f"stages={stages}"],
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    done_stages = {s["code"] for s in told["sections"]}
    found = [f"stage {stage} was not run" for stage in stages.split() if stage not in done_stages]
    found += [
        f"{report['level']} {section['code']}-{report.get('code')}: {report['text'][:300]}"
        for section in told["sections"]
        for report in section["reports"]
        if report["level"] in ("ERROR", "FAILURE", "WARNING")
    ]
    counted = sum(told["totals"].get(k, 0) for k in ("ERROR", "FAILURE", "WARNING"))
    return found if found or not counted else [str(told["totals"])]


def test_the_demo_archive_passes_every_stage_without_a_warning(archive):
    assert complaints(archive.tap) == []


def test_the_gate_fails_on_a_dead_port():
    found = complaints("http://127.0.0.1:9/tap", stages="TMV CPV AVV QGE")
    assert "stage QGE was not run" in found


def test_datalinklint_passes_for_known_and_unknown_datasets(archive):
    from urllib.parse import urlencode

    ids = [("ID", f"ivo://astroml.demo/sky?{k}") for k in ("field-00", "star-2026-00001", "nope")]
    done = subprocess.run(
        ["stilts", "datalinklint", f"votable={archive.url}/datalink?{urlencode(ids)}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "Totals: Errors: 0; Warnings: 0;" in done.stdout
    assert "Failures: 0" in done.stdout


@pytest.mark.parametrize("form", ["votable/td", "votable/b2"])
def test_votlint_is_silent_about_answers(archive, tmp_path, form):
    import requests

    for name in ("demo.galaxies", "ivoa.obscore", "tap_schema.columns"):
        query = {"LANG": "ADQL", "QUERY": f"SELECT * FROM {name}", "RESPONSEFORMAT": form}
        path = tmp_path / "answer.vot"
        path.write_bytes(requests.get(f"{archive.tap}/sync", params=query, timeout=60).content)
        done = subprocess.run(
            ["stilts", "votlint", f"votable={path}"],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert (done.stdout + done.stderr).strip() == ""
