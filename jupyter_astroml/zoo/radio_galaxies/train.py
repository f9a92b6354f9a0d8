"""Train the radio galaxies: ``python -m jupyter_astroml.zoo.radio_galaxies.train --help``.

1. Sources closer than 5 arcmin, whose images overlap, form a group; each group falls into one of
   five folds by the SHA-256 of its position (`jupyter_astroml.zoo.folds`).
2. Member k learns from all folds but the k-th and answers that one.
3. Each source is looked at four times, turned by 22.5 degrees each time; from the mean answers come
   the temperature, the offsets and the conformal threshold.
4. A plain network with as many weights goes through the same five folds, for comparison; it is not
   kept.
5. Everything is written, and every source is scored by the member that did not see it.

The recipe was chosen on folds 1 to 4; the card tells the figures of fold 0 apart.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.models.cards import REPLAY, WEIGHTS, Facts, digest_of, read_card, write_facts
from jupyter_astroml.zoo import folds, forest, scores, training
from jupyter_astroml.zoo.radio_galaxies import baseline, real
from jupyter_astroml.zoo.radio_galaxies.evaluate import TAUGHT, evaluate, fr_scores, light_of, worst
from jupyter_astroml.zoo.radio_galaxies.report import write_report
from jupyter_astroml.zoo.radio_galaxies.simulate import simulate
from jupyter_astroml.zoo.training import Cycle, Say

if TYPE_CHECKING:
    import torch
    from astropy.table import Table

    from jupyter_astroml.zoo.ensemble import Ensemble
    from jupyter_astroml.zoo.radio_galaxies.network import RadioGalaxies

# Images of 270 arcsec overlap when their sources are closer than this.
GROUP_ARCSEC = 300.0


# Filters of the plain network, which has as many weights as the one in eight orientations.
PLAIN = (7, 10, 21, 41)


@dataclass(frozen=True, eq=False)
class Sources:
    """What is learned from.

    Attributes
    ----------
    table : Table
        Of `real.read`, without hybrids.
    light : Tensor, shape (n, 1, 150, 150)
        Of `network.cleaned`.
    classes : ndarray of int, shape (n,)
        Index into `real.CLASSES`.
    fold : ndarray of int, shape (n,)
    """

    table: Table
    light: torch.Tensor
    classes: np.ndarray
    fold: np.ndarray


def main(arguments: list[str] | None = None) -> int:
    """Train from the command line."""

    def run(folder: Path, out: Path, seed: int, threads: int, say: Say) -> None:
        train(folder, out, cycle=Cycle(seed=seed), threads=threads, say=say)

    return training.command("jupyter_astroml.zoo.radio_galaxies", run, arguments)


def train(
    folder: Path,
    out: Path,
    *,
    cycle: Cycle,
    threads: int,
    say: Say,
    plain: tuple[int, ...] = PLAIN,
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
    plain : tuple of int
        Filters of the plain network.
    """
    import torch

    torch.set_num_threads(threads)
    card = read_card(out)
    sources = training_sources(folder, members=card.network.options["members"])
    say(f"{len(sources.classes)} sources, folds of {np.bincount(sources.fold).tolist()}")
    module, figures = _trained(card.network.options, sources, cycle=cycle, say=say)
    calibration = training.calibrated(module, tilted_logits(module, sources), sources.classes)
    about: dict[str, Any] = {
        "recipe": asdict(cycle),
        "objects": len(sources.classes),
        "classes": dict(zip(real.CLASSES, np.bincount(sources.classes).tolist(), strict=True)),
        "folds": np.bincount(sources.fold).tolist(),
        "equivariant": figures,
        "minutes": figures["minutes"],
        **training.machine(threads),
    }
    write(out, module, sources, calibration=calibration, about=about)
    options = {**card.network.options, "order": 1, "widths": plain}
    about["plain"] = _trained(options, sources, cycle=cycle, say=say)[1]
    write(out, module, sources, calibration=calibration, about=about)
    training.judged(out, module, folder, evaluate=evaluate, worst=worst, seed=cycle.seed)
    write_report(out, folder)
    say(read_card(out).key_metric)


def _trained(
    options: dict[str, Any], sources: Sources, *, cycle: Cycle, say: Say
) -> tuple[RadioGalaxies, dict[str, Any]]:
    """Return a trained network, and how well it does out of fold when it looks once."""
    import torch

    from jupyter_astroml.zoo.radio_galaxies.network import build

    started = time.monotonic()
    torch.manual_seed(cycle.seed)
    module = build(**options)
    logits = learned(module, sources, cycle=cycle, say=say)
    training.calibrated(module, logits, sources.classes)
    figures = {
        **_figures(module, logits, sources),
        "weights": sum(p.numel() for p in module.members[0].parameters()),
        "minutes": round((time.monotonic() - started) / 60, 1),
    }
    say(f"{options}: {figures}")
    return module, figures


def training_sources(folder: Path, *, members: int) -> Sources:
    """Read the sources that have a class, and deal them into folds by position.

    Raises
    ------
    DataError
        If a class is missing.
    """
    import torch

    cutouts, table = real.read(folder)
    named = np.asarray(table["label"] != "")
    table = table[named]
    if set(table["label"]) != set(real.CLASSES):
        raise DataError("The labelled data lack a class", remedy=f"give all of {real.CLASSES}")
    groups = folds.groups_on_sky(
        np.asarray(table["ra"]), np.asarray(table["dec"]), within_arcsec=GROUP_ARCSEC
    )
    return Sources(
        table=table,
        light=torch.from_numpy(light_of(cutouts.values[named])),
        classes=np.array([real.CLASSES.index(label) for label in table["label"]]),
        fold=np.array([folds.fold_of(group, folds=members) for group in groups]),
    )


def learned(module: Ensemble, sources: Sources, *, cycle: Cycle, say: Say) -> np.ndarray:
    """Train every member without its fold, and return its raw logits there, shape (n, class)."""
    import torch
    from torch.nn import functional

    from jupyter_astroml.zoo.radio_galaxies.augment import varied
    from jupyter_astroml.zoo.radio_galaxies.network import views

    classes = torch.from_numpy(sources.classes)

    def loss(member: Any, rows: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        seen = views(varied(sources.light[rows], random=random))
        return functional.cross_entropy(
            member(seen), classes[rows], label_smoothing=cycle.smoothing
        )

    def fit(member: Any, rows: np.ndarray, k: int) -> Any:
        seed = cycle.seed + k
        return training.fitted_on(member, rows, loss, cycle=cycle, seed=seed, say=say)

    def answer(member: Any, rows: np.ndarray) -> torch.Tensor:
        light = sources.light[torch.from_numpy(rows)]
        logits = torch.cat([member(views(part)) for part in light.split(64)])
        found = scores.accuracy(sources.classes[rows], scores.softmax(logits.double().numpy()))
        say(f"accuracy {found:.3f} on a fold that was not seen")
        return logits

    return training.cross_validated(module, sources.fold, fit, answer)


def tilted_logits(module: RadioGalaxies, sources: Sources) -> np.ndarray:
    """Return the raw logits of each source by the member that did not see it, over all tilts."""
    import torch

    from jupyter_astroml.zoo.radio_galaxies.network import tilted

    logits = torch.empty(len(sources.classes), len(real.CLASSES))
    with torch.inference_mode():
        for k, member in enumerate(module.members):
            rows = torch.from_numpy(np.flatnonzero(sources.fold == k))
            logits[rows] = torch.cat(
                [
                    module.answered(member, tilted(part, tilts=module.tilts))
                    for part in sources.light[rows].split(64)
                ]
            )
    return logits.double().numpy()


def _figures(module: Ensemble, logits: np.ndarray, sources: Sources) -> dict[str, Any]:
    """Return how well members do on the folds that they did not see."""
    p = scores.softmax(logits / module.temperature.numpy() + module.offset.numpy())
    sure = np.asarray(sources.table["confident"] & (sources.table["fr"] != ""))
    answered, truth = fr_scores(p[sure], sources.table["fr"][sure])
    return {
        "fr_accuracy": scores.accuracy(truth, answered),
        "accuracy": scores.accuracy(sources.classes, p),
        "negative_log_likelihood": scores.surprise(sources.classes, p),
        "by_fold": [
            scores.accuracy(sources.classes[sources.fold == k], p[sources.fold == k])
            for k in range(len(module.members))
        ],
    }


def write(
    out: Path,
    module: Ensemble,
    sources: Sources,
    *,
    calibration: dict[str, float],
    about: dict[str, Any],
) -> None:
    """Write weights, replay, folds, baseline and facts."""
    import torch

    training.save_weights(out, module)
    values = simulate(6, seed=1)[0].values.astype(np.float16)
    with torch.inference_mode():
        logits = module(torch.from_numpy(values.astype(np.float32))).numpy()
    np.savez_compressed(out / REPLAY, values=values, logits=logits)
    places = sources.table["ra"], sources.table["dec"], sources.fold
    folds.write_positions(out / TAUGHT, *places)
    forest.save(
        out / forest.FILE,
        features=baseline.measure(sources.light[:, 0].numpy()),
        classes=sources.classes,
        names=real.CLASSES,
        columns=baseline.FEATURES,
        fold=sources.fold,
    )
    write_facts(
        out, Facts(digest=digest_of(out / WEIGHTS), calibration=calibration, training=about)
    )


if __name__ == "__main__":
    sys.exit(main())
