"""Tab in a cell of ``%%adql``, as the kernel's own completer answers it."""

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

from jupyter_astroml.widgets import completing


@pytest.fixture(scope="module")
def shell():
    made = InteractiveShell.instance()
    made.extension_manager.load_extension("jupyter_astroml")
    yield made
    InteractiveShell.clear_instance()


@pytest.fixture
def tab(shell, demo_archive):
    def press(cell: str) -> list[str]:
        """Return what Tab offers at the mark ``|``, each as the text with it in place."""
        at = cell.index("|")
        text = cell.replace("|", "", 1)
        with provisionalcompleter():
            return [
                text[: each.start] + each.text + text[each.end :]
                for each in shell.Completer.completions(text, at)
            ]

    return press


def test_columns_of_the_query_are_offered_and_no_python(tab):
    found = tab("%%adql demo -o rows\nSELECT g.mag_|\nFROM demo.galaxies AS g")
    assert found[0].startswith("%%adql demo -o rows\nSELECT g.mag_")
    assert "%%adql demo -o rows\nSELECT g.mag_r\nFROM demo.galaxies AS g" in found
    assert not any("magic" in text for text in found)


def test_tables_are_offered_behind_from(tab):
    assert "%%adql\nSELECT * FROM demo.galaxies" in tab("%%adql\nSELECT * FROM demo.gal|")


@pytest.mark.parametrize("cell", ["%%adql de|", "x = 'SELECT' + st|", "%%time\nSELECT mag_|"])
def test_other_text_is_left_to_python(tab, cell):
    assert not any("mag_r" in text or "demo.galaxies" in text for text in tab(cell))


def test_an_archive_that_does_not_answer_costs_a_moment_and_no_error(tab):
    assert tab("%%adql http://127.0.0.1:9/tap\nSELECT id FROM ta|") == []


@pytest.mark.parametrize("line", ["-o rows", "-n 5 -a -o rows", "--maxrec 5"])
def test_the_archive_is_found_behind_options(tab, demo_archive, line):
    query = "\nSELECT * FROM demo.gal"
    assert tab(f"%%adql {line} http://127.0.0.1:9/tap{query}|") == []
    assert f"%%adql {line} {demo_archive.tap}{query}axies" in tab(
        f"%%adql {line} {demo_archive.tap}{query}|"
    )


def test_a_line_that_the_magic_refuses_completes_nothing(tab):
    for line in ("--nonsense", "-n many", "demo 'open"):
        assert tab(f"%%adql {line}\nSELECT * FROM demo.gal|") == []


def test_the_schema_is_read_once(demo_archive):
    found = completing.Completing()
    for _ in range(2):
        assert found.complete("%%adql\nSELECT * FROM demo.", 26)[1]
    assert len(found._reading) == 1
