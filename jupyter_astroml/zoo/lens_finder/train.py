"""Train the lens finder: ``python -m jupyter_astroml.zoo.lens_finder.train --help``.

1. Fields are simulated; in a part of them the galaxy in the middle is an observed one, of the part
   of Galaxy Zoo that teaches (`jupyter_astroml.zoo.lens_finder.borrowed`).
2. Networks learn lenses against all that is mistaken for them.
3. A quarter of new fields sets the temperature, the offsets and the conformal threshold; the rest
   tells how complete the finder is, and so do arcs around galaxies of the part of Galaxy Zoo that
   judges.
4. The forest of the baseline grows from fields of the same training; graded candidates, of which no
   training saw any, judge both.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.models.cards import REPLAY, WEIGHTS, Facts, digest_of, read_card, write_facts
from jupyter_astroml.zoo import forest, training
from jupyter_astroml.zoo.lens_finder import baseline, borrowed, completeness, real
from jupyter_astroml.zoo.lens_finder.evaluate import evaluate, worst
from jupyter_astroml.zoo.lens_finder.fields import Fields, Wanted, made
from jupyter_astroml.zoo.lens_finder.report import EXAMPLES, draw_examples, write_report
from jupyter_astroml.zoo.training import Cycle, Say

if TYPE_CHECKING:
    import torch

    from jupyter_astroml.zoo.ensemble import Ensemble

TEACHING = Wanted(4500, seed=1)
JUDGING = Wanted(2000, seed=2, lenses=1 / 3, borrowed=0.0)
INJECTING = Wanted(750, seed=3, lenses=1 / 3, borrowed=1.0)
CYCLE = Cycle(batch=32, rate=4e-3, smoothing=0.02)


@dataclass(frozen=True)
class Recipe:
    """All choices.

    Attributes
    ----------
    seed : int
        Of everything.
    teaching, judging, injecting : Wanted
        Fields to learn from, fields to calibrate with and to judge by, and fields to judge by of
        which each stands around an observed galaxy.
    cycle : Cycle
        How a member is fitted.
    epochs : tuple of int
        Passes over the fields, of each member.
    forest : int
        Fields that the baseline grows from.
    """

    seed: int = 0
    teaching: Wanted = TEACHING
    judging: Wanted = JUDGING
    injecting: Wanted = INJECTING
    cycle: Cycle = CYCLE
    epochs: tuple[int, ...] = (12,)
    forest: int = 2500


def main(arguments: list[str] | None = None) -> int:
    """Train from the command line."""
    parser = argparse.ArgumentParser(prog="python -m jupyter_astroml.zoo.lens_finder.train")
    parser.add_argument("--data", type=Path, required=True, help="folder of graded candidates")
    parser.add_argument("--galaxies", type=Path, help="folder of Galaxy Zoo pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--cache", type=Path, help="folder that keeps what is done")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    given = parser.parse_args(arguments)

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    train(
        given.data,
        given.out,
        galaxies=given.galaxies,
        cache=given.cache,
        recipe=Recipe(seed=given.seed),
        threads=given.threads,
        say=say,
    )
    return 0


def train(
    folder: Path,
    out: Path,
    *,
    galaxies: Path | None,
    cache: Path | None,
    recipe: Recipe,
    threads: int,
    say: Say,
) -> None:
    """Train and write everything that a model's folder holds beside its hand-written files.

    Parameters
    ----------
    folder : Path
        Graded candidates, in the layout of `real`; they judge and do not teach.
    out : Path
        The model's folder; must hold ``card.yaml`` and ``README.md``.
    galaxies : Path, optional
        Pictures of galaxies, in the layout of `jupyter_astroml.zoo.galaxy_morphology.real`.
    cache : Path, optional
        Keeps simulated fields and trained members, so that a killed training goes on.
    recipe : Recipe
        All choices.
    threads : int
        Threads of torch.
    say : callable
        Told about progress.
    """
    import torch

    from jupyter_astroml.zoo.lens_finder.network import build

    torch.set_num_threads(threads)
    card = read_card(out)
    if card.network.options["members"] != len(recipe.epochs):
        raise ModelError("The card and the recipe differ in the number of members")
    taught = borrowed.read(galaxies, taught=True) if galaxies else None
    fields = made(recipe.teaching, galaxies=taught, cache=cache, say=say)
    torch.manual_seed(recipe.seed)
    module = build(**card.network.options)
    minutes = 0.0
    for k, epochs in enumerate(recipe.epochs):
        cycle = Cycle(**{**asdict(recipe.cycle), "epochs": epochs})
        fit = partial(fitted, fields=fields, cycle=cycle, seed=recipe.seed + k, say=say)
        path = cache / f"member-{recipe.seed}-{k}.safetensors" if cache else None
        module.members[k], took = kept(path, module.members[k], fit)
        minutes += took
    judging = made(recipe.judging, galaxies=None, cache=cache, say=say)
    calibrating, judging = judging.split(len(judging.pictures) // 4)
    calibration = calibrated(module, calibrating)
    about: dict[str, Any] = {
        "recipe": asdict(recipe),
        "fields": len(fields.pictures),
        "galaxies": 0 if taught is None else len(set(fields.truth["galaxy"].tolist()) - {""}),
        "calibrated_on": len(calibrating.pictures),
        "minutes": round(minutes, 1),
        **training.machine(threads),
    }
    plant(out, fields, n=recipe.forest)
    about["judged"] = completeness.judged(out, module, judging, seed=recipe.seed)
    if galaxies:
        judge = borrowed.read(galaxies, taught=False)
        injected = made(recipe.injecting, galaxies=judge, cache=cache, say=say)
        about["injected"] = completeness.judged(out, module, injected, seed=recipe.seed)
        about["injected"]["galaxies"] = len(set(injected.truth["galaxy"].tolist()))
    write(out, module, judging, calibration=calibration, about=about)
    training.judged(out, module, folder, evaluate=evaluate, worst=worst, seed=recipe.seed)
    write_report(out, folder)
    say(read_card(out).key_metric)


def kept(path: Path | None, start: Any, fit: Callable[[Any], Any]) -> tuple[Any, float]:
    """Train a network, or read what an earlier run of the same recipe came to.

    Returns
    -------
    Module
        Trained.
    float
        The minutes that it took, then or now.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    if path is not None and path.exists():
        start.load_state_dict(load_file(path))
        with safe_open(path, framework="pt") as file:
            return start.eval(), float((file.metadata() or {}).get("minutes", "nan"))
    started = time.monotonic()
    found = fit(start)
    minutes = (time.monotonic() - started) / 60
    if path is not None:
        weights = {k: v.contiguous() for k, v in found.state_dict().items()}
        save_file(weights, path, metadata={"minutes": f"{minutes:.2f}"})
    return found, minutes


def fitted(start: Any, *, fields: Fields, cycle: Cycle, seed: int, say: Say) -> Any:
    """Train a network on simulated fields."""
    import torch
    from torch.nn import functional

    from jupyter_astroml.zoo.lens_finder.augment import varied
    from jupyter_astroml.zoo.lens_finder.network import views

    pictures, classes = torch.from_numpy(fields.pictures), torch.from_numpy(fields.classes)

    def loss(member: Any, rows: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        seen = views(varied(pictures[rows].float() / 255.0, random=random))
        return functional.cross_entropy(
            member(seen), classes[rows], label_smoothing=cycle.smoothing
        )

    return training.fitted_on(start, np.arange(len(classes)), loss, cycle=cycle, seed=seed, say=say)


def calibrated(module: Ensemble, fields: Fields) -> dict[str, float]:
    """Set temperature and offsets by fields that no member saw; see `training.calibrated`."""
    logits = completeness.logits_of(module, fields)
    return training.calibrated(
        module, logits.reshape(-1, logits.shape[-1]), np.tile(fields.classes, len(logits))
    )


def plant(out: Path, fields: Fields, *, n: int) -> None:
    """Store what the forest of the baseline grows from: the first n fields."""
    some = slice(min(n, len(fields.pictures)))
    forest.save(
        out / forest.FILE,
        features=baseline.measure(fields.values(some)),
        classes=fields.classes[some],
        names=real.CLASSES,
        columns=baseline.FEATURES,
    )


def write(
    out: Path,
    module: Ensemble,
    fields: Fields,
    *,
    calibration: dict[str, float],
    about: dict[str, Any],
) -> None:
    """Write weights, replay, examples and facts; the fields hold no observed galaxy."""
    import torch

    training.save_weights(out, module)
    lens, other = np.flatnonzero(fields.classes == 1), np.flatnonzero(fields.classes == 0)
    draw_examples(out / EXAMPLES, fields.pictures, fields.classes)
    values = fields.values(np.concatenate([lens[:3], other[:3]])).astype(np.float16)
    with torch.inference_mode():
        logits = module(torch.from_numpy(values.astype(np.float32))).numpy()
    np.savez_compressed(out / REPLAY, values=values, logits=logits)
    write_facts(
        out, Facts(digest=digest_of(out / WEIGHTS), calibration=calibration, training=about)
    )


if __name__ == "__main__":
    sys.exit(main())
