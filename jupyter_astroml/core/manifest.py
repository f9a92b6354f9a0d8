"""What became of each object of a fetch: it came, or there is a reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, Any

from jupyter_astroml.core.records import OK

if TYPE_CHECKING:
    from astropy.table import Table

# Under this name a manifest stands in the meta of samples and of answers.
MANIFEST = "manifest"


@dataclass(frozen=True)
class Entry:
    """One object of a fetch.

    Attributes
    ----------
    id : str
    status : str
        ``"ok"``, or the reason why it did not come.
    url : str
        Address that its row gave; those that an archive gives behind it may hold a key.
    bytes : int
        Length of what came.
    sha256 : str
        Of what came; empty if nothing did.
    kept : bool
        Whether that was here already, unchanged.
    tries : int
        Requests that were sent for it, those for links left out.
    seconds : float
        From the first of them until it was decoded, the wait for a place included.
    """

    id: str
    status: str = OK
    url: str = ""
    bytes: int = 0
    sha256: str = ""
    kept: bool = False
    tries: int = 0
    seconds: float = 0.0


def columns(entries: Iterable[Entry]) -> dict[str, list[Any]]:
    """Return entries as plain lists, one for each column."""
    rows = [astuple(entry) for entry in entries]
    return {f.name: [row[i] for row in rows] for i, f in enumerate(fields(Entry))}


def hashes_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the hash of what came for each object, by id; nothing for those that did not come."""
    pairs = zip(manifest.get("id", ()), manifest.get("sha256", ()), strict=False)
    return {str(name): str(value) for name, value in pairs if value}


def table(manifest: Mapping[str, Any]) -> Table:
    """Return plain lists as a table."""
    from astropy.table import Table as AstropyTable

    kinds = {"str": str, "int": int, "float": float, "bool": bool}
    made = AstropyTable()
    for each in fields(Entry):
        made[each.name] = [kinds[str(each.type)](value) for value in manifest[each.name]]
        if not len(made[each.name]):
            made[each.name] = made[each.name].astype(kinds[str(each.type)])
    made["bytes"].unit, made["seconds"].unit = "byte", "s"
    return made
