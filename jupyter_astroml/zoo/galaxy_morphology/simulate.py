"""Simulated galaxies of the four classes, as the Sloan Digital Sky Survey would have seen them.

Everything here is drawn from formulas; no pixel was ever observed.

`simulate` makes labelled cutouts; `parameters` makes only the truth, and `draw` one noiseless image
from one row of it, so that others can place the same galaxies into larger fields (`noise` adds what
the telescope would).

Light profiles: Sérsic 1968 in the normalisation of Graham & Driver 2005 (PASA 22, 118); edge-on
discs of van der Kruit & Searle 1981 (A&A 95, 105), equation 5; logarithmic spiral arms with pitch
angles of 10 to 30 degrees (Yu, Ho, Barth & Li 2018, ApJ 862, 13).
Depth and image quality: one 54 s drift scan of the survey (Gunn et al. 1998, AJ 116, 3040;
York et al. 2000, AJ 120, 1579).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import Cutouts

if TYPE_CHECKING:
    from astropy.table import Row, Table

CLASSES = ("elliptical", "edge_on", "spiral", "merger")
PIXEL_SCALE = 0.396
# Full width at half maximum of a star in r, arcsec: median of the survey, and its usual range.
SEEING = 1.32
SEEING_RANGE = (1.0, 1.7)
# Seeing in the other bands relative to r (Kolmogorov: λ^-0.2).
_SEEING_RATIO = {"g": 1.06, "r": 1.0, "i": 0.97}
# Photoelectrons for one nanomaggy in one exposure, and brightness of the sky, mag per arcsec².
_ELECTRONS = {"g": 880.0, "r": 930.0, "i": 760.0}
_SKY_MAG = {"g": 21.8, "r": 20.9, "i": 20.2}
_READ_NOISE = 5.0
# Share of a star's light in the broad wings, and their width relative to the core.
_WINGS, _WING_WIDTH = 0.1, 2.6

# Half-light radius of an exponential disc, and of an edge-on one along its major axis, in scale
# lengths: solutions of (1 + x) exp(-x) = 1/2 and of ∫₀ˣ t K₁(t) dt = π/4.
_HALF_DISC, _HALF_EDGE = 1.67835, 0.94126
# Ratio of the second moments across and along an edge-on disc, in units of its scale height over
# its scale length: sqrt(π² / 12) / sqrt(3).
EDGE_MOMENT_RATIO = float(np.pi / 6.0)

# Columns of the truth table: unit and meaning.
COLUMNS: dict[str, tuple[str, str]] = {
    "id": ("", "Name"),
    "label": ("", "Class"),
    "mag_r": ("mag", "Total r magnitude, AB, companion and tails included"),
    "g_r": ("mag", "Colour g-r of the main component"),
    "r_i": ("mag", "Colour r-i of the main component"),
    "r_e_arcsec": ("arcsec", "Half-light radius of the main component along its major axis"),
    "n_sersic": ("", "Sersic index of the main component; 1 for discs"),
    "axis_ratio": ("", "Minor over major axis of the main component; for edge-on discs by moments"),
    "position_angle_deg": ("deg", "Of the major axis, north (up) through east (left)"),
    "bulge_fraction": ("", "Share of the bulge in r"),
    "arm_count": ("", "Number of spiral arms; 0 without"),
    "arm_pitch_deg": ("deg", "Pitch angle of the arms; negative winds clockwise outwards"),
    "arm_strength": ("", "Amplitude of the arms relative to the disc, 0 to 1"),
    "arm_phase_deg": ("deg", "Azimuth of an arm at one scale length"),
    "knot_fraction": ("", "Share of the light in star-forming knots on the arms"),
    "companion_fraction": ("", "Share of the companion in r; 0 without"),
    "companion_separation_arcsec": ("arcsec", "Distance of the companion"),
    "companion_angle_deg": ("deg", "Position angle of the companion as seen from the main galaxy"),
    "companion_r_e_arcsec": ("arcsec", "Half-light radius of the companion"),
    "companion_axis_ratio": ("", "Minor over major axis of the companion"),
    "tail_fraction": ("", "Share of the light in tidal tails"),
    "tail_length_arcsec": ("arcsec", "Length of each of the two tails along their curve"),
    "tail_bend_deg": ("deg", "How far a tail turns over its length"),
    "texture": ("", "Seed of the positions of the knots"),
}


def simulate(
    n: int,
    *,
    seed: int,
    bands: Sequence[str] = ("g", "r", "i"),
    size: int = 128,
    classes: Sequence[str] | None = None,
) -> tuple[Cutouts, Table]:
    """Make labelled cutouts of simulated galaxies, with noise.

    Parameters
    ----------
    n : int
        Number of galaxies.
    seed : int
        The same seed gives the same galaxies, bit for bit.
    bands : sequence of str
        From g, r and i, in the order wanted.
    size : int
        Width and height in pixels of 0.396 arcsec.
    classes : sequence of str, optional
        Classes to draw from, all equally likely; all four when absent.

    Returns
    -------
    Cutouts
        Values and errors of shape (n, band, size, size) in nanomaggy; the first row is the south,
        the first column the east.
    Table
        The truth: one row an object, columns as in `COLUMNS`.

    Raises
    ------
    DataError
        For an unknown class or band.
    """
    truth = parameters(n, seed=seed, classes=classes)
    rng = np.random.default_rng([seed, 1])
    values = np.empty((n, len(bands), size, size), dtype=np.float32)
    errors = np.empty_like(values)
    seeing = np.clip(SEEING * np.exp(0.12 * rng.standard_normal(n)), *SEEING_RANGE)
    for i, row in enumerate(truth):
        clean = draw(row, bands=bands, shape=(size, size), seeing=float(seeing[i]))
        values[i], errors[i] = noise(clean, bands=bands, rng=rng)
    cutouts = Cutouts(
        ids=np.asarray(truth["id"]),
        values=values,
        bands=tuple(bands),
        pixel_scale=np.full(n, PIXEL_SCALE),
        flux_unit="nanomaggy",
        errors=errors,
        simulated=True,
        meta={"simulator": "jupyter_astroml.zoo.galaxy_morphology.simulate", "seed": seed},
    )
    return cutouts, truth


def parameters(n: int, *, seed: int, classes: Sequence[str] | None = None) -> Table:
    """Draw the truth of n galaxies, without any image.

    Parameters
    ----------
    n : int
        Number of galaxies.
    seed : int
        The same seed gives the same truth.
    classes : sequence of str, optional
        Classes to draw from, all equally likely; all four when absent.

    Returns
    -------
    Table
        Columns as in `COLUMNS`, with units and descriptions; ``meta["simulated"]`` is True.

    Raises
    ------
    DataError
        For an unknown class.
    """
    from astropy.table import Table

    chosen = tuple(CLASSES if classes is None else classes)
    unknown = sorted(set(chosen) - set(CLASSES))
    if unknown or not chosen:
        raise DataError(
            f"There is no galaxy class {unknown[0]!r}" if unknown else "No galaxy class was given",
            remedy=f"choose from {', '.join(CLASSES)}",
        )
    rng = np.random.default_rng([seed, 0])
    makers = {
        "elliptical": _elliptical,
        "edge_on": _edge_on,
        "spiral": _spiral,
        "merger": _merger,
    }
    rows = []
    for i in range(n):
        label = chosen[rng.integers(len(chosen))]
        row = {"id": f"sim{seed}-{i:05d}", "label": label, **_anything(rng)}
        rows.append({**row, **makers[label](rng, row)})
    table = Table(
        {name: [row[name] for row in rows] for name in COLUMNS},
        meta={"simulated": True, "seed": seed},
        dtype=[_dtype(name) for name in COLUMNS],
    )
    for name, (unit, description) in COLUMNS.items():
        table[name].unit = unit or None
        table[name].description = description
    return table


def draw(
    params: Mapping[str, Any] | Row,
    *,
    bands: Sequence[str] = ("g", "r", "i"),
    shape: tuple[int, int] = (128, 128),
    pixel_scale: float = PIXEL_SCALE,
    seeing: float = SEEING,
    offset: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Draw one galaxy without noise.

    Parameters
    ----------
    params : mapping or table row
        One row of `parameters`.
    bands : sequence of str
        From g, r and i.
    shape : tuple of int
        Rows and columns of the image.
    pixel_scale : float
        arcsec per pixel.
    seeing : float
        Full width at half maximum of a star in r, arcsec; 0 draws an unblurred image.
    offset : tuple of float
        Place of the galaxy relative to the middle of the image, in pixels: (rows, columns).

    Returns
    -------
    ndarray of float32, shape (band, row, column), nanomaggy per pixel
        North (first row is the south) up, east left.

    Raises
    ------
    DataError
        For an unknown band.
    """
    _check_bands(bands)
    ny, nx = shape
    # Room around the image, so that the blur does not fold light from one edge onto the other.
    pad = 16
    y = ((np.arange(-pad, ny + pad) - (ny - 1) / 2 - offset[0]) * pixel_scale).astype(np.float32)
    x = ((np.arange(-pad, nx + pad) - (nx - 1) / 2 - offset[1]) * pixel_scale).astype(np.float32)
    layers = _layers(params, y, x)
    total = 10 ** (0.4 * (22.5 - float(params["mag_r"])))
    image = np.empty((len(bands), len(y), len(x)), dtype=np.float32)
    for k, band in enumerate(bands):
        weights = [total * pixel_scale**2 * _tint(band, g_r, r_i) for _, g_r, r_i in layers]
        image[k] = sum(
            light * np.float32(w) for (light, _, _), w in zip(layers, weights, strict=True)
        )
    if seeing > 0:
        image = blurred(image, bands=bands, seeing=seeing, pixel_scale=pixel_scale)
    return image[:, pad:-pad, pad:-pad]


def noise(
    image: np.ndarray,
    *,
    bands: Sequence[str],
    rng: np.random.Generator,
    pixel_scale: float = PIXEL_SCALE,
) -> tuple[np.ndarray, np.ndarray]:
    """Add the noise of one survey exposure to a clean image whose sky is subtracted.

    Parameters
    ----------
    image : ndarray, shape (band, row, column), nanomaggy per pixel
        Without noise.
    bands : sequence of str
        From g, r and i.
    rng : Generator
        Source of the noise.
    pixel_scale : float
        arcsec per pixel.

    Returns
    -------
    values, sigma : ndarray of float32, shape of `image`, nanomaggy per pixel
        The noisy image, and the standard deviation of its noise.

    Raises
    ------
    DataError
        For an unknown band.
    """
    _check_bands(bands)
    electrons = np.array([_ELECTRONS[b] for b in bands])[:, None, None]
    sky = np.array([10 ** (0.4 * (22.5 - _SKY_MAG[b])) for b in bands])[:, None, None]
    counts = electrons * (np.maximum(image, 0.0) + sky * pixel_scale**2)
    sigma = (np.sqrt(counts + _READ_NOISE**2) / electrons).astype(np.float32)
    # Above some 100 electrons of sky, Poisson noise is Gaussian to a per cent.
    values = image + sigma * rng.standard_normal(image.shape, dtype=np.float32)
    return values.astype(np.float32), sigma


def _check_bands(bands: Sequence[str]) -> None:
    unknown = [b for b in bands if b not in _ELECTRONS]
    if unknown or not bands:
        raise DataError(
            f"The simulator has no band {unknown[0]!r}" if unknown else "No band was given",
            remedy=f"choose from {', '.join(_ELECTRONS)}",
        )


def _dtype(name: str) -> type:
    if name in ("id", "label"):
        return str
    return int if name in ("arm_count", "texture") else float


def _anything(rng: np.random.Generator) -> dict[str, Any]:
    """Draw what all classes share; what a class does not have is 0."""
    # Counts of galaxies grow as 10^(0.6 m). The faint end keeps galaxies whose shape can be seen:
    # in pixels they are as large as those in the pictures of Galaxy Zoo, which were scaled to that.
    bright, faint = 13.5, 16.6
    grow = 0.6 * np.log(10)
    mag = faint + np.log1p(-rng.random() * (1 - np.exp(grow * (bright - faint)))) / grow
    row: dict[str, Any] = dict.fromkeys(COLUMNS, 0.0)
    del row["id"], row["label"]
    row |= {
        "mag_r": mag,
        "r_e_arcsec": 4.0 * 10 ** (0.10 * (16.0 - mag) + 0.12 * np.clip(rng.normal(), -2, 2)),
        "position_angle_deg": rng.uniform(0, 180),
        "n_sersic": 1.0,
        "axis_ratio": 1.0,
        "arm_count": 0,
        "texture": int(rng.integers(2**31)),
    }
    return row


def _elliptical(rng: np.random.Generator, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "g_r": np.clip(rng.normal(0.80, 0.07), 0.5, 1.05),
        "r_i": np.clip(rng.normal(0.38, 0.03), 0.25, 0.5),
        "n_sersic": float(np.clip(rng.normal(4.0, 1.0), 1.8, 6.0)),
        "axis_ratio": float(np.clip(rng.normal(0.78, 0.14), 0.4, 1.0)),
    }


def _edge_on(rng: np.random.Generator, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "g_r": np.clip(rng.normal(0.68, 0.14), 0.3, 1.0),
        "r_i": np.clip(rng.normal(0.35, 0.06), 0.15, 0.5),
        "r_e_arcsec": 1.1 * row["r_e_arcsec"],
        "axis_ratio": EDGE_MOMENT_RATIO * rng.uniform(0.14, 0.42),
        "bulge_fraction": rng.uniform(0.0, 0.3),
    }


def _spiral(rng: np.random.Generator, row: Mapping[str, Any]) -> dict[str, Any]:
    sense = rng.choice([-1.0, 1.0])
    return {
        "g_r": np.clip(rng.normal(0.55, 0.1), 0.25, 0.85),
        "r_i": np.clip(rng.normal(0.28, 0.05), 0.1, 0.42),
        "r_e_arcsec": 1.3 * row["r_e_arcsec"],
        # A thin disc seen from a random direction, but not so inclined that the arms vanish.
        "axis_ratio": rng.uniform(0.45, 1.0),
        "bulge_fraction": rng.uniform(0.05, 0.35),
        "arm_count": int(rng.choice([2, 2, 2, 3, 4])),
        "arm_pitch_deg": sense * rng.uniform(10.0, 30.0),
        "arm_strength": rng.uniform(0.35, 0.9),
        "arm_phase_deg": rng.uniform(0, 360),
        "knot_fraction": rng.uniform(0.0, 0.12),
    }


def _merger(rng: np.random.Generator, row: Mapping[str, Any]) -> dict[str, Any]:
    base = (_elliptical if rng.random() < 0.5 else _spiral)(rng, row)
    r_e = base.get("r_e_arcsec", row["r_e_arcsec"])
    tails = rng.random() < 0.6
    return base | {
        # A collision stirs the arms.
        "arm_strength": 0.5 * base.get("arm_strength", 0.0),
        "companion_fraction": rng.uniform(0.2, 0.5),
        "companion_separation_arcsec": r_e * rng.uniform(0.8, 2.2),
        "companion_angle_deg": rng.uniform(0, 360),
        "companion_r_e_arcsec": r_e * rng.uniform(0.5, 1.0),
        "companion_axis_ratio": rng.uniform(0.4, 1.0),
        "tail_fraction": rng.uniform(0.05, 0.2) if tails else 0.0,
        "tail_length_arcsec": r_e * rng.uniform(3.0, 7.0) if tails else 0.0,
        "tail_bend_deg": rng.choice([-1.0, 1.0]) * rng.uniform(20, 140) if tails else 0.0,
    }


_Layer = tuple[np.ndarray, float, float]


def _layers(params: Mapping[str, Any] | Row, y: np.ndarray, x: np.ndarray) -> list[_Layer]:
    """Return (share of the r light per arcsec², g-r, r-i) of each component."""
    p = {name: params[name] for name in COLUMNS}
    others = p["companion_fraction"] + p["tail_fraction"]
    main = 1.0 - others
    layers: list[_Layer] = []
    colour = (float(p["g_r"]), float(p["r_i"]))
    # Bulges are old whatever the disc around them does.
    old = (max(colour[0], 0.75), max(colour[1], 0.36))
    young = (colour[0] - 0.2, colour[1] - 0.12)

    disc = main * (1.0 - p["bulge_fraction"] - p["knot_fraction"])
    if p["label"] == "edge_on":
        layers.append((disc * _edge_disc(y, x, p), *colour))
    else:
        smooth = _sersic(
            y,
            x,
            r_e=p["r_e_arcsec"],
            n=p["n_sersic"],
            q=p["axis_ratio"],
            pa=p["position_angle_deg"],
        )
        if p["arm_count"] and p["arm_strength"] > 0:
            smooth = smooth * _arms(y, x, p)
        layers.append((disc * smooth, *colour))
    if p["bulge_fraction"] > 0:
        flat = 0.7 if p["label"] == "edge_on" else np.sqrt(p["axis_ratio"])
        bulge = _sersic(y, x, r_e=0.25 * p["r_e_arcsec"], n=2.0, q=flat, pa=p["position_angle_deg"])
        layers.append((main * p["bulge_fraction"] * bulge, *old))
    if p["knot_fraction"] > 0:
        layers.append((main * p["knot_fraction"] * _knots(y, x, p), *young))
    if p["companion_fraction"] > 0:
        layers.append((p["companion_fraction"] * _companion(y, x, p), *colour))
    if p["tail_fraction"] > 0:
        layers.append((p["tail_fraction"] * _tails(y, x, p), *young))
    return layers


def _axes(y: np.ndarray, x: np.ndarray, pa: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates along the major and the minor axis; east is left, so PA turns towards -x."""
    s, c = np.float32(np.sin(np.radians(pa))), np.float32(np.cos(np.radians(pa)))
    return c * y[:, None] - s * x[None, :], s * y[:, None] + c * x[None, :]


def _sersic(
    y: np.ndarray, x: np.ndarray, *, r_e: float, n: float, q: float, pa: float
) -> np.ndarray:
    """Sérsic profile of total flux 1; the cusp is averaged over the pixels in which it lies."""
    from scipy.special import gamma, gammaincinv

    b = float(gammaincinv(2.0 * n, 0.5))
    total = 2.0 * np.pi * n * r_e**2 * q * b ** (-2.0 * n) * gamma(2.0 * n)

    def profile(yy: np.ndarray, xx: np.ndarray) -> np.ndarray:
        major, minor = _axes(yy, xx, pa)
        square = major**2 + (minor * np.float32(1.0 / q)) ** 2
        square *= np.float32(r_e**-2)
        # A logarithm and an exponential are several times faster than a power.
        power = np.exp(np.log(np.maximum(square, np.float32(1e-12))) * np.float32(0.5 / n))
        return np.exp(power * np.float32(-b)) * np.float32(1.0 / total)

    image = profile(y, x)
    _refine(image, y, x, profile)
    return image


def _refine(image: np.ndarray, y: np.ndarray, x: np.ndarray, profile: Any) -> None:
    """Replace the pixels around the origin by averages over 9×9 points of each."""
    reach, points = 4, 9
    step = y[1] - y[0]
    row, column = int(np.rint(-y[0] / step)), int(np.rint(-x[0] / step))
    rows = np.arange(max(row - reach, 0), min(row + reach + 1, len(y)))
    columns = np.arange(max(column - reach, 0), min(column + reach + 1, len(x)))
    if not len(rows) or not len(columns):
        return
    inside = ((np.arange(points) + 0.5) / points - 0.5) * step
    fine = profile(
        (y[rows][:, None] + inside).ravel(), (x[columns][:, None] + inside).ravel()
    ).reshape(len(rows), points, len(columns), points)
    image[np.ix_(rows, columns)] = fine.mean(axis=(1, 3))


def _edge_disc(y: np.ndarray, x: np.ndarray, p: Mapping[str, Any]) -> np.ndarray:
    """Edge-on disc of total flux 1: |R| K₁(|R|/h) sech²(z/z₀) / (2π h² z₀)."""
    from scipy.special import k1

    h = p["r_e_arcsec"] / _HALF_EDGE
    z0 = h * p["axis_ratio"] / EDGE_MOMENT_RATIO
    # A table is exact to 1e-4 here and far faster than a Bessel function in every pixel.
    knots = np.linspace(0.0, 20.0, 4001)
    table = np.concatenate([[1.0], knots[1:] * k1(knots[1:])])  # t K₁(t) tends to 1 at 0

    def profile(yy: np.ndarray, xx: np.ndarray) -> np.ndarray:
        major, minor = _axes(yy, xx, p["position_angle_deg"])
        radial = np.interp(np.abs(major) * np.float32(1.0 / h), knots, table).astype(np.float32)
        across = np.exp(np.abs(minor) * np.float32(-2.0 / z0))
        # sech²(u) = 4 e^-2u / (1 + e^-2u)²
        radial *= across * np.float32(4.0 / (2.0 * np.pi * h * z0))
        return radial / (1.0 + across) ** 2

    image = profile(y, x)
    _refine(image, y, x, profile)
    return image


def _arms(y: np.ndarray, x: np.ndarray, p: Mapping[str, Any]) -> np.ndarray:
    """Logarithmic arms as a factor whose mean over azimuth is 1, so that they add no light."""
    h = np.float32(p["r_e_arcsec"] / _HALF_DISC)
    major, minor = _axes(y, x, p["position_angle_deg"])
    minor = minor / np.float32(p["axis_ratio"])
    radius = np.sqrt(major**2 + minor**2) / h
    azimuth = np.arctan2(minor, major)
    pitch = np.float32(1.0 / np.tan(np.radians(p["arm_pitch_deg"])))
    phase = np.float32(np.radians(p["arm_phase_deg"]))
    azimuth -= np.log(np.maximum(radius, np.float32(0.05))) * pitch + phase
    wave = np.cos(azimuth * np.float32(p["arm_count"]))
    # Arms begin outside the bulge.
    wave *= np.clip(radius - np.float32(0.4), 0.0, 1.0) * np.float32(p["arm_strength"])
    return 1.0 + wave


def _knots(y: np.ndarray, x: np.ndarray, p: Mapping[str, Any]) -> np.ndarray:
    rng = np.random.default_rng(int(p["texture"]))
    n, h = 14, p["r_e_arcsec"] / _HALF_DISC
    radius = rng.uniform(0.7, 2.6, n)
    arms = max(int(p["arm_count"]), 1)
    pitch = np.tan(np.radians(p["arm_pitch_deg"] or 20.0))
    azimuth = (
        np.log(radius) / pitch
        + np.radians(p["arm_phase_deg"])
        + 2 * np.pi * rng.integers(arms, size=n) / arms
        + rng.normal(0.0, 0.15, n)
    )
    major, minor = radius * h * np.cos(azimuth), radius * h * np.sin(azimuth) * p["axis_ratio"]
    s, c = np.sin(np.radians(p["position_angle_deg"])), np.cos(np.radians(p["position_angle_deg"]))
    weight = np.exp(-radius / 2) * rng.uniform(0.3, 1.0, n)
    return _blobs(y, x, c * major + s * minor, -s * major + c * minor, np.full(n, 0.45), weight)


def _companion(y: np.ndarray, x: np.ndarray, p: Mapping[str, Any]) -> np.ndarray:
    angle = np.radians(p["companion_angle_deg"])
    north, east = np.cos(angle), np.sin(angle)
    reach = p["companion_separation_arcsec"]
    return _sersic(
        y - reach * north,
        x + reach * east,
        r_e=p["companion_r_e_arcsec"],
        n=min(p["n_sersic"], 3.0),
        q=p["companion_axis_ratio"],
        pa=p["companion_angle_deg"] + 60.0,
    )


def _tails(y: np.ndarray, x: np.ndarray, p: Mapping[str, Any]) -> np.ndarray:
    """Two bent streams, one from each galaxy, pointing away from each other.

    As tides pull them out of both discs (Toomre & Toomre 1972, ApJ 178, 623).
    """
    n, length = 24, p["tail_length_arcsec"]
    along = (np.arange(n) + 0.5) / n
    bend = np.radians(p["tail_bend_deg"])
    start = np.radians(p["companion_angle_deg"])
    heading = start + bend * along
    step = length / n
    north, east = np.cumsum(np.cos(heading)) * step, np.cumsum(np.sin(heading)) * step
    reach = p["companion_separation_arcsec"]
    yy = np.concatenate([north + reach * np.cos(start), -north])
    xx = np.concatenate([-east - reach * np.sin(start), east])
    width = np.tile(0.12 * p["r_e_arcsec"] * (1.0 + 2.0 * along) + 0.3, 2)
    return _blobs(y, x, yy, xx, width, np.tile(1.0 - 0.7 * along, 2))


def _blobs(
    y: np.ndarray,
    x: np.ndarray,
    y0: np.ndarray,
    x0: np.ndarray,
    sigma: np.ndarray,
    weight: np.ndarray,
) -> np.ndarray:
    """Sum of round Gaussians of total flux 1."""
    rows = np.exp(-0.5 * ((y[:, None] - y0) / sigma) ** 2)
    columns = np.exp(-0.5 * ((x[:, None] - x0) / sigma) ** 2)
    share = weight / weight.sum() / (2 * np.pi * sigma**2)
    return ((rows * share) @ columns.T).astype(np.float32)


def _tint(band: str, g_r: float, r_i: float) -> float:
    """Flux in a band relative to r."""
    return float(10 ** (0.4 * {"g": -g_r, "r": 0.0, "i": r_i}[band]))


def blurred(
    image: np.ndarray, *, bands: Sequence[str], seeing: float, pixel_scale: float
) -> np.ndarray:
    """Convolve an image with a star's: core and wings, Gaussians by their Fourier transforms.

    What leaves the image on one side comes back on the other: give it some empty room around.
    """
    from scipy import fft

    ny, nx = image.shape[1:]
    rows, columns = fft.fftfreq(ny)[:, None] ** 2, fft.rfftfreq(nx)[None, :] ** 2
    transfer = np.empty((len(bands), ny, nx // 2 + 1), dtype=np.float32)
    for k, band in enumerate(bands):
        sigma = seeing * _SEEING_RATIO[band] / pixel_scale / 2.3548
        transfer[k] = 0.0
        for share, width in ((1.0 - _WINGS, sigma), (_WINGS, sigma * _WING_WIDTH)):
            steep = -2.0 * (np.pi * width) ** 2
            transfer[k] += (share * np.exp(steep * rows)) * np.exp(steep * columns)
    return fft.irfft2(fft.rfft2(image) * transfer, s=(ny, nx)).astype(np.float32)
