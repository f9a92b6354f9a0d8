import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.units import angle, named, position


def test_an_angle_comes_in_the_unit_that_was_asked_for():
    assert angle(0.5 * u.arcmin, "arcsec", name="size") == pytest.approx(30.0)


def test_a_bare_number_is_refused_with_an_example():
    with pytest.raises(DataError, match=r"without a unit.*size='30 arcsec'"):
        angle(30, "arcsec", name="size")


def test_a_length_is_no_angle():
    with pytest.raises(DataError, match="no angle"):
        angle(3 * u.m, "arcsec", name="size")


def test_a_position_comes_in_icrs():
    galactic = SkyCoord(0 * u.deg, 0 * u.deg, frame="galactic")
    # Position of the galactic centre, IAU definition of 1958 in ICRS.
    assert position(galactic).ra.deg == pytest.approx(266.405, abs=1e-3)


def test_several_positions_are_not_one():
    with pytest.raises(DataError, match="not one sky position"):
        position(SkyCoord([1, 2], [3, 4], unit="deg"))


def test_an_angle_may_be_written_as_text():
    assert angle("2 arcmin", "arcsec", name="radius") == pytest.approx(120.0)
    for odd in ("2", "wide", ""):
        with pytest.raises(DataError, match="without a unit"):
            angle(odd, "deg", name="radius")
    with pytest.raises(DataError, match="no angle"):
        angle("2 kpc", "deg", name="radius")


@pytest.mark.parametrize(
    "text", ["10**99999999 m", "10^(+99999999) m", "10+99999999 m", "1 10 ** (-99999999)"]
)
def test_a_unit_that_astropy_would_work_out_for_minutes_is_none(text):
    assert isinstance(named(text), u.UnrecognizedUnit)


def test_powers_of_ten_of_real_units_are_read():
    assert named("1E-17 erg / (s cm2 Angstrom)").is_equivalent(u.W / u.m**3)
    assert named("10**-17 erg / s").to(u.erg / u.s) == pytest.approx(1e-17)
