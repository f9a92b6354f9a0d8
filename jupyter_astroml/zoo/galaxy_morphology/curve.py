"""Learning curves with their intervals, as a small SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jupyter_astroml.models.evaluation import Interval

# Of Okabe & Ito 2008: told apart by whoever sees fewer colours.
_COLOURS = ("#6e7781", "#d55e00", "#009e73", "#0072b2", "#cc79a7")
_SIDE, _LEFT, _TOP = 250, 52, 30


@dataclass(frozen=True)
class Panel:
    """One score.

    Attributes
    ----------
    start : Interval
        Without any label.
    lines : mapping of str to mapping of int to Interval
        By the name of a method and the number of labels.
    """

    start: Interval
    lines: Mapping[str, Mapping[int, Interval]]


def draw(panels: Mapping[str, Panel], *, counts: Sequence[int], start: str) -> str:
    """Draw panels side by side, and below them what the colours mean.

    Parameters
    ----------
    panels : mapping of str to Panel
        By the words over them; the methods are the same in all.
    counts : sequence of int
        Numbers of labels.
    start : str
        What stands without any label, in words.
    """
    step, bottom = _SIDE + _LEFT + 14, _TOP + _SIDE + 56
    parts = [
        _panel(panel, words, counts=counts, start=start, left=_LEFT + i * step)
        for i, (words, panel) in enumerate(panels.items())
    ]
    names = list(next(iter(panels.values())).lines)
    for i, name in enumerate(names):
        x, y = _LEFT + (i % 2) * step, bottom + 18 * (i // 2)
        parts.append(
            f'<circle cx="{x + 5}" cy="{y - 4}" r="4" fill="{_COLOURS[i]}"/>'
            f'<text x="{x + 14}" y="{y}">{name.replace("`", "")}</text>'
        )
    width, height = len(panels) * step + 4, bottom + 18 * ((len(names) - 1) // 2) + 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" font-family="sans-serif" font-size="11">'
        "<title>Scores on galaxies put aside, against the number of real labels</title>"
        f'<rect width="{width}" height="{height}" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _panel(panel: Panel, words: str, *, counts: Sequence[int], start: str, left: int) -> str:
    shown = [panel.start, *(point for line in panel.lines.values() for point in line.values())]
    low = np.floor(10 * min(point.low for point in shown)) / 10
    high = np.ceil(10 * max(point.high for point in shown)) / 10

    def across(i: float) -> float:
        return left + _SIDE * (i + 0.5) / (1 + len(counts))

    def down(value: float) -> float:
        return _TOP + _SIDE * (high - value) / (high - low)

    def mark(x: float, point: Interval) -> str:
        return (
            f'<path d="M{x:.1f} {down(point.low):.1f}V{down(point.high):.1f}"/>'
            f'<circle cx="{x:.1f}" cy="{down(point.value):.1f}" r="3.5" stroke="none"/>'
        )

    parts = [
        f'<path d="M{left} {down(v):.1f}h{_SIDE}" stroke="#d8dee4"/>'
        f'<text x="{left - 5}" y="{down(v) + 4:.1f}" text-anchor="end">{v:.1f}</text>'
        for v in np.arange(low, high + 0.05, 0.1)
    ]
    parts += [
        f'<text x="{across(i):.1f}" y="{_TOP + _SIDE + 15}" text-anchor="middle">{n}</text>'
        for i, n in enumerate((0, *counts))
    ]
    parts += [
        f'<g stroke="#24292f" fill="#24292f">{mark(across(0), panel.start)}</g>',
        *(
            f'<text x="{across(0) + 4:.1f}" y="{down(panel.start.low) + 14 + 12 * i:.1f}" '
            f'text-anchor="middle">{word}</text>'
            for i, word in enumerate(start.split())
        ),
    ]
    for k, line in enumerate(panel.lines.values()):
        if not line:
            continue
        # Side by side, so that no interval hides another.
        aside = 5 * (k - (len(panel.lines) - 1) / 2)
        at = [across(1 + counts.index(n)) + aside for n in line]
        path = "L".join(
            f"{x:.1f} {down(p.value):.1f}" for x, p in zip(at, line.values(), strict=True)
        )
        marks = "".join(mark(x, p) for x, p in zip(at, line.values(), strict=True))
        parts.append(
            f'<path d="M{path}" fill="none" stroke="{_COLOURS[k]}" stroke-opacity="0.5"/>'
            f'<g stroke="{_COLOURS[k]}" fill="{_COLOURS[k]}">{marks}</g>'
        )
    middle = left + _SIDE / 2
    return "".join(parts) + (
        f'<rect x="{left}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}" fill="none" '
        'stroke="#57606a"/>'
        f'<text x="{middle}" y="{_TOP - 10}" text-anchor="middle">{words}</text>'
        f'<text x="{middle}" y="{_TOP + _SIDE + 32}" text-anchor="middle">real labels</text>'
    )
