"""A convolutional network whose answer does not depend on how the camera was turned.

Dieleman, Willett & Dambre 2015 (MNRAS 450, 1441) won the Galaxy Zoo challenge by sending rotated
and flipped views of a galaxy through one shared column of filters and joining the features.
Cohen & Welling 2016 (ICML, arXiv:1602.07576) and Dieleman, De Fauw & Kavukcuoglu 2016 (ICML,
arXiv:1602.02660) carried that sharing into every layer: each filter exists in all eight
orientations of the square (the group p4m), and later layers see how orientations relate.
That is what stands here.
The features are pooled over the orientations at the end, so quarter turns and mirror images of a
picture get the same answer up to rounding; other angles are learned from turned training pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from jupyter_astroml.core.errors import DataError

# Orientations of a square: four quarter turns, then the same of its mirror image.
ORDER = 8
# Level and scatter of a picture's pixels, so that the first filters see numbers around 0 and 1.
_LEVEL, _SCALE = 0.06, 0.15
_EPSILON = 1e-5


def build(
    *,
    members: int = 5,
    classes: int = 4,
    widths: Sequence[int] = (3, 4, 8, 16),
    hidden: int = 64,
    field: int = 76,
    size: int = 56,
    dropout: float = 0.1,
) -> Ensemble:
    """Make the network with fresh weights.

    Parameters
    ----------
    members : int
        Number of independently trained networks.
    classes : int
        Number of classes.
    widths : sequence of int
        Number of filters of each stage; each stands for eight, one an orientation.
    hidden : int
        Width of the dense layer.
    field : int
        Side in pixels of the central part of the picture that is looked at.
    size : int
        Side in pixels to which that part is resampled; a multiple of ``2 ** (len(widths) - 1)``
        keeps every stage symmetric.
    dropout : float
        Used in training only.
    """
    return Ensemble(
        [
            Member(classes=classes, widths=widths, hidden=hidden, dropout=dropout)
            for _ in range(members)
        ],
        classes=classes,
        field=field,
        size=size,
    )


class Ensemble(nn.Module):
    """Several networks, with the calibration of their logits.

    Attributes
    ----------
    temperature : Tensor, shape ()
        Logits are divided by it (Guo et al. 2017, ICML, section 4.2).
    offset : Tensor, shape (classes,)
        Added to the logits: the prior of the sky is not that of the training batches.
    """

    temperature: Tensor
    offset: Tensor

    def __init__(self, members: Sequence[Member], *, classes: int, field: int, size: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.field, self.size = field, size
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("offset", torch.zeros(classes))

    def forward(self, values: Tensor) -> Tensor:
        """Return calibrated logits.

        Parameters
        ----------
        values : Tensor, shape (n, 3, y, x)
            Picture values 0 to 1, bands i, r, g; the galaxy in the middle; y and x are equal, even
            and not less than `field`, the rest is cut off.

        Returns
        -------
        Tensor, shape (member, n, classes)
        """
        seen = resampled(values, field=self.field, size=self.size)
        logits = torch.stack([member(seen) for member in self.members])
        return logits / self.temperature + self.offset


class Member(nn.Module):
    """One network: lift to eight orientations, residual stages, pool, two dense layers.

    Shapes for the default options: (n, 3, 56, 56) → (n, 24, 28, 28) → (n, 32, 28, 28) →
    (n, 64, 14, 14) → (n, 128, 7, 7) → features (n, 64) → logits (n, 4).
    """

    def __init__(self, *, classes: int, widths: Sequence[int], hidden: int, dropout: float) -> None:
        super().__init__()
        self.lift = Lift(3, widths[0])
        self.stages = nn.ModuleList(Stage(a, b) for a, b in pairwise(widths))
        self.dense = nn.Linear(4 * widths[-1], hidden)
        self.last = nn.Linear(hidden, classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, seen: Tensor) -> Tensor:
        """Return logits of shape (n, classes) for resampled pictures."""
        x = functional.relu(self.lift((seen - _LEVEL) / _SCALE))
        for i, stage in enumerate(self.stages):
            x = stage(functional.avg_pool2d(x, 2) if i else x)
        n, channels, height, width = x.shape
        x = x.reshape(n, channels // ORDER, ORDER, height * width)
        mean, peak = x.mean(dim=-1), x.amax(dim=-1)
        # Mean and maximum do not care about the order of the orientations: exact invariance.
        features = torch.cat([v for m in (mean, peak) for v in (m.mean(-1), m.amax(-1))], dim=1)
        hidden = functional.relu(self.dense(self.dropout(features)))
        return self.last(self.dropout(hidden))


class Stage(nn.Module):
    """Two convolutions and, around the second, a shortcut (He et al. 2016)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = GroupConvolution(before, after)
        self.second = GroupConvolution(after, after)

    def forward(self, x: Tensor) -> Tensor:
        """Keep height and width."""
        x = functional.relu(self.first(x))
        return functional.relu(x + self.second(x))


class _Oriented(nn.Module):
    """A convolution whose filters exist in eight orientations, followed by batch normalisation.

    The eight copies of a filter share one normalisation, else the symmetry would break.
    """

    index: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, weight: Tensor, index: Tensor, *, stride: int) -> None:
        super().__init__()
        after, fan_in = weight.shape[0], weight[0].numel()
        self.weight = nn.Parameter(weight * math.sqrt(2.0 / fan_in))
        self.gain = nn.Parameter(torch.ones(after))
        self.shift = nn.Parameter(torch.zeros(after))
        self.stride, self.padding = stride, (weight.shape[-1] - stride + 1) // 2
        self.register_buffer("mean", torch.zeros(after))
        self.register_buffer("variance", torch.ones(after))
        # Follows from the group alone, so it is not stored with the weights.
        self.register_buffer("index", index, persistent=False)

    def filters(self) -> Tensor:
        """Return all orientations, shape (8 · after, channels before, k, k)."""
        after, before, k = self.weight.shape[0], self.weight.shape[1], self.weight.shape[-1]
        spread = self.weight.reshape(after, before, -1)[:, :, self.index]
        return spread.transpose(1, 2).reshape(after * ORDER, -1, k, k)

    def forward(self, x: Tensor) -> Tensor:
        """Return shape (n, 8 · after, y, x); eight neighbouring channels are one filter."""
        filters = self.filters()
        if not self.training:
            # The normalisation is a constant now: fold it into the filters.
            scale = self.gain * torch.rsqrt(self.variance + _EPSILON)
            bias = (self.shift - self.mean * scale).repeat_interleave(ORDER)
            filters = filters * scale.repeat_interleave(ORDER)[:, None, None, None]
            return functional.conv2d(x, filters, bias, stride=self.stride, padding=self.padding)
        x = functional.conv2d(x, filters, stride=self.stride, padding=self.padding)
        n, channels, height, width = x.shape
        joined = x.reshape(n, channels // ORDER, ORDER * height, width)
        joined = functional.batch_norm(
            joined, self.mean, self.variance, self.gain, self.shift, training=True, eps=_EPSILON
        )
        return joined.reshape(n, channels, height, width)


class Lift(_Oriented):
    """From a picture to eight orientations; 6×6 with stride 2 is symmetric on an even grid."""

    def __init__(self, before: int, after: int, *, k: int = 6) -> None:
        cells = torch.arange(k * k).reshape(k, k)
        index = torch.stack([_turned(cells, g).flatten() for g in range(ORDER)])
        super().__init__(torch.randn(after, before, k, k), index, stride=2)


class GroupConvolution(_Oriented):
    """From eight orientations to eight orientations: equation 11 of Cohen & Welling 2016."""

    def __init__(self, before: int, after: int, *, k: int = 3) -> None:
        cells = torch.arange(k * k).reshape(k, k)
        product, inverse = _group()
        # Orientation g of a filter: its planes in the order g⁻¹h, each plane turned by g.
        index = torch.stack(
            [
                torch.cat(
                    [
                        product[inverse[g]][h] * k * k + _turned(cells, g).flatten()
                        for h in range(ORDER)
                    ]
                )
                for g in range(ORDER)
            ]
        )
        super().__init__(torch.randn(after, before, ORDER, k, k), index, stride=1)


def _turned(x: Tensor, g: int) -> Tensor:
    """Apply element g of the group to the last two axes."""
    x = torch.flip(x, (-1,)) if g >= ORDER // 2 else x
    return torch.rot90(x, g % 4, (-2, -1))


def _group() -> tuple[list[list[int]], list[int]]:
    """Return the table of products (g after h) and the inverses, found by acting on a square."""
    square = torch.arange(4).reshape(2, 2)
    places = [_turned(square, g).flatten().tolist() for g in range(ORDER)]
    product = [
        [places.index(_turned(_turned(square, h), g).flatten().tolist()) for h in range(ORDER)]
        for g in range(ORDER)
    ]
    return product, [row.index(0) for row in product]


def resampled(values: Tensor, *, field: int, size: int) -> Tensor:
    """Cut out the middle and bring it to `size`, in a way that commutes with quarter turns.

    Parameters
    ----------
    values : Tensor, shape (n, 3, y, x)
        Square pictures with an even side.
    field : int
        Side of the part that is kept, pixels.
    size : int
        Side of the result, pixels.

    Raises
    ------
    DataError
        If the pictures are not square, odd, or smaller than `field`.
    """
    if values.ndim != 4 or values.shape[1] != 3:
        raise DataError(
            f"The network got values of shape {tuple(values.shape)}",
            remedy="give pictures of shape (n, 3, y, x)",
        )
    height, width = values.shape[2:]
    if height != width or height % 2 or height < field:
        raise DataError(
            f"The network got pictures of {width}×{height} pixels",
            remedy=f"give square pictures with an even side of {field} pixels or more",
        )
    edge = (height - field) // 2
    cut = values[:, :, edge : height - edge, edge : width - edge]
    if size == cut.shape[-1]:
        return cut
    rows = _hats(cut.shape[-1], size).to(cut)
    return rows @ cut @ rows.T


def _hats(before: int, after: int) -> Tensor:
    """Linear interpolation, as wide as the new pixels; shape (after, before)."""
    step = before / after
    old = torch.arange(before, dtype=torch.float64) - (before - 1) / 2
    new = (torch.arange(after, dtype=torch.float64) - (after - 1) / 2) * step
    weight = torch.clamp(1.0 - (new[:, None] - old[None, :]).abs() / max(step, 1.0), min=0.0)
    return weight / weight.sum(dim=1, keepdim=True)
