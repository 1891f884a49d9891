"""The docs site builds, strictly, and needs no network when it is read. Needs the extra `docs`."""

import os
import re
import subprocess
import sys

import pytest
from support.pages import hooks
from support.programs import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("material", reason="the docs site needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    process = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return folder


def test_nothing_is_loaded_from_the_network(site):
    for page in site.rglob("*.html"):
        # A link of the head is loaded too; an anchor is not.
        loaded = re.findall(
            r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?([^\s\"'>]+)", page.read_text()
        )
        assert [address for address in loaded if re.match(r"(?:https?:)?//", address)] == []
    for style in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//|@import", style.read_text()), style


def test_every_module_has_its_place(site):
    for room, modules in hooks().rooms().items():
        page = (site / "api" / f"{room}.html").read_text()
        assert [module for module in modules if f'id="{module}"' not in page] == []


def test_the_markers_are_filled(site):
    assert [
        page
        for page in site.rglob("*.html")
        if re.search(r"<!-- (?:methods|parts|fields|programs) -->", page.read_text())
    ] == []
    assert "reading=layer0" in (site / "methods.html").read_text()
    assert "checkpoint_seconds" in (site / "programs.html").read_text()


def test_the_search_has_its_index(site):
    assert "moving_average" in (site / "search" / "search_index.json").read_text()
