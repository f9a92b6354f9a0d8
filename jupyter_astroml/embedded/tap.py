"""TAP 1.1: synchronous queries, and what they share with jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jupyter_astroml.core.errors import QueryError

from . import uploads, votable
from .engine import Cancel, Database
from .forms import FormEndpoint

DEFAULT_ROWS = 50_000
MOST_ROWS = 1_000_000
SYNC_SECONDS = 60.0
LANGUAGES = ("ADQL", "ADQL-2.0", "ADQL-2.1")


@dataclass(frozen=True)
class Request:
    """A query with its parameters, checked.

    Attributes
    ----------
    query : str
    maxrec : int
        Rows at most.
    form : str
        Writer of the answer.
    uploads : tuple of uploads.Source
        Tables that come with the query.
    """

    query: str
    maxrec: int
    form: str
    uploads: tuple[uploads.Source, ...] = ()


def request(get: Callable[[str], str]) -> Request:
    """Read the parameters of TAP 1.1 section 2.7.

    Raises
    ------
    QueryError
        For a missing or wrong parameter.
    """
    if (get("REQUEST") or "doQuery").lower() != "doquery":
        raise QueryError(f"REQUEST is {get('REQUEST')!r}", remedy="REQUEST must be doQuery")
    if get("LANG").upper() not in LANGUAGES:
        raise QueryError(
            f"LANG is {get('LANG')!r}", remedy=f"LANG must be one of {', '.join(LANGUAGES)}"
        )
    if not get("QUERY").strip():
        raise QueryError("QUERY is missing")
    given = get("MAXREC")
    if given and not (given.isascii() and given.isdigit() and len(given) < 19):
        raise QueryError(f"MAXREC is {given[:40]!r}", remedy="give a whole number from 0")
    maxrec = min(int(given), MOST_ROWS) if given else DEFAULT_ROWS
    form = votable.writer(get("RESPONSEFORMAT") or get("FORMAT") or None)
    return Request(get("QUERY"), maxrec, form, uploads.sources(get("UPLOAD")))


def perform(
    database: Database,
    asked: Request,
    *,
    fetch: uploads.Fetch,
    seconds: float,
    cancel: Cancel | None = None,
) -> tuple[str, bytes]:
    """Return media type and bytes of the answer to a query; `fetch` gives what is uploaded."""
    sent = uploads.read(asked.uploads, fetch)
    plan = database.plan(asked.query, maxrec=asked.maxrec, uploads=sent)
    answer = database.run(plan, seconds=seconds, cancel=cancel)
    return votable.write(answer, form=asked.form, infos=[("QUERY", asked.query)])


class Sync(FormEndpoint):
    """The resource ``/tap/sync``."""

    async def get(self) -> None:
        """Answer a query at once."""
        asked = request(self.parameter)
        self._cancel = Cancel()
        fetch = self.service.jobs.fetcher(self.files)
        media, body = await self.at_work(
            self.service.queries,
            lambda: perform(
                self.service.database,
                asked,
                fetch=fetch,
                seconds=SYNC_SECONDS,
                cancel=self._cancel,
            ),
        )
        self.set_header("Content-Type", media)
        self.finish(body)

    post = get

    def on_connection_close(self) -> None:
        """Stop the query of a client that left."""
        super().on_connection_close()
        if hasattr(self, "_cancel"):
            self._cancel.cancel()
