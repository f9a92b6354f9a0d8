"""The shell's face, in processes of its own."""

import json
import subprocess
import sys

import pytest


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


def test_a_prediction_is_made_kept_listed_and_explained(demo_archive, tmp_path):
    folder = tmp_path / "run"
    asked = ["--query", "SELECT TOP 3 * FROM demo.galaxies ORDER BY id"]
    asked += ["--archive", demo_archive.tap]
    out = tmp_path / "answers.parquet"
    text = run("predict", "galaxy_morphology", *asked, "--run", folder, "--out", out, "--json")
    found = json.loads(text)
    assert (found["done"], found["failed"]) == (3, 0)
    assert out.exists()
    assert [r["name"] for r in json.loads(run("runs", "--folder", tmp_path, "--json"))] == ["run"]
    name = found["rows"][0]["id"]
    words = json.loads(run("explain", folder, name, "--method", "gradient", "--json"))
    assert words[0]["id"] == name
    assert "attribution" in words[0]["summary"]


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


@pytest.mark.parametrize("command", ["demo", "doctor", "archive serve", "evaluate"])
def test_every_command_explains_itself(command):
    assert "Usage:" in run(*command.split(), "--help")
