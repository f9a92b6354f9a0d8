"""One way to fit a network: AdamW in one cycle, and a moving average of the weights."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from jupyter_astroml.core.errors import DataError

if TYPE_CHECKING:
    import torch

    Net = TypeVar("Net", bound=torch.nn.Module)

Say = Callable[[str], None]


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
