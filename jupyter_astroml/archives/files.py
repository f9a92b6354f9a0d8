"""Tables of a user's own in the formats of astronomy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_astroml.archives import votables
from jupyter_astroml.archives.tablefile import TableFile
from jupyter_astroml.core.errors import AstroMLError, DataError

if TYPE_CHECKING:
    from astropy.table import Table

_FORMATS = {
    ".vot": "votable",
    ".xml": "votable",
    ".votable": "votable",
    ".fits": "fits",
    ".fit": "fits",
    ".ecsv": "ascii.ecsv",
    # astropy's own reader takes texts that begin with "nan", such as nanomaggy, for numbers.
    ".csv": "pandas.csv",
}
# Nothing but an empty cell is missing: NA and None may be names, and a column of long integers must
# not become numbers of half their digits where one is absent.
_OPTIONS = {
    "pandas.csv": {
        "dtype_backend": "numpy_nullable",
        "keep_default_na": False,
        "na_values": [""],
    }
}
_PIECE = 2**20
# What is kept of where rows are from; their hash is not, since they may have been changed.
_ORIGIN = ("archive", "url", "adql", "job", "date")
_MAX_WORDS = 1 << 16


def read(path: Path, *, columns: Sequence[str] | None = None) -> Table:
    """Read a table; the end of its name says the format, and other names are those of Parquet.

    Parameters
    ----------
    path : Path
        The file.
    columns : sequence of str, optional
        Only these columns.

    Returns
    -------
    Table
        With what the format holds of units, UCDs, descriptions and ``meta["astroml"]``.

    Raises
    ------
    ArchiveError, DataError
        If it is missing, damaged, or has no such column.
    """
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        return TableFile(path).read(columns=columns)
    try:
        table = _votable(path) if form == "votable" else _plain(path, form)
    except AstroMLError:
        raise
    except Exception as err:
        raise DataError(
            f"{path.name} cannot be read",
            cause=str(err).splitlines()[0] if str(err) else type(err).__name__,
            remedy=f"check that it is there, and that it is {form.split('.')[-1].upper()}",
        ) from err
    if unknown := [name for name in columns or () if name not in table.colnames]:
        raise DataError(
            f"There is no column {unknown[0]!r} in {path.name}",
            remedy=f"take some of {', '.join(table.colnames)}",
        )
    return table if columns is None else table[list(columns)]


def _votable(path: Path) -> Table:
    parsed = votables.read(_pieces(path))
    table = parsed.table()
    table.meta["astroml"] = origin(parsed)
    return table


def _plain(path: Path, form: str) -> Table:
    from astropy.table import Table

    table = Table.read(path, format=form, **_OPTIONS.get(form, {}))
    # FITS has bytes for texts.
    table.convert_bytestring_to_unicode()
    told = table.meta.pop("astroml", None) or _in_comments(table.meta.get("comments", ""))
    if isinstance(told, dict):
        table.meta["astroml"] = _known(told)
    return table


def _in_comments(lines: Any) -> Any:
    """Return where rows are from, as the shell's FITS files say it: in one JSON value."""
    with suppress(ValueError, TypeError, RecursionError):
        told = json.loads("".join(lines))
        # Answers of a run say it of their query.
        return (told.get("astroml") or told.get("query")) if isinstance(told, dict) else None
    return None


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def origin(parsed: votables.Parsed) -> dict[str, Any]:
    """Return what a file says of where its rows are from; TOPCAT makes PARAMs of our INFOs."""
    parts = [p for r in parsed.document.resources for p in (r, *r.tables)]
    told = {each.name: _words(each.value) for p in parts for each in (*p.infos, *p.params)}
    try:
        said = json.loads(told.get("jupyter_astroml", "")[:_MAX_WORDS])
    except (ValueError, RecursionError):
        said = {}
    found = _known(said)
    return {
        **found,
        "simulated": told.get("simulated", "").startswith("true") or found["simulated"],
    }


def _known(said: Any) -> dict[str, Any]:
    """Return the part of a file's own words that we take up."""
    said = said if isinstance(said, dict) else {}
    return {
        **{key: said[key] for key in _ORIGIN if isinstance(said.get(key), str)},
        "simulated": bool(said.get("simulated")),
        "overflow": bool(said.get("overflow")),
    }


def _words(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
