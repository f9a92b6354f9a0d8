"""Measure a model, and write down what runs answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError, ModelError
from jupyter_astroml.core.records import (
    LightCurves,
    Predictions,
)
from jupyter_astroml.models import catalogue

from .explaining import events, explain
from .fetching import fetch

if TYPE_CHECKING:
    from jupyter_astroml.compute.run import Run
    from jupyter_astroml.models.evaluation import Evaluation


def evaluate(
    model: str,
    *,
    data: Path | str | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure a model on labelled data that it was not trained on, with its baseline beside it.

    Parameters
    ----------
    model : str
        Name of the model.
    data : Path, optional
        Folder in the layout that the model's README names.
        Without it, a model that can be judged on simulations only draws new ones.
    seed : int
        Of the bootstrap, and of new simulations.
    progress : callable, optional
        Called with the number of objects done and the total.

    Raises
    ------
    ModelError
        If the model brings no evaluation.
    DataError
        If the folder does not have the layout, or holds no unseen object; or if none is given and
        the model is judged on real data.
    """
    from importlib import import_module
    from importlib.util import find_spec

    from jupyter_astroml.models.loading import load

    folder = None if data is None else Path(data)
    if folder is not None and not folder.is_dir():
        raise DataError(f"There is no folder {folder}", remedy="give the folder of labelled data")
    package = catalogue.architecture(catalogue.find(model).card.network.architecture)
    if find_spec(f"{package}.evaluate") is None:
        raise ModelError(f"The model {model} brings no evaluation")
    judge = import_module(f"{package}.evaluate")
    if folder is None and not getattr(judge, "SIMULATES", False):
        raise DataError(
            f"The model {model} is judged on real data, and none are given",
            remedy="give the folder of labelled data, in the layout of the model's README",
        )
    found: Evaluation = judge.evaluate(folder, model=load(model), seed=seed, progress=progress)
    return found


def report(
    runs: Run | Iterable[Run],
    path: Path | str,
    *,
    objects: int = 12,
    truth: np.ndarray | None = None,
    title: str = "",
) -> Path:
    """Write what a run answered, with pictures and saliency maps, as one file for a browser.

    Parameters
    ----------
    runs : Run or iterable of Run
        Several runs become tabs of one page.
    path : Path
        File to write; it needs no network to be read.
    objects : int
        Objects that are shown with their maps, the least sure ones first.
    truth : ndarray of str, shape (n,), optional
        True classes of one run, for a reliability diagram.
    title : str
        Heading.

    Returns
    -------
    Path
        The file.
    """
    from jupyter_astroml.compute.run import Run
    from jupyter_astroml.plots.book import book

    many = [runs] if isinstance(runs, Run) else list(runs)
    path = Path(path)
    if len(many) == 1:
        return _page(many[0], path, objects=objects, truth=truth, title=title)
    pages = {}
    for made, tab in zip(many, _tabs(many), strict=True):
        part = path.with_name(f".{path.stem}-{made.folder.name}.html")
        pages[tab] = _page(made, part, objects=objects, truth=None, title="").read_text("utf-8")
        part.unlink()
    return book(path, pages, title=title or "Predictions")


def _tabs(runs: list[Run]) -> list[str]:
    """Return a name for each run: its model, and its folder where that alone is not unique."""
    for name in (
        lambda r: r.job.model,
        lambda r: f"{r.job.model}, {r.folder.name}",
        lambda r: f"{r.job.model}, {r.folder}",
    ):
        names = [str(name(r)) for r in runs]
        if len(set(names)) == len(names):
            break
    return names


def _page(run: Run, path: Path, *, objects: int, truth: np.ndarray | None, title: str) -> Path:
    from jupyter_astroml.plots.report import report as write

    found = run.predictions()
    entry = catalogue.find(run.job.model)
    # The page draws images and light curves; of a run over spectra it has the answers alone.
    drawn = entry.card.kind != "spectra"
    chosen = least_sure(found, n=objects) if drawn else []
    shown: Any = fetch(run, ids=chosen) if chosen else None
    # Blocks may pad light curves differently: each object is explained on its own.
    maps = [
        explain(shown[i], model=run.job.model, digest=run.job.digest, samples=16)
        for i in range(0 if shown is None else len(shown))
    ]
    return write(
        path,
        predictions=found,
        samples=shown,
        attributions=maps,
        events=events(found, shown) if isinstance(shown, LightCurves) else None,
        truth=truth,
        title=title or entry.card.title,
        meta=run.meta,
    )


def least_sure(predictions: Predictions, *, n: int) -> list[str]:
    """Return the ids of the objects of which a model is least sure, the worst first.

    Objects without an answer are not among them.
    """
    rows = np.flatnonzero(predictions.ok)
    if not rows.size:
        return []
    doubt = np.nan_to_num(predictions.columns["uncertainty"][rows], nan=-1.0)
    return [str(i) for i in predictions.ids[rows[np.argsort(-doubt, kind="stable")[:n]]]]
