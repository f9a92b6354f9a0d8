"""A network that sees a radio source at two magnifications, however the sky is turned.

Aniyan & Thorat 2017 (ApJS 230, 20) told FR I, FR II and bent sources of FIRST apart with a
convolutional network, trained on turned copies; Scaife & Porter 2021 (MNRAS 503, 2369) put the
turns and mirror images into the filters, which is what stands here
(`jupyter_astroml.zoo.symmetry`).
What is ours: sources span 7 to 270 arcsec, so the network looks at the middle 86 arcsec pixel by
pixel and at the middle 259 arcsec in pixels that are three times as wide, each with a column of its
own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.zoo.ensemble import Ensemble
from jupyter_astroml.zoo.symmetry import ORDER
from jupyter_astroml.zoo.views import Member, magnified

# Side of each view in its own pixels, and the width of these in pixels of the picture.
SIDE, ZOOMS = 48, (1, 3)
# Fainter pixels are noise: three times its standard deviation, as in the papers above.
THRESHOLD = 3.0
# Level and scatter of the square root of what is left.
_LEVEL, _SCALE = 0.05, 0.2


def build(
    *,
    members: int = 5,
    classes: int = 4,
    widths: Sequence[int] = (3, 4, 8, 16),
    hidden: int = 64,
    order: int = ORDER,
    dropout: float = 0.2,
    tilts: int = 4,
) -> RadioGalaxies:
    """Make the network with fresh weights.

    Parameters
    ----------
    members : int
        Number of independently trained networks.
    classes : int
        Number of classes.
    widths : sequence of int
        Number of filters of each stage; each stands for `order`.
    hidden : int
        Width of the dense layer.
    order : {8, 4, 1}
        Orientations of a filter: 8 with mirrors, 4 without, 1 for a plain network.
    dropout : float
        Used in training only.
    tilts : int
        See `RadioGalaxies`; 1 looks once.
    """
    return RadioGalaxies(
        [
            Member(
                views=len(ZOOMS),
                planes=1,
                classes=classes,
                widths=widths,
                hidden=hidden,
                order=order,
                dropout=dropout,
            )
            for _ in range(members)
        ],
        classes=classes,
        tilts=tilts,
    )


class RadioGalaxies(Ensemble):
    """The networks, which share the views of a source.

    Attributes
    ----------
    tilts : int
        Each source is seen so many times, turned by equal parts of a quarter; logits are averaged.
        With the orientations of the filters these are all multiples of that angle.
    """

    def __init__(self, members: Sequence[Member], *, classes: int, tilts: int) -> None:
        super().__init__(members, classes=classes)
        self.tilts = tilts

    def seen(self, values: Tensor) -> list[list[Tensor]]:
        """Return the views of sources, for each tilt.

        Parameters
        ----------
        values : Tensor, shape (n, 1, y, x)
            Jy/beam in pixels of 1.8 arcsec, or any multiple of it; the source in the middle; y and
            x are equal, even and not less than 144, the rest is cut off.
        """
        return tilted(cleaned(values), tilts=self.tilts)

    def answered(self, member: nn.Module, seen: list[list[Tensor]]) -> Tensor:
        """Return the mean raw logits of one member over the tilts, shape (n, classes)."""
        return torch.stack([member(each) for each in seen]).mean(dim=0)


def cleaned(values: Tensor) -> Tensor:
    """Cut off the noise and bring the brightest pixel to 1.

    Parameters
    ----------
    values : Tensor, shape (n, 1, y, x)
        As for `RadioGalaxies.seen`.

    Returns
    -------
    Tensor, shape (n, 1, y, x), 0 to 1
        All 0 where nothing stands above the noise.

    Raises
    ------
    DataError
        If the pictures are not square, odd, or too small.
    """
    least = SIDE * max(ZOOMS)
    if values.ndim != 4 or values.shape[1] != 1:
        raise DataError(
            f"The network got values of shape {tuple(values.shape)}",
            remedy="give pictures of shape (n, 1, y, x)",
        )
    height, width = values.shape[2:]
    if height != width or height % 2 or height < least:
        raise DataError(
            f"The network got pictures of {width}×{height} pixels",
            remedy=f"give square pictures with an even side of {least} pixels or more",
        )
    flat = values.flatten(1)
    light = flat - flat.median(dim=1, keepdim=True).values
    # The median of the absolute deviation is 0 where an archive has cut the noise off already.
    noise = 1.4826 * light.abs().median(dim=1, keepdim=True).values
    light = torch.where(light > THRESHOLD * noise, light, torch.zeros_like(light))
    peak = light.amax(dim=1, keepdim=True)
    return (light / peak.clamp(min=1e-12)).reshape(values.shape)


def views(light: Tensor) -> list[Tensor]:
    """Return the magnifications, the finest first, each of shape (n, 1, SIDE, SIDE).

    Parameters
    ----------
    light : Tensor, shape (n, 1, y, x), 0 to 1
        From `cleaned`.
    """
    found = []
    for zoom in ZOOMS:
        # The slope of a square root has no end at 0, and nothing is learned from empty pixels.
        root = torch.sqrt(magnified(light, side=SIDE, zoom=zoom) + 1e-6)
        found.append((root - _LEVEL) / _SCALE)
    return found


def tilted(light: Tensor, *, tilts: int) -> list[list[Tensor]]:
    """Return the views of sources that are turned by equal parts of a quarter.

    Parameters
    ----------
    light : Tensor, shape (n, 1, y, x), 0 to 1
        From `cleaned`.
    tilts : int
        Number of angles, the first is 0.
    """
    found = [views(light)]
    for i in range(1, tilts):
        angle = torch.tensor(i * torch.pi / 2 / tilts)
        cos, sin, zero = torch.cos(angle), torch.sin(angle), torch.zeros(())
        matrix = torch.stack([torch.stack([cos, -sin, zero]), torch.stack([sin, cos, zero])])
        grid = functional.affine_grid(
            matrix.to(light).expand(len(light), 2, 3), list(light.shape), align_corners=False
        )
        turned = functional.grid_sample(light, grid, align_corners=False)
        found.append(views(turned / turned.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6)))
    return found
