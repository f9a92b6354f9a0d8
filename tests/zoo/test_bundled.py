"""What every model of the package keeps: stored answers, symmetry, and figures that come again."""

import re
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import jupyter_astroml as aml
from jupyter_astroml import zoo
from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.models.cards import FACTS, Facts, digest_of, read_card, write_facts
from jupyter_astroml.models.catalogue import models
from jupyter_astroml.models.loading import load, replay
from jupyter_astroml.zoo.reporting import BEGIN, END, write_measured
from jupyter_astroml.zoo.symmetry import turned

HERE = Path(zoo.__file__).parent
BUNDLED = {entry.name: entry.folder for entry in models() if entry.folder.parent == HERE}
# Where the real objects lie that the figures of the cards are of.
REAL = {
    "flares": "tess_flares",
    "galaxy_morphology": "galaxies_gz1",
    "lens_finder": "lens_candidates",
    "radio_galaxies": "radio_galaxies_first",
    "real_bogus": "ztf_alerts",
    "star_galaxy": "star_galaxy_cutouts",
}
every = pytest.mark.parametrize("name", BUNDLED)


def measured(name):
    return import_module(f"jupyter_astroml.zoo.{name}.report").measured


def test_no_model_is_forgotten_here():
    assert BUNDLED.keys() == {*REAL, "lens_model"}


@every
def test_the_stored_inputs_give_the_stored_logits(name):
    found = replay(name)
    assert found.n >= 1
    assert found.passed, found
    weights = BUNDLED[name] / "weights.safetensors"
    assert read_card(BUNDLED[name]).facts.digest == digest_of(weights)
    assert weights.stat().st_size < 3_000_000


@every
def test_the_figures_in_the_readme_are_those_of_the_facts(name):
    text = (BUNDLED[name] / "README.md").read_text(encoding="utf-8")
    part = text.split(BEGIN)[1].split(END)[0]
    assert part.strip() == measured(name)(read_card(BUNDLED[name]).facts).strip()


@every
def test_nothing_is_told_of_a_model_that_was_not_evaluated(name, tmp_path):
    for file in ("card.yaml", "README.md"):
        shutil.copy(BUNDLED[name] / file, tmp_path)
    write_facts(tmp_path, Facts(digest=f"sha256:{'0' * 64}"))
    with pytest.raises(ModelError, match="was not evaluated"):
        write_measured(tmp_path, measured(name))
    (tmp_path / FACTS).unlink()
    with pytest.raises(ModelError, match="incomplete"):
        write_measured(tmp_path, measured(name))


# The answers of `lens_model` turn with the sky: see its own tests.
@pytest.mark.parametrize("name", sorted(REAL.keys() - {"flares"}))
def test_the_answer_is_the_same_for_a_turned_sky(name):
    module = load(name).module
    with np.load(BUNDLED[name] / "replay.npz") as stored:
        values = torch.from_numpy(stored["values"][:3].astype(np.float32))
    with torch.inference_mode():
        here = module(values)
        for g in range(1, 8):
            torch.testing.assert_close(module(turned(values, g)), here, rtol=1e-4, atol=1e-4)


def differences(found, stored, *, at=""):
    """List where two results differ by more than another machine's rounding."""
    if isinstance(stored, dict) and isinstance(found, dict):
        return [
            line
            for key in sorted(found.keys() | stored.keys())
            for line in differences(found.get(key), stored.get(key), at=f"{at}/{key}")
        ]
    if isinstance(stored, list) and isinstance(found, list) and len(found) == len(stored):
        pairs = zip(found, stored, strict=True)
        return [x for i, (f, s) in enumerate(pairs) for x in differences(f, s, at=f"{at}/{i}")]
    numbers = all(isinstance(x, int | float) for x in (found, stored))
    same = found == pytest.approx(stored, rel=2e-3, abs=2e-3) if numbers else found == stored
    return [] if same else [f"{at}: {found} and not {stored}"]


def test_a_difference_of_results_is_found_wherever_it_is():
    stored = {"n": 3, "metrics": {"gain": {"value": 0.5, "low": None}}, "curves": [[1, 2], [3]]}
    assert differences(stored, stored) == []
    assert differences({**stored, "n": 4}, stored) == ["/n: 4 and not 3"]
    other = {**stored, "metrics": {"gain": {"value": 0.51, "low": None}, "auc": {"value": 1.0}}}
    assert [line.split(":")[0] for line in differences(other, stored)] == [
        "/metrics/auc",
        "/metrics/gain/value",
    ]
    assert len(differences({**stored, "curves": [[1, 2], [4]]}, stored)) == 1
    assert len(differences({**stored, "curves": [[1, 2]]}, stored)) == 1


@pytest.mark.slow
@every
def test_the_card_says_what_evaluation_says(name, sky_data):
    """Value, interval, baseline, counts and every metric; `lens_model` judges new simulations."""
    folder = sky_data / REAL[name] / "dev" if name in REAL else None
    if folder is not None and not folder.is_dir():
        pytest.skip(f"no {REAL[name]} among the real sky data")
    found = aml.evaluate(name, data=folder).to_json()
    stored = read_card(BUNDLED[name]).facts.evaluation
    if "curves" not in stored:
        # Written by an older version, which kept no curves.
        found.pop("curves")
    assert differences(found, stored) == []


@every
def test_every_picture_that_the_readme_shows_is_there_and_small(name):
    text = (BUNDLED[name] / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    for file in shown:
        assert 0 < (BUNDLED[name] / file).stat().st_size < 200_000, file
    for file in ("judged.png", "worst.jpg", "worst.png"):
        path = BUNDLED[name] / file
        assert not path.exists() or (file in shown and path.stat().st_size < 70_000), file


@pytest.mark.parametrize(
    ("name", "sure"),
    [
        ("flares", False),
        ("galaxy_morphology", True),
        ("lens_finder", False),
        ("radio_galaxies", True),
        ("star_galaxy", True),
    ],
)
def test_a_card_claims_to_beat_its_baseline_only_where_the_gain_is_clear_of_none(name, sure):
    gain = read_card(BUNDLED[name]).facts.evaluation["metrics"]["gain"]
    assert gain["value"] > 0
    assert (gain["low"] > 0) == sure
