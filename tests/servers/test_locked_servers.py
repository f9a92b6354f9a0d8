"""Data behind a lock: a bearer token on our archive, a name and a password on somebody else's."""

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from twin_data import IMAGES, SIDE

import jupyter_astroml as aml
from jupyter_astroml.core.errors import DataError


@pytest.fixture
def known(locked):
    """The server, to which this process is logged in."""
    with aml.login(locked.tap, credential=locked.credential) as archive:
        yield archive
    aml.logout(locked.tap)


@pytest.fixture
def rows(locked, known):
    found = known.observations(product="image")
    found.sort("obs_publisher_did")
    return locked.links(found)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_login_goes_along_with_queries(known, mode):
    rows = known.query("SELECT COUNT(*) AS n FROM twin.sources", mode=mode)
    assert rows["n"].tolist() == [600]


def test_who_is_logged_in_gets_the_files(rows, twin_folder):
    found = aml.fetch(rows)
    assert found.values.shape == (IMAGES, 1, SIDE, SIDE)
    assert set(aml.manifest(found)["status"]) == {"ok"}
    for i in range(IMAGES):
        stored = fits.getdata(twin_folder / "images" / f"field{i:02d}.fits")
        np.testing.assert_array_equal(found.values[i, 0], stored)


def test_who_is_logged_in_gets_cutouts(known, rows):
    found = aml.fetch(known.samples(rows, size=21 * u.arcsec))
    assert len(found) == IMAGES
    assert max(abs(n - 21) for n in found.values.shape[2:]) <= 2


def wrong(credential):
    """The credential of somebody who mistyped it."""
    secret = "password" if hasattr(credential, "password") else "token"
    return replace(credential, **{secret: "a-mistyped-secret-of-mine"})


@pytest.mark.parametrize("who", ["nobody", "mistyped"])
def test_nobody_else_gets_anything_and_each_object_says_why(locked, rows, who):
    aml.logout(locked.tap)
    if who == "mistyped":
        aml.login(locked.tap, credential=wrong(locked.credential)).close()
    with pytest.raises(DataError) as refused:
        aml.fetch(rows)
    assert "401" in str(refused.value)
    assert "a-mistyped-secret-of-mine" not in str(refused.value)


def test_the_login_stands_in_nothing_that_is_kept(locked, known, rows):
    table = known.query("SELECT TOP 3 id FROM twin.sources")
    found = aml.fetch(rows[:1])
    told = repr(
        (known, table.meta, rows.meta, found.meta, aml.manifest(found).pformat(max_width=-1))
    )
    given = locked.credential
    secrets = [getattr(given, name) for name in ("token", "password") if hasattr(given, name)]
    secrets += [value.split()[-1] for value in given.headers().values()]
    assert not any(secret in told for secret in secrets)
