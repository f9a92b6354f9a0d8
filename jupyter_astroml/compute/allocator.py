"""Keep freed memory for the next batch instead of giving it back to the kernel.

A forward pass frees and asks again for the same activations, tens of megabytes each time.
With glibc's defaults, and more so with the ``MALLOC_TRIM_THRESHOLD_=65536`` that Dask sets in its
workers, every one of them goes back to the kernel and is faulted in again page by page: half to
three quarters of the time of small networks on a CPU.
"""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache

_KEEP = 2**31 - 1
_MMAP_FROM = 1 << 30
_MMAP_FROM_OLD = 1 << 25
_PAD = 64 << 20

# For a process that is not started yet.
ENVIRONMENT = {
    "MALLOC_TRIM_THRESHOLD_": str(_KEEP),
    "MALLOC_MMAP_THRESHOLD_": str(_MMAP_FROM),
    "MALLOC_TOP_PAD_": str(_PAD),
    # Threads share one heap; each heap of its own would hold its own freed pages.
    "MALLOC_ARENA_MAX": "1",
}

# Numbers of the parameters in glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8


@lru_cache(maxsize=1)
def fit_allocator() -> bool:
    """Tell glibc to keep freed memory; once in a process, and nothing on other C libraries.

    Returns
    -------
    bool
        Whether the C library took the settings.
    """
    mallopt = _libc("mallopt")
    if mallopt is None:
        return False
    taken = [
        mallopt(_ARENA_MAX, 1),
        mallopt(_TOP_PAD, _PAD),
        # Older versions of glibc refuse more than half of a heap.
        mallopt(_MMAP_THRESHOLD, _MMAP_FROM) or mallopt(_MMAP_THRESHOLD, _MMAP_FROM_OLD),
        mallopt(_TRIM_THRESHOLD, _KEEP),
    ]
    return all(taken)


def give_back() -> None:
    """Return what is free now to the kernel, at the end of a piece of work."""
    trim = _libc("malloc_trim")
    if trim is not None:
        trim(0)


def _libc(name: str):  # type: ignore[no-untyped-def]
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), name, None)
