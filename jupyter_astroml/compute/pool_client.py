"""Speak to the hub's pool over HTTP."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import numpy as np
import urllib3

from jupyter_astroml.core.errors import AstroMLError, RunError, reason
from jupyter_astroml.core.jobs import Answer
from jupyter_astroml.core.settings import settings

# A pool's own token first: on a hub both are there.
TOKENS = ("ASTROML_POOL_TOKEN", "JUPYTERHUB_API_TOKEN")
_CONNECT, _READ = 10.0, 90.0
_LONGEST_WAIT = 20.0
_LONGEST_PAUSE = 15.0
_AWAY = (502, 503, 504)
# A request so small may as well be sent again to see whether there is room.
_SMALL_BYTES = 65_536


class PoolClient:
    """One pool, as one user; may be used by several threads.

    Parameters
    ----------
    url : str
        Of the service, such as ``https://hub.example.org/services/pool``.
    token : str
        By default that of the environment: ``ASTROML_POOL_TOKEN``, or ``JUPYTERHUB_API_TOKEN``,
        which opens the user's whole hub and goes only to the address of the setting ``pool``.
    connections : int
        Kept open.
    patience : float
        Seconds for which a pool that is away is asked again: a hub looks twice a minute whether it
        has to start its services anew.

    Raises
    ------
    RunError
        Without a token.
    """

    def __init__(
        self, url: str, *, token: str = "", connections: int = 8, patience: float = 120.0
    ) -> None:
        self.url = url.rstrip("/")
        given = token or _token(self.url)
        if not given:
            raise RunError(
                f"There is no token for the pool at {self.url}",
                cause=f"none of {', '.join(TOKENS)} is set",
                remedy="work in a server of the hub, or export ASTROML_POOL_TOKEN",
            )
        self._patience = patience
        self._headers = {"Authorization": f"token {given}"}
        # A redirect could carry the token and the data elsewhere.
        self._http = urllib3.PoolManager(
            maxsize=connections,
            block=True,
            retries=False,
        )

    def __repr__(self) -> str:
        return f"<pool {self.url}>"

    def close(self) -> None:
        """Close the connections."""
        self._http.clear()

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON of a page such as ``models`` or ``me``."""
        return _json(self._asked("GET", path))

    def create(
        self,
        asked: Mapping[str, Any],
        *,
        full: Callable[[str], Any] = lambda _: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> str:
        """Make a job, and return its name; repeating a ``client_id`` returns the same job.

        Parameters
        ----------
        asked : mapping
            What the pool's route ``POST /v1/jobs`` takes.
        full : callable
            Gets a line that says why the pool takes no more for the moment.
        stopped : callable
            Asked while the pool is full; when true, the waiting ends.
        """
        body = json.dumps(asked).encode()
        reply = self._asked("POST", "jobs", body=body, full=full, stopped=stopped)
        return str(_json(reply)["job"])

    def send(
        self,
        job: str,
        number: int,
        values: np.ndarray,
        *,
        full: Callable[[str], Any] = lambda _: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Send the values of a chunk; waits when the pool takes no more for the moment.

        Parameters
        ----------
        job : str
            Name from `create`.
        number : int
            Of the chunk, our choice.
        values : ndarray
            Of float32, shape (n, ...).
        full, stopped : callable
            As for `create`.
        """
        body = np.ascontiguousarray(values, dtype="<f4").data.cast("B")
        shape = urlencode({"shape": ",".join(map(str, values.shape))})
        self._asked(
            "PUT",
            f"jobs/{job}/chunks/{number}?{shape}",
            body=body,
            headers={"X-SHA256": hashlib.sha256(body).hexdigest()},
            full=full,
            stopped=stopped,
        )

    def fetch(
        self,
        job: str,
        number: int,
        *,
        waiting: Callable[[Mapping[str, Any]], Any] = lambda _: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Answer:
        """Wait for the answer of a chunk.

        Parameters
        ----------
        job, number
            As for `send`.
        waiting : callable
            Gets the state of the job while it is waited for.
        stopped : callable
            Asked before each new wait; when true, the waiting ends.

        Raises
        ------
        RunError
            If the chunk failed, or the waiting was stopped.
        """
        wait = 0.5
        while not stopped():
            path = f"jobs/{job}/chunks/{number}?wait={wait}"
            reply = self._asked("GET", path, stopped=stopped)
            if reply.status == 200:
                return _answer(reply)
            waiting(_json(reply))
            wait = min(2 * wait, _LONGEST_WAIT)
        raise _stopped()

    def release(self, job: str, number: int, *, patience: float | None = None) -> None:
        """Forget a chunk: the pool keeps only so much for each user."""
        self._asked("DELETE", f"jobs/{job}/chunks/{number}", patience=patience)

    def delete(self, job: str, *, patience: float | None = None) -> None:
        """Cancel and forget a job."""
        self._asked("DELETE", f"jobs/{job}", patience=patience)

    def _await_room(
        self, size: int, pause: float, full: Callable[[str], Any], stopped: Callable[[], bool]
    ) -> None:
        """Wait until a request of so many bytes fits: asking costs less than sending it again."""
        while True:
            # Many who were refused at the same time do not come back at the same time.
            _sleep(min(pause, _LONGEST_PAUSE) * random.uniform(0.7, 1.3), stopped)  # noqa: S311
            if size < _SMALL_BYTES:
                return
            me = _json(self._asked("GET", "me", stopped=stopped))
            used, limits = me["used"], me["limits"]
            kinds = ("queued_bytes", "kept_bytes")
            if all(used[kind] + size <= limits[kind] for kind in kinds):
                return
            full("you have as much waiting there as one user may")
            pause *= 2

    def _asked(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        full: Callable[[str], Any] = lambda _: None,
        stopped: Callable[[], bool] = lambda: False,
        patience: float | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Ask until there is an answer: each request can be repeated without harm."""
        begin, pause = time.monotonic(), 0.25
        patience = self._patience if patience is None else patience
        timeout = urllib3.Timeout(connect=min(patience, _CONNECT), read=min(patience, _READ))
        while True:
            try:
                reply = self._http.request(
                    method,
                    f"{self.url}/v1/{path}",
                    body=body,
                    headers={**self._headers, **(headers or {})},
                    redirect=False,
                    timeout=timeout,
                )
            except urllib3.exceptions.HTTPError as err:
                if time.monotonic() - begin > patience:
                    raise RunError(
                        f"The pool at {self.url} does not answer",
                        cause=reason(err),
                        remedy="what arrived is kept: resume the run later, or elsewhere",
                    ) from err
                reply = None
            if reply is not None:
                if reply.status < 300:
                    return reply
                away = reply.status in _AWAY
                if not (away or reply.status == 429) or _told(reply).get("code") == "suspended":
                    raise _error(reply, self.url)
                # A full queue empties; a pool that is away may stay away.
                if away and time.monotonic() - begin > patience:
                    raise _error(reply, self.url)
                pause = max(pause, _seconds(reply.headers.get("Retry-After", "")))
                full(str(_told(reply).get("cause") or "it is away for the moment"))
            self._await_room(len(body or b""), pause, full, stopped)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _token(url: str) -> str:
    own, hub = TOKENS
    if not os.environ.get(own) and url == settings().pool.rstrip("/"):
        return os.environ.get(hub, "")
    return os.environ.get(own, "")


def _sleep(seconds: float, stopped: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if stopped():
            raise _stopped()
        time.sleep(min(left, 0.2))


def _stopped() -> RunError:
    return RunError("The run was stopped", remedy="resume it")


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() else 0.0


def _told(reply: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    try:
        found = json.loads(reply.data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _json(reply: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    found = _told(reply)
    if not found:
        raise RunError(
            "The pool's answer is no JSON object",
            remedy="check that the address of the pool is right (setting 'pool')",
        )
    return found


def _error(reply: urllib3.BaseHTTPResponse, url: str) -> AstroMLError:
    told = _told(reply)
    if not told.get("what"):
        return RunError(
            f"The pool at {url} answered {reply.status}",
            remedy="check the address of the pool (setting 'pool')",
        )
    cause, remedy = (str(told.get(name) or "") for name in ("cause", "remedy"))
    return RunError(str(told["what"]), cause=cause, remedy=remedy)


def _answer(reply: urllib3.BaseHTTPResponse) -> Answer:
    try:
        shape = tuple(int(n) for n in json.loads(reply.headers["X-Pool-Outputs"])["shape"])
        count = int(np.prod(shape))
        outputs = np.frombuffer(reply.data, "<f4", count=count).reshape(shape)
        status = np.frombuffer(reply.data, "u1", offset=4 * count)
    except (KeyError, TypeError, ValueError) as err:
        raise RunError("The pool's answer cannot be read", cause=str(err)) from err
    if len(status) != len(outputs):
        raise RunError("The pool's answer cannot be read", cause="its length is wrong")
    return Answer(outputs, status)
