"""The pool over HTTP: routes, and how requests are read and refused.

Nothing is parsed here but JSON of a few values and query parameters; data are raw numbers whose
length must fit their shape exactly.  Tokens come in the ``Authorization`` header and nowhere else,
so that no other page of a browser can ask in a user's name.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from jupyter_astroml.core.errors import AstroMLError
from jupyter_astroml.pool.auth import Authenticator, User, token_of
from jupyter_astroml.pool.errors import PoolError
from jupyter_astroml.pool.jobs import Jobs, no_room
from jupyter_astroml.pool.journal import ANSWERED, FAILED
from jupyter_astroml.pool.metrics import Metrics
from jupyter_astroml.pool.page import POLICY, bokeh_script, own_script, parts
from jupyter_astroml.pool.policy import MIB, Policy

OUTPUTS = "X-Pool-Outputs"
_SHA256 = "X-SHA256"
_JSON_BYTES = 16_384
_SMALL_BYTES = 32 * MIB
_SEND_SECONDS = 120.0
# For the rest of a request that was refused already.
_DRAIN_SECONDS = 20.0
_KNOWN = "astroml.known"
# Proxies close what is silent for a minute.
_LONGEST_WAIT = 20.0
_JOB = "/v1/jobs/{job}"
_CHUNK = f"{_JOB}/chunks/{{number}}"
_BYTES = "application/octet-stream"
_SCRIPT = "text/javascript"
_PAGE = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
_NUMBER = re.compile(r"[0-9]{1,10}\Z", re.ASCII)
_SHAPE = re.compile(r"[1-9][0-9]{0,7}(?:,[1-9][0-9]{0,7}){1,3}\Z")

Handler = Callable[[Request, User], Awaitable[Response]]


class Service:
    """The routes of one pool.

    Parameters
    ----------
    jobs : Jobs
    authenticator : Authenticator
    policy : Policy
    metrics : Metrics
    prefix : str
        Path under which a hub publishes the service.
    """

    def __init__(
        self,
        jobs: Jobs,
        *,
        authenticator: Authenticator,
        policy: Policy,
        metrics: Metrics,
        prefix: str = "/",
    ) -> None:
        self._jobs = jobs
        self._authenticator = authenticator
        self._policy = policy
        self._metrics = metrics
        self._prefix = prefix.rstrip("/")

    def app(self, **options: Any) -> Starlette:
        """Return the application; `options` are Starlette's."""
        known: list[tuple[str, str, Handler]] = [
            ("GET", "/v1/models", self.models),
            ("GET", "/v1/me", self.me),
            ("POST", "/v1/infer", self.infer),
            ("POST", "/v1/jobs", self.create),
            ("GET", "/v1/jobs", self.list),
            ("GET", _JOB, self.state),
            ("DELETE", _JOB, self.delete),
            ("PUT", _CHUNK, self.send),
            ("GET", _CHUNK, self.fetch),
            ("DELETE", _CHUNK, self.release),
            ("GET", "/v1/status", self.status),
            ("GET", "/metrics", self.measured),
        ]
        routes = [
            Route(self._prefix + path, self._known(handler), methods=[method])
            for method, path, handler in known
        ]
        routes += [
            Route(f"{self._prefix}/health", self.health),
            Route(f"{self._prefix}/ready", self.ready),
            Route(f"{self._prefix}/", self.page),
            *([Route(self._prefix, self.to_page)] if self._prefix else []),
            Route(f"{self._prefix}/page/{{name}}", self.script),
        ]
        app = Starlette(
            routes=routes,
            exception_handlers={
                AstroMLError: _refused,
                HTTPException: _no_route,
                ClientDisconnect: _gone,
                sqlite3.Error: _full_disk,
                Exception: _broken,
            },
            **options,
        )
        # It would send clients, with their tokens, to whatever the header Host says.
        app.router.redirect_slashes = False
        return app

    # What there is ----------------------------------------------------------------------------

    async def models(self, _request: Request, _user: User) -> Response:
        """List the models that may be named."""
        return JSONResponse({"models": self._jobs.offered()})

    async def me(self, _request: Request, user: User) -> Response:
        """Say who asks, and what that user may do."""
        return JSONResponse(
            {
                "user": user.name,
                "groups": list(user.groups),
                "workers": self._jobs.workers,
                "waits_s": round(self._jobs.waits(user), 1),
                "share": self._policy.share(user.groups),
                "limits": self._jobs.limits(user).model_dump(),
                "used": self._jobs.used(user),
            }
        )

    async def health(self, _request: Request) -> Response:
        """Answer as long as the process lives."""
        return JSONResponse({"alive": True})

    async def ready(self, _request: Request) -> Response:
        """Tell whether work is taken."""
        ready = self._jobs.ready
        return JSONResponse({"ready": ready}, 200 if ready else 503)

    async def page(self, _request: Request) -> Response:
        """Return the administrators' page, which holds no facts itself."""
        page, _ = await asyncio.to_thread(parts)
        return HTMLResponse(page, headers=_PAGE)

    async def to_page(self, _request: Request) -> Response:
        """Send a browser to the page, by its path alone: the header Host may say anything."""
        return RedirectResponse(f"{self._prefix}/")

    async def script(self, request: Request) -> Response:
        """Return a script of that page."""
        name = request.path_params["name"]
        if name == "charts.js":
            _, charts = await asyncio.to_thread(parts)
            return Response(charts, media_type=_SCRIPT, headers=_PAGE)
        files = {"page.js": own_script, "bokeh.js": bokeh_script}
        if name not in files:
            raise PoolError(404, "route", "The pool has nothing here")
        return FileResponse(files[name](), media_type=_SCRIPT, headers=_PAGE)

    # Work -------------------------------------------------------------------------------------

    async def infer(self, request: Request, user: User) -> Response:
        """Answer a few objects in the request itself."""
        shape = _shape(request)
        size = _length(request, shape, most=_SMALL_BYTES)
        self._jobs.room(user, None, 0, size)
        asked = dict(request.query_params)
        self._jobs.offer(asked).check(shape)
        with self._jobs.counted(user, size):
            body = bytearray()
            async with _patience():
                async for part in request.stream():
                    body += part
                    _not_more(len(body), size)
            _all_of(len(body), size)
            values = np.frombuffer(body, dtype="<f4").reshape(shape)
            answer = await self._while_heard(request, self._jobs.infer(user, asked, values))
        outputs = np.ascontiguousarray(answer.outputs, dtype="<f4")
        return Response(
            outputs.tobytes() + answer.status.tobytes(),
            media_type=_BYTES,
            headers={OUTPUTS: json.dumps({"shape": outputs.shape})},
        )

    async def create(self, request: Request, user: User) -> Response:
        """Make a job."""
        asked = await _json(request)
        job = self._jobs.create(user, asked)
        where = f"{self._prefix}/v1/jobs/{job.id}"
        return JSONResponse(self._jobs.state(job), 201, headers={"Location": where})

    async def list(self, _request: Request, user: User) -> Response:
        """List the user's jobs."""
        return JSONResponse({"jobs": self._jobs.all_mine(user)})

    async def state(self, request: Request, user: User) -> Response:
        """Say how far a job is."""
        return JSONResponse(self._jobs.state(self._jobs.mine(user, request.path_params["job"])))

    async def delete(self, request: Request, user: User) -> Response:
        """Cancel and forget a job."""
        self._jobs.delete(self._jobs.mine(user, request.path_params["job"]))
        return Response(status_code=204)

    async def send(self, request: Request, user: User) -> Response:
        """Take a chunk; the same bytes again do no harm."""
        job, number = self._jobs.mine(user, request.path_params["job"]), _number(request)
        shape = _shape(request)
        size = _length(request, shape, most=self._jobs.limits(user).chunk_bytes)
        self._jobs.check(job, shape)
        if not self._jobs.has(job, number):
            self._jobs.room(user, job, number, size)
        with self._jobs.receiving(user, job, number, size) as path:
            digest, got = hashlib.sha256(), 0
            with path.open("wb") as file:
                async with _patience():
                    async for part in request.stream():
                        got += len(part)
                        _not_more(got, size)
                        digest.update(part)
                        file.write(part)
            _all_of(got, size)
            found = digest.hexdigest()
            if request.headers.get(_SHA256, found) != found:
                raise PoolError(
                    422, "hash", "The bytes changed on their way", remedy="send them again"
                )
            new = self._jobs.receive(job, number, shape=shape, sha256=found, file=path)
        return JSONResponse({"state": "queued" if new else "known"}, 202 if new else 200)

    async def fetch(self, request: Request, user: User) -> Response:
        """Return the answer of a chunk, or that it is not there yet."""
        job, number = self._jobs.mine(user, request.path_params["job"]), _number(request)
        wait = _seconds(request.query_params.get("wait", "0"))
        chunk = await self._while_heard(request, self._jobs.result(job, number, wait=wait))
        if chunk.state == ANSWERED:
            return FileResponse(
                self._jobs.file(chunk),
                media_type=_BYTES,
                headers={OUTPUTS: json.dumps({"shape": chunk.output})},
            )
        if chunk.state == FAILED:
            raise PoolError(422, "failed", f"Chunk {number} has no answer", cause=chunk.error)
        return JSONResponse(self._jobs.state(job), 202, headers={"Retry-After": "1"})

    async def release(self, request: Request, user: User) -> Response:
        """Forget a chunk, whose answer was fetched."""
        self._jobs.release(self._jobs.mine(user, request.path_params["job"]), _number(request))
        return Response(status_code=204)

    # For administrators -----------------------------------------------------------------------

    async def status(self, _request: Request, user: User) -> Response:
        """Describe the whole pool."""
        self._admin(user)
        return JSONResponse(self._metrics.status())

    async def measured(self, _request: Request, user: User) -> Response:
        """Return the metrics in the text format of Prometheus."""
        self._admin(user)
        text, kind = self._metrics.text()
        return Response(text, media_type=kind)

    def _admin(self, user: User) -> None:
        if user.name not in self._policy.admins:
            raise PoolError(
                403,
                "admin",
                "This page is for the pool's administrators",
                remedy="ask them to add you to 'admins' in the pool's policy",
            )

    def _known(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Find out who asks before anything else, and leave no unread bytes behind."""

        async def answered(request: Request) -> Response:
            try:
                token = token_of(request.headers.get("authorization", ""))
                user = await self._authenticator.user(token)
                request.scope[_KNOWN] = True
                with self._jobs.asking(user):
                    response = await handler(request, user)
            except AstroMLError as err:
                # Who is unknown gets no time of ours.
                seconds = _DRAIN_SECONDS if request.scope.get(_KNOWN) else 1.0
                most = self._policy.limits.chunk_bytes
                await _drain(request, most=most, seconds=seconds)
                response = _refused(request, err)
            self._metrics.request(handler.__name__, response.status_code)
            return response

        return answered

    async def _while_heard(self, request: Request, work: Awaitable[Any]) -> Any:
        """Do some work as long as the client waits for it."""
        task = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                raise PoolError(499, "gone", "The client went away")
            return task.result()
        finally:
            task.cancel()
            gone.cancel()


async def _disconnected(request: Request) -> None:
    while not await request.is_disconnected():
        await asyncio.sleep(0.2)


async def _drain(request: Request, *, most: int, seconds: float) -> None:
    """Read what the client still sends.

    An answer before the end of the body makes the server close the connection, and a proxy in
    between then drops the client's next request.
    """
    length = request.headers.get("content-length", "0")
    # Where nothing was announced, waiting for it would last as long as the client waits for us.
    if not length.isdigit() or not 0 < int(length) <= most:
        return
    with suppress(ClientDisconnect, RuntimeError, TimeoutError, PoolError):
        async with _patience(seconds):
            got = 0
            async for part in request.stream():
                got += len(part)
                if got > most:
                    return


async def _json(request: Request) -> dict[str, Any]:
    size = _stated_length(request)
    if size > _JSON_BYTES:
        raise PoolError(413, "size", f"A description has at most {_JSON_BYTES} bytes")
    async with _patience():
        body = await request.body()
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as err:
        raise PoolError(400, "json", "The request is no JSON", cause=str(err)) from err
    if not isinstance(found, dict):
        raise PoolError(400, "json", "The request is no JSON object")
    return found


def _shape(request: Request) -> tuple[int, ...]:
    text = request.query_params.get("shape", "")
    if not _SHAPE.match(text):
        raise PoolError(
            400, "shape", "'shape' makes no sense", remedy="give it like shape=64,3,128,128"
        )
    return tuple(int(part) for part in text.split(","))


def _stated_length(request: Request) -> int:
    text = request.headers.get("content-length", "")
    if not text.isdigit() or len(text) > 15:
        raise PoolError(411, "length", "The request has no length", remedy="send Content-Length")
    return int(text)


def _length(request: Request, shape: tuple[int, ...], *, most: int) -> int:
    """Return the number of bytes that are sent, which the shape must ask for."""
    size, wanted = _stated_length(request), 4 * math.prod(shape)
    if size > most or wanted > most:
        raise PoolError(
            413, "size", f"A request may have at most {most} bytes", remedy="send fewer objects"
        )
    if size != wanted:
        raise PoolError(
            422,
            "length",
            "The length does not fit the shape",
            cause=f"{shape} of float32 are {wanted} bytes, and {size} were announced",
        )
    return size


def _not_more(got: int, size: int) -> None:
    if got > size:
        raise PoolError(413, "length", "The request is longer than it said")


def _all_of(got: int, size: int) -> None:
    if got != size:
        raise PoolError(400, "length", "The request is shorter than it said")


def _number(request: Request) -> int:
    text = request.path_params["number"]
    if not _NUMBER.match(text):
        raise PoolError(404, "chunk", "There is no chunk of this number")
    return int(text)


def _seconds(text: str) -> float:
    try:
        wait = float(text)
    except ValueError:
        wait = math.nan
    if not wait >= 0:
        raise PoolError(400, "wait", "'wait' is a number of seconds")
    return min(wait, _LONGEST_WAIT)


@asynccontextmanager
async def _patience(seconds: float = _SEND_SECONDS) -> AsyncIterator[None]:
    """Give up on a client that sends too slowly."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as err:
        raise PoolError(408, "slow", f"The request did not come in {seconds:.0f} s") from err


def _refused(_request: Request, err: Exception) -> Response:
    told = err if isinstance(err, AstroMLError) else AstroMLError(str(err))
    status = err.status if isinstance(err, PoolError) else 400
    headers = {}
    if isinstance(err, PoolError) and err.retry_after:
        headers["Retry-After"] = str(math.ceil(err.retry_after))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(told.to_json(), status, headers=headers)


def _no_route(request: Request, err: Exception) -> Response:
    status = err.status_code if isinstance(err, HTTPException) else 500
    told = PoolError(status, "route", "The pool has nothing here", cause=str(err))
    return _refused(request, told)


def _full_disk(request: Request, err: Exception) -> Response:
    return _refused(request, no_room(err))


def _broken(request: Request, _err: Exception) -> Response:
    # The server writes down what it was; users need not know.
    return _refused(request, PoolError(500, "broken", "The pool made a mistake"))


def _gone(request: Request, _err: Exception) -> Response:
    return _refused(request, PoolError(499, "gone", "The client went away"))
