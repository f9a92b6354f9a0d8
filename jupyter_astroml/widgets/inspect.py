"""``aml.inspect(run)``: the inspector of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_astroml import session
from jupyter_astroml.core.errors import DataError
from jupyter_astroml.explain.methods import METHODS, quick
from jupyter_astroml.widgets.inspector import Inspector, inspector


def inspect(run: Any, *, bokehjs: str = "auto") -> Inspector:
    """Look at a run: table, scatter, data and saliency, all linked.

    Parameters
    ----------
    run : Run or Path
        What `jupyter_astroml.predict` returned, or its folder.
    bokehjs : {"auto", "served", "inline"}
        Where the page gets BokehJS: see `jupyter_astroml.widgets.live.bokehjs`.

    Returns
    -------
    Inspector
        A widget; tap a point, a row or a thumbnail.

    Raises
    ------
    RunError
        If there is no such run.
    DataError
        If nothing was predicted yet, or the run is over spectra.
    """
    made = session.open_run(run) if isinstance(run, str | Path) else run
    kind = session.model(made.job.model).card.kind
    if kind == "spectra":
        raise DataError(
            "Runs over spectra cannot be inspected yet",
            remedy="look at run.predictions(), and aml.show(aml.fetch(run, ids=[…]))",
        )

    def explained(sample: Any, target: str | float, method: str, progress: Any) -> Any:
        # Explanations of light curves are cut to a window: what is quick depends on that.
        shape = (*sample.values.shape[:-1], min(sample.values.shape[-1], session.WINDOW))
        return refined(sample, target, method, progress, **quick(method, shape))

    def refined(
        sample: Any, target: str | float, method: str, progress: Any, **options: Any
    ) -> Any:
        return session.explain(
            sample,
            model=made.job.model,
            digest=made.job.digest,
            target=target,
            method=method,
            progress=progress,
            **options,
        )

    return inspector(
        made.predictions(),
        kind=kind,
        fetch=lambda name: session.fetch(made, ids=[name]),
        explain=explained,
        refine=refined,
        events=lambda sample, one: session.events(one, sample),
        methods=METHODS,
        bokehjs=bokehjs,
    )
