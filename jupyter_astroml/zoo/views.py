"""A network that looks at the middle of a picture at several magnifications."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.zoo.symmetry import ORDER, Column


class Member(nn.Module):
    """One network: a column for each view, two dense layers.

    Shapes for two views of 48 pixels in one plane, and widths of 3, 4, 8 and 16: (n, 1, 48, 48) →
    (n, 24, 24, 24) → (n, 32, 24, 24) → (n, 64, 12, 12) → (n, 128, 6, 6) → features (n, 64) each →
    logits (n, classes).

    Parameters
    ----------
    views, planes, classes : int
        Number of views, of planes in each, and of classes.
    widths : sequence of int
        Number of filters of each stage; each stands for `order`.
    hidden : int
        Width of the dense layer.
    order : {8, 4, 1}
        Orientations of a filter.
    dropout : float
        Used in training only.
    """

    def __init__(
        self,
        *,
        views: int,
        planes: int,
        classes: int,
        widths: Sequence[int],
        hidden: int,
        dropout: float,
        order: int = ORDER,
    ) -> None:
        super().__init__()
        self.columns = nn.ModuleList(Column(planes, widths, order=order) for _ in range(views))
        self.dense = nn.Linear(4 * widths[-1] * views, hidden)
        self.last = nn.Linear(hidden, classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, seen: Sequence[Tensor]) -> Tensor:
        """Return logits of shape (n, classes) for views of shape (n, planes, y, x)."""
        parts = [column(view) for column, view in zip(self.columns, seen, strict=True)]
        features = torch.cat(parts, dim=1)
        return self.last(self.dropout(functional.relu(self.dense(self.dropout(features)))))


def magnified(light: Tensor, *, side: int, zoom: int) -> Tensor:
    """Return the middle of pictures in larger pixels.

    Parameters
    ----------
    light : Tensor, shape (n, plane, y, x)
        Square, with an even side of `side` · `zoom` or more.
    side : int
        Of the result, in its own pixels.
    zoom : int
        Width of these in pixels of the picture.

    Returns
    -------
    Tensor, shape (n, plane, side, side)

    Raises
    ------
    ModelError
        If the pictures are smaller: a wrong part would be looked at in silence.
    """
    if light.shape[-1] < side * zoom:
        raise ModelError(
            f"Pictures have {light.shape[-1]} pixels on a side, and the network looks at "
            f"{side * zoom}"
        )
    edge = (light.shape[-1] - side * zoom) // 2
    view = light[:, :, edge : light.shape[-2] - edge, edge : light.shape[-1] - edge]
    return functional.avg_pool2d(view, zoom)
