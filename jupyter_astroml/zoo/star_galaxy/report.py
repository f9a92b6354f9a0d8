"""Write the measured part of the model's README from its facts, so that no figure is typed."""

from __future__ import annotations

from jupyter_astroml.models.cards import Facts
from jupyter_astroml.zoo.reporting import beside_baseline, plain, sentences, span, worst_cases

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
        "| bands | AUC |",
        "|---|---|",
        *(f"| {bands} | {value:.3f} |" for bands, value in training["by_bands"].items()),
        "",
        *worst_cases(training["worst"]),
        f"Trained on {training['objects']} real and {training['simulated']} simulated cutouts in "
        f"{training['minutes']:g} minutes of a CPU shared with others, {training['threads']} "
        "thread.",
        "",
    ]
    return "\n".join(lines)
