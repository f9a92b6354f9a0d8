"""``jupyter astroml models``, and whether a model fits and how good it is."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from jupyter_astroml.cli.importing import import_
from jupyter_astroml.cli.options import JSON, MODEL, complete_model, rows_taken
from jupyter_astroml.cli.printing import Bar, plain_rows, print_json
from jupyter_astroml.core.errors import AstroMLError


@click.group("models")
def models() -> None:
    """Models that can be run."""


models.add_command(import_)


@models.command("list")
@click.option("--task", default="", help="Such as classify, detect, regress or emulate.")
@click.option("--kind", default="", help="Such as cutouts, light_curves or spectra.")
@JSON
def models_list(task: str, kind: str, as_json: bool) -> None:  # noqa: FBT001
    """List the models."""
    from jupyter_astroml import session

    found = session.models(task=task, kind=kind)
    if as_json:
        print_json(
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


@models.command("show")
@MODEL
@JSON
def models_show(model: str, as_json: bool) -> None:  # noqa: FBT001
    """Show the card of MODEL."""
    from jupyter_astroml import session

    card = session.model(model).card
    if as_json:
        print_json(card.to_json())
        return
    click.echo(f"{card.title} ({card.id} {card.version})\n\n{card.description}\n")
    click.echo(f"needs:    {card.input.words}")
    click.echo(f"answers:  {', '.join(card.outputs.names)}")
    click.echo(f"measured: {card.key_metric}")
    if card.summary:
        click.echo(f"          {card.summary}")
    click.echo(f"baseline: {card.baseline}")
    for limit in card.limits:
        click.echo(f"limit:    {limit}")
    for citation in card.citations:
        click.echo(f"cite:     {citation.text}")


@models.command("schema")
def models_schema() -> None:
    """Print the JSON Schema of a card."""
    from jupyter_astroml import session

    click.echo(json.dumps(session.card_schema(), indent=2))


@models.command("page")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def models_page(folder: Path) -> None:
    """Write zoo.md about the bundled models into FOLDER, with pictures."""
    from jupyter_astroml import session

    click.echo(session.model_page(folder))


@models.command("test")
@click.argument("model", required=False, shell_complete=complete_model)
@click.option("--all", "everything", is_flag=True, help="Test every model.")
@JSON
def models_test(model: str | None, everything: bool, as_json: bool) -> None:  # noqa: FBT001
    """Replay the stored inputs of MODEL and compare with the stored outputs."""
    from jupyter_astroml import session

    names = [e.name for e in session.models()] if everything or not model else [model]
    found = [_replayed(name, alone=len(names) == 1) for name in names]
    if as_json:
        print_json(found)
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


@click.command()
@MODEL
@rows_taken
@JSON
def check(model: str, rows: Callable[[], Any], as_json: bool) -> None:  # noqa: FBT001
    """Tell for each row of a query or of a file whether it fits the input contract of MODEL."""
    from jupyter_astroml import session

    found = session.check(rows(), model=model)
    if as_json:
        print_json(plain_rows(found))
        return
    for row in found:
        click.echo(f"{row['id']}: {row['fit']}")


@click.command()
@MODEL
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of labelled data, in the layout that the model's README names; without it, a "
    "model that can be judged on simulations only draws new ones.",
)
@click.option("--seed", default=0, show_default=True, help="Of the bootstrap, and of simulations.")
@JSON
def evaluate(model: str, data: Path | None, seed: int, as_json: bool) -> None:  # noqa: FBT001
    """Measure MODEL on labelled data that it was not trained on, its baseline beside it."""
    from jupyter_astroml import session

    with Bar("reading the data", quiet=as_json) as show:
        found = session.evaluate(model, data=data, seed=seed, progress=show)
    values = found.to_json()
    if as_json:
        print_json(values)
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
