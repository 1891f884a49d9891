"""Uniform negatives: distinct items that the user has not touched, drawn exactly and without rejection.

The untouched items of user `u` are numbered `0 .. c-1`, `c = N - |train[u]|`. A row draws `k` distinct numbers and turns
each into an item: if `t_0 < t_1 < ..` are the touched items, then `t_j - j` untouched items come before `t_j`, so the
untouched item number `r` is `r + j` with `j` = how many `t_j - j` are `<= r`: one binary search in the user's sorted row.
One random word a negative is all that is ever drawn, and a user who touched nearly everything costs no more than another.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from onebp_jax.ops.checks import check_count
from onebp_jax.ops.csr import count_leading, row_bounds
from onebp_jax.ops.random import distinct_numbers, random_words
from onebp_jax.types import Array, Batch, Interactions, ModelView, Negatives, Sampler, Tree


def untouched_items(numbers: Array, user_ids: Array, data: Interactions) -> Array:
    """Item ids `i32[k, b]` of the untouched items with these `numbers i32[k, b]`, for `user_ids i32[b]`."""
    start, end = row_bounds(user_ids, data)
    item_at = lambda place: data.sorted_items.at[start + place].get(mode="clip")
    return numbers + count_leading(
        lambda place: item_at(place) - place <= numbers, end - start, data.max_row, numbers.shape
    )


def uniform(num_negatives: int, name: str = "num_negatives") -> Sampler:
    """`num_negatives` distinct items a row, uniform over the items that the row's user has not touched in training.

    Args:
      num_negatives: how many. name: what messages call that number, where it is an argument of another sampler.

    Raises:
      ValueError: `num_negatives < 1`; from `check(data)`, a user who has fewer untouched items than that.
    """
    check_count(name, num_negatives)

    def check(data: Interactions) -> None:
        untouched = data.num_items - np.diff(data.row_starts)
        if untouched.min() < num_negatives:
            user = int(untouched.argmin())
            raise ValueError(
                f"{name}={num_negatives}, but the user in row {user} has only {untouched[user]} of {data.num_items} items "
                f"left untouched: lower {name} to at most {untouched[user]} or drop such users"
            )

    def init(data: Interactions, view: ModelView | None = None) -> Tree:
        del data, view
        return ()

    def sample(
        key: Array, state: Tree, batch: Batch, data: Interactions, view: ModelView | None = None
    ) -> tuple[Negatives, Tree]:
        # Work is done in [k, b]: the long axis last.
        rows = batch.user_ids.shape[0]
        words = random_words(key, num_negatives * rows).reshape(num_negatives, rows)
        start, end = row_bounds(batch.user_ids, data)
        numbers = distinct_numbers(words, data.num_items - (end - start))
        ids = untouched_items(numbers, batch.user_ids, data)
        return Negatives(jnp.where(batch.user_ids < data.num_users, ids, data.num_items).T), state

    return Sampler(check, init, sample)
