"""Write the measured part of the model's README from its facts, so that no figure is typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_astroml.models.cards import Facts
from jupyter_astroml.zoo.radio_galaxies.real import CLASSES
from jupyter_astroml.zoo.reporting import beside_baseline, hardware, plain, span, worst_cases

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
        *worst_cases(training["worst"]),
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
