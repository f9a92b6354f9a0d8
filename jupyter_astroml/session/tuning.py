"""Teach a model one's own objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.models import catalogue

from .fetching import fetch
from .running import own_folder


def finetune(
    model: str,
    samples: Any,
    labels: Sequence[str] | np.ndarray,
    *,
    name: str,
    blocks: int = 0,
    seed: int = 0,
    folder: Path | str | None = None,
    progress: Callable[[int, int], Any] | bool = True,
    cancel: Callable[[], bool] | None = None,
) -> catalogue.Entry:
    """Teach a copy of a classifier the classes of some objects, in seconds to minutes.

    The head learns anew on what the network sees in the objects; with `blocks`, the layers before
    it go on learning as well.  A third of the objects is held back: it ends the training before
    the network learns the others by heart, and sets the temperature of the probabilities and, if
    there are fifty, the size of the prediction sets.

    Parameters
    ----------
    model : str
        Name of a classifier.
    samples : Table, References, Run, Cutouts or LightCurves
        Objects, fetched if they are not yet.
    labels : sequence of str, shape (n,)
        Their classes, those of the model or others; an empty one leaves its object out.
    name : str
        Of the new model.
    blocks : int
        Layers before the head that learn too: slower, and better with many labels only.
    seed : int
        Of the split and of the order.
    folder : Path, optional
        Folder of model folders; by default the first of the setting ``model_path``.
    progress : callable or bool
        Called with the steps done and their largest number; True shows a bar.
    cancel : callable, optional
        Asked before every step; when it is true, the training ends with an error and writes
        nothing.

    Returns
    -------
    Entry
        The new model: its card tells what it comes from, its facts what it cost and gained.

    Raises
    ------
    ModelError
        If the model is no classifier, or the name is taken.
    DataError
        If there are too few objects of a class.
    RunError
        If it was cancelled.
    """
    from jupyter_astroml.models.loading import load
    from jupyter_astroml.models.tuning import tune, write

    where = own_folder(folder)
    if name in [entry.name for entry in catalogue.models()]:
        raise ModelError(f"There is a model {name!r} already", remedy="choose another name")
    parent = load(model)
    data, wanted = _labelled(samples, labels)
    show, close = _shown(progress)
    try:
        tuned = tune(
            parent,
            data,
            wanted,
            name=name,
            blocks=blocks,
            seed=seed,
            progress=show,
            cancel=cancel,
        )
    finally:
        close()
    write(tuned, parent, data, folder=where)
    return catalogue.find(name)


def _labelled(samples: Any, labels: Sequence[str] | np.ndarray) -> tuple[Any, Any]:
    """Return the data of the objects that came, with their labels."""
    data = fetch(samples)
    if len(data) == len(labels):
        return data, labels
    given = getattr(samples, "ids", None)
    ids = samples["id"] if given is None else given
    known = dict(zip([str(i) for i in ids], labels, strict=True))
    return data, [known[name] for name in data.ids.tolist()]


def _shown(progress: Any) -> tuple[Callable[[int, int], Any] | None, Callable[[], Any]]:
    if progress is not True:
        return progress or None, lambda: None
    from tqdm.auto import tqdm

    bar = tqdm(unit="step")

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show, bar.close
