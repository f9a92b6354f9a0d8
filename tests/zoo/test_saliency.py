"""What moves the answer of each model is the object that was drawn: this had to be learned."""

import numpy as np
import pytest
import torch
from lens_folder import lens_with_and_without_arcs

from jupyter_astroml.explain import attribute
from jupyter_astroml.models.loading import build, load
from jupyter_astroml.models.picture import lupton
from jupyter_astroml.zoo.flares.simulate import simulate_parts
from jupyter_astroml.zoo.galaxy_morphology import simulate as galaxies
from jupyter_astroml.zoo.radio_galaxies import simulate as radio
from jupyter_astroml.zoo.radio_galaxies.evaluate import light_of
from jupyter_astroml.zoo.real_bogus import simulate as alerts
from jupyter_astroml.zoo.star_galaxy import real
from jupyter_astroml.zoo.star_galaxy import simulate as stars

SHOWN = 4


def disc(side, radius):
    """Mark the pixels around the middle."""
    return np.hypot(*(np.indices((side, side)) - (side - 1) / 2)) < radius


def on_object(objects, others):
    """Return a judge of maps: weight of a pixel of the object, over that of another pixel."""

    def share(maps):
        planes = np.abs(maps).reshape(len(maps), -1, *objects[0].shape).sum(axis=1)
        rows = zip(planes, objects, others, strict=True)
        return np.mean([plane[here].mean() / plane[there].mean() for plane, here, there in rows])

    return share


def signs_of(change):
    """Return a judge of maps: cosine of the angle to a change that the answer should notice."""
    where = np.abs(change) > 0.05 * np.abs(change).max(axis=(1, 2, 3), keepdims=True)

    def agreement(maps):
        a, b = maps * where, change * where
        long = np.sqrt(np.sum(a**2, axis=(1, 2, 3)) * np.sum(b**2, axis=(1, 2, 3)))
        return np.mean(np.sum(a * b, axis=(1, 2, 3)) / long)

    return agreement


def flares():
    """Cadences of a flare, and those around it that the window holds."""
    made = simulate_parts(60, seed=77, cadences=600, active=1.0)
    peaks = made.flare_flux.argmax(axis=1)
    heights = made.flare_flux.max(axis=1) / made.stars["noise"]
    rows = np.flatnonzero((heights > 8) & (peaks > 150) & (peaks < 450))[:SHOWN]
    near = np.abs(np.arange(600) - peaks[rows, None]) < 100
    lit = near & (made.flare_flux[rows] > 0.1 * made.flare_flux[rows].max(axis=1)[:, None])
    values = load("flares").prepare(made.curves).samples.values[rows]
    return values, peaks[rows], on_object(lit, near & ~lit)


def galaxy_morphology():
    """Arms of a spiral, by their signs: light on the arms and none between them."""
    _, truth = galaxies.simulate(SHOWN, seed=31, classes=("spiral",))
    bands, rng, pictures, change = ("g", "r", "i"), np.random.default_rng(31), [], []
    for row in truth:
        spiral = dict(zip(truth.colnames, row, strict=True)) | {"arm_strength": 0.9}
        arms, smooth = (
            galaxies.draw(spiral | less, bands=bands)
            for less in ({}, {"arm_strength": 0.0, "knot_fraction": 0.0})
        )
        pictures.append(lupton(galaxies.noise(arms, bands=bands, rng=rng)[0], bands))
        change.append(lupton(arms, bands) - lupton(smooth, bands))
    return np.stack(pictures), galaxies.CLASSES.index("spiral"), signs_of(np.stack(change))


def lens_finder():
    """Arcs of a lens, and all else around it."""
    pytest.importorskip("lenstronomy")
    fields = [lens_with_and_without_arcs(seed) for seed in range(SHOWN)]
    arcs, seen = np.stack([at for *_, at in fields]), disc(128, 40)
    return np.stack([lens for lens, *_ in fields]), 1, on_object(arcs, seen & ~arcs)


def lens_model():
    """Arcs of a lens, and the pixels without them; the Einstein radius is asked for."""
    pytest.importorskip("lenstronomy")
    from jupyter_astroml.zoo.lens_model import simulate

    rng = np.random.default_rng(11)
    scenes = [simulate.scene(rng=rng) for _ in range(SHOWN)]
    arcs = np.stack([scene.arcs > 0.1 * scene.arcs.max() for scene in scenes])
    values = np.stack([simulate.taken(scene, rng=rng) for scene in scenes])
    return values[:, None].astype(np.float32), 0, on_object(arcs, ~arcs)


def radio_galaxies():
    """Jets of a source, and a bright source beside it that is none of its own."""
    cutouts, _ = radio.simulate(SHOWN, seed=8, classes=("fr2",))
    y, x = np.indices((150, 150)) - 120
    values = cutouts.values.copy()
    for image in values[:, 0]:
        image += 0.5 * image.max() * np.exp(-(x**2 + y**2) / 4.5)
    light, stranger = light_of(values)[:, 0] > 0, np.hypot(x, y) < 8
    return values, 1, on_object(light & ~stranger, light & stranger)


def real_bogus():
    """A circle around the detection, one pixel in fifty, and the rest of the stamps."""
    cutouts, _ = alerts.simulate(SHOWN, seed=902, kinds=("lone",))
    near = np.broadcast_to(disc(63, 5), (SHOWN, 63, 63))
    values = load("real_bogus").prepare(cutouts).samples.values
    return values, alerts.CLASSES.index("real"), on_object(near, ~near)


def star_galaxy():
    """What would make a galaxy of a star, by the signs: less light in the middle, more around."""
    rng, shape = np.random.default_rng(5), {"size": stars.SIZE}
    values = np.zeros((SHOWN, 6, stars.SIZE, stars.SIZE), dtype=np.float32)
    change = np.zeros_like(values)
    for image, difference in zip(values, change, strict=True):
        seeing = rng.uniform(1.0, 1.6)
        galaxy = stars._drawn("disc", rng.uniform(0.8, 1.8), 0.7, seeing, rng, **shape)
        star = stars._drawn(None, 0.0, 1.0, seeing, rng, **shape)
        # Nanomaggies of r = 20.
        flux = 10.0 * np.array([0.15, 0.5, 1.0, 1.4, 1.7])[:, None, None]
        noise = stars._NOISE[:, None, None] * rng.standard_normal((5, stars.SIZE, stars.SIZE))
        image[1:], difference[1:] = flux * star + noise, flux * (galaxy - star)
    return values, real.CLASSES.index("galaxy"), signs_of(change)


# How much more a pixel of the object weighs, at least, or how alike the signs are.
LEAST = {
    flares: 2.0,
    galaxy_morphology: 0.05,
    lens_finder: 2.0,
    lens_model: 2.0,
    radio_galaxies: 2.0,
    real_bogus: 5.0,
    star_galaxy: 0.3,
}


@pytest.mark.parametrize(
    ("case", "least"), LEAST.items(), ids=lambda part: getattr(part, "__name__", "")
)
def test_maps_lie_on_the_object_and_those_of_untaught_weights_do_not(case, least):
    values, targets, judge = case()
    model = load(case.__name__)
    torch.manual_seed(3)
    untaught = build(model.card).eval()

    def told(module):
        return judge(attribute(module, values, targets=targets, noise=0.1, samples=4))

    learned = told(model.module)
    assert learned > least
    assert learned > 1.5 * told(untaught)
