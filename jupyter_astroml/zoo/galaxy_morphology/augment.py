"""Changes of a training picture that do not change what the galaxy is.

Only training uses this module. Pictures come and go as float tensors of values 0 to 1; every draw
comes from the generator that is given, so that a seed fixes the whole training.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Stretch that roughly undoes that of a survey picture, so that light of two galaxies can be added.
_STRETCH = 3.0


def varied(pictures: Tensor, *, field: int, random: torch.Generator) -> Tensor:
    """Turn, mirror, zoom, stretch, move, brighten, redden and blur pictures a little, each anew.

    Parameters
    ----------
    pictures : Tensor of uint8, shape (n, 3, y, x)
        Square pictures.
    field : int
        Side of the middle part that is returned, pixels.
    random : Generator
        Source of the draws.

    Returns
    -------
    Tensor of float32, shape (n, 3, field, field)
    """
    n, side = len(pictures), pictures.shape[-1]
    # Drawn as angle 0 to 2π: the squares' symmetry covers quarter turns, these are the rest.
    angle = 2 * torch.pi * torch.rand(n, generator=random)
    zoom = torch.exp(0.12 * _normal(n, random=random))
    stretch = torch.exp(0.03 * _normal(n, random=random))
    mirror = torch.where(torch.rand(n, generator=random) < 0.5, -1.0, 1.0)
    shift = 1.2 * _normal(n, 2, random=random) / (side / 2)
    scale = field / side * zoom
    cos, sin = torch.cos(angle), torch.sin(angle)
    matrix = torch.stack(
        [
            torch.stack([scale * mirror * stretch * cos, -scale * sin / stretch, shift[:, 0]], 1),
            torch.stack([scale * mirror * stretch * sin, scale * cos / stretch, shift[:, 1]], 1),
        ],
        1,
    )
    seen = _placed(pictures.float() / 255.0, matrix, side=field)
    bright = torch.exp(0.12 * _normal(n, 1, 1, 1, random=random))
    tint = torch.exp(0.05 * _normal(n, 3, 1, 1, random=random))
    sky = 0.006 * _normal(n, 3, 1, 1, random=random)
    grain = 0.015 * torch.rand(n, 1, 1, 1, generator=random)
    noise = grain * torch.randn(seen.shape, generator=random)
    return (seen * bright * tint + sky + noise).clamp(0.0, 1.0)


def pairs(first: Tensor, second: Tensor, *, random: torch.Generator) -> Tensor:
    """Put a second galaxy close to each galaxy, as in the early stage of a merger.

    Catalogued mergers are too few to learn from: 1 or 2 in 100.

    Parameters
    ----------
    first, second : Tensor of uint8, shape (n, 3, y, x)
        Pictures of single galaxies.
    random : Generator
        Source of the draws.

    Returns
    -------
    Tensor of uint8, shape (n, 3, y, x)
    """
    n, side = len(first), first.shape[-1]
    turn, towards = 2 * torch.pi * torch.rand(2, n, generator=random)
    apart = (6.0 + 20.0 * torch.rand(n, generator=random) ** 1.5) / (side / 2)
    zoom = 0.9 + 0.5 * torch.rand(n, generator=random)
    cos, sin = zoom * torch.cos(turn), zoom * torch.sin(turn)
    matrix = torch.stack(
        [
            torch.stack([cos, -sin, apart * torch.cos(towards)], 1),
            torch.stack([sin, cos, apart * torch.sin(towards)], 1),
        ],
        1,
    )
    far = _placed(second.float() / 255.0, matrix, side=side)
    # The sky of the second picture must not be added to that of the first.
    far = (far - 0.012).clamp(min=0.0)
    share = 0.5 + 0.5 * torch.rand(n, 1, 1, 1, generator=random)
    return _added(first, share * torch.sinh(_STRETCH * far))


def with_star(pictures: Tensor, *, random: torch.Generator) -> Tensor:
    """Put a star close to each galaxy, which makes no merger of it.

    Parameters
    ----------
    pictures : Tensor of uint8, shape (n, 3, y, x)
        Pictures of galaxies.
    random : Generator
        Source of the draws.

    Returns
    -------
    Tensor of uint8, shape (n, 3, y, x)
    """
    n, side = len(pictures), pictures.shape[-1]
    towards = 2 * torch.pi * torch.rand(n, generator=random)
    apart = 6.0 + 20.0 * torch.rand(n, generator=random)
    middle = (side - 1) / 2
    y0 = (middle + apart * torch.sin(towards))[:, None, None]
    x0 = (middle + apart * torch.cos(towards))[:, None, None]
    # Pictures are zoomed to the galaxy, so stars come in several widths.
    width = (1.2 + 1.2 * torch.rand(n, generator=random))[:, None, None]
    y, x = torch.arange(side)[:, None], torch.arange(side)[None, :]
    spot = torch.exp(-0.5 * ((y - y0) ** 2 + (x - x0) ** 2) / width**2)
    height = torch.exp(-1.0 + 2.5 * torch.rand(n, 1, 1, 1, generator=random))
    # From blue to red: the planes are i, r, g.
    slope = 0.6 * torch.randn(n, 1, 1, 1, generator=random)
    colour = torch.exp(slope * torch.tensor([1.0, 0.0, -1.0])[None, :, None, None])
    return _added(pictures, height * colour * spot[:, None])


def _added(pictures: Tensor, light: Tensor) -> Tensor:
    """Add light to pictures where their stretch is undone."""
    both = torch.asinh(torch.sinh(_STRETCH * pictures.float() / 255.0) + light) / _STRETCH
    return (255.0 * both).clamp(0.0, 255.0).round().to(torch.uint8)


def _normal(*shape: int, random: torch.Generator) -> Tensor:
    """Normal deviates, cut at two standard deviations."""
    return torch.randn(shape, generator=random).clamp(-2.0, 2.0)


def _placed(pictures: Tensor, matrix: Tensor, *, side: int) -> Tensor:
    grid = functional.affine_grid(matrix, [len(pictures), 3, side, side], align_corners=False)
    return functional.grid_sample(
        pictures, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
