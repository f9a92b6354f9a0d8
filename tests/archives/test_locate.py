"""Services that astroquery knows: their addresses, fetched from small servers of the same shape.

The servers' answers are written from the services' documentation and from astroquery's code; the
services themselves could not be asked.
"""

import io
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from serving import image, serving

import jupyter_astroml as aml
from jupyter_astroml.archives.fetch import fetch
from jupyter_astroml.core.errors import DataError


@pytest.fixture
def server():
    with serving() as made:
        yield made


def test_a_survey_is_cut_around_each_position(server, monkeypatch):
    from astroquery.hips2fits import hips2fits

    def cut(asked):
        """As CDS answers: a FITS image of the size and at the place that were asked for."""
        given = {key: values[0] for key, values in asked.items()}
        assert given["hips"] == "CDS/P/DSS2/red"
        assert given["projection"] == "TAN"
        assert given["format"] == "fits"
        n = int(given["width"])
        return image(
            np.full((n, int(given["height"])), float(given["ra"])),
            ra=float(given["ra"]),
            dec=float(given["dec"]),
            scale=float(given["fov"]) * 3600 / n,
        )

    server.files["/hips2fits"] = cut
    places = SkyCoord([10.0, 359.9], [-5.0, 80.0], unit="deg")
    # astroquery's own setting of the mirror that is asked.
    monkeypatch.setattr(hips2fits, "server", f"{server.url}/hips2fits")
    rows = aml.locate(
        places, service="hips2fits", survey="CDS/P/DSS2/red", width=32, size=1 * u.arcmin
    )
    found = aml.fetch(aml.samples(rows))
    assert found.values.shape == (2, 1, 32, 32)
    assert found.values[:, 0, 16, 16] == pytest.approx([10.0, 359.9])
    assert found.pixel_scale == pytest.approx([60 / 32] * 2)


def test_rows_of_an_archive_keep_their_names_and_where_they_are_from(demo_archive):
    rows = aml.archive("demo").query("SELECT TOP 2 id, ra, dec FROM demo.galaxies")
    made = aml.locate(
        rows, service="hips2fits", survey="CDS/P/SDSS9/r", width=8, size=10 * u.arcsec, band="r"
    )
    assert made["id"].tolist() == rows["id"].tolist()
    assert made["access_url"][0].startswith("https://alasky.cds.unistra.fr/")
    assert made.meta["astroml"]["rows_from"]["archive"] == "demo"
    assert made.meta["astroml"]["simulated"] is True
    assert aml.samples(made).bands == ("r",)


@pytest.mark.parametrize(
    ("rows", "options", "why"),
    [
        ({"x": [1]}, {}, "no positions"),
        ({"ra": MaskedColumn([1.0], mask=[True]), "dec": [1.0]}, {}, "no positions"),
        ({"ra": [1.0], "dec": [1.0]}, {"width": 0}, "width"),
    ],
)
def test_what_cannot_be_cut_is_said(rows, options, why):
    given = {"survey": "CDS/P/DSS2/red", "width": 32, "size": 1 * u.arcmin, **options}
    with pytest.raises(DataError, match=why):
        aml.locate(Table(rows), service="hips2fits", **given)


def spec():
    """A spectrum in the layout of SDSS's spec-PLATE-MJD-FIBER files (data model of spec)."""
    loglam = np.linspace(3.58, 3.96, 100)
    columns = [
        fits.Column("flux", "E", array=np.ones(100)),
        fits.Column("loglam", "E", array=loglam),
        fits.Column("ivar", "E", array=np.full(100, 4.0)),
        fits.Column("and_mask", "J", array=np.zeros(100, int)),
    ]
    coadd = fits.BinTableHDU.from_columns(columns, name="COADD")
    file = io.BytesIO()
    primary = fits.PrimaryHDU(header=fits.Header({"BUNIT": "1E-17 erg/cm^2/s/Ang"}))
    fits.HDUList([primary, coadd]).writeto(file)
    return file.getvalue()


def test_spectra_of_sdss_are_found_by_plate_date_and_fibre(server):
    from astroquery.sdss import conf

    rows = Table(
        {
            "plate": [751, 10000],
            "mjd": [52251, 57346],
            "FIBERID": [160, 7],
            "run2d": [b"26", b"v5_13_0"],
        }
    )
    base = "/dr17/sdss/spectro/redux"
    server.files[f"{base}/26/spectra/0751/spec-0751-52251-0160.fits"] = spec()
    server.files[f"{base}/v5_13_0/spectra/full/10000/spec-10000-57346-0007.fits"] = spec()
    with conf.set_temp("sas_baseurl", server.url):
        made = aml.locate(rows, service="sdss")
    found, failures = fetch(aml.samples(made))
    assert failures == {}
    assert found.ids.tolist() == ["751-52251-160", "10000-57346-7"]
    assert found.values.shape == (2, 100)


def test_products_of_mast_are_fetched_by_their_names(server):
    from astroquery.mast import conf

    def download(asked):
        assert asked["uri"] in (["mast:HST/product/a b.fits"], ["mast:TESS/product/c.fits"])
        return image(np.full((4, 4), 7.0))

    server.files["/api/v0.1/Download/file"] = download
    # Columns of Observations.get_product_list.
    rows = Table(
        {
            "obsID": ["1", "1", "2"],
            "dataproduct_type": ["image", "image", "image"],
            "dataURI": [
                "mast:HST/product/a b.fits",
                "mast:x/preview.jpg",
                "mast:TESS/product/c.fits",
            ],
            "dataRights": ["PUBLIC"] * 3,
        }
    )
    with conf.set_temp("server", server.url):
        made = aml.locate(rows, service="mast")
    assert made["id"].tolist() == ["a b.fits", "c.fits"]
    assert made.meta["astroml"]["archive"] == "mast"
    found = aml.fetch(aml.samples(made))
    assert (found.values == 7).all()
    assert len(server.asked) == 2


def test_what_astroquery_finds_at_cadc_is_fetched_through_datalink(demo_archive):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from astroquery.cadc import Cadc

        cadc = Cadc(url=demo_archive.tap)
        found = cadc.query_region(SkyCoord(150.1, 2.2, unit="deg"), radius=0.3 * u.deg)
    images = found[found["dataproducttype"] == "image"][:2]
    rows = aml.locate(images, service="cadc", datalink=f"{demo_archive.url}/datalink")
    cutouts = aml.fetch(aml.samples(rows, kind="cutouts"))
    assert cutouts.ids.tolist() == images["publisherid"].tolist()
    assert np.isfinite(cutouts.values).any()


def test_the_address_of_cadc_s_datalink_escapes_what_is_asked():
    rows = aml.locate(Table({"publisherID": ["ivo://cadc.nrc.ca/CFHT?1&x=2"]}), service="cadc")
    parts = urlsplit(rows["access_url"][0])
    assert parts.hostname == "ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca"
    assert parse_qs(parts.query) == {"ID": ["ivo://cadc.nrc.ca/CFHT?1&x=2"]}


def test_a_service_or_a_column_that_is_not_there_is_named():
    with pytest.raises(DataError, match="hips2fits, sdss"):
        aml.locate(Table({"x": [1]}), service="panstarrs")
    for service, column in (("sdss", "plate"), ("mast", "dataURI"), ("cadc", "publisherID")):
        with pytest.raises(DataError, match=f"'{column}'.*they have x"):
            aml.locate(Table({"x": [1]}), service=service)
    with pytest.raises(DataError, match="FITS"):
        aml.locate(Table({"dataURI": ["mast:x/a.jpg"]}), service="mast")
