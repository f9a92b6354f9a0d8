"""Files that come packed (``.gz``, ``.bz2``), unpacked no further than they may be long.

A few kilobytes can hold gigabytes of zeros, and only unpacking tells: so what comes out is counted.
"""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Callable
from typing import Any

from jupyter_astroml.core.errors import DataError

# Bytes of an unpacked file: a frame of SDSS has 12 million, a full frame of TESS 36 million.
MAX_BYTES = 64 * 2**20
# By the first bytes of a packed file.
_OPENS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open}


def unpacked(body: bytes) -> bytes:
    """Return what a file holds that is packed; any other file as it is.

    Raises
    ------
    DataError
        If it is damaged, or larger than `MAX_BYTES` when it is unpacked.
    """
    opens = next((opens for magic, opens in _OPENS.items() if body.startswith(magic)), None)
    if opens is None:
        return body
    try:
        with opens(io.BytesIO(body)) as file:
            found: bytes = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as err:
        raise DataError("The file is damaged", cause=f"it is packed: {err}"[:300]) from err
    if len(found) > MAX_BYTES:
        raise DataError(
            f"A packed file holds more than {MAX_BYTES >> 20} MiB",
            remedy="ask the archive for a cutout",
        )
    return found
