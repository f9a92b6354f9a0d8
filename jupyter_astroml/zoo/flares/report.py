"""Write the measured part of the model's README from its facts, so that no figure is typed."""

from __future__ import annotations

from typing import Any

from jupyter_astroml.models.cards import Facts
from jupyter_astroml.zoo.reporting import sentences, span


def measured(facts: Facts) -> str:
    """Return the measured part as Markdown.

    Parameters
    ----------
    facts : Facts
        Of a trained model.

    Returns
    -------
    str
    """
    parts = [_real(facts.evaluation)] if facts.evaluation else []
    return "\n".join([*parts, _simulated(facts)])


_METHODS = (
    ("", "this model"),
    ("strict_", "this model, three cadences in a row (`min_cadences=3`)"),
    ("classical_complete_", "classical search, the best one with high recall"),
    ("classical_balanced_", "classical search, the best F1"),
    ("classical_simulated_", "classical search, tuned on the simulation of the model"),
    ("stella_", "published stella, its own search"),
    ("stella_runs_", "published stella, every run of p ≥ 0.5"),
    ("stella_same_rule_", "published stella, p ≥ 0.5 and our flux test"),
)


def _real(found: dict[str, Any]) -> str:
    m = found["metrics"]
    lines = [
        f"### Real stars (`{found['data']}`)",
        "",
        f"{found['sample']}; {found['split']}.",
        "",
        f"{found['metric'].capitalize()}: {span(found)}; {found['baseline_value']:.3f} for the "
        f"{found['baseline']}.",
        f"Best F1: {span(m['best_f1'])}; {m['best_f1']['baseline']:.3f} for a classical search.",
        *sentences(found["summary"]),
        "",
        "| method | recall | precision (lower bound) | events |",
        "|---|---|---|---|",
        *(
            _row(words, m[f"{key}recall"], m[f"{key}precision"], m[f"{key}n_events"]["value"])
            for key, words in _METHODS
            if f"{key}recall" in m
        ),
        "",
        *sentences(found["notes"]),
        "",
    ]
    return "\n".join(lines)


def _row(words: str, recall: dict[str, float], precision: dict[str, float], n: float) -> str:
    return f"| {words} | {span(recall)} | {span(precision)} | {n:.0f} |"


def _share(row: dict[str, float], kind: str) -> str:
    return f"{row[f'found_{kind}']:.3f}" if row[f"n_{kind}"] else "–"


def _simulated(facts: Facts) -> str:
    training = facts.training
    found = training["unseen_simulation"]
    sure = found["reliability"]
    rule = facts.calibration
    lines = [
        "### Simulated stars that were not used before",
        "",
        f"{found['sectors']} simulated sectors with {found['model']['n_flares']} flares that a "
        "catalogue would list (three cadences in a row above 3σ).",
        "",
        "| method | recall | precision | F1 |",
        "|---|---|---|---|",
        *(
            f"| {words} | {found[key]['recall']:.3f} | {found[key]['precision']:.3f} "
            f"| {found[key]['f1']:.3f} |"
            for key, words in (("model", "this model"), ("baseline", "baseline"))
        ),
        "",
        "Share of the injected flares that are found, by signal-to-noise ratio (white noise only), "
        "for quiet, spotted and rotating stars and for pulsating, eclipsing and contact stars:",
        "",
        "| S/N from | flares | found | flares, variable stars | found |",
        "|---|---|---|---|---|",
        *(
            f"| {row['snr_from']:g} | {row['n_calm']} | {_share(row, 'calm')} "
            f"| {row['n_variable']} | {_share(row, 'variable')} |"
            for row in found["completeness"]
        ),
        "",
        "Does a probability mean a frequency? "
        f"Expected calibration error {sure['expected_calibration_error']:.4f} over all cadences, "
        f"{sure['expected_calibration_error_above_1_percent']:.3f} among those above 1 %; "
        f"Brier score {sure['brier']:.4f}.",
        "",
        "| probability | share of flaring cadences | cadences |",
        "|---|---|---|",
        *(f"| {b['probability']:.3f} | {b['frequency']:.3f} | {b['n']} |" for b in sure["bins"]),
        "",
        "The members disagree more where they are wrong: mean standard deviation "
        f"{sure['disagreement_wrong']:.3f}, against {sure['disagreement_right']:.4f} where they "
        "are right.",
        "",
        f"The rule: probability ≥ {rule['threshold']:g}, {rule['min_cadences']:.0f} cadences in a "
        f"row above {rule['n_sigma']:g}σ; temperature {rule['temperature']:.3f}, shift "
        f"{rule['shift']:.3f}.",
        f"The networks trained for {training['minutes']:g} minutes (wall clock, one thread) on "
        f"{training['plan']['stars']} simulated stars and {training['real_stars']} real ones.",
        "",
    ]
    return "\n".join(lines)
