"""In-batch negatives: the positives of the other rows, corrected for how often an item is a positive.

    s_ij = <u_i, v_j> / tau - log q_j    for all items j of the batch, row i's positive too

A popular item is often a negative. Without the correction, the model would learn to give it low scores.
"""

from __future__ import annotations

from onebp_jax.samplers.frequency import frequency
from onebp_jax.samplers.membership import touched
from onebp_jax.types import Array, Batch, Interactions, ModelView, Negatives, Sampler, Tree


def false_negative_mask(ids: Array, batch: Batch, data: Interactions, mask_known: bool) -> Array:
    """`bool[b, k]`: which of the shared `ids i32[k]` are not negatives for each row.

    These are the row's own positive, wherever it is in `ids`, padding, and with `mask_known` all items that the user touched.
    """
    negative_mask = (ids == batch.positive_ids[:, None]) | (ids == data.num_items)
    return negative_mask | touched(batch.user_ids, ids, data) if mask_known else negative_mask


def in_batch(correction: str = "static", mask_known: bool = False, rate: float = 0.01) -> Sampler:
    """The batch's positives, as negatives that all its rows share.

    Args:
      correction: "static" (the share of the training pairs), "streaming" (estimated from the batches) or "none".
      mask_known: whether to mask, for each row, all items that the user touched, not only the row's own positive.
      rate: the rate of the moving average of "streaming", above 0 and at most 1.

    Returns:
      A `Sampler` of `Negatives(ids i32[b], log_q f32[b], positive_log_q f32[b], negative_mask bool[b, b])`.

    Raises:
      ValueError: an unknown correction, or a rate out of range.

    Source: Yi et al. 2019; Bengio and Senecal 2008.
    """
    estimate = frequency(correction, rate)

    def init(data: Interactions, view: ModelView | None = None) -> Tree:
        del view
        return estimate.init(data)

    def sample(
        key: Array, state: Tree, batch: Batch, data: Interactions, view: ModelView | None = None
    ) -> tuple[Negatives, Tree]:
        del key, view
        ids = batch.positive_ids
        log_q, state = estimate.read(state, ids, data)
        return Negatives(ids, log_q, log_q, false_negative_mask(ids, batch, data, mask_known)), state

    return Sampler(lambda data: None, init, sample)
