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


def normal(*shape: int, random: torch.Generator) -> Tensor:
    """Normal deviates, cut at two standard deviations."""
    return torch.randn(shape, generator=random).clamp(-2.0, 2.0)
