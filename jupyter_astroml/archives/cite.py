"""What to cite: references and acknowledgements of the archives and models that a result used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from jupyter_astroml.archives.bundled import origin
from jupyter_astroml.archives.known import DEMO, Known, archives
from jupyter_astroml.core.errors import DataError


def _article(key: str, **fields: str) -> str:
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return f"@article{{{key},\n{lines}}}"


# Compared with how other projects cite them; the papers themselves could not be opened.
REFERENCES = {
    key: _article(key, **fields)
    for key, fields in {
        "gaia2016": {
            "author": "{Gaia Collaboration} and Prusti, T. and others",
            "title": "The Gaia mission",
            "journal": "Astronomy \\& Astrophysics",
            "year": "2016",
            "volume": "595",
            "pages": "A1",
            "doi": "10.1051/0004-6361/201629272",
        },
        "gaia2023": {
            "author": "{Gaia Collaboration} and Vallenari, A. and others",
            "title": "Gaia Data Release 3: Summary of the content and survey properties",
            "journal": "Astronomy \\& Astrophysics",
            "year": "2023",
            "volume": "674",
            "pages": "A1",
            "doi": "10.1051/0004-6361/202243940",
        },
        "vizier2000": {
            "author": "Ochsenbein, F. and Bauer, P. and Marcout, J.",
            "title": "The VizieR database of astronomical catalogues",
            "journal": "Astronomy and Astrophysics Supplement Series",
            "year": "2000",
            "volume": "143",
            "pages": "23--32",
            "doi": "10.1051/aas:2000169",
        },
        "simbad2000": {
            "author": "Wenger, M. and others",
            "title": "The SIMBAD astronomical database",
            "journal": "Astronomy and Astrophysics Supplement Series",
            "year": "2000",
            "volume": "143",
            "pages": "9--22",
            "doi": "10.1051/aas:2000332",
        },
        # In place of Akeson et al. 2013, since 2025.
        "christiansen2025": {
            "author": "Christiansen, J. L. and others",
            "title": "The NASA Exoplanet Archive and Exoplanet Follow-up Observing Program: "
            "Data, Tools, and Usage",
            "journal": "The Planetary Science Journal",
            "year": "2025",
            "volume": "6",
            "pages": "186",
            "doi": "10.3847/PSJ/ade3c2",
        },
    }.items()
}


# Bundled archives of which only the front page is known, and no page about acknowledgements.  The
# pages of the others are the ones that other projects name; none could be opened from here.
_FRONT_PAGES = frozenset(
    ("cadc", "youcat", "ned", "datalab", "eso", "heasarc", "alma", "rubin", "gavo", "casda")
)


@dataclass(frozen=True)
class Citations:
    """What to cite and whom to thank; shows itself in a notebook.

    Attributes
    ----------
    bibtex : str
        Entries for a bibliography, each once.
    acknowledgements : tuple of str
        Sentences, each with the page where the archive says what it asks for.
    """

    bibtex: str
    acknowledgements: tuple[str, ...]

    def __str__(self) -> str:
        return "\n\n".join(filter(None, [*self.acknowledgements, self.bibtex]))

    def _repr_html_(self) -> str:
        thanks = "".join(f"<p>{escape(text)}</p>" for text in self.acknowledgements)
        return f"{thanks}<pre>{escape(self.bibtex)}</pre>"


def cite(*used: Any, cards: Mapping[str, Any] | None = None) -> Citations:
    """Say what to cite for results.

    Parameters
    ----------
    *used : Table, run, predictions, or str
        Whatever has the provenance of a query or a run in its ``meta``, or the name of an archive
        or of a model.
    cards : mapping of str to card, optional
        Cards of models by name, with ``citations`` (``text``, ``doi``, ``arxiv``, ``bibtex``).

    Returns
    -------
    Citations
        Of every archive and model, in the order in which they were met.

    Raises
    ------
    DataError
        If nothing says where a result came from, or a name is unknown.
    """
    cards = cards or {}
    listed = archives()
    # Dictionaries as sets that keep their order.
    bibtex: dict[str, None] = {}
    thanks: dict[str, None] = {}
    for kind, name, url in (source for each in used for source in _sources(each, cards)):
        entry = _entry(listed, name, url) if kind == "archive" else None
        if entry is not None:
            bibtex |= dict.fromkeys(REFERENCES[key] for key in entry.cite if key in REFERENCES)
            thanks[_thanks(entry)] = None
        elif name in cards:
            bibtex |= dict.fromkeys(_of_card(name, cards[name].citations))
            thanks[f"Predictions were made with the model {name} in jupyter_astroml."] = None
        else:
            raise DataError(
                f"Nothing is known about the {kind} {name or url!r}",
                remedy="name an archive or a model that is installed here",
            )
    return Citations("\n\n".join(bibtex), tuple(thanks))


def _sources(result: Any, cards: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield kind, name and address of what a result came from."""
    if isinstance(result, str):
        yield ("model" if result in cards else "archive"), result, ""
        return
    given = getattr(result, "meta", None)
    meta = given if isinstance(given, Mapping) else {}
    found = False
    # A table keeps its query under "astroml"; references are made of that; a run has the query of
    # its rows under "query", and the model in its job.
    for about in (meta, meta.get("astroml"), meta.get("query")):
        if isinstance(about, Mapping) and (about.get("archive") or about.get("url")):
            found = True
            yield "archive", str(about.get("archive", "")), str(about.get("url", ""))
    model = meta.get("model") or getattr(getattr(result, "job", None), "model", "")
    if model:
        found = True
        yield "model", str(model), ""
    if not found:
        raise DataError(
            "This result does not say where it came from",
            remedy="name the archives and models: cite('gaia', 'galaxy_morphology')",
        )


def _entry(listed: Iterable[Known], name: str, url: str) -> Known | None:
    """Return the archive of this name, or at this address; one of no list has just that."""
    for entry in listed:
        if entry.name == name or (url and entry.url == url.rstrip("/")):
            return entry
    place = origin(url or name)
    return Known(place[1], place[1], url or name, page=url or name) if place else None


def _thanks(entry: Known) -> str:
    if entry.name == DEMO:
        return "The data are simulated: they are the demo sky of jupyter_astroml."
    front = entry.name in _FRONT_PAGES
    where = "Look there for how it" if front else "How it"
    page = f" {where} asks to be acknowledged: {entry.page}" if entry.page else ""
    return f"Data were obtained from {entry.title}.{page}"


def _of_card(name: str, citations: Iterable[Any]) -> Iterator[str]:
    """Make entries of the citations on a card; its own BibTeX comes first."""
    for number, citation in enumerate(citations, start=1):
        if citation.bibtex:
            yield citation.bibtex.strip()
            continue
        fields = {"note": _plain(citation.text)}
        if citation.doi:
            fields["doi"] = _plain(citation.doi)
        if citation.arxiv:
            fields |= {"eprint": _plain(citation.arxiv), "archiveprefix": "arXiv"}
        lines = "".join(f"  {key} = {{{value}}},\n" for key, value in fields.items())
        yield f"@misc{{{re.sub(r'[^A-Za-z0-9]', '', name)}{number},\n{lines}}}"


def _plain(text: str) -> str:
    """Return text that cannot end a field of BibTeX, nor start a command of TeX."""
    return re.sub(r"([&%$#_])", r"\\\1", re.sub(r"[{}\\]", "", " ".join(text.split())))
