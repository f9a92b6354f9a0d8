"""What a network says of an object just before it decides: the values that its heads read.

A head is a dense layer, or a convolution of width one, with as many outputs as the model has
answers; each member of an ensemble has one.  What goes into it is the network's own summary of an
object, in which neighbours look alike to the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from jupyter_astroml.core.errors import ModelError

if TYPE_CHECKING:
    import torch

    from jupyter_astroml.models.cards import Card
    from jupyter_astroml.models.loading import Model


def heads(module: torch.nn.Module, card: Card) -> dict[str, torch.nn.Module]:
    """Return the layers that decide, by their names in the module.

    Raises
    ------
    ModelError
        If the network has none.
    """
    k = card.width
    # Two classes need one logit only.
    wanted = {k, 1} if k == 2 else {k}
    sizes = {name: _size(layer) for name, layer in module.named_modules()}
    names = [name for name, size in sizes.items() if size in wanted]
    # A hidden layer may happen to be as wide: a head is the last of its member.
    last = {name.rpartition(".")[0]: name for name in names}
    if not last:
        raise ModelError(
            f"The network of {card.id} has no layer with {k} outputs to look behind",
            remedy="end it in a torch.nn.Linear, or in a convolution of width one",
        )
    found = dict(module.named_modules())
    return {name: found[name] for name in last.values()}


def _size(layer: torch.nn.Module) -> int:
    from torch import nn

    if isinstance(layer, nn.Linear):
        return layer.out_features
    if isinstance(layer, nn.Conv1d | nn.Conv2d) and set(layer.kernel_size) == {1}:
        return layer.out_channels
    return 0


@contextmanager
def overheard(layers: Mapping[str, torch.nn.Module]) -> Iterator[dict[str, torch.Tensor]]:
    """Collect what layers are given while the network runs."""
    found: dict[str, torch.Tensor] = {}

    def listen(name: str) -> object:
        def keep(_layer: object, given: tuple[torch.Tensor, ...]) -> None:
            found[name] = given[0].detach()

        return keep

    hooks = [
        layer.register_forward_pre_hook(listen(name))  # type: ignore[arg-type]
        for name, layer in layers.items()
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def embedded(model: Model, values: np.ndarray) -> np.ndarray:
    """Return the summary that a model makes of each object.

    Parameters
    ----------
    model : Model
        Whose heads are looked behind.
    values : ndarray of float32, shape (n, ...)
        In the input contract.

    Returns
    -------
    ndarray of float32, shape (n, member, d)
        What a head reads at every cadence is described by its mean and its standard deviation over
        the object.
    """
    import torch

    from jupyter_astroml.models.loading import micro_batch

    layers = heads(model.module, model.card)
    step = micro_batch(model.card)
    parts = []
    with torch.inference_mode(), overheard(layers) as given:
        for start in range(0, len(values), step):
            chunk = np.ascontiguousarray(values[start : start + step])
            model.module(torch.from_numpy(chunk).to(model.device))
            members = [_pooled(given[name]) for name in layers]
            parts.append(torch.stack(members, dim=1).float().cpu().numpy())
    return np.concatenate(parts)


def _pooled(given: torch.Tensor) -> torch.Tensor:
    import torch

    if given.ndim == 2:
        return given
    flat = given.flatten(2)
    return torch.cat([flat.mean(2), flat.std(2)], dim=1)
