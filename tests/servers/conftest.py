"""The same data on two servers: our embedded archive, and GAVO DaCHS where it was installed."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import twin_data
from astropy.io import ascii as plain
from astropy.table import Table

from jupyter_astroml.archives.archive import Archive, archive
from jupyter_astroml.archives.known import Known
from jupyter_astroml.embedded import serve

VARIABLE = "ASTROML_DACHS"


@dataclass(frozen=True)
class Twin:
    """A server that publishes the twin data.

    Attributes
    ----------
    name : str
    archive : Archive
        Our client of it.
    scs : str
        Address of its cone search.
    """

    name: str
    archive: Archive
    scs: str


@pytest.fixture(scope="session")
def twin_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("twin") / "twin"
    twin_data.make(folder)
    return folder


@pytest.fixture(scope="session")
def sources(twin_folder) -> Table:
    """The catalogue as it was written."""
    return plain.read(twin_folder / "sources.csv", format="csv", converters={"id": int})


@pytest.fixture(scope="session")
def embedded(own_places, twin_folder):
    """Our archive of the twin data, running as a child process."""
    with serve.start(twin_folder) as running:
        yield running


@pytest.fixture(scope="session", params=["embedded", "dachs"])
def twin(request, own_places):
    if request.param == "embedded":
        ours = request.getfixturevalue("embedded")
        with archive(ours.tap) as client:
            yield Twin("embedded", client, f"{ours.url}/scs/twin.sources")
        return
    tap = os.environ.get(VARIABLE, "").rstrip("/")
    if not tap:
        pytest.skip(f"install DaCHS: tests/servers/dachs.sh as root on Debian, then set {VARIABLE}")
    base = tap.removesuffix("/tap")
    known = Known(
        "dachs",
        "GAVO DaCHS",
        tap,
        sia2=f"{base}/__system__/siap2/sitewide",
        ssa=f"{base}/twin/q/ssa/ssap.xml",
    )
    with archive(known) as theirs:
        yield Twin("dachs", theirs, f"{base}/twin/q/cone/scs.xml")
