"""Bokeh figures that live in a notebook and answer to the kernel."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bokeh.document import Document
from jupyter_bokeh import BokehModel

from jupyter_astroml.core.errors import SettingsError

# Set by our server extension for the kernels that it starts: the version of the BokehJS that our
# labextension loads into the page.
SERVED = "JUPYTER_ASTROML_BOKEHJS"
Progress = Callable[[int, int], Any]

MODES = ("auto", "served", "inline")


def bokehjs(mode: str = "auto") -> str:
    """See to it that the page has BokehJS, which jupyter_bokeh does not bring.

    Parameters
    ----------
    mode : {"auto", "served", "inline"}
        ``"served"``: our labextension has loaded it from our own server.
        ``"inline"``: it is written into the output of this cell, which adds 2 MB to the notebook
        but works everywhere, offline too.
        ``"auto"``: served if our server extension says so for the bokeh of this kernel, else
        inline.

    Returns
    -------
    str
        Which of the two was used.

    Raises
    ------
    SettingsError
        For another word.
    """
    import bokeh

    if mode not in MODES:
        raise SettingsError(
            f"There is no way {mode!r} to get BokehJS", remedy=f"use one of {', '.join(MODES)}"
        )
    if mode == "auto":
        # The page and this kernel must speak the same version.
        mode = "served" if os.environ.get(SERVED) == bokeh.__version__ else "inline"
    if mode == "inline":
        from bokeh.io import output_notebook
        from bokeh.resources import Resources

        parts: Any = ["bokeh", "bokeh-widgets", "bokeh-tables"]
        output_notebook(Resources(mode="inline", components=parts), hide_banner=True)
    return mode


class Live(BokehModel):
    """A Bokeh model as a widget that is up to date wherever and whenever it is opened.

    jupyter_bokeh takes its picture of the model once, when the widget is made; a page that is
    loaded again, or a second view, would show that moment.
    """

    _listening = False

    def update_from_model(self, model: Any) -> None:
        """Take over a model; what a page needs of it is made when a page asks."""
        self._model = model
        if model.document is None:
            document = Document()
            document.add_root(model)
        model.document.on_change_dispatch_to(self)
        self._listening = True

    def close(self) -> None:
        """Take the widget away; closing it again, as its end does, is no error."""
        listening, self._listening = self._listening, False
        if listening:
            super().close()

    def get_state(self, key: Any = None, *args: Any, **options: Any) -> Any:
        """Return what a page needs to draw the model as it is now."""
        if key is None:
            # Past the traits on purpose: a change would make the pages that are up to date draw
            # everything anew.
            self._trait_values["render_bundle"] = self._model_to_traits(self._model)
        return super().get_state(key, *args, **options)

    def on_drawn(self, action: Callable[[], Any]) -> None:
        """Call `action` whenever a page has drawn the model.

        Changes that were sent before a page could take them are lost to it; here is the chance to
        send them again.
        """
        if self._document is not None:
            self._document.on_event("document_ready", lambda _: action())


class Stopped(Exception):  # noqa: N818 - not an error: nobody wants the result any more
    """Raised in slow work whose result is no longer wanted."""


class Work:
    """Slow calls beside the event loop; what is no longer wanted is stopped or dropped.

    In a running kernel the calls run in a thread, one after the other, and what follows them in the
    loop that asked, so that models are changed from one thread only.
    Without a loop (a script) everything happens at once.
    """

    # Seconds between two tellings of progress: a page needs no more.
    pause = 0.25

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="astroml-work")
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Stop and drop what was asked for before."""
        self._turn += 1

    def do(
        self,
        call: Callable[[Progress], Any],
        *,
        then: Callable[[Any], Any],
        failed: Callable[[Exception], Any],
        tell: Progress | None = None,
    ) -> None:
        """Run `call`, then hand its result to `then`, or its error to `failed`.

        Neither is called if there was a new `begin` since.

        Parameters
        ----------
        call : callable
            Gets a function ``progress(done, total)``, which it may call often; that raises
            `Stopped` when the result is no longer wanted.
        then, failed : callable
            Called with the result, or with the error.
        tell : callable, optional
            Called with the progress from time to time.
        """
        turn = self._turn

        def stale() -> bool:
            return turn != self._turn

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            result, error = _caught(lambda: call(lambda _done, _total: None))
            if not stale():
                _settle(result, error, then=then, failed=failed)
            return
        last = 0.0

        def progress(done: int, total: int) -> None:
            nonlocal last
            if stale():
                raise Stopped
            if tell is not None and time.monotonic() - last > self.pause:
                last = time.monotonic()
                loop.call_soon_threadsafe(lambda: None if stale() else tell(done, total))

        async def later() -> None:
            result, error = await loop.run_in_executor(
                self._threads,
                lambda: (None, None) if stale() else _caught(lambda: call(progress)),
            )
            if not stale():
                _settle(result, error, then=then, failed=failed)

        task = loop.create_task(later())
        # The loop itself keeps only weak references.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Drop what waits and end the thread."""
        self._turn += 1
        self._threads.shutdown(wait=False, cancel_futures=True)


def _caught(call: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return call(), None
    except Exception as err:  # noqa: BLE001 - a stranger's model may raise anything; it is shown
        return None, err


def _settle(
    result: Any,
    error: Exception | None,
    *,
    then: Callable[[Any], Any],
    failed: Callable[[Exception], Any],
) -> None:
    if error is None:
        # What is shown may fail too, and nobody else would see that.
        _, error = _caught(lambda: then(result))
    if error is not None:
        failed(error)
