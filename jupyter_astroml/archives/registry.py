"""Find services in the registry of the Virtual Observatory (RegTAP 1.1)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from jupyter_astroml.archives.answer import translated
from jupyter_astroml.archives.bundled import Known, origin
from jupyter_astroml.archives.http import Session
from jupyter_astroml.archives.known import Archives
from jupyter_astroml.core.errors import QueryError

# The address that pyvo uses, and its environment variable.
REGISTRY = "http://reg.g-vo.org/tap"
VARIABLE = "IVOA_REGISTRY"
# Attribute of `Known` for the address of a service, and its standard as pyvo says it.
SERVICES = {
    "tap": ("url", "ivo://ivoa.net/std/tap"),
    "sia2": ("sia2", "ivo://ivoa.net/std/sia2"),
    "ssa": ("ssa", "ivo://ivoa.net/std/ssa"),
}
# VODataService 1.1 section 3.2.2.
BANDS = ("radio", "millimeter", "infrared", "optical", "uv", "euv", "x-ray", "gamma-ray")


def find(
    *,
    keywords: str | Iterable[str] = (),
    waveband: str = "",
    service: str = "tap",
    registry: str = "",
    most: int = 100,
) -> Archives:
    """Search the registry of the Virtual Observatory.

    Parameters
    ----------
    keywords : str or iterable of str
        Words that titles, descriptions or subjects have, all of them.
    waveband : str
        One of `BANDS`; empty takes all.
    service : {"tap", "sia2", "ssa"}
        What the service must speak: queries in ADQL, images, or spectra.
    registry : str
        TAP address of a registry; empty takes ``IVOA_REGISTRY`` of the environment, else GAVO's.
    most : int
        Most services to return.

    Returns
    -------
    Archives
        Named by their IVOA identifiers; ``aml.archive(found[0])`` opens one, which takes `images`
        or `spectra` alone when it was searched for by that service.

    Raises
    ------
    QueryError
        If nothing or something unknown is searched for, or the registry refuses.
    ArchiveError
        If the registry does not answer.
    """
    from pyvo.dal import TAPService
    from pyvo.registry import regtap

    wanted = _constraints([keywords] if isinstance(keywords, str) else keywords, waveband, service)
    address = registry or os.environ.get(VARIABLE) or REGISTRY
    with Session() as session, translated("The registry"):
        tap = TAPService(address, session=session)
        adql = regtap.get_RegTAP_query(*wanted, service=tap)
        answer = regtap.RegistryQuery(tap.baseurl, adql, maxrec=most, session=session).execute()
        return Archives(_entries(answer, service))


def _constraints(keywords: Iterable[str], waveband: str, service: str) -> list[Any]:
    from pyvo.registry import rtcons

    class Band(rtcons.Constraint):
        """As pyvo's own, which fetches the list of bands from another host before it asks."""

        def __init__(self) -> None:
            self._condition = "1 = ivo_hashlist_has(rr.resource.waveband, {band})"
            self._fillers = {"band": waveband.lower()}

    words = [word for text in keywords for word in text.split()]
    if service not in SERVICES:
        raise QueryError(f"There is no service {service!r}", remedy=f"use {', '.join(SERVICES)}")
    if waveband and waveband.lower() not in BANDS:
        raise QueryError(f"There is no waveband {waveband!r}", remedy=f"use {', '.join(BANDS)}")
    if not words and not waveband:
        raise QueryError("Nothing is searched for", remedy="give keywords or a waveband")
    kind = rtcons.Servicetype(service)
    if service == "tap":
        # Most catalogues are not services, but tables of one: they say so by an auxiliary TAP.
        kind = kind.include_auxiliary_services()
    return [kind, *([rtcons.Freetext(*words)] if words else []), *([Band()] if waveband else [])]


def _entries(answer: Any, service: str) -> Iterator[Known]:
    """Yield what can be used; whoever registers a service writes what they like."""
    attribute, standard = SERVICES[service]
    for resource in answer:
        addresses = [
            str(each.access_url).rstrip("/")
            for each in resource.interfaces
            if str(each.standard_id or "").lower().startswith(standard)
            and origin(str(each.access_url))
        ]
        if not addresses:
            continue
        page = str(resource.reference_url or "")
        where: dict[str, Any] = {"url": "", attribute: addresses[0]}
        yield Known(
            name=str(resource.ivoid),
            title=" ".join(str(resource.res_title or resource.ivoid).split())[:200],
            note=" ".join(str(resource.res_description or "").split())[:300],
            page=page if origin(page) else "",
            **where,
        )
