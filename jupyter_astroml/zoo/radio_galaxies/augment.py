"""Changes of a training image that do not change the class of the source."""

from __future__ import annotations

import torch
from torch import Tensor

from jupyter_astroml.zoo import turning


def varied(light: Tensor, *, random: torch.Generator) -> Tensor:
    """Turn by any angle, mirror, zoom and move sources, and lose their faintest parts.

    Parameters
    ----------
    light : Tensor, shape (n, 1, y, x), 0 to 1
        From `jupyter_astroml.zoo.radio_galaxies.network.cleaned`.
    random : Generator
        Source of the draws.

    Returns
    -------
    Tensor, shape (n, 1, y, x), 0 to 1
    """
    moved = turning.moved(light, random=random, zoom=0.15, shift=2.0)
    # The same source farther away has its faint parts below the noise.
    floor = 0.03 * torch.rand(len(light), 1, 1, 1, generator=random) ** 2
    moved = torch.where(moved > floor, moved, torch.zeros_like(moved))
    return moved / moved.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6)
