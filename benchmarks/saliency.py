"""Speed of SmoothGrad and integrated gradients against the bare passes that they need.

The limit is 50 forward and backward passes for each object through the same network, at the batch
size that is fastest here, with nothing else around them.
Captum does the same job beside it.
All are timed in turns (A B A B) by processor time on one thread; a ratio is the median over the
turns of the ratio within a turn, so that a machine which others use slows both sides alike.
Prints one JSON object last.
"""

from __future__ import annotations

import json
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from jupyter_astroml.explain import attribute

SAMPLES = 50
ROUNDS = 7
GOAL = 0.95


class SmallCNN(nn.Module):
    """A network of the size that classifies galaxies of 64 x 64 pixels, with one member."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((1, 16), (16, 32), (32, 64), (64, 64)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(64 * 4 * 4, 4)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Logits of shape (member, n, k)."""
        return self.head(self.body(values))[None]


class Logits(nn.Module):
    """The same network as Captum wants it: without the axis of the members."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Logits of shape (n, k)."""
        return self.module(values)[0]


def passes(module: nn.Module, batch: int, count: int) -> Callable[[], Any]:
    """`count` forward and backward passes in batches, and nothing else."""
    inputs = torch.randn(batch, 1, 64, 64)

    def run() -> None:
        for start in range(0, count, batch):
            part = inputs[: min(batch, count - start)].detach().requires_grad_()
            torch.autograd.grad(module(part)[..., 0].sum(), part)

    return run


def timed(jobs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Processor seconds of each job in each turn, after one turn that is not measured."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(rounds + 1):
        for name, job in jobs.items():
            start = time.process_time()
            job()
            if turn:
                seconds[name].append(time.process_time() - start)
    return seconds


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    try:
        from captum.attr import IntegratedGradients, NoiseTunnel, Saliency
    except ImportError:
        IntegratedGradients = None
    module = SmallCNN().eval()
    for weight in module.parameters():
        weight.requires_grad_(requires_grad=False)
    trial = timed({str(b): passes(module, b, 128) for b in (8, 16, 32, 64)}, 3)
    batch = int(min(trial, key=lambda name: statistics.median(trial[name])))
    details: dict[str, Any] = {"best_batch": batch}
    ratios = []
    for n in (1, 8):
        values = np.random.default_rng(0).normal(size=(n, 1, 64, 64)).astype(np.float32)
        ours = {"targets": 0, "batch": batch}
        jobs: dict[str, Callable[[], Any]] = {
            "limit": passes(module, batch, n * SAMPLES),
            "smoothgrad": lambda v=values, o=ours: attribute(module, v, samples=SAMPLES, **o),
            "integrated_gradients": lambda v=values, o=ours: attribute(
                module, v, method="integrated_gradients", steps=SAMPLES, **o
            ),
        }
        if IntegratedGradients is not None:
            tensor = torch.from_numpy(values)
            logits = Logits(module)
            smooth, integrated = NoiseTunnel(Saliency(logits)), IntegratedGradients(logits)
            jobs["captum_smoothgrad"] = lambda t=tensor, s=smooth: s.attribute(
                t, nt_type="smoothgrad", nt_samples=SAMPLES, stdevs=0.15, target=0, abs=False
            )
            jobs["captum_integrated_gradients"] = lambda t=tensor, g=integrated: g.attribute(
                t, n_steps=SAMPLES, target=0
            )
        seconds = timed(jobs, ROUNDS)
        ratio = {
            name: round(statistics.median(np.divide(seconds["limit"], s).tolist()), 3)
            for name, s in seconds.items()
        }
        details[f"objects_{n}"] = {
            "seconds": {name: round(statistics.median(s), 4) for name, s in seconds.items()},
            "ratio_to_limit": ratio,
        }
        ratios += [ratio["smoothgrad"], ratio["integrated_gradients"]]
    print(json.dumps({"name": "saliency", "ratio": min(ratios), "goal": GOAL, **details}))


if __name__ == "__main__":
    main()
