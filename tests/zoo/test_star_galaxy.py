"""Stars and galaxies: reading, simulation, bands that are not there, and the trained model."""

import csv
import io
import json
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

import jupyter_astroml as aml
from jupyter_astroml.core.errors import DataError
from jupyter_astroml.models.loading import load
from jupyter_astroml.zoo import scores
from jupyter_astroml.zoo.star_galaxy import baseline, real, train
from jupyter_astroml.zoo.star_galaxy.evaluate import light_of
from jupyter_astroml.zoo.star_galaxy.familiar import in_some_bands
from jupyter_astroml.zoo.star_galaxy.simulate import BANDS, PIXEL_SCALE, simulate


def write_folder(folder, *, n, seed, field=lambda i: f"f{i % 3}"):
    """Write the r band of simulated objects as pictures; returns their classes."""
    folder.mkdir(parents=True, exist_ok=True)
    cutouts, truth = simulate(n, seed=seed)
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "class", "field"])
        for i, label in enumerate(truth["label"]):
            rows.writerow([f"{label}/{i}.jpg", label, field(i)])
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for i, label in enumerate(truth["label"]):
            light = light_of(cutouts.values[i : i + 1, 2:3])[0]
            levels = np.clip(80 + 12 * light, 0, 255).astype(np.uint8)
            stream = io.BytesIO()
            Image.fromarray(levels).convert("RGB").save(stream, format="JPEG", quality=95)
            archive.writestr(f"{label}/{i}.jpg", stream.getvalue())
    return truth["label"].tolist()


def planes(cutouts, bands):
    values = np.zeros((len(cutouts), len(real.BANDS), 64, 64), dtype=np.float32)
    for band in bands:
        values[:, real.BANDS.index(band)] = cutouts.values[:, BANDS.index(band)]
    return torch.from_numpy(values)


def test_pictures_labels_and_fields_come_back_as_they_were_written(tmp_path):
    labels = write_folder(tmp_path, n=6, seed=1)
    cutouts, table = real.read(tmp_path)
    assert table["label"].tolist() == labels
    assert table["field"].tolist() == ["f0", "f1", "f2"] * 2
    assert cutouts.values.shape == (6, 1, 64, 64)
    assert cutouts.bands == ("grey",)


def test_what_cannot_be_read_is_named(tmp_path):
    write_folder(tmp_path, n=2, seed=1)
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("star/0.jpg", b"no picture")
    with pytest.raises(DataError, match=r"star/0\.jpg"):
        real.read(tmp_path)
    (tmp_path / "labels.csv").write_text("file,class,field\nx.jpg,quasar,f\n")
    with pytest.raises(DataError, match="class 'quasar'"):
        real.read(tmp_path)


def test_simulated_stars_have_the_seeing_and_galaxies_the_size_of_the_truth():
    cutouts, truth = simulate(120, seed=2)
    bright = np.asarray(truth["mag_r"] < 20.5)
    star = np.asarray(truth["label"] == "star")
    y, x = np.indices((64, 64)) - 31.5
    total = (cutouts.values[:, 2] * (np.hypot(y, x) < 12)).sum(axis=(1, 2))
    found = 22.5 - 2.5 * np.log10(total[bright & star])
    np.testing.assert_allclose(found, truth["mag_r"][bright & star], atol=0.3)
    widths = baseline.measure(light_of(cutouts.values[:, 2:3]))
    half = widths[:, baseline.FEATURES.index("half_width")]
    # The area above half of the peak of a round Gaussian is π/4 of its width squared.
    fwhm = half[bright & star] / np.sqrt(np.pi / 4) * PIXEL_SCALE
    assert np.corrcoef(fwhm, truth["seeing_arcsec"][bright & star])[0, 1] > 0.9


def test_fields_are_dealt_whole_and_evenly():
    fields = np.repeat(["a", "b", "c", "d"], [50, 30, 25, 5])
    assert train.dealt(fields, members=2) == {"a": 0, "b": 1, "c": 1, "d": 0}


def test_a_field_is_ranked_in_the_direction_that_the_others_show():
    # Two fields where galaxies are flat, one of noise: what it shows itself must not count.
    core = np.array([0.9, 0.2, 0.8, 0.3, 0.1, 0.7])
    classes = np.array([0, 1, 0, 1, 0, 1])
    found = baseline.ranked(core, classes, np.array(["a", "a", "b", "b", "c", "c"]))
    assert np.argsort(found[4:]).tolist() == [1, 0]
    alone = baseline.ranked(core[4:], classes[4:], np.array(["c", "c"]))
    assert np.argsort(alone).tolist() == [1, 0]


def test_pictures_of_simulated_objects_are_cut_off_like_real_ones():
    made = train.simulated_cut(6, seed=7)
    random = torch.Generator().manual_seed(0)
    seen = train.pictured(made.light, random=random)
    assert seen.shape == (6, 64, 64)
    assert float(made.light.max()) > train.WHITE
    assert (float(seen.min()), float(seen.max())) == (train.BLACK, train.WHITE)


def test_the_area_under_the_curve_counts_ordered_pairs():
    p = np.array([0.1, 0.4, 0.35, 0.8])
    # Of four pairs of star and galaxy, three are in order.
    assert scores.auc(np.array([0, 0, 1, 1]), np.stack([1 - p, p], axis=1)) == pytest.approx(0.75)


def test_usual_objects_are_shown_in_one_to_five_bands():
    values = in_some_bands(40, seed=1)
    observed = np.ptp(values.reshape(40, 6, -1), axis=2) > 0
    assert not observed[:, real.BANDS.index("grey")].any()
    assert set(observed.sum(axis=1).tolist()) == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("bands", ["r", "gi", "ugriz"])
def test_any_of_the_bands_are_enough_and_none_is_taken_for_light(bands):
    cutouts, _ = simulate(4, seed=3)
    given = type(cutouts)(
        ids=cutouts.ids,
        values=cutouts.values[:, [BANDS.index(b) for b in bands]],
        bands=tuple(bands),
        pixel_scale=cutouts.pixel_scale,
        flux_unit="nanomaggy",
    )
    model = load("star_galaxy")
    prepared = model.prepare(given)
    assert set(prepared.fit.words()) == {"fits"}
    assert prepared.samples.flux_unit == "nanomaggy"
    np.testing.assert_array_equal(prepared.samples.values, planes(cutouts, bands).numpy())
    seen = model.module.seen(planes(cutouts, bands))
    assert seen.owner.tolist() == np.repeat(np.arange(4), len(bands)).tolist()


def test_the_answer_is_the_same_in_any_linear_unit():
    model = load("star_galaxy")
    values = planes(simulate(3, seed=4)[0], "gri")
    with torch.inference_mode():
        here = model.module(values)
        torch.testing.assert_close(model.module(values * 50.0), here, rtol=1e-3, atol=1e-3)


def test_simulated_objects_are_told_apart_in_any_number_of_bands():
    cutouts, truth = simulate(80, seed=5)
    classes = (np.asarray(truth["label"]) == "galaxy").astype(int)
    for bands in ("r", "ugriz"):
        with torch.inference_mode():
            p = load("star_galaxy").module(planes(cutouts, bands)).softmax(dim=-1).mean(dim=0)
        assert scores.auc(classes, p.numpy()) > 0.7


def test_a_folder_of_the_same_layout_is_evaluated(tmp_path):
    write_folder(tmp_path / "sky", n=24, seed=6)
    found = aml.evaluate("star_galaxy", data=tmp_path / "sky")
    said = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (said["model"], said["data"], said["n"]) == ("star_galaxy", "sky", 24)
    assert said["low"] <= said["value"] <= said["high"]
    assert said["split"].startswith("24 cutouts of fields that training did not see")
