"""What is said when a block or its objects cannot be done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from jupyter_astroml.core.errors import AstroMLError, RunError
from jupyter_astroml.core.records import Predictions


def failed(data: Any, reason: str | list[str]) -> Predictions:
    """Return one row for each object of `data`, with the reason as its status."""
    return Predictions(
        ids=data.ids,
        status=np.broadcast_to(np.array(reason, dtype=str), len(data)),
        columns={},
        ra=data.ra,
        dec=data.dec,
    )


def as_run_error(index: int, err: BaseException) -> AstroMLError:
    """Return the error that a user sees when a whole block failed.

    Our own errors already say what to do and pass through; anything else is wrapped, with its
    text, because the traceback of a worker does not travel.
    """
    if isinstance(err, AstroMLError):
        return err
    if isinstance(err, ModuleNotFoundError):
        return RunError(
            f"A worker cannot run block {index}",
            cause=f"it lacks the module {err.name}",
            remedy="install the same version of jupyter_astroml on all workers",
        )
    return RunError(
        f"Block {index} failed",
        cause=f"{type(err).__name__}: {err}",
        remedy="blocks that arrived are kept: mend the cause and resume the run",
    )


@contextmanager
def explained(index: int) -> Iterator[None]:
    """Turn whatever a task raises into an error that says what to do."""
    try:
        yield
    except Exception as err:
        told = as_run_error(index, err)
        if told is err:
            raise
        raise told from err
