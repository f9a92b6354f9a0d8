"""The cell magic in a real IPython, against the demo archive."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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


def below(text, query):
    """Return what of the query the marks in a text stand under."""
    shown, marks = text.splitlines()[1:3]
    start = marks.index("~")
    assert shown[shown.index("| ") + 2 :] in query
    return shown[start : start + marks.count("~")]


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("SELECT id,\n\tidd, ra\nFROM demo.galaxies", "idd"),
        ("SELECT g.magr FROM demo.galaxies AS g", "magr"),
        ("SELECT id\nFROM demo.galaxie", "demo.galaxie"),
        ('SELECT "Id x" FROM demo.galaxies', '"Id x"'),
        ("SELECT id FROM demo.galaxies\nORDER mag_r", "mag_r"),
    ],
)
def test_a_mistake_is_marked_where_it_stands(shell, capsys, query, wrong):
    with pytest.raises(UsageError):
        shell.run_cell_magic("adql", "demo", query)
    assert below(capsys.readouterr().err, query.replace("\t", " ")) == wrong


class Silent(BaseHTTPRequestHandler):
    """Answers one query, and nothing about itself."""

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        body = b"" if "tap_schema" in asked.lower() else VOTABLE
        self.send_response(200 if body else 500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.send_error(404)

    def log_message(self, *_):
        pass


VOTABLE = b"""<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
<RESOURCE type="results"><INFO name="QUERY_STATUS" value="OK"/>
<TABLE><FIELD name="x" datatype="int"/>
<DATA><TABLEDATA><TR><TD>7</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"""


def test_an_archive_that_does_not_describe_itself_is_asked_all_the_same(shell):
    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/tap"
        table = shell.run_cell_magic("adql", address, "SELECT x FROM t")
        server.shutdown()
    assert table["x"].tolist() == [7]


def test_the_phases_of_a_job_are_told(shell, capsys):
    shell.run_cell_magic("adql", "demo --async -o n", "SELECT COUNT(*) AS n FROM demo.galaxies")
    assert "COMPLETED" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["nowhere", "demo -o not-a-name", "demo -n many"])
def test_a_wrong_line_is_a_usage_error(shell, line):
    with pytest.raises(UsageError):
        shell.run_cell_magic("adql", line, "SELECT 1")
