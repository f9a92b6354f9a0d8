"""From rows of a query to references: where the data of each object are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.archives.compose import interval, metres
from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import References
from jupyter_astroml.core.units import angle

if TYPE_CHECKING:
    from astropy.table import Table

# ObsCore 1.1 section 3.3.1: product types that our records hold.
_KINDS = {
    "image": "cutouts",
    "cube": "cutouts",
    "timeseries": "light_curves",
    "spectrum": "spectra",
}


def references(
    rows: Table,
    *,
    size: Any = None,
    band: Any = None,
    time: Any = None,
    kind: str = "",
    bands: tuple[str, ...] = (),
    flux_unit: str = "",
) -> References:
    """Turn rows into references.

    Parameters
    ----------
    rows : astropy.table.Table or pandas.DataFrame
        Needs ``access_url``, and ``id`` or ``obs_publisher_did``.
        ``access_format``, ``ra`` and ``dec`` (or ``s_ra``, ``s_dec``), ``dataproduct_type``,
        ``bands``, ``flux_unit`` and ``pixel_scale`` are used when they are there.
    size : Quantity, angle, optional
        Full width to cut around each position, where the archive can; None takes whole files.
    band : Quantity, optional
        Two wavelengths, frequencies or energies, between which to cut spectra and cubes.
    time : Time, optional
        Two times, between which to cut light curves and cubes.
        What the archive cannot cut is cut here; a cube that comes whole ends with a reason.
    kind : {"", "cutouts", "light_curves", "spectra"}
        Empty takes what the rows say, else what the files turn out to be.
    bands, flux_unit
        Names of the planes and unit of the values, where you know better than rows and files:
        ``bands=("i", "r", "g")`` for colour pictures of SDSS.

    Returns
    -------
    jupyter_astroml.core.records.References
        One entry a row, in the order of the rows.

    Raises
    ------
    DataError
        If a needed column is missing, or the rows are of several kinds.
    QueryError
        If the band or the time is none.
    """
    rows = _table(rows)
    urls = _texts(rows, "access_url")
    if urls is None:
        raise DataError(
            "These rows do not say where their data are",
            cause="there is no column 'access_url'",
            remedy="select access_url and access_format too (ivoa.obscore has both)",
        )
    ids = _first(_texts(rows, name) for name in ("id", "obs_publisher_did", "obs_id"))
    if ids is None:
        raise DataError(
            "These rows have no identifier",
            remedy="select id or obs_publisher_did too",
        )
    formats = _texts(rows, "access_format")
    unit = flux_unit or _only(rows, "flux_unit")
    named = ",".join(bands) or _only(rows, "bands")
    return References(
        ids=ids,
        urls=urls,
        formats=np.full(len(ids), "") if formats is None else formats,
        kind=kind or _kind(rows),
        ra=_first(_numbers(rows, name, "deg") for name in ("ra", "s_ra")),
        dec=_first(_numbers(rows, name, "deg") for name in ("dec", "s_dec")),
        size_arcsec=None if size is None else angle(size, "arcsec", name="size"),
        wave_range=None if band is None else interval(metres(band)),
        time_range=None if time is None else interval(time.utc.mjd),
        bands=tuple(named.replace(" ", "").split(",")) if named else (),
        flux_unit=unit,
        pixel_scale=_numbers(rows, "pixel_scale", "arcsec"),  # type: ignore[arg-type]
        meta=dict(rows.meta.get("astroml", {})),
    )


def _table(rows: Any) -> Table:
    """Return rows as a table of astropy; refuse what has no columns."""
    from astropy.table import Table

    if isinstance(rows, Table):
        return rows
    # Asked by name: pandas need not be installed.
    if f"{type(rows).__module__.split('.')[0]}.{type(rows).__name__}" == "pandas.DataFrame":
        return Table.from_pandas(rows)
    if hasattr(rows, "colnames"):
        rows_like: Table = rows
        return rows_like
    raise DataError(
        f"These are no rows but {type(rows).__name__}",
        remedy="read a file first: rows = aml.read('rows.parquet'), "
        "or astropy.table.Table.read('rows.csv')",
    )


def _first(options: Any) -> Any:
    return next((o for o in options if o is not None), None)


def _texts(rows: Table, name: str) -> np.ndarray | None:
    if name not in rows.colnames:
        return None
    return np.array(["" if v is None else str(v) for v in rows[name].tolist()], dtype=str)


def _numbers(rows: Table, name: str, unit: str) -> np.ndarray | None:
    """Return a column as plain floats in `unit`, NaN where masked."""
    if name not in rows.colnames:
        return None
    from astropy import units as u

    values = np.ma.filled(np.ma.asarray(rows[name], dtype=np.float64), np.nan)
    given = u.Unit(rows[name].unit or unit)
    # A pixel scale comes as arcsec or as arcsec per pixel.
    wanted = u.Unit(unit) / u.pix if given.is_equivalent(u.deg / u.pix) else u.Unit(unit)
    try:
        return np.asarray((values * given).to_value(wanted))
    except u.UnitConversionError as err:
        raise DataError(f"The column '{name}' is in {given}, no angle") from err


def _only(rows: Table, name: str) -> str:
    """Return the one value of a column that must not change within a set of samples."""
    values = _texts(rows, name)
    if values is None or not len(values):
        return ""
    different = sorted(set(values.tolist()))
    if len(different) > 1:
        raise DataError(
            f"These rows have several values of '{name}': {', '.join(different[:4])}",
            remedy=f"select one of them: … WHERE {name} = '{different[0]}'",
        )
    return different[0]


def _kind(rows: Table) -> str:
    product = _only(rows, "dataproduct_type")
    if product and product not in _KINDS:
        raise DataError(
            f"Rows of the product type '{product}' cannot become samples yet",
            remedy=f"select one of: {', '.join(_KINDS)}",
        )
    return _KINDS.get(product, "")
