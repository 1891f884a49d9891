"""Uniform negatives: distinct items that the user has not touched, drawn exactly and without rejection.

The untouched items of user `u` are numbered `0 .. c-1`, with `c = N - |train[u]|`. Each row draws `k` distinct numbers and turns
each into an item. If the touched items are `t_0 < t_1 < ..`, then `t_j - j` untouched items come before `t_j`. So untouched item
number `r` has the id `r + m`, where `m` is the number of `t_j - j <= r`: one binary search in the user's sorted row. Each
negative takes one random word, and users who touched nearly everything cost no more than others.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from onebp_jax.compat.renamed import renamed_names
from onebp_jax.ops.checks import check_count
from onebp_jax.ops.csr import count_leading, not_left_out, row_bounds
from onebp_jax.ops.random import distinct_numbers, random_words
from onebp_jax.types import Array, Batch, Interactions, ModelView, Negatives, Sampler, Tree


def untouched_items(numbers: Array, user_ids: Array, data: Interactions) -> Array:
    """Item ids `i32[k, b]` of the untouched items with the `numbers i32[k, b]`, for `user_ids i32[b]`."""
    start, end = row_bounds(user_ids, data)
    last_item = lambda count: data.sorted_items.at[start + count - 1].get(mode="clip")
    untouched_before = lambda count: last_item(count) - (count - 1)
    return numbers + count_leading(
        lambda count: untouched_before(count) <= numbers, end - start, data.max_row, numbers.shape
    )


def uniform(num_negatives: int, name: str = "num_negatives") -> Sampler:
    """`num_negatives` distinct items per row, uniform over the items that the row's user did not touch in training.

    Args:
      num_negatives: how many per row.
      name: the name of that number in errors, if it is an argument of another sampler.

    Returns:
      A `Sampler` of `Negatives(ids i32[b, k])`, without state.

    Raises:
      ValueError: `num_negatives < 1`; from `check(data)`, a user with fewer untouched items than `num_negatives`.
    """
    check_count(name, num_negatives)

    def lacking(data: Interactions) -> np.ndarray:
        return data.num_items - np.diff(data.row_starts) < num_negatives

    def check(data: Interactions) -> None:
        wrong = not_left_out(lacking(data), data)
        if wrong.any():
            least = int((data.num_items - np.diff(data.row_starts))[wrong].min())
            raise ValueError(
                f"{name}={num_negatives}, but {wrong.sum()} of {data.num_users} users have fewer items left untouched, one only "
                f"{least} of {data.num_items}: "
                + (f"lower {name} to at most {least}, or drop such users" if least else "drop such users")
            )

    def init(data: Interactions, view: ModelView | None = None) -> Tree:
        del data, view
        return ()

    def sample(
        key: Array, state: Tree, batch: Batch, data: Interactions, view: ModelView | None = None
    ) -> tuple[Negatives, Tree]:
        # Computed as [k, b], with the long axis last.
        rows = batch.user_ids.shape[0]
        words = random_words(key, num_negatives * rows).reshape(num_negatives, rows)
        start, end = row_bounds(batch.user_ids, data)
        numbers = distinct_numbers(words, data.num_items - (end - start))
        ids = untouched_items(numbers, batch.user_ids, data)
        return Negatives(jnp.where(batch.user_ids < data.num_users, ids, data.num_items).T), state

    return Sampler(check, init, sample, lacking)


__getattr__ = renamed_names(
    __name__,
    {
        "scale_words": "onebp_jax.ops.random.scale_words",
    },
)
