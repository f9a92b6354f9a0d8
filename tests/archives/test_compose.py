import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.time import Time

from jupyter_astroml.archives.archive import archive
from jupyter_astroml.archives.compose import observations, place, select
from jupyter_astroml.core.errors import AstroMLError, QueryError


@pytest.fixture(scope="module")
def sky(demo_archive):
    with archive(demo_archive.tap) as made:
        yield made


def test_a_form_becomes_a_query_that_a_person_can_read():
    made = select(
        "demo.galaxies",
        columns=["id", "size"],
        where=[("mag_r", "<=", np.float32(17.5)), ("name", "LIKE", "O'Neill%")],
        order="mag_r",
        top=3,
    )
    assert made == (
        'SELECT TOP 3 id, "size"\n'
        "FROM demo.galaxies\n"
        "WHERE mag_r <= 17.5\n"
        "  AND name LIKE 'O''Neill%'\n"
        "ORDER BY mag_r"
    )


@pytest.mark.parametrize(
    "given",
    [
        {"table": "a; DROP TABLE b"},
        {"table": "a", "where": [("x", "= 1 OR 1 =", 1)]},
        {"table": "a", "where": [("x", "=", float("nan"))]},
        {"table": "a", "where": [("x", "=", [1])]},
        {"table": "a", "columns": [""]},
        {"table": "a", "top": 0},
        {"table": "a", "position": SkyCoord(1, 2, unit="deg")},
        {"table": "a", "position": SkyCoord(1, 2, unit="deg"), "radius": 3},
        {"table": "a", "position": SkyCoord(1, 2, unit="deg"), "radius": 0 * u.deg},
    ],
)
def test_what_is_no_name_value_or_angle_is_refused(given):
    with pytest.raises(AstroMLError):
        select(**given)


def test_quotes_in_names_and_values_do_not_end_them():
    made = select('"J/A+A"."t"', columns=['a"b'], where=[("x", "=", "' OR '1'='1")])
    assert made.splitlines()[0] == 'SELECT "a""b"'
    assert made.endswith("x = ''' OR ''1''=''1'")


def test_a_cone_needs_no_column_names_and_finds_what_astropy_finds(sky):
    rows = sky.query("SELECT id, ra, dec FROM demo.galaxies")
    places = SkyCoord(rows["ra"], rows["dec"])
    found = sky.cone("demo.galaxies", position=places[0], radius=4 * u.arcmin, columns=["id"])
    near = places[0].separation(places) < 4 * u.arcmin
    assert sorted(found["id"]) == sorted(rows["id"][near])
    assert "CIRCLE(" in found.meta["astroml"]["adql"]


def test_a_table_without_positions_is_told(sky):
    with pytest.raises(QueryError, match="no known columns of position"):
        sky.cone("tap_schema.columns", position=SkyCoord(1, 2, unit="deg"), radius=1 * u.deg)


def test_observations_are_found_by_place_band_and_product(sky):
    galaxy = sky.query("SELECT TOP 1 id, ra, dec FROM demo.galaxies ORDER BY id")
    place = SkyCoord(galaxy["ra"][0], galaxy["dec"][0], unit="deg")
    images = sky.observations(position=place, product="image")
    assert len(images) > 0
    assert set(images["dataproduct_type"]) == {"image"}
    wavelength = float(images["em_min"][0]) * u.m
    around = sky.observations(
        position=place, radius=1 * u.arcsec, band=wavelength, product="image", top=50
    )
    assert len(around) == len(images)
    assert len(sky.observations(position=place, band=21 * u.cm)) == 0
    assert len(sky.observations(time=Time(["1990-01-01", "1990-01-02"]))) == 0


def test_a_frequency_is_a_band_too():
    made = observations(band=[1.4, 1.5] * u.GHz)
    # 1.5 GHz are 0.19986 m, 1.4 GHz are 0.21414 m.
    assert "em_min <= 0.214137" in made
    assert "em_max >= 0.199861" in made
    with pytest.raises(QueryError, match="no band"):
        observations(band=3 * u.kg)


@pytest.mark.parametrize(
    "text",
    [
        "150.5 -2.25",
        "150.5, -2.25",
        "10h02m00s -2d15m00s",
        "10:02:00 -2:15:00",
        "10 02 00 -02 15 00",
    ],
)
def test_coordinates_in_a_text_need_no_name_resolver(text):
    # 10 h 2 min at fifteen degrees an hour are 150.5 degrees.
    made = select("a.b", position=text, radius=1 * u.deg)
    assert "CIRCLE(150.5, -2.25, 1)" in made


def test_a_product_that_nobody_has_is_no_question():
    with pytest.raises(QueryError, match=r"no type of data product.*image"):
        observations(product="imagee")
    assert "dataproduct_type = 'timeseries'" in observations(product="timeseries")


@pytest.mark.parametrize("where", ["150.1", " -3 ", "12.5 deg"])
def test_one_number_is_no_position_and_no_name(where):
    with pytest.raises(QueryError, match="is one number"):
        place(where)
