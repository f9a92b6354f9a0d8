"""Files and tiles of images that come packed, unpacked no further than they may be long.

A few kilobytes can hold gigabytes of zeros, and only unpacking tells: so what comes out is counted.
"""

from __future__ import annotations

import bz2
import gzip
import io
import math
import zlib
from collections.abc import Callable
from typing import Any

from jupyter_astroml.core.errors import DataError

# Bytes of an unpacked file: a frame of SDSS has 12 million, a full frame of TESS 36 million.
MAX_BYTES = 64 * 2**20
# By the first bytes of a packed file.
_OPENS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open}

_PIECE = 1 << 20
# Bytes of the widest pixel (FITS 4.0 section 4.4.1.1).
_WIDEST = 8


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


def check_tiles(table: Any) -> None:
    """Refuse a compressed image of which a tile unpacks to more than its pixels.

    astropy unpacks a tile before it looks how large it should be.

    Parameters
    ----------
    table : astropy.io.fits.BinTableHDU
        The table in which the tiles stand, one a row (FITS 4.0 section 10.1).

    Raises
    ------
    DataError
        If one is larger, or is no gzip stream.
    """
    header = table.header
    shape = [int(header[f"ZNAXIS{i + 1}"]) for i in range(int(header["ZNAXIS"]))]
    # Without a word about them, tiles are rows.
    usual = [shape[0], *(1 for _ in shape[1:])]
    tile = [int(header.get(f"ZTILE{i + 1}", usual[i])) for i in range(len(shape))]
    most = _WIDEST * math.prod(map(min, shape, tile))
    count = math.prod(-(-n // max(1, t)) for n, t in zip(shape, tile, strict=True))
    # Whatever does not become smaller otherwise may be packed in this way too (section 10.2.1).
    names = ["GZIP_COMPRESSED_DATA"]
    if str(header.get("ZCMPTYPE", "")).strip().startswith("GZIP"):
        names.append("COMPRESSED_DATA")
    for name in set(names) & set(table.columns.names):
        for packed in table.data[:count][name]:
            _check_tile(packed.tobytes(), most)


def _check_tile(packed: bytes, most: int) -> None:
    made, size, left = zlib.decompressobj(wbits=31), 0, packed
    try:
        while left and not made.eof and size <= most:
            size += len(made.decompress(left, _PIECE))
            left = made.unconsumed_tail
    except zlib.error as err:
        raise DataError("The file is damaged", cause=f"a tile of its image: {err}") from err
    # gzip goes on with whatever follows, which may be as large as it likes.
    if size > most or made.unused_data.strip(b"\0"):
        raise DataError(
            "A tile of the image holds more than its pixels",
            cause=f"{most} bytes would be all of them",
        )
