"""report.html in a real browser, headless Chromium; and what of it can be read without one."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lexigraft.report.page import safe_json
from tests.report.study import CLASSES, ROWS, Made

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TABLE = "#results table"


@pytest.fixture(scope="module")
def html(report: Path) -> str:
    return (report / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser() -> Iterator:
    if os.environ.get("LEXIGRAFT_NO_BROWSER") == "1":
        pytest.skip("LEXIGRAFT_NO_BROWSER=1")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert found, "no Chromium was found: install one (Debian: apt install chromium), or set LEXIGRAFT_NO_BROWSER=1"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser, report: Path) -> Iterator:
    """The page in a window of a desktop's size; the test fails where it complains or asks for anything but itself."""
    opened, said, asked = browser.new_page(viewport={"width": 1280, "height": 900}), [], []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto((report / "report.html").as_uri())
    yield opened
    opened.close()
    assert said == []
    assert asked == [(report / "report.html").as_uri()]


def column(page, table: str, index: int) -> list[str]:
    return page.eval_on_selector_all(f"{table} tbody tr", f"rows => rows.map(row => row.cells[{index}].textContent)")


def test_a_click_or_a_key_on_a_heading_sorts(page):
    heading = page.locator(f"{TABLE} thead tr:last-child th").nth(1)
    before = column(page, TABLE, 1)
    assert heading.get_attribute("aria-sort") == "none"
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    ascending = column(page, TABLE, 1)
    assert [float(text.split("±")[0][:4]) for text in ascending] == sorted(float(t.split("±")[0][:4]) for t in before)
    heading.locator("button").focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert column(page, TABLE, 1) == ascending[::-1]
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "none"
    assert column(page, TABLE, 1) == before


def test_what_has_no_value_stays_last_in_either_order(page):
    accuracy = page.locator("#runs thead th").nth(5)
    for _ in range(2):
        accuracy.locator("button").click()
        values = column(page, "#runs table", 5)
        assert values[-3:] == ["–"] * 3
        assert len(set(values[:-3])) > 5


def test_hovering_shows_runs_values_and_interval(page, made: Made):
    tip = page.locator("#tip")
    assert tip.is_hidden()
    page.locator("#cell-1-4").hover()
    lines = tip.inner_text().splitlines()
    runs = [cell.id for cell in made.cells if (cell.labels["data"], cell.labels["rows"]) == ("影评", ROWS[2])]
    assert lines[0] == f"影评, {ROWS[2]}, accuracy (%)"
    assert re.fullmatch(r"\d\d\.\d ± \d\.\d, 95 % interval \[\d\d\.\d, \d\d\.\d\]", lines[1])
    assert [re.fullmatch(r"\d\d\.\d  (.*)", line)[1] for line in lines[2:5]] == runs
    assert lines[5].startswith("to 影评, random: +")
    assert lines[6].startswith("welch: p = ")
    assert page.locator("#cell-1-4").get_attribute("aria-describedby") == "tip"
    page.mouse.move(2, 2)
    assert tip.is_hidden()


def test_marks_of_figures_tell_too(page):
    tip = page.locator("#tip")
    page.locator("[id='confusion-confusion-3-0-0'] path").hover()
    assert tip.inner_text().startswith("影评, random, 2 runs\ntrue 差评, predicted 差评: ")
    page.locator("[id='cost_seconds-cost_seconds-1-2'] use").hover()
    assert tip.inner_text().startswith(f"影评, {ROWS[2]}\naccuracy ")
    page.keyboard.press("Escape")
    assert tip.is_hidden()


def test_keys_reach_a_cell_and_show_what_it_tells(page):
    page.locator(f"{TABLE} thead tr:last-child button").last.focus()
    page.keyboard.press("Tab")
    assert page.locator("#tip").inner_text().startswith("sst2, random, accuracy (%)\n1 of 3 runs have finished")


def test_it_can_be_read_on_a_phone_and_in_the_dark(page):
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    wide = page.locator("#runs .scroll")  # scrolls in its own box
    assert wide.evaluate("box => box.scrollWidth > box.clientWidth")
    assert wide.evaluate("box => box.getBoundingClientRect().right <= 390")
    page.locator("#cell-0-0").click()
    box = page.locator("#tip").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


def test_texts_are_text(page):
    assert page.title() == "Rows & reviews: 移植 <b>50%</b>"
    assert page.locator("h1").inner_text() == page.title()
    assert page.locator("h1 b, table b").count() == 0
    assert "the loss is <NaN>" in column(page, "#runs table", 8)


def test_it_needs_nothing_else(html):
    assert html.startswith('<!doctype html>\n<html lang="en">')
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", html.replace('xmlns:xlink="http', ""))
    assert "<link" not in html.replace('<link rel="icon" href="data:,">', "")
    assert not re.search(r"@import|url\((?!#)", html)
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    tips = json.loads(re.search(r'id="data">(.*?)</script>', html)[1])["tips"]
    assert set(tips) <= set(ids)
    assert any(CLASSES[2] in tip for tip in tips.values())


def test_it_says_what_was_asked_how_far_it_is_and_how_to_make_it_again(html, made: Made, report: Path):
    assert '<p class="question">Are copied rows worth it?</p>' in html
    assert "18 cells: 15 done, 1 failed, 1 crashed, 1 left" in html
    assert f"lexigraft study {made.folder} seed=0,1,2\nlexigraft report {made.folder} seed=0,1,2" in html
    assert "<th scope=row>torch</th><td>2.13.0</td>" in html
    assert f"<td>{'cd' * 20}</td>" in html
    links = re.findall(r'<code><a href="([^"]+)">', html)
    assert len(links) == 17  # the one that was never started has no folder
    assert all((report / link / "status.json").is_file() for link in links)


def test_no_text_ends_the_data():
    text = "</script><!-- \u2028 移植"
    assert "<" not in safe_json([text])
    assert json.loads(safe_json([text])) == [text]
