"""What the docs site is made of beside the files of this folder: a mkdocs hook.

It adds README.md (as the first page), WORKSPACE.md, CHANGELOG.md, the pages of `results/`, and an API page for each room of the
package; it turns the notebook into Markdown; and it fills the markers `<!-- methods -->`, `<!-- parts -->`, `<!-- fields -->`
and `<!-- programs -->` from the code, so that these parts cannot go stale.

Links in the pages are those of the repository (`../results/quality.md`), so that they work where the files are read there.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "onebp_jax"
# Files at the top of the repository that are pages of the site, and their titles in the navigation.
PROJECT = {"WORKSPACE.md": "The map", "CONTRIBUTING.md": "Contributing", "CHANGELOG.md": "Changes"}
# Rooms without an API page: old names only.
HIDDEN_ROOMS = ("compat",)


# Pages that are made.


def rooms() -> dict[str, list[str]]:
    """The modules of each room with an API page, by dotted names; the loose modules are the room `onebp_jax`."""
    found = {
        "onebp_jax": [f"onebp_jax.{path.stem}" for path in sorted(PACKAGE.glob("*.py")) if path.stem != "__init__"]
    }
    for folder in sorted(path.parent for path in PACKAGE.glob("*/__init__.py")):
        if folder.name not in HIDDEN_ROOMS:
            modules = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
            found[folder.name] = [f"onebp_jax.{folder.name}.{name}" for name in modules]
    return found


def api_page(room: str, modules: list[str]) -> str:
    """The Markdown of a room's API page: the docstring of the room, then every module."""
    init = PACKAGE / ("" if room == "onebp_jax" else room) / "__init__.py"
    about = ast.get_docstring(ast.parse(init.read_text())) or ""
    title = "Contracts and errors" if room == "onebp_jax" else room
    return "\n\n".join([f"# {title}", about, *(f"::: {module}" for module in modules)]) + "\n"


def notebook_page(path: Path) -> str:
    """The Markdown of a notebook: text cells as they are, code cells and their outputs as blocks."""
    parts = []
    for cell in json.loads(path.read_text())["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            text = output.get("text") or output["data"]["text/plain"]
            parts.append("```text\n" + "".join(text).rstrip() + "\n```")
    return "\n\n".join(parts) + "\n"


# Parts of pages that are made from the code.


def methods() -> str:
    """A table of the named methods: what each is, and its options with their defaults."""
    from onebp_jax.methods.build import described, options_of
    from onebp_jax.methods.named import NAMED

    lines = ["| name | what it is | options and defaults |", "| --- | --- | --- |"]
    for line, (name, function) in zip(described(), NAMED.items(), strict=True):
        defaults = inspect.signature(function).parameters
        options = ", ".join(f"`{option}={defaults[option].default}`" for option in options_of(function))
        text = line.removeprefix(f"{name}: ").removesuffix(f" [{', '.join(options_of(function))}]")
        lines.append(f"| `{name}` | {text} | {options} |".replace("  |", " |"))
    return "\n".join(lines)


def parts() -> str:
    """A table of the names that each part can be exchanged for."""
    from onebp_jax.methods.parts import KNOWN

    lines = ["| field | names |", "| --- | --- |"]
    lines += [f"| `{field}` | `{' '.join(known)}` |" for field, known in KNOWN.items()]
    return "\n".join(lines)


def fields() -> str:
    """A table of the configuration's fields for each group: name, default, help."""
    from onebp_jax.config.fields import GROUPS

    lines = []
    for group, known in GROUPS.items():
        lines += [f"### {group}", "", "| field | default | what it is |", "| --- | --- | --- |"]
        lines += [f"| `{name}` | `{field.default!r}` | {field.help} |" for name, field in known.items()]
        lines.append("")
    return "\n".join(lines)


def programs() -> str:
    """The docstring of every program, as blocks of text."""
    blocks = []
    for path in sorted((ROOT / "launch").glob("*.py")):
        if path.stem != "__init__":
            text = ast.get_docstring(ast.parse(path.read_text()))
            blocks.append(f"### onebp {path.stem.replace('benchmark_', 'benchmark ')}\n\n```text\n{text}\n```")
    return "\n\n".join(blocks)


MARKERS = {"methods": methods, "parts": parts, "fields": fields, "programs": programs}


# Links.


def page_of(target: str) -> str | None:
    """The page of the site that a file of the repository is, both by their paths from the top; None for no page."""
    path, _, anchor = target.partition("#")
    if path == "README.md":
        path = "index.md"
    elif path.startswith("docs/"):
        path = path.removeprefix("docs/").replace(".ipynb", ".md")
    elif path.startswith("onebp_jax/") and path.endswith(".py"):
        module = path.removesuffix(".py").replace("/", ".")
        room = module.split(".")[1] if module.count(".") > 1 else "onebp_jax"
        path, anchor = f"api/{room}.md", module
    elif not path.startswith("results/") and path not in PROJECT:
        return None
    return f"{path}#{anchor}" if anchor else path


def with_site_links(text: str, folder: str) -> str:
    """Markdown of a file in `folder` of the repository, with links to its other files as links to pages of the site."""
    up = "../" if folder == "results" else ""

    def site_link(match: re.Match) -> str:
        target = match.group(1)
        if re.match(r"[a-z]+:|#", target):
            return match.group()
        parts = [*filter(None, folder.split("/"))]
        for part in target.split("/"):
            parts = parts[:-1] if part == ".." else [*parts, part]
        page = page_of("/".join(parts))
        return match.group() if page is None else f"]({up}{page})"

    return re.sub(r"\]\(([^)\s]+)\)", site_link, text)


# What mkdocs calls.


def on_files(files, config):
    """Adds the pages that are made, and puts them into the navigation."""
    from mkdocs.structure.files import File

    def add(path: str, **content) -> None:
        files.append(File.generated(config, path, **content))

    add("index.md", content=with_site_links((ROOT / "README.md").read_text(), ""))
    project = []
    for name, title in PROJECT.items():
        if (ROOT / name).exists():
            add(name, content=with_site_links((ROOT / name).read_text(), ""))
            project.append({title: name})
    measured = []
    for path in sorted((ROOT / "results").glob("*.md")):
        add(f"results/{path.name}", content=with_site_links(path.read_text(), "results"))
        measured.append(f"results/{path.name}")
    for path in sorted([*(ROOT / "results").glob("*.png"), *(ROOT / "results").glob("*.svg")]):
        add(f"results/{path.name}", abs_src_path=str(path))
    api = []
    for room, modules in rooms().items():
        add(f"api/{room}.md", content=api_page(room, modules))
        api.append(f"api/{room}.md")
    for path in sorted((ROOT / "docs").glob("*.ipynb")):
        files.remove(files.get_file_from_path(path.name))
        add(f"{path.stem}.md", content=with_site_links(notebook_page(path), "docs"))
    for section in config.nav:
        for title, pages in section.items():
            if isinstance(pages, list):
                section[title] = [
                    {name: page.replace(".ipynb", ".md") for name, page in entry.items()} for entry in pages
                ]
    config.nav += [{"Measured": measured}, {"API": api}, {"Project": project}]
    return files


def on_page_markdown(markdown, page, config, files):
    """Fills the markers, and makes links of the repository links of the site."""
    if not page.file.generated_by:
        markdown = with_site_links(markdown, "docs")
    for name, make in MARKERS.items():
        marker = f"<!-- {name} -->"
        if marker in markdown:
            markdown = markdown.replace(marker, make())
    return markdown
