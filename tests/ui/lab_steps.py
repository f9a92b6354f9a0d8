"""What a person does in the lab: steps that the browser tests share."""

import re

from playwright.sync_api import Locator, Page, expect

TAB = '.jp-SideBar [data-id="jupyter-astroml-sidebar"]'
READY = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
}"""


def open_sidebar(page: Page) -> Locator:
    page.locator(TAB).click()
    sidebar = page.locator("#jupyter-astroml-sidebar")
    expect(sidebar).to_be_visible()
    return sidebar


def section(page: Page, name: str) -> Locator:
    return page.locator(f"#jupyter-astroml-{name}")


def row(page: Page, spoken: str) -> Locator:
    """A row of the schema tree, by what a screen reader says of it."""
    return page.get_by_role("treeitem", name=spoken, exact=True)


def cells(page: Page) -> Locator:
    """The code cells of the notebook that is in front."""
    return page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell")


def has_run(cell: Locator, *, seconds: float = 60) -> None:
    """Wait until a cell has its number."""
    expect(cell.locator(".jp-InputArea-prompt").first).to_have_text(
        re.compile(r"\[\d+\]:"), timeout=1000 * seconds
    )


def colours(page: Page, theme: str) -> None:
    """Change the theme of the lab."""
    page.evaluate(
        "theme => { void window.jupyterapp.commands.execute('apputils:change-theme', {theme}) }",
        theme,
    )
    expect(page.locator("body")).to_have_attribute("data-jp-theme-name", theme)
    page.locator("#jupyterlab-splash").wait_for(state="detached")


def focused_text(page: Page) -> str:
    """What stands on the thing that has the keyboard."""
    return page.evaluate("document.activeElement.textContent.trim().slice(0, 40)")
