"""What a worker does with references: follow links, download, decode, stack.

Every object ends in the samples or among the failures with its reason; none is lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from jupyter_astroml.archives.datalink import Links, follow, is_datalink
from jupyter_astroml.archives.decode import OFF_IMAGE, Image, Series, decode, untrusted
from jupyter_astroml.archives.http import Session, download
from jupyter_astroml.archives.known import Known, lookup
from jupyter_astroml.archives.login import Login, login
from jupyter_astroml.core.errors import ArchiveError, AstroMLError
from jupyter_astroml.core.records import Cutouts, LightCurves, References

# Connections to one archive at a time: enough to hide the way there, few enough to be polite.
PARALLEL = 6
# Values of a whole block (1 GiB of them): every object is padded to the size of the largest.
MAX_STACK = 2**28
_RECORDS: dict[type, str] = {Image: "cutouts", Series: "light_curves"}


def fetch(references: References) -> tuple[Cutouts | LightCurves | None, dict[str, str]]:
    """Get the data of each reference.

    Parameters
    ----------
    references : References
        A block: its data are held in memory together.

    Returns
    -------
    samples : Cutouts, LightCurves or None
        The objects that came, in the order of the references; None if none came.
    failures : dict of str to str
        Reason by id, for the objects that did not.
    """
    credential = _login(
        str(references.meta.get("archive", "")), str(references.meta.get("url", ""))
    )
    with Session(login=credential) as session, ThreadPoolExecutor(PARALLEL) as pool:
        places = _places(session, references, pool)
        answers = list(
            pool.map(lambda i: _get(session, places[i], references, i), range(len(references)))
        )
    kind = references.kind or next(
        (_RECORDS[type(a)] for a in answers if not isinstance(a, str)), ""
    )
    failures: dict[str, str] = {}
    came: dict[int, Any] = {}
    for i, found in enumerate(answers):
        if isinstance(found, str):
            failures[str(references.ids[i])] = found
        elif _RECORDS[type(found)] != kind:
            failures[str(references.ids[i])] = f"the file holds {_RECORDS[type(found)]}, not {kind}"
        else:
            came[i] = found
    lost = _unlike(came, references)
    lost |= _oversized({i: found for i, found in came.items() if i not in lost})
    for i, reason in lost.items():
        failures[str(references.ids[i])] = reason
        del came[i]
    if not came:
        return None, failures
    stack = _cutouts if kind == "cutouts" else _light_curves
    return stack(list(came.values()), references[np.array(list(came))]), failures


def _login(name: str, url: str) -> Login | None:
    """Find the credential of an archive where the data are fetched: it never travels with a job."""
    entry = _entry(name, url)
    return login(entry) if entry else None


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
    cut : bool
        Whether a service cuts the image around the position.
    """

    url: str
    reason: str = ""
    cut: bool = False


def _places(session: Session, references: References, pool: ThreadPoolExecutor) -> list[_Place]:
    linked = [is_datalink(str(f)) for f in references.formats]
    urls = references.urls.tolist()
    wanted = [u for u, is_link in zip(urls, linked, strict=True) if is_link]
    links = follow(session, wanted, each=pool.map)
    return [
        _place(references, i, links[url]) if linked[i] else _Place(url)
        for i, url in enumerate(urls)
    ]


def _place(references: References, i: int, links: Links) -> _Place:
    if links.cut and references.size_arcsec and _known(references, i):
        # SODA 1.0 section 3.3.2: CIRCLE is longitude, latitude, radius in degrees, ICRS; services
        # answer with the box that holds the circle.
        circle = (
            f"{references.ra[i]:.9f}+{references.dec[i]:.9f}+{references.size_arcsec / 7200:.9f}"
        )
        return _Place(f"{links.cut}&CIRCLE={circle}", cut=True)
    if links.this:
        return _Place(links.this)
    return _Place("", links.error or "the archive names no file for it")


def _known(references: References, i: int) -> bool:
    return bool(np.isfinite(references.ra[i]) and np.isfinite(references.dec[i]))


def _get(session: Session, place: _Place, references: References, i: int) -> Image | Series | str:
    """Return what a file holds of an object, or the reason why there is nothing."""
    if not place.url:
        return place.reason
    try:
        body, _ = download(session, place.url)
        if not body:
            # SODA 1.0 section 4.1: a cutout without a pixel is no error, it is no content.
            return OFF_IMAGE if place.cut else "the archive sent an empty file"
        found = decode(body)
        if isinstance(found, Image) and references.size_arcsec and _known(references, i):
            with untrusted():
                found = found.centred(
                    references.ra[i], references.dec[i], size_arcsec=references.size_arcsec
                )
    except AstroMLError as err:
        return str(err)
    return found


def _unlike(came: Mapping[int, Any], references: References) -> dict[int, str]:
    """Return the objects whose axes are not those of most, by row: a stack has one set of axes."""
    axes = {i: _axes(found, references) for i, found in came.items()}
    if len(set(axes.values())) < 2:
        return {}
    usual = Counter(axes.values()).most_common(1)[0][0]
    return {
        i: "; ".join(
            f"{have[0]} {have[1] or 'unknown'}, and most of this block have {most[1] or 'unknown'}"
            for have, most in zip(given, usual, strict=True)
            if have != most
        )
        for i, given in axes.items()
        if given != usual
    }


def _axes(found: Image | Series, references: References) -> tuple[tuple[str, str], ...]:
    """Return names and values of what all objects of a stack must share."""
    unit = ("unit", references.flux_unit or found.flux_unit)
    if isinstance(found, Image):
        return ("bands", ",".join(_bands(found, references))), unit
    # Known zeros of time are brought together; an unknown one cannot be.
    zero = "known" if np.isfinite(found.time_zero) else "unknown"
    return ("time scale", found.time_scale), ("zero of time", zero), ("band", found.band), unit


def _bands(image: Image, references: References) -> tuple[str, ...]:
    numbers = tuple(str(k) for k in range(len(image.values)))
    named = (references.bands, image.bands, numbers)
    return next(names for names in named if len(names) == len(numbers))


def _oversized(came: Mapping[int, Any]) -> dict[int, str]:
    """Return the largest objects, by row, without which the others fit into one padded stack."""
    if not came:
        return {}
    rows = np.array(list(came))
    shapes = np.array([found.values.shape for found in came.values()], dtype=np.float64)
    order = np.argsort(shapes.prod(axis=1), kind="stable")
    largest = np.maximum.accumulate(shapes[order], axis=0).prod(axis=1)
    fits = np.arange(1, len(rows) + 1) * largest <= MAX_STACK
    return {
        int(i): f"its {'×'.join(map(str, came[i].values.shape))} values are too many to be held "
        "with the others of this block: ask for smaller cutouts (size) or blocks"
        for i in rows[order[~fits]]
    }


def _cutouts(images: Sequence[Any], references: References) -> Cutouts:
    """Stack images; smaller ones are padded with NaN, which is no data."""
    first: Image = images[0]
    height = max(i.values.shape[1] for i in images)
    width = max(i.values.shape[2] for i in images)
    padded = [_padded(i, height, width) for i in images]
    scales = np.array([i.pixel_scale for i in images])
    return Cutouts(
        ids=references.ids,
        values=np.stack([i.values for i in padded]),
        bands=_bands(first, references),
        ra=references.ra,
        dec=references.dec,
        pixel_scale=np.where(np.isfinite(scales), scales, references.pixel_scale),
        flux_unit=references.flux_unit or first.flux_unit,
        wcs=np.array([i.header for i in padded], dtype=object),
        simulated=any(i.simulated for i in images),
        meta=references.meta,
    )


def _padded(image: Image, height: int, width: int) -> Image:
    have = image.values.shape[1:]
    if have == (height, width):
        return image
    top, left = (height - have[0]) // 2, (width - have[1]) // 2
    return image.window(slice(-top, height - top), slice(-left, width - left))


def _light_curves(series: Sequence[Any], references: References) -> LightCurves:
    """Stack light curves on one zero of time; shorter ones are padded with NaN."""
    first: Series = series[0]
    zero = first.time_zero if np.isfinite(first.time_zero) else 0.0
    width = max(1, *(len(s.time) for s in series))
    n = len(series)
    time = np.zeros((n, width))
    values, errors = (np.full((n, width), np.nan, dtype=np.float32) for _ in range(2))
    for i, s in enumerate(series):
        t = len(s.time)
        shift = s.time_zero - zero if np.isfinite(s.time_zero) else 0.0
        time[i, :t], values[i, :t], errors[i, :t] = s.time + shift, s.values, s.errors
        time[i, t:] = time[i, t - 1] if t else 0.0
    return LightCurves(
        ids=references.ids,
        time=time,
        values=values,
        errors=errors,
        ra=references.ra,
        dec=references.dec,
        time_scale=first.time_scale,
        time_zero=zero,
        band=first.band,
        flux_unit=references.flux_unit or first.flux_unit,
        simulated=any(s.simulated for s in series),
        meta=references.meta,
    )
