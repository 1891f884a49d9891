"""Negatives that a whole batch shares: `k` items are drawn once and scored against all rows by one matrix product.

The gradient then touches `b + k` rows; separate negatives for each row would touch `b (1 + k)`. Item `j` is drawn with
probability `q_j` proportional to `popularity_j ^ alpha` (popularity is the number of training users; `alpha = 0` is uniform),
with replacement. The loss gets `log q` and corrects for it (Bengio and Senecal 2008). If a negative is a row's own positive (an
accidental hit), it is masked in that row. With `hide_touched`, all items that the user touched in training are masked too.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from onebp_jax.ops.checks import check_count, check_not_negative
from onebp_jax.ops.csr import item_counts
from onebp_jax.ops.random import random_words, scale_words
from onebp_jax.samplers.membership import touched
from onebp_jax.types import Array, Batch, Interactions, ModelView, Negatives, Sampler, Tree


def shared(num_negatives: int, alpha: float = 0.0, hide_touched: bool = False) -> Sampler:
    """`num_negatives` items for the whole batch, drawn from `popularity ^ alpha`.

    Args:
      num_negatives: how many per batch.
      alpha: exponent of the popularity, >= 0; 0 draws uniformly, 1 in proportion to the number of training pairs.
      hide_touched: whether to mask, for each row, all items that the user touched, not only the row's own positive.

    Returns:
      A `Sampler` of `Negatives(ids i32[k], log_q f32[k], positive_log_q f32[b], negative_mask bool[b, k])`; for `alpha = 0` both
      `log_q` are None, since a constant cancels. Its state is `()`, or for `alpha > 0` the cumulative distribution and the log
      probabilities, `(u32[N], f32[N])`.

    Raises:
      ValueError: `num_negatives < 1` or `alpha` negative or not finite.
    """
    check_count("num_negatives", num_negatives)
    check_not_negative("alpha", alpha)

    def init(data: Interactions, view: ModelView | None = None) -> Tree:
        if alpha == 0:
            return ()
        popularity = item_counts(data).astype(np.float64)
        weight = np.where(popularity > 0, popularity**alpha, 0)
        share = weight / weight.sum()
        # Item j is drawn for the 32-bit words w with edges[j-1] <= w < edges[j].
        edges = np.minimum(np.round(np.cumsum(share) * 2**32), 2**32 - 1).astype(np.uint32)
        with np.errstate(divide="ignore"):
            return jnp.asarray(edges), jnp.asarray(np.log(share), jnp.float32)

    def sample(
        key: Array, state: Tree, batch: Batch, data: Interactions, view: ModelView | None = None
    ) -> tuple[Negatives, Tree]:
        words = random_words(key, num_negatives)
        if alpha == 0:
            ids, log_q, positive_log_q = scale_words(words, jnp.uint32(data.num_items)), None, None
        else:
            edges, log_share = state
            ids = jnp.searchsorted(edges, words, side="right").astype(jnp.int32)
            # The last edge is one word too low: that word belongs to the last item that can be drawn.
            ids = jnp.minimum(ids, jnp.searchsorted(edges, edges[-1], side="left").astype(jnp.int32))
            log_q, positive_log_q = log_share[ids], log_share.at[batch.positive_ids].get(mode="clip")
        negative_mask = ids == batch.positive_ids[:, None]
        if hide_touched:
            negative_mask |= touched(batch.user_ids, ids, data)
        return Negatives(ids, log_q, positive_log_q, negative_mask), state

    return Sampler(lambda data: None, init, sample)
