"""The figures of a README: how good the answers are, and the objects that were judged worst.

`judged` needs matplotlib, which the package itself does not: figures are drawn by those who train.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_astroml.core.errors import DataError, MissingExtraError
from jupyter_astroml.zoo import scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JUDGED, WORST = "judged.png", "worst.jpg"
# Colours that the colour-blind tell apart (Okabe & Ito 2008).
NETWORK, BASELINE = "#0072b2", "#d55e00"
# A sheet is no gallery: a few small pictures.
MOST_SHOWN, MOST_BYTES = 8, 60_000
# Pixels of a line of words, and around a picture.
_LINE, _EDGE = 13, 4


def figure(width: float, height: float) -> Figure:
    """Return an empty figure that needs no display.

    Parameters
    ----------
    width, height : float
        Inches, of 90 pixels.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as err:
        raise MissingExtraError(
            "Figures need matplotlib", cause=str(err), remedy="pip install matplotlib"
        ) from err
    found = Figure(figsize=(width, height), dpi=90, layout="constrained")
    FigureCanvasAgg(found)
    return found


def judged(path: Path, found: Mapping[str, Any]) -> None:
    """Draw how often answers of a confidence are right, and which classes are mistaken for which.

    Parameters
    ----------
    path : Path
        Of the PNG.
    found : mapping
        From `jupyter_astroml.zoo.scores.curves`.
    """
    page = figure(7.0, 3.3)
    left, right = page.subplots(1, 2)
    _reliability(left, found["reliability"])
    if "characteristic" in found:
        _characteristic(right, found["characteristic"], names=found["names"])
    else:
        _confusion(right, np.array(found["confusion"]), names=found["names"])
    page.savefig(path, metadata={"Software": None})


def _reliability(panel: Any, found: Mapping[str, Sequence[Sequence[float]]]) -> None:
    panel.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    for who, (colour, style) in _STYLES.items():
        said, right, n = np.array(found[who]).T
        # One standard deviation of a binomial; the smoothed share keeps it open at 0 and 1.
        near = (n * right + 1) / (n + 2)
        panel.errorbar(
            said, right, yerr=np.sqrt(near * (1 - near) / n), fmt=style, color=colour, capsize=2,
            markersize=4, linewidth=1, label=who,
        )  # fmt: skip
    panel.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="probability of the answer")
    panel.set_ylabel("share that is right")
    panel.grid(alpha=0.3)
    panel.legend(loc="upper left", fontsize=8)


def _characteristic(
    panel: Any, found: Mapping[str, Sequence[float]], *, names: Sequence[str]
) -> None:
    for who, (colour, style) in _STYLES.items():
        panel.plot(
            scores.FALSE_SHARES, found[who], style[1:], color=colour, linewidth=1.5, label=who
        )
    panel.set(xlim=(0, 1), ylim=(0, 1.03), xlabel=f"share of '{names[0]}' called '{names[1]}'")
    panel.set_ylabel(f"share of '{names[1]}' that is found")
    panel.grid(alpha=0.3)


def _confusion(panel: Any, counts: np.ndarray, *, names: Sequence[str]) -> None:
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    panel.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), n in np.ndenumerate(counts):
        colour = "white" if share[row, column] > 0.5 else "black"
        panel.text(column, row, f"{n}", ha="center", va="center", color=colour, fontsize=9)
    words = [name.replace("_", "-") for name in names]
    panel.set_xticks(range(len(words)), words, fontsize=8)
    panel.set_yticks(range(len(words)), words, fontsize=8)
    panel.set(xlabel="answer of the network", ylabel="label")


_STYLES = {"network": (NETWORK, "o-"), "baseline": (BASELINE, "s--")}


def sheet(
    path: Path,
    pictures: Sequence[np.ndarray],
    words: Sequence[Sequence[str]],
    *,
    columns: int = 4,
    side: int = 128,
) -> None:
    """Draw objects side by side with a few words under each.

    Parameters
    ----------
    path : Path
        Of the JPEG, which has at most `MOST_BYTES`.
    pictures : sequence of ndarray of uint8, shape (y, x) or (y, x, 3)
        Grey or colour levels, the upper row first; the first `MOST_SHOWN` are drawn.
    words : sequence of sequence of str
        Lines under each.
    columns : int
        Pictures in a row.
    side : int
        Height of a picture on the sheet, pixels.

    Raises
    ------
    DataError
        If there is no picture.
    """
    from PIL import Image, ImageDraw, ImageFont

    shown = [_scaled(picture, side=side) for picture in pictures[:MOST_SHOWN]]
    if not shown:
        raise DataError("There is no picture to show")
    lines = max(len(each) for each in words)
    font = ImageFont.load_default(11)
    longest = max(font.getlength(line) for each in words for line in each)
    wide = max(*(picture.width for picture in shown), int(longest)) + 2 * _EDGE
    high = side + _LINE * lines + 3 * _EDGE
    rows = -(-len(shown) // columns)
    page = Image.new("RGB", (min(columns, len(shown)) * wide, rows * high), "white")
    pen = ImageDraw.Draw(page)
    for i, (picture, each) in enumerate(zip(shown, words, strict=False)):
        x, y = (i % columns) * wide + _EDGE, (i // columns) * high + _EDGE
        page.paste(picture, (x, y))
        for k, line in enumerate(each):
            pen.text((x, y + side + 2 + k * _LINE), line, fill="black", font=font)
    path.write_bytes(small(page))


def words_of(found: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the lines under the rows of `jupyter_astroml.zoo.folds.worst`."""
    return [
        [
            w["id"],
            f"{w['label']}, called {w['answer']}".replace("_", "-"),
            f"p({w['label']}) = {w['p_label']:.4f}".replace("_", "-"),
        ]
        for w in found
    ]


def _scaled(picture: np.ndarray, *, side: int) -> Any:
    from PIL import Image

    drawn = Image.fromarray(np.ascontiguousarray(picture)).convert("RGB")
    if drawn.height == side:
        return drawn
    # Pixels of a survey stay visible.
    return drawn.resize((round(side * drawn.width / drawn.height), side), Image.Resampling.NEAREST)


def small(page: Any) -> bytes:
    """Return a JPEG of at most `MOST_BYTES`, of the best quality; else of the least one.

    Parameters
    ----------
    page : PIL.Image.Image
        Without transparency.
    """
    for quality in (90, 80, 70, 60, 50):
        stream = io.BytesIO()
        page.save(stream, format="JPEG", quality=quality, optimize=True)
        if stream.tell() <= MOST_BYTES:
            break
    return stream.getvalue()


def levels(plane: np.ndarray, *, low: float | None = None, high: float | None = None) -> np.ndarray:
    """Return grey levels of an image whose bright parts would hide the faint ones.

    Parameters
    ----------
    plane : ndarray, shape (y, x)
        Any linear unit; missing pixels become black.
    low, high : float, optional
        What is black and white; by default a little under the sky, and the brightest pixels.

    Returns
    -------
    ndarray of uint8, shape (y, x)
    """
    floor, top = np.nanquantile(plane, [0.02, 0.998]) if np.isfinite(plane).any() else (0.0, 1.0)
    low, high = floor if low is None else low, top if high is None else high
    shown = np.arcsinh(10 * np.clip((plane - low) / max(high - low, 1e-30), 0, 1))
    return np.rint(255 * np.nan_to_num(shown) / np.arcsinh(10)).astype(np.uint8)


def colours(planes: np.ndarray) -> np.ndarray:
    """Return the levels of a picture of shape (3, y, x), red first, 0 to 1, as (y, x, 3)."""
    shown = np.clip(np.nan_to_num(planes), 0, 1)
    return np.rint(255 * shown).astype(np.uint8).transpose(1, 2, 0)
