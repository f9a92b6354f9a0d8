"""Bring spectra into an input contract: wavelengths, medium, grid of pixels, unit of the flux."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from jupyter_astroml.core.records import Spectra
from jupyter_astroml.core.units import named
from jupyter_astroml.models.cards import Card, InputContract, Wavelengths
from jupyter_astroml.models.conversions import (
    air,
    edges,
    is_count,
    is_flux,
    rebinned,
    unit_of_light,
    vacuum,
)
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

# Flux per wavelength over its median, and flux over the continuum.
RELATIVE, CONTINUUM = "relative", "continuum"
# Share of the grid that may lie beyond the ends of a spectrum: nothing can be interpolated there.
MAX_BEYOND = 0.01
# Where nobody tells the medium, lines may be off by that part of a pixel.
MAX_OFF = 0.5
# Pipelines write errors of that many times the usual where a pixel must not be used.
_SPOILED = 30.0
# Pieces of a spectrum whose upper levels are compared, and the quantile that stands for them.
_PIECES, _UPPER = 10, 0.85
# Upper levels of a spectrum over its continuum, and their largest change from end to end.
_LEVELS, _SLOPE = (0.7, 1.4), 0.25


def prepare(card: Card, spectra: Spectra) -> Prepared:
    """Bring spectra into the input contract; see `jupyter_astroml.models.contract.prepare`.

    A flux density becomes its mean over each pixel of the grid, which keeps the integral; counts
    are summed.
    """
    contract, n = card.input, len(spectra)
    grid = contract.wavelength
    assert grid is not None  # noqa: S101 - the card was validated
    pixels = _Pixels(_angstroms(grid.whole, grid.unit), grid.keep)
    fit = Fit.good(n)
    wave = _waves(spectra, grid, pixels, fit)
    flux = _fluxes(spectra, wave, contract, fit)
    flux[_spoiled(spectra)] = np.nan
    counted, lengths = is_count(spectra.flux_unit), spectra.lengths()
    rows = [
        _row(wave[i, :length], flux[i, :length], pixels, counted=counted)
        for i, length in enumerate(lengths)
    ]
    _compare_grids(rows, grid, fit)
    _compare_noise(spectra, rows, contract, fit)
    values = np.array([row.values for row in rows]).reshape(n, len(grid))
    if counted and contract.flux_unit != RELATIVE:
        values = values * pixels.widths
    values = _levelled(_filled(values, pixels.middles), rows, contract, fit)
    prepared = replace(
        spectra,
        wavelength=np.broadcast_to(grid.middles, values.shape),
        values=values.astype(np.float32),
        errors=None,
        wave_unit=grid.unit,
        medium=grid.medium,
        flux_unit=spectra.flux_unit if contract.flux_unit == ANY else contract.flux_unit,
    )
    return Prepared(prepared, fit)


@dataclass(frozen=True, eq=False)
class _Pixels:
    """Pixels of the contract, angstroms: the middles of all, and which are in no gap."""

    whole: np.ndarray
    keep: np.ndarray

    @property
    def middles(self) -> np.ndarray:
        return self.whole[self.keep]

    @property
    def widths(self) -> np.ndarray:
        return np.diff(edges(self.whole))[self.keep]


# Wavelengths -------------------------------------------------------------------------------------


def _angstroms(wave: np.ndarray, unit: str) -> np.ndarray:
    """Return wavelengths in angstroms; frequencies and energies are those of light in vacuum.

    Raises
    ------
    UnitConversionError, TypeError
        If the unit is none of light.
    """
    from astropy import units as u

    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((wave * named(unit)).to_value(u.AA, u.spectral()), dtype=np.float64)


def _waves(spectra: Spectra, grid: Wavelengths, pixels: _Pixels, fit: Fit) -> np.ndarray:
    """Return wavelengths in angstroms and in the medium of the grid; NaN where unusable."""
    from astropy import units as u

    have = named(spectra.wave_unit)
    try:
        wave = _angstroms(spectra.wavelength, spectra.wave_unit)
    except (u.UnitConversionError, TypeError, ValueError):
        # A unit that nobody knows is a ValueError, one of another kind a UnitConversionError.
        told = f"wavelengths in {spectra.wave_unit}" if spectra.wave_unit else ""
        fit.note(fit.everyone, OUTSIDE, told or "the unit of the wavelengths is unknown")
        return np.full(spectra.wavelength.shape, np.nan)
    if have != named(grid.unit):
        why = f"wavelengths in {spectra.wave_unit} turned into {grid.unit}"
        fit.note(fit.everyone, CONVERTED, why)
    if grid.frame and spectra.frame != grid.frame:
        known = spectra.frame in ("observed", "rest")
        told = f"wavelengths in the {spectra.frame} frame, not in the {grid.frame} frame"
        why = told if known else "the frame of the wavelengths is unknown"
        fit.note(fit.everyone, OUTSIDE if known else FITS, why)
    wave = np.where(np.isfinite(wave) & (wave > 0), wave, np.nan)
    medium = spectra.medium.strip().casefold() if have.is_equivalent(u.m) else "vacuum"
    return _in_medium(wave, medium, grid.medium, pixels, fit)


def _in_medium(wave: np.ndarray, have: str, want: str, pixels: _Pixels, fit: Fit) -> np.ndarray:
    """Turn air into vacuum or back; what nobody tells matters only where it moves the lines."""
    if have == want:
        return wave
    if have in ("air", "vacuum"):
        fit.note(fit.everyone, CONVERTED, f"wavelengths in {have} turned into those in {want}")
        return vacuum(wave) if want == "vacuum" else air(wave)
    off = float(np.max(np.abs(vacuum(pixels.middles) - pixels.middles) / pixels.widths))
    why = "nobody tells whether the wavelengths are in air or in vacuum"
    if off > MAX_OFF:
        fit.note(fit.everyone, OUTSIDE, f"{why}: lines may be off by {off:.1f} pixels")
    else:
        fit.note(fit.everyone, FITS, why)
    return wave


# Fluxes ------------------------------------------------------------------------------------------


def _fluxes(spectra: Spectra, wave: np.ndarray, contract: InputContract, fit: Fit) -> np.ndarray:
    """Return the flux in the unit of the contract where that can be done, float64."""
    flux = np.array(spectra.values, dtype=np.float64)
    have, want = spectra.flux_unit, contract.flux_unit
    if want in (have, ANY):
        return flux
    if want == CONTINUUM:
        # A number without a unit may be a flux over its continuum; its levels tell.
        if have == RELATIVE or not _is_number(have):
            fit.note(fit.everyone, OUTSIDE, f"flux in {have}, not over its continuum")
        return flux
    if want == RELATIVE and not have:
        fit.note(fit.everyone, FITS, "the unit of the flux is unknown")
        return flux
    if want == RELATIVE and is_count(have):
        return flux
    # The median takes the scale away, but not the slope between a flux per frequency and this one.
    found = _converted(flux, wave, have, "W / (m2 um)" if want == RELATIVE else want)
    if found is None:
        fit.note(fit.everyone, OUTSIDE, f"values in {have or 'no unit'}, not {want} flux")
        return flux
    if want != RELATIVE:
        fit.note(fit.everyone, CONVERTED, f"{have} turned into {want}")
    return found


def _is_number(text: str) -> bool:
    """Tell whether values may be numbers about 1 for all that their unit says."""
    from astropy import units as u

    unit = unit_of_light(text)
    return isinstance(unit, u.UnrecognizedUnit) or unit == u.one


def _converted(flux: np.ndarray, wave: np.ndarray, have: str, want: str) -> np.ndarray | None:
    """Turn a flux density into another one; None where that cannot be done."""
    from astropy import units as u

    if not is_flux(have):
        return None
    try:
        light = u.spectral_density(wave * u.AA)
        return np.asarray(unit_of_light(have).to(named(want), flux, light), dtype=np.float64)
    except (u.UnitConversionError, TypeError, AttributeError):
        return None


def _spoiled(spectra: Spectra) -> np.ndarray:
    """Return where the errors tell that a pixel must not be used, shape (n, pixel)."""
    if spectra.errors is None:
        return np.zeros(spectra.values.shape, dtype=bool)
    good = np.isfinite(spectra.errors) & (spectra.errors > 0)
    usual = medians(np.where(good, spectra.errors, np.nan))[:, None]
    # Where no error makes sense they say nothing about single pixels.
    return good.any(axis=1, keepdims=True) & ~(good & (spectra.errors <= _SPOILED * usual))


# One spectrum on the grid ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Row:
    """A spectrum on the grid of the contract.

    Attributes
    ----------
    values : ndarray, shape (pixel,)
        NaN where the spectrum says nothing; counts are divided by the width of their pixels.
    low, high : float
        First and last usable wavelength, angstroms.
    coarseness : float
        Width of a pixel as it came in pixels of the grid; NaN if none is on the grid.
    turned, kept : bool
        The wavelengths were falling; the pixels are those of the grid already.
    trouble : str
        Why the spectrum cannot be used at all.
    """

    values: np.ndarray
    low: float = np.nan
    high: float = np.nan
    coarseness: float = np.nan
    turned: bool = False
    kept: bool = False
    trouble: str = ""


def _row(wave: np.ndarray, flux: np.ndarray, pixels: _Pixels, *, counted: bool) -> _Row:
    """Put one spectrum on a grid, all in angstroms."""
    middles = pixels.middles
    nothing = np.full(len(middles), np.nan)
    placed = np.isfinite(wave)
    wave, flux = wave[placed], flux[placed]
    if np.isfinite(flux).sum() < 2:
        return _Row(nothing, trouble="no usable pixel")
    turned = bool(wave[0] > wave[-1])
    if turned:
        wave, flux = wave[::-1], flux[::-1]
    steps = np.diff(wave)
    if (steps < 0).any() or not (steps > 0).any():
        return _Row(nothing, trouble="its wavelengths neither rise nor fall: sort the spectrum")
    widths, wanted = np.diff(edges(wave)), pixels.widths
    if counted:
        flux = flux / np.maximum(widths, 1e-9)
    known = np.isfinite(flux)
    inside = known & (wave >= middles[0]) & (wave <= middles[-1])
    coarse = (widths / np.interp(wave, middles, wanted))[inside]
    kept = len(wave) == len(middles) and bool((np.abs(wave - middles) < 0.01 * wanted).all())
    return _Row(
        values=flux if kept else rebinned(flux, wave, pixels.whole)[pixels.keep],
        low=float(wave[known][0]),
        high=float(wave[known][-1]),
        coarseness=float(np.median(coarse)) if len(coarse) else np.nan,
        turned=turned,
        kept=kept,
    )


# What is told of each ----------------------------------------------------------------------------


def _compare_grids(rows: list[_Row], grid: Wavelengths, fit: Fit) -> None:
    """Compare order, range, fineness and share of missing pixels."""
    from astropy import units as u

    scale = u.AA.to(u.Unit(grid.unit))
    broken = np.array([bool(row.trouble) for row in rows], dtype=bool)
    fit.note(broken, OUTSIDE, lambda i: rows[i].trouble)
    turned = np.array([row.turned for row in rows], dtype=bool)
    fit.note(turned, CONVERTED, "falling wavelengths turned round")
    moved = np.array([not row.kept for row in rows], dtype=bool) & ~broken
    missing = [np.isnan(row.values) for row in rows]
    share = np.array([lost.mean() for lost in missing])
    beyond = np.array([_beyond(lost) for lost in missing])
    short = (beyond > MAX_BEYOND) & ~broken
    fit.note(
        short,
        OUTSIDE,
        lambda i: (
            f"{rows[i].low * scale:.6g} to {rows[i].high * scale:.6g} {grid.unit}, the model takes "
            f"{grid.middles[0]:.6g} to {grid.middles[-1]:.6g}"
        ),
    )
    coarse = np.array([row.coarseness for row in rows])
    fit.note(
        coarse > MAX_STRETCH,
        OUTSIDE,
        lambda i: f"pixels {coarse[i]:.3g} times as wide as those that the model takes",
    )
    fit.note(moved & ~short & ~(coarse > MAX_STRETCH), CONVERTED, "resampled")
    rest = ~broken & ~short
    fit.note(
        (share > MAX_MISSING) & rest, OUTSIDE, lambda i: f"{share[i]:.0%} of the pixels are missing"
    )
    fit.note(
        (share > 0) & (share <= MAX_MISSING) & rest,
        CONVERTED,
        lambda i: f"{share[i]:.1%} of the pixels interpolated",
    )


def _beyond(missing: np.ndarray) -> float:
    """Return the share of the pixels that come before the first known one or after the last."""
    known = np.flatnonzero(~missing)
    return 1.0 if not len(known) else 1 - (known[-1] - known[0] + 1) / len(missing)


def _compare_noise(spectra: Spectra, rows: list[_Row], contract: InputContract, fit: Fit) -> None:
    """Compare the signal-to-noise ratio of a pixel of the grid, by the median flux and error."""
    if contract.signal_to_noise is None:
        return
    ratio = np.full(len(rows), np.nan)
    if spectra.errors is not None:
        bad = _spoiled(spectra)
        signal, error = (
            medians(np.where(bad, np.nan, each)) for each in (spectra.values, spectra.errors)
        )
        ratio = np.divide(signal, error, out=ratio, where=error > 0)
    # Narrow pixels that are joined become less noisy.
    coarseness = np.array([row.coarseness for row in rows])
    fit.note_noise(ratio / np.sqrt(coarseness), contract.signal_to_noise)


def _filled(values: np.ndarray, middles: np.ndarray) -> np.ndarray:
    """Bridge missing pixels by straight lines; a spectrum of which nothing is left is flat."""
    made = values.copy()
    for row in made:
        known = np.isfinite(row)
        row[~known] = np.interp(middles[~known], middles[known], row[known]) if known.any() else 1.0
    return made


def _levelled(
    values: np.ndarray, rows: list[_Row], contract: InputContract, fit: Fit
) -> np.ndarray:
    """Divide by the median where that is the unit; see whether the continuum is at 1 if it is."""
    good = np.array([not row.trouble for row in rows], dtype=bool)
    if contract.flux_unit == CONTINUUM:
        rough = np.array([not _is_level(row) for row in values], dtype=bool)
        fit.note(rough & good, OUTSIDE, "the flux is not normalised to the continuum")
    if contract.flux_unit != RELATIVE:
        return values
    middle = np.median(values, axis=1)
    usable = np.isfinite(middle) & (middle > 0)
    fit.note(~usable & good, OUTSIDE, "the median flux is not positive")
    fit.note(usable & (np.abs(middle - 1) > 1e-2), CONVERTED, "flux divided by its median")
    return np.asarray(values / np.where(usable, middle, 1.0)[:, None])


def _is_level(values: np.ndarray) -> bool:
    """Tell whether the upper envelope of a spectrum is about 1, and does not rise or fall."""
    parts = [part for part in np.array_split(values, _PIECES) if len(part)]
    levels = np.array([np.quantile(part, _UPPER) for part in parts])
    if not _LEVELS[0] <= np.median(levels) <= _LEVELS[1]:
        return False
    slope = np.polyfit(np.linspace(0, 1, len(levels)), levels, 1)[0] if len(levels) > 1 else 0.0
    return bool(abs(slope) <= _SLOPE * np.median(levels))
