"""Write the measured part of the model's README from its facts, so that no figure is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.models.cards import Facts, read_card

BEGIN = "<!-- measured: written by train.py from facts.json -->"
END = "<!-- end of the measured part -->"


def write_report(folder: Path) -> None:
    """Replace the measured part of ``README.md``.

    Parameters
    ----------
    folder : Path
        Of the model.

    Raises
    ------
    ModelError
        If the model has no facts, or the README no place for them.
    """
    facts = read_card(folder).facts
    path = folder / "README.md"
    text = path.read_text(encoding="utf-8")
    if facts is None or BEGIN not in text or END not in text:
        raise ModelError("The README or the facts of the model are incomplete")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    path.write_text(before + BEGIN + "\n\n" + measured(facts) + "\n" + END + after)


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


def _real(found: dict[str, Any]) -> str:
    m = found["metrics"]
    lines = [
        f"### Real stars (`{found['data']}`)",
        "",
        f"{found['n']} stars, {m['n_flares']['value']:.0f} catalogued flares; {found['split']}.",
        "",
        "| method | recall | precision (lower bound) | events |",
        "|---|---|---|---|",
        _row("this model", m["recall"], m["precision"], m["n_events"]["value"]),
        _row(
            "this model, three cadences in a row (`min_cadences=3`)",
            m["strict_recall"],
            m["strict_precision"],
            m["strict_n_events"]["value"],
        ),
        f"| {found['baseline']} | {m['recall']['baseline']:.3f} | {m['precision']['baseline']:.3f} "
        f"| {m['n_events']['baseline']:.0f} |",
        _row(
            "the same search with the numbers of the paper (3 cadences, 3σ)",
            m["classical_untuned_recall"],
            m["classical_untuned_precision"],
            m["classical_untuned_n_events"]["value"],
        ),
    ]
    for key, words in (
        ("stella", "published stella, its own search"),
        ("stella_runs", "published stella, every run of p ≥ 0.5"),
        ("stella_same_rule", "published stella, p ≥ 0.5 and our flux test"),
    ):
        if f"{key}_recall" in m:
            lines.append(
                _row(
                    words,
                    m[f"{key}_recall"],
                    m[f"{key}_precision"],
                    m[f"{key}_n_events"]["value"],
                )
            )
    return "\n".join(
        [
            *lines,
            "",
            f"Event F1: {_span(found)}; baseline {found['baseline_value']:.3f}.",
            found["notes"].replace(". ", ".\n").strip(),
            "",
        ]
    )


def _row(words: str, recall: dict[str, float], precision: dict[str, float], n: float) -> str:
    return f"| {words} | {_span(recall)} | {_span(precision)} | {n:.0f} |"


def _span(found: dict[str, float]) -> str:
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


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
