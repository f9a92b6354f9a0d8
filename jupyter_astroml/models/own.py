"""A torch module of one's own, as a model like any other."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.models.cards import (
    CARD,
    FACTS,
    REPLAY,
    WEIGHTS,
    Card,
    Facts,
    digest_of,
    read_card,
    write_card,
    write_facts,
)

if TYPE_CHECKING:
    import torch

PREFIX = "own_"
# Architectures that this process was given. Code cannot be stored beside weights, so a module that
# was written in a notebook lives as long as the notebook does; nothing needs to be reset, since a
# name that is registered again takes the place of the first.
_MODULES: dict[str, torch.nn.Module] = {}


def register(
    module: torch.nn.Module,
    card: Mapping[str, Any] | Path | str,
    *,
    folder: Path | str,
    samples: Any = None,
    calibration: Mapping[str, float] | None = None,
) -> Path:
    """Make a model folder of a torch module and a card.

    Parameters
    ----------
    module : torch.nn.Module
        Takes the values of the card's input contract, and returns logits of shape (n, k) or, for an
        ensemble, (member, n, k).
    card : mapping or Path
        What ``card.yaml`` holds, or the file; ``format`` and ``network`` may be left out.
    folder : Path
        Where model folders are; a model of the same name that was registered there is replaced.
    samples : Samples, optional
        A few objects: their inputs and logits are stored, so that ``models test`` can replay them.
    calibration : mapping of str to float, optional
        As `jupyter_astroml.models.answers` names it.

    Returns
    -------
    Path
        The folder.  It can be used in this process, and in others that register it too; a package
        with an entry point (docs/models.md) makes the network known everywhere.

    Raises
    ------
    ModelError
        If the card is not valid, or the folder holds a model that was not registered.
    """
    from safetensors.torch import save

    checked = _checked(card)
    home = Path(folder) / checked.id
    if (home / CARD).exists() and not read_card(home).network.architecture.startswith(PREFIX):
        raise ModelError(
            f"There is another model in {home}", remedy="give yours another id on its card"
        )
    home.mkdir(parents=True, exist_ok=True)
    whole = _members(module)
    state = {name: t.detach().cpu().contiguous().clone() for name, t in whole.state_dict().items()}
    # Old facts beside new weights would be a lie for as long as this takes.
    (home / FACTS).unlink(missing_ok=True)
    (home / WEIGHTS).write_bytes(save(state))
    write_card(home / CARD, checked)
    write_facts(home, Facts(digest=digest_of(home / WEIGHTS), calibration=dict(calibration or {})))
    _MODULES[checked.network.architecture] = copy.deepcopy(whole).cpu()
    (home / REPLAY).unlink(missing_ok=True)
    if samples is not None:
        _store_replay(home, samples)
    return home


def module_of(architecture: str) -> torch.nn.Module | None:
    """Return a fresh copy of a registered module, None for any other architecture.

    Raises
    ------
    ModelError
        If it was registered in another process.
    """
    if not architecture.startswith(PREFIX):
        return None
    found = _MODULES.get(architecture)
    if found is None:
        raise ModelError(
            f"The network {architecture!r} is not known in this process",
            cause="it was registered elsewhere, and weights bring no code",
            remedy="run aml.register again and use engine='here', or install a package with the "
            "network: docs/models.md",
        )
    return copy.deepcopy(found)


def _checked(card: Mapping[str, Any] | Path | str) -> Card:
    import yaml
    from pydantic import ValidationError

    if isinstance(card, Mapping):
        given = dict(card)
    else:
        try:
            given = yaml.safe_load(Path(card).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as err:
            raise ModelError(f"The card {card} cannot be read", cause=str(err)) from err
        if not isinstance(given, dict):
            raise ModelError(f"{card} is no card", remedy="start it with 'format: 1'")
    network = {"architecture": f"{PREFIX}{given.get('id', '')}"[:64]}
    try:
        return Card.model_validate({"format": 1, **given, "network": network, "facts": None})
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelError(
            "The card is not valid",
            cause=f"'{where}': {first['msg']}",
            remedy="compare it with docs/models.md",
        ) from err


def _members(module: torch.nn.Module) -> torch.nn.Module:
    from torch import nn

    class Members(nn.Module):
        """Add the axis of the members where the network is a single one."""

        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            found = self.inner(values)
            return found[None] if found.ndim == 2 else found

    return Members(module).eval()


def _store_replay(home: Path, samples: Any) -> None:
    from jupyter_astroml.models.loading import Model, store_replay

    card = read_card(home)
    assert card.facts is not None  # noqa: S101 - for the type checker
    module = module_of(card.network.architecture)
    assert module is not None  # noqa: S101 - for the type checker
    model = Model(card=card, digest=card.facts.digest, module=module.eval(), folder=home)
    store_replay(model, model.prepare(samples[:4]).samples.values)
