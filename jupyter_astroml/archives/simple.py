"""Questions without ADQL: images by SIA 2.0, spectra by SSA 1.1.

pyvo writes the requests; answers come in the words of ObsCore 1.1, whichever protocol gave them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.archives.compose import interval, metres, place
from jupyter_astroml.core.errors import QueryError
from jupyter_astroml.core.units import angle

if TYPE_CHECKING:
    from astropy.table import Table
    from pyvo.dal.query import DALQuery
    from requests import Session

# Identifiers of the standards, in lower case, as capabilities tell them.
SIA2 = "ivo://ivoa.net/std/sia#query-2"
SSA = "ivo://ivoa.net/std/ssa"
# SIA 2.0 section 2.1.1 wants a circle where a place is meant.
_POINT_DEG = 0.1 / 3600
# What ObsCore calls the columns of SSA 1.1 section 4.2.5, which are known by utype or else by UCD.
_UTYPES = {
    "access.reference": "access_url",
    "access.format": "access_format",
    "access.size": "access_estsize",
    "curation.publisherdid": "obs_publisher_did",
    "dataid.creatordid": "obs_creator_did",
    "dataid.collection": "obs_collection",
    "dataid.title": "obs_title",
    "dataid.instrument": "instrument_name",
    "target.name": "target_name",
    "dataset.length": "em_xel",
    "char.spectralaxis.coverage.bounds.start": "em_min",
    "char.spectralaxis.coverage.bounds.stop": "em_max",
}
_UCDS = {
    "meta.ref.url": "access_url",
    "meta.code.mime": "access_format",
    "meta.ref.ivoid": "obs_publisher_did",
}
_PLACES = ("char.spatialaxis.coverage.location.value", "target.pos")


def offered(capabilities: Iterable[Any], standard: str) -> str:
    """Return the address of a service that another names among its own capabilities, or nothing.

    Parameters
    ----------
    capabilities : iterable of pyvo.io.vosi.voresource.Capability
        A resource of the VO may speak several protocols, and its VOSI document lists them all.
    standard : str
        How its identifier begins, in lower case.
    """
    for capability in capabilities:
        if str(capability.standardid or "").lower().startswith(standard):
            for interface in capability.interfaces:
                for address in interface.accessurls:
                    return str(address.content).strip()
    return ""


def asked(question: DALQuery) -> dict[str, str]:
    """Return the parameters of a question as texts; what is repeated stands with commas."""
    return {k: ", ".join(v) if isinstance(v, list) else str(v) for k, v in question.items()}


def image_address(told: str, *, session: Session) -> str:
    """Return where an image service takes questions: what it says itself, else what we were told.

    Addresses in lists are those of the service; its capabilities know that of the queries.
    """
    from pyvo.dal import DALServiceError
    from pyvo.dal.sia2 import SIA2Service

    with warnings.catch_warnings():
        # Services describe more than pyvo knows, which is not the user's concern.
        warnings.simplefilter("ignore")
        try:
            return str(SIA2Service(told, session=session).query_ep)
        except (DALServiceError, OSError, ValueError):
            return told


def images(
    address: str,
    *,
    session: Session,
    position: Any = None,
    radius: Any = None,
    band: Any = None,
    time: Any = None,
    collection: str = "",
    maxrec: int | None = None,
) -> DALQuery:
    """Write a question for images (SIA 2.0 section 2.1); see `Archive.images`.

    Raises
    ------
    QueryError, DataError
        For what is no position, radius, band or time.
    """
    from pyvo.dal.sia2 import SIA2Query

    where = None
    if position is not None:
        middle = place(position)
        # Given a SkyCoord, pyvo rounds it to six digits: half an arcsecond.
        size = _POINT_DEG if radius is None else _radius(radius)
        where = (float(middle.ra.deg), float(middle.dec.deg), size)
    elif radius is not None:
        raise QueryError("A radius was given without a position", remedy="give both")
    question = SIA2Query(
        address,
        pos=where,
        band=None if band is None else interval(metres(band)),
        collection=collection or None,
        maxrec=_rows(maxrec),
        session=session,
    )
    if time is not None:
        # pyvo would send MJD in the time's own scale; the standard's is UTC.
        low, high = interval(time.utc.mjd)
        question["TIME"] = f"{low!r} {high!r}"
    return question


def spectra(
    address: str,
    *,
    session: Session,
    position: Any = None,
    radius: Any = None,
    band: Any = None,
    time: Any = None,
    maxrec: int | None = None,
) -> DALQuery:
    """Write a question for spectra (SSA 1.1 section 4.1); see `Archive.spectra`.

    Raises
    ------
    QueryError, DataError
        For what is no position, radius, band or time.
    """
    from astropy import units as u
    from astropy.time import Time
    from pyvo.dal.ssa import SSAQuery

    if position is None and radius is not None:
        raise QueryError("A radius was given without a position", remedy="give both")
    rows = _rows(maxrec)
    return SSAQuery(
        address,
        pos=None if position is None else place(position),
        diameter=None if radius is None else 2 * _radius(radius) * u.deg,
        band=None if band is None else interval(metres(band)) * u.m,
        time=None if time is None else Time(interval(time.utc.mjd), format="mjd", scale="utc"),
        session=session,
        **({} if rows is None else {"MAXREC": rows}),
    )


def _radius(radius: Any) -> float:
    degrees = angle(radius, "deg", name="radius")
    # pyvo refuses wider circles, and services with it.
    if not 0 < degrees <= 90:
        raise QueryError(f"The radius is {degrees:g} degrees", remedy="give 0 to 90 degrees")
    return degrees


def _rows(maxrec: int | None) -> int | None:
    if maxrec is not None and maxrec < 1:
        raise QueryError(f"maxrec is {maxrec}", remedy="give a positive number of rows")
    return maxrec


def in_obscore(rows: Table) -> Table:
    """Call the columns of an answer of SSA what ObsCore calls them, so that `samples` takes it.

    Parameters
    ----------
    rows : astropy.table.Table
        As it came; columns that ObsCore has no name for stay as they are.

    Returns
    -------
    astropy.table.Table
        The same object; with ``s_ra`` and ``s_dec`` (degrees, ICRS, NaN where not told) and
        ``dataproduct_type``.
    """
    for wanted, known in ((_UTYPES, _utype), (_UCDS, _ucd)):
        for name in list(rows.colnames):
            better = wanted.get(known(rows[name]))
            if better and better not in rows.colnames:
                rows.rename_column(name, better)
    if not {"s_ra", "s_dec"} <= set(rows.colnames):
        ra, dec = _positions(rows)
        for name, values in (("s_ra", ra), ("s_dec", dec)):
            rows[name] = values
            rows[name].unit = "deg"
    if "dataproduct_type" not in rows.colnames:
        rows["dataproduct_type"] = np.full(len(rows), "spectrum")
    if "obs_publisher_did" not in rows.colnames and "access_url" in rows.colnames:
        # An identifier is recommended only; an address is as good a name.
        rows["obs_publisher_did"] = rows["access_url"]
    return rows


def _utype(column: Any) -> str:
    """Return a utype in lower case, without the name of its data model."""
    return str(column.meta.get("utype", "")).lower().rpartition(":")[2].removeprefix("spectrum.")


def _ucd(column: Any) -> str:
    return str(column.meta.get("ucd", "")).lower()


def _positions(rows: Table) -> tuple[np.ndarray, np.ndarray]:
    """Return right ascensions and declinations, each of shape (n,), degrees."""
    pairs = next(_pairs(rows), None)
    if pairs is not None:
        return pairs[:, 0], pairs[:, 1]
    unknown = np.full(len(rows), np.nan)
    ra, dec = (
        next((_floats(rows[n]) for n in rows.colnames if _ucd(rows[n]).startswith(axis)), unknown)
        for axis in ("pos.eq.ra", "pos.eq.dec")
    )
    return ra, dec


def _pairs(rows: Table) -> Iterator[np.ndarray]:
    """Yield the columns that hold two coordinates in a cell, the best first; shape (n, 2)."""
    utypes = {_utype(rows[name]): name for name in rows.colnames}
    for utype in _PLACES:
        if utype in utypes:
            values = _floats(rows[utypes[utype]])
            if values.ndim == 2 and values.shape[1] == 2:
                yield values


def _floats(column: Any) -> np.ndarray:
    """Return numbers, NaN where masked or where there are none."""
    try:
        return np.ma.filled(np.ma.asarray(column, dtype=np.float64), np.nan)
    except (TypeError, ValueError):
        # Arrays of different lengths, or texts: not what the standard asks for.
        return np.full(len(column), np.nan)
