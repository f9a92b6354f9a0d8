"""Connections on which not only silence is bounded, but the whole wait for the headers."""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class _Timed(io.RawIOBase):
    """Bytes of a socket, each read of which gets what is left of the time.

    A socket's own timeout begins anew with each byte that drips in.

    Parameters
    ----------
    raw : RawIOBase
        The bytes, whose place this takes.
    sock : socket
        Where they come from; its timeout is the time in all.
    """

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock
        self._seconds = sock.gettimeout()
        self._end = time.monotonic() + self._seconds if self._seconds else None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._end is not None:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError("the headers did not come to an end in time")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def over(self) -> None:
        """Let each read have all the time from here on: the headers are there."""
        if self._end is not None:
            self._end = None
            self._sock.settimeout(self._seconds)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """A response whose status line and headers must arrive within the timeout of its socket."""

    def __init__(self, sock: socket.socket, *given: Any, **more: Any) -> None:
        super().__init__(sock, *given, **more)
        self._timed = _Timed(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self._timed)

    def begin(self) -> None:
        super().begin()
        self._timed.over()


class _Plain(HTTPConnection):
    response_class = _Response


class _Secure(HTTPSConnection):
    response_class = _Response


class PlainPool(HTTPConnectionPool):
    """Connections by http."""

    ConnectionCls = _Plain


class SecurePool(HTTPSConnectionPool):
    """Connections by https."""

    ConnectionCls = _Secure


POOLS = {"http": PlainPool, "https": SecurePool}
