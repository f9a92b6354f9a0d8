import gzip
import io

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image as Pillow

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
    assert found.pixel_scale == pytest.approx(0.396)


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


def test_a_gzipped_file_is_refused_before_it_grows():
    with pytest.raises(DataError, match="gzipped"):
        decode(gzip.compress(b"\0" * 10**6))


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
