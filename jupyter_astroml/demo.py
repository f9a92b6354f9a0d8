"""The main job on the simulated demo sky: in JupyterLab, or headless with a report."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from jupyter_astroml import session
from jupyter_astroml.core.errors import RunError

Say = Callable[[str], object]

# One question for each kind of data: a model, and the rows that it is for.
QUESTIONS = {
    "galaxy_morphology": "SELECT TOP {n} * FROM demo.galaxies ORDER BY mag_r",
    "flares": "SELECT TOP {n} * FROM demo.stars ORDER BY tmag",
}
REPORT = "report.html"


def headless(folder: Path, *, objects: int = 60, say: Say = print) -> Path:
    """Query, predict, explain and report, without a browser.

    Parameters
    ----------
    folder : Path
        Gets the runs and ``report.html``.
    objects : int
        Objects of each kind.
    say : callable
        Gets what a user should read.

    Returns
    -------
    Path
        The report.
    """
    folder.mkdir(parents=True, exist_ok=True)
    say("1. Archive: starting the simulated demo sky on this machine (built on first use)")
    archive = session.archive("demo")
    runs = []
    for model, question in QUESTIONS.items():
        adql = question.format(n=objects)
        say(f"\n2. Query: {adql}")
        rows = archive.query(adql)
        say(f"   {len(rows)} rows from {archive.url}")
        say(f"3. Predict: {model}")
        made = session.predict(rows, model=model, run=_free(folder / f"run-{model}"))
        found = made.predictions(arrays=False)
        table = found.to_table()
        shown = [c for c in table.colnames if c not in ("ra", "dec", "status", "disagreement")]
        say("\n".join(table[shown].pformat(max_lines=16, max_width=150)))
        failed = len(found) - int(found.ok.sum())
        say(f"   {len(found)} objects, {failed} without an answer, in {made.folder}")
        runs.append(made)
    say("\n4. Explain and draw")
    for made in runs:
        doubtful = session.least_sure(made.predictions(arrays=False), n=2)
        if not len(doubtful):
            say("   nothing to explain: no object was answered")
            continue
        for words in session.describe(session.explain(made, ids=doubtful)):
            say(f"   {words}")
    report = session.report(runs, folder / REPORT)
    say(f"\n5. Report: {report}")
    return report


def in_browser(folder: Path, *, say: Say = print) -> None:
    """Open the quick-start notebook in JupyterLab, with the demo archive at hand.

    Parameters
    ----------
    folder : Path
        Becomes the root of the file browser; gets a copy of the notebook, unless one is there.
    say : callable
        Gets what a user should read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    notebook = folder / "quickstart.ipynb"
    if not notebook.exists():
        shutil.copy(quickstart(), notebook)
    say("Starting the simulated demo sky on this machine (built on first use)")
    archive = session.archive("demo")
    say(f"Demo archive: {archive.url}")
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder.resolve()}"]
    command += [f"--LabApp.default_url=/lab/tree/{notebook.name}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # Containers run as root; Jupyter asks to be told that this is meant.
        command += ["--allow-root"]
    raise SystemExit(subprocess.run(command, check=False).returncode)


def quickstart() -> Path:
    """Return the quick-start notebook, from the installed package or from its sources."""
    here = Path(__file__).parent
    for place in (here / "quickstart.ipynb", here.parent / "notebooks" / "quickstart.ipynb"):
        if place.is_file():
            return place
    raise RunError("The quick-start notebook is missing", remedy="install jupyter_astroml again")


def _free(folder: Path) -> Path:
    """Return the folder, or one with a number when it is taken."""
    if not folder.exists():
        return folder
    return next(
        p for n in range(2, 10_000) if not (p := folder.with_name(f"{folder.name}-{n}")).exists()
    )
