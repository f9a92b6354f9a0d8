import re
from pathlib import Path

import pytest

from jupyter_astroml.server.types import typescript

FILE = Path(__file__).parents[2] / "labextension" / "src" / "api" / "types.ts"


def test_the_typescript_types_are_fresh():
    if not FILE.exists():
        pytest.skip("the sources of the front end are not here: run in a checkout")
    assert FILE.read_text(encoding="utf-8") == typescript(), (
        "run: python -m jupyter_astroml.server.types labextension/src/api/types.ts"
    )


def test_every_type_that_is_used_is_declared():
    text = typescript()
    declared = set(re.findall(r"interface (I\w+)", text))
    used = set(re.findall(r"\b(I[A-Z]\w+)\b", re.sub(r"/\*\*.*?\*/", "", text)))
    assert used == declared


def test_a_missing_interval_is_spelled_null():
    assert "readonly low: number | null;" in typescript()
