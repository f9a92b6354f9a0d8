"""Turn, zoom, mirror, stretch and move pictures, each in its own way."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def moved(
    pictures: Tensor,
    *,
    random: torch.Generator,
    zoom: float,
    shift: float,
    stretch: float = 0.0,
) -> Tensor:
    """Turn by any angle, mirror half of them, and change the rest a little.

    Parameters
    ----------
    pictures : Tensor, shape (n, plane, y, x)
        All planes of a picture move together; 0 comes in from outside.
    random : Generator
        Source of the draws.
    zoom, stretch : float
        One standard deviation of the logarithm, over all and of one axis over the other.
    shift : float
        One standard deviation, pixels.
        All are cut at two standard deviations.

    Returns
    -------
    Tensor, shape (n, plane, y, x)
    """
    n = len(pictures)
    angle = 2 * torch.pi * torch.rand(n, generator=random)
    scale = torch.exp(zoom * normal(n, random=random))
    mirror = torch.where(torch.rand(n, generator=random) < 0.5, -1.0, 1.0)
    wide = torch.exp(stretch * normal(n, random=random))
    off = 2.0 * shift / pictures.shape[-1] * normal(n, 2, random=random)
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    matrix = torch.stack(
        [
            torch.stack([cos * mirror * wide, -sin / wide, off[:, 0]], 1),
            torch.stack([sin * mirror * wide, cos / wide, off[:, 1]], 1),
        ],
        1,
    )
    grid = functional.affine_grid(matrix, list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, align_corners=False)


def turned_by(pictures: Tensor, *, degrees: float) -> Tensor:
    """Turn all pictures by one angle; what comes in from outside is like the border.

    Parameters
    ----------
    pictures : Tensor, shape (n, plane, y, x)
        Square.
    degrees : float
        From the first axis of the plane (y) towards the second (x).

    Returns
    -------
    Tensor, shape (n, plane, y, x)
    """
    angle = torch.deg2rad(torch.tensor(degrees))
    cos, sin, zero = torch.cos(angle), torch.sin(angle), torch.zeros(())
    matrix = torch.stack([torch.stack([cos, -sin, zero]), torch.stack([sin, cos, zero])])
    grid = functional.affine_grid(
        matrix.to(pictures).expand(len(pictures), 2, 3), list(pictures.shape), align_corners=False
    )
    return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def normal(*shape: int, random: torch.Generator) -> Tensor:
    """Normal deviates, cut at two standard deviations."""
    return torch.randn(shape, generator=random).clamp(-2.0, 2.0)
