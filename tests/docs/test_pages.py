"""The pages say what is true of the code: names that exist, links that lead somewhere, numbers that were measured."""

import importlib
import re
import subprocess

import pytest
from support.pages import PAGES, commands, text_of
from support.programs import ROOT

from onebp_jax.cli import config_flag, main
from onebp_jax.config import OPTIONS, default_config
from onebp_jax.config.fields import FIELDS
from onebp_jax.methods import NAMED

# Words that stand for a name in the text.
PLACEHOLDERS = {"FIELD", "NAME", "OPTION", "PROGRAM"}
every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


def test_the_readme_is_short_and_has_two_commands():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 95
    setups = [line for line in text.splitlines() if line.startswith("python3 -m venv")]
    assert len(setups) == 2 and setups[1].endswith("-m pytest -q")


@every_page
def test_programs_and_configs_exist(path):
    text = text_of(path)
    for program in set(re.findall(r"\blaunch\.(\w+)", text)) - PLACEHOLDERS:
        assert (ROOT / "launch" / f"{program}.py").exists(), program
    for command in set(re.findall(r"\bonebp (benchmark \w+|[a-z]+) --", text)):
        assert command in main.PROGRAMS, command
    for config in set(re.findall(r"(?:\bconfigs/(?=\w+\.py)|--config=)(\w+)(?!\w*\.py)", text)) - PLACEHOLDERS:
        assert config in config_flag.names(), config


@every_page
def test_fields_and_options_exist(path):
    text, config = text_of(path), default_config()
    for name in set(re.findall(r"--config\.(\w+)", text)) - PLACEHOLDERS:
        assert name in FIELDS, name
    for name in set(re.findall(r"--config\.synthetic\.(\w+)", text)):
        assert name in config.synthetic, name
    for name in set(re.findall(r"(?<!/)\boptions\.(\w+)", text)) - PLACEHOLDERS:
        assert name in OPTIONS, name


@every_page
def test_flags_of_commands_exist(path):
    shared = "".join(file.read_text() for file in (ROOT / "onebp_jax" / "cli").glob("*.py"))
    for program, arguments in commands(path):
        source = (ROOT / "launch" / f"{program.replace(' ', '_')}.py").read_text() + shared
        for flag in re.findall(r"--(\w+)", arguments):
            assert f'"{flag}"' in source, f"onebp {program} --{flag}"


@every_page
def test_files_in_the_text_exist(path):
    for name in re.findall(r"`((?:onebp_jax|launch|configs|tests|results|docs)/[\w/]+\.\w+)`", text_of(path)):
        assert (ROOT / name).exists() or "NAME" in name, name


@every_page
def test_dotted_names_exist(path):
    for name in set(re.findall(r"\bonebp_jax(?:\.\w+)+", text_of(path))):
        found, *rest = importlib.import_module("onebp_jax"), *name.split(".")[1:]
        so_far = "onebp_jax"
        for part in rest:
            so_far += f".{part}"
            found = getattr(found, part, None) or importlib.import_module(so_far)


def test_names_of_methods_are_all_told():
    text = (ROOT / "docs" / "methods.md").read_text()
    assert [name for name in NAMED if not re.search(rf"`[^`]*\b{name}\b[^`]*`", text)] == []
    assert f"{len(NAMED)} methods have a name" in " ".join((ROOT / "README.md").read_text().split())


def test_settings_of_the_page_on_speed_are_fields():
    for name in re.findall(r"`(\w+)=[^`]*`", (ROOT / "docs" / "speed.md").read_text()):
        assert name in FIELDS or name == "GLIBC_TUNABLES", name


def test_links_of_the_repository_lead_to_files():
    files = subprocess.run(["git", "ls-files", "*.md", "docs"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    pages = {ROOT / name for name in files if name.endswith((".md", ".ipynb"))} | set(PAGES)
    wrong = []
    for page in sorted(pages):
        for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
            name, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            file = (page.parent / name).resolve() if name else page
            if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file.read_text())):
                wrong.append(f"{page.relative_to(ROOT)}: {target}")
    assert not wrong


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ["README.md", "docs/results.md", "docs/which_method.md", "docs/comparison.md"])
def test_numbers_are_in_a_file_of_results(name):
    measured = "".join(path.read_text() for path in (ROOT / "results").glob("*.md"))
    known = {number.lstrip("0") for number in re.findall(r"\d*\.\d{4}\b", measured)}
    told = {number.lstrip("0") for number in re.findall(r"(?<![\w/])\d*\.\d{4}\b", (ROOT / name).read_text())}
    # Numbers of papers are no measurements: the identifier of an arXiv paper has five digits after its dot.
    assert told and told <= known, told - known


@every_page
def test_plain_words(path):
    """A person is "they"; rules are "must", not "shall"."""
    assert re.findall(r"\b(?:he|him|his|shall)\b", text_of(path), re.IGNORECASE) == []
