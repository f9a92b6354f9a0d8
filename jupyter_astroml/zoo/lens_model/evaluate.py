"""How close the model and its baseline come to the mass of unseen simulated lenses.

No sample of real lenses has a known mass: every figure is of simulations.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.records import Cutouts
from jupyter_astroml.models import estimates
from jupyter_astroml.models.estimates import Estimates
from jupyter_astroml.models.evaluation import Evaluation, bootstrap, measure
from jupyter_astroml.zoo.judging import baseline_folder, model_of
from jupyter_astroml.zoo.lens_model import baseline
from jupyter_astroml.zoo.lens_model.simulate import NAMES, read, simulate

if TYPE_CHECKING:
    from astropy.table import Table

    from jupyter_astroml.models.loading import Model

NAME = "lens_model"
HERE = Path(__file__).parent
# Without a folder, so many new lenses are drawn; training and calibration draw from other seeds.
SIMULATES, FRESH, FRESH_SEED = True, 3000, 7_000_000


def evaluate(
    folder: Path | str | None = None,
    *,
    model: Model | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    n: int = FRESH,
) -> Evaluation:
    """Score a model and a baseline on simulated lenses.

    Parameters
    ----------
    folder : Path, optional
        In the layout of `jupyter_astroml.zoo.lens_model.simulate`; new lenses without it.
    model : Model, optional
        Of this architecture, by default the bundled one.
    seed : int
        Of the bootstrap, and of new lenses.
    progress : callable, optional
        Called with the number of images measured and the total.
    n : int
        Number of new lenses.

    Returns
    -------
    Evaluation
        Main metric: root mean square error of the Einstein radius, arcsec.

    Raises
    ------
    DataError
        If the folder is not of the layout.
    MissingExtraError
        If new lenses are wanted and lenstronomy is not installed.
    ModelError
        If the model is not trained, or names other parameters.
    """
    model = model_of(model, NAME, names=NAMES)
    if folder:
        cutouts, table, data = *read(folder), Path(folder).resolve().name
    else:
        cutouts, table, data = *simulate(n, seed=FRESH_SEED + seed), fresh(seed)
    return judge(model, cutouts, table, data=data, seed=seed, progress=progress)


def fresh(seed: int) -> str:
    """Return the name of lenses that were drawn to judge with."""
    return f"new simulations, seed {seed}"


def judge(
    model: Model,
    cutouts: Cutouts,
    table: Table,
    *,
    data: str,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score a model and a baseline on some images; see `evaluate`.

    Parameters
    ----------
    model : Model
        Of this architecture.
    cutouts, table : Cutouts, Table
        Images and their truth.
    data : str
        What they are called.
    seed : int
        Of the bootstrap.
    progress : callable, optional
        Called with the number of images measured and the total.
    """
    truth = truth_of(table)
    found, numbers = estimated(model, cutouts, progress=progress), calibration_of(model)
    usual_files = baseline_folder(model, HERE, file=baseline.FILE)
    usual = baseline.estimates(usual_files / baseline.FILE, baseline.measure(cutouts.values))
    main = bootstrap(rms, truth[:, 0] - found.values[:, 0], seed=seed)
    metrics: dict[str, Any] = {}
    for i, name in enumerate(NAMES):
        off, theirs = found.values[:, i] - truth[:, i], usual[:, i] - truth[:, i]
        again = partial(bootstrap, seed=seed)
        metrics[f"rmse_{name}"] = measure(again(rms, off), baseline=rms(theirs))
        metrics[f"typical_error_{name}"] = measure(again(typical, off), baseline=typical(theirs))
        metrics[f"bias_{name}"] = measure(again(np.mean, off), baseline=float(theirs.mean()))
        for level in estimates.LEVELS:
            half = estimates.half_widths(found, numbers, level=level)[:, i]
            metrics[f"coverage_{level:.0%}_{name}".replace("%", "")] = measure(
                again(np.mean, (np.abs(off) <= half).astype(float))
            )
        metrics[f"median_std_{name}"] = measure(
            float(np.median(estimates.widened(found, numbers).sigma[:, i]))
        )
    inside = within(found, truth, numbers)
    for level, held in inside.items():
        metrics[f"coverage_{level}_joint"] = measure(
            bootstrap(np.mean, held.astype(float), seed=seed)
        )
    return Evaluation(
        model=model.card.id,
        data=data,
        n=len(truth),
        metric="RMSE of theta_e [arcsec]",
        value=main.value,
        low=main.low,
        high=main.high,
        higher_is_better=False,
        baseline=baseline.NAME,
        baseline_value=rms(usual[:, 0] - truth[:, 0]),
        seed=seed,
        metrics=metrics,
        split="simulated lenses that training and calibration did not draw",
        sample=f"{len(truth)} simulated lenses",
        summary="Simulations only: no real lens has a known mass",
        notes=_NOTES,
    )


_NOTES = (
    "Simulations only. Intervals are 95 %, bootstrap over lenses. "
    "theta_e, x and y in arcsec. 'typical_error' is 1.4826 times the median of the absolute error. "
    "'coverage_68' and 'coverage_95' are the shares of lenses whose truth the intervals hold, "
    "'joint' those of the ellipsoid of all five parameters."
)


def estimated(
    model: Model, cutouts: Cutouts, *, progress: Callable[[int, int], None] | None = None
) -> Estimates:
    """Return what the network gives, not yet calibrated."""
    values = model.prepare(cutouts).samples.values
    return estimates.joined(model.logits(values, progress=progress), NAMES)


def calibration_of(model: Model) -> dict[str, float]:
    """Return the calibration of a model; see `jupyter_astroml.models.estimates`."""
    return model.card.facts.calibration if model.card.facts else {}


def truth_of(table: Table) -> np.ndarray:
    """Return the parameters of each lens, shape (n, 5)."""
    return np.stack([np.asarray(table[name], dtype=np.float64) for name in NAMES], axis=1)


def within(found: Estimates, truth: np.ndarray, numbers: dict[str, float]) -> dict[int, np.ndarray]:
    """Tell which truths lie in the joint ellipsoids, by their level in per cent."""
    distance = estimates.widened(found, numbers).distance(truth)
    return {
        round(100 * level): distance <= numbers[f"radius_{round(100 * level)}"]
        for level in estimates.LEVELS
    }


def rms(off: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(off**2)))


def typical(off: np.ndarray) -> float:
    """Standard deviation of a Gaussian of the same median absolute error."""
    return float(1.4826 * np.median(np.abs(off)))


def worst(found: Estimates, table: Table, *, shown: int = 8) -> list[dict[str, Any]]:
    """Return the lenses whose truth is furthest from the answer, in the answer's own errors.

    Parameters
    ----------
    found : Estimates
        Calibrated.
    table : Table
        The truth.
    shown : int
        Number of lenses.
    """
    truth = truth_of(table)
    distance = found.distance(truth)
    return [
        {
            "id": str(table["id"][i]),
            "distance": round(float(distance[i]), 2),
            "snr": round(float(table["snr"][i]), 1),
            "truth": [round(float(v), 3) for v in truth[i]],
            "answer": [round(float(v), 3) for v in found.values[i]],
        }
        for i in np.argsort(-distance, kind="stable")[:shown]
    ]
