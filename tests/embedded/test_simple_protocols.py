"""Cone search and image search, through pyvo and by hand."""

import io
import itertools
import shutil
import subprocess

import numpy as np
import pytest
import pyvo
import requests
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io.votable import parse
from pyvo.dal.exceptions import DALQueryError

from jupyter_astroml.core.errors import QueryError
from jupyter_astroml.embedded import sia

CENTRE = SkyCoord(150.05, 2.15, unit="deg")

needs_stilts = pytest.mark.skipif(
    shutil.which("stilts") is None,
    reason="STILTS is not installed: apt install stilts, or https://www.star.bris.ac.uk/~mbt/stilts",
)


@pytest.fixture(scope="module")
def galaxies(tap):
    return tap.run_sync("SELECT id, ra, dec FROM demo.galaxies").to_table()


@pytest.fixture(scope="module")
def images(tap):
    return tap.run_sync(
        "SELECT obs_publisher_did, s_ra, s_dec FROM ivoa.obscore WHERE dataproduct_type = 'image'"
    ).to_table()


def fetch(archive, path, **params) -> requests.Response:
    return requests.get(f"{archive.url}/{path}", params=params, timeout=30)


def info(answer: requests.Response, name: str) -> str:
    """Return the last INFO of a name, of the document or its results."""
    found = parse(io.BytesIO(answer.content))
    every = [*found.infos, *found.resources[0].infos]
    return next(i.value for i in reversed(every) if i.name == name)


# Cone search.


@pytest.fixture(scope="module")
def cone(archive):
    return pyvo.dal.SCSService(f"{archive.url}/scs/demo.galaxies")


@pytest.mark.parametrize("verbosity", [1, 2, 3])
def test_a_cone_search_finds_what_astropy_finds(cone, galaxies, verbosity):
    near = SkyCoord(galaxies["ra"], galaxies["dec"]).separation(CENTRE) <= 0.08 * u.deg
    found = cone.search(pos=CENTRE, radius=0.08 * u.deg, verbosity=verbosity)
    assert {r.id for r in found} == set(galaxies["id"][near])
    assert 5 < len(found) < len(galaxies)
    assert found[0].pos.separation(CENTRE) <= 0.08 * u.deg
    assert (len(found.fieldnames) == 3) == (verbosity == 1)


def test_the_three_columns_of_a_cone_search_have_the_names_and_types_of_the_standard(archive):
    answer = fetch(archive, "scs/demo.stars", RA=150.1, DEC=2.2, SR=0.3, VERB=1)
    assert answer.headers["Content-Type"] == "text/xml;content=x-votable"
    fields = parse(io.BytesIO(answer.content)).get_first_table().fields
    assert [(f.ucd, f.datatype) for f in fields] == [
        ("ID_MAIN", "char"),
        ("POS_EQ_RA_MAIN", "double"),
        ("POS_EQ_DEC_MAIN", "double"),
    ]


def test_a_cone_over_the_pole_and_a_radius_of_nothing_are_answered(archive):
    whole = fetch(archive, "scs/demo.galaxies", RA=725, DEC=90, SR=180)
    assert info(whole, "QUERY_STATUS") == "OK"
    assert whole.text.count("<TR>") == 392
    columns = fetch(archive, "scs/demo.galaxies", RA=150, DEC=2, SR=0)
    assert columns.text.count("<TR>") == 0
    assert columns.text.count("<FIELD") > 3


def test_more_rows_than_asked_for_are_an_overflow(archive, cone):
    answer = fetch(archive, "scs/demo.galaxies", RA=150, DEC=2, SR=180, MAXREC=7)
    assert answer.text.count("<TR>") == 7
    assert info(answer, "QUERY_STATUS") == "OVERFLOW"
    assert len(cone.search(pos=CENTRE, radius=10 * u.deg, MAXREC=7)) == 7


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({}, "RA is missing"),
        ({"RA": "10"}, "DEC is missing"),
        ({"RA": "ten", "DEC": "2", "SR": "1"}, "RA is 'ten'"),
        ({"RA": "10", "DEC": "nan", "SR": "1"}, "DEC is 'nan'"),
        ({"RA": "10", "DEC": "2", "SR": "inf"}, "SR is 'inf'"),
        ({"RA": "10", "DEC": "91", "SR": "1"}, "beyond a pole"),
        ({"RA": "10", "DEC": "2", "SR": "-1"}, "SR is -1"),
        ({"RA": "10", "DEC": "2", "SR": "1", "VERB": "9"}, "VERB is '9'"),
        ({"RA": "10", "DEC": "2", "SR": "1", "MAXREC": "x"}, "MAXREC is 'x'"),
        ({"RA": "1) OR (1=1", "DEC": "2", "SR": "1"}, "RA is"),
    ],
)
def test_a_wrong_cone_is_an_error_in_the_words_of_the_standard(archive, params, why):
    answer = fetch(archive, "scs/demo.galaxies", **params)
    assert answer.status_code == 200
    assert why in info(answer, "Error")
    assert info(answer, "QUERY_STATUS") == "ERROR"


def test_pyvo_turns_the_error_of_a_cone_search_into_its_exception(cone):
    with pytest.raises(DALQueryError, match="VERB"):
        cone.search(pos=CENTRE, radius=1 * u.deg, VERB=9)


def test_tables_without_positions_have_no_cone_search(archive):
    for name in ("demo.flares", "ivoa.obscore", "nosuch", "demo.galaxies;"):
        assert fetch(archive, f"scs/{name}", RA=1, DEC=1, SR=1).status_code == 404


# Images.


@pytest.fixture(scope="module")
def service(archive):
    return pyvo.dal.SIA2Service(f"{archive.url}/sia2")


def test_a_circle_finds_the_images_that_it_touches(service, images):
    centre = SkyCoord(images["s_ra"], images["s_dec"])
    # Fields are 0.1 degree wide, so a circle around a centre touches that field first.
    for row, place in zip(images, centre, strict=True):
        found = service.search(pos=(place, 0.01 * u.deg))
        assert [r.obs_publisher_did for r in found] == [row["obs_publisher_did"]]
    assert len(service.search(pos=(centre[0], 5 * u.deg))) == len(images)
    assert len(service.search(pos=(SkyCoord(10, 2, unit="deg"), 5 * u.deg))) == 0


def test_several_positions_add_up(service, images):
    two = [(SkyCoord(r["s_ra"], r["s_dec"], unit="deg"), 0.01 * u.deg) for r in images[:2]]
    assert len(service.search(pos=two)) == 2


@pytest.mark.parametrize(
    ("pos", "number"),
    [
        ("RANGE 149 151 1 3", 8),
        ("RANGE 149 151 2.2 3", 4),
        ("RANGE -Inf +Inf 2.2 +Inf", 4),
        ("RANGE 200 210 1 3", 0),
        ("RANGE 0 360 -90 90", 8),
        ("POLYGON 149 1 151 1 151 3 149 3", 8),
        ("POLYGON 149 1 149 3 151 3 151 1", 8),
        ("circle 150.1 2.2 3", 8),
    ],
)
def test_ranges_and_polygons_find_what_they_hold(archive, pos, number):
    assert fetch(archive, "sia2/query", POS=pos).text.count("<TR>") == number


@pytest.mark.parametrize(
    ("params", "number"),
    [
        ({}, 8),
        ({"BAND": "5e-7 6e-7"}, 8),
        ({"BAND": "5e-7"}, 8),
        ({"BAND": "1e-6 +Inf"}, 0),
        ({"BAND": "-Inf +Inf"}, 8),
        ({"FOV": "0.05 0.2"}, 8),
        ({"FOV": "1 2"}, 0),
        ({"EXPTIME": "53 54"}, 8),
        ({"SPATRES": "0.1 3"}, 8),
        ({"TIME": "50000 60000"}, 0),
        ({"CALIB": ["3", "2"]}, 8),
        ({"CALIB": "1"}, 0),
        ({"DPTYPE": "image"}, 8),
        ({"DPTYPE": "cube"}, 0),
        ({"DPTYPE": "timeseries"}, 0),
        ({"TARGET": "simulated field 3"}, 1),
        ({"TARGET": ["simulated field 3", "simulated field 4"]}, 2),
        ({"ID": "ivo://astroml.demo/sky?field-02"}, 1),
        ({"FACILITY": "simulation"}, 8),
        ({"FACILITY": "O'Brien' OR '1'='1"}, 0),
        ({"COLLECTION": "nosuch"}, 0),
        ({"POL": "I"}, 0),
        ({"MAXREC": "3"}, 3),
        ({"MAXREC": "0"}, 0),
        ({"FORMAT": "application/x-votable+xml;content=datalink"}, 8),
    ],
)
def test_each_parameter_narrows_the_search(archive, params, number):
    answer = fetch(archive, "sia2/query", **params)
    assert answer.status_code == 200
    assert answer.text.count("<TR>") == number
    overflow = number < 8 and "MAXREC" in params
    assert info(answer, "QUERY_STATUS") == ("OVERFLOW" if overflow else "OK")


@pytest.mark.parametrize(
    "params",
    [
        {"POS": "CIRCLE 1 2"},
        {"POS": "CIRCLE 1 2 nan"},
        {"POS": "RANGE 1 2 3"},
        {"POS": "RANGE 3 2 1 2"},
        {"POS": "RANGE nan 2 1 2"},
        {"POS": "POLYGON " + "1 2 3 4 " * 80},
        {"POS": "POLYGON 1 2 3 4 5 95"},
        {"POS": ""},
        {"BAND": "2 1"},
        {"BAND": "1 2 3"},
        {"BAND": "red"},
        {"TIME": "nan"},
        {"POL": "%"},
        {"CALIB": "9"},
        {"CALIB": "1 OR 1=1"},
        {"MAXREC": "-1"},
        {"FOV": "1_0"},
    ],
)
def test_a_wrong_parameter_is_a_dali_error(archive, params):
    answer = fetch(archive, "sia2/query", **params)
    assert answer.status_code == 400
    assert info(answer, "QUERY_STATUS") == "ERROR"


def test_rows_of_an_image_search_lead_to_cutouts(service, images):
    place = SkyCoord(images["s_ra"][0], images["s_dec"][0], unit="deg")
    found = service.search(pos=(place, 0.01 * u.deg))
    links = next(found.iter_datalinks())
    cut = links.get_first_proc().processed(circle=(place.ra, place.dec, 0.002 * u.deg))
    assert cut.read().startswith(b"SIMPLE")


@pytest.mark.parametrize("south", [-90, -60, 0, 40, 89])
def test_the_outline_of_a_range_follows_its_parallels(south):
    """The area of a range is known: sin(north) - sin(south), times its width."""
    north = min(south + 30, 90)
    corners = sia.outline(10, 70, south, north)
    points = SkyCoord(*np.array(corners).T, unit="deg").cartesian.xyz.value.T
    wanted = np.radians(60) * (np.sin(np.radians(north)) - np.sin(np.radians(south)))
    total = 0.0
    for a, b in itertools.pairwise(points):
        triple = np.dot(points[0], np.cross(a, b))
        total += 2 * np.arctan2(
            triple, 1 + np.dot(points[0], a) + np.dot(a, b) + np.dot(points[0], b)
        )
    assert abs(total) == pytest.approx(wanted, rel=1e-4)


def test_conditions_hold_no_text_of_a_client_unquoted():
    given = {"TARGET": ["x' OR 'a'='a"], "ID": ["'"]}
    text = sia.conditions(lambda name: given.get(name, []))
    assert "target_name = 'x'' OR ''a''=''a'" in text
    assert "obs_publisher_did = ''''" in text
    with pytest.raises(QueryError):
        sia.conditions(lambda name: ["x'"] if name == "POL" else [])


# Both.


@pytest.mark.parametrize("path", ["scs/demo.galaxies", "sia2", "ssa", "tap"])
def test_each_service_tells_what_it_is_and_that_it_is_up(archive, path):
    assert "<vosi:available>true" in fetch(archive, f"{path}/availability").text
    told = fetch(archive, f"{path}/capabilities").text
    assert "ivo://ivoa.net/std/VOSI#capabilities" in told
    listed = requests.get(archive.url, timeout=10).json()
    assert listed["sia2"] == f"{archive.url}/sia2"


@needs_stilts
@pytest.mark.parametrize(
    "path",
    [
        "scs/demo.galaxies?RA=150.1&DEC=2.2&SR=0.1&VERB=3",
        "scs/demo.galaxies?RA=x",
        "sia2/query?POS=CIRCLE+150.1+2.2+1",
        "ssa/query?REQUEST=queryData&POS=150.1,2.2&SIZE=1",
        "ssa/query?REQUEST=queryData&FORMAT=METADATA",
        "ssa/query?BAND=x",
    ],
)
def test_votlint_is_silent_about_each_answer(archive, tmp_path, path):
    (tmp_path / "answer.vot").write_bytes(requests.get(f"{archive.url}/{path}", timeout=30).content)
    done = subprocess.run(
        ["stilts", "votlint", f"votable={tmp_path / 'answer.vot'}"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert (done.stdout + done.stderr).strip() == ""


@needs_stilts
def test_stilts_matches_a_table_against_the_cone_search(archive, tmp_path, galaxies):
    mine = galaxies[:5].copy()
    mine.rename_column("id", "own_name")
    mine.write(tmp_path / "mine.vot", format="votable")
    done = subprocess.run(
        ["stilts", "coneskymatch", f"serviceurl={archive.url}/scs/demo.galaxies",
         "servicetype=cone",
         f"in={tmp_path / 'mine.vot'}", "ra=ra", "dec=dec", "sr=0.001", "find=best",
         f"out={tmp_path / 'out.vot'}"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = parse(tmp_path / "out.vot").get_first_table().to_table()
    assert len(found) == 5
    names = next(n for n in found.colnames if n.lower().startswith("id"))
    assert sorted(found[names]) == sorted(found["own_name"]) == sorted(mine["own_name"])


@needs_stilts
def test_datalinklint_finds_nothing_where_the_rows_of_an_image_search_lead(service):
    url = service.search()[0].access_url
    done = subprocess.run(
        ["stilts", "datalinklint", f"votable={url}"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "Totals: Errors: 0; Warnings: 0;" in done.stdout, done.stdout[-2000:]
