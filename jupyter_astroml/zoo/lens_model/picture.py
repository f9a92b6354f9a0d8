"""Truth against answer of unseen simulated lenses, as a small SVG for the README."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jupyter_astroml.models.estimates import Estimates

FILE = "answers.svg"
# Lenses that are drawn, and pixels of a panel and of its margin.
_SHOWN, _SIDE, _MARGIN = 150, 220, 46
_PANELS = {"theta_e": ("Einstein radius [arcsec]", 0.4, 2.1), "e1": ("ellipticity e1", -0.5, 0.5)}


def write(folder: Path, found: Estimates, truth: np.ndarray) -> Path:
    """Draw the first lenses with their errors of 68 %.

    Parameters
    ----------
    folder : Path
        Of the model.
    found : Estimates
        Calibrated.
    truth : ndarray, shape (n, k)
        In the units of the card.
    """
    step = _SIDE + _MARGIN
    panels = [
        _panel(found, truth, name, left=_MARGIN + i * (step + 14)) for i, name in enumerate(_PANELS)
    ]
    width, height = _MARGIN + len(panels) * (step + 14), _SIDE + 2 * _MARGIN
    path = folder / FILE
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" font-family="sans-serif" font-size="11">'
        "<title>Answers of the network against the truth, simulated lenses</title>"
        f'<rect width="{width}" height="{height}" fill="white"/>{"".join(panels)}</svg>\n',
        encoding="utf-8",
    )
    return path


def _panel(found: Estimates, truth: np.ndarray, name: str, *, left: int) -> str:
    words, low, high = _PANELS[name]
    i = found.names.index(name)

    def at(value: float) -> float:
        return _SIDE * (value - low) / (high - low)

    def down(value: float) -> float:
        return _SIDE + 16 - at(value)

    marks = []
    for k in range(min(_SHOWN, len(truth))):
        x, value = left + at(truth[k, i]), float(np.clip(found.values[k, i], low, high))
        ends = np.clip(value + np.array([-1, 1]) * found.sigma[k, i], low, high)
        marks.append(
            f'<path d="M{x:.1f} {down(ends[0]):.1f}V{down(ends[1]):.1f}"/>'
            f'<circle cx="{x:.1f}" cy="{down(value):.1f}" r="1.6"/>'
        )
    middle = left + _SIDE / 2
    ticks = "".join(
        f'<text x="{left + at(v):.0f}" y="{_SIDE + 30}" text-anchor="middle">{v:.2g}</text>'
        f'<text x="{left - 5}" y="{down(v) + 4:.0f}" text-anchor="end">{v:.2g}</text>'
        for v in np.linspace(low, high, 4 if low > 0 else 5)[1:]
    )
    return (
        f'<rect x="{left}" y="16" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#57606a"/>'
        f'<path d="M{left} {_SIDE + 16}L{left + _SIDE} 16" stroke="#d55e00"/>'
        f'<g stroke="#0072b2" fill="#0072b2" stroke-opacity="0.5">{"".join(marks)}</g>{ticks}'
        f'<text x="{middle}" y="{_SIDE + 46}" text-anchor="middle">truth</text>'
        f'<text x="{middle}" y="11" text-anchor="middle">answer: {words}</text>'
    )
