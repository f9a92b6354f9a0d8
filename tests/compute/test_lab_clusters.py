"""Clusters of JupyterLab's Dask panel, as the user's own Jupyter server lists them."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import jupyter_astroml as aml

TOKEN = "secret-of-the-server"


class Panel(BaseHTTPRequestHandler):
    """Answers as dask-labextension 7 does, or otherwise as a test wants."""

    def do_GET(self):
        known = self.headers.get("Authorization") == f"token {self.server.token}"
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        status, body = self.server.answer if known else (403, "{}")
        self.send_response(status)
        if status == 302:
            self.send_header("Location", body)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def panel(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), Panel) as server:
        server.asked, server.token, server.answer = [], TOKEN, (200, "[]")
        server.url = f"http://127.0.0.1:{server.server_port}/user/ann/"
        server.note = {"url": server.url, "token": TOKEN, "pid": os.getpid()}
        server.note["base_url"] = "/user/ann/"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def listed(panel, tmp_path, **note):
    (tmp_path / "jpserver-1.json").write_text(json.dumps({**panel.note, **note}))
    return [place for place in aml.engines() if "Dask panel" in place.note]


def test_clusters_of_the_panel_are_offered_and_not_taken_unasked(panel, tmp_path):
    address = f"tcp://127.0.0.1:{panel.server_port}"
    model = {"id": "1", "name": "<b>Mine</b>", "scheduler_address": address, "workers": 3}
    gone = {**model, "scheduler_address": "tcp://127.0.0.1:1"}
    panel.answer = (200, json.dumps([model, gone]))
    first, second = listed(panel, tmp_path)
    assert (first.address, first.state, first.workers) == (address, "ready", 3)
    assert (second.state, second.address) == ("not answering", "tcp://127.0.0.1:1")
    assert panel.asked == [("/user/ann/dask/clusters", f"token {TOKEN}")]
    assert "<b>" not in aml.engines()._repr_html_()
    panel.asked.clear()
    assert aml.engine("auto").name == "here"
    assert not panel.asked


@pytest.mark.parametrize(
    "answer",
    [
        (404, ""),
        (200, "no JSON"),
        (200, "[" * 100_000),
        (200, '{"a": 1}'),
        (200, '[1, {"scheduler_address": 5}, {"scheduler_address": "x"}]'),
        (302, "http://127.0.0.1:1/elsewhere"),
    ],
)
def test_a_server_without_the_panel_or_with_an_odd_one_is_passed_over(panel, tmp_path, answer):
    panel.answer = answer
    assert listed(panel, tmp_path) == []
    assert len(panel.asked) == 1


def test_a_server_that_is_gone_or_a_note_that_is_none_is_passed_over(panel, tmp_path):
    assert listed(panel, tmp_path, pid=2**22 + 1) == []
    (tmp_path / "jpserver-2.json").write_text("[")
    (tmp_path / "jpserver-3.json").write_text("[]")
    assert listed(panel, tmp_path, url="file:///etc/passwd") == []
    assert not panel.asked


def test_the_token_of_a_hub_goes_to_the_users_own_server_only(panel, tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", TOKEN)
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ann/")
    listed(panel, tmp_path, token="")
    listed(panel, tmp_path, token="", base_url="/user/bob/")
    assert [token for _, token in panel.asked] == [f"token {TOKEN}", None]
