"""``aml.inspect(run)``: the inspector of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_astroml import session
from jupyter_astroml.explain.methods import METHODS
from jupyter_astroml.widgets.inspector import Inspector, inspector

# Enough passes for a map that a person reads, few enough to be there within a second.
_QUICK: dict[str, dict[str, Any]] = {
    "smoothgrad": {"samples": 12},
    "integrated_gradients": {"steps": 12},
}


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
        If nothing was predicted yet.
    """
    made = session.open_run(run) if isinstance(run, str | Path) else run
    kind = session.model(made.job.model).card.kind

    def explained(sample: Any, target: str | float, method: str) -> Any:
        return session.explain(
            sample,
            model=made.job.model,
            target=target,
            method=method,
            **_QUICK.get(method, {}),
        )

    return inspector(
        made.predictions(),
        kind=kind,
        fetch=lambda name: session.fetch(made, ids=[name]),
        explain=explained,
        methods=METHODS,
        bokehjs=bokehjs,
    )
