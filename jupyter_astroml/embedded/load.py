"""The resources by which users make, fill and drop tables, as CADC's YouCat has them.

pyvo speaks them: ``PUT`` of a VOTable to ``/tap/tables/NAME`` makes a table, ``POST`` of text to
``/tap/load/NAME`` fills it, and ``DELETE`` drops it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import tornado.web

from jupyter_astroml.core.errors import DataError, QueryError

from . import vosi, votable_reader
from .web import Endpoint, NotFoundError

if TYPE_CHECKING:
    from tornado.http1connection import HTTP1Connection

    from .usertables import UserTables

_SEPARATORS = {"text/csv": ",", "text/tab-separated-values": "\t"}


class Tables(vosi.Tables):
    """The resource ``/tap/tables/NAME``, which can be made and dropped."""

    async def put(self, name: str = "") -> None:
        """Make a table."""
        media = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media != "application/x-votable+xml":
            raise tornado.web.HTTPError(415, "Send a VOTable with the columns")
        try:
            await self.at_work(
                self.service.queries, _users(self).create, name.lower(), self.request.body
            )
        except DataError as err:
            raise QueryError("The VOTable cannot be read", cause=str(err)) from err
        self.text("")

    async def delete(self, name: str = "") -> None:
        """Drop a table."""
        await self.at_work(self.service.queries, _users(self, name).drop, name.lower())
        self.text("")


@tornado.web.stream_request_body
class Load(Endpoint):
    """The resource ``/tap/load/NAME``, which takes rows."""

    def prepare(self) -> None:
        """Let rows be larger than other bodies."""
        super().prepare()
        self._chunks: list[bytes] = []
        connection = cast("HTTP1Connection", self.request.connection)
        connection.set_max_body_size(votable_reader.MAX_BYTES)

    def data_received(self, chunk: bytes) -> None:
        """Keep a piece of the body."""
        self._chunks.append(chunk)

    async def post(self, name: str) -> None:
        """Add rows."""
        media = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media not in _SEPARATORS:
            raise tornado.web.HTTPError(415, f"Send {' or '.join(_SEPARATORS)}")
        body = b"".join(self._chunks)
        await self.at_work(
            self.service.queries,
            lambda: _users(self, name).load(name.lower(), body, separator=_SEPARATORS[media]),
        )
        self.text("")


def _users(handler: Endpoint, name: str = "") -> UserTables:
    """Return the tables of users, among which there must be one of this name if one is given."""
    users = handler.service.users
    if users is None:
        raise tornado.web.HTTPError(405, "This archive keeps no tables of users")
    if name and name.lower() not in users:
        raise NotFoundError(f"There is no table {name[:80]!r} of a user")
    return users
