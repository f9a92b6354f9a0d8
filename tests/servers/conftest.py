"""The same data on two servers: our embedded archive, and GAVO DaCHS where it was installed."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
import twin_data
from astropy.io import ascii as plain
from astropy.table import Table

from jupyter_astroml.archives.archive import Archive, archive
from jupyter_astroml.archives.credentials import Basic, Bearer, Credential
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


@dataclass(frozen=True)
class Locked:
    """A server that gives the twin data to one user alone.

    Attributes
    ----------
    tap : str
        Address of its queries.
    credential : Credential
        What opens it.
    links : Callable
        Returns rows whose data are behind the lock, given those that the server answers with.
    """

    tap: str
    credential: Credential
    links: Callable[[Table], Table]


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


def dachs() -> str:
    """Address of the queries of DaCHS."""
    tap = os.environ.get(VARIABLE, "").rstrip("/")
    if not tap:
        pytest.skip(f"install DaCHS: tests/servers/dachs.sh as root on Debian, then set {VARIABLE}")
    return tap


@pytest.fixture(scope="session", params=["embedded", "dachs"])
def twin(request, own_places):
    if request.param == "embedded":
        ours = request.getfixturevalue("embedded")
        with archive(ours.tap) as client:
            yield Twin("embedded", client, f"{ours.url}/scs/twin.sources")
        return
    tap = dachs()
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


@pytest.fixture(scope="session", params=["embedded", "dachs"])
def locked(request, own_places, twin_folder):
    """Ours asks for a token for everything, DaCHS for name and password for one of its services."""
    if request.param == "embedded":
        with serve.start(twin_folder, token="an.open-sesame_token") as running:
            yield Locked(running.tap, Bearer("an.open-sesame_token"), lambda rows: rows)
        return
    tap = dachs()
    # As dachs.sh made it, for the service that is locked in twin.rd.
    address = f"{tap.removesuffix('/tap')}/twin/q/locked/dlmeta"

    def links(rows: Table) -> Table:
        rows["access_url"] = [
            f"{address}?{urlencode({'ID': d})}" for d in rows["obs_publisher_did"]
        ]
        rows["access_format"] = "application/x-votable+xml;content=datalink"
        return rows

    yield Locked(tap, Basic("astronomer", "open-sesame"), links)
