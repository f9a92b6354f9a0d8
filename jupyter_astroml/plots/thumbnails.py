"""Small still pictures for pages: PNG for cutouts and maps, SVG for light curves."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from jupyter_astroml.core.records import Attributions, Cutouts, LightCurves

from .gallery import thumbnail
from .look import LABELS, LOWERS, RAISES, limit
from .maps import flat
from .pictures import colour, orientation

_OPACITY = 0.8


def data_url(samples: Any, index: int, attributions: Attributions | None = None) -> str:
    """Return a picture of one object as an address that holds the picture itself.

    Parameters
    ----------
    samples : Cutouts or LightCurves
        The data.
    index : int
        Row of the object in `samples`.
    attributions : Attributions, optional
        Of the same object, alone: its map is drawn over the picture.
    """
    if isinstance(samples, LightCurves):
        return _encoded("image/svg+xml", _curve(samples, index, attributions).encode())
    if attributions is not None:
        samples, index = attributions.samples, 0
    return _encoded("image/png", _png(samples, index, attributions))


def _encoded(kind: str, body: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(body).decode()}"


def _png(cutouts: Cutouts, index: int, attributions: Attributions | None) -> bytes:
    from PIL import Image

    pixels = colour(cutouts, index)
    if attributions is not None:
        drawn = flat(np.nan_to_num(attributions.maps[0]), signed=attributions.signed)
        strength = np.clip(np.abs(drawn) / limit(drawn), 0, 1)[..., None] * _OPACITY
        paint = np.where(drawn[..., None] > 0, _rgb(RAISES), _rgb(LOWERS))
        pixels[..., :3] = (pixels[..., :3] * (1 - strength) + paint * strength).astype(np.uint8)
    if orientation(cutouts, index).mirrored:
        pixels = pixels[:, ::-1]
    kept = io.BytesIO()
    # Rows of a picture run downwards.
    Image.fromarray(np.ascontiguousarray(pixels[::-1])).save(kept, format="PNG", optimize=True)
    return kept.getvalue()


def _rgb(code: str) -> np.ndarray:
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)])


def _curve(curves: LightCurves, index: int, attributions: Attributions | None) -> str:
    if attributions is not None:
        curves, index = attributions.samples, 0
    x, y = thumbnail(curves.time[index], curves.values[index])
    points = " ".join(f"{4 + 232 * a:.1f},{116 - 112 * b:.1f}" for a, b in zip(x, y, strict=True))
    marks = "" if attributions is None else _ticks(curves, attributions)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 120" width="240" height="120">'
        f'<rect width="240" height="120" fill="#ffffff"/>{marks}'
        f'<polyline points="{points}" fill="none" stroke="{LABELS[0]}" stroke-width="1.2"/></svg>'
    )


def _ticks(curves: LightCurves, attributions: Attributions) -> str:
    """Draw a shade below every cadence that counts, as strong as its attribution."""
    time = curves.time[0]
    drawn = np.nan_to_num(np.asarray(attributions.maps[0], dtype=float))
    strength = np.clip(np.abs(drawn) / limit(drawn), 0, 1)
    width = max(float(time[-1] - time[0]), 1e-12)
    step = max(232 / len(time), 0.6)
    return "".join(
        f'<rect x="{4 + 232 * (time[i] - time[0]) / width:.1f}" y="0" width="{step:.2f}" '
        f'height="120" fill="{RAISES if drawn[i] > 0 else LOWERS}" opacity="{strength[i]:.2f}"/>'
        for i in np.flatnonzero(strength > 0.1)
    )
