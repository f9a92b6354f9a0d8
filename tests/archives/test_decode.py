import bz2
import gzip
import io

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image as Pillow

from jupyter_astroml.archives import unpack
from jupyter_astroml.archives.decode import Image, Series, decode
from jupyter_astroml.core.errors import DataError


def body(*hdus):
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(file)
    return file.getvalue()


def sky(scale_arcsec):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, 2.0]
    wcs.wcs.cdelt = [-scale_arcsec / 3600, scale_arcsec / 3600]
    return wcs.to_header()


def test_a_cube_keeps_its_planes_bands_unit_and_scale():
    cube = np.arange(3 * 5 * 4, dtype=np.float32).reshape(3, 5, 4)
    header = sky(0.396)
    header["BANDS"], header["BUNIT"], header["SIMULATD"] = "g,r,i", "nanomaggy", True
    found = decode(body(fits.ImageHDU(cube, header)))
    assert isinstance(found, Image)
    np.testing.assert_array_equal(found.values, cube)
    assert (found.bands, found.flux_unit, found.simulated) == (("g", "r", "i"), "nanomaggy", True)
    assert found.sky.scale == pytest.approx(0.396)


def test_a_compressed_image_in_an_extension_is_found():
    image = np.arange(64, dtype=np.int16).reshape(8, 8)
    found = decode(body(fits.CompImageHDU(image, compression_type="RICE_1")))
    np.testing.assert_array_equal(found.values[0], image)


def test_a_picture_is_turned_so_that_its_first_row_is_at_the_bottom():
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[0, :, 0] = 255  # red at the top
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, "PNG")
    found = decode(file.getvalue())
    assert found.values.shape == (3, 4, 6)
    assert found.values[0, -1].tolist() == [1.0] * 6
    assert found.values[0, 0].tolist() == [0.0] * 6
    assert (found.bands, found.flux_unit) == (("R", "G", "B"), "picture")


def test_a_light_curve_loses_rows_without_time_only():
    columns = [
        fits.Column("TIME", "D", array=[1.0, np.nan, 3.0]),
        fits.Column("PDCSAP_FLUX", "E", unit="e-/s", array=[10.0, 11.0, np.nan]),
        fits.Column("PDCSAP_FLUX_ERR", "E", array=[0.1, 0.2, 0.3]),
    ]
    table = fits.BinTableHDU.from_columns(columns)
    table.header["BJDREFI"], table.header["TIMESYS"] = 2457000, "TDB"
    found = decode(body(table))
    assert isinstance(found, Series)
    assert found.time.tolist() == [1.0, 3.0]
    assert np.isnan(found.values[1])
    assert (found.time_zero, found.time_scale, found.flux_unit) == (2457000.0, "tdb", "e-/s")


def curve(*columns, time=(1.0, 2.0, 3.0), unit="d", **cards):
    """Return a light curve with the given columns, each a name and its values."""
    made = [fits.Column("TIME", "D", unit=unit, array=np.array(time))]
    made += [fits.Column(n, "J" if "QUAL" in n else "E", array=np.array(v)) for n, v in columns]
    table = fits.BinTableHDU.from_columns(made)
    table.header.update({key.upper(): value for key, value in cards.items()})
    return decode(body(table))


FLUX = ("FLUX", [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("unit", "time", "days"),
    [
        ("s", [0.0, 86400.0, 172800.0], [0.0, 1.0, 2.0]),
        ("min", [0.0, 1440.0, 2880.0], [0.0, 1.0, 2.0]),
        ("BJD - 2457000, days", [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
    ],
)
def test_times_come_in_days_whatever_their_unit(unit, time, days):
    assert curve(FLUX, time=time, unit=unit).time.tolist() == pytest.approx(days)


def test_a_unit_that_is_no_time_is_refused():
    with pytest.raises(DataError, match=r"'Jy', which is no time"):
        curve(FLUX, unit="Jy")


@pytest.mark.parametrize(
    ("cards", "unit", "zero"),
    [
        ({"bjdrefi": 2457000, "bjdreff": 0.5}, "d", 2457000.5),
        ({"jdref": 2457000.25}, "d", 2457000.25),
        # MJD 0 is JD 2400000.5.
        ({"mjdrefi": 56999, "mjdreff": 0.5}, "d", 2457000.0),
        ({"mjdref": 0.0}, "d", 2400000.5),
        ({}, "BJD - 2454833, days", 2454833.0),
        ({}, "MJD", 2400000.5),
    ],
)
def test_the_zero_of_the_times_is_read_in_all_its_spellings(cards, unit, zero):
    assert curve(FLUX, unit=unit, **cards).time_zero == zero


def test_a_zero_of_time_that_nobody_tells_is_unknown():
    assert np.isnan(curve(FLUX).time_zero)


def test_the_error_is_that_of_the_flux_that_is_used():
    found = curve(("PDCSAP_FLUX", [1, 2, 3]), ("SAP_FLUX_ERR", [9, 9, 9]))
    assert np.isnan(found.errors).all()
    found = curve(
        ("SAP_FLUX_ERR", [9, 9, 9]), ("PDCSAP_FLUX", [1, 2, 3]), ("PDCSAP_FLUX_ERR", [4, 5, 6])
    )
    assert found.errors.tolist() == [4, 5, 6]


def test_cadences_that_tess_calls_bad_are_missing_and_peaks_of_flares_are_not():
    # 32 is a desaturation of the reaction wheels, 512 an impulsive outlier.
    found = curve(FLUX, ("QUALITY", [0, 32, 512]), telescop="TESS")
    np.testing.assert_array_equal(found.values, [1.0, np.nan, 3.0])


def test_cadences_that_another_mission_flags_are_missing():
    found = curve(FLUX, ("SAP_QUALITY", [0, 8192, 0]), telescop="Kepler")
    np.testing.assert_array_equal(found.values, [1.0, np.nan, 3.0])


def damaged_tiles(compression):
    """A tile-compressed image whose last compressed bytes are noise."""
    values = np.random.default_rng(1).integers(0, 1000, (64, 64), dtype=np.int16)
    good = body(fits.CompImageHDU(values, compression_type=compression))
    return good[:-2880] + b"\xff" * 2880


def oversized_text():
    """A PNG with a text chunk that unpacks to more than Pillow allows."""
    from PIL.PngImagePlugin import PngInfo

    info, file = PngInfo(), io.BytesIO()
    info.add_text("comment", "x" * 2**21, zip=True)
    Pillow.new("RGB", (4, 4)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


@pytest.mark.parametrize(
    "bad",
    [
        damaged_tiles("RICE_1"),
        oversized_text(),
        damaged_tiles("GZIP_1"),
        body(fits.ImageHDU(np.ones((4, 4)), sky(0.4)))[:-2880],
    ],
    ids=["RICE", "text of a picture", "gzip", "cut off"],
)
def test_a_damaged_file_is_an_error_of_ours(bad):
    with pytest.raises(DataError, match="damaged"):
        decode(bad)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"<html>Sorry</html>",
        b"SIMPLE  =                    T" + b" " * 50,
        b"\xff\xd8\xff\xe0 but no JPEG",
        body(fits.BinTableHDU.from_columns([fits.Column("X", "D", array=[1.0])])),
    ],
)
def test_what_is_no_data_is_refused_with_a_reason(bad):
    with pytest.raises(DataError):
        decode(bad)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_packed_file_holds_what_it_holds_unpacked(pack):
    plain = body(fits.ImageHDU(np.arange(16.0).reshape(4, 4), sky(0.4)))
    packed = pack(plain)
    # Some writers pack in parts, and fill up with zeros.
    for file in (packed, pack(plain[:2880]) + pack(plain[2880:]), packed + bytes(512)):
        np.testing.assert_array_equal(decode(file).values, decode(plain).values)
    with pytest.raises(DataError, match=r"damaged.*packed"):
        decode(packed[:-20])


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_packed_file_is_unpacked_up_to_a_limit(pack, monkeypatch):
    file = body(fits.ImageHDU(np.zeros((32, 32), np.float32)))
    monkeypatch.setattr(unpack, "MAX_BYTES", len(file))
    assert decode(pack(file)).values.shape == (1, 32, 32)
    with pytest.raises(DataError, match="packed file holds more than"):
        decode(pack(file + b"\0"))


def test_a_header_that_lies_about_its_size_costs_no_memory():
    good = body(fits.ImageHDU(np.zeros((4, 4), np.float32)))
    lie = good.replace(b"NAXIS1  =                    4", b"NAXIS1  =               999999")
    lie = lie.replace(b"NAXIS2  =                    4", b"NAXIS2  =               999999")
    with pytest.raises(DataError, match="too large"):
        decode(lie)


def test_a_picture_that_is_far_larger_than_its_file_is_refused():
    file = io.BytesIO()
    Pillow.new("1", (6_000, 6_000)).save(file, "PNG")
    with pytest.raises(DataError):
        decode(file.getvalue())
