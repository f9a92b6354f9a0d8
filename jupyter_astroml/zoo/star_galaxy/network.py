"""One network for one to five bands: a column that looks at each, and what they say together.

Kim & Brunner 2017 (MNRAS 464, 4463) told stars and galaxies apart by a convolutional network on
five bands at once, which needs all five.
Here every band goes through the same column, whose filters exist in all orientations
(`jupyter_astroml.zoo.symmetry`); its features are joined over the bands that there are, and the
ratios of fluxes of neighbouring bands stand beside them.
A plane of equal pixels is a band that nobody observed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from jupyter_astroml.core.errors import DataError
from jupyter_astroml.zoo.ensemble import Ensemble
from jupyter_astroml.zoo.symmetry import ORDER, Column

# Side of the middle part that is looked at, pixels.
SIDE = 40
# Radius of the aperture for the ratios of fluxes, pixels.
APERTURE = 5.0
# The first plane is for images in an unknown filter: it has no colour.
UNNAMED = 1


@dataclass(frozen=True, eq=False)
class Seen:
    """What a member sees.

    Attributes
    ----------
    planes : Tensor, shape (m, 2, SIDE, SIDE)
        Of the bands that were observed, of all objects: light in units of its noise, compressed,
        and light over its peak.
    owner : Tensor of int64, shape (m,)
        Object that a plane belongs to.
    colours : Tensor, shape (n, 2 · (bands - 2))
        Contrast of neighbouring bands, -1 to 1, and whether both were observed.
    """

    planes: Tensor
    owner: Tensor
    colours: Tensor


def build(
    *,
    members: int = 5,
    bands: int = 6,
    widths: Sequence[int] = (3, 4, 8, 12),
    hidden: int = 64,
    dropout: float = 0.2,
) -> StarGalaxy:
    """Make the network with fresh weights.

    Parameters
    ----------
    members : int
        Number of independently trained networks.
    bands : int
        Planes of the input: one of an unknown filter, and the named ones.
    widths : sequence of int
        Number of filters of each stage; each stands for eight, one an orientation.
    hidden : int
        Width of the dense layer.
    dropout : float
        Used in training only.
    """
    return StarGalaxy(
        [
            Member(colours=2 * (bands - 1 - UNNAMED), widths=widths, hidden=hidden, dropout=dropout)
            for _ in range(members)
        ],
        classes=2,
    )


class StarGalaxy(Ensemble):
    """The networks, which share the normalised planes."""

    def seen(self, values: Tensor) -> Seen:
        """Return what members see.

        Parameters
        ----------
        values : Tensor, shape (n, band, y, x)
            Any linear unit, the same for all named bands; the object in the middle; planes of equal
            pixels were not observed.
        """
        return normalised(values)


class Member(nn.Module):
    """One network.

    Shapes for the default options: planes (m, 2, 40, 40) → (m, 24, 20, 20) → (m, 32, 20, 20) →
    (m, 64, 10, 10) → (m, 96, 5, 5) → features (m, 48) → joined (n, 96) → logits (n, 2).
    """

    def __init__(self, *, colours: int, widths: Sequence[int], hidden: int, dropout: float) -> None:
        super().__init__()
        self.column = Column(2, widths, order=ORDER)
        self.dense = nn.Linear(8 * widths[-1] + colours, hidden)
        self.last = nn.Linear(hidden, 2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, seen: Seen) -> Tensor:
        """Return logits of shape (n, 2): star, galaxy."""
        features, n = self.column(seen.planes), len(seen.colours)
        count = torch.bincount(seen.owner, minlength=n).clamp(min=1)[:, None]
        empty = features.new_zeros(n, features.shape[1])
        mean = empty.index_add(0, seen.owner, features) / count
        most = empty.scatter_reduce(
            0, seen.owner[:, None].expand_as(features), features, "amax", include_self=False
        )
        joined = torch.cat([mean, most, seen.colours], dim=1)
        return self.last(self.dropout(functional.relu(self.dense(self.dropout(joined)))))


def normalised(values: Tensor) -> Seen:
    """Bring every observed plane to its own noise, and compare the fluxes of neighbouring bands.

    Parameters
    ----------
    values : Tensor, shape (n, band, y, x)
        As for `StarGalaxy.seen`.

    Raises
    ------
    DataError
        If the cutouts are not square, odd, or too small.
    """
    if values.ndim != 4 or values.shape[1] <= UNNAMED:
        raise DataError(
            f"The network got values of shape {tuple(values.shape)}",
            remedy="give cutouts of shape (n, band, y, x), the first band of unknown filter",
        )
    height, width = values.shape[2:]
    if height != width or height % 2 or height < SIDE:
        raise DataError(
            f"The network got cutouts of {width}×{height} pixels",
            remedy=f"give square cutouts with an even side of {SIDE} pixels or more",
        )
    light, noise = above_sky(values)
    observed = values.flatten(2).amax(dim=2) > values.flatten(2).amin(dim=2)
    planes = planes_of((light / noise[..., None, None])[observed])
    both = observed[:, UNNAMED:-1] & observed[:, UNNAMED + 1 :]
    contrast = contrasts(light[:, UNNAMED:], noise[:, UNNAMED:])
    return Seen(planes, torch.nonzero(observed)[:, 0], colours_of(contrast, both))


def above_sky(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return values without their median, and the noise of each plane, shape (n, band)."""
    flat = values.flatten(2)
    light = flat - flat.median(dim=2, keepdim=True).values
    noise = 1.4826 * light.abs().median(dim=2).values
    # Levels of a picture are steps: where half of the pixels are equal, a step is the noise.
    noise = torch.maximum(noise, 1e-3 * light.amax(dim=2)).clamp(min=1e-12)
    return light.reshape(values.shape), noise


def planes_of(light: Tensor) -> Tensor:
    """Return what the column sees of planes, shape (m, 2, SIDE, SIDE).

    Parameters
    ----------
    light : Tensor, shape (m, y, x)
        In units of the noise.
    """
    light = _middle(light)
    core = light[:, None, SIDE // 2 - 5 : SIDE // 2 + 5, SIDE // 2 - 5 : SIDE // 2 + 5]
    peak = functional.avg_pool2d(core, 3, stride=1).amax(dim=(1, 2, 3)).clamp(min=2.0)
    shape = (light / peak[:, None, None]).clamp(-0.5, 1.5)
    return torch.stack([torch.asinh(light / 2.0) / 2.0, 2.0 * shape], dim=1)


def contrasts(light: Tensor, noise: Tensor) -> Tensor:
    """Compare the fluxes of neighbouring bands, from -1 (all in the first) to 1, shape (n, b - 1).

    Parameters
    ----------
    light : Tensor, shape (n, b, y, x)
        Above the sky.
    noise : Tensor, shape (n, b)
        Of a pixel; keeps the ratio of two fluxes that are noise small.
    """
    axis = torch.arange(SIDE, dtype=light.dtype, device=light.device) - (SIDE - 1) / 2
    inside = (axis[:, None] ** 2 + axis[None, :] ** 2 < APERTURE**2).to(light)
    flux = (_middle(light) * inside).sum(dim=(2, 3))
    doubt = noise * inside.sum().sqrt()
    blue, red = flux[:, :-1], flux[:, 1:]
    total = red.abs() + blue.abs() + doubt[:, :-1] + doubt[:, 1:]
    return (red - blue) / total.clamp(min=1e-12)


def colours_of(contrast: Tensor, both: Tensor) -> Tensor:
    """Return contrasts where both bands were observed, and where that is; see `Seen`."""
    return torch.cat([torch.where(both, contrast, torch.zeros_like(contrast)), both.float()], dim=1)


def _middle(light: Tensor) -> Tensor:
    edge = (light.shape[-1] - SIDE) // 2
    return light[..., edge : light.shape[-2] - edge, edge : light.shape[-1] - edge]
