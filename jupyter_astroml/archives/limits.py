"""What an archive says of its answers in its capabilities (TAPRegExt 1.0)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyvo.dal import TAPService


@dataclass(frozen=True)
class Limits:
    """Most rows of an answer.

    Attributes
    ----------
    usual : int
        Where a query does not say ``maxrec``; 0 where the archive does not tell.
    most : int
        Whatever a query says; 0 where the archive does not tell.
    """

    usual: int = 0
    most: int = 0


def capability(service: TAPService) -> Any:
    """Return what a service says of its TAP, in pyvo's words; None where it cannot be read."""
    from astropy.utils.exceptions import AstropyWarning
    from pyvo.dal import DALServiceError

    with warnings.catch_warnings():
        # Half of the archives break a rule of these documents that does not matter to anybody.
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            return service.get_tap_capability()
        except (DALServiceError, OSError, AttributeError, StopIteration, ValueError):
            return None


def limits(service: TAPService) -> Limits:
    """Return the limits of a service; what it does not tell is 0."""
    said = getattr(capability(service), "outputlimit", None)
    return Limits(_rows(said, "default"), _rows(said, "hard"))


def _rows(said: Any, name: str) -> int:
    limit: Any = getattr(said, name, None)
    # Some archives count bytes, which say nothing of rows.
    if getattr(limit, "unit", None) != "row":
        return 0
    try:
        return max(0, int(limit.content))
    except (TypeError, ValueError):
        return 0
