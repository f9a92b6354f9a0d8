"""Does the data fit the model? The input contract of a card against samples, object by object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import Cutouts, LightCurves
from jupyter_astroml.models import spectra
from jupyter_astroml.models.cards import Card, InputContract
from jupyter_astroml.models.conversions import factor, is_flux, is_per_pixel, resampled
from jupyter_astroml.models.fit import (
    ANY,
    CONVERTED,
    FITS,
    MAX_MISSING,
    MAX_STRETCH,
    OUTSIDE,
    Fit,
    Prepared,
    medians,
)
from jupyter_astroml.models.picture import PICTURE_BANDS, lupton


def prepare(card: Card, samples: Any) -> Prepared:
    """Bring samples into the input contract, and say object by object what that took.

    Parameters
    ----------
    card : Card
        Holds the input contract.
    samples : Cutouts, LightCurves or Spectra
        Any number of objects.

    Raises
    ------
    DataError
        If the kind of data is wrong: nothing can be done with that.
    """
    if samples.kind != card.kind:
        raise DataError(
            f"The model {card.id} takes {card.kind}, not {samples.kind}",
            remedy="choose a model for this kind of data: aml.models()",
        )
    ways: Mapping[str, Callable[[Card, Any], Prepared]] = {
        "cutouts": _cutouts,
        "light_curves": _light_curves,
        "spectra": spectra.prepare,
    }
    return ways[samples.kind](card, samples)


def check(card: Card, samples: Any) -> Fit:
    """Compare samples with the input contract; see `prepare`."""
    return prepare(card, samples).fit


def _cutouts(card: Card, cutouts: Cutouts) -> Prepared:
    contract = card.input
    fit = Fit.good(len(cutouts))
    values = np.asarray(cutouts.values, dtype=np.float32)
    if cutouts.masks is not None:
        # A masked pixel may hold anything; it is as good as missing.
        values = np.where(cutouts.masks, np.float32(np.nan), values)
    given, wanted = values.shape[2:], (contract.size[0], contract.size[1])
    steps = _steps(cutouts.pixel_scale, contract, fit)
    kept = given == wanted and (steps == 1).all()
    if not kept:
        values = _sized(values, cutouts, wanted, steps, fit)
    values = _filled(values, fit)
    values, bands = _in_unit(values, cutouts, contract, fit)
    values = _in_bands(values, bands, contract, fit)
    if contract.fewest_bands is None:
        _compare_planes(values, contract, fit)
    _compare_points(cutouts, contract, fit)
    _compare_pixels(cutouts, contract, fit)
    prepared = replace(
        cutouts,
        values=np.ascontiguousarray(values, dtype=np.float32),
        bands=contract.bands,
        flux_unit=cutouts.flux_unit if contract.flux_unit == ANY else contract.flux_unit,
        errors=None,
        masks=None,
        pixel_scale=cutouts.pixel_scale * steps,
        wcs=cutouts.wcs if kept else None,
    )
    return Prepared(prepared, fit)


def _steps(scale: np.ndarray, contract: InputContract, fit: Fit) -> np.ndarray:
    """Return how many pixels as they came go into one of the network, 1 where they stay.

    Finer pixels can be joined; coarser ones lack detail that no interpolation brings back, so that
    only a little is stretched.
    """
    span, steps = contract.pixel_scale, np.ones(len(scale))
    if span is None:
        return steps
    known = np.isfinite(scale) & (scale > 0)
    fit.note(~known, FITS, "the pixel scale is unknown")
    finer = known & (scale < span.low)
    coarser = known & (scale > span.high) & (scale <= span.high * MAX_STRETCH)
    steps[finer] = span.low / scale[finer]
    steps[coarser] = span.high / scale[coarser]
    fit.note(
        finer | coarser,
        CONVERTED,
        lambda i: f"resampled from {scale[i]:.3g} to {scale[i] * steps[i]:.3g} {span.unit}/pixel",
    )
    fit.note(
        known & (scale > span.high) & ~coarser,
        OUTSIDE,
        lambda i: f"{scale[i]:.3g} {span.unit}/pixel, not {span.low:g} to {span.high:g}",
    )
    return steps


def _sized(
    values: np.ndarray, cutouts: Cutouts, wanted: tuple[int, int], steps: np.ndarray, fit: Fit
) -> np.ndarray:
    """Cut, pad or resample to the size of the contract, about the object if its place is known."""
    n, given = len(values), np.array(values.shape[2:])
    target = np.array(wanted)
    middles = _middles(values.shape[2:], n)
    # Size of the image in pixels of the network.
    covered = np.rint(given / steps[:, None]).astype(int)
    # Edges of a cutout are rounded to whole pixels by the archive: one or two mean nothing.
    other = np.abs(covered - target).max(axis=1) > 2
    smaller = (covered < 0.9 * target).any(axis=1)
    for rows, status in ((other & smaller, OUTSIDE), (other & ~smaller, CONVERTED)):
        fit.note(
            rows,
            status,
            lambda i: (
                f"{covered[i, 1]}×{covered[i, 0]} pixels, the model takes {wanted[1]}×{wanted[0]}"
            ),
        )
    if other.any():
        places = _places(cutouts)
        unknown = ~np.isfinite(places).all(axis=1)
        place = "its place in the image is unknown and was taken to be the middle"
        fit.note(other & unknown, FITS, place)
        middles = np.where((other & ~unknown)[:, None], places, middles)
        # An object that is close to an edge has less around it than the model needs.
        half = (target - 1) / 2 * steps[:, None]
        beyond = np.maximum(half - middles, middles + half - given + 1).max(axis=1) / steps
        fit.note(
            other & ~unknown & (beyond > MAX_MISSING * min(wanted)),
            OUTSIDE,
            lambda i: (
                f"the image ends {max(min(wanted) / 2 - beyond[i], 0):.0f} pixels from its place"
            ),
        )
    if (steps == 1).all():
        return _about(values, middles, wanted)
    made = np.empty((n, values.shape[1], *wanted), dtype=values.dtype)
    for i, step in enumerate(steps):
        if step == 1:
            made[i] = _about(values[i : i + 1], middles[i : i + 1], wanted)[0]
        else:
            # The mean over a larger pixel, times its area where the value is the flux of a pixel.
            area = step**2 if is_per_pixel(cutouts.flux_unit) else 1.0
            made[i] = area * resampled(values[i], middle=middles[i], step=step, size=wanted)
    return made


def _middles(shape: tuple[int, ...], n: int) -> np.ndarray:
    return np.tile((np.array(shape) - 1) / 2, (n, 1))


def _places(cutouts: Cutouts) -> np.ndarray:
    """Return the pixel (y, x) of each object by its WCS and position, NaN where one is unknown."""
    places = np.full((len(cutouts), 2), np.nan)
    if cutouts.wcs is not None:
        for i, header in enumerate(cutouts.wcs):
            if header and np.isfinite([cutouts.ra[i], cutouts.dec[i]]).all():
                places[i] = _pixel(str(header), cutouts.positions[i])
    return places


def _pixel(header: str, position: Any) -> tuple[float, float]:
    import warnings

    from astropy.io.fits import Header
    from astropy.utils.exceptions import AstropyWarning
    from astropy.wcs import WCS, NoConvergence, WcsError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            x, y = WCS(Header.fromstring(header)).world_to_pixel(position)
        except (NoConvergence, WcsError, ValueError, TypeError, AttributeError):
            return np.nan, np.nan
    return float(y), float(x)


def _about(values: np.ndarray, middles: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cut or pad about pixels (y, x); padding repeats the edge, which keeps the sky level."""
    made = np.empty((*values.shape[:2], *size), dtype=values.dtype)
    off = np.clip(middles - (np.array(size) - 1) / 2, -1e6, 1e6)
    # Half a pixel is rounded towards zero: a spare row is taken off, or put on, at the end.
    starts = (np.sign(off) * np.ceil(np.abs(off) - 0.5)).astype(int)
    for i, start in enumerate(starts):
        rows, columns = (
            np.clip(np.arange(s, s + n), 0, have - 1)
            for s, n, have in zip(start, size, values.shape[2:], strict=True)
        )
        made[i] = values[i][:, rows[:, None], columns]
    return made


def _filled(values: np.ndarray, fit: Fit) -> np.ndarray:
    missing = ~np.isfinite(values)
    share = missing.mean(axis=(1, 2, 3))
    fit.note(share > MAX_MISSING, OUTSIDE, lambda i: f"{share[i]:.0%} of the pixels are missing")
    fit.note(
        (share > 0) & (share <= MAX_MISSING),
        CONVERTED,
        lambda i: f"{share[i]:.1%} of the pixels were missing and got the median of their band",
    )
    return _with_medians(values, missing) if missing.any() else values


def _in_unit(
    values: np.ndarray, cutouts: Cutouts, contract: InputContract, fit: Fit
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return values in the unit of the contract where that can be done, and their bands."""
    have, bands = cutouts.flux_unit, cutouts.bands
    if contract.flux_unit in (have, ANY):
        return values, bands
    drawn = contract.flux_unit == "picture"
    for unit in contract.convert if drawn else (contract.flux_unit,):
        scale = 1.0 if have == unit else factor(have, unit, zero_point=_zero_point(cutouts))
        if scale is None or (drawn and not set(bands) >= set(PICTURE_BANDS)):
            continue
        if have != unit:
            fit.note(fit.everyone, CONVERTED, f"{have} turned into {unit} (factor {scale:.4g})")
            values = values * np.float32(scale)
        if not drawn:
            return values, bands
        fit.note(fit.everyone, CONVERTED, f"{unit} drawn as a colour picture")
        return lupton(values, bands), PICTURE_BANDS
    if not (drawn and have in contract.convert):
        fit.note(fit.everyone, OUTSIDE, f"values in {have or 'no unit'}, not {contract.flux_unit}")
    return values, bands


def _zero_point(cutouts: Cutouts) -> float | None:
    """Return the AB magnitude of one count that the data tell, if they do."""
    return _number(cutouts.meta.get("zero_point"))


def _number(found: Any) -> float | None:
    return float(found) if isinstance(found, int | float) and np.isfinite(found) else None


def _in_bands(
    values: np.ndarray, bands: tuple[str, ...], contract: InputContract, fit: Fit
) -> np.ndarray:
    """Return the planes in the order of the contract; other planes are told as outside."""
    if set(bands) >= set(contract.bands):
        order = [bands.index(b) for b in contract.bands]
        return values if order == list(range(len(bands))) else values[:, order]
    if contract.fewest_bands and len(set(bands) & set(contract.bands)) >= contract.fewest_bands:
        made = np.zeros((len(values), len(contract.bands), *values.shape[2:]), dtype=values.dtype)
        for plane, band in enumerate(contract.bands):
            if band in bands:
                made[:, plane] = values[:, bands.index(band)]
        return made
    wanted = f"bands {','.join(bands)}, not {','.join(contract.bands)}"
    fit.note(fit.everyone, OUTSIDE, wanted)
    if len(bands) == len(contract.bands):
        return values
    # The network needs its number of planes; the mean of those that came stands for each.
    return np.repeat(values.mean(axis=1, keepdims=True), len(contract.bands), axis=1)


def _compare_planes(values: np.ndarray, contract: InputContract, fit: Fit) -> None:
    """Note a plane of equal pixels beside others: it stands for an image that nobody took."""
    flat = values.reshape(*values.shape[:2], -1)
    blank = flat.max(axis=2) == flat.min(axis=2)

    def why(i: int) -> str:
        names = [band for band, lost in zip(contract.bands, blank[i], strict=False) if lost]
        return f"nothing in {', '.join(names)}: all pixels are equal"

    fit.note(blank.any(axis=1) & ~blank.all(axis=1), OUTSIDE, why)


def _compare_points(cutouts: Cutouts, contract: InputContract, fit: Fit) -> None:
    """Compare how wide a point is, where the data tell it: few archives do."""
    span, width = contract.psf, _number(cutouts.meta.get("psf_fwhm"))
    if span is not None and width is not None and not span.low <= width <= span.high:
        why = f"points are {width:.3g} arcsec wide, not {span.low:g} to {span.high:g}"
        fit.note(fit.everyone, OUTSIDE, why)


def _compare_pixels(cutouts: Cutouts, contract: InputContract, fit: Fit) -> None:
    """Compare the signal-to-noise ratio of all pixels together.

    The signal is what stands out above the median of its band, in squares of its error; noise
    alone would give one for each pixel, which is taken off.
    """
    if contract.signal_to_noise is None:
        return
    errors, unknown = cutouts.errors, np.full(len(cutouts), np.nan)
    if errors is None:
        fit.note_noise(unknown, contract.signal_to_noise)
        return
    lost = ~(np.isfinite(cutouts.values) & np.isfinite(errors) & (errors > 0))
    if cutouts.masks is not None:
        lost |= cutouts.masks
    above = cutouts.values - _levels(cutouts.values, lost)
    signal = np.where(lost, 0.0, above) / np.where(lost, 1.0, errors)
    excess = (signal**2 - ~lost).sum(axis=(1, 2, 3))
    ratio = np.where(lost.all(axis=(1, 2, 3)), unknown, np.sqrt(np.maximum(excess, 0.0)))
    fit.note_noise(ratio, contract.signal_to_noise)


def _with_medians(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Fill missing pixels with the median of their object and band; 0 if nothing is left."""
    return np.where(missing, _levels(values, missing), values)


def _levels(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Return the median of each object and band, shape (n, band, 1, 1)."""
    known = np.where(missing, np.nan, values).reshape(*values.shape[:2], -1)
    empty = missing.reshape(known.shape).all(axis=2)
    known[empty] = 0.0
    medians: np.ndarray = np.nanmedian(known, axis=2)
    return medians[:, :, None, None]


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
    _compare_grids(grids, lengths, contract, fit)
    _compare_light(curves, contract, fit)
    _compare_noise(curves, contract, fit)
    # Medians before the padding, so that an object's answer does not depend on its neighbours.
    levels = np.array([np.median(g.values) for g in grids])
    if contract.flux_unit == "relative":
        usable = np.isfinite(levels) & (levels > 0)
        fit.note(~usable & (lengths > 0), OUTSIDE, "the median flux is not positive")
        fit.note(usable & (np.abs(levels - 1) > 1e-2), CONVERTED, "flux divided by its median")
        levels = np.where(usable, levels, 1.0)
    else:
        levels = np.ones(n)
    width = max([contract.size[0], *(len(g.time) for g in grids)])
    time = np.empty((n, width))
    values = np.empty((n, width), dtype=np.float32)
    place = np.full(curves.values.shape, -1)
    for i, grid in enumerate(grids):
        time[i] = _edge(grid.time, width)
        values[i] = _edge(grid.values, width)
        place[i, : len(grid.place)] = grid.place
    values = values / levels.astype(np.float32)[:, None]
    prepared = replace(curves, time=time, values=values, errors=None, flux_unit=contract.flux_unit)
    return Prepared(prepared, fit, place)


def _compare_grids(
    grids: list[_Grid], lengths: np.ndarray, contract: InputContract, fit: Fit
) -> None:
    broken = np.array([bool(g.trouble) for g in grids], dtype=bool)
    fit.note(broken, OUTSIDE, lambda i: grids[i].trouble)
    cadence = np.array([g.cadence for g in grids])
    if contract.cadence:
        span = contract.cadence
        wrong = ~((cadence >= span.low) & (cadence <= span.high))
        fit.note(
            wrong & (lengths > 1) & ~broken,
            OUTSIDE,
            lambda i: f"a cadence of {cadence[i]:.3g} d, not {span.low:.3g} to {span.high:.3g} d",
        )
    gaps = np.array([g.filled for g in grids])
    fit.note(
        (gaps > MAX_MISSING) & ~broken,
        OUTSIDE,
        lambda i: f"{gaps[i]:.0%} of the cadences are missing",
    )
    fit.note(
        (gaps > 0.01) & (gaps <= MAX_MISSING),
        CONVERTED,
        lambda i: f"{gaps[i]:.1%} of the cadences interpolated",
    )


def _compare_light(curves: LightCurves, contract: InputContract, fit: Fit) -> None:
    """Compare unit and filter: a median divides the scale out of a flux, and of nothing else."""
    unit = curves.flux_unit
    if unit != contract.flux_unit:
        if not unit:
            fit.note(fit.everyone, FITS, "the unit of the flux is unknown")
        elif contract.flux_unit != "relative" or not is_flux(unit):
            fit.note(fit.everyone, OUTSIDE, f"values in {unit}, not {contract.flux_unit} flux")
    if not curves.band:
        fit.note(fit.everyone, FITS, "the filter is unknown")
    elif not any(_same_filter(curves.band, band) for band in contract.bands):
        fit.note(fit.everyone, OUTSIDE, f"filter {curves.band}, not {'or '.join(contract.bands)}")


def _same_filter(have: str, wanted: str) -> bool:
    return have.strip().casefold() == wanted.casefold()


def _compare_noise(curves: LightCurves, contract: InputContract, fit: Fit) -> None:
    """Compare the signal-to-noise ratio of a cadence: the median flux over the median error."""
    if contract.signal_to_noise is None:
        return
    unknown = np.full(len(curves), np.nan)
    error = unknown if curves.errors is None else medians(curves.errors)
    ratio = np.divide(medians(curves.values), error, out=unknown.copy(), where=error > 0)
    fit.note_noise(ratio, contract.signal_to_noise)


@dataclass(frozen=True, eq=False)
class _Grid:
    time: np.ndarray
    values: np.ndarray
    place: np.ndarray
    cadence: float
    filled: float
    trouble: str = ""


def _no_grid(length: int, trouble: str = "") -> _Grid:
    """Stand in for a light curve that cannot be put on a grid: none of its cadences has a place."""
    missing = 1.0 if length else 0.0
    return _Grid(np.zeros(1), np.ones(1), np.full(length, -1), np.nan, missing, trouble)


def _grid(curves: LightCurves, i: int, length: int) -> _Grid:
    """Put one light curve on an even grid; gaps are bridged by straight lines."""
    time, flux = curves.time[i, :length], curves.values[i, :length]
    finite = np.isfinite(flux) & np.isfinite(time)
    if finite.sum() < 2:
        return _no_grid(length)
    steps = np.diff(time[finite])
    if (steps < 0).any() or not (steps > 0).any():
        return _no_grid(length, "its times do not increase: sort the light curve")
    cadence = float(np.median(steps[steps > 0]))
    # Steps are rounded one by one, so that the slow drift of barycentric times against a rigid
    # grid (two cadences over a TESS sector) opens no false gap.
    counts = np.rint(steps / cadence)
    if counts.sum() > 50 * length:
        why = f"{length} cadences over {counts.sum():.3g} steps of {cadence:.3g} d: cut it at gaps"
        return _no_grid(length, why)
    at = np.concatenate([[0], np.cumsum(counts.astype(np.int64))])
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
