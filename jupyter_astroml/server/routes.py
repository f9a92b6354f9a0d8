"""Routes under ``/jupyter-astroml/``: authenticated, with one error shape, off the event loop."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.utils import url_path_join
from tornado.web import HTTPError, StaticFileHandler, authenticated

from jupyter_astroml.core.errors import AstroMLError
from jupyter_astroml.server import answers
from jupyter_astroml.server.bodies import read
from jupyter_astroml.server.shapes import Draft, Form, Problem

T = TypeVar("T")

NAME = "jupyter-astroml"
# What jupyter_bokeh and the tables of the inspector need; nothing else of bokeh is served.
BOKEHJS = ("bokeh.min.js", "bokeh-widgets.min.js", "bokeh-tables.min.js")
# An archive is another server, so its failure is a bad gateway; a model is looked up by its name.
STATUS_OF = {"archive": 502, "query": 400, "data": 400, "model": 404}


def problem(error: BaseException | None, *, status: int) -> Problem:
    """Tell an error in the one shape that the panel understands.

    Parameters
    ----------
    error : exception, optional
        What was raised; None where a handler only sent a status.
    status : int
        HTTP status of the answer.
    """
    if isinstance(error, AstroMLError):
        return Problem(**error.to_json())
    if isinstance(error, HTTPError) or error is None:
        said = getattr(error, "log_message", None) or getattr(error, "reason", None) or ""
        what = {
            401: "The server does not know you",
            403: "The server does not let you in",
            404: "The server has nothing at this address",
            405: "The server does not take this kind of request",
        }.get(status, "The server refused the request")
        remedy = "reload the page and log in again" if status in (401, 403) else ""
        return Problem(code=f"http-{status}", what=what, cause=said, remedy=remedy)
    return Problem(
        code="internal",
        what="The server met an error that it did not expect",
        cause=f"{type(error).__name__}: {error}",
        remedy="look at the server's log, and report it",
    )


async def off_loop(ask: Callable[[], T]) -> T:
    """Ask in a thread, so that the server goes on while an archive takes its time.

    The thread is a daemon and not one of a pool: Python waits for a pool's threads before it ends,
    so that one silent archive would keep a server from stopping.
    """
    told: Future[T] = Future()

    def work() -> None:
        try:
            told.set_result(ask())
        except BaseException as error:  # noqa: BLE001 - raised again where the answer is awaited
            told.set_exception(error)

    threading.Thread(target=work, name=NAME, daemon=True).start()
    return await asyncio.wrap_future(told)


class Problems(JupyterHandler):
    """What all handlers share: the one place where an error becomes an answer."""

    auth_resource = NAME

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with the one error shape."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, AstroMLError):
            self.set_status(STATUS_OF.get(error.code, 500))
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(asdict(problem(error, status=status_code))))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log what a user can act on as one line, and the rest with its trace."""
        if isinstance(value, AstroMLError):
            self.log.warning("%s %s: %s", self.request.method, self.request.path, value)
        else:
            super().log_exception(typ, value, tb)


class Answer(Problems, APIHandler):
    """Answers one function of `jupyter_astroml.server.answers`."""

    def initialize(self, ask: Callable[..., Any]) -> None:
        """Remember which question this address asks."""
        self.ask = ask

    @authenticated
    @authorized
    async def get(self, *parts: str) -> None:
        """Ask, and answer in JSON."""
        found = await off_loop(partial(self.ask, *parts))
        plain = [asdict(each) for each in found] if isinstance(found, tuple) else asdict(found)
        self.finish(json.dumps(plain, allow_nan=False))


class AnswerToBody(Problems, APIHandler):
    """Answers one function of `jupyter_astroml.server.answers` that takes a record, too."""

    def initialize(self, ask: Callable[..., Any], kind: type) -> None:
        """Remember which question this address asks, and what it takes."""
        self.ask, self.kind = ask, kind

    @authenticated
    @authorized
    async def post(self, *parts: str) -> None:
        """Ask, and answer in JSON."""
        given: object = read(self.kind, self.request.body)
        found = await off_loop(partial(self.ask, *parts, given=given))
        self.finish(json.dumps(asdict(found), allow_nan=False))


class StatusAnswer(Problems, APIHandler):
    """Answers who is asking, too."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Give versions and defaults."""
        found = await off_loop(partial(answers.status, user=self.current_user.username))
        self.finish(json.dumps(asdict(found)))


class Nothing(Problems, APIHandler):
    """Answers every other address below ours, so that a mistake also gets the one error shape."""

    @authenticated
    async def get(self) -> None:
        """Say that there is nothing."""
        raise HTTPError(404, f"{self.request.path} is no route of jupyter_astroml")


class BokehJS(Problems, StaticFileHandler):
    """BokehJS of the installed bokeh.

    A notebook then needs no content delivery network, which many observatories and every offline
    lesson lack, and no inline copy, which adds 8 MB to each saved notebook.
    """

    @authenticated
    @authorized
    async def get(  # type: ignore[override]
        self,
        path: str,
        include_body: bool = True,  # noqa: FBT001, FBT002
    ) -> None:
        """Send one file (the signature is tornado's)."""
        await StaticFileHandler.get(self, path, include_body)

    @authenticated
    @authorized
    async def head(self, path: str) -> None:  # type: ignore[override]
        """Send the headers of one file."""
        await StaticFileHandler.head(self, path)


def bokehjs() -> Path:
    """Folder of BokehJS, found without importing bokeh (0.6 s of a server's start)."""
    found = find_spec("bokeh")
    if found is None or found.origin is None:
        raise AstroMLError("bokeh is not installed", remedy="pip install bokeh")
    return Path(found.origin).parent / "server" / "static" / "js"


def routes(base_url: str) -> list[tuple[Any, ...]]:
    """Return tornado's handler specifications.

    Parameters
    ----------
    base_url : str
        Where the server stands, such as ``/user/ada/``.
    """
    part = r"([^/]+)"

    def at(*parts: str) -> str:
        return url_path_join(base_url, NAME, *parts)

    return [
        (at("status"), StatusAnswer),
        (at("archives"), Answer, {"ask": answers.archives}),
        (at("archives", part, "schema"), Answer, {"ask": answers.schema}),
        *(
            (at("archives", part, name), AnswerToBody, {"ask": ask, "kind": kind})
            for name, ask, kind in (
                ("check", answers.check, Draft),
                ("complete", answers.complete, Draft),
                ("compose", answers.compose, Form),
            )
        ),
        (at("models"), Answer, {"ask": answers.models}),
        (at("models", part), Answer, {"ask": answers.model}),
        (
            at("bokehjs", f"({'|'.join(map(re.escape, BOKEHJS))})"),
            BokehJS,
            {"path": str(bokehjs())},
        ),
        (at(".*"), Nothing),
    ]
