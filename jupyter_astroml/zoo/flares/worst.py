"""Flares that the model misses, events that no catalogue lists, and their light curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.models.events import Rule, events
from jupyter_astroml.zoo import drawing
from jupyter_astroml.zoo.flares import matching
from jupyter_astroml.zoo.flares.real import read

if TYPE_CHECKING:
    from jupyter_astroml.models.loading import Model

FILE = "worst.png"
MISSED, UNLISTED = "missed flare", "event that no catalogue lists"
# Shown on either side, minutes.
_AROUND = 60.0


def worst(
    folder: Path | str, model: Model, *, shown: int = drawing.MOST_SHOWN
) -> list[dict[str, Any]]:
    """Return what the default answer and the catalogue differ about most, missed flares first.

    Parameters
    ----------
    folder : Path
        In the layout of `jupyter_astroml.zoo.flares.real`.
    model : Model
        To be asked.
    shown : int
        Number of rows: missed flares, the highest first, then events, the most significant first.

    Returns
    -------
    list of mapping
        ``id`` of the star, ``kind``, ``start`` and ``stop`` (BTJD; of a flare the time in which an
        event would match it), ``height`` (relative flux) and ``p``, the largest probability there.
    """
    curves, flares = read(folder)
    arrays = model.predict(curves).arrays
    light = curves.time, curves.values, curves.errors
    found = events(
        arrays["probability"],
        arrays["probability_std"],
        *light,
        ids=curves.ids,
        rule=Rule.of(model.card),
    )
    seen, listed = matching.matched(found, flares)
    rows = []
    for flare in flares[~seen]:
        i = list(curves.ids).index(flare["id"])
        start = float(flare["t_peak"]) - matching.MINUTES_BEFORE / 1440
        stop = float(flare["t_peak"]) + matching.MINUTES_AFTER / 1440
        inside = (curves.time[i] >= start) & (curves.time[i] <= stop)
        height = float(flare["amplitude"]) if "amplitude" in flares.colnames else float("nan")
        p = float(np.nanmax(arrays["probability"][i][inside], initial=0.0))
        rows.append(_row(flare["id"], MISSED, start, stop, height, p))
    rows.sort(key=lambda row: -np.nan_to_num(row["height"] or 0.0))
    others = found[~listed]
    for event in others[np.argsort(-np.asarray(others["snr"], dtype=float), kind="stable")]:
        ends = float(event["t_start"]), float(event["t_stop"])
        about = float(event["amplitude"]), float(event["probability"])
        rows.append(_row(event["id"], UNLISTED, *ends, *about))
    return rows[:shown]


def _row(
    star: str, kind: str, start: float, stop: float, height: float, p: float
) -> dict[str, Any]:
    return {
        "id": str(star),
        "kind": kind,
        "start": round(start, 4),
        "stop": round(stop, 4),
        "height": round(height, 4) if np.isfinite(height) else None,
        "p": round(p, 4),
    }


def draw(path: Path, folder: Path | str, found: Sequence[Mapping[str, Any]]) -> None:
    """Draw the light curves about the rows of `worst`, their time marked.

    Parameters
    ----------
    path : Path
        Of the PNG.
    folder : Path
        The light curves.
    found : sequence of mapping
        From `worst`.
    """
    curves, flares = read(folder)
    page = drawing.figure(8.4, 4.0)
    panels = page.subplots(2, -(-max(len(found), 2) // 2), squeeze=False).ravel()
    for panel in panels[len(found) :]:
        panel.set_axis_off()
    for panel, row in zip(panels, found, strict=False):
        i = list(curves.ids).index(row["id"])
        middle = (row["start"] + row["stop"]) / 2
        minutes = 1440 * (curves.time[i] - middle)
        near = np.abs(minutes) < _AROUND + 720 * (row["stop"] - row["start"])
        colour = drawing.BASELINE if row["kind"] == MISSED else drawing.NETWORK
        span = 1440 * (row["start"] - middle), 1440 * (row["stop"] - middle)
        panel.axvspan(*span, color=colour, alpha=0.2, linewidth=0)
        percent = 100 * (curves.values[i][near] / np.nanmedian(curves.values[i][near]) - 1)
        panel.plot(minutes[near], percent, ".", color="0.2", markersize=3)
        for peak in np.asarray(flares["t_peak"], dtype=float)[flares["id"] == row["id"]]:
            if abs(peak - middle) * 1440 < minutes[near].max():
                panel.axvline(1440 * (peak - middle), color="0.5", linestyle=":", linewidth=1)
        panel.set_title(f"TIC {row['id'].lstrip('0')}, p = {row['p']:.3f}", fontsize=8)
        panel.tick_params(labelsize=7)
    page.supxlabel("minutes", fontsize=8)
    page.supylabel("flux above the median, per cent", fontsize=8)
    page.savefig(path, metadata={"Software": None})
