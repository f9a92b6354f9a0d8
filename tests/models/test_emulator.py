"""A published spectral emulator, on a simulated star and on a real one."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import jupyter_astroml as aml
from jupyter_astroml.core.errors import DataError, ModelError
from jupyter_astroml.models.conversions import air, vacuum
from jupyter_astroml.models.gallery import picture
from jupyter_astroml.models.loading import load
from jupyter_astroml.session import replay_model

SUN = {"teff": 5777.0, "logg": 4.44, "fe_h": 0.0, "mg_fe": 0.0, "v_macro": 10.0}


@pytest.fixture(scope="module")
def payne(sky_data):
    folder = sky_data / "weights"
    return aml.emulator(
        folder / "payne_NN_normalized_spectra.npz",
        wavelength=folder / "payne_apogee_wavelength.npz",
    )


def spectra(payne, flux, error=None, **more):
    wave, flux = np.broadcast_to(payne.wavelength, np.shape(flux)), np.asarray(flux)
    given = {"medium": "vacuum", "errors": error, **more}
    ids = [str(i) for i in range(len(flux))]
    return aml.Spectra(ids=ids, wavelength=wave, values=flux.astype(np.float32), **given)


def test_an_apogee_star_gets_its_temperature(payne, sky_data):
    path = sky_data / "star_spectra" / "dev" / "apogee_spectrum_ap_id_2M13012770p5754582_.npz"
    with np.load(path) as stored:
        star = spectra(payne, stored["spectrum"][None], stored["spec_err"][None])
    (found,) = payne.fit(star)
    print(found)
    assert found["status"] == "ok"
    assert abs(found["teff"].value - 4936) < 30
    assert found["rms"] == pytest.approx(0.011, abs=0.002)
    assert found["teff_error"].value < 50
    assert found["velocity"].unit == "km/s"


def test_labels_and_velocity_of_a_made_up_star_come_back(payne):
    rng = np.random.default_rng(2)
    true = payne.spectrum(**SUN)
    moved = np.interp(payne.wavelength / (1 + 30 / 299792.458), payne.wavelength, true)
    flux = moved + rng.normal(0, 0.005, moved.shape)
    star = spectra(payne, flux[None], np.full((1, len(flux)), 0.005, np.float32))
    (found,) = payne.fit(star)
    for name, value in {**SUN, "velocity": 30.0}.items():
        off = abs(np.asarray(getattr(found[name], "value", found[name])) - value)
        error = np.asarray(getattr(found[f"{name}_error"], "value", found[f"{name}_error"]))
        assert off < 5 * error + 1e-6, name
    # The same star in a file with air wavelengths and nanometres.
    inair = replace(star, wavelength=air(star.wavelength) / 10, wave_unit="nm", medium="air")
    (again,) = payne.fit(inair)
    assert again["velocity"].value == pytest.approx(found["velocity"].value, abs=0.3)


def test_spectra_that_cannot_be_fitted_say_why(payne):
    flux = np.ones((1, len(payne.wavelength)))
    cases = {
        "in air or in vacuum": spectra(payne, flux, medium=""),
        "not normalised": spectra(payne, 1000 * flux),
        "only 0 usable pixels": spectra(payne, np.nan * flux),
        "wavelengths are in furlong": spectra(payne, flux, wave_unit="furlong"),
    }
    for words, given in cases.items():
        (found,) = payne.fit(given)
        assert words in found["status"]
        assert np.isnan(found["teff"])


def test_labels_beyond_the_training_are_refused(payne):
    with pytest.raises(DataError, match="outside what the emulator"):
        payne.spectrum(**{**SUN, "teff": 30000})
    with pytest.raises(DataError, match="needs the labels"):
        payne.spectrum(teff=5000)


def test_other_files_are_no_emulators(sky_data, tmp_path):
    weights = sky_data / "weights"
    np.savez(tmp_path / "wave.npz", wavelength=np.arange(5.0))
    with pytest.raises(ModelError, match="does not fit"):
        aml.emulator(weights / "payne_NN_normalized_spectra.npz", wavelength=tmp_path / "wave.npz")
    with pytest.raises(ModelError, match="no spectral emulator"):
        aml.emulator(tmp_path / "wave.npz", wavelength=tmp_path / "wave.npz")


def test_air_and_vacuum_are_what_the_tables_say():
    # Ångström's Hα: 6562.80 in air, 6564.61 in vacuum (NIST).
    assert vacuum(np.array([6562.80]))[0] == pytest.approx(6564.61, abs=0.02)
    wave = np.linspace(3000, 25000, 50)
    np.testing.assert_allclose(air(vacuum(wave)), wave, rtol=1e-8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROML_MODEL_PATH", str(tmp_path / "mine"))
    return tmp_path / "mine"


@pytest.fixture
def imported(folder, sky_data):
    """The Payne, imported by a shell from its weights alone."""
    path = sky_data / "weights" / "payne_NN_normalized_spectra.npz"
    asked = ["models", "import", path, "--as", "payne", "--into", folder, "--licence", "MIT"]
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_astroml", *map(str, asked)],
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    return folder / "payne"


def test_an_imported_emulator_draws_and_fits_as_its_file_does(imported, payne, sky_data):
    named = aml.emulator("payne")
    assert named.labels == payne.labels
    np.testing.assert_allclose(named.wavelength, payne.wavelength, rtol=1e-9)
    np.testing.assert_allclose(named.spectrum(**SUN), payne.spectrum(**SUN), rtol=1e-12)
    path = sky_data / "star_spectra" / "dev" / "apogee_spectrum_ap_id_2M13012770p5754582_.npz"
    with np.load(path) as stored:
        star = spectra(payne, stored["spectrum"][None], stored["spec_err"][None])
    (found,) = named.fit(star)
    assert abs(found["teff"].value - 4936) < 30
    # Its card is a contract of spectra: the real one is on its grid, but for its bad pixels.
    (told,) = aml.check(star, model="payne")["fit"]
    assert told == "converted: 3.7% of the pixels interpolated"
    assert aml.check(replace(star, medium=""), model="payne")["fit"][0].startswith("outside")


def test_an_imported_emulator_is_listed_and_replayed_and_answers_nothing(imported, payne):
    (entry,) = aml.models(task="emulate")
    assert (entry.name, entry.card.licence, entry.card.kind) == ("payne", "MIT", "spectra")
    assert entry.card.input.shape == (7214,)
    np.testing.assert_allclose(entry.card.input.wavelength.middles, payne.wavelength, rtol=1e-9)
    assert "7214 logarithmic pixels with 2 gaps" in entry.card.input.words
    assert picture(entry).startswith(b"\x89PNG")
    assert replay_model("payne").passed
    # The network that replays it draws what the emulator does.
    labels = np.array([list(SUN.values())], np.float32)
    drawn = load("payne").logits(labels)
    assert drawn.shape == (1, 1, 7214)
    np.testing.assert_allclose(drawn[0, 0], payne.spectrum(**SUN), atol=2e-6)
    star = spectra(payne, drawn[0])
    for ask in (
        lambda: aml.predict(star, model="payne", progress=False),
        lambda: aml.explain(star, model="payne"),
        lambda: load("payne").predict(star),
    ):
        with pytest.raises(ModelError, match="draws spectra from teff, logg") as caught:
            ask()
        assert "aml.emulator('payne').fit(spectra)" in caught.value.remedy


def small(path, wave, **changes):
    """Weights of an emulator of two labels with nothing learnt, and its wavelengths."""
    p = len(wave)
    shapes = {"w_array_0": (p, 3, 2), "b_array_0": (p, 3), "w_array_1": (p, 3), "b_array_1": (p,)}
    arrays = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    np.savez(path / "w.npz", **{**arrays, "x_min": np.zeros(2), "x_max": np.ones(2), **changes})
    np.savez(path / "wave.npz", wavelength=wave)
    return path / "w.npz"


def test_an_emulator_of_other_wavelengths_and_labels_is_imported(folder, tmp_path):
    wave = np.concatenate([np.arange(4000.0, 4100), np.arange(4200.0, 4300)])
    labels = {"a": "K", "b": ""}
    aml.import_model(
        small(tmp_path, wave),
        name="little",
        folder=folder,
        wavelength=tmp_path / "wave.npz",
        labels=labels,
        medium="air",
    )
    grid = aml.model("little").card.input.wavelength
    np.testing.assert_array_equal(grid.middles, wave)
    assert (grid.spacing, grid.medium) == ("linear", "air")
    made = aml.emulator("little")
    assert (made.labels, made.medium) == (labels, "air")
    assert made.spectrum(a=0.5, b=0.5).shape == (200,)


def test_what_is_no_emulator_is_refused(folder, tmp_path):
    with pytest.raises(ModelError, match="flares is no emulator"):
        aml.emulator("flares")
    with pytest.raises(ModelError, match="no model 'nothing'"):
        aml.emulator("nothing")
    path = small(tmp_path, np.arange(4000.0, 4100) ** 1.5)
    with pytest.raises(ModelError, match="no spectral emulator") as caught:
        aml.import_model(path, name="x", folder=folder)
    assert "wavelength=" in caught.value.remedy
    with pytest.raises(ModelError, match="no even grid"):
        aml.import_model(
            path,
            name="x",
            folder=folder,
            wavelength=tmp_path / "wave.npz",
            labels={"a": "", "b": ""},
        )
    assert not (folder / "x").exists()
