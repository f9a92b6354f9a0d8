"""The demo sky: labelled as simulated, small, reproducible, and true to its tables."""

import json
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from jupyter_astroml.core.errors import SettingsError
from jupyter_astroml.embedded import demo_sky
from jupyter_astroml.embedded.engine import Database

SMALL = demo_sky.Plan(fields=2, cells=2, stars=4, cadences=400, stamp=160)


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    return [demo_sky.build(tmp_path_factory.mktemp("sky"), plan=SMALL) for _ in range(2)]


@pytest.fixture(scope="module")
def rows(demo_folder):
    database = Database(demo_sky.archive(demo_folder).database)

    def ask(query):
        answer = database.run(database.plan(query, maxrec=100_000), seconds=20)
        arrays = [c.to_numpy(zero_copy_only=False) for c in answer.rows.columns]
        return {c.name: a for c, a in zip(answer.columns, arrays, strict=True)}

    yield ask
    database.close()


def test_two_builds_hold_the_same_numbers(twins):
    first, second = (
        {p.relative_to(folder): p for p in sorted((folder / "files").rglob("*.fits"))}
        for folder in twins
    )
    assert list(first) == list(second)
    assert len(first) == 2 + 4
    for one, two in zip(first.values(), second.values(), strict=True):
        with fits.open(one) as a, fits.open(two) as b:
            assert fits.FITSDiff(a, b).identical
    databases = [Database(f / "archive.duckdb") for f in twins]
    for name in databases[0].tables:
        answers = [
            d.run(d.plan(f"SELECT * FROM {name}", maxrec=9999), seconds=9) for d in databases
        ]
        assert answers[0].rows.equals(answers[1].rows)
    for database in databases:
        database.close()


def test_another_seed_gives_another_sky(twins, tmp_path):
    other = demo_sky.build(tmp_path, plan=replace(SMALL, seed=1))
    with (
        fits.open(other / "files/fields/field-00.fits") as a,
        fits.open(twins[0] / "files/fields/field-00.fits") as b,
    ):
        assert a[1].data.shape == b[1].data.shape
        assert not np.array_equal(a[1].data, b[1].data)


def test_the_whole_sky_is_smaller_than_25_megabytes(demo_folder):
    size = sum(p.stat().st_size for p in demo_folder.rglob("*") if p.is_file())
    assert size < 25e6


def test_there_are_several_hundred_galaxies_of_four_classes_and_stars(rows):
    galaxies = rows("SELECT true_class, COUNT(*) AS n FROM demo.galaxies GROUP BY true_class")
    assert set(galaxies["true_class"]) == {"elliptical", "edge_on", "spiral", "merger"}
    assert galaxies["n"].min() > 50
    assert galaxies["n"].sum() == 392
    stars = rows("SELECT kind, n_flares FROM demo.stars")
    assert len(stars["kind"]) == 300
    assert (stars["n_flares"] > 0).sum() > 50
    assert (stars["n_flares"] == 0).sum() > 50


def test_everything_says_that_it_is_simulated(demo_folder, rows):
    curves = sorted((demo_folder / "files/light_curves").iterdir())
    for path in [*(demo_folder / "files/fields").iterdir(), *curves[:10]]:
        with fits.open(path) as hdus:
            assert all(h.header["SIMULATD"] is True for h in hdus)
    described = rows(
        "SELECT table_name, description FROM tap_schema.tables WHERE table_name LIKE 'demo.%' "
        "OR table_name = 'ivoa.obscore'"
    )
    assert len(described["description"]) == 4
    assert all("Simulated, not observed" in d for d in described["description"])
    obscore = rows("SELECT obs_collection, obs_title FROM ivoa.obscore")
    assert all("simulated" in c for c in obscore["obs_collection"])
    assert all("Simulated" in t for t in obscore["obs_title"])
    assert json.loads((demo_folder / "manifest.json").read_text())["simulated"] is True


def test_galaxies_lie_where_the_table_says_and_are_as_bright(demo_folder, rows):
    """Aperture photometry of early types, by hand."""
    table = rows(
        "SELECT ra, dec, mag_g, mag_r, mag_i, r_e_arcsec, n_sersic FROM demo.galaxies "
        "WHERE field = 3 AND true_class = 'elliptical' AND n_sersic < 4 AND r_e_arcsec < 6"
    )
    assert len(table["ra"]) >= 2
    with fits.open(demo_folder / "files/fields/field-03.fits") as hdus:
        pixels, wcs = hdus[1].data, WCS(hdus[1].header, naxis=2)
    for i in range(len(table["ra"])):
        x, y = (float(v) for v in wcs.wcs_world2pix(table["ra"][i], table["dec"][i], 0))
        yy, xx = np.mgrid[: pixels.shape[1], : pixels.shape[2]]
        distance = np.hypot(xx - x, yy - y) * 0.396
        near = distance < 3
        light = np.clip(pixels[1], 0, None)[near]
        centroid = np.array([(light * xx[near]).sum(), (light * yy[near]).sum()]) / light.sum()
        assert np.hypot(*(centroid - (x, y))) < 0.5
        for k, band in enumerate("gri"):
            total = 10 ** (0.4 * (22.5 - table[f"mag_{band}"][i]))
            inside = pixels[k][distance < table["r_e_arcsec"][i]].sum() / total
            # Half the light lies within the half-light radius, less what the seeing and a
            # flattened profile move outwards.
            assert 0.3 < inside < 0.65


def test_fields_cover_the_region_that_obscore_states(demo_folder, rows):
    found = rows("SELECT obs_id, s_ra, s_dec, s_region FROM ivoa.obscore WHERE s_xel1 > 0")
    for name, ra, dec, region in zip(*found.values(), strict=True):
        with fits.open(demo_folder / "files" / "fields" / f"{name}.fits") as hdus:
            wcs = WCS(hdus[1].header).celestial
            corners = [float(v) for v in region.split()[2:]]
            centre = wcs.wcs_pix2world((hdus[1].shape[2] - 1) / 2, (hdus[1].shape[1] - 1) / 2, 0)
        assert (ra, dec) == pytest.approx((float(centre[0]), float(centre[1])), abs=1e-9)
        assert corners == pytest.approx(wcs.calc_footprint().ravel().tolist(), abs=1e-9)


def test_no_galaxy_of_a_field_lies_in_another(rows):
    found = rows(
        "SELECT COUNT(*) AS n FROM demo.galaxies AS g JOIN ivoa.obscore AS o "
        "ON 1 = CONTAINS(POINT(g.ra, g.dec), o.s_region) WHERE o.dataproduct_type = 'image'"
    )
    same = rows(
        "SELECT COUNT(*) AS n FROM demo.galaxies AS g JOIN ivoa.obscore AS o "
        "ON g.obs_publisher_did = o.obs_publisher_did "
        "AND 1 = CONTAINS(POINT(g.ra, g.dec), o.s_region)"
    )
    assert found["n"][0] == same["n"][0] == 392


def test_a_strong_flare_of_the_truth_table_is_in_the_light_curve(demo_folder, rows):
    strong = rows("SELECT TOP 20 star_id, t_peak, peak_flux FROM demo.flares ORDER BY snr DESC")
    seen = 0
    for star, peak, flux in zip(*strong.values(), strict=True):
        with fits.open(demo_folder / "files" / "light_curves" / f"{star}.fits") as hdus:
            data = hdus[1].data
            near = np.abs(data["TIME"] - peak) < 2 / 1440
            before = (data["TIME"] < peak - 0.01) & (data["TIME"] > peak - 0.03)
            if near.any() and before.any() and np.isfinite(data["FLUX"][near]).all():
                rise = data["FLUX"][near].max() - np.nanmedian(data["FLUX"][before])
                # Flares of one outburst overlap, so there may be more light than of this one.
                assert rise > 0.6 * flux
                seen += 1
    assert seen > 5


def test_the_cache_is_filled_once_and_an_older_sky_is_removed(tmp_path):
    told = []
    (tmp_path / "demo_sky-older").mkdir()
    first = demo_sky.cached(tmp_path, progress=told.append, plan=SMALL)
    steps = len(told)
    assert steps > 2
    assert demo_sky.cached(tmp_path, progress=told.append, plan=SMALL) == first
    assert len(told) == steps
    assert [p.name for p in tmp_path.glob("demo_sky-*")] == [first.name]
    assert not list(tmp_path.glob("building-*"))


def test_a_build_that_is_broken_off_leaves_nothing_that_looks_whole(tmp_path):
    def stop(text):
        if "light curves" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        demo_sky.cached(tmp_path, progress=stop, plan=SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["demo_sky.lock"]


def test_a_cache_that_cannot_be_written_is_told_with_its_setting(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="ASTROML_CACHE_DIR"):
        demo_sky.cached(tmp_path / "file" / "cache", plan=SMALL)
