"""Write the measured part of the model's README from its facts, so that no figure is typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jupyter_astroml.models.cards import Facts, read_card
from jupyter_astroml.zoo import drawing
from jupyter_astroml.zoo.flares import worst
from jupyter_astroml.zoo.reporting import plain, sentences, span, write_measured


def write_report(out: Path, data: Path | None = None) -> None:
    """Draw the figures, and replace the measured part of ``README.md``.

    Parameters
    ----------
    out : Path
        Folder of the model.
    data : Path, optional
        Real stars; without them their light curves are not drawn again.
    """
    facts = read_card(out).facts
    if facts is not None and facts.evaluation.get("curves"):
        sure = facts.training["unseen_simulation"]["reliability"]["bins"]
        draw(out / drawing.JUDGED, facts.evaluation["curves"], sure)
        if data is not None:
            worst.draw(out / worst.FILE, data, facts.training["worst"])
    write_measured(out, measured)


def draw(path: Path, found: Mapping[str, Any], sure: Sequence[Mapping[str, float]]) -> None:
    """Draw recall and precision of all settings, and how often a probability comes true.

    Parameters
    ----------
    path : Path
        Of the PNG.
    found : mapping
        Curves of the evaluation.
    sure : sequence of mapping
        Bins of the probability of simulated cadences.
    """
    page = drawing.figure(7.0, 3.3)
    left, right = page.subplots(1, 2)
    for who, (colour, mark) in {
        "baseline": (drawing.BASELINE, "s"),
        "network": (drawing.NETWORK, "o"),
    }.items():
        recall, precision = np.array(found["choices"][who]).T
        left.plot(recall, precision, mark, color=colour, markersize=4, alpha=0.6, label=who)
    for point in found["default"]:
        left.plot(*point, "o", color="black", mfc="none", markersize=10, label="default")
    left.axvline(found["least"], color="0.6", linewidth=1)
    left.set(xlim=(0.4, 1.02), ylim=(0, 1.03), xlabel="recall, real stars")
    left.set_ylabel("precision (lower bound)")
    left.legend(loc="lower left", fontsize=8)
    right.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    points = [[b["probability"], b["frequency"]] for b in sure]
    right.plot(*np.array(points).T, "o-", color=drawing.NETWORK, markersize=4, linewidth=1)
    right.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="probability of a cadence, simulated stars")
    right.set_ylabel("share that is flaring")
    for panel in (left, right):
        panel.grid(alpha=0.3)
    page.savefig(path, metadata={"Software": None})


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
    parts = [_real(facts.evaluation), _worst(facts.training["worst"])] if facts.evaluation else []
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
        f"Network minus baseline on the same days: {span(m['gain'])}; {_clear(m['gain'])}.",
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
        "![Left: recall and precision of every setting on real stars. Right: how often cadences of "
        f"a probability are flaring, simulated]({drawing.JUDGED})",
        "",
    ]
    return "\n".join(lines)


def _clear(gain: Mapping[str, float]) -> str:
    """Say whether an interval is clear of 0."""
    if gain["low"] > 0:
        return "the network is better"
    return "the interval holds 0, so these stars are too few to say which is better"


def _worst(found: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "What the default answer and the catalogue differ about most:",
        "",
        "| star (TIC) | what | from (BTJD) | to | height | largest p |",
        "|---|---|---|---|---|---|",
        *(
            f"| {w['id'].lstrip('0')} | {w['kind']} | {w['start']:.4f} | {w['stop']:.4f} "
            f"| {plain(w['height'])} | {w['p']:.4f} |"
            for w in found
        ),
        "",
        f"![Light curves of the rows above, in their order]({worst.FILE})",
        "",
        "Shaded: orange where a catalogued flare was missed, blue an event that the catalogue does "
        "not list; dotted: catalogued peaks.",
        "Light curves of TESS: NASA/MAST.",
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
