"""A network that looks at three images of one place, however the sky is turned.

Cabrera-Vives et al. 2017 (ApJ 836, 97, Deep-HiTS) told real sources from bogus ones on science,
template and difference images, and averaged over the quarter turns of a stamp; Duev et al. 2019
(MNRAS 489, 3582, braai) did so for the Zwicky Transient Facility, on triplets of 63×63 pixels.
Here the turns and the mirror images are in the filters (`jupyter_astroml.zoo.symmetry`), and two
columns look: one at the middle pixel by pixel, where a hit of a cosmic ray is sharper than a star,
and one at the whole stamp, where edges, trails and bright neighbours are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.zoo.ensemble import Ensemble
from jupyter_astroml.zoo.symmetry import ORDER, Column

# Side of a stamp, and of the middle that is seen pixel by pixel; odd, so that a candidate has a
# pixel of its own.
SIZE, CORE = 63, 31
PLANES = 4
# Half a side of the square in which the brightest pixel is that of the candidate.
_NEAR = 3


@dataclass(frozen=True, eq=False)
class Seen:
    """What a member sees.

    Attributes
    ----------
    whole : Tensor, shape (n, 4, 63, 63)
        Science, template and difference in units of their noise, compressed; and the difference
        over the peak of the candidate.
    core : Tensor, shape (n, 4, 31, 31)
        The middle of it.
    """

    whole: Tensor
    core: Tensor


def build(
    *,
    members: int = 3,
    core: Sequence[int] = (3, 4, 8, 12),
    whole: Sequence[int] = (2, 3, 6, 10),
    hidden: int = 48,
    order: int = ORDER,
    dropout: float = 0.2,
) -> RealBogus:
    """Make the network with fresh weights.

    Parameters
    ----------
    members : int
        Number of independently trained networks.
    core, whole : sequence of int
        Number of filters of each stage of the two columns; each stands for `order`.
    hidden : int
        Width of the dense layer.
    order : {8, 4, 1}
        Orientations of a filter: 8 with mirrors, 4 without, 1 for a plain network.
    dropout : float
        Used in training only.
    """
    return RealBogus(
        [
            Member(core=core, whole=whole, hidden=hidden, order=order, dropout=dropout)
            for _ in range(members)
        ],
        classes=2,
    )


class RealBogus(Ensemble):
    """The networks, which share the normalised planes."""

    def seen(self, values: Tensor) -> Seen:
        """Return what members see.

        Parameters
        ----------
        values : Tensor, shape (n, 3, 63, 63)
            Science, template and difference in one linear unit; the candidate is in the middle and
            positive in the difference.
        """
        return normalised(values)


class Member(nn.Module):
    """One network: a column for the middle, one for the whole, two dense layers.

    Shapes for the default options: core (n, 4, 31, 31) → (n, 24, 31, 31) → (n, 32, 16, 16) →
    (n, 64, 8, 8) → (n, 96, 4, 4) → features (n, 48); whole (n, 4, 63, 63) → (n, 16, 32, 32) →
    (n, 24, 16, 16) → (n, 48, 8, 8) → (n, 80, 4, 4) → features (n, 40) → logits (n, 2).
    """

    def __init__(
        self,
        *,
        core: Sequence[int],
        whole: Sequence[int],
        hidden: int,
        order: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.core = Column(PLANES, core, order=order, k=5, stride=1, pool_first=True)
        self.whole = Column(PLANES, whole, order=order, k=5, stride=2, pool_first=True)
        self.dense = nn.Linear(4 * (core[-1] + whole[-1]), hidden)
        self.last = nn.Linear(hidden, 2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, seen: Seen) -> Tensor:
        """Return logits of shape (n, 2): bogus, real."""
        features = torch.cat([self.core(seen.core), self.whole(seen.whole)], dim=1)
        return self.last(self.dropout(functional.relu(self.dense(self.dropout(features)))))


def normalised(values: Tensor) -> Seen:
    """Bring the images to their noise; science and template share one, as they share a flux scale.

    Parameters
    ----------
    values : Tensor, shape (n, 3, 63, 63)
        As for `RealBogus.seen`.

    Raises
    ------
    DataError
        If the values have another shape.
    """
    if values.ndim != 4 or tuple(values.shape[1:]) != (3, SIZE, SIZE):
        raise DataError(
            f"The network got values of shape {tuple(values.shape)}",
            remedy=f"give science, template and difference: (n, 3, {SIZE}, {SIZE})",
        )
    flat = values.flatten(2)
    light = flat - flat.median(dim=2, keepdim=True).values
    noise = 1.4826 * light.abs().median(dim=2).values
    # Where most of a stamp is masked the median deviation is 0: a share of the peak stands for it.
    noise = torch.maximum(noise, 1e-4 * light.abs().amax(dim=2)).clamp(min=1e-12)
    unit = noise[:, [0, 0, 2], None, None]
    light = light.reshape(values.shape) / unit
    middle = SIZE // 2
    near = light[:, 2, middle - _NEAR : middle + _NEAR + 1, middle - _NEAR : middle + _NEAR + 1]
    peak = near.amax(dim=(1, 2)).clamp(min=3.0)
    shape = (light[:, 2:] / peak[:, None, None, None]).clamp(-1.5, 1.5)
    whole = torch.cat([torch.asinh(light / 2.0) / 2.0, 2.0 * shape], dim=1)
    edge = (SIZE - CORE) // 2
    return Seen(whole, whole[..., edge : edge + CORE, edge : edge + CORE])
