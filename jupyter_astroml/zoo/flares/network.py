"""The 1-D CNN of Feinstein et al. 2020 (AJ 160, 219), evaluated at every cadence at once.

The paper cuts a window of 200 cadences around each cadence and asks a small network whether a flare
is in its middle:

    conv 16×7 · max-pool 2 · dropout 0.1 · conv 64×3 · max-pool 2 · dropout 0.1 · dense 32 · logit

Two windows that are one cadence apart share nearly all of their work.
Here the pools take every cadence as a start and the layers after them are dilated (the "à trous"
algorithm; Giusti et al. 2013, arXiv:1302.1700), which gives the same numbers as the windows one by
one, at a cost that does not grow with their overlap.

Where we depart from the paper, and why:

- the convolutions are not padded, since zeros at the border of each window would make each window
  different from the light curve that it was cut from; 47 instead of 50 positions reach the dense
  layer;
- the flux is not divided by the median of the window but detrended by a running median and divided
  by the noise of the light curve, so that the same flare looks the same on a bright and on a faint
  star;
- several networks with different seeds answer, and their logits are divided by a temperature and
  shifted (Platt scaling; Guo et al. 2017, arXiv:1706.04599), since training shows them far more
  flares than the sky does; both numbers were fitted on simulated stars that they had not seen.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

WINDOW = 200
# The window of cadence i is [i - 100, i + 100), as numpy would write it.
BEFORE, AFTER = WINDOW // 2, WINDOW // 2 - 1
_FIRST, _SECOND, _HIDDEN = 16, 64, 32
_KERNEL_1, _KERNEL_2 = 7, 3
# Positions that are left of a window after both convolutions and both pools.
POSITIONS = ((WINDOW - _KERNEL_1 + 1) // 2 - _KERNEL_2 + 1) // 2

# Medians are taken at every eighth cadence and joined by straight lines: the trend is slower.
_TREND_STEP = 8
# Curvature below this is a straight line that bridges a gap, or padding: there is no noise.
_FLAT = 1e-6
# Standard deviation of x[i-1] - 2 x[i] + x[i+1] for white noise of unit deviation is √6; the
# median of its absolute value is 0.6745 times that.
_CURVATURE_TO_SIGMA = 1.0 / (0.6745 * 6.0**0.5)
_SMALLEST_NOISE = 1e-5
_LINEAR = 3.0


class FlareNet(nn.Module):
    """One member of the ensemble."""

    def __init__(self, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, _FIRST, _KERNEL_1)
        self.second = nn.Conv1d(_FIRST, _SECOND, _KERNEL_2)
        # A dense layer on (channel, position) is a convolution that covers all positions.
        self.dense = nn.Conv1d(_SECOND, _HIDDEN, POSITIONS)
        self.last = nn.Conv1d(_HIDDEN, 1, 1)
        self.dropout = dropout

    def windows(self, series: Tensor) -> Tensor:
        """Answer windows as the paper does, with pools that halve the series.

        Parameters
        ----------
        series : Tensor, shape (n, 200 + 4 j)
            Normalised flux.

        Returns
        -------
        Tensor, shape (n, 1 + j)
            Logit that the middle of the window (its index 100) is in a flare, for the windows that
            begin at 0, 4, 8, … 4 j.
        """
        x = functional.max_pool1d(functional.relu(self.first(series[:, None])), 2)
        x = functional.dropout(x, self.dropout, self.training)
        x = functional.max_pool1d(functional.relu(self.second(x)), 2)
        x = functional.dropout(x, self.dropout, self.training)
        return self.last(functional.relu(self.dense(x)))[:, 0]

    def forward(self, series: Tensor) -> Tensor:
        """Answer every window of a series.

        Parameters
        ----------
        series : Tensor, shape (n, t + 199)
            Normalised flux, with 100 cadences before and 99 after the t that are asked for.

        Returns
        -------
        Tensor, shape (n, t)
        """
        x = functional.relu(self.first(series[:, None]))
        x = functional.max_pool1d(x, 2, stride=1)
        x = functional.dropout(x, self.dropout, self.training)
        x = functional.relu(functional.conv1d(x, self.second.weight, self.second.bias, dilation=2))
        # A pool of two neighbours that are two cadences apart.
        x = torch.maximum(x[:, :, :-2], x[:, :, 2:])
        x = functional.dropout(x, self.dropout, self.training)
        x = functional.relu(functional.conv1d(x, self.dense.weight, self.dense.bias, dilation=4))
        # Each window's last pool leaves two cadences over, so two outputs too many are made.
        return self.last(x)[:, 0, : series.shape[1] - WINDOW + 1]


class Flares(nn.Module):
    """Ensemble with its normalisation and temperature.

    Parameters
    ----------
    members : int
    dropout : float
        Used in training only.
    trend : int
        Width of the running median, cadences.
    """

    def __init__(self, *, members: int = 5, dropout: float = 0.1, trend: int = 193) -> None:
        super().__init__()
        if members < 1 or trend < 2 * _TREND_STEP:
            raise TypeError(f"members={members} and trend={trend} make no network")
        self.members = nn.ModuleList(FlareNet(dropout=dropout) for _ in range(members))
        self.temperature: Tensor
        self.shift: Tensor
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("shift", torch.zeros(()))
        self.trend = trend

    def nets(self) -> list[FlareNet]:
        """Return the members of the ensemble."""
        return cast("list[FlareNet]", list(self.members))

    def forward(self, values: Tensor) -> Tensor:
        """Logit for each cadence that it belongs to a flare.

        Parameters
        ----------
        values : Tensor of float32, shape (n, t), relative flux (median 1)
            On an even 2-minute grid, finite everywhere.

        Returns
        -------
        Tensor, shape (member, n, t)
            Calibrated: divided by the temperature, and shifted to the share of flaring cadences.
        """
        series = self.normalise(values)
        # Beyond the ends the light curve is taken to be quiet.
        series = functional.pad(series, (BEFORE, AFTER))
        logits = torch.stack([member(series) for member in self.nets()])
        return logits / self.temperature + self.shift

    def normalise(self, values: Tensor) -> Tensor:
        """Height above the trend in units of the noise, compressed.

        The trend and the noise are constants for the gradient.
        They are medians of hundreds of cadences, so the gradient of a logit is confined to the 200
        cadences of its window, and says what a flux above the trend does to the answer.

        Parameters
        ----------
        values : Tensor, shape (n, t), relative flux
            Finite.

        Returns
        -------
        Tensor, shape (n, t)
            ``asinh(height / (3 σ))``: linear up to about 3σ and logarithmic above, because flares
            span three decades.
        """
        with torch.no_grad():
            trend = running_median(values, width=self.trend)
            sigma = noise(values)[:, None]
        return torch.asinh((values - trend) / (_LINEAR * sigma))


def running_median(values: Tensor, *, width: int) -> Tensor:
    """Median of the cadences around each cadence, with the ends reflected.

    Parameters
    ----------
    values : Tensor, shape (n, t)
        Finite.
    width : int
        Cadences.

    Returns
    -------
    Tensor, shape (n, t)
        Exact at every eighth cadence, and linear between them.
    """
    t = values.shape[1]
    half = min(width // 2, t - 1)
    knots = (t - 1) // _TREND_STEP + 2
    padded = functional.pad(values[:, None], (half, half), mode="reflect")[:, 0]
    missing = (knots - 1) * _TREND_STEP + 2 * half + 1 - padded.shape[1]
    padded = functional.pad(padded[:, None], (0, missing), mode="replicate")[:, 0]
    medians = padded.unfold(1, 2 * half + 1, _TREND_STEP).median(dim=2).values
    return functional.interpolate(
        medians[:, None], size=(knots - 1) * _TREND_STEP + 1, mode="linear", align_corners=True
    )[:, 0, :t]


def noise(values: Tensor) -> Tensor:
    """Standard deviation of the white noise, from the curvature of three neighbours.

    The median over all cadences that are not on a straight line: neither flares, nor spots, nor
    bridged gaps change it.

    Parameters
    ----------
    values : Tensor, shape (n, t)
        Finite.

    Returns
    -------
    Tensor, shape (n,), in the unit of `values`
    """
    curvature = (values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]).abs()
    seen = torch.where(curvature > _FLAT, curvature, torch.nan)
    sigma = seen.nanmedian(dim=1).values * _CURVATURE_TO_SIGMA
    return sigma.nan_to_num(_SMALLEST_NOISE).clamp_min(_SMALLEST_NOISE)


def build(*, members: int = 5, dropout: float = 0.1, trend: int = 193) -> Flares:
    """Make the network of the card.

    Parameters
    ----------
    members : int
        Size of the ensemble.
    dropout : float
        Share of the activations that training leaves out.
    trend : int
        Width of the running median, cadences.

    Raises
    ------
    TypeError
        For options that make no network.
    """
    return Flares(members=members, dropout=dropout, trend=trend)
