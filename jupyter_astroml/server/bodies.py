"""Reads what the panel sends into the records of `shapes`; nothing in it is believed."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from jupyter_astroml.core.errors import DataError

T = TypeVar("T")
# A query of the longest kind with its form; nobody types more.
MAX_BYTES = 100_000
_MAX_ITEMS = 1000


def read(kind: type[T], body: bytes) -> T:
    """Return the record that a body in JSON describes.

    Parameters
    ----------
    kind : type
        A dataclass of texts, whole numbers, records, and tuples of these.
    body : bytes
        An object with one member for each field.

    Raises
    ------
    DataError
        For anything else; names the place.
    """
    if len(body) > MAX_BYTES:
        raise DataError(f"The request is longer than {MAX_BYTES} bytes")
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as err:
        raise DataError("The request is no JSON", cause=str(err)[:200]) from err
    found: T = _read(kind, given, place="request")
    return found


def _read(kind: Any, given: Any, *, place: str) -> Any:
    if is_dataclass(kind) and isinstance(given, dict):
        hints = get_type_hints(kind)
        names = {field.name for field in fields(kind)}
        if set(given) != names:
            odd = ", ".join(sorted(names ^ set(given)))[:200]
            raise DataError(f"The {place} has other members than it should: {odd}")
        return kind(**{k: _read(hints[k], v, place=k) for k, v in given.items()})  # type: ignore[operator]
    if get_origin(kind) is tuple and isinstance(given, list) and len(given) <= _MAX_ITEMS:
        return tuple(_read(get_args(kind)[0], each, place=place) for each in given)
    # True is a whole number to Python, and not to anybody else.
    if kind in (str, int) and type(given) is kind:
        return given
    raise DataError(f"The {place} is not of the kind it should be")
