"""A random forest (Breiman 2001) as the classical method beside a network.

The forest is not stored: a few hundred kilobytes of measurements of the training objects are, and
the forest grows from them in seconds, the same each time. No file that carries code is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jupyter_astroml.core.errors import ModelError

FILE = "baseline.npz"


def save(
    path: Path,
    *,
    features: np.ndarray,
    classes: np.ndarray,
    names: Sequence[str],
    columns: Sequence[str],
    fold: np.ndarray | None = None,
) -> None:
    """Store what the forest grows from.

    Parameters
    ----------
    path : Path
        Of the file.
    features : ndarray, shape (n, column)
        Of the training objects.
    classes : ndarray of int, shape (n,)
        Index into `names`.
    names : sequence of str
        The classes.
    columns : sequence of str
        The measurements.
    fold : ndarray of int, shape (n,), optional
        Part of the cross-validation that an object belongs to.
    """
    np.savez_compressed(
        path,
        features=features.astype(np.float32),
        classes=classes.astype(np.int8),
        names=np.asarray(names, dtype=str),
        columns=np.asarray(columns, dtype=str),
        fold=np.zeros(len(classes), dtype=np.int8) if fold is None else fold.astype(np.int8),
    )


def probabilities(
    path: Path,
    features: np.ndarray,
    *,
    names: Sequence[str],
    columns: Sequence[str],
    fold: np.ndarray | None = None,
) -> np.ndarray:
    """Grow the forest and ask it.

    Parameters
    ----------
    path : Path
        Written by `save`.
    features : ndarray, shape (n, column)
        Of the objects asked for.
    names : sequence of str
        The classes in the order of the answer.
    columns : sequence of str
        The measurements.
    fold : ndarray of int, shape (n,), optional
        Part that an object belongs to: it is answered by a forest that saw nothing of that part.
        -1, and all objects when absent: by a forest that saw everything.

    Returns
    -------
    ndarray, shape (n, len(names))
        Share of the votes of the trees.

    Raises
    ------
    ModelError
        If the file is missing, broken, or of another version of this module.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            known, classes = stored["features"], stored["classes"]
            measured, labels = stored["columns"].tolist(), stored["names"].tolist()
    except (OSError, ValueError, KeyError) as err:
        raise ModelError(
            f"{path.name} holds no baseline", cause=str(err), remedy="install the model again"
        ) from err
    if measured != list(columns) or labels != list(names):
        raise ModelError(f"{path.name} is of another version", remedy="train the model again")
    if fold is None:
        return grown(known, classes, features, k=len(labels))
    with np.load(path, allow_pickle=False) as stored:
        part = stored["fold"]
    found = np.empty((len(features), len(labels)))
    for k in np.unique(fold):
        rows = fold == k
        found[rows] = grown(known[part != k], classes[part != k], features[rows], k=len(labels))
    return found


def grown(known: np.ndarray, classes: np.ndarray, features: np.ndarray, *, k: int) -> np.ndarray:
    """Grow a forest from some objects and ask it about others.

    Parameters
    ----------
    known : ndarray, shape (m, column)
        Measurements to grow from.
    classes : ndarray of int, shape (m,)
        Their classes.
    features : ndarray, shape (n, column)
        Measurements of the others.
    k : int
        Number of classes.

    Returns
    -------
    ndarray, shape (n, k)
        Share of the votes of the trees.
    """
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(
        n_estimators=200,
        min_samples_leaf=2,
        class_weight="balanced_subsample",
        random_state=0,
        n_jobs=-1,
    )
    # Trees are the same however many threads grow them; sums of votes only in one order.
    forest.fit(known, classes).set_params(n_jobs=1)
    found = np.zeros((len(features), k))
    if len(features):
        found[:, forest.classes_] = forest.predict_proba(features)
    return found
