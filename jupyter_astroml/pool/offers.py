"""Which models the pool offers: pinned by digest, and checked for the shape of their input."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.models.catalogue import Entry, find, models
from jupyter_astroml.pool.errors import PoolError

# As network.logits takes them; a light curve of a whole mission has some 100 000 cadences.
_MOST_CADENCES = 200_000
_MOST_OBJECTS = 16_384
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class Offer:
    """A model that the pool's users may name.

    Attributes
    ----------
    entry : Entry
        Of the catalogue.
    digest : str
        Of the weights, and no others.
    """

    entry: Entry
    digest: str

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse values of a shape that the model cannot take.

        Raises
        ------
        PoolError
        """
        contract = self.entry.card.input
        one, wanted = shape[1:], contract.shape
        if contract.kind == "light_curves":
            fits = len(one) == 1 and wanted[0] <= one[0] <= _MOST_CADENCES
            words = f"(n, {wanted[0]} to {_MOST_CADENCES})"
        else:
            fits, words = one == wanted, f"(n, {', '.join(map(str, wanted))})"
        if not fits or not 0 < shape[0] <= _MOST_OBJECTS:
            raise PoolError(
                422,
                "shape",
                f"{self.entry.name} does not take values of the shape {shape}",
                cause=f"its input is {words}, with at most {_MOST_OBJECTS} objects",
                remedy="bring the samples into the model's input contract first",
            )

    def to_json(self) -> dict[str, Any]:
        """Return what users have to know."""
        contract = self.entry.card.input
        return {
            "id": self.entry.name,
            "digest": self.digest,
            "title": self.entry.card.title,
            "kind": contract.kind,
            "bands": list(contract.bands),
            "size": list(contract.shape[1:] if contract.kind == "cutouts" else contract.shape),
            "flux_unit": contract.flux_unit,
        }


class Offers(Mapping[str, Offer]):
    """The models of the pool.

    Parameters
    ----------
    pinned : mapping of str to str
        Digest by name; empty offers every installed model as it is now.

    Raises
    ------
    ModelError
        If a pinned model is not here, or its weights are others.
    """

    def __init__(self, pinned: Mapping[str, str]) -> None:
        chosen = [find(name, digest) for name, digest in pinned.items()]
        if not pinned:
            chosen = [e for e in models() if e.card.facts is not None and e.card.task != "emulate"]
        self._offers = {entry.name: Offer(entry, entry.digest) for entry in chosen}
        if not self._offers:
            raise ModelError("The pool has no models to offer", remedy="install one")

    def __getitem__(self, name: str) -> Offer:
        return self._offers[name]

    def __iter__(self) -> Any:
        return iter(self._offers)

    def __len__(self) -> int:
        return len(self._offers)

    def named(self, model: str, digest: str) -> Offer:
        """Return the offer that a request names.

        Raises
        ------
        PoolError
            If the names are no names, or the pool has no such model.
        """
        if not (_NAME.match(model) and _DIGEST.match(digest)):
            raise PoolError(
                400,
                "model",
                "The request names no model",
                cause="'model' is a name, 'digest' is sha256: and 64 hexadecimal digits",
            )
        offer = self._offers.get(model)
        if offer is None or offer.digest != digest:
            raise PoolError(
                404,
                "model",
                f"The pool does not offer {model} with these weights",
                cause=f"it offers {', '.join(self._offers)}",
                remedy="ask the administrator, or use engine='here' or 'dask'",
            )
        return offer
