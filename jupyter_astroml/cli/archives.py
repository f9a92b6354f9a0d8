"""``jupyter astroml archive`` and the commands that ask archives."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import click

from jupyter_astroml.cli.options import ARCHIVE, JSON, OUT
from jupyter_astroml.cli.printing import (
    plain_rows,
    print_json,
    waiting,
    warn_of_simulation,
    write_table,
)


@click.group()
def archive() -> None:
    """Archives: those that can be named, and those that run on this machine."""


@archive.command("list")
@JSON
def archive_list(as_json: bool) -> None:  # noqa: FBT001
    """List the archives that can be named."""
    from jupyter_astroml import session

    _tell_archives(session.archives(), as_json=as_json)


@archive.command("find")
@click.argument("keywords", nargs=-1, required=True)
@click.option("--waveband", default="", help="Such as radio, infrared, optical, x-ray.")
@JSON
def archive_find(keywords: tuple[str, ...], waveband: str, as_json: bool) -> None:  # noqa: FBT001
    """Search the registry of the Virtual Observatory for TAP services by KEYWORDS."""
    from jupyter_astroml import session

    more = {"waveband": waveband} if waveband else {}
    with waiting("asking the registry"):
        found = session.find(keywords=list(keywords), **more)
    _tell_archives(found, as_json=as_json)


def _tell_archives(found: Any, *, as_json: bool) -> None:
    if as_json:
        print_json([dataclasses.asdict(each) for each in found])
        return
    for each in found:
        click.echo(f"{each.name:16} {each.title:44} {each.url or '(starts on this machine)'}")


@archive.command("login")
@click.argument("name")
@JSON
def archive_login(name: str, as_json: bool) -> None:  # noqa: FBT001
    """Tell how NAME knows you, and until when: what jobs of yours find when they ask it."""
    from jupyter_astroml import session

    found = session.archive(name).login
    until = found.credential.until if found else None
    if as_json:
        kind = str(found.credential) if found else ""
        print_json({"archive": name, "known_by": kind, "until": until.isoformat() if until else ""})
    else:
        click.echo(f"{name} knows you by {found}" if found else f"{name} does not know you")


@archive.command("keep")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("table")
@ARCHIVE
def archive_keep(file: Path, table: str, name: str) -> None:
    """Keep FILE as TABLE (schema.table) on an archive that keeps tables of its users."""
    from jupyter_astroml import session

    rows = session.read(file)
    called = session.archive(name).keep(rows, name=table)
    click.echo(f"{len(rows)} rows in {called}")


@archive.command("serve")
@click.argument(
    "folder", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.option("--port", default=0, help="Port on the loopback; 0 takes a free one.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Description of the folder, where it cannot hold an archive.yaml of its own.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with a token; only requests that carry it are answered.",
)
@click.option("--user-tables", is_flag=True, help="Let users make tables, kept in memory.")
def archive_serve(
    folder: Path | None,
    port: int,
    config: Path | None,
    token_file: Path | None,
    user_tables: bool,  # noqa: FBT001
) -> None:
    """Publish FOLDER (or the demo sky) as a VO archive until interrupted."""
    from jupyter_astroml.embedded.serve import main as serve

    given = [str(folder)] if folder else []
    given += ["--port", str(port)]
    given += ["--config", str(config)] if config else []
    given += ["--token-file", str(token_file)] if token_file else []
    given += ["--user-tables"] if user_tables else []
    sys.exit(serve(given))


@click.command()
@click.argument("adql")
@ARCHIVE
@click.option("--async", "as_job", is_flag=True, help="Run as a job on the archive.")
@click.option("--maxrec", type=int, default=None, help="Most rows to return.")
@OUT
@JSON
def query(
    adql: str,
    name: str,
    as_job: bool,  # noqa: FBT001
    maxrec: int | None,
    out: Path | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Ask an archive a question in ADQL."""
    from jupyter_astroml import session

    mode: Literal["sync", "async"] = "async" if as_job else "sync"
    if out and out.suffix == ".parquet":
        # Straight to disk: the rows may be more than memory holds.
        file = session.archive(name).download(adql, out, mode=mode, maxrec=maxrec)
        about = file.meta["astroml"]
        warn_of_simulation(about)
        if as_json:
            print_json({"meta": about, "file": str(out)})
        else:
            click.echo(f"{file}: {out}" + (" (cut)" if about["overflow"] else ""))
        return
    with waiting("asking the archive"):
        rows = session.archive(name).query(adql, mode=mode, maxrec=maxrec)
    _tell_rows(rows, out=out, as_json=as_json)


def _tell_rows(rows: Any, *, out: Path | None, as_json: bool) -> None:
    warn_of_simulation(rows.meta["astroml"])
    if out:
        write_table(rows, out)
    if as_json:
        print_json({"meta": rows.meta["astroml"], "rows": plain_rows(rows)})
    elif not out:
        click.echo("\n".join(rows.pformat(max_lines=40, max_width=160)))
        click.echo(f"{len(rows)} rows" + (" (cut)" if rows.meta["astroml"]["overflow"] else ""))


_PLACE_BAND_TIME = (
    click.option("--position", default=None, help="A target, or degrees such as '150.1 2.2'."),
    click.option("--radius", default=None, help="Of the circle, such as '2 arcmin'."),
    click.option("--band", nargs=2, default=None, help="Two ends, such as '400 nm' '700 nm'."),
    click.option("--time", nargs=2, default=None, help="Begin and end, ISO 8601, UTC."),
    click.option("--maxrec", type=int, default=None, help="Most rows to return."),
)


def _part_of_sky(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of questions that need no ADQL."""
    for option in reversed(_PLACE_BAND_TIME):
        command = option(command)
    return command


@click.command()
@ARCHIVE
@_part_of_sky
@OUT
@JSON
def images(name: str, out: Path | None, as_json: bool, **asked: Any) -> None:  # noqa: FBT001
    """Find images in an archive, without ADQL."""
    from jupyter_astroml import session

    with waiting("asking the archive"):
        rows = session.archive(name).images(**_quantities(asked))
    _tell_rows(rows, out=out, as_json=as_json)


@click.command()
@ARCHIVE
@_part_of_sky
@OUT
@JSON
def spectra(name: str, out: Path | None, as_json: bool, **asked: Any) -> None:  # noqa: FBT001
    """Find spectra in an archive, without ADQL."""
    from jupyter_astroml import session

    with waiting("asking the archive"):
        rows = session.archive(name).spectra(**_quantities(asked))
    _tell_rows(rows, out=out, as_json=as_json)


def _quantities(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was asked with a band and a time that have units and a scale."""
    band, time = asked["band"], asked["time"]
    return {**asked, "band": band and _of_light(band), "time": time and _times(time)}


def _of_light(ends: tuple[str, str]) -> Any:
    from astropy import units as u

    try:
        return u.Quantity([u.Quantity(end) for end in ends])
    except (TypeError, ValueError) as err:
        raise click.BadParameter(f"{' '.join(ends)}: give two such as '400 nm' '700 nm'") from err


def _times(ends: tuple[str, str]) -> Any:
    from astropy.time import Time

    try:
        return Time(list(ends), scale="utc")
    except ValueError as err:
        raise click.BadParameter(f"{' '.join(ends)}: give two such as 2020-01-31") from err
