"""Writing a query in the sidebar: completions, marks under mistakes, and a form."""

import json

import pytest
from lab_steps import READY, cells, colours, has_run, open_sidebar, row, section
from playwright.sync_api import expect

START = 60_000


@pytest.fixture
def query(open_lab):
    page = open_lab()
    open_sidebar(page)
    expect(row(page, "Schema demo")).to_be_visible(timeout=START)
    return section(page, "query")


@pytest.fixture
def editor(query):
    return query.locator(".cm-content")


def test_columns_of_the_query_are_offered_while_somebody_types(page, query, editor, seen, shot):
    editor.fill("SELECT g. FROM demo.galaxies AS g")
    editor.press("Control+Home")
    for _ in range(len("SELECT g.")):
        editor.press("ArrowRight")
    editor.press_sequentially("mag_")
    offered = page.locator(".cm-tooltip-autocomplete li")
    expect(offered.first).to_contain_text("mag_")
    expect(offered.first).to_contain_text("[mag]")
    shot("completion")
    first = offered.first.locator(".cm-completionLabel").inner_text()
    # The editor takes no Enter for a choice in the first 75 ms of a list.
    page.wait_for_timeout(300)
    editor.press("Enter")
    expect(editor).to_have_text(f"SELECT g.{first} FROM demo.galaxies AS g")
    assert not seen.failed
    assert not seen.errors


def test_a_mistake_is_marked_and_mended_by_a_click(page, query, editor, seen, shot):
    editor.fill("SELECT id FROM demo.galaxie")
    mark = query.locator(".cm-lintRange-warning")
    expect(mark).to_have_text("demo.galaxie")
    mark.hover()
    told = page.locator(".cm-tooltip-lint")
    expect(told).to_contain_text("There is no table demo.galaxie")
    shot("mistake")
    colours(page, "JupyterLab Dark")
    mark.hover()
    expect(told).to_be_visible()
    shot("mistake-dark")
    colours(page, "JupyterLab Light")
    mark.hover()
    told.get_by_role("button", name="Write demo.galaxies").click()
    expect(editor).to_have_text("SELECT id FROM demo.galaxies")
    expect(mark).to_have_count(0)
    assert not seen.failed
    assert not seen.errors


def test_a_form_shows_the_query_that_it_makes(page, query, editor, seen, shot):
    query.get_by_text("Fill in a form").click()
    query.get_by_role("combobox", name="Table", exact=True).select_option("demo.galaxies")
    for column in ("id", "mag_r"):
        query.get_by_role("checkbox", name=column, exact=False).first.check()
    query.get_by_role("button", name="Add a condition").click()
    condition = query.get_by_role("group", name="Condition 1")
    condition.get_by_label("Column").select_option("mag_r")
    condition.get_by_label("Value").fill("17")
    query.get_by_role("textbox", name="Around").fill("180 0")
    query.get_by_role("textbox", name="within").fill("2 deg")
    query.get_by_role("spinbutton", name="Most rows").fill("10")
    for piece in ("SELECT TOP 10 id, mag_r", "CIRCLE(180, 0, 2)", "mag_r < 17"):
        expect(editor).to_contain_text(piece)
    shot("form")
    assert not seen.errors
    # The browser itself notes the refusal that follows.
    query.get_by_role("textbox", name="within").fill("2")
    query.get_by_role("textbox", name="within").press("Enter")
    expect(query.get_by_role("alert")).to_contain_text("without a unit")
    shot("form-refused")
    query.get_by_role("textbox", name="within").fill("3 deg")
    query.get_by_role("textbox", name="within").press("Enter")
    expect(query.get_by_role("alert")).to_have_count(0)
    expect(editor).to_contain_text("CIRCLE(180, 0, 3)")


def test_tab_completes_a_query_in_a_notebook(open_lab, lab, shot):
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    notebook = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "cells": [
            {**cell, "id": "load", "source": "%load_ext jupyter_astroml"},
            {**cell, "id": "ask", "source": "%%adql demo\nSELECT * FROM demo.gal"},
        ],
    }
    (lab.work / "ask.ipynb").write_text(json.dumps(notebook))
    page = open_lab("ask.ipynb")
    page.locator(".jp-NotebookPanel").wait_for()
    page.evaluate(READY)
    cells(page).nth(0).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    has_run(cells(page).nth(0), seconds=120)
    query = cells(page).nth(1).locator(".cm-content")
    query.click()
    page.keyboard.press("Control+End")
    offered = page.locator(".jp-Completer-item")

    def press_tab() -> bool:
        page.keyboard.press("Tab")
        page.wait_for_timeout(500)
        return offered.count() > 0 or "demo.galaxies" in query.inner_text()

    # The first Tab may find the archive still starting.
    assert any(press_tab() for _ in range(40))
    shot("tab")
    if offered.count():
        page.keyboard.press("Enter")
    expect(query).to_contain_text("demo.galaxies")
