"""Lenses: what is drawn and read, what is measured, and what the trained model answers."""

import json
import zipfile

import numpy as np
import pytest
from lens_folder import lens_with_and_without_arcs, write_candidates

import jupyter_astroml as aml
from jupyter_astroml.core.errors import DataError
from jupyter_astroml.models import picture as sdss
from jupyter_astroml.models.loading import load
from jupyter_astroml.zoo import scores
from jupyter_astroml.zoo.lens_finder import baseline, borrowed, completeness, fields, real, scenes
from jupyter_astroml.zoo.lens_finder import simulate as simulation
from jupyter_astroml.zoo.lens_finder.evaluate import (
    classes_of,
    rank_correlation,
)
from jupyter_astroml.zoo.lens_finder.picture import compressed, drawn
from jupyter_astroml.zoo.lens_finder.simulate import simulate

LENS, OTHER = real.CLASSES.index("lens"), real.CLASSES.index("other")


# Pictures


def test_faint_light_is_drawn_in_proportion_and_bright_centres_turn_white():
    faint = np.full((3, 2, 2), 1e-4)
    levels = drawn(faint) - drawn(np.zeros((3, 2, 2)))
    # The scales of i, r and g.
    np.testing.assert_allclose(levels[:, 0, 0] / levels[0, 0, 0], [1, 1.502, 4.255], rtol=1e-3)
    np.testing.assert_array_equal(drawn(np.full((3, 2, 2), 1e4)), 1.0)


def test_bands_are_put_in_order_and_a_missing_one_is_named():
    values = np.random.default_rng(1).normal(0.0, 0.01, (3, 4, 4))
    np.testing.assert_array_equal(drawn(values[::-1], ("g", "r", "i")), drawn(values))
    with pytest.raises(DataError, match="bands i, r, g"):
        drawn(values, ("r", "i", "z"))


def test_compression_keeps_a_picture_to_a_few_levels():
    picture = simulate(1, seed=1)[0].values[0]
    change = compressed(picture).astype(float) - 255 * picture
    assert 0 < np.abs(change).mean() < 2


# Simulation


def test_the_same_seed_gives_the_same_fields_and_a_part_of_them_is_the_same_part():
    cutouts, truth = simulate(4, seed=2)
    again, _ = simulate(2, seed=2)
    np.testing.assert_array_equal(again.values, cutouts.values[:2])
    assert cutouts.simulated
    assert set(truth["label"]) <= set(real.CLASSES)


def test_lenses_have_visible_arcs_and_others_have_none():
    _, truth = simulate(24, seed=3)
    lens = np.asarray(truth["label"] == "lens")
    assert 0 < lens.sum() < 24
    assert (truth["arc_snr"][lens] > 0).all()
    assert (truth["theta_e_arcsec"][lens] >= 0.7).all()
    assert (truth["arc_snr"][~lens] == 0).all()


@pytest.mark.parametrize("kind", [*scenes.LENSES, *scenes.OTHERS])
def test_each_kind_of_field_can_be_drawn(kind):
    values, about = simulation.observed(kind, rng=np.random.default_rng(4))
    assert values.shape == (3, real.SIZE, real.SIZE)
    assert values.dtype == np.uint8
    assert about["label"] == ("lens" if kind in scenes.LENSES else "other")


def test_a_dark_sky_has_the_noise_that_was_asked_for():
    values = simulation.noisy(
        np.zeros((3, 128, 128)), noise=simulation.NOISE, rng=np.random.default_rng(5)
    )
    np.testing.assert_allclose(values.std(axis=(1, 2)), simulation.NOISE, rtol=0.05)
    neighbours = [np.corrcoef(v[:, 1:].ravel(), v[:, :-1].ravel())[0, 1] for v in values]
    # Of a mean of two neighbours with shares 0.35 and 0.65: 0.35 · 0.65 / (0.35² + 0.65²).
    np.testing.assert_allclose(neighbours, 0.417, atol=0.05)


def test_an_observed_galaxy_keeps_its_colour_order_and_gets_the_magnitude_of_its_distance():
    y, x = np.indices((128, 128)) - 63.5
    body = np.exp(-np.hypot(y, x) / 8)
    flux = body * np.array([1.4, 1.0, 0.5])[:, None, None]
    picture = np.round(255 * sdss.lupton(0.3 * flux, ("i", "r", "g"))).astype(np.uint8)
    light = borrowed.at_distance(picture, redshift=0.5, rng=np.random.default_rng(6))
    i, r, g = light.sum(axis=(1, 2))
    assert i > r > g > 0
    _, r_i, mag_i, _ = scenes.old(0.5)
    assert 22.5 - 2.5 * np.log10(r) == pytest.approx(mag_i + r_i, abs=2.5)
    # The sky of the picture does not come along.
    assert (light[:, :20] == 0).all()


def test_fields_that_were_kept_are_read_and_not_drawn_again(tmp_path):
    told: list[str] = []
    wanted = fields.Wanted(3, seed=7)
    first = fields.made(wanted, galaxies=None, cache=tmp_path, say=told.append)
    again = fields.made(wanted, galaxies=None, cache=tmp_path, say=told.append)
    assert len(told) == 1
    np.testing.assert_array_equal(again.pictures, first.pictures)
    assert again.truth["id"].tolist() == first.truth["id"].tolist()


# Reading


def test_pictures_and_grades_come_back_as_they_were_written(tmp_path):
    values, grades = write_candidates(tmp_path, n=3, seed=8)
    cutouts, table = real.read(tmp_path)
    np.testing.assert_allclose(cutouts.values, values, atol=1e-6)
    np.testing.assert_array_equal(table["grade"], grades)
    assert cutouts.bands == ("i", "r", "g")


def test_a_candidate_that_is_listed_twice_is_read_with_its_best_grade(tmp_path):
    values, grades = write_candidates(tmp_path, n=4, seed=8, apart_deg=10 / 3600)
    cutouts, table = real.read(tmp_path)
    best = int(np.argmax(grades))
    assert str(best) in {name.removesuffix(".png") for name in table["id"]}
    assert len(cutouts) == len(table) < len(values)
    assert table["grade"].max() == grades.max()


def test_what_cannot_be_read_is_named(tmp_path):
    write_candidates(tmp_path, n=2, seed=8)
    labels = (tmp_path / "labels.csv").read_text()
    (tmp_path / "labels.csv").write_text(labels.replace("-5.0", "-95.0", 1))
    with pytest.raises(DataError, match=r"0\.png has dec = '-95\.0'"):
        real.read(tmp_path)
    (tmp_path / "labels.csv").write_text(labels)
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("0.png", b"no picture")
    with pytest.raises(DataError, match=r"0\.png cannot be decoded"):
        real.read(tmp_path)


# Measuring


def test_the_light_of_a_round_galaxy_is_taken_off_and_an_arc_stays():
    y, x = np.indices((128, 128)) - 63.5
    radius = np.hypot(y, x)
    galaxy = 0.8 * np.exp(-radius / 6)
    arc = 0.3 * np.exp(-(((radius - 12) / 2) ** 2)) * (x > 6)
    grain = np.random.default_rng(1).normal(0.0, 0.01, (3, 128, 128))
    picture = np.stack([galaxy, galaxy, galaxy + arc]) + grain
    left = baseline.without_middle(picture, radius)
    assert np.abs(left[:2][:, radius > 3]).max() < 0.1
    assert left[2][arc > 0.2].min() > 0.15
    found = dict(zip(baseline.FEATURES, baseline.measure(picture[None])[0], strict=True))
    assert found["arc_radius"] == pytest.approx(12, abs=1.0)
    assert found["arc_length"] > 2 * found["arc_width"]


def test_completeness_counts_lenses_above_all_but_a_hundredth_of_the_others():
    others, lenses = np.linspace(0, 1, 101), np.array([0.5, 0.985, 0.995, 1.0])
    p = np.concatenate([others, lenses])
    classes = np.repeat([0, 1], [101, 4])
    # The 99th of 100 steps is 0.99.
    assert completeness.completeness(classes, np.stack([1 - p, p], axis=1)) == 0.5
    rows = completeness.binned(
        np.repeat([1.0, 3.0], [10, 4]), np.arange(14) < 9, np.zeros(14, bool), (0.5, 2.0, 4.0)
    )
    assert [(row["n"], row["value"]) for row in rows] == [(10, 0.9)]
    # Jeffreys' interval of 9 out of 10.
    assert (rows[0]["low"], rows[0]["high"]) == pytest.approx((0.619, 0.989), abs=1e-3)


def test_ranks_are_compared_with_grades():
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5], [0.2, 0.8]])
    assert rank_correlation(np.array([0.3, 0.7, 1.3, 3.0]), p) == pytest.approx(1.0)
    assert rank_correlation(np.array([3.0, 1.3, 0.7, 0.3]), p) == pytest.approx(-1.0)
    assert np.isnan(rank_correlation(np.full(4, 1.0), p))
    assert classes_of(np.array([1.0, 1.3, 2.0])).tolist() == [0, 1, 1]


# The trained model


def test_simulated_lenses_are_told_from_others():
    cutouts, truth = simulate(60, seed=11)
    found = load("lens_finder").predict(cutouts)
    lens = np.asarray(truth["label"] == "lens").astype(int)
    p = np.asarray(found.columns["p_lens"])
    assert scores.auc(lens, np.stack([1 - p, p], axis=1)) > 0.85


def test_arcs_make_the_lens():
    fields_ = [lens_with_and_without_arcs(seed) for seed in range(6)]
    with_arcs, without, _ = (np.stack(part) for part in zip(*fields_, strict=True))
    model = load("lens_finder")
    change = model.logits(with_arcs) - model.logits(without)
    assert ((change[..., LENS] - change[..., OTHER]).mean(axis=0) > 0).all()


def test_a_folder_of_the_same_layout_is_evaluated(tmp_path):
    write_candidates(tmp_path / "sky", n=16, seed=12)
    found = aml.evaluate("lens_finder", data=tmp_path / "sky")
    said = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (said["model"], said["data"], said["n"]) == ("lens_finder", "sky", 16)
    assert said["low"] <= said["value"] <= said["high"]
    assert "forest_of_candidates_auc" in said["metrics"]
