"""The usual way to model a lens: maximum likelihood, here with the lenses of lenstronomy.

Thirteen numbers are searched for (mass, shear, and the shape and place of a Sérsic source, whose
brightness follows from them) by least squares (Branch, Coleman & Li 1999, as SciPy has it), which
took far fewer images than a particle swarm.
It starts from what a look at the image gives: the radius of the ring, and the source where the
brightest light comes from; from masses that are round, or stretched in one of four directions, of
which the best goes on.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jupyter_astroml.zoo import lensing
from jupyter_astroml.zoo.lens_model import baseline
from jupyter_astroml.zoo.lens_model.simulate import NAMES, RESIDUAL, Scene
from jupyter_astroml.zoo.lensing import Light, Mass

# Lower and upper limits, and the size of a step: the five of the mass in the order of the answer,
# shear, then logarithm of the radius, index, ellipticity and centre of the source.
_LOW = (0.2, -0.5, -0.5, -0.5, -0.5, -0.3, -0.3, -4.6, 0.4, -0.5, -0.5, -1.5, -1.5)
_HIGH = (3.0, 0.5, 0.5, 0.5, 0.5, 0.3, 0.3, 0.0, 4.0, 0.5, 0.5, 1.5, 1.5)
_STEP = (0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.3, 0.3, 0.1, 0.1, 0.05, 0.05)
# Ellipticities of the mass to start from.
_STARTS = ((0.0, 0.0), (0.2, 0.0), (-0.2, 0.0), (0.0, 0.2), (0.0, -0.2))


def fitted(image: np.ndarray, scene: Scene, *, first: int = 8, then: int = 60) -> dict[str, float]:
    """Fit one lens.

    Parameters
    ----------
    image : ndarray, shape (y, x), electron / s
        The source alone.
    scene : Scene
        Tells the camera and the noise of each pixel; the truth is not looked at.
    first, then : int
        Largest number of steps from each start, and of the best.

    Returns
    -------
    mapping
        The five parameters, and ``chi2``, that of a pixel.
    """
    from scipy.optimize import least_squares

    camera = scene.camera
    # What is left of the lens's light is not noise, but a careful modeller allows for it.
    noise = np.hypot(lensing.noise_of(scene.arcs + scene.galaxy, camera), RESIDUAL * scene.galaxy)
    model = lensing.image_model(camera, mass=Mass(1.0), sources=1)

    def off(free: np.ndarray) -> np.ndarray:
        drawn = model.image(
            kwargs_lens=lensing.deflectors(Mass(*free[:7])),
            kwargs_source=[lensing.light(_source(free), camera)],
        )
        expected, seen = (drawn / noise).ravel(), (image / noise).ravel()
        brightness = max(expected @ seen, 0.0) / max(expected @ expected, 1e-30)
        return brightness * expected - seen

    def search(start: np.ndarray, steps: int) -> Any:
        return least_squares(off, start, bounds=(_LOW, _HIGH), x_scale=_STEP, max_nfev=steps)

    tried = [search(start, first) for start in _guesses(image)]
    best = search(min(tried, key=lambda each: each.cost).x, then)
    found = {name: float(best.x[i]) for i, name in enumerate(NAMES)}
    return {**found, "chi2": float(2 * best.cost / image.size)}


def _source(free: np.ndarray) -> Light:
    log_radius, index, e1, e2, x, y = free[7:]
    return Light(20.0, float(np.exp(log_radius)), index, e1, e2, x, y)


def _guesses(image: np.ndarray) -> list[np.ndarray]:
    """Return where to start."""
    features = baseline.measure(image[None, None])[0]
    radius = float(np.clip(features[baseline.FEATURES.index("radius_mean")], 0.4, 2.5))
    y, x = (np.indices(image.shape) - (len(image) - 1) / 2) * baseline.PIXEL_SCALE
    bright = image >= np.quantile(image, 0.99)
    guesses = []
    for e1, e2 in _STARTS:
        behind = lensing.source_position(Mass(radius, e1, e2), x[bright], y[bright])
        place = [float(np.clip(np.median(b), -1.0, 1.0)) for b in behind]
        guesses.append(np.array([radius, e1, e2, 0, 0, 0, 0, np.log(0.15), 1.2, 0, 0, *place]))
    return guesses
