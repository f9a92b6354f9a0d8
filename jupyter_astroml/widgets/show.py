"""``aml.show(…)``: a map or a calibration as a figure in the notebook."""

from __future__ import annotations

from typing import Any

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import Attributions, Predictions, Samples
from jupyter_astroml.plots import calibration, maps
from jupyter_astroml.widgets.live import Live
from jupyter_astroml.widgets.live import bokehjs as provide_bokehjs

# More figures than these are no longer looked at, and a page of them is slow.
MOST = 24


def show(found: Any, *, truth: Any = None, bokehjs: str = "auto") -> Live:
    """Draw what `fetch` or `explain` returned, or how well predictions are calibrated.

    Parameters
    ----------
    found : Cutouts, LightCurves, Spectra, Attributions or Predictions
        Data or maps of a few objects, drawn one below the other; or answers of a classifier.
    truth : array of str, shape (n,), optional
        With predictions: the true class of each object, for a reliability diagram.
    bokehjs : {"auto", "served", "inline"}
        Where the page gets BokehJS: see `jupyter_astroml.widgets.live.bokehjs`.

    Returns
    -------
    Live
        A widget.

    Raises
    ------
    DataError
        For anything else, or for more than `MOST` objects.
    """
    from bokeh.layouts import column

    provide_bokehjs(bokehjs)
    if isinstance(found, Attributions | Samples) and len(found) > MOST:
        raise DataError(
            f"{len(found)} objects are too many to be drawn at once",
            remedy=f"show the first: aml.show(found[:{MOST}])",
        )
    if isinstance(found, Samples):
        return Live(column(*[maps.draw(found, index=i) for i in range(len(found))]))
    if isinstance(found, Attributions):
        rows = range(len(found))
        return Live(column(*[maps.draw(found.samples[i], found[i]) for i in rows]))
    if isinstance(found, Predictions) and truth is not None:
        return Live(calibration.draw(calibration.from_labels(found, truth)))
    raise DataError(
        f"{type(found).__name__} cannot be shown like this",
        remedy="show(aml.fetch(…)), show(aml.explain(…)), or show(run.predictions(), "
        "truth=rows['true_class'])",
    )
