"""Bokeh figures that live in a notebook and answer to the kernel."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bokeh.document import Document
from jupyter_bokeh import BokehModel

from jupyter_astroml.core.errors import SettingsError

# Set by our server extension for the kernels that it starts: the version of the BokehJS that our
# labextension loads into the page.
SERVED = "JUPYTER_ASTROML_BOKEHJS"
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

    def update_from_model(self, model: Any) -> None:
        """Take over a model; what a page needs of it is made when a page asks."""
        self._model = model
        if model.document is None:
            document = Document()
            document.add_root(model)
        model.document.on_change_dispatch_to(self)

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


class Work:
    """Slow calls beside the event loop; what is no longer wanted is dropped.

    In a running kernel the calls run in a thread, one after the other, and what follows them in the
    loop that asked, so that models are changed from one thread only.
    Without a loop (a script) everything happens at once.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="astroml-work")
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Drop what was asked for before."""
        self._turn += 1

    def do(
        self,
        call: Callable[[], Any],
        *,
        then: Callable[[Any], Any],
        failed: Callable[[Exception], Any],
    ) -> None:
        """Run `call`, then hand its result to `then`, or its error to `failed`.

        Neither is called if there was a new `begin` since.
        """
        turn = self._turn

        def stale() -> bool:
            return turn != self._turn

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            _finish(call, then=then, failed=failed, stale=stale)
            return
        task = loop.create_task(self._later(call, then=then, failed=failed, stale=stale))
        # The loop itself keeps only weak references.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _later(
        self,
        call: Callable[[], Any],
        *,
        then: Callable[[Any], Any],
        failed: Callable[[Exception], Any],
        stale: Callable[[], bool],
    ) -> None:
        loop = asyncio.get_running_loop()

        def run() -> tuple[Any, Exception | None]:
            if stale():
                return None, None
            return _caught(call)

        result, error = await loop.run_in_executor(self._threads, run)
        if not stale():
            _settle(result, error, then=then, failed=failed)

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


def _finish(
    call: Callable[[], Any],
    *,
    then: Callable[[Any], Any],
    failed: Callable[[Exception], Any],
    stale: Callable[[], bool],
) -> None:
    result, error = _caught(call)
    if not stale():
        _settle(result, error, then=then, failed=failed)
