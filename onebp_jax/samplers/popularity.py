"""Popularity negatives (PNS): from `popularity ^ gamma`, renormalised over what the user has not touched, without rejection.

    p_u(j) = w_j / sum_{i not in train[u]} w_i,  j not in train[u],     w_j = popularity_j ^ gamma

All weights stand on one line, item after item: item `j` covers `C_{j-1} .. C_j`, `C` the cumulated weights. If `t_0 < t_1 < ..`
are the items that user `u` touched, `e_i = C_{t_i - 1} - (w_{t_0} + .. + w_{t_{i-1}})` of his untouched weight lies before `t_i`.
A number `r` below his untouched weight is therefore the place `r + (w_{t_0} + .. + w_{t_{m-1}})` of the line, `m` = how many
`e_i` are `<= r`: one binary search in his row, and one over `C` for the item.

Weights are whole numbers that sum to less than `2^31`, so that sums are exact: for `gamma = 1` the popularities, else scaled
and rounded, which changes a chance by at most half of `1 / w_j` of it (a ten-thousandth, say, for the rarest of 100,000 items).
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from onebp_jax.ops.checks import check_count, check_not_negative
from onebp_jax.ops.csr import count_leading, item_counts, need_rows, row_bounds
from onebp_jax.ops.random import random_words, scale_words
from onebp_jax.samplers.common import rows_of
from onebp_jax.types import Array, Batch, Interactions, ModelView, Negatives, Sampler, Tree

_LARGEST = 2**31 - 1


class _Line(NamedTuple):
    """`ends i32[N]`, cumulated weights; `before i32[P]`, `e` of every pair of `sorted_items`; `left i32[M]`, untouched weight."""

    ends: Array
    before: Array
    left: Array


def whole_weights(counts: np.ndarray, gamma: float) -> np.ndarray:
    """`i64[N]`: whole numbers nearly proportional to `counts ^ gamma` that sum to less than `2^31`, 0 only for a count of 0."""
    if gamma == 1 and counts.sum() <= _LARGEST:
        return counts.astype(np.int64)
    # Of the logarithm, so that no power overflows.
    power = gamma * np.log(np.maximum(counts, 1))
    weight = np.where(counts > 0, np.exp(power - power.max()), 0)
    # Each rounding may add one.
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
    """`num_negatives` items a row from `popularity ^ gamma` over the items that its user has not touched, with replacement.

    The loss is not told the probabilities: popular negatives are meant to count for more.

    Args:
      num_negatives: how many a row.
      gamma: exponent of the popularity (number of training users), >= 0.
      smoothing: added to every popularity; with 0, an item without training users is never drawn.

    Returns:
      A `Sampler` of `Negatives(ids i32[b, k])`.

    Raises:
      ValueError: arguments out of range; from `check(data)`, a user who has left no item that can be drawn.

    Source: Mikolov et al. 2013, where gamma is 0.75; arXiv 2403.18227 speaks of plain popularity.
    """
    check_count("num_negatives", num_negatives)
    check_count("smoothing", smoothing, 0)
    check_not_negative("gamma", gamma)

    def check(data: Interactions) -> None:
        need_rows(data)
        *_, left = _line(data, gamma, smoothing)
        if left.min() < 1:
            raise ValueError(
                f"the user in row {int(left.argmin())} touched every item that has training users, so none can be drawn by "
                "popularity: drop such users, or use another sampler or, in code, popularity(.., smoothing=1)"
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

    return Sampler(check, init, sample)


def _places(numbers: Array, line: _Line, user_ids: Array, data: Interactions) -> Array:
    """`i32[k, b]`: where on the line of all weights the `numbers i32[k, b]` of the users' untouched weight lie."""
    start, end = row_bounds(user_ids, data)
    before = lambda place: line.before.at[start + place].get(mode="clip")
    count = count_leading(lambda place: before(place) <= numbers, end - start, data.max_row, numbers.shape)
    # The weight of the touched items up to the last one passed: what lies before its end, less what is untouched of it.
    passed = line.ends[data.sorted_items.at[start + count - 1].get(mode="clip")] - before(count - 1)
    return numbers + jnp.where(count > 0, passed, 0)


def _items_at(places: Array, ends: Array) -> Array:
    """The items that cover these places: how many end at or before each."""
    size = ends.shape[0]
    return count_leading(lambda place: ends.at[place].get(mode="clip") <= places, size, size, places.shape)
