"""The pictures of an analysis, as SVG by matplotlib. Each function makes one from the numbers that are written beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from onebp_jax.analysis.frames import means, rows_of
from onebp_jax.analysis.latent_types import NEEDS_EXTRA
from onebp_jax.analysis.models import START
from onebp_jax.analysis.published import KS, METHODS, overall
from onebp_jax.errors import UserError
from onebp_jax.training.files import write_atomically

# Colours that people with any colour vision tell apart (Okabe and Ito; the last is a brown for their black).
COLOURS = ("#777777", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A5A2B")
_USER, _HISTORY = "#000000", "#00A000"
# The panels of Fig. 8; "" is not against k.
_SHOWN = {
    "share_1": "majority share (dotted: of test items)",
    "": "shares of types 2, 3, ..",
    "P_majority": "precision, majority",
    "P_minority": "precision, minority",
    "R_majority": "recall, majority",
    "R_minority": "recall, minority",
}


def plotting():
    """`matplotlib.pyplot` without a screen; raises `UserError` without the extra."""
    try:
        import matplotlib
    except ImportError as error:
        raise UserError(NEEDS_EXTRA) from error
    matplotlib.use("Agg")
    # The same numbers give the same bytes; text stays text.
    matplotlib.rcParams.update({"svg.hashsalt": "onebp", "svg.fonttype": "none", "font.size": 9})
    import matplotlib.pyplot as plt

    return plt


def save(plt, figure, path: Path) -> None:
    """Writes a figure as SVG and closes it; the same numbers give the same bytes."""
    write_atomically(path, lambda file: figure.savefig(file, format="svg", metadata={"Date": None}, dpi=120))
    plt.close(figure)


def colours_of(models: Sequence[str], names: Sequence[str] = ()) -> dict[str, str]:
    """The colour of each model: grey of the start, and of the others by their place in `names`, or among the models."""
    order = [name for name in (names or models) if name != START]
    return {
        name: COLOURS[0] if name == START else COLOURS[1 + order.index(name) % (len(COLOURS) - 1)] for name in models
    }


def probe(frame: pd.DataFrame, colours: Mapping[str, str], with_published: bool, path: Path) -> None:
    """Table 5 over all genres: precision against k, a panel for each closeness.

    Args:
      frame: of the overall rows. colours: of the models.
    """
    plt = plotting()
    kinds = list(dict.fromkeys(frame["closeness"]))
    figure, panels = plt.subplots(
        1, len(kinds), figsize=(4 * len(kinds), 3.6), sharey=True, layout="constrained", squeeze=False
    )
    for axes, kind in zip(panels[0], kinds, strict=True):
        for name, colour in colours.items():
            rows = rows_of(frame, closeness=kind, model=name)
            of_k = [rows_of(rows, k=k)["P"].to_numpy() for k in KS]
            spread = [values.std(ddof=1) if len(values) > 1 else 0 for values in of_k]
            axes.errorbar(
                KS, [values.mean() for values in of_k], spread, color=colour, marker="o", capsize=3, label=name
            )
            if with_published and name in METHODS:
                printed = overall("P")[name]
                axes.plot(KS, printed, color=colour, linestyle=":", marker="x", label=f"{METHODS[name]}, the paper")
        axes.set(title=f"closeness: {kind}", xlabel="k", xscale="log")
        axes.set_xticks(KS, [str(k) for k in KS])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    panels[0][0].set(ylabel="P@k, mean over genres", ylim=(0, 1))
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize="small")
    save(plt, figure, path)


def maps(panels: Sequence[tuple[str, np.ndarray, np.ndarray]], history: np.ndarray, types: int, path: Path) -> None:
    """Fig. 4: items and one user on a map each.

    Args:
      panels: title, `f32[N + 1, 2]` (the last row is the user), types `int[N]`. history: the user's training items.
    """
    plt = plotting()
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(5 * columns, 4.6 * rows), layout="constrained", squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    for axes, (title, places, of_item) in zip(grid.flat, panels, strict=False):
        items = places[:-1]
        for one in range(types):
            chosen = items[of_item == one]
            axes.scatter(*chosen.T, s=5, color=_pale(one), rasterized=True, label=f"type {one + 1} ({len(chosen)})")
        axes.scatter(
            *items[history].T,
            s=22,
            marker="s",
            facecolors="none",
            edgecolors=_HISTORY,
            label="training items of the user",
        )
        axes.scatter(*places[-1], s=160, marker="*", color=_USER, label="the user")
        axes.set_title(title)
        axes.legend(fontsize=6, loc="best", framealpha=0.6)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    save(plt, figure, path)


def _pale(place: int) -> str:
    return ("#a6cee3", "#fdbf6f", "#cab2d6", "#fb9a99", "#b15928", "#1f78b4", "#ffff99", "#6a3d9a")[place % 8]


def one_user(frame: pd.DataFrame, names: Sequence[str], path: Path) -> None:
    """Fig. 7: the share of the list, precision and recall of each type, a panel for each model. `frame`: of one seed."""
    plt = plotting()
    figure, panels = plt.subplots(
        1, len(names), figsize=(3.6 * len(names), 3.4), sharey=True, layout="constrained", squeeze=False
    )
    for axes, name in zip(panels[0], names, strict=True):
        rows = rows_of(frame, model=name)
        for shift, (column, colour) in enumerate((("share", COLOURS[0]), ("P", COLOURS[1]), ("R", COLOURS[2]))):
            axes.bar(rows["type"] + 0.27 * (shift - 1), np.nan_to_num(rows[column]), 0.25, color=colour, label=column)
        columns = zip(*(rows[column] for column in ("type", "train", "test")), strict=True)
        axes.set_xticks(rows["type"], [f"{kind}\n{train}/{test}" for kind, train, test in columns])
        axes.set(title=name, xlabel="type; items in training/test")
        axes.grid(alpha=0.3, axis="y")
    panels[0][0].set(ylim=(0, 1))
    panels[0][0].legend(fontsize="small")
    save(plt, figure, path)


def all_users(frame: pd.DataFrame, colours: Mapping[str, str], shown_k: int, path: Path) -> None:
    """Fig. 8: a row of panels for each kind of types: majority share, minority shares, precision and recall of both.

    A dotted line is the majority share of the users' test items.
    """
    plt = plotting()
    kinds = list(dict.fromkeys(frame["types"]))
    figure, grid = plt.subplots(len(kinds), 6, figsize=(19, 3 * len(kinds)), layout="constrained", squeeze=False)
    mean = means(frame, ["types", "model", "metric", "k"], "value")
    metrics = list(dict.fromkeys(frame["metric"]))
    ranks = [int(metric[6:]) for metric in metrics if metric.startswith("share_") and metric != "share_1"]
    ks = sorted({int(k) for k in frame["k"]} - {0})
    for row, kind in zip(grid, kinds, strict=True):
        for name, colour in colours.items():
            row[0].axhline(mean[kind, name, "test_1", 0], color=colour, linestyle=":")
            others = [mean[kind, name, f"share_{rank}", shown_k] for rank in ranks]
            row[1].plot(ranks, others, color=colour, marker=".")
            for axes, metric in zip(row, _SHOWN, strict=True):
                if metric:
                    values = [mean[kind, name, metric, k] for k in ks]
                    axes.plot(ks, values, color=colour, marker=".", label=name)
        row[0].set_ylabel(f"types: {kind}")
        for axes, (metric, title) in zip(row, _SHOWN.items(), strict=True):
            axes.set(title=title, xlabel="k" if metric else f"type, by the user's own items; k={shown_k}")
            axes.grid(alpha=0.3)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    save(plt, figure, path)
