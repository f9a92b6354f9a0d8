"""Write the measured part of the model's README from its facts, so that no figure is typed."""

from __future__ import annotations

from jupyter_astroml.models.cards import Facts
from jupyter_astroml.zoo.galaxy_morphology.simulate import CLASSES
from jupyter_astroml.zoo.reporting import beside_baseline, plain, span


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
        f"Trained on {training['objects']} objects in {training['minutes']:g} minutes with "
        f"{training['threads']} thread(s); {training['split']}.",
        f"Cross-validation inside the training objects, single networks: accuracy "
        f"{training['cross_validation']['accuracy']:.3f}, macro-F1 "
        f"{training['cross_validation']['macro_f1']:.3f}.",
        "",
    ]
    return "\n".join(lines)


_OVERALL = (
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
