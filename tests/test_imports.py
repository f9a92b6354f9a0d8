"""What an import costs and brings, each in a fresh process."""

import json
import statistics
import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "bokeh",
    "distributed",
    "ipywidgets",
    "pyvo",
    "duckdb",
    "jupyter_server",
    "astropy",
}


def fresh(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def loaded_by(statement):
    code = f"{statement}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    return set(fresh(code))


def test_the_package_brings_nothing_heavy():
    assert loaded_by("import jupyter_astroml").isdisjoint(HEAVY)


def test_the_package_is_imported_within_a_tenth_of_a_second():
    code = (
        "import time, json; t = time.perf_counter(); import jupyter_astroml; "
        "print(json.dumps(time.perf_counter() - t))"
    )
    assert statistics.median(fresh(code) for _ in range(3)) < 0.1


def test_the_session_brings_neither_torch_nor_a_face():
    found = loaded_by("import jupyter_astroml.session")
    assert found.isdisjoint({"torch", "bokeh", "distributed", "ipywidgets", "pyvo"})


def test_listing_models_does_not_load_torch():
    assert "torch" not in loaded_by("import jupyter_astroml as aml; aml.models()")


def test_a_worker_needs_no_face():
    found = loaded_by("import jupyter_astroml.tasks, jupyter_astroml.archives.fetch")
    assert found.isdisjoint({"bokeh", "ipywidgets", "tornado", "jupyter_server", "pyvo"})


def test_every_public_name_is_there_and_explained():
    import jupyter_astroml as aml

    for name in aml.__all__:
        found = getattr(aml, name)
        if name != "__version__":
            assert found.__doc__, name
            assert name in dir(aml)


def test_functions_are_not_hidden_by_rooms_of_the_same_name():
    code = (
        "import json, jupyter_astroml as aml\n"
        "aml.models(); import jupyter_astroml.models.cards, jupyter_astroml.explain.methods\n"
        "from jupyter_astroml.explain.methods import METHODS\n"
        "print(json.dumps([callable(aml.models), callable(aml.explain), len(METHODS) > 0]))"
    )
    assert fresh(code) == [True, True, True]


def test_an_unknown_name_is_an_attribute_error():
    import jupyter_astroml as aml

    with pytest.raises(AttributeError, match="no attribute 'predikt'"):
        _ = aml.predikt
