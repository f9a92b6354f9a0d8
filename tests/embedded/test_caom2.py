"""The tables of CAOM, asked by astroquery as it asks the archive in Canada."""

import warnings

import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord


@pytest.fixture(scope="module")
def cadc(archive):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from astroquery.cadc import Cadc

        yield Cadc(url=archive.tap)


def test_query_region_finds_what_covers_a_circle(cadc, tap):
    fields = tap.run_sync(
        "SELECT obs_id, obs_publisher_did, s_ra, s_dec FROM ivoa.obscore "
        "WHERE dataproduct_type = 'image' ORDER BY obs_id"
    ).to_table()
    for field in fields[:3]:
        place = SkyCoord(field["s_ra"], field["s_dec"], unit="deg")
        found = cadc.query_region(place, radius=0.001 * u.deg)
        own = found[found["dataproducttype"] == "image"]
        assert list(own["publisherid"]) == [field["obs_publisher_did"]]
        assert list(own["observationid"]) == [field["obs_id"]]
        assert own["energy_emband"][0] == "Optical"
    every = cadc.query_region(place, radius=3 * u.deg)
    assert set(fields["obs_publisher_did"]) <= set(every["publisherid"])
    assert len(cadc.query_region(SkyCoord(10, 10, unit="deg"), radius=1 * u.deg)) == 0


def test_query_region_can_be_narrowed_to_a_collection(cadc):
    place = SkyCoord(150.1, 2.2, unit="deg")
    collection = "jupyter_astroml demo sky (simulated)"
    assert len(cadc.query_region(place, radius=1 * u.deg, collection=collection)) > 8
    assert len(cadc.query_region(place, radius=1 * u.deg, collection="HST")) == 0


def test_query_name_finds_a_target(cadc):
    found = cadc.query_name("simulated field 3")
    assert list(found["observationid"]) == ["field-03"]


def test_tables_and_jobs_of_the_archive_are_at_hand(cadc):
    names = {table.name for table in cadc.get_tables()}
    assert {"caom2.observation", "caom2.plane", "ivoa.obscore"} <= names
    job = cadc.create_async("SELECT TOP 3 obsID, planeID FROM caom2.Plane")
    job = job.run().wait()
    job.raise_if_error()
    assert len(job.fetch_result()) == 3
    job.delete()


def test_every_dataset_is_one_observation_with_one_plane(tap):
    counts = [
        tap.run_sync(f"SELECT COUNT(*) AS n FROM {source}")["n"][0]
        for source in (
            "ivoa.obscore",
            "caom2.observation",
            "caom2.plane",
            "caom2.plane AS p JOIN caom2.observation AS o ON o.obsID = p.obsID "
            "JOIN ivoa.obscore AS i ON i.obs_publisher_did = p.publisherID",
        )
    ]
    assert len(set(counts)) == 1
    assert counts[0] == 308
