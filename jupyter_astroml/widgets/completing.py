"""Tab in a cell of ``%%adql``: tables, columns, functions and keywords."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from jupyter_astroml import session
from jupyter_astroml.core.errors import AstroMLError

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_astroml.archives.archive import Archive

# The magic, and the rest of its line.
_HEAD = re.compile(r"%%adql\b([^\n]*)\n")
# Seconds that Tab waits for what an archive says of its tables; afterwards they are there.
_PATIENCE = 2.0


class Completing:
    """Completes queries in a shell; keeps the archives whose tables it has read."""

    def __init__(self) -> None:
        self._ready: dict[str, Archive] = {}
        self._reading: dict[str, threading.Thread] = {}

    def complete(self, cell: str, at: int) -> tuple[str, list[tuple[str, str]]] | None:
        """Return what of a cell would be replaced, and what by: texts and their kinds.

        Parameters
        ----------
        cell : str
            The whole cell, with its magic.
        at : int
            Characters before the cursor.

        Returns
        -------
        tuple or None
            None outside of a query, and while an archive has not said what it has.
        """
        head = _HEAD.match(cell)
        if head is None or at < head.end():
            return None
        name = _named(head[1])
        place = self._archive(name) if name is not None else None
        if place is None:
            return None
        query = cell[head.end() :]
        cursor = at - head.end()
        found = place.complete(query, cursor)
        return query[found.start : cursor], [(each.text, each.kind) for each in found.options]

    def _archive(self, name: str) -> Archive | None:
        if name not in self._ready:
            reading = self._reading.get(name)
            if reading is None or not reading.is_alive():
                reading = threading.Thread(
                    target=self._read, args=(name,), name="astroml-schema", daemon=True
                )
                self._reading[name] = reading
                reading.start()
            reading.join(_PATIENCE)
        return self._ready.get(name)

    def _read(self, name: str) -> None:
        try:
            with session.archive(name) as place:
                place.schema()
        except AstroMLError:
            # The query itself will say so, when it is asked.
            return
        self._ready[name] = place


def _named(line: str) -> str | None:
    """Return the archive that the magic is told, wherever it stands among the options.

    None for a line that the magic will refuse.
    """
    from IPython.core.error import UsageError
    from IPython.core.magic_arguments import parse_argstring

    from jupyter_astroml.widgets.magics import AdqlMagics

    try:
        return str(parse_argstring(AdqlMagics.adql, line).archive)
    except (UsageError, ValueError):
        return None


def complete_queries(shell: InteractiveShell) -> None:
    """Let Tab complete the queries of a shell."""
    completing = Completing()

    @context_matcher()
    def adql_matcher(context: CompletionContext) -> SimpleMatcherResult:
        lines = context.full_text.split("\n")
        at = sum(len(line) + 1 for line in lines[: context.cursor_line]) + context.cursor_position
        found = completing.complete(context.full_text, at)
        if found is None:
            return {"completions": []}
        replaced, options = found
        result: Any = {
            "completions": [SimpleCompletion(text=text, type=kind) for text, kind in options],
            "matched_fragment": replaced,
            "ordered": True,
            # Names of Python mean nothing in a query.
            "suppress": True,
        }
        return result

    completer = shell.Completer
    if completer is not None:
        completer.custom_matchers.append(adql_matcher)
