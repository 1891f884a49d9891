"""The section on genres and latent types: section 5 of the paper on the runs that it can be made of."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from absl import logging

from onebp_jax.analysis import folder as analysis_folder
from onebp_jax.analysis import models
from onebp_jax.analysis.frames import rows_of
from onebp_jax.analysis.genres import Genres
from onebp_jax.analysis.published import KS, METHODS, OVERALL, overall
from onebp_jax.analysis.study import KS as LENGTHS
from onebp_jax.analysis.study import SHOWN_K, Study, study
from onebp_jax.errors import UserError
from onebp_jax.reports import html
from onebp_jax.reports.page import Section
from onebp_jax.reports.runs import Runs
from onebp_jax.reports.words import spread
from onebp_jax.training import run_folder

# Column of the frame -> its heading.
_LATENT = {
    "silhouette": "silhouette",
    "majority": "majority share of the history",
    "majority_by_chance": "by chance",
    "cosine_majority": "cosine, majority",
    "cosine_minority": "cosine, minority",
    "place_majority": "place, majority",
    "place_minority": "place, minority",
}
_LISTED = {
    "share_1": "majority share of the list",
    "P_majority": "precision, majority",
    "P_minority": "precision, minority",
    "R_majority": "recall, majority",
    "R_minority": "recall, minority",
}


def section(found: Runs, genres: Genres | None, types: int, folder: Path, command: str) -> Section:
    """Tables and pictures of `onebp analyse`, whose files are written to the folder too.

    Runs that it is not made for are named, with the reason. If it cannot be made at all, the page says why.

    Args:
      types: how many clusters of items. command: what made the page.
    """
    parts: list[str] = []
    if genres is not None and types:
        left = {}
        for run in found.runs:
            try:
                models.check(run.folder, run_folder.read_run(run.folder, "runs"))
            except UserError as error:
                left[run.folder] = str(error).partition(": ")[2]
        try:
            if folders := [run.folder for run in found.runs if run.folder not in left]:
                dataset, read = models.read_models(folders, max(LENGTHS))
                told = study(dataset, read, genres, types)
                analysis_folder.write(told, folder, command, found.names)
                parts += _parts(told, folder)
            parts += [html.bullets([f"{why} ({which})" for which, why in left.items()])] if left and not parts else []
            if left and folders:
                reasons = "".join(sorted({f" {why.rstrip('.')}." for why in left.values()}))
                parts.append(html.paragraph(f"Not of all runs:{reasons}", "note"))
        except UserError as error:
            logging.warning("the figures of genres are left out: %s", error)
            parts = [html.paragraph(f"The figures of genres are left out: {error}")]
    return Section("genres", "Genres and types", "Genres and latent types", parts)


def _parts(told: Study, folder: Path) -> list[str]:
    return [
        _probe(told),
        html.figure(
            folder / "table5.svg",
            "The same for three kinds of closeness." + (" Dotted: the paper." if told.published else ""),
            "Lines: precision of genres against k, for three kinds of closeness.",
            wide=True,
        ),
        _by_model(
            told,
            rows_of(told.fig4, types="own"),
            _LATENT,
            f"Latent types: {told.types} clusters of a model's own item vectors. Majority: the type of most of a user's training "
            "items. Cosine and place (in the ranking of all items, 0 the first) are of a user and their training items.",
        ),
        _map(folder / "fig4_unit.svg", "vectors of length 1"),
        html.details("The same for vectors as they are", _map(folder / "fig4_raw.svg", "vectors as they are")),
        _by_model(
            told,
            rows_of(told.fig8, types="genres", k=SHOWN_K),
            _LISTED,
            f"Majority and minority types in lists of {SHOWN_K}; types are clusters of items by genre, the same for all models.",
        ),
        html.figure(
            folder / "fig8.svg",
            "Majority and minority types in lists against k, for each kind of types.",
            "Lines: shares, precision and recall of majority and minority types against the length of lists.",
            wide=True,
        ),
        html.figure(
            folder / "fig7.svg",
            f"One user, type by type: share of the list of {SHOWN_K}, precision and recall.",
            "Bars: for each type the share of the list, precision and recall of one user.",
            wide=True,
        ),
    ]


def _map(picture: Path, which: str) -> str:
    caption = f"Items by type (t-SNE, {which}), and one user with their training items."
    return html.figure(picture, caption, f"Maps, one for each model. {caption}", wide=True)


def _probe(told: Study) -> str:
    frame = rows_of(told.table5, genre=OVERALL, closeness="cosine", own=True)
    rows, quiet = [], []
    for name in told.names:
        own = rows_of(frame, model=name)
        rows.append([name, *(spread(rows_of(own, k=k)["P"], 3) for k in KS)])
    if told.published:
        for method, title in METHODS.items():
            quiet.append(len(rows))
            rows.append([f"the paper's {title}", *(spread([value], 3) for value in overall("P")[method])])
    caption = (
        "Genres (Table 5 of the paper): of the k items nearest to the mean vector of a genre's items by cosine, the share that "
        f"has the genre; mean over genres. start: the vectors {told.models[0].made}."
    )
    return html.table(caption, ["", *(f"P@{k}" for k in KS)], rows, quiet=quiet)


def _by_model(told: Study, frame: pd.DataFrame, columns: dict[str, str], caption: str) -> str:
    rows = [
        [name, *(spread(rows_of(frame, model=name, metric=column)["value"], 3) for column in columns)]
        for name in told.names
    ]
    return html.table(caption, ["", *columns.values()], rows)
