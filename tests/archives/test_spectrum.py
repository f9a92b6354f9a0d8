"""Spectra in the layouts of surveys, and files that only look like them."""

import io

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from serving import put, references, serving, written

from jupyter_astroml.archives.decode import Image, decode
from jupyter_astroml.archives.fetch import fetch
from jupyter_astroml.archives.spectrum import Spectrum
from jupyter_astroml.core.errors import AstroMLError, DataError

FLAM = "erg / (Angstrom s cm2)"


@pytest.fixture
def server():
    with serving() as made:
        yield made


def table(*columns, rows=None, **cards):
    """Return a FITS table; each column is name, values and perhaps a unit."""
    made = []
    for name, values, *unit in columns:
        values = np.asarray(values, dtype=float)
        form = f"{values.shape[1]}D" if values.ndim == 2 else "D"
        made.append(fits.Column(name, form, unit=unit[0] if unit else None, array=values))
    hdu = fits.BinTableHDU.from_columns(made)
    hdu.header.update({key.upper(): value for key, value in cards.items()})
    return written(hdu)


def image(values, **cards):
    hdu = fits.PrimaryHDU(np.asarray(values, dtype=np.float32))
    hdu.header.update({key.upper().replace("__", "-"): value for key, value in cards.items()})
    file = io.BytesIO()
    hdu.writeto(file)
    return file.getvalue()


FLUX = ("FLUX", [1.0, 2.0, 3.0])
WAVE = ("WAVELENGTH", [400.0, 500.0, 600.0], "nm")


def test_the_layout_of_sdss_is_vacuum_and_a_pixel_without_weight_is_missing():
    body = table(("flux", [1, 2, 3]), ("loglam", [3.6, 3.7, 3.8]), ("ivar", [4, 0, 1]), bunit="Jy")
    found = decode(body)
    assert isinstance(found, Spectrum)
    # Logarithms of angstroms.
    np.testing.assert_allclose(found.wavelength, [3981.0717, 5011.8723, 6309.5734], rtol=1e-7)
    assert (found.wave_unit, found.medium, found.flux_unit) == ("Angstrom", "vacuum", "Jy")
    np.testing.assert_array_equal(found.values, [1, np.nan, 3])
    np.testing.assert_array_equal(found.errors, [0.5, np.nan, 1])


def test_a_spectrum_in_one_row_of_arrays_is_that_of_eso():
    # WAVE is a number by its utype, whatever its name; obs.atmos in its UCD means air.
    body = table(
        ("X", [[500.0, 400.0]], "nm"), ("Y", [[5.0, 4.0]], FLAM), ("QUAL", [[0, 1]]),
        TUTYP1="spec:Data.SpectralAxis.Value", TUCD1="em.wl;obs.atmos",
        TUTYP2="Spectrum.Data.FluxAxis.Value", SPECSYS="BARYCENT",
    )  # fmt: skip
    found = decode(body)
    # Wavelengths rise, and the pixel of bad quality went along.
    assert found.wavelength.tolist() == [400.0, 500.0]
    np.testing.assert_array_equal(found.values, [np.nan, 5])
    assert (found.wave_unit, found.medium, found.frame) == ("nm", "air", "observed")
    assert u.Unit(found.flux_unit) == u.Unit(FLAM)


@pytest.mark.parametrize(
    ("cards", "wavelength", "unit", "medium"),
    [
        # The second pixel is at CRVAL1.
        ({"ctype1": "AWAV", "cunit1": "Angstrom", "crval1": 5000, "cdelt1": 2, "crpix1": 2},
         4998, "Angstrom", "air"),
        ({"ctype1": "WAVE", "cunit1": "nm", "crval1": 500, "cd1_1": 0.2}, 500, "nm", "vacuum"),
        ({"coeff0": 3.7, "coeff1": 1e-4}, 10**3.7, "Angstrom", "vacuum"),
        ({"coeff0": 3.7, "coeff1": 1e-4, "vacuum": False}, 10**3.7, "Angstrom", "air"),
        ({"dc__flag": 1, "crval1": 3.7, "cdelt1": 1e-4}, 10**3.7, "Angstrom", ""),
        ({"ctype1": "LINEAR", "crval1": 5000, "cdelt1": 2, "wat1_001": "units=angstroms"},
         5000, "Angstrom", ""),
        ({"crval1": 5000, "cdelt1": 2, "airorvac": "air"}, 5000, "", "air"),
        # FITS 4.0 section 8.4: exp((4998 - 5000) / 5000) of 5000.
        ({"ctype1": "WAVE-LOG", "cunit1": "Angstrom", "crval1": 5000, "cdelt1": 2, "crpix1": 2},
         5000 * np.exp(-2 / 5000), "Angstrom", "vacuum"),
        # 600 THz are 4996.54 Angstrom; the last of ten pixels has the shortest wavelength.
        ({"ctype1": "FREQ", "crval1": 6e14 - 9e12, "cdelt1": 1e12}, 4996.54, "Angstrom", "vacuum"),
    ],
)  # fmt: skip
def test_images_of_one_spectrum_have_the_wavelengths_of_their_header(
    cards, wavelength, unit, medium
):
    found = decode(image(np.arange(10), **cards))
    assert isinstance(found, Spectrum)
    assert found.wavelength[0] == pytest.approx(wavelength, rel=1e-6)
    assert (found.wave_unit, found.medium) == (unit, medium)
    assert (np.diff(found.wavelength) > 0).all()


def test_the_first_row_of_an_image_of_few_rows_is_the_flux():
    found = decode(image(np.arange(50).reshape(5, 10), coeff0=3.57, coeff1=1e-4))
    assert found.values.tolist() == list(range(10))


@pytest.mark.parametrize(
    "cards",
    [
        {"ctype1": "RA---TAN", "ctype2": "DEC--TAN", "crval1": 150.0, "cdelt1": -1e-4},
        {"ctype1": "GLON-CAR", "ctype2": "GLAT-CAR", "crval1": 10.0, "cdelt1": -1e-4},
        {"crval1": 0.0, "cdelt1": 1.0},
    ],
)
def test_a_narrow_image_of_the_sky_is_no_spectrum(cards):
    assert isinstance(decode(image(np.ones((5, 40)), **cards)), Image)


def votable(*, utype="spec:Spectrum.Data.SpectralAxis.Value"):
    return f"""<?xml version="1.0"?>
        <VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>
        <FIELD name="a" datatype="double" unit="Angstrom" utype="{utype}"/>
        <FIELD name="b" datatype="float" unit="Jy" utype="spec:Data.FluxAxis.Value"/>
        <DATA><TABLEDATA><TR><TD>4000</TD><TD>1</TD></TR><TR><TD>5000</TD><TD>2</TD></TR>
        </TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>""".encode()


def test_a_votable_of_the_spectrum_model_is_a_spectrum():
    found = decode(votable())
    assert found.wavelength.tolist() == [4000.0, 5000.0]
    assert (found.values.tolist(), found.wave_unit, found.flux_unit) == ([1, 2], "Angstrom", "Jy")


HOSTILE_XML = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">
    <!ENTITY b "&a;&a;&a;&a;">]><VOTABLE>&b;</VOTABLE>"""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (table(WAVE, ("FLUX", [[1, 2], [3, 4], [5, 6]])), "3 spectra"),
        (table(("WAVELENGTH", [1, 2, 3], "10**99999999 m"), FLUX), "which is no wavelength"),
        (table(("WAVELENGTH", [1, 2, 3], "km/s"), FLUX), "'km/s', which is no wavelength"),
        (table(("WAVELENGTH", [0, -1, np.nan], "nm"), FLUX), "has no wavelengths"),
        (table(("LOGLAM", [400, 500, 600]), FLUX), "has no wavelengths"),
        (table(("WAVELENGTH", [[1, 2]], "nm"), ("FLUX", [[1, 2, 3]])), "2 wavelengths and 3"),
        (image(np.ones(20), ctype1="WAVE-GRI", crval1=1, cdelt1=1), "'WAVE-GRI', which is not"),
        (image(np.ones(20), ctype1="RA---TAN", crval1=1, cdelt1=1), "no image, light curve"),
        (votable(utype="x:Other"), "holds no spectrum"),
        (votable()[:-200], "broke off"),
        (b"<?xml version='1.0'?><html>Sorry</html>", "no VOTable"),
        (HOSTILE_XML, "entities"),
        (table(WAVE, FLUX)[:-2880], "damaged"),
    ],
)
def test_what_is_no_spectrum_is_refused_with_a_reason(body, words):
    with pytest.raises(AstroMLError, match=words):
        decode(body)


@pytest.mark.parametrize(
    ("body", "key", "honest"),
    [
        (table(WAVE, FLUX), b"NAXIS2", 3),
        (image(np.ones(20), ctype1="WAVE", crval1=1, cdelt1=1), b"NAXIS1", 20),
    ],
)
def test_a_file_that_lies_about_its_length_costs_no_memory(body, key, honest):
    told = key + b"  = " + str(honest).rjust(20).encode()
    assert body.count(told) == 1
    lie = body.replace(told, key + b"  = " + b"99999999999".rjust(20))
    with pytest.raises(DataError, match="too long"):
        decode(lie)


# Stacks.


def test_spectra_of_one_grid_share_it_and_others_keep_their_own(server):
    long = table(("WAVELENGTH", [400, 500, 600, 700], "nm"), ("FLUX", [1, 2, 3, 4]))
    same = references(put(server, a=table(WAVE, FLUX), b=table(WAVE, FLUX)))
    found, failures = fetch(same)
    assert (failures, found.kind) == ({}, "spectra")
    assert found.grid.tolist() == [400, 500, 600]
    found, _ = fetch(references(put(server, a=table(WAVE, FLUX), b=long)))
    assert found.grid is None
    assert found.lengths().tolist() == [3, 4]
    assert found.wavelength[0].tolist() == [400, 500, 600, 600]


def test_units_that_can_be_converted_are_brought_to_those_of_most(server):
    nm = table(WAVE, ("FLUX", [1, 2, 3], "mJy"))
    angstroms = table(
        ("WAVELENGTH", [4000, 5000, 6000], "ANGSTROM"), ("FLUX", [0.001, 0.002, 0.003], "Jy")
    )
    # At 500 nm, 1 Jy is 3e-5 / 5000**2 = 1.2e-12 erg/s/cm2/Angstrom.
    per_angstrom = table(("WAVELENGTH", [400, 500, 600], "nm"), ("FLUX", [0, 1.19917e-12, 0], FLAM))
    odd = table(WAVE, ("FLUX", [1, 2, 3], "count"))
    unknown = table(("WAVELENGTH", [400, 500, 600]), ("FLUX", [1, 2, 3], "mJy"))
    air = table(WAVE, ("FLUX", [1, 2, 3], "mJy"), airorvac="air")
    found, failures = fetch(
        references(put(server, a=nm, b=angstroms, c=nm, d=per_angstrom, e=odd, f=unknown, g=air))
    )
    assert found.ids.tolist() == ["o0", "o1", "o2", "o3"]
    np.testing.assert_allclose(found.grid, [400, 500, 600])
    np.testing.assert_allclose(found.values[:, 1], [2, 2, 2, 1000], rtol=1e-5)
    assert (found.wave_unit, found.flux_unit) == ("nm", "mJy")
    assert failures["o4"] == "unit count, and most of this block have mJy"
    assert failures["o5"] == "unit of wavelength unknown, and most of this block have nm"
    assert failures["o6"] == "medium air, and most of this block have unknown"


def test_a_spectrum_among_light_curves_is_told(server):
    found, failures = fetch(references(put(server, a=table(WAVE, FLUX)), kind="light_curves"))
    assert found is None
    assert failures["o0"] == "the file holds spectra, not light_curves"
