"""Train the real-bogus filter: ``python -m jupyter_astroml.zoo.real_bogus.train --help``.

1. Alerts are simulated, and kept in a cache outside of the package, for they take minutes.
2. Several networks learn from the same alerts, each in its own order and from its own start.
3. Temperature, offsets and the conformal threshold come from other simulated alerts.
4. The forest of the baseline gets its measurements of training alerts.
5. Everything is written; what is missed is measured on simulated alerts of another seed, and, where
   ``--data`` names a folder of real alerts, the agreement with others on these.

No real alert is learned from.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.models.cards import REPLAY, WEIGHTS, Facts, digest_of, read_card, write_facts
from jupyter_astroml.zoo import forest, scores, training
from jupyter_astroml.zoo.real_bogus import baseline
from jupyter_astroml.zoo.real_bogus.evaluate import evaluate, worst
from jupyter_astroml.zoo.real_bogus.report import write_report
from jupyter_astroml.zoo.real_bogus.simulate import CLASSES, simulate
from jupyter_astroml.zoo.real_bogus.trial import JUDGED, on_simulation
from jupyter_astroml.zoo.training import Cycle, Say

if TYPE_CHECKING:
    import torch

    from jupyter_astroml.models.cards import Card
    from jupyter_astroml.zoo.ensemble import Ensemble


# Alerts that are simulated at a time, and kept.
PART = 1000


@dataclass(frozen=True)
class Plan:
    """What is simulated, and how the networks are fitted.

    Attributes
    ----------
    alerts, checked, judged : int
        Simulated alerts to learn from, to calibrate with, and for the figures on the card.
    measured : int
        Of the first, how many the baseline learns from.
    cycle : Cycle
        Of each network.
    """

    alerts: int = 10_000
    checked: int = 2_000
    judged: int = JUDGED
    measured: int = 4_000
    cycle: Cycle = field(
        default_factory=lambda: Cycle(
            epochs=4, batch=64, rate=4e-3, decay=0.02, smoothing=0.01, average=0.995
        )
    )


@dataclass(frozen=True, eq=False)
class Alerts:
    """Simulated alerts in the input contract.

    Attributes
    ----------
    values : Tensor of float16, shape (n, 3, 63, 63)
    classes : ndarray of int, shape (n,)
    """

    values: torch.Tensor
    classes: np.ndarray


def main(arguments: list[str] | None = None) -> int:
    """Train from the command line."""
    parser = argparse.ArgumentParser(prog="python -m jupyter_astroml.zoo.real_bogus.train")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--data", type=Path, help="folder of real alerts to compare with")
    parser.add_argument("--cache", type=Path, help="folder that keeps simulated alerts")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    given = parser.parse_args(arguments)

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    train(
        given.out, data=given.data, cache=given.cache, plan=Plan(), threads=given.threads, say=say
    )
    return 0


def train(
    out: Path,
    *,
    data: Path | None = None,
    cache: Path | None = None,
    plan: Plan,
    threads: int = 1,
    say: Say,
) -> None:
    """Train and write everything that a model's folder holds beside its hand-written files.

    Parameters
    ----------
    out : Path
        The model's folder; must hold ``card.yaml`` and ``README.md``.
    data : Path, optional
        Real alerts, in the layout of `real`; nothing is learned from them.
    cache : Path, optional
        Where simulated alerts are kept between trainings.
    plan : Plan
        All choices.
    threads : int
        Threads of torch.
    say : callable
        Told about progress.
    """
    import torch

    from jupyter_astroml.zoo.real_bogus.network import build

    torch.set_num_threads(threads)
    card, cycle = read_card(out), plan.cycle
    known = simulated(card, plan.alerts, seed=cycle.seed, cache=cache, say=say)
    checked = simulated(card, plan.checked, seed=cycle.seed + 1, cache=cache, say=say)
    say(f"{len(known.classes)} simulated alerts to learn from")
    started = time.monotonic()
    torch.manual_seed(cycle.seed)
    module = build(**card.network.options)
    for k in range(len(module.members)):
        module.members[k] = learned(module, known, checked, k=k, cycle=cycle, say=say)
    calibration = calibrated(module, checked)
    about: dict[str, Any] = {
        "recipe": asdict(cycle),
        "objects": plan.alerts,
        "calibrated_on": plan.checked,
        "weights": sum(p.numel() for p in module.members[0].parameters()),
        "minutes": round((time.monotonic() - started) / 60, 1),
        **training.machine(threads),
    }
    write(out, module, calibration=calibration, about=about)
    rows = slice(0, plan.measured)
    forest.save(
        out / forest.FILE,
        features=baseline.measure(known.values[rows].float().numpy()),
        classes=known.classes[rows],
        names=CLASSES,
        columns=baseline.FEATURES,
    )
    tried(out, n=plan.judged, seed=cycle.seed)
    if data is not None:
        training.judged(out, module, data, evaluate=evaluate, worst=worst, seed=cycle.seed)
        say(read_card(out).key_metric)
    write_report(out, data)


def simulated(card: Card, n: int, *, seed: int, cache: Path | None, say: Say) -> Alerts:
    """Simulate alerts in the input contract, or find them where an earlier training left them.

    Parameters
    ----------
    card : Card
        Of the model.
    n : int
        Number of alerts.
    seed : int
        Each part of `PART` alerts has a seed that follows from it.
    cache : Path or None
        Folder; each part is kept as it is finished.
    say : callable
        Told about progress.
    """
    import torch

    parts = []
    for k, start in enumerate(range(0, n, PART)):
        size = min(PART, n - start)
        parts.append(_part(card, size, seed=1000 * seed + k, cache=cache))
        say(f"  {start + size}/{n} alerts simulated")
    values = np.concatenate([part[0] for part in parts])
    return Alerts(torch.from_numpy(values), np.concatenate([part[1] for part in parts]))


def _part(card: Card, n: int, *, seed: int, cache: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Return values in half precision, which is finer than the noise, and classes."""
    from jupyter_astroml.models.contract import prepare

    path = cache / f"real_bogus_{seed}_{n}.npz" if cache else None
    if path and path.exists():
        with np.load(path, allow_pickle=False) as stored:
            return stored["values"], stored["classes"]
    cutouts, truth = simulate(n, seed=seed)
    values = prepare(card, cutouts).samples.values.clip(-6e4, 6e4).astype(np.float16)
    classes = np.array([CLASSES.index(label) for label in truth["label"]])
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new.npz")
        np.savez(new, values=values, classes=classes)
        new.replace(path)
    return values, classes


def learned(
    module: Ensemble, known: Alerts, checked: Alerts, *, k: int, cycle: Cycle, say: Say
) -> torch.nn.Module:
    """Train member k, and say how it does on alerts that it did not see."""
    import torch
    from torch.nn import functional

    from jupyter_astroml.zoo.real_bogus.network import normalised

    classes = torch.from_numpy(known.classes)

    def loss(member: Any, rows: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        seen = normalised(known.values[rows].float())
        return functional.cross_entropy(
            member(seen), classes[rows], label_smoothing=cycle.smoothing
        )

    rows = np.arange(len(known.classes))
    member = training.fitted_on(
        module.members[k], rows, loss, cycle=cycle, seed=cycle.seed + k, say=say
    )
    margins = _margins(member, checked)
    found = scores.auc(checked.classes, np.stack([-margins, margins], axis=1))
    say(f"member {k}: area {found:.4f} on alerts that were not seen")
    return member


def _margins(member: Any, alerts: Alerts) -> np.ndarray:
    import torch

    from jupyter_astroml.zoo.real_bogus.network import normalised

    with torch.inference_mode():
        logits = torch.cat([member(normalised(part.float())) for part in alerts.values.split(64)])
    return (logits[:, 1] - logits[:, 0]).double().numpy()


def calibrated(module: Ensemble, checked: Alerts) -> dict[str, float]:
    """Set temperature and offsets by what the members say together."""
    margins = np.mean([_margins(member, checked) for member in module.members], axis=0)
    logits = np.stack([np.zeros_like(margins), margins], axis=1)
    return training.calibrated(module, logits, checked.classes)


def write(
    out: Path, module: Ensemble, *, calibration: dict[str, float], about: dict[str, Any]
) -> None:
    """Write weights, replay and facts."""
    import torch

    from jupyter_astroml.models.contract import prepare

    training.save_weights(out, module)
    kinds = ("host", "cosmic_ray", "variable", "dipole")
    cutouts, _ = simulate(len(kinds), seed=7, kinds=kinds)
    values = prepare(read_card(out), cutouts).samples.values.astype(np.float16)
    with torch.inference_mode():
        logits = module(torch.from_numpy(values.astype(np.float32))).numpy()
    np.savez_compressed(out / REPLAY, values=values, logits=logits)
    write_facts(
        out, Facts(digest=digest_of(out / WEIGHTS), calibration=calibration, training=about)
    )


def tried(out: Path, *, n: int, seed: int) -> None:
    """Note in the facts of the model what it misses on simulation."""
    from jupyter_astroml.models.loading import from_folder

    model = from_folder(out)
    facts = model.card.facts
    if facts is None:
        raise ModelError(f"{out} has no facts", remedy="train the model first")
    found = on_simulation(model, out, n=n, seed=seed).to_json()
    about = {**facts.training, "simulated": found}
    write_facts(out, facts.model_copy(update={"training": about}))


if __name__ == "__main__":
    sys.exit(main())
