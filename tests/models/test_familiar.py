"""What a model says of data that are not for it, measured on the real sky."""

import json
import re
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from jupyter_astroml.core.errors import DataError, ModelError
from jupyter_astroml.core.records import Cutouts, LightCurves
from jupyter_astroml.models import familiar
from jupyter_astroml.models.cards import FAMILIAR
from jupyter_astroml.models.catalogue import models
from jupyter_astroml.models.fit import ANY
from jupyter_astroml.models.loading import load
from jupyter_astroml.zoo.flares import real as flares_real
from jupyter_astroml.zoo.galaxy_morphology import real
from jupyter_astroml.zoo.galaxy_morphology.familiar import put_aside
from jupyter_astroml.zoo.lens_finder import real as lens_candidates
from jupyter_astroml.zoo.lens_model import simulate as simulated_lenses
from jupyter_astroml.zoo.radio_galaxies import real as radio_images
from jupyter_astroml.zoo.real_bogus import real as ztf
from jupyter_astroml.zoo.star_galaxy import real as star_cutouts

RNG = np.random.default_rng(5)
START = RNG.bit_generator.state
# What a model flags of mismatches, and at most of usual objects, unless its card says otherwise.
FLAGGED, USUAL = 0.95, 0.05
SAYS = re.compile(
    r"aml\.check flags ([\d.]+) % of \d+ kinds of injected mismatch and ([\d.]+) % of"
)


def told(name, model, samples):
    """Print and return the share of the objects that are outside."""
    found = model.check(samples)
    share = float((found.status == "outside").mean())
    print(f"{name:34} {share:5.0%} of {len(samples)}")
    return share


def judge(name, usual, kinds, *, few):
    """Inject every kind of mismatch, count them all, and hold the model to what its card says."""
    # Each model alone, whatever ran before.
    RNG.bit_generator.state = START
    model = load(name)
    wrong = told("as they should be", model, usual)
    found = [told(kind, model, f(few)) for kind, f in kinds.items()]
    flagged = float(np.mean(found))
    told_so = (
        f"aml.check flags {100 * flagged:.1f} % of {len(kinds)} kinds of injected mismatch and "
        f"{100 * wrong:.1f} % of usual objects"
    )
    print(f"{name}: {told_so}")
    said = SAYS.search(" ".join(model.card.limits))
    least, most = (float(n) / 100 for n in said.groups()) if said else (FLAGGED, USUAL)
    # Rounding on a card, or of another processor, is not a difference.
    assert flagged >= least - 0.01, f"among the limits of the card must stand: {told_so}"
    assert wrong <= most + 0.01, f"among the limits of the card must stand: {told_so}"
    return dict(zip(kinds, found, strict=True))


def changed(samples, function):
    return replace(samples, values=function(samples.values).astype(np.float32))


def changing(kinds):
    return {name: partial(changed, function=f) for name, f in kinds.items()}


def twice(v):
    """Magnify about the middle."""
    y, x = (np.arange(n) // 2 + n // 4 for n in v.shape[2:])
    return v[:, :, y[:, None], x]


def coarse(v, by):
    """Join pixels, as a coarser camera would, and repeat the edges."""
    small = v[:, :, ::by, ::by]
    pads = [(n - m) // 2 for n, m in zip(v.shape[2:], small.shape[2:], strict=True)]
    sides = [(p, n - m - p) for p, n, m in zip(pads, v.shape[2:], small.shape[2:], strict=True)]
    return np.pad(small, ((0, 0), (0, 0), *sides), mode="edge")


def noise_of(v):
    return 1.48 * np.nanmedian(np.abs(v - np.nanmedian(v)))


# What no header tells.
PICTURES = changing(
    {
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
        "four times too coarse": lambda v: coarse(v, 4),
        "bands in the wrong order, unnamed": lambda v: v[:, ::-1],
        "out of focus": lambda v: gaussian_filter(v, (0, 0, 4, 4)),
        "twice too large": twice,
    }
)
IMAGES = changing(
    {
        "a negative": lambda v: -v,
        "the sky left in": lambda v: v + 30 * noise_of(v),
        "five times the noise": lambda v: v + RNG.normal(0, 5 * noise_of(v), v.shape),
        "the object far off the middle": lambda v: np.roll(v, (20, 20), (2, 3)),
        "an empty field": lambda v: RNG.normal(0, noise_of(v), v.shape),
        "a dead camera": np.zeros_like,
        "twice too coarse": lambda v: coarse(v, 2),
        "twice too large": twice,
        "out of focus": lambda v: gaussian_filter(v, (0, 0, 4, 4)),
    }
)
# What the data say of themselves.
UNITLESS = "fluxes of no known unit"
SAID = {
    "other bands": lambda c: replace(c, bands=("V", "J", "K")[: len(c.bands)]),
    "a pixel scale of 4 arcsec": lambda c: replace(c, pixel_scale=np.full(len(c), 4.0)),
    "half the stamp": lambda c: replace(
        c, values=c.values[..., c.values.shape[-1] // 4 :, c.values.shape[-1] // 4 :][..., :32, :32]
    ),
    "a third of the pixels lost": lambda c: changed(
        c, lambda v: np.where(RNG.random(v.shape) < 0.33, np.nan, v)
    ),
    UNITLESS: lambda c: replace(c, flux_unit="furlong"),
}
ONE_BAND = {"one band": lambda c: replace(c, values=c.values[:, :1], bands=("r",))}


def galaxies(sky_data):
    folder = sky_data / "galaxies_gz1" / "dev"
    return real.read(folder, ids=put_aside(folder)[1][:200])[0], PICTURES | SAID | ONE_BAND


def candidates(sky_data):
    # Half of these set the limits, and the others are known: too few are there to put some aside.
    return lens_candidates.read(sky_data / "lens_candidates" / "dev")[0], PICTURES | SAID | ONE_BAND


def lenses(_):
    pytest.importorskip("lenstronomy")
    return simulated_lenses.simulate(60, seed=77)[0], IMAGES | SAID


def alerts(sky_data):
    # The quarter that neither is known nor set the limits.
    cutouts, _ = ztf.read(sky_data / "ztf_alerts" / "dev")
    mixed = changing({"images in the wrong order": lambda v: v[:, ::-1]})
    return cutouts[3::4], IMAGES | SAID | ONE_BAND | mixed


def stars(sky_data):
    # All have taught networks, or set the limits.
    cutouts, _ = star_cutouts.read(sky_data / "star_galaxy_cutouts" / "dev")
    return cutouts[::20], IMAGES | SAID


def radio_sources(sky_data):
    # Likewise. The other collection has lost its noise and its unit, as no archive's images have.
    cutouts, table = radio_images.read(sky_data / "radio_galaxies_first" / "dev")
    return cutouts[np.asarray(table["origin"] == "mirabest")][::4], IMAGES | SAID


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("galaxy_morphology", galaxies),
        ("lens_finder", candidates),
        ("lens_model", lenses),
        ("real_bogus", alerts),
        ("star_galaxy", stars),
        ("radio_galaxies", radio_sources),
    ],
)
def test_images_that_do_not_suit_are_flagged_and_those_that_do_are_not(sky_data, name, given):
    card = load(name).card
    if not card.facts.familiar:
        pytest.skip("brings no statistics of its training objects")
    usual, kinds = given(sky_data)
    if card.input.flux_unit == ANY:
        kinds = {kind: f for kind, f in kinds.items() if kind != UNITLESS}
    found = judge(name, usual, kinds, few=usual[:: len(usual) // 24])
    # What data say of themselves is never missed.
    assert min(found[kind] for kind in SAID if kind in kinds) == 1


def test_a_readme_repeats_what_the_card_says_of_mismatches():
    said = {e.folder: SAYS.search(" ".join(e.card.limits)) for e in models()}
    said = {folder: found.groups() for folder, found in said.items() if found}
    assert said
    for folder, shares in said.items():
        text = (folder / "README.md").read_text(encoding="utf-8")
        assert all(f"{share} % of" in text for share in shares), folder


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
    curves, _ = flares_real.read(sky_data / "tess_flares" / "dev")
    usual = pieces(curves, width=800)
    assert len(usual) >= 50
    judge("flares", usual, SERIES, few=usual[::3])


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
