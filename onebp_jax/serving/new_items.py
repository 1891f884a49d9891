"""Items that training did not know, from their features: a linear map from features to vectors, fitted to the items that it knew.

Source: Gantner et al. 2010, Learning attribute-to-feature mappings for cold-start recommendations (ICDM). The map is ridge
regression; a tenth of the known items chooses its penalty.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import pandas as pd
from absl import logging
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix, hstack

from onebp_jax.data.dataset import Features
from onebp_jax.data.feature_files import read_by_id
from onebp_jax.data.features import to_features
from onebp_jax.data.paths import as_path
from onebp_jax.errors import UserError
from onebp_jax.ops.fold import Fold
from onebp_jax.serving.items import Items, read_items
from onebp_jax.training.run_data import places
from onebp_jax.training.run_folder import Trained

PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
# Known items that a map is fitted to, at least.
LEAST_KNOWN = 10
# More columns would make the fit slow; the rarest tokens are left out.
MOST_COLUMNS = 5000


def new_items(source: pd.DataFrame | str | os.PathLike, config, run: Trained) -> tuple[np.ndarray, np.ndarray]:
    """The ids `[n]` and vectors `f32[n, e]` of the items of a file or frame that a run does not know.

    Raises:
      UserError: as `Recommender.add_items`.
    """
    ids, frame = read_by_id(source if isinstance(source, pd.DataFrame) else as_path(source, "items"), "item",
                            str(config.item_column) or None)  # fmt: skip
    known = places(run.item_ids, ids)
    new, count = known < 0, int((known >= 0).sum())
    if not new.any():
        return ids[:0], run.item[:0]
    if count < LEAST_KNOWN:
        raise UserError(
            f"items: {count} of {len(ids)} rows are known items, expected at least {LEAST_KNOWN} to learn from"
        )
    if "i" in (kinds := {run.item_ids.dtype.kind, ids.dtype.kind}) and len(kinds) > 1:
        raise UserError(f"items: {ids[new][0]!r}: expected ids of the kind of the run's, such as {run.item_ids[0]!r}")
    features = to_features(frame.set_axis(ids), "items")
    if not features.names:
        raise UserError("items: it has no column of features beside the ids, expected at least one, such as genres")
    made = map_features(features, np.flatnonzero(~new), run.item[known[~new]])
    logging.info(
        "%d new items, by %s: features explain %.0f %% of how known items differ (measured on a tenth, held out)",
        *(new.sum(), ", ".join(features.names), 100 * made.explained),
    )
    if len(bare := ids[new & ~made.described].tolist()):
        logging.warning(
            "%d of the new items, such as %r, have no feature of a known item: they get the mean vector",
            len(bare),
            bare[0],
        )
    return ids[new], made.vectors[new]


def titles_with_new(
    before: Items | None, source: pd.DataFrame | str | os.PathLike, run: Trained, count: int
) -> Items | None:
    """Titles and those of the items from row `count` on, which a file or frame has."""
    found = read_items(source, run)
    if before is None or before.titles is None or found.titles is None:
        return found if found.titles is not None else before
    new = found.rows >= count
    rows, titles = np.concatenate([before.rows, found.rows[new]]), np.concatenate([before.titles, found.titles[new]])
    return Items(rows, titles)


class Mapped(NamedTuple):
    """What a map makes of `N` items.

    Attributes:
      vectors: `f32[N, e]`. described: `bool[N]`, whether the item has any of the features that the known items have.
      penalty: the best one. explained: the share of the variance of held-out items that the map explains.
    """

    vectors: np.ndarray
    described: np.ndarray
    penalty: float
    explained: float


def map_features(features: Features, known: np.ndarray, vectors: np.ndarray) -> Mapped:
    """Vectors for all rows of features.

    Args:
      features: of `N` items. known: `int[n]`, the rows of items with vectors, at least 10. vectors: `f32[n, e]`.
    """
    columns = _columns(features)
    mean = vectors.mean(0)
    wanted, given = vectors - mean, columns[known]
    shuffled = np.random.default_rng(0).permutation(len(known))
    held_out, rest = shuffled[: len(known) // 10], shuffled[len(known) // 10 :]
    errors = [
        np.square(wanted[held_out] - given[held_out] @ _ridge(given[rest], wanted[rest], penalty)).sum()
        for penalty in PENALTIES
    ]
    best = int(np.argmin(errors))
    made = columns @ _ridge(given, wanted, PENALTIES[best]) + mean
    total = max(float(np.square(wanted[held_out]).sum()), 1e-30)
    described = abs(columns) @ (np.asarray(abs(given).sum(0)).ravel() > 0) > 0
    return Mapped(made.astype(np.float32), described, PENALTIES[best], 1 - float(errors[best]) / total)


def _columns(features: Features) -> csr_matrix:
    """`f32[N, c]`: numbers and tokens side by side."""
    rows, places = np.nonzero(features.tokens < features.vocabulary)
    tokens = features.tokens[rows, places]
    ones = np.ones(len(rows), np.float32)
    made = csr_matrix((ones, (rows, tokens)), shape=(len(features.numeric), features.vocabulary))
    counts = np.bincount(tokens, minlength=features.vocabulary)
    if features.vocabulary > MOST_COLUMNS:
        logging.warning(
            "the %d rarest of %d tokens are left out", features.vocabulary - MOST_COLUMNS, features.vocabulary
        )
        made = made[:, np.argsort(-counts, kind="stable")[:MOST_COLUMNS]]
    return csr_matrix(hstack([csr_matrix(features.numeric), made]))


def _ridge(given: csr_matrix, wanted: np.ndarray, penalty: float) -> np.ndarray:
    gram = (given.T @ given).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += penalty
    return cho_solve(cho_factor(gram), given.T @ wanted.astype(np.float64))


def with_new_items(fold: Fold, count: int) -> Fold:
    """A fold of so many more items. An event with one of them counts as much as one with the rarest item of training."""
    parts = []
    for part in fold.parts:
        weight = np.asarray(part.item_weight)
        more = np.full(count, weight.max(), weight.dtype)
        parts.append(part._replace(item_weight=np.concatenate([weight, more])))
    return fold._replace(parts=tuple(parts))
