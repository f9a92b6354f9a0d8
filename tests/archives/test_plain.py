"""The short way through a plain FITS image ends where astropy ends, or is not taken."""

import io
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_astroml.archives.decode import _any, _plain, decode, untrusted
from jupyter_astroml.archives.spectrum import Spectrum
from jupyter_astroml.core.errors import DataError

TYPES = ["u1", "i2", "i4", "i8", "f4", "f8"]
SKY = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0,
       "CDELT1": -1e-4, "CDELT2": 1e-4, "CRPIX1": 4.5, "CRPIX2": -3.25,
       "RADESYS": "ICRS"}  # fmt: skip
# Cards that an archive may add, among them some that change what the values mean.
MORE = {
    "BUNIT": st.sampled_from(["nanomaggy", "Jy", "", 7]),
    "BANDS": st.sampled_from(["g,r,i", "g"]),
    "FILTER": st.sampled_from(["r", "g r"]),
    "SIMULATD": st.booleans(),
    "BZERO": st.sampled_from([0, 32768, 1.5]),
    "BSCALE": st.sampled_from([1, 2.0]),
    "BLANK": st.just(7),
    "CD1_1": st.just(-2e-4),
    "CTYPE1": st.sampled_from(["WAVE", "DEC--TAN", "GLON-CAR", "RA---TAN-SIP", "LINEAR"]),
    "CRPIX1": st.one_of(st.integers(-(10**6), 10**6), st.floats(-1e9, 1e9), st.just("middle")),
    "CRPIX2": st.floats(-1e-3, 1e-3),
    "HISTORY": st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=150),
    "COMMENT": st.just("END of the story"),
    "ENDTIME": st.just("2026-01-01"),
    "OBJECT": st.text("abc'& ", max_size=120),
    "GROUPS": st.booleans(),
    "COEFF0": st.just(3.5),
    "EXTEND": st.booleans(),
}


@st.composite
def files(draw):
    """Bytes of an image, sometimes with a few of them changed."""
    shape = draw(st.lists(st.integers(1, 12), min_size=2, max_size=3))
    values = np.arange(np.prod(shape)).reshape(shape).astype(draw(st.sampled_from(TYPES)))
    hdu = fits.PrimaryHDU(values)
    hdu.header.update(SKY)
    for key in draw(st.lists(st.sampled_from([*MORE]), max_size=5)):
        # What is written as it is, whatever the values are.
        hdu.header[key] = draw(MORE[key])
    head = hdu.header.tostring().encode()
    body = bytearray(head + values.astype(values.dtype.newbyteorder(">")).tobytes())
    body += b"\0" * (-len(body) % 2880)
    odd = st.one_of(st.sampled_from(b" =/'.END0\x01\xe9"), st.integers(0, 255))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        body[draw(st.integers(80, len(head) - 1))] = draw(odd)
    cut = draw(st.sampled_from([0, 0, 0, 2880, 100]))
    return bytes(body[: len(body) - cut])


def told(read, body):
    """What a way tells of a file, in the words of an error if need be."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            with untrusted():
                found = read(body)
        except DataError:
            return "damaged"
    if found is None:
        return None
    if isinstance(found, Spectrum):
        return "spectrum"
    wcs = found.sky.wcs
    written = WCS(fits.Header.fromstring(found.sky.header)) if wcs else None
    return (
        (found.values.shape, found.values.tobytes(), found.bands, found.flux_unit),
        (found.simulated, repr(found.sky.scale), wcs and wcs.pixel_shape),
        [each.to_header_string() for each in (wcs, written) if each],
    )


@settings(max_examples=150, deadline=None)
@given(files())
def test_the_short_way_ends_where_astropy_ends(body):
    short = told(_plain, body)
    if short is not None:
        assert short == told(_any, body)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("shape", [(5, 7), (3, 5, 7)])
def test_cutouts_take_the_short_way(kind, shape):
    hdu = fits.PrimaryHDU(np.ones(shape, kind))
    hdu.header.update(SKY)
    hdu.header["HISTORY"] = "cut"
    out = io.BytesIO()
    hdu.writeto(out)
    assert told(_plain, out.getvalue()) == told(decode, out.getvalue())
    assert _plain(out.getvalue()) is not None


@pytest.mark.parametrize("card", [{"BZERO": 1.0}, {"BLANK": 1}, {"CTYPE1": "WAVE"},
                                  {"CRPIX1": "middle"}, {"NAXIS1": 10**9}])  # fmt: skip
def test_what_is_not_plain_is_left_to_astropy(card):
    hdu = fits.PrimaryHDU(np.ones((5, 7), np.int16))
    hdu.header.update(SKY)
    hdu.header.update(card)
    assert _plain(hdu.header.tostring().encode() + bytes(2880)) is None
