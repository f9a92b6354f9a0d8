"""Follow DataLink documents (DataLink 1.1): where the file is, and who can cut it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import requests

from jupyter_astroml.archives.http import download
from jupyter_astroml.core.errors import ArchiveError, DataError

SODA = "ivo://ivoa.net/std/soda#sync"
# DataLink 1.1 section 2.1.1 lets a client name several IDs; long addresses are refused by proxies.
BATCH = 40


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
    """

    this: str = ""
    cut: str = ""
    error: str = ""


def is_datalink(media_type: str) -> bool:
    """Tell whether a media type announces a DataLink document."""
    return "content=datalink" in media_type.replace(" ", "")


def follow(session: requests.Session, urls: Iterable[str]) -> dict[str, Links]:
    """Read DataLink documents, many datasets in one request where the service is the same.

    Parameters
    ----------
    session : requests.Session
        For all requests.
    urls : iterable of str
        Each names one dataset by its parameter ``ID``.

    Returns
    -------
    dict
        Links for each URL; a failure stands in `Links.error`.
    """
    groups: dict[str, dict[str, str]] = {}
    found: dict[str, Links] = {}
    for url in dict.fromkeys(urls):
        base, dataset = _split(url)
        if dataset:
            groups.setdefault(base, {})[dataset] = url
        else:
            found[url] = _one(session, url)
    for base, datasets in groups.items():
        names = list(datasets)
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            found |= {datasets[d]: links for d, links in _ask(session, base, batch).items()}
    return found


def _split(url: str) -> tuple[str, str]:
    """Return the address without its ID, and the ID."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    ids = [v for k, v in pairs if k.upper() == "ID"]
    if len(ids) != 1:
        return url, ""
    rest = [(k, v) for k, v in pairs if k.upper() != "ID"]
    return urlunsplit(parts._replace(query=urlencode(rest))), ids[0]


def _joined(base: str, pairs: list[tuple[str, str]]) -> str:
    sign = "&" if urlsplit(base).query else "?"
    return base + sign + urlencode(pairs) if pairs else base


def _one(session: requests.Session, url: str) -> Links:
    try:
        documents = _parse(download(session, url)[0], url)
    except (ArchiveError, DataError) as err:
        return Links(error=str(err))
    return next(iter(documents.values()), Links(error="the DataLink document is empty"))


def _ask(session: requests.Session, base: str, ids: list[str]) -> dict[str, Links]:
    url = _joined(base, [("ID", d) for d in ids])
    try:
        documents = _parse(download(session, url)[0], base)
    except (ArchiveError, DataError) as err:
        return {d: Links(error=str(err)) for d in ids}
    return {d: documents.get(d, Links(error="the archive has no links for it")) for d in ids}


def _parse(body: bytes, url: str) -> dict[str, Links]:
    """Read the VOTable of DataLink 1.1 section 3."""
    from astropy.io.votable import parse
    from astropy.io.votable.exceptions import VOTableSpecError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            document = parse(io.BytesIO(body), verify="ignore")
            table = document.get_first_table()
        except (VOTableSpecError, IndexError, ValueError, OSError) as err:
            raise DataError("The archive sent no DataLink document", cause=str(err)) from err
    services = {
        r.ID: _parameters(r) for r in document.resources if r.utype == "adhoc:service" and r.ID
    }
    found: dict[str, Links] = {}
    for row in table.to_table(use_names_over_ids=True):
        link = {
            name: _text(row[name])
            for name in ("ID", "access_url", "service_def", "error_message", "semantics")
            if name in row.colnames
        }
        dataset = link.get("ID", "")
        old = found.get(dataset, Links())
        service = services.get(link.get("service_def", ""), {})
        if link.get("error_message"):
            found[dataset] = Links(old.this, old.cut, old.error or link["error_message"])
        elif service.get("standardID", "").lower().startswith(SODA) and service.get("accessURL"):
            name = service.get("ID", "") or dataset
            cut = _joined(urljoin(url, service["accessURL"]), [("ID", name)])
            found[dataset] = Links(old.this, cut, old.error)
        elif link.get("semantics") == "#this" and link.get("access_url"):
            found[dataset] = Links(urljoin(url, link["access_url"]), old.cut, old.error)
        else:
            found.setdefault(dataset, old)
    return found


def _parameters(resource: Any) -> dict[str, str]:
    """Return the PARAMs of a service descriptor, those of its input group included."""
    found = {p.name: _text(p.value) for p in resource.params}
    for group in resource.groups:
        for entry in group.entries:
            if getattr(entry, "name", "") == "ID" and getattr(entry, "value", None) is not None:
                found["ID"] = _text(entry.value)
    return found


def _text(value: Any) -> str:
    import numpy as np

    if value is None or value is np.ma.masked:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
