"""The page of a report: its sections, out of frames and pictures."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import NamedTuple

from onebp_jax.reports import html

_TEMPLATE = Path(__file__).with_name("page.html")


class Section(NamedTuple):
    """A section of the page: `name` is its anchor, `short` its name in the contents, `parts` are HTML."""

    name: str
    short: str
    title: str
    parts: list[str]


def page(title: str, about: list[str], sections: list[Section]) -> str:
    """The whole page. `about`: lines of plain text below the title."""
    shown = [one for one in sections if one.parts]
    return Template(_TEMPLATE.read_text()).substitute(
        title=html.text(title),
        about="".join(map(html.paragraph, about)),
        contents="".join(f'<li><a href="#{one.name}">{html.text(one.short)}</a></li>' for one in shown),
        body="\n".join(html.section(one.name, one.title, *one.parts) for one in shown),
    )
