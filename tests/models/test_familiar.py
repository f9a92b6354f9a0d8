"""What a model says of data that are not for it, measured on the real sky."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from jupyter_astroml.core.errors import DataError, ModelError
from jupyter_astroml.core.records import Cutouts, LightCurves
from jupyter_astroml.models import familiar
from jupyter_astroml.models.cards import FAMILIAR
from jupyter_astroml.models.loading import load
from jupyter_astroml.zoo.flares import real as flares_real
from jupyter_astroml.zoo.galaxy_morphology import real
from jupyter_astroml.zoo.galaxy_morphology.familiar import put_aside

RNG = np.random.default_rng(5)


def told(name, model, samples):
    """Print and return the share of the objects that are outside."""
    found = model.check(samples)
    share = float((found.status == "outside").mean())
    print(f"{name:34} {share:5.0%} of {len(samples)}")
    return share * len(samples), len(samples)


def changed(samples, function):
    return replace(samples, values=function(samples.values).astype(np.float32))


# What no header tells.
PICTURES = {
    "levels 0 to 255": lambda v: v * 255,
    "a negative": lambda v: 1 - v,
    "a linear stretch": lambda v: v**2,
    "a square root": np.sqrt,
    "a logarithm": lambda v: np.log10(1 + 1000 * v) / 3,
    "five times fainter": lambda v: v / 5,
    "three times brighter, saturated": lambda v: np.minimum(3 * v, 1),
    "the sky left in": lambda v: np.minimum(v + 0.3, 1),
    "noise of a bright moon": lambda v: v + RNG.normal(0, 0.15, v.shape),
    "the object far off the middle": lambda v: np.roll(v, (40, 40), (2, 3)),
    "an empty field": lambda v: RNG.normal(0.06, 0.03, v.shape),
    "a dead camera": np.zeros_like,
    "four times too coarse": lambda v: np.pad(
        v[:, :, ::4, ::4], ((0, 0), (0, 0), (48, 48), (48, 48)), mode="edge"
    ),
}
# What a network and these views hardly see, which is told and not hidden: the share only printed.
UNSEEN = {
    "bands in the wrong order, unnamed": lambda v: v[:, ::-1],
    "out of focus": lambda v: gaussian_filter(v, (0, 0, 4, 4)),
}
# What the data say of themselves.
SAID = {
    "other bands": lambda c: replace(c, bands=("z", "J", "K")),
    "one band": lambda c: replace(c, values=c.values[:, :1], bands=("r",)),
    "fluxes of no known unit": lambda c: replace(c, flux_unit="adu"),
    "a pixel scale of 4 arcsec": lambda c: replace(c, pixel_scale=np.full(len(c), 4.0)),
    "half the stamp": lambda c: replace(c, values=c.values[..., 32:96, 32:96]),
    "a third of the pixels lost": lambda c: changed(
        c, lambda v: np.where(RNG.random(v.shape) < 0.33, np.nan, v)
    ),
}


def test_pictures_that_do_not_suit_are_flagged_and_those_that_do_are_not(sky_data):
    model = load("galaxy_morphology")
    folder = sky_data / "galaxies_gz1" / "dev"
    usual, _ = real.read(folder, ids=put_aside(folder)[1][:200])
    wrong, n = told("as they should be", model, usual)
    assert n == 200
    assert wrong / n <= 0.05
    few = usual[:30]
    found = [told(name, model, changed(few, f)) for name, f in PICTURES.items()]
    found += [told(name, model, f(few)) for name, f in SAID.items()]
    for name, f in UNSEEN.items():
        told(name, model, changed(few, f))
    flagged, everything = np.sum(found, axis=0)
    print(f"{'mismatches together':34} {flagged / everything:5.1%} of {everything:.0f}")
    assert flagged / everything >= 0.95
    assert min(one / all_ for one, all_ in found) >= 0.8


def pieces(curves, *, width):
    """Cut light curves into pieces, leaving those out that are mostly a gap."""
    rows = [
        (
            curves.time[i, s : s + width],
            curves.values[i, s : s + width],
            curves.errors[i, s : s + width],
        )
        for i in range(len(curves))
        for s in range(0, int(curves.lengths()[i]) - width + 1, width)
    ]
    rows = [row for row in rows if np.ptp(row[0]) < 1.2 * width / 720]
    time, values, errors = (np.stack(part) for part in zip(*rows, strict=True))
    return LightCurves(
        ids=np.arange(len(time)), time=time, values=values, errors=errors, band="TESS"
    )


SERIES = {
    "rounded to a hundredth": lambda c: changed(c, lambda v: np.round(v, 2)),
    "a dead pixel": lambda c: changed(c, np.ones_like),
    "a cadence of 10 minutes": lambda c: replace(c, time=c.time * 5),
    "magnitudes": lambda c: replace(changed(c, lambda v: -2.5 * np.log10(v)), flux_unit="mag"),
    "another filter": lambda c: replace(c, band="Kepler"),
    "a third of the cadences lost": lambda c: changed(
        c, lambda v: np.where(RNG.random(v.shape) < 0.33, np.nan, v)
    ),
    "ten times the noise": lambda c: replace(
        changed(c, lambda v: v + RNG.normal(0, 0.05, v.shape)), errors=c.errors + 0.05
    ),
    "a third of the light curve": lambda c: replace(
        c, time=c.time[:, :266], values=c.values[:, :266], errors=c.errors[:, :266]
    ),
    "times out of order": lambda c: replace(c, time=c.time[:, ::-1]),
    "a sky that was taken off twice": lambda c: changed(c, lambda v: v - 1.0),
}


def test_light_curves_that_do_not_suit_are_flagged_and_those_that_do_are_not(sky_data):
    model = load("flares")
    curves, _ = flares_real.read(sky_data / "tess_flares" / "dev")
    usual = pieces(curves, width=800)
    wrong, n = told("as they should be", model, usual)
    assert n >= 50
    assert wrong / n <= 0.05
    few = usual[::3]
    found = [told(name, model, f(few)) for name, f in SERIES.items()]
    flagged, everything = np.sum(found, axis=0)
    print(f"{'mismatches together':34} {flagged / everything:5.1%} of {everything:.0f}")
    assert flagged / everything >= 0.95


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The flares in a folder of one's own."""
    folder = tmp_path / "flares_copy"
    shutil.copytree(load("flares").folder, folder)
    text = (folder / "card.yaml").read_text()
    (folder / "card.yaml").write_text(text.replace("id: flares", "id: flares_copy"))
    monkeypatch.setenv("ASTROML_MODEL_PATH", str(tmp_path))
    return folder


def flat():
    time = np.arange(500) / 720
    return LightCurves(
        ids=["flat"], time=time[None], values=np.ones((1, 500), np.float32), band="TESS"
    )


def test_statistics_that_somebody_changed_are_refused(copy):
    assert load("flares_copy").check(flat()).status.tolist() == ["outside"]
    path = copy / FAMILIAR
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    familiar._views_of.cache_clear()
    with pytest.raises(ModelError, match="not those of the card"):
        load("flares_copy").check(flat())


def test_a_model_without_statistics_is_checked_against_its_contract_only(copy):
    facts = json.loads((copy / "facts.json").read_text())
    (copy / "facts.json").write_text(json.dumps(facts | {"familiar": ""}))
    assert load("flares_copy").check(flat()).status.tolist() == ["fits"]


def test_a_handful_of_objects_sets_no_limit(copy):
    with pytest.raises(DataError, match="too little"):
        familiar.learn(load("flares_copy"), [np.ones((3, 500))], held_out=[np.ones((3, 500))])


def test_an_object_that_is_no_number_is_far_from_everything():
    view = familiar.View.of(RNG.normal(size=(50, 4)), components=2, seed=0)
    assert view.distance(np.array([[0, 0, 0, 0], [0, np.nan, 0, 0]])).tolist()[1] == np.inf


def test_a_fine_image_is_resampled_and_keeps_its_flux(sky_data):
    model = load("galaxy_morphology")
    blob = np.exp(-((np.indices((256, 256)) - 127.5) ** 2).sum(0) / 800).astype(np.float32)
    fine = Cutouts(
        ids=["a"],
        values=np.tile(blob, (1, 3, 1, 1)),
        bands=("g", "r", "i"),
        pixel_scale=[0.075],
        flux_unit="nanomaggy",
    )
    prepared = model.prepare(fine)
    assert "resampled from 0.075 to 0.15 arcsec/pixel" in prepared.fit.words()[0]
    assert prepared.samples.values.shape == (1, 3, 128, 128)
