"""Latent types (Fig. 4): clusters of item vectors, how the items of a user spread over them, and where the user lies."""

from __future__ import annotations

from typing import Any

import numpy as np
from absl import logging

from onebp_jax.analysis.genres import Genres
from onebp_jax.analysis.models import Model
from onebp_jax.errors import UserError

NEEDS_EXTRA = "the analysis needs scikit-learn and matplotlib: python -m pip install 'onebp-jax[analysis]'"
# How item vectors are clustered: as they are, or with length 1.
FORMS = ("raw", "unit")
# Shuffles of the pairs, for numbers by chance.
_SHUFFLES = 20
# Users at a time, and the most items that a silhouette is made of.
_BLOCK, _SAMPLE = 512, 10_000


def unit(vectors: np.ndarray) -> np.ndarray:
    """The vectors with length 1; zero vectors stay."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def clusters(vectors: np.ndarray, types: int, seed: int) -> np.ndarray:
    """`int[N]`: the type of each vector, by KMeans with 10 starts; type 0 has the most vectors."""
    try:
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise UserError(NEEDS_EXTRA) from error
    if not 1 < types < len(vectors):
        raise UserError(f"types={types}: expected at least 2, and fewer than the {len(vectors)} items")
    different = len(np.unique(vectors, axis=0))
    if different < 2:
        raise UserError("types: all items have the same vector, so there are no types")
    if different < types:
        logging.warning("of %d items only %d are different: there are as many types", len(vectors), different)
        types = different
    starts: Any = 10
    with threadpool_limits(1):  # the same bits on any number of cores
        found = KMeans(types, n_init=starts, random_state=seed).fit_predict(vectors)
    by_size = np.argsort(-np.bincount(found, minlength=types), kind="stable")
    return np.argsort(by_size)[found]


def types_of(model: Model, form: str, types: int, seed: int) -> np.ndarray:
    """The types of a model's own items."""
    return clusters(unit(model.item) if form == "unit" else model.item, types, seed)


def genre_types(genres: Genres, types: int, seed: int) -> np.ndarray:
    """Types that no model has made: clusters of the items' genres, each item's row with length 1."""
    return clusters(unit(genres.has.astype(np.float32)), types, seed)


def counts_of(pairs: np.ndarray, of_item: np.ndarray, num_users: int, types: int) -> np.ndarray:
    """`int[M, types]`: the pairs of each user, by the type of their item."""
    return np.bincount(pairs[:, 0] * types + of_item[pairs[:, 1]], minlength=num_users * types).reshape(-1, types)


def example_user(train: np.ndarray, test: np.ndarray, num_users: int) -> int:
    """The user that pictures show: of those with test items, the one in the middle by the number of training items.

    Users with equal numbers are in the order of their rows.
    """
    history = np.bincount(train[:, 0], minlength=num_users)
    tested = np.unique(test[:, 0])
    return int(tested[np.argsort(history[tested], kind="stable")[(len(tested) - 1) // 2]])


def numbers(model: Model, form: str, of_item: np.ndarray, train: np.ndarray, seed: int) -> dict[str, float]:
    """What the picture of a model says, in numbers.

    Args:
      model: its vectors. form: of the vectors that were clustered, one of `FORMS`. of_item: `int[N]`, the types.
      train: `int[P, 2]`, the training pairs. seed: of the shuffles.

    Returns:
      silhouette: of the clusters, 1 is best. largest: the share of items in the largest type.
      popularity: how much of the variance of items' popularity, log(1 + training pairs), their types explain, 1 is all.
      majority: the share of a user's training items in their largest type, mean over users; majority_by_chance: the same after
        the items of all pairs were shuffled, which keeps histories' lengths and items' popularity.
      entropy, entropy_by_chance: of a user's types, 1 if all are equally often; mean over users.
      cosine_majority, cosine_minority: of a user and their training items of these types.
      distance_majority, distance_minority: to these items, relative to the mean distance to all items.
      place_majority, place_minority: the place of these items in the ranking of all items by the user, 0 the first, 1 the last.
      centre_majority, centre_minority: the rank of the centre of the types, 1 the nearest by cosine; of minority types, those
        that the user has items of.
      Users without minority items count in none of the last eight.
    """
    from sklearn.metrics import silhouette_score

    user, item = model.user, model.item
    vectors, types = (unit(item) if form == "unit" else item), int(of_item.max()) + 1
    counts = counts_of(train, of_item, len(user), types)
    random, by_chance = np.random.default_rng(seed), []
    for _ in range(_SHUFFLES):
        shuffled = np.stack([train[:, 0], random.permutation(train[:, 1])], 1)
        by_chance.append(_spread(counts_of(shuffled, of_item, len(user), types)))
    majority, entropy = _spread(counts)
    sample = min(_SAMPLE, len(item))
    return {
        "silhouette": float(silhouette_score(vectors, of_item, sample_size=sample, random_state=seed)),
        "largest": float(np.bincount(of_item).max() / len(item)),
        "popularity": _explained(np.log1p(np.bincount(train[:, 1], minlength=len(item))), of_item),
        "majority": majority,
        "majority_by_chance": float(np.mean([one for one, _ in by_chance])),
        "entropy": entropy,
        "entropy_by_chance": float(np.mean([one for _, one in by_chance])),
        **_nearness(model, of_item, train, counts),
    }


def _explained(values: np.ndarray, of_item: np.ndarray) -> float:
    """The share of the variance of values that lies between types; 0 if all are equal."""
    counts = np.bincount(of_item)
    means = np.bincount(of_item, values) / np.maximum(1, counts)
    return float(means[of_item].var() / variance) if (variance := values.var()) else 0.0


def _spread(counts: np.ndarray) -> tuple[float, float]:
    """The mean share of the largest type, and the mean entropy, of users with items."""
    counts = counts[counts.sum(axis=1) > 0]
    shares = counts / counts.sum(axis=1, keepdims=True)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return float(shares.max(axis=1).mean()), float(-(shares * logs).sum(axis=1).mean() / np.log(counts.shape[1]))


def _nearness(model: Model, of_item: np.ndarray, train: np.ndarray, counts: np.ndarray) -> dict[str, float]:
    """How near users are to their majority and minority items and types."""
    user, item = model.user, model.item
    users, items = train.T
    own = counts.argmax(axis=1)
    minority = of_item[items] != own[users]
    mixed = np.flatnonzero((counts > 0).sum(axis=1) > 1)
    values = np.zeros((3, len(train)))
    for first in range(0, len(user), _BLOCK):
        of_block = np.flatnonzero((users >= first) & (users < first + _BLOCK))
        values[:, of_block] = _to_items(model, slice(first, first + _BLOCK))[
            :, users[of_block] - first, items[of_block]
        ]
    found = {
        f"{name}_{part}": _mean_by_user(one, users, chosen, len(user))[mixed].mean()
        for name, one in zip(("cosine", "distance", "place"), values, strict=True)
        for part, chosen in (("majority", ~minority), ("minority", minority))
    }
    centres = np.stack([item[of_item == one].mean(axis=0) for one in range(counts.shape[1])])
    rank = (-(unit(user) @ unit(centres).T)).argsort(axis=1).argsort(axis=1) + 1
    others = (counts > 0) & (np.arange(counts.shape[1]) != own[:, None])
    found["centre_majority"] = rank[np.arange(len(user)), own][mixed].mean()
    found["centre_minority"] = ((rank * others).sum(axis=1)[mixed] / others.sum(axis=1)[mixed]).mean()
    return {name: float(value) for name, value in found.items()}


def _to_items(model: Model, users: slice) -> np.ndarray:
    """`[3, u, N]`: cosine, relative distance and place in the ranking of all items, for some users."""
    user, item = model.user[users].astype(np.float64), model.item.astype(np.float64)
    dot = user @ item.T
    square = (user**2).sum(axis=1)[:, None] + (item**2).sum(axis=1) - 2 * dot
    distance = np.sqrt(np.maximum(square, 0))
    order = (distance if model.by_distance else -dot).argsort(axis=1, kind="stable")
    place = order.argsort(axis=1) / max(1, len(item) - 1)
    return np.stack([unit(user) @ unit(item).T, distance / distance.mean(axis=1, keepdims=True), place])


def _mean_by_user(values: np.ndarray, users: np.ndarray, chosen: np.ndarray, num_users: int) -> np.ndarray:
    """`[M]`: the mean over the chosen pairs of each user; NaN without any."""
    total, count = (np.bincount(users[chosen], weights, num_users) for weights in (values[chosen], None))
    return np.divide(total, count, out=np.full(num_users, np.nan), where=count > 0)


def map_of(vectors: np.ndarray, seed: int) -> np.ndarray:
    """`f32[n, 2]`: t-SNE, perplexity 30 (less for fewer than 100 vectors), begun with the principal components."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(30.0, (len(vectors) - 1) / 3)
    with threadpool_limits(1):
        return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors)
