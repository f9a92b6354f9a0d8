"""``%%adql``: a cell that is a query."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from jupyter_astroml import session
from jupyter_astroml.core.errors import AstroMLError
from jupyter_astroml.widgets.completing import complete_queries

if TYPE_CHECKING:
    from astropy.table import Table
    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_astroml.archives.adql import Problem
    from jupyter_astroml.archives.archive import Archive


@magics_class
class AdqlMagics(Magics):
    """The cell magic ``%%adql``."""

    @magic_arguments()
    @argument(
        "archive", nargs="?", default="", help="name or TAP URL; that of the settings if empty"
    )
    @argument("-o", "--out", default="", help="name of the variable that gets the table")
    @argument("-a", "--async", dest="job", action="store_true", help="as a job of the archive")
    @argument("-n", "--maxrec", type=int, default=None, help="most rows")
    @cell_magic
    def adql(self, line: str, cell: str) -> Table | None:
        """Ask an archive what the cell says.

        The query is looked through first; what seems wrong is shown, and the archive decides.
        A job goes on at the archive when the cell is interrupted.
        ``{name}`` in the cell stands for the value of a variable of the notebook.
        """
        shell = self.shell
        if shell is None:
            raise UsageError("%%adql needs a running IPython")
        given = parse_argstring(self.adql, line)
        if given.out and not given.out.isidentifier():
            raise UsageError(f"{given.out!r} is no name of a variable")
        query = shell.var_expand(cell).strip()
        try:
            place = session.archive(given.archive)
            for problem in _looked_through(place, query):
                _say(f"Look at: {problem}\n{problem.marked(query)}".rstrip())
            table = place.query(
                query,
                mode="async" if given.job else "sync",
                maxrec=given.maxrec,
                progress=_say if given.job else None,
            )
        except AstroMLError as err:
            # The lines of this file tell a reader of the notebook nothing.
            raise UsageError(str(err)) from None
        except KeyboardInterrupt:
            if given.job:
                _say("The job goes on at the archive: archive.jobs()[0].table() waits for it")
            raise
        shell.user_ns[given.out or "_adql"] = table
        if given.out:
            print(f"{len(table)} rows in {given.out}")
        return None if given.out else table


def _looked_through(place: Archive, query: str) -> list[Problem]:
    """Return what seems wrong; an archive that cannot describe itself may still answer."""
    try:
        return place.check(query)
    except AstroMLError:
        return []


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics, and Tab in their cells: ``%load_ext jupyter_astroml``."""
    shell.register_magics(AdqlMagics)
    complete_queries(shell)
