"""What a worker does with references: follow links, download, decode, stack.

Every object ends in the samples or among the failures with its reason; none is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from jupyter_astroml.archives.datalink import Links, follow, is_datalink
from jupyter_astroml.archives.decode import Image, Series, decode
from jupyter_astroml.archives.http import Session, download
from jupyter_astroml.core.errors import AstroMLError
from jupyter_astroml.core.records import Cutouts, LightCurves, References

# Connections to one archive at a time: enough to hide the way there, few enough to be polite.
PARALLEL = 6
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
    with Session() as session:
        addresses = _addresses(session, references)
        with ThreadPoolExecutor(PARALLEL) as pool:
            answers = list(pool.map(lambda a: _get(session, a), addresses))
    kind = references.kind or next(
        (_RECORDS[type(a)] for a in answers if not isinstance(a, str)), ""
    )
    failures: dict[str, str] = {}
    rows: list[int] = []
    for i, found in enumerate(answers):
        if isinstance(found, str):
            failures[str(references.ids[i])] = found
        elif _RECORDS[type(found)] != kind:
            failures[str(references.ids[i])] = f"the file holds {_RECORDS[type(found)]}, not {kind}"
        else:
            rows.append(i)
    if not rows:
        return None, failures
    parts = [answers[i] for i in rows]
    return (
        _cutouts(parts, references[np.array(rows)])
        if kind == "cutouts"
        else _light_curves(parts, references[np.array(rows)])
    ), failures


def _addresses(session: Session, references: References) -> list[tuple[str, str]]:
    """Return an address, or a reason why there is none, for each object."""
    linked = [is_datalink(str(f)) for f in references.formats]
    urls = references.urls.tolist()
    links = follow(session, [u for u, is_link in zip(urls, linked, strict=True) if is_link])
    return [
        _address(references, i, links[url]) if linked[i] else (url, "")
        for i, url in enumerate(urls)
    ]


def _address(references: References, i: int, links: Links) -> tuple[str, str]:
    placed = np.isfinite(references.ra[i]) and np.isfinite(references.dec[i])
    if links.cut and references.size_arcsec and placed:
        # SODA 1.0 section 3.3.2: CIRCLE is longitude, latitude, radius in degrees, ICRS; services
        # answer with the box that holds the circle.
        circle = (
            f"{references.ra[i]:.9f}+{references.dec[i]:.9f}+{references.size_arcsec / 7200:.9f}"
        )
        return f"{links.cut}&CIRCLE={circle}", ""
    if links.this:
        return links.this, ""
    return "", links.error or "the archive names no file for it"


def _get(session: Session, address: tuple[str, str]) -> Image | Series | str:
    """Return a decoded file, or the reason why there is none."""
    url, reason = address
    if not url:
        return reason
    try:
        return decode(download(session, url)[0])
    except AstroMLError as err:
        return str(err)


def _cutouts(images: Sequence[Any], references: References) -> Cutouts:
    """Stack images; smaller ones are padded with NaN, which is no data."""
    first: Image = images[0]
    planes = max(i.values.shape[0] for i in images)
    height = max(i.values.shape[1] for i in images)
    width = max(i.values.shape[2] for i in images)
    values = np.full((len(images), planes, height, width), np.nan, dtype=np.float32)
    for row, image in zip(values, images, strict=True):
        b, y, x = image.values.shape
        top, left = (height - y) // 2, (width - x) // 2
        row[:b, top : top + y, left : left + x] = image.values
    scales = np.array([i.pixel_scale for i in images])
    named = references.bands or first.bands
    return Cutouts(
        ids=references.ids,
        values=values,
        bands=named if len(named) == planes else tuple(str(k) for k in range(planes)),
        ra=references.ra,
        dec=references.dec,
        pixel_scale=np.where(np.isfinite(scales), scales, references.pixel_scale),
        flux_unit=references.flux_unit or first.flux_unit,
        wcs=np.array([i.wcs for i in images], dtype=object),
        simulated=any(i.simulated for i in images),
        meta=references.meta,
    )


def _light_curves(series: Sequence[Any], references: References) -> LightCurves:
    """Stack light curves; shorter ones are padded with NaN."""
    first: Series = series[0]
    width = max(1, *(len(s.time) for s in series))
    n = len(series)
    time = np.zeros((n, width))
    values, errors = (np.full((n, width), np.nan, dtype=np.float32) for _ in range(2))
    for i, s in enumerate(series):
        t = len(s.time)
        time[i, :t], values[i, :t], errors[i, :t] = s.time, s.values, s.errors
        time[i, t:] = s.time[-1] if t else 0.0
    unit = references.flux_unit or first.flux_unit
    return LightCurves(
        ids=references.ids,
        time=time,
        values=values,
        errors=errors,
        ra=references.ra,
        dec=references.dec,
        time_scale=first.time_scale,
        time_zero=first.time_zero,
        band=first.band,
        flux_unit=unit or "relative",
        simulated=any(s.simulated for s in series),
        meta=references.meta,
    )
