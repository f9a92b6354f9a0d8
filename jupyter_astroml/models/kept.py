"""Loaded models that a process keeps: the last ones used, as many as their bytes allow."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Loaded = TypeVar("Loaded")


class Kept(Generic[Loaded]):
    """Things that take long to load, by key; the least recently used goes first.

    Parameters
    ----------
    size : callable
        Bytes of a thing in memory.
    """

    def __init__(self, size: Callable[[Loaded], int]) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, tuple[Loaded, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, load: Callable[[], Loaded], *, room: int) -> Loaded:
        """Return what is kept under a key, or load it.

        Parameters
        ----------
        key : hashable
            What makes it another thing.
        load : callable
            Called once, however many threads ask at the same time.
        room : int
            Bytes for all that is kept; what is asked for now is kept even if it is larger alone.
        """
        with self._lock:
            found = self._kept.pop(key, None)
            if found is None:
                made = load()
                found = made, self._size(made)
            self._kept[key] = found
            while self.bytes > room and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return found[0]

    @property
    def bytes(self) -> int:
        """Of all that is kept."""
        return sum(size for _, size in self._kept.values())

    def __len__(self) -> int:
        return len(self._kept)
