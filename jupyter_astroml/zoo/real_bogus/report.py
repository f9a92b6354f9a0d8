"""Write the measured part of the model's README from its facts, and the picture of its alerts."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.models.cards import Facts, read_card, write_facts
from jupyter_astroml.zoo import drawing, training
from jupyter_astroml.zoo.real_bogus import real
from jupyter_astroml.zoo.real_bogus.evaluate import evaluate, worst
from jupyter_astroml.zoo.real_bogus.simulate import BOGUS, REAL, simulate
from jupyter_astroml.zoo.real_bogus.trial import on_simulation
from jupyter_astroml.zoo.reporting import (
    beside_baseline,
    command,
    figure,
    hardware,
    plain,
    write_measured,
)

PICTURE = "kinds.png"
_SIMULATED = {
    "gain": "share missed, baseline minus network",
    "auc": "area under the curve",
    "calibration_error": "expected calibration error",
}
_AGREEMENT = {
    "gain": "area, network minus baseline",
    "sure_area": "area, alerts of which braai is sure",
    "rank_correlation": "rank correlation with braai",
    "same_answer": "same answer as braai at 0.5",
    "drb_area": "area against the survey's drb",
    "rb_area": "area against the survey's older rb",
    "versions_area": "for comparison: area of the survey's drb against braai",
    "versions_rank_correlation": "for comparison: rank correlation of drb with braai",
    "rule_asteroid": "known asteroids that are called real",
    "rule_variable": "known variable stars that are called real",
}


_CREDIT = (
    "Stamps: Zwicky Transient Facility, public alerts; science, template and difference, north up."
)


_SHEET = [f"![Stamps of these alerts, in this order]({drawing.WORST})", "", _CREDIT, ""]


def main(arguments: list[str] | None = None) -> int:
    """Judge the model again and write its report, from the command line."""
    return command("jupyter_astroml.zoo.real_bogus", write_report, judge, arguments)


def judge(out: Path, data: Path) -> None:
    """Try the model on simulation again, and compare it with real alerts again.

    Parameters
    ----------
    out : Path
        Folder of the model.
    data : Path
        Real alerts.
    """
    from jupyter_astroml.models.loading import from_folder

    model = from_folder(out)
    facts = model.card.facts
    if facts is None or "simulated" not in facts.training:
        raise ModelError("The model was not tried on simulation", remedy="train it")
    before = facts.training["simulated"]
    again = on_simulation(model, out, n=before["n"], seed=before["seed"]).to_json()
    about = {**facts.training, "simulated": again}
    write_facts(out, facts.model_copy(update={"training": about}))
    training.judged_again(out, data, evaluate=evaluate, worst=worst)


def write_report(out: Path, data: Path | None = None) -> None:
    """Draw the figures, and replace the measured part of ``README.md``.

    Parameters
    ----------
    out : Path
        Folder of the model.
    data : Path, optional
        Real alerts; without them the worst are not drawn again.
    """
    draw(out / PICTURE)
    facts = read_card(out).facts
    trial = facts.training.get("simulated", {}) if facts else {}
    if facts and trial.get("curves"):
        drawing.judged(out / drawing.JUDGED, trial["curves"])
        if data is not None:
            draw_worst(out / drawing.WORST, data, facts.training["worst"])
    write_measured(out, measured)


def draw_worst(path: Path, data: Path, found: Sequence[Mapping[str, Any]]) -> None:
    """Draw the alerts on which network and braai differ most.

    Parameters
    ----------
    path : Path
        Of the JPEG.
    data : Path
        Real alerts.
    found : sequence of mapping
        From `jupyter_astroml.zoo.real_bogus.evaluate.worst`.
    """
    cutouts, _ = real.read(data)
    row_of = {name: i for i, name in enumerate(cutouts.ids)}
    # The first row of a stamp is the south.
    shown = [
        np.concatenate([levels(plane)[::-1] for plane in cutouts.values[row_of[w["id"]]]], axis=1)
        for w in found
    ]
    words = [[w["id"], f"p(real) {w['p_real']:.3f}, braai {w['braai']:.3f}"] for w in found]
    drawing.sheet(path, shown, words, columns=2, side=cutouts.values.shape[-1])


def measured(facts: Facts) -> str:
    """Return the measured part as Markdown.

    Parameters
    ----------
    facts : Facts
        Of a trained model.
    """
    found, training = facts.evaluation, facts.training
    trial = training["simulated"]
    metrics = trial["metrics"]
    lines = [
        f"{trial['n']} simulated alerts, {trial['split']}; one bogus alert in a hundred may pass.",
        "",
        *beside_baseline(trial, "share of the real alerts that is missed", _SIMULATED),
        f"Baseline: {trial['baseline']}.",
        "",
        *figure(trial),
        *_shares("Real alerts that are missed", "missed", metrics),
        *_shares("Bogus alerts that pass", "passed", metrics),
        *(_agreement(found, training) if found else ["Not compared with real alerts yet.", ""]),
        f"Trained on {training['objects']} simulated alerts in {hardware(training)}, "
        f"{training['weights']} weights a network.",
        "",
    ]
    return "\n".join(lines)


def _shares(title: str, what: str, metrics: Mapping[str, Any]) -> list[str]:
    found = {
        name.removeprefix(f"{what}, ").replace("_", " "): m
        for name, m in metrics.items()
        if name.startswith(f"{what}, ")
    }
    return [
        f"| {title} | alerts | network | baseline |",
        "|---|---|---|---|",
        *(
            f"| {name} | {m['n']:.0f} | {m['value']:.3f} | {m['baseline']:.3f} |"
            for name, m in sorted(found.items(), key=_by_number)
        ),
        "",
    ]


def _by_number(item: tuple[str, Any]) -> tuple[float, str]:
    """Sort "5 to 7" before "10 to 20" before "above 50", and words by the alphabet."""
    numbers = [word for word in item[0].split() if word.isdigit()]
    return float(numbers[0]) if numbers else 100.0, item[0]


def _agreement(found: Mapping[str, Any], training: Mapping[str, Any]) -> list[str]:
    metrics = found["metrics"]
    counts = [
        f"{int(metrics[name]['value'])} {words}"
        for name, words in (
            ("n_asteroid", "asteroids"),
            ("n_variable", "variable stars"),
            ("n_sure", "alerts of which braai is sure"),
        )
        if name in metrics
    ]
    lines = [
        f"Real alerts, {found['sample']} (`{found['data']}`); {found['split']}.",
        "This is agreement with other programs and catalogues, not truth.",
        "",
        *beside_baseline(found, "area for braai ≥ 0.5 against below", _AGREEMENT, head="agreement"),
        f"Among them: {', '.join(counts)}.",
    ]
    for rule, words in (("asteroid", "asteroids"), ("variable", "variable stars")):
        if f"rule_{rule}_braai" in metrics:
            share = plain(metrics[f"rule_{rule}_braai"]["value"])
            lines.append(f"Of those {words} that it scored, braai calls {share} real.")
    return [
        *lines,
        "The alerts on which network and braai differ most:",
        "",
        "| alert | p(real) | braai |",
        "|---|---|---|",
        *(f"| {w['id']} | {w['p_real']:.4f} | {w['braai']:.4f} |" for w in training["worst"]),
        "",
        *(_SHEET if training["simulated"].get("curves") else []),
    ]


def draw(path: Path) -> None:
    """Draw one simulated alert of each kind: science, template, difference."""
    from PIL import Image, ImageDraw

    kinds = (*REAL, *BOGUS)
    cutouts, truth = simulate(len(kinds), seed=5, kinds=kinds)
    side, head, columns = cutouts.values.shape[-1], 13, 3
    wide, high = 3 * side + 8, side + head
    page = Image.new("L", (columns * wide, -(-len(kinds) // columns) * high), 255)
    pen = ImageDraw.Draw(page)
    for i, planes in enumerate(cutouts.values):
        x, y = (i % columns) * wide, (i // columns) * high
        pen.text((x + 2, y), f"{kinds[i]}, {truth['snr'][i]:.0f} sigma", fill=0)
        for band, plane in enumerate(planes):
            page.paste(Image.fromarray(levels(plane)), (x + band * side, y + head))
    page.save(path, optimize=True)


def levels(plane: np.ndarray) -> np.ndarray:
    """Return grey levels 0 to 255 of a plane: from -3σ, logarithmic above a few; missing is 0."""
    known = plane[np.isfinite(plane)]
    if not known.size:
        return np.zeros(plane.shape, dtype=np.uint8)
    middle = np.median(known)
    noise = max(1.4826 * float(np.median(np.abs(known - middle))), 1e-6)
    shown = np.clip((np.arcsinh((plane - middle) / noise / 3) + 1.0) / 4.5, 0.0, 1.0)
    return np.rint(255 * np.nan_to_num(shown)).astype(np.uint8)


if __name__ == "__main__":
    sys.exit(main())
