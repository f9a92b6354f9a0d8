"""Does the data fit the model? The input contract of a card against samples, object by object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import Cutouts, LightCurves
from jupyter_astroml.models.cards import Card
from jupyter_astroml.models.picture import lupton

FITS, CONVERTED, OUTSIDE = "fits", "converted", "outside"
_RANK = {FITS: 0, CONVERTED: 1, OUTSIDE: 2}
# A larger share of missing values leaves too little of the object to judge.
MAX_MISSING = 0.2


@dataclass(eq=False)
class Fit:
    """How each object meets the contract.

    Attributes
    ----------
    status : ndarray of str, shape (n,)
        ``fits``, ``converted`` or ``outside``.
    reasons : list of list of str
        How it was converted, why it is outside, or what could not be checked.
    """

    status: np.ndarray
    reasons: list[list[str]]

    @classmethod
    def good(cls, n: int) -> Fit:
        """Return a fit in which nothing is wrong yet."""
        return cls(np.full(n, FITS, dtype="U9"), [[] for _ in range(n)])

    def note(self, rows: np.ndarray, status: str, why: str | Callable[[int], str]) -> None:
        """Lower the status of some rows and say why."""
        for i in np.flatnonzero(rows):
            if _RANK[status] > _RANK[str(self.status[i])]:
                self.status[i] = status
            self.reasons[i].append(why if isinstance(why, str) else why(int(i)))

    def words(self) -> np.ndarray:
        """Return one text an object: ``fits``, ``converted: how`` or ``outside: why``."""
        return np.array(
            [
                f"{s}: {'; '.join(r)}" if r else str(s)
                for s, r in zip(self.status, self.reasons, strict=True)
            ],
            dtype=str,
        )


@dataclass(frozen=True, eq=False)
class Prepared:
    """Samples in the shape and unit that the network takes.

    Attributes
    ----------
    samples : Cutouts or LightCurves
        Finite everywhere.
    fit : Fit
    place : ndarray of int, shape (n, t), or None
        For light curves: where each given cadence stands on the even grid; -1 for padding.
    """

    samples: Any
    fit: Fit
    place: np.ndarray | None = None


def prepare(card: Card, samples: Any) -> Prepared:
    """Bring samples into the input contract, and say object by object what that took.

    Parameters
    ----------
    card : Card
        Holds the input contract.
    samples : Cutouts or LightCurves
        Any number of objects.

    Raises
    ------
    DataError
        If the kind of data is wrong, or the number of bands: nothing can be done with those.
    """
    if samples.kind != card.kind:
        raise DataError(
            f"The model {card.id} takes {card.kind}, not {samples.kind}",
            remedy="choose a model for this kind of data: aml.models()",
        )
    return _cutouts(card, samples) if samples.kind == "cutouts" else _light_curves(card, samples)


def check(card: Card, samples: Any) -> Fit:
    """Compare samples with the input contract; see `prepare`."""
    return prepare(card, samples).fit


def _cutouts(card: Card, cutouts: Cutouts) -> Prepared:
    contract, n = card.input, len(cutouts)
    fit = Fit.good(n)
    everyone = np.ones(n, dtype=bool)
    values = np.asarray(cutouts.values, dtype=np.float32)
    bands = cutouts.bands

    given, wanted = values.shape[2:], (contract.size[0], contract.size[1])
    if given != wanted:
        values = _centred(values, wanted)
        # Edges of a cutout are rounded to whole pixels by the archive: one or two mean nothing.
        if max(abs(have - want) for have, want in zip(given, wanted, strict=True)) > 2:
            smaller = given[0] < 0.9 * wanted[0] or given[1] < 0.9 * wanted[1]
            sizes = f"{given[1]}×{given[0]} pixels, the model takes {wanted[1]}×{wanted[0]}"
            fit.note(everyone, OUTSIDE if smaller else CONVERTED, sizes)

    missing = ~np.isfinite(values)
    share = missing.mean(axis=(1, 2, 3))
    fit.note(share > MAX_MISSING, OUTSIDE, lambda i: f"{share[i]:.0%} of the pixels are missing")
    fit.note(
        (share > 0) & (share <= MAX_MISSING),
        CONVERTED,
        lambda i: f"{share[i]:.1%} of the pixels were missing and got the median of their band",
    )
    if missing.any():
        values = _with_medians(values, missing)

    if cutouts.flux_unit != contract.flux_unit:
        if cutouts.flux_unit in contract.convert and contract.flux_unit == "picture":
            values, bands = lupton(values, bands), ("i", "r", "g")
            fit.note(everyone, CONVERTED, f"{cutouts.flux_unit} drawn as a colour picture")
        else:
            fit.note(
                everyone,
                OUTSIDE,
                f"values in {cutouts.flux_unit or 'no unit'}, not {contract.flux_unit}",
            )

    if set(bands) >= set(contract.bands):
        order = [bands.index(b) for b in contract.bands]
        if order != list(range(len(bands))):
            values = values[:, order]
    elif len(bands) == len(contract.bands):
        fit.note(everyone, OUTSIDE, f"bands {','.join(bands)}, not {','.join(contract.bands)}")
    else:
        raise DataError(
            f"The model {card.id} takes the bands {', '.join(contract.bands)}",
            cause=f"the data have {', '.join(bands)}",
        )

    if contract.pixel_scale:
        scale, span = cutouts.pixel_scale, contract.pixel_scale
        wrong = np.isfinite(scale) & ((scale < span.low) | (scale > span.high))
        fit.note(
            wrong,
            OUTSIDE,
            lambda i: f"{scale[i]:.3g} {span.unit}/pixel, not {span.low:g} to {span.high:g}",
        )

    prepared = replace(
        cutouts,
        values=np.ascontiguousarray(values, dtype=np.float32),
        bands=contract.bands,
        flux_unit=contract.flux_unit,
        errors=None,
        masks=None,
        wcs=cutouts.wcs if given == wanted else None,
    )
    return Prepared(prepared, fit)


def _with_medians(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Fill missing pixels with the median of their object and band; 0 if nothing is left."""
    known = np.where(missing, np.nan, values).reshape(*values.shape[:2], -1)
    empty = missing.reshape(known.shape).all(axis=2)
    known[empty] = 0.0
    medians = np.nanmedian(known, axis=2)[:, :, None, None]
    return np.where(missing, medians, values)


def _centred(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cut or pad about the centre; padding repeats the edge, which keeps the sky level."""
    for axis, wanted in zip((2, 3), size, strict=True):
        have = values.shape[axis]
        if have > wanted:
            start = (have - wanted) // 2
            values = np.take(values, range(start, start + wanted), axis=axis)
        elif have < wanted:
            before = (wanted - have) // 2
            pad = [(0, 0)] * 4
            pad[axis] = (before, wanted - have - before)
            values = np.pad(values, pad, mode="edge")
    return values


def _light_curves(card: Card, curves: LightCurves) -> Prepared:
    contract, n = card.input, len(curves)
    fit = Fit.good(n)
    lengths = curves.lengths()
    fit.note(lengths == 0, OUTSIDE, "no finite value")
    fit.note(
        (lengths > 0) & (lengths < contract.size[0]),
        OUTSIDE,
        lambda i: f"{lengths[i]} cadences, the model takes {contract.size[0]} or more",
    )
    grids = [_grid(curves, i, int(lengths[i])) for i in range(n)]
    width = max([contract.size[0], *(len(g.time) for g in grids)])
    time = np.empty((n, width))
    values = np.empty((n, width), dtype=np.float32)
    place = np.full(curves.values.shape, -1)
    for i, grid in enumerate(grids):
        time[i] = _edge(grid.time, width)
        values[i] = _edge(grid.values, width)
        place[i, : len(grid.place)] = grid.place

    cadence = np.array([g.cadence for g in grids])
    if contract.cadence:
        span = contract.cadence
        wrong = ~((cadence >= span.low) & (cadence <= span.high))
        fit.note(
            wrong & (lengths > 1),
            OUTSIDE,
            lambda i: f"a cadence of {cadence[i]:.3g} d, not {span.low:.3g} to {span.high:.3g} d",
        )
    gaps = np.array([g.filled for g in grids])
    fit.note(gaps > MAX_MISSING, OUTSIDE, lambda i: f"{gaps[i]:.0%} of the cadences are missing")
    fit.note(
        (gaps > 0.01) & (gaps <= MAX_MISSING),
        CONVERTED,
        lambda i: f"{gaps[i]:.1%} of the cadences interpolated",
    )
    if contract.flux_unit == "relative":
        medians = np.median(values, axis=1)
        usable = np.isfinite(medians) & (medians > 0)
        fit.note(~usable & (lengths > 0), OUTSIDE, "the median flux is not positive")
        off = usable & (np.abs(medians - 1) > 1e-2)
        fit.note(off, CONVERTED, "flux divided by its median")
        values = values / np.where(usable, medians, 1.0).astype(np.float32)[:, None]
    prepared = replace(curves, time=time, values=values, errors=None, flux_unit=contract.flux_unit)
    return Prepared(prepared, fit, place)


@dataclass(frozen=True, eq=False)
class _Grid:
    time: np.ndarray
    values: np.ndarray
    place: np.ndarray
    cadence: float
    filled: float


def _grid(curves: LightCurves, i: int, length: int) -> _Grid:
    """Put one light curve on an even grid; gaps are bridged by straight lines."""
    time, flux = curves.time[i, :length], curves.values[i, :length]
    finite = np.isfinite(flux) & np.isfinite(time)
    if finite.sum() < 2:
        return _Grid(np.zeros(1), np.ones(1), np.full(length, -1), np.nan, 1.0 if length else 0.0)
    steps = np.diff(time[finite])
    cadence = float(np.median(steps[steps > 0])) if (steps > 0).any() else np.nan
    if not np.isfinite(cadence) or (steps < 0).any():
        raise DataError(
            f"The times of {curves.ids[i]} do not increase",
            remedy="sort the light curve by time",
        )
    # Steps are rounded one by one, so that the slow drift of barycentric times against a rigid
    # grid (two cadences over a TESS sector) opens no false gap.
    at = np.concatenate([[0], np.cumsum(np.rint(steps / cadence).astype(np.int64))])
    if at[-1] > 50 * length:
        raise DataError(
            f"{curves.ids[i]} has {length} cadences over {at[-1]} steps of {cadence:.3g} d",
            remedy="cut the light curve at its long gaps",
        )
    grid = np.arange(at[-1] + 1)
    place = np.full(length, -1)
    place[finite] = at
    return _Grid(
        time=np.interp(grid, at, time[finite]),
        values=np.interp(grid, at, flux[finite]),
        place=place,
        cadence=cadence,
        # `at` never decreases, so its different values can be counted without sorting.
        filled=1.0 - (1 + np.count_nonzero(np.diff(at))) / len(grid),
    )


def _edge(values: np.ndarray, width: int) -> np.ndarray:
    return np.pad(values, (0, width - len(values)), mode="edge")
