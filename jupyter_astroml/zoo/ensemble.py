"""Several networks that answer together, with the calibration of their logits."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """Several networks of one kind.

    Attributes
    ----------
    members : ModuleList
        Each turns what `seen` returns into raw logits.
    temperature : Tensor, shape ()
        Logits are divided by it (Guo et al. 2017, ICML, section 4.2).
    offset : Tensor, shape (classes,)
        Added to the logits: the prior of the sky is not that of the training batches.
    """

    temperature: Tensor
    offset: Tensor

    def __init__(self, members: Sequence[nn.Module], *, classes: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("offset", torch.zeros(classes))

    def seen(self, values: Tensor) -> Any:
        """Return what every member sees of the values of the input contract."""
        return values

    def answered(self, member: nn.Module, seen: Any) -> Tensor:
        """Return the raw logits of one member, shape (n, classes)."""
        return member(seen)

    def only(self, k: int) -> Ensemble:
        """Return an ensemble of member k alone, which shares its weights with this one."""
        alone = copy.copy(self)
        # Copies share the table of their parts, and one of them shall have fewer.
        alone._modules = {**self._modules, "members": self.members[k : k + 1]}
        return alone

    def forward(self, values: Tensor) -> Tensor:
        """Return calibrated logits, shape (member, n, classes).

        Parameters
        ----------
        values : Tensor, shape (n, band, y, x)
            In the input contract.
        """
        seen = self.seen(values)
        logits = torch.stack([self.answered(member, seen) for member in self.members])
        return logits / self.temperature + self.offset
