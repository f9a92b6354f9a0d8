"""The administrators' page in a real browser."""

import json
import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

POINTS = "Bokeh.documents[0].get_model_by_name('over_time').data.time.length"


@pytest.mark.timeout(120)
def test_an_administrator_watches_the_pool(page, pool, provider, client, job, objects):
    seen = []
    page.on("pageerror", lambda err: seen.append(str(err)))
    page.on("console", lambda said: seen.append(said.text) if said.type == "error" else None)
    ready = client(pool, "ann<img src=x onerror=alert(1)>")
    name = ready.create(job("slow"))
    for number in range(30):
        ready.send(name, number, objects(500, seed=number))
    page.goto(f"{pool.url}/")
    token = page.get_by_label("Token of an administrator")
    token.fill(provider.token("bob"))
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("status")).to_contain_text("for the pool's administrators")
    assert any("403" in text for text in seen)
    seen.clear()
    token.fill(provider.token("root"))
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("table", name="Workers")).to_contain_text("computing")
    expect(page.get_by_role("table", name="Worker time")).to_contain_text("<img")
    expect(token).to_be_hidden()
    # The page's own rules forbid the waiting functions of Playwright, which evaluate text.
    for _ in range(30):
        points = page.evaluate(POINTS)
        if points >= 4:
            break
        page.wait_for_timeout(1000)
    assert points >= 4
    folder = os.environ.get("ASTROML_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / "pool-page.png", full_page=True)
    assert not seen


def test_the_audit_log_says_who_and_what_and_holds_no_data(pool, client, job, objects):
    ready = client(pool)
    name = ready.create(job())
    ready.send(name, 0, objects(12))
    ready.fetch(name, 0)
    ready.delete(name)
    lines = [
        json.loads(line)
        for line in (pool.folder / "spool" / "audit.jsonl").read_text().split("\n")
        if name in line
    ]
    assert [line["event"] for line in lines] == ["job", "answered", "deleted"]
    assert {line["user"] for line in lines} == {ready.get("me")["user"]}
    assert (lines[1]["objects"], lines[1]["failed"]) == (12, 0)
