"""Published weights become a model of the catalogue: a card to fill in, and safetensors."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.models.cards import (
    CARD,
    WEIGHTS,
    Card,
    Facts,
    card_from,
    card_of,
    digest_of,
    write_facts,
)
from jupyter_astroml.models.emulator import described, emulator, is_emulator
from jupyter_astroml.models.loading import build, from_folder, store_replay
from jupyter_astroml.models.reading import Imported, read_weights

if TYPE_CHECKING:
    import torch

_FILL_IN = "unknown: fill in"
_COUNTER = "num_batches_tracked"


def import_model(
    path: Path | str,
    *,
    name: str,
    folder: Path | str,
    bands: tuple[str, ...] = (),
    classes: tuple[str, ...] = (),
    flux_unit: str = "relative",
    normalise: str = "none",
    wavelength: Path | str | None = None,
    labels: Mapping[str, str] | None = None,
    medium: str = "vacuum",
    about: Mapping[str, str] | None = None,
    card: Path | str | None = None,
) -> Path:
    """Make a model folder of a published file.

    Parameters
    ----------
    path : Path
        A Keras file (``.h5``, ``.hdf5``) that holds a sequential network with its weights, the
        weights of a spectral emulator (``.npz``), or, with `card`, any arrays that fill a network:
        a state dict of torch (``.pt``, ``.pth``), ``.npz`` or ``.safetensors``.
    name : str
        Id of the new model.
    folder : Path
        Where model folders are; the new one is made in it.
    bands, classes : tuple of str, optional
        Names, in the order of the network's inputs and outputs.
    flux_unit : str
        Of the values that the network takes.
    normalise : {"none", "l2"}
        What is done with each band before.
    wavelength, labels, medium
        Of a spectral emulator, as `jupyter_astroml.models.emulator.emulator` takes them.
    about : mapping of str to str, optional
        ``title``, ``licence``, ``source``, ``citation``: what is left out stands on the card as to
        be filled in.
    card : Path, optional
        A card that you wrote; its `network` tells what the arrays belong to.  It stands instead of
        all that the other choices say, but for its id, which becomes `name`.

    Returns
    -------
    Path
        The new folder; correct the card in it before you trust the model.

    Raises
    ------
    ModelError
        If the file may carry code, is damaged, or holds a network that is not known here.
    MissingExtraError
        Without h5py, for Keras files.
    """
    path, home = Path(path), Path(folder) / name
    found = read_weights(path)
    told = dict(about or {})
    inputs: np.ndarray
    written: Mapping[str, Any]
    if card is not None:
        given = card_of(Path(card)).model_copy(update={"id": name})
        found = replace(found, tensors=_fitted_in(given, found.tensors, path))
        written = given.model_dump(mode="json", exclude={"facts"}, exclude_none=True)
        inputs = _without_meaning(given.input.shape)
    elif is_emulator(found.tensors):
        made = emulator(path, wavelength=wavelength, labels=labels, medium=medium)
        found = Imported([], made.tensors)
        written = _filled_in(name, found, path, told) | described(made)
        inputs = made.low + np.array([[0.5], [0.3]]) * (made.high - made.low)
    elif found.layers:
        written = _card(name, found, path, bands, classes, flux_unit, normalise, told)
        inputs = _without_meaning(found.shape)
    else:
        raise _undescribed(path, found)
    # Before there is a folder: the name may be none, such as one that leads elsewhere.
    card_from(dict(written), name=f"The card of {name!r}")
    if home.exists():
        raise ModelError(f"There is a model in {home} already", remedy="choose another name")
    home.mkdir(parents=True)
    try:
        _write(home, written, found.tensors)
        _try(home, inputs.astype(np.float32))
    except BaseException:
        # Half a model would stand in the way of the next try.
        shutil.rmtree(home)
        raise
    return home


def _try(home: Path, inputs: np.ndarray) -> None:
    """Let the new model answer, and store its answers."""
    try:
        store_replay(from_folder(home), inputs)
    except RuntimeError as err:
        raise ModelError(
            f"The network cannot take inputs of the shape {inputs.shape[1:]}",
            cause=str(err),
            remedy="correct 'input' in the card",
        ) from err


def _fitted_in(card: Card, tensors: Mapping[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """Return arrays under the names that the network of a card has for them.

    Names of a state dict may differ, as of a list of layers that was saved without its module:
    torch keeps the arrays in the order of the network.  Other files promise no order.
    """
    wanted = {name: tuple(v.shape) for name, v in build(card).state_dict().items()}
    # Counters of the training are not needed to answer; who kept them has them under their names.
    have = {n: a for n, a in tensors.items() if n in wanted or not n.endswith(_COUNTER)}
    if {n: a.shape for n, a in have.items()} == wanted:
        return have
    shapes = {n: s for n, s in wanted.items() if not n.endswith(_COUNTER)}
    ordered = {n: a for n, a in have.items() if not n.endswith(_COUNTER)}
    alike = [a.shape for a in ordered.values()] == list(shapes.values())
    if not alike or path.suffix.lower() not in (".pt", ".pth"):
        raise ModelError(
            f"{path.name} does not fit the network '{card.network.architecture}' of the card",
            cause=f"the file has {_listed({n: a.shape for n, a in ordered.items()})}; "
            f"the network has {_listed(shapes)}",
            remedy="correct 'network' in the card: its architecture and options",
        )
    counters = {n: np.zeros(s, dtype=np.int64) for n, s in wanted.items() if n.endswith(_COUNTER)}
    return dict(zip(shapes, ordered.values(), strict=True)) | counters


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    first = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:3])
    return f"{len(shapes)} arrays: {first}{', …' if len(shapes) > 3 else ''}"


def read_network(path: Path | str) -> torch.nn.Module:
    """Return the network of a published file, ready to run on tensors, without making a model.

    Parameters
    ----------
    path : Path
        A file that describes its network (Keras), or whose network is known here: UPSILoN-T (takes
        16 features of a light curve) and SuperNNova (takes a series of 8 numbers).

    Returns
    -------
    torch.nn.Module
        Gives logits of shape (1, n, k).

    Raises
    ------
    ModelError
        As `read_weights`, and if nothing tells what the network is.
    """
    import torch

    from jupyter_astroml.models.catalogue import architecture

    path = Path(path)
    found = read_weights(path)
    if not found.layers:
        raise _undescribed(path, found)
    build = import_module(f"{architecture('layers')}.network").build
    module: torch.nn.Module = build(found.layers, binary=found.binary)
    missing = module.load_state_dict(
        {name: torch.from_numpy(np.array(array)) for name, array in found.tensors.items()},
        strict=False,
    )
    # Counters of the training are not needed.
    absent = [n for n in missing.missing_keys if not n.endswith(_COUNTER)]
    if absent or missing.unexpected_keys:
        raise ModelError(
            f"{path.name} does not fit its network",
            cause=f"absent {absent[:3]}, too many {missing.unexpected_keys[:3]}",
        )
    return module.eval()


def _undescribed(path: Path, found: Imported) -> ModelError:
    return ModelError(
        f"{path.name} holds weights, but does not describe their network",
        cause=f"{len(found.tensors)} arrays, of which the first are "
        + ", ".join(f"{k} {v.shape}" for k, v in list(found.tensors.items())[:3]),
        remedy="write a card that tells the network: card= or --card, see docs/models.md",
    )


# The new folder ---------------------------------------------------------------------------------


def _card(
    name: str,
    found: Imported,
    path: Path,
    bands: tuple[str, ...],
    classes: tuple[str, ...],
    flux_unit: str,
    normalise: str,
    about: Mapping[str, str],
) -> dict[str, Any]:
    count, *size = found.shape
    if len(size) == 1 and count == 1 and found.binary:
        return _series_card(name, found, path, bands, classes, about)
    bands = bands or tuple(f"band_{i + 1}" for i in range(count))
    wanted = 2 if found.binary else found.outputs
    classes = classes or tuple(f"class_{i + 1}" for i in range(wanted))
    if len(bands) != count or len(classes) != wanted:
        raise ModelError(
            f"The network has {count} bands and {wanted} classes",
            cause=f"{len(bands)} and {len(classes)} names were given",
        )
    if len(size) != 2:
        raise ModelError(
            f"The network takes arrays of the shape {found.shape}",
            cause="only networks for cutouts, and for windows of a light curve, become models",
            remedy="read_network gives the network itself",
        )
    network = {"layers": found.layers, "normalise": normalise, "binary": found.binary}
    contract = {
        "kind": "cutouts",
        "bands": list(bands),
        "flux_unit": flux_unit,
        "size": size,
        "notes": "The pixel scale, and what else the network was trained on: fill in.",
    }
    outputs = {"axis": "class", "names": list(classes)}
    return _filled_in(name, found, path, about) | {
        "task": "classify",
        "input": contract,
        "outputs": outputs,
        "network": {"architecture": "layers", "options": network},
    }


def _series_card(
    name: str,
    found: Imported,
    path: Path,
    bands: tuple[str, ...],
    classes: tuple[str, ...],
    about: Mapping[str, str],
) -> dict[str, Any]:
    """Return the card of a network that looks at windows of a light curve."""
    if len(bands) > 1 or len(classes) > 1:
        raise ModelError(
            "The network takes one band and finds one kind of event",
            cause=f"{len(bands)} bands and {len(classes)} classes were given",
        )
    width = found.shape[1]
    return _filled_in(name, found, path, about) | {
        "task": "detect",
        "input": {
            "kind": "light_curves",
            "bands": list(bands or (_FILL_IN,)),
            "flux_unit": "relative",
            "size": [width],
            "notes": "Flux divided by its median. The cadence, and what else the network was "
            "trained on: fill in.",
        },
        "outputs": {"axis": "time", "names": list(classes or ("event",))},
        "network": {
            "architecture": "layers",
            "options": {"layers": found.layers, "windows": width},
        },
    }


def _filled_in(name: str, found: Imported, path: Path, about: Mapping[str, str]) -> dict[str, Any]:
    """Return what every imported card says, with what is to be filled in."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    source = about.get("source", _FILL_IN)
    return {
        "format": 1,
        "id": name,
        "version": "1.0",
        "title": about.get("title", f"{name}, imported"),
        "description": f"Published weights, imported from {path.name} (sha256 {sha256}), of "
        f"{sum(math.prod(a.shape) for a in found.tensors.values())} numbers.",
        "baseline": "none: this project has not measured the model",
        "datasets": [
            {"name": _FILL_IN, "source": source, "licence": about.get("licence", _FILL_IN)}
        ],
        "limits": [
            "Imported; nothing of it was measured by this project, and its probabilities may not "
            "be calibrated for your objects."
        ],
        "licence": about.get("licence", _FILL_IN),
        "citations": [{"text": about.get("citation", _FILL_IN)}],
        "tolerance": {"relative": 1e-4, "absolute": 1e-4},
    }


def _without_meaning(shape: tuple[int, ...]) -> np.ndarray:
    """Return two inputs of numbers alone, so that others can compare what a network makes of them.

    Fluxes are positive; a light curve has more cadences than one window.
    """
    size = (2 * shape[1],) if len(shape) == 2 else shape
    return 1 + 0.01 * np.random.default_rng(0).normal(size=(2, *size))


def _write(home: Path, card: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    import yaml
    from safetensors.numpy import save

    # Not save_file, which lets nobody else read it.
    (home / WEIGHTS).write_bytes(save(dict(tensors)))
    text = yaml.safe_dump(dict(card), sort_keys=False, allow_unicode=True, width=100)
    (home / CARD).write_text(text, encoding="utf-8")
    write_facts(home, Facts(digest=digest_of(home / WEIGHTS)))
