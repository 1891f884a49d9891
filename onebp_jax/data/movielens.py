"""The items of MovieLens as its publisher gives them: ids, titles and genres, in the numbers of the catalogue.

The catalogue numbers items by their first appearance in the ratings. Each function returns the columns of `items.csv`: item,
title, genres (separated by `|`), orig_id.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

# The flags of `u.item`, in order.
_GENRES = "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy Film-Noir Horror Musical Mystery"
_MORE_GENRES = "Romance Sci-Fi Thriller War Western"


def items_of_ml_1m(work: Path) -> pd.DataFrame:
    """From `ml-1m.zip` in a folder."""
    with zipfile.ZipFile(work / "ml-1m.zip") as archive:
        rated = _column(archive, "ml-1m/ratings.dat", "::")
        lines = archive.read("ml-1m/movies.dat").decode("latin-1").splitlines()
    movies = [line.split("::") for line in lines if line]
    return _in_order(rated, {int(number): (title, genres) for number, title, genres in movies})


def items_of_ml_100k(work: Path) -> pd.DataFrame:
    """From `ml-100k.zip` in a folder."""
    with zipfile.ZipFile(work / "ml-100k.zip") as archive:
        rated = _column(archive, "ml-100k/u.data", "\t")
        lines = archive.read("ml-100k/u.item").decode("latin-1").splitlines()
    movies = [line.split("|") for line in lines if line]
    flagged = lambda flags: "|".join(
        genre for genre, flag in zip(f"{_GENRES} {_MORE_GENRES}".split(), flags, strict=True) if flag == "1"
    )
    return _in_order(rated, {int(movie[0]): (movie[1], flagged(movie[5:])) for movie in movies})


def items_of_package(archive: zipfile.ZipFile, rated: np.ndarray) -> pd.DataFrame:
    """From the wheel of recbole; `rated` are the ids in the order of their numbers."""
    with archive.open("recbole/dataset_example/ml-100k/ml-100k.item") as file:
        table = pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False, quoting=3)
    number, title, year, genres = (table.iloc[:, place] for place in range(4))
    titles = title.where(year == "", title + " (" + year + ")")
    rows = zip(number.astype(int), zip(titles, genres.str.replace(" ", "|"), strict=True), strict=True)
    return _in_order(rated, dict(rows))


def _column(archive: zipfile.ZipFile, member: str, separator: str) -> np.ndarray:
    """The second column of a file without a header: the rated items."""
    text = archive.read(member).decode("latin-1").replace(separator, "\t")
    return pd.read_csv(io.StringIO(text), sep="\t", header=None, usecols=[1]).iloc[:, 0].to_numpy()


def _in_order(rated: np.ndarray, movies: dict[int, tuple[str, str]]) -> pd.DataFrame:
    numbers = pd.unique(rated)
    titles, genres = zip(*(movies.get(int(number), ("", "")) for number in numbers), strict=True)
    return pd.DataFrame({"item": np.arange(len(numbers)), "title": titles, "genres": genres, "orig_id": numbers})
