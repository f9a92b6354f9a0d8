"""Coordinates that cutouts of a field share are those that each has by itself."""

import io

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from serving import image

from jupyter_astroml.archives import onsky
from jupyter_astroml.archives.onsky import on_sky

PLAIN = {}
TURNED = {"PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8, "LONPOLE": 170.0}
SIP = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "A_2_0": 1e-5,
       "B_ORDER": 2, "B_0_2": 2e-5}  # fmt: skip
SWAPPED = {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": 2.0, "CRVAL2": 150.0}
GALACTIC = {"CTYPE1": "GLON-CAR", "CTYPE2": "GLAT-CAR", "CRVAL2": 0.0, "LATPOLE": 90.0}


# The header text of coordinates has no distortion: astropy leaves it out, and says so.
@pytest.mark.filterwarnings("ignore:Some non-standard WCS keywords")
@pytest.mark.parametrize("cards", [PLAIN, TURNED, SIP, SWAPPED, GALACTIC])
@pytest.mark.parametrize("shape", [(20, 30), (3, 20, 30)])
def test_shared_coordinates_are_those_of_the_cutout_alone(cards, shape):
    onsky._shared.cache_clear()
    x, y = np.meshgrid(np.linspace(0, 30, 5), np.linspace(0, 20, 5))
    for pixel in [(15.5, 10.5), (0.0, 0.0), (-1234.567890123456, 1e5 / 3)]:
        told = {"history": f"cut at {pixel}"}
        body = image(np.zeros(shape), **cards, **told, crpix1=pixel[0], crpix2=pixel[1])
        with fits.open(io.BytesIO(body)) as hdus:
            found, alone = on_sky(hdus[1], body), onsky._found(hdus[1].header)
        assert found.scale == pytest.approx(alone.scale, rel=1e-12)
        assert found.header[:10] == alone.header[:10]
        told = WCS(fits.Header.fromstring(found.header))
        for each in (found.wcs, told)[: 1 if cards is SIP else 2]:
            for got, wanted in zip(
                each.pixel_to_world_values(x, y), alone.wcs.pixel_to_world_values(x, y), strict=True
            ):
                np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-9)
        assert found.wcs.pixel_shape == (30, 20)
    # Only where the reference pixel is all that differs.
    assert onsky._shared.cache_info().hits == 2


def test_an_image_without_coordinates_has_none():
    out = io.BytesIO()
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(out)
    with fits.open(io.BytesIO(out.getvalue())) as hdus:
        found = on_sky(hdus[0], out.getvalue())
    assert (found.wcs, found.header) == (None, "")
    assert np.isnan(found.scale)
