"""What to cite for tables, runs and names."""

import re

import numpy as np
import pytest
from astropy.table import Table

from jupyter_astroml.archives.archive import archive
from jupyter_astroml.archives.cite import REFERENCES, Citations, cite
from jupyter_astroml.archives.known import KNOWN
from jupyter_astroml.compute.run import Run
from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.jobs import Job
from jupyter_astroml.core.records import References
from jupyter_astroml.models.cards import Citation
from jupyter_astroml.models.catalogue import models


@pytest.fixture(scope="module")
def cards():
    return {entry.name: entry.card for entry in models()}


def table(**about):
    made = Table({"ra": [1.0]})
    made.meta["astroml"] = about
    return made


def test_every_citation_key_has_a_reference_and_every_reference_is_used():
    assert {key for entry in KNOWN for key in entry.cite} == set(REFERENCES)


def test_every_reference_has_a_doi_and_balanced_braces():
    for text in REFERENCES.values():
        assert re.search(r"doi = \{10\.\d{4,}/\S+\}", text)
        assert text.count("{") == text.count("}")


def test_a_table_of_gaia_asks_for_its_two_papers_and_names_its_page():
    found = cite(table(archive="gaia", url="https://gea.esac.esa.int/tap-server/tap"))
    assert re.findall(r"@article\{(\w+),", found.bibtex) == ["gaia2016", "gaia2023"]
    assert found.acknowledgements == (
        "Data were obtained from Gaia archive, ESA. "
        "How it asks to be acknowledged: https://www.cosmos.esa.int/web/gaia-users/credits",
    )


def test_a_front_page_is_not_called_a_page_of_acknowledgements():
    (text,) = cite("heasarc").acknowledgements
    assert text.endswith(
        "Look there for how it asks to be acknowledged: https://heasarc.gsfc.nasa.gov/"
    )


def test_the_front_pages_are_those_of_bundled_archives():
    from jupyter_astroml.archives.cite import _FRONT_PAGES

    assert {entry.name for entry in KNOWN} >= _FRONT_PAGES


def test_a_table_of_the_demo_sky_says_that_nothing_is_real(demo_archive):
    with archive("demo", url=demo_archive.tap) as sky:
        found = cite(sky.query("SELECT table_name FROM tap_schema.tables"))
    assert "simulated" in str(found)
    assert found.bibtex == ""


def test_an_archive_that_was_given_by_its_url_is_found_in_the_list():
    found = cite(table(archive="gea.esac.esa.int", url="https://gea.esac.esa.int/tap-server/tap/"))
    assert "gaia2016" in found.bibtex


def test_an_archive_of_no_list_is_named_with_its_address():
    found = cite("https://vo.example.org/tap")
    assert found.acknowledgements[0].startswith("Data were obtained from vo.example.org.")


def test_a_run_cites_the_archive_of_its_rows_and_the_papers_of_its_model(cards, tmp_path):
    rows = References(
        ids=["a"],
        urls=["https://x.org/a"],
        formats=[""],
        kind="cutouts",
        ra=np.array([1.0]),
        dec=np.array([2.0]),
        meta={"archive": "simbad", "adql": "SELECT 1"},
    )
    job = Job(task="predict", model="galaxy_morphology", digest="sha256:" + "0" * 64)
    query = {"query": dict(rows.meta)}
    run = Run.create(tmp_path / "run", job=job, data=rows, block_size=1, meta=query)
    found = cite(run, cards=cards)
    assert "simbad2000" in found.bibtex
    assert "10.1093/mnras/stv632" in found.bibtex
    assert len(found.acknowledgements) == 2


def test_names_of_archives_and_models_are_taken_and_each_is_said_once(cards):
    found = cite("vizier", "flares", "vizier", cards=cards)
    assert found.bibtex.count("vizier2000") == 1
    assert "10.3847/1538-3881/abac0a" in found.bibtex
    assert len(found.acknowledgements) == 2


def test_the_papers_of_bundled_models_are_well_formed_bibtex(cards):
    for name in cards:
        text = cite(name, cards=cards).bibtex
        assert text.count("{") == text.count("}")
        assert len(re.findall(r"^@", text, flags=re.M)) == len(cards[name].citations)


def test_a_title_cannot_end_a_field_or_start_a_command(cards):
    hostile = cards["flares"].model_copy(
        update={"citations": (Citation(text="A}, x = {\\input{/etc/passwd} & 100%"),)}
    )
    text = cite("flares", cards={"flares": hostile}).bibtex
    assert "\\input" not in text
    assert text.count("{") == text.count("}") == 2
    assert r"\& 100\%" in text


def test_markup_of_an_archive_stays_text_in_a_notebook():
    shown = Citations("<script>", ("<img>",))._repr_html_()
    assert "<script>" not in shown
    assert "<img>" not in shown


@pytest.mark.parametrize("result", [Table({"ra": [1.0]}), 3, "nosuch", table(archive="nosuch")])
def test_a_result_without_a_known_source_is_refused_with_a_remedy(result):
    with pytest.raises(DataError, match="To do: name"):
        cite(result)
