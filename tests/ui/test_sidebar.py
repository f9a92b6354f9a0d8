"""The sidebar in a real browser, on the simulated demo sky."""

import re

import pytest
from lab_steps import cells, colours, focused_text, has_run, open_sidebar, row, section
from playwright.sync_api import expect

# The first look at the demo archive starts it.
START = 60_000


@pytest.fixture
def archives(open_lab):
    page = open_lab()
    open_sidebar(page)
    expect(row(page, "Schema demo")).to_be_visible(timeout=START)
    return section(page, "archives")


def test_nothing_is_asked_before_somebody_looks(open_lab, seen):
    page = open_lab()
    page.wait_for_function("window.Bokeh !== undefined")
    found = [re.search(r"(?<!extensions)/jupyter-astroml/([^?]*)", url) for url in seen.asked]
    assert {each[1] for each in found if each} == {
        "status",
        "bokehjs/bokeh.min.js",
        "bokehjs/bokeh-widgets.min.js",
        "bokehjs/bokeh-tables.min.js",
    }
    assert not seen.failed


def test_bokehjs_is_whole_and_of_the_installed_version(open_lab):
    import bokeh

    page = open_lab()
    page.wait_for_function("window.Bokeh !== undefined")
    assert page.evaluate("Bokeh.version") == bokeh.__version__
    page.wait_for_function("Bokeh.Models.get('DataTable') !== null")
    assert page.evaluate("Bokeh.Models.get('Select') !== null")


def test_the_tree_of_the_demo_archive_opens_to_its_columns(page, archives, seen, shot):
    row(page, "Table galaxies").locator(".jp-AstroML-caret").click()
    expect(row(page, "Column ra in deg")).to_be_visible()
    row(page, "Column ra in deg").focus()
    details = archives.locator(".jp-AstroML-details")
    expect(details).to_contain_text("pos.eq.ra")
    shot("sidebar-light")
    colours(page, "JupyterLab Dark")
    shot("sidebar-dark")
    colours(page, "JupyterLab Light")
    assert not seen.failed
    assert not seen.errors


def test_a_search_finds_columns_in_closed_tables(page, archives):
    archives.get_by_role("searchbox").fill("pos.eq.dec")
    found = archives.get_by_role("treeitem", name=re.compile("^Column"))
    expect(found.first).to_be_visible()
    for each in found.all():
        each.focus()
        expect(archives.locator(".jp-AstroML-details")).to_contain_text("pos.eq.dec")
    archives.get_by_role("searchbox").fill("no such column")
    expect(archives).to_contain_text("Nothing has “no such column”")


def test_the_tree_is_worked_by_keyboard_alone(page, archives):
    # The launcher takes the keyboard when it comes, which may be late on a busy machine.
    page.wait_for_function("document.activeElement.closest('.jp-Launcher') !== null")
    archives.get_by_role("searchbox").focus()
    page.keyboard.press("Tab")
    first = page.locator('[role="treeitem"]:focus')
    expect(first).to_have_count(1)
    page.keyboard.press("Home")
    page.keyboard.type("d")
    expect(row(page, "Schema demo")).to_be_focused()
    if row(page, "Schema demo").get_attribute("aria-expanded") == "false":
        page.keyboard.press("ArrowRight")
    page.keyboard.type("g")
    expect(row(page, "Table galaxies")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(row(page, "Table galaxies")).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowRight")
    page.keyboard.type("d")
    expect(row(page, "Column dec in deg")).to_be_focused()
    page.keyboard.press("Enter")
    expect(section(page, "query").locator(".cm-content")).to_contain_text("dec")
    page.keyboard.press("ArrowLeft")
    expect(row(page, "Table galaxies")).to_be_focused()
    # The tree is one stop of many rows, and Tab gets out of the editor too.
    stops = []
    while len(stops) < 8 and "Insert query" not in stops:
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.ariaLabel ?? ''") or focused_text(page))
    assert stops[-5:] == [
        "Query Section",
        "Example queries",
        "Fill in a form",
        "Query in ADQL",
        "Insert query",
    ]


def test_a_query_is_written_in_a_new_notebook_and_run(page, archives, seen, shot):
    editor = section(page, "query").locator(".cm-content")
    editor.fill("SELECT TOP 3 id, ra, dec FROM demo.galaxies ORDER BY id")
    expect(editor).to_have_attribute("data-language", "sql")
    page.get_by_role("button", name="Insert query").click()
    cell = cells(page).first
    has_run(cell, seconds=120)
    expect(cell.locator(".cm-content")).to_contain_text('rows = aml.archive("demo").query(')
    output = cell.locator(".jp-OutputArea-output")
    expect(output).to_contain_text("dec")
    assert output.locator("table tr").count() >= 3
    shot("query")
    assert not seen.failed
    assert not seen.errors


def test_models_tell_what_they_need_and_where_they_fail(open_lab, seen, shot):
    page = open_lab()
    open_sidebar(page)
    models = section(page, "models")
    cards = models.get_by_role("article")
    expect(cards.first).to_be_visible(timeout=20_000)
    assert cards.count() >= 2
    for card in cards.all():
        expect(card).to_contain_text("Needs")
        card.get_by_text("Limits", exact=True).click()
        expect(card.locator("details[open] li").first).to_be_visible()
    card = cards.first
    card.get_by_text("Training, licence and citation").click()
    expect(card).to_contain_text("Licence")
    shot("models")
    assert not seen.failed
    assert not seen.errors


def test_the_launcher_opens_the_main_job(open_lab, seen, shot):
    page = open_lab()
    tile = page.locator(".jp-LauncherCard", has_text="Astro ML Quick Start")
    expect(tile).to_be_visible()
    shot("launcher")
    tile.click()
    expect(cells(page).first).to_contain_text("import jupyter_astroml as aml")
    expect(cells(page).nth(2)).to_contain_text("aml.predict(rows")
    expect(page.locator(".jp-NotebookPanel")).to_contain_text("simulated")
    # The cells wait: a lesson is read before it is run.
    assert cells(page).first.locator(".jp-InputArea-prompt").inner_text() == "[ ]:"
    shot("quick-start")
    assert not seen.failed
    assert not seen.errors


def test_inserted_cells_wait_where_the_settings_say_so(open_lab, lab):
    lab.set("jupyter-astroml:plugin", runInsertedCells=False, engine="dask")
    try:
        page = open_lab()
        open_sidebar(page)
        page.get_by_role("button", name="Predict with").first.click(timeout=20_000)
        expect(cells(page).first).to_contain_text('engine="dask"', timeout=30_000)
        page.get_by_role("button", name="Inspect run").click()
        expect(cells(page).nth(1)).to_contain_text("aml.inspect(run)")
        for cell in cells(page).all():
            assert cell.locator(".jp-InputArea-prompt").inner_text() == "[ ]:"
    finally:
        lab.set("jupyter-astroml:plugin")


def test_a_failure_of_the_server_is_told_with_what_to_do(page, open_lab):
    told = '{"code": "archive", "what": "No answer", "cause": "<b>cut</b>", "remedy": "do this"}'
    page.route("**/archives/demo/schema*", lambda r: r.fulfill(status=502, body=told))
    open_lab()
    open_sidebar(page)
    alert = section(page, "archives").get_by_role("alert")
    expect(alert).to_contain_text("No answer", timeout=20_000)
    expect(alert).to_contain_text("<b>cut</b>")  # shown as text, not as HTML
    expect(alert).to_contain_text("do this")
    page.unroute("**/archives/demo/schema*")
    alert.get_by_role("button", name="Try again").click()
    expect(row(page, "Schema demo")).to_be_visible(timeout=START)


def test_the_palette_lists_every_step(open_lab, shot):
    page = open_lab()
    page.locator(".jp-LauncherCard").first.wait_for()  # it takes the focus when it comes
    page.evaluate("void window.jupyterapp.commands.execute('apputils:activate-command-palette')")
    box = page.locator(".lm-CommandPalette-input")
    box.fill("astro ml")
    shot("palette")
    listed = page.locator(".lm-CommandPalette-content")
    for label in (
        "Astro ML Quick Start",
        "Insert Query",
        "Insert Prediction…",
        "Insert Inspector",
        "Insert Saliency",
        "Show Astro ML",
    ):
        expect(listed.get_by_text(label, exact=True)).to_be_visible()


def test_the_sidebar_is_open_again_after_a_reload(open_lab, lab):
    page = open_lab()
    open_sidebar(page)
    # The lab saves its layout a moment after it has changed.
    with page.expect_response(
        lambda r: "/lab/api/workspaces/" in r.url and r.request.method == "PUT"
    ):
        pass
    page.goto(page.url.split("?")[0])
    expect(page.locator("#jupyter-astroml-sidebar")).to_be_visible(timeout=60_000)
    expect(section(page, "models").get_by_role("article").first).to_be_visible(timeout=20_000)
