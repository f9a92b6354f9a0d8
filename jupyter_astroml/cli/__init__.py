"""The shell's face: ``jupyter astroml …``.

Every command calls `jupyter_astroml.session`; with ``--json`` it prints one JSON value and nothing
else on standard output, errors included.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import click

from jupyter_astroml.cli.importing import import_
from jupyter_astroml.cli.pool import pool
from jupyter_astroml.core.errors import AstroMLError

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")
_ENGINE = click.option(
    "--engine",
    type=click.Choice(["auto", "here", "dask", "pool"]),
    default=None,
    help="Where the model runs.",
)
_ARCHIVE = click.option(
    "--archive", "name", default="", help="Name of an archive, or the URL of a TAP service."
)


_WORKERS = click.option("--workers", default=0, help="Of a Dask cluster; 0: as configured.")
_CLUSTER = click.option(
    "--cluster",
    default=None,
    help="Address of a Dask scheduler, or a kind that is started: gateway, slurm, …",
)
_QUERY = click.option("--query", "adql", required=True, help="ADQL whose rows are taken.")
_FORMATS = {".vot": "votable", ".fits": "fits", ".parquet": "parquet", ".csv": "ascii.csv"}


def _writable(_ctx: Any, _param: Any, path: Path | None) -> Path | None:
    """Refuse a file that cannot be written before hours of work went into its content."""
    if path is None:
        return None
    if path.suffix not in _FORMATS:
        raise click.BadParameter(f"{path.suffix or 'no suffix'}: use one of {', '.join(_FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {path.parent}")
    return path


_OUT = click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_writable,
    help=f"Write {', '.join(_FORMATS)}.",
)


class _Family(click.Group):
    """Commands whose errors have the one shape of the project."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as err:
            if "--json" not in sys.argv:
                raise
            where = err.ctx.command_path if err.ctx else "jupyter astroml"
            told = {"code": "usage", "what": err.format_message(), "cause": ""}
            _print({"error": {**told, "remedy": f"read: {where} --help"}})
            ctx.exit(2)
        except AstroMLError as err:
            if "--json" in sys.argv:
                _print({"error": err.to_json()})
            else:
                click.secho(f"Error: {err.what}", fg="red", err=True)
                if err.cause:
                    click.echo(f"  why:   {err.cause}", err=True)
                if err.remedy:
                    click.echo(f"  to do: {err.remedy}", err=True)
            ctx.exit(1)


@click.group(cls=_Family, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="jupyter_astroml")
def main() -> None:
    """Query archives, run models, and inspect every prediction."""


main.add_command(pool)


@main.command()
@_JSON
def doctor(as_json: bool) -> None:  # noqa: FBT001 - click passes a flag
    """Check the installation, and say what to mend."""
    from jupyter_astroml.doctor import examine

    found = examine()
    if as_json:
        _print([dataclasses.asdict(f) for f in found])
    else:
        for f in found:
            mark = click.style("ok  ", fg="green") if f.good else click.style("MEND", fg="red")
            click.echo(f"{mark} {f.what}: {f.found}")
            if not f.good:
                click.echo(f"     to do: {f.remedy}")
    if not all(f.good for f in found):
        sys.exit(1)


@main.command()
@click.option("--headless", is_flag=True, help="Do the main job without a browser.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo"),
    show_default=True,
    help="Where runs, the notebook and the report go.",
)
@click.option("--objects", default=60, show_default=True, help="Objects of each kind (headless).")
def demo(headless: bool, folder: Path, objects: int) -> None:  # noqa: FBT001
    """Do the main job on the simulated demo sky: in JupyterLab, or headless with a report."""
    from jupyter_astroml import demo as main_job

    if headless:
        main_job.headless(folder, objects=objects, say=click.echo)
    else:
        main_job.in_browser(folder, say=click.echo)


@main.group()
def archive() -> None:
    """Archives: those that can be named, and those that run on this machine."""


@archive.command("list")
@_JSON
def archive_list(as_json: bool) -> None:  # noqa: FBT001
    """List the archives that can be named."""
    from jupyter_astroml import session

    _tell_archives(session.archives(), as_json=as_json)


@archive.command("find")
@click.argument("keywords", nargs=-1, required=True)
@click.option("--waveband", default="", help="Such as radio, infrared, optical, x-ray.")
@_JSON
def archive_find(keywords: tuple[str, ...], waveband: str, as_json: bool) -> None:  # noqa: FBT001
    """Search the registry of the Virtual Observatory for TAP services by KEYWORDS."""
    from jupyter_astroml import session

    more = {"waveband": waveband} if waveband else {}
    _tell_archives(session.find(keywords=list(keywords), **more), as_json=as_json)


def _tell_archives(found: Any, *, as_json: bool) -> None:
    if as_json:
        _print([dataclasses.asdict(each) for each in found])
        return
    for each in found:
        click.echo(f"{each.name:16} {each.title:44} {each.url or '(starts on this machine)'}")


@archive.command("login")
@click.argument("name")
@_JSON
def archive_login(name: str, as_json: bool) -> None:  # noqa: FBT001
    """Tell how NAME knows you, and until when: what jobs of yours find when they ask it."""
    from jupyter_astroml import session

    found = session.archive(name).login
    until = found.credential.until if found else None
    if as_json:
        kind = str(found.credential) if found else ""
        _print({"archive": name, "known_by": kind, "until": until.isoformat() if until else ""})
    else:
        click.echo(f"{name} knows you by {found}" if found else f"{name} does not know you")


@archive.command("keep")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("table")
@_ARCHIVE
def archive_keep(file: Path, table: str, name: str) -> None:
    """Keep FILE as TABLE (schema.table) on an archive that keeps tables of its users."""
    from astropy.table import Table

    from jupyter_astroml import session

    if file.suffix not in _FORMATS:
        raise click.BadParameter(f"{file.suffix or 'no suffix'}: use one of {', '.join(_FORMATS)}")
    rows = Table.read(file, format=_FORMATS[file.suffix])
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


@main.command()
@click.argument("adql")
@_ARCHIVE
@click.option("--async", "as_job", is_flag=True, help="Run as a job on the archive.")
@click.option("--maxrec", type=int, default=None, help="Most rows to return.")
@_OUT
@_JSON
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
        _warn_of_simulation(about)
        if as_json:
            _print({"meta": about, "file": str(out)})
        else:
            click.echo(f"{file}: {out}" + (" (cut)" if about["overflow"] else ""))
        return
    rows = session.archive(name).query(adql, mode=mode, maxrec=maxrec)
    _tell_rows(rows, out=out, as_json=as_json)


def _tell_rows(rows: Any, *, out: Path | None, as_json: bool) -> None:
    _warn_of_simulation(rows.meta["astroml"])
    if out:
        _write(rows, out)
    if as_json:
        _print({"meta": rows.meta["astroml"], "rows": _plain_rows(rows)})
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


@main.command()
@_ARCHIVE
@_part_of_sky
@_OUT
@_JSON
def images(name: str, out: Path | None, as_json: bool, **asked: Any) -> None:  # noqa: FBT001
    """Find images in an archive, without ADQL."""
    from jupyter_astroml import session

    rows = session.archive(name).images(**_quantities(asked))
    _tell_rows(rows, out=out, as_json=as_json)


@main.command()
@_ARCHIVE
@_part_of_sky
@_OUT
@_JSON
def spectra(name: str, out: Path | None, as_json: bool, **asked: Any) -> None:  # noqa: FBT001
    """Find spectra in an archive, without ADQL."""
    from jupyter_astroml import session

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


@main.group("models")
def models_() -> None:
    """Models that can be run."""


@models_.command("list")
@click.option("--task", default="", help="Such as classify or detect.")
@click.option("--kind", default="", help="Such as cutouts or light_curves.")
@_JSON
def models_list(task: str, kind: str, as_json: bool) -> None:  # noqa: FBT001
    """List the models."""
    from jupyter_astroml import session

    found = session.models(task=task, kind=kind)
    if as_json:
        _print(
            [
                {
                    "name": e.name,
                    "digest": e.card.facts.digest if e.card.facts else "",
                    "version": e.card.version,
                    "title": e.card.title,
                    "task": e.card.task,
                    "kind": e.card.kind,
                    "key_metric": e.card.key_metric,
                    "source": e.source,
                }
                for e in found
            ]
        )
        return
    for e in found:
        click.echo(f"{e.name:24} {e.card.task:9} {e.card.kind:13} {e.card.key_metric}")


def _complete_model(_ctx: Any, _param: Any, incomplete: str) -> list[str]:
    from jupyter_astroml import session

    return [e.name for e in session.models() if e.name.startswith(incomplete)]


_MODEL = click.argument("model", shell_complete=_complete_model)


@models_.command("show")
@_MODEL
@_JSON
def models_show(model: str, as_json: bool) -> None:  # noqa: FBT001
    """Show the card of MODEL."""
    from jupyter_astroml import session

    card = session.model(model).card
    if as_json:
        _print(card.to_json())
        return
    click.echo(f"{card.title} ({card.id} {card.version})\n\n{card.description}\n")
    click.echo(f"needs:    {card.kind}, {', '.join(card.input.bands)}, {card.input.flux_unit}")
    click.echo(f"answers:  {', '.join(card.outputs.names)}")
    click.echo(f"measured: {card.key_metric}")
    if card.summary:
        click.echo(f"          {card.summary}")
    click.echo(f"baseline: {card.baseline}")
    for limit in card.limits:
        click.echo(f"limit:    {limit}")
    for citation in card.citations:
        click.echo(f"cite:     {citation.text}")


models_.add_command(import_)


@models_.command("schema")
def models_schema() -> None:
    """Print the JSON Schema of a card."""
    from jupyter_astroml import session

    click.echo(json.dumps(session.card_schema(), indent=2))


@models_.command("page")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def models_page(folder: Path) -> None:
    """Write zoo.md about the bundled models into FOLDER, with pictures."""
    from jupyter_astroml import session

    click.echo(session.model_page(folder))


@models_.command("test")
@click.argument("model", required=False, shell_complete=_complete_model)
@click.option("--all", "everything", is_flag=True, help="Test every model.")
@_JSON
def models_test(model: str | None, everything: bool, as_json: bool) -> None:  # noqa: FBT001
    """Replay the stored inputs of MODEL and compare with the stored outputs."""
    from jupyter_astroml import session

    names = [e.name for e in session.models()] if everything or not model else [model]
    found = [_replayed(name, alone=len(names) == 1) for name in names]
    if as_json:
        _print(found)
    else:
        for f in found:
            click.echo(f"{f['model']:24} {f.get('why') or _compared(f)}")
    if not all(f["passed"] for f in found):
        sys.exit(1)


def _replayed(name: str, *, alone: bool) -> dict[str, Any]:
    """Replay a model; one of many that cannot be replayed does not hide the others."""
    from jupyter_astroml import session

    try:
        return dataclasses.asdict(session.replay_model(name))
    except AstroMLError as err:
        if alone:
            raise
        return {"model": name, "passed": False, "why": str(err)}


def _compared(found: Mapping[str, Any]) -> str:
    word = "same" if found["passed"] else "DIFFERENT"
    return f"{found['n']} inputs, largest difference {found['largest']:.2g}: {word}"


@main.command()
@_MODEL
@_QUERY
@_ARCHIVE
@_ENGINE
@_WORKERS
@_CLUSTER
@click.option("--block", default=0, help="Objects in a block; 0 fits it to the time they take.")
@click.option("--size", type=float, help="Full width of cutouts, arcsec; default: the model's.")
@click.option("--run", type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--detach", is_flag=True, help="Leave the work to a process of its own.")
@_OUT
@_JSON
def predict(
    model: str,
    adql: str,
    name: str,
    engine: str | None,
    workers: int,
    cluster: str | None,
    block: int,
    size: float | None,
    run: Path | None,
    detach: bool,  # noqa: FBT001
    out: Path | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Run MODEL over the rows of a query."""
    from astropy import units as u

    from jupyter_astroml import session

    if detach and out:
        raise click.UsageError("--out needs the answers: leave out --detach, or use 'watch' then")
    rows = session.archive(name).query(adql)
    _stop_gently()
    try:
        made = session.predict(
            rows,
            model=model,
            engine=engine or "",
            workers=workers,
            cluster=cluster,
            block=block,
            size=None if size is None else size * u.arcsec,
            run=run,
            progress=not as_json,
            detach=detach,
        )
    except KeyboardInterrupt:
        if run is not None and not run.exists():
            click.echo("Stopped before the run was made: nothing was done yet.", err=True)
        else:
            click.echo(
                "Stopped; what was done is kept. Go on with: jupyter astroml resume "
                f"{run or 'RUN (jupyter astroml runs lists them, if it was made)'}",
                err=True,
            )
        raise
    if detach:
        _tell_state(made, as_json=as_json)
    else:
        _tell(made, out=out, as_json=as_json)


def _stop_gently() -> None:
    """Take a batch system's wish to stop as an interruption: what was done is kept."""
    import signal

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def _tell_state(run: Any, *, as_json: bool) -> None:
    found = run.summary
    if as_json:
        _print(found)
        return
    click.echo(f"{found['folder']}: {found['state']}, {found['done']} of {found['total']} objects")


@main.command()
@_MODEL
@_QUERY
@_ARCHIVE
@_WORKERS
@_JSON
def estimate(model: str, adql: str, name: str, workers: int, as_json: bool) -> None:  # noqa: FBT001
    """Tell what running MODEL over the rows of a query will take."""
    from jupyter_astroml import session

    found = session.estimate(session.archive(name).query(adql), model=model, workers=workers)
    if as_json:
        _print(found.to_json())
    else:
        click.echo(found)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@_OUT
@_JSON
def watch(run: Path, out: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Wait for RUN, which another process drives."""
    from jupyter_astroml import session

    _tell(session.watch(run, progress=not as_json), out=out, as_json=as_json)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@_ENGINE
@_WORKERS
@_CLUSTER
@_JSON
def replay(
    run: Path,
    engine: str | None,
    workers: int,
    cluster: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Do RUN again and tell what is different; the exit status is 1 if anything is."""
    from jupyter_astroml import session

    found = session.replay(
        run, engine=engine or "", workers=workers, cluster=cluster, progress=not as_json
    )
    if as_json:
        _print(found.to_json())
    else:
        click.echo(found)
    if not found.passed:
        sys.exit(1)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@_JSON
def stop(run: Path, as_json: bool) -> None:  # noqa: FBT001
    """Stop RUN, which another process drives; 'resume' completes it."""
    from jupyter_astroml import session

    _tell_state(session.stop(run), as_json=as_json)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@_JSON
def pause(run: Path, as_json: bool) -> None:  # noqa: FBT001
    """Pause RUN, wherever it is driven; 'resume' goes on."""
    from jupyter_astroml import session

    _tell_state(session.pause(run), as_json=as_json)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@_ENGINE
@_WORKERS
@_CLUSTER
@click.option("--failed", is_flag=True, help="Try objects that failed again, too.")
@click.option("--detach", is_flag=True, help="Leave the work to a process of its own.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@_OUT
@_JSON
def resume(
    run: Path,
    engine: str | None,
    workers: int,
    cluster: str | None,
    failed: bool,  # noqa: FBT001
    detach: bool,  # noqa: FBT001
    quiet: bool,  # noqa: FBT001
    out: Path | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Do what is missing in RUN."""
    from jupyter_astroml import session

    if detach and out:
        raise click.UsageError("--out needs the answers: leave out --detach, or use 'watch' then")
    _stop_gently()
    made = session.resume(
        run,
        engine=engine or "",
        workers=workers,
        cluster=cluster,
        progress=not (as_json or quiet),
        failed=failed,
        detach=detach,
    )
    if detach:
        _tell_state(made, as_json=as_json)
    elif not quiet or out or as_json:
        _tell(made, out=out, as_json=as_json)


@main.command()
@_MODEL
@_QUERY
@_ARCHIVE
@_JSON
def check(model: str, adql: str, name: str, as_json: bool) -> None:  # noqa: FBT001
    """Tell for each row of a query whether it fits the input contract of MODEL."""
    from jupyter_astroml import session

    found = session.check(session.archive(name).query(adql), model=model)
    if as_json:
        _print(_plain_rows(found))
        return
    for row in found:
        click.echo(f"{row['id']}: {row['fit']}")


@main.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    default="report.html",
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File for a browser; it needs no network.",
)
@click.option("--objects", default=12, show_default=True, help="Objects shown with their maps.")
@click.option("--title", default="", help="Heading.")
@_JSON
def report(
    runs: tuple[Path, ...],
    out: Path,
    objects: int,
    title: str,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Write what RUNS answered, with pictures and saliency maps, as one page."""
    from jupyter_astroml import session

    made = session.report([session.open_run(r) for r in runs], out, objects=objects, title=title)
    if as_json:
        _print({"report": str(made)})
    else:
        click.echo(f"report: {made}")


@main.command()
@click.option("--write", is_flag=True, help="Write a file of Dask's configuration to fill in.")
@_JSON
def engines(write: bool, as_json: bool) -> None:  # noqa: FBT001
    """List where models can run, the preferred place first."""
    from jupyter_astroml import session

    if write:
        from jupyter_astroml.compute.clusters import write_defaults

        click.echo(f"configuration: {write_defaults()}", err=as_json)
    found = session.engines()
    if as_json:
        _print(found.to_json())
    else:
        click.echo(found)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@_OUT
@_JSON
def manifest(run: Path, out: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Tell how the objects of RUN were fetched: ok, or the reason."""
    from jupyter_astroml import session

    found = session.manifest(session.open_run(run))
    if out:
        _write(found, out)
    if as_json:
        _print(_plain_rows(found))
    elif not out:
        click.echo("\n".join(found.pformat(max_lines=-1, max_width=-1)))


@main.command()
@click.option("--folder", type=click.Path(path_type=Path), help="Where to look for runs.")
@_JSON
def runs(folder: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """List the runs."""
    from jupyter_astroml import session

    found = [r.summary for r in session.runs(folder)]
    if as_json:
        _print(found)
        return
    for r in found:
        click.echo(
            f"{r['name']:44} {r['model']:24} {r['done']}/{r['total']}, "
            f"{r['failed']} failed, {r['state']}"
        )


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("ids", nargs=-1, required=True)
@click.option("--method", default="smoothgrad", show_default=True, help="Attribution method.")
@click.option("--target", default=None, help="Class, or time in days; default: the prediction.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the maps as .npz.")
@click.option("--trust", "judge", is_flag=True, help="Test how far the maps can be trusted.")
@_JSON
def explain(
    run: Path,
    ids: tuple[str, ...],
    method: str,
    target: str | None,
    out: Path | None,
    judge: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Show what moved the answers for IDS in RUN."""
    import numpy as np

    from jupyter_astroml import session

    found = session.explain(session.open_run(run), ids=ids, method=method, target=target)
    if out:
        np.savez_compressed(
            out,
            ids=found.ids,
            maps=found.maps,
            values=found.samples.values,
            target_names=found.target_names,
        )
    words = session.describe(found)
    told = [
        {"id": i, "target": t, "method": method, "summary": w}
        for i, t, w in zip(found.ids.tolist(), found.target_names.tolist(), words, strict=True)
    ]
    if judge:
        for each, row in zip(told, _plain_rows(session.trust(found)), strict=True):
            each["trust"] = {k: v for k, v in row.items() if k != "id"}
    if as_json:
        _print(told)
        return
    for each in told:
        click.echo(f"{each['id']}: {each['summary']}")
        for test, value in each.get("trust", {}).items():
            number = f"{value:.3f}" if isinstance(value, float) else value
            click.echo(f"  {test}: {'–' if value is None else number}")


@main.command()
@_MODEL
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of labelled data, in the layout that the model's README names; without it, a "
    "model that can be judged on simulations only draws new ones.",
)
@click.option("--seed", default=0, show_default=True, help="Of the bootstrap, and of simulations.")
@_JSON
def evaluate(model: str, data: Path | None, seed: int, as_json: bool) -> None:  # noqa: FBT001
    """Measure MODEL on labelled data that it was not trained on, its baseline beside it."""
    from jupyter_astroml import session

    with _Bar(quiet=as_json) as show:
        found = session.evaluate(model, data=data, seed=seed, progress=show)
    values = found.to_json()
    if as_json:
        _print(values)
        return
    click.echo(f"{found.model} on {found.data}: {found.n} objects ({found.split})")
    if found.excluded:
        click.echo(f"left out: {found.excluded}, {found.excluded_why}")
    click.echo(
        f"{found.metric}: {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]; "
        f"baseline ({found.baseline}): {found.baseline_value:.3f}"
    )
    for name, m in values["metrics"].items():
        span = f" [{m['low']:.3f}, {m['high']:.3f}]" if m.get("low") is not None else ""
        base = f"; baseline {m['baseline']:.3f}" if m.get("baseline") is not None else ""
        value = "–" if m.get("value") is None else f"{m['value']:.3f}"
        click.echo(f"  {name}: {value}{span}{base}")
    if found.notes:
        click.echo(found.notes)


class _Bar:
    """A progress bar on standard error that takes (done, total)."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None

    def __enter__(self) -> Callable[[int, int], None]:
        return self._show

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def _show(self, done: int, total: int) -> None:
        from tqdm import tqdm

        if self._bar is None:
            # Not before there is something to show: a wrong folder gets its error alone.
            self._bar = tqdm(disable=self._quiet, unit="object", total=total)
        self._bar.n = done
        self._bar.refresh()


def _tell(run: Any, *, out: Path | None, as_json: bool) -> None:
    """Print the answers of a run, or write them to a file."""
    found = run.predictions(arrays=False)
    table = found.to_table()
    asked = dict(run.meta.get("query", {}))
    table.meta["query"] = asked
    _warn_of_simulation(asked)
    if out:
        _write(table, out)
    if as_json:
        rows = _plain_rows(table)
        _print({**run.summary, "failures": found.failures(), "rows": rows})
        return
    click.echo("\n".join(table.pformat(max_lines=30, max_width=160)))
    click.echo(f"run: {run.folder}")
    for name, why in list(found.failures().items())[:10]:
        click.echo(f"failed: {name}: {why}", err=True)


def _warn_of_simulation(about: Mapping[str, Any]) -> None:
    if about.get("simulated"):
        click.echo("The demo sky is simulated: nothing of it was ever observed.", err=True)


def _write(table: Any, path: Path) -> None:
    """Write a table in the format that the name says."""
    if path.suffix == ".vot":
        from jupyter_astroml import session

        session.to_votable(table, path)
        return
    plain = table.copy()
    for name in plain.colnames:
        column = plain[name]
        texts = column.tolist() if column.dtype == object else []
        if texts and all(text is None or isinstance(text, str) for text in texts):
            # Texts of any length, as archives send them: FITS wants to know the longest.
            plain[name] = [text or "" for text in texts]
            plain[name].description = column.description
            plain[name].meta = dict(column.meta)
    # Nested provenance fits into JSON, not into FITS cards.
    told = json.dumps(dict(table.meta), default=str)
    plain.meta = {"comments": [told]} if path.suffix == ".fits" else {"astroml": told}
    plain.write(path, format=_FORMATS[path.suffix], overwrite=True)


def _plain_rows(table: Any) -> list[dict[str, Any]]:
    """Return rows as plain values; masked ones are None."""
    columns = [table[name].tolist() for name in table.colnames]
    return [dict(zip(table.colnames, row, strict=True)) for row in zip(*columns, strict=True)]


def _print(value: Any) -> None:
    """Print one JSON value; JSON has no word for what is not finite, which becomes null."""
    click.echo(json.dumps(_finite(value), allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
