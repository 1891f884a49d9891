"""The pictures of Figs. 3 and 5 and of learning curves, as SVG by matplotlib, from the numbers that are written beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from onebp_jax.analysis.frames import rows_of
from onebp_jax.analysis.pictures import COLOURS, plotting, save
from onebp_jax.evaluation.protocols import CRITERION

_METRICS = ("P@5", "NDCG@20")
# Points of a line in a picture.
_MOST = 200


def _spread(values: Any) -> tuple[float, float]:
    """Mean and standard deviation over seeds; 0 with one seed."""
    numbers = values.to_numpy(dtype=float)
    return float(numbers.mean()), float(numbers.std(ddof=1)) if len(numbers) > 1 else 0.0


def encoders(frame: pd.DataFrame, path: Path) -> None:
    """Fig. 3: each encoder without and with OneBP, a panel for each metric; error bars are over seeds."""
    plt = plotting()
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    names = list(dict.fromkeys(frame["encoder"]))
    for axes, metric in zip(panels, _METRICS, strict=True):
        for shift, (onebp, label) in enumerate(((False, "without OneBP"), (True, "with OneBP"))):
            for place, name in enumerate(names):
                values = rows_of(frame, encoder=name, onebp=onebp)[metric]
                if len(values):
                    mean, sd = _spread(values)
                    at, colour = place + 0.3 * shift - 0.15, COLOURS[1 + shift]
                    axes.errorbar(at, mean, sd, color=colour, marker="o", capsize=4, linestyle="", label=label)
                    side = {"xytext": (7, -3)} if onebp else {"xytext": (-7, -3), "ha": "right"}
                    axes.annotate(f"{mean:.3f}", (at, mean), textcoords="offset points", fontsize=8, **side)
        axes.set_xticks(range(len(names)), names)
        axes.set(title=f"{metric}, test", xlim=(-0.6, len(names) - 0.4))
        axes.grid(alpha=0.3, axis="y")
    handles = {label: handle for handle, label in zip(*panels[0].get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, fontsize="small")
    save(plt, figure, path)


def varied(frame: pd.DataFrame, path: Path) -> None:
    """Fig. 5: metrics against 1 - beta and against the number of negatives; error bars are over seeds."""
    plt = plotting()
    fields = list(dict.fromkeys(frame["field"]))
    figure, grid = plt.subplots(
        len(_METRICS), len(fields), figsize=(4.5 * len(fields), 5.6), layout="constrained", squeeze=False, sharey="row"
    )
    for row, metric in zip(grid, _METRICS, strict=True):
        for axes, field in zip(row, fields, strict=True):
            of_field = rows_of(frame, field=field)
            for method, colour in zip(dict.fromkeys(of_field["method"]), COLOURS[1:], strict=False):
                grouped: Any = rows_of(of_field, method=method).groupby("value")
                points = [(float(value), _spread(at[metric])) for value, at in list(grouped)]
                x = [1 - value if field == "beta" else value for value, _ in points]
                mean, sd = zip(*(numbers for _, numbers in points), strict=True)
                axes.errorbar(x, mean, sd, color=colour, marker="o", markersize=4, capsize=3, label=method)
            axes.set(xscale="log", xlabel="1 - beta" if field == "beta" else "negatives of each positive")
            if field != "beta":
                shown = sorted(set(of_field["value"]))
                axes.set_xticks(shown, [f"{value:g}" for value in shown])
            axes.minorticks_off()
            axes.locator_params(axis="y", nbins=5)
            axes.grid(alpha=0.3)
        row[0].set_ylabel(f"{metric}, test")
        if fields[0] == "beta":
            row[0].invert_xaxis()
    grid[0][-1].legend(fontsize="small")
    save(plt, figure, path)


def draw_curves(axes, frame: pd.DataFrame, x: str, styles: dict[str, dict[str, Any]]) -> None:
    """Learning curves: a line for each run, a dot at the epoch that was chosen.

    Args:
      axes: of matplotlib. frame: the columns model, seed, value, chosen and `x`. x: the column of the horizontal axis.
      styles: model -> its colour and other properties of a line; models are drawn in this order.
    """
    for name, style in styles.items():
        for number, (_, one) in enumerate(rows_of(frame, model=name).groupby("seed")):
            shown, chosen = one.iloc[_thinned(len(one))], rows_of(one, chosen=True)
            axes.plot(
                shown[x], shown["value"], alpha=0.85, label=None if number else name, **{"linewidth": 1.2} | style
            )
            axes.plot(chosen[x], chosen["value"], "o", markersize=5, color=style["color"])
    axes.grid(alpha=0.35)


def curves(frame: pd.DataFrame, path: Path) -> None:
    """The metric on validation against epochs and against seconds of training."""
    plt = plotting()
    figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
    named = frame.rename(columns={"row": "model", "validation": "value"})
    styles = {name: {"color": colour} for name, colour in zip(dict.fromkeys(named["model"]), COLOURS[1:], strict=False)}
    for axes, (x, label) in zip(
        panels, {"epoch": "epoch", "seconds": "seconds of steps and evaluations"}.items(), strict=True
    ):
        draw_curves(axes, named, x, styles)
        axes.set(xlabel=label, xscale="log")
        axes.minorticks_off()
    panels[0].set_ylabel(f"{CRITERION}, validation")
    panels[0].legend(fontsize="small")
    save(plt, figure, path)


def _thinned(count: int) -> np.ndarray:
    """Places of at most `_MOST` points of a line, its first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, _MOST)).round().astype(int))
