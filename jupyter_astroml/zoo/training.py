"""What trainings share: a cycle of AdamW, cross-validation, calibration, and the end of it."""

from __future__ import annotations

import argparse
import copy
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from jupyter_astroml.core.errors import DataError, ModelError
from jupyter_astroml.models.cards import WEIGHTS, read_card, write_facts
from jupyter_astroml.models.evaluation import Evaluation
from jupyter_astroml.zoo import scores

if TYPE_CHECKING:
    import torch

    from jupyter_astroml.models.loading import Model

    Net = TypeVar("Net", bound=torch.nn.Module)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Cycle:
    """How a network is fitted.

    Attributes
    ----------
    seed : int
        Of everything.
    epochs : int
        Passes over the objects.
    batch : int
        Objects in a batch.
    rate, decay : float
        Peak step and weight decay of AdamW.
    smoothing : float
        Label smoothing: labels are noisy.
    average : float
        Decay of the moving average of the weights, which is what is kept.
    """

    seed: int = 0
    epochs: int = 20
    batch: int = 32
    rate: float = 4e-3
    decay: float = 0.03
    smoothing: float = 0.05
    average: float = 0.99


def fitted(
    start: Net,
    loss: Callable[[Net], torch.Tensor],
    *,
    steps: int,
    rate: float,
    decay: float,
    average: float,
    say: Say,
    every: int,
) -> Net:
    """Train a copy of a network and return the moving average of its weights.

    Parameters
    ----------
    start : Module
        Where to start; stays as it is.
    loss : callable
        Draws the next batch and returns what the network loses on it.
    steps : int
        Number of batches.
    rate, decay : float
        Peak step and weight decay of AdamW, one cycle (Smith & Topin 2019); what has one axis, such
        as an offset, does not decay.
    average : float
        Decay of the moving average, which starts faster.
    say : callable
        Told about progress.
    every : int
        Steps between two lines.

    Raises
    ------
    DataError
        If the steps are too few for a cycle.
    """
    import torch

    if steps < 8:
        raise DataError(
            "There are too few objects to train on",
            cause=f"they make {steps} steps",
            remedy="give more objects, or a recipe with smaller batches",
        )
    member = copy.deepcopy(start).train()
    kept = copy.deepcopy(member)
    thick = [p for p in member.parameters() if p.ndim > 1]
    thin = [p for p in member.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": thick, "weight_decay": decay}, {"params": thin, "weight_decay": 0.0}], lr=rate
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=steps, pct_start=0.2
    )
    started = time.monotonic()
    for step in range(steps):
        lost = loss(member)
        optimiser.zero_grad()
        lost.backward()
        optimiser.step()
        schedule.step()
        _follow(kept, member, decay=min(average, (step + 1) / (step + 10)))
        if (step + 1) % every == 0 or step + 1 == steps:
            seconds = time.monotonic() - started
            say(f"  step {step + 1}/{steps} loss {lost.item():.3f} {seconds:.0f} s")
    return kept.eval()


def _follow(kept: torch.nn.Module, member: torch.nn.Module, *, decay: float) -> None:
    import torch

    with torch.no_grad():
        for old, new in zip(kept.state_dict().values(), member.state_dict().values(), strict=True):
            old.lerp_(new, 1.0 - decay)


def fitted_on(
    start: Net,
    rows: np.ndarray,
    loss: Callable[[Net, torch.Tensor, torch.Generator], torch.Tensor],
    *,
    cycle: Cycle,
    seed: int,
    say: Say,
) -> Net:
    """Train a copy of a network on some objects, in another order at each pass.

    Parameters
    ----------
    start : Module
        Where to start; stays as it is.
    rows : ndarray of int
        Objects to learn from.
    loss : callable
        Returns what the network loses on the rows that it is given; the generator is the source of
        all draws.
    cycle : Cycle
        All choices.
    seed : int
        Of the draws.
    say : callable
        Told about progress.
    """
    import torch

    random = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # of the dropout
    known, order = torch.from_numpy(rows), torch.empty(0, dtype=torch.int64)

    def lost(member: Net) -> torch.Tensor:
        nonlocal order
        if len(order) < cycle.batch:
            order = known[torch.randperm(len(known), generator=random)]
        some, order = order[: cycle.batch], order[cycle.batch :]
        return loss(member, some, random)

    steps = cycle.epochs * (len(rows) // cycle.batch)
    return fitted(
        start,
        lost,
        steps=steps,
        rate=cycle.rate,
        decay=cycle.decay,
        average=cycle.average,
        say=say,
        every=max(steps // 4, 1),
    )


def cross_validated(
    module: torch.nn.Module,
    fold: np.ndarray,
    fit: Callable[[Any, np.ndarray, int], Any],
    answer: Callable[[Any, np.ndarray], torch.Tensor],
) -> np.ndarray:
    """Train every member of an ensemble without its fold, and let it answer that fold.

    Parameters
    ----------
    module : Module
        Has `members`; gets the trained ones.
    fold : ndarray of int, shape (n,)
        Of each object.
    fit : callable
        Trains a member on rows; gets its number too.
    answer : callable
        Returns the raw logits of a member on rows, shape (rows, class).

    Returns
    -------
    ndarray, shape (n, class)
        Raw logits, each from the member that did not see the object.
    """
    import torch

    members: Any = module.members
    found: np.ndarray | None = None
    for k in range(len(members)):
        outside = np.flatnonzero(fold == k)
        members[k] = fit(members[k], np.flatnonzero(fold != k), k)
        with torch.inference_mode():
            logits = answer(members[k], outside).double().numpy()
        found = np.empty((len(fold), logits.shape[1])) if found is None else found
        found[outside] = logits
    if found is None:
        raise DataError("There is no network to train")
    return found


def calibrated(
    module: torch.nn.Module, logits: np.ndarray, classes: np.ndarray
) -> dict[str, float]:
    """Set the temperature and the offsets of an ensemble, and return the calibration of its card.

    Parameters
    ----------
    module : Module
        Has buffers `temperature` and `offset`.
    logits : ndarray, shape (n, class)
        Raw, each from a member that did not see the object.
    classes : ndarray of int, shape (n,)
        True classes.
    """
    import torch

    temperature, offset = scores.scaled(logits, classes)
    buffers = dict(module.named_buffers())
    buffers["temperature"].copy_(torch.tensor(temperature))
    buffers["offset"].copy_(torch.from_numpy(offset))
    p = scores.softmax(logits / temperature + offset)
    right = p[np.arange(len(classes)), classes]
    return {
        "conformal_threshold": scores.conformal_threshold(right, level=scores.LEVEL),
        "conformal_level": scores.LEVEL,
        "temperature": temperature,
    }


def save_weights(out: Path, module: torch.nn.Module) -> None:
    """Write the weights of a module into the folder of its model."""
    from safetensors.torch import save_file

    module.eval()
    save_file({k: v.contiguous() for k, v in module.state_dict().items()}, out / WEIGHTS)


def judged(
    out: Path,
    module: torch.nn.Module,
    folder: Path,
    *,
    evaluate: Callable[..., Evaluation],
    worst: Callable[[Path, Model], list[dict[str, Any]]],
    seed: int,
) -> None:
    """Score the model that was just written, and note the result in its facts.

    Parameters
    ----------
    out : Path
        Folder of the model.
    module : Module
        As it was written there.
    folder : Path
        Labelled data.
    evaluate, worst : callable
        Of the model's package.
    seed : int
        Of the bootstrap.
    """
    from jupyter_astroml.models.loading import Model

    card = read_card(out)
    if card.facts is None:
        raise ModelError(f"{out} has no facts", remedy="train the model first")
    model = Model(card, card.facts.digest, module.eval(), folder=out)
    found = evaluate(folder, model=model, seed=seed).to_json()
    about = {**card.facts.training, "worst": worst(folder, model)}
    write_facts(out, card.facts.model_copy(update={"evaluation": found, "training": about}))


def judged_again(
    out: Path,
    folder: Path,
    *,
    evaluate: Callable[..., Evaluation],
    worst: Callable[[Path, Model], list[dict[str, Any]]],
) -> None:
    """Score a trained model once more, with the seed of the first time; see `judged`."""
    from jupyter_astroml.models.loading import from_folder

    model = from_folder(out)
    seed = model.card.facts.evaluation.get("seed", 0) if model.card.facts else 0
    judged(out, model.module, folder, evaluate=evaluate, worst=worst, seed=seed)


def machine(threads: int) -> dict[str, Any]:
    """Return what a training ran on: threads, processor, cores, versions of torch and Python."""
    import torch

    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux
        told = ""
    names = re.findall(r"^model name\s*:\s*(.+)$", told, flags=re.MULTILINE)
    return {
        "threads": threads,
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def command(
    package: str, run: Callable[[Path, Path, int, int, Say], None], arguments: list[str] | None
) -> int:
    """Train from the command line.

    Parameters
    ----------
    package : str
        Of the model.
    run : callable
        Gets the data, the folder of the model, the seed, the threads, and who is told.
    arguments : list of str or None
        Of the command.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {package}.train")
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled data")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    given = parser.parse_args(arguments)

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    run(given.data, given.out, given.seed, given.threads, say)
    return 0
