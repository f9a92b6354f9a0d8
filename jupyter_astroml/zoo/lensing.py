"""Strong gravitational lenses as they are drawn for training: masses, light, and a camera.

The mass is a singular isothermal ellipsoid (Kormann, Schneider & Bartelmann 1994, A&A 284, 285), or
an elliptical power law of another slope (Tessore & Metcalf 2015, A&A 580, A79), in external shear;
galaxies are Sérsic profiles.
Ray tracing and pixels are those of lenstronomy (Birrer & Amara 2018, Physics of the Dark Universe
22, 189), which is needed to draw lenses, and not to find or to measure them.

Positions are arcsec from the middle of the image: x to the right, y up, along the pixels.
An ellipticity is e1 + i e2 = (1 - q) / (1 + q) · exp(2iφ), with the axis ratio q and the angle φ of
the major axis from x to y.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from jupyter_astroml.core.errors import DataError, MissingExtraError

EXTRA = "lenses"
# Slope of the density of a singular isothermal ellipsoid.
ISOTHERMAL = 2.0
# Rays a side of a pixel; a source is as small as a pixel, and its image varies within one.
SUPERSAMPLING = 2
# Radius to which a point spread function is drawn, in full widths at half maximum.
_REACH = 4.0


@dataclass(frozen=True)
class Mass:
    """What bends the light.

    Attributes
    ----------
    theta_e : float, arcsec
        Einstein radius: the critical curve of slope 2 encloses the area π θ_E².
    e1, e2 : float
        Ellipticity of the mass.
    x, y : float, arcsec
        Its centre.
    gamma1, gamma2 : float
        External shear.
    slope : float
        Of the density, ρ ∝ r^(-slope); 2 is isothermal.
    """

    theta_e: float
    e1: float = 0.0
    e2: float = 0.0
    x: float = 0.0
    y: float = 0.0
    gamma1: float = 0.0
    gamma2: float = 0.0
    slope: float = ISOTHERMAL


@dataclass(frozen=True)
class Light:
    """A galaxy with a Sérsic profile; of a source, as it would look without a lens.

    Attributes
    ----------
    magnitude : float, AB
        Of all its light, in the band of the camera.
    radius : float, arcsec
        Half-light radius, the geometric mean of the two axes.
    index : float
        Sérsic index.
    e1, e2 : float
        Ellipticity of the light.
    x, y : float, arcsec
        Its centre.
    """

    magnitude: float
    radius: float
    index: float = 1.0
    e1: float = 0.0
    e2: float = 0.0
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True)
class Lens:
    """A lens, its own light, and what it magnifies.

    Attributes
    ----------
    mass : Mass
    galaxy : Light
        Of the lens.
    source : tuple of Light
        A galaxy, and perhaps clumps in it.
    """

    mass: Mass
    galaxy: Light
    source: tuple[Light, ...]


@dataclass(frozen=True)
class Camera:
    """One exposure in one band.

    Attributes
    ----------
    pixel_scale : float, arcsec
    size : int
        Pixels a side of the square image.
    seeing : float, arcsec
        Full width at half maximum of a star, before the pixels.
    wings : float
        Moffat's β: smaller has broader wings.
    exposure : float, s
    zero_point : float, AB
        Magnitude of one electron a second.
    sky : float, AB
        Magnitude of a square arcsec.
    read_noise : float, electron
        Of a pixel, of all its readouts together.
    """

    pixel_scale: float
    size: int
    seeing: float
    exposure: float
    zero_point: float
    sky: float
    wings: float = 3.5
    read_noise: float = 0.0


Span = tuple[float, float]


@dataclass(frozen=True)
class Priors:
    """Ranges from which lenses are drawn, evenly unless `draw` says otherwise.

    Attributes
    ----------
    theta_e : tuple of float, arcsec
        Einstein radius.
    mass_ratio, light_ratio, source_ratio : tuple of float
        Axis ratios.
    offset : float, arcsec
        One standard deviation of the centre of the mass, on each axis, cut at 2.5.
    light_offset : float, arcsec
        The same of the light of the lens about its mass.
    misalignment : float, radians
        The same of the angle between light and mass.
    shear : float
        Largest external shear.
    slope : tuple of float
    lens_magnitude, source_magnitude : tuple of float, AB
    lens_radius, source_radius : tuple of float, arcsec
        Half-light radii; even in their logarithm.
    lens_index, source_index : tuple of float
        Sérsic indices.
    impact : float
        Largest distance of the source behind the lens, in Einstein radii; evenly over the disc.
    clumps : int
        Largest number of clumps in a source, each with up to a fifth of its light.
    """

    theta_e: Span = (0.5, 2.0)
    mass_ratio: Span = (0.4, 1.0)
    offset: float = 0.1
    shear: float = 0.1
    slope: Span = (ISOTHERMAL, ISOTHERMAL)
    lens_magnitude: Span = (17.5, 20.5)
    lens_radius: Span = (0.5, 1.5)
    lens_index: Span = (3.0, 5.0)
    light_ratio: Span = (0.5, 1.0)
    light_offset: float = 0.02
    misalignment: float = 0.15
    source_magnitude: Span = (22.5, 25.5)
    source_radius: Span = (0.05, 0.4)
    source_index: Span = (0.7, 2.5)
    source_ratio: Span = (0.4, 1.0)
    impact: float = 0.5
    clumps: int = 0


def draw(priors: Priors, *, rng: np.random.Generator) -> Lens:
    """Draw a lens.

    Parameters
    ----------
    priors : Priors
        Where to draw from.
    rng : Generator
        Source of the draws.

    Raises
    ------
    DataError
        If a range is empty, or no lens can have such values.
    """
    _check(priors)
    theta_e = rng.uniform(*priors.theta_e)
    x, y = (priors.offset * _normal(rng, 2)).tolist()
    angle = rng.uniform(0, math.pi)
    e1, e2 = _ellipticity(rng.uniform(*priors.mass_ratio), angle)
    gamma1, gamma2 = _polar(priors.shear * math.sqrt(rng.random()), rng.uniform(0, 2 * math.pi))
    mass = Mass(theta_e, e1, e2, x, y, gamma1, gamma2, slope=rng.uniform(*priors.slope))
    along = angle + priors.misalignment * _normal(rng, 1)[0]
    le1, le2 = _ellipticity(rng.uniform(*priors.light_ratio), along)
    dx, dy = (priors.light_offset * _normal(rng, 2)).tolist()
    galaxy = Light(
        rng.uniform(*priors.lens_magnitude),
        _even_in_log(rng, priors.lens_radius),
        rng.uniform(*priors.lens_index),
        le1,
        le2,
        x + dx,
        y + dy,
    )
    return Lens(mass, galaxy, _source(priors, mass, rng))


def _source(priors: Priors, mass: Mass, rng: np.random.Generator) -> tuple[Light, ...]:
    e1, e2 = _ellipticity(rng.uniform(*priors.source_ratio), rng.uniform(0, math.pi))
    away = priors.impact * mass.theta_e * math.sqrt(rng.random())
    dx, dy = _polar(away, rng.uniform(0, 2 * math.pi))
    whole = Light(
        rng.uniform(*priors.source_magnitude),
        _even_in_log(rng, priors.source_radius),
        rng.uniform(*priors.source_index),
        e1,
        e2,
        mass.x + dx,
        mass.y + dy,
    )
    clumps = []
    for _ in range(rng.integers(priors.clumps + 1) if priors.clumps else 0):
        at = whole.radius * rng.standard_normal(2)
        fainter = -2.5 * math.log10(rng.uniform(0.02, 0.2))
        clumps.append(
            Light(
                whole.magnitude + fainter,
                0.25 * whole.radius,
                x=whole.x + at[0],
                y=whole.y + at[1],
            )
        )
    return (whole, *clumps)


def turned(lens: Lens, *, quarters: int = 1) -> Lens:
    """Turn a lens and all behind it about the middle of the image, from x to y.

    Parameters
    ----------
    lens : Lens
        To be turned.
    quarters : int
        Number of right angles.
    """
    for _ in range(quarters % 4):
        mass = _quarter(lens.mass)
        mass = replace(mass, gamma1=-mass.gamma1, gamma2=-mass.gamma2)
        lens = Lens(mass, _quarter(lens.galaxy), tuple(_quarter(part) for part in lens.source))
    return lens


Part = TypeVar("Part", Mass, Light)


def _quarter(part: Part) -> Part:
    # An ellipse looks the same after half a turn, so that its two numbers turn twice as fast.
    return replace(part, x=-part.y, y=part.x, e1=-part.e1, e2=-part.e2)


def galaxy_image(lens: Lens, camera: Camera) -> np.ndarray:
    """Draw the light of the lens alone, without noise.

    Parameters
    ----------
    lens : Lens
        With magnitudes in the band of the camera.
    camera : Camera
        What it is seen with.

    Returns
    -------
    ndarray, shape (size, size), electron / s
    """
    return image_model(camera, galaxies=1).image(kwargs_lens_light=[light(lens.galaxy, camera)])


def arcs_image(lens: Lens, camera: Camera) -> np.ndarray:
    """Draw the images of the source alone, without noise.

    Parameters
    ----------
    lens : Lens
        With magnitudes in the band of the camera.
    camera : Camera
        What it is seen with.

    Returns
    -------
    ndarray, shape (size, size), electron / s
    """
    model = image_model(camera, mass=lens.mass, sources=len(lens.source))
    return model.image(
        kwargs_lens=deflectors(lens.mass),
        kwargs_source=[light(part, camera) for part in lens.source],
    )


def noise_of(image: np.ndarray, camera: Camera) -> np.ndarray:
    """Return one standard deviation of each pixel: photons of object and sky, and readouts.

    Parameters
    ----------
    image : ndarray, electron / s
        All the light on the camera, without noise.
    camera : Camera
        What it is seen with.

    Returns
    -------
    ndarray of the same shape, electron / s
    """
    sky = flux(camera.sky, camera) * camera.pixel_scale**2
    electrons = (np.maximum(image, 0.0) + sky) * camera.exposure + camera.read_noise**2
    return np.sqrt(electrons) / camera.exposure


def observed(image: np.ndarray, camera: Camera, *, rng: np.random.Generator) -> np.ndarray:
    """Return an image as the camera gives it: with noise, the sky taken off.

    Parameters
    ----------
    image : ndarray, electron / s
        All the light on the camera, without noise.
    camera : Camera
        What it is seen with.
    rng : Generator
        Source of the noise.
    """
    return image + noise_of(image, camera) * rng.standard_normal(image.shape)


def flux(magnitude: float, camera: Camera) -> float:
    """Return electrons per second of a magnitude."""
    return 10 ** (0.4 * (camera.zero_point - magnitude))


def source_position(mass: Mass, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Trace rays back from the image to the source, arcsec."""
    model = _lenstronomy("LensModel.lens_model").LensModel(deflector_models(mass))
    return model.ray_shooting(np.asarray(x), np.asarray(y), deflectors(mass))


def magnification(mass: Mass, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return how much larger a small thing looks at places in the image; below 0 if mirrored.

    Parameters
    ----------
    mass : Mass
        What bends the light.
    x, y : ndarray, arcsec
        Places in the image.
    """
    model = _lenstronomy("LensModel.lens_model").LensModel(deflector_models(mass))
    return model.magnification(np.asarray(x), np.asarray(y), deflectors(mass))


# What lenstronomy takes


def deflector_models(mass: Mass) -> list[str]:
    """Return lenstronomy's models of a mass; the isothermal one needs a tenth of the time."""
    return ["SIE" if mass.slope == ISOTHERMAL else "EPL", "SHEAR"]


def deflectors(mass: Mass) -> list[dict[str, float]]:
    """Return the parameters of `deflector_models`."""
    ellipse = {
        "theta_E": mass.theta_e,
        "e1": mass.e1,
        "e2": mass.e2,
        "center_x": mass.x,
        "center_y": mass.y,
    }
    slope = {} if mass.slope == ISOTHERMAL else {"gamma": mass.slope}
    return [ellipse | slope, {"gamma1": mass.gamma1, "gamma2": mass.gamma2}]


def light(part: Light, camera: Camera) -> dict[str, float]:
    """Return the parameters of lenstronomy's model SERSIC_ELLIPSE."""
    # Ciotti & Bertin 1999 (A&A 352, 447), equation 18; its amplitude is the brightness at `radius`.
    n = part.index
    b = 2 * n - 1 / 3 + 4 / (405 * n) + 46 / (25515 * n**2)
    whole = 2 * math.pi * n * math.exp(b) * b ** (-2 * n) * math.gamma(2 * n) * part.radius**2
    return {
        "amp": flux(part.magnitude, camera) / whole,
        "R_sersic": part.radius,
        "n_sersic": n,
        "e1": part.e1,
        "e2": part.e2,
        "center_x": part.x,
        "center_y": part.y,
    }


def image_model(
    camera: Camera, *, mass: Mass | None = None, sources: int = 0, galaxies: int = 0
) -> Any:
    """Return lenstronomy's model of the image of a camera.

    Parameters
    ----------
    camera : Camera
        What it is seen with.
    mass : Mass, optional
        Tells which model it is.
    sources, galaxies : int
        Number of profiles behind the lens, and in front of it.

    Raises
    ------
    MissingExtraError
        If lenstronomy is not installed.
    """
    lights = _lenstronomy("LightModel.light_model").LightModel
    return _lenstronomy("ImSim.image_model").ImageModel(
        _lenstronomy("Data.pixel_grid").PixelGrid(**pixels(camera)),
        _lenstronomy("Data.psf").PSF(**point_spread(camera)),
        lens_model_class=_lenstronomy("LensModel.lens_model").LensModel(
            deflector_models(mass) if mass else []
        ),
        source_model_class=lights(["SERSIC_ELLIPSE"] * sources),
        lens_light_model_class=lights(["SERSIC_ELLIPSE"] * galaxies),
        kwargs_numerics=NUMERICS,
    )


NUMERICS = {
    "supersampling_factor": SUPERSAMPLING,
    "supersampling_convolution": True,
    "convolution_type": "fft",
}


def pixels(camera: Camera) -> dict[str, Any]:
    """Return the pixels of a camera, for lenstronomy's ``PixelGrid``."""
    first = -(camera.size - 1) / 2 * camera.pixel_scale
    return {
        "nx": camera.size,
        "ny": camera.size,
        "transform_pix2angle": np.eye(2) * camera.pixel_scale,
        "ra_at_xy_0": first,
        "dec_at_xy_0": first,
    }


def point_spread(camera: Camera) -> dict[str, Any]:
    """Return a round star (Moffat 1969, A&A 3, 455), for lenstronomy's ``PSF``."""
    step = camera.pixel_scale / SUPERSAMPLING
    half = max(2, math.ceil(_REACH * camera.seeing / step))
    axis = np.arange(-half, half + 1) * step
    core = camera.seeing / (2 * math.sqrt(2 ** (1 / camera.wings) - 1))
    star = (1 + (axis[:, None] ** 2 + axis**2) / core**2) ** -camera.wings
    return {
        "psf_type": "PIXEL",
        "kernel_point_source": star / star.sum(),
        "point_source_supersampling_factor": SUPERSAMPLING,
    }


def _lenstronomy(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(f"lenstronomy.{module}")
    except ImportError as err:
        raise MissingExtraError(
            "Lenses are drawn with lenstronomy, which is not installed",
            cause=str(err),
            remedy=f"run: pip install 'jupyter_astroml[{EXTRA}]'",
        ) from err


def _check(priors: Priors) -> None:
    """Refuse ranges that hold no lens."""
    for name, value in vars(priors).items():
        low, high = value if isinstance(value, tuple) else (value, value)
        # Axis ratios are those of the minor to the major axis; a mass whose slope is not between
        # 1 and 3 is endless in the middle or at the outside.
        most = 1.0 if name.endswith("_ratio") else 3.0 if name == "slope" else math.inf
        least = 1.0 if name == "slope" else 0.0
        fits = least < low <= high if isinstance(value, tuple) else low >= 0
        if not (fits and high <= most):
            raise DataError(
                f"The range of {name} is {low} to {high}",
                remedy="give two positive numbers, the smaller first; ratios up to 1, slopes in 1 "
                "to 3",
            )


def _normal(rng: np.random.Generator, n: int) -> np.ndarray:
    """Normal deviates, cut at 2.5 standard deviations."""
    return np.clip(rng.standard_normal(n), -2.5, 2.5)


def _even_in_log(rng: np.random.Generator, span: Span) -> float:
    return float(np.exp(rng.uniform(*np.log(span))))


def _ellipticity(ratio: float, angle: float) -> tuple[float, float]:
    return _polar((1 - ratio) / (1 + ratio), 2 * angle)


def _polar(length: float, angle: float) -> tuple[float, float]:
    return length * math.cos(angle), length * math.sin(angle)
