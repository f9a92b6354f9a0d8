"""Archives that can be named: bundled, of a site, of other packages; any other by its TAP URL."""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Iterator
from html import escape
from importlib import metadata
from pathlib import Path

from jupyter_astroml.archives.bundled import DEMO, KNOWN, Known, checked, origin, variable
from jupyter_astroml.core.errors import ArchiveError

__all__ = [
    "DEMO",
    "GROUP",
    "KNOWN",
    "SITE_FILES",
    "Archives",
    "Known",
    "SkippedArchiveWarning",
    "archives",
    "lookup",
]

# Other packages name their archives under this entry point group: a `Known` or a tuple of them.
GROUP = "jupyter_astroml.archives"
# A site's own archives, in any of Jupyter's configuration folders, or where this variable says.
SITE_FILES = ("jupyter_astroml_archives.yaml", "jupyter_astroml_archives.json")
VARIABLE = "ASTROML_ARCHIVES"
_MAX_BYTES = 2**20
_LOG_IN = "leave it out, and log in: aml.archive(…, credential=aml.Basic(user, password))"


class SkippedArchiveWarning(UserWarning):
    """A file or a package describes an archive in a way that cannot be used."""


class Archives(tuple[Known, ...]):
    """Archives that can be named; shows itself as a table in a notebook."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td>{escape(text)}</td>"
                for text in (k.name, k.title, ", ".join(k.auth) or "public", k.url, k.note)
            )
            + "</tr>"
            for k in self
        )
        head = "".join(f"<th>{h}</th>" for h in ("name", "archive", "login", "TAP", "note"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def archives() -> Archives:
    """Return the archives that can be named.

    A site's own come from ``jupyter_astroml_archives.yaml`` (or ``.json``) in Jupyter's
    configuration folders, and from the files that ``ASTROML_ARCHIVES`` lists: a list of mappings
    with the attributes of `Known`. A site may give a bundled archive another address, but for the
    demo. Other packages add theirs by the entry point group ``jupyter_astroml.archives``.

    Warns
    -----
    SkippedArchiveWarning
        For each that cannot be used, with the reason.
    """
    found = {DEMO: KNOWN[0]}
    for entry in (*_of_site(), *KNOWN, *_of_packages()):
        found.setdefault(entry.name, entry)
    order = {k.name: i for i, k in enumerate(KNOWN)}
    return Archives(sorted(found.values(), key=lambda k: order.get(k.name, len(order))))


def _of_site() -> Iterator[Known]:
    from jupyter_core.paths import jupyter_config_path

    listed = [Path(p).expanduser() for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p]
    places = [Path(folder) / name for folder in jupyter_config_path() for name in SITE_FILES]
    for path in (*listed, *(p for p in places if p.exists())):
        try:
            entries = _read(path)
        except (OSError, ValueError, RecursionError) as err:
            _skipped(str(path), err)
            continue
        for number, given in enumerate(entries, start=1):
            try:
                yield checked(given)
            except ValueError as err:
                _skipped(f"{path}, archive {number}", err)


def _read(path: Path) -> list[object]:
    import yaml

    with path.open("rb") as file:
        text = file.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise ValueError(f"it is larger than {_MAX_BYTES // 2**20} MiB")
    try:
        # JSON is YAML, but for corners that no list of archives has.
        found = yaml.safe_load(text)
    except yaml.YAMLError as err:
        raise ValueError(f"it is no YAML: {err}") from err
    if not isinstance(found, list):
        raise ValueError("it holds no list of archives")  # noqa: TRY004 - a value of a file
    return found


def _of_packages() -> Iterator[Known]:
    for point in metadata.entry_points(group=GROUP):
        try:
            given = point.load()
        except Exception as err:  # noqa: BLE001 - a stranger's package may fail in any way
            _skipped(f"the entry point {point.name}", err)
            continue
        for entry in given if isinstance(given, (tuple, list)) else (given,):
            if isinstance(entry, Known):
                yield entry
            else:
                _skipped(f"the entry point {point.name}", "it is no Known")


def _skipped(place: str, why: object) -> None:
    warnings.warn(f"Skipped {place}: {why}", SkippedArchiveWarning, stacklevel=4)


def lookup(name: str) -> Known:
    """Return a known archive, or one made from a TAP URL.

    Raises
    ------
    ArchiveError
        If the name is unknown and no http(s) URL.
    """
    place = origin(name)
    if place is None and "@" in name:
        # Not quoted: it may hold a password.
        raise ArchiveError("The address of an archive holds a name or a password", remedy=_LOG_IN)
    found = {k.name: k for k in archives()}
    if place:
        # A host that is called like an archive must not be given that archive's login.
        words = {variable(each) for each in found}
        host = place[1] if variable(place[1]) not in words else name
        return Known(name=host, title=name, url=name.rstrip("/"))
    if name in found:
        return found[name]
    near = difflib.get_close_matches(name, found, n=2) or found
    raise ArchiveError(
        f"There is no archive {name!r}",
        remedy=f"use {', '.join(near)}, or the URL of a TAP service",
    )
