"""What lives on a worker: it holds the models and computes; it takes no code and never raises."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from jupyter_astroml.compute.allocator import fit_allocator
from jupyter_astroml.core.errors import AstroMLError, as_cause
from jupyter_astroml.pool.work import Spooled

# Kinds of work that ran; users may send light curves of any length.
_MOST_WARM = 1000
_LINUX = sys.platform.startswith("linux")


class Computed(NamedTuple):
    """What a worker answers.

    Attributes
    ----------
    outcome : str
        ``done``; ``failed`` when the network did; ``refused`` when the model cannot be used at
        all; ``lost`` when the values cannot be read; ``memory`` when the batch was too large for
        the device.
    outputs : ndarray of float32, shape (n, ...), or None
    finite : ndarray of bool, shape (n,), or None
        Objects whose values could be computed with.
    seconds : float
        Of computing alone.
    text : str
        Why it failed.
    memory : mapping of str to int
        Bytes of the ``process``, and those of the GPU's memory that are in use.
    """

    outcome: str
    outputs: np.ndarray | None = None
    finite: np.ndarray | None = None
    seconds: float = 0.0
    text: str = ""
    memory: Mapping[str, int] = {}


class Runner:
    """A Dask actor, one a worker: it answers one batch after the other.

    It never raises: an exception of an actor could not be told from the death of its worker, which
    is seen as an OSError.
    """

    def __init__(self) -> None:
        self._warm: set[tuple[str, str, tuple[int, ...]]] = set()

    def start(self) -> dict[str, Any]:
        """Import what computing needs, and say what the worker is."""
        import torch

        fit_allocator()
        torch.set_num_threads(1)
        cuda = torch.cuda.is_available()
        return {
            "process": os.getpid(),
            "device": torch.cuda.get_device_name(0) if cuda else "cpu",
        }

    def load(self, model: str, digest: str) -> Computed:
        """Make a model ready; apart from computing, as this takes a time of its own."""
        try:
            _loaded(model, digest)
        except Exception as err:  # noqa: BLE001 - see the class
            return _unusable(err)
        return Computed("done")

    def compute(
        self, model: str, digest: str, operation: str, values: np.ndarray | Spooled, *, exact: bool
    ) -> Computed:
        """Run an operation of the closed table on a batch.

        Parameters
        ----------
        model, digest : str
            Of the catalogue; other weights under this name are refused.
        operation : str
            Name in `OPERATIONS`.
        values : ndarray or Spooled
            float32, shape (n, ...), in the model's input contract.
        exact : bool
            Pad micro-batches, so that the bits of an answer depend on its object alone.
        """
        try:
            values = values.read() if isinstance(values, Spooled) else values
        except (OSError, ValueError) as err:
            return Computed("lost", text=f"{type(err).__name__}: {err}"[:300])
        except MemoryError as err:
            return _told(err)
        try:
            finite = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
            ready = values if finite.all() else np.where(_as_rows(finite, values), values, 0.0)
            perform = OPERATIONS[operation]
            loaded = _loaded(model, digest)
        except Exception as err:  # noqa: BLE001 - see the class
            return _unusable(err)
        try:
            self._warm_up(loaded, perform, (model, digest, values.shape[1:]), exact=exact)
            begin = time.perf_counter()
            outputs = perform(loaded, np.ascontiguousarray(ready, dtype=np.float32), exact=exact)
            seconds = time.perf_counter() - begin
            outputs = np.ascontiguousarray(outputs, dtype=np.float32)
            if not finite.all():
                outputs[~finite] = np.nan
            return Computed("done", outputs, finite, seconds, memory=_memory())
        except BaseException as err:  # noqa: BLE001 - see the class
            return _told(err)

    def _warm_up(
        self,
        loaded: Any,
        perform: Callable[..., np.ndarray],
        kind: tuple[str, str, tuple[int, ...]],
        *,
        exact: bool,
    ) -> None:
        """Run a model once before it is measured: the first pass takes far longer."""
        if kind in self._warm:
            return
        perform(loaded, np.zeros((1, *kind[2]), dtype=np.float32), exact=exact)
        if len(self._warm) >= _MOST_WARM:
            self._warm.clear()
        self._warm.add(kind)


def _loaded(model: str, digest: str) -> Any:
    """Load a model, twice if the first fault is not the model's own, such as one of the disk.

    Raises
    ------
    AstroMLError
        If the model cannot be used.
    """
    from jupyter_astroml.models.loading import load

    try:
        return load(model, digest)
    except AstroMLError:
        raise
    except Exception as err:  # noqa: BLE001 - whatever it is, it is said if it comes again
        _end_if_spoilt(err)
    return load(model, digest)


def _as_rows(mask: np.ndarray, like: np.ndarray) -> np.ndarray:
    return mask.reshape(-1, *[1] * (like.ndim - 1))


def _memory() -> dict[str, int]:
    import torch

    free, total = torch.cuda.mem_get_info() if torch.cuda.is_available() else (0, 0)
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if _LINUX else 0
    return {"process": pages * resource.getpagesize(), "device": total - free}


def _told(err: BaseException) -> Computed:
    """Say what went wrong; end the process when its GPU cannot be used again."""
    import torch

    if isinstance(err, torch.OutOfMemoryError):
        torch.cuda.empty_cache()
        return Computed("memory", text=str(err)[:300])
    if isinstance(err, MemoryError):
        return Computed("memory", text="the worker has not enough memory")
    _end_if_spoilt(err)
    return Computed("failed", text=f"{type(err).__name__}: {err}"[:300])


def _unusable(err: Exception) -> Computed:
    return Computed("refused", text=as_cause(err)[:300])


def _end_if_spoilt(err: BaseException) -> None:
    """End this process if its GPU cannot be used again; another worker takes its place.

    An assertion on the device spoils its context: every later call would fail as well.
    """
    if "CUDA error" in str(err):
        os._exit(1)


def logits(model: Any, values: np.ndarray, *, exact: bool) -> np.ndarray:
    """Return the logits of every member of the ensemble, shape (n, member, k)."""
    return np.moveaxis(model.logits(values, exact=exact), 0, 1)


OPERATIONS: Mapping[str, Callable[..., np.ndarray]] = MappingProxyType({"logits": logits})
