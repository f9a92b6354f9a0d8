"""Changes of a training cutout that make no galaxy of a star."""

from __future__ import annotations

import torch
from torch import Tensor

from jupyter_astroml.zoo.turning import moved


def varied(light: Tensor, *, random: torch.Generator) -> Tensor:
    """Turn, zoom, stretch and move half of the planes a little, and add noise to half.

    Interpolation smooths the noise, so that the other half stays as it was seen.
    The zoom is that of other nights: the width of a star is no property of stars.

    Parameters
    ----------
    light : Tensor, shape (m, y, x)
        Above the sky, in units of the noise.
    random : Generator
        Source of the draws.

    Returns
    -------
    Tensor, shape (m, y, x)
    """
    m = len(light)
    changed = moved(light[:, None], random=random, zoom=0.15, shift=0.7, stretch=0.03)[:, 0]
    light = torch.where(torch.rand(m, 1, 1, generator=random) < 0.5, changed, light)
    more = torch.rand(m, 1, 1, generator=random).clamp(min=0.5) * 2.0 - 1.0
    noise = torch.randn(light.shape, generator=random)
    return (light + more * noise) / torch.sqrt(1.0 + more**2)
