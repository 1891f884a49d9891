"""The genre probe (Table 5): are the items near the centre of a genre items of that genre?"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from onebp_jax.analysis.published import KS, OVERALL
from onebp_jax.errors import UserError, one_of

CLOSENESS = ("cosine", "dot", "euclid")


class Genres(NamedTuple):
    """The genres of items.

    Attributes:
      names: `G` names in alphabetical order. has: `bool[N, G]`, an item may have several or none.
    """

    names: tuple[str, ...]
    has: np.ndarray


def genres_of(cells: Iterable[str], rows: np.ndarray, num_items: int) -> Genres:
    """Genres of texts such as `Comedy|Romance`, for the item rows that they belong to; other items have none.

    Raises:
      UserError: no item has a genre.
    """
    listed = [[word.strip() for word in re.split(r"[|,;]", cell) if word.strip()] for cell in cells]
    names = tuple(sorted({word for words in listed for word in words}))
    if not names:
        raise UserError("items: no item has a genre, the analysis needs a column genres such as Comedy|Romance")
    place, has = {name: at for at, name in enumerate(names)}, np.zeros((num_items, len(names)), bool)
    for row, words in zip(rows, listed, strict=True):
        has[row, [place[word] for word in words]] = True
    return Genres(names, has)


def probe(item: np.ndarray, genres: Genres, closeness: str = "cosine", *, own: bool = True) -> pd.DataFrame:
    """How many of the `k` items nearest to the centre of a genre have it. The centre is the mean vector of its items.

    Args:
      item: `f32[N, d]`.
      closeness: "cosine", "dot" (product) or "euclid" (the smallest distance).
      own: whether an item counts in the centre that it is compared with, as in the paper. Else the centre is the mean of the
        other items of the genre, and a genre of one item has no hits.

    Returns:
      A frame with the columns genre, n (items of the genre), k, P, R, F1; the last genre is `OVERALL`: P is the mean over
      genres, R is hits over labels, F1 is of these two.
    """
    if closeness not in CLOSENESS:
        raise UserError(f"closeness={closeness!r}: expected {one_of(closeness, CLOSENESS)}")
    item = item.astype(np.float64)
    counts, rows = genres.has.sum(axis=0), []
    hits = np.zeros((len(genres.names), len(KS)))
    for at, has in enumerate(genres.has.T):
        total = item[has].sum(axis=0)
        near = _closeness(item, total / counts[at], closeness)
        if not own:
            others = (total - item[has]) / max(1, counts[at] - 1)
            near[has] = _closeness(item[has], others, closeness) if counts[at] > 1 else -np.inf
        order = np.argsort(-near, kind="stable")
        found = np.cumsum(has[order])
        hits[at] = [found[min(k, len(found)) - 1] for k in KS]
    for name, n, own_hits in zip(genres.names, counts, hits, strict=True):
        rows += [_row(name, n, k, found / k, found / n) for k, found in zip(KS, own_hits, strict=True)]
    labels = counts.sum()
    rows += [
        _row(OVERALL, labels, k, found / (k * len(counts)), found / labels)
        for k, found in zip(KS, hits.sum(axis=0), strict=True)
    ]
    return pd.DataFrame(rows)


def _row(genre: str, n: int, k: int, precision: float, recall: float) -> dict:
    f1 = 2 * precision * recall / (precision + recall) if precision else 0.0
    return {"genre": genre, "n": int(n), "k": k, "P": precision, "R": recall, "F1": f1}


def _closeness(vectors: np.ndarray, centres: np.ndarray, closeness: str) -> np.ndarray:
    """`[n]`: how close each vector is to a centre, or to its own centre."""
    if closeness == "euclid":
        return -np.linalg.norm(vectors - centres, axis=1)
    dot = (vectors * centres).sum(axis=1)
    if closeness == "dot":
        return dot
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(centres, axis=-1)
    return np.divide(dot, lengths, out=np.zeros_like(dot), where=lengths > 0)
