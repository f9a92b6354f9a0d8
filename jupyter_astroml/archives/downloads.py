"""Download a file: patiently, no more of it than is missing, and not what is here already."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import NamedTuple

import requests
from requests.exceptions import InvalidURL, TooManyRedirects
from urllib3.exceptions import HTTPError

from jupyter_astroml.archives.get import Answer, get
from jupyter_astroml.archives.hosts import UnreachableError
from jupyter_astroml.archives.http import BUSY, TRIES, Session, pause
from jupyter_astroml.archives.kept import LARGE, Known, Part, validators
from jupyter_astroml.archives.login import Login
from jupyter_astroml.core.errors import ArchiveError, reason

_PIECE = 1 << 16
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
# Names of RFC 9530 and RFC 3230, and what hashlib calls them.
_HASHES = {"sha-256": "sha256", "sha-512": "sha512", "sha": "sha1", "md5": "md5"}


class Download(NamedTuple):
    """What an address sent.

    Attributes
    ----------
    body : bytes
    media : str
        Media type.
    sha256 : str
        Of the body.
    kept : bool
        Whether it was here already, and the archive said that it has not changed.
    tries : int
        Requests that were sent.
    packed : bool
        Whether it was compressed on the way, where its length was another.
    """

    body: bytes
    media: str
    sha256: str
    kept: bool = False
    tries: int = 1
    packed: bool = False


class _BusyError(ArchiveError):
    """The archive asks to come back later."""

    def __init__(self, what: str, *, cause: str = "", remedy: str = "", after: str = "") -> None:
        super().__init__(what, cause=cause, remedy=remedy)
        self.after = after


def download(session: Session, url: str, *, tried: Callable[[int], None] | None = None) -> Download:
    """Return what an address sends.

    Where the session keeps downloads (see `jupyter_astroml.archives.kept`), a file that has not
    changed is not sent again, and of one that broke off only the rest.

    Parameters
    ----------
    session : Session
        Shared by the requests of one task, so that connections are used again.
    url : str
        http or https only: a row of an archive must not make us read local files.
    tried : callable, optional
        Called before each request with its number, from 1.

    Raises
    ------
    UnreachableError
        After the last of `TRIES` attempts without an answer, or at once where nobody answered
        others.
    ArchiveError
        After the last attempt at a busy archive, or at once for an answer that will not change.
    """
    if not url.startswith(("http://", "https://")):
        raise ArchiveError(
            f"Refused to fetch {url[:80]!r}",
            cause="it is no http(s) address",
            remedy="publish files of your own first: jupyter astroml archive serve DIR",
        )
    found = session.kept.find(url) if session.kept else None
    for attempt in range(TRIES):
        last = attempt == TRIES - 1
        if tried:
            tried(attempt + 1)
        try:
            return _asked(session, url, found)._replace(tries=attempt + 1)
        except _BusyError as err:
            if last:
                raise ArchiveError(err.what, cause=err.cause) from err
            time.sleep(pause(attempt, err.after))
        except (InvalidURL, TooManyRedirects) as err:
            raise ArchiveError(f"Refused to fetch {url[:80]!r}", cause=str(err)) from err
        except (requests.RequestException, HTTPError) as err:
            if last:
                raise UnreachableError(
                    "The archive could not be reached",
                    cause=reason(err),
                    remedy="try again later: what was done is kept",
                ) from err
            # Perhaps it was the question whether the file has changed that got no answer.
            found = None
            time.sleep(pause(attempt, None))
    raise AssertionError("unreachable")


def _asked(session: Session, url: str, found: tuple[Known, bytes] | None) -> Download:
    """Send one request."""
    resumed = session.kept is not None and session.kept.has_part(url)
    holding = session.kept.part(url) if session.kept and resumed else nullcontext()
    with holding as part:
        headers = part.headers() if part else {}
        if not headers and found:
            headers = found[0].unless_changed()
        with (
            session.hosts.asking(url) as answered,
            get(session, url, headers=headers) as answer,
        ):
            answered()
            if answer.status == 304 and found:
                known, body = found
                return Download(body, known.media, known.sha256, kept=True)
            if answer.status == 416 and part:
                part.drop()
                raise requests.ConnectionError("the file is shorter than the part that is here")
            _refuse(answer, login=session.bounds.login)
            known_now = validators(answer.headers)
            body = _body(session, url, answer, part, known_now)
            media = answer.headers.get("Content-Type", "")
            sha256 = hashlib.sha256(body).hexdigest()
            if session.kept and known_now:
                session.kept.keep(url, replace(known_now, sha256=sha256), body)
            return Download(body, media, sha256, packed="Content-Encoding" in answer.headers)


def _refuse(answer: Answer, *, login: Login | None) -> None:
    """Raise what an answer that is no success means."""
    if answer.status < 400 and answer.status != 304:
        return
    what = f"The archive answered {answer.status} {answer.reason}"
    if answer.status in BUSY:
        after = answer.headers.get("Retry-After", "")
        raise _BusyError(what, cause=_excerpt(answer, login=login), after=after)
    raise ArchiveError(what, cause=_excerpt(answer, login=login))


def _body(
    session: Session, url: str, answer: Answer, part: Part | None, known: Known | None
) -> bytes:
    """Read the body, and keep a large one on disk as it arrives."""
    if part is not None or session.kept is None or not _large(answer, known):
        return _read(answer, part, known)
    with session.kept.part(url) as begun:
        return _read(answer, begun, known)


def _large(answer: Answer, known: Known | None) -> bool:
    """Tell whether it is worth keeping a part: it must be possible to ask for the rest."""
    length = answer.headers.get("Content-Length", "")
    plain = "Content-Encoding" not in answer.headers
    return bool(known and known.exact and plain and length.isdigit() and int(length) >= LARGE)


def _read(answer: Answer, part: Part | None, known: Known | None) -> bytes:
    """Return the whole body, of which a part may be here; checked against length and digest."""
    before, total = b"", None
    if part is None and answer.status == 206:
        raise requests.ConnectionError("the archive sent a part of what it was asked for")
    if part is not None and answer.status == 206:
        before, total = _resumed(answer, part, known)
    elif part is not None:
        part.begin(known)
    pieces = [before]
    for piece in answer.body.stream(_PIECE):
        pieces.append(piece)
        if part is not None:
            part.write(piece)
    body = b"".join(pieces)
    _check_length(answer.headers, len(body), len(before))
    if total not in (None, len(body)):
        # Fewer bytes than were asked for are allowed (RFC 9110 section 15.3.7): ask for the rest.
        raise requests.ConnectionError(f"only {len(body)} of {total} bytes are here")
    if part is not None:
        part.drop()
    _check_digest(answer, body)
    return body


def _resumed(answer: Answer, part: Part, known: Known | None) -> tuple[bytes, int]:
    """Return what is here, to which an answer adds the rest, and how long the whole is.

    Some servers know ranges and no ``If-Range``: what they send may be the rest of another file.
    """
    same = known is not None and known.exact == part.exact
    plain = answer.headers.get("Content-Encoding", "identity") == "identity"
    told = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    before = part.resume() if same and plain else b""
    if not before or told is None or int(told[1]) != len(before):
        part.drop()
        raise requests.ConnectionError("the archive sent another part than it was asked for")
    return before, int(told[2])


def _check_length(headers: Mapping[str, str], size: int, before: int) -> None:
    promised = headers.get("Content-Length", "")
    encoded = headers.get("Content-Encoding", "identity") != "identity"
    if promised.isdigit() and not encoded and int(promised) + before != size:
        raise requests.ConnectionError(
            f"the body broke off at {size} of {int(promised) + before} bytes"
        )


def _check_digest(answer: Answer, body: bytes) -> None:
    """Compare a body with the digest that stands in the headers, if there is one of it all."""
    headers = answer.headers
    if "Content-Encoding" in headers:
        return
    # RFC 9530 sections 2 and 3, RFC 3230; those of the content alone are of a part in a 206.
    told = [headers.get("Repr-Digest", ""), headers.get("Digest", "")]
    if answer.status != 206:
        md5 = headers.get("Content-MD5", "")
        told += [headers.get("Content-Digest", ""), f"md5={md5}" if md5 else ""]
    for name, value in re.findall(r"([\w-]+)=:?([\w+/]+=*):?", ",".join(told)):
        made = _HASHES.get(name.lower())
        if made and not _same(hashlib.new(made, body, usedforsecurity=False).hexdigest(), value):
            raise requests.ConnectionError(f"the body does not have the {made} that was promised")


def _same(found: str, told: str) -> bool:
    """Compare digests; some archives send the hexadecimal digits, in base64 or as they are."""
    try:
        plain = base64.b64decode(told, validate=True)
    except binascii.Error:
        plain = b""
    return found in (told.lower(), plain.hex(), plain.decode("latin-1").lower())


def _excerpt(answer: Answer, *, login: Login | None) -> str:
    """Return the first words of an error document, without its markup, if it can be read."""
    try:
        text = answer.body.read(2000, decode_content=True).decode("utf-8", "replace")
    except (HTTPError, OSError, ArchiveError):
        return ""
    text = login.hide(text) if login else text
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())[:300]
