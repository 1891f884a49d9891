"""Mixed negatives (MNS): the batch's own items, and uniform items of the whole catalogue, shared by all rows.

    q*_j = B / (B + B') count_j / P + B' / (B + B') 1 / N,     s_ij = <u_i, v_j> / tau - log q*_j

`B` is the number of rows that are not padding, and `B'` is `num_uniform`. An item without training pairs is never a positive in a
batch, but it may be one of the uniform items.
"""

from __future__ import annotations

import jax.numpy as jnp

from onebp_jax.ops.checks import check_count
from onebp_jax.ops.csr import item_share
from onebp_jax.ops.random import random_words, scale_words
from onebp_jax.samplers.in_batch import false_negative_mask
from onebp_jax.types import Array, Batch, Interactions, ModelView, Negatives, Sampler, Tree


def mixed(num_uniform: int, correct_positive: bool = True, mask_known: bool = False) -> Sampler:
    """The batch's positives and `num_uniform` uniform items, with replacement, as shared negatives.

    Args:
      num_uniform: how many uniform items per batch, 0 or more; 0 gives `in_batch()`.
      correct_positive: whether the positive's score is corrected too, which is consistent; the paper prints it without.
      mask_known: whether to mask, for each row, all items that the user touched, not only the row's own positive.

    Returns:
      A `Sampler` of `Negatives(ids i32[b + B'], log_q f32[b + B'], positive_log_q f32[b] or None,
        negative_mask bool[b, b + B'])`. Its state is `f32[N]`, each item's share of the training pairs.

    Raises:
      ValueError: a number of uniform items that is negative or not whole.

    Source: Yang et al. 2020.
    """
    check_count("num_uniform", num_uniform, 0)

    def init(data: Interactions, view: ModelView | None = None) -> Tree:
        del view
        return item_share(data)

    def sample(
        key: Array, state: Tree, batch: Batch, data: Interactions, view: ModelView | None = None
    ) -> tuple[Negatives, Tree]:
        del view
        extra = scale_words(random_words(key, num_uniform), jnp.uint32(data.num_items))
        ids = jnp.concatenate([batch.positive_ids, extra])
        rows = jnp.sum(batch.user_ids < data.num_users).astype(jnp.float32)
        share = state.at[ids].get(mode="clip")
        q = (rows * share + num_uniform / data.num_items) / jnp.maximum(rows + num_uniform, 1)
        # Padding is masked; the 0 only keeps its number finite.
        log_q = jnp.where((ids < data.num_items) & (q > 0), jnp.log(jnp.where(q > 0, q, 1)), 0)
        positive = log_q[: batch.positive_ids.shape[0]] if correct_positive else None
        return Negatives(ids, log_q, positive, false_negative_mask(ids, batch, data, mask_known)), state

    return Sampler(lambda data: None, init, sample)
