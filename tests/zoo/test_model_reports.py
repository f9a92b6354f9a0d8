"""A trained model is judged again, and its README gets figures and pictures of the worst cases."""

import json
import re
import shutil
from importlib import import_module
from pathlib import Path

import pytest
from alert_folder import write_alerts
from galaxy_folder import write_folder
from PIL import Image
from radio_folder import write_mirabest

from jupyter_astroml import zoo
from jupyter_astroml.models.cards import read_card, write_facts

HERE = Path(zoo.__file__).parent
WRITERS = {
    "galaxy_morphology": write_folder,
    "radio_galaxies": write_mirabest,
    "real_bogus": write_alerts,
}


@pytest.mark.parametrize("name", WRITERS)
def test_one_command_judges_again_and_shows_the_worst(name, tmp_path):
    pytest.importorskip("matplotlib")
    out, data = tmp_path / name, tmp_path / "field"
    shutil.copytree(HERE / name, out, ignore=shutil.ignore_patterns("judged.png", "worst.*"))
    facts = read_card(out).facts
    if name == "real_bogus":
        # Fewer new simulations than the card tells of.
        trial = {**facts.training["simulated"], "n": 60}
        facts = facts.model_copy(update={"training": {**facts.training, "simulated": trial}})
        write_facts(out, facts)
    WRITERS[name](data, n=24, seed=41)
    report = import_module(f"jupyter_astroml.zoo.{name}.report")
    assert report.main(["--data", str(data), "--out", str(out)]) == 0
    text = (out / "README.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text))
    assert {"judged.png", "worst.jpg"} <= shown
    for file in ("judged.png", "worst.jpg"):
        with Image.open(out / file) as image:
            assert min(image.size) > 100
    found = json.loads((out / "facts.json").read_text())
    assert found["evaluation"]["data"] == "field"
    for case in found["training"]["worst"]:
        assert case["id"] in text
    # Without the data, the same README is written from the facts alone.
    assert report.main(["--out", str(out)]) == 0
    assert (out / "README.md").read_text(encoding="utf-8") == text
