import asyncio
import json
import socket
import subprocess
import sys
import threading
from urllib.parse import quote

import pytest
from tornado.httpclient import HTTPClientError

from jupyter_astroml.core.errors import ArchiveError, ModelError
from jupyter_astroml.server.routes import BOKEHJS, bokehjs, off_loop, problem

SHAPE = {"code", "what", "cause", "remedy"}
ADDRESSES = (
    "status",
    "archives",
    "archives/demo/schema",
    "models",
    "models/flares",
    "bokehjs/bokeh.min.js",
    "no/such/address",
)


async def test_status_tells_versions_and_defaults(jp_fetch):
    answer = json.loads((await jp_fetch("jupyter-astroml", "status")).body)
    assert set(answer) == {"version", "bokeh", "user", "archive", "engine"}
    assert answer["archive"] == "demo"
    assert answer["user"]


@pytest.mark.parametrize("name", BOKEHJS)
async def test_bokehjs_is_the_file_of_the_installed_bokeh(jp_fetch, name):
    answer = await jp_fetch("jupyter-astroml", "bokehjs", name)
    assert answer.body == (bokehjs() / name).read_bytes()
    assert "javascript" in answer.headers["Content-Type"]


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a_stranger_is_turned_away_everywhere(
    http_server_client, jp_base_url, jp_web_app, address
):
    with pytest.raises(HTTPClientError) as refused:
        await http_server_client.fetch(
            f"{jp_base_url}jupyter-astroml/{address}", follow_redirects=False
        )
    assert refused.value.code in (302, 403)


@pytest.mark.parametrize(
    "address", ["no/such/address", "bokehjs/bokeh.js", "bokehjs/..%2fbokeh.min.js", "models/nobody"]
)
async def test_what_is_not_there_is_told_in_the_one_shape(jp_fetch, address):
    with pytest.raises(HTTPClientError) as refused:
        await jp_fetch("jupyter-astroml", *address.split("/"))
    assert refused.value.code == 404
    told = json.loads(refused.value.response.body)
    assert set(told) == SHAPE
    assert told["what"]


async def test_an_unknown_archive_is_told_with_a_remedy(jp_fetch):
    with pytest.raises(HTTPClientError) as refused:
        await jp_fetch("jupyter-astroml", "archives", "nowhere", "schema")
    told = json.loads(refused.value.response.body)
    assert set(told) == SHAPE
    assert "nowhere" in told["what"] + told["cause"]
    assert told["remedy"]


async def test_the_server_asks_no_host_that_an_address_names(jp_fetch):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        url = f"http://127.0.0.1:{stranger.getsockname()[1]}/tap"
        with pytest.raises(HTTPClientError) as refused:
            await jp_fetch("jupyter-astroml", "archives", quote(url, safe=""), "schema")
        stranger.settimeout(0.2)
        with pytest.raises(TimeoutError):
            stranger.accept()
    assert "lists no archive" in json.loads(refused.value.response.body)["what"]


async def test_archives_begin_with_the_one_that_needs_no_network(jp_fetch):
    answer = json.loads((await jp_fetch("jupyter-astroml", "archives")).body)
    assert answer[0]["name"] == "demo"
    assert all(set(each) == {"name", "title", "url", "description"} for each in answer)


async def test_models_carry_what_they_need_and_where_they_fail(jp_fetch):
    answer = json.loads((await jp_fetch("jupyter-astroml", "models")).body)
    found = {each["name"]: each for each in answer}
    assert {"flares", "galaxy_morphology"} <= set(found)
    for each in found.values():
        assert each["limits"]
        assert each["needs"]["bands"]
        if each["measure"] is not None:
            assert each["measure"]["low"] <= each["measure"]["value"] <= each["measure"]["high"]


async def test_a_model_card_names_licence_and_paper(jp_fetch):
    answer = json.loads((await jp_fetch("jupyter-astroml", "models", "flares")).body)
    assert answer["info"]["name"] == "flares"
    assert answer["licence"]
    assert answer["citations"]


async def test_the_server_answers_while_a_question_takes_its_time():
    asked, go_on = threading.Event(), threading.Event()

    def slow():
        asked.set()
        return go_on.wait(10)

    answer = asyncio.ensure_future(off_loop(slow))
    await asyncio.sleep(0)
    assert asked.wait(10)
    assert not answer.done()
    assert all(each.daemon for each in threading.enumerate() if each.name == "jupyter-astroml")
    go_on.set()
    assert await answer is True


async def test_what_a_question_raises_is_raised_where_its_answer_is_awaited():
    with pytest.raises(ZeroDivisionError):
        await off_loop(lambda: 1 // 0)


def test_an_error_of_ours_keeps_its_words():
    told = problem(ArchiveError("No answer", cause="timed out", remedy="try later"), status=500)
    assert (told.code, told.what, told.cause, told.remedy) == (
        "archive",
        "No answer",
        "timed out",
        "try later",
    )


def test_a_chained_cause_reaches_the_browser_as_text():
    error = ModelError("No weights")
    error.__cause__ = OSError("disk full")
    assert problem(error, status=500).cause == "disk full"


def test_an_unforeseen_error_says_so():
    told = problem(ZeroDivisionError("division by zero"), status=500)
    assert told.code == "internal"
    assert told.cause == "ZeroDivisionError: division by zero"


def test_the_server_never_loads_torch_or_bokeh():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, jupyter_astroml.server.routes as r\n"
            "from jupyter_astroml.server import answers\n"
            "r.routes('/'); answers.status(user='ada'); answers.archives(); answers.models()\n"
            "print([m for m in ('torch', 'captum', 'bokeh', 'distributed') if m in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
