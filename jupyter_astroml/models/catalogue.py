"""Which models there are: bundled ones, installed ones, and those in a site's folders."""

from __future__ import annotations

import difflib
import html
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from jupyter_astroml.core.errors import ModelError
from jupyter_astroml.core.settings import settings
from jupyter_astroml.models.cards import CARD, WEIGHTS, Card, read_card

GROUP = "jupyter_astroml.models"


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
        ``"installed"``, or the folder of the site's models.
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
    """A list of models that shows itself as a table in a notebook."""

    def _repr_html_(self) -> str:
        head = "<tr><th>name</th><th>task</th><th>needs</th><th>measured</th><th>title</th></tr>"
        body = "".join(
            "<tr>"
            + "".join(
                f"<td style='text-align:left'>{html.escape(text)}</td>"
                for text in (
                    e.name,
                    e.card.task,
                    f"{e.card.kind} ({', '.join(e.card.input.bands)})",
                    e.card.key_metric,
                    e.card.title,
                )
            )
            + "</tr>"
            for e in self
        )
        return f"<table>{head}{body}</table>"


def models() -> Models:
    """Return all models, sorted by name; the first source of a name wins.

    Cards are read, weights and torch are not.
    """
    found: dict[str, Entry] = {}
    for entry in (*_installed(), *_in_folders()):
        found.setdefault(entry.name, entry)
    return Models(found[name] for name in sorted(found))


def find(name: str) -> Entry:
    """Return the model of this name.

    Raises
    ------
    ModelError
        If there is none; names the nearest ones.
    """
    everything = models()
    for entry in everything:
        if entry.name == name:
            return entry
    names = [e.name for e in everything]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names
    raise ModelError(f"There is no model {name!r}", remedy=f"try one of: {', '.join(near)}")


def architecture(name: str) -> str:
    """Return the import path of the package that builds an architecture.

    Raises
    ------
    ModelError
        If no installed package announces it.
    """
    for point in entry_points(group=GROUP):
        if point.name == name:
            return point.value
    raise ModelError(
        f"Nothing installed can build the architecture {name!r}",
        remedy="install the package that brings it, or correct 'network.architecture' in the card",
    )


def _installed() -> Iterator[Entry]:
    for point in entry_points(group=GROUP):
        # find_spec imports the parent packages only: no network, hence no torch.
        spec = find_spec(point.value)
        for place in (spec.submodule_search_locations or []) if spec else []:
            if (Path(place) / CARD).exists():
                yield _entry(Path(place), source="installed")


def _in_folders() -> Iterator[Entry]:
    for root in settings().model_path:
        if root.is_dir():
            for card in sorted(root.glob(f"*/{CARD}")):
                yield _entry(card.parent, source=str(root))


def _entry(folder: Path, *, source: str) -> Entry:
    card = read_card(folder)
    return Entry(name=card.id, folder=folder, card=card, source=source)
