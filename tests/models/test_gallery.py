"""Models that show themselves: in a notebook, on a page, to a program."""

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator, ValidationError
from PIL import Image

import jupyter_astroml as aml
from jupyter_astroml.cli import main
from jupyter_astroml.models.gallery import picture

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_the_zoo_is_what_the_cards_say(tmp_path):
    told = CliRunner().invoke(main, ["models", "page", str(tmp_path)])
    assert told.exit_code == 0, told.output
    fresh = (tmp_path / "zoo.md").read_text()
    # Links lead from the page to the package, wherever both are.
    root = Path(aml.__file__).parent
    fresh = fresh.replace(_way(tmp_path, root), _way(DOCS, root))
    assert (DOCS / "zoo.md").read_text() == fresh, "run: jupyter astroml models page docs"
    for drawn in (tmp_path / "zoo").glob("*.png"):
        pixels = [np.asarray(Image.open(p)) for p in (drawn, DOCS / "zoo" / drawn.name)]
        np.testing.assert_array_equal(*pixels, err_msg="run: jupyter astroml models page docs")


def _way(start, end):
    return os.path.relpath(end, start)


def test_the_gallery_shows_a_picture_and_what_a_model_needs():
    found = aml.models()
    text = found._repr_html_()
    for entry in found:
        assert entry.name in text
        assert entry.card.key_metric in text
    assert text.count("data:image/png") == len([e for e in found if picture(e)]) >= 2


def test_the_card_says_whether_planes_are_mixed_or_stand_side_by_side(tmp_path, monkeypatch):
    bundled = aml.model("real_bogus")
    shutil.copytree(bundled.folder, tmp_path / "mixed")
    text = (bundled.folder / "card.yaml").read_text(encoding="utf-8")
    mixed = text.replace("planes: images", "planes: filters").replace("id: real", "id: mixed")
    (tmp_path / "mixed" / "card.yaml").write_text(mixed, encoding="utf-8")
    monkeypatch.setenv("ASTROML_MODEL_PATH", str(tmp_path))
    sizes = [
        Image.open(io.BytesIO(picture(entry))).size for entry in (bundled, aml.model("mixed_bogus"))
    ]
    assert sizes == [(384, 128), (128, 128)]


def test_a_card_of_a_stranger_cannot_write_into_the_notebook(tmp_path, monkeypatch):
    card = yaml.safe_load((aml.model("flares").folder / "card.yaml").read_text())
    evil = {"id": "evil", "title": "<script>alert(1)</script>", "version": "<b>"}
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "card.yaml").write_text(yaml.safe_dump({**card, **evil}))
    (tmp_path / "evil" / "replay.npz").write_bytes(b"no picture")
    monkeypatch.setenv("ASTROML_MODEL_PATH", str(tmp_path))
    text = aml.models()._repr_html_()
    assert "&lt;script&gt;" in text
    assert "<script>" not in text


def test_models_are_found_by_task_by_kind_and_by_the_data_at_hand():
    assert "flares" in [e.name for e in aml.models(task="detect")]
    assert "flares" not in [e.name for e in aml.models(kind="cutouts")]
    curves = aml.LightCurves(
        ids=["a"],
        time=np.arange(500)[None] / 720,
        values=np.ones((1, 500), np.float32),
        band="TESS",
    )
    assert "flares" in [e.name for e in aml.models(fits=curves)]
    ten_minutes = aml.LightCurves(ids=["a"], time=curves.time * 5, values=curves.values)
    assert aml.models(fits=ten_minutes) == []
    assert "No model suits" in aml.models(fits=ten_minutes)._repr_html_()


def test_every_model_is_replayed_though_one_has_nothing_to_replay(tmp_path, monkeypatch):
    shutil.copytree(aml.model("flares").folder, tmp_path / "bare")
    card = tmp_path / "bare" / "card.yaml"
    card.write_text(card.read_text().replace("id: flares", "id: bare"))
    (tmp_path / "bare" / "replay.npz").unlink()
    monkeypatch.setenv("ASTROML_MODEL_PATH", str(tmp_path))
    told = CliRunner().invoke(main, ["models", "test", "--all", "--json"])
    found = {each["model"]: each for each in json.loads(told.stdout)}
    assert told.exit_code == 1
    assert "no usable replay.npz" in found.pop("bare")["why"]
    assert len(found) >= 2
    assert all(each["passed"] for each in found.values())


def test_the_schema_knows_a_good_card_from_a_bad_one():
    told = CliRunner().invoke(main, ["models", "schema"])
    check = Draft202012Validator(json.loads(told.stdout))
    for entry in aml.models():
        check.validate(yaml.safe_load((entry.folder / "card.yaml").read_text()))
    with pytest.raises(ValidationError):
        check.validate({"format": 1, "id": "only_this"})
