"""What a TAP service answers, turned into a table that says where it came from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jupyter_astroml.archives import votables
from jupyter_astroml.core.errors import ArchiveError, QueryError

if TYPE_CHECKING:
    from astropy.table import Table
    from requests import Response

PIECE = 1 << 16


class OverflowedWarning(UserWarning):
    """The archive cut the answer at its row limit: rows are missing."""


def answered(
    answer: Response, *, about: dict[str, Any], progress: Callable[[int], None] | None = None
) -> Table:
    """Read a VOTable as it arrives; a refusal is one too (TAP 1.1 section 3.2).

    Parameters
    ----------
    answer : Response
        Asked for as a stream.
    about : dict
        Goes into ``meta["astroml"]``; needs ``archive``.
    progress : callable, optional
        Called with the number of rows so far.

    Raises
    ------
    QueryError
        If the archive refuses the query.
    ArchiveError
        If the answer is no table, or breaks off.
    """
    try:
        return tabled(answer.iter_content(PIECE), about=about, progress=progress)
    except QueryError:
        raise
    except ArchiveError as err:
        if answer.ok:
            raise
        raise ArchiveError(
            f"{about['archive']} answered {answer.status_code} {answer.reason}",
            cause=err.cause,
            remedy="try again later; if it stays so, tell the archive",
        ) from err


def tabled(
    chunks: Iterable[bytes],
    *,
    about: dict[str, Any],
    progress: Callable[[int], None] | None = None,
) -> Table:
    """Make a table of a VOTable's bytes; see `answered`."""
    from pyvo.dal import DALFormatError, DALOverflowWarning, DALQueryError, DALResults

    parsed = votables.read(chunks, progress=progress)
    with warnings.catch_warnings():
        # The same fact reaches the user as our own warning and as a flag.
        warnings.simplefilter("ignore", DALOverflowWarning)
        try:
            status = DALResults(parsed.document, url=about.get("url", "")).status[0]
        except DALQueryError as err:
            if "parameters" in about:
                remedy = "compare what was asked with what the service takes"
                raise refused(about["archive"], err, remedy=remedy) from err
            raise refused(about["archive"], err) from err
        except DALFormatError as err:
            raise ArchiveError(
                f"{about['archive']} sent no table of results", cause=str(err), remedy="ask again"
            ) from err
    table = parsed.table()
    table.meta["astroml"] = {
        **about,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": len(table),
        "overflow": status == "OVERFLOW",
    }
    return table


def warn_if_cut(table: Table) -> None:
    """Warn when rows are missing."""
    about = table.meta["astroml"]
    if about["overflow"]:
        warnings.warn(
            f"{about['archive']} cut the answer at {len(table)} rows: more match the query. "
            "To do: raise maxrec, or ask with a narrower WHERE",
            OverflowedWarning,
            stacklevel=3,
        )


def refused(
    name: str, err: Exception, *, remedy: str = "compare the names with archive.schema()"
) -> QueryError:
    """Say an archive's refusal in our words and its own."""
    return QueryError(f"{name} refused the query", cause=str(err), remedy=remedy)


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Say the errors of pyvo and of the network in our words."""
    from pyvo.dal import DALFormatError, DALQueryError, DALServiceError

    try:
        yield
    except DALQueryError as err:
        raise refused(name, err) from err
    except (DALServiceError, DALFormatError, OSError) as err:
        raise ArchiveError(
            f"{name} did not answer the query",
            cause=str(err),
            remedy="check the network and the address, then ask again",
        ) from err
