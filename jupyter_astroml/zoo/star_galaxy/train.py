"""Train stars and galaxies: ``python -m jupyter_astroml.zoo.star_galaxy.train --help``.

1. Telescope fields are dealt into five folds, the largest first, each to the smallest fold: an
   object recurs in the exposures of its field (`jupyter_astroml.zoo.folds`).
2. Member k learns from real one-band cutouts of all folds but the k-th, and from simulated ones:
   some in one to five bands, some in one, cut off above and below like the real pictures; then it
   answers its fold.
3. From these answers come the temperature, the offsets and the conformal threshold.
4. Everything is written; every real cutout is scored by the member that did not see its field, and
   new simulated ones by all, in one to five bands.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.models.cards import REPLAY, WEIGHTS, Facts, digest_of, read_card, write_facts
from jupyter_astroml.models.evaluation import bootstrap, measure
from jupyter_astroml.zoo import forest, scores, training
from jupyter_astroml.zoo.star_galaxy import baseline, real
from jupyter_astroml.zoo.star_galaxy.evaluate import TAUGHT, evaluate, light_of, worst
from jupyter_astroml.zoo.star_galaxy.report import write_report
from jupyter_astroml.zoo.star_galaxy.simulate import BANDS, simulate
from jupyter_astroml.zoo.training import Cycle, Say

if TYPE_CHECKING:
    import torch

    from jupyter_astroml.zoo.ensemble import Ensemble
    from jupyter_astroml.zoo.star_galaxy.network import Seen

# Simulated objects to learn from, and new ones for the figures.
SIMULATED, JUDGED = 4000, 1000
# Simulated objects that join a batch: in one to five bands, and as a picture of one.
JOINING, GREY = 10, 6
# Stars to a galaxy among the latter, about as among the real ones.
STARS = 3.0
# Where the real pictures are cut off, in their noise.
BLACK, WHITE = -3.0, 5.5
# Bands in the order in which a simulated survey adds them.
ADDED = ("r", "g", "i", "z", "u")
_R = BANDS.index("r")


@dataclass(frozen=True, eq=False)
class Cut:
    """Cutouts to learn from, in units of their noise.

    Attributes
    ----------
    light : Tensor, shape (n, band, y, x)
    contrast : Tensor, shape (n, band - 1)
    classes : Tensor of int64, shape (n,)
    """

    light: torch.Tensor
    contrast: torch.Tensor
    classes: torch.Tensor


def main(arguments: list[str] | None = None) -> int:
    """Train from the command line."""

    def run(folder: Path, out: Path, seed: int, threads: int, say: Say) -> None:
        train(folder, out, cycle=Cycle(seed=seed, epochs=20), threads=threads, say=say)

    return training.command("jupyter_astroml.zoo.star_galaxy", run, arguments)


def train(
    folder: Path,
    out: Path,
    *,
    cycle: Cycle,
    threads: int,
    say: Say,
    simulated: int = SIMULATED,
) -> None:
    """Train and write everything that a model's folder holds beside its hand-written files.

    Parameters
    ----------
    folder : Path
        Labelled data, in the layout of `real`.
    out : Path
        The model's folder; must hold ``card.yaml`` and ``README.md``.
    cycle : Cycle
        All choices.
    threads : int
        Threads of torch.
    say : callable
        Told about progress.
    simulated : int
        Number of simulated objects to learn from.
    """
    import torch

    from jupyter_astroml.zoo.star_galaxy.network import build

    torch.set_num_threads(threads)
    started = time.monotonic()
    card = read_card(out)
    cutouts, table = real.read(folder)
    fields = np.asarray(table["field"])
    parts = dealt(fields, members=card.network.options["members"])
    fold = np.array([parts[f] for f in fields])
    light = light_of(cutouts.values)
    classes = np.array([real.CLASSES.index(label) for label in table["label"]])
    if len(set(classes.tolist())) < len(real.CLASSES):
        raise DataError("The labelled data lack a class", remedy=f"give all of {real.CLASSES}")
    truth = Cut(torch.from_numpy(light)[:, None], torch.empty(0), torch.from_numpy(classes))
    made = simulated_cut(simulated, seed=cycle.seed + 1)
    say(f"{len(classes)} cutouts, folds of {np.bincount(fold).tolist()}; {simulated} simulated")
    torch.manual_seed(cycle.seed)
    module = build(**card.network.options)
    logits = learned(module, truth, made, fold, cycle=cycle, say=say)
    calibration = training.calibrated(module, logits, classes)
    about: dict[str, Any] = {
        "recipe": asdict(cycle),
        "objects": len(classes),
        "classes": dict(zip(real.CLASSES, np.bincount(classes).tolist(), strict=True)),
        "fields": parts,
        "simulated": simulated,
        "minutes": round((time.monotonic() - started) / 60, 1),
        **training.machine(threads),
        "by_bands": by_bands(module, made, seed=cycle.seed + 2),
    }
    write(out, module, calibration=calibration, about=about)
    lines = [f"{field},{k}" for field, k in sorted(parts.items())]
    (out / TAUGHT).write_text("\n".join(["field,fold", *lines]) + "\n")
    forest.save(
        out / forest.FILE,
        features=baseline.measure(light),
        classes=classes,
        names=real.CLASSES,
        columns=baseline.FEATURES,
        fold=fold,
    )
    training.judged(out, module, folder, evaluate=evaluate, worst=worst, seed=cycle.seed)
    write_report(out, folder)
    say(read_card(out).key_metric)


def dealt(fields: np.ndarray, *, members: int) -> dict[str, int]:
    """Deal fields into folds: the largest first, each to the fold that has fewest cutouts."""
    names, counts = np.unique(fields, return_counts=True)
    sizes, found = [0] * members, {}
    for i in np.argsort(-counts, kind="stable"):
        k = int(np.argmin(sizes))
        found[str(names[i])] = k
        sizes[k] += int(counts[i])
    return found


def simulated_cut(n: int, *, seed: int) -> Cut:
    """Simulate objects to learn from."""
    cutouts, truth = simulate(n, seed=seed)
    return _cut(cutouts.values, truth["label"])


def _cut(values: np.ndarray, labels: Iterable[str]) -> Cut:
    import torch

    from jupyter_astroml.zoo.star_galaxy.network import above_sky, contrasts

    light, noise = above_sky(torch.from_numpy(values))
    classes = [real.CLASSES.index(label) for label in labels]
    return Cut(light / noise[..., None, None], contrasts(light, noise), torch.tensor(classes))


def learned(
    module: Ensemble, truth: Cut, made: Cut, fold: np.ndarray, *, cycle: Cycle, say: Say
) -> np.ndarray:
    """Train every member without its fold, and return its raw logits there, shape (n, 2)."""
    import torch
    from torch.nn import functional

    share = torch.where(made.classes == real.CLASSES.index("star"), STARS, 1.0)

    def loss(member: Any, rows: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        grey = torch.multinomial(share, GREY, generator=random)
        others = torch.randint(len(made.classes), (JOINING,), generator=random)
        light = torch.cat([truth.light[rows, 0], pictured(made.light[grey], random=random)])
        seen = batch(light, made, others, random=random)
        wanted = torch.cat([truth.classes[rows], made.classes[grey], made.classes[others]])
        return functional.cross_entropy(member(seen), wanted, label_smoothing=cycle.smoothing)

    def fit(member: Any, rows: np.ndarray, k: int) -> Any:
        seed = cycle.seed + k
        return training.fitted_on(member, rows, loss, cycle=cycle, seed=seed, say=say)

    def answer(member: Any, rows: np.ndarray) -> torch.Tensor:
        light = truth.light[torch.from_numpy(rows), 0]
        logits = torch.cat([member(_grey(part)) for part in light.split(64)])
        p = scores.softmax(logits.double().numpy())
        say(f"AUC {scores.auc(truth.classes.numpy()[rows], p):.4f} on fields that were not seen")
        return logits

    return training.cross_validated(module, fold, fit, answer)


def pictured(light: torch.Tensor, *, random: torch.Generator) -> torch.Tensor:
    """Return one of the three best bands of simulated objects, as pictures of the sky show it.

    Parameters
    ----------
    light : Tensor, shape (n, band, y, x)
        In units of the noise, bands of `jupyter_astroml.zoo.star_galaxy.simulate`.
    random : Generator
        Source of the draws.

    Returns
    -------
    Tensor, shape (n, y, x)
        Between `BLACK` and `WHITE`.
    """
    import torch

    band = torch.randint(1, 4, (len(light),), generator=random)
    return light[torch.arange(len(light)), band].clamp(BLACK, WHITE)


def _grey(light: torch.Tensor) -> Seen:
    """Return what members see of one band in an unknown filter."""
    import torch

    from jupyter_astroml.zoo.star_galaxy.network import Seen, colours_of, planes_of

    n, pairs = len(light), len(ADDED) - 1
    none = torch.zeros(n, pairs, dtype=torch.bool)
    return Seen(planes_of(light), torch.arange(n), colours_of(torch.zeros(n, pairs), none))


def batch(light: torch.Tensor, made: Cut, others: torch.Tensor, *, random: torch.Generator) -> Seen:
    """Return what members see of cutouts of one band and, behind them, of simulated ones, varied.

    Parameters
    ----------
    light : Tensor, shape (n, y, x)
        In an unknown filter.
    made : Cut
        Simulated ones.
    others : Tensor of int64
        Those of the simulated ones that join.
    random : Generator
        Source of all draws: each simulated object keeps one to five of its bands.
    """
    import torch

    from jupyter_astroml.zoo.star_galaxy.augment import varied
    from jupyter_astroml.zoo.star_galaxy.network import Seen, colours_of, planes_of

    count = torch.randint(1, len(ADDED) + 1, (len(others), 1), generator=random)
    rank = torch.rand(len(others), len(ADDED), generator=random).argsort(dim=1).argsort(dim=1)
    observed = rank < count
    planes = torch.cat([light, made.light[others][observed]])
    owner = torch.cat([torch.arange(len(light)), len(light) + torch.nonzero(observed)[:, 0]])
    colours = colours_of(made.contrast[others], observed[:, :-1] & observed[:, 1:])
    grey = torch.zeros(len(light), colours.shape[1])
    return Seen(planes_of(varied(planes, random=random)), owner, torch.cat([grey, colours]))


def by_bands(module: Ensemble, made: Cut, *, seed: int) -> dict[str, dict[str, float]]:
    """Return the area under the curve on new simulated objects, with more and more bands.

    Parameters
    ----------
    module : Ensemble
        Trained.
    made : Cut
        Simulated objects that it learned from; the baseline learns from them here.
    seed : int
        Of the new ones.

    Returns
    -------
    mapping of str to mapping
        By the bands in the order of `ADDED`: ``value`` with its interval, and ``baseline``: a
        random forest on shape in r and the colours that these bands have.
    """
    import torch

    module.eval()
    cutouts, truth = simulate(JUDGED, seed=seed)
    classes = np.array([real.CLASSES.index(label) for label in truth["label"]])
    new = _cut(cutouts.values, truth["label"])
    known, asked = (baseline.measure(cut.light[:, _R].numpy()) for cut in (made, new))
    found = {}
    for count in range(1, len(ADDED) + 1):
        values = np.zeros((JUDGED, len(real.BANDS), real.SIZE, real.SIZE), dtype=np.float32)
        for band in ADDED[:count]:
            values[:, real.BANDS.index(band)] = cutouts.values[:, cutouts.bands.index(band)]
        with torch.inference_mode():
            parts = [module(part) for part in torch.from_numpy(values).split(64)]
        p = scores.softmax(torch.cat(parts, dim=1).double().numpy()).mean(axis=0)
        pairs = [i for i, pair in enumerate(pairwise(BANDS)) if set(pair) <= set(ADDED[:count])]
        usual = forest.grown(
            np.concatenate([known, made.contrast[:, pairs].numpy()], axis=1),
            made.classes.numpy(),
            np.concatenate([asked, new.contrast[:, pairs].numpy()], axis=1),
            k=len(real.CLASSES),
        )
        area = bootstrap(scores.auc, classes, p, seed=seed)
        found["".join(ADDED[:count])] = measure(area, baseline=scores.auc(classes, usual))
    return found


def write(
    out: Path, module: Ensemble, *, calibration: dict[str, float], about: dict[str, Any]
) -> None:
    """Write weights, replay and facts."""
    training.save_weights(out, module)
    store_replay(out, module)
    write_facts(
        out, Facts(digest=digest_of(out / WEIGHTS), calibration=calibration, training=about)
    )


def store_replay(out: Path, module: Ensemble) -> None:
    """Write a few simulated objects, bright enough to be seen in a gallery, and their logits."""
    import torch

    cutouts, truth = simulate(40, seed=1)
    bright = np.argsort(np.asarray(truth["mag_r"]))[:4]
    values = np.zeros((4, len(real.BANDS), real.SIZE, real.SIZE), dtype=np.float16)
    values[:, 1:] = cutouts.values[bright]
    # One in all bands, one in one band, one in a filter that nobody knows.
    values[1, 4:] = 0
    values[2, [1, 2, 4, 5]] = 0
    values[3, 0], values[3, 1:] = values[3, 3], 0
    with torch.inference_mode():
        logits = module(torch.from_numpy(values.astype(np.float32))).numpy()
    np.savez_compressed(out / REPLAY, values=values, logits=logits)


if __name__ == "__main__":
    sys.exit(main())
