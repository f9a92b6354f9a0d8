"""Bodies of requests: forms, also in several parts with tables in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import tornado.escape
import tornado.web

from jupyter_astroml.core.errors import QueryError

from .votable_reader import MAX_BYTES
from .web import Endpoint, Service

if TYPE_CHECKING:
    from tornado.http1connection import HTTP1Connection

MOST_PARTS = 100
_MAX_HEAD = 8_192
# RFC 2046 section 5.1.1 allows 70.
_MAX_BOUNDARY = 200
_BOUNDARY = re.compile(r'boundary=(?:"([^"]+)"|([^;\s]+))', re.IGNORECASE)
_NAME = re.compile(r'[;\s]name=(?:"([^"]*)"|([^;\s]+))', re.IGNORECASE)
_FILE = re.compile(r"[;\s]filename\*?=", re.IGNORECASE)
_TYPE = re.compile(r"^content-type:\s*([^;\s]+)", re.IGNORECASE | re.MULTILINE)


def parts(content_type: str, body: bytes) -> tuple[dict[str, list[bytes]], dict[str, bytes]]:
    """Split a form in several parts into its values and its files, by name.

    Parameters
    ----------
    content_type : str
        Header of the request.
        The boundary is taken as it stands: Python's parsers of mail headers and tornado's refuse
        or change that of STILTS, which holds ``<``.
    body : bytes
        Text before the first boundary, which STILTS sends, is skipped (RFC 2046 section 5.1.1).

    Raises
    ------
    QueryError
        When the form is cut or is none.
    """
    found = _BOUNDARY.search(content_type)
    boundary = (found[1] or found[2]) if found else ""
    if not 0 < len(boundary) <= _MAX_BOUNDARY:
        raise QueryError("The form does not say what separates its parts")
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1"), MOST_PARTS + 2)
    values: dict[str, list[bytes]] = {}
    files: dict[str, bytes] = {}
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            return values, files
        head, separator, content = piece.partition(b"\r\n\r\n")
        if not separator or len(head) > _MAX_HEAD:
            raise QueryError("A part of the form has no proper head")
        lines = head.decode("latin-1").strip()
        name = _NAME.search(lines)
        if name is None:
            raise QueryError("A part of the form has no name")
        media = _TYPE.search(lines)
        if _FILE.search(lines) or (media and media[1].lower() != "text/plain"):
            files[name[1] or name[2]] = content
        else:
            values.setdefault(name[1] or name[2], []).append(content)
    raise QueryError(f"The form is cut, or has more than {MOST_PARTS} parts")


@tornado.web.stream_request_body
class FormEndpoint(Endpoint):
    """A handler that takes tables in the parts of a form."""

    def initialize(self, service: Service) -> None:
        """Begin with an empty body."""
        super().initialize(service)
        self._chunks: list[bytes] | None = []
        self._files: dict[str, bytes] = {}

    def prepare(self) -> None:
        """Let a form in several parts, which may hold tables, be larger than other bodies."""
        super().prepare()
        if self._in_parts():
            connection = cast("HTTP1Connection", self.request.connection)
            connection.set_max_body_size(MAX_BYTES)

    def _in_parts(self) -> bool:
        return self._content_type().lower().startswith("multipart/form-data")

    def _content_type(self) -> str:
        return self.request.headers.get("Content-Type", "").strip()

    def data_received(self, chunk: bytes) -> None:
        """Keep a piece of the body."""
        if self._chunks is not None:
            self._chunks.append(chunk)

    @property
    def files(self) -> dict[str, bytes]:
        """The files in the form, by name."""
        self._read()
        return self._files

    def every(self, name: str) -> list[str]:
        """Return all values of a parameter, of the address and of the body."""
        self._read()
        return super().every(name)

    def parameter(self, name: str) -> str:
        """Return a parameter of TAP; UPLOAD may come several times (DALI 1.1 section 3.4.5)."""
        return ";".join(self.every(name)) if name == "UPLOAD" else self.one(name)

    def _read(self) -> None:
        if self._chunks is None:
            return
        body, self._chunks = b"".join(self._chunks), None
        if not body:
            return
        if self.request.headers.get("Content-Encoding", "identity") != "identity":
            raise QueryError("A compressed body is not taken")
        if self._in_parts():
            values, self._files = parts(self._content_type(), body)
        elif self._content_type().lower().startswith("application/x-www-form-urlencoded"):
            values = _pairs(body)
        else:
            return
        for name, given in values.items():
            self.request.arguments.setdefault(name, []).extend(given)


def _pairs(body: bytes) -> dict[str, list[bytes]]:
    try:
        return tornado.escape.parse_qs_bytes(body, keep_blank_values=True)
    except ValueError as err:
        raise QueryError("The form cannot be read", cause=str(err)[:200]) from err
