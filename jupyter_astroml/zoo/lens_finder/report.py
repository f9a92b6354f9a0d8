"""Write the measured part of the model's README and its pictures, so that no figure is typed."""

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
from jupyter_astroml.zoo.lens_finder import real
from jupyter_astroml.zoo.lens_finder.evaluate import evaluate, worst
from jupyter_astroml.zoo.lens_finder.fields import Wanted, made
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

if TYPE_CHECKING:
    from jupyter_astroml.models.loading import Model

CURVES, EXAMPLES = "completeness.png", "examples.jpg"
_ROWS = {
    "gain": "area, network minus baseline",
    "rank_correlation": "rank correlation with the grade",
    "auc_grade_2": "area for a grade of 2 and above",
    "forest_of_candidates_auc": "area of a forest that learned from other candidates",
    "expected_calibration_error": "expected calibration error",
    "negative_log_likelihood": "negative log likelihood",
}
# New fields of which the worst are drawn.
WORST = Wanted(250, seed=4, lenses=1 / 3, borrowed=0.0)
_SETS = {
    "judged": "Simulated fields",
    "injected": "Simulated arcs in fields around observed galaxies of SDSS",
}
# Pictures side by side, and the middle part of each that is shown, pixels.
_ACROSS, _SHOWN = 10, 72


def main(arguments: list[str] | None = None) -> int:
    """Judge the model again and write its report, from the command line."""
    judge = partial(training.judged_again, evaluate=evaluate, worst=worst)
    return command("jupyter_astroml.zoo.lens_finder", write_report, judge, arguments)


def write_report(out: Path, data: Path | None = None) -> None:
    """Draw the figures, and replace the measured part of ``README.md``.

    Parameters
    ----------
    out : Path
        Folder of the model.
    data : Path, optional
        Graded candidates; they may not be copied, so that simulated fields are shown.
    """
    from jupyter_astroml.models.loading import from_folder

    facts = read_card(out).facts
    if facts is not None and facts.evaluation.get("curves"):
        draw_curves(out / CURVES, facts.training["judged"])
        drawing.judged(out / drawing.JUDGED, facts.evaluation["curves"])
        draw_worst(out / drawing.WORST, from_folder(out))
    write_measured(out, measured)


def draw_worst(path: Path, model: Model) -> None:
    """Draw the simulated fields that are judged worst.

    Parameters
    ----------
    path : Path
        Of the JPEG.
    model : Model
        To be asked.
    """
    fields = made(WORST, galaxies=None, cache=None, say=lambda _: None)
    truth = fields.truth
    found, rows = worst_made(
        model, fields.values(), ids=truth["id"], classes=fields.classes, names=real.CLASSES
    )
    words = drawing.words_of(found)
    for row, lines in zip(rows, words, strict=True):
        radius, snr = truth["theta_e_arcsec"][row], truth["arc_snr"][row]
        lens = fields.classes[row] == 1
        lines[0] = f'lens, {radius:.1f}", S/N {snr:.0f}' if lens else str(truth["kind"][row])
    shown = fields.pictures[rows][:, :, ::-1].transpose(0, 2, 3, 1)
    drawing.sheet(path, list(shown), words)


def measured(facts: Facts) -> str:
    """Return the measured part as Markdown.

    Parameters
    ----------
    facts : Facts
        Of a trained and evaluated model.
    """
    found, training = facts.evaluation, facts.training
    return "\n".join(
        [
            f"{found['sample']} (`{found['data']}`); {found['split']}.",
            f"{found['metrics']['n_lens']['value']:.0f} of them count as lenses.",
            "",
            *beside_baseline(found, found["metric"], _ROWS),
            f"Baseline: {found['baseline']}.",
            *sentences(found["notes"]),
            "",
            *(
                line
                for name, words in _SETS.items()
                if name in training
                for line in _completeness(words, training[name])
            ),
            f"![Completeness of simulated lenses]({CURVES})",
            "",
            *figure(found),
            *worst_cases(training["worst"]),
            "The pictures of these candidates may not be copied.",
            "New simulated fields that were judged worst:",
            "",
            f"![Simulated fields that were judged worst]({drawing.WORST})",
            "",
            f"Trained on {training['fields']} simulated fields, a part of them around "
            f"{training['galaxies']} observed galaxies, in {hardware(training)}; calibrated on "
            f"{training['calibrated_on']} other fields.",
            "",
        ]
    )


def _completeness(words: str, found: Mapping[str, Any]) -> list[str]:
    clear = found["clear"]
    lines = [
        f"{words}: {found['lenses']} lenses with visible arcs among {found['n']}, none known to "
        f"the training; {found['rejected']:.0%} of the others are rejected.",
        "",
        "| lenses | number | completeness [95 %] | baseline |",
        "|---|---|---|---|",
        f"| all | {found['lenses']} | {span(found['completeness'])} "
        f"| {plain(found['completeness']['baseline'])} |",
        f'| θ_E > 1.4", S/N > 20 | {clear["n"]} | {span(clear)} | {plain(clear["baseline"])} |',
    ]
    for name, unit in (("by_radius", 'θ_E {}" to {}"'), ("by_noise", "S/N {} to {}")):
        for row in found[name]:
            ends = unit.format(f"{row['from']:g}", f"{row['to']:g}")
            lines.append(f"| {ends} | {row['n']} | {span(row)} | {plain(row['baseline'])} |")
    taken = ", ".join(f"{kind} {k} of {n}" for kind, (k, n) in found["taken_for_lenses"].items())
    return [
        *lines,
        "",
        f"Network minus baseline: {span(found['gain'])}; area {span(found['auc'])} against "
        f"{plain(found['auc']['baseline'])}.",
        f"Taken for lenses: {taken}.",
        "",
    ]


def draw_curves(path: Path, found: Mapping[str, Any]) -> None:
    """Draw completeness against Einstein radius and signal over noise.

    Parameters
    ----------
    path : Path
        Of the PNG.
    found : mapping
        From `completeness.judged`.
    """
    page = drawing.figure(8, 3.2)
    panels = page.subplots(1, 2, sharey=True)
    sides = (
        ("by_radius", "Einstein radius (arcsec)"),
        ("by_noise", "signal over noise of arcs, g"),
    )
    for panel, (name, label) in zip(panels, sides, strict=True):
        rows = found[name]
        at = np.array([np.sqrt(row["from"] * row["to"]) for row in rows])
        value = np.array([row["value"] for row in rows])
        reach = np.abs(np.array([[row["low"], row["high"]] for row in rows]).T - value)
        panel.errorbar(
            at, value, yerr=reach, fmt="o-", color=drawing.NETWORK, capsize=3, label="network"
        )
        panel.plot(
            at, [row["baseline"] for row in rows], "s--", color=drawing.BASELINE, label="baseline"
        )
        panel.set_xscale("log")
        ticks = sorted({row["from"] for row in rows} | {row["to"] for row in rows})
        panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.minorticks_off()
        panel.set_xlabel(label)
        panel.set_ylim(0, 1.02)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel(f"found at {found['rejected']:.0%} rejection")
    panels[0].legend(loc="lower right")
    page.savefig(path, metadata={"Software": None})


def draw_examples(path: Path, pictures: np.ndarray, classes: np.ndarray) -> None:
    """Draw simulated lenses (above) and what is mistaken for them (below).

    Parameters
    ----------
    path : Path
        Of the JPEG.
    pictures : ndarray of uint8, shape (n, 3, y, x)
        Bands i, r, g.
    classes : ndarray of int, shape (n,)
        1 is a lens.
    """
    from PIL import Image

    edge = (pictures.shape[-1] - _SHOWN) // 2
    shown = pictures[:, :, edge : edge + _SHOWN, edge : edge + _SHOWN].transpose(0, 2, 3, 1)
    across = min(_ACROSS, int(np.bincount(classes).min()) // 2)
    rows = [shown[classes == k][: 2 * across].reshape(2, across, _SHOWN, _SHOWN, 3) for k in (1, 0)]
    sheet = np.concatenate(rows).transpose(0, 2, 1, 3, 4).reshape(4 * _SHOWN, across * _SHOWN, 3)
    Image.fromarray(np.ascontiguousarray(sheet)).save(path, quality=88)


if __name__ == "__main__":
    sys.exit(main())
