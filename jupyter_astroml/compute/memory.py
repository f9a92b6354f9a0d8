"""How much memory a worker may use."""

from __future__ import annotations

import sys


def worker_bytes() -> int:
    """Return the limit of the Dask worker that this is called in; 0 outside, or without a limit."""
    if "distributed" not in sys.modules:
        return 0
    from distributed import get_worker

    try:
        return int(get_worker().memory_manager.memory_limit or 0)
    except ValueError:
        return 0
