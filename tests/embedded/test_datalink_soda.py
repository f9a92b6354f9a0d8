"""Links and cutouts, compared with the stored files through astropy."""

import io

import numpy as np
import pytest
import requests
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

FIELD = "ivo://astroml.demo/sky?field-00"


@pytest.fixture(scope="module")
def field(demo_folder):
    """Return pixels and celestial WCS of the stored field."""
    with fits.open(demo_folder / "files" / "fields" / "field-00.fits") as hdus:
        return np.array(hdus[1].data), WCS(hdus[1].header, naxis=2)


@pytest.fixture(scope="module")
def soda(archive):
    def cut(**parameters):
        given = {"ID": FIELD, **parameters}
        return requests.get(f"{archive.url}/soda", params=given, timeout=30)

    return cut


def opened(answer):
    assert answer.status_code == 200, answer.text[:500]
    assert answer.headers["Content-Type"] == "application/fits"
    return fits.open(io.BytesIO(answer.content))


def links(archive, *ids, **more):
    from pyvo.dal.adhoc import DatalinkResults

    pairs = [("ID", i) for i in ids] + list(more.items())
    url = requests.Request("GET", f"{archive.url}/datalink", params=pairs).prepare().url
    return DatalinkResults.from_result_url(url)


def test_several_ids_in_one_request_are_answered_in_order_with_unknown_ones_marked(archive, tap):
    stars = tap.run_sync("SELECT TOP 2 obs_publisher_did FROM demo.stars")["obs_publisher_did"]
    asked = [FIELD, "ivo://astroml.demo/sky?nosuch", *map(str, stars)]
    found = links(archive, *asked)
    assert list(dict.fromkeys(str(r.id) for r in found)) == asked
    rows = found.to_table()
    wrong = rows[[str(i) == asked[1] for i in rows["ID"]]]
    assert str(wrong["error_message"][0]).startswith("NotFoundFault")
    assert not str(wrong["access_url"][0] or "").strip("-")
    kinds = [(str(r["ID"]), str(r["semantics"])) for r in rows]
    assert kinds == [
        (FIELD, "#this"),
        (FIELD, "#cutout"),
        (asked[1], "#this"),
        (asked[2], "#this"),
        (asked[3], "#this"),
    ]


def test_the_file_behind_this_is_the_stored_one(archive, demo_folder):
    this = next(links(archive, FIELD).bysemantics("#this", include_narrower=False))
    body = requests.get(this.access_url, timeout=30).content
    assert body == (demo_folder / "files" / "fields" / "field-00.fits").read_bytes()
    # ObsCore rounds sizes up to kilobytes.
    assert len(body) <= this.content_length < len(body) + 1000


def test_pyvo_finds_the_cutout_service_and_uses_it(archive, tap, field):
    found = tap.run_sync(
        "SELECT * FROM ivoa.obscore WHERE obs_publisher_did = 'ivo://astroml.demo/sky?field-00'"
    )
    row = found[0]
    centre = (row["s_ra"] * u.deg, row["s_dec"] * u.deg, 0.005 * u.deg)
    processed = next(found.iter_datalinks()).get_first_proc().processed(circle=centre)
    with fits.open(io.BytesIO(processed.read())) as hdus:
        assert hdus[0].data.shape == (3, 91, 91)  # 2 × 0.005 × 3600 / 0.396 = 90.9


@pytest.mark.parametrize("width", [16, 31, 64, 128])
def test_a_circle_gives_the_pixels_of_cutout2d(tap, soda, field, width):
    pixels, wcs = field
    rows = tap.run_sync("SELECT TOP 6 ra, dec FROM demo.galaxies WHERE field = 0 ORDER BY id")
    for row in rows:
        radius = width * 0.396 / 3600 / 2
        made = opened(soda(CIRCLE=f"{row['ra']} {row['dec']} {radius}"))
        place = SkyCoord(row["ra"], row["dec"], unit=u.deg)
        for k in range(3):
            wanted = Cutout2D(pixels[k], place, 2 * radius * u.deg, wcs=wcs)
            assert wanted.shape == (width, width)
            np.testing.assert_array_equal(made[0].data[k], wanted.data)
        x, y = WCS(made[0].header, naxis=2).world_to_pixel(place)
        x0, y0 = wanted.wcs.world_to_pixel(place)
        assert (float(x), float(y)) == pytest.approx((float(x0), float(y0)), abs=1e-6)


def test_a_circle_over_the_edge_is_trimmed_as_cutout2d_trims(soda, field):
    pixels, wcs = field
    corner = wcs.pixel_to_world(3, 5)
    made = opened(soda(CIRCLE=f"{corner.ra.deg} {corner.dec.deg} 0.003"))
    wanted = Cutout2D(pixels[1], corner, 0.006 * u.deg, wcs=wcs, mode="trim")
    np.testing.assert_array_equal(made[0].data[1], wanted.data)
    assert min(wanted.shape) < 55


def test_polygon_pos_and_range_give_the_smallest_box_of_whole_pixels(soda, field):
    pixels, wcs = field
    x0, x1, y0, y1 = 100.2, 140.3, 200.4, 220.1
    corners = wcs.pixel_to_world([x0, x1, x1, x0], [y0, y0, y1, y1])
    text = " ".join(f"{c.ra.deg} {c.dec.deg}" for c in corners)
    wanted = pixels[:, 200:221, 100:141]
    for given in ({"POLYGON": text}, {"POS": f"POLYGON {text}"}):
        np.testing.assert_array_equal(opened(soda(**given))[0].data, wanted)
    ra, dec = corners.ra.deg, corners.dec.deg
    box = opened(soda(POS=f"RANGE {ra.min()} {ra.max()} {dec.min()} {dec.max()}"))
    assert abs(box[0].data.shape[1] - 21) <= 1
    assert abs(box[0].data.shape[2] - 41) <= 1


def test_a_cutout_says_that_it_is_simulated_and_in_which_unit_and_bands(soda):
    made = opened(soda(CIRCLE="150.0 2.13 0.002", ID="ivo://astroml.demo/sky?field-01"))
    made.verify("exception")
    header = made[0].header
    assert header["SIMULATD"] is True
    assert (header["BUNIT"], header["BANDS"]) == ("nanomaggy", "g,r,i")
    assert "cutout" in str(header["HISTORY"])


def test_a_place_outside_the_image_is_no_content(soda):
    for given in ({"CIRCLE": "10 2 0.01"}, {"CIRCLE": "330 -2 0.01"}, {"POLYGON": "1 1 2 1 2 2"}):
        assert soda(**given).status_code == 204


def test_an_id_without_a_region_gives_the_whole_file(soda, demo_folder):
    path = demo_folder / "files" / "fields" / "field-00.fits"
    assert soda().content == path.read_bytes()


@pytest.mark.parametrize(
    "given",
    [
        {"ID": ""},
        {"CIRCLE": "1 2"},
        {"CIRCLE": "a b c"},
        {"CIRCLE": "150 2 -1"},
        {"CIRCLE": "150 2 nan"},
        {"CIRCLE": "150 2 inf"},
        {"CIRCLE": "150 95 1"},
        {"POLYGON": "1 2 3 4"},
        {"POLYGON": "1 2 3 4 5"},
        {"POLYGON": "1 2 3 4 5 99"},
        {"POS": "CIRCLE 1 2"},
        {"POS": "ELLIPSE 1 2 3 4"},
        {"POS": "RANGE -Inf +Inf 1 2"},
        {"POS": " "},
        {"POS": "CIRCLE 1 2 3", "CIRCLE": "1 2 3"},
        {"POLYGON": "1 2 " * 2000},
    ],
)
def test_a_wrong_region_is_a_dali_error(soda, given):
    answer = soda(**given)
    assert answer.status_code == 400
    assert 'value="ERROR"' in answer.text


def test_an_unknown_dataset_is_not_found(soda, archive):
    assert soda(ID="ivo://nope").status_code == 404
    assert requests.get(f"{archive.url}/files", params={"ID": "x"}, timeout=10).status_code == 404


def test_a_light_curve_is_a_fits_table_in_the_layout_of_tess(archive, tap):
    row = tap.run_sync("SELECT TOP 1 id, ra, dec, obs_publisher_did FROM demo.stars")[0]
    (this,) = links(archive, row["obs_publisher_did"])
    with fits.open(io.BytesIO(requests.get(this.access_url, timeout=30).content)) as hdus:
        table = hdus["LIGHTCURVE"]
        assert table.columns.names == ["TIME", "FLUX", "FLUX_ERR"]
        header = table.header
        assert (header["TIMESYS"], header["BJDREFI"], header["TIMEUNIT"]) == ("TDB", 2457000, "d")
        assert header["TIMEDEL"] == pytest.approx(120 / 86400)
        assert header["SIMULATD"] is True
        assert np.nanmedian(table.data["FLUX"]) == pytest.approx(1, abs=1e-3)
        assert hdus[0].header["RA_OBJ"] == row["ra"]


def test_maxrec_cuts_the_list_of_links_and_says_so(archive):
    answer = requests.get(f"{archive.url}/datalink", params={"ID": FIELD, "MAXREC": 1}, timeout=10)
    assert answer.headers["Content-Type"] == "application/x-votable+xml;content=datalink"
    assert answer.text.count("<TR>") == 1
    assert "OVERFLOW" in answer.text


def test_no_id_gives_an_empty_list_with_the_service(archive):
    answer = requests.get(f"{archive.url}/datalink", timeout=10)
    assert answer.status_code == 200
    assert "<TR>" not in answer.text


@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "f4", "f8"])
def test_cutouts_of_every_type_of_pixel_are_valid_and_exact(tmp_path, kind):
    from jupyter_astroml.embedded import soda as service

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["GLON-TAN", "GLAT-TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [120.0, 30.0], [10.0, 8.0], [-1e-3, 1e-3]
    values = (np.arange(16 * 20) % 250).astype(kind).reshape(16, 20)
    path = tmp_path / "galactic.fits"
    fits.PrimaryHDU(values, wcs.to_header()).writeto(path)
    image = service.load(path, name="galactic.fits")
    place = SkyCoord(120.0, 30.0, unit=u.deg, frame="galactic").icrs
    body = service.cut(image, service.region(circle=f"{place.ra.deg} {place.dec.deg} 0.003"))
    assert len(body) % 2880 == 0
    with fits.open(io.BytesIO(body)) as hdus:
        hdus.verify("exception")
        wanted = Cutout2D(values, place, 0.006 * u.deg, wcs=wcs)
        assert wanted.shape == (6, 6)
        np.testing.assert_array_equal(hdus[0].data, wanted.data)
        x, y = WCS(hdus[0].header).world_to_pixel(place)
        x0, y0 = wanted.wcs.world_to_pixel(place)
        assert (float(x), float(y)) == pytest.approx((float(x0), float(y0)), abs=1e-6)
