"""Runs that go on without the notebook: a process of their own does what is missing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from jupyter_astroml.compute.run import LOG, Progress, Run
from jupyter_astroml.core.errors import RunError

_TICK = 0.5
# The last words of a driver that failed.
_WORDS = 2000


def start(run: Run, *, arguments: tuple[str, ...] = ()) -> int:
    """Let a process of its own do what is missing in a run; return its id.

    It outlives this process, the terminal and the notebook, and writes to ``driver.log`` in the
    run.

    Parameters
    ----------
    run : Run
        Nobody may drive it.
    arguments : tuple of str
        More of ``jupyter astroml resume``, such as the engine.

    Raises
    ------
    RunError
        If somebody drives the run.
    """
    if run.driver():
        raise RunError(
            f"The run {run.folder.name} is already being driven", remedy="wait for it, or stop it"
        )
    command = [sys.executable, "-m", "jupyter_astroml", "resume", str(run.folder), "--quiet"]
    with (run.folder / LOG).open("wb") as log:
        made = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A signal to the notebook's group, such as its end, is not for it.
            start_new_session=True,
        )
    # Somebody must take note of its end, or it stays in the list of processes.
    ended = threading.Thread(target=made.wait, name="astroml-detached", daemon=True)
    ended.start()
    _await(lambda: run.driver() is not None or not ended.is_alive(), seconds=60.0)
    return made.pid


def watch(
    run: Run,
    *,
    progress: Callable[[Progress], Any] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Progress:
    """Wait until nobody drives a run any more.

    Parameters
    ----------
    run : Run
        Driven by any process of this machine.
    progress : callable, optional
        Called with a `Progress` twice a second.
    cancel : callable, optional
        Asked as often; when it is true, this stops to watch, and the run goes on.

    Raises
    ------
    RunError
        If its driver ended before the run did, and the cause is what it said last; or if it was
        paused.
    """
    begin, first = time.monotonic(), run.progress()
    while True:
        driven = run.driver() is not None
        at = run.progress()
        new = at.done - first.done
        left = (time.monotonic() - begin) / new * (at.total - at.done) if new else None
        if progress is not None:
            progress(replace(at, eta=left))
        if at.finished or (cancel is not None and cancel()):
            return at
        if not driven and run.paused:
            raise run.waits()
        if not driven:
            raise RunError(
                f"The run {run.folder.name} stopped after {at.done} of {at.total} objects",
                cause=_last_words(run),
                remedy="aml.resume(run) does what is missing",
            )
        time.sleep(_TICK)


def stop(run: Run, *, seconds: float = 60.0) -> Progress:
    """Ask the process that drives a run to stop; what was done is kept.

    Parameters
    ----------
    run : Run
        Driven on this machine, by a process of its own or by a command of the shell: whatever
        else drives it, such as the kernel of another notebook, would not survive.
    seconds : float
        Time that it has to write what arrived and to give back its workers.

    Raises
    ------
    RunError
        If it runs elsewhere, in a notebook or a program, or does not stop.
    """
    driver = run.driver()
    if driver is None:
        return run.progress()
    if driver.get("host") != socket.gethostname():
        raise RunError(
            f"The run {run.folder.name} is driven on {str(driver.get('host'))[:80]}",
            remedy="stop it there",
        )
    pid = driver.get("pid")
    if not isinstance(pid, int) or pid <= 1 or pid == os.getpid():
        raise RunError(
            f"The run {run.folder.name} is driven by this process",
            remedy="interrupt the cell that runs it",
        )
    if not driver.get("stops"):
        raise RunError(
            f"The run {run.folder.name} is driven by a notebook or a program, the process {pid}",
            cause="it would be ended with all that it holds",
            remedy="interrupt it there: the stop button of that notebook, or Ctrl-C",
        )
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not _await(lambda: run.driver() is None, seconds=seconds):
        raise RunError(f"The process {pid} does not stop", remedy="try again, or end it yourself")
    return run.progress()


def pause(run: Run, *, seconds: float = 60.0) -> Progress:
    """Pause a run, and wait until its driver has given back what it held.

    Parameters
    ----------
    run : Run
        Driven by any process of any machine that shares its folder, a notebook included; or by
        nobody.
    seconds : float
        Time that the driver has for the block that it is at.

    Raises
    ------
    RunError
        If its driver does not end, or the folder cannot be written.
    """
    run.pause()

    def over() -> bool:
        driver = run.driver()
        if driver and not run.paused:
            # It had just begun, and took the wish for an old one.
            run.pause()
        # Who drives it in this process sees the wish when we return.
        return driver is None or driver.get("pid") == os.getpid()

    if not _await(over, seconds=seconds):
        raise RunError(
            f"The run {run.folder.name} is still at its block",
            remedy="wait a little: it pauses when the block is done",
        )
    return run.progress()


def _await(true: Callable[[], bool], *, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _last_words(run: Run) -> str:
    try:
        text = (run.folder / LOG).read_bytes()[-_WORDS:].decode("utf-8", "replace")
    except OSError:
        return "its process was ended"
    return " ".join(text.split())[-400:] or "its process was ended"
