"""The section on what lists are like."""

from __future__ import annotations

from pathlib import Path

from onebp_jax.analysis.frames import rows_of
from onebp_jax.evaluation.protocols import CRITERION
from onebp_jax.reports import html, pictures
from onebp_jax.reports.listed import SHOWN_K
from onebp_jax.reports.numbers import Numbers
from onebp_jax.reports.page import Section
from onebp_jax.reports.runs import Runs
from onebp_jax.reports.words import spread

# Measure -> its heading, its digits, which is bold, and what it is.
COLUMNS = {
    "Coverage": ("coverage", 3, "max", "the share of the catalogue that is in some list"),
    "Gini": ("Gini", 3, "min", "how unevenly recommendations fall on items: 0 all equally often, 1 only one item"),
    "AvgPop": ("mean popularity", 1, "", "training users of a recommended item"),
    "Novelty": (
        "novelty",
        2,
        "",
        "mean of -log2 of an item's share of the training pairs, one pair added to each item",
    ),
    "Tail": ("tail share", 3, "", "recommendations of tail items"),
    "PopDeviation": (
        "popularity deviation",
        3,
        "min",
        "Jensen-Shannon divergence between list and history of a user, by head, middle and tail items",
    ),
    "Diversity": ("diversity", 3, "max", "1 - cosine of two items of a list by their training users"),
    "GenreDiversity": ("genre diversity", 3, "max", "1 - cosine of two items of a list by their genres"),
    "Miscalibration": (
        "miscalibration",
        3,
        "min",
        "Kullback-Leibler divergence of the genres of a list from those of the history (Steck 2018)",
    ),
}


def section(found: Runs, told: Numbers, folder: Path) -> Section:
    """Popularity, coverage, diversity, calibration."""
    frame = rows_of(told.lists, k=SHOWN_K)
    there = {name: column for name, column in COLUMNS.items() if name in set(frame["measure"])}
    rows = [
        [
            name,
            *(
                spread(rows_of(frame, model=name, measure=one)["value"], digits)
                for one, (_, digits, *_) in there.items()
            ),
        ]
        for name in found.names
    ]
    caption = (
        f"Lists of {SHOWN_K} items for {'test users' if found.tested else 'all users'}, without items that they are known to "
        "have. Bold: the most even, the most diverse, the nearest to the user's own history."
    )
    table = html.table(
        caption, ["", *(head for head, *_ in there.values())], rows, best=[best for _, _, best, _ in there.values()]
    )
    meaning = html.bullets([f"{head.capitalize()}: {what}." for head, _, _, what in there.values()])
    shown = [_shares(told, folder), _concentration(found, told, folder)]
    if found.tested:
        shown += [_recall(found, told, folder), *_coverage(found, told, folder)]
    return Section(
        "lists",
        "Lists",
        "What the lists are like",
        [table, html.details("What is measured", meaning), html.grid(*shown)],
    )


def _shares(told: Numbers, folder: Path) -> str:
    picture = folder / "popularity.svg"
    pictures.shares(told.popularity, picture)
    caption = (
        "How pairs and recommendations spread over head, middle and tail: the most popular items with 20 % of the training "
        "pairs, the rarest with 20 %, and those between."
    )
    return html.figure(picture, caption, f"Bars: {caption}")


def _concentration(found: Runs, told: Numbers, folder: Path) -> str:
    picture = folder / "concentration.svg"
    pictures.concentration(told.concentration, found.names, picture)
    caption = "How evenly recommendations fall on items (Lorenz curves): on the diagonal all items are recommended equally often."
    return html.figure(picture, caption, caption)


def _recall(found: Runs, told: Numbers, folder: Path) -> str:
    picture = folder / "recall.svg"
    pictures.recall(told.popularity, found.names, picture)
    caption = f"The share of test pairs that are in the lists of {SHOWN_K}, for popular and for rare items."
    return html.figure(picture, caption, f"Bars: {caption}")


def _coverage(found: Runs, told: Numbers, folder: Path) -> list[str]:
    picture, keys = folder / "coverage.svg", ["model", "seed"]
    coverage = rows_of(told.lists, k=SHOWN_K, measure="Coverage").assign(x=lambda frame: frame["value"])
    accuracy = rows_of(told.metrics, metric=CRITERION).assign(y=lambda frame: frame["value"])
    both = coverage.merge(accuracy, on=keys)
    if not len(both):
        return []
    pictures.against(both, found.names, ("coverage of the catalogue", CRITERION), picture)
    return [
        html.figure(
            picture, f"{CRITERION} against coverage: a dot for each run.", f"{CRITERION} against coverage, by run."
        )
    ]
