"""Simulated alerts and what is measured on them; real ones as they are read."""

import h5py
import numpy as np
import pytest
from alert_folder import write_alerts

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.zoo.real_bogus import baseline, real, scene
from jupyter_astroml.zoo.real_bogus.artefacts import DRAWN, Marks
from jupyter_astroml.zoo.real_bogus.scene import CANVAS, MIDDLE, Psf
from jupyter_astroml.zoo.real_bogus.simulate import BANDS, BOGUS, CLASSES, REAL, simulate
from jupyter_astroml.zoo.real_bogus.trial import missed, threshold


def test_half_of_the_alerts_are_real_and_every_kind_comes():
    _, truth = simulate(65, seed=1)
    labels, kinds = np.asarray(truth["label"]), np.asarray(truth["kind"])
    assert abs((labels == "real").sum() - 32.5) < 1
    assert set(kinds) == {*REAL, *BOGUS}
    assert ((labels == "real") == np.isin(kinds, REAL)).all()


def test_the_same_seed_gives_the_same_alerts_and_another_seed_others():
    one, two, other = (simulate(4, seed=seed)[0].values for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other, equal_nan=True)


def test_candidates_are_detections_in_the_middle_and_positive():
    cutouts, truth = simulate(90, seed=2)
    assert (np.asarray(truth["snr"]) >= 5.0).mean() > 0.95
    middle = np.nan_to_num(cutouts.values[:, 2, 29:34, 29:34])
    assert (middle.sum(axis=(1, 2)) > 0).mean() > 0.95


def test_a_lone_source_is_in_science_and_difference_with_the_same_light():
    cutouts, truth = simulate(40, seed=5, kinds=("lone",))
    bright = np.asarray(truth["snr"]) > 20
    near = cutouts.values[bright][:, :, 28:35, 28:35].astype(float)
    above = near - np.nanmedian(cutouts.values[bright], axis=(2, 3))[..., None, None]
    light = np.nansum(above, axis=(2, 3))
    ratio = light[:, BANDS.index("science")] / light[:, BANDS.index("difference")]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.05)
    assert np.median(light[:, BANDS.index("template")] / light[:, 2]) < 0.1


def test_a_fading_star_is_fainter_in_science_and_positive_in_the_difference():
    cutouts, truth = simulate(60, seed=6, kinds=("variable",))
    fading = np.asarray(truth["faded"]) & (np.asarray(truth["snr"]) > 10)
    assert fading.sum() > 3
    core = np.nansum(cutouts.values[fading][:, :, 29:34, 29:34], axis=(2, 3))
    assert (core[:, 2] > 0).all()
    assert (core[:, 0] < core[:, 1] + 0.5 * core[:, 2]).all()


def test_a_point_has_the_flux_and_the_width_that_were_asked_for():
    psf = Psf(fwhm=3.0, elongation=1.0, angle=0.0, power=4.0)
    image = scene.points(np.array([[MIDDLE, MIDDLE, 1000.0]]), psf)
    assert image.sum() == pytest.approx(1000.0, rel=0.02)
    # Half of the height at half of the width from the middle.
    half = psf.at(np.array([1.5]), np.array([0.0])) / psf.at(np.zeros(1), np.zeros(1))
    assert half == pytest.approx(0.5)


def test_artefacts_move_scale_and_add_up():
    light = np.zeros((CANVAS, CANVAS))
    light[MIDDLE, MIDDLE] = 2.0
    marks = Marks(science=light).with_(Marks(template=light)).times(3.0)
    assert marks.difference.max() == 0.0
    assert marks.science[MIDDLE, MIDDLE] == 6.0
    moved = marks.moved(-3, 5)
    assert moved.science[MIDDLE - 3, MIDDLE + 5] == 6.0
    assert moved.science.sum() == 6.0


@pytest.mark.parametrize("kind", DRAWN)
def test_an_artefact_lies_near_the_middle(kind):
    rng = np.random.default_rng(0)
    for _ in range(5):
        marks = DRAWN[kind](scene.drawn_night(rng), rng)
        box = slice(MIDDLE - 12, MIDDLE + 13)
        assert np.abs(marks.difference[box, box]).max() > 0.05 * np.abs(marks.difference).max()


def test_what_is_no_kind_is_refused():
    with pytest.raises(DataError, match="cannot be drawn"):
        simulate(3, seed=0, kinds=("ufo",))


def test_a_cosmic_ray_is_sharper_than_a_star():
    features = {}
    for kind in ("lone", "cosmic_ray"):
        values = np.nan_to_num(simulate(40, seed=7, kinds=(kind,))[0].values)
        features[kind] = baseline.measure(values)[:, baseline.FEATURES.index("sharpness")]
    assert np.median(features["cosmic_ray"]) > 1.3 * np.median(features["lone"])


def test_measurements_are_finite_even_of_nothing():
    assert np.isfinite(baseline.measure(np.zeros((1, 3, 63, 63)))).all()
    assert baseline.measure(np.empty((0, 3, 63, 63))).shape == (0, len(baseline.FEATURES))


def test_what_is_missed_is_counted_at_the_allowed_share_of_bogus():
    # 100 bogus alerts of score 0.00 to 0.99: one in a hundred may reach the threshold of 0.99.
    bogus, true = np.arange(100) / 100, np.array([0.5, 0.985, 0.995, 1.0])
    score = np.concatenate([bogus, true])
    classes = np.repeat([0, 1], [100, 4])
    assert threshold(classes, score) == pytest.approx(0.99)
    assert missed(classes, np.stack([1 - score, score], axis=1)) == pytest.approx(0.5)


def test_alerts_come_back_as_they_were_written(tmp_path):
    cutouts, truth = write_alerts(tmp_path, n=12, seed=8)
    found, table = real.read(tmp_path)
    np.testing.assert_array_equal(found.values, cutouts.values)
    assert found.bands == BANDS
    wanted = [{"moving": "asteroid", "variable": "variable"}.get(k, "") for k in truth["kind"]]
    assert table["rule"].tolist() == wanted
    said = [CLASSES[int(b > 0.5)] for b in table["braai"]]
    assert said == truth["label"].tolist()


def test_what_cannot_be_read_is_named(tmp_path):
    write_alerts(tmp_path, n=2, seed=9)
    with h5py.File(tmp_path / "ztf_triplets.h5", "w") as file:
        file["candid"] = [1]
        file["triplet"] = np.zeros((1, 3, 20, 20))
    with pytest.raises(DataError, match=r"ztf_triplets\.h5 cannot be read") as caught:
        real.read(tmp_path)
    assert "(1, 3, 20, 20)" in str(caught.value.cause)
    with h5py.File(tmp_path / "ztf_triplets.h5", "w") as file:
        file["candid"] = [1]
        file["triplet"] = h5py.ExternalLink("/etc/passwd", "x")
    with pytest.raises(DataError, match=r"ztf_triplets\.h5"):
        real.read(tmp_path)
    with h5py.File(tmp_path / "ztf_triplets.h5", "w") as file:
        file["candid"], file["triplet"] = [1], np.zeros((1, 3, 63, 63))
    with pytest.raises(DataError, match="has no alert 1000000000000000000"):
        real.read(tmp_path)
    (tmp_path / "ztf_triplets.h5").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match=r"ztf_triplets\.h5 cannot be read"):
        real.read(tmp_path)
    (tmp_path / "ztf_meta.csv").unlink()
    with pytest.raises(DataError, match="no labels"):
        real.read(tmp_path)
