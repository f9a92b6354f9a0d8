"""One HTTP session for a task: time limits, size limits, and patience with a busy archive."""

from __future__ import annotations

import random
import time
from typing import Any

import requests

from jupyter_astroml.core.errors import ArchiveError

# Seconds to connect, and seconds of silence while reading.
TIMEOUT = (10.0, 60.0)
MAX_BYTES = 256 * 2**20
TRIES = 4
# An archive may ask for an hour; a notebook does not wait that long without a word.
MAX_PAUSE = 30.0
_BUSY = {429, 502, 503, 504}


class Session(requests.Session):
    """A `requests.Session` that never waits for ever.

    Attributes
    ----------
    patience : tuple of float
        Seconds to connect, and of silence, unless a request says otherwise.
    """

    patience = TIMEOUT

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request within the session's patience."""
        if options.get("timeout") is None:
            options["timeout"] = self.patience
        return super().request(method, url, **options)


def download(session: requests.Session, url: str, *, limit: int = MAX_BYTES) -> tuple[bytes, str]:
    """Return the body and the media type of a URL.

    Parameters
    ----------
    session : requests.Session
        Shared by the requests of one task, so that connections are used again.
    url : str
        http or https only: a row of an archive must not make us read local files.
    limit : int
        Largest body in bytes.

    Raises
    ------
    ArchiveError
        After the last of `TRIES` attempts, or at once for an answer that will not change.
    """
    if not url.startswith(("http://", "https://")):
        raise ArchiveError(f"Refused to fetch {url[:80]!r}", cause="it is no http(s) address")
    for attempt in range(TRIES):
        try:
            with session.get(url, stream=True, timeout=TIMEOUT) as answer:
                if answer.status_code in _BUSY and attempt < TRIES - 1:
                    time.sleep(_pause(attempt, answer.headers.get("Retry-After")))
                    continue
                if not answer.ok:
                    raise ArchiveError(
                        f"The archive answered {answer.status_code} {answer.reason}",
                        cause=_excerpt(answer),
                    )
                return _body(answer, limit), answer.headers.get("Content-Type", "")
        except requests.RequestException as err:
            if attempt == TRIES - 1:
                raise ArchiveError(
                    "The archive could not be reached",
                    cause=str(err),
                    remedy="try again later: what was done is kept",
                ) from err
            time.sleep(_pause(attempt, None))
    raise AssertionError("unreachable")


def _body(answer: requests.Response, limit: int) -> bytes:
    parts, size = [], 0
    for part in answer.iter_content(2**16):
        size += len(part)
        if size > limit:
            raise ArchiveError(f"The archive sent more than {limit // 2**20} MiB for one object")
        parts.append(part)
    promised = answer.headers.get("Content-Length", "")
    encoded = answer.headers.get("Content-Encoding", "identity") != "identity"
    if promised.isdigit() and not encoded and int(promised) != size:
        raise requests.ConnectionError(f"the body broke off at {size} of {promised} bytes")
    return b"".join(parts)


def _pause(attempt: int, asked: str | None) -> float:
    """Seconds to wait: what the archive asks for within reason, else doubling with jitter."""
    if asked and asked.isdigit():
        return min(float(asked), MAX_PAUSE)
    return min(0.2 * 2**attempt, MAX_PAUSE) * (0.5 + random.random())  # noqa: S311 - jitter


def _excerpt(answer: requests.Response) -> str:
    """Return the first words of an error document, without its markup."""
    import re

    text = answer.raw.read(2000, decode_content=True).decode("utf-8", "replace")
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())[:300]
