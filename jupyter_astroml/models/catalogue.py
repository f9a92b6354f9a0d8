"""Which models there are: bundled ones, installed ones, and those in a site's folders."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.core.settings import settings
from jupyter_astroml.models import hub
from jupyter_astroml.models.cards import CARD, WEIGHTS, Card, read_card
from jupyter_astroml.models.files import only_inside

GROUP = "jupyter_astroml.models"
ZOO = "jupyter_astroml.zoo"
INSTALLED = "installed"


@dataclass(frozen=True)
class Entry:
    """A model that can be named.

    Attributes
    ----------
    name : str
        Id of the card.
    folder : Path
        Holds the card and the weights.
    card : Card
    source : str
        ``"installed"``, the folder of the site's models, or the hub that it came from.
    """

    name: str
    folder: Path
    card: Card
    source: str

    @property
    def weights(self) -> Path:
        """Path of the weights file."""
        return self.folder / WEIGHTS

    @property
    def digest(self) -> str:
        """Digest that the card promises.

        Raises
        ------
        ModelError
            If the model was never trained.
        """
        if self.card.facts is None:
            raise ModelError(
                f"The model {self.name} has no weights yet",
                cause=f"{self.folder} holds a card, but nothing that training writes",
                remedy=f"run: python -m jupyter_astroml.zoo.{self.name}.train --help",
            )
        return self.card.facts.digest

    def _repr_html_(self) -> str:
        return self.card._repr_html_()


class Models(list[Entry]):
    """A list of models that shows itself as a gallery in a notebook."""

    def _repr_html_(self) -> str:
        from jupyter_astroml.models.gallery import gallery

        return gallery(self)


def models(*, task: str = "", kind: str = "", fits: Any = None) -> Models:
    """Return the models, sorted by name; the first source of a name wins.

    Cards are read, weights and torch are not.

    Parameters
    ----------
    task : str
        Only models of this task, such as ``"classify"``.
    kind : str
        Only those that take this kind of data, such as ``"light_curves"``.
    fits : Samples, optional
        Only those to whose input contract one of these objects can be brought.

    Warns
    -----
    UserWarning
        For each folder whose card cannot be used; the other models can.
    """
    found, refused = _all()
    for folder, err in refused.items():
        warnings.warn(f"The model in {folder} is left out: {err}", stacklevel=2)
    if fits is not None:
        kind = fits.kind
    chosen = [e for e in found if task in ("", e.card.task) and kind in ("", e.card.kind)]
    return Models(e for e in chosen if fits is None or _suits(e.card, fits))


def _suits(card: Card, samples: Any) -> bool:
    from jupyter_astroml.models.contract import check
    from jupyter_astroml.models.fit import OUTSIDE

    return bool((check(card, samples).status != OUTSIDE).any())


def find(name: str, digest: str | None = None) -> Entry:
    """Return the model of this name.

    Parameters
    ----------
    name : str
        As `models` lists it, or ``hf://owner/name`` for one of the Hugging Face hub.
    digest : str, optional
        Refuse a model whose weights have any other digest.

    Raises
    ------
    ModelError
        If there is none, or another one than was asked for; names the nearest ones.
        If its card cannot be used.
    """
    if name.startswith(hub.PREFIX):
        return _promised(_of_hub(name), digest)
    everything, refused = _all()
    for entry in everything:
        if entry.name == name:
            return _promised(entry, digest)
    for folder, err in refused.items():
        if folder.name == name:
            raise err
    names = [e.name for e in everything]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names
    raise ModelError(f"There is no model {name!r}", remedy=f"try one of: {', '.join(near)}")


def _promised(entry: Entry, digest: str | None) -> Entry:
    if digest is not None and digest != entry.digest:
        raise ModelError(
            f"The weights of {entry.name} here are not those that were asked for",
            cause=f"asked for {digest[:19]}…, here is {entry.digest[:19]}…",
            remedy="run on a place with the same version of the model",
        )
    return entry


def _of_hub(address: str) -> Entry:
    folder, root = hub.snapshot(address)
    only_inside(folder, root)
    return Entry(address, folder, read_card(folder), "Hugging Face hub")


def _all() -> tuple[Models, dict[Path, ModelError]]:
    """Return the models, and what is wrong with the cards that cannot be used."""
    found: dict[str, Entry] = {}
    refused: dict[Path, ModelError] = {}
    for folder, source in (*_installed(), *_in_folders()):
        try:
            if source != INSTALLED:
                only_inside(folder, Path(source))
            card = read_card(folder)
        except ModelError as err:
            refused[folder] = err
        else:
            found.setdefault(card.id, Entry(card.id, folder, card, source))
    return Models(found[name] for name in sorted(found)), refused


def architecture(name: str) -> str:
    """Return the import path of the package that builds an architecture.

    Raises
    ------
    ModelError
        If no installed package announces it.
    """
    for point in _announced():
        if point.name == name:
            return point.value
    raise ModelError(
        f"Nothing installed can build the architecture {name!r}",
        remedy="install the package that brings it, or correct 'network.architecture' in the card",
    )


def _announced() -> tuple[EntryPoint, ...]:
    """Return what installed packages announce; looked for again when one comes or goes."""
    return _entry_points(tuple((place, _changed(place)) for place in sys.path))


def _changed(place: str) -> int:
    try:
        return Path(place).stat().st_mtime_ns
    except OSError:
        return 0


# A worker asks for its model with every block, and there are hundreds of packages.
@lru_cache(maxsize=4)
def _entry_points(_places: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    # What is bundled needs no announcement: a checkout brings models that it had not when it was
    # installed.
    bundled = sorted((Path(__file__).parents[1] / "zoo").glob("*/network.py"))
    mine = [EntryPoint(p.parent.name, f"{ZOO}.{p.parent.name}", GROUP) for p in bundled]
    others = [p for p in entry_points(group=GROUP) if p.value not in {m.value for m in mine}]
    return (*mine, *others)


def _installed() -> Iterator[tuple[Path, str]]:
    for point in _announced():
        # find_spec imports the parent packages only: no network, hence no torch.
        try:
            spec = find_spec(point.value)
        except ImportError:
            # Half of a package that was taken away; the models of the others stay.
            continue
        for place in (spec.submodule_search_locations or []) if spec else []:
            if (Path(place) / CARD).exists():
                yield Path(place), INSTALLED


def _in_folders() -> Iterator[tuple[Path, str]]:
    for root in settings().model_path:
        if root.is_dir():
            for card in sorted(root.glob(f"*/{CARD}")):
                yield card.parent, str(root)
