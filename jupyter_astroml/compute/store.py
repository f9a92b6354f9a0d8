"""Records as files: what a run keeps of its data, and of its answers.

Columns are Parquet, dense answers are Zarr version 3, dense data are ``.npy`` (which can be read by
rows through a memory map).
Nothing here is unpickled and no name from a file becomes a path before it was checked: a run may
come from somebody else.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core import manifest as core_manifest
from jupyter_astroml.core.errors import DataError, RunError
from jupyter_astroml.core.records import Cutouts, LightCurves, Predictions, References, Spectra

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = "table.parquet"
COLUMNS = "columns.parquet"
ARRAYS = "arrays.zarr"
FETCHED = "fetched.parquet"
MANIFEST = "block.json"

# Rows that are read together; blocks never cross the border between two such groups.
_GROUP_ROWS = 16_384
_RECORDS = {kind.__name__: kind for kind in (References, Cutouts, LightCurves, Spectra)}
_FIXED = ("id", "status", "ra", "dec")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]{0,99}")


def plain_json(value: Any) -> Any:
    """Return `value` as plain values that JSON can hold; what has no such form becomes text."""
    if isinstance(value, Mapping):
        return {str(k): plain_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain_json(v) for v in value]
    if isinstance(value, np.generic | np.ndarray):
        return plain_json(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def write_json(path: Path, value: Any) -> None:
    """Write one JSON object."""
    path.write_text(json.dumps(plain_json(value), indent=1, allow_nan=False))


def read_json(path: Path) -> dict[str, Any]:
    """Read one JSON object.

    Raises
    ------
    RunError
        If the file cannot be read or holds anything else.
    """
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as err:
        raise RunError(f"{path} cannot be read", cause=str(err)) from err
    if not isinstance(value, dict):
        raise RunError(f"{path} holds no JSON object")
    return value


def _column(values: np.ndarray, *, name: str) -> pa.Array:
    import pyarrow as pa

    kind = values.dtype.kind
    if kind == "U":
        return pa.array(values.tolist(), pa.string())
    if kind == "O":
        texts = values.tolist()
        if all(v is None or isinstance(v, str) for v in texts):
            return pa.array(texts, pa.string())
    if kind in "biuf":
        return pa.array(np.ascontiguousarray(values))
    raise DataError(
        f"Column '{name}' of dtype {values.dtype} cannot be stored",
        remedy="use numbers, truth values or text",
    )


def _values(column: pa.ChunkedArray, *, keep_none: bool = False) -> np.ndarray:
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        texts = column.to_pylist()
        return np.array(texts, dtype=object if keep_none else str)
    # Parquet gives memory that may not be written to; records are plain arrays.
    return np.array(column.to_numpy())


# Data of a run ------------------------------------------------------------------------------------


def write_data(folder: Path, data: Any, *, block_size: int) -> dict[str, Any]:
    """Write references or samples, and return what `Data` needs besides the files.

    Parameters
    ----------
    folder : Path
        Exists and is empty.
    data : References, Cutouts, LightCurves or Spectra
        Ids must be unique.
    block_size : int
        Objects in a block.

    Raises
    ------
    DataError
        For another kind of record, for no object, or for ids that are not unique.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    record = type(data).__name__
    if _RECORDS.get(record) is not type(data):
        raise DataError(f"A run cannot be made of {record}", remedy=f"give {', '.join(_RECORDS)}")
    if len(data) == 0:
        raise DataError("There is no object to run on", remedy="widen the query")
    unique, counts = np.unique(data.ids, return_counts=True)
    if len(unique) != len(data):
        twice = str(unique[counts > 1][0])
        raise DataError(
            f"The id {twice!r} stands in more than one row",
            remedy="keep one row an object: astropy.table.unique(rows, keys='id')",
        )
    table, scalars = {}, {}
    for name in (f.name for f in fields(data)):
        value = getattr(data, name)
        if name not in data._per_object:
            scalars[name] = plain_json(value)
        elif value is None:
            continue
        elif np.ndim(value) == 1:
            table[name] = _column(np.asarray(value), name=name)
        else:
            np.save(folder / f"{name}.npy", np.asarray(value), allow_pickle=False)
    rows = max(1, _GROUP_ROWS // block_size) * block_size
    pq.write_table(pa.table(table), folder / TABLE, row_group_size=rows)
    return {
        "record": record,
        "n": len(data),
        "scalars": scalars,
        "group_rows": rows,
        "files": _hashes(folder),
    }


class Data:
    """References or samples of a run, read by rows; memory does not grow with their number.

    Parameters
    ----------
    folder : Path
        As `write_data` left it.
    about : mapping
        What `write_data` returned, perhaps from an untrusted file.
    block_size : int

    Raises
    ------
    RunError
        If the files are not what `about` says.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], *, block_size: int) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kind = _RECORDS.get(str(about.get("record")))
        scalars = about.get("scalars")
        if kind is None or not isinstance(scalars, Mapping):
            raise RunError(f"The data in {folder} are of no known kind")
        self._kind: Any = kind
        self._folder = folder
        files = about.get("files")
        # Runs of earlier versions say nothing of their files.
        self._files = dict(files) if isinstance(files, Mapping) else {}
        self._scalars = {k: tuple(v) if isinstance(v, list) else v for k, v in scalars.items()}
        self._group_rows = whole(about.get("group_rows"), "group_rows", least=1)
        self.n = whole(about.get("n"), "n", least=1)
        self._cached: tuple[int, pa.Table] | None = None
        try:
            self._table = pq.ParquetFile(folder / TABLE)
            rows = self._table.metadata.num_rows
            names = self._table.schema_arrow.names
            self._dense = {
                f: folder / f"{f}.npy"
                for f in kind._per_object
                if f not in names and (folder / f"{f}.npy").is_file()
            }
            lengths = [len(_mapped(path)) for path in self._dense.values()]
        except (OSError, ValueError, pa.ArrowException) as err:
            raise RunError(
                f"The data in {folder} cannot be read",
                cause=str(err),
                remedy="copy the run again, or make a new one",
            ) from err
        if (
            rows != self.n
            or set(lengths) - {self.n}
            or self._group_rows % block_size
            or not set(names) <= set(kind._per_object)
            or set(self._scalars) & set(kind._per_object)
        ):
            raise RunError(
                f"The data in {folder} do not fit run.json",
                remedy="copy the run again, or make a new one",
            )

    def rows(self, start: int, stop: int) -> Any:
        """Return objects `start` to `stop` as one record, copied from the files.

        Raises
        ------
        RunError
            If the files changed or are damaged.
        """
        import pyarrow as pa

        try:
            table = pa.concat_tables(list(self._groups(start, stop)))
            columns = {
                name: _values(table[name], keep_none=name == "wcs") for name in table.column_names
            }
            dense = {
                name: np.array(_mapped(path)[start:stop]) for name, path in self._dense.items()
            }
            return self._kind(**{**self._scalars, **columns, **dense})
        except (
            OSError,
            TypeError,
            ValueError,
            AttributeError,
            pa.ArrowException,
            DataError,
        ) as err:
            raise RunError(
                f"Objects {start} to {stop} of the run cannot be read", cause=str(err)
            ) from err

    def altered(self) -> list[str]:
        """Return the files that are not what they were when the run was made, by name."""
        then, now = self._files, _hashes(self._folder)
        return sorted(n for n in {*then, *now} if then.get(n) != now.get(n)) if then else []

    def ids(self) -> np.ndarray:
        """Return all ids, in order."""
        return _values(self._table.read(columns=["ids"])["ids"])

    def _groups(self, start: int, stop: int) -> Iterator[pa.Table]:
        for group in range(start // self._group_rows, (stop - 1) // self._group_rows + 1):
            table = self._group(group)
            first = group * self._group_rows
            low, high = max(start - first, 0), min(stop - first, self._group_rows)
            yield table.slice(low, high - low)

    def _group(self, number: int) -> pa.Table:
        """Return a group of rows; the last one that anybody asked for is kept."""
        # Threads share this reader, and another may replace what is kept between two lines here.
        kept = self._cached
        if kept is None or kept[0] != number:
            kept = self._cached = (number, self._table.read_row_group(number))
        return kept[1]


def _mapped(path: Path) -> np.ndarray:
    """Map an array into memory; each reader lets go of it, or its pages would count as ours."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


def whole(value: Any, name: str, *, least: int, most: int = 10**9) -> int:
    """Return a whole number from an untrusted file.

    Raises
    ------
    RunError
        For anything but an integer within the limits.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise RunError(f"'{name}' in run.json is {value!r}, no number from {least} to {most}")
    return value


# Answers of a block -------------------------------------------------------------------------------


def write_answers(folder: Path, found: Predictions, about: Mapping[str, Any]) -> dict[str, Any]:
    """Write the answers of one block and, last, the manifest with the hash of every file.

    Parameters
    ----------
    folder : Path
        Exists and is empty.
    found : Predictions
        Answers of the block.
    about : mapping
        Goes into the manifest.

    Raises
    ------
    DataError
        For a column or array that cannot be stored.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    _check_names(found)
    fixed = {"id": found.ids, "status": found.status, "ra": found.ra, "dec": found.dec}
    columns = {k: _column(np.asarray(v), name=k) for k, v in {**fixed, **found.columns}.items()}
    pq.write_table(pa.table(columns), folder / COLUMNS)
    if found.arrays:
        _write_zarr(folder / ARRAYS, found.arrays)
    meta = {**found.meta}
    if fetched := meta.pop(core_manifest.MANIFEST, None):
        pq.write_table(pa.table(dict(fetched)), folder / FETCHED)
    manifest = {**about, "meta": plain_json(meta), "files": _hashes(folder)}
    write_json(folder / MANIFEST, manifest)
    return manifest


def _check_names(found: Predictions) -> None:
    for name in (*found.columns, *found.arrays):
        if name in _FIXED or not _NAME.fullmatch(name):
            raise DataError(
                f"An answer cannot be called {name!r}",
                remedy=f"use letters, digits, '_', '.', '+', '-', and not {', '.join(_FIXED)}",
            )
    for name, values in found.columns.items():
        if np.ndim(values) != 1:
            raise DataError(f"Column '{name}' has shape {np.shape(values)}", remedy="use 'arrays'")


def _write_zarr(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a Zarr group in which each array is one chunk, its values as they are in memory.

    The library makes the metadata, once for each shape; it takes 10 ms for a small array, which is
    a twentieth of a block.
    """
    path.mkdir()
    (path / "zarr.json").write_bytes(_zarr_metadata(None, ""))
    for name, given in arrays.items():
        values = np.asarray(given)
        if values.dtype.kind not in "biuf":
            raise DataError(f"Array '{name}' is of dtype {values.dtype}", remedy="use numbers")
        folder = path / name
        # Zarr 3.0 section "Chunk key encoding": c/0/0 for the first chunk of a 2-D array.
        chunk = folder.joinpath("c", *["0"] * values.ndim)
        chunk.parent.mkdir(parents=True)
        (folder / "zarr.json").write_bytes(_zarr_metadata(values.shape, values.dtype.str[1:]))
        if values.size:
            little = values.astype(values.dtype.newbyteorder("<"), copy=False)
            chunk.write_bytes(np.ascontiguousarray(little).tobytes())


@lru_cache(maxsize=256)
def _zarr_metadata(shape: tuple[int, ...] | None, dtype: str) -> bytes:
    """Return the ``zarr.json`` of an array of one chunk, or of a group when there is no shape."""
    import zarr

    files: dict[str, Any] = {}
    store = zarr.storage.MemoryStore(files)
    if shape is None:
        zarr.create_group(store, zarr_format=3)
    else:
        chunks = tuple(max(1, n) for n in shape)
        zarr.create_array(
            store, shape=shape, chunks=chunks, dtype=dtype, compressors=None, zarr_format=3
        )
    return bytes(files["zarr.json"].to_bytes())


def read_fetched(folder: Path) -> dict[str, list[Any]]:
    """Read how the objects of a block came; nothing if none had to be fetched.

    Raises
    ------
    RunError
        If the file cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not (folder / FETCHED).exists():
        return {}
    try:
        return dict(pq.read_table(folder / FETCHED).to_pydict())
    except (OSError, ValueError, pa.ArrowException) as err:
        raise RunError(f"{folder / FETCHED} cannot be read", cause=str(err)) from err


def read_answers(folder: Path, manifest: Mapping[str, Any], *, arrays: bool = True) -> Predictions:
    """Read what `write_answers` wrote.

    Raises
    ------
    RunError
        If a file cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(folder / COLUMNS)
        columns = {name: _values(table[name]) for name in table.column_names}
        dense = _read_zarr(folder / ARRAYS) if arrays and (folder / ARRAYS).is_dir() else {}
        return Predictions(
            ids=columns.pop("id"),
            status=columns.pop("status"),
            ra=columns.pop("ra"),
            dec=columns.pop("dec"),
            columns=columns,
            arrays=dense,
            meta=dict(manifest.get("meta") or {}),
        )
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException, DataError) as err:
        raise RunError(f"The answers in {folder} cannot be read", cause=str(err)) from err


def _read_zarr(path: Path) -> dict[str, np.ndarray]:
    import zarr

    group = zarr.open_group(path, mode="r", zarr_format=3)
    return {name: np.asarray(array[...]) for name, array in group.arrays()}


def _hashes(folder: Path) -> dict[str, str]:
    """Hash of each file below `folder`, except the manifest, by relative path."""
    return {
        path.relative_to(folder).as_posix(): _hash(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.name != MANIFEST
    }


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Read the manifest of a block; None when the block is not whole.

    A file that was truncated, changed, lost or added since the manifest was written makes the
    block count as missing, so that it is done again.
    """
    if folder.is_symlink():
        return None
    try:
        manifest = read_json(folder / MANIFEST)
        return manifest if manifest.get("files") == _hashes(folder) else None
    except (RunError, OSError):
        return None
