"""Write the measured part of the model's README and its figures, so that nothing is typed."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jupyter_astroml.models.cards import Facts, read_card
from jupyter_astroml.zoo import drawing, training
from jupyter_astroml.zoo.judging import worst_made
from jupyter_astroml.zoo.reporting import (
    beside_baseline,
    command,
    figure,
    hardware,
    plain,
    sentences,
    span,
    worst_cases,
    write_measured,
)
from jupyter_astroml.zoo.star_galaxy import real
from jupyter_astroml.zoo.star_galaxy.evaluate import evaluate, worst
from jupyter_astroml.zoo.star_galaxy.simulate import BANDS, simulate

if TYPE_CHECKING:
    from jupyter_astroml.models.loading import Model

# New simulated objects of which the worst are drawn, and their seed.
_DRAWN, _SEED = 400, 900_001
_ROWS = {
    "gain": "area, network minus baseline",
    "expected_calibration_error": "expected calibration error",
    "negative_log_likelihood": "negative log likelihood",
    "accuracy": "accuracy",
    "recall_star": "share of the stars that is found",
    "recall_galaxy": "share of the galaxies that is found",
    "precision_galaxy": "share of the answers galaxy that is right",
    "auc_over_cutouts": "area, interval over cutouts",
    "concentration_cut_auc": "area by a cut in concentration alone",
}


_SHEET = [
    "The licence of these cutouts does not say that they may be shown.",
    "Simulated objects in five bands that were judged worst, in r, with their half-light radius:",
    "",
    f"![Simulated stars and galaxies that were judged worst]({drawing.WORST})",
    "",
]


def main(arguments: list[str] | None = None) -> int:
    """Judge the model again and write its report, from the command line."""
    judge = partial(training.judged_again, evaluate=evaluate, worst=worst)
    return command("jupyter_astroml.zoo.star_galaxy", write_report, judge, arguments)


def write_report(out: Path, data: Path | None = None) -> None:
    """Draw the figures, and replace the measured part of ``README.md``.

    Parameters
    ----------
    out : Path
        Folder of the model.
    data : Path, optional
        Labelled cutouts; none of them is shown, as their licence does not say that it may be.
    """
    from jupyter_astroml.models.loading import from_folder

    facts = read_card(out).facts
    if facts is not None and facts.evaluation.get("curves"):
        drawing.judged(out / drawing.JUDGED, facts.evaluation["curves"])
        draw_worst(out / drawing.WORST, from_folder(out))
    write_measured(out, measured)


def draw_worst(path: Path, model: Model) -> None:
    """Draw the simulated objects that are judged worst, in r.

    Parameters
    ----------
    path : Path
        Of the JPEG.
    model : Model
        To be asked.
    """
    cutouts, truth = simulate(_DRAWN, seed=_SEED)
    values = model.prepare(cutouts).samples.values
    classes = np.array([real.CLASSES.index(label) for label in truth["label"]])
    found, rows = worst_made(model, values, ids=truth["id"], classes=classes, names=real.CLASSES)
    words = drawing.words_of(found)
    for row, lines in zip(rows, words, strict=True):
        radius = truth["r_e_arcsec"][row]
        lines[0] = f"r = {truth['mag_r'][row]:.1f}" + (f', {radius:.1f}"' if radius else "")
    planes = cutouts.values[rows, BANDS.index("r")]
    drawing.sheet(path, [drawing.levels(plane[::-1]) for plane in planes], words)


def measured(facts: Facts) -> str:
    """Return the measured part as Markdown.

    Parameters
    ----------
    facts : Facts
        Of a trained and evaluated model.
    """
    found, training = facts.evaluation, facts.training
    metrics = found["metrics"]
    fields = [name.removeprefix("auc_") for name in metrics if name.startswith("auc_")]
    trial = training["by_bands"]
    lines = [
        f"{found['sample']} (`{found['data']}`); {found['split']}.",
        "",
        *beside_baseline(found, "area under the curve (AUC)", _ROWS),
        f"Baseline: {found['baseline']}.",
        *sentences(found["notes"]),
        "",
        "| field | AUC | baseline |",
        "|---|---|---|",
        *(
            f"| {field} | {span(metrics[f'auc_{field}'])} "
            f"| {plain(metrics[f'auc_{field}']['baseline'])} |"
            for field in fields
            if field != "over_cutouts"
        ),
        "",
        "New simulated objects, r = 18 to 22.5, with more and more bands:",
        "",
        "| bands | AUC | baseline, with colours |",
        "|---|---|---|",
        *(f"| {bands} | {span(m)} | {plain(m['baseline'])} |" for bands, m in trial.items()),
        "",
        *figure(found),
        *worst_cases(training["worst"]),
        *(_SHEET if found.get("curves") else []),
        f"Trained on {training['objects']} real and {training['simulated']} simulated cutouts in "
        f"{hardware(training)}.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
