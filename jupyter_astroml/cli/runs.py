"""``jupyter astroml predict`` and what can be done with a run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from jupyter_astroml.cli.options import CLUSTER, ENGINE, JSON, MODEL, OUT, WORKERS, rows_taken
from jupyter_astroml.cli.printing import plain_rows, print_json, tell_run, waiting, write_table


@click.command()
@MODEL
@rows_taken
@ENGINE
@WORKERS
@CLUSTER
@click.option("--block", default=0, help="Objects in a block; 0 fits it to the time they take.")
@click.option("--size", type=float, help="Full width of cutouts, arcsec; default: the model's.")
@click.option("--run", type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--detach", is_flag=True, help="Leave the work to a process of its own.")
@OUT
@JSON
def predict(
    model: str,
    rows: Callable[[], Any],
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
    """Run MODEL over the rows of a query or of a file."""
    from astropy import units as u

    from jupyter_astroml import session

    if detach and out:
        raise click.UsageError("--out needs the answers: leave out --detach, or use 'watch' then")
    taken = rows()
    _stop_gently()
    try:
        made = session.predict(
            taken,
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
        tell_run(made, out=out, as_json=as_json)


def _stop_gently() -> None:
    """Take a batch system's wish to stop as an interruption: what was done is kept."""
    import signal

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def _tell_state(run: Any, *, as_json: bool) -> None:
    found = run.summary
    if as_json:
        print_json(found)
        return
    click.echo(f"{found['folder']}: {found['state']}, {found['done']} of {found['total']} objects")


@click.command()
@MODEL
@rows_taken
@WORKERS
@JSON
def estimate(model: str, rows: Callable[[], Any], workers: int, as_json: bool) -> None:  # noqa: FBT001
    """Tell what running MODEL over the rows of a query or of a file will take."""
    from jupyter_astroml import session

    taken = rows()
    with waiting("trying a few objects"):
        found = session.estimate(taken, model=model, workers=workers)
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(found)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@OUT
@JSON
def watch(run: Path, out: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Wait for RUN, which another process drives."""
    from jupyter_astroml import session

    tell_run(session.watch(run, progress=not as_json), out=out, as_json=as_json)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@ENGINE
@WORKERS
@CLUSTER
@JSON
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
        print_json(found.to_json())
    else:
        click.echo(found)
    if not found.passed:
        sys.exit(1)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@JSON
def stop(run: Path, as_json: bool) -> None:  # noqa: FBT001
    """Stop RUN, which another process drives; 'resume' completes it."""
    from jupyter_astroml import session

    _tell_state(session.stop(run), as_json=as_json)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@JSON
def pause(run: Path, as_json: bool) -> None:  # noqa: FBT001
    """Pause RUN, wherever it is driven; 'resume' goes on."""
    from jupyter_astroml import session

    _tell_state(session.pause(run), as_json=as_json)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@ENGINE
@WORKERS
@CLUSTER
@click.option("--failed", is_flag=True, help="Try objects that failed again, too.")
@click.option("--detach", is_flag=True, help="Leave the work to a process of its own.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@OUT
@JSON
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
        tell_run(made, out=out, as_json=as_json)


@click.command()
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
@JSON
def report(
    runs: tuple[Path, ...],
    out: Path,
    objects: int,
    title: str,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Write what RUNS answered, with pictures and saliency maps, as one page."""
    from jupyter_astroml import session

    with waiting("drawing"):
        found = [session.open_run(r) for r in runs]
        made = session.report(found, out, objects=objects, title=title)
    if as_json:
        print_json({"report": str(made)})
    else:
        click.echo(f"report: {made}")


@click.command()
@click.option("--write", is_flag=True, help="Write a file of Dask's configuration to fill in.")
@JSON
def engines(write: bool, as_json: bool) -> None:  # noqa: FBT001
    """List where models can run, the preferred place first."""
    from jupyter_astroml import session

    if write:
        from jupyter_astroml.compute.clusters import write_defaults

        click.echo(f"configuration: {write_defaults()}", err=as_json)
    found = session.engines()
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(found)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@OUT
@JSON
def manifest(run: Path, out: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Tell how the objects of RUN were fetched: ok, or the reason."""
    from jupyter_astroml import session

    found = session.manifest(session.open_run(run))
    if out:
        write_table(found, out)
    if as_json:
        print_json(plain_rows(found))
    elif not out:
        click.echo("\n".join(found.pformat(max_lines=-1, max_width=-1)))


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), help="Where to look for runs.")
@JSON
def runs(folder: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """List the runs."""
    from jupyter_astroml import session

    found = [r.summary for r in session.runs(folder)]
    if as_json:
        print_json(found)
        return
    for r in found:
        click.echo(
            f"{r['name']:44} {r['model']:24} {r['done']}/{r['total']}, "
            f"{r['failed']} failed, {r['state']}"
        )


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("ids", nargs=-1, required=True)
@click.option("--method", default="smoothgrad", show_default=True, help="Attribution method.")
@click.option(
    "--target", default=None, help="Class, parameter, or time in days; default: the prediction."
)
@click.option("--out", type=click.Path(path_type=Path), help="Write the maps as .npz.")
@click.option("--trust", "judge", is_flag=True, help="Test how far the maps can be trusted.")
@JSON
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

    with waiting("computing the maps"):
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
        with waiting("testing the maps"):
            judged = plain_rows(session.trust(found))
        for each, row in zip(told, judged, strict=True):
            each["trust"] = {k: v for k, v in row.items() if k != "id"}
    if as_json:
        print_json(told)
        return
    for each in told:
        click.echo(f"{each['id']}: {each['summary']}")
        for test, value in each.get("trust", {}).items():
            number = f"{value:.3f}" if isinstance(value, float) else value
            click.echo(f"  {test}: {'–' if value is None else number}")


@click.command()
@click.argument("used", nargs=-1, required=True)
@JSON
def cite(used: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001
    """Say what to cite for USED: folders of runs, and names of archives and models."""
    from jupyter_astroml import session

    models = {entry.name for entry in session.models()}
    runs = {u for u in used if u not in models and Path(u).is_dir()}
    found = session.cite(*(session.open_run(u) if u in runs else u for u in used))
    if as_json:
        print_json({"bibtex": found.bibtex, "acknowledgements": list(found.acknowledgements)})
    else:
        click.echo(found)
