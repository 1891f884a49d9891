"""The pictures of a report, as SVG by matplotlib: one panel each, out of a frame that is written beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from onebp_jax.analysis.frames import rows_of
from onebp_jax.analysis.pictures import COLOURS, plotting, save
from onebp_jax.analysis.run_pictures import draw_curves

# Inches of a panel; on a phone it is as wide as the page.
_SIZE = (4.2, 3.0)
_STYLES = ("-", "--", ":", "-.")
# Where there is no method: train and test.
_GREY = "#777777"


def _styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The colour of each name, and its kind of line where there are more names than colours."""
    colours = COLOURS[1:]
    return {
        name: {"color": colours[at % len(colours)], "linestyle": _STYLES[at // len(colours) % len(_STYLES)]}
        for at, name in enumerate(names)
    }


def _panel(path: Path, draw: Callable[[Any], object], height: float = _SIZE[1], legend: bool = True) -> None:
    plt = plotting()
    figure, axes = plt.subplots(figsize=(_SIZE[0], height), layout="constrained")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes)
    handles, labels = axes.get_legend_handles_labels()
    if legend and len(labels) > 1:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)), frameon=False)
    save(plt, figure, path)


def curves(frame: pd.DataFrame, names: Sequence[str], against: str, ylabel: str, path: Path) -> None:
    """The criterion against `epoch` or `seconds`: a line for each run, a dot at the chosen epoch. `frame`: of one split."""

    def draw(axes) -> None:
        draw_curves(axes, frame, against, _styles(names))
        most = float(frame[against].to_numpy().max())
        axes.set(xlabel=against, ylabel=ylabel, xlim=(0, 1.02 * most if most else 1))

    _panel(path, draw)


def differences(frame: pd.DataFrame, metric: str, reference: str, path: Path) -> None:
    """How far methods are from one of them, with intervals. `frame`: rows of `accuracy.differences` of one metric."""

    def draw(axes) -> None:
        frame_ = frame.sort_values("mean")
        places = np.arange(len(frame_))
        mean, low, high = (frame_[column].to_numpy(float) for column in ("mean", "low", "high"))
        axes.axvline(0, color=_GREY, linewidth=1)
        axes.errorbar(mean, places, xerr=np.maximum(0, [mean - low, high - mean]), fmt="o", color=COLOURS[1], capsize=4)
        axes.set_yticks(places, frame_["model"])
        axes.set(xlabel=f"{metric}, difference from {reference}", ylim=(-0.6, len(places) - 0.4))
        axes.locator_params(axis="x", nbins=5)
        axes.grid(alpha=0.4, axis="x")

    _panel(path, draw, height=1.2 + 0.36 * len(frame), legend=False)


def by_history(frame: pd.DataFrame, names: Sequence[str], path: Path) -> None:
    """The criterion for users with short and long histories. `frame`: of `accuracy.by_history`."""
    groups = list(dict.fromkeys(frame["items"]))

    def draw(axes) -> None:
        for name, style in _styles(names).items():
            axes.plot(groups, rows_of(frame, model=name)["value"], marker="o", markersize=4, label=name, **style)
        axes.set(xlabel="training items of the user", ylabel=frame["metric"].iloc[0])
        axes.grid(alpha=0.4)

    _panel(path, draw)


def shares(frame: pd.DataFrame, path: Path) -> None:
    """How recommendations, and the data, spread over popular and rare items. `frame`: of `listed.by_popularity`."""
    rows = list(dict.fromkeys(frame["what"]))[::-1]
    groups = list(dict.fromkeys(frame["group"]))

    def draw(axes) -> None:
        left = np.zeros(len(rows))
        for group, colour in zip(groups, (COLOURS[1], COLOURS[6], COLOURS[5]), strict=True):
            values = np.array([rows_of(frame, what=row, group=group)["share"].iloc[0] for row in rows])
            axes.barh(rows, values, left=left, color=colour, label=group, height=0.7)
            left += values
        axes.set(xlim=(0, 1), xlabel="share of pairs, or of recommendations")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)

    _panel(path, draw, height=1.3 + 0.3 * len(rows))


def recall(frame: pd.DataFrame, names: Sequence[str], path: Path) -> None:
    """The share of test pairs that lists have, for popular and rare items. `frame`: of `listed.by_popularity`."""
    groups = list(dict.fromkeys(frame["group"]))

    def draw(axes) -> None:
        width = 0.8 / len(names)
        for at, (name, style) in enumerate(_styles(names).items()):
            values = rows_of(frame, what=name)["recall"]
            places = np.arange(len(groups)) + width * (at - (len(names) - 1) / 2)
            axes.bar(places, values, 0.9 * width, color=style["color"], label=name)
        axes.set_xticks(range(len(groups)), [f"{group} items" for group in groups])
        axes.set(ylabel="share of test pairs found")
        axes.grid(alpha=0.4, axis="y")

    _panel(path, draw)


def concentration(frame: pd.DataFrame, names: Sequence[str], path: Path) -> None:
    """Lorenz curves. `frame`: of `listed.concentration`."""

    def draw(axes) -> None:
        axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8)
        rows = rows_of(frame, what="train")
        axes.plot(rows["items"], rows["share"], color=_GREY, linestyle="--", label="train")
        for name, style in _styles(names).items():
            rows = rows_of(frame, what=name)
            axes.plot(rows["items"], rows["share"], label=name, **style)
        axes.set(xlabel="share of the items, rarest first", ylabel="share of recommendations", xlim=(0, 1), ylim=(0, 1))

    _panel(path, draw)


def against(frame: pd.DataFrame, names: Sequence[str], labels: tuple[str, str], path: Path, log: bool = False) -> None:
    """One number against another, a dot for each run. `frame`: model, x, y."""

    def draw(axes) -> None:
        for name, style in _styles(names).items():
            rows = rows_of(frame, model=name)
            axes.plot(rows["x"], rows["y"], "o", color=style["color"], label=name, markersize=6, alpha=0.9)
        axes.set(xlabel=labels[0], ylabel=labels[1], xscale="log" if log else "linear")
        axes.grid(alpha=0.4)

    _panel(path, draw)
