"""Plain FITS images, one HDU and no compression: the way that most cutouts take.

astropy needs ten times as long for the header of a small cutout as for its pixels, and cutouts of
one field differ in their reference pixel alone.
So a header is read by astropy once for a field; what is odd in any way is left to it altogether.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

_CARD, _BLOCK = 80, 2880
_END = b"END".ljust(_CARD)
# An END that is not quite one, or a value that goes on in the next card (FITS 4.0 section 4.2.1.2).
_ODD = re.compile(rb"END(?![A-Z0-9_-])|CONTINUE")
# What differs from one cutout of a field to the next, and what is for people.
OWN = (b"CRPIX1  ", b"CRPIX2  ", b"HISTORY ", b"COMMENT ")
_NUMBER = re.compile(rb"= +(-?(?:0|[1-9]\d*)(?:\.\d*)?(?:E[+-]?\d+)?) *(?:/.*)?")
# Headers of more bytes are not remembered.
LONGEST = 64 * _BLOCK


class Header(NamedTuple):
    """The header of a plain image.

    Attributes
    ----------
    shared : bytes
        Cards that all cutouts of the field have.
    pixel : tuple of float
        Reference pixel (CRPIX1, CRPIX2).
    size : int
        Bytes until the data begin.
    """

    shared: bytes
    pixel: tuple[float, float]
    size: int


def header(body: bytes) -> Header | None:
    """Return the first header of a FITS file, taken apart; None where it is not plain."""
    end = body.find(_END, 0, LONGEST)
    size = end + -end % _BLOCK if end % _BLOCK else end + _BLOCK
    if end < 0 or end % _CARD or body[end:size].strip(b" ") != b"END":
        return None
    cards = [body[at : at + _CARD] for at in range(0, end, _CARD)]
    own = [card for card in cards if card.startswith(OWN[:2])]
    pixel = tuple(number for name in OWN[:2] for number in _numbers(own, name))
    if len(own) != 2 or len(pixel) != 2 or any(map(_ODD.match, cards)):
        return None
    shared = b"".join(card for card in cards if not card.startswith(OWN))
    return Header(shared, pixel, size) if shared.isascii() else None


def closed(cards: bytes) -> bytes:
    """Return a whole header with these cards."""
    header = cards + _END
    return header.ljust(len(header) + -len(header) % _BLOCK)


def _numbers(cards: list[bytes], name: bytes) -> list[float]:
    """Return the finite numbers in the cards of a name, as they are usually written."""
    texts = [_NUMBER.fullmatch(card[len(name) :]) for card in cards if card.startswith(name)]
    numbers = [float(text[1]) for text in texts if text]
    return [number for number in numbers if math.isfinite(number)]
