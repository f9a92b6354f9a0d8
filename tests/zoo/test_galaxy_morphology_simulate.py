"""The galaxy simulator tells the truth about what it draws."""

import numpy as np
import pytest

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.zoo.galaxy_morphology.simulate import (
    CLASSES,
    PIXEL_SCALE,
    draw,
    noise,
    parameters,
    simulate,
)


def galaxy(label, **changes):
    """Return the parameters of one galaxy with some of them set by hand."""
    table = parameters(1, seed=3, classes=[label])
    return {**dict(zip(table.colnames, table[0], strict=True)), **changes}


def moments(image):
    """Centroid, major and minor standard deviation in pixels, and position angle in degrees."""
    y, x = np.indices(image.shape)
    cy, cx = np.average(y, weights=image), np.average(x, weights=image)
    covariance = np.cov(np.stack([(y - cy).ravel(), (x - cx).ravel()]), aweights=image.ravel())
    values, vectors = np.linalg.eigh(covariance)
    north, west = vectors[:, 1]
    return (cy, cx), np.sqrt(values[::-1]), np.degrees(np.arctan2(-west, north)) % 180


def test_the_same_seed_gives_the_same_galaxies_and_another_does_not():
    first, truth = simulate(3, seed=7, size=64)
    again, same = simulate(3, seed=7, size=64)
    other, _ = simulate(3, seed=8, size=64)
    np.testing.assert_array_equal(first.values, again.values)
    assert truth["mag_r"].tolist() == same["mag_r"].tolist()
    assert not np.array_equal(first.values, other.values)


def test_cutouts_say_that_they_are_simulated_and_carry_units():
    cutouts, truth = simulate(4, seed=1, bands=("r", "g"), size=64)
    assert cutouts.simulated
    assert truth.meta["simulated"]
    assert cutouts.flux_unit == "nanomaggy"
    assert cutouts.values.shape == (4, 2, 64, 64)
    assert cutouts.values.dtype == np.float32
    assert cutouts.bands == ("r", "g")
    assert str(truth["r_e_arcsec"].unit) == "arcsec"
    assert cutouts.ids.tolist() == truth["id"].tolist()


def test_classes_are_those_asked_for():
    assert set(parameters(40, seed=0)["label"]) == set(CLASSES)
    assert set(parameters(9, seed=0, classes=["spiral"])["label"]) == {"spiral"}


@pytest.mark.parametrize("ratio", [0.08, 0.15, 0.2])
@pytest.mark.parametrize("angle", [0.0, 30.0, 135.0])
def test_an_edge_on_disc_has_the_axis_ratio_and_angle_of_the_truth(ratio, angle):
    params = galaxy(
        "edge_on",
        axis_ratio=ratio,
        position_angle_deg=angle,
        bulge_fraction=0.0,
        r_e_arcsec=4.0,
    )
    image = draw(params, bands=["r"], shape=(384, 384), seeing=0.0)[0]
    _, (major, minor), found = moments(image.astype(float))
    assert minor / major == pytest.approx(ratio, rel=0.06)
    assert (found - angle + 90) % 180 - 90 == pytest.approx(0.0, abs=0.5)


def test_half_of_the_light_of_an_elliptical_lies_inside_its_half_light_radius():
    params = galaxy("elliptical", axis_ratio=1.0, n_sersic=2.0, r_e_arcsec=5.0, mag_r=15.0)
    image = draw(params, bands=["r"], shape=(512, 512), seeing=0.0)[0]
    y, x = np.indices(image.shape) - 255.5
    inside = np.hypot(y, x) * PIXEL_SCALE < 5.0
    total = 10 ** (0.4 * (22.5 - 15.0))
    assert image.sum() == pytest.approx(total, rel=0.01)
    assert image[inside].sum() / total == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("label", CLASSES)
def test_magnitude_and_colours_are_those_of_the_truth(label):
    params = galaxy(
        label,
        n_sersic=1.0,
        r_e_arcsec=3.0,
        bulge_fraction=0.0,
        knot_fraction=0.0,
        tail_fraction=0.0,
    )
    flux = draw(params, bands=["g", "r", "i"], shape=(400, 400)).sum(axis=(1, 2))
    magnitudes = 22.5 - 2.5 * np.log10(flux)
    assert magnitudes[1] == pytest.approx(params["mag_r"], abs=0.02)
    assert magnitudes[0] - magnitudes[1] == pytest.approx(params["g_r"], abs=0.01)
    assert magnitudes[1] - magnitudes[2] == pytest.approx(params["r_i"], abs=0.01)


def test_arms_move_light_but_do_not_add_any():
    params = galaxy("spiral", knot_fraction=0.0, r_e_arcsec=5.0, axis_ratio=0.8, arm_strength=0.8)
    arms = draw(params, bands=["r"], shape=(300, 300))[0]
    plain = draw({**params, "arm_strength": 0.0}, bands=["r"], shape=(300, 300))[0]
    assert arms.sum() == pytest.approx(plain.sum(), rel=0.01)
    assert np.abs(arms - plain).sum() > 0.1 * plain.sum()


def test_the_companion_of_a_merger_stands_where_the_truth_says():
    params = galaxy(
        "merger",
        companion_fraction=0.4,
        companion_separation_arcsec=10.0,
        companion_angle_deg=90.0,
        tail_fraction=0.0,
        arm_strength=0.0,
        knot_fraction=0.0,
        r_e_arcsec=2.0,
        companion_r_e_arcsec=1.0,
        n_sersic=1.0,
    )
    alone = {**params, "companion_fraction": 0.0}
    total = 10 ** (0.4 * (22.5 - params["mag_r"]))
    other = draw(params, bands=["r"])[0] - 0.6 * draw(alone, bands=["r"])[0]
    (cy, cx), _, _ = moments(np.maximum(other, 0.0).astype(float))
    assert other.sum() == pytest.approx(0.4 * total, rel=0.02)
    # East is to the left: 10 arcsec are 25.25 pixels.
    assert cy == pytest.approx(63.5, abs=0.3)
    assert cx == pytest.approx(63.5 - 10.0 / PIXEL_SCALE, abs=0.3)


def test_seeing_blurs_a_point_to_the_width_asked_for():
    params = galaxy("elliptical", r_e_arcsec=0.02, n_sersic=1.0, axis_ratio=1.0)
    star = draw(params, bands=["r"], shape=(129, 129), seeing=2.0, pixel_scale=0.1)[0]
    row = star[64] / star.max()
    above = np.flatnonzero(row >= 0.5)
    assert 0.1 * (above[-1] - above[0] + 1) == pytest.approx(2.0, abs=0.3)


def test_an_offset_moves_the_galaxy_by_that_many_pixels():
    params = galaxy("elliptical", n_sersic=1.0, r_e_arcsec=2.0)
    image = draw(params, bands=["r"], offset=(5.25, -3.5))[0].astype(float)
    (cy, cx), _, _ = moments(np.maximum(image, 0.0))
    assert cy == pytest.approx(63.5 + 5.25, abs=0.05)
    assert cx == pytest.approx(63.5 - 3.5, abs=0.05)


def test_the_noise_has_the_standard_deviation_that_is_given_with_it():
    clean = np.zeros((3, 200, 200), dtype=np.float32)
    values, sigma = noise(clean, bands=("g", "r", "i"), rng=np.random.default_rng(0))
    pulls = values / sigma
    assert pulls.mean() == pytest.approx(0.0, abs=0.02)
    assert pulls.std() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    ("given", "word"), [({"classes": ["ring"]}, "'ring'"), ({"bands": ["K"]}, "'K'")]
)
def test_what_cannot_be_drawn_is_named(given, word):
    with pytest.raises(DataError, match=word):
        simulate(1, seed=0, **given)
