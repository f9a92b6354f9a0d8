"""Einstein radius, ellipticity and centre of a lens, as a joint Gaussian, from one image.

Hezaveh, Perreault Levasseur & Marshall 2017 (Nature 548, 555) measured lenses by convolutional
networks; Perreault Levasseur, Hezaveh & Wechsler 2017 (ApJ 850, L7) made them tell their errors, by
a Gaussian likelihood and by dropout that stays on.
Dropout is for training only here: one unit of the head carries much of the Einstein radius, and the
draws that leave it out are wrong by a quarter of an arcsecond, which is no measure of doubt.
Here filters exist in all eight orientations of the square (`jupyter_astroml.zoo.symmetry`); one
dense head looks at the features from each of them, and what it measures is turned back, so that a
turned image gives the turned lens, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.zoo.lens_model.simulate import NAMES
from jupyter_astroml.zoo.symmetry import ORDER, GroupConvolution, Lift, Stage, group, turned

# Side of the image, pixels.
SIDE = 64
# Middle and width of the values that a head gives, so that it starts near the truth.
MIDDLE = (1.25, 0.0, 0.0, 0.0, 0.0)
WIDTH = (0.43, 0.15, 0.15, 0.1, 0.1)
# Error that a Cholesky factor cannot go below, in units of the width.
_LEAST = 1e-3


def build(
    *,
    widths: Sequence[int] = (2, 4, 8, 12),
    last: int = 4,
    hidden: int = 128,
    dropout: float = 0.1,
) -> LensModel:
    """Make the network with fresh weights.

    Parameters
    ----------
    widths : sequence of int
        Number of filters of each stage; each stands for eight, one an orientation.
    last : int
        Filters that the head looks at.
    hidden : int
        Width of the head.
    dropout : float
        Share of the head's units that is left out in training.
    """
    return LensModel(widths=widths, last=last, hidden=hidden, dropout=dropout)


class LensModel(nn.Module):
    """The network.

    Shapes for the default options: planes (n, 2, 64, 64) → (n, 16, 32, 32) → (n, 32, 32, 32) →
    (n, 64, 16, 16) → (n, 96, 8, 8) → (n, 32, 8, 8) → seen from each side (n, 8, 2048) → head
    (n, 128, 8) → values (n, 8, 5) and factors (n, 8, 5, 5), turned back and joined.
    """

    matrix: Tensor
    order: Tensor
    middle: Tensor
    width: Tensor

    def __init__(self, *, widths: Sequence[int], last: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.lift = Lift(2, widths[0])
        self.stages = nn.ModuleList(Stage(a, b) for a, b in pairwise(widths))
        self.narrow = GroupConvolution(widths[-1], last, k=1)
        # Every stage but the first halves the image, and so does the lift.
        cells = (SIDE // 2 ** len(widths[1:])) ** 2
        self.dense = nn.Linear(last * ORDER * cells, hidden)
        # Over the sides, hence of width one.
        k = len(NAMES)
        self.head = nn.Conv1d(hidden, k + k * (k + 1) // 2, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        known = {
            "matrix": torch.stack([matrix_of(g) for g in range(ORDER)]),
            "order": torch.tensor(group(ORDER)[0]),
            "middle": torch.tensor(MIDDLE),
            "width": torch.tensor(WIDTH),
        }
        for name, value in known.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Return values and Cholesky factors of the one network, shape (1, n, 20).

        Parameters
        ----------
        values : Tensor, shape (n, 1, 64, 64)
            Images of the source alone, any linear unit; y grows with the rows.
        """
        return together(*self.turned_back(self.hidden(planes(values))))[None]

    def hidden(self, seen: Tensor) -> Tensor:
        """Return what the head makes of the image from each side, shape (n, hidden, 8)."""
        return functional.relu(self.dense(self.sides(seen))).transpose(1, 2)

    def measured(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is measured in the image as turned by each element of the group.

        In units of `width` about `middle`: values of shape (n, 8, 5), and lower triangles
        (n, 8, 5, 5).
        """
        numbers = self.head(hidden).transpose(1, 2)
        return numbers[..., : len(NAMES)], triangular(numbers[..., len(NAMES) :])

    def turned_back(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is measured from each side, in the units and the frame of the image.

        Values of shape (n, 8, 5), and factors L of their covariance L Lᵀ, shape (n, 8, 5, 5), which
        are no longer triangular once turned.
        """
        values, factors = self.measured(hidden)
        # The inverse of an orthogonal matrix turns back.
        back = self.matrix.transpose(1, 2)
        values = self.middle + self.width * values
        return (back @ values[..., None])[..., 0], back @ (self.width[:, None] * factors)

    def surprise(self, seen: Tensor, truth: Tensor) -> Tensor:
        """Return the negative log-likelihood of the truth, each side by itself, shape (n, 8).

        Parameters
        ----------
        seen : Tensor, shape (n, 2, 64, 64)
            From `planes`.
        truth : Tensor, shape (n, 5)
            In the units of the card.
        """
        # A unit that is left out is left out on all sides.
        hidden = functional.dropout1d(self.hidden(seen), self.dropout, training=self.training)
        values, factors = self.measured(hidden)
        wanted = (self.matrix @ truth[:, None, :, None])[..., 0]
        off = (wanted - self.middle) / self.width - values
        free = torch.linalg.solve_triangular(factors, off[..., None], upper=False)[..., 0]
        size = torch.diagonal(factors, dim1=-2, dim2=-1).log().sum(dim=-1)
        return 0.5 * (free**2).sum(dim=-1) + size

    def sides(self, seen: Tensor) -> Tensor:
        """Return the features of the image as turned by each element of the group, (n, 8, d)."""
        x = functional.relu(self.lift(seen))
        for i, stage in enumerate(self.stages):
            x = stage(functional.avg_pool2d(x, 2) if i else x)
        x = functional.relu(self.narrow(x))
        n, channels, height, width = x.shape
        x = x.reshape(n, channels // ORDER, ORDER, height, width)
        # Turning the image by g turns every map, and moves that of orientation h to g h.
        views = [turned(x, g)[:, :, self.order[g].argsort()] for g in range(ORDER)]
        return torch.stack(views, dim=1).flatten(2)


def planes(values: Tensor) -> Tensor:
    """Return what the network sees: light in units of its noise, and light over its peak.

    Parameters
    ----------
    values : Tensor, shape (n, 1, 64, 64)
        As for `LensModel.forward`.

    Raises
    ------
    DataError
        If the images have another shape.
    """
    if values.ndim != 4 or values.shape[1:] != (1, SIDE, SIDE):
        raise DataError(
            f"The network got values of shape {tuple(values.shape)}",
            remedy=f"give images of one band with {SIDE}×{SIDE} pixels, shape (n, 1, y, x)",
        )
    flat = values.flatten(1)
    light = flat - flat.median(dim=1, keepdim=True).values
    noise = 1.4826 * light.abs().median(dim=1, keepdim=True).values
    # An image without noise, or with a mask of zeros, is taken to be as deep as a thousandth.
    noise = torch.maximum(noise, 1e-3 * light.amax(dim=1, keepdim=True)).clamp(min=1e-12)
    light = (light / noise).reshape(values.shape)
    peak = (
        functional.avg_pool2d(light, 3, stride=1).amax(dim=(1, 2, 3), keepdim=True).clamp(min=2.0)
    )
    shape = (light / peak).clamp(-0.5, 2.0)
    return torch.cat([torch.asinh(light / 2.0) / 2.0, 2.0 * shape], dim=1)


def triangular(numbers: Tensor) -> Tensor:
    """Return lower triangles with a positive diagonal, shape (..., k, k), from k (k + 1) / 2."""
    k = len(NAMES)
    rows, columns = torch.tril_indices(k, k)
    factor = numbers.new_zeros(*numbers.shape[:-1], k, k)
    on = rows == columns
    factor[..., rows[~on], columns[~on]] = numbers[..., ~on]
    diagonal = torch.arange(k)
    factor[..., diagonal, diagonal] = _LEAST + functional.softplus(numbers[..., on])
    return factor


def together(values: Tensor, factors: Tensor) -> Tensor:
    """Join what is measured from all sides into one Gaussian of the same moments.

    Parameters
    ----------
    values : Tensor, shape (n, side, 5)
        Means.
    factors : Tensor, shape (n, side, 5, 5)
        L of the covariance L Lᵀ.

    Returns
    -------
    Tensor, shape (n, 20)
        Mean, and the lower triangle of the Cholesky factor of the covariance, row by row.
    """
    mean = values.mean(dim=1)
    # In double precision, since variances of 1e-6 and 1 stand side by side.
    off = (values - mean[:, None]).double()
    factors = factors.double()
    covariance = (factors @ factors.transpose(-1, -2)).mean(dim=1)
    covariance = covariance + torch.einsum("nsi,nsj->nij", off, off) / values.shape[1]
    factor = torch.linalg.cholesky(covariance).to(values.dtype)
    rows, columns = torch.tril_indices(len(NAMES), len(NAMES))
    return torch.cat([mean, factor[:, rows, columns]], dim=1)


def matrix_of(g: int) -> Tensor:
    """Return what element g of the group does to the five numbers, shape (5, 5).

    `turned` mirrors x, and then turns from y to x; an ellipticity turns twice as fast.
    """
    mirror = torch.diag(torch.tensor([1.0, 1.0, -1.0, -1.0, 1.0]))
    quarter = torch.zeros(5, 5)
    quarter[0, 0] = 1.0
    quarter[1, 1] = quarter[2, 2] = -1.0
    quarter[3, 4], quarter[4, 3] = 1.0, -1.0
    found = mirror if g >= ORDER // 2 else torch.eye(5)
    return torch.matrix_power(quarter, g % 4) @ found
