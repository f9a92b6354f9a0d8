"""Where the data of rows are, for services that answer with tables and not with addresses.

astroquery knows how each of them builds its addresses; nothing is asked over the network here, and
what comes out goes the way of all rows: `samples`, blocks, workers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import numpy as np

from jupyter_astroml.archives.rows import references
from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.units import angle

if TYPE_CHECKING:
    from astropy.table import Table

_DATALINK = "application/x-votable+xml;content=datalink"
# CADC's own answers name it so; astroquery asks a registry for it at each start.
CAOM2OPS = "https://ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca/caom2ops/datalink"


def locate(rows: Any, *, service: str, **options: Any) -> Table:
    """Say where the data of rows are.

    Parameters
    ----------
    rows : Table or SkyCoord
        What astroquery, a catalogue or a list of yours has.
    service : {"hips2fits", "sdss", "mast", "cadc"}
        ``"hips2fits"`` cuts images around positions out of a sky survey (see `hips2fits`);
        ``"sdss"`` has spectra of ``plate``, ``mjd``, ``fiberID`` and ``run2d`` (see `sdss`);
        ``"mast"`` the products of ``Observations.get_product_list``; ``"cadc"`` what
        ``Cadc.query_region`` found.
    **options
        Of the service.

    Returns
    -------
    astropy.table.Table
        The rows with ``id``, ``access_url``, ``access_format``, for `samples`.

    Raises
    ------
    DataError
        If the service is unknown, or the rows lack what it needs.
    """
    if service not in SERVICES:
        raise DataError(f"There is no service {service!r}", remedy=f"use {', '.join(SERVICES)}")
    return SERVICES[service](_table(rows), **options)


def hips2fits(
    rows: Table, *, survey: str, width: int, size: Any, band: str = "", flux_unit: str = ""
) -> Table:
    """Locate cutouts of a HiPS survey, made by CDS around each position.

    Parameters
    ----------
    rows : Table
        With ``ra`` and ``dec`` (or ``s_ra``, ``s_dec``), degrees, ICRS.
    survey : str
        Identifier of the HiPS, such as ``CDS/P/DSS2/red``; https://aladin.cds.unistra.fr/hips/list.
    width : int
        Pixels on each side.
        The survey is resampled (projection TAN): not finer than its own pixels make sense.
    size : Quantity, angle
        Full width of the cutout.
    band, flux_unit : str
        Of the survey, which the images themselves do not say.
    """
    from astropy import units as u
    from astropy.coordinates import Angle, Latitude, Longitude
    from astroquery.hips2fits import hips2fits as cds

    arcsec = angle(size, "arcsec", name="size")
    if width < 1:
        raise DataError(f"width is {width}", remedy="give pixels on each side")
    known = _about(rows)
    if known is None or not np.isfinite(known.ra).all() or not np.isfinite(known.dec).all():
        raise DataError("These rows have no positions", remedy="give ra and dec, in degrees")
    server = str(cds.server)
    asked = [
        cds.query(
            hips=survey,
            width=width,
            height=width,
            projection="TAN",
            ra=Longitude(ra * u.deg),
            dec=Latitude(dec * u.deg),
            fov=Angle(arcsec * u.arcsec),
            get_query_payload=True,
        )
        for ra, dec in zip(known.ra, known.dec, strict=True)
    ]
    made = _located(
        rows,
        ids=known.ids,
        urls=[f"{server}?{urlencode(each)}" for each in asked],
        form="image/fits",
        about={"archive": "", "url": server, "survey": survey},
    )
    made["dataproduct_type"] = "image"
    made["pixel_scale"] = np.full(len(made), arcsec / width) * u.arcsec
    for name, value in (("bands", band), ("flux_unit", flux_unit)):
        if value:
            made[name] = value
    return made


def sdss(rows: Table, *, release: int = 17) -> Table:
    """Locate optical spectra of SDSS.

    Parameters
    ----------
    rows : Table
        With ``plate``, ``mjd``, ``fiberID`` and ``run2d``, as ``SDSS.query_region(…,
        spectro=True)`` or CasJobs give them.
    release : int
        Data release.
    """
    from astropy.table import Table
    from astroquery.sdss import SDSS, conf

    columns = {name: _column(rows, name) for name in ("plate", "mjd", "fiberID", "run2d")}
    matches = Table({name: rows[column] for name, column in columns.items()})
    matches["run2d"] = [_text(value) for value in matches["run2d"]]
    # They are opened only when their data are asked for.
    files = SDSS.get_spectra_async(matches=matches, data_release=release)
    made = _located(
        rows,
        ids=[f"{r['plate']}-{r['mjd']}-{r['fiberID']}" for r in matches],
        urls=[file._target for file in files],
        form="application/fits",
        about={"archive": "", "url": conf.sas_baseurl, "release": release},
    )
    made["dataproduct_type"] = "spectrum"
    return made


def mast(rows: Table) -> Table:
    """Locate products of MAST, those in FITS.

    Parameters
    ----------
    rows : Table
        With ``dataURI``, as ``Observations.get_product_list`` gives them.
    """
    from astroquery.mast import conf

    uris = np.array([_text(value) for value in rows[_column(rows, "dataURI")]])
    kept = [i for i, uri in enumerate(uris) if uri.lower().endswith((".fits", ".fits.gz"))]
    if not kept:
        raise DataError("None of these products is a FITS file")
    server = f"{conf.server}/api/v0.1/Download/file"
    return _located(
        rows[kept],
        ids=[uri.rpartition("/")[2] for uri in uris[kept]],
        urls=[f"{server}?uri={quote(uri, safe=':/')}" for uri in uris[kept]],
        form="application/fits",
        about={"archive": "mast", "url": server},
    )


def cadc(rows: Table, *, datalink: str = CAOM2OPS) -> Table:
    """Locate planes of CAOM by CADC's DataLink, which can cut them too.

    Parameters
    ----------
    rows : Table
        With ``publisherID``, as ``Cadc.query_region`` and ``Cadc.query_name`` give them.
    datalink : str
        Address of the DataLink service.
    """
    found = [_text(value) for value in rows[_column(rows, "publisherID")]]
    return _located(
        rows,
        ids=found,
        urls=[f"{datalink}?{urlencode({'ID': each})}" for each in found],
        form=_DATALINK,
        about={"archive": "cadc", "url": datalink},
    )


SERVICES: dict[str, Callable[..., Any]] = {
    "hips2fits": hips2fits,
    "sdss": sdss,
    "mast": mast,
    "cadc": cadc,
}


def _table(rows: Any) -> Table:
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

    if not isinstance(rows, SkyCoord):
        return Table(rows)
    places = rows.icrs.reshape(-1)
    return Table(
        {"id": [str(i) for i in range(len(places))], "ra": places.ra.deg, "dec": places.dec.deg}
    )


def _about(rows: Table) -> Any:
    """Return ids and positions of rows that do not say yet where their data are."""
    plain = rows.copy(copy_data=False)
    plain["access_url"] = ""
    if not {"id", "obs_publisher_did", "obs_id"} & set(plain.colnames):
        plain["id"] = [str(i) for i in range(len(plain))]
    if not ({"ra", "dec"} <= set(plain.colnames) or {"s_ra", "s_dec"} <= set(plain.colnames)):
        return None
    return references(plain)


def _column(rows: Table, name: str) -> str:
    """Return the name that a column has; services and archives write it in any case."""
    for each in rows.colnames:
        if each.lower() == name.lower():
            return str(each)
    raise DataError(
        f"These rows have no column '{name}'", cause=f"they have {', '.join(rows.colnames)[:200]}"
    )


def _text(value: Any) -> str:
    if value is np.ma.masked:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _located(rows: Table, *, ids: Any, urls: list[str], form: str, about: dict[str, Any]) -> Table:
    made = rows.copy()
    made["id"] = [str(each) for each in ids]
    made["access_url"] = urls
    made["access_format"] = form
    before = made.meta.get("astroml", {})
    # What was found there stands for the sky that is fetched; where the rows are from goes along.
    made.meta["astroml"] = {
        "simulated": bool(before.get("simulated")),
        **({"rows_from": dict(before)} if before else {}),
        **about,
    }
    return made
