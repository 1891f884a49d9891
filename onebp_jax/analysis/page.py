"""The page of an analysis: its tables, its pictures, and how they were made."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from onebp_jax.analysis.frames import means, rows_of
from onebp_jax.analysis.genres import CLOSENESS
from onebp_jax.analysis.published import KS, METHODS, OVERALL, genres, overall
from onebp_jax.analysis.study import OWN, Study
from onebp_jax.evaluation.tables import aligned
from onebp_jax.experiments.report import table

_OWN = {
    True: "With the item itself in the mean, as in the paper",
    False: "Without: an item is compared with the mean of the others",
}
_NUMBERS = {
    "Clusters": ("silhouette", "largest", "popularity"),
    "Spread of a user's training items over the types": (
        "majority",
        "majority_by_chance",
        "entropy",
        "entropy_by_chance",
    ),
    "From users to their majority and minority items": (
        "cosine_majority",
        "cosine_minority",
        "distance_majority",
        "distance_minority",
        "place_majority",
        "place_minority",
        "centre_majority",
        "centre_minority",
    ),
}


def markdown(found: Study, command: str) -> str:
    """The whole page."""
    seeds = sorted({model.seed for model in found.models})
    runs = aligned(["model", "seed", "made"], [[model.name, str(model.seed), model.made] for model in found.models])
    parts = [
        f"# Analysis of runs on {found.dataset.name}",
        f"    {command}",
        f"{found.dataset.num_users} users, {found.dataset.num_items} items; seeds {', '.join(map(str, seeds))}; mean ± standard "
        f"deviation over seeds. `start` is the vectors {found.models[0].made}. KMeans: {found.types} types, 10 starts, seed "
        f"{found.seed}. All numbers: `table5.csv`, `fig4.csv`, `fig7.csv`, `fig8.csv`.",
        runs,
        *_probe(found),
        *_latent_types(found),
        *_one_user(found),
        *_all_users(found),
    ]
    return "\n\n".join(parts) + "\n"


def _probe(found: Study) -> list[str]:
    parts = [
        "## Genres (Table 5)",
        "All items are ranked by closeness to the mean vector of the items of a genre. P@k is the share of the k nearest that "
        "have the genre, mean over genres; R@k = hits over labels.",
    ]
    for own, title in _OWN.items():
        overall_rows = rows_of(found.table5, genre=OVERALL, own=own)
        lines = [
            (f"{name}, {closeness}", _by_seed(rows_of(overall_rows, closeness=closeness, model=name)))
            for closeness in CLOSENESS
            for name in found.names
        ]
        if own and found.published:
            lines += [(f"{name}, the paper", [_printed(method)]) for method, name in METHODS.items()]
        parts += [f"### {title}", table(lines, [f"{metric}@{k}" for metric in "PR" for k in KS], digits=3)]
    parts.append("![Table 5](table5.svg)")
    shown = [method for method in METHODS if method in found.names]
    if found.published and shown:
        parts += ["### Each genre, by cosine: ours (the paper)", _each_genre(found, shown)]
    return parts


def _by_seed(frame: pd.DataFrame) -> list[dict[str, float]]:
    """The metrics of each seed, `{"P@5": ..}`."""
    return [
        {f"{metric}@{k}": value for metric in "PR" for k, value in zip(rows["k"], rows[metric], strict=True)}
        for _, rows in frame.groupby("seed")
    ]


def _printed(method: str) -> dict[str, float]:
    return {f"{metric}@{k}": value for metric in "PR" for k, value in zip(KS, overall(metric)[method], strict=True)}


def _each_genre(found: Study, shown: Sequence[str]) -> str:
    frame = rows_of(found.table5, closeness="cosine", own=True)
    mean, n = means(frame, ["genre", "model", "k"], "P"), means(frame, ["genre"], "n")
    lines = []
    for name, printed in genres().items():
        ours = [
            f"{mean[name, method, k]:.2f} ({printed[method][at]:.2f})" for method in shown for at, k in enumerate(KS)
        ]
        lines.append([name, f"{n[(name,)]:.0f}", *ours])
    return aligned(["genre", "n", *(f"{METHODS[method]} P@{k}" for method in shown for k in KS)], lines)


def _latent_types(found: Study) -> list[str]:
    parts = [
        "## Latent types (Fig. 4)",
        "Types are clusters: of a model's own item vectors, as they are (own) or with length 1 (own, unit); or the same for all "
        "models, those of one method and of the genres. Chance: items shuffled over all pairs, mean of 20 shuffles. Cosine, "
        "distance (relative to the mean distance to all items) and place (in the ranking of all items, 0 the first) are of a "
        "user and their training items. Centre is the rank of a type by the cosine of its centre. "
        "Popularity is the share of the variance of items' log popularity that lies between types.",
    ]
    pictures = {kind: f"![Fig. 4, {form}](fig4_{form}.svg)" for form, kind in OWN.items()}
    for kind in dict.fromkeys(found.fig4["types"]):
        rows = rows_of(found.fig4, types=kind)
        parts.append(f"### Types of Fig. 4: {kind}")
        for title, columns in _NUMBERS.items():
            parts += [f"{title}:", table(_by_metric(rows, found.names), columns, digits=3)]
        parts += [pictures[kind]] if kind in pictures else []
    return parts


def _by_metric(frame: pd.DataFrame, names: Sequence[str]) -> list[tuple[str, list[dict[str, float]]]]:
    return [
        (
            name,
            [
                dict(zip(rows["metric"], rows["value"], strict=True))
                for _, rows in rows_of(frame, model=name).groupby("seed")
            ],
        )
        for name in names
    ]


def _one_user(found: Study) -> list[str]:
    user = found.dataset.user_ids[found.user]
    rows = rows_of(found.fig7, seed=found.models[0].seed, types="own")
    shown = ["model", "type", "train", "test", "listed", "hits", "share", "P", "R"]
    cells = [[_text(value) for value in row] for row in zip(*(rows[column] for column in shown), strict=True)]
    return [
        "## One user, type by type (Fig. 7)",
        f"User {user}, the median of users with test items by the number of training items; the list of "
        f"{rows['k'].to_numpy()[0]}, seed {found.models[0].seed}, types of each model's own raw vectors. P and R are blank where "
        "they are 0 / 0.",
        aligned(shown, cells),
        "![Fig. 7](fig7.svg)",
    ]


def _text(value) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.3f}"
    return str(value)


def _all_users(found: Study) -> list[str]:
    parts = [
        "## Majority and minority types of all users (Fig. 8)",
        "The majority type of a user is the one of most of their training items. share_1 is its share of the list, share_2 that "
        "of the user's second type, and so on; P and R are of majority and minority items alone, over users who have a value.",
    ]
    for kind in dict.fromkeys(found.fig8["types"]):
        rows = rows_of(found.fig8, types=kind)
        own = rows_of(rows, k=0)
        parts += [f"### Types of Fig. 8: {kind}", "The users' own items:"]
        columns = [f"{part}_{rank}" for part in ("train", "test") for rank in (1, 2, 3)]
        parts.append(table(_by_metric(own, found.names), columns, digits=3))
        lists = rows.loc[rows["k"] > 0].assign(metric=rows["metric"] + "@" + rows["k"].astype(str))
        ks = sorted(set(lists["k"]))
        parts.append(table(_by_metric(lists, found.names), [f"share_1@{k}" for k in ks], digits=3))
        middle = [k for k in ks if k in (5, 20)] or ks[:1]
        columns = [f"{metric}_{part}@{k}" for metric in "PR" for part in ("majority", "minority") for k in middle]
        parts.append(table(_by_metric(lists, found.names), columns, digits=3))
    return [*parts, "![Fig. 8](fig8.svg)"]
