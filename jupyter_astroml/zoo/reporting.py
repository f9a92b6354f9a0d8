"""The measured part of a model's README, written from its facts, so that no figure is typed."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.models.cards import Facts, read_card
from jupyter_astroml.zoo import drawing

BEGIN = "<!-- measured: written by train.py from facts.json -->"
END = "<!-- end of the measured part -->"


def write_measured(folder: Path, measured: Callable[[Facts], str]) -> None:
    """Replace the measured part of ``README.md``.

    Parameters
    ----------
    folder : Path
        Of the model.
    measured : callable
        Says the facts of the model in Markdown.

    Raises
    ------
    ModelError
        If the model has no facts or was not evaluated, or the README has no place for them.
    """
    facts = read_card(folder).facts
    path = folder / "README.md"
    text = path.read_text(encoding="utf-8")
    if facts is None or BEGIN not in text or END not in text:
        raise ModelError("The README or the facts of the model are incomplete")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    try:
        said = measured(facts)
    except KeyError as err:
        raise ModelError(
            "The model was not evaluated", cause=f"its facts lack {err}", remedy="train it again"
        ) from err
    path.write_text(before + BEGIN + "\n\n" + said + "\n" + END + after)


def beside_baseline(
    found: Mapping[str, Any], first: str, others: Mapping[str, str], *, head: str = "metric"
) -> list[str]:
    """Write the table of an evaluation, the baseline beside the network.

    Parameters
    ----------
    found : mapping
        An `jupyter_astroml.models.evaluation.Evaluation`.
    first : str
        What the main metric is called.
    others : mapping of str to str
        What other metrics are called; one that was not measured is left out.
    head : str
        What all of them are called.
    """
    metrics = found["metrics"]
    rows = [(first, {**found, "baseline": found["baseline_value"]})]
    rows += [(words, metrics[name]) for name, words in others.items() if name in metrics]
    return [
        f"| {head} | network [95 %] | baseline |",
        "|---|---|---|",
        *(f"| {words} | {span(m)} | {plain(m.get('baseline'))} |" for words, m in rows),
        "",
    ]


def sentences(text: str) -> list[str]:
    """Write one sentence a line."""
    return text.replace(". ", ".\n").splitlines()


def span(found: Mapping[str, Any]) -> str:
    """Write a measured value with its interval, where it has one."""
    if found.get("low") is None:
        return plain(found["value"])
    return f"{plain(found['value'])} [{plain(found['low'])}, {plain(found['high'])}]"


def plain(value: float | None) -> str:
    """Write a number, or a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def hardware(training: Mapping[str, Any]) -> str:
    """Write how long a training took and what it ran on, of `training.machine`."""
    threads = training["threads"]
    named = training.get("processor")
    cpu = f"{training['cores']} cores of {named}" if named else "a CPU"
    return (
        f"{training['minutes']:g} minutes of {cpu} shared with others, "
        f"{threads} thread{'s' if threads > 1 else ''}"
    )


def figure(found: Mapping[str, Any]) -> list[str]:
    """Show the figure of an evaluation, where it has curves; see `drawing.judged`."""
    if not found.get("curves"):
        return []
    second = "how many of one kind are found for how many of the other that come along"
    if "confusion" in found["curves"]:
        second = "labels (rows) and answers (columns)"
    return [
        f"![Left: how often answers of a probability are right. Right: {second}.]"
        f"({drawing.JUDGED})",
        "",
    ]


def worst_cases(found: Sequence[Mapping[str, Any]], *, credit: str = "") -> list[str]:
    """Write the table of the worst answers, of `jupyter_astroml.zoo.folds.worst`.

    Parameters
    ----------
    found : sequence of mapping
        The objects.
    credit : str
        Whose pictures the sheet of them shows; empty where there is no sheet.
    """
    shown = ["", f"![Pictures of them, in this order]({drawing.WORST})", "", credit]
    return [
        "The worst answers: what the networks held for least likely of what the labels say.",
        "",
        "| object | label | answer | probability of the label |",
        "|---|---|---|---|",
        *(f"| `{w['id']}` | {w['label']} | {w['answer']} | {w['p_label']:.4f} |" for w in found),
        *(shown if credit else []),
        "",
    ]


def command(
    package: str,
    write: Callable[[Path, Path | None], None],
    judge: Callable[[Path, Path], None],
    arguments: list[str] | None,
) -> int:
    """Write a report again from the command line.

    Parameters
    ----------
    package : str
        Of the model.
    write : callable
        Gets the folder of the model and the labelled data, or None.
    judge : callable
        Gets both and writes into the facts what evaluation finds now.
    arguments : list of str or None
        Of the command.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {package}.report")
    parser.add_argument("--data", type=Path, help="labelled data: judge again, and show the worst")
    parser.add_argument("--out", type=Path, help="folder of the model, by default the bundled one")
    given = parser.parse_args(arguments)
    out = given.out or Path(str(import_module(package).__file__)).parent
    if given.data:
        judge(out, given.data)
    write(out, given.data)
    return 0
