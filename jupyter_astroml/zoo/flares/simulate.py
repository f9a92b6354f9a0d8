"""Simulated TESS 2-minute light curves with flares, and with what looks like flares but is not.

Nothing here is an observation: every record carries ``simulated=True``.
The ranges follow published work: flare shapes of Davenport et al. 2014 (ApJ 797, 122) and
Tovar Mendoza et al. 2022 (AJ 164, 17), amplitudes and widths that cover the catalogue of
Günther et al. 2020 (AJ 159, 60), and the noise, gaps and momentum dumps that the data release
notes of TESS sector 2 describe.
No number was fitted to the stars on which the model is judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import erfc

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import LightCurves

if TYPE_CHECKING:
    from astropy.table import Table

CADENCE_DAYS = 2.0 / 1440.0
BTJD_ZERO = 2457000.0

# Sector 2: two orbits with a downlink between them, reaction wheels unloaded every 2.5 days.
SECTOR_START = 1354.11
SECTOR_DAYS = 27.41
DOWNLINK = (13.05, 14.50)
DUMP_FIRST = 2.52
DUMP_EVERY = 2.5

# Points in a cadence, because the rise of a typical flare is shorter than a cadence.
_FINE = 6
_TEMPLATE_ENDS = (-2.0, 18.0)


def davenport(phase: np.ndarray) -> np.ndarray:
    """Flare template of Davenport et al. 2014, equations 1 and 4.

    Parameters
    ----------
    phase : ndarray
        Time since the peak, in units of the full width at half maximum.

    Returns
    -------
    ndarray, shape of `phase`
        Relative flux, 1 at the peak and 0 more than one width before it.
    """
    t = np.asarray(phase, dtype=np.float64)
    rise = 1 + t * (1.941 + t * (-0.175 + t * (-2.246 + t * -1.125)))
    late = np.maximum(t, 0.0)
    decay = 0.6890 * np.exp(-1.600 * late) + 0.3030 * np.exp(-0.2783 * late)
    return np.where(t < -1, 0.0, np.where(t <= 0, rise, decay))


def tovar_mendoza(phase: np.ndarray) -> np.ndarray:
    """Flare template of Tovar Mendoza et al. 2022: a Gaussian heating convolved with two coolings.

    Parameters
    ----------
    phase : ndarray
        Time since the peak, in units of the full width at half maximum.

    Returns
    -------
    ndarray, shape of `phase`
        Relative flux; the published coefficients peak at 0.95.
    """
    t = np.asarray(phase, dtype=np.float64)
    a, b, c = 0.9687734504375167, -0.251299705922117, 0.22675974948468916
    d1, d2, f1 = 0.15551880775110513, 1.2150539528490194, 0.12695865022878844
    scale = 0.5 * np.sqrt(np.pi) * a * c

    def cooled(weight: float, rate: float) -> np.ndarray:
        grown = np.exp(-rate * t + (b / c + rate * c / 2) ** 2)
        return weight * grown * erfc((b - t) / c + rate * c / 2)

    return scale * (cooled(f1, d1) + cooled(1 - f1, d2))


def _grid() -> np.ndarray:
    return np.linspace(*_TEMPLATE_ENDS, 4001)


class _Templates:
    """Both templates on a fine grid, so that a flare costs one interpolation."""

    def __init__(self) -> None:
        self.phase = _grid()
        self.shapes = (davenport(self.phase), tovar_mendoza(self.phase))

    def observed(
        self, which: int, *, peak: float, fwhm: float, amplitude: float, start: float, cadences: int
    ) -> tuple[slice, np.ndarray]:
        """One flare averaged over each cadence, and the cadences that it covers; units of days."""
        first = int(np.floor((peak + _TEMPLATE_ENDS[0] * fwhm - start) / CADENCE_DAYS)) - 1
        last = int(np.ceil((peak + _TEMPLATE_ENDS[1] * fwhm - start) / CADENCE_DAYS)) + 2
        first, last = max(first, 0), min(last, cadences)
        if last <= first:
            return slice(0, 0), np.zeros(0)
        fine = (np.arange((last - first) * _FINE) + 0.5) / _FINE - 0.5
        days = start + (first + fine) * CADENCE_DAYS
        shape = np.interp((days - peak) / fwhm, self.phase, self.shapes[which], left=0.0, right=0.0)
        return slice(first, last), amplitude * shape.reshape(-1, _FINE).mean(axis=1)


@dataclass(frozen=True, eq=False)
class Simulation:
    """Light curves with everything that was put into them.

    Attributes
    ----------
    curves : LightCurves
    flares : Table
        One row a flare: ``id, t_peak, t_start, t_stop`` (BTJD), ``amplitude`` (relative flux of
        the template), ``peak_flux`` (relative flux in the brightest cadence), ``fwhm_days``,
        ``snr`` (all cadences together), ``outburst`` (flares of one outburst share the number).
    stars : Table
        One row a star: ``id, noise, red_noise, period_days, variability, kind, n_flares``.
    flare_flux : ndarray of float32, shape (n, t), relative flux
        Sum of the injected flares, without noise.
    """

    curves: LightCurves
    flares: Table
    stars: Table
    flare_flux: np.ndarray


def simulate(
    n: int,
    *,
    seed: int,
    cadences: int = 2000,
    start_btjd: float | None = 1354.1,
    active: float = 0.6,
    prefix: str = "sim",
) -> tuple[LightCurves, Table]:
    """Simulate light curves of flaring and quiet stars at the 2-minute cadence of TESS.

    Parameters
    ----------
    n : int
        Number of stars.
    seed : int
        The star with the same seed and index is the same whatever `n` is.
    cadences : int
        Length of each light curve; 19740 cover a sector.
    start_btjd : float or None
        Time of the first cadence, BTJD (TDB, days since JD 2457000).
        None starts each star at a random moment of the sector.
    active : float
        Fraction of the stars that may flare.
    prefix : str
        The ids are ``<prefix>-<seed>-<index>``.

    Returns
    -------
    LightCurves
        Flux divided by its median; NaN where TESS would have no data.
    Table
        The injected flares, see `Simulation.flares`; ``meta["stars"]`` holds one row a star.
    """
    made = simulate_parts(
        n, seed=seed, cadences=cadences, start_btjd=start_btjd, active=active, prefix=prefix
    )
    return made.curves, made.flares


def simulate_parts(
    n: int,
    *,
    seed: int,
    cadences: int = 2000,
    start_btjd: float | None = 1354.1,
    active: float = 0.6,
    prefix: str = "sim",
) -> Simulation:
    """Simulate as `simulate` does, and keep the flares apart from the rest.

    Raises
    ------
    DataError
        For no stars, fewer than 200 cadences, or a fraction outside 0 to 1.
    """
    from astropy import units as u
    from astropy.table import Table

    if n < 1 or cadences < 200:
        raise DataError(
            f"Cannot simulate {n} light curves of {cadences} cadences",
            remedy="ask for at least one star and 200 cadences, the width of the model's window",
        )
    if not 0 <= active <= 1:
        raise DataError(f"The fraction of active stars is {active}", remedy="give 0 to 1")
    templates = _Templates()
    ids = np.array([f"{prefix}-{seed}-{i:05d}" for i in range(n)])
    time = np.empty((n, cadences))
    values = np.empty((n, cadences), dtype=np.float32)
    errors = np.empty((n, cadences), dtype=np.float32)
    flare_flux = np.empty((n, cadences), dtype=np.float32)
    flare_rows: list[tuple[object, ...]] = []
    star_rows: list[tuple[object, ...]] = []
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        offset = rng.uniform(0, SECTOR_DAYS)
        start = SECTOR_START + offset if start_btjd is None else start_btjd
        time[i] = start + np.arange(cadences) * CADENCE_DAYS
        star = _star(rng, time[i], templates, active=active)
        values[i], errors[i], flare_flux[i] = star.values, star.errors, star.flare_flux
        flare_rows += [(ids[i], *row) for row in star.flares]
        star_rows.append((ids[i], *star.facts, len(star.flares)))
    stars = Table(
        rows=star_rows,
        names=("id", "noise", "red_noise", "period_days", "variability", "kind", "n_flares"),
        dtype=(ids.dtype, float, float, float, float, "U16", int),
        units={"period_days": u.day},
        meta={"simulated": True, "seed": seed},
    )
    flares = Table(
        rows=flare_rows or None,
        names=_FLARE_COLUMNS,
        dtype=(ids.dtype, *(float,) * 7, int),
        units={"t_peak": u.day, "t_start": u.day, "t_stop": u.day, "fwhm_days": u.day},
        meta={"simulated": True, "seed": seed, "time_zero": BTJD_ZERO, "stars": stars},
    )
    curves = LightCurves(
        ids=ids,
        time=time,
        values=values,
        errors=errors,
        time_scale="tdb",
        time_zero=BTJD_ZERO,
        band="TESS",
        flux_unit="relative",
        simulated=True,
        meta={"simulated": True, "seed": seed, "cadence_seconds": 120.0},
    )
    return Simulation(curves=curves, flares=flares, stars=stars, flare_flux=flare_flux)


_FLARE_COLUMNS = (
    "id",
    "t_peak",
    "t_start",
    "t_stop",
    "amplitude",
    "peak_flux",
    "fwhm_days",
    "snr",
    "outburst",
)


@dataclass(frozen=True)
class _Star:
    values: np.ndarray
    errors: np.ndarray
    flare_flux: np.ndarray
    flares: list[tuple[float, ...]]
    facts: tuple[float, float, float, float, str]


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _star(
    rng: np.random.Generator, time: np.ndarray, templates: _Templates, *, active: float
) -> _Star:
    n = len(time)
    noise = _log_uniform(rng, 4e-4, 1e-2)
    red = _log_uniform(rng, 0.05, 1.0)
    kind, period, amplitude, base = _variability(rng, time)
    base /= np.median(base)
    # TESS sees the flare on top of the star's own light, and its pixels add both.
    flare_flux, flares = _flares(rng, time, templates, noise=noise, active=active)
    flux = base + flare_flux
    flux += noise * (rng.standard_normal(n) + red * _red_noise(rng, n))
    present = _systematics(rng, time, flux, noise=noise)
    flux /= np.median(flux[present])
    flux[~present] = np.nan
    # The pipeline's errors are a little wrong, by a factor that is the same for the whole star.
    errors = np.where(present, noise * rng.normal(1.0, 0.08), np.nan)
    return _Star(
        values=flux,
        errors=errors,
        flare_flux=np.where(present, flare_flux, 0.0),
        flares=flares,
        facts=(noise, noise * red, period, amplitude, kind),
    )


def _red_noise(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return noise with a power spectrum between 1/f and 1/f², unit variance, shape (n,)."""
    size = 1 << (n - 1).bit_length()
    frequency = np.fft.rfftfreq(size)
    frequency[0] = frequency[1]
    spectrum = rng.standard_normal(len(frequency)) + 1j * rng.standard_normal(len(frequency))
    noise = np.fft.irfft(spectrum * frequency ** (-rng.uniform(0.4, 1.0)), size)[:n]
    noise -= noise.mean()
    return noise / noise.std()


_KINDS = ("quiet", "spots", "fast_rotator", "pulsator", "sawtooth", "eclipses", "contact")
_WEIGHTS = (0.17, 0.35, 0.23, 0.06, 0.05, 0.09, 0.05)


def _variability(
    rng: np.random.Generator, time: np.ndarray
) -> tuple[str, float, float, np.ndarray]:
    """Return kind, period in days, semi-amplitude and relative flux, shape (t,)."""
    kind = str(rng.choice(_KINDS, p=_WEIGHTS))
    if kind == "quiet":
        return kind, np.nan, 0.0, np.ones(len(time))
    if kind == "spots":
        period = _log_uniform(rng, 1.0, 10.0)
        amplitude = _log_uniform(rng, 1e-3, 5e-2)
        return kind, period, amplitude, 1 + amplitude * _harmonics(rng, time / period, order=3)
    if kind == "fast_rotator":
        # Young M dwarfs below a day, some with the many harmonics of scallop-shell stars.
        period = _log_uniform(rng, 0.2, 1.5)
        amplitude = _log_uniform(rng, 2e-3, 1e-1)
        order = int(rng.choice([2, 3, 6], p=[0.5, 0.3, 0.2]))
        return kind, period, amplitude, 1 + amplitude * _harmonics(rng, time / period, order=order)
    if kind == "pulsator":
        period = _log_uniform(rng, 0.02, 0.3)
        amplitude = _log_uniform(rng, 5e-4, 5e-2)
        ratios = 1 + np.append(0.0, rng.uniform(0.02, 0.6, size=rng.integers(1, 5)))
        waves = sum(
            rng.uniform(0.2, 1.0) * np.sin(2 * np.pi * (time * r / period + rng.uniform()))
            for r in ratios
        )
        return kind, period, amplitude, 1 + amplitude * np.asarray(waves)
    if kind == "sawtooth":
        return _sawtooth(rng, time)
    period = _log_uniform(rng, 0.25 if kind == "contact" else 0.5, 8.0 if kind == "eclipses" else 1)
    depth = _log_uniform(rng, 5e-3, 5e-1)
    phase = time / period + rng.uniform()
    if kind == "contact":
        wave = np.abs(np.sin(np.pi * phase)) ** rng.uniform(0.7, 1.4)
        uneven = rng.uniform(0, 0.3) * np.sin(2 * np.pi * phase / 2)
        return kind, period, depth / 2, 1 - depth / 2 * (1 - wave + 0.3 * uneven)
    return kind, period, depth / 2, _eclipses(rng, phase, period=period, depth=depth)


def _harmonics(rng: np.random.Generator, phase: np.ndarray, *, order: int) -> np.ndarray:
    """Sum of harmonics whose amplitudes fall slowly, as spots at several longitudes make."""
    wave = np.zeros(len(phase))
    for k in range(1, order + 1):
        size = rng.uniform(0.3, 1.0) / k ** rng.uniform(0.6, 1.5)
        wave += size * np.sin(2 * np.pi * (k * phase + rng.uniform()))
    # Spots grow and fade over some rotations.
    return wave * (1 + rng.uniform(0, 0.3) * np.sin(2 * np.pi * (phase / 17.0 + rng.uniform())))


def _sawtooth(rng: np.random.Generator, time: np.ndarray) -> tuple[str, float, float, np.ndarray]:
    """RR Lyrae and high-amplitude δ Scuti stars: a fast rise and a slow decay, like a flare's."""
    period = _log_uniform(rng, 0.05, 0.7)
    amplitude = _log_uniform(rng, 5e-3, 3e-1)
    rise = rng.uniform(0.12, 0.3)
    phase = np.mod(time / period + rng.uniform(), 1.0)
    up = 0.5 - 0.5 * np.cos(np.pi * phase / rise)
    down = (1 - (phase - rise) / (1 - rise)) ** rng.uniform(1.0, 2.0)
    wave = np.where(phase < rise, up, down)
    return "sawtooth", period, amplitude / 2, 1 + amplitude * (wave - 0.4)


def _eclipses(
    rng: np.random.Generator, phase: np.ndarray, *, period: float, depth: float
) -> np.ndarray:
    hours = _log_uniform(rng, 1.0, 6.0)
    half = min(hours / 24 / period / 2, 0.12)
    flux = np.ones(len(phase))
    for centre, share in ((0.0, 1.0), (0.5, rng.uniform(0, 0.9))):
        distance = np.abs(np.mod(phase - centre + 0.5, 1.0) - 0.5) / half
        # A flat bottom with steep sides at the high powers, a V at the low ones.
        flux -= depth * share * np.exp(-0.5 * (distance / 0.6) ** rng.uniform(2.0, 6.0))
    ellipsoidal = rng.uniform(0, 0.02) * np.cos(4 * np.pi * phase)
    return flux + ellipsoidal


def _flares(
    rng: np.random.Generator,
    time: np.ndarray,
    templates: _Templates,
    *,
    noise: float,
    active: float,
) -> tuple[np.ndarray, list[tuple[float, ...]]]:
    """Draw the flares of a star: total relative flux, shape (t,), and one row a flare."""
    total = np.zeros(len(time))
    rows: list[tuple[float, ...]] = []
    if rng.uniform() >= active:
        return total, rows
    days = len(time) * CADENCE_DAYS
    outbursts = rng.poisson(_log_uniform(rng, 0.1, 3.0) * days)
    for outburst in range(outbursts):
        peak = rng.uniform(time[0], time[-1])
        # A power law dN/dA ∝ A^-1.8 from below the noise, as flare frequency distributions have.
        amplitude = noise * min(2.0 * rng.uniform() ** (-1 / 0.8), 2.0 / noise)
        for k in range(1 + int(rng.geometric(0.7) - 1)):
            # Widths from one cadence to hours, around 6 minutes (Günther et al. 2020, figure 7).
            fwhm = float(np.clip(np.exp(rng.normal(np.log(0.0042), 0.9)), 0.0009, 0.09))
            if k:
                peak += rng.choice([-0.3, 1.0]) * rng.exponential(0.015)
                amplitude *= rng.uniform(0.2, 0.9)
            where, light = templates.observed(
                int(rng.integers(2)),
                peak=peak,
                fwhm=fwhm,
                amplitude=amplitude,
                start=time[0],
                cadences=len(time),
            )
            if not light.size or light.max() < noise:
                continue
            total[where] += light
            seen = np.flatnonzero(light > 0.1 * light.max()) + where.start
            snr = float(np.sqrt((light**2).sum()) / noise)
            rows.append(
                (peak, time[seen[0]], time[seen[-1]], amplitude, light.max(), fwhm, snr, outburst)
            )
    rows.sort()
    return total, rows


def _systematics(
    rng: np.random.Generator, time: np.ndarray, flux: np.ndarray, *, noise: float
) -> np.ndarray:
    """Add what the spacecraft adds, in place; return which cadences exist, shape (t,)."""
    n = len(time)
    present = np.ones(n, dtype=bool)
    phase = np.mod(time - SECTOR_START, SECTOR_DAYS)
    present[(phase > DOWNLINK[0]) & (phase < DOWNLINK[1])] = False
    _dumps(rng, phase, flux, present, noise=noise)
    _scattered_light(rng, phase, flux, noise=noise)
    # Cosmic rays that survived the mitigation on board, and the cadences that it took too much of.
    hits = rng.integers(0, n, size=rng.poisson(0.25 * n * CADENCE_DAYS))
    flux[hits] += (
        noise
        * rng.choice([1.0, 1.0, 1.0, -1.0], size=len(hits))
        * (3 + rng.exponential(8, size=len(hits)))
    )
    for _ in range(rng.poisson(0.01 * n * CADENCE_DAYS)):
        _crossing(rng, time, flux, noise=noise)
    lost = rng.integers(0, n, size=rng.poisson(1.6 * n * CADENCE_DAYS))
    present[lost] = False
    if rng.uniform() < 0.3:
        first = int(rng.integers(0, n))
        present[first : first + int(rng.integers(5, 120))] = False
    # A light curve begins and ends with a measurement, and half of it exists, whatever was drawn.
    if present.sum() < n // 2:
        present[:] = True
    return present


def _dumps(
    rng: np.random.Generator,
    phase: np.ndarray,
    flux: np.ndarray,
    present: np.ndarray,
    *,
    noise: float,
) -> None:
    """Lose some cadences at each momentum dump; the pointing settles for a few more."""
    turn = np.mod(phase - DUMP_FIRST, DUMP_EVERY)
    response = rng.normal(0, 2.0)
    for dump in np.flatnonzero(np.diff(turn) < -DUMP_EVERY / 2) + 1:
        width = int(rng.integers(3, 9))
        present[dump : dump + width] = False
        if rng.uniform() < 0.4:
            after = np.arange(min(12, len(flux) - int(dump) - width))
            size = noise * response * rng.normal(1.0, 0.5)
            flux[dump + width + after] += size * np.exp(-after / rng.uniform(1, 4))


def _scattered_light(
    rng: np.random.Generator, phase: np.ndarray, flux: np.ndarray, *, noise: float
) -> None:
    """Earthshine that the background subtraction leaves at the ends of the orbits."""
    if rng.uniform() < 0.5:
        return
    for end in (DOWNLINK[0], SECTOR_DAYS):
        before = np.mod(end - phase, SECTOR_DAYS)
        size = noise * rng.normal(0, 5.0)
        flux += size * np.exp(-before / rng.uniform(0.05, 0.6))
    for begin in (0.0, DOWNLINK[1]):
        since = np.mod(phase - begin, SECTOR_DAYS)
        flux += noise * rng.normal(0, 5.0) * np.exp(-since / rng.uniform(0.05, 0.6))


def _crossing(
    rng: np.random.Generator, time: np.ndarray, flux: np.ndarray, *, noise: float
) -> None:
    """Let an asteroid cross the aperture: a symmetric rise and fall over an hour or more."""
    centre = rng.uniform(time[0], time[-1])
    width = _log_uniform(rng, 0.01, 0.08)
    size = noise * _log_uniform(rng, 2.0, 20.0)
    flux += size * np.exp(-0.5 * ((time - centre) / width) ** 2)
