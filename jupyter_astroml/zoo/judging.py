"""A network and its baseline before the same objects: what every `evaluate` of the house does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.models.evaluation import bootstrap, measure
from jupyter_astroml.zoo import folds, forest, scores

if TYPE_CHECKING:
    from jupyter_astroml.models.loading import Model


def model_of(given: Model | None, name: str, *, names: tuple[str, ...]) -> Model:
    """Return the model to judge.

    Parameters
    ----------
    given : Model or None
        Of the architecture; the bundled one for None.
    name : str
        Of the bundled model.
    names : tuple of str
        What the labels of the data call the answers, in order.

    Raises
    ------
    ModelError
        If the model is not trained, or its card has other answers.
    """
    from jupyter_astroml.models.loading import load

    model = given or load(name)
    if model.card.outputs.names != names:
        raise ModelError("The card of the model names other answers than its data")
    return model


def baseline_folder(model: Model, home: Path, *, file: str = forest.FILE) -> Path:
    """Return the folder of a model, or that of the bundled one where it brings no baseline.

    Parameters
    ----------
    model : Model
        To be judged.
    home : Path
        Folder of the bundled model.
    file : str
        What the baseline is made from.
    """
    own = model.folder or home
    return own if (own / file).exists() else home


@dataclass(frozen=True)
class Judged:
    """Objects that a network and its baseline judged.

    Attributes
    ----------
    truth : ndarray, shape (n,)
        What is true of the objects, or held for true.
    p, usual : ndarray, shape (n, ...)
        Answers of the network and of the baseline.
    seed : int
        Of the bootstrap.
    groups : ndarray, shape (n,), optional
        Objects of one group are drawn together.
    """

    truth: np.ndarray
    p: np.ndarray
    usual: np.ndarray
    seed: int
    groups: np.ndarray | None = None

    def __getitem__(self, rows: np.ndarray) -> Judged:
        """Return some of the objects."""
        groups = None if self.groups is None else self.groups[rows]
        return Judged(self.truth[rows], self.p[rows], self.usual[rows], self.seed, groups)

    def main(self, score: Callable[..., float]) -> dict[str, Any]:
        """Return the main metric, as `jupyter_astroml.models.evaluation.Evaluation` takes it."""
        found = self.both(score)
        return {"baseline_value": found.pop("baseline"), **found}

    def both(self, score: Callable[..., float]) -> dict[str, float]:
        """Score the network, with its interval, and the baseline.

        Parameters
        ----------
        score : callable
            Takes the truth and the answers.
        """
        found = bootstrap(score, self.truth, self.p, seed=self.seed, groups=self.groups)
        return measure(found, baseline=score(self.truth, self.usual))

    def gain(self, score: Callable[..., float]) -> dict[str, float]:
        """Score the network minus the baseline on the same draws."""

        def more(truth: np.ndarray, mine: np.ndarray, theirs: np.ndarray) -> float:
            return score(truth, mine) - score(truth, theirs)

        arrays = (self.truth, self.p, self.usual)
        return measure(bootstrap(more, *arrays, seed=self.seed, groups=self.groups))

    def by_class(
        self, names: Sequence[str], *asked: Callable[..., float]
    ) -> dict[str, dict[str, float]]:
        """Count the objects of each class, and score the class.

        Parameters
        ----------
        names : sequence of str
            The classes; the truth is an index into them.
        *asked : callable
            Scores of one class, which they take as ``of``, named after themselves.
        """
        found = {}
        for k, name in enumerate(names):
            found[f"n_{name}"] = measure(float((self.truth == k).sum()))
            for score in asked:
                found[f"{score.__name__}_{name}"] = self.both(partial(score, of=k))
        return found


def worst_made(
    model: Model,
    values: np.ndarray,
    *,
    ids: Iterable[str],
    classes: np.ndarray,
    names: Sequence[str],
) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the simulated objects that a model judges worst, and where they stand.

    Parameters
    ----------
    model : Model
        To be asked; no member of it may have learned from the objects.
    values : ndarray, shape (n, band, y, x)
        In the input contract.
    ids, classes, names
        As for `folds.worst`.

    Returns
    -------
    list of mapping
        From `folds.worst`.
    list of int
        Their rows in `values`.
    """
    p = scores.softmax(model.logits(values).astype(np.float64)).mean(axis=0)
    known = np.array([str(name) for name in ids])
    found = folds.worst(known, classes, p, names=names)
    row_of = {name: i for i, name in enumerate(known.tolist())}
    return found, [row_of[w["id"]] for w in found]
