"""Popularity negatives (PNS): from `popularity ^ gamma`, renormalised over the user's untouched items, without rejection.

    p_u(j) = w_j / sum_{i not in train[u]} w_i,  j not in train[u],     w_j = popularity_j ^ gamma

All weights lie on one line, item after item: item `j` covers `C_{j-1} .. C_j`, where `C` are the cumulative weights. User `u`
touched the items `t_0 < t_1 < ..`. Then the untouched weight before `t_i` is `e_i = C_{t_i - 1} - (w_{t_0} + .. + w_{t_{i-1}})`.
A draw is a number `r` below the user's total untouched weight. Its place on the line is `r + (w_{t_0} + .. + w_{t_{m-1}})`,
where `m` is the number of `e_i <= r`. So a draw takes one binary search in the user's row for `m`, and one over `C` for the item.

Weights are whole numbers that sum to less than `2^31`, so that sums are exact. For `gamma = 1` they are the popularities. Else
they are scaled and rounded, which changes a probability by a relative error of at most `1 / (2 w_j)` (about a ten-thousandth for
the rarest of 100,000 items).
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from onebp_jax.ops.checks import check_count, check_not_negative
from onebp_jax.ops.csr import count_leading, item_counts, need_rows, not_left_out, row_bounds
from onebp_jax.ops.random import random_words, scale_words
from onebp_jax.samplers.common import rows_of
from onebp_jax.types import Array, Batch, Interactions, ModelView, Negatives, Sampler, Tree

_LARGEST = 2**31 - 1


class _Line(NamedTuple):
    """`ends i32[N]`, cumulative weights; `before i32[P]`, `e` of each pair of `sorted_items`; `left i32[M]`, untouched weight."""

    ends: Array
    before: Array
    left: Array


def whole_weights(counts: np.ndarray, gamma: float) -> np.ndarray:
    """`i64[N]`: whole numbers nearly proportional to `counts ^ gamma` that sum to less than `2^31`, 0 only for a count of 0."""
    if gamma == 1 and counts.sum() <= _LARGEST:
        return counts.astype(np.int64)
    # Powers are taken by logarithms, so that none overflows.
    power = gamma * np.log(np.maximum(counts, 1))
    weight = np.where(counts > 0, np.exp(power - power.max()), 0)
    # Rounding may add up to 1 per item, so that much room is left.
    whole = np.rint(weight * ((_LARGEST - len(counts)) / weight.sum())).astype(np.int64)
    return np.where(counts > 0, np.maximum(whole, 1), 0)


def _line(data: Interactions, gamma: float, smoothing: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    weight = whole_weights(item_counts(data) + smoothing, gamma)
    ends, items, starts = np.cumsum(weight), np.asarray(data.sorted_items), np.asarray(data.row_starts)
    cumulated = np.concatenate([[0], np.cumsum(weight[items])])
    inside_row = cumulated[:-1] - np.repeat(cumulated[starts[:-1]], np.diff(starts))
    left = ends[-1] - np.diff(cumulated[starts])
    return ends, ends[items] - weight[items] - inside_row, left


def popularity(num_negatives: int, gamma: float = 1.0, smoothing: int = 0) -> Sampler:
    """`num_negatives` items per row from `popularity ^ gamma` over the user's untouched items, with replacement.

    It gives the loss no `log_q`: popular negatives are meant to have more influence.

    Args:
      num_negatives: how many per row.
      gamma: exponent of the popularity (number of training users), >= 0.
      smoothing: added to each popularity; with 0, an item without training users is never drawn.

    Returns:
      A `Sampler` of `Negatives(ids i32[b, k])`.

    Raises:
      ValueError: arguments out of range; from `check(data)`, a user without an item that can be drawn.

    Source: Mikolov et al. 2013, where gamma is 0.75; arXiv 2403.18227 uses plain popularity.
    """
    check_count("num_negatives", num_negatives)
    check_count("smoothing", smoothing, 0)
    check_not_negative("gamma", gamma)

    def lacking(data: Interactions) -> np.ndarray:
        return _line(data, gamma, smoothing)[2] < 1

    def check(data: Interactions) -> None:
        need_rows(data)
        wrong = not_left_out(lacking(data), data)
        if wrong.any():
            raise ValueError(
                f"{wrong.sum()} of {data.num_users} users touched every item that has training users, so popularity can draw "
                "none: drop such users, use another sampler, or, in code, popularity(.., smoothing=1)"
            )

    def init(data: Interactions, view: ModelView | None = None) -> Tree:
        del view
        return _Line(*(jnp.asarray(array, jnp.int32) for array in _line(data, gamma, smoothing)))

    def sample(
        key: Array, state: Tree, batch: Batch, data: Interactions, view: ModelView | None = None
    ) -> tuple[Negatives, Tree]:
        del view
        rows = batch.user_ids.shape[0]
        words = random_words(key, num_negatives * rows).reshape(num_negatives, rows)
        numbers = scale_words(words, state.left.at[batch.user_ids].get(mode="clip"))
        ids = _items_at(_places(numbers, state, batch.user_ids, data), state.ends)
        return Negatives(rows_of(ids, batch, data)), state

    return Sampler(check, init, sample, lacking)


def _places(numbers: Array, line: _Line, user_ids: Array, data: Interactions) -> Array:
    """`i32[k, b]`: the places on the line of all weights, from `numbers i32[k, b]` below the users' untouched weights."""
    start, end = row_bounds(user_ids, data)
    before = lambda place: line.before.at[start + place].get(mode="clip")
    count = count_leading(lambda count: before(count - 1) <= numbers, end - start, data.max_row, numbers.shape)
    # The weight of the first `count` touched items: all weight up to the end of the last one, minus the untouched weight there.
    passed = line.ends[data.sorted_items.at[start + count - 1].get(mode="clip")] - before(count - 1)
    return numbers + jnp.where(count > 0, passed, 0)


def _items_at(places: Array, ends: Array) -> Array:
    """The item that covers each place. Its id is the number of items that end at or before the place."""
    size = ends.shape[0]
    return count_leading(lambda count: ends.at[count - 1].get(mode="clip") <= places, size, size, places.shape)
