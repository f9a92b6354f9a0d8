import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

import jupyter_astroml.core.settings
from jupyter_astroml.core.errors import SettingsError
from jupyter_astroml.core.settings import Settings, settings


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    return tmp_path / "jupyter_astroml.json"


def test_an_argument_beats_the_environment_and_that_the_file(config, monkeypatch):
    config.write_text(json.dumps({"engine": "dask", "workers": 3, "window": 5}))
    monkeypatch.setenv("ASTROML_WORKERS", "7")
    found = settings(window=9)
    assert (found.engine, found.workers, found.window) == ("dask", 7, 9)


def test_an_argument_of_none_means_not_given(monkeypatch):
    monkeypatch.setenv("ASTROML_ENGINE", "dask")
    assert settings(engine=None).engine == "dask"


def test_model_path_is_a_list_of_folders(monkeypatch):
    monkeypatch.setenv("ASTROML_MODEL_PATH", "/a:/b")
    assert settings().model_path == (Path("/a"), Path("/b"))


def test_a_tilde_is_the_home_in_every_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ASTROML_RUN_DIR", "~/runs")
    monkeypatch.setenv("ASTROML_CACHE_DIR", "~/cache")
    monkeypatch.setenv("ASTROML_MODEL_PATH", "~/models")
    found = settings()
    assert (found.run_dir, found.cache_dir) == (tmp_path / "runs", tmp_path / "cache")
    assert found.model_path == (tmp_path / "models",)


def test_the_home_of_nobody_names_the_setting(monkeypatch):
    monkeypatch.setenv("ASTROML_RUN_DIR", "~nobody-of-this-name/runs")
    with pytest.raises(SettingsError, match="'run_dir' from the environment"):
        settings()


@pytest.mark.parametrize("name", [f.name for f in fields(Settings)])
def test_every_setting_is_read_somewhere(name):
    package = Path(jupyter_astroml.core.settings.__file__).parents[1]
    texts = [p.read_text(encoding="utf-8") for p in package.rglob("*.py")]
    assert any(re.search(rf"(settings\(.*\)|found)\.{name}\b", text) for text in texts)


def test_an_unknown_setting_names_its_place_and_the_known_ones(config):
    config.write_text('{"engin": "dask"}')
    with pytest.raises(SettingsError, match=r"'engin' in .*jupyter_astroml.json.*engine"):
        settings()


def test_a_value_of_the_wrong_kind_names_the_setting(monkeypatch):
    monkeypatch.setenv("ASTROML_WORKERS", "many")
    with pytest.raises(SettingsError, match="'workers' from the environment is 'many'"):
        settings()


def test_a_broken_file_is_told_and_not_ignored(config):
    config.write_text("{")
    with pytest.raises(SettingsError, match="is no JSON"):
        settings()
