"""Passes of made-up inputs through a module, in batches that mix objects and repetitions.

Every method here asks the module about many variations of each object.
Filling a batch with variations of several objects keeps it full when one object has few of them and
keeps the memory constant when it has many; looping over objects loses about half of the speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError, ModelError

if TYPE_CHECKING:
    import torch

Progress = Callable[[int, int], Any]
# (repetitions, objects) -> inputs of shape (repetition, object, ...)
Vary = Callable[[slice, slice], "torch.Tensor"]


@contextmanager
def at_rest(module: Any) -> Iterator[None]:
    """Put a module in evaluation mode with frozen parameters, and give both states back.

    Frozen parameters save the part of the backward pass that nobody reads.
    Each submodule has its own training flag (frozen batch norms are common), so each is kept.
    """
    modes = [(part, part.training) for part in module.modules()]
    wanted = [(weight, weight.requires_grad) for weight in module.parameters()]
    try:
        module.eval()
        for weight, _ in wanted:
            weight.requires_grad_(requires_grad=False)
        yield
    finally:
        for part, training in modes:
            part.training = training
        for weight, needs in wanted:
            weight.requires_grad_(needs)


class Scores:
    """The number that is explained: the mean over the members of the logit of each target.

    Parameters
    ----------
    module : torch.nn.Module
        Gives logits of shape (member, n, k) for inputs of shape (n, ...).
    targets : ndarray of int, shape (n,)
        Index of the output to explain, for each object.
    """

    def __init__(self, module: Any, targets: np.ndarray) -> None:
        import torch

        self.module = module
        weight = next(module.parameters(), torch.zeros(0))
        self.device, self.dtype = weight.device, weight.dtype
        self.targets = torch.as_tensor(targets, device=self.device)

    def tensor(self, values: Any) -> torch.Tensor:
        """Return an array as a tensor of the module's kind."""
        import torch

        return torch.as_tensor(values).to(self.device, self.dtype)

    def __call__(self, inputs: torch.Tensor, objects: torch.Tensor) -> torch.Tensor:
        """Return the score of each input, shape (b,); `objects` says whose variation it is."""
        import torch

        logits = self.module(inputs)
        if logits.ndim != 3 or logits.shape[1] != len(inputs):
            raise ModelError(
                f"The model answered with shape {tuple(logits.shape)} for {len(inputs)} objects",
                remedy="return the logits of every member, of shape (member, object, output)",
            )
        targets = self.targets[objects]
        outputs = logits.shape[2]
        if int(targets.max()) >= outputs:
            raise DataError(
                f"Target {int(targets.max())} is not among the model's {outputs} outputs",
                remedy=f"give a target from 0 to {outputs - 1}",
            )
        scores = logits[:, torch.arange(len(inputs), device=self.device), targets].mean(0)
        if not bool(torch.isfinite(scores).all()):
            bad = sorted(set(objects[~torch.isfinite(scores)].tolist()))
            raise DataError(
                f"The model's score is not a number for object {bad[0]}"
                + (f" and {len(bad) - 1} more" if len(bad) > 1 else ""),
                cause="the model cannot read missing values, or its weights are damaged",
                remedy="fill or leave out the missing values",
            )
        return scores


def _batches(n: int, repeats: int, batch: int) -> Iterator[list[tuple[slice, slice]]]:
    """Cut repeats x n passes into batches of up to three rectangles (repetitions, objects)."""
    total = n * repeats
    for start in range(0, total, batch):
        stop = min(start + batch, total)
        pieces, at = [], start
        while at < stop:
            repetition, first = divmod(at, n)
            whole = (stop - at) // n
            if first == 0 and whole:
                pieces.append((slice(repetition, repetition + whole), slice(0, n)))
                at += whole * n
            else:
                last = min(n, first + stop - at)
                pieces.append((slice(repetition, repetition + 1), slice(first, last)))
                at += last - first
        yield pieces


def _length(piece: slice) -> int:
    return int(piece.stop - piece.start)


def _filled(pieces: list[tuple[slice, slice]], vary: Vary) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the inputs of a batch and the object that each of them varies."""
    import torch

    inputs = [vary(repetitions, rows).flatten(0, 1) for repetitions, rows in pieces]
    objects = [
        torch.arange(rows.start, rows.stop).repeat(_length(repetitions))
        for repetitions, rows in pieces
    ]
    return (torch.cat(inputs) if len(inputs) > 1 else inputs[0]), torch.cat(objects)


def mean_gradient(
    scores: Scores,
    like: torch.Tensor,
    vary: Vary,
    *,
    weights: np.ndarray,
    batch: int,
    progress: Progress | None = None,
) -> torch.Tensor:
    """Weighted sum, over the repetitions, of the gradient of the score at varied inputs.

    Parameters
    ----------
    scores : Scores
        What is differentiated.
    like : Tensor, shape (n, ...)
        The objects.
    vary : callable
        Makes the inputs of one repetition for some of the objects.
    weights : ndarray, shape (repetition,)
        Weight of each repetition in the sum.
    batch : int
        Passes in one call of the module.
    progress : callable, optional
        Called with the passes done and their total.

    Returns
    -------
    Tensor, shape of `like`
    """
    import torch

    total = torch.zeros_like(like)
    weight = scores.tensor(weights)
    n, repeats, done = len(like), len(weights), 0
    for pieces in _batches(n, repeats, batch):
        with torch.enable_grad():
            inputs, objects = _filled(pieces, vary)
            inputs = inputs.detach().requires_grad_()
            score = scores(inputs, objects).sum()
            if not score.requires_grad:
                raise ModelError(
                    "The model's answer has no gradient",
                    cause="a step of it cannot be differentiated or is cut off by no_grad",
                    remedy="use method='occlusion', which needs none",
                )
            (slope,) = torch.autograd.grad(score, inputs)
        at = 0
        for repetitions, rows in pieces:
            counts = (_length(repetitions), _length(rows))
            part = slope[at : at + counts[0] * counts[1]].unflatten(0, counts)
            # Not index_add_, whose order of summation is left open on a GPU.
            total[rows] += torch.tensordot(weight[repetitions], part, dims=1)
            at += counts[0] * counts[1]
        done += len(objects)
        if progress is not None:
            progress(done, n * repeats)
    return total


def scores_of(
    scores: Scores,
    n: int,
    vary: Vary,
    *,
    repeats: int,
    batch: int,
    progress: Progress | None = None,
) -> torch.Tensor:
    """Score of every variation of every object, shape (repetition, n), without gradients."""
    import torch

    found, done = [], 0
    with torch.no_grad():
        for pieces in _batches(n, repeats, batch):
            inputs, objects = _filled(pieces, vary)
            found.append(scores(inputs, objects))
            done += len(objects)
            if progress is not None:
                progress(done, n * repeats)
    return torch.cat(found).reshape(repeats, n)
