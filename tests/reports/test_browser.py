"""The page of a report in a real browser: nothing is asked for, nothing is empty, nothing is wider than the screen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
from support.browser import chromium  # noqa: E402

from onebp_jax.analysis.genres import genres_of  # noqa: E402
from onebp_jax.reports.report import write_report  # noqa: E402

# Pictures without marks, tables without numbers, sections without either.
EMPTY = """() => [
  ...[...document.querySelectorAll("figure")].filter(one => one.querySelectorAll("svg path, svg image, svg use").length < 8),
  ...[...document.querySelectorAll("table")].filter(one => !/\\d/.test(one.tBodies[0]?.textContent ?? "")),
  ...[...document.querySelectorAll("section")].filter(one => one.textContent.length < 60),
].map(one => one.outerHTML.slice(0, 300))"""
# Visible texts with too little contrast, by WCAG 2: 4.5 to 1.
FAINT = """() => {
  const part = c => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
  const light = text => {
    const [r, g, b] = text.match(/[\\d.]+/g).map(Number);
    return .2126 * part(r) + .7152 * part(g) + .0722 * part(b);
  };
  const card = light(getComputedStyle(document.querySelector("section")).backgroundColor);
  const kinds = "p, li, td, th, h2, figcaption, summary, svg text, span";
  const texts = [...document.querySelectorAll(`section :is(${kinds})`)];
  return texts.filter(one => {
    const style = getComputedStyle(one), own = light(one.tagName === "text" ? style.fill : style.color);
    return (Math.max(own, card) + .05) / (Math.min(own, card) + .05) < 4.5;
  }).map(one => one.outerHTML.slice(0, 200));
}"""


@pytest.fixture(scope="module")
def page_file(compared, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    shutil.copytree(compared / "runs", folder / "runs")
    # A name from outside must stay text.
    path = next((folder / "runs").glob("ease-*0")) / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"label": "<img src=x onerror=alert(1)>"}))
    genres = genres_of(np.resize(["Comedy", "Comedy|Drama", "War"], 90).tolist(), np.arange(90), 90)
    folders = [
        str(one) for name in ("onebp-seed0", "twobp-seed0", "ease-seed0") for one in (folder / "runs").glob(name)
    ]
    write_report(folders, folder / "page.html", "onebp report", genres, types=3)
    return folder / "page.html"


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_whole_and_asks_for_nothing(browser, page_file, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page, asked, wrong = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda line: wrong.append(line.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.goto(page_file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert [url for url in asked if not url.startswith("data:")] == [page_file.as_uri()] and not wrong
    assert page.evaluate(EMPTY) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(FAINT) == []
    assert page.locator("section img").count() == 0
    for link in page.locator("nav a").all():
        assert page.locator(link.get_attribute("href") or "").count() == 1
    for one in page.locator("svg").all():
        assert one.get_attribute("aria-label")
    headings = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(one => one.tagName)")
    assert headings[0] == "H1" and headings.count("H1") == 1
    context.close()
