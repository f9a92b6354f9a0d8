"""Read published weights without running anything of them.

A file of weights may carry code.  What is read here cannot: Keras files are read as HDF5 tables of
numbers with a description in JSON, torch files by its reader that admits tensors only, NumPy files
without objects.  Nothing of the library that wrote the file is needed.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from jupyter_astroml.core.errors import MissingExtraError, ModelError
from jupyter_astroml.models.files import UNSAFE
from jupyter_astroml.models.published import recognised

_MOST_BYTES = 2 << 30
_MOST_JSON = 4 << 20


@dataclass(frozen=True)
class Imported:
    """What was found in a file.

    Attributes
    ----------
    layers : list of mapping
        As `jupyter_astroml.zoo.layers` takes them; empty where the file describes no network.
    tensors : mapping of str to ndarray
        Weights by the names of the module that `layers` make, or as in the file.
    shape : tuple of int
        Of one input: bands first.
    binary : bool
        One output, the probability of the second of two classes.
    outputs : int
        Number of outputs of the last layer.
    """

    layers: list[dict[str, Any]]
    tensors: Mapping[str, np.ndarray]
    shape: tuple[int, ...] = ()
    binary: bool = False
    outputs: int = 0


def read_weights(path: Path | str) -> Imported:
    """Read a file of weights without running anything of it.

    Parameters
    ----------
    path : Path
        ``.h5``, ``.hdf5``; ``.pt``, ``.pth``; ``.npz``; ``.safetensors``.

    Raises
    ------
    ModelError
        For everything that may carry code, is too large, damaged or of another kind.
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], Imported]] = {
        ".h5": _keras,
        ".hdf5": _keras,
        ".npz": _numpy,
        ".pt": _torch,
        ".pth": _torch,
        ".safetensors": _safetensors,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ModelError(
            f"Files like {path.name} are not read",
            cause=UNSAFE.get(path.suffix.lower(), "their format is not known here"),
            remedy=f"find the weights as one of {', '.join(readers)}",
        )
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ModelError(f"{path} is too large", remedy=f"at most {_MOST_BYTES} bytes are read")
    except OSError as err:
        raise ModelError(f"{path} cannot be read", cause=str(err)) from err
    return reader(path)


# Keras -----------------------------------------------------------------------------------------


def _keras(path: Path) -> Imported:
    try:
        import h5py
    except ImportError as err:
        raise MissingExtraError(
            "Keras files need h5py", cause=str(err), remedy="pip install h5py"
        ) from err
    try:
        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
            weights = _keras_weights(file)
    except (OSError, KeyError, ValueError, RuntimeError) as err:
        raise ModelError(f"{path.name} is no Keras file", cause=str(err)) from err
    if text is None:
        flat = {f"{k}.{i}": a for k, arrays in weights.items() for i, a in enumerate(arrays)}
        return Imported([], flat)
    if len(text) > _MOST_JSON:
        raise ModelError(f"{path.name} describes its network in {len(text)} bytes")
    try:
        described = json.loads(text)
    except (TypeError, ValueError, RecursionError) as err:
        raise ModelError(f"{path.name} is no Keras file", cause=str(err)) from err
    return _sequential(path.name, described, weights)


def _keras_weights(file: Any) -> dict[str, list[np.ndarray]]:
    """Return the arrays of each layer, in its own order."""
    import h5py

    root = _own(file, "model_weights") if "model_weights" in file else file
    found: dict[str, list[np.ndarray]] = {}
    left = _MOST_BYTES
    for name in root.attrs.get("layer_names", []):
        layer = _word(name)
        arrays = []
        group = _own(root, layer)
        for item in group.attrs.get("weight_names", []):
            stored = _own(group, _word(item))
            # A few bytes may describe an array of any size, or one in another file.
            if not isinstance(stored, h5py.Dataset) or stored.external or stored.is_virtual:
                raise ValueError(f"{_word(item)} is no plain array")
            left -= stored.size * 4
            if left < 0:
                raise ValueError(f"its arrays have more than {_MOST_BYTES} bytes")
            arrays.append(np.asarray(stored, dtype=np.float32))
        found[layer] = arrays
    return found


def _own(group: Any, name: str) -> Any:
    """Return a member of a group, of this file: a link may lead into another one."""
    import h5py

    for part in filter(None, name.split("/")):
        inside = isinstance(group.get(part, getlink=True), h5py.HardLink)
        if not inside:
            raise ValueError(f"{name} is not in the file itself")
        group = group[part]
    return group


def _word(text: Any) -> str:
    return text.decode() if isinstance(text, bytes) else str(text)


def _sequential(name: str, config: Any, weights: Mapping[str, list[np.ndarray]]) -> Imported:
    try:
        if config["class_name"] != "Sequential":
            raise ModelError(
                f"{name} holds a network of the kind {config['class_name']}",
                cause="only layers that follow one after the other are imported",
                remedy="write a package with the network and a card for it: docs/models.md",
            )
        inner = config["config"]
        described = inner["layers"] if isinstance(inner, dict) else inner
        state = _Keras(weights)
        for layer in described:
            state.add(str(layer["class_name"]), layer["config"])
        return state.imported()
    except (KeyError, TypeError, IndexError, ValueError) as err:
        raise ModelError(
            f"The description of the network in {name} makes no sense",
            cause=f"{type(err).__name__}: {err}",
        ) from err


@dataclass
class _Keras:
    """Layers that were translated so far."""

    weights: Mapping[str, list[np.ndarray]]
    layers: list[dict[str, Any]] = field(default_factory=list)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    last: str = "linear"
    channels: int = 0

    def add(self, kind: str, about: Mapping[str, Any]) -> None:
        """Translate the next layer."""
        given = about.get("batch_input_shape") or about.get("batch_shape")
        if given and not self.shape:
            size = [int(n) for n in given[1:]]
            self.shape, self.channels = (size[-1], *size[:-1]), size[-1]
        translate = _LAYERS.get(kind)
        if about.get("data_format", "channels_last") != "channels_last" or translate is None:
            raise ModelError(
                f"A layer of the kind {kind} is not imported",
                remedy="write a package with the network and a card for it: docs/models.md",
            )
        translate(self, about)

    def imported(self) -> Imported:
        """Return what was translated, with logits for answers."""
        outputs = self.channels
        if not (self.layers and self.shape):
            raise ValueError("it has no layers, or does not say what it takes")
        binary = outputs == 1 and self.last == "sigmoid"
        if self.last in ("sigmoid", "softmax"):
            # A card's answers are made of logits.
            self.layers.pop()
        return Imported(self.layers, self.tensors, self.shape, binary, outputs)

    def _put(self, layer: dict[str, Any], **arrays: np.ndarray) -> None:
        place = f"layers.{len(self.layers)}"
        self.tensors |= {
            f"{place}.{name.replace('__', '.')}": np.ascontiguousarray(array, dtype=np.float32)
            for name, array in arrays.items()
        }
        self.layers.append(layer)

    def _activate(self, name: Any) -> None:
        self.last = str(name or "linear")
        if self.last != "linear":
            self._put({"kind": "activation", "name": self.last})

    def _conv(self, about: Mapping[str, Any], *, dims: int, separable: bool) -> None:
        if (
            any(step != 1 for step in about.get("dilation_rate", [1]))
            or about.get("groups", 1) != 1
        ):
            raise ModelError("Dilated and grouped convolutions are not imported")
        arrays = list(self.weights[about["name"]])
        bias = arrays.pop() if about["use_bias"] else np.zeros(about["filters"], np.float32)
        turn = (dims + 1, dims, *range(dims))
        layer = {
            "kind": "conv",
            "dims": dims,
            "separable": separable,
            "inputs": self.channels,
            "outputs": int(about["filters"]),
            "kernel": list(about["kernel_size"]),
            "stride": list(about["strides"]),
            "same": about["padding"] == "same",
        }
        if separable:
            deep, point = arrays
            layer["multiplier"] = int(about["depth_multiplier"])
            # (y, x, band, multiple) to (band times multiple, 1, y, x)
            deep = np.moveaxis(deep, (-2, -1), (0, 1)).reshape(-1, 1, *deep.shape[:dims])
            self._put(
                layer,
                depthwise__weight=deep,
                conv__weight=point.transpose(turn),
                conv__bias=bias,
            )
        else:
            self._put(layer, conv__weight=arrays[0].transpose(turn), conv__bias=bias)
        self.channels = int(about["filters"])
        self._activate(about.get("activation"))

    def conv1d(self, about: Mapping[str, Any]) -> None:
        """Translate Conv1D."""
        self._conv(about, dims=1, separable=False)

    def conv2d(self, about: Mapping[str, Any]) -> None:
        """Translate Conv2D."""
        self._conv(about, dims=2, separable=False)

    def separable2d(self, about: Mapping[str, Any]) -> None:
        """Translate SeparableConv2D: a filter for each band, then a mixture."""
        self._conv(about, dims=2, separable=True)

    def dense(self, about: Mapping[str, Any]) -> None:
        """Translate Dense."""
        arrays = list(self.weights[about["name"]])
        bias = arrays.pop() if about["use_bias"] else np.zeros(about["units"], np.float32)
        (kernel,) = arrays
        layer = {"kind": "dense", "inputs": kernel.shape[0], "outputs": kernel.shape[1]}
        self._put(layer, weight=kernel.T, bias=bias)
        self.channels = int(kernel.shape[1])
        self._activate(about.get("activation"))

    def norm(self, about: Mapping[str, Any]) -> None:
        """Translate BatchNormalization with the moments of the training."""
        arrays = list(self.weights[about["name"]])
        weight = arrays.pop(0) if about["scale"] else np.ones_like(arrays[-1])
        bias = arrays.pop(0) if about["center"] else np.zeros_like(arrays[-1])
        mean, variance = arrays
        layer = {"kind": "norm", "size": len(mean), "dims": len(self.shape) - 1}
        self._put(
            {**layer, "epsilon": float(about["epsilon"])},
            weight=weight,
            bias=bias,
            running_mean=mean,
            running_var=variance,
        )

    def _pool(self, about: Mapping[str, Any], kind: str, dims: int) -> None:
        if about["padding"] != "valid":
            raise ModelError("Pooling with padding is not imported")
        sizes = {"kernel": list(about["pool_size"]), "stride": list(about["strides"])}
        self._put({"kind": kind, "dims": dims, **sizes})

    def max1d(self, about: Mapping[str, Any]) -> None:
        """Translate MaxPooling1D."""
        self._pool(about, "max", 1)

    def max2d(self, about: Mapping[str, Any]) -> None:
        """Translate MaxPooling2D."""
        self._pool(about, "max", 2)

    def mean2d(self, about: Mapping[str, Any]) -> None:
        """Translate AveragePooling2D."""
        self._pool(about, "mean", 2)

    def global_mean(self, _about: Mapping[str, Any]) -> None:
        """Translate GlobalAveragePooling2D."""
        self._put({"kind": "global_mean"})

    def flatten(self, _about: Mapping[str, Any]) -> None:
        """Translate Flatten."""
        self._put({"kind": "flatten"})

    def activation(self, about: Mapping[str, Any]) -> None:
        """Translate Activation."""
        self._activate(about["activation"])

    def nothing(self, _about: Mapping[str, Any]) -> None:
        """Leave a layer out that does nothing when a network answers."""


_LAYERS: Mapping[str, Callable[[_Keras, Mapping[str, Any]], None]] = MappingProxyType(
    {
        "Conv1D": _Keras.conv1d,
        "Conv2D": _Keras.conv2d,
        "SeparableConv2D": _Keras.separable2d,
        "Dense": _Keras.dense,
        "BatchNormalization": _Keras.norm,
        "MaxPooling1D": _Keras.max1d,
        "MaxPooling2D": _Keras.max2d,
        "AveragePooling2D": _Keras.mean2d,
        "GlobalAveragePooling2D": _Keras.global_mean,
        "Flatten": _Keras.flatten,
        "Activation": _Keras.activation,
        "Dropout": _Keras.nothing,
        "InputLayer": _Keras.nothing,
    }
)


# Arrays without a description -------------------------------------------------------------------


def _torch(path: Path) -> Imported:
    import pickle
    import warnings

    import torch

    # The reader's safety can be switched off from outside; not here.
    os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    try:
        with warnings.catch_warnings():
            # It may be unable to read a newer pickle, and then says so in its error.
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as err:
        raise ModelError(
            f"{path.name} is refused",
            cause="it holds more than arrays of numbers, such as code that would run when it is "
            f"read ({str(err).splitlines()[0][:120]})",
            remedy="ask its authors for the weights alone (a state dict, or safetensors)",
        ) from err
    tensors = dict(_arrays(found))
    known = recognised(tensors)
    if known is None:
        return Imported([], tensors)
    layers, renamed, shape, outputs = known
    return Imported(layers, renamed, shape, outputs=outputs)


def _arrays(found: Any, before: str = "") -> Iterator[tuple[str, np.ndarray]]:
    import torch

    if isinstance(found, torch.Tensor):
        yield before or "value", found.detach().float().numpy()
    elif isinstance(found, Mapping):
        for name, value in found.items():
            yield from _arrays(value, f"{before}.{name}" if before else str(name))


def _numpy(path: Path) -> Imported:
    try:
        with zipfile.ZipFile(path) as packed:
            if sum(item.file_size for item in packed.infolist()) > _MOST_BYTES:
                raise ModelError(f"{path.name} unpacks to more than {_MOST_BYTES} bytes")
        with np.load(path, allow_pickle=False) as stored:
            found = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, zipfile.BadZipFile) as err:
        raise ModelError(
            f"{path.name} is refused",
            cause=f"it is damaged, or holds objects that may carry code ({err})",
            remedy="ask for arrays of numbers",
        ) from err
    if not all(isinstance(array, np.ndarray) for array in found.values()):
        raise ModelError(f"{path.name} does not hold arrays alone")
    return Imported([], found)


def _safetensors(path: Path) -> Imported:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return Imported([], load_file(path))
    except (OSError, SafetensorError) as err:
        raise ModelError(f"{path.name} is no safetensors file", cause=str(err)) from err
