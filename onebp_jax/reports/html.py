"""Pieces of a page: tables, pictures, sections. Text that comes in is escaped; what a function returns is HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape as text
from pathlib import Path

__all__ = ["bullets", "code", "details", "figure", "grid", "inline", "paragraph", "section", "table", "text"]

# A colour of a picture -> the variable of the page, which is another colour in the dark.
_VARIABLES = {
    "#777777": "--c0",
    "#0072b2": "--c1",
    "#d55e00": "--c2",
    "#009e73": "--c3",
    "#cc79a7": "--c4",
    "#e69f00": "--c5",
    "#56b4e9": "--c6",
    "#8a5a2b": "--c7",
    "#000000": "--ink",
    "#b0b0b0": "--rule",
    "#cccccc": "--rule",
    "#ffffff": "--card",
}


def paragraph(words: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{kind}">{text(words)}</p>' if kind else f"<p>{text(words)}</p>"


def bullets(lines: Sequence[str]) -> str:
    """A list of plain lines."""
    return "<ul>" + "".join(f"<li>{text(line)}</li>" for line in lines) + "</ul>"


def code(lines: str) -> str:
    """A block of commands, which scrolls by itself."""
    return f'<pre tabindex="0"><code>{text(lines)}</code></pre>'


def details(summary: str, *parts: str) -> str:
    """Parts that are shown on demand."""
    return f"<details><summary>{text(summary)}</summary>{''.join(parts)}</details>"


def section(name: str, title: str, *parts: str) -> str:
    """A section with a heading, `name` is its anchor."""
    heading = f'<h2 id="{name}-title">{text(title)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-title">{heading}{"".join(parts)}</section>'


def table(
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    best: Sequence[str] = (),
    quiet: Sequence[int] = (),
) -> str:
    """A table of texts, the first column is the heading of its row.

    Args:
      best: for each column but the first, "max" or "min": that number is bold; "" or nothing: none is.
      quiet: the rows in a softer colour, such as published ones; they are not the best.
    """
    bold = {
        (at, column)
        for column, which in enumerate(best, 1)
        if which
        for at in _best([row[column] if at not in quiet else "" for at, row in enumerate(rows)], which)
    }
    heads = "".join(f'<th scope="col">{text(one)}</th>' for one in head)
    lines = []
    for at, (first, *others) in enumerate(rows):
        cells = "".join(
            f'<td class="best">{_cell(cell)}</td>' if (at, column) in bold else f"<td>{_cell(cell)}</td>"
            for column, cell in enumerate(others, 1)
        )
        kind = ' class="quiet"' if at in quiet else ""
        lines.append(f'<tr{kind}><th scope="row">{text(first)}</th>{cells}</tr>')
    scrolls = f'class="wide" tabindex="0" role="region" aria-label="{text(caption)}"'
    body = f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return f'<div><p class="caption">{text(caption)}</p><div {scrolls}>{body}</div></div>'


def _cell(cell: str) -> str:
    """A number, and what it is uncertain by, in smaller letters."""
    place = next((at for at, letter in enumerate(cell) if letter in "±["), len(cell))
    return text(cell[:place]) + (f'<span class="sd">{text(cell[place:])}</span>' if cell[place:] else "")


def _best(cells: Sequence[str], which: str) -> list[int]:
    values = {
        at: float(found[0])
        for at, cell in enumerate(cells)
        if (found := re.match(r"[-+−]?[\d.,]+", cell.replace(",", "")))
    }
    if len(values) < 2:
        return []
    most = (max if which == "max" else min)(values.values())
    return [at for at, value in values.items() if value == most]


def grid(*figures: str) -> str:
    """Pictures beside each other where there is room."""
    return f'<div class="grid">{"".join(figures)}</div>'


def figure(picture: Path, caption: str, says: str, *, wide: bool = False) -> str:
    """A picture within the page.

    Args:
      caption: below it. says: what it shows, for people who do not see it. wide: it has its own size and scrolls.
    """
    kind = "chart large" if wide else "chart"
    scrolls = f' class="wide" tabindex="0" role="region" aria-label="{text(says)}"' if wide else ""
    drawn = f"<div{scrolls}>{inline(picture.read_text(), picture.stem, says)}</div>"
    return f'<figure class="{kind}">{drawn}<figcaption>{text(caption)}</figcaption></figure>'


def inline(svg: str, name: str, says: str) -> str:
    """An SVG file of matplotlib as part of a page: with the page's colours, and ids that are its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="([\d.]*)pt"', r'\1 style="--width: \2px"', svg, count=1)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{text(says)}"', 1)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)
    for colour, variable in _VARIABLES.items():
        svg = re.sub(colour + r"\b", f"var({variable})", svg, flags=re.IGNORECASE)
    return svg.strip()
