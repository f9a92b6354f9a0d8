"""The network of the Payne: for each pixel a hidden layer of sigmoids on the labels of a star."""

from __future__ import annotations

import torch
from torch import nn


class Emulator(nn.Module):
    """Draw spectra, as Ting et al. 2019 (ApJ 879, 69) equation 3.

    The arrays have the names under which such weights are published.

    Parameters
    ----------
    pixels, nodes, labels : int
    """

    x_min: torch.Tensor
    x_max: torch.Tensor

    def __init__(self, pixels: int, nodes: int, labels: int) -> None:
        super().__init__()
        self.w_array_0 = nn.Parameter(torch.zeros(pixels, nodes, labels))
        self.b_array_0 = nn.Parameter(torch.zeros(pixels, nodes))
        self.w_array_1 = nn.Parameter(torch.zeros(pixels, nodes))
        self.b_array_1 = nn.Parameter(torch.zeros(pixels))
        for name, size in {"x_min": labels, "x_max": labels, "wavelength": pixels}.items():
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return spectra over their continuum.

        Parameters
        ----------
        values : Tensor, shape (n, label)
            In the units of the card.

        Returns
        -------
        Tensor, shape (1, n, pixel)
            One member.
        """
        part = (values.double() - self.x_min) / (self.x_max - self.x_min) - 0.5
        nodes = torch.einsum("pkl,nl->npk", self.w_array_0, part.float()) + self.b_array_0
        return ((self.w_array_1 * torch.sigmoid(nodes)).sum(dim=2) + self.b_array_1)[None]


def build(pixels: int, nodes: int, labels: int) -> Emulator:
    """Make the module of a card."""
    return Emulator(pixels, nodes, labels)
