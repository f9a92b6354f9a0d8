"""Numbers that say how good class probabilities are.

`classes` is always an array of shape (n,) with the index of the true class, `p` one of shape
(n, class) with probabilities; the answer is the most probable class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

# Share of the true classes that prediction sets promise to hold.
LEVEL = 0.9
BINS = 10
# Where a receiver operating characteristic is kept: closer at the few wrong ones that matter.
FALSE_SHARES = np.linspace(0.0, 1.0, 33) ** 2


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities along the last axis."""
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def accuracy(classes: np.ndarray, p: np.ndarray) -> float:
    """Share of right answers."""
    return float((p.argmax(axis=1) == classes).mean())


def recall(classes: np.ndarray, p: np.ndarray, *, of: int) -> float:
    """Share of a class that is found; NaN if there is none."""
    members = classes == of
    return float((p.argmax(axis=1)[members] == of).mean()) if members.any() else float("nan")


def precision(classes: np.ndarray, p: np.ndarray, *, of: int) -> float:
    """Share of the answers of a class that are right; NaN if there is none."""
    answers = p.argmax(axis=1) == of
    return float((classes[answers] == of).mean()) if answers.any() else float("nan")


def f1(classes: np.ndarray, p: np.ndarray, *, of: int) -> float:
    """Harmonic mean of precision and recall of a class; NaN if nobody has or gets it."""
    members, answers = classes == of, p.argmax(axis=1) == of
    both = members.sum() + answers.sum()
    return float(2 * (members & answers).sum() / both) if both else float("nan")


def macro_f1(classes: np.ndarray, p: np.ndarray) -> float:
    """Mean F1 of the classes, each of equal weight; classes that do not occur are left out."""
    found = np.array([f1(classes, p, of=k) for k in range(p.shape[1])])
    return float(np.nanmean(found))


def surprise(classes: np.ndarray, p: np.ndarray) -> float:
    """Mean negative log-likelihood of the true class, nats."""
    right = p[np.arange(len(classes)), classes]
    return float(-np.log(np.clip(right, 1e-12, None)).mean())


def calibration_error(classes: np.ndarray, p: np.ndarray) -> float:
    """Expected calibration error in ten bins of confidence (Naeini et al. 2015, AAAI)."""
    off = sum(n * abs(said - right) for said, right, n in reliability(classes, p))
    return float(off / len(classes))


def reliability(classes: np.ndarray, p: np.ndarray) -> list[tuple[float, float, int]]:
    """Return mean confidence, share of right answers and number of objects in bins of confidence.

    Ten bins of equal width; those without an object are left out.
    """
    confidence = p.max(axis=1)
    right = p.argmax(axis=1) == classes
    which = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rows = (which == b for b in range(BINS))
    return [
        (float(confidence[inside].mean()), float(right[inside].mean()), int(inside.sum()))
        for inside in rows
        if inside.any()
    ]


def characteristic(classes: np.ndarray, p: np.ndarray) -> list[float]:
    """Return the share of the second of two classes that is found at each of `FALSE_SHARES`.

    These are the shares of the first class that may be taken for the second.
    """
    first, second = np.sort(-p[classes == 0, 1]), np.sort(-p[classes == 1, 1])
    # Who has the score of an object comes in with it.
    let_in = np.searchsorted(first, second, side="right") / max(len(first), 1)
    found = np.searchsorted(let_in, FALSE_SHARES, side="right") / max(len(second), 1)
    return [float(share) for share in found]


def confusion(classes: np.ndarray, p: np.ndarray) -> list[list[int]]:
    """Count objects by true class (rows) and answer (columns)."""
    k = p.shape[1]
    return np.bincount(k * classes + p.argmax(axis=1), minlength=k * k).reshape(k, k).tolist()


def curves(
    classes: np.ndarray, p: np.ndarray, usual: np.ndarray, *, names: Sequence[str]
) -> dict[str, Any]:
    """Return what `jupyter_astroml.zoo.drawing.judged` draws, in few numbers.

    Parameters
    ----------
    classes : ndarray of int, shape (n,)
        True classes.
    p, usual : ndarray, shape (n, class)
        Probabilities by the network and by its baseline.
    names : sequence of str
        The classes.
    """
    both = {"network": p, "baseline": usual}
    found: dict[str, Any] = {
        "names": list(names),
        "reliability": {
            who: [
                [round(said, 4), round(right, 4), n] for said, right, n in reliability(classes, q)
            ]
            for who, q in both.items()
        },
    }
    if len(names) == 2:
        found["characteristic"] = {
            who: [round(share, 4) for share in characteristic(classes, q)]
            for who, q in both.items()
        }
    else:
        found["confusion"] = confusion(classes, p)
    return found


def conformal_threshold(right: np.ndarray, *, level: float) -> float:
    """Largest 1 − p that a class may have to enter a prediction set.

    Parameters
    ----------
    right : ndarray, shape (n,)
        Probability of the true class of calibration objects.
    level : float
        Share of the true classes that sets shall hold.

    Returns
    -------
    float
        The ⌈(n + 1) · level⌉-th smallest of 1 − p (Vovk, Gammerman & Shafer 2005, section 2.2); 1
        if n is too small for the level.
    """
    rank = int(np.ceil((len(right) + 1) * level))
    if rank > len(right):
        return 1.0
    return float(np.sort(1.0 - right)[rank - 1])


def covered(classes: np.ndarray, p: np.ndarray, *, threshold: float) -> float:
    """Share of objects whose prediction set holds the true class."""
    return float((1.0 - p[np.arange(len(classes)), classes] <= threshold).mean())


def set_size(p: np.ndarray, *, threshold: float) -> float:
    """Mean number of classes in a prediction set."""
    return float((1.0 - p <= threshold).sum(axis=1).mean())


def auc(classes: np.ndarray, p: np.ndarray) -> float:
    """Area under the receiver operating characteristic of the second of two classes.

    NaN where a class does not occur.
    """
    from scipy.stats import rankdata

    second = int(classes.sum())
    first = len(classes) - second
    if not first or not second:
        return float("nan")
    ranks = rankdata(p[:, 1])[classes == 1].sum()
    return float((ranks - second * (second + 1) / 2) / (first * second))


def scaled(logits: np.ndarray, classes: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the temperature and offsets that make the true classes as likely as possible.

    Vector scaling with one common scale (Guo et al. 2017, ICML, section 4.2).

    Parameters
    ----------
    logits : ndarray, shape (n, class)
        Of objects that training did not see.
    classes : ndarray of int, shape (n,)
        True classes.

    Returns
    -------
    float, ndarray of shape (class,)
        Divide by the first, then add the second, which is 0 for the first class.
    """
    from scipy.optimize import minimize

    def lost(free: np.ndarray) -> float:
        offset = np.concatenate([[0.0], free[1:]])
        return surprise(classes, softmax(logits / np.exp(free[0]) + offset))

    free = minimize(lost, np.zeros(logits.shape[1]), method="BFGS").x
    return float(np.exp(free[0])), np.array([0.0, *free[1:]])
