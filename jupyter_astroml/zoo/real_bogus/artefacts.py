"""What cameras and pipelines take for light: each artefact as what it adds to the three images.

Shapes follow what people found in surveys (Bloom et al. 2012, PASP 124, 1175; Goldstein et al.
2015, AJ 150, 82; Duev et al. 2019, MNRAS 489, 3582) and the look of public alerts; all are drawn
from formulas.
Each artefact lies on or near the middle of the canvas, with an amplitude of order one: the
simulation scales it to the significance that it draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from jupyter_astroml.zoo.real_bogus.scene import CANVAS, MIDDLE, Night, Psf


def _empty() -> np.ndarray:
    return np.zeros((CANVAS, CANVAS))


@dataclass(frozen=True, eq=False)
class Marks:
    """What an artefact adds.

    Attributes
    ----------
    science, template : ndarray, shape (CANVAS, CANVAS)
        Light that appears in one of the images, and so in the difference.
    residual : ndarray, shape (CANVAS, CANVAS)
        Light that the subtraction itself makes.
    mask : ndarray of bool, shape (CANVAS, CANVAS)
        Pixels without a value.
    """

    science: np.ndarray = field(default_factory=_empty)
    template: np.ndarray = field(default_factory=_empty)
    residual: np.ndarray = field(default_factory=_empty)
    mask: np.ndarray = field(default_factory=lambda: _empty() > 0)

    @property
    def difference(self) -> np.ndarray:
        """What appears in science minus template."""
        return self.science - self.template + self.residual

    def times(self, factor: float) -> Marks:
        """Return brighter or fainter marks; what is masked stays so."""
        return Marks(
            factor * self.science, factor * self.template, factor * self.residual, self.mask
        )

    def with_(self, other: Marks) -> Marks:
        """Return the marks of both."""
        return Marks(
            self.science + other.science,
            self.template + other.template,
            self.residual + other.residual,
            self.mask | other.mask,
        )

    def moved(self, dy: int, dx: int) -> Marks:
        """Return the marks elsewhere; what leaves the canvas is lost."""
        return Marks(
            *(_moved(a, dy, dx) for a in (self.science, self.template, self.residual, self.mask))
        )


def _moved(image: np.ndarray, dy: int, dx: int) -> np.ndarray:
    found = np.zeros_like(image)
    into = tuple(slice(max(d, 0), CANVAS + min(d, 0)) for d in (dy, dx))
    out_of = tuple(slice(max(-d, 0), CANVAS + min(-d, 0)) for d in (dy, dx))
    found[into] = image[out_of]
    return found


def cosmic_ray(night: Night, rng: np.random.Generator) -> Marks:
    """Charge along a straight path, as sharp as pixels are, and of no regular brightness."""
    length = 0.0 if rng.random() < 0.45 else float(rng.exponential(5.0))
    angle, start = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.5, 2) + MIDDLE
    steps = np.arange(0, length + 0.25, 0.25)
    y, x = start[0] + steps * np.sin(angle), start[1] + steps * np.cos(angle)
    charge = np.exp(0.6 * rng.standard_normal(len(steps)))
    light = _empty()
    rows, columns = np.rint(y).astype(int), np.rint(x).astype(int)
    inside = ((rows >= 0) & (rows < CANVAS) & (columns >= 0) & (columns < CANVAS)).nonzero()[0]
    np.add.at(light, (rows[inside], columns[inside]), charge[inside])
    # Charge diffuses a little before it is read.
    return Marks(science=_spilled(light, rng.uniform(0.0, 0.12)))


def _spilled(light: np.ndarray, share: float) -> np.ndarray:
    from scipy.ndimage import convolve

    kernel = np.array([[0, share, 0], [share, 1 - 4 * share, share], [0, share, 0]])
    return convolve(light, kernel, mode="constant")


def hot_pixel(night: Night, rng: np.random.Generator) -> Marks:
    """One or a few pixels that are always bright, or dead, often with a trace along the column."""
    sign = -1.0 if rng.random() < 0.55 else 1.0
    light = _empty()
    height, width = (1, 1) if rng.random() < 0.45 else rng.integers(1, 4, 2)
    light[MIDDLE : MIDDLE + height, MIDDLE : MIDDLE + width] = sign * np.exp(
        0.4 * rng.standard_normal((height, width))
    )
    if rng.random() < 0.35:
        trace = rng.uniform(0.02, 0.15) * (1.0 if rng.random() < 0.6 else -1.0)
        light[:, MIDDLE : MIDDLE + width] += trace * sign
    light = _spilled(light, rng.uniform(0.0, 0.08))
    return Marks(science=_turned(light, rng))


def column(night: Night, rng: np.random.Generator) -> Marks:
    """A column, or a row, of another level, whole or from the middle to the edge."""
    sign = -1.0 if rng.random() < 0.5 else 1.0
    width = int(rng.integers(1, 4))
    light = _empty()
    first = MIDDLE if rng.random() < 0.4 else 0
    level = 1.0 + rng.uniform(0.0, 0.4) * rng.standard_normal(CANVAS)
    light[first:, MIDDLE : MIDDLE + width] = sign * level[first:, None]
    return Marks(science=_turned(light, rng))


def _turned(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.rot90(light, int(rng.integers(4)))


def trail(night: Night, rng: np.random.Generator) -> Marks:
    """A satellite or an aeroplane: a line across the image, steady or flashing."""
    angle = rng.uniform(0, np.pi)
    along, across = _axes(angle)
    width = night.psf.fwhm / 2.355 * rng.uniform(0.9, 2.2)
    light = np.exp(-0.5 * (across / width) ** 2)
    if rng.random() < 0.35:
        period, duty = rng.uniform(8, 60), rng.uniform(1.0, 4.0)
        light = light * (0.15 + np.exp(duty * (np.cos(2 * np.pi * along / period) - 1)))
    if rng.random() < 0.15:
        light = light * (along > 0)
    return Marks(science=light)


def _axes(angle: float) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.indices((CANVAS, CANVAS)) - MIDDLE
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def ghost(night: Night, rng: np.random.Generator) -> Marks:
    """Light of a bright star that lenses sent back: a disc or a ring, wide and faint."""
    radius, at = rng.uniform(5, 22), rng.uniform(0, 2 * np.pi)
    y, x = np.indices((CANVAS, CANVAS)) - MIDDLE
    r = np.hypot(y - radius * np.sin(at), x - radius * np.cos(at))
    soft = rng.uniform(0.6, 3.0)
    disc = 1.0 / (1.0 + np.exp((r - radius) / soft))
    hole = 1.0 / (1.0 + np.exp((r - rng.uniform(0.4, 0.9) * radius) / soft))
    ring = disc - rng.uniform(0.0, 1.0) * hole
    return Marks(science=ring * (1.0 + 0.3 * x / CANVAS * rng.standard_normal()))


def spike(night: Night, rng: np.random.Generator) -> Marks:
    """A ray of a bright star, on which the subtraction leaves beads of light."""
    angle, far = rng.uniform(0, np.pi), rng.uniform(6, 45)
    along, across = _axes(angle)
    width = rng.uniform(0.7, 1.6)
    away = np.abs(along + far)
    ray = np.exp(-0.5 * (across / width) ** 2) * np.exp(-away / rng.uniform(10, 40))
    phase, period = rng.uniform(0, 2 * np.pi), rng.uniform(3, 15)
    beads = 1.0 + rng.uniform(0.2, 1.2) * np.cos(2 * np.pi * along / period + phase)
    # The rays of the template have turned, or are those of another depth.
    other = rng.uniform(0.2, 1.0) * np.exp(
        -0.5 * ((across - rng.uniform(-2, 2)) / width) ** 2 - away / rng.uniform(10, 40)
    )
    halo = 0.3 * np.exp(-np.hypot(along + far, across) / rng.uniform(4, 12))
    y, x = MIDDLE - far * np.sin(angle), MIDDLE - far * np.cos(angle)
    block = star_mask(y, x, rng).mask
    if rng.random() < 0.3 or block[MIDDLE - 6 : MIDDLE + 7, MIDDLE - 6 : MIDDLE + 7].any():
        block = _empty() > 0
    return Marks(science=ray * beads + halo, template=other + halo, mask=block)


def noise(night: Night, rng: np.random.Generator) -> Marks:
    """A peak of the noise where it is larger, or longer correlated, than the pipeline thinks."""
    from scipy.ndimage import gaussian_filter, maximum_filter

    y, x = np.indices((CANVAS, CANVAS)) - MIDDLE
    patch = np.exp(-0.5 * (y**2 + x**2) / rng.uniform(1.5, 12.0) ** 2)
    rough = gaussian_filter(rng.standard_normal((CANVAS, CANVAS)), rng.uniform(0.0, 0.9))
    rough *= patch
    # Its own highest peak is what a pipeline picks.
    top = np.unravel_index(np.argmax(rough * (maximum_filter(rough, 3) == rough)), rough.shape)
    return Marks(science=_moved(rough, MIDDLE - int(top[0]), MIDDLE - int(top[1])))


def bad_template(night: Night, rng: np.random.Generator) -> Marks:
    """A hole, a hit of a cosmic ray or a ghost in the template."""
    kind = rng.integers(3)
    if kind == 0:
        y, x = np.indices((CANVAS, CANVAS)) - MIDDLE
        size, power = rng.uniform(0.8, 3.5), rng.uniform(1.5, 6.0)
        r = np.hypot(y * rng.uniform(0.7, 1.4), x) / size
        hole = np.exp(-(r**power))
        return Marks(template=-hole)
    source = cosmic_ray if kind == 1 else ghost
    return Marks(template=source(night, rng).science)


def edge(night: Night, rng: np.random.Generator) -> Marks:
    """The end of the chip, straight or ragged, with a rim that does not subtract."""
    angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(1.0, 7.0)
    if rng.random() < 0.8:
        angle = np.pi / 2 * rng.integers(4)
    along, across = _axes(angle)
    place = far + _ragged(rng)[np.clip(np.rint(across).astype(int) + CANVAS, 0, 2 * CANVAS)]
    mask = along > place
    decay = rng.uniform(0.7, 3.0)
    rim = np.exp((along - place) / decay) * ~mask
    beads = np.exp(-0.5 * (across / rng.uniform(0.8, 6.0)) ** 2)
    wave = np.cos(across * rng.uniform(0.3, 2.5)) if rng.random() < 0.4 else 1.0
    sign = -1.0 if rng.random() < 0.4 else 1.0
    return Marks(science=sign * rim * beads * wave, mask=mask)


def _ragged(rng: np.random.Generator) -> np.ndarray:
    """Return how far a border leaves the straight line, at each pixel along it."""
    if rng.random() < 0.5:
        return np.zeros(2 * CANVAS + 1)
    steps = rng.integers(0, 5, 2 * CANVAS + 1)
    return np.repeat(steps, rng.integers(2, 9))[: 2 * CANVAS + 1].astype(float)


def blind_edge(night: Night, rng: np.random.Generator) -> Marks:
    """The end of the chip somewhere in the stamp, with nothing of note on it."""
    found = edge(night, rng)
    dy, dx = (int(v) for v in np.rint(rng.uniform(-20, 20, 2)))
    mask = _moved(found.mask, dy, dx)
    near = mask[MIDDLE - 4 : MIDDLE + 5, MIDDLE - 4 : MIDDLE + 5]
    return Marks() if near.any() else Marks(mask=mask)


def star_mask(y: float, x: float, rng: np.random.Generator) -> Marks:
    """The block of pixels that pipelines leave out around a star that fills its pixels."""
    rows, columns = np.indices((CANVAS, CANVAS))
    half = rng.uniform(4, 13)
    dy, dx = np.abs(rows - y), np.abs(columns - x)
    corner = rng.uniform(1.3, 2.0)
    return Marks(mask=(dy < half) & (dx < half * rng.uniform(0.8, 1.2)) & (dy + dx < corner * half))


def bleeding(y: float, x: float, psf: Psf, rng: np.random.Generator) -> np.ndarray:
    """Charge that overflows along rows, and what subtracting it leaves; of order one."""
    rows, columns = np.indices((CANVAS, CANVAS))
    dy, dx = rows - y, columns - x
    width, length = rng.uniform(0.6, 2.0), rng.uniform(4, 25)
    streak = np.exp(-0.5 * (dy / width) ** 2 - np.abs(dx) / length)
    wave = np.cos(np.pi * (rows + columns)) if rng.random() < 0.4 else rng.standard_normal(dy.shape)
    ringing = wave * np.exp(-np.hypot(dy, dx) / rng.uniform(2, 6))
    return rng.uniform(-1, 1) * streak + rng.uniform(0, 0.6) * ringing


# Artefacts that are light of their own; the others are what subtraction makes of a star.
DRAWN: dict[str, Callable[[Night, np.random.Generator], Marks]] = {
    "cosmic_ray": cosmic_ray,
    "hot_pixel": hot_pixel,
    "column": column,
    "trail": trail,
    "ghost": ghost,
    "spike": spike,
    "noise": noise,
    "bad_template": bad_template,
    "edge": edge,
}
