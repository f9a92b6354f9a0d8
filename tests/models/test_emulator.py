"""A published spectral emulator, on a simulated star and on a real one."""

from dataclasses import replace

import numpy as np
import pytest

import jupyter_astroml as aml
from jupyter_astroml.core.errors import DataError, ModelError
from jupyter_astroml.models.conversions import air, vacuum

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
