import json
from pathlib import Path

import pytest

from jupyter_astroml.core.errors import SettingsError
from jupyter_astroml.core.settings import settings


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
