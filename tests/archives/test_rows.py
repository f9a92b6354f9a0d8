import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, Table

from jupyter_astroml.archives.known import lookup
from jupyter_astroml.archives.rows import references
from jupyter_astroml.core.errors import ArchiveError, DataError


def rows(**columns):
    given = {"id": ["a", "b"], "access_url": ["http://x/1", "http://x/2"]}
    return Table({**given, **columns})


def test_rows_become_references_with_positions_in_degrees():
    table = rows()
    table["ra"] = [10.0, 15.0] * u.hourangle
    table["dec"] = [1.0, 2.0] * u.deg
    found = references(table, size=1 * u.arcmin)
    assert found.ra.tolist() == pytest.approx([150.0, 225.0])
    assert found.size_arcsec == pytest.approx(60.0)


def test_a_missing_position_is_nan():
    table = rows(ra=MaskedColumn([1.0, 2.0], mask=[False, True]), dec=[0.0, 0.0])
    assert np.isnan(references(table).ra[1])


def test_a_pixel_scale_may_be_per_pixel():
    table = rows()
    table["pixel_scale"] = [0.4, 0.4] * (u.arcsec / u.pix)
    assert references(table).pixel_scale.tolist() == [0.4, 0.4]


def test_what_rows_say_of_bands_and_unit_is_kept():
    found = references(rows(bands=["i, r,g"] * 2, flux_unit=["picture"] * 2))
    assert (found.bands, found.flux_unit) == (("i", "r", "g"), "picture")


def test_what_a_user_says_of_bands_beats_the_rows():
    found = references(rows(bands=["R,G,B"] * 2), bands=("i", "r", "g"))
    assert found.bands == ("i", "r", "g")


def test_obscore_rows_tell_their_kind():
    assert references(rows(dataproduct_type=["timeseries"] * 2)).kind == "light_curves"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"access_url": None}, "no column 'access_url'"),
        ({"id": None}, "no identifier"),
    ],
)
def test_a_missing_column_is_named(change, words):
    table = rows()
    table.remove_columns(list(change))
    with pytest.raises(DataError, match=words):
        references(table)


def test_rows_of_several_bands_are_refused():
    with pytest.raises(DataError, match="several values of 'bands'"):
        references(rows(bands=["g", "r"]))


def test_a_size_needs_a_unit():
    with pytest.raises(DataError, match="without a unit"):
        references(rows(), size=30)


def test_an_unknown_archive_names_the_nearest():
    with pytest.raises(ArchiveError, match="gaia"):
        lookup("gaja")


@pytest.mark.parametrize("url", ["file:///etc", "javascript:alert(1)", "http://"])
def test_an_archive_is_an_http_address(url):
    with pytest.raises(ArchiveError):
        lookup(url)
