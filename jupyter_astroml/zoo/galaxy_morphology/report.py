"""Write the measured part of the model's README and its figures, so that nothing is typed."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jupyter_astroml.models.cards import Facts, read_card
from jupyter_astroml.zoo import drawing, training
from jupyter_astroml.zoo.galaxy_morphology import real
from jupyter_astroml.zoo.galaxy_morphology.evaluate import ANGLES, TURNED, evaluate, worst
from jupyter_astroml.zoo.galaxy_morphology.simulate import CLASSES
from jupyter_astroml.zoo.reporting import (
    beside_baseline,
    command,
    figure,
    hardware,
    plain,
    span,
    worst_cases,
    write_measured,
)

_CREDIT = "Pictures: Sloan Digital Sky Survey; labels: Galaxy Zoo."


def main(arguments: list[str] | None = None) -> int:
    """Judge the model again and write its report, from the command line."""
    judge = partial(training.judged_again, evaluate=evaluate, worst=worst)
    return command("jupyter_astroml.zoo.galaxy_morphology", write_report, judge, arguments)


def write_report(out: Path, data: Path | None = None) -> None:
    """Draw the figures, and replace the measured part of ``README.md``.

    Parameters
    ----------
    out : Path
        Folder of the model.
    data : Path, optional
        Labelled pictures; without them the worst are not drawn again.
    """
    facts = read_card(out).facts
    if facts is not None and facts.evaluation.get("curves"):
        drawing.judged(out / drawing.JUDGED, facts.evaluation["curves"])
        if data is not None:
            draw_worst(out / drawing.WORST, data, facts.training["worst"])
    write_measured(out, measured)


def draw_worst(path: Path, data: Path, found: Sequence[Mapping[str, Any]]) -> None:
    """Draw the pictures of the objects that were judged worst.

    Parameters
    ----------
    path : Path
        Of the JPEG.
    data : Path
        Labelled pictures.
    found : sequence of mapping
        From `jupyter_astroml.zoo.galaxy_morphology.evaluate.worst`.
    """
    cutouts, _ = real.read(data, ids=[w["id"] for w in found])
    row_of = {name: i for i, name in enumerate(cutouts.ids)}
    shown = [drawing.colours(cutouts.values[row_of[w["id"]]]) for w in found]
    drawing.sheet(path, shown, drawing.words_of(found))


def measured(facts: Facts) -> str:
    """Return the measured part as Markdown.

    Parameters
    ----------
    facts : Facts
        Of a trained and evaluated model.
    """
    found, training = facts.evaluation, facts.training
    metrics = found["metrics"]
    lines = [
        f"{found['n']} objects of `{found['data']}` that training did not see; "
        f"{found['excluded']} others were not scored: {found['excluded_why']}.",
        "",
        *beside_baseline(found, "macro-F1", {name: name.replace("_", " ") for name in _OVERALL}),
        "| class | objects | recall | precision | F1 | F1 of the baseline |",
        "|---|---|---|---|---|---|",
        *(_class_row(name, metrics) for name in CLASSES),
        "",
        f"Baseline: {found['baseline']}.",
        "",
        *figure(found),
        *_turned(metrics),
        *worst_cases(training["worst"], credit=_CREDIT),
        f"Trained on {training['objects']} objects in {hardware(training)}; {training['split']}.",
        f"Cross-validation inside the training objects, single networks: accuracy "
        f"{training['cross_validation']['accuracy']:.3f}, macro-F1 "
        f"{training['cross_validation']['macro_f1']:.3f}.",
        "",
    ]
    return "\n".join(lines)


def _turned(metrics: Mapping[str, Any]) -> list[str]:
    return [
        f"The first {TURNED} of these objects, turned:",
        "",
        "| degrees | same answer [95 %] | largest change of a probability, mean |",
        "|---|---|---|",
        *(
            f"| {angle} | {span(metrics[f'same_label_{angle}'])} "
            f"| {span(metrics[f'largest_change_{angle}'])} |"
            for angle in ANGLES
        ),
        "",
    ]


_OVERALL = (
    "gain",
    "accuracy",
    "negative_log_likelihood",
    "expected_calibration_error",
    "conformal_coverage",
    "conformal_set_size",
)


def _class_row(name: str, metrics: dict[str, dict[str, float | None]]) -> str:
    cells = [
        name.replace("_", "-"),
        f"{metrics[f'n_{name}']['value']:.0f}",
        *(span(metrics[f"{word}_{name}"]) for word in ("recall", "precision", "f1")),
        plain(metrics[f"f1_{name}"].get("baseline")),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
