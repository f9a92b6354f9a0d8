"""Folders become archives: described or guessed, of our own making or real."""

import io
import json
import os
import re
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import requests
import yaml
from astropy import units as u
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from PIL import Image

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.embedded import config, folder, products, readers, serve
from jupyter_astroml.embedded.engine import Database

DATA = Path(os.environ.get("ASTROML_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
DOCS = Path(__file__).resolve().parents[2] / "docs" / "archive-folder.md"


def needs(*parts: str) -> pytest.MarkDecorator:
    path = DATA.joinpath(*parts)
    return pytest.mark.skipif(
        not path.is_dir(), reason=f"{'/'.join(parts)} is not there: set ASTROML_DATA to the data"
    )


class Opened:
    """A published folder, asked without HTTP."""

    def __init__(self, root: Path, scratch: Path, **given):
        self.told: list[str] = []
        scratch.mkdir(exist_ok=True)
        self.archive = folder.publish(root, scratch=scratch, tell=self.told.append, **given)
        self.database = Database(self.archive.database, base="http://127.0.0.1:1")

    def ask(self, query: str) -> list[dict]:
        answer = self.database.run(self.database.plan(query, maxrec=100_000), seconds=20)
        names = [c.name for c in answer.columns]
        columns = [c.to_pylist() for c in answer.rows.columns]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    def body(self, did: str) -> bytes:
        store = products.Store(self.archive.root)
        try:
            return store.read(self.database.product(did))
        finally:
            store.close()


@pytest.fixture
def opened(tmp_path):
    made = []

    def publish(root: Path, **given) -> Opened:
        made.append(Opened(root, tmp_path / f"scratch{len(made)}", **given))
        return made[-1]

    yield publish
    for one in made:
        one.database.close()


def picture(seed: int, *, form: str = "JPEG", size: int = 16) -> bytes:
    values = np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(values).save(out, form)
    return out.getvalue()


def field(path: Path, *, ra: float = 30.0, dec: float = -10.0, bands: int = 2) -> np.ndarray:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [ra, dec], [20.5, 15.5], [-2e-4, 2e-4]
    values = np.arange(bands * 30 * 40, dtype=np.float32).reshape(bands, 30, 40)
    header = wcs.to_header()
    header["BANDS"], header["BUNIT"] = "g,r", "nanomaggy"
    fits.PrimaryHDU(values, header).writeto(path)
    return values


@pytest.fixture
def mixed(tmp_path) -> Path:
    """A class data set as they come: pictures in a zip file, fields, curves, three tables."""
    root = tmp_path / "Class 2026"
    (root / "fields").mkdir(parents=True)
    ids = [587722953303916935 + i for i in range(6)]
    with zipfile.ZipFile(root / "stamps.zip", "w") as archive:
        for i, name in enumerate(ids):
            archive.writestr(f"sub/{name}.jpg", picture(i))
    lines = [f"{n},{10 + i / 10},{-5 + i / 10},{'spiral' if i % 2 else 'elliptical'},{n}.jpg"
             for i, n in enumerate(ids)]  # fmt: skip
    (root / "labels.csv").write_text("objID,RAJ2000,DEJ2000,Class Name,file\n" + "\n".join(lines))
    field(root / "fields" / "a.fits")
    field(root / "fields" / "b.fits", ra=31.0)
    time = 1354 + np.arange(300) / 720
    for star in (2760232, 5640393):
        rows = np.vstack([time, np.ones(300), np.full(300, 0.01)])
        np.save(root / f"{star:09d}_sector02.npy", rows)
    (root / "flares.csv").write_text(
        "TIC,tpeak,e_tpeak,E_tpeak\n2760232,1354.1,0.1,0.2\n2760232,1354.2,0.1,0.2\n"
        "5640393,1354.3,0.1,0.2\n"
    )
    Table({"name": ["x", "y"], "z": [0.1, 0.2] * u.dimensionless_unscaled}).write(
        root / "redshifts.vot", format="votable"
    )
    Table({"flux": np.array([1.0, 2.0], "f4") * u.Jy, "date": ["p", "q"]}).write(
        root / "fluxes.fits"
    )
    (root / "README.txt").write_text("words")
    return root


def test_a_mixed_folder_is_guessed_with_everything_in_its_place(mixed, opened):
    told = folder.describe(mixed)
    assert told.schema_name == "class_2026"
    assert {n: t.kind for n, t in told.tables.items()} == {
        "stamps": "images",
        "fields": "images",
        "light_curves": "light_curves",
        "flares": "table",
        "redshifts": "table",
        "fluxes": "table",
    }
    assert told.tables["stamps"].rows == "labels.csv"
    assert (told.tables["stamps"].ra, told.tables["stamps"].dec) == ("RAJ2000", "DEJ2000")
    assert told.tables["light_curves"].key == "tic"
    assert config.check(yaml.safe_load(config.dump(told))) == told

    archive = opened(mixed)
    assert "this was guessed" in archive.told[0]
    stamps = archive.ask("SELECT * FROM class_2026.stamps WHERE class_name = 'spiral' ORDER BY id")
    assert [r["id"] for r in stamps] == [str(587722953303916935 + i) for i in (1, 3, 5)]
    assert [r["objid"] for r in stamps] == [587722953303916935 + i for i in (1, 3, 5)]
    first = stamps[0]
    assert (first["ra"], first["dec"]) == (10.1, -4.9)
    assert first["bands"] == "R,G,B"
    assert first["flux_unit"] == "picture"
    assert first["access_format"] == "image/jpeg"
    assert archive.body(first["obs_publisher_did"]) == picture(1)


def test_light_curves_join_with_their_events_and_are_sent_as_fits(mixed, opened):
    archive = opened(mixed)
    rows = archive.ask(
        "SELECT c.id, c.obs_publisher_did, COUNT(f.tpeak) AS n FROM class_2026.light_curves AS c "
        "JOIN class_2026.flares AS f ON c.tic = f.tic GROUP BY c.id, c.obs_publisher_did "
        "ORDER BY c.id"
    )
    assert [(r["id"], r["n"]) for r in rows] == [("2760232", 2), ("5640393", 1)]
    with fits.open(io.BytesIO(archive.body(rows[0]["obs_publisher_did"]))) as hdus:
        assert hdus[1].columns.names == ["TIME", "FLUX", "FLUX_ERR"]
        assert hdus[1].data["TIME"][7] == 1354 + 7 / 720
        # Nothing is known of where the times are counted from, so nothing is claimed.
        assert "BJDREFI" not in hdus[1].header
    columns = archive.database.tables["class_2026.flares"].columns
    assert [c.name for c in columns] == ["tic", "tpeak", "e_tpeak", "e_tpeak_2"]
    assert "E_tpeak" in columns[3].description


def test_units_of_files_and_quoted_names_survive(mixed, opened):
    archive = opened(mixed)
    flux = archive.database.tables["class_2026.fluxes"].column("flux")
    assert (flux.unit, flux.datatype) == ("Jy", "float")
    assert archive.ask('SELECT "date" FROM class_2026.fluxes ORDER BY flux') == [
        {"date": "p"},
        {"date": "q"},
    ]


def test_fits_images_are_placed_on_the_sky_and_can_be_cut(mixed, opened):
    archive = opened(mixed)
    rows = archive.ask("SELECT * FROM class_2026.fields ORDER BY id")
    assert [r["id"] for r in rows] == ["a", "b"]
    assert rows[0]["ra"] == pytest.approx(30.0, abs=1e-9)
    assert rows[0]["pixel_scale"] == pytest.approx(0.72)
    assert (rows[0]["bands"], rows[0]["flux_unit"]) == ("g,r", "nanomaggy")
    assert rows[0]["access_format"] == "application/x-votable+xml;content=datalink"
    found = archive.ask(
        "SELECT obs_id FROM ivoa.obscore WHERE 1 = CONTAINS(POINT(31.001, -10.001), s_region)"
    )
    assert found == [{"obs_id": "b"}]


def test_a_folder_is_served_over_http_through_the_same_door(mixed, surroundings, monkeypatch):
    import pyvo

    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", surroundings["JUPYTER_RUNTIME_DIR"])
    told = []
    with serve.start(mixed, progress=told.append) as running:
        assert any("guessed" in t for t in told)
        tap = pyvo.dal.TAPService(running.tap)
        row = tap.run_sync("SELECT TOP 1 * FROM class_2026.stamps ORDER BY id")[0]
        assert requests.get(row["access_url"], timeout=10).content == picture(0)
        field_row = tap.run_sync("SELECT TOP 1 * FROM class_2026.fields ORDER BY id")[0]
        cut = requests.get(
            f"{running.url}/soda",
            params={"ID": field_row["obs_publisher_did"], "CIRCLE": "30 -10 0.001"},
            timeout=10,
        )
        with fits.open(io.BytesIO(cut.content)) as hdus:
            whole = np.arange(2 * 30 * 40, dtype=np.float32).reshape(2, 30, 40)
            np.testing.assert_array_equal(hdus[0].data, whole[:, 10:20, 15:25])
        # A picture has no position on its pixels, so all of it comes.
        whole = requests.get(
            f"{running.url}/soda",
            params={"ID": row["obs_publisher_did"], "CIRCLE": "10 -5 0.001"},
            timeout=10,
        )
        assert whole.content == picture(0)
        assert len(tap.examples) == 6


def test_fits_images_in_a_zip_file_can_be_cut_too(tmp_path, opened):
    root = tmp_path / "zipped"
    root.mkdir()
    values = field(tmp_path / "one.fits")
    with zipfile.ZipFile(root / "fields.zip", "w") as archive:
        archive.write(tmp_path / "one.fits", "deep/one.fits")
    made = opened(root)
    (row,) = made.ask("SELECT * FROM zipped.fields")
    from jupyter_astroml.embedded import soda

    store = products.Store(root)
    image = soda.Images(store).get(made.database.product(row["obs_publisher_did"]))
    store.close()
    body = soda.cut(image, soda.region(circle="30 -10 0.001"))
    with fits.open(io.BytesIO(body)) as hdus:
        np.testing.assert_array_equal(hdus[0].data, values[:, 10:20, 15:25])


def test_rows_without_a_file_and_files_without_a_row_are_told(mixed, opened):
    with (mixed / "labels.csv").open("a") as file:
        file.write("\n99,1,2,spiral,99.jpg")
    archive = opened(mixed)
    assert any("1 of 7 rows have no file" in t for t in archive.told)
    assert archive.ask("SELECT COUNT(*) AS n FROM class_2026.stamps") == [{"n": 6}]


# Spectra and light curves of any length.


def sdss(path: Path, *, pixels: int = 50) -> None:
    """A spectrum in the layout of SDSS, whose RA is where the telescope points."""
    loglam = 3.6 + 1e-4 * np.arange(pixels, dtype=np.float32)
    columns = [
        fits.Column("flux", "E", array=np.linspace(1, 2, pixels)),
        fits.Column("loglam", "E", array=loglam),
        fits.Column("ivar", "E", array=np.ones(pixels)),
    ]
    primary = fits.PrimaryHDU()
    primary.header["RA"], primary.header["DEC"] = 1.0, 2.0
    primary.header["PLUG_RA"], primary.header["PLUG_DEC"] = 150.25, 2.5
    fits.HDUList([primary, fits.BinTableHDU.from_columns(columns, name="COADD")]).writeto(path)


def lamost(path: Path, *, pixels: int = 60) -> None:
    hdu = fits.PrimaryHDU(np.ones((5, pixels), np.float32))
    hdu.header["COEFF0"], hdu.header["COEFF1"] = 3.5682, 1e-4
    hdu.header["RA"], hdu.header["DEC"] = 99.3, 27.2
    hdu.writeto(path)


@pytest.fixture
def observatory(tmp_path) -> Path:
    root = tmp_path / "night"
    for name in ("sdss", "lamost", "plain", "curves"):
        (root / name).mkdir(parents=True)
    for i in range(2):
        sdss(root / "sdss" / f"s{i}.fits", pixels=50 + i)
        lamost(root / "lamost" / f"l{i}.fits")
    (root / "plain" / "p.csv").write_text("Wavelength,Flux,Flux_err\n4000,1,0.1\n4010,2,0.1\n")
    Table({"wave": [500.0, 501.0] * u.nm, "flux": [1.0, 2.0] * u.Jy}).write(
        root / "plain" / "q.ecsv"
    )
    for i, n in enumerate((3, 700)):
        lines = [f"{59000 + k},{18 + i + k / 1000},0.02,{'gr'[k % 2]}" for k in range(n)]
        (root / "curves" / f"v{i}.csv").write_text("mjd,mag,mag_err,band\n" + "\n".join(lines))
    (root / "stars.csv").write_text("name,ra,dec\nv0,10.5,20.5\nv1,11.5,21.5\n")
    return root


def test_spectra_of_several_layouts_are_recognised_and_placed(observatory, opened):
    told = folder.describe(observatory)
    assert {n: t.kind for n, t in told.tables.items()} == {
        "sdss": "spectra",
        "lamost": "spectra",
        "plain": "spectra",
        "plain_2": "spectra",
        "curves": "light_curves",
    }
    assert told.tables["curves"].rows == "stars.csv"
    assert told.tables["plain"].wave_unit == "Angstrom"
    assert told.tables["sdss"].wave_unit == told.tables["plain_2"].wave_unit == ""
    archive = opened(observatory)
    rows = archive.ask("SELECT * FROM ivoa.obscore WHERE dataproduct_type = 'spectrum'")
    found = {r["obs_id"]: (r["em_min"], r["em_max"], r["em_xel"], r["s_ra"]) for r in rows}
    assert found["s1"] == pytest.approx((10**-6.4, 10**-6.395, 51, 150.25), rel=1e-6)
    assert found["l0"] == pytest.approx((10**-6.4318, 10**-6.4259, 60, 99.3), rel=1e-6)
    assert found["p"] == (pytest.approx(4e-7), pytest.approx(4.01e-7), 2, None)
    assert found["q"] == (pytest.approx(5e-7), pytest.approx(5.01e-7), 2, None)


def test_a_spectrum_in_text_is_sent_as_fits(observatory, opened):
    archive = opened(observatory)
    (row,) = archive.ask("SELECT obs_publisher_did FROM night.plain WHERE id = 'p'")
    with fits.open(io.BytesIO(archive.body(row["obs_publisher_did"]))) as hdus:
        hdus.verify("exception")
        table = hdus["SPECTRUM"]
        assert table.columns.names == ["WAVELENGTH", "FLUX", "FLUX_ERR"]
        assert table.columns[0].unit == "Angstrom"
        assert table.data["WAVELENGTH"].tolist() == [4000, 4010]
    (row,) = archive.ask("SELECT obs_publisher_did FROM night.plain_2")
    with fits.open(io.BytesIO(archive.body(row["obs_publisher_did"]))) as hdus:
        assert [c.unit for c in hdus[1].columns] == ["nm", "Jy"]


def test_light_curves_of_any_length_in_text_are_sent_as_fits(observatory, opened):
    (observatory / "archive.yaml").write_text(
        "schema: x\ntables:\n  c: {kind: light_curves, files: curves, rows: stars.csv, id: name, "
        "ra: ra, dec: dec, time: {zero: 2400000.5, scale: utc}, flux_unit: mag}\n"
    )
    archive = opened(observatory)
    rows = archive.ask("SELECT * FROM x.c ORDER BY id")
    assert [(r["n_points"], r["t_min"], r["t_max"]) for r in rows] == [
        (3, 59000, 59002),
        (700, 59000, 59699),
    ]
    assert [r["ra"] for r in rows] == [10.5, 11.5]
    assert archive.ask("SELECT t_min, s_dec FROM ivoa.obscore WHERE obs_id = 'v1'") == [
        {"t_min": 59000.0, "s_dec": 21.5}
    ]
    with fits.open(io.BytesIO(archive.body(rows[0]["obs_publisher_did"]))) as hdus:
        hdus.verify("exception")
        table = hdus["LIGHTCURVE"]
        assert table.columns.names == ["TIME", "MAG", "MAG_ERR", "band"]
        assert table.data["band"].tolist() == ["g", "r", "g"]
        assert (table.header["TIMESYS"], table.header["BJDREFI"]) == ("UTC", 2400000)
        assert [c.unit for c in table.columns][1:3] == ["mag", "mag"]


def test_wavelengths_in_air_are_published_as_in_vacuum(observatory, opened):
    (observatory / "archive.yaml").write_text(
        "schema: x\ntables:\n"
        "  c: {kind: spectra, files: plain/p.csv, wave_unit: Angstrom, medium: air}\n"
    )
    archive = opened(observatory)
    assert archive.ask("SELECT em_min FROM x.c") == [{"em_min": pytest.approx(4.00112e-7)}]
    (row,) = archive.ask("SELECT obs_publisher_did FROM x.c")
    with fits.open(io.BytesIO(archive.body(row["obs_publisher_did"]))) as hdus:
        assert hdus[1].header["AIRORVAC"] == "air"


def test_one_table_of_times_and_fluxes_stays_a_table(tmp_path):
    root = tmp_path / "one"
    root.mkdir()
    (root / "events.csv").write_text("time,flux\n1,2\n3,4\n")
    assert folder.describe(root).tables["events"].kind == "table"
    (root / "more.csv").write_text("time,flux\n1,2\n")
    (told,) = folder.describe(root).tables.values()
    assert told.kind == "light_curves"


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.csv", "wavelength,flux\n", "no columns of wavelength and flux"),
        ("a.csv", "time,flux\n1,2\n", "no columns of wavelength and flux"),
        ("a.csv", "wavelength,flux\nx,1\n", "holds no numbers"),
        ("a.ecsv", "# nonsense", "no table"),
        ("a.fits", "SIMPLE  =  T", "damaged|no wavelengths"),
    ],
)
def test_a_damaged_spectrum_is_told_and_the_rest_is_published(tmp_path, opened, name, text, why):
    root = tmp_path / "some"
    root.mkdir()
    (root / name).write_text(text)
    (root / "good.csv").write_text("wavelength,flux\n4000,1\n")
    (root / "archive.yaml").write_text("schema: x\ntables:\n  c: {kind: spectra, files: '*.*'}\n")
    archive = opened(root)
    assert [r["id"] for r in archive.ask("SELECT id FROM x.c")] == ["good"]
    assert re.search(why, "\n".join(archive.told))


def test_a_lying_spectrum_costs_an_error_and_no_memory(tmp_path, opened):
    root = tmp_path / "lies"
    root.mkdir()
    sdss(root / "a.fits")
    body = (root / "a.fits").read_bytes()
    assert body.count(b"NAXIS2  =                   50") == 1
    (root / "b.fits").write_bytes(
        body.replace(b"NAXIS2  =                   50", b"NAXIS2  =           2000000000")
    )
    archive = opened(root)
    assert [r["id"] for r in archive.ask("SELECT id FROM ivoa.obscore, lies.spectra")] == ["a"]
    assert "left out b.fits" in "\n".join(archive.told)


def test_a_catalogue_with_names_and_positions_can_be_searched_by_cone(observatory, opened):
    (observatory / "archive.yaml").write_text(
        "schema: x\ntables:\n  stars: {kind: table, rows: stars.csv}\n"
    )
    from jupyter_astroml.embedded import cone

    table = opened(observatory).database.tables["x.stars"]
    assert cone.searchable(table)
    assert table.column("ra").unit == "deg"


def test_spectra_are_found_by_ssa_through_pyvo(observatory, surroundings, monkeypatch):
    import pyvo
    from astropy.coordinates import SkyCoord

    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", surroundings["JUPYTER_RUNTIME_DIR"])
    with serve.start(observatory) as running:
        service = pyvo.dal.SSAService(f"{running.url}/ssa/query")
        place = SkyCoord(150.25, 2.5, unit="deg")
        found = service.search(pos=place, diameter=0.1 * u.deg)
        assert [r.title for r in found] == ["sdss s0", "sdss s1"]
        first = found[0]
        assert (first.ra, first.dec, first.format) == (150.25, 2.5, "application/fits")
        stored = (observatory / "sdss" / "s0.fits").read_bytes()
        assert requests.get(first.getdataurl(), timeout=10).content == stored
        start = first.getbyutype("ssa:Char.SpectralAxis.Coverage.Bounds.Start")
        assert start == pytest.approx(10**-6.4, rel=1e-6)

        def number(**params) -> int:
            return requests.get(
                f"{running.url}/ssa/query", params={"REQUEST": "queryData", **params}, timeout=10
            ).text.count("<TR>")

        assert number() == 6
        assert number(BAND="4.5e-7/6e-7") == 1
        assert number(BAND="/3.99e-7") == 4
        assert number(BAND="3.7e-7,5.005e-7") == 3
        assert number(POS="99.3,27.2", SIZE="0.01") == 2
        assert number(POS="99.3,27.2;ICRS") == 2
        assert number(FORMAT="votable") == 0
        assert number(FORMAT="METADATA") == 0
        assert number(FORMAT="fits", MAXREC=2) == 2
        assert number(TARGETNAME="s0") == 1
        assert number(TIME="2004/2005") == 0
        for wrong in ({"POS": "1"}, {"POS": "1,2;GALACTIC"}, {"BAND": "V"}, {"TIME": "noon"},
                      {"REQUEST": "getMilk"}, {"POS": "1,2", "SIZE": "-1"},
                      {"POS": "1,95"}, {"BAND": "/"}):  # fmt: skip
            answer = requests.get(f"{running.url}/ssa/query", params=wrong, timeout=10)
            assert (answer.status_code, "ERROR" in answer.text) == (200, True), wrong


# Identifiers.


@pytest.mark.parametrize(
    ("text", "datatype"),
    [
        ("587722953303916935", "long"),
        ("-5", "long"),
        ("+7", "long"),
        ("9223372036854775807", "long"),
        ("92233720368547758080", "text"),
        ("007", "text"),
        ("1.50", "double"),
        ("1e5", "double"),
        ("true", "boolean"),
        ("J1234+56", "text"),
    ],
)
def test_no_digit_of_an_identifier_is_lost_in_csv(tmp_path, text, datatype):
    path = tmp_path / "t.csv"
    path.write_text(f"id,x\n{text},1\n{text},2\n")
    column = readers.read(path).columns["id"]
    expected = {
        "long": lambda: int(text),
        "text": lambda: text,
        "double": lambda: float(text),
        "boolean": lambda: True,
    }[datatype]()
    assert column.to_pylist() == [expected, expected]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_with_other_separators_quotes_and_gaps_is_read(tmp_path, delimiter):
    path = tmp_path / "t.csv"
    path.write_text(
        delimiter.join(["a", "b", "c"]) + "\n" + delimiter.join(["1", '"x, ""y"""', "NaN"]) + "\n"
        + delimiter.join(["", "z", "2.5"]) + "\n"
    )  # fmt: skip
    found = readers.read(path)
    assert found.columns["a"].to_pylist() == [1, None]
    assert found.columns["b"].to_pylist() == ['x, "y"', "z"]
    assert found.columns["c"].to_pylist() == [None, 2.5]


def test_parquet_ecsv_and_fits_keep_types_units_and_descriptions(tmp_path):
    table = Table(
        {
            "id": np.array([587722953303916935, 1], ">i8"),
            "flux": np.ma.MaskedArray([1.5, 2.5], mask=[False, True]) * u.Jy,
            "wave": np.array([[1.0, 2.0], [3.0, 4.0]]),
            "ok": [True, False],
        }
    )
    table["flux"].info.description = "how bright"
    for ending in (".ecsv", ".vot", ".fits"):
        path = tmp_path / f"t{ending}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table.write(path, format="votable" if ending == ".vot" else None)
        found = readers.read(path)
        assert found.columns["id"].to_pylist() == [587722953303916935, 1]
        assert found.units["flux"] == "Jy"
        assert found.columns["ok"].to_pylist() == [True, False]
        assert len(found.columns["wave"][0].as_py()) == 2
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(
        pa.table({"s": pa.array(["a", None]).dictionary_encode(), "n": [{"x": 1}, None]}),
        tmp_path / "t.parquet",
    )
    found = readers.read(tmp_path / "t.parquet")
    assert found.columns["s"].to_pylist() == ["a", None]
    assert found.left_out == ("n",)


# What must not get out.


@pytest.fixture
def secret(tmp_path) -> Path:
    path = tmp_path / "secret.csv"
    path.write_text("password\nhunter2\n")
    return path


def test_a_link_that_leads_out_is_not_published(tmp_path, secret, mixed, opened):
    (mixed / "stolen.csv").symlink_to(secret)
    (mixed / "fields" / "stolen.jpg").symlink_to(secret)
    (mixed / "outside").symlink_to(tmp_path)
    archive = opened(mixed)
    assert not any("stolen" in name or "outside" in name for name in archive.database.tables)
    assert not archive.ask("SELECT * FROM ivoa.obscore WHERE access_url LIKE '%stolen%'")


@pytest.mark.parametrize(
    "path", ["../secret.csv", "/etc/passwd", "stolen.csv", "sub/../../secret.csv", "a\\b.csv"]
)
def test_a_description_cannot_name_a_file_outside(mixed, secret, opened, path):
    (mixed / "stolen.csv").symlink_to(secret)
    told = {"schema": "x", "tables": {"t": {"kind": "table", "rows": path}}}
    (mixed / "archive.yaml").write_text(json.dumps(told))
    with pytest.raises(DataError, match=r"inside the folder|leads out|no .* in"):
        opened(mixed)


@pytest.mark.parametrize("pattern", ["../*.csv", "/etc/*", "outside/*.csv", "**/*.csv"])
def test_a_pattern_cannot_reach_outside(mixed, secret, opened, pattern):
    (mixed / "outside").symlink_to(secret.parent)
    told = {"schema": "x", "tables": {"t": {"kind": "images", "files": pattern}}}
    (mixed / "archive.yaml").write_text(json.dumps(told))
    with pytest.raises(DataError):
        opened(mixed)


def test_a_link_that_is_changed_after_publication_gives_nothing(mixed, secret, opened):
    inner = mixed / "fields" / "c.jpg"
    inner.write_bytes(picture(5))
    archive = opened(mixed)
    row = archive.ask("SELECT obs_publisher_did FROM ivoa.obscore WHERE obs_id = 'c'")[0]
    inner.unlink()
    inner.symlink_to(secret)
    with pytest.raises(DataError, match="no longer there"):
        archive.body(row["obs_publisher_did"])


def test_odd_members_of_a_zip_file_are_left_out(tmp_path, opened):
    root = tmp_path / "odd"
    root.mkdir()
    with zipfile.ZipFile(root / "pictures.zip", "w") as archive:
        for name in ("good.jpg", "../up.jpg", "/root.jpg", "a/../../b.jpg", "c:\\d.jpg"):
            archive.writestr(name, picture(1))
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    made = opened(root)
    assert [r["id"] for r in made.ask("SELECT id FROM odd.pictures")] == ["good"]


def test_a_decompression_bomb_is_refused_when_it_is_asked_for(tmp_path, opened):
    root = tmp_path / "bombs"
    root.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.new("L", (9000, 9000)).save(root / "wide.png")
    (root / "fake.jpg").write_bytes(b"not a picture")
    made = opened(root)
    dids = {r["id"]: r["obs_publisher_did"] for r in made.ask(
        "SELECT obs_id AS id, obs_publisher_did FROM ivoa.obscore")}  # fmt: skip
    with pytest.raises(DataError, match="too many"):
        made.body(dids["wide"])
    with pytest.raises(DataError, match="no JPEG or PNG"):
        made.body(dids["fake"])


def test_a_lying_fits_header_costs_an_error_and_no_memory(tmp_path):
    from jupyter_astroml.embedded import soda

    header = fits.PrimaryHDU(np.zeros((3, 4), np.float32)).header
    header["NAXIS1"] = header["NAXIS2"] = 60_000
    (tmp_path / "huge.fits").write_bytes(header.tostring().encode())
    with pytest.raises(DataError):
        soda.load(tmp_path / "huge.fits", name="huge.fits")


def test_an_array_of_objects_is_never_loaded(tmp_path):
    root = tmp_path / "pickles"
    root.mkdir()
    np.save(root / "evil.npy", np.array([[print], [1], [2]], dtype=object), allow_pickle=True)
    np.save(root / "flat.npy", np.zeros(5))
    with pytest.raises(DataError, match="nothing to publish"):
        folder.describe(root)
    with pytest.raises(DataError, match="no array of numbers"):
        products.series(root / "evil.npy")


def test_damaged_files_are_told_and_the_rest_is_published(mixed, opened):
    (mixed / "fields" / "broken.fits").write_bytes(b"SIMPLE  =  T" * 10)
    (mixed / "broken.vot").write_text("<VOTABLE>")
    (mixed / "broken.zip").write_bytes(b"PK nothing")
    (mixed / "broken.parquet").write_bytes(b"PAR1")
    archive = opened(mixed)
    assert len(archive.ask("SELECT id FROM class_2026.fields")) == 2


# Descriptions.


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (None, "the whole"),
        ([], "the whole"),
        ({}, "schema: Field required"),
        ({"schema": "x", "tables": {}}, "tables"),
        ({"schema": "X y", "tables": {"t": {"kind": "table", "rows": "a.csv"}}}, "schema"),
        ({"schema": "tap_schema", "tables": {"t": {"kind": "table", "rows": "a"}}}, "itself"),
        ({"schema": "x", "tables": {"t": {"kind": "movie"}}}, "tables.t"),
        ({"schema": "x", "tables": {"t": {"kind": "table"}}}, "rows: Field required"),
        ({"schema": "x", "tables": {"t": {"kind": "table", "rows": "a", "bands": []}}}, "bands"),
        ({"schema": "x", "tables": {"1t": {"kind": "table", "rows": "a"}}}, "1t"),
        (
            {"schema": "x", "tables": {"t": {"kind": "images", "files": "*", "pixel_scale": -1}}},
            "pixel_scale",
        ),
        (
            {"schema": "x", "tables": {"t": {"kind": "images", "files": "*", "id": "objid"}}},
            "'rows' must name a table",
        ),
        (
            {"schema": "x", "tables": {"t": {"kind": "images", "files": "*", "rows": "a.csv"}}},
            "file_column",
        ),
        (
            {"schema": "x", "tables": {"t": {"kind": "light_curves", "files": "*",
             "id_pattern": "(a)(b)"}}},
            "exactly one group",
        ),
        (
            {"schema": "x", "tables": {"t": {"kind": "light_curves", "files": "*",
             "id_pattern": "("}}},
            "regular expression",
        ),
    ],
)  # fmt: skip
def test_a_wrong_description_is_told_entry_by_entry(told, reason):
    with pytest.raises(DataError) as caught:
        config.check(told)
    assert reason in caught.value.cause
    assert "archive-folder.md" in caught.value.remedy


def test_a_description_that_is_no_yaml_is_told(tmp_path):
    path = tmp_path / "archive.yaml"
    for text in ("a: [", "\tx", "!!python/object/apply:os.system ['true']"):
        path.write_text(text)
        with pytest.raises(DataError, match=r"archive\.yaml"):
            config.load(path)
    with pytest.raises(DataError, match="cannot be read"):
        config.load(tmp_path / "nosuch.yaml")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": "nosuch"}, "names a column 'nosuch'"),
        ({"columns": {"nosuch": {}}}, "names a column 'nosuch'"),
        ({"files": "nosuch.zip"}, "There is no nosuch.zip"),
        ({"files": "*.nosuch"}, "There are no files"),
        ({"files": "*.csv"}, "FITS, JPEG or PNG"),
        ({"file_column": "Class Name"}, "No row of labels.csv leads to a file"),
        ({"ra": "Class Name", "dec": "DEJ2000"}, "are no degrees"),
        (
            {"columns": {"Class Name": {"name": "a"}, "file": {"name": "a"}}},
            "Two columns of labels.csv are called 'a'",
        ),
    ],
)
def test_a_description_that_does_not_fit_the_folder_is_told(mixed, opened, change, reason):
    entry = {"kind": "images", "files": "stamps.zip", "rows": "labels.csv", "file_column": "file"}
    told = {"schema": "x", "tables": {"t": {**entry, **change}}}
    (mixed / "archive.yaml").write_text(json.dumps(told))
    with pytest.raises(DataError, match=re.escape(reason)):
        opened(mixed)


def test_simulated_data_say_so_everywhere(mixed, opened):
    (mixed / "archive.yaml").write_text(
        "schema: x\nsimulated: true\ntables:\n"
        "  c: {kind: light_curves, files: '*.npy', time: {zero: 2457000.5}, band: TESS}\n"
    )
    archive = opened(mixed)
    assert "simulated" in archive.archive.title
    assert "simulated" in archive.database.tables["x.c"].description
    (first, _) = archive.ask("SELECT * FROM ivoa.obscore")
    assert "simulated" in first["obs_collection"]
    assert first["t_min"] == pytest.approx(1354 + 2457000.5 - 2400000.5)
    with fits.open(io.BytesIO(archive.body(first["obs_publisher_did"]))) as hdus:
        header = hdus[1].header
        assert header["SIMULATD"]
        assert (header["BJDREFI"], header["BJDREFF"], header["TIMESYS"]) == (2457000, 0.5, "TDB")
        assert header["FILTER"] == "TESS"


# The documentation.


@pytest.fixture
def documented(tmp_path) -> Path:
    """A folder with the files that the examples of the documentation name."""
    root = tmp_path / "documented"
    (root / "fields").mkdir(parents=True)
    with zipfile.ZipFile(root / "images.zip", "w") as archive:
        archive.writestr("1.jpg", picture(1))
        archive.writestr("2.jpg", picture(2))
    (root / "labels.csv").write_text(
        "objid,class_name,file\n11,elliptical,1.jpg\n12,spiral,2.jpg\n"
    )
    field(root / "fields" / "f.fits")
    Table({"ra": [1.0], "dec": [2.0]}).write(root / "sources.vot", format="votable")
    np.save(root / "002760232_sector02.npy", np.ones((3, 10)))
    (root / "flares.csv").write_text("TIC,tpeak,E_tpeak\n2760232,2458357.4,0.001\n")
    (root / "spectra").mkdir()
    (root / "spectra" / "a.csv").write_text("wavelength,flux\n380,1\n390,2\n400,1\n")
    (root / "stars.csv").write_text("file,class,RA,DEC\na.csv,F5,10,20\n")
    return root


def examples() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("number", range(4))
def test_the_examples_of_the_documentation_work(documented, opened, number):
    assert len(examples()) == 4
    (documented / "archive.yaml").write_text(examples()[number])
    archive = opened(documented)
    told = config.load(documented / "archive.yaml")
    for name in told.tables:
        assert archive.ask(f"SELECT * FROM {told.schema_name}.{name}")
    queries = re.findall(r"`(SELECT [^`]*)`", DOCS.read_text())
    mine = [q for q in queries if f"{told.schema_name}." in q]
    for query in mine:
        assert archive.ask(query)
    assert len(mine) == (1, 0, 1, 1)[number]


def test_the_documentation_lists_every_entry():
    text = DOCS.read_text()
    for model in (
        config.Config,
        config.ImagesTable,
        config.LightCurvesTable,
        config.SpectraTable,
        config.ColumnNote,
    ):
        for name, entry in model.model_fields.items():
            assert f"`{entry.alias or name}`" in text


def test_the_documentation_tells_the_limits_that_hold():
    from jupyter_astroml.embedded import (
        adql,
        datalink,
        engine,
        sia,
        tap,
        uploads,
        uws,
        votable_reader,
    )

    wanted = [
        tap.DEFAULT_ROWS,
        tap.MOST_ROWS,
        int(tap.SYNC_SECONDS),
        uws.DEFAULT_SECONDS,
        uws.MOST_SECONDS,
        uws.AT_ONCE,
        f"{uws.MOST_JOBS}, {uws.LIFE.days} ({uws.MOST_LIFE.days} at most)",
        engine.MEMORY.replace("GB", " GB"),
        adql.MAX_CHARACTERS,
        adql.MAX_TOKENS,
        adql.MAX_DEPTH,
        adql.MAX_SOURCES,
        adql.MAX_GEOMETRY,
        votable_reader.MAX_BYTES >> 20,
        votable_reader.MOST_ROWS,
        votable_reader.MOST_COLUMNS,
        votable_reader.MOST_ITEMS,
        uploads.MOST_TABLES,
        sia.MOST_CORNERS,
        datalink.MOST_IDS,
        products.MAX_BYTES >> 20,
    ]
    section = DOCS.read_text().split("## Limits")[1]
    told = re.findall(r"^\| .* \| (.*) \|$", section, flags=re.MULTILINE)[1:]
    assert told == [f"{v:,}" if isinstance(v, int) else v for v in wanted]


# Real data.


@needs("galaxies_gz1", "dev")
def test_the_galaxy_zoo_pictures_are_recognised_and_published(opened):
    root = DATA / "galaxies_gz1" / "dev"
    archive = opened(root)
    counts = archive.ask(
        "SELECT class_name, COUNT(*) AS n FROM dev.images GROUP BY class_name ORDER BY n DESC"
    )
    assert (counts[0]["class_name"], counts[0]["n"]) == ("elliptical", 2322)
    assert sum(c["n"] for c in counts) == 3333
    rows = archive.ask("SELECT TOP 200 * FROM dev.images WHERE class_name = 'elliptical'")
    assert len(rows) == 200
    for row in rows[::50]:
        assert row["id"] == str(row["objid"])
        body = archive.body(row["obs_publisher_did"])
        with Image.open(io.BytesIO(body)) as found:
            assert found.size == (128, 128)
        with zipfile.ZipFile(root / "images.zip") as stored:
            assert body == stored.read(row["file"])
    assert archive.ask("SELECT id FROM dev.images WHERE id = '587722953303916935'")


@needs("galaxies_gz1", "dev")
def test_a_description_beside_a_read_only_folder_names_schema_and_bands(opened, tmp_path):
    path = tmp_path / "gz1.yaml"
    path.write_text(examples()[0])
    archive = opened(DATA / "galaxies_gz1" / "dev", config=path)
    rows = archive.ask("SELECT TOP 200 * FROM gz1.galaxies WHERE class_name = 'elliptical'")
    assert len(rows) == 200
    assert {(r["bands"], r["flux_unit"]) for r in rows} == {("i,r,g", "picture")}


@needs("tess_flares", "dev")
def test_the_light_curves_of_tess_are_recognised_and_joined_with_their_flares(opened):
    root = DATA / "tess_flares" / "dev"
    archive = opened(root)
    rows = archive.ask(
        "SELECT c.id, c.obs_publisher_did, c.n_points, COUNT(*) AS n "
        "FROM dev.light_curves AS c JOIN dev.guenther2020_flares AS f ON c.tic = f.tic "
        "GROUP BY c.id, c.obs_publisher_did, c.n_points ORDER BY c.id"
    )
    assert [(r["id"], r["n"]) for r in rows] == [("2760232", 18), ("5640393", 22), ("5676537", 13)]
    stored = np.load(root / "002760232_sector02.npy")
    with fits.open(io.BytesIO(archive.body(rows[0]["obs_publisher_did"]))) as hdus:
        np.testing.assert_array_equal(hdus[1].data["TIME"], stored[0])
        np.testing.assert_array_equal(hdus[1].data["FLUX"], stored[1].astype(np.float32))
        np.testing.assert_array_equal(hdus[1].data["FLUX_ERR"], stored[2].astype(np.float32))


@needs("galaxies_gz1", "dev")
@pytest.mark.parametrize(
    "topic",
    [
        "radio_galaxies_first",
        "star_galaxy_cutouts",
        "lens_candidates",
        "photoz",
        "supernovae",
        "variable_stars",
        "star_spectra",
        "catalogue_classes",
        "ztf_alerts",
    ],
)
def test_other_real_folders_can_be_published_as_they_are(opened, topic):
    root = DATA / topic / "dev"
    if not root.is_dir():
        pytest.skip(f"{topic} is not among the data")
    archive = opened(root)
    own = [
        n for n in archive.database.tables if not n.startswith(("tap_schema.", "ivoa.", "caom2."))
    ]
    assert own
    for name in own:
        assert archive.ask(f"SELECT TOP 2 * FROM {name}")
