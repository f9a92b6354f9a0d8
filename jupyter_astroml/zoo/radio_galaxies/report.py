"""Write the measured part of the model's README and its figures, so that nothing is typed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.models.cards import Facts, read_card
from jupyter_astroml.zoo import drawing, training
from jupyter_astroml.zoo.judging import worst_made
from jupyter_astroml.zoo.radio_galaxies.evaluate import evaluate, worst
from jupyter_astroml.zoo.radio_galaxies.real import CLASSES, SIZE
from jupyter_astroml.zoo.radio_galaxies.simulate import simulate
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

if TYPE_CHECKING:
    from jupyter_astroml.models.loading import Model

_ROWS = {
    "gain": "accuracy, network minus baseline",
    "fr_auc": "FR I / FR II area under the curve",
    "fr1_recall": "share of the FR I that is found",
    "fr2_recall": "share of the FR II that is found",
    "fr_calibration_error": "FR I / FR II expected calibration error",
    "fr_accuracy_untouched_fold": "accuracy, the fold that no choice was made on",
    "fr_accuracy_other_set": "accuracy, FR I and FR II that are not in MiraBest",
    "accuracy": "four classes, accuracy",
    "macro_f1": "four classes, macro-F1",
    "expected_calibration_error": "four classes, expected calibration error",
    "conformal_coverage": "four classes, coverage of the prediction sets",
}


_SHEET = [
    "FIRST images are for scholarly, educational and private non-commercial use: none is shown.",
    "Simulated sources that were judged worst; no network learned from such:",
    "",
    f"![Simulated radio galaxies that were judged worst]({drawing.WORST})",
    "",
]
# New simulated sources of which the worst are drawn, their seed, and the pixels in the middle of an
# image that are shown.
_DRAWN, _SEED, _SHOWN = 120, 900_001, 100


def main(arguments: list[str] | None = None) -> int:
    """Judge the model again and write its report, from the command line."""
    judge = partial(training.judged_again, evaluate=evaluate, worst=worst)
    return command("jupyter_astroml.zoo.radio_galaxies", write_report, judge, arguments)


def write_report(out: Path, data: Path | None = None) -> None:
    """Draw the figures, and replace the measured part of ``README.md``.

    Parameters
    ----------
    out : Path
        Folder of the model.
    data : Path, optional
        Labelled images; none of them is shown, as their licence is narrower than that of the model.
    """
    from jupyter_astroml.models.loading import from_folder

    facts = read_card(out).facts
    if facts is not None and facts.evaluation.get("curves"):
        drawing.judged(out / drawing.JUDGED, facts.evaluation["curves"])
        draw_worst(out / drawing.WORST, from_folder(out))
    write_measured(out, measured)


def draw_worst(path: Path, model: Model) -> None:
    """Draw the simulated sources that are judged worst.

    Parameters
    ----------
    path : Path
        Of the JPEG.
    model : Model
        To be asked.
    """
    cutouts, labels = simulate(_DRAWN, seed=_SEED)
    values = model.prepare(cutouts).samples.values
    classes = np.array([CLASSES.index(label) for label in labels])
    found, rows = worst_made(model, values, ids=cutouts.ids, classes=classes, names=CLASSES)
    edge = (SIZE - _SHOWN) // 2
    # The first row of an image is the south.
    shown = cutouts.values[rows, 0, edge : edge + _SHOWN, edge : edge + _SHOWN][:, ::-1]
    drawing.sheet(path, [drawing.levels(image) for image in shown], drawing.words_of(found))


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
        f"{found['sample']} (`{found['data']}`); {found['split']}.",
        "",
        *beside_baseline(found, found["metric"], _ROWS),
        "| class | sources | recall | precision | recall of the baseline |",
        "|---|---|---|---|---|",
        *(_class_row(name, metrics) for name in CLASSES),
        "",
        f"Baseline: {found['baseline']}.",
        "",
        *_compared(training),
        *figure(found),
        *worst_cases(training["worst"]),
        *(_SHEET if found.get("curves") else []),
        f"Trained on {training['objects']} sources in {hardware(training)}.",
        "",
    ]
    return "\n".join(lines)


def _compared(training: Mapping[str, Any]) -> list[str]:
    """Write the table of the two networks, or nothing where only one was trained."""
    names = ("equivariant", "plain")
    if not all(name in training for name in names):
        return []
    return [
        "Filters in eight orientations against a plain network of as many weights, each member on "
        "the fold that it did not see, looking once:",
        "",
        "| network | weights | FR I / FR II accuracy | four classes, fold by fold | minutes |",
        "|---|---|---|---|---|",
        *(_network_row(name, training[name]) for name in names),
        "",
    ]


def _network_row(name: str, figures: Mapping[str, Any]) -> str:
    cells = [
        name,
        f"{figures['weights']}",
        plain(figures["fr_accuracy"]),
        ", ".join(plain(value) for value in figures["by_fold"]),
        f"{figures['minutes']:g}",
    ]
    return f"| {' | '.join(cells)} |"


def _class_row(name: str, metrics: dict[str, dict[str, float | None]]) -> str:
    cells = [
        name,
        f"{metrics[f'n_{name}']['value']:.0f}",
        span(metrics[f"recall_{name}"]),
        span(metrics[f"precision_{name}"]),
        plain(metrics[f"recall_{name}"].get("baseline")),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
