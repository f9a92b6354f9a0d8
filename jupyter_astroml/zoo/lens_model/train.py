"""Train the lens model: ``python -m jupyter_astroml.zoo.lens_model.train --help``.

1. Lenses are simulated without noise, in chunks that are kept in ``--data``.
2. The network learns to give the true mass a high likelihood, with new noise and a new residual of
   the lens's light at each pass.
3. On new lenses the widths of intervals and ellipsoids are set.
4. Everything is written, judged on other new lenses, and on lenses unlike those of the training.

What was simulated and trained is kept in ``--data``: a training that was killed goes on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.models import estimates, familiar
from jupyter_astroml.models.cards import WEIGHTS, Facts, digest_of, read_card, write_facts
from jupyter_astroml.models.evaluation import bootstrap, measure
from jupyter_astroml.models.loading import from_folder, store_replay
from jupyter_astroml.zoo import lensing, training
from jupyter_astroml.zoo.lens_model import baseline, picture
from jupyter_astroml.zoo.lens_model.evaluate import (
    FRESH,
    FRESH_SEED,
    calibration_of,
    estimated,
    fresh,
    judge,
    rms,
    truth_of,
    within,
    worst,
)
from jupyter_astroml.zoo.lens_model.report import write_report
from jupyter_astroml.zoo.lens_model.simulate import (
    NAMES,
    PRIORS,
    RESIDUAL,
    read,
    scene,
    simulate,
    write,
)
from jupyter_astroml.zoo.training import Cycle, Say

if TYPE_CHECKING:
    import torch
    from astropy.table import Table

    from jupyter_astroml.core.records import Cutouts
    from jupyter_astroml.models.loading import Model
    from jupyter_astroml.zoo.lens_model.network import LensModel

# Lenses of a chunk that is kept.
CHUNK = 1000
# Seeds that no evaluation draws from.
TRAINING_SEED, CALIBRATION_SEED, ELSEWHERE_SEED = 1_000_000, 3_000_000, 5_000_000
# Lenses unlike those of the training, and what is different.
ELSEWHERE: dict[str, dict[str, Any]] = {
    "shallower mass (slope 1.8)": {"priors": replace(PRIORS, slope=(1.8, 1.8))},
    "steeper mass (slope 2.2)": {"priors": replace(PRIORS, slope=(2.2, 2.2))},
    "source with up to five clumps": {"priors": replace(PRIORS, clumps=5)},
    "Einstein radius 2.0 to 2.4 arcsec": {"priors": replace(PRIORS, theta_e=(2.0, 2.4))},
    "no lens, a galaxy instead": {"without_lens": True},
}


@dataclass(frozen=True)
class Numbers:
    """How many lenses are drawn.

    Attributes
    ----------
    learned : int
        To learn from.
    usual : int
        Of these, those that the baseline learns from, each from four sides.
    calibrating : int
        To set the widths of intervals with.
    judged : int
        To score with.
    elsewhere : int
        Of each kind that is unlike the training.
    """

    learned: int = 12_000
    usual: int = 2000
    calibrating: int = 8000
    judged: int = FRESH
    elsewhere: int = 200


@dataclass(frozen=True, eq=False)
class Sky:
    """Simulated lenses to learn from.

    Attributes
    ----------
    arcs, galaxy : Tensor of float16, shape (n, y, x), electron / s
        Without noise.
    dark : Tensor, shape (n,), electron
        Variance of a pixel without light.
    exposure : Tensor, shape (n,), s
    truth : Tensor, shape (n, 5)
    """

    arcs: torch.Tensor
    galaxy: torch.Tensor
    dark: torch.Tensor
    exposure: torch.Tensor
    truth: torch.Tensor

    def taken(self, rows: torch.Tensor, *, random: torch.Generator) -> torch.Tensor:
        """Return images of some lenses with new noise, shape (n, 1, y, x), electron / s."""
        import torch

        arcs, galaxy = self.arcs[rows].float(), self.galaxy[rows].float()
        time_, dark = (v[rows][:, None, None] for v in (self.exposure, self.dark))
        noise = torch.sqrt((arcs + galaxy).clamp(min=0.0) * time_ + dark) / time_
        left = RESIDUAL * torch.randn(len(rows), 1, 1, generator=random)
        seen = arcs - left * galaxy + noise * torch.randn(arcs.shape, generator=random)
        return seen[:, None]


def main(arguments: list[str] | None = None) -> int:
    """Train from the command line."""
    parser = argparse.ArgumentParser(prog="python -m jupyter_astroml.zoo.lens_model.train")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--data", type=Path, help="folder that keeps what was simulated")
    parser.add_argument("--n", type=int, default=Numbers.learned, help="lenses to learn from")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2, help="cycles, each of so many epochs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    given = parser.parse_args(arguments)

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    cycle = Cycle(
        seed=given.seed,
        epochs=given.epochs,
        batch=32,
        rate=3e-3,
        decay=0.02,
        smoothing=0.0,
        average=0.995,
    )
    with tempfile.TemporaryDirectory() as nowhere:
        kept = given.data or Path(nowhere)
        numbers = Numbers(learned=given.n)
        train(
            given.out,
            kept=kept,
            numbers=numbers,
            cycle=cycle,
            threads=given.threads,
            say=say,
            rounds=given.rounds,
        )
    return 0


def train(
    out: Path,
    *,
    kept: Path,
    numbers: Numbers,
    cycle: Cycle,
    threads: int,
    say: Say,
    rounds: int = 1,
) -> None:
    """Train and write everything that a model's folder holds beside its hand-written files.

    Parameters
    ----------
    out : Path
        The model's folder; must hold ``card.yaml`` and ``README.md``.
    kept : Path
        Keeps what was simulated and trained, for a training that goes on.
    numbers : Numbers
        How many lenses are drawn.
    cycle : Cycle
        All choices.
    threads : int
        Threads of torch.
    say : callable
        Told about progress.
    rounds : int
        Number of cycles.
    """
    import torch

    from jupyter_astroml.zoo.lens_model.network import build

    torch.set_num_threads(threads)
    kept.mkdir(parents=True, exist_ok=True)
    sky = simulated(kept, n=numbers.learned, seed=cycle.seed, say=say)
    torch.manual_seed(cycle.seed)
    module = build(**read_card(out).network.options)
    module, seconds = learned(module, sky, cycle=cycle, rounds=rounds, kept=kept, say=say)
    about: dict[str, Any] = {
        "recipe": {**asdict(cycle), "rounds": rounds},
        "lenses": numbers.learned,
        "minutes": round(seconds / 60, 1),
        **training.machine(threads),
    }
    finish(out, module, sky, kept=kept, numbers=numbers, about=about, seed=cycle.seed, say=say)


def simulated(kept: Path, *, n: int, seed: int, say: Say) -> Sky:
    """Return lenses to learn from; those that an earlier training drew are read.

    Parameters
    ----------
    kept : Path
        Folder of the chunks.
    n : int
        Number of lenses.
    seed : int
        Of the training.
    say : callable
        Told about progress.
    """
    import torch

    chunks: list[dict[str, np.ndarray]] = []
    started = time.monotonic()
    for number in range(-(-n // CHUNK)):
        size = min(CHUNK, n - number * CHUNK)
        path = kept / f"lenses-{seed}-{number:03d}-{size}.npz"
        if not path.exists():
            new = path.with_suffix(".new.npz")
            arrays: dict[str, Any] = _chunk(size, seed=TRAINING_SEED + 1000 * seed + number)
            np.savez(new, **arrays)
            new.replace(path)
            say(f"{number * CHUNK + size} lenses drawn, {time.monotonic() - started:.0f} s")
        with np.load(path, allow_pickle=False) as stored:
            chunks.append({name: stored[name] for name in stored.files})
    joined = {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]}
    return Sky(**{name: torch.from_numpy(values) for name, values in joined.items()})


def _chunk(n: int, *, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    found = [scene(rng=rng) for _ in range(n)]
    exposure = np.array([s.camera.exposure for s in found])
    empty = np.zeros(1)
    dark = [float(lensing.noise_of(empty, s.camera)[0]) for s in found]
    return {
        "arcs": np.stack([s.arcs for s in found]).astype(np.float16),
        "galaxy": np.stack([s.galaxy for s in found]).astype(np.float16),
        "dark": ((np.array(dark) * exposure) ** 2).astype(np.float32),
        "exposure": exposure.astype(np.float32),
        "truth": np.array([[s.truth[name] for name in NAMES] for s in found], dtype=np.float32),
    }


def learned(
    module: LensModel, sky: Sky, *, cycle: Cycle, rounds: int, kept: Path, say: Say
) -> tuple[LensModel, float]:
    """Return the trained network and its seconds; rounds that were trained before are read.

    Each round is a cycle that starts where the last one ended, with steps of half the size (warm
    restarts, Loshchilov & Hutter 2017, ICLR).

    Parameters
    ----------
    module : LensModel
        Where to start.
    sky : Sky
        What to learn from.
    cycle : Cycle
        All choices of a round.
    rounds : int
        Number of cycles.
    kept : Path
        Folder of what was trained before.
    say : callable
        Told about progress.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    from jupyter_astroml.zoo.lens_model.network import planes

    def loss(network: LensModel, rows: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        seen = planes(sky.taken(rows, random=random))
        return network.surprise(seen, sky.truth[rows]).mean()

    rows, seconds = np.arange(len(sky.truth)), 0.0
    for turn in range(rounds):
        path = kept / f"trained-{cycle.seed}-{cycle.epochs}x{len(rows)}-{turn}.safetensors"
        if not path.exists():
            say(f"round {turn + 1} of {rounds}")
            started = time.monotonic()
            calmer = replace(cycle, rate=cycle.rate / 2**turn)
            seed = cycle.seed + turn
            found = training.fitted_on(module, rows, loss, cycle=calmer, seed=seed, say=say)
            about = {"seconds": f"{time.monotonic() - started:.0f}"}
            save_file(found.state_dict(), path, metadata=about)
        with safe_open(path, framework="pt") as stored:
            seconds += float(stored.metadata()["seconds"])
        module.load_state_dict(load_file(path))
    return module.eval(), seconds


def finish(
    out: Path,
    module: LensModel,
    sky: Sky,
    *,
    kept: Path,
    numbers: Numbers,
    about: dict[str, Any],
    seed: int,
    say: Say,
) -> None:
    """Calibrate, write, and judge.

    Parameters
    ----------
    out : Path
        The model's folder.
    module : LensModel
        Trained.
    sky : Sky
        What it learned from.
    kept : Path
        Keeps what was simulated.
    numbers : Numbers
        How many lenses are drawn.
    about : mapping
        Of the training.
    seed : int
        Of all draws.
    say : callable
        Told about progress.
    """
    import torch

    training.save_weights(out, module)
    facts = Facts(digest=digest_of(out / WEIGHTS), training=about)
    write_facts(out, facts)
    model = from_folder(out)
    cutouts, table = drawn(kept, numbers.calibrating, seed=CALIBRATION_SEED + seed)
    say(f"{numbers.calibrating} lenses drawn to calibrate with")
    widths = estimates.calibration(
        estimated(model, cutouts), truth_of(table), alike=(("e1", "e2"), ("x", "y"))
    )
    spread = sky.truth.numpy().std(axis=0)
    widths |= {f"spread_{name}": float(s) for name, s in zip(NAMES, spread, strict=True)}
    write_facts(out, facts.model_copy(update={"calibration": widths}))
    model = from_folder(out)
    random = torch.Generator().manual_seed(seed)
    known = sky.taken(torch.arange(min(numbers.usual, len(sky.truth))), random=random).numpy()
    _write_baseline(out, known, sky.truth[: len(known)].numpy())
    store_replay(model, known[:6].astype(np.float16).astype(np.float32))
    known = known[: numbers.calibrating]
    familiar.learn(model, [known], held_out=[cutouts.values], seed=seed)
    judged(out, from_folder(out), kept=kept, numbers=numbers, seed=seed, say=say)
    write_report(out)


def judged(out: Path, model: Model, *, kept: Path, numbers: Numbers, seed: int, say: Say) -> None:
    """Score the model that was just written, and note the result in its facts.

    Parameters
    ----------
    out : Path
        The model's folder.
    model : Model
        As it was written there.
    kept : Path
        Keeps what was simulated.
    numbers : Numbers
        How many lenses are drawn.
    seed : int
        Of new lenses.
    say : callable
        Told about progress.
    """
    facts = read_card(out).facts
    if facts is None:
        return
    cutouts, table = drawn(kept, numbers.judged, seed=FRESH_SEED + seed)
    found = judge(model, cutouts, table, data=fresh(seed), seed=seed).to_json()
    say(f"{found['metric']} {found['value']:.4f}, baseline {found['baseline_value']:.4f}")
    answers = estimates.widened(estimated(model, cutouts), calibration_of(model))
    picture.write(out, answers, truth_of(table))
    about = {
        **facts.training,
        "elsewhere": elsewhere(model, kept=kept, seed=seed, n=numbers.elsewhere),
        "worst": worst(answers, table),
    }
    write_facts(out, facts.model_copy(update={"evaluation": found, "training": about}))


def elsewhere(model: Model, *, kept: Path, seed: int, n: int) -> dict[str, dict[str, Any]]:
    """Return how the model does on lenses unlike those of its training.

    Parameters
    ----------
    model : Model
        To be asked.
    kept : Path
        Keeps what was simulated.
    seed : int
        Of the lenses.
    n : int
        Number of lenses of each kind.

    Returns
    -------
    mapping
        By kind: error and bias of the Einstein radius, coverage of the ellipsoid of 95 %, and the
        share that `aml.check` flags.
    """
    told = {}
    for number, (kind, change) in enumerate({"as in training": {}, **ELSEWHERE}.items()):
        cutouts, table = drawn(kept, n, seed=ELSEWHERE_SEED + 100 * seed + number, **change)
        truth, found = truth_of(table), estimated(model, cutouts)
        off = found.values[:, 0] - truth[:, 0]
        flagged = model.check(cutouts).status == "outside"
        told[kind] = {"flagged": measure(bootstrap(np.mean, flagged.astype(float), seed=seed))}
        if not change.get("without_lens"):
            held = within(found, truth, calibration_of(model))[95].astype(float)
            told[kind] |= {
                "rmse_theta_e": measure(bootstrap(rms, off, seed=seed)),
                "bias_theta_e": measure(bootstrap(np.mean, off, seed=seed)),
                "coverage_95_joint": measure(bootstrap(np.mean, held, seed=seed)),
            }
    return told


def drawn(kept: Path, n: int, *, seed: int, **change: Any) -> tuple[Cutouts, Table]:
    """Return new lenses as `simulate` makes them, or those that an earlier training drew.

    Parameters
    ----------
    kept : Path
        Keeps what was simulated.
    n : int
        Number of lenses.
    seed : int
        Of the lenses; another change of the recipe must have another seed.
    **change
        As for `simulate`.
    """
    folder = kept / f"images-{seed}-{n}"
    if not folder.exists():
        new = kept / f"new-{seed}-{n}"
        write(new, *simulate(n, seed=seed, **change))
        new.rename(folder)
    return read(folder)


def _write_baseline(out: Path, images: np.ndarray, truth: np.ndarray) -> None:
    """Measure images from four sides, so that the forest sees four times as many lenses."""
    from jupyter_astroml.zoo.lens_model.network import matrix_of

    sides = [np.rot90(images, g, (2, 3)) for g in range(4)]
    turned = [truth @ matrix_of(g).numpy().T for g in range(4)]
    baseline.save(
        out / baseline.FILE,
        features=np.concatenate([baseline.measure(side) for side in sides]),
        truth=np.concatenate(turned),
    )


if __name__ == "__main__":
    sys.exit(main())
