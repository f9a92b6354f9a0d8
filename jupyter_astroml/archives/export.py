"""Tables as VOTables that other programs read: nothing of a column is lost on the way.

astropy writes the document; here a table is first brought into what VOTable 1.4 can say.
"""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from jupyter_astroml.core.errors import DataError

if TYPE_CHECKING:
    from astropy.table import Column, Table

# VOTable 1.4 section 2.1 has signed integers of 16, 32 and 64 bits, bytes, and no half floats.
_WIDER = {"i1": "i2", "u2": "i4", "u4": "i8", "f2": "f4", "f16": "f8"}
# XML 1.0 section 2.2 has no letters for these.
_NO_LETTER = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Names that "Data Origin in the VO" 1.1 gives to what we know of an answer.
_ORIGIN = {"adql": "query", "date": "request_date", "archive": "publisher", "job": "request"}


def to_votable(table: Table, path: Path | str) -> Path:
    """Write a table with its units, UCDs, utypes, descriptions and nulls, and where it came from.

    Parameters
    ----------
    table : astropy.table.Table
        Columns of numbers, texts, times, positions, and arrays of one or of several lengths.
        Times become ISO 8601 texts in their own scale, positions two columns, degrees, ICRS.
    path : Path or str
        File; one that is there is replaced when the new one is whole.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        If a column has values that no VOTable can hold.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    try:
        draft.write_bytes(document(table))
        draft.replace(path)
    except OSError as err:
        raise DataError(f"{path} cannot be written", cause=err.strerror or str(err)) from err
    finally:
        draft.unlink(missing_ok=True)
    return path


def document(table: Table) -> bytes:
    """Return the VOTable of a table; see `to_votable`."""
    from astropy.io.votable import from_table
    from astropy.io.votable.tree import Info
    from astropy.units import UnitsWarning

    with warnings.catch_warnings():
        # VOUnit would rather not have erg, with which half of astronomy is written.
        warnings.simplefilter("ignore", UnitsWarning)
        made = from_table(fitted(table))
        made.get_first_table().format = "binary2"
        for name, value in _origin(table.meta.get("astroml")):
            made.resources[0].infos.append(Info(name=name, value=_clean(value)))
        written = io.BytesIO()
        made.to_xml(written)
    return written.getvalue()


def fitted(table: Table) -> Table:
    """Return a table with columns that a VOTable can hold, and without other meta data."""
    from astropy.table import MaskedColumn, Table

    made = Table(meta={"description": f"{len(table)} rows"})
    for name in table.colnames:
        for part, column in _parts(name, table[name]):
            try:
                values = _values(column)
            except (ValueError, TypeError, OverflowError) as err:
                raise DataError(
                    f"The column '{name}' does not fit into a VOTable",
                    cause=str(err),
                    remedy=f"leave it out: table.remove_column({name!r})",
                ) from err
            meta = {k: _clean(v) for k, v in _told(column).items()}
            made[part] = MaskedColumn(
                values,
                unit=getattr(column, "unit", None),
                description=_clean(getattr(column.info, "description", None) or "") or None,
                meta=meta,
            )
    return made


def _parts(name: str, column: Any) -> Iterator[tuple[str, Any]]:
    """Yield plain columns of a column, which may be a quantity, a time or positions."""
    from astropy.coordinates import SkyCoord
    from astropy.table import Column, MaskedColumn
    from astropy.time import Time

    about = {"description": column.info.description, "meta": dict(column.info.meta or {})}
    if isinstance(column, Time):
        about["meta"] |= {"xtype": "timestamp"}
        about["description"] = f"{column.info.description or name} ({column.scale.upper()})"
        # Times are two floats, of which the usual three digits of a second are a small part.
        exact = column.copy()
        exact.precision = 9
        yield name, MaskedColumn(exact.isot, mask=column.mask, **about)
    elif isinstance(column, SkyCoord):
        for axis in ("ra", "dec"):
            meta = {"ucd": f"pos.eq.{axis};meta.main"}
            values = getattr(column.icrs, axis).deg
            yield f"{name}_{axis}", Column(values, unit="deg", meta=meta)
    elif isinstance(column, Column) and column.dtype.kind == "M":
        dates = np.ma.asarray(column)
        about["meta"] |= {"xtype": "timestamp"}
        nulls = dates.mask | np.isnat(dates.data)
        yield name, MaskedColumn(np.datetime_as_string(dates.data), mask=nulls, **about)
    elif isinstance(column, Column):
        yield name, column
    elif hasattr(column, "unit") and hasattr(column, "value"):
        yield name, MaskedColumn(column.value, unit=column.unit, **about)
    else:
        raise DataError(
            f"The column '{name}' does not fit into a VOTable",
            cause=f"it holds {type(column).__name__}",
            remedy=f"leave it out: table.remove_column({name!r})",
        )


def _values(column: Column) -> Any:
    """Return the values in a type that VOTable has; nulls stay."""
    values = np.ma.asarray(column)
    kind = values.dtype.kind + str(values.dtype.itemsize)
    if kind == "u8":
        if values.size and values.max() is not np.ma.masked and values.max() > 2**63 - 1:
            raise ValueError("some of its values are larger than 2^63 - 1")
        return values.astype("i8")
    if values.dtype.kind in "SU":
        if values.ndim > 1:
            raise ValueError("it holds arrays of texts")
        # A BINARY2 stream writes the letters of a null too.
        return _letters(values.filled("").tolist())
    return _objects(values) if values.dtype.kind == "O" else values.astype(_WIDER.get(kind, kind))


def _objects(values: np.ma.MaskedArray) -> Any:
    """Return texts as texts, and arrays of several lengths as masked arrays."""
    held = values.filled(None).tolist() if values.ndim == 1 else []
    if all(each is None or isinstance(each, str | bytes) for each in held):
        return _letters(held)
    kinds = {np.asarray(each).dtype for each in held if each is not None}
    common = np.result_type(*kinds)
    wanted = _WIDER.get(common.kind + str(common.itemsize), common)
    if common.kind not in "biuf" or common == np.uint64:
        raise ValueError(f"its arrays hold {common}")
    made = np.empty(len(held), dtype=object)
    for i, each in enumerate(held):
        made[i] = np.ma.atleast_1d(np.ma.asarray([] if each is None else each, dtype=wanted))
    return made


def _letters(texts: Any) -> np.ndarray:
    """Return texts as ``char`` where they are ASCII, which more programs and all xtypes want."""
    made = np.array(
        [t.decode("utf-8", "replace") if isinstance(t, bytes) else t or "" for t in texts],
        dtype=str,
    )
    # An arraysize of 1 is read as a single letter by some and as an array by others.
    made = made.astype(f"U{max(2, made.dtype.itemsize // 4)}")
    return made.astype("S") if all(text.isascii() for text in made.tolist()) else made


def _told(column: Any) -> dict[str, str]:
    """Return what astropy writes of a column beside its unit and description."""
    meta = column.info.meta or {}
    return {k: v for k in ("ucd", "utype", "xtype") if isinstance(v := meta.get(k), str) and v}


def _origin(about: Any) -> Iterator[tuple[str, str]]:
    """Yield the names and values of the INFOs that say where a table came from."""
    if not isinstance(about, Mapping):
        return
    for key, name in _ORIGIN.items():
        if about.get(key):
            yield name, str(about[key])
    if about.get("simulated"):
        yield "simulated", "true: nothing of this was ever observed"
    yield "QUERY_STATUS", "OVERFLOW" if about.get("overflow") else "OK"
    yield "jupyter_astroml", json.dumps(dict(about), default=str)


def _clean(text: str) -> str:
    return _NO_LETTER.sub(" ", text)
