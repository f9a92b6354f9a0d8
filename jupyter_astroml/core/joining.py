"""Blocks of the same record put together again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import Cutouts, Predictions


def join(parts: list[Any]) -> Any:
    """Put blocks of the same record together, in the given order.

    Parameters
    ----------
    parts : list of Cutouts, LightCurves, Spectra, References or Predictions
        Not empty.
        Light curves, spectra and dense answers of different lengths are padded to the longest.
        Where some parts have errors, masks or a WCS and others have not, those of the others are
        unknown, False and empty.

    Returns
    -------
    The same kind of record, with the axes and meta of the first part.

    Raises
    ------
    DataError
        If the parts differ in what holds for all objects of a record: bands, units, zero of time.
    """
    first = parts[0]
    _check_alike(parts)
    if isinstance(first, Predictions):
        names = list(dict.fromkeys(name for p in parts for name in p.columns))
        dense = list(dict.fromkeys(name for p in parts for name in p.arrays))
        return replace(
            first,
            **_joined(parts, first._per_object),
            columns={n: np.concatenate([_column(p, n, parts) for p in parts]) for n in names},
            arrays={n: _stack([_dense(p, n, parts) for p in parts]) for n in dense},
        )
    joined = _joined(parts, first._per_object)
    if hasattr(first, "simulated"):
        joined["simulated"] = any(p.simulated for p in parts)
    return replace(first, **joined)


def _check_alike(parts: list[Any]) -> None:
    """Refuse parts whose values would be taken for something else in one record."""
    first = parts[0]
    own = {*first._per_object, "meta", "simulated", "columns", "arrays"}
    for part in parts[1:]:
        if type(part) is not type(first):
            raise DataError(
                f"{type(first).__name__} and {type(part).__name__} cannot be put together"
            )
        for name in (f.name for f in fields(first) if f.name not in own):
            have, other = getattr(first, name), getattr(part, name)
            if have != other:
                raise DataError(
                    f"Parts with different {name} cannot be put together",
                    cause=f"one has {have!r}, another {other!r}",
                    remedy="bring them to the same, or keep them apart",
                )
        if isinstance(part, Cutouts) and part.values.shape[1:] != first.values.shape[1:]:
            raise DataError(
                "Cutouts of different sizes cannot be put together",
                cause=f"one is {first.values.shape[1:]}, another {part.values.shape[1:]}",
                remedy="cut them to the same size",
            )


# What stands for a field that a part lacks and another has.
_LACKING: Mapping[str, Any] = {"errors": np.float32(np.nan), "masks": False, "wcs": ""}


def _joined(parts: list[Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Concatenate the fields with one entry an object; None stays None where no part has any."""
    joined = {}
    for name in names:
        values = [getattr(p, name) for p in parts]
        if all(v is None for v in values):
            continue
        filled = [_lacking(p, name) if v is None else v for p, v in zip(parts, values, strict=True)]
        joined[name] = _stack(filled, edge=name in ("time", "wavelength"))
    return joined


def _lacking(part: Any, name: str) -> np.ndarray:
    if name == "wcs":
        return np.full(len(part), _LACKING[name], dtype=object)
    return np.full(part.values.shape, _LACKING[name])


def _column(part: Predictions, name: str, parts: list[Predictions]) -> np.ndarray:
    """Return a part's column, or an empty one of the dtype that the others have."""
    if name in part.columns:
        return np.asarray(part.columns[name])
    like = next(np.asarray(p.columns[name]) for p in parts if name in p.columns)
    if like.dtype.kind in "US":
        return np.full(len(part), "", dtype=like.dtype)
    return np.full(len(part), np.nan)


def _dense(part: Predictions, name: str, parts: list[Predictions]) -> np.ndarray:
    """Return a part's array, or one of NaN with the shape that the others have."""
    if name in part.arrays:
        return np.asarray(part.arrays[name])
    like = next(np.asarray(p.arrays[name]) for p in parts if name in p.arrays)
    dtype = like.dtype if like.dtype.kind == "f" else float
    return np.full((len(part), *like.shape[1:]), np.nan, dtype=dtype)


def _stack(values: list[np.ndarray], *, edge: bool = False) -> np.ndarray:
    """Concatenate, padding a ragged second axis with NaN or, for an axis, with its last value."""
    if values[0].ndim != 2 or len({v.shape[1] for v in values}) == 1:
        return np.concatenate(values)
    width = max(v.shape[1] for v in values)
    padded = []
    for v in values:
        pad = ((0, 0), (0, width - v.shape[1]))
        if edge and v.shape[1]:
            padded.append(np.pad(v, pad, mode="edge"))
        else:
            # Integers have no NaN; floats keep their width.
            v = v if v.dtype.kind == "f" else v.astype(float)
            padded.append(np.pad(v, pad, constant_values=np.nan))
    return np.concatenate(padded)
