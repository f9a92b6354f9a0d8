"""The sky through a camera: points, galaxies and noise, in counts (DN) of one exposure.

Images are drawn on a canvas that is larger than a stamp, because a candidate is where a detection
puts it: the stamp is cut out around that place afterwards.
Numbers follow alerts of the Zwicky Transient Facility (Masci et al. 2019, PASP 131, 018003): pixels
of 1.01 arcsec, points 2 to 4 pixels wide, 4 to 20 DN of noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIZE, ROOM = 63, 12
CANVAS = SIZE + 2 * ROOM
MIDDLE = CANVAS // 2
# Counts at which a pixel is full, and electrons in a count.
FULL, GAIN = 5e4, 6.0
# Half a side of the patch on which a faint star is drawn.
_PATCH = 10


@dataclass(frozen=True)
class Psf:
    """Image of a point: a profile of Moffat 1969 (A&A 3, 455) on ellipses.

    Attributes
    ----------
    fwhm : float
        Full width at half maximum, pixels.
    elongation : float
        Long axis over short axis.
    angle : float
        Of the long axis, radians.
    power : float
        Of the wings; 2.5 is a hazy sky, 4.5 a clear one.
    """

    fwhm: float
    elongation: float
    angle: float
    power: float

    def at(self, dy: np.ndarray, dx: np.ndarray) -> np.ndarray:
        """Light in a pixel at a distance from a point of flux 1, pixels."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        along, across = dx * cos + dy * sin, dy * cos - dx * sin
        scale = (self.fwhm / 2) ** 2 / (2 ** (1 / self.power) - 1)
        r2 = (along**2 / self.elongation + across**2 * self.elongation) / scale
        return (self.power - 1) / (np.pi * scale) * (1 + r2) ** -self.power

    def image(self, half: int = 15) -> np.ndarray:
        """Image of a point in the middle, shape (2 · half + 1, 2 · half + 1), of sum 1."""
        y, x = np.indices((2 * half + 1, 2 * half + 1)) - half
        found = self.at(y, x)
        return found / found.sum()


@dataclass(frozen=True)
class Night:
    """The state of sky and camera in which one exposure was taken and subtracted.

    Attributes
    ----------
    noise : float
        Standard deviation of a pixel of the science image, DN.
    depth : float
        Noise of the template over that of the science image.
    sky : float
        Level of both images, DN.
    psf, best : Psf
        Of the science image and of the template.
    shift : tuple of float
        Error of the registration (y, x), pixels.
    width, scale : float
        Relative errors of the matched width and of the matched flux.
    speckle : float
        Share of the light of a star that the subtraction leaves, of random sign in each pixel.
    crowding : float
        Expected number of stars on the canvas.
    """

    noise: float
    depth: float
    sky: float
    psf: Psf
    best: Psf
    shift: tuple[float, float]
    width: float
    scale: float
    speckle: float
    crowding: float


def drawn_night(rng: np.random.Generator) -> Night:
    """Draw the state of sky and camera."""
    # Short exposures at dusk: the template is far deeper and full of stars.
    dusk = rng.random() < 0.12
    fwhm = float(np.clip(2.3 * np.exp(0.25 * rng.standard_normal()), 1.6, 5.0))
    best = float(np.clip(2.1 * np.exp(0.12 * rng.standard_normal()), 1.6, 3.2))
    return Night(
        noise=float(7.5 * np.exp(0.45 * rng.standard_normal())),
        depth=float(np.exp(rng.uniform(*np.log((0.01, 0.03) if dusk else (0.08, 0.45))))),
        sky=float(130 * np.exp(0.5 * rng.standard_normal())),
        psf=_drawn_psf(rng, fwhm=fwhm),
        best=_drawn_psf(rng, fwhm=best),
        shift=tuple((0.06 * rng.standard_normal(2)).tolist()),
        width=float(0.02 * rng.standard_normal()),
        scale=float(0.01 * rng.standard_normal()),
        speckle=float(np.exp(rng.uniform(*np.log((0.004, 0.05))))),
        crowding=float(np.exp(rng.uniform(*np.log((60, 250) if dusk else (1.5, 100))))),
    )


def _drawn_psf(rng: np.random.Generator, *, fwhm: float) -> Psf:
    return Psf(
        fwhm=fwhm,
        elongation=1.0 + min(abs(0.09 * float(rng.standard_normal())), 0.35),
        angle=float(rng.uniform(0, np.pi)),
        power=float(rng.uniform(2.5, 4.5)),
    )


def drawn_stars(night: Night, rng: np.random.Generator) -> np.ndarray:
    """Draw the stars of a field, shape (k, 3): y and x on the canvas (pixels), flux (DN)."""
    k = int(rng.poisson(night.crowding))
    places = rng.uniform(-4, CANVAS + 4, (k, 2))
    # Counts of stars grow by a factor of two or so for half the flux.
    faintest = 6.0 * night.noise * (0.1 if night.depth < 0.05 else 1.0)
    flux = faintest * rng.random(k) ** (-1 / 0.65)
    return np.column_stack([places, np.minimum(flux, FULL)])


def points(stars: np.ndarray, psf: Psf, *, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Draw stars on a canvas.

    Parameters
    ----------
    stars : ndarray, shape (k, 3)
        y and x (pixels), flux (DN).
    psf : Psf
        Image of a point.
    shift : tuple of float
        Added to all places, pixels.

    Returns
    -------
    ndarray, shape (CANVAS, CANVAS), DN
    """
    canvas = np.zeros((CANVAS + 2 * _PATCH, CANVAS + 2 * _PATCH))
    at, flux = stars[:, :2] + np.asarray(shift), stars[:, 2]
    bright = flux > 2000.0
    axis = np.arange(len(canvas)) - _PATCH
    for (y, x), f in zip(at[bright], flux[bright], strict=True):
        canvas += f * psf.at(axis[:, None] - y, axis[None, :] - x)
    at, flux = at[~bright], flux[~bright]
    near = np.rint(at).astype(int)
    inside = ((near >= 0) & (near < CANVAS)).all(axis=1)
    at, flux, near = at[inside], flux[inside], near[inside]
    patch = np.arange(-_PATCH, _PATCH + 1)
    rows = near[:, 0, None, None] + patch[:, None]
    columns = near[:, 1, None, None] + patch[None, :]
    light = psf.at(rows - at[:, 0, None, None], columns - at[:, 1, None, None])
    np.add.at(canvas, (rows + _PATCH, columns + _PATCH), flux[:, None, None] * light)
    return canvas[_PATCH:-_PATCH, _PATCH:-_PATCH]


def galaxy(y: float, x: float, flux: float, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Draw an exponential disc or a de Vaucouleurs spheroid before the blur of the air, DN.

    Parameters
    ----------
    y, x : float
        Middle on the canvas, pixels.
    flux : float
        DN.
    radius : float
        Half-light radius, pixels.
    rng : Generator
        Draws the profile, the axis ratio and the angle.
    """
    ratio, angle = rng.uniform(0.3, 1.0), rng.uniform(0, np.pi)
    rows, columns = np.indices((CANVAS, CANVAS))
    dy, dx = rows - y, columns - x
    along = dx * np.cos(angle) + dy * np.sin(angle)
    across = (dy * np.cos(angle) - dx * np.sin(angle)) / ratio
    # Half a pixel keeps the cusp in the middle from being sampled at a point.
    r = np.sqrt(along**2 + across**2 + 0.25) / radius
    light = np.exp(-1.678 * r) if rng.random() < 0.6 else np.exp(-7.669 * (r**0.25 - 1))
    return flux * light / light.sum()


def blurred(light: np.ndarray, psf: Psf) -> np.ndarray:
    """Return light as the camera sees it, same shape."""
    from scipy.signal import fftconvolve

    return fftconvolve(light, psf.image(), mode="same") if light.any() else light


def grainy(light: np.ndarray, night: Night, rng: np.random.Generator) -> np.ndarray:
    """Return the noise of the science image: of the sky, and of the photons of what shines."""
    variance = night.noise**2 + np.maximum(light, 0.0) / GAIN
    return np.sqrt(variance) * rng.standard_normal(light.shape)


def template_noise(night: Night, rng: np.random.Generator) -> np.ndarray:
    """Return the noise of the template, which its resampling has smoothed."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(rng.standard_normal((CANVAS, CANVAS)), rng.uniform(0.3, 0.6))
    return night.noise * night.depth * smooth / smooth.std()
