"""Fetching from a small archive that sends what real and hostile ones send."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from serving import DATALINK, curve, image, links, put, references, serving, written

from jupyter_astroml.archives import stack as module
from jupyter_astroml.archives.fetch import deliver, fetch
from jupyter_astroml.core.joining import join


@pytest.fixture
def server():
    with serving() as made:
        yield made


def flat(value, side=8):
    return np.full((side, side), value, np.float32)


# --- files ---------------------------------------------------------------------------------------


def test_a_damaged_file_fails_for_its_object_only(server):
    tiles = written(fits.CompImageHDU(np.arange(4096, dtype=np.int16).reshape(64, 64)))
    damaged = bytearray(tiles)
    damaged[-2880:] = b"\xff" * 2880
    card = image(flat(1.0), bunit="Jy").replace(b"'Jy      '", b"\x01\x02\x03       ")
    urls = put(server, a=image(flat(1.0)), tiles=bytes(damaged), card=card)
    found, failures = fetch(references(urls))
    assert found.ids.tolist() == ["o0"]
    assert sorted(failures) == ["o1", "o2"]


def test_two_rows_of_one_id_each_end_in_their_own_way(server):
    (url,) = put(server, good=image(np.ones((8, 8))))
    for urls in ([url, f"{server.url}/none"], [f"{server.url}/none", url]):
        wanted = references(urls, ids=["a", "a"], ra=[np.nan] * 2, dec=[np.nan] * 2)
        found = deliver(wanted)
        assert found.samples.ids.tolist() == ["a"]
        assert [each.status == "ok" for each in found.manifest] == [u == url for u in urls]
        assert "404" in found.failures["a"]


def test_a_cutout_beside_the_image_says_so(server):
    urls = put(server, links=links(("a", "", "soda", ""), soda="/soda"), soda=b"")
    _, failures = fetch(references([f"{urls[0]}?ID=a"], formats=DATALINK, size_arcsec=4.0))
    assert failures == {"o0": "the position lies outside the image"}


def test_an_empty_file_says_so(server):
    assert fetch(references(put(server, a=b"")))[1] == {"o0": "the archive sent an empty file"}


# --- where the object is -------------------------------------------------------------------------


def starfield(**cards):
    """Return an image of 101 × 101 pixels of 0.4 arcsec with a star 40 pixels up and 30 right."""
    field = np.zeros((101, 101), np.float32)
    field[90, 80] = 1.0
    return image(field, **cards), {"ra": [150.0 - 30 * 0.4 / 3600 / np.cos(np.radians(2.0))],
                          "dec": [2.0 + 40 * 0.4 / 3600]}  # fmt: skip


@pytest.mark.parametrize("frame", ["ICRS", "FK5"])
def test_the_object_stands_in_the_middle_of_a_cutout_from_a_whole_field(server, frame):
    field, place = starfield(radesys=frame)
    found, _ = fetch(references(put(server, a=field), size_arcsec=8.4, **place))
    assert found.values.shape == (1, 1, 21, 21)
    assert found.values[0, 0, 10, 10] == 1.0


def test_a_cutout_at_the_edge_of_a_field_is_missing_what_lies_beyond(server):
    field, place = starfield()
    found, _ = fetch(references(put(server, a=field), size_arcsec=12.4, **place))
    missing = np.isnan(found.values[0, 0])
    # The star is 10 rows from the last one, and the cutout reaches 15 beyond the star.
    assert missing[-5:].all()
    assert not missing[:-5].any()
    assert found.values[0, 0, 15, 15] == 1.0
    x, y = WCS(fits.Header.fromstring(found.wcs[0])).world_to_pixel(found.positions[0])
    assert (x, y) == pytest.approx((15, 15), abs=1e-3)


def test_an_object_that_is_not_in_the_image_is_a_failure(server):
    field, _ = starfield()
    _, failures = fetch(references(put(server, a=field), size_arcsec=8.4, dec=[2.1]))
    assert "outside the image" in failures["o0"]


def test_smaller_images_keep_their_sky_positions_in_a_stack(server):
    urls = put(server, a=image(flat(1.0, 8)), b=image(flat(1.0, 12)))
    found, _ = fetch(references(urls))
    assert np.isnan(found.values[0, 0, 0]).all()
    for header in found.wcs:
        x, y = WCS(fits.Header.fromstring(header)).world_to_pixel(found.positions[0])
        assert (x, y) == pytest.approx((5.5, 5.5), abs=1e-6)


# --- what a stack shares -------------------------------------------------------------------------


def test_images_in_another_unit_or_with_other_bands_are_no_part_of_the_stack(server):
    cube = np.ones((2, 8, 8))
    urls = put(
        server,
        a=image(cube, bunit="nanomaggy", bands="g,r"),
        b=image(cube, bunit="Jy", bands="g,r"),
        c=image(cube, bunit="nanomaggy", bands="g,i"),
        d=image(flat(1.0), bunit="nanomaggy", bands="g"),
        e=image(cube, bunit="nanomaggy", bands="g,r"),
    )
    found, failures = fetch(references(urls))
    assert found.ids.tolist() == ["o0", "o4"]
    assert (found.bands, found.flux_unit) == (("g", "r"), "nanomaggy")
    assert failures["o1"] == "unit Jy, and most of this block have nanomaggy"
    assert failures["o2"] == "bands g,i, and most of this block have g,r"
    assert "bands g," in failures["o3"]


def test_times_with_another_zero_are_brought_together(server):
    urls = put(
        server,
        tess=curve([1.0, 2.0], [1, 1], bjdrefi=2457000),
        kepler=curve([2168.0, 2169.0], [1, 1], bjdrefi=2454833),
        mjd=curve([57000.5, 57001.5], [1, 1], mjdrefi=0),
    )
    found, failures = fetch(references(urls))
    assert failures == {}
    assert found.time_zero == 2457000.0
    # BJD 2457001 is MJD 57000.5.
    np.testing.assert_allclose(found.time, [[1.0, 2.0]] * 3, atol=1e-9)


def test_two_blocks_of_a_run_have_the_same_zero_of_time(server):
    urls = put(
        server,
        kepler=curve([2168.0, 2169.0], [1, 1], bjdrefi=2454833),
        tess=curve([1.0, 2.0], [1, 1], bjdrefi=2457000),
    )
    both = references(urls, kind="light_curves")
    whole = join([fetch(both[:1])[0], fetch(both[1:])[0]])
    np.testing.assert_allclose(whole.time, [[1.0, 2.0]] * 2, atol=1e-9)


def test_light_curves_on_another_clock_or_in_another_band_are_no_part_of_the_stack(server):
    tess = {"bjdrefi": 2457000, "timesys": "TDB", "filter": "TESS"}
    urls = put(
        server,
        a=curve([1.0, 2.0], [1, 1], **tess),
        b=curve([1.0, 2.0], [1, 1], **tess | {"timesys": "UTC"}),
        c=curve([1.0, 2.0], [1, 1], **tess | {"filter": "V"}),
        d=curve([1.0, 2.0], [1, 1], timesys="TDB", filter="TESS"),
        e=curve([1.0, 2.0], [1, 1], flux_unit="mag", **tess),
        f=curve([1.0, 2.0], [1, 1], **tess),
    )
    found, failures = fetch(references(urls))
    assert found.ids.tolist() == ["o0", "o5"]
    assert failures["o1"] == "time scale utc, and most of this block have tdb"
    assert failures["o2"] == "band V, and most of this block have TESS"
    assert failures["o3"] == "zero of time unknown, and most of this block have known"
    assert failures["o4"] == "unit mag, and most of this block have unknown"


@pytest.mark.parametrize("kind", ["cutouts", "light_curves"])
def test_one_large_object_does_not_make_all_others_large(server, kind, monkeypatch):
    monkeypatch.setattr(module, "MAX_STACK", 1000)
    if kind == "cutouts":
        sizes = {"a": 8, "b": 30, "c": 8}
        files = {name: image(flat(1.0, side)) for name, side in sizes.items()}
    else:
        files = {n: curve(range(t), [1] * t) for n, t in {"a": 64, "b": 900, "c": 64}.items()}
    found, failures = fetch(references(put(server, **files)))
    assert found.ids.tolist() == ["o0", "o2"]
    assert "too many to be held" in failures["o1"]
