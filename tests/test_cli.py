"""The shell's face, in processes of its own."""

import json
import subprocess
import sys

import numpy as np
import pytest
import requests
from astropy.table import Table

import jupyter_astroml as aml
from jupyter_astroml.cli import printing
from jupyter_astroml.compute.run import Run


def run(*arguments, expect=0):
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_astroml", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def test_models_are_listed_for_programs():
    found = json.loads(run("models", "list", "--json"))
    assert {"galaxy_morphology", "flares"} <= {m["name"] for m in found}


def test_a_card_is_shown_to_people():
    assert "limit:" in run("models", "show", "flares")


def test_stored_answers_are_replayed():
    found = json.loads(run("models", "test", "--all", "--json"))
    assert all(m["passed"] for m in found)


def test_a_query_prints_rows_and_provenance(demo_archive):
    text = run(
        "query", "SELECT TOP 2 id, ra FROM demo.galaxies", "--archive", demo_archive.tap, "--json"
    )
    found = json.loads(text)
    assert len(found["rows"]) == 2
    assert found["meta"]["overflow"] is False


def test_images_and_spectra_are_found_without_adql(demo_archive):
    asked = ["images", "--archive", demo_archive.tap, "--band", "400 nm", "700 nm"]
    found = json.loads(run(*asked, "--json"))
    assert len(found["rows"]) == 8
    assert found["meta"]["parameters"]["BAND"].startswith("4")
    where = ["--position", "10 -80", "--radius", "1 deg", "--time", "2020-01-01", "2021-01-01"]
    assert json.loads(run(*asked, *where, "--json"))["rows"] == []
    nothing = run("spectra", *asked[1:], "--json")
    assert json.loads(nothing)["rows"] == []


@pytest.mark.parametrize(
    "wrong", [["--band", "400", "red"], ["--time", "noon", "2021-01-01"], ["--band", "400 nm"]]
)
def test_a_wrong_band_or_time_is_a_wrong_command_line(wrong):
    run("images", *wrong, expect=2)


def test_a_prediction_is_made_kept_listed_and_explained(demo_archive, tmp_path):
    folder = tmp_path / "run"
    asked = ["--query", "SELECT TOP 3 * FROM demo.galaxies ORDER BY id"]
    asked += ["--archive", demo_archive.tap]
    out = tmp_path / "answers.parquet"
    asked += ["--block", 2, "--size", 40]
    text = run("predict", "galaxy_morphology", *asked, "--run", folder, "--out", out, "--json")
    found = json.loads(text)
    assert Run.open(folder).block_size == 2
    assert (found["done"], found["failed"]) == (3, 0)
    assert out.exists()
    assert [r["name"] for r in json.loads(run("runs", "--folder", tmp_path, "--json"))] == ["run"]
    came = json.loads(run("manifest", folder, "--json"))
    assert [(m["status"], m["tries"]) for m in came] == [("ok", 1)] * 3
    name = found["rows"][0]["id"]
    words = json.loads(run("explain", folder, name, "--method", "gradient", "--trust", "--json"))
    assert words[0]["id"] == name
    assert "attribution" in words[0]["summary"]
    assert -1 <= words[0]["trust"]["unlearned"] <= 1
    assert words[0]["trust"]["completeness"] is None
    page = tmp_path / "page.html"
    told = json.loads(run("report", folder, "--out", page, "--objects", 1, "--json"))
    assert told == {"report": str(page)}
    assert "<title>" in page.read_text(encoding="utf-8")


def test_the_fit_of_rows_is_told_before_a_run(demo_archive):
    asked = ["--query", "SELECT TOP 2 * FROM demo.galaxies", "--archive", demo_archive.tap]
    rows = json.loads(run("check", "galaxy_morphology", *asked, "--json"))
    assert [r["fit"].split(":")[0] for r in rows] == ["converted", "converted"]


@pytest.mark.parametrize("suffix", ["vot", "fits", "csv"])
def test_a_model_is_run_over_a_file_of_rows(demo_archive, tmp_path, suffix):
    table = tmp_path / f"rows.{suffix}"
    # Long enough for several cards of FITS, with blanks wherever they break.
    blanks = " " * 90
    query = f"SELECT TOP 2 * FROM{blanks}demo.galaxies WHERE{blanks}ra > 0"
    asked = [query, "--archive", demo_archive.tap]
    run("query", *asked, "--out", table)
    made = json.loads(run("check", "galaxy_morphology", "--table", table, "--json"))
    assert [row["fit"].split(":")[0] for row in made] == ["converted", "converted"]
    if suffix != "csv":
        assert aml.read(table).meta["astroml"]["adql"] == asked[0]
    both = ["--table", table, "--query", "SELECT 1"]
    assert "Give --query" in run("check", "flares", *both, "--json", expect=2)


def test_what_to_cite_is_told():
    told = json.loads(run("cite", "galaxy_morphology", "--json"))
    assert "@" in told["bibtex"]


@pytest.mark.parametrize("name", ["answers.txt", "nowhere/answers.csv"])
def test_a_file_that_cannot_be_written_is_refused_before_the_work(name, tmp_path):
    # Nobody is at this address: the command must not get as far as to ask.
    asked = ["--query", "SELECT 1", "--archive", "http://127.0.0.1:9/tap"]
    text = run("predict", "flares", *asked, "--out", tmp_path / name, "--json", expect=2)
    found = json.loads(text)["error"]
    assert set(found) == {"code", "what", "cause", "remedy"}
    assert found["code"] == "usage"
    assert "--out" in found["what"]


@pytest.mark.parametrize("asked", [["predict", "flares"], ["nothing"], ["runs", "--nothing"]])
def test_a_wrong_command_line_is_told_to_programs_in_the_one_shape(asked):
    found = json.loads(run(*asked, "--json", expect=2))["error"]
    assert found["code"] == "usage"
    assert found["remedy"].endswith("--help")


def test_what_is_not_finite_is_null_for_programs(capsys):
    table = Table({"a": [1.0, np.inf, np.nan], "b": [[0.0], [-np.inf], [2.0]]})
    printing.print_json(printing.plain_rows(table))
    assert json.loads(capsys.readouterr().out) == [
        {"a": 1.0, "b": [0.0]},
        {"a": None, "b": [None]},
        {"a": None, "b": [2.0]},
    ]


def test_an_error_has_the_one_shape_for_programs():
    found = json.loads(run("models", "show", "nothing", "--json", expect=1))
    assert set(found["error"]) == {"code", "what", "cause", "remedy"}


def test_an_error_says_what_to_do_to_people():
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_astroml", "resume", "nowhere"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "to do:" in done.stderr


@pytest.mark.parametrize(
    "command", ["demo", "doctor", "archive serve", "evaluate", "check", "report"]
)
def test_every_command_explains_itself(command):
    assert "Usage:" in run(*command.split(), "--help")


def test_an_archive_with_a_token_answers_only_to_it(tmp_path):
    secret = tmp_path / "token"
    secret.write_text("a-token-of-sixteen-letters")
    secret.chmod(0o600)
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "things.csv").write_text("id,ra,dec\na,1.0,2.0\n")
    program = [sys.executable, "-m", "jupyter_astroml", "archive", "serve", str(folder)]
    serving = subprocess.Popen(
        [*program, "--token-file", str(secret)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert serving.stdout is not None
        tap = serving.stdout.readline().strip()
        tables, token = f"{tap}/tables", {"Authorization": f"Bearer {secret.read_text()}"}
        assert requests.get(tables, timeout=10).status_code == 401
        assert requests.get(tables, headers=token, timeout=10).status_code == 200
    finally:
        serving.terminate()
        serving.wait()
        serving.stdout.close()


@pytest.mark.filterwarnings("ignore:No table..len")
@pytest.mark.parametrize("suffix", ["fits", "vot", "csv", "parquet"])
def test_texts_of_any_length_are_written_in_every_format(demo_archive, tmp_path, suffix):
    out = tmp_path / f"stars.{suffix}"
    run("query", "SELECT TOP 3 id, tmag FROM demo.stars ORDER BY id", "--out", out)
    formats = {"vot": "votable", "csv": "ascii.csv"}
    back = Table.read(out, format=formats.get(suffix, suffix))
    assert len(back) == 3
    assert str(back["id"][0]).startswith("s")


def test_an_answer_goes_to_parquet_without_its_rows_on_the_screen(demo_archive, tmp_path):
    out = tmp_path / "stars.parquet"
    asked = ["SELECT id, tmag FROM demo.stars", "--maxrec", 3, "--out", out]
    told = json.loads(run("query", *asked, "--json"))
    assert told["file"] == str(out)
    assert (told["meta"]["rows"], told["meta"]["overflow"]) == (3, True)
    assert aml.read(out)["tmag"].unit == "mag"


def test_a_file_in_fits_says_where_it_came_from(demo_archive, tmp_path):
    out = tmp_path / "stars.fits"
    run("query", "SELECT TOP 1 id FROM demo.stars", "--out", out)
    told = "".join(Table.read(out).meta["comments"])
    assert json.loads(told)["astroml"]["simulated"] is True


def test_archives_are_listed():
    found = json.loads(run("archive", "list", "--json"))
    assert found[0]["name"] == "demo"
    assert {"cadc", "gaia"} <= {each["name"] for each in found}
    assert "cadc" in run("archive", "list")


def test_how_an_archive_knows_one_is_told_without_the_secret(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run("archive", "login", "rubin") == "rubin does not know you\n"
    monkeypatch.setenv("ASTROML_TOKEN_RUBIN", "secret-of-mine")
    assert run("archive", "login", "rubin") == "rubin knows you by a token\n"
    told = run("archive", "login", "rubin", "--json")
    assert json.loads(told) == {"archive": "rubin", "known_by": "a token", "until": ""}
    assert "secret" not in told


def test_a_file_is_kept_on_an_archive(tmp_path):
    from jupyter_astroml.embedded import serve

    (tmp_path / "stars.csv").write_text("ra,dec\n10.0,20.0\n")
    file = aml.to_votable(Table({"id": [1, 2]}), tmp_path / "mine.vot")
    with serve.start(tmp_path, user_tables=True) as running:
        said = run("archive", "keep", file, "mine.ids", "--archive", running.tap)
        rows = run("query", "SELECT id FROM mine.ids", "--archive", running.tap, "--json")
        run("archive", "keep", file, "other.ids", "--archive", running.tap, expect=1)
    assert said == "2 rows in mine.ids\n"
    assert [row["id"] for row in json.loads(rows)["rows"]] == [1, 2]


def test_a_wrong_folder_gets_its_error_and_no_empty_bar(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_astroml", "evaluate", "flares", "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode != 0
    assert "object" not in done.stderr.splitlines()[0]
    assert "it/s" not in done.stderr
