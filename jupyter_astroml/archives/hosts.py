"""How much is asked of one host at a time, and whether it is worth asking at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

from jupyter_astroml.core.errors import ArchiveError

# Requests to one host at a time: enough to hide the way there, few enough to be polite.
PARALLEL = 6
# Attempts in a row without an answer after which a host is left alone, and for how many seconds.
PATIENCE = 8
REST = 30.0
# Addresses come from rows: they may name any number of hosts.
_MOST = 1000


class UnreachableError(ArchiveError):
    """Nobody answers there: another question to the same place would wait in vain too."""


@dataclass
class _Host:
    """What is known of a host; `Hosts` holds the lock when it changes."""

    places: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(PARALLEL))
    failures: int = 0
    asked_again: float = 0.0


class Hosts:
    """Bounds the requests to each host, and stops asking one that does not answer.

    After `PATIENCE` attempts in a row without any answer the next ones are refused at once; when
    `rest` seconds are over one of them is let through, and its outcome decides for the others.

    Parameters
    ----------
    rest : float
        Seconds.
    """

    def __init__(self, *, rest: float = REST) -> None:
        self._rest = rest
        self._lock = threading.Lock()
        self._known: dict[str, _Host] = {}

    @contextmanager
    def asking(self, url: str) -> Iterator[Callable[[], None]]:
        """Hold a place at a host during one request; call what is yielded when it has answered.

        Raises
        ------
        UnreachableError
            If the host is left alone.
        """
        name = _name(url)
        host = self._host(name)
        self._check(name, host)
        answered = False

        def said() -> None:
            nonlocal answered
            answered = True
            host.failures = 0

        with host.places:
            # It may have fallen silent while this one waited for its place.
            self._check(name, host, probe=True)
            try:
                yield said
            except OSError:
                if not answered:
                    self._failed(host)
                raise

    def _host(self, name: str) -> _Host:
        with self._lock:
            if len(self._known) >= _MOST:
                self._known.clear()
            return self._known.setdefault(name, _Host())

    def _check(self, name: str, host: _Host, *, probe: bool = False) -> None:
        with self._lock:
            seconds = host.asked_again - time.monotonic()
            if host.failures < PATIENCE:
                return
            if seconds <= 0:
                if probe:
                    # This one is let through; the others wait for what it finds.
                    host.asked_again = time.monotonic() + self._rest
                return
        raise UnreachableError(
            f"{name} is not answering: not asked again for {seconds:.0f} s",
            remedy="try again later: what was done is kept",
        )

    def _failed(self, host: _Host) -> None:
        with self._lock:
            host.failures += 1
            host.asked_again = time.monotonic() + self._rest


def _name(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        # It will be refused for what it is.
        return ""


@lru_cache(maxsize=1)
def hosts() -> Hosts:
    """Return what all fetches of this process know of the hosts."""
    return Hosts()
