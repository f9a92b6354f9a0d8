"""A model of spectra from one end to the other: registered, checked, run, explained, in a shell."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from astropy.io import fits
from safetensors.numpy import save_file

import jupyter_astroml as aml
from jupyter_astroml.core.errors import DataError, ModelError
from jupyter_astroml.embedded import serve
from jupyter_astroml.models.cards import WEIGHTS, Facts, digest_of, write_facts
from jupyter_astroml.session import replay_model

GRID = {
    "low": 15900,
    "high": 16400,
    "unit": "Angstrom",
    "step": 6e-6,
    "spacing": "log",
    "medium": "vacuum",
    "frame": "rest",
}
CARD = {
    "id": "thermometer",
    "version": "1.0",
    "title": "Temperatures of stars in the H band",
    "task": "regress",
    "description": "A linear regression on normalised spectra.",
    "input": {
        "kind": "spectra",
        "flux_unit": "continuum",
        "wavelength": GRID,
        "signal_to_noise": {"low": 30, "high": 3000, "unit": ""},
    },
    "outputs": {"axis": "parameter", "names": ["teff"], "units": ["K"]},
    "baseline": "none",
    "datasets": [],
    "limits": [],
    "licence": "BSD-3-Clause",
    "citations": [],
}


class Thermometer(torch.nn.Module):
    """A temperature and its error, from absorption times weights."""

    def __init__(self, pixels):
        super().__init__()
        self.head = torch.nn.Linear(pixels, 1)
        self.sigma = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, values):
        found = self.head(1 - values)
        return torch.cat([found, self.sigma.expand_as(found)], dim=1)


def learned(flux, teff):
    """Ridge regression: more pixels than stars, so that it is solved in the space of the stars."""
    absorbed = (1 - flux).astype(np.float64)
    middle, level = absorbed.mean(axis=0), teff.mean()
    centred = absorbed - middle
    kernel = centred @ centred.T + 0.3 * np.eye(len(teff))
    weights = centred.T @ np.linalg.solve(kernel, teff - level)
    module = Thermometer(flux.shape[1])
    with torch.no_grad():
        module.head.weight.copy_(torch.from_numpy(weights[None]))
        module.head.bias.fill_(level - middle @ weights)
        module.sigma.fill_(50.0)
    return module


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROML_MODEL_PATH", str(tmp_path / "mine"))
    return tmp_path / "mine"


def spectra(wave, flux, error=0.01, **more):
    flux = np.atleast_2d(flux)
    given = {"medium": "vacuum", "frame": "rest", **more}
    return aml.Spectra(
        ids=[str(i) for i in range(len(flux))],
        wavelength=np.tile(wave, (len(flux), 1)),
        values=flux.astype(np.float32),
        errors=np.broadcast_to(np.float32(error), flux.shape).copy(),
        **given,
    )


def test_a_module_of_ones_own_measures_a_real_star(sky_data, mine, tmp_path):
    weights = sky_data / "weights"
    payne = aml.emulator(
        weights / "payne_NN_normalized_spectra.npz",
        wavelength=weights / "payne_apogee_wavelength.npz",
    )
    rng = np.random.default_rng(1)
    part = rng.uniform(0.05, 0.95, (300, 5))
    labels = payne.low + part * (payne.high - payne.low)
    drawn = np.stack(
        [payne.spectrum(**dict(zip(payne.labels, star, strict=True))) for star in labels]
    )
    known = spectra(payne.wavelength, drawn + rng.normal(0, 0.01, drawn.shape))
    # What the module learns from goes the way of what it is asked for.
    aml.register(Thermometer(2242), CARD)
    assert set(aml.check(known, model="thermometer")["fit"]) == {"converted: resampled"}
    from jupyter_astroml.models.loading import load

    seen = load("thermometer").prepare(known).samples.values
    aml.register(learned(seen[:250], labels[:250, 0]), CARD, samples=known[:3])
    assert replay_model("thermometer").passed
    answers = aml.predict(
        known[250:], model="thermometer", engine="here", run=tmp_path / "run", progress=False
    ).predictions()
    off = answers.columns["teff"] - labels[250:, 0]
    print(f"simulated stars: {np.sqrt(np.mean(off**2)):.0f} K")
    assert np.sqrt(np.mean(off**2)) < 150

    path = sky_data / "star_spectra" / "dev" / "apogee_spectrum_ap_id_2M13012770p5754582_.npz"
    with np.load(path) as stored:
        real = spectra(payne.wavelength, stored["spectrum"], stored["spec_err"])
    (told,) = aml.check(real, model="thermometer")["fit"]
    assert told.startswith("converted: resampled")
    run = aml.predict(
        real, model="thermometer", engine="here", run=tmp_path / "real", progress=False
    )
    (row,) = run.predictions().to_table()
    print(row)
    assert row["fit"] == told
    # The least-squares fit of the whole emulator says 4944 K, the survey 4936 K.
    assert abs(row["teff"] - 4940) < 200
    assert run.predictions().to_table()["teff"].unit == "K"
    maps = aml.explain(run, ids=["0"], target="teff", method="gradient")
    assert maps.maps.shape == (1, 2242)
    assert maps.samples.medium == "vacuum"
    # The same star, told wrongly.
    wrong = spectra(payne.wavelength, stored_flux := real.values * 3e-14, 3e-16, flux_unit="Jy")
    assert stored_flux.shape == real.values.shape
    assert "not over its continuum" in aml.check(wrong, model="thermometer")["fit"][0]


def test_answers_about_spectra_are_told_in_words_and_on_a_page(mine, tmp_path):
    aml.register(Thermometer(2242), CARD)
    wave = np.arange(15850.0, 16450.0, 0.1)
    given = spectra(wave, 1 + 0.01 * np.random.default_rng(0).normal(size=(2, len(wave))))
    run = aml.predict(
        given, model="thermometer", engine="here", run=tmp_path / "run", progress=False
    )
    (words,) = aml.describe(aml.explain(run, ids=["0"], method="gradient"))
    assert re.search(r"within \d+\.\d Angstrom of 1\d{4}(\.\d)? Angstrom, where it is", words)
    assert "2 objects" in aml.report(run, tmp_path / "page.html").read_text()
    with pytest.raises(DataError, match="cannot be inspected yet"):
        aml.inspect(run)


def sdss(path, slope):
    """A spectrum in the layout of SDSS: vacuum, logarithms of angstroms."""
    loglam = np.arange(3.60, 3.70, 1e-4)
    columns = [
        fits.Column("flux", "E", array=10 * (1 + slope * (10**loglam / 4500 - 1))),
        fits.Column("loglam", "E", array=loglam),
        fits.Column("ivar", "E", array=np.full(len(loglam), 100.0)),
    ]
    primary = fits.PrimaryHDU()
    primary.header["PLUG_RA"], primary.header["PLUG_DEC"] = 150.25, 2.5
    primary.header["BUNIT"] = "1E-17 erg/cm^2/s/Ang"
    fits.HDUList([primary, fits.BinTableHDU.from_columns(columns, name="COADD")]).writeto(path)


@pytest.fixture
def night(tmp_path):
    """A folder of spectra, red and blue in turns, published."""
    (tmp_path / "night" / "stars").mkdir(parents=True)
    for i in range(6):
        sdss(tmp_path / "night" / "stars" / f"s{i}.fits", slope=1.0 if i % 2 else -1.0)
    running = serve.start(tmp_path / "night")
    yield running
    running.stop()


@pytest.fixture
def slopes(mine):
    """A model whose network is installed, so that other processes can run it."""
    home = mine / "slopes"
    home.mkdir(parents=True)
    grid = {"low": 4050, "high": 4950, "unit": "Angstrom", "pixels": 300, "medium": "air"}
    ramp = np.linspace(-1, 1, 300, dtype=np.float32) / 30
    save_file(
        {"layers.0.weight": np.stack([-ramp, ramp]), "layers.0.bias": np.zeros(2, "f")},
        home / WEIGHTS,
    )
    card = CARD | {
        "format": 1,
        "id": "slopes",
        "task": "classify",
        "input": {"kind": "spectra", "flux_unit": "relative", "wavelength": grid},
        "outputs": {"axis": "class", "names": ["blue", "red"]},
        "network": {
            "architecture": "layers",
            "options": {"layers": [{"kind": "dense", "inputs": 300, "outputs": 2}]},
        },
    }
    (home / "card.yaml").write_text(yaml.safe_dump(card))
    write_facts(home, Facts(digest=digest_of(home / WEIGHTS)))
    return home


QUERY = "SELECT * FROM night.stars ORDER BY id"


def shell(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_astroml", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_folder_of_spectra_is_published_checked_and_run(night, slopes, tmp_path):
    rows = aml.archive(night.tap).query(QUERY)
    assert [e.name for e in aml.models(kind="spectra")] == ["slopes"]
    assert "slopes" in [e.name for e in aml.models(fits=rows)]
    told = aml.check(rows, model="slopes")["fit"]
    assert all("vacuum turned into those in air; resampled" in each for each in told)
    run = aml.predict(rows, model="slopes", engine="here", run=tmp_path / "r", progress=False)
    assert run.predictions().columns["label"].tolist() == ["blue", "red"] * 3
    assert run.predictions().columns["fit"].tolist() == told.tolist()


def test_a_shell_does_the_same(night, slopes, tmp_path):
    asked = ["--query", QUERY, "--archive", night.tap, "--json"]
    told = json.loads(shell("check", "slopes", *asked))
    assert [row["fit"].partition(":")[0] for row in told] == ["converted"] * 6
    out = tmp_path / "out.parquet"
    shell("predict", "slopes", *asked, "--run", tmp_path / "run", "--out", out, "--engine", "here")
    assert list(aml.read(out)["label"]) == ["blue", "red"] * 3
    assert "4050 to 4950 Angstrom in air, 300 pixels" in shell("models", "show", "slopes")
    # Of a table too, whose rows say where the spectra are.
    table = tmp_path / "rows.parquet"
    shell("query", QUERY, "--archive", night.tap, "--out", table)
    again = json.loads(shell("check", "slopes", "--table", table, "--json"))
    assert again == told


def test_models_of_spectra_and_of_pictures_are_not_mixed_up(slopes):
    given = spectra(np.arange(4000.0, 5000.0), np.ones(1000))
    with pytest.raises(DataError, match="takes cutouts"):
        aml.predict(given, model="galaxy_morphology", progress=False)
    picture = aml.Cutouts(ids=["a"], values=np.ones((1, 1, 8, 8), np.float32), bands=("r",))
    with pytest.raises(DataError, match="takes spectra"):
        aml.predict(picture, model="slopes", progress=False)
    with pytest.raises(ModelError, match="events are detected in light curves"):
        aml.register(
            Thermometer(2242),
            CARD | {"task": "detect", "outputs": {"axis": "time", "names": ["event"]}},
        )
