"""Show models: a gallery for notebooks, and a page for the documentation.

All of it is made from the cards, the facts and the stored inputs, so that a new model appears by
itself and no figure is typed by hand.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.models.cards import REPLAY, InputContract

if TYPE_CHECKING:
    from jupyter_astroml.models.catalogue import Entry

# Width of a picture, pixels.
_WIDTH = 128
# Stored inputs are a handful; what is larger was not written by us.
_MOST_BYTES = 50_000_000
# Side of a picture that is drawn.
_MOST_PIXELS = 4096


def picture(entry: Entry) -> bytes:
    """Draw the first stored input of a model.

    Parameters
    ----------
    entry : Entry
        A model of the catalogue.

    Returns
    -------
    bytes
        A PNG; empty where the model stores no input that can be drawn.
    """
    path = entry.folder / REPLAY
    try:
        if path.stat().st_size > _MOST_BYTES:
            return b""
        with np.load(path, allow_pickle=False) as stored:
            # What an emulator is given are the labels of a star.
            shown = stored["logits"][0] if entry.card.task == "emulate" else stored["values"]
            values = np.asarray(shown, dtype=np.float64)
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return b""
    if not values.size or (values.ndim == 4 and max(values.shape[2:]) > _MOST_PIXELS):
        return b""
    if values.ndim == 4:
        return _png(_image(values[0], entry.card.input))
    if values.ndim == 2 and values.shape[1] > 1:
        # The liveliest one shows best what the model looks for.
        return _png(_curve(values[np.ptp(values, axis=1).argmax()]))
    return b""


def _image(planes: np.ndarray, asked: InputContract) -> np.ndarray:
    """Return levels 0 to 255 of shape (y, x, 3): one picture, or its planes in a row."""
    parts = np.split(planes, len(planes)) if asked.planes == "images" else [_coloured(planes)]
    if asked.flux_unit != "picture":
        parts = [_stretched(part) for part in parts]
    shown = np.concatenate(parts, axis=-1)
    shown = shown if len(shown) == 3 else np.repeat(shown, 3, axis=0)
    return np.rint(255 * np.clip(np.nan_to_num(shown), 0, 1)).astype(np.uint8).transpose(1, 2, 0)


def _coloured(planes: np.ndarray) -> np.ndarray:
    """Return the three planes that stand clearest above their noise, or the clearest one."""
    flat = planes.reshape(len(planes), -1)
    light = flat - np.nanmedian(flat, axis=1, keepdims=True)
    noise = np.maximum(np.nanmedian(np.abs(light), axis=1), 1e-30)
    # A plane that nobody observed is of equal pixels, and shows nothing.
    clear = np.nanquantile(light, 0.998, axis=1) / noise
    best = np.argsort(-clear, kind="stable")[: 3 if len(planes) >= 3 else 1]
    return planes[np.sort(best)]


def _stretched(planes: np.ndarray) -> np.ndarray:
    low, high = np.nanquantile(planes, [0.02, 0.998])
    return np.arcsinh(10 * (planes - low) / max(high - low, 1e-30)) / np.arcsinh(10)


def _curve(values: np.ndarray) -> np.ndarray:
    from PIL import Image, ImageDraw

    width, height = 2 * _WIDTH, _WIDTH
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    x = np.linspace(4, width - 5, len(values))
    y = height - 6 - (values - low) / max(high - low, 1e-30) * (height - 12)
    page = Image.new("RGB", (width, height), "white")
    points = [(float(a), float(b)) for a, b in zip(x, y, strict=True) if np.isfinite(b)]
    ImageDraw.Draw(page).line(points, fill="#0072b2", width=1)
    return np.asarray(page)


def _png(levels: np.ndarray) -> bytes:
    from PIL import Image

    drawn = Image.fromarray(levels)
    if drawn.height != _WIDTH:
        drawn = drawn.resize((round(_WIDTH * drawn.width / drawn.height), _WIDTH))
    stream = io.BytesIO()
    drawn.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def gallery(entries: Iterable[Entry]) -> str:
    """Return HTML with one tile a model: picture, name, task, main metric and what it needs."""
    tiles = "".join(_tile(entry) for entry in entries)
    if not tiles:
        return "<p>No model suits; <code>aml.models()</code> lists them all.</p>"
    return f"<div style='display:flex;flex-wrap:wrap;gap:12px'>{tiles}</div>"


def _tile(entry: Entry) -> str:
    card = entry.card
    drawn = picture(entry)
    shown = ""
    if drawn:
        code = base64.b64encode(drawn).decode()
        words = f"A stored input of {card.id}"
        shown = (
            f"<img src='data:image/png;base64,{code}' alt='{html.escape(words)}' "
            f"style='height:{_WIDTH}px;max-width:100%'>"
        )
    lines = {
        "Task": f"{card.task}: {', '.join(card.outputs.names)}",
        "Measured": card.key_metric,
        "Needs": card.input.words,
    }
    told = "".join(f"<div><b>{name}:</b> {html.escape(text)}</div>" for name, text in lines.items())
    return (
        "<div style='width:280px;border:1px solid #8888;border-radius:4px;padding:8px'>"
        f"{shown}<div><code>{html.escape(entry.name)}</code> {html.escape(card.version)}</div>"
        f"<div>{html.escape(card.title)}</div><small>{told}</small></div>"
    )


PAGE = "zoo.md"
_HEAD = """# The zoo

What the package brings.
Made from the cards by `jupyter astroml models page docs`: correct a card, not this page.
Figures are those of `jupyter astroml evaluate` on objects that training did not see, with their
95 % interval and the baseline's on the same objects.

"""


def write_page(entries: Iterable[Entry], folder: Path) -> Path:
    """Write a page in Markdown with one row a model, and their pictures beside it.

    Parameters
    ----------
    entries : iterable of Entry
        Models, in the order of the rows.
    folder : Path
        Gets ``zoo.md``, and ``zoo/<name>.png``.

    Returns
    -------
    Path
        The page.
    """
    found = list(entries)
    pictures = folder / "zoo"
    pictures.mkdir(parents=True, exist_ok=True)
    rows = ["| | model | answers | needs | measured | baseline |", "|---|---|---|---|---|---|"]
    for entry in found:
        drawn = picture(entry)
        if drawn:
            (pictures / f"{entry.name}.png").write_bytes(drawn)
        rows.append(_row(entry, folder, has_picture=bool(drawn)))
    details = [_section(entry) for entry in found]
    page = folder / PAGE
    page.write_text(_HEAD + "\n".join(rows) + "\n" + "".join(details), encoding="utf-8")
    return page


def _row(entry: Entry, folder: Path, *, has_picture: bool) -> str:
    import os

    card = entry.card
    measured: dict[str, Any] = card.facts.evaluation if card.facts else {}
    usual = measured.get("baseline_value")
    cells = [
        f"![A stored input of {entry.name}](zoo/{entry.name}.png)" if has_picture else "",
        f"[`{entry.name}`]({Path(os.path.relpath(entry.folder, folder)).as_posix()}/README.md)"
        f"<br>{_cell(card.title)}",
        _cell(f"{card.task}: {', '.join(card.outputs.names)}"),
        _cell(card.input.words),
        _cell(card.key_metric),
        "" if usual is None else f"{usual:.3f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    return html.escape(text, quote=False).replace("|", "\\|").replace("\n", " ")


def _section(entry: Entry) -> str:
    card = entry.card
    lines = [
        "",
        f"## {_cell(card.title)}",
        "",
        _cell(card.description.strip()),
        "",
        f"Baseline: {_cell(card.baseline)}.",
        "",
        *(f"- {_cell(limit)}" for limit in card.limits),
        "",
        "Cite: " + "; ".join(_cell(citation.text) for citation in card.citations) + ".",
        "",
    ]
    return "\n".join(lines)
