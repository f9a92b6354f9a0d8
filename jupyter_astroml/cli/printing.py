"""What commands print and write: answers, tables, progress, JSON."""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

FORMATS = {".vot": "votable", ".fits": "fits", ".parquet": "parquet", ".csv": "ascii.csv"}


class Bar:
    """A progress bar on standard error that takes (done, total).

    Parameters
    ----------
    before : str
        What is done until there is something to count.
    quiet : bool
        Show nothing.
    """

    def __init__(self, before: str, *, quiet: bool) -> None:
        self._quiet = quiet
        self._before = ExitStack()
        self._before.enter_context(waiting(before, quiet=quiet))
        self._bar: Any = None

    def __enter__(self) -> Callable[[int, int], None]:
        return self._show

    def __exit__(self, *_: object) -> None:
        self._before.close()
        if self._bar is not None:
            self._bar.close()

    def _show(self, done: int, total: int) -> None:
        from tqdm import tqdm

        if self._bar is None:
            # Not before there is something to show: a wrong folder gets its error alone.
            self._before.close()
            self._bar = tqdm(disable=self._quiet, unit="object", total=total)
        self._bar.n = done
        self._bar.refresh()


@contextmanager
def waiting(for_what: str, *, quiet: bool = False) -> Iterator[None]:
    """Show in a terminal what is waited for and how long, from the first second on."""
    over = threading.Event()

    def tell() -> None:
        begin = time.monotonic()
        while not over.wait(1.0):
            click.echo(f"\r{for_what} … {time.monotonic() - begin:.0f} s", err=True, nl=False)
            shown.append(True)

    shown: list[bool] = []
    teller = threading.Thread(target=tell, daemon=True)
    if not quiet and sys.stderr.isatty():
        teller.start()
    try:
        yield
    finally:
        over.set()
        if teller.ident is not None:
            teller.join()
        if shown:
            # The line is wiped: what follows begins where it began.
            click.echo("\r\x1b[K", err=True, nl=False)


def tell_run(run: Any, *, out: Path | None, as_json: bool) -> None:
    """Print the answers of a run, or write them to a file."""
    found = run.predictions(arrays=False)
    table = found.to_table()
    asked = dict(run.meta.get("query", {}))
    # Where the rows came from is where the answers came from; files say it under this name.
    table.meta |= {"query": asked, "astroml": asked}
    warn_of_simulation(asked)
    if out:
        write_table(table, out)
    if as_json:
        rows = plain_rows(table)
        print_json({**run.summary, "failures": found.failures(), "rows": rows})
        return
    click.echo("\n".join(table.pformat(max_lines=30, max_width=160)))
    click.echo(f"run: {run.folder}")
    for name, why in list(found.failures().items())[:10]:
        click.echo(f"failed: {name}: {why}", err=True)


def warn_of_simulation(about: Mapping[str, Any]) -> None:
    """Say so if what was asked is a simulation."""
    if about.get("simulated"):
        click.echo("The demo sky is simulated: nothing of it was ever observed.", err=True)


def write_table(table: Any, path: Path) -> None:
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
    # Nested provenance fits into JSON, not into FITS cards, which lose blanks where they break.
    told = json.dumps(dict(table.meta), default=str, separators=(",", ":"))
    unbroken = told.replace(" ", "\\u0020")
    plain.meta = {"comments": [unbroken]} if path.suffix == ".fits" else {"astroml": told}
    plain.write(path, format=FORMATS[path.suffix], overwrite=True)


def plain_rows(table: Any) -> list[dict[str, Any]]:
    """Return rows as plain values; masked ones are None."""
    columns = [table[name].tolist() for name in table.colnames]
    return [dict(zip(table.colnames, row, strict=True)) for row in zip(*columns, strict=True)]


def print_json(value: Any) -> None:
    """Print one JSON value; JSON has no word for what is not finite, which becomes null."""
    click.echo(json.dumps(_finite(value), allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
