"""Which models there are, also when some of them cannot be used."""

import importlib
import json
import shutil
from pathlib import Path

import pytest

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.models.cards import FACTS, read_card
from jupyter_astroml.models.catalogue import find, models

FLARES = find("flares")
BUNDLED = [m.name for m in models()]


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROML_MODEL_PATH", str(tmp_path))
    return tmp_path


def put(folder: Path, *, name: str, **evaluation) -> Path:
    """Write a card that is the one of the flares under another name."""
    folder.mkdir()
    text = (FLARES.folder / "card.yaml").read_text(encoding="utf-8")
    (folder / "card.yaml").write_text(text.replace("id: flares", f"id: {name}"), encoding="utf-8")
    (folder / FACTS).write_text(json.dumps({"digest": FLARES.digest, "evaluation": evaluation}))
    return folder


def test_a_site_has_models_beside_the_bundled_ones(site):
    put(site / "ours", name="our_flares")
    assert [m.name for m in models()] == sorted([*BUNDLED, "our_flares"])
    assert find("our_flares").card.key_metric == "not measured yet"


@pytest.mark.parametrize(
    "text",
    ["{", "- a list", "format: 2", "day: 2020-13-45", "[" * 3000, "\0"],
    ids=["yaml", "list", "format", "date", "depth", "bytes"],
)
def test_a_card_that_cannot_be_used_is_told_and_the_other_models_can_be(site, text):
    (site / "bad").mkdir()
    (site / "bad" / "card.yaml").write_text(text)
    put(site / "good", name="good_flares")
    with pytest.warns(UserWarning, match="bad is left out"):
        assert [m.name for m in models()] == sorted([*BUNDLED, "good_flares"])
    # Who asks for another model is not told of it again with every block.
    assert find("flares").name == "flares"
    with pytest.raises(ModelError, match="card"):
        find("bad")


def test_facts_without_their_main_metric_are_refused(site):
    put(site / "ours", name="ours", metric="F1", value=0.5)
    with pytest.raises(ModelError) as caught:
        find("ours")
    assert "evaluation" in caught.value.cause


def test_a_metric_without_an_interval_is_told_without_one(site):
    put(site / "ours", name="ours", metric="F1", value=0.5, low=None, high=None, n=7)
    assert find("ours").card.key_metric == "F1 0.500 on 7 objects"


def test_another_digest_is_refused(site):
    with pytest.raises(ModelError, match="not those that were asked for"):
        find("flares", "sha256:" + "0" * 64)


def test_a_card_is_read_once_until_it_changes(site):
    folder = put(site / "ours", name="ours")
    assert read_card(folder) is read_card(folder)
    shutil.rmtree(folder)
    put(site / "ours", name="ours_again")
    assert read_card(folder).id == "ours_again"


def install(place: Path, name: str) -> None:
    """Put a package with one model where Python looks for packages."""
    package = place / f"package_of_{name}"
    package.mkdir()
    (package / "__init__.py").touch()
    put(package / name, name=name)
    about = place / f"package_of_{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Name: package_of_{name}\nVersion: 1.0\n")
    points = f"[jupyter_astroml.models]\n{name} = package_of_{name}.{name}\n"
    (about / "entry_points.txt").write_text(points)


def test_a_package_that_is_installed_meanwhile_is_seen(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("first", "second"):
        with pytest.raises(ModelError, match="no model"):
            find(name)
        install(tmp_path, name)
        importlib.invalidate_caches()
        assert find(name).source == "installed"


def test_half_of_a_package_does_not_hide_the_models_of_others(tmp_path, monkeypatch):
    install(tmp_path, "broken")
    shutil.rmtree(tmp_path / "package_of_broken")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find("flares").name == "flares"
    assert "broken" not in [m.name for m in models()]
