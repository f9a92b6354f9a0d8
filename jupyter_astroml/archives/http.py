"""One HTTP session for a task: time limits, size limits, and patience with a busy archive.

Addresses come from rows of archives, and answers from whoever stands behind them: neither may hold
a worker for ever, fill its memory, or be given a password.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidURL
from urllib3 import Timeout
from urllib3.response import BaseHTTPResponse

from jupyter_astroml.archives.connections import POOLS
from jupyter_astroml.archives.hosts import Hosts
from jupyter_astroml.archives.kept import Kept
from jupyter_astroml.archives.login import Login, is_loopback, signed
from jupyter_astroml.core.errors import ArchiveError

# Seconds to connect, and seconds of silence while reading.
TIMEOUT = (10.0, 60.0)
# Seconds for a whole answer, however steadily it drips.
MAX_SECONDS = 600.0
MAX_BYTES = 256 * 2**20
TRIES = 4
# An archive may ask for an hour; a notebook does not wait that long without a word.
MAX_PAUSE = 30.0
BUSY = {429, 502, 503, 504}
_PART = 2**16
_HOSTS = 1000


class Session(requests.Session):
    """A `requests.Session` that never waits for ever, and shows a login to its archive alone.

    Parameters
    ----------
    seconds : float
        Most seconds that a whole answer may take.
    limit : int
        Most bytes of an answer, after decompression.
    login : Login, optional
        Goes with the requests to the places that it is for.
    kept : Kept, optional
        What was downloaded before.
    hosts : Hosts, optional
        What is known of the hosts, if it is shared with other sessions.

    Attributes
    ----------
    patience : tuple of float
        Seconds to connect, and of silence, unless a request says otherwise.
    bounds : Bounds
        Its `seconds`, `limit` and `login` may be changed between requests.
    """

    patience = TIMEOUT

    def __init__(
        self,
        *,
        seconds: float = MAX_SECONDS,
        limit: int = MAX_BYTES,
        login: Login | None = None,
        kept: Kept | None = None,
        hosts: Hosts | None = None,
    ) -> None:
        super().__init__()
        self._merged: dict[Any, Any] = {}
        self.kept = kept
        self.hosts = hosts or Hosts()
        self.bounds = Bounds(seconds=seconds, limit=limit, login=login)
        # With an `auth` of its own, requests looks for none in ~/.netrc: a `default` entry there
        # would otherwise go to any host that a row of an archive names.
        self.auth = _no_password
        for scheme in ("http://", "https://"):
            self.mount(scheme, self.bounds)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request within the session's patience.

        Raises
        ------
        requests.exceptions.InvalidURL
            For whatever is no address; requests and urllib3 have many errors for that.
        """
        if options.get("timeout") is None:
            options["timeout"] = self.patience
        try:
            return super().request(method, url, **options)
        except ValueError as err:
            raise InvalidURL(str(err)) from err

    def merge_environment_settings(self, url: Any, *given: Any) -> Any:
        """Look for proxies and certificates in the environment, once for each host.

        requests looks through all variables for each request, which takes as long as the rest.
        """
        parts = urlsplit(url)
        key = (parts.scheme, parts.netloc, repr((given, self.proxies, self.verify, self.cert)))
        if key not in self._merged:
            if len(self._merged) > _HOSTS:
                self._merged.clear()
            self._merged[key] = super().merge_environment_settings(url, *given)
        return dict(self._merged[key])

    @contextmanager
    def allowing(self, limit: int) -> Iterator[None]:
        """Take answers of another size, for what does not go into memory."""
        before, self.bounds.limit = self.bounds.limit, limit
        try:
            yield
        finally:
            self.bounds.limit = before

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Take credentials off a request that is redirected to another host, and look for none."""
        headers = prepared_request.headers
        if "Authorization" in headers and self.should_strip_auth(
            str(response.request.url), str(prepared_request.url)
        ):
            del headers["Authorization"]


def _no_password(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class Bounds(HTTPAdapter):
    """Sends the requests of a session, and bounds every answer, those that redirect included.

    Parameters
    ----------
    seconds, limit, login
        As for `Session`.
    """

    def __init__(self, *, seconds: float, limit: int, login: Login | None = None) -> None:
        super().__init__()
        self.seconds = seconds
        self.limit = limit
        self.login = login

    def init_poolmanager(self, *given: Any, **more: Any) -> None:
        """Make the connections ours: see `jupyter_astroml.archives.connections`."""
        super().init_poolmanager(*given, **more)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, *given: Any, **more: Any) -> Any:
        """Make those through a proxy ours too."""
        manager = super().proxy_manager_for(*given, **more)
        manager.pool_classes_by_scheme = POOLS
        return manager

    def close(self) -> None:
        """Close all connections now; urllib3 leaves that to the collector while answers live."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - it is no dict, and not iterable
                manager.pools[key].close()
        super().close()

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        """Send a request; the answer ends in an error where it passes the bounds.

        A login is added here, where each hop of a redirect passes by itself, and to a copy: what
        answers and errors remember of the request is without it.
        """
        end = time.monotonic() + self.seconds
        made, options = signed(request, self.login, options)
        if _is_here(request.url):
            options["proxies"] = {}
        try:
            answer = super().send(made, **options)
        except requests.RequestException as err:
            err.request = request
            raise
        answer.request = request
        answer.raw = Body(answer.raw, end=end, limit=self.limit)
        return answer

    def ask(
        self,
        request: requests.PreparedRequest,
        *,
        patience: tuple[float, float],
        verify: Any,
        cert: Any,
        proxies: Any,
        stream: bool = True,
    ) -> tuple[BaseHTTPResponse, Body]:
        """Send a GET as `send` does, and return what urllib3 returns, whose body is bounded.

        Raises
        ------
        urllib3.exceptions.HTTPError, ValueError
            As they come: see `jupyter_astroml.archives.get`.
        """
        end = time.monotonic() + self.seconds
        made, options = signed(request, self.login, {"verify": verify, "cert": cert})
        proxies = {} if _is_here(request.url) else proxies
        pool: Any = self.get_connection_with_tls_context(made, proxies=proxies, **options)
        self.cert_verify(pool, made.url, **options)
        raw = pool.urlopen(
            "GET",
            self.request_url(made, proxies),
            headers=made.headers,
            retries=False,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            timeout=Timeout(connect=patience[0], read=patience[1]),
        )
        return raw, Body(raw, end=end, limit=self.limit)


def _is_here(url: str | None) -> bool:
    """Tell whether an address is on this machine.

    What stands between here and here would be another machine, which is not asked for it and must
    not see a login that goes over plain http.
    """
    return is_loopback(urlsplit(url or "").hostname or "")


class Body:
    """The body of an answer, which ends in an error when it takes too long or grows too large.

    It has what requests and pyvo use of urllib3's response; the rest is passed on.

    Parameters
    ----------
    raw : urllib3.response.BaseHTTPResponse
        The body.
    end : float
        Time of the monotonic clock after which nothing more is read.
    limit : int
        Most bytes, after decompression.
    """

    def __init__(self, raw: Any, *, end: float, limit: int) -> None:
        self._raw = raw
        self._end = end
        self._limit = limit
        self._size = 0

    def read(self, amt: int | None = None, *, decode_content: bool | None = None) -> bytes:
        """Return `amt` bytes, or all; fewer only at the end, as astropy's parser expects."""
        parts, size = [], 0
        while amt is None or size < amt:
            part = self._some(_PART if amt is None else amt - size, decode_content=decode_content)
            if not part:
                break
            parts.append(part)
            size += len(part)
        return b"".join(parts)

    def stream(self, amt: int = _PART, *, decode_content: bool | None = None) -> Iterator[bytes]:
        """Yield the body in parts, as they arrive."""
        while part := self._some(amt, decode_content=decode_content):
            yield part

    def _some(self, amt: int, *, decode_content: bool | None) -> bytes:
        # `read1` returns with what one packet brought; `read` would wait until `amt` bytes are
        # there, and each byte that drips in would start its time limit anew.
        part = self._raw.read1(amt, decode_content=decode_content) or b""
        self._size += len(part)
        if self._size > self._limit:
            raise ArchiveError(f"The archive sent more than {self._limit / 2**20:.3g} MiB")
        if part and time.monotonic() > self._end:
            raise ArchiveError(
                "The archive did not come to an end in time",
                cause=f"{self._size} bytes had arrived",
            )
        return part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def pause(attempt: int, asked: str | None) -> float:
    """Return seconds to wait: what the archive asks for within reason, else doubling with jitter.

    Parameters
    ----------
    attempt : int
        Number of this try, from 0.
    asked : str, optional
        The archive's ``Retry-After``: seconds, or a date of HTTP (RFC 9110 section 10.2.3).
    """
    if asked and asked.isascii() and asked.isdigit():
        return min(float(asked), MAX_PAUSE)
    # A date without a zone, or none at all, is no date of HTTP.
    with suppress(ValueError, TypeError):
        left = (parsedate_to_datetime(asked or "") - datetime.now(UTC)).total_seconds()
        return min(max(left, 0.0), MAX_PAUSE)
    return min(0.2 * 2**attempt, MAX_PAUSE) * (0.5 + random.random())  # noqa: S311 - jitter
