"""The shell's face: ``jupyter astroml …``.

Every command calls `jupyter_astroml.session`; with ``--json`` it prints one JSON value and nothing
else on standard output, errors included.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import click

from jupyter_astroml.cli import archives, models, pool, runs
from jupyter_astroml.cli.options import JSON
from jupyter_astroml.cli.printing import print_json
from jupyter_astroml.core.errors import AstroMLError


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
            print_json({"error": {**told, "remedy": f"read: {where} --help"}})
            ctx.exit(2)
        except AstroMLError as err:
            if "--json" in sys.argv:
                print_json({"error": err.to_json()})
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


@main.command()
@JSON
def doctor(as_json: bool) -> None:  # noqa: FBT001 - click passes a flag
    """Check the installation, and say what to mend."""
    from jupyter_astroml.doctor import examine

    found = examine()
    if as_json:
        print_json([dataclasses.asdict(f) for f in found])
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


for _command in (
    *(archives.archive, archives.query, archives.images, archives.spectra),
    *(models.models, models.check, models.evaluate),
    *(runs.predict, runs.estimate, runs.watch, runs.stop, runs.pause, runs.resume, runs.replay),
    *(runs.runs, runs.manifest, runs.explain, runs.report, runs.cite, runs.engines),
    pool.pool,
):
    main.add_command(_command)
