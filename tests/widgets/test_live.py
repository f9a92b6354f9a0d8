import asyncio
import threading

import bokeh
import pytest
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure

from jupyter_astroml.core.errors import SettingsError
from jupyter_astroml.widgets import live
from jupyter_astroml.widgets.live import Live, Stopped, Work, bokehjs


def test_without_a_loop_everything_happens_at_once():
    work, seen = Work(), []
    work.do(lambda progress: 6 * 7, then=seen.append, failed=seen.append)
    assert seen == [42]
    work.close()


def test_in_a_loop_the_call_is_in_a_thread_and_its_result_in_the_loop():
    where = {}

    async def main():
        work, done = Work(), asyncio.Event()

        def then(thread):
            where["call"], where["then"] = thread, threading.current_thread()
            done.set()

        work.do(lambda progress: threading.current_thread(), then=then, failed=then)
        assert not where
        await asyncio.wait_for(done.wait(), 5)
        work.close()

    asyncio.run(main())
    assert where["call"] is not where["then"]
    assert where["then"] is threading.main_thread()


def test_only_what_was_asked_for_last_is_shown_and_the_rest_is_stopped():
    seen, ends = [], []

    async def main():
        work, started = Work(), threading.Event()

        def long(progress):
            started.set()
            try:
                while True:
                    progress(1, 2)
            except Stopped:
                ends.append("stopped")
                raise

        work.begin()
        work.do(long, then=seen.append, failed=seen.append)
        await asyncio.to_thread(started.wait)
        work.begin()
        done = asyncio.Event()
        work.do(lambda progress: "new", then=lambda r: (seen.append(r), done.set()), failed=print)
        await asyncio.wait_for(done.wait(), 5)
        work.close()

    asyncio.run(main())
    assert seen == ["new"]
    assert ends == ["stopped"]


def test_progress_is_told_in_the_loop():
    told = []

    async def main():
        work, done = Work(), asyncio.Event()

        def call(progress):
            for i in range(3):
                progress(i, 3)

        work.do(
            call,
            then=lambda _: done.set(),
            failed=lambda _: done.set(),
            tell=lambda *now: told.append((*now, threading.current_thread())),
        )
        await asyncio.wait_for(done.wait(), 5)
        work.close()

    asyncio.run(main())
    # Three calls within a moment are told once.
    assert told == [(0, 3, threading.main_thread())]


def test_an_error_while_showing_is_shown_too():
    work, seen = Work(), []
    work.do(lambda progress: 1, then=lambda _: 1 / 0, failed=seen.append)
    assert isinstance(seen[0], ZeroDivisionError)
    work.close()


def test_a_page_gets_the_model_as_it_is_when_it_asks():
    source = ColumnDataSource({"x": [1], "y": [1]})
    plot = figure()
    plot.scatter("x", "y", source=source)
    widget = Live(plot)
    source.data = {"x": [123.25], "y": [1]}
    assert "123.25" in widget.get_state()["render_bundle"]
    widget.close()


def test_what_is_drawn_is_announced_to_the_kernel():
    from bokeh.events import DocumentReady

    widget, seen = Live(figure()), []
    widget.on_drawn(lambda: seen.append("drawn"))
    widget._document.callbacks.trigger_event(DocumentReady())
    assert seen == ["drawn"]
    widget.close()


def test_bokehjs_is_expected_where_our_server_says_that_it_serves_this_version(monkeypatch):
    monkeypatch.setenv(live.SERVED, bokeh.__version__)
    assert bokehjs() == "served"


@pytest.mark.parametrize("version", [None, "0.0.1"])
def test_bokehjs_is_written_into_the_page_where_nobody_serves_this_version(monkeypatch, version):
    monkeypatch.delenv(live.SERVED, raising=False)
    if version:
        monkeypatch.setenv(live.SERVED, version)
    written = []
    monkeypatch.setattr("bokeh.io.output_notebook", lambda how, **_: written.append(how))
    assert bokehjs() == "inline"
    assert written[0].mode == "inline"
    # Nothing that is not used: mathjax alone would add 1.8 MB.
    assert written[0].components == ["bokeh", "bokeh-widgets", "bokeh-tables"]


def test_another_way_to_get_bokehjs_is_an_error():
    with pytest.raises(SettingsError, match="'cdn'"):
        bokehjs("cdn")
