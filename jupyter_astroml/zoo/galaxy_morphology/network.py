"""A convolutional network whose answer does not depend on how the camera was turned.

Filters exist in all eight orientations of the square (`jupyter_astroml.zoo.symmetry`), after the
shared columns of Dieleman, Willett & Dambre 2015 (MNRAS 450, 1441).
The features are pooled over the orientations at the end, so quarter turns and mirror images of a
picture get the same answer up to rounding; other angles are learned from turned training pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.zoo.ensemble import Ensemble
from jupyter_astroml.zoo.symmetry import Column

# Level and scatter of a picture's pixels, so that the first filters see numbers around 0 and 1.
_LEVEL, _SCALE = 0.06, 0.15


def build(
    *,
    members: int = 5,
    classes: int = 4,
    widths: Sequence[int] = (3, 4, 8, 16),
    hidden: int = 64,
    field: int = 76,
    size: int = 56,
    dropout: float = 0.1,
) -> Galaxies:
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
    return Galaxies(
        [
            Member(classes=classes, widths=widths, hidden=hidden, dropout=dropout)
            for _ in range(members)
        ],
        classes=classes,
        field=field,
        size=size,
    )


class Galaxies(Ensemble):
    """The networks, which share the middle of a picture.

    Attributes
    ----------
    field, size : int
        As in `build`.
    """

    def __init__(self, members: Sequence[Member], *, classes: int, field: int, size: int) -> None:
        super().__init__(members, classes=classes)
        self.field, self.size = field, size

    def seen(self, values: Tensor) -> Tensor:
        """Return the middle of pictures.

        Parameters
        ----------
        values : Tensor, shape (n, 3, y, x)
            Picture values 0 to 1, bands i, r, g; the galaxy in the middle; y and x are equal, even
            and not less than `field`, the rest is cut off.
        """
        return resampled(values, field=self.field, size=self.size)


class Member(Column):
    """One network: lift to eight orientations, residual stages, pool, two dense layers.

    Shapes for the default options: (n, 3, 56, 56) → (n, 24, 28, 28) → (n, 32, 28, 28) →
    (n, 64, 14, 14) → (n, 128, 7, 7) → features (n, 64) → logits (n, 4).
    """

    def __init__(self, *, classes: int, widths: Sequence[int], hidden: int, dropout: float) -> None:
        super().__init__(3, widths)
        self.dense = nn.Linear(4 * widths[-1], hidden)
        self.last = nn.Linear(hidden, classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, seen: Tensor) -> Tensor:
        """Return logits of shape (n, classes) for resampled pictures."""
        features = super().forward((seen - _LEVEL) / _SCALE)
        hidden = functional.relu(self.dense(self.dropout(features)))
        return self.last(self.dropout(hidden))


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
