"""Spectra and the grid of a model: what is converted is right, what does not fit is told."""

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u

from jupyter_astroml.core.records import Spectra
from jupyter_astroml.models.cards import Card
from jupyter_astroml.models.contract import check, prepare
from jupyter_astroml.models.conversions import air, rebinned, vacuum

FLAM = "1e-17 erg / (s cm2 Angstrom)"
GRID = {
    "low": 5000,
    "high": 5400,
    "unit": "Angstrom",
    "step": 2e-5,
    "spacing": "log",
    "medium": "vacuum",
    "frame": "observed",
}


def card(**changes):
    wanted = {
        "kind": "spectra",
        "flux_unit": "continuum",
        "wavelength": GRID,
        "signal_to_noise": {"low": 20, "high": 2000, "unit": ""},
    }
    return Card.model_validate(
        {
            "format": 1,
            "id": "stars",
            "version": "1",
            "title": "t",
            "task": "classify",
            "description": "d",
            "input": wanted | changes,
            "outputs": {"axis": "class", "names": ["a", "b"]},
            "network": {"architecture": "some_network"},
            "baseline": "b",
            "datasets": [],
            "limits": [],
            "licence": "BSD-3-Clause",
            "citations": [],
        }
    )


MODEL = card()
WAVE = MODEL.input.wavelength.middles
LINES = np.random.default_rng(5).uniform(4980, 5420, 60)
DEPTHS = np.random.default_rng(6).uniform(0.1, 0.8, 60)


def star(wave, *, shift=0.0):
    """Absorption lines, 0.6 Å wide, at angstroms in vacuum."""
    depth = DEPTHS * np.exp(-0.5 * ((wave[:, None] - LINES * (1 + shift)) / 0.6) ** 2)
    return np.exp(-depth.sum(axis=1))


def spectra(n=4, *, wave=WAVE, noise=0.01, seed=0, **changes):
    """The same star n times, with a little velocity and noise of its own."""
    rng = np.random.default_rng(seed)
    flux = np.stack([star(wave, shift=v) for v in rng.normal(0, 1e-6, n)])
    given = {
        "ids": [str(i) for i in range(n)],
        "wavelength": np.tile(wave, (n, 1)),
        "values": (flux + rng.normal(0, noise, flux.shape)).astype(np.float32),
        "errors": np.full(flux.shape, noise, np.float32),
        "medium": "vacuum",
        "frame": "observed",
    }
    return Spectra(**{**given, **changes})


def cut(given, keep):
    """Return the pixels that are kept."""
    return replace(
        given,
        wavelength=given.wavelength[:, keep],
        values=given.values[:, keep],
        errors=given.errors[:, keep],
    )


def holes(given, share, *, seed=3):
    lost = np.random.default_rng(seed).random(given.values.shape) < share
    return replace(given, values=np.where(lost, np.nan, given.values))


def slope(given, factor):
    """Multiply with what falls by `factor` from the first pixel to the last."""
    return replace(given, values=given.values * np.linspace(1, factor, given.values.shape[1]))


FINE = np.arange(4990, 5410, 0.05)
COARSE = np.arange(4990, 5410, 0.7)

# What is converted, and a word of how.
CONVERTED = {
    "air": (lambda: spectra(wavelength=np.tile(air(WAVE), (4, 1)), medium="air"), "in air"),
    "nanometres": (
        lambda: replace(spectra(), wavelength=np.tile(WAVE / 10, (4, 1)), wave_unit="nm"),
        "nm turned into",
    ),
    "frequency": (
        lambda: replace(
            spectra(), wavelength=np.tile(299792.458e13 / WAVE / 1e9, (4, 1)), wave_unit="GHz"
        ),
        "GHz turned into",
    ),
    "falling": (lambda: cut(spectra(), slice(None, None, -1)), "turned round"),
    "finer": (lambda: spectra(wave=FINE, noise=0.02), "resampled"),
    "holes": (lambda: holes(spectra(), 0.05), "interpolated"),
}

# What is outside, and a word of why.
OUTSIDE = {
    "medium unknown": (lambda: spectra(medium=""), "air or in vacuum: lines may be off by 6"),
    "ends early": (lambda: cut(spectra(), WAVE < 5380), "5000 to 5379"),
    "begins late": (lambda: cut(spectra(), WAVE > 5020), "5020"),
    "elsewhere": (lambda: replace(spectra(), wavelength=spectra().wavelength + 2000), "7000"),
    "nanometres called angstroms": (
        lambda: replace(spectra(), wavelength=spectra().wavelength / 10),
        "500 to 539.995 Angstrom",
    ),
    "wavelengths without a unit": (lambda: spectra(wave_unit=""), "wavelengths is unknown"),
    "wavelengths in another unit": (lambda: spectra(wave_unit="Jy"), "wavelengths in Jy"),
    "wavelengths in no unit": (lambda: spectra(wave_unit="log(A)"), "wavelengths in log(A)"),
    "many holes": (lambda: holes(spectra(), 0.4), "of the pixels are missing"),
    "nothing": (lambda: holes(spectra(), 1.1), "no usable pixel"),
    "noisy": (lambda: spectra(noise=0.1), "signal-to-noise ratio"),
    "noisy and fine": (lambda: spectra(wave=FINE, noise=0.15), "signal-to-noise ratio"),
    "unsorted": (
        lambda: cut(spectra(), np.random.default_rng(1).permutation(len(WAVE))),
        "neither rise nor fall",
    ),
    "two orders": (
        lambda: cut(spectra(), np.r_[0:1000, 900 : len(WAVE)]),
        "neither rise nor fall",
    ),
    "flux as it came": (
        lambda: replace(spectra(), values=80 * spectra().values, errors=80 * spectra().errors),
        "not normalised",
    ),
    "flux with a unit": (lambda: spectra(flux_unit=FLAM), "not over its continuum"),
    "over the median": (lambda: spectra(flux_unit="relative"), "not over its continuum"),
    "sloped": (lambda: slope(spectra(), 0.6), "not normalised"),
    "coarse": (lambda: spectra(wave=COARSE, noise=0.005), "times as wide"),
    "another frame": (lambda: spectra(frame="rest"), "not in the observed frame"),
}


def test_spectra_in_the_contract_fit_and_are_not_touched():
    given = spectra(20)
    prepared = prepare(MODEL, given)
    assert set(prepared.fit.words()) == {"fits"}
    np.testing.assert_array_equal(prepared.samples.values, given.values)


@pytest.mark.parametrize("name", CONVERTED)
def test_what_can_be_converted_comes_out_as_the_star_that_it_was(name):
    make, word = CONVERTED[name]
    prepared = prepare(MODEL, make())
    assert set(prepared.fit.status) == {"converted"}
    assert all(word in told for told in prepared.fit.words())
    assert prepared.samples.values.shape == (4, len(WAVE))
    assert prepared.samples.medium == "vacuum"
    # The noise of 0.01 is left, and no pattern of lines that stand beside their places.
    assert np.std(prepared.samples.values - star(WAVE)) < 0.013


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_does_not_fit_says_why_and_still_has_the_shape_of_the_network(name):
    make, word = OUTSIDE[name]
    prepared = prepare(MODEL, make())
    assert set(prepared.fit.status) == {"outside"}
    assert all(word in told for told in prepared.fit.words()), prepared.fit.words()[0]
    assert prepared.samples.values.shape == (4, len(WAVE))
    assert np.isfinite(prepared.samples.values).all()


def test_injected_mismatches_are_flagged_and_good_spectra_are_not():
    """One table of figures over all kinds, each with several seeds of noise."""
    good = [spectra(50, seed=s, noise=noise) for s, noise in enumerate((0.005, 0.02, 0.04))]
    wrong = np.concatenate([check(MODEL, each).status != "fits" for each in good])
    kinds = {**OUTSIDE, **CONVERTED}
    flagged = {name: check(MODEL, make()).status != "fits" for name, (make, _) in kinds.items()}
    every = np.concatenate(list(flagged.values()))
    print(f"{every.mean():.3f} of {len(every)} flagged, {wrong.mean():.3f} of {len(wrong)} falsely")
    assert every.mean() >= 0.95
    assert wrong.mean() <= 0.05


def test_one_bad_spectrum_does_not_touch_its_neighbours():
    given = spectra(3)
    given.wavelength[1] = given.wavelength[1][::-1]
    given.values[2, : len(WAVE) // 2] = np.nan
    status = prepare(MODEL, given)
    assert status.fit.status.tolist() == ["fits", "converted", "outside"]
    np.testing.assert_array_equal(status.samples.values[0], given.values[0])


def test_a_shorter_spectrum_may_be_padded():
    wide = spectra(2, wave=np.concatenate([WAVE, WAVE[-1] + 0.25 * np.arange(1, 50)]))
    wide.values[1, len(WAVE) :] = np.nan
    wide.wavelength[1, len(WAVE) :] = WAVE[-1]
    assert check(MODEL, wide).words().tolist() == ["converted: resampled", "fits"]


def test_pixels_that_the_errors_call_bad_are_bridged():
    given = spectra(1)
    given.values[0, 100:110], given.errors[0, 100:110] = 50.0, 1e3
    given.values[0, 200], given.errors[0, 200] = 9.0, np.inf
    prepared = prepare(MODEL, given)
    assert prepared.fit.words()[0] == "converted: 0.7% of the pixels interpolated"
    assert prepared.samples.values.max() < 1.1


def test_without_errors_the_noise_is_unknown():
    assert check(MODEL, spectra(1, errors=None)).words()[0] == (
        "fits: the signal-to-noise ratio is unknown"
    )


def test_an_unknown_medium_matters_only_where_pixels_are_narrow():
    rough = card(wavelength={**GRID, "step": 5e-4}, signal_to_noise=None)
    words = check(rough, spectra(medium="")).words()[0]
    assert words.startswith("converted: nobody tells whether the wavelengths are in air")


def test_a_model_may_ask_for_air():
    inair = card(wavelength={**GRID, "medium": "air"})
    given = spectra(wave=np.arange(4980, 5420, 0.1), noise=0.01)
    prepared = prepare(inair, given)
    assert "vacuum turned into those in air" in prepared.fit.words()[0]
    # Na I would stand at 5889.95 in air and 5891.58 in vacuum; here the lines of the star do.
    assert np.std(prepared.samples.values - star(vacuum(WAVE))) < 0.013


# Units of the flux


def test_a_flux_per_frequency_becomes_one_per_wavelength():
    flat = card(flux_unit="relative", signal_to_noise=None)
    constant = np.ones((1, len(WAVE)), np.float32)
    given = spectra(1, values=constant, errors=None, flux_unit="Jy")
    prepared = prepare(flat, given)
    assert prepared.fit.words()[0] == "converted: flux divided by its median"
    expected = WAVE**-2.0
    np.testing.assert_allclose(prepared.samples.values[0], expected / np.median(expected), 1e-5)
    asked = card(flux_unit="erg / (s cm2 Angstrom)", signal_to_noise=None)
    prepared = prepare(asked, given)
    by_hand = (1 * u.Jy).to(asked.input.flux_unit, u.spectral_density(WAVE * u.AA)).value
    np.testing.assert_allclose(prepared.samples.values[0], by_hand, 1e-5)
    assert prepared.fit.words()[0] == f"converted: Jy turned into {asked.input.flux_unit}"


@pytest.mark.parametrize("unit", ["mag", "K", "furlong"])
def test_what_is_no_flux_is_outside(unit):
    flat = card(flux_unit="relative")
    assert check(flat, spectra(1, flux_unit=unit)).status.tolist() == ["outside"]
    asked = card(flux_unit=FLAM)
    assert f"values in {unit}, not" in check(asked, spectra(1, flux_unit=unit)).words()[0]


def test_counts_are_summed_and_flux_densities_are_averaged():
    wide = card(
        flux_unit="any",
        wavelength={**GRID, "low": 5001, "high": 5399, "step": 2, "spacing": "linear"},
        signal_to_noise=None,
    )
    fine = np.arange(4990, 5410, 0.5)
    values = np.random.default_rng(1).uniform(1, 2, (1, len(fine))).astype(np.float32)
    counts = prepare(wide, spectra(1, wave=fine, values=values, errors=None, flux_unit="ct"))
    flux = prepare(wide, spectra(1, wave=fine, values=values, errors=None, flux_unit=FLAM))
    np.testing.assert_allclose(counts.samples.values, 4 * flux.samples.values, rtol=1e-5)
    # Pixels of 2 Å from 5000 to 5400 hold what was in these 400 Å.
    inside = (fine > 5000) & (fine < 5400)
    halves = 0.5 * (values[0, fine == 5000][0] + values[0, fine == 5400][0])
    assert counts.samples.values.sum() == pytest.approx(values[0, inside].sum() + halves, rel=1e-5)


def test_the_integral_is_kept_whatever_the_pixels():
    rng = np.random.default_rng(4)
    have = np.cumsum(rng.uniform(0.8, 1.2, 500))
    flux = rng.uniform(0, 1, 500)
    want = np.arange(50.0, 400.0, 3.7)
    found = rebinned(flux, have, want)
    edges = np.concatenate([have[:1] - 0.5, (have[1:] + have[:-1]) / 2, have[-1:] + 0.5])
    whole = np.concatenate([[0], np.cumsum(flux * np.diff(edges))])
    ends = want[0] - 1.85, want[-1] + 1.85
    assert found.sum() * 3.7 == pytest.approx(np.diff(np.interp(ends, edges, whole))[0])


def test_a_gap_between_detectors_stays_a_gap():
    have = np.concatenate([np.arange(0.0, 100), np.arange(150.0, 250)])
    found = rebinned(np.ones(200), have, np.arange(0.0, 250))
    assert np.isnan(found[102:148]).all()
    assert np.isfinite(found[:99]).all()


def test_a_grid_with_gaps_asks_nothing_of_what_is_in_them():
    chips = card(wavelength={**GRID, "gaps": [[5100.0, 5150.0], [5200.0, 5300.0]]})
    wave = chips.input.wavelength.middles
    assert not ((wave > 5100) & (wave < 5150)).any()
    assert "pixels with 2 gaps" in chips.input.words
    given = spectra(wave=wave)
    prepared = prepare(chips, given)
    assert set(prepared.fit.words()) == {"fits"}
    np.testing.assert_array_equal(prepared.samples.values, given.values)
    # Of whole spectra the pixels beside a gap get their own light, and none of the gap's.
    whole = prepare(chips, spectra(wave=FINE, noise=0.02))
    assert set(whole.fit.status) == {"converted"}
    assert np.std(whole.samples.values - star(wave)) < 0.013
    assert set(check(MODEL, given).status) == {"outside"}


def test_no_objects_at_all_are_no_trouble():
    assert prepare(MODEL, spectra(1)[:0]).samples.values.shape == (0, len(WAVE))


# The card


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"low": 5400, "high": 5000}, "not above"),
        ({"high": float("inf")}, "not above"),
        ({"high": float("nan")}, "not above"),
        ({"unit": "s"}, "no length"),
        ({"unit": "furlong"}, "no unit"),
        # astropy would reckon for minutes.
        ({"unit": "10**99999999 m"}, "no unit"),
        ({"pixels": 100}, "either"),
        ({"step": None}, "either"),
        ({"step": 1e-12}, "2 to 1000000 pixels"),
        ({"step": 1.0}, "2 to 1000000 pixels"),
        ({"medium": "water"}, "medium"),
        ({"gaps": [[0, 1e9]]}, "leave no pixels"),
    ],
)
def test_a_grid_that_is_none_is_refused(changes, why):
    with pytest.raises(ValueError, match=why):
        card(wavelength={**GRID, **changes})


def test_steps_and_numbers_of_pixels_say_the_same():
    stepped = card(wavelength={**GRID, "high": 5001, "step": 0.1, "spacing": "linear"})
    counted = card(
        wavelength={**GRID, "high": 5001, "step": None, "pixels": 11, "spacing": "linear"}
    )
    np.testing.assert_allclose(
        stepped.input.wavelength.middles, counted.input.wavelength.middles, rtol=1e-12
    )
    assert stepped.input.shape == counted.input.shape == (11,)
    ratio = WAVE[1:] / WAVE[:-1]
    np.testing.assert_allclose(ratio, 10**2e-5, rtol=1e-12)


def test_a_card_says_what_spectra_it_takes():
    assert MODEL.input.words == (
        "spectra, 5000 to 5400 Angstrom in vacuum, observed frame, 1672 logarithmic pixels, "
        "flux over its continuum"
    )
    assert "1672 logarithmic pixels" in MODEL._repr_html_()


def test_kinds_have_axes_of_their_own():
    with pytest.raises(ValueError, match="'wavelength' go together"):
        card(wavelength=None)
    with pytest.raises(ValueError, match="neither a size nor bands"):
        card(bands=["r"])
    with pytest.raises(ValueError, match="2 sizes and the bands"):
        card(kind="cutouts", wavelength=None)
