"""Who asked for what and when: one line of JSON for each job and answer, and never any data."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from logging import INFO, Formatter, Logger, LogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

_BYTES, _FILES = 16 << 20, 10


class Audit:
    """The audit log of one pool.

    Parameters
    ----------
    folder : Path
        The log is ``audit.jsonl`` in it; older parts are ``audit.jsonl.1`` to ``.10``.
    clock : callable
        Seconds since 1970.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._file = RotatingFileHandler(
            folder / "audit.jsonl", maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8"
        )
        self._file.setFormatter(Formatter("%(message)s"))
        # Not one of the tree of loggers: what a site does with those must not touch it.
        self._log = Logger("audit", INFO)
        self._log.addHandler(self._file)

    def note(self, user: str, event: str, **facts: Any) -> None:
        """Write a line."""
        line = {"time": round(self._clock(), 3), "user": user, "event": event, **facts}
        self._log.handle(LogRecord("audit", INFO, "", 0, json.dumps(line, default=str), None, None))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
