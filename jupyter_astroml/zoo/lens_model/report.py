"""Write the measured part of the model's README from its facts, so that no figure is typed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jupyter_astroml.models.cards import Facts, read_card
from jupyter_astroml.zoo import drawing
from jupyter_astroml.zoo.lens_model import picture
from jupyter_astroml.zoo.lens_model.simulate import NAMES, PIXEL_SCALE, SIZE, simulate
from jupyter_astroml.zoo.reporting import hardware, plain, write_measured

_WORDS = {
    "theta_e": "Einstein radius [arcsec]",
    "e1": "ellipticity e1",
    "e2": "ellipticity e2",
    "x": "centre x [arcsec]",
    "y": "centre y [arcsec]",
}


def main(arguments: list[str] | None = None) -> int:
    """Draw the worst lenses and write the report again, from the command line."""
    parser = argparse.ArgumentParser(prog="python -m jupyter_astroml.zoo.lens_model.report")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="model folder")
    given = parser.parse_args(arguments)
    write_report(given.out)
    return 0


def write_report(out: Path) -> None:
    """Draw the worst lenses, and replace the measured part of ``README.md``."""
    facts = read_card(out).facts
    if facts is not None and facts.training.get("worst"):
        draw_worst(out / drawing.WORST, facts.training["worst"])
    write_measured(out, measured)


def draw_worst(path: Path, found: Sequence[Mapping[str, Any]]) -> None:
    """Draw the lenses that were judged worst with the true (solid) and the answered ring (dashed).

    Parameters
    ----------
    path : Path
        Of the JPEG.
    found : sequence of mapping
        From `jupyter_astroml.zoo.lens_model.evaluate.worst`; the lenses are simulated again.
    """
    from PIL import Image

    numbers = [w["id"].removeprefix("sim").split("-") for w in found]
    last = max(int(number) for _, number in numbers)
    cutouts, _ = simulate(last + 1, seed=int(numbers[0][0]))
    page = drawing.figure(8.4, 4.7)
    panels = page.subplots(2, 4).ravel()
    edge = SIZE * PIXEL_SCALE / 2
    for panel in panels[len(found) :]:
        panel.set_axis_off()
    for panel, w, (_, number) in zip(panels, found, numbers, strict=False):
        image = drawing.levels(cutouts.values[int(number), 0])
        panel.imshow(image, cmap="gray", origin="lower", extent=(-edge, edge, -edge, edge))
        for name, style, colour in (("truth", "-", "#009e73"), ("answer", "--", "#e69f00")):
            panel.plot(*_ring(w[name]), style, color=colour, linewidth=1)
        panel.set_title(f"{w['id']}\ndistance {w['distance']:.1f}, S/N {w['snr']:.0f}", fontsize=8)
        panel.set(xticks=[], yticks=[])
    page.canvas.draw()
    pixels: Any = page.canvas
    path.write_bytes(drawing.small(Image.fromarray(np.asarray(pixels.buffer_rgba())[..., :3])))


def _ring(numbers: Sequence[float]) -> np.ndarray:
    """Return the ellipse of the mass at the Einstein radius, arcsec, shape (2, points)."""
    radius, e1, e2, x, y = numbers
    axis = float(np.clip(np.hypot(e1, e2), 0, 0.95))
    ratio = (1 - axis) / (1 + axis)
    angle, phase = 0.5 * np.arctan2(e2, e1), np.linspace(0, 2 * np.pi, 90)
    # The mean radius is kept: half-axes R / √q and R √q.
    a, b = radius / np.sqrt(ratio) * np.cos(phase), radius * np.sqrt(ratio) * np.sin(phase)
    return np.stack(
        [x + a * np.cos(angle) - b * np.sin(angle), y + a * np.sin(angle) + b * np.cos(angle)]
    )


def measured(facts: Facts) -> str:
    """Return the measured part as Markdown.

    Parameters
    ----------
    facts : Facts
        Of a trained and evaluated model.
    """
    found, about = facts.evaluation, facts.training
    metrics = found["metrics"]
    lines = [
        f"**Simulations only**: {found['sample']}, drawn from the same ranges as the training; "
        "no real lens has a known mass.",
        "",
        *_errors(metrics),
        f"Baseline: {found['baseline']}, of the same images.",
        "Errors are root mean squares, intervals are 95 %, bootstrap over lenses; 'typical' is "
        "1.4826 times the median of the absolute error.",
        "",
        *_coverage(metrics),
        f"![Answers against the truth of simulated lenses, with their errors]({picture.FILE})",
        "",
        *_elsewhere(about["elsewhere"]),
        *_fits(about.get("fits")),
        *_worst(about["worst"]),
        f"Trained on {about['lenses']} simulated lenses, "
        f"{about['recipe']['rounds']} round(s) of {about['recipe']['epochs']} passes, "
        f"in {hardware(about)}.",
        "",
    ]
    return "\n".join(lines)


def _errors(metrics: Mapping[str, Any]) -> list[str]:
    lines = [
        "| parameter | error of the network [95 %] | of the baseline | typical, network "
        "| typical, baseline | bias |",
        "|---|---|---|---|---|---|",
    ]
    for name in NAMES:
        rmse, usual = metrics[f"rmse_{name}"], metrics[f"typical_error_{name}"]
        bias = metrics[f"bias_{name}"]
        lines.append(
            f"| {_WORDS[name]} | {fine(rmse)} | {rmse['baseline']:.4f} | {fine(usual)} "
            f"| {usual['baseline']:.4f} | {fine(bias)} |"
        )
    return [*lines, ""]


def _coverage(metrics: Mapping[str, Any]) -> list[str]:
    lines = ["| interval of | holds the truth, 68 % promised | 95 % promised |", "|---|---|---|"]
    for name in (*NAMES, "joint"):
        words = _WORDS.get(name, "all five, ellipsoid")
        lines.append(
            f"| {words} | {share(metrics[f'coverage_68_{name}'])} "
            f"| {share(metrics[f'coverage_95_{name}'])} |"
        )
    return [*lines, ""]


def _elsewhere(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "Lenses unlike those of the training, simulated too:",
        "",
        "| kind | error of θ_E | bias of θ_E | ellipsoid of 95 % holds | flagged by `aml.check` |",
        "|---|---|---|---|---|",
    ]
    for kind, m in found.items():
        cells = [
            fine(m["rmse_theta_e"]) if "rmse_theta_e" in m else "–",
            fine(m["bias_theta_e"]) if "bias_theta_e" in m else "–",
            share(m["coverage_95_joint"]) if "coverage_95_joint" in m else "–",
            share(m["flagged"]),
        ]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return [*lines, ""]


def _fits(found: Mapping[str, Any] | None) -> list[str]:
    """Return the comparison that ``benchmarks/lens_model.py`` noted, if it did."""
    if not found:
        return []
    return [
        f"Against maximum-likelihood fits by lenstronomy of {found['n']} of such lenses, "
        "typical errors:",
        "",
        "| parameter | network | fit |",
        "|---|---|---|",
        *(
            f"| {_WORDS[name]} | {found['network'][name]:.4f} | {found['fit'][name]:.4f} |"
            for name in NAMES
        ),
        "",
        f"{found['well']} of the {found['n']} fits came to a χ² of a pixel below "
        f"{found['well_below']:g}.",
        f"Time a lens: network {1000 * found['network_s']:.0f} ms, fit {found['fit_s']:.0f} s, "
        f"{found['ratio']:.0f} times as long (median, one thread).",
        "",
    ]


def _worst(found: list[dict[str, Any]]) -> list[str]:
    lines = [
        "The worst answers: truths that are furthest from them, in their own errors (Mahalanobis "
        f"distance); {', '.join(NAMES)}.",
        "",
        "| lens | distance | S/N | truth | answer |",
        "|---|---|---|---|---|",
    ]
    for w in found:
        truth, answer = (", ".join(f"{v:.2f}" for v in w[k]) for k in ("truth", "answer"))
        lines.append(f"| `{w['id']}` | {w['distance']:.1f} | {w['snr']:.0f} | {truth} | {answer} |")
    words = "Images of them with the true ring (solid) and the answer (dashed)"
    return [*lines, "", f"![{words}]({drawing.WORST})", "", f"{words}, 6.4 arcsec wide.", ""]


def fine(found: Mapping[str, Any]) -> str:
    """Write a small number with its interval."""
    if found.get("low") is None:
        return plain(found["value"])
    return f"{found['value']:.4f} [{found['low']:.4f}, {found['high']:.4f}]"


def share(found: Mapping[str, Any]) -> str:
    """Write a share in per cent with its interval."""
    low, high = (found["low"], found["high"])
    return f"{100 * found['value']:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


if __name__ == "__main__":
    sys.exit(main())
