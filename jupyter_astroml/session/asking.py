"""Ask archives, and hand tables on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_astroml.archives.archive import Archive
from jupyter_astroml.archives.archive import archive as _archive
from jupyter_astroml.archives.known import DEMO, Archives, Known, lookup
from jupyter_astroml.archives.known import archives as _archives
from jupyter_astroml.core.settings import settings

if TYPE_CHECKING:
    from astropy.table import Table


def archives() -> Archives:
    """Return the archives that can be named: bundled ones, a site's and those of other packages.

    Returns
    -------
    Archives
        Shows itself as a table; each has ``name``, ``title``, ``url``, ``auth`` and more.
    """
    return _archives()


def find(**wanted: Any) -> Archives:
    """Search the registry of the Virtual Observatory for archives.

    Parameters
    ----------
    **wanted
        ``keywords``, ``waveband``, ``service``: see `jupyter_astroml.archives.registry.find`.

    Returns
    -------
    Archives
        `archive` takes each of them.
    """
    from jupyter_astroml.archives.registry import find as search

    return search(**wanted)


def login(name: str, *, credential: Any = None) -> Archive:
    """Return an archive that knows who asks; asks at the keyboard when no credential is found.

    What is returned says how one is logged in and until when.
    The credential goes to the archive's own hosts only; one that was asked for is known to the rest
    of this process too, and to no other: `logout` forgets it.

    Parameters
    ----------
    name : str
        Name of the archive.
    credential : Credential, optional
        Of `jupyter_astroml.archives.credentials`; by default from the environment,
        ``~/.config/jupyter_astroml/credentials.yaml``, or what other programs left.

    Raises
    ------
    ArchiveError
        If the name is unknown.
    SettingsError
        For a credential that cannot be used, or a file that others may read.
    """
    return _archive(name, credential=credential, ask=True)


def logout(name: str) -> None:
    """Forget in this process the login that was asked for; files and variables stay.

    Parameters
    ----------
    name : str
        Name of the archive.
    """
    from jupyter_astroml.archives.login import logout as forget

    forget(lookup(name))


def cite(*used: Any) -> Any:
    """Say what to cite and whom to thank for results.

    Parameters
    ----------
    *used : Table, Run or str
        Tables of archives, runs, or names of archives and models.

    Returns
    -------
    Citations
        BibTeX and acknowledgements, of every archive and model behind the results.
    """
    from jupyter_astroml.archives.cite import cite as say
    from jupyter_astroml.models import catalogue

    return say(*used, cards={entry.name: entry.card for entry in catalogue.models()})


def locate(rows: Any, *, service: str, **options: Any) -> Table:
    """Say where the data of rows are, for services that answer without addresses.

    Parameters
    ----------
    rows : Table or SkyCoord
        What astroquery, a catalogue or a list of yours has.
    service : {"hips2fits", "sdss", "mast", "cadc"}
        See `jupyter_astroml.archives.locate.locate`.
    **options
        Of the service, such as ``survey``, ``width`` and ``size`` of ``"hips2fits"``.

    Returns
    -------
    Table
        For `samples`.

    Raises
    ------
    DataError
        If the rows lack what the service needs.
    """
    from jupyter_astroml.archives.locate import locate as find_files

    return find_files(rows, service=service, **options)


def to_votable(table: Table, path: Path | str) -> Path:
    """Write a table as a VOTable: units, UCDs, utypes, nulls, and where it came from.

    Parameters
    ----------
    table : Table
        Rows of a query, predictions as a table, or any other.
    path : Path or str
        File.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        If a column has values that no VOTable can hold.
    """
    from jupyter_astroml.archives.export import to_votable as write

    return write(table, path)


def send(table: Table, *, to: str = "", name: str = "") -> tuple[str, ...]:
    """Show a table in TOPCAT, Aladin or another program on this machine (SAMP).

    Parameters
    ----------
    table : Table
        Rows of a query, predictions as a table, or any other.
    to : str
        Part of the name of a program; empty takes all that show tables.
    name : str
        Title of the table there.

    Returns
    -------
    tuple of str
        Names of the programs that took it.

    Raises
    ------
    ArchiveError
        If no program listens, or none took it.
    """
    from jupyter_astroml.archives.samp import send as give

    return give(table, to=to, name=name)


def receive(*, timeout: float = 300.0) -> Table:
    """Wait for the next table that another program on this machine sends (SAMP).

    In TOPCAT: *Interop*, *Send table to*, ``jupyter_astroml``.

    Parameters
    ----------
    timeout : float
        Seconds to wait.

    Raises
    ------
    ArchiveError
        If no program is there, or nothing comes in time.
    """
    from jupyter_astroml.archives.samp import receive as take

    return take(timeout=timeout)


def archive(name: str | Known = "") -> Archive:
    """Return an archive by name or by the URL of its TAP service.

    Parameters
    ----------
    name : str or Known
        Empty takes the archive of the settings, which is the demo sky unless a site or a user chose
        another; what `find` found is fine too.
        The demo sky is simulated; its archive runs on this machine and starts on first use.

    Raises
    ------
    ArchiveError
        If the name is unknown.
    """
    name = name or settings().archive
    if not isinstance(name, str) or lookup(name).name != DEMO:
        return _archive(name)
    from jupyter_astroml.embedded.serve import demo

    return _archive(DEMO, url=demo(progress=_say).tap)


def read(path: Path | str, *, columns: Sequence[str] | None = None) -> Table:
    """Read a table of yours, or one that ``archive.download`` or ``job.download`` wrote.

    Parameters
    ----------
    path : Path or str
        Parquet; or VOTable (``.vot``, ``.xml``), FITS, ECSV or CSV, by the end of its name.
    columns : sequence of str, optional
        Only these columns.

    Returns
    -------
    Table
        With units, UCDs, descriptions and, in ``meta["astroml"]``, where it came from: as much of
        that as the format holds.

    Raises
    ------
    ArchiveError, DataError
        If it is missing, not finished or damaged, or has no such column.
    """
    from jupyter_astroml.archives import files

    return files.read(Path(path), columns=columns)


def _say(text: str) -> None:
    """Tell what takes a while; standard output belongs to answers."""
    import sys

    sys.stderr.write(f"{text}\n")
