"""Options and arguments that several commands take."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from jupyter_astroml.cli.printing import FORMATS, waiting

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")


ENGINE = click.option(
    "--engine",
    type=click.Choice(["auto", "here", "dask", "pool"]),
    default=None,
    help="Where the model runs.",
)


ARCHIVE = click.option(
    "--archive", "name", default="", help="Name of an archive, or the URL of a TAP service."
)


WORKERS = click.option("--workers", default=0, help="Of a Dask cluster; 0: as configured.")


CLUSTER = click.option(
    "--cluster",
    default=None,
    help="Address of a Dask scheduler, or a kind that is started: gateway, slurm, …",
)


QUERY = click.option("--query", "adql", default="", help="ADQL whose rows are taken.")
TABLE = click.option(
    "--table",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File whose rows are taken: Parquet, VOTable, FITS, ECSV or CSV.",
)


def _writable(_ctx: Any, _param: Any, path: Path | None) -> Path | None:
    """Refuse a file that cannot be written before hours of work went into its content."""
    if path is None:
        return None
    if path.suffix not in FORMATS:
        raise click.BadParameter(f"{path.suffix or 'no suffix'}: use one of {', '.join(FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {path.parent}")
    return path


OUT = click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_writable,
    help=f"Write {', '.join(FORMATS)}.",
)


def complete_model(_ctx: Any, _param: Any, incomplete: str) -> list[str]:
    """Return the models whose names begin so."""
    from jupyter_astroml import session

    return [e.name for e in session.models() if e.name.startswith(incomplete)]


MODEL = click.argument("model", shell_complete=complete_model)


def rows_taken(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``rows``, a function that gets them from an archive or from a file."""

    @QUERY
    @TABLE
    @ARCHIVE
    @functools.wraps(command)
    def asked(*, adql: str, file: Path | None, name: str, **others: Any) -> Any:
        if bool(adql) == (file is not None):
            raise click.UsageError(
                "Give --query with ADQL, or --table with a file.", click.get_current_context()
            )

        def rows() -> Any:
            from jupyter_astroml import session

            with waiting("reading the table" if file else "asking the archive"):
                return session.read(file) if file else session.archive(name).query(adql)

        return command(rows=rows, **others)

    return asked
