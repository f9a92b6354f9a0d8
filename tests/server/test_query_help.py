"""What the panel asks while a query is written: mistakes, completions, the query of a form."""

import json

import pytest
from tornado.httpclient import HTTPClientError

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.server.bodies import MAX_BYTES, read
from jupyter_astroml.server.shapes import Draft, Form

pytestmark = pytest.mark.usefixtures("demo_archive")
FORM = {
    "table": "demo.galaxies",
    "columns": ["id", "mag_r"],
    "conditions": [{"column": "mag_r", "comparison": "<", "value": "17"}],
    "position": "",
    "radius": "",
    "order": "mag_r",
    "top": 10,
}


@pytest.fixture
def ask(jp_fetch):
    async def send(word: str, body: object, *, archive: str = "demo"):
        given = body if isinstance(body, str) else json.dumps(body)
        answer = await jp_fetch(
            "jupyter-astroml", "archives", archive, word, method="POST", body=given
        )
        return json.loads(answer.body)

    return send


async def test_a_mistake_is_told_with_its_place(ask):
    found = (await ask("check", {"adql": "SELECT idd\nFROM demo.galaxies", "at": 0}))["found"]
    assert [(m["line"], m["column"]) for m in found] == [(1, 8)]
    assert "id" in found[0]["nearest"]
    assert (await ask("check", {"adql": "SELECT id FROM demo.galaxies", "at": 0})) == {"found": []}


async def test_the_columns_of_the_query_are_offered(ask):
    found = await ask("complete", {"adql": "SELECT g.mag FROM demo.galaxies AS g", "at": 12})
    assert found["start"] == 9
    assert "mag_r" in [option["text"] for option in found["options"]]
    assert all(set(option) == {"text", "kind", "detail", "info"} for option in found["options"])


async def test_a_form_becomes_the_query_that_it_says(ask):
    assert (await ask("compose", FORM))["adql"] == (
        "SELECT TOP 10 id, mag_r\nFROM demo.galaxies\nWHERE mag_r < 17\nORDER BY mag_r"
    )
    cone = {**FORM, "position": "150 2", "radius": "3 arcmin", "conditions": [], "order": ""}
    assert "CONTAINS(POINT(ra, dec), CIRCLE(150, 2, 0.05))" in (await ask("compose", cone))["adql"]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"table": "demo.galaxies; DROP"}, "no name of a table"),
        ({"radius": "3", "position": "150 2"}, "without a unit"),
        ({"conditions": [{"column": "a", "comparison": "~", "value": ""}]}, "no comparison"),
        ({"top": -1}, "top is -1"),
    ],
)
async def test_what_cannot_be_a_query_is_refused_with_the_reason(ask, part, said):
    with pytest.raises(HTTPClientError) as refused:
        await ask("compose", {**FORM, **part})
    assert refused.value.code == 400
    assert said in json.loads(refused.value.response.body)["what"]


async def test_an_archive_that_is_not_listed_is_not_asked(ask):
    for word, body in (("check", {"adql": "x", "at": 0}), ("compose", FORM)):
        with pytest.raises(HTTPClientError) as refused:
            await ask(word, body, archive="nowhere")
        assert "lists no archive" in json.loads(refused.value.response.body)["what"]


@pytest.mark.parametrize("word", ["check", "complete", "compose"])
async def test_a_stranger_may_not_ask(http_server_client, jp_base_url, jp_web_app, word):
    with pytest.raises(HTTPClientError) as refused:
        await http_server_client.fetch(
            f"{jp_base_url}jupyter-astroml/archives/demo/{word}",
            method="POST",
            body="{}",
            follow_redirects=False,
        )
    assert refused.value.code in (302, 403)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b"{}",
        b"[" * 50_000,
        b'{"adql": "x"}',
        b'{"adql": "x", "at": true}',
        b'{"adql": "x", "at": 1.5}',
        b'{"adql": 3, "at": 1}',
        b'{"adql": "x", "at": 1, "more": 2}',
        b'{"adql": "' + b"x" * MAX_BYTES + b'", "at": 1}',
    ],
)
def test_a_body_that_is_no_record_is_refused(body):
    with pytest.raises(DataError):
        read(Draft, body)


def test_a_body_becomes_the_record():
    found = read(Form, json.dumps(FORM).encode())
    assert (found.columns, found.conditions[0].value) == (("id", "mag_r"), "17")
