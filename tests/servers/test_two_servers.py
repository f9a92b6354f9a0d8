"""One client, two servers: what our archive and somebody else's answer to the same questions."""

import time

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from twin_data import DEC, IMAGES, RA, SIDE, SPECTRA

import jupyter_astroml as aml
from jupyter_astroml.archives.archive import OverflowedWarning
from jupyter_astroml.archives.datalink import is_datalink
from jupyter_astroml.core.errors import QueryError

MIDDLE = SkyCoord(RA, DEC, unit="deg")
RADIUS = 20 * u.arcmin
CATALOGUE = "SELECT id, ra, dec, gmag, redshift, objclass FROM twin.sources ORDER BY id"
# A hundred thousand million rows, of which neither an index nor the extremes of a column tell.
SLOW = (
    "SELECT COUNT(*) AS n FROM twin.sources a, twin.sources b, twin.sources c, twin.sources d "
    "WHERE SIN(a.gmag * b.gmag * c.gmag * d.gmag) > 0.5"
)


def near(sources: Table, radius: u.Quantity = RADIUS) -> list[int]:
    """Return the ids within a circle about the middle, found by astropy."""
    places = SkyCoord(sources["ra"], sources["dec"], unit="deg")
    return sorted(sources["id"][MIDDLE.separation(places) < radius].tolist())


# Queries.


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_catalogue_arrives_as_it_was_published(twin, sources, mode):
    rows = twin.archive.query(CATALOGUE, mode=mode)
    assert rows["id"].tolist() == sources["id"].tolist()
    for name in ("ra", "dec", "gmag"):
        np.testing.assert_allclose(rows[name], sources[name], rtol=1e-14)
    assert rows["redshift"].mask.tolist() == sources["redshift"].mask.tolist()
    np.testing.assert_allclose(rows["redshift"].compressed(), sources["redshift"].compressed())
    assert rows["objclass"].tolist() == sources["objclass"].tolist()
    assert (rows["ra"].unit, rows["gmag"].unit) == (u.deg, u.mag)
    assert rows["ra"].meta["ucd"] == "pos.eq.ra;meta.main"
    assert rows.meta["astroml"]["mode"] == mode
    assert not rows.meta["astroml"]["overflow"]


@pytest.mark.parametrize(
    ("adql", "expected"),
    [
        ("SELECT COUNT(*) AS x FROM twin.sources WHERE redshift IS NULL", 200),
        ("SELECT COUNT(*) AS x FROM twin.sources WHERE objclass LIKE 'O''B%'", 200),
        ("SELECT COUNT(DISTINCT objclass) AS x FROM twin.sources", 3),
        ("SELECT MAX(id) - MIN(id) AS x FROM twin.sources", 599),
        ("SELECT MAX(n) AS x FROM (SELECT COUNT(*) AS n FROM twin.sources GROUP BY objclass) AS t",
         200),
    ],
)  # fmt: skip
def test_numbers_are_the_same_on_both(twin, adql, expected):
    assert twin.archive.query(adql)["x"].tolist() == [expected]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_cut_answer_is_told(twin, mode):
    with pytest.warns(OverflowedWarning, match="cut the answer at 7 rows"):
        rows = twin.archive.query("SELECT id FROM twin.sources", mode=mode, maxrec=7)
    assert (len(rows), rows.meta["astroml"]["overflow"]) == (7, True)


def test_the_first_rows_come_without_a_warning(twin):
    assert len(twin.archive.look("SELECT * FROM twin.sources", rows=5)) == 5


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_table_of_ours_is_matched_there(twin, sources, mode):
    mine = sources[["id", "ra", "dec"]][::100]
    mine["note"] = [f"é{i}" for i in range(len(mine))]
    adql = (
        "SELECT m.id, m.note, s.gmag FROM tap_upload.mine AS m JOIN twin.sources AS s "
        "ON m.id = s.id ORDER BY m.id"
    )
    rows = twin.archive.query(adql, mode=mode, upload={"mine": mine})
    assert rows["id"].tolist() == mine["id"].tolist()
    assert rows["note"].tolist() == mine["note"].tolist()
    np.testing.assert_allclose(rows["gmag"], sources["gmag"][::100])


def test_a_table_of_ours_is_matched_by_position(twin, sources):
    mine = sources[["ra", "dec"]][:20]
    mine["dec"] += 0.2 / 3600
    rows = twin.archive.query(
        "SELECT s.id FROM tap_upload.mine AS m, twin.sources AS s WHERE 1 = CONTAINS("
        "POINT(s.ra, s.dec), CIRCLE(m.ra, m.dec, 0.0001))",
        upload={"mine": mine},
    )
    assert sorted(rows["id"].tolist()) == sorted(sources["id"][:20].tolist())


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(
    ("adql", "words"),
    [
        ("SELECT gmagg FROM twin.sources", "did you mean gmag"),
        ("SELECT id FROM twin.source", "did you mean twin.sources"),
        ("SELECT id FORM twin.sources", "refused"),
    ],
)
def test_a_wrong_query_is_refused_with_what_was_meant(twin, adql, words, mode):
    with pytest.raises(QueryError, match=words):
        twin.archive.query(adql, mode=mode)


def test_a_query_is_checked_against_the_servers_own_tables(twin):
    assert twin.archive.check(CATALOGUE) == []
    (problem,) = twin.archive.check("SELECT decl FROM twin.sources")
    assert "decl" in str(problem)


def test_the_schema_has_the_tables_with_units_and_ucds(twin):
    tables = {t.name: t for s in twin.archive.schema() for t in s.tables}
    assert {"twin.sources", "ivoa.obscore", "tap_schema.columns"} <= set(tables)
    columns = {c.name: c for c in tables["twin.sources"].columns}
    assert (columns["dec"].unit, columns["dec"].ucd) == ("deg", "pos.eq.dec;meta.main")


# Jobs.


def test_a_job_is_listed_and_its_table_fetched(twin):
    job = twin.archive.submit("SELECT COUNT(*) AS n FROM twin.sources")
    assert job.table()["n"].tolist() == [600]
    assert job.phase == "COMPLETED"
    assert job.record.url in [each.record.url for each in twin.archive.jobs()]
    job.forget()
    assert job.record.url not in [each.record.url for each in twin.archive.jobs()]


def test_a_job_that_is_aborted_ends(twin):
    job = twin.archive.submit(SLOW)
    job.abort()
    end = time.monotonic() + 60
    while job.phase not in ("ABORTED", "ERROR") and time.monotonic() < end:
        time.sleep(0.2)
    assert job.phase == "ABORTED"
    job.forget()


# Places.


def test_a_cone_holds_what_astropy_finds(twin, sources):
    rows = twin.archive.cone("twin.sources", position=MIDDLE, radius=RADIUS)
    assert sorted(rows["id"].tolist()) == near(sources)
    assert 10 < len(rows) < len(sources)


def test_the_cone_search_of_the_simple_protocol_finds_the_same(twin, sources):
    import pyvo

    from jupyter_astroml.archives.http import Session

    with Session() as session:
        found = pyvo.dal.SCSService(twin.scs, session=session).search(pos=MIDDLE, radius=RADIUS)
        assert sorted(int(row["id"]) for row in found) == near(sources)


# Datasets.


def stems(rows: Table) -> list[str]:
    """Return the names of the files that rows are about."""
    return sorted(str(d).rsplit("/", 1)[1].split(".")[0] for d in rows["obs_publisher_did"])


def test_images_are_found_by_place(twin, sources):
    everything = twin.archive.images()
    assert stems(everything) == [f"field{i:02d}" for i in range(IMAGES)]
    for i in (0, 3):
        place = SkyCoord(sources["ra"][i], sources["dec"][i], unit="deg")
        for radius in (None, 5 * u.arcsec):
            found = twin.archive.images(position=place, radius=radius)
            assert stems(found) == [f"field{i:02d}"]
            # One question, three ways to ask it.
            again = twin.archive.observations(position=place, radius=radius, product="image")
            assert again["obs_publisher_did"].tolist() == found["obs_publisher_did"].tolist()
    assert len(twin.archive.images(position=SkyCoord(10, -80, unit="deg"), radius=RADIUS)) == 0


def test_a_cut_list_of_images_is_told(twin):
    with pytest.warns(OverflowedWarning, match="at 3 rows"):
        assert len(twin.archive.images(maxrec=3)) == 3


def test_spectra_are_found_by_place_and_band(twin, sources):
    everything = twin.archive.spectra()
    assert stems(everything) == [f"spec{i:02d}" for i in range(SPECTRA)]
    np.testing.assert_allclose(everything["em_min"], 3.8e-7)
    place = SkyCoord(sources["ra"][2], sources["dec"][2], unit="deg")
    found = twin.archive.spectra(position=place, radius=1 * u.arcmin, band=500 * u.nm)
    assert stems(found) == ["spec02"]
    assert SkyCoord(found["s_ra"][0], found["s_dec"][0], unit="deg").separation(place) < 1 * u.mas
    assert len(twin.archive.spectra(band=[2, 3] * u.um)) == 0
    assert stems(twin.archive.observations(product="spectrum")) == stems(everything)


def test_spectra_arrive_with_their_wavelengths(twin, twin_folder):
    for rows in (twin.archive.spectra(), twin.archive.observations(product="spectrum")):
        rows.sort("obs_publisher_did")
        found = aml.fetch(rows)
        assert (len(found), found.wave_unit, found.medium) == (SPECTRA, "Angstrom", "vacuum")
        assert found.grid[[0, -1]].tolist() == [3800.0, 9196.0]
        for i in range(SPECTRA):
            stored = fits.getdata(twin_folder / "spectra" / f"spec{i:02d}.fits")
            np.testing.assert_array_equal(found.values[i], stored)


def test_a_part_of_each_spectrum_arrives(twin):
    samples = twin.archive.samples(twin.archive.spectra(), band=[500, 501] * u.nm)
    found = aml.fetch(samples)
    assert found.grid.tolist() == [5000.0, 5004.0, 5008.0]
    assert len(found) == SPECTRA


def test_links_lead_to_whole_images(twin, twin_folder):
    rows = twin.archive.observations(product="image")
    rows.sort("obs_publisher_did")
    assert all(is_datalink(str(each)) for each in rows["access_format"])
    # DaCHS fails now and then when its first links are asked for by several at the same time.
    aml.fetch(rows[:1])
    found = aml.fetch(rows)
    assert found.values.shape == (IMAGES, 1, SIDE, SIDE)
    for i in range(IMAGES):
        stored = fits.getdata(twin_folder / "images" / f"field{i:02d}.fits")
        np.testing.assert_array_equal(found.values[i, 0], stored)


def test_cutouts_hold_the_pixels_about_their_places(twin, twin_folder):
    rows = twin.archive.images()
    rows.sort("obs_publisher_did")
    # Ten arcseconds east of the middle of each field.
    rows["s_ra"] += 10 / 3600 / np.cos(np.radians(rows["s_dec"]))
    side = 21
    found = aml.fetch(twin.archive.samples(rows, size=side * u.arcsec))
    # Services round the edges of a box in different ways; a pixel is an arcsecond.
    assert max(abs(n - side) for n in found.values.shape[2:]) <= 2
    for i in range(IMAGES):
        with fits.open(twin_folder / "images" / f"field{i:02d}.fits") as hdus:
            whole, wcs = hdus[0].data, WCS(hdus[0].header)
        cut = WCS(fits.Header.fromstring(found.wcs[i]))
        left, low = np.rint(wcs.wcs.crpix - cut.wcs.crpix).astype(int)
        there = np.argwhere(np.isfinite(found.values[i, 0]))
        y, x = there.T
        np.testing.assert_array_equal(found.values[i, 0, y, x], whole[y + low, x + left])
        assert len(there) >= (side - 2) ** 2
        # The object stands in the middle of its cutout.
        middle = np.array(cut.world_to_pixel(found.positions[i]))
        assert np.abs(middle - (side - 1) / 2).max() < 2
