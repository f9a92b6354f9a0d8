"""``aml.show(…)``: a map or a calibration as a figure in the notebook."""

from __future__ import annotations

from typing import Any

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.core.records import Attributions, Predictions
from jupyter_astroml.plots import calibration, maps
from jupyter_astroml.widgets.live import Live
from jupyter_astroml.widgets.live import bokehjs as provide_bokehjs


def show(found: Any, *, truth: Any = None, bokehjs: str = "auto") -> Live:
    """Draw what `explain` returned, or how well predictions are calibrated.

    Parameters
    ----------
    found : Attributions or Predictions
        Maps of one or several objects, drawn one below the other; or answers of a classifier.
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
        For anything else.
    """
    from bokeh.layouts import column

    provide_bokehjs(bokehjs)
    if isinstance(found, Attributions):
        rows = range(len(found))
        return Live(column(*[maps.draw(found.samples[i], found[i]) for i in rows]))
    if isinstance(found, Predictions) and truth is not None:
        return Live(calibration.draw(calibration.from_labels(found, truth)))
    raise DataError(
        f"{type(found).__name__} cannot be shown like this",
        remedy="show(aml.explain(…)), or show(run.predictions(), truth=rows['true_class'])",
    )
