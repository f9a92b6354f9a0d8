"""Simulated alerts: a science image, its template and their difference, around a detection.

A scene of stars and galaxies is seen twice, by an exposure and by a deeper template with another
point spread function; the template is matched to the exposure, never perfectly, and subtracted.
Something is added: a point of light that was not there or has changed (real), or what cameras and
pipelines take for one (bogus).
Then a matched filter looks for a detection of 5σ or more, as a survey does, and the three stamps
are cut out around it; where the source has faded the difference is template minus science, so that
a candidate always is positive there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import Cutouts
from jupyter_astroml.zoo.real_bogus import scene
from jupyter_astroml.zoo.real_bogus.artefacts import (
    DRAWN,
    Marks,
    bleeding,
    blind_edge,
    star_mask,
)
from jupyter_astroml.zoo.real_bogus.scene import CANVAS, FULL, MIDDLE, SIZE, Night, points

if TYPE_CHECKING:
    from astropy.table import Table

BANDS = ("science", "template", "difference")
CLASSES = ("bogus", "real")
PIXEL_SCALE = 1.01
# A point on an empty sky, one that moves, in a galaxy, in its nucleus, and a star that varies.
REAL = ("lone", "moving", "host", "nucleus", "variable")
# What the subtraction makes of a star.
STAR_MADE = ("residual", "dipole", "ring", "saturated")
BOGUS = (*DRAWN, *STAR_MADE)
# Significance at which a survey sends an alert.
DETECTION = 5.0
# How far from its cause a detection may lie, pixels; 2 where nothing is said.
_REACH = {
    "spike": 6.0,
    "edge": 8.0,
    "trail": 3.0,
    "ghost": 10.0,
    "noise": 3.0,
    "column": 6.0,
    "residual": 5.0,
    "dipole": 4.0,
    "ring": 7.0,
    "saturated": 11.0,
}


@dataclass(frozen=True)
class _Scene:
    """What shines; fluxes in DN, places in pixels of the canvas.

    Attributes
    ----------
    stars : ndarray, shape (k, 3)
        As `scene.points` takes them.
    was : ndarray, shape (k, 3)
        The same stars in the template.
    new : ndarray, shape (m, 3)
        What is in the science image alone; negative for what has faded.
    galaxies : ndarray, shape (CANVAS, CANVAS)
        Before the blur.
    """

    stars: np.ndarray
    was: np.ndarray
    new: np.ndarray
    galaxies: np.ndarray

    def with_star(
        self, y: float, x: float, flux: float, *, was: tuple[float, float] | None = None
    ) -> _Scene:
        """Return the scene with one star more, which stood elsewhere in the template perhaps."""
        before = was or (y, x)
        return replace(
            self,
            stars=np.vstack([self.stars, [y, x, flux]]),
            was=np.vstack([self.was, [*before, flux]]),
        )


def simulate(n: int, *, seed: int, kinds: Sequence[str] | None = None) -> tuple[Cutouts, Table]:
    """Make labelled triplets.

    Parameters
    ----------
    n : int
        Number of triplets.
    seed : int
        The same seed gives the same triplets.
    kinds : sequence of str, optional
        Of `REAL` and `BOGUS`, in turn; by default half of the triplets are real, and every kind
        within a class is as frequent as another.

    Returns
    -------
    Cutouts
        Values of shape (n, 3, 63, 63), DN: science, template, difference.
        NaN where the camera or the pipeline leaves no value.
    Table
        The truth: ``id``, ``label`` (`CLASSES`), ``kind``, ``snr`` (of the detection, by a matched
        filter), ``faded`` (bool), ``fwhm`` (of the science image, pixels).
    """
    from astropy.table import Table

    if n < 1 or not set(kinds or ()) <= {*REAL, *BOGUS}:
        raise DataError(f"{n} triplets of {kinds} cannot be drawn")
    rng = np.random.default_rng(seed)
    turn = kinds or [k for i in range(65) for k in (REAL[i % 5], BOGUS[i % 13])]
    chosen = [turn[i % len(turn)] for i in range(n)]
    values = np.empty((n, len(BANDS), SIZE, SIZE), dtype=np.float32)
    snr, fwhm = np.empty(n), np.empty(n)
    for i, kind in enumerate(chosen):
        values[i], snr[i], fwhm[i] = _triplet(kind, rng)
    names = np.array([f"sim{seed}-{i:05d}" for i in range(n)])
    truth = Table(
        {
            "id": names,
            "label": [CLASSES[kind in REAL] for kind in chosen],
            "kind": chosen,
            "snr": np.abs(snr),
            "faded": snr < 0,
            "fwhm": fwhm,
        },
        meta={"simulated": True, "seed": seed},
    )
    cutouts = Cutouts(
        ids=names,
        values=values,
        bands=BANDS,
        pixel_scale=np.full(n, PIXEL_SCALE),
        flux_unit="DN",
        simulated=True,
        meta={"simulator": "jupyter_astroml.zoo.real_bogus.simulate", "seed": seed},
    )
    return cutouts, truth


def _triplet(kind: str, rng: np.random.Generator) -> tuple[np.ndarray, float, float]:
    """Return stamps, the significance of the detection (negative for a fading), and the seeing."""
    for attempt in count():
        night = _night(kind, rng)
        # Counts of sources fall with their significance.
        # The noise of the sky has no peaks of 20σ.
        above = rng.exponential(0.15 if kind == "noise" else 1.0)
        strength = DETECTION * 1.05 * np.exp(above) * 1.15 ** min(attempt, 20)
        sky, marks = _staged(kind, float(min(strength, 300.0)), night, rng)
        planes, mask = _exposed(sky, marks, night, rng)
        y, x, snr = _detected(planes[2], mask, night, reach=_REACH.get(kind, 2.0))
        wanted = kind not in REAL or snr * sky.new[:, 2].sum() > 0
        if abs(snr) >= DETECTION and wanted:
            break  # else it is drawn again, a little brighter
    planes[2] *= np.sign(snr) or 1.0
    planes[:, mask] = np.nan
    half = SIZE // 2
    rows, columns = slice(y - half, y + half + 1), slice(x - half, x + half + 1)
    return planes[:, rows, columns].astype(np.float32), snr, night.psf.fwhm


def _night(kind: str, rng: np.random.Generator) -> Night:
    """Draw the state of sky and camera, with the error that makes an artefact of a star."""
    night = scene.drawn_night(rng)
    if kind == "residual":
        return replace(night, speckle=float(rng.uniform(0.03, 0.12)))
    if kind == "dipole" and rng.random() < 0.5:
        far, angle = rng.uniform(0.25, 1.1), rng.uniform(0, 2 * np.pi)
        return replace(night, shift=(float(far * np.sin(angle)), float(far * np.cos(angle))))
    if kind == "ring":
        sign = 1.0 if rng.random() < 0.5 else -1.0
        return replace(night, width=float(sign * rng.uniform(0.07, 0.3)))
    return night


def _staged(
    kind: str, strength: float, night: Night, rng: np.random.Generator
) -> tuple[_Scene, Marks]:
    """Return what shines, and the artefacts, for a candidate of about a significance."""
    stars = scene.drawn_stars(night, rng)
    sky = _Scene(stars, stars, np.empty((0, 3)), _drawn_galaxies(night, rng))
    marks = _surroundings(night, rng)
    # Flux of a point of this significance; and the place of the candidate in its pixel.
    flux = strength * _noise_of_a_point(night)
    at = MIDDLE + rng.uniform(-0.5, 0.5, 2)
    if kind in DRAWN:
        drawn = DRAWN[kind](night, rng)
        peak = _significance(drawn.difference, night)
        near = np.abs(peak[MIDDLE - 12 : MIDDLE + 13, MIDDLE - 12 : MIDDLE + 13]).max()
        return sky, marks.with_(drawn.times(strength / max(float(near), 1e-9)))
    if kind in STAR_MADE:
        return _of_a_star(kind, at, sky, marks, night, rng)
    return _with_source(kind, at, flux, sky, night, rng), marks


def _with_source(
    kind: str, at: np.ndarray, flux: float, sky: _Scene, night: Night, rng: np.random.Generator
) -> _Scene:
    """Add what really changes in the sky."""
    y, x = at
    if kind == "moving":
        length, angle = rng.exponential(2.0), rng.uniform(0, np.pi)
        steps = np.linspace(-0.5, 0.5, 9) * min(length, 8.0)
        path = [[y + s * np.sin(angle), x + s * np.cos(angle), flux / 9] for s in steps]
        return replace(sky, new=np.array(path))
    if kind in ("host", "nucleus"):
        radius = float(np.exp(rng.uniform(*np.log((0.8, 8.0)))))
        far = 0.0 if kind == "nucleus" else min(radius * rng.exponential(1.0), 15.0)
        angle = rng.uniform(0, 2 * np.pi)
        light = flux * np.exp(rng.uniform(*np.log((0.3, 50.0))))
        host = scene.galaxy(y + far * np.sin(angle), x + far * np.cos(angle), light, radius, rng)
        sky = replace(sky, galaxies=sky.galaxies + host)
    sign = 1.0
    if kind == "variable":
        # The change must stand out of what the subtraction leaves of the star.
        least = 0.04 + 3.0 * night.speckle + 0.5 * float(np.hypot(*night.shift))
        share = np.exp(rng.uniform(np.log(least), np.log(20.0)))
        sky = sky.with_star(y, x, flux / share)
        sign = -1.0 if share < 0.9 and rng.random() < 0.6 else 1.0
    elif kind == "nucleus":
        sign = -1.0 if rng.random() < 0.4 else 1.0
    return replace(sky, new=np.array([[y, x, sign * flux]]))


def _of_a_star(
    kind: str,
    at: np.ndarray,
    sky: _Scene,
    marks: Marks,
    night: Night,
    rng: np.random.Generator,
) -> tuple[_Scene, Marks]:
    """Put a bright star where the subtraction fails."""
    y, x = at
    full = FULL / float(night.psf.at(np.zeros(1), np.zeros(1))[0])
    if kind == "saturated":
        sky = sky.with_star(y, x, full * np.exp(rng.uniform(np.log(0.5), np.log(8.0))))
        spilled = night.noise * np.exp(rng.uniform(np.log(5), np.log(200)))
        marks = marks.with_(Marks(residual=spilled * bleeding(y, x, night.psf, rng)))
        return sky, marks.with_(star_mask(y, x, rng)) if rng.random() < 0.6 else marks
    flux = night.noise * np.exp(rng.uniform(np.log(150), np.log(8e3)))
    was = None
    if kind == "dipole" and np.hypot(*night.shift) < 0.2:
        # The star alone has moved, as stars do over the years.
        far, angle = rng.uniform(0.25, 1.1), rng.uniform(0, 2 * np.pi)
        was = (y + far * np.sin(angle), x + far * np.cos(angle))
    return sky.with_star(y, x, min(flux, 0.9 * full), was=was), marks


def _drawn_galaxies(night: Night, rng: np.random.Generator) -> np.ndarray:
    """Draw the galaxies, and now and then a nebula, of a field."""
    from scipy.ndimage import gaussian_filter

    light = np.zeros((CANVAS, CANVAS))
    for _ in range(rng.poisson(1.2)):
        y, x = rng.uniform(0, CANVAS, 2)
        flux = 15 * night.noise * rng.random() ** (-1 / 0.8)
        light += scene.galaxy(y, x, min(flux, FULL), float(np.exp(rng.normal(0.8, 0.6))), rng)
    if rng.random() < 0.03:
        cloud = gaussian_filter(rng.standard_normal((CANVAS, CANVAS)), rng.uniform(5, 14))
        light += night.noise * rng.uniform(2, 25) * np.maximum(cloud / cloud.std() + 1, 0)
    return light


def _surroundings(night: Night, rng: np.random.Generator) -> Marks:
    """Return artefacts elsewhere in the stamp, which say nothing about the candidate."""
    marks = Marks()
    if rng.random() < 0.1:
        far, angle = rng.uniform(12, 38), rng.uniform(0, 2 * np.pi)
        y, x = MIDDLE + far * np.sin(angle), MIDDLE + far * np.cos(angle)
        glow = np.exp(rng.uniform(np.log(300), np.log(3e4))) * night.noise
        star = points(np.array([[y, x, 5 * glow]]), night.psf)
        spilled = rng.uniform(0.002, 0.02) * glow * bleeding(y, x, night.psf, rng)
        block = star_mask(y, x, rng) if far > 18 or rng.random() < 0.3 else Marks()
        marks = marks.with_(Marks(star, star, spilled, block.mask & ~_core(6)))
    if rng.random() < 0.08:
        marks = marks.with_(blind_edge(night, rng))
    if rng.random() < 0.25:
        kind = ("cosmic_ray", "cosmic_ray", "trail", "column", "ghost", "bad_template")
        other = DRAWN[kind[rng.integers(len(kind))]](night, rng)
        far, angle = rng.uniform(12, 35), rng.uniform(0, 2 * np.pi)
        other = other.moved(round(far * np.sin(angle)), round(far * np.cos(angle)))
        shape = np.abs(other.difference)
        if shape.max() > 0 and shape[_core(5)].max() < 0.01 * shape.max():
            height = night.noise * np.exp(rng.uniform(np.log(2), np.log(60)))
            marks = marks.with_(other.times(height / shape.max()))
    return marks


def _core(half: int) -> np.ndarray:
    y, x = np.indices((CANVAS, CANVAS)) - MIDDLE
    return (np.abs(y) <= half) & (np.abs(x) <= half)


def _exposed(
    sky: _Scene, marks: Marks, night: Night, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Take both images and subtract them; returns planes (3, CANVAS, CANVAS) and the mask."""
    from scipy.ndimage import shift

    stars = points(sky.stars, night.psf)
    there = stars + scene.blurred(sky.galaxies, night.psf)
    # What the matched template predicts: a little off in place, width and flux.
    off = replace(night.psf, fwhm=night.psf.fwhm * (1 + night.width))
    galaxies = shift(sky.galaxies, night.shift, order=3) if sky.galaxies.any() else sky.galaxies
    model = points(sky.was, off, shift=night.shift) + scene.blurred(galaxies, off)
    deep = points(sky.was, night.best) + scene.blurred(sky.galaxies, night.best)
    new = points(sky.new, night.psf)
    left = night.speckle * stars * _speckle(rng)
    seen = np.minimum(there, FULL) + new + marks.science
    photons = scene.grainy(seen, night, rng)
    grain = scene.template_noise(night, rng)
    gap = np.minimum(there, FULL) - (1 + night.scale) * np.minimum(model, FULL)
    science = night.sky + seen + photons
    template = night.sky + np.minimum(deep, FULL) + marks.template + grain
    difference = gap + new + marks.difference + left + photons - 0.5 * grain
    return np.stack([science, template, difference]), marks.mask


def _speckle(rng: np.random.Generator) -> np.ndarray:
    """Return what interpolation leaves: of random sign, and rough from pixel to pixel."""
    rough = rng.standard_normal((CANVAS, CANVAS))
    if rng.random() < 0.5:
        rough[:, 1:] -= 0.7 * rough[:, :-1]
    return rough / rough.std()


def _noise_of_a_point(night: Night) -> float:
    """Return the flux of a point of significance 1: noise over the norm of its image, DN."""
    return night.noise / float(np.sqrt((night.psf.image() ** 2).sum()))


def _significance(difference: np.ndarray, night: Night) -> np.ndarray:
    """Return the matched filter of a difference image, in units of the noise of the sky."""
    from scipy.signal import fftconvolve

    point = night.psf.image(half=8)
    return fftconvolve(difference, point, mode="same") / (night.noise * np.sqrt((point**2).sum()))


def _detected(
    difference: np.ndarray, mask: np.ndarray, night: Night, *, reach: float
) -> tuple[int, int, float]:
    """Return the place (y, x) and the signed significance of the best detection near the middle."""
    found = _significance(np.where(mask, 0.0, difference), night)
    y, x = np.indices(found.shape) - MIDDLE
    allowed = (np.hypot(y, x) <= reach) & ~mask
    if not allowed.any():
        return MIDDLE, MIDDLE, 0.0
    score = np.where(allowed, np.abs(found), -1.0)
    top = np.unravel_index(score.argmax(), score.shape)
    return int(top[0]), int(top[1]), float(found[top])
