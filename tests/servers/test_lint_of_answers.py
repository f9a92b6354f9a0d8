"""STILTS finds nothing to complain about in what our archive answers of the twin data."""

import shutil
import subprocess

import pytest
import requests

from jupyter_astroml.archives.archive import archive

pytestmark = pytest.mark.skipif(
    shutil.which("stilts") is None,
    reason="STILTS is not installed: apt install stilts, or https://www.star.bris.ac.uk/~mbt/stilts",
)


def stilts(*words: str) -> str:
    """Return what a validator says; it ends with 0 whatever it finds."""
    done = subprocess.run(
        ["stilts", *words], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("sia2/query?POS=CIRCLE+150+2.2+5", 8),
        ("ssa/query?REQUEST=queryData&BAND=5e-7", 6),
        ("scs/twin.sources?RA=150&DEC=2.2&SR=5&VERB=3", 600),
    ],
)
def test_votlint_is_silent_about_answers_with_rows(embedded, tmp_path, path, rows):
    answer = requests.get(f"{embedded.url}/{path}", timeout=30)
    assert answer.text.count("<TR>") == rows
    (tmp_path / "answer.vot").write_bytes(answer.content)
    assert stilts("votlint", f"votable={tmp_path / 'answer.vot'}").strip() == ""


@pytest.mark.parametrize("product", ["image", "spectrum"])
def test_datalinklint_finds_nothing_where_rows_lead(embedded, product):
    with archive(embedded.tap) as ours:
        rows = ours.observations(product=product, top=1)
    said = stilts("datalinklint", f"votable={rows['access_url'][0]}")
    assert "Totals: Errors: 0; Warnings: 0;" in said
    assert "Failures: 0" in said
