"""Users whom training has not seen, built of their first events and measured on their held-out pairs.

All rows of the table rank the same items for the same users: the lists leave out the whole history, of whatever part of it the
vector is made. Of users whom the run knows, the table also tells how they are as training left them: of two runs, one of them
trained without these users, the two tables say what a user loses who is not trained in.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from absl import logging

from onebp_jax.data.ages import ages
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.pairs import item_counts, pair_keys
from onebp_jax.errors import UserError
from onebp_jax.evaluation.evaluator import evaluator
from onebp_jax.serving.inputs import in_memory
from onebp_jax.serving.recommender import Recommender
from onebp_jax.training.run_data import item_places, places

LENGTHS = (1, 2, 5, 10, 20, 50)


def load_users(model: Recommender, data: str | os.PathLike, data_dir: str | os.PathLike | None) -> Dataset:
    """Users with a history (`train`) and held-out pairs (`test`), in the rows of the items that the run knows.

    The split is that of the run's config; if it holds out nothing, `auto`: a folder's two files, else per user at random. Pairs
    of items that the run does not know are left out, and users who have then no history or no held-out pair, which is said.

    Raises:
      UserError: nobody is left, or the run was trained on held-out pairs.
    """
    from onebp_jax.serving.fitting import load_more  # it trains; whoever only serves does without

    config = model.config
    other = load_more(config, data, data_dir, split="auto" if config.split == "none" else config.split)
    known = item_places(model.item_ids, other)
    left = [np.flatnonzero(known[pairs[:, 1]] >= 0) for pairs in (other.train, other.test)]
    both = np.intersect1d(other.train[left[0], 0], other.test[left[1], 0])
    left = [kept[np.isin(pairs[kept, 0], both)] for pairs, kept in zip((other.train, other.test), left, strict=True)]
    counts = [len(other.train), len(other.test), len(np.unique(other.train[:, 0]))]
    lost = [count - len(kept) for count, kept in zip(counts, [*left, both], strict=True)]
    if any(lost):
        logging.warning(
            "%s: left out %d of %d pairs of histories, %d of %d held-out pairs and %d of %d users: items that the run does not "
            "know, and users who then have no history or nothing held out",
            *(other.name, lost[0], counts[0], lost[1], counts[1], lost[2], counts[2]),
        )
    if not len(both):
        raise UserError(f"{other.name}: no user has both a history and held-out pairs of items that the run knows")
    train, test = (
        np.stack([pairs[kept, 0], known[pairs[kept, 1]]], 1).astype(np.int32)
        for pairs, kept in zip((other.train, other.test), left, strict=True)
    )
    times = None if other.train_times is None else other.train_times[left[0]]
    made = replace(other, train=train, test=test, item_ids=model.item_ids, train_times=times, truth=None)
    _check_not_trained(model, made)
    return made


def fold_in(
    model: Recommender, other: Dataset, lengths: Sequence[int] = LENGTHS
) -> list[tuple[str, dict[str, float | int]]]:
    """`(label, metrics)`: of popular items, of users with their first 1, 2, .. and all events, and of users as trained if known.

    Args:
      other: of `load_users`. The order of its events is that of the times, or else that of the file.
      lengths: numbers of events, ascending; one that no user has is left out. A user with fewer gives all events, and counts as
        `shorter` in the metrics.
    """
    own = in_memory(model.dataset)
    popular = item_counts(own.train, own.num_items)
    shape = other.num_users, len(model.item_ids)
    evaluate: Any = evaluator(other.train, other.test, shape, popular)
    histories = _histories(model.config, other)
    longest = max(map(len, histories.values()))

    def measured(length: int) -> dict[str, float | int]:
        vectors = np.zeros((other.num_users, model.run.item.shape[1]), np.float32)
        for user, items in histories.items():
            vectors[user] = model.fold_in(model.item_ids[items[:length]])
        shorter = sum(len(items) < length for items in histories.values())
        return evaluate(vectors, model.run.item) | ({} if length >= longest else {"shorter": shorter})

    everyone = np.ones((other.num_users, 1), np.float32)
    rows = [("popular", evaluate(everyone, popular[:, None].astype(np.float32)))]
    rows += [(str(length), measured(length)) for length in lengths if length < longest] + [("all", measured(longest))]
    trained = places(model.user_ids, other.user_ids)
    users = np.fromiter(histories, np.int64)
    if (trained[users] >= 0).all():
        rows.append(("as trained", evaluate(model.run.user[trained], model.run.item)))
    elif (trained[users] >= 0).any():
        logging.warning(
            "%s: the run was trained with %d of %d users", other.name, (trained[users] >= 0).sum(), len(users)
        )
    return rows


def _histories(config, other: Dataset) -> dict[int, np.ndarray]:
    """The items of each user, oldest first."""
    age = ages(config, other, other.train)
    order = np.lexsort((np.arange(len(other.train)) if age is None else -age, other.train[:, 0]))
    users, starts = np.unique(other.train[order, 0], return_index=True)
    return dict(zip(users.tolist(), np.split(other.train[order, 1], starts[1:]), strict=True))


def _check_not_trained(model: Recommender, other: Dataset) -> None:
    """Raises `UserError` if held-out pairs were trained on."""
    own = in_memory(model.dataset)
    pairs = np.concatenate([own.train, own.test]) if "refit" in model.result else own.train
    rows = np.stack([places(model.user_ids, other.user_ids)[other.test[:, 0]], other.test[:, 1]], 1)
    trained = np.isin(pair_keys(rows[rows[:, 0] >= 0]), pair_keys(pairs)).sum()
    if trained:
        raise UserError(
            f"{other.name}: the run was trained on {trained} of {len(rows)} held-out pairs, so they say nothing: give users "
            "whose held-out pairs are no part of the run's data"
        )
