"""Changes of a training picture that make no lens and break none."""

from __future__ import annotations

import torch
from torch import Tensor

from jupyter_astroml.zoo.turning import moved, normal


def varied(pictures: Tensor, *, random: torch.Generator) -> Tensor:
    """Turn and move half of the pictures; tint, brighten and roughen all of them a little.

    Interpolation smooths the noise, so that the other half stays as sharp as it was.

    Parameters
    ----------
    pictures : Tensor, shape (n, 3, y, x), 0 to 1
        Colour pictures.
    random : Generator
        Source of the draws.

    Returns
    -------
    Tensor, shape (n, 3, y, x), 0 to 1
    """
    n = len(pictures)
    changed = moved(pictures, random=random, zoom=0.08, shift=1.0)
    found = torch.where(torch.rand(n, 1, 1, 1, generator=random) < 0.5, changed, pictures)
    bright = torch.exp(0.12 * normal(n, 1, 1, 1, random=random))
    tint = torch.exp(0.06 * normal(n, 3, 1, 1, random=random))
    sky = 0.006 * normal(n, 3, 1, 1, random=random)
    grain = 0.015 * torch.rand(n, 1, 1, 1, generator=random)
    noise = grain * torch.randn(found.shape, generator=random)
    return (found * bright * tint + sky + noise).clamp(0.0, 1.0)
