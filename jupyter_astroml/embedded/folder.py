"""Publishes a folder: its tables, images, spectra and light curves become an archive."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from jupyter_astroml.core.errors import DataError

from . import config as configs
from . import facts as look
from . import readers
from .app import Archive
from .build import Builder, Product, masked, written
from .caom2 import write as write_caom2
from .cone import MAIN_DEC, MAIN_ID, MAIN_RA
from .config import Config, FilesTable, ImagesTable, LightCurvesTable, RowsTable, SpectraTable
from .datalink import MEDIA, file_link, link
from .files import FITS, Entry, entries, named
from .guess import describe, position_columns
from .obscore import write as write_obscore
from .products import Store
from .tables import Column, regular

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["describe", "publish"]

Tell = Callable[[str], None]
_AUTHORITY = "ivo://astroml.local"
_JD_OF_MJD = 2400000.5
_PRODUCT_TYPES = {"images": "image", "light_curves": "timeseries", "spectra": "spectrum"}


def publish(
    folder: Path, *, scratch: Path, config: Path | None = None, tell: Tell = lambda text: None
) -> Archive:
    """Make an archive of a folder, which is only read.

    Parameters
    ----------
    folder : Path
        What to publish.
    scratch : Path
        Where the database goes.
    config : Path, optional
        Description, instead of ``archive.yaml`` in the folder.
        Without either, one is guessed from the content and told.
    tell : callable
        Told what is done, what is guessed and what is left out.

    Raises
    ------
    DataError
        When the folder does not hold what the description says.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}")
    own = folder / configs.NAME
    if config is not None:
        told = configs.load(config)
    elif own.is_file():
        told = configs.load(own)
    else:
        told = describe(folder)
        tell(
            f"There is no {configs.NAME} in {folder}, so this was guessed from its content. "
            f"Save it as {configs.NAME} and mend what is wrong:\n\n{configs.dump(told)}"
        )
    database = scratch / "archive.duckdb"
    builder = Builder(database)
    try:
        _Publication(folder, told, builder, tell).run()
    finally:
        builder.close()
    title = told.title or f"The folder {folder.resolve().name}"
    if told.simulated:
        title += " (simulated, not observed)"
    return Archive(database=database, root=folder, title=title, examples=_examples(told))


def _examples(told: Config) -> tuple[tuple[str, str], ...]:
    return tuple(
        (f"A first look at {name}", " ".join(("SELECT TOP 10 * FROM", _written(told, name))))
        for name in told.tables
    )


def _written(told: Config, name: str) -> str:
    return written(f"{told.schema_name}.{name}")


class _Publication:
    """The tables of one folder on their way into a database."""

    def __init__(self, root: Path, told: Config, builder: Builder, tell: Tell) -> None:
        self._root = root
        self._store = Store(root)
        self._told = told
        self._builder = builder
        self._tell = tell
        self._read: dict[str, readers.Rows] = {}
        self._obscore: list[dict[str, Any]] = []
        # A table that tells about files is none of them, even where the pattern takes it in.
        self._tables = {t.rows for t in told.tables.values() if t.rows is not None}

    def run(self) -> None:
        try:
            self._run()
        finally:
            self._store.close()

    def _run(self) -> None:
        told = self._told
        text = " ".join(filter(None, (told.title, told.description))) or "A published folder"
        self._builder.schema(told.schema_name, self._marked(text))
        for name, table in told.tables.items():
            if isinstance(table, RowsTable):
                self._rows_table(name, table)
            else:
                self._files_table(name, table)
        if self._obscore:
            told_of = self._marked("Images, spectra and light curves of this folder")
            write_obscore(self._builder, self._obscore, description=told_of)
            write_caom2(self._builder, self._obscore, description=told_of)

    def _marked(self, text: str) -> str:
        return f"{text} (simulated, not observed)" if self._told.simulated else text

    def _rows(self, path: str) -> readers.Rows:
        if path not in self._read:
            rows = readers.read(named(self._root, path))
            if rows.left_out:
                self._tell(
                    f"{path}: left out {', '.join(rows.left_out)}, which VOTable cannot hold"
                )
            self._read[path] = rows
        return self._read[path]

    def _rows_table(self, name: str, table: RowsTable) -> None:
        rows = self._rows(table.rows)
        values, columns = _renamed(rows, table, file=table.rows, taken=())
        self._check_notes(table, rows, name=name)
        self._builder.table(
            f"{self._told.schema_name}.{name}",
            values,
            columns=_searchable(columns, list(rows.columns), rows),
            description=self._marked(table.description or f"The table {table.rows}"),
        )

    def _check_notes(self, table: Any, rows: readers.Rows | None, *, name: str) -> None:
        known = rows.columns if rows is not None else {}
        wanted = [*table.columns]
        if not isinstance(table, RowsTable):
            wanted += [v for k in ("file_column", "id", "ra", "dec") if (v := getattr(table, k))]
        missing = [column for column in wanted if column not in known]
        if missing:
            there = ", ".join(list(known)[:30])
            raise DataError(
                f"The table {name} names a column '{missing[0]}' that is not in its file",
                remedy=f"choose from {there}" if there else "let 'rows' name a table",
            )

    def _files_table(self, name: str, table: FilesTable) -> None:
        found = [
            e
            for e in entries(self._root, table.files)
            if _suits(e, table) and e.path not in self._tables
        ]
        if not found:
            wanted = {"images": "FITS, JPEG or PNG", "light_curves": "FITS, CSV or .npy"}.get(
                table.kind, "FITS or CSV"
            )
            raise DataError(f"None of the files {table.files} of {name} is {wanted}")
        rows = self._rows(table.rows) if table.rows else None
        self._check_notes(table, rows, name=name)
        pairs = _paired(found, rows, table)
        if not pairs:
            raise DataError(
                f"No row of {table.rows} leads to a file of {table.files}",
                cause=f"a file is called {found[0].name}",
                remedy="let 'file_column' name the column with the names of the files",
            )
        alone = len(rows) - len(pairs) if rows is not None else 0
        if alone:
            self._tell(f"{name}: {alone} of {len(rows or ())} rows have no file and are left out")
        facts = self._facts(name, [entry for _, entry in pairs], table)
        used = [(pair, fact) for pair, fact in zip(pairs, facts, strict=True) if fact is not None]
        if not used:
            raise DataError(f"None of the files {table.files} of {name} can be read")
        self._write(name, table, rows, [p for p, _ in used], [f for _, f in used])

    def _facts(
        self, name: str, found: Sequence[Entry], table: FilesTable
    ) -> list[dict[str, Any] | None]:
        """Look into each file; what cannot be read is told and left out."""
        facts: list[dict[str, Any] | None] = []
        for i, entry in enumerate(found):
            if i and i % 500 == 0:
                self._tell(f"{name}: looked into {i} of {len(found)} files")
            try:
                facts.append(look.look(self._store, entry, table))
            except DataError as err:
                self._tell(f"{name}: left out {entry.name}: {err}")
                facts.append(None)
        return facts

    def _write(
        self,
        name: str,
        table: FilesTable,
        rows: readers.Rows | None,
        pairs: list[tuple[int, Entry]],
        facts: list[dict[str, Any]],
    ) -> None:
        schema = self._told.schema_name
        found = [entry for _, entry in pairs]
        index = np.array([i for i, _ in pairs])
        ids = _ids(found, rows, index, table)
        dids = [f"{_AUTHORITY}/{schema}?{name}/{quote(_whole(e), safe='/')}" for e in found]
        values, columns = _common(table, ids, dids, facts)
        ra, dec = _positions(table, rows, index, facts)
        if ra is not None:
            values |= {"ra": ra, "dec": dec}
            columns += [
                Column("ra", unit="deg", ucd="pos.eq.ra;meta.main", description="ICRS"),
                Column("dec", unit="deg", ucd="pos.eq.dec;meta.main", description="ICRS"),
            ]
        if rows is not None and table.rows is not None:
            hidden = {table.ra, table.dec} if ra is not None else set()
            more, notes = _renamed(
                rows, table, file=table.rows, taken=tuple(values), index=index, leave=hidden
            )
            values |= more
            columns += notes
        self._builder.table(
            f"{schema}.{name}",
            values,
            columns=columns,
            description=self._marked(table.description or f"Files {table.files} of this folder"),
        )
        products = [
            Product(
                did,
                entry.path,
                entry.member,
                fact["media"],
                fact["kind"],
                f"{name} {key}",
                entry.size,
                _headers(table, simulated=self._told.simulated)
                if fact["kind"] in ("npy", "text")
                else (),
            )
            for did, entry, fact, key in zip(dids, found, facts, ids, strict=True)
        ]
        self._builder.products(products)
        self._obscore += [
            self._obscore_row(table, product, fact, key, position)
            for product, fact, key, position in zip(
                products, facts, ids, _pairs_or_none(ra, dec, len(ids)), strict=True
            )
        ]

    def _obscore_row(
        self,
        table: FilesTable,
        product: Product,
        fact: dict[str, Any],
        key: str,
        position: tuple[float | None, float | None],
    ) -> dict[str, Any]:
        told = self._told
        row: dict[str, Any] = {
            "dataproduct_type": _PRODUCT_TYPES[table.kind],
            "calib_level": 2,
            "obs_collection": self._marked(told.title or told.schema_name),
            "obs_id": key,
            "obs_title": self._marked(product.title),
            "obs_publisher_did": product.did,
            "access_estsize": -(-product.size // 1000),
            "target_name": key,
            "s_ra": position[0],
            "s_dec": position[1],
            "o_ucd": "phot.flux.density" if isinstance(table, SpectraTable) else "phot.flux",
        }
        for k in ("s_region", "s_fov", "s_xel1", "s_xel2", "em_xel", "em_min", "em_max", "t_xel"):
            row[k] = fact.get(k)
        if isinstance(table, LightCurvesTable) and fact.get("t_min") is not None:
            zero = fact.get("zero", table.time.zero if table.time else None)
            if zero is not None:
                row["t_min"] = fact["t_min"] + zero - _JD_OF_MJD
                row["t_max"] = fact["t_max"] + zero - _JD_OF_MJD
        return row


def _pairs_or_none(ra: Any, dec: Any, n: int) -> list[tuple[float | None, float | None]]:
    if ra is None:
        return [(None, None)] * n
    return list(zip(_listed(ra), _listed(dec), strict=True))


def _listed(values: Any) -> list[float | None]:
    return [
        None if v is None or v is np.ma.masked or not np.isfinite(float(v)) else float(v)
        for v in (values.to_pylist() if hasattr(values, "to_pylist") else values)
    ]


def _whole(entry: Entry) -> str:
    return f"{entry.path}/{entry.member}" if entry.member else entry.path


def _suits(entry: Entry, table: FilesTable) -> bool:
    if table.kind == "images":
        return bool(entry.media)
    own = [*readers.SERIES_ENDINGS, *([".npy"] if table.kind == "light_curves" else [])]
    return entry.ending in FITS or (entry.ending in own and not entry.member)


def _paired(
    found: Sequence[Entry], rows: readers.Rows | None, table: FilesTable
) -> list[tuple[int, Entry]]:
    """Return pairs of the number of a row and its file, in the order of the rows."""
    if rows is None:
        return list(enumerate(found))
    by_name: dict[str, Entry] = {}
    for entry in found:
        inner = entry.member or entry.path
        for key in (_id_of(entry, table), entry.stem, entry.name, inner):
            by_name[key] = entry
    names = _texts(rows.columns[table.file_column or table.id or ""])
    return [
        (i, by_name[name]) for i, name in enumerate(names) if name is not None and name in by_name
    ]


def _id_of(entry: Entry, table: FilesTable) -> str:
    if table.id_pattern:
        found = re.search(table.id_pattern, entry.stem)
        if found:
            return found.group(1)
    return entry.stem


def _ids(
    found: Sequence[Entry],
    rows: readers.Rows | None,
    index: np.ndarray,
    table: FilesTable,
) -> list[str]:
    if rows is not None and table.id:
        texts = _texts(rows.columns[table.id])
        return [texts[i] or entry.stem for i, entry in zip(index, found, strict=True)]
    return [_id_of(entry, table) for entry in found]


def _texts(column: pa.Array) -> list[str | None]:
    import pyarrow as pa

    texts: list[str | None] = column.cast(pa.string()).to_pylist()
    return texts


def _common(
    table: FilesTable,
    ids: list[str],
    dids: list[str],
    facts: list[dict[str, Any]],
) -> tuple[dict[str, Any], list[Column]]:
    """Return the columns by which a client finds its way from a row to the data."""
    n = len(ids)
    links = [
        link(did) if fact["kind"] == "cube" else file_link(did)
        for did, fact in zip(dids, facts, strict=True)
    ]
    media = [MEDIA if fact["kind"] == "cube" else fact["media"] for fact in facts]
    source = f"column '{table.id}' of {table.rows}" if table.id else "the name of the file"
    values: dict[str, Any] = {
        "id": ids,
        "obs_publisher_did": dids,
        "access_url": links,
        "access_format": media,
    }
    columns = [
        Column("id", ucd="meta.id;meta.main", description=f"Text, from {source}", indexed=True),
        Column("obs_publisher_did", ucd="meta.ref.ivoid", description="Identifier of the file"),
        Column("access_url", ucd="meta.ref.url", description="Where the file is", link=True),
        Column("access_format", ucd="meta.code.mime", description="Media type behind access_url"),
    ]
    if isinstance(table, ImagesTable):
        values["bands"] = [",".join(table.bands) or fact["bands"] for fact in facts]
        scales = [
            fact.get("scale") if fact.get("scale") is not None else table.pixel_scale
            for fact in facts
        ]
        columns.append(
            Column("bands", ucd="meta.id;instr.filter", description="Planes of the image, in order")
        )
        if any(s is not None for s in scales):
            values["pixel_scale"] = masked(scales, float)
            columns.append(
                Column("pixel_scale", unit="arcsec", ucd="instr.pixel", description="Of a pixel")
            )
    elif isinstance(table, SpectraTable):
        values |= {
            "n_points": np.array([fact["em_xel"] for fact in facts], dtype=np.int32),
            "em_min": masked([fact["em_min"] for fact in facts], float),
            "em_max": masked([fact["em_max"] for fact in facts], float),
        }
        columns += [
            Column("n_points", ucd="meta.number", description="Number of pixels"),
            Column("em_min", unit="m", ucd="em.wl;stat.min", description="Shortest, vacuum"),
            Column("em_max", unit="m", ucd="em.wl;stat.max", description="Longest, vacuum"),
        ]
    else:
        values |= {
            "n_points": np.array([fact["t_xel"] for fact in facts], dtype=np.int32),
            "t_min": masked([fact["t_min"] for fact in facts], float),
            "t_max": masked([fact["t_max"] for fact in facts], float),
        }
        zero = f"days from JD {table.time.zero:.10g}" if table.time else "as in the file"
        columns += [
            Column("n_points", ucd="meta.number", description="Number of cadences"),
            Column("t_min", unit="d", ucd="time.start", description=f"First time, {zero}"),
            Column("t_max", unit="d", ucd="time.end", description=f"Last time, {zero}"),
        ]
        if table.key:
            values[table.key] = _numbers(ids, table)
            columns.append(
                Column(table.key, ucd="meta.id", description="The id as a whole number, for joins")
            )
    values["flux_unit"] = [table.flux_unit or fact["unit"] for fact in facts]
    columns.append(Column("flux_unit", ucd="meta.unit", description="Unit of the values"))
    assert all(len(v) == n for v in values.values())  # noqa: S101 - one entry a row, by construction
    return values, columns


def _numbers(ids: list[str], table: LightCurvesTable) -> np.ndarray:
    try:
        return np.array([int(i) for i in ids], dtype=np.int64)
    except (ValueError, OverflowError) as err:
        raise DataError(
            f"The ids cannot become whole numbers in the column '{table.key}'",
            cause=str(err),
            remedy="let 'id_pattern' pick the digits of the file's name",
        ) from err


def _positions(
    table: FilesTable,
    rows: readers.Rows | None,
    index: np.ndarray,
    facts: list[dict[str, Any]],
) -> tuple[Any, Any]:
    if rows is not None and table.ra and table.dec:
        import pyarrow as pa

        both = [rows.columns[c].take(index) for c in (table.ra, table.dec)]
        try:
            return both[0].cast(pa.float64()), both[1].cast(pa.float64())
        except pa.ArrowInvalid as err:
            raise DataError(
                f"The columns {table.ra} and {table.dec} are no degrees", cause=str(err)[:200]
            ) from err
    if any(fact.get("ra") is not None for fact in facts):
        found = [masked([fact.get(k) for fact in facts], float) for k in ("ra", "dec")]
        return found[0], found[1]
    return None, None


def _renamed(
    rows: readers.Rows,
    table: Any,
    *,
    file: str,
    taken: Sequence[str],
    index: np.ndarray | None = None,
    leave: Any = (),
) -> tuple[dict[str, Any], list[Column]]:
    """Return the columns of a file under names that ADQL can write."""
    values: dict[str, Any] = {}
    columns: list[Column] = []
    wanted = {note.name for note in table.columns.values() if note.name}
    for original, array in rows.columns.items():
        if original in leave:
            continue
        note = table.columns.get(original)
        used = [*taken, *values]
        if note is not None and note.name:
            name = note.name
            if name in used:
                raise DataError(f"Two columns of {file} are called '{name}' in the archive")
        else:
            name = regular(original, taken=[*used, *wanted])
        values[name] = array if index is None else array.take(index)
        text = rows.descriptions.get(original) or f"Column '{original}' of {file}"
        columns.append(
            Column(
                name,
                unit=(note.unit if note else "") or rows.units.get(original, ""),
                ucd=(note.ucd if note else "") or rows.ucds.get(original, ""),
                description=(note.description if note else "") or text,
            )
        )
    return values, columns


def _searchable(columns: list[Column], originals: list[str], rows: readers.Rows) -> list[Column]:
    """Mark position and name of the rows, where nobody has: a cone search needs them."""
    if any(c.ucd.endswith(";meta.main") for c in columns):
        return columns
    places = position_columns(rows)
    name = next((n for n in originals if _names_rows(n, rows)), "")
    if not places or not name:
        return columns
    marks = {places["ra"]: MAIN_RA, places["dec"]: MAIN_DEC, name: MAIN_ID}
    return [
        replace(c, ucd=marks.get(original, c.ucd), unit=c.unit or _degrees(original, places))
        for original, c in zip(originals, columns, strict=True)
    ]


def _names_rows(name: str, rows: readers.Rows) -> bool:
    if not re.search(r"(?i)(^|_)(obj|source|star|galaxy)?_?(id|name)$", name):
        return False
    texts = _texts(rows.columns[name])
    return None not in texts and len(set(texts)) == len(texts)


def _degrees(original: str, places: dict[str, str]) -> str:
    return "deg" if original in places.values() else ""


def _headers(table: FilesTable, *, simulated: bool) -> tuple[tuple[str, str | float | int], ...]:
    """Return what the header of a light curve says, in the words of TESS, or of a spectrum."""
    told: list[tuple[str, str | float | int]] = [("SIMULATD", 1)] if simulated else []
    if table.flux_unit and table.flux_unit != "relative":
        told.append(("TUNIT2", table.flux_unit))
        told.append(("TUNIT3", table.flux_unit))
    if isinstance(table, SpectraTable):
        told.append(("AIRORVAC", "air" if table.medium == "air" else "vac"))
        return (*told, *([("TUNIT1", table.wave_unit)] if table.wave_unit else []))
    if not isinstance(table, LightCurvesTable):
        return ()
    if table.band:
        told.append(("FILTER", table.band))
    if table.time:
        zero = table.time.zero
        told += [
            ("TIMESYS", table.time.scale.upper()),
            ("TIMEUNIT", "d"),
            ("BJDREFI", int(zero)),
            ("BJDREFF", zero - int(zero)),
        ]
    return tuple(told)
