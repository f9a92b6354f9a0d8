"""Two users of a hub, each in a browser of their own, run a model on the pool at the same time."""

import itertools
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import nbformat
import numpy as np
import pytest
from playwright.sync_api import expect

expect.set_options(timeout=60_000)
CELLS = (
    'import jupyter_astroml as aml\n\nrows = aml.archive("demo").query('
    '"SELECT TOP 300 * FROM demo.galaxies ORDER BY id")',
    'run = aml.predict(rows, model="galaxy_morphology", engine="pool", block=100)\n'
    "print(run.predictions().ok.sum(), \"answers of the\", run.meta['engine'])",
    "run.predictions()",
)
# Keep what the page says of the queue, however short it stands there.
LISTEN = """() => {
  window.saidOfTheQueue = new Set();
  setInterval(() => {
    const text = document.body.innerText.replace(/\\s+/g, ' ');
    const said = text.match(/in the pool's queue: about \\d+ s[\\w, ]*/g);
    (said ?? []).forEach(text => window.saidOfTheQueue.add(text));
  }, 50);
}"""
SAID = "() => [...window.saidOfTheQueue]"
READY = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
}"""
RUN_ALL = "() => void window.jupyterapp.commands.execute('notebook:run-all-cells')"


@pytest.fixture
def desk(hub, new_context):
    """Log a user in through the hub's pages, and open a notebook in JupyterLab."""

    def sit_down(user):
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(book, hub.home / user / "galaxies.ipynb")
        page = new_context().new_page()
        page.goto(hub.url)
        page.get_by_label("Username").fill(user)
        page.get_by_label("Password").fill(hub.password)
        page.get_by_role("button", name="Sign in").click()
        # The hub starts the server, and sends the browser there.
        page.wait_for_url(re.compile(f"/user/{user}/lab"), timeout=120_000)
        page.goto(f"{hub.url}/user/{user}/lab/workspaces/test/tree/galaxies.ipynb?reset")
        page.locator("#jupyterlab-splash").wait_for(state="detached", timeout=120_000)
        page.wait_for_function("window.jupyterapp && window.jupyterapp.shell")
        page.evaluate("() => window.jupyterapp.restored.then(() => true)")
        expect(page.locator(".jp-NotebookPanel .jp-CodeCell")).to_have_count(len(CELLS))
        page.locator('.jp-SideBar [data-id="jupyter-astroml-sidebar"]').click()
        expect(page.locator("#jupyter-astroml-sidebar")).to_be_visible()
        page.evaluate(READY)
        page.evaluate(LISTEN)
        return page

    return sit_down


@pytest.fixture
def carol_at_work(hub, client):
    """A third user, whose job keeps the pool busy while this is open."""

    @contextmanager
    def work():
        carol, over = client(hub, hub.token("carol")["token"]), threading.Event()
        (model,) = [m for m in carol.get("models")["models"] if m["id"] == "galaxy_morphology"]
        asked = {"model": model["id"], "digest": model["digest"], "chunks": 10**6}
        values = np.random.default_rng(1).random((80, 3, 128, 128), dtype=np.float32)

        def send():
            name = carol.create({**asked, "client_id": "carol's"})
            for first in itertools.count(step=10):
                numbers = range(first, first + 10)
                for number in numbers:
                    carol.send(name, number, values)
                for number in numbers:
                    assert not carol.fetch(name, number).status.any()
                    carol.release(name, number)
                if over.is_set():
                    carol.delete(name)
                    return

        with ThreadPoolExecutor(1) as threads:
            busy = threads.submit(send)
            try:
                yield
            finally:
                over.set()
                busy.result()

    return work


def shot(page, name):
    """Keep a picture, where a folder for them is named."""
    folder = os.environ.get("ASTROML_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.mark.timeout(600)
def test_users_predict_on_the_pool_at_the_same_time(desk, carol_at_work):
    pages = {user: desk(user) for user in ("alice", "bob")}
    with carol_at_work():
        _predict(pages)


def _predict(pages):
    for page in pages.values():
        page.evaluate(RUN_ALL)
    for user, page in pages.items():
        cells = page.locator(".jp-NotebookPanel .jp-CodeCell")
        bar = cells.nth(1).locator(".jp-OutputArea")
        expect(bar).to_contain_text("in the pool's queue", timeout=120_000)
        shot(page, f"hub_{user}_waits")
    for user, page in pages.items():
        cells = page.locator(".jp-NotebookPanel .jp-CodeCell")
        expect(cells.nth(1)).to_contain_text("300 answers of the pool", timeout=180_000)
        expect(cells.nth(2).locator("table")).to_contain_text("confidence")
        said = page.evaluate(SAID)
        assert any("shared with" in text for text in said), said
        shot(page, f"hub_{user}_has_answers")
