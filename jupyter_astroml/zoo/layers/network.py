"""A network that is given as a list of layers, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

_ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "softplus": nn.Softplus,
}

_WINDOWS_AT_ONCE = 2048


class Layers(nn.Module):
    """Run layers in their order.

    Parameters
    ----------
    layers : sequence of mapping
        Each with its ``kind`` and numbers; see `_layer`.
    normalise : {"none", "l2"}
        ``l2`` divides each band of each object by the root of the sum of its squares.
    binary : bool
        The last layer has one output, the logit of the second of two classes.
    windows : int
        The network takes so many cadences and answers for the one in their middle: it is asked for
        each cadence of a light curve.
    """

    def __init__(
        self,
        layers: Sequence[Mapping[str, Any]],
        *,
        normalise: str = "none",
        binary: bool = False,
        windows: int = 0,
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(*[_layer(dict(layer)) for layer in layers])
        self.normalise = normalise
        self.binary = binary
        self.windows = windows

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return logits.

        Parameters
        ----------
        values : Tensor, shape (n, band, y, x), (n, band, t), or (n, t) for `windows`
            In the input contract.

        Returns
        -------
        Tensor, shape (1, n, k)
            One member; k is 2 for a binary network, and t for `windows`.
        """
        if self.windows:
            return torch.stack([self._along(series) for series in values])[None]
        if self.normalise == "l2":
            axes = tuple(range(2, values.ndim))
            norm = torch.linalg.vector_norm(values, dim=axes, keepdim=True)
            values = values / norm.clamp_min(1e-12)
        found = self.layers(values)
        if self.binary:
            found = torch.cat([torch.zeros_like(found), found], dim=1)
        return found[None]

    def _along(self, series: torch.Tensor) -> torch.Tensor:
        """Answer for each cadence of one light curve, whose ends are repeated."""
        before = self.windows // 2
        after = self.windows - before - 1
        padded = functional.pad(series[None, None], (before, after), mode="replicate")[0, 0]
        pieces = padded.unfold(0, self.windows, 1)[:, None].split(_WINDOWS_AT_ONCE)
        return torch.cat([self.layers(piece)[:, 0] for piece in pieces])


def build(
    layers: Sequence[Mapping[str, Any]],
    *,
    normalise: str = "none",
    binary: bool = False,
    windows: int = 0,
) -> Layers:
    """Make the module of a card."""
    if normalise not in ("none", "l2"):
        raise TypeError(f"normalise={normalise!r}: use 'none' or 'l2'")
    return Layers(layers, normalise=normalise, binary=binary, windows=windows)


class _Conv(nn.Module):
    """A convolution that pads as TensorFlow does: the odd pixel goes to the end."""

    def __init__(self, dims: int, *, same: bool, separable: bool, **sizes: Any) -> None:
        super().__init__()
        make: Any = nn.Conv1d if dims == 1 else nn.Conv2d
        self.same = same
        self.kernel, self.stride = tuple(sizes["kernel"]), tuple(sizes["stride"])
        inner = {"kernel_size": self.kernel, "stride": self.stride}
        if separable:
            deep = sizes["inputs"] * sizes["multiplier"]
            self.depthwise: nn.Module = make(
                sizes["inputs"], deep, groups=sizes["inputs"], bias=False, **inner
            )
            self.conv = make(deep, sizes["outputs"], kernel_size=1)
        else:
            self.depthwise = nn.Identity()
            self.conv = make(sizes["inputs"], sizes["outputs"], **inner)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the filtered values."""
        if self.same:
            pads: list[int] = []
            for size, kernel, stride in zip(
                values.shape[2:], self.kernel, self.stride, strict=True
            ):
                whole = max((-(-size // stride) - 1) * stride + kernel - size, 0)
                pads = [whole // 2, whole - whole // 2, *pads]
            values = functional.pad(values, pads)
        return self.conv(self.depthwise(values))


class _Flatten(nn.Module):
    """Flatten with the bands last, as networks of Keras were trained."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values.movedim(1, -1).flatten(1)


class _Lstm(nn.Module):
    """A bidirectional LSTM over (n, t, feature) that gives the state at every time."""

    def __init__(self, *, inputs: int, hidden: int, depth: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, depth, batch_first=True, bidirectional=True)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.lstm(values)[0]


class _MeanTime(nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values.mean(dim=1)


class _GlobalMean(nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values.flatten(2).mean(dim=2)


def _layer(about: dict[str, Any]) -> nn.Module:
    """Make one layer.

    ``conv`` (dims, inputs, outputs, kernel, stride, same, separable, multiplier), ``dense``
    (inputs, outputs), ``norm`` (size, dims, epsilon), ``max`` and ``mean`` (dims, kernel, stride),
    ``lstm`` (inputs, hidden, depth), ``flatten``, ``global_mean``, ``mean_time``, ``activation``
    (name).
    """
    kind = about.pop("kind")
    if kind == "conv":
        return _Conv(**about)
    if kind == "lstm":
        return _Lstm(**about)
    if kind == "dense":
        return nn.Linear(about["inputs"], about["outputs"])
    if kind == "norm":
        make = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}.get(about["dims"], nn.BatchNorm1d)
        return make(about["size"], eps=about["epsilon"])
    if kind in ("max", "mean"):
        pools = {
            ("max", 1): nn.MaxPool1d,
            ("max", 2): nn.MaxPool2d,
            ("mean", 1): nn.AvgPool1d,
            ("mean", 2): nn.AvgPool2d,
        }
        sizes = tuple(about["kernel"]), tuple(about["stride"])
        return pools[kind, about["dims"]](*sizes)
    if kind == "activation" and about["name"] in _ACTIVATIONS:
        return _ACTIVATIONS[about["name"]]()
    plain = {"flatten": _Flatten, "global_mean": _GlobalMean, "mean_time": _MeanTime}
    if kind not in plain:
        raise TypeError(f"there is no layer {kind!r} {about}")
    return plain[kind]()
