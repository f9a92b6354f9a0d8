"""The cell magic in a real IPython, against the demo archive."""

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell


@pytest.fixture(scope="module")
def shell(demo_archive):
    made = InteractiveShell.instance()
    made.extension_manager.load_extension("jupyter_astroml")
    yield made
    InteractiveShell.clear_instance()


def test_a_cell_is_a_query_and_its_table_the_result(shell):
    table = shell.run_cell_magic("adql", "demo", "SELECT TOP 3 id, ra FROM demo.galaxies")
    assert table.colnames == ["id", "ra"]
    assert len(table) == 3
    assert shell.user_ns["_adql"] is table


@pytest.mark.parametrize("extra", ["", "--async"])
def test_the_table_goes_to_the_variable_that_is_named(shell, extra):
    shell.user_ns["limit"] = 17
    cell = "SELECT id, mag_r FROM demo.galaxies WHERE mag_r < {limit}"
    assert shell.run_cell_magic("adql", f"demo -o bright {extra}", cell) is None
    assert (shell.user_ns["bright"]["mag_r"] < 17).all()


def test_a_mistake_is_told_before_and_by_the_archive(shell, capsys):
    with pytest.raises(UsageError, match="refused the query"):
        shell.run_cell_magic("adql", "demo", "SELECT idd FROM demo.galaxies")
    assert "did you mean id" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["nowhere", "demo -o not-a-name", "demo -n many"])
def test_a_wrong_line_is_a_usage_error(shell, line):
    with pytest.raises(UsageError):
        shell.run_cell_magic("adql", line, "SELECT 1")
