"""The client against the embedded archive: a real server in another process."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits

from jupyter_astroml.archives.archive import OverflowedWarning, archive
from jupyter_astroml.archives.fetch import fetch
from jupyter_astroml.core.errors import ArchiveError, QueryError

STAMP = 64 * 0.396 * u.arcsec


@pytest.fixture(scope="module")
def sky(demo_archive):
    with archive(demo_archive.tap) as made:
        yield made


@pytest.fixture(scope="module")
def galaxies(sky):
    return sky.query("SELECT TOP 8 * FROM demo.galaxies ORDER BY id")


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_rows_keep_units_descriptions_and_their_query(sky, mode):
    rows = sky.query("SELECT TOP 3 id, ra, mag_r FROM demo.galaxies", mode=mode)
    about = rows.meta["astroml"]
    assert (rows["ra"].unit, rows["mag_r"].unit) == (u.deg, u.mag)
    assert (about["rows"], about["overflow"], about["mode"]) == (3, False, mode)
    assert bool(about["job"]) == (mode == "async")


def test_a_cone_holds_what_astropy_finds_in_it(sky):
    rows = sky.query("SELECT id, ra, dec FROM demo.galaxies")
    places = SkyCoord(rows["ra"], rows["dec"])
    near = places[0].separation(places) < 3 * u.arcmin
    found = sky.query(
        "SELECT id FROM demo.galaxies WHERE 1 = CONTAINS(POINT(ra, dec), "
        f"CIRCLE({rows['ra'][0]}, {rows['dec'][0]}, 0.05))"
    )
    assert sorted(found["id"]) == sorted(rows["id"][near])


def test_a_cut_answer_is_flagged_and_warned_of(sky):
    with pytest.warns(OverflowedWarning, match="cut the answer at 5 rows"):
        rows = sky.query("SELECT id FROM demo.galaxies", maxrec=5)
    assert rows.meta["astroml"]["overflow"]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_refused_query_tells_the_archives_own_reason(sky, mode):
    with pytest.raises(QueryError, match="no_such"):
        sky.query("SELECT no_such FROM demo.galaxies", mode=mode)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_refusal_says_what_may_have_been_meant(sky, mode):
    with pytest.raises(QueryError, match="did you mean mag_r"):
        sky.query("SELECT mag_q FROM demo.galaxies", mode=mode)


def test_rows_of_the_demo_sky_say_that_they_are_simulated(demo_archive):
    with archive("demo", url=demo_archive.tap) as named:
        assert named.query("SELECT TOP 1 id FROM demo.stars").meta["astroml"]["simulated"]
        job = named.submit("SELECT TOP 1 id FROM demo.stars")
        assert job.table().meta["astroml"]["simulated"]


def test_a_job_that_takes_too_long_is_left_with_its_address(sky):
    slow = (
        "SELECT COUNT(*) AS n FROM demo.galaxies a, demo.galaxies b, demo.galaxies c, demo.stars d"
    )
    with pytest.raises(ArchiveError, match=r"/async/.*still"):
        sky.query(slow, mode="async", timeout=0.5)


def test_an_archive_that_is_not_there_is_told(galaxies):
    with pytest.raises(ArchiveError, match="did not answer"):
        archive("http://127.0.0.1:9/tap").query("SELECT TOP 1 * FROM x.y")


def test_a_closed_archive_has_no_connections_left_and_can_be_asked_again(demo_archive):
    with archive(demo_archive.tap) as sky:
        sky.query("SELECT TOP 1 id FROM demo.galaxies")
        pools = sky._session.get_adapter(sky.url).poolmanager.pools
        assert len(pools) == 1
    assert len(pools) == 0
    assert len(sky.query("SELECT TOP 1 id FROM demo.galaxies")) == 1
    sky.close()


def test_the_schema_lists_columns_with_units_and_ucds(sky):
    tables = {t.name: t for s in sky.schema() for t in s.tables}
    ra = {c.name: c for c in tables["demo.galaxies"].columns}["ra"]
    assert (ra.unit, ra.ucd) == ("deg", "pos.eq.ra;meta.main")
    assert "imulated" in tables["demo.galaxies"].description


def test_cutouts_are_cut_about_each_galaxy(sky, galaxies):
    found, failures = fetch(sky.samples(galaxies, size=STAMP))
    assert failures == {}
    assert found.ids.tolist() == galaxies["id"].tolist()
    assert found.bands == ("g", "r", "i")
    assert found.simulated
    assert max(found.values.shape[2:]) <= 66
    # The galaxy is the brightest thing at the centre of its own stamp.
    middle = found.values[:, 1, 24:40, 24:40].max(axis=(1, 2))
    assert (middle > 10 * np.nanmedian(np.abs(found.values[:, 1]), axis=(1, 2))).all()


def test_the_wcs_of_a_cutout_points_at_its_galaxy(sky, galaxies):
    from astropy.wcs import WCS

    found, _ = fetch(sky.samples(galaxies[:3], size=STAMP))
    for i in range(3):
        x, y = WCS(fits.Header.fromstring(found.wcs[i])).world_to_pixel(found.positions[i])
        assert (x, y) == pytest.approx(((found.values.shape[3] - 1) / 2,) * 2, abs=1.0)


def test_light_curves_of_stars_arrive_with_their_time_scale(sky):
    rows = sky.query("SELECT TOP 3 * FROM demo.stars ORDER BY id")
    found, failures = fetch(sky.samples(rows))
    assert failures == {}
    assert (found.kind, found.time_scale, found.time_zero) == ("light_curves", "tdb", 2457000.0)
    assert found.errors is not None
    assert np.isfinite(found.values).mean() > 0.8


def test_objects_that_fail_are_named_and_the_others_arrive(sky, galaxies):
    rows = galaxies.copy()
    rows["access_url"] = rows["access_url"].astype("U300")
    rows["access_url"][2] = (
        rows["access_url"][2].split("?")[0] + "?ID=ivo://astroml.demo/sky?nothing"
    )
    rows["access_url"][5] = "http://127.0.0.1:9/datalink?ID=x"
    rows["access_format"] = rows["access_format"].astype("U60")
    found, failures = fetch(sky.samples(rows, size=STAMP))
    assert set(failures) == {rows["id"][2], rows["id"][5]}
    assert found.ids.tolist() == [n for i, n in enumerate(rows["id"]) if i not in (2, 5)]


def test_nothing_that_arrives_is_told_as_nothing(sky, galaxies):
    rows = galaxies[:2].copy()
    rows["access_format"] = ["text/html", "text/html"]
    rows["access_url"] = [f"{sky.url}/capabilities"] * 2
    found, failures = fetch(sky.samples(rows))
    assert found is None
    assert all("no VOTable" in why for why in failures.values())


def test_a_schema_shows_itself_as_text_and_in_a_notebook(sky):
    found = sky.schema()
    assert "demo.galaxies: id, ra, dec" in str(found)
    assert "<b>demo.galaxies</b>" in found._repr_html_()
    assert "<script" not in found._repr_html_()
