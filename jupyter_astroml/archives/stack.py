"""Put the decoded objects of a block together: one stack, one set of axes.

An object that does not fit among the others gets a reason; it does not spoil the stack.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jupyter_astroml.archives.decode import Image, Series
from jupyter_astroml.archives.spectrum import Spectrum
from jupyter_astroml.core.records import Cutouts, LightCurves, References, Samples, Spectra

# Values of a whole block (1 GiB of them): every object is padded to the size of the largest.
MAX_STACK = 2**28
# Which record a decoded object becomes.
RECORDS: dict[type, str] = {Image: "cutouts", Series: "light_curves", Spectrum: "spectra"}
# Known zeros of time become this one (TESS's, JD), whatever a block happens to begin with: times in
# the answers of different blocks must mean the same.
TIME_ZERO = 2457000.0


def stacked(
    answers: Sequence[Any], references: References
) -> tuple[Samples | None, dict[int, str]]:
    """Make one record of what came.

    Parameters
    ----------
    answers : sequence of Image, Series, Spectrum or str
        One a reference: what was decoded, or the reason why there is nothing.
    references : References
        A block.

    Returns
    -------
    samples : Cutouts, LightCurves, Spectra or None
        The objects that came, in the order of the references; None if none came.
    failures : dict of int to str
        Reason by row, for the objects that did not, or do not fit among the others.
    """
    kind = references.kind or next(
        (RECORDS[type(a)] for a in answers if not isinstance(a, str)), ""
    )
    failures: dict[int, str] = {}
    came: dict[int, Any] = {}
    for i, found in enumerate(answers):
        if isinstance(found, str):
            failures[i] = found
        elif RECORDS[type(found)] != kind:
            failures[i] = f"the file holds {RECORDS[type(found)]}, not {kind}"
        else:
            came[i] = found
    if kind == "spectra":
        came = _in_usual_units(came, references)
    lost = _unlike(came, references)
    lost |= _oversized({i: found for i, found in came.items() if i not in lost})
    for i, reason in lost.items():
        failures[i] = reason
        del came[i]
    if not came:
        return None, failures
    return _STACKS[kind](list(came.values()), references[np.array(list(came))]), failures


def _unlike(came: Mapping[int, Any], references: References) -> dict[int, str]:
    """Return the objects whose axes are not those of most, by row: a stack has one set of axes."""
    axes = {i: _axes(found, references) for i, found in came.items()}
    if len(set(axes.values())) < 2:
        return {}
    usual = Counter(axes.values()).most_common(1)[0][0]
    return {
        i: "; ".join(
            f"{have[0]} {have[1] or 'unknown'}, and most of this block have {most[1] or 'unknown'}"
            for have, most in zip(given, usual, strict=True)
            if have != most
        )
        for i, given in axes.items()
        if given != usual
    }


def _axes(found: Image | Series | Spectrum, references: References) -> tuple[tuple[str, str], ...]:
    """Return names and values of what all objects of a stack must share."""
    unit = ("unit", references.flux_unit or found.flux_unit)
    if isinstance(found, Image):
        return ("bands", ",".join(_bands(found, references))), unit
    if isinstance(found, Spectrum):
        known = ("unit of wavelength", found.wave_unit)
        return known, ("medium", found.medium), ("frame", found.frame), unit
    # Known zeros of time are brought together; an unknown one cannot be.
    zero = "known" if np.isfinite(found.time_zero) else "unknown"
    return ("time scale", found.time_scale), ("zero of time", zero), ("band", found.band), unit


def _in_usual_units(came: Mapping[int, Any], references: References) -> dict[int, Any]:
    """Bring spectra into the units that most of them have, where they can be converted."""
    wave, flux = (
        Counter(getattr(s, name) for s in came.values()).most_common(1)[0][0] if came else ""
        for name in ("wave_unit", "flux_unit")
    )
    return {
        # Where the user says the unit, there is nothing to convert.
        i: s.to(wave_unit=wave, flux_unit=s.flux_unit if references.flux_unit else flux)
        for i, s in came.items()
    }


def _bands(image: Image, references: References) -> tuple[str, ...]:
    numbers = tuple(str(k) for k in range(len(image.values)))
    named = (references.bands, image.bands, numbers)
    return next(names for names in named if len(names) == len(numbers))


def _oversized(came: Mapping[int, Any]) -> dict[int, str]:
    """Return the largest objects, by row, without which the others fit into one padded stack."""
    if not came:
        return {}
    rows = np.array(list(came))
    shapes = np.array([found.values.shape for found in came.values()], dtype=np.float64)
    order = np.argsort(shapes.prod(axis=1), kind="stable")
    largest = np.maximum.accumulate(shapes[order], axis=0).prod(axis=1)
    fits = np.arange(1, len(rows) + 1) * largest <= MAX_STACK
    return {
        int(i): f"its {'×'.join(map(str, came[i].values.shape))} values are too many to be held "
        "with the others of this block: ask for smaller cutouts (size) or blocks"
        for i in rows[order[~fits]]
    }


def _cutouts(images: Sequence[Any], references: References) -> Cutouts:
    """Stack images; smaller ones are padded with NaN, which is no data."""
    first: Image = images[0]
    height = max(i.values.shape[1] for i in images)
    width = max(i.values.shape[2] for i in images)
    padded = [_padded(i, height, width) for i in images]
    scales = np.array([i.sky.scale for i in images])
    return Cutouts(
        ids=references.ids,
        values=np.stack([i.values for i in padded]),
        bands=_bands(first, references),
        ra=references.ra,
        dec=references.dec,
        pixel_scale=np.where(np.isfinite(scales), scales, references.pixel_scale),
        flux_unit=references.flux_unit or first.flux_unit,
        wcs=np.array([i.sky.header for i in padded], dtype=object),
        simulated=any(i.simulated for i in images),
        meta=references.meta,
    )


def _padded(image: Image, height: int, width: int) -> Image:
    have = image.values.shape[1:]
    if have == (height, width):
        return image
    top, left = (height - have[0]) // 2, (width - have[1]) // 2
    return image.window(slice(-top, height - top), slice(-left, width - left))


def _light_curves(series: Sequence[Any], references: References) -> LightCurves:
    """Stack light curves on one zero of time; shorter ones are padded with NaN."""
    first: Series = series[0]
    zero = TIME_ZERO if np.isfinite(first.time_zero) else 0.0
    width = max(1, *(len(s.time) for s in series))
    n = len(series)
    time = np.zeros((n, width))
    values, errors = (np.full((n, width), np.nan, dtype=np.float32) for _ in range(2))
    for i, s in enumerate(series):
        t = len(s.time)
        shift = s.time_zero - zero if np.isfinite(s.time_zero) else 0.0
        time[i, :t], values[i, :t], errors[i, :t] = s.time + shift, s.values, s.errors
        time[i, t:] = time[i, t - 1] if t else 0.0
    return LightCurves(
        ids=references.ids,
        time=time,
        values=values,
        errors=errors,
        ra=references.ra,
        dec=references.dec,
        time_scale=first.time_scale,
        time_zero=zero,
        band=first.band,
        flux_unit=references.flux_unit or first.flux_unit,
        simulated=any(s.simulated for s in series),
        meta=references.meta,
    )


def _spectra(spectra: Sequence[Any], references: References) -> Spectra:
    """Stack spectra, each on its own grid; shorter ones are padded with NaN."""
    first: Spectrum = spectra[0]
    width = max(len(s.values) for s in spectra)
    wavelength = np.zeros((len(spectra), width))
    values, errors = (np.full(wavelength.shape, np.nan, dtype=np.float32) for _ in range(2))
    for i, s in enumerate(spectra):
        n = len(s.values)
        wavelength[i, :n], values[i, :n], errors[i, :n] = s.wavelength, s.values, s.errors
        wavelength[i, n:] = s.wavelength[-1]
        if n == len(first.values) and np.allclose(
            s.wavelength, first.wavelength, rtol=1e-12, atol=0
        ):
            # The conversion of units rounds: one grid stays one.
            wavelength[i, :n] = first.wavelength
    return Spectra(
        ids=references.ids,
        wavelength=wavelength,
        values=values,
        errors=errors if np.isfinite(errors).any() else None,
        ra=references.ra,
        dec=references.dec,
        wave_unit=first.wave_unit,
        medium=first.medium,
        frame=first.frame,
        flux_unit=references.flux_unit or first.flux_unit,
        simulated=any(s.simulated for s in spectra),
        meta=references.meta,
    )


_STACKS: dict[str, Callable[[Sequence[Any], References], Any]] = {
    "cutouts": _cutouts,
    "light_curves": _light_curves,
    "spectra": _spectra,
}
