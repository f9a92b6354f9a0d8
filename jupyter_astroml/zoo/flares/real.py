"""Read TESS light curves with catalogued flares from a folder.

The folder holds one ``<TIC>_sector<NN>.npy`` a star, an array of shape (3, t): BTJD (days), flux
divided by its median, error; and a CSV table with the columns ``TIC`` and ``tpeak_btjd``, the
flares of Günther et al. 2020 (AJ 159, 60).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import LightCurves

if TYPE_CHECKING:
    from astropy.table import Table

_STAR = re.compile(r"^0*(\d+)_sector(\d+)\.npy$")
_NEEDED = ("TIC", "tpeak_btjd")
# A sector at 20 seconds has 120 000 cadences; what is larger is not such a file.
MAX_BYTES = 20_000_000
MAX_STARS = 5000


def read(folder: str | Path) -> tuple[LightCurves, Table]:
    """Read the light curves and the catalogued flares of a folder.

    Parameters
    ----------
    folder : str or Path
        In the layout above.

    Returns
    -------
    LightCurves
        Ids are TIC numbers, with ``-s<sector>`` where a star has several sectors; relative flux.
    Table
        One row a flare that peaks in the time span of its light curve: ``id``, ``t_peak`` (BTJD)
        and, where the catalogue has them, ``amplitude`` (relative) and ``fwhm_days``.

    Raises
    ------
    DataError
        If a file is missing, too large, or not what it should be; names the file.
    """
    folder = Path(folder)
    paths = sorted(p for p in folder.glob("*.npy") if _STAR.match(p.name))
    if not paths or len(paths) > MAX_STARS:
        raise DataError(
            f"{folder.name} holds {len(paths)} light curves",
            remedy=f"give a folder with 1 to {MAX_STARS} files <TIC>_sector<NN>.npy",
        )
    arrays = [_array(p) for p in paths]
    names = [_STAR.match(p.name).groups() for p in paths]  # type: ignore[union-attr]
    stars = [tic for tic, _ in names]
    ids = [tic if stars.count(tic) == 1 else f"{tic}-s{int(sector):02d}" for tic, sector in names]
    width = max(a.shape[1] for a in arrays)
    time = np.stack([np.pad(a[0], (0, width - a.shape[1]), mode="edge") for a in arrays])
    flux, error = (
        np.stack(
            [
                np.pad(a[k], (0, width - a.shape[1]), constant_values=np.nan).astype(np.float32)
                for a in arrays
            ]
        )
        for k in (1, 2)
    )
    curves = LightCurves(
        ids=np.array(ids),
        time=time,
        values=flux,
        errors=error,
        time_scale="tdb",
        time_zero=2457000.0,
        band="TESS",
        flux_unit="relative",
        meta={
            "source": "TESS 2-minute light curves (NASA/MAST)",
            "sectors": sorted({int(sector) for _, sector in names}),
        },
    )
    return curves, _catalogue(folder, stars, ids, arrays)


def _array(path: Path) -> np.ndarray:
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path.name} is too large for a light curve", cause=f"> {MAX_BYTES} bytes")
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as err:
        raise DataError(f"{path.name} is no numpy array", cause=str(err)) from err
    if values.ndim != 2 or values.shape[0] != 3 or values.shape[1] < 3 or values.dtype.kind != "f":
        raise DataError(
            f"{path.name} has the shape {values.shape} and type {values.dtype}",
            remedy="store rows of time (BTJD), relative flux and error as floats",
        )
    known = np.isfinite(values[0])
    values = values[:, known]
    if values.shape[1] < 3 or (np.diff(values[0]) < 0).any():
        raise DataError(f"The times of {path.name} do not increase", remedy="sort by time")
    return values


def _catalogue(folder: Path, stars: list[str], ids: list[str], arrays: list[np.ndarray]) -> Table:
    from astropy import units as u
    from astropy.io import ascii as tables
    from astropy.table import Table

    tables_found = sorted(folder.glob("*.csv"))
    if len(tables_found) != 1 or tables_found[0].stat().st_size > MAX_BYTES:
        raise DataError(
            f"{folder.name} holds {len(tables_found)} CSV tables, or one that is too large",
            remedy="put the one catalogue of flares beside the light curves",
        )
    path = tables_found[0]
    try:
        given = tables.read(path, format="csv", fast_reader=False)
    except (ValueError, OSError, tables.InconsistentTableError) as err:
        raise DataError(f"{path.name} is no CSV table", cause=str(err)) from err
    absent = [name for name in _NEEDED if name not in given.colnames]
    if absent:
        raise DataError(
            f"{path.name} has no column {absent[0]!r}",
            remedy=f"give the columns {', '.join(_NEEDED)}",
        )
    tic = np.array([str(int(value)) for value in given["TIC"]])
    peak = _numbers(given, "tpeak_btjd")
    rows = []
    for star, name, array in zip(stars, ids, arrays, strict=True):
        # The catalogue joins several sectors; a flare counts where the star was being observed.
        inside = (tic == star) & (peak >= array[0, 0]) & (peak <= array[0, -1])
        for i in np.flatnonzero(inside):
            rows.append((name, i))
    index = np.array([i for _, i in rows], dtype=int)
    table = Table({"id": np.array([name for name, _ in rows], dtype=str)})
    table["t_peak"] = peak[index] * u.day
    for name, column in (("amplitude", "Amp"), ("fwhm_days", "FWHMdt")):
        if column in given.colnames:
            table[name] = _numbers(given, column)[index]
    if "fwhm_days" in table.colnames:
        table["fwhm_days"].unit = u.day
    table.meta["catalogue"] = path.name
    table.sort(["id", "t_peak"])
    return table


def _numbers(table: Table, name: str) -> np.ndarray:
    """Return a column as floats, NaN where it is empty."""
    values = table[name]
    if hasattr(values, "filled") and values.dtype.kind in "fi":
        return np.asarray(values.astype(float).filled(np.nan))
    try:
        return np.asarray(values, dtype=float)
    except ValueError as err:
        raise DataError(f"The column {name!r} holds text", cause=str(err)) from err
