"""The learning curve of a run as an SVG picture: the loss, and the metric that chooses the epoch. No plotting package."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT, LEFT, TOP, GAP = 380, 260, 62, 34, 72
BLUE, ORANGE, GREY = "#2166ac", "#d95f02", "#777777"


class Line(NamedTuple):
    """A line of a panel: its `label` and its points `(x, y)`, with x ascending."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: str = BLUE


def svg(panels: Sequence[tuple[str, Sequence[Line]]], chosen: int = 0) -> str:
    """Panels side by side over epochs.

    Args:
      panels: `(title, lines)` of each; points that are not finite are left out.
      chosen: the epoch to mark; 0 for none.
    """
    width = len(panels) * (WIDTH + GAP) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT + TOP + 56}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for place, (title, lines) in enumerate(panels):
        parts += [
            f'<g transform="translate({LEFT + place * (WIDTH + GAP)},{TOP})">',
            *_panel(title, lines, chosen),
            "</g>",
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(title: str, lines: Sequence[Line], chosen: int) -> list[str]:
    lines = [Line(one.label, [(x, y) for x, y in one.points if math.isfinite(y)], one.colour) for one in lines]
    xs, ys = ([point[axis] for one in lines for point in one.points] for axis in (0, 1))
    across, up = (ticks(min(values, default=0), max(values, default=1)) for values in (xs, ys))
    x_of = lambda x: WIDTH * (x - across[0]) / (across[-1] - across[0])
    y_of = lambda y: HEIGHT * (1 - (y - up[0]) / (up[-1] - up[0]))
    parts = [f'<text x="{WIDTH / 2}" y="-14" text-anchor="middle" font-weight="bold">{_escaped(title)}</text>']
    for tick in up:
        parts.append(f'<path d="M0 {y_of(tick):.1f}H{WIDTH}" stroke="#e5e5e5"/>')
        parts.append(f'<text x="-8" y="{y_of(tick) + 4:.1f}" text-anchor="end" fill="{GREY}">{tick:.6g}</text>')
    for tick in across:
        parts.append(
            f'<text x="{x_of(tick):.1f}" y="{HEIGHT + 18}" text-anchor="middle" fill="{GREY}">{tick:.6g}</text>'
        )
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT + 38}" text-anchor="middle">epoch</text>')
    if across[0] <= chosen <= across[-1] and chosen:
        at = x_of(chosen)
        parts.append(f'<path d="M{at:.1f} 0V{HEIGHT}" stroke="{GREY}" stroke-dasharray="4 3"/>')
        side, shift = ("end", -5) if at > WIDTH / 2 else ("start", 5)
        parts.append(
            f'<text x="{at + shift:.1f}" y="{HEIGHT - 8}" text-anchor="{side}" fill="{GREY}">epoch {chosen}</text>'
        )
    for number, one in enumerate(lines):
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in one.points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{one.colour}" stroke-width="1.8"/>')
        parts += [
            f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="{4 if x == chosen else 2.2}" fill="{one.colour}"/>'
            for x, y in one.points
            if len(one.points) <= 30 or x == chosen
        ]
        if len(lines) > 1:
            parts.append(
                f'<text x="{WIDTH - 6}" y="{16 + 16 * number}" text-anchor="end" fill="{one.colour}">{_escaped(one.label)}</text>'
            )
    return [*parts, f'<path d="M0 0V{HEIGHT}H{WIDTH}" fill="none" stroke="{GREY}"/>']


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers from at most `low` to at least `high`, about `count` of them, two at least.

    >>> ticks(0.113, 0.172), ticks(1, 43), ticks(2, 2)
    ([0.1, 0.12, 0.14, 0.16, 0.18], [0.0, 10.0, 20.0, 30.0, 40.0, 50.0], [1.0, 1.5, 2.0, 2.5, 3.0])
    """
    if low == high:
        half = abs(low) / 2 or 0.5
        low, high = low - half, high + half
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * number, 12) for number in range(first, last + 1)]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
