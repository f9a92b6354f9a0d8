"""Simulated lenses against what theory says of simple ones."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from jupyter_astroml.core.errors import DataError, MissingExtraError
from jupyter_astroml.zoo import lensing
from jupyter_astroml.zoo.lensing import Camera, Lens, Light, Mass, Priors

pytest.importorskip("lenstronomy")

CAMERA = Camera(pixel_scale=0.1, size=64, seeing=0.12, exposure=100, zero_point=25.0, sky=20.0)
FAINT = Light(magnitude=20.0, radius=0.3)


def radii():
    y, x = np.indices((64, 64)) - 31.5
    return np.hypot(x, y) * 0.1


def test_a_source_right_behind_a_round_lens_is_a_ring_of_the_einstein_radius():
    lens = Lens(Mass(theta_e=1.23), FAINT, (Light(magnitude=24.0, radius=0.02),))
    ring = lensing.arcs_image(lens, CAMERA)
    radius = np.average(radii(), weights=ring)
    # The ring is thin: only its blur, evenly to both sides, moves the mean outwards.
    assert radius == pytest.approx(1.23, abs=0.02)
    away = np.abs(radii() - 1.23) > 0.5
    assert ring[away].max() < 0.01 * ring.max()


def test_a_point_is_magnified_as_an_isothermal_sphere_says():
    # μ = 1 / (1 - θ_E / θ): twice at 2 θ_E, and as large but mirrored at θ_E / 2.
    found = lensing.magnification(Mass(theta_e=1.0), np.array([2.0, 0.5]), np.zeros(2))
    np.testing.assert_allclose(found, [2.0, -1.0], rtol=1e-5)
    x, y = lensing.source_position(Mass(theta_e=1.0), np.array([2.0]), np.zeros(1))
    np.testing.assert_allclose([x[0], y[0]], [1.0, 0.0], atol=1e-9)


def test_a_power_law_of_the_isothermal_slope_is_the_isothermal_ellipsoid():
    mass = Mass(theta_e=1.1, e1=0.2, e2=-0.1, x=0.05, gamma1=0.03)
    near = replace(mass, slope=2.0 + 1e-9)
    assert lensing.deflector_models(mass) != lensing.deflector_models(near)
    x, y = np.array([0.3, -1.0, 1.5]), np.array([0.7, 0.2, -1.1])
    np.testing.assert_allclose(
        lensing.source_position(mass, x, y), lensing.source_position(near, x, y), atol=1e-6
    )


def test_an_extended_source_gets_as_much_more_light_as_theory_says():
    # Behind the middle of an isothermal sphere a point at β is magnified 2 θ_E / β; the mean of
    # 1 / β over an exponential disc is one over its scale length, which is the radius / 1.678.
    lens = Lens(Mass(theta_e=1.2), FAINT, (Light(magnitude=24.0, radius=0.1),))
    found = lensing.arcs_image(lens, CAMERA).sum() / lensing.flux(24.0, CAMERA)
    assert found == pytest.approx(2 * 1.2 * 1.678 / 0.1, rel=0.02)


def test_the_light_of_a_galaxy_is_that_of_its_magnitude_and_stands_in_its_place():
    galaxy = Light(magnitude=20.0, radius=0.3, x=0.5, y=-0.3)
    image = lensing.galaxy_image(Lens(Mass(1.0), galaxy, ()), CAMERA)
    # Magnitude 20 with a zero point of 25 is 100 electrons a second.
    assert image.sum() == pytest.approx(100.0, rel=0.01)
    y, x = np.indices((64, 64)) - 31.5
    assert np.average(x, weights=image) * 0.1 == pytest.approx(0.5, abs=0.01)
    assert np.average(y, weights=image) * 0.1 == pytest.approx(-0.3, abs=0.01)


def test_a_turned_lens_has_turned_images():
    lens = lensing.draw(Priors(), rng=np.random.default_rng(3))
    arcs = lensing.arcs_image(lens, CAMERA)
    for quarters in (1, 2, 3):
        found = lensing.arcs_image(lensing.turned(lens, quarters=quarters), CAMERA)
        # With y up, from x to y is against the sense in which rows and columns turn.
        np.testing.assert_allclose(found, np.rot90(arcs, -quarters), atol=1e-6 * arcs.max())
    assert lensing.turned(lens, quarters=4) == lens


def test_noise_is_that_of_photons_and_readouts():
    # Sky: 100 electrons a second and square arcsec, 1 a pixel, 100 in the exposure.
    dark = np.zeros((64, 64))
    assert lensing.noise_of(dark, CAMERA)[0, 0] == pytest.approx(10 / 100)
    loud = replace(CAMERA, read_noise=np.sqrt(300))
    assert lensing.noise_of(dark, loud)[0, 0] == pytest.approx(20 / 100)
    seen = lensing.observed(dark + 3.0, CAMERA, rng=np.random.default_rng(1))
    assert seen.mean() == pytest.approx(3.0, abs=0.02)
    assert seen.std() == pytest.approx(20 / 100, rel=0.05)


def test_the_same_seed_draws_the_same_lens_within_its_ranges():
    priors = Priors(theta_e=(0.8, 1.6), clumps=3)
    first = [lensing.draw(priors, rng=np.random.default_rng(i)) for i in range(50)]
    again = [lensing.draw(priors, rng=np.random.default_rng(i)) for i in range(50)]
    assert first == again
    assert len(set(first)) == 50
    radius = np.array([lens.mass.theta_e for lens in first])
    assert 0.8 <= radius.min() <= radius.max() <= 1.6
    # An axis ratio of 0.4 is an ellipticity of 0.6 / 1.4.
    assert max(np.hypot(lens.mass.e1, lens.mass.e2) for lens in first) <= 0.6 / 1.4
    assert {len(lens.source) for lens in first} == {1, 2, 3, 4}
    assert {lens.mass.slope for lens in first} == {2.0}


def test_a_range_without_lenses_is_refused():
    with pytest.raises(DataError, match="theta_e"):
        lensing.draw(Priors(theta_e=(2.0, 1.0)), rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="source_radius"):
        lensing.draw(Priors(source_radius=(0.0, 1.0)), rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="mass_ratio"):
        lensing.draw(Priors(mass_ratio=(1.5, 2.0)), rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="slope"):
        lensing.draw(Priors(slope=(0.2, 0.3)), rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="shear"):
        lensing.draw(Priors(shear=-0.1), rng=np.random.default_rng(0))


def test_without_lenstronomy_the_error_names_the_extra(monkeypatch):
    for name in [m for m in sys.modules if m.partition(".")[0] == "lenstronomy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lenstronomy", None)
    with pytest.raises(MissingExtraError, match=r"jupyter_astroml\[lenses\]"):
        lensing.magnification(Mass(1.0), np.ones(1), np.zeros(1))
