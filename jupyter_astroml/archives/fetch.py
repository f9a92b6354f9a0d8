"""What a worker does with references: follow links, download, decode; `stack` does the rest.

Every object ends in the samples or among the failures with its reason; none is lost.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import urlencode

from jupyter_astroml.archives.datalink import Links, follow, is_datalink
from jupyter_astroml.archives.decode import OFF_IMAGE, Image, Series, decode
from jupyter_astroml.archives.downloads import Download, download
from jupyter_astroml.archives.hosts import PARALLEL, hosts
from jupyter_astroml.archives.http import Session
from jupyter_astroml.archives.kept import kept
from jupyter_astroml.archives.known import Known, archives, lookup
from jupyter_astroml.archives.login import login
from jupyter_astroml.archives.soda import asked, trimmed
from jupyter_astroml.archives.spectrum import Spectrum
from jupyter_astroml.archives.stack import stacked
from jupyter_astroml.archives.vospace import Space, is_name, located, spaces
from jupyter_astroml.core.errors import ArchiveError, AstroMLError, DataError
from jupyter_astroml.core.manifest import Entry
from jupyter_astroml.core.records import OK, References, Samples

# What an answer without a body means, by what was asked for.
_EMPTY = {frozenset(): "the archive sent an empty file", frozenset(("CIRCLE",)): OFF_IMAGE}
# Hosts that are asked at the same time.
_HOSTS = 4


@dataclass(frozen=True, eq=False)
class Delivery:
    """What came of a fetch.

    Attributes
    ----------
    samples : Cutouts, LightCurves, Spectra or None
        The objects that came, in the order of the references; None if none came.
    manifest : list of Entry
        One for each reference, in their order.
    """

    samples: Samples | None
    manifest: list[Entry]

    @property
    def failures(self) -> dict[str, str]:
        """Reason by id, for the objects that did not come; of one id, the last."""
        return {each.id: each.status for each in self.manifest if each.status != OK}


def fetch(references: References) -> tuple[Samples | None, dict[str, str]]:
    """Get the data of each reference.

    Parameters
    ----------
    references : References
        A block: its data are held in memory together.

    Returns
    -------
    samples : Cutouts, LightCurves, Spectra or None
        The objects that came, in the order of the references; None if none came.
    failures : dict of str to str
        Reason by id, for the objects that did not.
    """
    found = deliver(references)
    return found.samples, found.failures


def deliver(references: References) -> Delivery:
    """Get the data of each reference, and tell how: see `fetch`."""
    names = [u for u in references.urls.tolist() if is_name(u)]
    known = spaces(archives()) if names else ()
    entry = _entry(str(references.meta.get("archive", "")), str(references.meta.get("url", "")))
    # A table of the user's own names no archive, and its files may still be in a space of one.
    entry = entry or _of_space(names, known)
    # A credential is found where the data are fetched: it never travels with a job.
    credential = login(entry) if entry else None
    session = Session(login=credential, kept=kept(), hosts=hosts())
    with session, ThreadPoolExecutor(_HOSTS * PARALLEL) as pool:
        places = _places(session, references, pool, known)
        both = list(
            pool.map(lambda i: _get(session, places[i], references, i), range(len(references)))
        )
    samples, failures = stacked([found for found, _ in both], references)
    # By row: two of them may have one id, such as a spectrum in two formats.
    manifest = [replace(e, status=failures.get(i, e.status)) for i, (_, e) in enumerate(both)]
    return Delivery(samples, manifest)


def _of_space(names: Sequence[str], known: Sequence[Space]) -> Known | None:
    """Return the archive whose space has the first of these files that any has."""
    for name in names:
        with suppress(DataError):
            return located(name, known)[1].archive
    return None


@lru_cache(maxsize=16)
def _entry(name: str, url: str) -> Known | None:
    for each in (name, url):
        with suppress(ArchiveError):
            return lookup(each)
    return None


@dataclass(frozen=True)
class _Place:
    """Where the data of an object are, or why they are nowhere.

    Attributes
    ----------
    url : str
    reason : str
        Why there is no URL.
    cut : frozenset of str
        Parameters that a SODA service there is asked to cut by.
    size : int
        Bytes that the archive announces; 0 where it does not.
    """

    url: str
    reason: str = ""
    cut: frozenset[str] = frozenset()
    size: int = 0


def _places(
    session: Session, references: References, pool: ThreadPoolExecutor, known: Sequence[Space]
) -> list[_Place]:
    linked = [is_datalink(str(f)) for f in references.formats]
    urls = references.urls.tolist()
    wanted = [u for u, is_link in zip(urls, linked, strict=True) if is_link]
    links = follow(session, wanted, each=pool.map)
    return [
        _place(references, i, links[url]) if linked[i] else _plain(url, known)
        for i, url in enumerate(urls)
    ]


def _plain(url: str, known: Sequence[Space]) -> _Place:
    try:
        return _Place(located(url, known)[0] if is_name(url) else url)
    except DataError as err:
        return _Place("", reason=str(err))


def _place(references: References, i: int, links: Links) -> _Place:
    part = asked(references, i, takes=links.takes)
    if links.cut and part:
        return _Place(f"{links.cut}&{urlencode(part)}", cut=frozenset(part))
    if links.this:
        return _Place(links.this, size=links.size)
    return _Place("", links.error or "the archive names no file for it")


def _get(
    session: Session, place: _Place, references: References, i: int
) -> tuple[Image | Series | Spectrum | str, Entry]:
    """Return what a file holds of an object, or the reason why there is nothing."""
    entry = Entry(str(references.ids[i]), url=str(references.urls[i]))
    if not place.url:
        return place.reason, entry
    begin, tries = time.monotonic(), 0

    def tried(n: int) -> None:
        nonlocal tries
        tries = n

    found: Image | Series | Spectrum | str
    try:
        came = download(session, place.url, tried=tried)
        entry = replace(entry, bytes=len(came.body), sha256=came.sha256, kept=came.kept)
        if came.body:
            _check_size(came, place.size)
            found = trimmed(decode(came.body), references, i, done=place.cut)
        else:
            # SODA 1.0 section 4.1: a cutout without a pixel is no error, it is no content.
            found = _EMPTY.get(place.cut, "the archive has nothing in the part that is wanted")
    except AstroMLError as err:
        found = str(err)
    return found, replace(entry, tries=tries, seconds=time.monotonic() - begin)


def _check_size(came: Download, announced: int) -> None:
    """Compare what came with the ``content_length`` of its link (DataLink 1.1 section 3.2.7).

    Many archives know the size from ObsCore, in kilobytes of 1000 or 1024 bytes: what is off by
    less than that is no other file.
    """
    off = abs(len(came.body) - announced)
    if announced and not came.packed and off > max(1024, announced // 32):
        raise DataError(
            f"The archive announced a file of {announced} bytes and sent {len(came.body)}",
            remedy="ask the archive which of the two is right",
        )
