"""What a new user tries first works, or says what to do."""

import numpy as np
import pytest
from astropy.table import Table

import jupyter_astroml as aml
from jupyter_astroml.core.errors import ArchiveError, AstroMLError, DataError, RunError


def test_rows_that_are_no_table_are_refused_with_what_to_do():
    with pytest.raises(DataError, match="no rows but str") as told:
        aml.predict("galaxies.csv", model="galaxy_morphology")
    assert "Table.read" in told.value.remedy


def test_a_data_frame_is_taken_as_rows():
    pandas = pytest.importorskip("pandas")
    rows = pandas.DataFrame({"id": ["a"], "access_url": ["http://127.0.0.1:9/a"], "ra": [1.5]})
    found = aml.samples(rows)
    assert found.ids.tolist() == ["a"]
    assert found.ra.tolist() == [1.5]


def test_maps_of_a_run_that_does_not_exist_name_the_run():
    with pytest.raises(RunError, match=r"no run in .*nosuch"):
        aml.explain("nosuch", ids=["a"])
    with pytest.raises(DataError, match="no maps but str"):
        aml.trust("a")


def test_an_unknown_unit_is_not_called_a_missing_one():
    rows = Table({"id": ["a"], "access_url": ["http://127.0.0.1:9/a"]})
    with pytest.raises(DataError, match="unit is not known"):
        aml.samples(rows, size="5 arcmins")
    with pytest.raises(DataError, match="without a unit"):
        aml.samples(rows, size="5")


def test_a_file_of_another_kind_is_called_so(tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ArchiveError, match="is no Parquet file") as told:
        aml.read(path)
    assert "Table.read" in told.value.remedy
    with pytest.raises(ArchiveError) as told:
        aml.read(tmp_path / "nosuch.parquet")
    assert "file that is there" in told.value.remedy


@pytest.mark.parametrize("name", ["rows.csv", "rows.ecsv", "rows.fits", "rows.vot"])
def test_tables_of_ones_own_are_read_in_the_formats_of_astronomy(name, tmp_path):
    path = tmp_path / name
    made = Table({"id": ["a", "b"], "ra": [10.0, 20.0], "flux_unit": ["nanomaggy"] * 2})
    made.write(path, format={"vot": "votable", "csv": "ascii.csv", "ecsv": "ascii.ecsv"}.get(
        path.suffix[1:], "fits"))  # fmt: skip
    found = aml.read(path)
    assert found["id"].tolist() == ["a", "b"]
    assert found["flux_unit"].tolist() == ["nanomaggy"] * 2
    assert aml.read(path, columns=["ra"]).colnames == ["ra"]
    with pytest.raises(DataError, match="no column 'dec'"):
        aml.read(path, columns=["dec"])
    path.write_bytes(b"" if name.endswith(".csv") else b"\x00 nothing of the kind")
    with pytest.raises(AstroMLError, match=r"rows|VOTable"):
        aml.read(path)


def test_a_csv_keeps_long_numbers_and_texts_that_look_like_nothing(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("id,source,label\na,4295806720123456789,None\nb,,NA\n")
    found = aml.read(path)
    assert found["source"][0] == 4295806720123456789
    assert found["source"].mask.tolist() == [False, True]
    assert found["label"].tolist() == ["None", "NA"]


def test_comments_of_a_fits_file_that_are_no_provenance_are_left_alone(tmp_path):
    path = tmp_path / "rows.fits"
    Table({"ra": [1.0]}, meta={"comments": ['{"survey": "mine"}']}).write(path)
    assert aml.read(path)["ra"].tolist() == [1.0]


def test_a_download_under_the_name_of_another_format_is_refused(tmp_path):
    with aml.archive("http://127.0.0.1:9/tap") as sky, pytest.raises(ArchiveError, match="no csv"):
        sky.download("SELECT 1", tmp_path / "x.csv")


def test_events_of_a_run_follow_the_rule_that_is_asked_for(demo_archive, tmp_path):
    with aml.archive("demo") as sky:
        rows = sky.query("SELECT TOP 2 * FROM demo.stars ORDER BY id")
    run = aml.predict(rows, model="flares", run=tmp_path / "run", progress=False, engine="here")
    found = aml.events(run)
    assert len(found) == np.sum(run.predictions().columns["n_events"])
    many = aml.events(run, threshold=0.0, min_cadences=0)
    assert set(many["id"]) == set(rows["id"])
    assert len(aml.events(run, threshold=0.0, min_cadences=10_000)) == 0
    with pytest.raises(DataError, match="has no min_cadence") as told:
        aml.events(run, min_cadence=3)
    assert "min_cadences" in told.value.remedy
