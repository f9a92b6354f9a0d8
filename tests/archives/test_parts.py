"""Parts of spectra, light curves and cubes: cut by the archive where it can, else here."""

from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from serving import DATALINK, curve, image, links, put, references, serving, written

from jupyter_astroml.archives.fetch import fetch
from jupyter_astroml.archives.rows import references as of_rows
from jupyter_astroml.core.errors import QueryError

# Metres, vacuum.
BAND = (4.5e-7, 6.5e-7)
WAVES = [400.0, 500.0, 600.0, 700.0]


@pytest.fixture
def server():
    with serving() as made:
        yield made


def spectrum(waves, *, unit="nm"):
    """Return a spectrum whose flux is its wavelength."""
    columns = [
        fits.Column(name, "D", unit=unit if name == "WAVE" else None, array=np.array(waves))
        for name in ("WAVE", "FLUX")
    ]
    return written(fits.BinTableHDU.from_columns(columns))


def cutting(server, *, takes, answer):
    """Serve a DataLink document whose SODA service declares some parameters."""
    server.files["/whole"] = spectrum(WAVES)
    server.files["/soda"] = answer
    server.files["/links"] = links(
        ("ds", f"{server.url}/whole", "", ""), ("ds", "", "soda", ""),
        soda=f"{server.url}/soda", takes=takes,
    )  # fmt: skip
    return f"{server.url}/links?ID=ds"


def asked(server, path="/soda"):
    """Return the parameters of the requests to a path."""
    return [parse_qs(urlsplit(p).query) for p in server.asked if urlsplit(p).path == path]


def test_a_service_that_declares_a_band_is_asked_for_it(server):
    url = cutting(server, takes=["CIRCLE", "BAND"], answer=spectrum([500.0, 600.0]))
    found, failures = fetch(references([url], formats=DATALINK, wave_range=BAND))
    assert failures == {}
    assert found.values.tolist() == [[500, 600]]
    # SODA 1.0 section 3.3.4: an interval in metres.
    assert asked(server) == [{"ID": ["ds"], "BAND": ["4.5e-07 6.5e-07"]}]


def test_a_service_that_declares_a_time_is_asked_for_it(server):
    tess = {"bjdrefi": 2457000, "timesys": "UTC"}
    url = cutting(server, takes=["TIME"], answer=curve([1000.0, 1001.0], [1, 2], **tess))
    # Julian date 2458000 is MJD 57999.5.
    wanted = references([url], formats=DATALINK, time_range=(57999.4, 58000.6))
    found, failures = fetch(wanted)
    assert failures == {}
    assert found.values.tolist() == [[1, 2]]
    assert asked(server) == [{"ID": ["ds"], "TIME": ["57999.4 58000.6"]}]


def test_a_place_and_a_band_are_asked_for_together(server):
    answer = image(np.ones((3, 3)), ra=150, dec=2)
    url = cutting(server, takes=["CIRCLE", "BAND"], answer=answer)
    found, failures = fetch(references([url], formats=DATALINK, wave_range=BAND, size_arcsec=1.2))
    assert failures == {}
    assert found.values.shape == (1, 1, 3, 3)
    (sent,) = asked(server)
    assert sent["CIRCLE"] == ["150.000000000 2.000000000 0.000166667"]
    assert sent["BAND"] == ["4.5e-07 6.5e-07"]


def test_a_service_without_a_band_is_not_asked_and_the_spectrum_is_cut_here(server):
    url = cutting(server, takes=["CIRCLE", "POS"], answer=b"never asked")
    found, _ = fetch(references([url], formats=DATALINK, wave_range=BAND))
    assert asked(server) == []
    assert found.values.tolist() == [[500, 600]]


def test_an_answer_that_is_more_than_was_asked_for_is_cut_here(server):
    url = cutting(server, takes=["BAND"], answer=spectrum(WAVES))
    found, _ = fetch(references([url], formats=DATALINK, wave_range=BAND))
    assert found.values.tolist() == [[500, 600]]


def test_an_answer_without_a_body_means_that_nothing_is_there(server):
    url = cutting(server, takes=["BAND"], answer=lambda _: b"")
    _, failures = fetch(references([url], formats=DATALINK, wave_range=BAND))
    assert failures == {"o0": "the archive has nothing in the part that is wanted"}


def test_edges_belong_to_the_band_in_any_unit(server):
    urls = put(server, a=spectrum(WAVES), b=spectrum([w * 10 for w in WAVES], unit="Angstrom"))
    found, _ = fetch(references(urls, wave_range=(5e-7, 6e-7)))
    assert found.lengths().tolist() == [2, 2]


def test_times_are_cut_in_the_scale_of_the_light_curve(server):
    # TDB is 69.184 s ahead of UTC, which is 0.0008 d: the second cadence is before the begin.
    begin = 57999.5
    body = curve([999.9, 1000.0007, 1000.0009, 1002], [1, 2, 3, 4], bjdrefi=2457000, timesys="TDB")
    found, _ = fetch(references(put(server, a=body), time_range=(begin, begin + 1)))
    assert found.values.tolist() == [[3]]
    assert found.time[0] == pytest.approx([1000.0009], abs=1e-9)


@pytest.mark.parametrize(
    ("body", "wanted", "words"),
    [
        (spectrum(WAVES), {"wave_range": (1e-6, 2e-6)}, "nothing in the band"),
        (spectrum(WAVES, unit=None), {"wave_range": BAND}, "unit of its wavelengths"),
        (spectrum(WAVES), {"time_range": (5e4, 6e4)}, "does not cut this by time"),
        (curve([1.0, 2.0], [1, 2], bjdrefi=2457000), {"time_range": (5e4, 5.1e4)}, "nothing in"),
        (curve([1.0, 2.0], [1, 2]), {"time_range": (5e4, 6e4)}, "what its times count from"),
        (image(np.ones((9, 9))), {"wave_range": BAND}, "does not cut this by band"),
    ],
)
def test_what_cannot_be_cut_ends_with_a_reason(server, body, wanted, words):
    found, failures = fetch(references(put(server, a=body), **wanted))
    assert found is None
    assert words in failures["o0"]


def test_samples_take_bands_of_any_kind_and_times_of_any_scale():
    rows = Table({"id": ["a"], "access_url": ["http://x/a"]})
    # 500 THz are 599.584916 nm.
    made = of_rows(
        rows, band=[500 * u.THz, 0.5 * u.PHz * 2], time=Time([59000, 59001], format="mjd")
    )
    assert made.wave_range == pytest.approx((299.792458e-9, 599.584916e-9))
    assert made.time_range == (59000, 59001)
    with pytest.raises(QueryError, match="no band"):
        of_rows(rows, band=3 * u.s)
