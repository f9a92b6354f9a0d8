"""Convolutions whose filters exist in every orientation of the square.

Dieleman, Willett & Dambre 2015 (MNRAS 450, 1441) won the Galaxy Zoo challenge by sending rotated
and flipped views of a galaxy through one shared column of filters and joining the features.
Cohen & Welling 2016 (ICML, arXiv:1602.07576) and Dieleman, De Fauw & Kavukcuoglu 2016 (ICML,
arXiv:1602.02660) carried that sharing into every layer: each filter exists in all orientations of
the square, and later layers see how orientations relate.
The group is given by its `order`: 8 for quarter turns and mirrors (p4m of the first paper, D4), 4
for quarter turns (p4, C4), 1 for an ordinary convolution.

Written here and not taken from escnn (Weiler & Cesa 2019): for the eight elements of D4 a filter is
turned by an index, which is what stands below; the library brings a general theory of
representations, and three more packages, to every worker that runs a model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

# Orientations of a square: four quarter turns, then the same of its mirror image.
ORDER = 8
_EPSILON = 1e-5


class Column(nn.Module):
    """Lift to all orientations, residual stages, pool over orientations and places.

    Parameters
    ----------
    before : int
        Planes of the picture.
    widths : sequence of int
        Number of filters of each stage; each stands for `order`.
    order : {8, 4, 1}
        Of the group.
    k, stride : int
        Side and step of the first filters, pixels; an odd side keeps a picture of odd side
        symmetric, an even side with stride 2 one of even side.
    pool_first : bool
        Halve the picture before the first stage too.
    """

    def __init__(
        self,
        before: int,
        widths: Sequence[int],
        *,
        order: int = ORDER,
        k: int = 6,
        stride: int = 2,
        pool_first: bool = False,
    ) -> None:
        super().__init__()
        self.lift = Lift(before, widths[0], k=k, stride=stride, order=order)
        self.stages = nn.ModuleList(Stage(a, b, order=order) for a, b in pairwise(widths))
        self.order = order
        self.pool_first = pool_first

    def forward(self, seen: Tensor) -> Tensor:
        """Return what does not depend on the orientation, shape (n, 4 · widths[-1]).

        Parameters
        ----------
        seen : Tensor, shape (n, before, y, x)
            Square; every stage must get an even side from a filter or a pool: y and x a multiple of
            ``2 ** len(widths)``, or one less.
        """
        x = functional.relu(self.lift(seen))
        for i, stage in enumerate(self.stages):
            x = stage(halved(x) if i or self.pool_first else x)
        n, channels, height, width = x.shape
        x = x.reshape(n, channels // self.order, self.order, height * width)
        mean, peak = x.mean(dim=-1), x.amax(dim=-1)
        # Mean and maximum do not care about the order of the orientations: exact invariance.
        return torch.cat([v for m in (mean, peak) for v in (m.mean(-1), m.amax(-1))], dim=1)


def halved(x: Tensor) -> Tensor:
    """Join neighbouring pixels, the same from all sides: two by two, or three with shared edges."""
    if x.shape[-1] % 2:
        return functional.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
    return functional.avg_pool2d(x, 2)


class Stage(nn.Module):
    """Two convolutions and, around the second, a shortcut (He et al. 2016)."""

    def __init__(self, before: int, after: int, *, order: int = ORDER) -> None:
        super().__init__()
        self.first = GroupConvolution(before, after, order=order)
        self.second = GroupConvolution(after, after, order=order)

    def forward(self, x: Tensor) -> Tensor:
        """Keep height and width."""
        x = functional.relu(self.first(x))
        return functional.relu(x + self.second(x))


class _Oriented(nn.Module):
    """A convolution whose filters exist in all orientations, followed by batch normalisation.

    The copies of a filter share one normalisation, else the symmetry would break.
    """

    index: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, weight: Tensor, index: Tensor, *, stride: int) -> None:
        super().__init__()
        after, fan_in = weight.shape[0], weight[0].numel()
        self.order = len(index)
        self.weight = nn.Parameter(weight * math.sqrt(2.0 / fan_in))
        self.gain = nn.Parameter(torch.ones(after))
        self.shift = nn.Parameter(torch.zeros(after))
        self.stride, self.padding = stride, (weight.shape[-1] - stride + 1) // 2
        self.register_buffer("mean", torch.zeros(after))
        self.register_buffer("variance", torch.ones(after))
        # Follows from the group alone, so it is not stored with the weights.
        self.register_buffer("index", index, persistent=False)

    def filters(self) -> Tensor:
        """Return all orientations, shape (order · after, channels before, k, k)."""
        after, before, k = self.weight.shape[0], self.weight.shape[1], self.weight.shape[-1]
        spread = self.weight.reshape(after, before, -1)[:, :, self.index]
        return spread.transpose(1, 2).reshape(after * self.order, -1, k, k)

    def forward(self, x: Tensor) -> Tensor:
        """Return shape (n, order · after, y, x); `order` neighbouring channels are one filter."""
        filters = self.filters()
        if not self.training:
            # The normalisation is a constant now: fold it into the filters.
            scale = self.gain * torch.rsqrt(self.variance + _EPSILON)
            bias = (self.shift - self.mean * scale).repeat_interleave(self.order)
            filters = filters * scale.repeat_interleave(self.order)[:, None, None, None]
            return functional.conv2d(x, filters, bias, stride=self.stride, padding=self.padding)
        x = functional.conv2d(x, filters, stride=self.stride, padding=self.padding)
        n, channels, height, width = x.shape
        joined = x.reshape(n, channels // self.order, self.order * height, width)
        joined = functional.batch_norm(
            joined, self.mean, self.variance, self.gain, self.shift, training=True, eps=_EPSILON
        )
        return joined.reshape(n, channels, height, width)


class Lift(_Oriented):
    """From a picture to all orientations; 6×6 with stride 2 is symmetric on an even grid."""

    def __init__(
        self, before: int, after: int, *, k: int = 6, stride: int = 2, order: int = ORDER
    ) -> None:
        cells = torch.arange(k * k).reshape(k, k)
        index = torch.stack([turned(cells, g).flatten() for g in range(order)])
        super().__init__(torch.randn(after, before, k, k), index, stride=stride)


class GroupConvolution(_Oriented):
    """From all orientations to all orientations: equation 11 of Cohen & Welling 2016."""

    def __init__(self, before: int, after: int, *, k: int = 3, order: int = ORDER) -> None:
        cells = torch.arange(k * k).reshape(k, k)
        product, inverse = group(order)
        # Orientation g of a filter: its planes in the order g⁻¹h, each plane turned by g.
        index = torch.stack(
            [
                torch.cat(
                    [
                        product[inverse[g]][h] * k * k + turned(cells, g).flatten()
                        for h in range(order)
                    ]
                )
                for g in range(order)
            ]
        )
        super().__init__(torch.randn(after, before, order, k, k), index, stride=1)


def turned(x: Tensor, g: int) -> Tensor:
    """Apply element g of the group to the last two axes: 0 to 3 turn, 4 to 7 mirror before."""
    x = torch.flip(x, (-1,)) if g >= ORDER // 2 else x
    return torch.rot90(x, g % 4, (-2, -1))


def group(order: int) -> tuple[list[list[int]], list[int]]:
    """Return the table of products (g after h) and the inverses, found by acting on a square."""
    square = torch.arange(4).reshape(2, 2)
    places = [turned(square, g).flatten().tolist() for g in range(order)]
    product = [
        [places.index(turned(turned(square, h), g).flatten().tolist()) for h in range(order)]
        for g in range(order)
    ]
    return product, [row.index(0) for row in product]
