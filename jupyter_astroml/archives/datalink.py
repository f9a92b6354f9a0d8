"""Follow DataLink documents (DataLink 1.1): where the file is, and who can cut it."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from jupyter_astroml.archives import votables
from jupyter_astroml.archives.downloads import download
from jupyter_astroml.archives.hosts import UnreachableError
from jupyter_astroml.archives.http import Session
from jupyter_astroml.core.errors import ArchiveError, DataError

SODA = "ivo://ivoa.net/std/soda#sync"
# DataLink 1.1 section 2.1.1 lets a client name several IDs; long addresses are refused by proxies.
BATCH = 40
_PARSING = threading.Lock()


@dataclass(frozen=True)
class Links:
    """What a DataLink document says about one dataset.

    Attributes
    ----------
    this : str
        Address of the file itself (semantics ``#this``), or empty.
    cut : str
        Address of the SODA service for this dataset, with its ID, or empty.
    error : str
        Why the archive has no links for this dataset.
    takes : frozenset of str
        Parameters that the SODA service declares, in capitals.
    size : int
        Bytes of the file, as the document tells; 0 where it does not.
    """

    this: str = ""
    cut: str = ""
    error: str = ""
    takes: frozenset[str] = frozenset()
    size: int = 0


def is_datalink(media_type: str) -> bool:
    """Tell whether a media type announces a DataLink document."""
    return "content=datalink" in media_type.replace(" ", "")


def follow(
    session: Session, urls: Iterable[str], *, each: Callable[..., Iterable[Any]] = map
) -> dict[str, Links]:
    """Read DataLink documents, many datasets in one request where the service is the same.

    Parameters
    ----------
    session : Session
        For all requests.
    urls : iterable of str
        Each names one dataset by its parameter ``ID``.
    each : callable
        Applies a function to many things: ``map``, or that of a pool of threads.

    Returns
    -------
    dict
        Links for each URL; a failure stands in `Links.error`.
    """
    # One dataset may have several addresses: IDs are escaped in more than one way.
    groups: dict[str, dict[str, list[str]]] = {}
    alone: list[str] = []
    for url in dict.fromkeys(urls):
        base, dataset = _split(url)
        if dataset:
            groups.setdefault(base, {}).setdefault(dataset, []).append(url)
        else:
            alone.append(url)
    batches = [
        (base, list(datasets)[start : start + BATCH])
        for base, datasets in groups.items()
        for start in range(0, len(datasets), BATCH)
    ]
    found: dict[str, Links] = {}
    answers = each(lambda batch: _ask(session, *batch), batches)
    for (base, names), answer in zip(batches, answers, strict=True):
        for name in names:
            if name in answer:
                found |= dict.fromkeys(groups[base][name], answer[name])
            else:
                alone += groups[base][name]
    return found | dict(zip(alone, each(lambda url: _one(session, url), alone), strict=True))


def _split(url: str) -> tuple[str, str]:
    """Return the address without its ID, and the ID; no ID for what is no address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url, ""
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    ids = [v for k, v in pairs if k.upper() == "ID"]
    if len(ids) != 1:
        return url, ""
    rest = [(k, v) for k, v in pairs if k.upper() != "ID"]
    return urlunsplit(parts._replace(query=urlencode(rest))), ids[0]


def _joined(base: str, pairs: list[tuple[str, str]]) -> str:
    return base + ("&" if "?" in base else "?") + urlencode(pairs)


def _absolute(base: str, address: str) -> str:
    """Resolve an address; one that is none stays as it is, and is refused when it is fetched."""
    try:
        return urljoin(base, address)
    except ValueError:
        return address


def _one(session: Session, url: str) -> Links:
    try:
        documents = _parse(download(session, url)[0], url)
    except (ArchiveError, DataError) as err:
        return Links(error=str(err))
    return next(iter(documents.values()), Links(error="the archive has no links for it"))


def _ask(session: Session, base: str, ids: list[str]) -> dict[str, Links]:
    """Ask for many datasets at once; those that are not in the answer must be asked for alone.

    A service may refuse several IDs, answer only for the first, or fail because of a bad one.
    """
    if len(ids) == 1:
        return {}
    try:
        return _parse(download(session, _joined(base, [("ID", d) for d in ids]))[0], base)
    except UnreachableError as err:
        return dict.fromkeys(ids, Links(error=str(err)))
    except (ArchiveError, DataError):
        return {}


def _parse(body: bytes, url: str) -> dict[str, Links]:
    """Read the VOTable of DataLink 1.1 section 3.

    Raises
    ------
    DataError
        For whatever is none.
    """
    # The filters of warnings belong to the process: two threads must not change them at once.
    with _PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _read(body, url)
        except Exception as err:
            # What astropy raises for a damaged document has no family of its own.
            raise DataError("The archive sent no DataLink document", cause=str(err)) from err


def _read(body: bytes, url: str) -> dict[str, Links]:
    parsed = votables.read([body])
    services = {
        r.ID: _parameters(r)
        for r in parsed.document.resources
        if r.utype == "adhoc:service" and r.ID
    }
    found: dict[str, Links] = {}
    for row in parsed.table():
        link = {
            name: _text(row[name])
            for name in (
                "ID",
                "access_url",
                "service_def",
                "error_message",
                "semantics",
                "content_length",
            )
            if name in row.colnames
        }
        dataset = link.get("ID", "")
        old = found.get(dataset, Links())
        service = services.get(link.get("service_def", ""), {})
        if link.get("error_message"):
            found[dataset] = replace(old, error=old.error or link["error_message"])
        elif service.get("standardID", "").lower().startswith(SODA) and service.get("accessURL"):
            name = service.get("ID", "") or dataset
            cut = _joined(_absolute(url, service["accessURL"]), [("ID", name)])
            takes = frozenset(key.upper() for key in service if key.isalpha())
            found[dataset] = replace(old, cut=cut, takes=takes)
        elif link.get("semantics") == "#this" and link.get("access_url"):
            told = link.get("content_length", "")
            size = int(told) if told.isdecimal() and len(told) < 19 else 0
            found[dataset] = replace(old, this=_absolute(url, link["access_url"]), size=size)
        else:
            found.setdefault(dataset, old)
    return found


def _parameters(resource: Any) -> dict[str, str]:
    """Return the PARAMs of a service descriptor, those of its input group included."""
    found = {p.name: _text(p.value) for p in resource.params}
    for group in resource.groups:
        for entry in group.entries:
            name = getattr(entry, "name", "")
            if name == "ID" and getattr(entry, "value", None) is not None:
                found[name] = _text(entry.value)
            elif name:
                # Of what it takes, only the names matter; they must not hide the service itself.
                found.setdefault(name, "")
    return found


def _text(value: Any) -> str:
    import numpy as np

    if value is None or value is np.ma.masked:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
