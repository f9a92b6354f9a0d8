"""Cross-validation that outlives training: which network may answer for which object.

A model of few labelled objects learns from all of them, in folds: member k of the ensemble saw
every fold but the k-th.
An object of fold k is then judged by member k alone, any other object by all members, and no answer
that counts comes from a network that knew the object.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from jupyter_astroml.zoo import scores

if TYPE_CHECKING:
    from jupyter_astroml.models.loading import Model
    from jupyter_astroml.zoo.ensemble import Ensemble

# An object that no training knew, and one that more than one fold knew: no member may judge it.
UNSEEN, ALL_KNOW = -1, -2


def fold_of(group: str, *, folds: int) -> int:
    """Return the fold of a group of objects, by the SHA-256 of its name alone."""
    return int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) % folds


def answers(
    model: Model,
    values: np.ndarray,
    fold: np.ndarray,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Return the probabilities of each object by the members that may judge it; no other is run.

    Parameters
    ----------
    model : Model
        An `jupyter_astroml.zoo.ensemble.Ensemble` with a member for each fold, in their order.
    values : ndarray of float32, shape (n, ...)
        In the input contract.
    fold : ndarray of int, shape (n,)
        `UNSEEN` for an object that no member saw.
    progress : callable, optional
        Called with the number of objects done and the total.

    Returns
    -------
    ndarray, shape (n, class)
    """
    found = np.empty((len(values), len(model.card.outputs.names)))
    done = 0
    for k in np.unique(fold):
        rows = np.flatnonzero(fold == k)
        ensemble = cast("Ensemble", model.module)
        judges = model if k == UNSEEN else replace(model, module=ensemble.only(k))
        logits = judges.logits(values[rows], progress=_after(done, len(values), progress))
        found[rows] = scores.softmax(logits.astype(np.float64)).mean(axis=0)
        done += len(rows)
    return found


def _after(
    before: int, total: int, progress: Callable[[int, int], None] | None
) -> Callable[[int, int], None] | None:
    """Count on from the objects of the folds before."""
    return progress and (lambda done, _: progress(before + done, total))


def groups_on_sky(ra: np.ndarray, dec: np.ndarray, *, within_arcsec: float) -> np.ndarray:
    """Join what stands close together on the sky, friends of friends.

    Parameters
    ----------
    ra, dec : ndarray, shape (n,), degrees, ICRS
        Positions.
    within_arcsec : float
        Largest distance of two friends.

    Returns
    -------
    ndarray of str, shape (n,)
        Name of the group: the position of its first member to 0.01 degrees.
    """
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    places = SkyCoord(ra, dec, unit="deg")
    here, there, _, _ = places.search_around_sky(places, within_arcsec * u.arcsec)
    links = coo_matrix((np.ones(len(here)), (here, there)), shape=(len(ra), len(ra)))
    number = connected_components(links, directed=False)[1]
    first = [int(np.flatnonzero(number == k)[0]) for k in range(number.max() + 1)]
    return np.array([f"{ra[first[k]]:.2f}{dec[first[k]]:+.2f}" for k in number])


def repeated(ra: np.ndarray, dec: np.ndarray, *, within_arcsec: float) -> np.ndarray:
    """Mark objects that stand near an earlier one which is kept: the same object, listed twice.

    Parameters
    ----------
    ra, dec : ndarray, shape (n,), degrees, ICRS
        Positions, the entry to be kept first.
    within_arcsec : float
        Largest distance of two entries of one object.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    places = SkyCoord(ra, dec, unit="deg")
    one, other, _, _ = places.search_around_sky(places, within_arcsec * u.arcsec)
    found = np.zeros(len(places), dtype=bool)
    for i, j in sorted(zip(one.tolist(), other.tolist(), strict=True)):
        if i < j and not found[i]:
            found[j] = True
    return found


def write_positions(path: Path, ra: np.ndarray, dec: np.ndarray, fold: np.ndarray) -> None:
    """Write where the training objects are, degrees, ICRS, and the fold of each."""
    places = zip(ra, dec, fold, strict=True)
    lines = [f"{ra:.5f},{dec:.5f},{k}" for ra, dec, k in places]
    path.write_text("\n".join(["ra,dec,fold", *sorted(lines)]) + "\n")


def at_positions(
    path: Path, ra: np.ndarray, dec: np.ndarray, *, within_arcsec: float
) -> np.ndarray:
    """Return the fold of each position that training knew.

    Parameters
    ----------
    path : Path
        Written by `write_positions`; nothing is known where it is missing.
    ra, dec : ndarray, shape (n,), degrees, ICRS
        Positions.
    within_arcsec : float
        So close to a training object, an object is known.

    Returns
    -------
    ndarray of int, shape (n,)
        `UNSEEN` or `ALL_KNOW` where it is no fold.
    """
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    found = np.full(len(ra), UNSEEN)
    if not path.exists():
        return found
    known = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    here = SkyCoord(np.asarray(ra), np.asarray(dec), unit="deg")
    there = SkyCoord(known[:, 0], known[:, 1], unit="deg")
    mine, theirs, _, _ = there.search_around_sky(here, within_arcsec * u.arcsec)
    for i, k in zip(mine, known[theirs, 2].astype(int), strict=True):
        found[i] = k if found[i] in (UNSEEN, k) else ALL_KNOW
    return found


def worst(
    ids: np.ndarray, classes: np.ndarray, p: np.ndarray, *, names: Sequence[str], n: int = 8
) -> list[dict[str, Any]]:
    """Return the objects whose class the networks held for least likely, the worst first.

    Parameters
    ----------
    ids : ndarray of str, shape (n,)
        Names of the objects.
    classes : ndarray of int, shape (n,)
        True classes.
    p : ndarray, shape (n, class)
        From `answers`.
    names : sequence of str
        The classes.
    n : int
        Number of objects.
    """
    right = p[np.arange(len(classes)), classes]
    return [
        {
            "id": str(ids[i]),
            "label": names[classes[i]],
            "answer": names[int(p[i].argmax())],
            "p_label": round(float(right[i]), 4),
        }
        for i in np.argsort(right, kind="stable")[:n]
    ]
