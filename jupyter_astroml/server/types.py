"""Write the TypeScript types of the server's answers: ``python -m jupyter_astroml.server.types``.

One side is written by hand (`jupyter_astroml.server.shapes`) and the other is made from it, so that
the panel cannot believe in a field that the server does not send.
"""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass
from inspect import getdoc
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from jupyter_astroml.server.shapes import ANSWERS

HEAD = "// Made by `python -m jupyter_astroml.server.types` from server/shapes.py: do not edit.\n"
WORDS = {str: "string", float: "number", int: "number", bool: "boolean", NoneType: "null"}


def typescript() -> str:
    """Return the text of ``labextension/src/api/types.ts``."""
    found: dict[str, str] = {}
    for answer in ANSWERS:
        _declare(answer, found)
    return HEAD + "".join(f"\n{text}" for text in found.values())


def _declare(record: type, found: dict[str, str]) -> None:
    if record.__name__ in found:
        return
    hints = get_type_hints(record)
    lines = [
        f"  readonly {field.name}: {_spell(hints[field.name], found)};" for field in fields(record)
    ]
    summary = (getdoc(record) or "").splitlines()[0]
    found[record.__name__] = "\n".join(
        [f"/** {summary} */", f"export interface I{record.__name__} {{", *lines, "}", ""]
    )


def _spell(kind: Any, found: dict[str, str]) -> str:
    if kind in WORDS:
        return WORDS[kind]
    if get_origin(kind) is UnionType:
        return " | ".join(_spell(each, found) for each in get_args(kind))
    if get_origin(kind) is tuple:
        return f"ReadonlyArray<{_spell(get_args(kind)[0], found)}>"
    if is_dataclass(kind) and isinstance(kind, type):
        _declare(kind, found)
        return f"I{kind.__name__}"
    raise TypeError(f"{kind} has no TypeScript spelling here")


def main() -> None:
    """Write the file whose path is given."""
    Path(sys.argv[1]).write_text(typescript(), encoding="utf-8")


if __name__ == "__main__":
    main()
