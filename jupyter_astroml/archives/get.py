"""GET without detours: what is fetched by the thousand goes from a `Session` to urllib3 at once.

requests needs three times as long as urllib3 to ask for a small file, most of it for what no
download uses.
What a download does use stays the session's: its time and size limits, connections, proxies,
certificates and cookies, and a login that is added to each hop by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.cookies import extract_cookies_to_jar, get_cookie_header
from requests.exceptions import InvalidURL, TooManyRedirects
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError

from jupyter_astroml.archives.http import Body, Session

# RFC 9110 section 15.4.
_ELSEWHERE = frozenset((301, 302, 303, 307, 308))
_HOPS = 30
# A document that comes with a redirection is read so that its connection can be used again.
_SHORT = 2**16


class Answer:
    """What a server sent: status and headers, and a body that is read once.

    Parameters
    ----------
    url : str
        Where it came from, after all redirections.
    raw : urllib3.response.BaseHTTPResponse
    body : Body
        Its body, within the bounds of the session.

    Attributes
    ----------
    status : int
    reason : str
    headers : Mapping
        Names are compared without case.
    """

    def __init__(self, url: str, raw: Any, body: Body) -> None:
        self.url = url
        self.status: int = raw.status
        self.reason: str = raw.reason or ""
        self.headers: Mapping[str, str] = raw.headers
        self.body = body
        self._raw = raw

    def close(self) -> None:
        """Give the connection back; one on which something is left to come is of no more use."""
        if not self._raw.closed:
            self._raw.close()
        self._raw.release_conn()


@contextmanager
def get(session: Session, url: str, *, headers: Mapping[str, str]) -> Iterator[Answer]:
    """Ask for an address, and wherever it leads to.

    Parameters
    ----------
    session : Session
        Its bounds, connections, login and cookies are used.
    url : str
        http or https.
    headers : mapping
        Beside those of the session.
        Go to every hop: no credentials.

    Raises
    ------
    requests.exceptions.InvalidURL
        For what is no address of http.
    requests.RequestException
        If no answer came.
    ArchiveError
        From the body, beyond the bounds of the session.
    """
    for _ in range(_HOPS):
        try:
            answer = _hop(session, url, headers)
        except ValueError as err:
            # requests, urllib3 and the codec of host names have many errors for that.
            raise InvalidURL(str(err)) from err
        except HTTPError as err:
            raise requests.ConnectionError(str(err)) from err
        try:
            place = answer.headers.get("Location", "") if answer.status in _ELSEWHERE else ""
            if not place:
                yield answer
                return
            answer.body.read(_SHORT)
        finally:
            answer.close()
        url = _next(url, place)
    raise TooManyRedirects(f"the archive led to {_HOPS} addresses in a row")


def _hop(session: Session, url: str, headers: Mapping[str, str]) -> Answer:
    """Send one request, with the credentials that its own address may see."""
    parts = urlsplit(url)
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise InvalidURL(f"{url[:80]!r} is no address of http")
    request = requests.PreparedRequest()
    request.method, request.url = "GET", url
    request.headers = CaseInsensitiveDict({**dict[str, Any](session.headers), **headers})
    if len(session.cookies) and (cookies := get_cookie_header(session.cookies, request)):
        request.headers["Cookie"] = cookies
    options = session.merge_environment_settings(url, {}, True, None, None)  # noqa: FBT003
    raw, body = session.bounds.ask(request, patience=session.patience, **options)
    if "Set-Cookie" in raw.headers:
        extract_cookies_to_jar(session.cookies, request, raw)
    return Answer(url, raw, body)


def _next(url: str, place: str) -> str:
    """Return where an answer leads to (RFC 9110 section 10.2.2)."""
    # http.client reads headers as Latin-1, and servers write addresses in UTF-8.
    with suppress(UnicodeError):
        place = place.encode("latin-1").decode()
    try:
        return urljoin(url, place)
    except ValueError as err:
        raise InvalidURL(str(err)) from err
