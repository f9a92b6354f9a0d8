"""``aml.monitor(run)``: how far a run is, with buttons, while the notebook stays free."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets

from jupyter_astroml import session
from jupyter_astroml.core.errors import AstroMLError

if TYPE_CHECKING:
    from jupyter_astroml.compute.run import Run

# Between two looks, in seconds.
_TICK = 1.0


class RunMonitor(ipywidgets.VBox):
    """A run that any process drives, or none.

    In a notebook it follows the run until that is done; in a script it shows one moment.

    Attributes
    ----------
    run : Run
    state : str
        ``"running"``, ``"paused"``, ``"stopped"`` or ``"done"``.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.state = self._error = ""
        self.bar = ipywidgets.IntProgress(max=len(run))
        self.pause = ipywidgets.Button(description="Pause", tooltip="Free the cores and workers")
        self.resume = ipywidgets.Button(description="Resume", tooltip="In a process of its own")
        self.told = ipywidgets.HTML()
        self.pause.on_click(lambda _: self._do(self.run.pause))
        self.resume.on_click(lambda _: self._do(self._resume))
        super().__init__([ipywidgets.HBox([self.bar, self.pause, self.resume]), self.told])
        # A loop keeps only weak references to its tasks.
        self._tasks: set[asyncio.Task[None]] = set()
        self._show(self._look())
        self._in_loop(self._follow)

    def _look(self) -> dict[str, Any]:
        return self.run.summary

    def _show(self, found: dict[str, Any]) -> None:
        self.state = found["state"]
        self.bar.value = found["done"]
        failed = f", {found['failed']} failed" if found["failed"] else ""
        text = f"{found['name']}: {self.state}, {found['done']} of {found['total']}{failed}"
        self.told.value = escape(f"{text}. {self._error}" if self._error else text)
        self.pause.disabled = self.state != "running"
        self.resume.disabled = self.state not in ("paused", "stopped")

    async def _follow(self) -> None:
        while self.state != "done":
            await asyncio.sleep(_TICK)
            self._show(await asyncio.to_thread(self._look))

    def _do(self, action: Callable[[], Any]) -> None:
        """Run what a button asks for, beside the loop: a process takes a moment to start."""
        self.pause.disabled = self.resume.disabled = True

        def done() -> dict[str, Any]:
            self._error = ""
            try:
                action()
            except AstroMLError as err:
                self._error = str(err)
            return self._look()

        async def later() -> None:
            self._show(await asyncio.to_thread(done))

        if not self._in_loop(later):
            self._show(done())

    def _resume(self) -> None:
        session.resume(self.run, detach=True)

    def _in_loop(self, work: Callable[[], Any]) -> bool:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        task = loop.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True


def monitor(run: Run | Path | str) -> RunMonitor:
    """Watch a run with a bar and two buttons, and go on working in the notebook.

    Parameters
    ----------
    run : Run, Path or str
        As for `jupyter_astroml.open_run`; best one that was made with ``detach=True``: a cell that
        drives a run itself keeps the kernel from hearing a button.

    Returns
    -------
    RunMonitor
        A widget.

    Raises
    ------
    RunError
        If there is no such run.
    """
    return RunMonitor(session.open_run(run))
