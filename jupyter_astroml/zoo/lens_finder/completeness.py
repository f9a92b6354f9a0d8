"""How many simulated lenses are found while one other field in a hundred is taken for one."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.models.evaluation import bootstrap, measure
from jupyter_astroml.zoo import forest, scores
from jupyter_astroml.zoo.lens_finder import baseline, real
from jupyter_astroml.zoo.lens_finder.fields import Fields

if TYPE_CHECKING:
    from jupyter_astroml.zoo.ensemble import Ensemble

# Share of what is no lens that is rejected.
REJECTED = 0.99
# Borders of the parts that are told apart: Einstein radius in arcsec, and signal over noise.
RADII = (0.7, 1.0, 1.4, 2.0, 3.0, 7.0)
NOISES = (5.0, 15.0, 30.0, 60.0, 120.0, 1000.0)
_FEWEST = 5


def judged(files: Path, module: Ensemble, fields: Fields, *, seed: int) -> dict[str, Any]:
    """Score a finder and its baseline on simulated fields that training did not see.

    Parameters
    ----------
    files : Path
        Folder of the model, for its baseline.
    module : Ensemble
        The finder.
    fields : Fields
        Lenses and others.
    seed : int
        Of the bootstrap over fields.
    """
    p = answers(module, fields)
    usual = forest.probabilities(
        files / forest.FILE,
        np.concatenate([baseline.measure(fields.values(part)) for part in _parts(fields)]),
        names=real.CLASSES,
        columns=baseline.FEATURES,
    )
    classes, truth = fields.classes, fields.truth

    def both(score: Any) -> dict[str, float]:
        return measure(bootstrap(score, classes, p, seed=seed), baseline=score(classes, usual))

    def gain(classes: np.ndarray, mine: np.ndarray, theirs: np.ndarray) -> float:
        return completeness(classes, mine) - completeness(classes, theirs)

    found = found_lenses(classes, p)
    usual_found = found_lenses(classes, usual)
    lens = classes == 1
    return {
        "n": len(classes),
        "lenses": int(lens.sum()),
        "rejected": REJECTED,
        "completeness": both(completeness),
        "gain": measure(bootstrap(gain, classes, p, usual, seed=seed)),
        "auc": both(scores.auc),
        "expected_calibration_error": both(scores.calibration_error),
        "by_radius": binned(
            np.asarray(truth["theta_e_arcsec"])[lens], found[lens], usual_found[lens], RADII
        ),
        "by_noise": binned(
            np.asarray(truth["arc_snr"])[lens], found[lens], usual_found[lens], NOISES
        ),
        "clear": _clear(truth, lens, found, usual_found, seed=seed),
        "taken_for_lenses": _taken(np.asarray(truth["kind"]), lens, found),
    }


def _clear(
    truth: Any, lens: np.ndarray, found: np.ndarray, usual: np.ndarray, *, seed: int
) -> dict[str, float]:
    """Return the completeness where Lanusse et al. 2018 give theirs: beyond 1.4 arcsec and 20."""
    radius, noise = np.asarray(truth["theta_e_arcsec"]), np.asarray(truth["arc_snr"])
    rows = lens & (radius > 1.4) & (noise > 20)

    def share(which: np.ndarray) -> float:
        return float(which.mean())

    return {
        "n": int(rows.sum()),
        **measure(bootstrap(share, found[rows], seed=seed), baseline=share(usual[rows])),
    }


def _taken(kinds: np.ndarray, lens: np.ndarray, found: np.ndarray) -> dict[str, list[int]]:
    """Return of each kind that is no lens how many were taken for one, and of how many."""
    return {
        str(kind): [int(found[(kinds == kind) & ~lens].sum()), int(((kinds == kind) & ~lens).sum())]
        for kind in np.unique(kinds[~lens])
    }


def answers(module: Ensemble, fields: Fields) -> np.ndarray:
    """Return the probabilities of all members together, shape (n, 2)."""
    return scores.softmax(logits_of(module, fields)).mean(axis=0)


def logits_of(module: Ensemble, fields: Fields) -> np.ndarray:
    """Return the logits of all members, shape (member, n, 2)."""
    import torch

    module.eval()
    with torch.inference_mode():
        parts = [module(torch.from_numpy(fields.values(part))) for part in _parts(fields)]
    return torch.cat(parts, dim=1).double().numpy()


def _parts(fields: Fields) -> list[slice]:
    return [slice(i, i + 128) for i in range(0, len(fields.pictures), 128)]


def found_lenses(classes: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Tell which fields are above the threshold that rejects `REJECTED` of the others."""
    return p[:, 1] > np.quantile(p[classes == 0, 1], REJECTED)


def completeness(classes: np.ndarray, p: np.ndarray) -> float:
    """Share of the lenses that are found; NaN where a class does not occur."""
    if not 0 < classes.sum() < len(classes):
        return float("nan")
    return float(found_lenses(classes, p)[classes == 1].mean())


def binned(
    at: np.ndarray, found: np.ndarray, usual: np.ndarray, borders: tuple[float, ...]
) -> list[dict[str, float]]:
    """Return the share that is found between borders, with the interval of a binomial.

    Parameters
    ----------
    at : ndarray, shape (n,)
        Of the lenses.
    found, usual : ndarray of bool, shape (n,)
        Whether the network and the baseline found them.
    borders : tuple of float
        Of the parts; those with few lenses are left out.
    """
    from scipy.stats import beta

    rows = []
    for low, high in pairwise(borders):
        inside = (at >= low) & (at < high)
        n, k = int(inside.sum()), int(found[inside].sum())
        if n < _FEWEST:
            continue
        # Jeffreys' interval (Brown, Cai & DasGupta 2001, Statistical Science 16, 101).
        ends = beta.ppf([0.025, 0.975], k + 0.5, n - k + 0.5)
        rows.append(
            {
                "from": low,
                "to": high,
                "n": n,
                "value": k / n,
                "low": float(ends[0]),
                "high": float(ends[1]),
                "baseline": float(usual[inside].mean()),
            }
        )
    return rows
