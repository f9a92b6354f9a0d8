"""What all endpoints share: parameters of DALI, errors of DALI, and loopback only."""

from __future__ import annotations

import asyncio
import concurrent.futures
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import tornado.web

from jupyter_astroml.core.errors import AstroMLError, DataError, QueryError

from . import votable

if TYPE_CHECKING:
    from .engine import Database
    from .products import Store
    from .soda import Images
    from .usertables import UserTables
    from .uws import Jobs

T = TypeVar("T")
# A browser can be led to send requests to 127.0.0.1 under a name of the attacker's (DNS rebinding).
LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))
MAX_BODY = 1 << 20
# RFC 6750 section 3.
CHALLENGE = 'Bearer realm="jupyter_astroml"'


def _pool(name: str, size: int) -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(size, thread_name_prefix=name)


@dataclass
class Service:
    """What the handlers work on.

    Attributes
    ----------
    base : str
        Address of the archive, without a slash at the end.
    database : Database
    store : Store
        The files.
    jobs : Jobs
    images : Images
        Decoded images, for cutouts.
    title : str
    examples : tuple of (str, str)
        What to ask, and the query.
    about : dict
        Who this archive is, for `serve` to recognise it.
    token : str
        What every request for data must carry; empty lets everybody in.
    users : UserTables, optional
        Tables that users may make; None where they may not.
    """

    base: str
    database: Database
    store: Store
    jobs: Jobs
    images: Images
    title: str
    examples: tuple[tuple[str, str], ...]
    about: dict[str, Any] = field(default_factory=dict)
    token: str = field(default="", repr=False)
    users: UserTables | None = None
    started: float = field(default_factory=time.time)
    touched: float = field(default_factory=time.monotonic)
    # Jobs have threads of their own: a heavy job must not keep a short query waiting.
    queries: concurrent.futures.ThreadPoolExecutor = field(
        default_factory=lambda: _pool("query", 6)
    )
    files: concurrent.futures.ThreadPoolExecutor = field(default_factory=lambda: _pool("file", 4))


class NotFoundError(DataError):
    """The archive has no such thing."""

    code = "not_found"


class Endpoint(tornado.web.RequestHandler):
    """A handler with DALI's parameters and errors."""

    service: Service
    # Whether those without the token may ask too, to find out that they need one.
    public = False
    # Status of a refused request; the protocols before DALI know no other than 200.
    refused = 400

    def initialize(self, service: Service) -> None:
        """Take the service from the application."""
        self.service = service

    def prepare(self) -> None:
        """Refuse requests that were addressed to another host, or do not carry the token."""
        self.service.touched = time.monotonic()
        try:
            name = urlsplit(f"//{self.request.host}").hostname
        except ValueError:
            name = None
        if (name or "").lower() not in LOOPBACK:
            raise tornado.web.HTTPError(403, reason="Only for this computer")
        if self.service.token and not self.public and not self._trusted():
            raise tornado.web.HTTPError(401, reason="This archive asks for a token")

    def _trusted(self) -> bool:
        kind, _, token = self.request.headers.get("Authorization", "").partition(" ")
        # A comparison that stops at the first difference tells by its time how long that took.
        return kind.lower() == "bearer" and hmac.compare_digest(
            token.strip().encode("utf-8", "replace"), self.service.token.encode()
        )

    def set_default_headers(self) -> None:
        """Keep browsers from guessing types."""
        self.set_header("Server", "jupyter_astroml")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")

    def every(self, name: str) -> list[str]:
        """Return all values of a parameter, whose name is compared without case (DALI 3.1).

        Raises
        ------
        QueryError
            For text that is not UTF-8.
        """
        found = [
            value
            for key, values in self.request.arguments.items()
            if key.upper() == name
            for value in values
        ]
        try:
            return [value.decode() for value in found]
        except UnicodeDecodeError as err:
            raise QueryError(f"The parameter {name} is not UTF-8", cause=str(err)) from err

    def one(self, name: str, default: str = "") -> str:
        """Return the value of a parameter that may be given once.

        Raises
        ------
        QueryError
            For two different values.
        """
        found = self.every(name)
        if len(set(found)) > 1:
            raise QueryError(f"The parameter {name} is given {len(found)} times")
        return found[0] if found else default

    def xml(self, text: str) -> None:
        """Answer with XML."""
        self.set_header("Content-Type", "text/xml; charset=utf-8")
        self.finish('<?xml version="1.0" encoding="UTF-8"?>\n' + text)

    def text(self, value: object) -> None:
        """Answer with plain text."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(str(value))

    async def at_work(
        self, pool: concurrent.futures.Executor, function: Callable[..., T], *args: Any
    ) -> T:
        """Run a blocking function beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(pool, function, *args)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with the error document of DALI 1.1 section 4.4, whatever went wrong."""
        err = kwargs.get("exc_info", (None, None, None))[1]
        message = self._reason
        if isinstance(err, AstroMLError):
            self.set_status(404 if isinstance(err, NotFoundError) else self.refused)
            message = str(err)
        elif isinstance(err, tornado.web.HTTPError) and err.log_message:
            message = f"{self._reason}: {err.log_message}"
        if status_code == 401:
            self.set_header("WWW-Authenticate", CHALLENGE)
        self.set_header("Content-Type", votable.MEDIA)
        self.finish(votable.error(message))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Leave the log to what is our own fault."""
        if not isinstance(value, AstroMLError):
            super().log_exception(typ, value, tb)


class Nothing(Endpoint):
    """Addresses that the archive has not."""

    def prepare(self) -> None:
        """Answer 404."""
        super().prepare()
        raise tornado.web.HTTPError(404)


class About(Endpoint):
    """Tells which archive this is."""

    public = True

    def get(self) -> None:
        """Answer with JSON."""
        base = self.service.base
        services = {"tap": f"{base}/tap", "sia2": f"{base}/sia2", "ssa": f"{base}/ssa/query"}
        self.finish({**self.service.about, "title": self.service.title, **services})
