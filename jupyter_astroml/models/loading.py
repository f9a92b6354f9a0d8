"""From a name and a digest to a torch module that answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.core.records import OK, UNITS, Predictions
from jupyter_astroml.models.answers import answer, units_of
from jupyter_astroml.models.cards import CARD, FACTS, REPLAY, WEIGHTS, Card, read_card, version
from jupyter_astroml.models.catalogue import architecture, find
from jupyter_astroml.models.contract import prepare
from jupyter_astroml.models.files import verified
from jupyter_astroml.models.fit import Fit, Prepared
from jupyter_astroml.models.kept import Kept
from jupyter_astroml.models.own import module_of

if TYPE_CHECKING:
    import torch

# Activations of so many cutouts stay in the cache of a CPU core: 64 beat 16, 32, 96 and 1024.
MICRO_BATCH = 64
# One light curve already is 18 300 windows.
MICRO_BATCH_CURVES = 2
# Bytes of loaded models that a process keeps when nobody says how much memory it has.
ROOM = 2 << 30


def micro_batch(card: Card) -> int:
    """Return how many objects a network takes at once."""
    return MICRO_BATCH_CURVES if card.kind == "light_curves" else MICRO_BATCH


@dataclass(frozen=True, eq=False)
class Model:
    """A model that is ready to answer.

    Attributes
    ----------
    card : Card
    digest : str
        Of the weights that were loaded.
    module : torch.nn.Module
        Values in, logits of every member out: shape (member, n, k).
    folder : Path or None
        Holds the card and what else the model brings; None for a module that was made by hand.
    """

    card: Card
    digest: str
    module: torch.nn.Module
    folder: Path | None = None

    def prepare(self, samples: Any) -> Prepared:
        """Bring samples into the input contract; see `jupyter_astroml.models.contract.prepare`."""
        return prepare(self.card, samples)

    def check(self, samples: Any) -> Fit:
        """Compare samples with the input contract and, where known, with the training objects.

        Parameters
        ----------
        samples : Cutouts, LightCurves or Spectra
            In any unit.
        """
        from jupyter_astroml.models.familiar import judge

        return judge(self, self.prepare(samples)).fit

    def logits(
        self,
        values: np.ndarray,
        *,
        exact: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> np.ndarray:
        """Run the network.

        Parameters
        ----------
        values : ndarray of float32, shape (n, ...)
            In the input contract.
        exact : bool
            Fill the last micro-batch up with its last object.  A library chooses its kernels by the
            size of a batch, and sums in another order then: an answer's last digits depend on how
            many objects it was computed with, but not on which ones.
        progress : callable, optional
            Called with the number of objects done and the total.

        Returns
        -------
        ndarray of float32, shape (member, n, k)
        """
        import torch

        step = micro_batch(self.card)
        parts = []
        with torch.inference_mode():
            for start in range(0, len(values), step):
                chunk = values[start : start + step]
                n = len(chunk)
                if exact and n < step:
                    chunk = np.concatenate([chunk, np.repeat(chunk[-1:], step - n, axis=0)])
                ready = torch.from_numpy(np.ascontiguousarray(chunk)).to(self.device)
                parts.append(self.module(ready).float().cpu().numpy()[:, :n])
                if progress:
                    progress(min(start + step, len(values)), len(values))
        return np.concatenate(parts, axis=1)

    def predict(self, samples: Any, *, exact: bool = False) -> Predictions:
        """Answer for each object, in order.

        Parameters
        ----------
        samples : Cutouts, LightCurves or Spectra
            In any unit; `prepare` brings them into the contract.
        exact : bool
            As for `logits`.

        Returns
        -------
        Predictions
            Objects outside the input contract have an answer too, and say so in ``fit``.
        """
        self.card.must_answer()
        prepared = self.prepare(samples)
        logits = self.logits(prepared.samples.values, exact=exact)
        return answered(self.card, self.digest, logits, given=samples, prepared=prepared)

    @property
    def bytes(self) -> int:
        """Of the weights in memory."""
        held = (*self.module.parameters(), *self.module.buffers())
        return sum(each.numel() * each.element_size() for each in held)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.module.parameters()).device


def answered(
    card: Card, digest: str, logits: np.ndarray, *, given: Any, prepared: Prepared
) -> Predictions:
    """Turn the logits of a network, wherever it ran, into predictions.

    Parameters
    ----------
    card : Card
        Of the model.
    digest : str
        Of its weights.
    logits : ndarray of float32, shape (member, n, k)
        Of the prepared objects.
    given : Cutouts, LightCurves or Spectra
        As the archive gave them.
    prepared : Prepared
        As the network saw them.
    """
    columns, arrays = answer(card, logits, given=given, prepared=prepared)
    units = units_of(card)
    return Predictions(
        ids=given.ids,
        status=np.full(len(given), OK),
        columns=columns,
        arrays=arrays,
        ra=given.ra,
        dec=given.dec,
        meta={"model": card.id, "digest": digest} | ({UNITS: units} if units else {}),
    )


def load(name: str, digest: str | None = None, *, room: int = ROOM) -> Model:
    """Load a model by name, once in a process.

    Parameters
    ----------
    name : str
        As `jupyter_astroml.models.catalogue.models` lists it.
    digest : str, optional
        Refuse weights with any other digest.
    room : int
        Bytes of models that the process keeps; those that were used last stay.

    Raises
    ------
    ModelError
        If there is no such model, or its weights are absent, changed, or do not fit the network.
    """
    entry = find(name, digest)
    # Retrained weights and a mended card are seen without a restart.
    files = (entry.weights, entry.folder / CARD, entry.folder / FACTS)
    key = entry.folder, entry.digest, *map(version, files)
    return _KEPT.get(key, lambda: _load(entry.folder, entry.digest), room=room)


_KEPT: Kept[Model] = Kept(lambda model: model.bytes)


def _load(folder: Path, digest: str) -> Model:
    return from_folder(folder, digest)


def from_folder(folder: Path, digest: str = "") -> Model:
    """Load the model of a folder, whether the catalogue knows it or not.

    Parameters
    ----------
    folder : Path
        Holds the card and the weights.
    digest : str
        Of the weights; by default that of the facts.
    """
    card = read_card(folder)
    promised = digest or (card.facts.digest if card.facts else "")
    path = folder / WEIGHTS
    content = verified(path, promised)
    module = build(card)
    _fill(module, content, path=path)
    return Model(card=card, digest=promised, module=module.eval(), folder=folder)


def build(card: Card) -> torch.nn.Module:
    """Make the module of a card, with weights still to be filled in.

    Raises
    ------
    ModelError
        If the architecture is not installed or refuses the options.
    """
    own = module_of(card.network.architecture)
    if own is not None:
        return own
    package = architecture(card.network.architecture)
    try:
        return import_module(f"{package}.network").build(**card.network.options)
    except TypeError as err:
        raise ModelError(
            f"The network of {card.id} refuses its options {card.network.options}", cause=str(err)
        ) from err


def _fill(module: torch.nn.Module, content: bytes, *, path: Path) -> None:
    """Read safetensors (which cannot carry code) into a module."""
    from safetensors import SafetensorError
    from safetensors.torch import load as parsed

    try:
        weights = parsed(content)
    except SafetensorError as err:
        raise ModelError(f"{path} is no safetensors file", cause=str(err)) from err
    wanted = module.state_dict()
    # Weights may be stored in half precision to stay small; the network computes in its own.
    weights = {k: v.to(wanted[k].dtype) if k in wanted else v for k, v in weights.items()}
    try:
        module.load_state_dict(weights)
    except RuntimeError as err:
        raise ModelError(f"{path} does not fit the network", cause=str(err)) from err


@dataclass(frozen=True)
class Replay:
    """Result of running a model on its stored inputs.

    Attributes
    ----------
    model, digest : str
    n : int
        Number of stored inputs.
    largest : float
        Largest absolute difference of a logit from the stored one.
    passed : bool
        Whether every logit is within the card's tolerance.
    """

    model: str
    digest: str
    n: int
    largest: float
    passed: bool


def store_replay(model: Model, values: np.ndarray) -> None:
    """Write inputs and what the network makes of them beside its weights, for `replay`.

    Parameters
    ----------
    model : Model
        In a folder of its own.
    values : ndarray of float32, shape (n, ...)
        In the input contract.
    """
    if model.folder is None:
        raise ModelError(f"The model {model.card.id} has no folder to write to")
    np.savez_compressed(model.folder / REPLAY, values=values, logits=model.logits(values))


def replay(name: str) -> Replay:
    """Run a model on the inputs stored beside it and compare with the stored logits.

    Raises
    ------
    ModelError
        If the model brings no ``replay.npz``.
    """
    entry = find(name)
    model = load(name)
    try:
        with np.load(entry.folder / REPLAY, allow_pickle=False) as stored:
            values, expected = stored["values"].astype(np.float32), stored["logits"]
    except (OSError, ValueError, KeyError) as err:
        raise ModelError(f"The model {name} has no usable {REPLAY}", cause=str(err)) from err
    found = model.logits(values)
    limit = entry.card.tolerance.absolute + entry.card.tolerance.relative * np.abs(expected)
    off = np.abs(found - expected)
    return Replay(
        model=name,
        digest=model.digest,
        n=len(values),
        largest=float(off.max()),
        passed=bool((off <= limit).all()),
    )
