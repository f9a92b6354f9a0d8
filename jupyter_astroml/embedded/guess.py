"""Guesses from the content of a folder how it may be published."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jupyter_astroml.core.errors import DataError

from . import facts, readers, roles
from .config import TAKEN, Config, SpectraTable, check
from .files import FITS, Entry, entries, members, within
from .products import Store, series
from .tables import regular

_RA = ("ra", "raj2000", "_raj2000", "ra_deg", "radeg", "s_ra", "ra_obj", "right_ascension")
_DEC = ("dec", "dej2000", "decj2000", "_dej2000", "dec_deg", "decdeg", "s_dec", "dec_obj")
_OTHER_DEC = ("decl", "declination")
# Share of the rows, or of the files, that must fit before a column counts as naming the files.
_ENOUGH = 0.5
_LOOKED_AT = 20
# Wavelengths without a unit are taken for angstroms when they lie where optical ones do; in
# nanometres, that would be the far infrared.
_ANGSTROMS = (2_500.0, 30_000.0)
_KINDS = {"image": "images", "curve": "light_curves", "spectrum": "spectra"}


@dataclass(frozen=True)
class _Set:
    """Files that belong together."""

    files: str
    kind: str
    found: list[Entry]


def describe(folder: Path) -> Config:
    """Return a draft of ``archive.yaml`` for a folder.

    It recognises images and spectra (loose, in a folder or in a zip file), light curves (FITS
    tables with TIME and FLUX, or ``.npy`` of three rows), light curves and spectra in CSV or ECSV
    when there are several of them, and tables; a table whose column names the files of a set is
    joined to them.

    Parameters
    ----------
    folder : Path
        Only read.

    Raises
    ------
    DataError
        When there is nothing that can be published.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}")
    sets = _sets(folder)
    tables = _tables(folder, leave={e.path for one in sets for e in one.found})
    made: dict[str, Any] = {}
    joined: set[str] = set()
    for one in sets:
        name = regular(_plain_name(one), taken=made)
        made[name] = _draft(folder, one, tables, joined)
    for path in tables:
        if path not in joined:
            made[regular(Path(path).stem, taken=made)] = {"kind": "table", "rows": path}
    if not made:
        raise DataError(
            f"There is nothing to publish in {folder}",
            cause="no table, image, spectrum or light curve was found",
            remedy="see docs/archive-folder.md for the formats that are read",
        )
    return check({"schema": _schema_name(folder), "tables": made}, name="the draft")


def _schema_name(folder: Path) -> str:
    name = regular(folder.resolve().name)[:60].rstrip("_")
    return f"{name}_data" if name in TAKEN else name


def _plain_name(one: _Set) -> str:
    stem = re.sub(r"\.zip$", "", one.files)
    if "*" in stem:
        parent = str(Path(stem).parent)
        return one.kind if parent == "." else parent
    return stem


def _visible(folder: Path) -> list[Path]:
    return [
        p
        for p in sorted(folder.iterdir())
        if not p.name.startswith((".", "~"))
        and within(folder, p)
        and not re.match(r"(?i)(manifest|readme|licen[cs]e|archive\.ya?ml)", p.name)
    ]


def _tables(folder: Path, *, leave: set[str]) -> dict[str, readers.Rows]:
    found: dict[str, readers.Rows] = {}
    for path in _visible(folder):
        ending = path.suffix.lower()
        if not path.is_file() or ending not in readers.ENDINGS or ending == ".txt":
            continue
        if path.name in leave:
            continue
        if ending in (".fits", ".fit") and _fits_kind(path) != "table":
            continue
        try:
            found[path.name] = readers.read(path)
        except DataError:
            # XML that is no VOTable, for example; the draft is only a proposal.
            continue
    return found


def _sets(folder: Path) -> list[_Set]:
    sets: list[_Set] = []
    for path in _visible(folder):
        if path.is_dir():
            try:
                sets += _grouped(f"{path.name}", entries(folder, path.name), folder)
            except DataError:
                continue
        elif path.suffix.lower() == ".zip":
            try:
                inside = [e for e in members(folder, path) if e.media]
            except DataError:
                continue
            kind = _zip_kind(folder, inside)
            if kind:
                sets.append(_Set(path.name, kind, inside))
    loose = [
        Entry(p.name, "", p.stat().st_size)
        for p in _visible(folder)
        if p.is_file() and p.suffix.lower() != ".zip"
    ]
    sets += _grouped("", loose, folder)
    # The largest set comes first and gets the plainest name.
    return sorted(sets, key=lambda s: -len(s.found))


def _grouped(place: str, found: list[Entry], folder: Path) -> list[_Set]:
    """Split the files of a place by what they hold.

    One table of times and fluxes beside others may be anything; several alike, or one in a folder
    of its own, are light curves.
    """
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in found:
        kind = _kind(folder, entry)
        if kind:
            ending = entry.name[len(entry.stem) :]
            groups.setdefault((kind, ending), []).append(entry)
    return [
        _Set(f"{place}/**/*{ending}" if place else f"*{ending}", kind, listed)
        for (kind, ending), listed in groups.items()
        if place or len(listed) > 1 or ending not in readers.SERIES_ENDINGS
    ]


def _kind(folder: Path, entry: Entry) -> str:
    if entry.ending == ".npy":
        try:
            series(folder / entry.path)
        except DataError:
            return ""
        return "light_curves"
    if entry.ending in FITS:
        return _KINDS.get(_fits_kind(folder / entry.path), "")
    if entry.ending in readers.SERIES_ENDINGS:
        try:
            return roles.kind(readers.read(folder / entry.path).columns)
        except DataError:
            return ""
    return "images" if entry.media else ""


def _zip_kind(folder: Path, inside: list[Entry]) -> str:
    """Return what a zip file holds, judged by its first member."""
    if not inside or inside[0].ending not in FITS:
        return "images" if inside else ""
    store = Store(folder)
    try:
        body = store.member(folder / inside[0].path, inside[0].member)
    except DataError:
        return ""
    finally:
        store.close()
    return _KINDS.get(_fits_kind(io.BytesIO(body)), "")


def _fits_kind(path: Path | io.BytesIO) -> str:
    """Return image, curve, spectrum, table or nothing."""
    import warnings

    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            with fits.open(path, lazy_load_hdus=True) as hdus:
                for hdu in hdus:
                    if facts.spectral(hdu) is not None:
                        return "spectrum"
                    if getattr(hdu, "is_image", False):
                        if len(hdu.shape) in (2, 3) and min(hdu.shape[-2:]) > facts.MOST_ROWS:
                            return "image"
                    elif hasattr(hdu, "columns"):
                        names = [str(n).upper() for n in hdu.columns.names]
                        curve = "TIME" in names and any("FLUX" in n for n in names)
                        return "curve" if curve else "table"
        except (OSError, ValueError, TypeError, KeyError, IndexError):
            return ""
    return ""


def _draft(
    folder: Path, one: _Set, tables: dict[str, readers.Rows], joined: set[str]
) -> dict[str, Any]:
    draft: dict[str, Any] = {"kind": one.kind, "files": one.files}
    best = max(
        (_leads(rows, path, one) for path, rows in tables.items()),
        key=lambda found: found[0],
        default=(0.0, "", {}),
    )
    if best[0] >= _ENOUGH:
        _, path, told = best
        draft |= {"rows": path, **told, **position_columns(tables[path])}
        joined.add(path)
    elif one.kind == "light_curves":
        draft |= _linked(one, tables)
    if one.kind == "images" and all(e.media.startswith("image/") for e in one.found):
        draft |= {"bands": ["R", "G", "B"], "flux_unit": "picture"}
    if one.kind == "light_curves" and one.found[0].ending == ".npy":
        draft |= _unit(folder, one)
    if one.kind == "spectra":
        draft |= _wave_unit(folder, one)
    return draft


def _leads(rows: readers.Rows, path: str, one: _Set) -> tuple[float, str, dict[str, str]]:
    """Return how well a column of a table names the files of a set, and which one does."""
    names = {e.name for e in one.found} | {e.member or e.path for e in one.found}
    stems = {e.stem for e in one.found}
    columns = {name: _texts(array) for name, array in rows.columns.items()}
    best: tuple[float, str, dict[str, str]] = (0.0, path, {})
    for column, texts in columns.items():
        known = {t for t in texts if t}
        # Share of the files that the table knows: a table may tell about more than these.
        by_name = len(known & names) / len(one.found)
        if by_name > best[0]:
            best = (by_name, path, {"file_column": column})
        by_stem = len(known & stems) / len(one.found)
        if by_stem > best[0] and len(known) == len(texts):
            best = (by_stem, path, {"id": column})
    if "file_column" in best[2]:
        own = own_name(columns, stems, leave=best[2]["file_column"])
        if own:
            best[2]["id"] = own
    return best


def own_name(columns: dict[str, list[str | None]], stems: set[str], *, leave: str) -> str:
    """Return the column that names the objects: one value a row, best that of the file's name."""
    unique = [
        name
        for name, texts in columns.items()
        if name != leave and None not in texts and len(set(texts)) == len(texts)
    ]
    fitting = [name for name in unique if set(columns[name]) & stems]
    named = [name for name in unique if re.search(r"(?i)(^|_)?(id|name|source)$", name)]
    return next(iter([*fitting, *named]), "")


def _texts(array: Any) -> list[str | None]:
    import pyarrow as pa

    if pa.types.is_list(array.type) or pa.types.is_floating(array.type):
        return [None] * len(array)
    texts: list[str | None] = array.cast(pa.string()).to_pylist()
    return texts


def position_columns(rows: readers.Rows) -> dict[str, str]:
    """Return the names of the columns with positions, as ``ra`` and ``dec``, if they hold some."""
    lowered = {name.lower(): name for name in rows.columns}
    ra = next((lowered[n] for n in _RA if n in lowered), None)
    dec = next((lowered[n] for n in (*_DEC, *_OTHER_DEC) if n in lowered), None)
    if ra is None or dec is None:
        return {}
    right, up = _floats(rows.columns[ra]), _floats(rows.columns[dec])
    if not len(right) or not len(up):
        return {}
    if right.min() < 0 or right.max() > 360 or np.abs(up).max() > 90:
        return {}
    return {"ra": ra, "dec": dec}


def _floats(array: Any) -> np.ndarray:
    """Return the numbers of a column that are some; none when it holds texts."""
    import pyarrow as pa

    if not (pa.types.is_floating(array.type) or pa.types.is_integer(array.type)):
        return np.zeros(0)
    values = np.array([np.nan if v is None else v for v in array.to_pylist()], dtype=float)
    return values[np.isfinite(values)]


def _linked(one: _Set, tables: dict[str, readers.Rows]) -> dict[str, str]:
    """Find the digits in the files' names that a column of whole numbers in a table repeats.

    A table of events has many rows an object, so it is not joined but linked: the number is
    published under the same name in both tables.
    """
    import pyarrow as pa

    digits = [re.findall(r"\d+", e.stem) for e in one.found]
    groups = min((len(d) for d in digits), default=0)
    best: tuple[float, dict[str, str]] = (0.0, {})
    for rows in tables.values():
        for column, array in rows.columns.items():
            if not pa.types.is_integer(array.type):
                continue
            known = set(array.to_pylist())
            for k in range(groups):
                numbers = [int(d[k]) for d in digits]
                share = sum(n in known for n in numbers) / len(numbers)
                # A number that all files share, such as a sector, names none of them.
                if len(set(numbers)) == len(numbers) and len(known) > 1 and share > best[0]:
                    pattern = r"^\D*" + r"\d+\D+" * k + r"0*(\d+)"
                    best = (share, {"id_pattern": pattern, "key": regular(column)})
    return best[1] if best[0] >= _ENOUGH else {}


def _unit(folder: Path, one: _Set) -> dict[str, str]:
    """Return the unit of flux when all light curves that are looked at lie around one."""
    middles = [float(np.nanmedian(series(folder / e.path)[1])) for e in one.found[:_LOOKED_AT]]
    return {"flux_unit": "relative"} if all(abs(m - 1) < 0.05 for m in middles) else {}


def _wave_unit(folder: Path, one: _Set) -> dict[str, str]:
    """Return the unit of wavelengths when the first file does not say it and they look optical."""
    store = Store(folder)
    try:
        table = SpectraTable.model_validate(
            {"kind": "spectra", "files": one.files, "wave_unit": "Angstrom"}
        )
        bare = facts.look(store, one.found[0], table.model_copy(update={"wave_unit": ""}))
        found = facts.look(store, one.found[0], table)
    except DataError:
        return {}
    finally:
        store.close()
    if bare["em_min"] is not None or found["em_min"] is None:
        return {}
    ends = found["em_min"] * 1e10, found["em_max"] * 1e10
    return {"wave_unit": "Angstrom"} if _ANGSTROMS[0] < ends[0] < ends[1] < _ANGSTROMS[1] else {}
