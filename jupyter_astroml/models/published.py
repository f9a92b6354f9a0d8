"""Published state dicts whose network is known here, though their file does not describe it.

A state dict is a list of named arrays.  The networks below are recognised by all names and shapes
together; the order of their layers is that of their authors' code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Found = tuple[list[dict[str, Any]], dict[str, np.ndarray], tuple[int, ...], int]


def recognised(tensors: Mapping[str, np.ndarray]) -> Found | None:
    """Return layers, renamed arrays, shape of one input and number of outputs; None if unknown."""
    return _upsilon(tensors) or _supernnova(tensors)


def _upsilon(tensors: Mapping[str, np.ndarray]) -> Found | None:
    """UPSILoN-T: 16 features of a light curve to 21 classes.

    Kim, Yeo, Bailer-Jones & Lee 2021, A&A 653, A22 (arXiv:2106.00187).
    Normalise, then four dense layers, each with a normalisation; ReLU between them.
    """
    depth = sum(name.startswith("fc") and name.endswith(".weight") for name in tensors)
    parts = ("weight", "bias", "running_mean", "running_var")
    wanted = {f"bn{i}.{part}" for i in range(1, depth + 2) for part in parts}
    wanted |= {f"fc{i}.{part}" for i in range(1, depth + 1) for part in ("weight", "bias")}
    have = {name for name in tensors if not name.endswith("num_batches_tracked")}
    if not depth or have != wanted:
        return None
    layers: list[dict[str, Any]] = []
    renamed: dict[str, np.ndarray] = {}

    def put(layer: dict[str, Any], name: str) -> None:
        place = f"layers.{len(layers)}"
        renamed.update(
            {f"{place}.{n.partition('.')[2]}": tensors[n] for n in have if n.startswith(f"{name}.")}
        )
        layers.append(layer)

    def norm(i: int) -> None:
        size = len(tensors[f"bn{i}.weight"])
        put({"kind": "norm", "size": size, "dims": 1, "epsilon": 1e-5}, f"bn{i}")

    norm(1)
    for i in range(1, depth + 1):
        outputs, inputs = tensors[f"fc{i}.weight"].shape
        put({"kind": "dense", "inputs": inputs, "outputs": outputs}, f"fc{i}")
        norm(i + 1)
        if i < depth:
            layers.append({"kind": "activation", "name": "relu"})
    first, last = tensors["fc1.weight"].shape[1], tensors[f"fc{depth}.weight"].shape[0]
    return layers, renamed, (int(first),), int(last)


def _supernnova(tensors: Mapping[str, np.ndarray]) -> Found | None:
    """SuperNNova, plain network: bidirectional LSTM, mean, dense.

    Möller & de Boissière 2020, MNRAS 491, 4277 (arXiv:1901.06384).
    """
    depth = sum(n.startswith("rnn_layer.weight_ih") and not n.endswith("_reverse") for n in tensors)
    parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    wanted = {
        f"rnn_layer.{part}_l{i}{way}"
        for part in parts
        for i in range(depth)
        for way in ("", "_reverse")
    } | {"output_layer.weight", "output_layer.bias"}
    if not depth or set(tensors) != wanted:
        return None
    inputs, hidden = (int(tensors[f"rnn_layer.weight_{part}_l0"].shape[1]) for part in ("ih", "hh"))
    outputs = int(tensors["output_layer.weight"].shape[0])
    layers: list[dict[str, Any]] = [
        {"kind": "lstm", "inputs": inputs, "hidden": hidden, "depth": depth},
        {"kind": "mean_time"},
        {"kind": "dense", "inputs": 2 * hidden, "outputs": outputs},
    ]
    renamed = {}
    for name, array in tensors.items():
        room, _, rest = name.partition(".")
        place = "layers.0.lstm" if room == "rnn_layer" else "layers.2"
        renamed[f"{place}.{rest}"] = array
    return layers, renamed, (0, inputs), outputs
