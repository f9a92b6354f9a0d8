"""The addresses of the archive, and its life: bind, serve, end."""

from __future__ import annotations

import asyncio
import secrets
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tornado.httpserver
import tornado.netutil
import tornado.web

from jupyter_astroml.core.errors import ArchiveError

from . import cone, datalink, load, products, sia, soda, ssa, tap, usertables, uws, vosi, web
from .engine import Database

_TICK_SECONDS = 1.0


@dataclass(frozen=True)
class Archive:
    """What is to be served.

    Attributes
    ----------
    database : Path
        Written by `build.Builder`.
    root : Path
        Folder that holds the files.
    title : str
    examples : tuple of (str, str)
        What to ask and the query that asks it, for ``/tap/examples``.
    """

    database: Path
    root: Path
    title: str
    examples: tuple[tuple[str, str], ...]


def application(service: web.Service) -> tornado.web.Application:
    """Return the routes of an archive."""
    routes: list[tuple[str, type[web.Endpoint]]] = [
        (r"/", web.About),
        (r"/tap/sync", tap.Sync),
        (r"/tap/async", uws.JobList),
        (r"/tap/async/([0-9a-f]{16})/?", uws.JobResource),
        (r"/tap/async/([0-9a-f]{16})/([a-z/]+)", uws.JobResource),
        (r"/tap/tables", vosi.Tables),
        (r"/tap/tables/([^/]+)", load.Tables),
        (r"/tap/load/([^/]+)", load.Load),
        (r"/tap/capabilities", vosi.Capabilities),
        (r"/(?:tap|sia2|ssa|scs/[^/]+)/availability", vosi.Availability),
        (r"/tap/examples", vosi.Examples),
        (r"/datalink", datalink.DataLink),
        (r"/soda", soda.Soda),
        (r"/files", products.Files),
    ]
    simple: list[tuple[str, type[web.Endpoint], str]] = [
        ("/scs/([^/]+)", cone.Cone, cone.STANDARD),
        ("/sia2/query", sia.Query, sia.STANDARD),
        ("/ssa/query", ssa.Query, ssa.STANDARD),
    ]
    given = {"service": service}
    described = [
        (f"{pattern.removesuffix('/query')}/capabilities", standard)
        for pattern, _, standard in simple
    ]
    return tornado.web.Application(
        [(pattern, handler, given) for pattern, handler in routes]
        + [(pattern, handler, given) for pattern, handler, _ in simple]
        + [(pattern, vosi.Simple, {**given, "standard": std}) for pattern, std in described],
        default_handler_class=web.Nothing,
        default_handler_args=given,
        log_function=lambda handler: None,
    )


async def serve(
    archive: Archive,
    *,
    port: int = 0,
    ready: Callable[[dict[str, Any]], None],
    until: Callable[[web.Service], bool] = lambda service: False,
    about: dict[str, Any] | None = None,
    token: str = "",
    users: bool = False,
) -> None:
    """Serve an archive on loopback until a signal comes or `until` says so.

    Parameters
    ----------
    archive : Archive
        What is served.
    port : int
        0 takes a free one.
    ready : callable
        Called with what ``GET /`` answers as soon as requests are taken.
    until : callable
        Asked every second.
    about : dict, optional
        More for ``GET /`` to answer.
    token : str
        What requests for data must carry as ``Authorization: Bearer``; empty lets everybody in.
    users : bool
        Whether users may make tables of their own, in memory.

    Raises
    ------
    ArchiveError
        When the port is taken.
    """
    try:
        sockets = tornado.netutil.bind_sockets(port, "127.0.0.1")
    except (OSError, OverflowError) as err:
        raise ArchiveError(
            f"The port {port} cannot be used", cause=str(err), remedy="choose another, or 0"
        ) from err
    base = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    database = Database(archive.database, base=base, users=users)
    jobs = uws.Jobs(database, base=base)
    store = products.Store(archive.root)
    told = {"service": "jupyter_astroml embedded archive", "instance": secrets.token_hex(8)}
    service = web.Service(
        base=base,
        database=database,
        store=store,
        jobs=jobs,
        images=soda.Images(store),
        title=archive.title,
        examples=archive.examples,
        about={**told, "url": base, **(about or {})},
        token=token,
        users=usertables.UserTables(database) if users else None,
    )
    server = tornado.httpserver.HTTPServer(
        application(service), max_body_size=web.MAX_BODY, max_header_size=1 << 16
    )
    server.add_sockets(sockets)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    cleaner = loop.create_task(jobs.keep_clean())
    ready(service.about)
    # What the first cutout needs costs half a second to import; nobody has to wait for it.
    # No daemon: a signal during the import of C++ would end the process with an abort.
    threading.Thread(target=_warm).start()
    try:
        while not ended.is_set() and not until(service):
            try:
                await asyncio.wait_for(ended.wait(), _TICK_SECONDS)
            except TimeoutError:
                continue
    finally:
        cleaner.cancel()
        server.stop()
        jobs.close()
        store.close()


def free(port: int) -> bool:
    """Whether a port of loopback can be taken."""
    try:
        for each in tornado.netutil.bind_sockets(port, "127.0.0.1"):
            each.close()
    except (OSError, OverflowError):
        return False
    return True


def _warm() -> None:
    import astropy.io.fits
    import astropy.nddata
    import astropy.wcs  # noqa: F401


def idle(service: web.Service, *, seconds: float) -> bool:
    """Whether nobody has asked anything for a while, and no job runs."""
    return not service.jobs.busy and time.monotonic() - service.touched > seconds
