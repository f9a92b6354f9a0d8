"""Tables to and from TOPCAT, Aladin and the like on the same machine (SAMP 1.3).

They meet at a hub, which the first of them brings.  Whoever the user let into it can send us an
address, a web page included: what stands there is read with limits, and shown to the user alone.
"""

from __future__ import annotations

import os
import queue
import stat
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname
from uuid import uuid4

from jupyter_astroml.archives import votables
from jupyter_astroml.archives.downloads import download
from jupyter_astroml.archives.export import to_votable
from jupyter_astroml.archives.files import origin
from jupyter_astroml.archives.http import MAX_BYTES, Session
from jupyter_astroml.core.errors import ArchiveError, AstroMLError, DataError
from jupyter_astroml.core.settings import settings

if TYPE_CHECKING:
    from astropy.table import Table

NAME = "jupyter_astroml"
# SAMP's list of MTypes: parameters are url, table-id and name.
_TABLE = "table.load.votable"
# Seconds that files for other programs are kept: some read them again.
_KEPT = 24 * 3600.0
_PIECE = 1 << 20
# What the sender of an address hears when it is no table.
_UNREAD = "No table could be read there"


def send(table: Table, *, to: str = "", name: str = "", timeout: float = 60.0) -> tuple[str, ...]:
    """Show a table in other programs on this machine.

    Parameters
    ----------
    table : astropy.table.Table
        Written as `jupyter_astroml.archives.export.to_votable` does.
    to : str
        Part of the name of a program, such as ``"topcat"``; empty takes all that show tables.
    name : str
        Title of the table there.
    timeout : float
        Seconds that each program may take.

    Returns
    -------
    tuple of str
        Names of the programs that took it.

    Raises
    ------
    ArchiveError
        If no program listens, or none took it.
    DataError
        If the table does not fit into a VOTable.
    """
    with _client(callable_=False) as client:
        programs = _programs(client, to)
        file = _file(table)
        title = name or str(table.meta.get("name") or "") or f"{len(table)} rows"
        message = {
            "samp.mtype": _TABLE,
            "samp.params": {"url": file.as_uri(), "table-id": file.stem, "name": title},
        }
        refused = {
            program: why
            for identity, program in programs.items()
            if (why := _sent(client, identity, message, timeout))
        }
    took = tuple(program for program in programs.values() if program not in refused)
    told = "; ".join(f"{program}: {why}" for program, why in refused.items())
    if not took:
        raise ArchiveError("No program took the table", cause=told)
    if refused:
        warnings.warn(f"Not every program took the table: {told}", stacklevel=3)
    return took


def receive(*, timeout: float = 300.0) -> Table:
    """Wait for the next table that another program sends.

    In TOPCAT: *Interop*, *Send table to*, ``jupyter_astroml``.

    Parameters
    ----------
    timeout : float
        Seconds to wait.

    Returns
    -------
    astropy.table.Table
        ``meta["astroml"]`` says which program sent it, and what the file tells of the archive and
        the query that its rows came from, where the program left that in it.

    Raises
    ------
    ArchiveError
        If no hub runs, nothing comes in time, or what comes is no table.
    """
    inbox: queue.Queue[tuple[str, str | None, Any]] = queue.Queue()

    def came(_key: str, sender: str, message: str | None, _kind: str, told: Any, _: Any) -> None:
        inbox.put((sender, message, told))

    with _client(callable_=True) as client:
        client.bind_receive_message(_TABLE, came)
        try:
            sender, message, told = inbox.get(timeout=timeout)
        except queue.Empty:
            raise ArchiveError(
                f"No program sent a table within {timeout:.0f} s",
                remedy=f"send it to {NAME} from the menu of the program",
            ) from None
        told = told if isinstance(told, dict) else {}
        try:
            table = _read(str(told.get("url", "")))
        except AstroMLError:
            # The error may quote what stands at the address, which is not the sender's to know.
            _answer(client, message, why=_UNREAD)
            raise
        _answer(client, message)
        name = _name(client, sender)
    table.meta["name"] = str(told.get("name", ""))[:200]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    before = table.meta.get("astroml", {})
    table.meta["astroml"] = {
        "date": now,
        **before,
        "sender": name,
        "received": now,
        "rows": len(table),
    }
    return table


@contextmanager
def _client(*, callable_: bool) -> Iterator[Any]:
    """Be a client of the hub for a while."""
    try:
        from pyvo.samp import SAMPClient, SAMPHubError, SAMPIntegratedClient, conf
    except ImportError as err:
        raise ArchiveError("SAMP needs pyvo 1.9 or later", remedy="pip install -U pyvo") from err

    class Client(SAMPIntegratedClient):
        """As pyvo's own, which tells any program the environment, and the tokens in it."""

        def connect(self) -> None:
            self.hub.connect()
            self.client = SAMPClient(self.hub, **self.client_arguments)
            if callable_:
                self.client.unbind_receive_call("client.env.get", declare=False)
            self.client.start()
            self.client.register()

    about = {"samp.name": NAME, "samp.description.text": "Machine learning in JupyterLab"}
    client = Client(metadata=about, addr="127.0.0.1", callable=callable_)
    # Whether there is an internet is asked of a search engine, and does not matter here.
    with conf.set_temp("use_internet", False):  # noqa: FBT003 - the setting is a boolean
        try:
            client.connect()
        # KeyError: a hub runs, and it is not the one that the user's lock file names.
        except (SAMPHubError, OSError, KeyError) as err:
            raise ArchiveError(
                "No other program is there to talk to",
                cause=str(err),
                remedy="start TOPCAT or Aladin on this machine",
            ) from err
        try:
            yield client
        finally:
            client.disconnect()


def _programs(client: Any, wanted: str) -> dict[str, str]:
    """Return the names of the programs that take tables, by their identity."""
    found = {each: _name(client, each) for each in client.get_subscribed_clients(_TABLE)}
    chosen = {k: v for k, v in found.items() if wanted.casefold() in v.casefold()}
    if not chosen:
        raise ArchiveError(
            f"No program {f'called {wanted!r} ' if wanted else ''}takes tables",
            cause=f"there are {', '.join(found.values())}" if found else "none is connected",
            remedy="start TOPCAT or Aladin on this machine",
        )
    return chosen


def _name(client: Any, identity: str) -> str:
    return str(client.get_metadata(identity).get("samp.name") or identity)[:100]


def _sent(client: Any, identity: str, message: dict[str, Any], timeout: float) -> str:
    """Return why a program did not take a table; empty if it did."""
    from xmlrpc.client import Fault

    try:
        reply = client.call_and_wait(identity, message, str(max(1, round(timeout))))
    except (Fault, OSError) as err:
        return getattr(err, "faultString", "") or str(err)
    if reply.get("samp.status") == "samp.ok":
        return ""
    return str(reply.get("samp.error", {}).get("samp.errortxt", "it did not say why"))[:300]


def _answer(client: Any, message: str | None, *, why: str = "") -> None:
    """Tell the sender how it went, where it asked."""
    if message is not None:
        error = {"samp.errortxt": why} if why else None
        client.ereply(message, "samp.error" if why else "samp.ok", result={}, error=error)


def _file(table: Table) -> Path:
    """Write a table where other programs of the same user can read it for a day."""
    folder = settings().cache_dir.absolute() / "samp"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in folder.glob("*.vot"):
        if old.stat().st_mtime < time.time() - _KEPT:
            old.unlink(missing_ok=True)
    return to_votable(table, folder / f"{uuid4().hex}.vot")


def _read(url: str) -> Table:
    """Read the VOTable at an address that came from a stranger."""
    kind = urlsplit(url).scheme
    if kind == "file":
        parsed = votables.read(_pieces(url))
    elif kind in ("http", "https"):
        with Session() as session:
            parsed = votables.read([download(session, url)[0]])
    else:
        raise DataError(f"Refused to read {url[:80]!r}", cause="it is no file and no http address")
    table = parsed.table()
    table.meta["astroml"] = origin(parsed)
    return table


def _pieces(url: str) -> Iterator[bytes]:
    """Yield a file; a pipe or a device would keep us waiting for ever."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise DataError(f"Refused to read {url[:80]!r}", cause="it is on another machine")
    try:
        handle = os.open(url2pathname(parts.path), os.O_RDONLY | os.O_NONBLOCK)
        with open(handle, "rb") as file:  # noqa: PTH123 - a handle is no path
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode) or about.st_size > MAX_BYTES:
                raise DataError(
                    f"Refused to read {url[:80]!r}",
                    cause=f"it is no plain file of at most {MAX_BYTES // 2**20} MiB",
                )
            while piece := file.read(_PIECE):
                yield piece
    except (OSError, ValueError) as err:
        raise DataError(f"{url[:80]!r} cannot be read", cause=str(err)) from err
