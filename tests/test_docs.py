"""Examples of the documentation are run, and its links lead somewhere."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)


def blocks(path, language):
    return [text for kind, text in _BLOCK.findall(path.read_text()) if kind == language]


@pytest.mark.parametrize(
    "path", [p for p in PAGES if blocks(p, "python")], ids=lambda p: str(p.relative_to(ROOT))
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_python_of_a_page_runs_from_top_to_bottom(path, demo_archive, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = {}
    for text in blocks(path, "python"):
        exec(compile(text, str(path), "exec"), space)


def test_the_cards_of_the_guide_are_valid():
    from jupyter_astroml.models.cards import Card

    whole, spectra = map(yaml.safe_load, blocks(ROOT / "docs" / "models.md", "yaml"))
    assert Card.model_validate(whole).id == "my_galaxies"
    # The second one tells only what is different for spectra.
    assert Card.model_validate(whole | spectra).input.shape == (2242,)


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), target


def test_no_file_names_a_path_of_one_machine():
    import subprocess

    words = "|".join(f"/{place}" for place in ("work/", "farm/", "root/[.]"))
    found = subprocess.run(
        ["git", "grep", "-nIE", words, "--", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""
