"""Spectra as lines: brightness against wavelength, with one standard deviation about it."""

from __future__ import annotations

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, LayoutDOM

from jupyter_astroml.core.records import Spectra

from .look import INK, LABELS, canvas, plain


def draw(spectra: Spectra, *, index: int = 0, width: int = 780) -> LayoutDOM:
    """Draw one spectrum; pixels without data are gaps.

    Parameters
    ----------
    spectra : Spectra
        Of which one is drawn.
    index : int
        Its row.
    width : int
        Pixels of the screen.

    Returns
    -------
    LayoutDOM
        Its title says in words what is seen.
    """
    n = int(spectra.lengths()[index])
    wave = spectra.wavelength[index, :n]
    flux = spectra.values[index, :n].astype(np.float64)
    drawn = {"wave": wave, "flux": flux}
    if spectra.errors is not None:
        error = spectra.errors[index, :n].astype(np.float64)
        drawn |= {"low": flux - error, "high": flux + error}
    source = ColumnDataSource(drawn)
    plot = canvas(width=width, height=260, tools="xpan,xwheel_zoom,box_zoom,reset")
    if "low" in drawn:
        plot.varea("wave", "low", "high", source=source, color=LABELS[2], alpha=0.25)
    line = plot.line("wave", "flux", source=source, color=INK, line_width=1)
    unit = f" {spectra.wave_unit}" if spectra.wave_unit else ""
    plot.add_tools(
        HoverTool(
            renderers=[line],
            tooltips=[("wavelength", f"@wave{{0.00}}{plain(unit)}"), ("flux", "@flux{0.000e+0}")],
        )
    )
    plot.title.text = plain(describe(spectra, index=index))
    plot.xaxis.axis_label = plain(_label("wavelength", spectra.wave_unit, spectra.medium))
    plot.yaxis.axis_label = plain(_label("flux", spectra.flux_unit))
    layout: LayoutDOM = plot
    return layout


def describe(spectra: Spectra, *, index: int = 0) -> str:
    """Say in words what the plot of one spectrum shows."""
    name = str(spectra.ids[index])
    n = int(spectra.lengths()[index])
    if not n:
        return f"{name}: no data"
    wave, flux = spectra.wavelength[index, :n], spectra.values[index, :n]
    unit = f" {spectra.wave_unit}" if spectra.wave_unit else ""
    peak = wave[np.nanargmax(flux)]
    told = " (simulated)" if spectra.simulated else ""
    return f"{name}{told}: {wave[0]:.6g} to {wave[-1]:.6g}{unit}, brightest at {peak:.6g}"


def _label(name: str, *about: str) -> str:
    known = ", ".join(filter(None, about))
    return f"{name} [{known}]" if known else name
