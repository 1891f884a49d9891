"""Cross-batch negatives (CBNS): the batch's own items, and item vectors of earlier batches, kept in a bank.

    p(i | u) = e^{s'(u, i)} / (e^{s'(u, i)} + sum_{j in batch and bank, not i} e^{s'(u, j)}),   s'(u, j) = <u, v_j> - log q_j

The bank is a ring: each batch writes its vectors over the oldest ones, and they stay constant from then on. Vectors change fast
early in training. So for the first `warmup` batches the bank is filled but not used (it costs as much as later).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from onebp_jax.ops.checks import check_count
from onebp_jax.samplers.frequency import frequency
from onebp_jax.samplers.in_batch import false_negative_mask
from onebp_jax.types import Array, Batch, Interactions, ModelView, Negatives, Sampler, Tree


class Bank(NamedTuple):
    """State: `vectors f32[Q, d]`, their `ids i32[Q]` (`N`: an empty slot) and `log_q f32[Q]`; the slot that is written next; the
    number of batches so far; the state of the frequency estimate."""

    vectors: Array
    ids: Array
    log_q: Array
    pointer: Array
    step: Array
    frequency: Tree


def cross_batch(
    bank_size: int, warmup: int, correction: str = "static", mask_known: bool = False, rate: float = 0.01
) -> Sampler:
    """The batch's positives and a bank of earlier ones as shared negatives.

    Args:
      bank_size: the number of slots of the bank; 2 to 16 batches are usual.
      warmup: for how many batches the bank is filled but not used.
      correction, mask_known, rate: as in `in_batch`.

    Returns:
      A `Sampler` of `Negatives(ids i32[b], log_q f32[b + Q], positive_log_q f32[b], negative_mask bool[b, b + Q],
        vectors f32[Q, d])`. A row of padding fills a slot that never counts.

    Raises:
      ValueError: arguments out of range; from `init`, an encoder with several vectors per item.

    Source: Wang, Zhu and He 2021.
    """
    check_count("bank_size", bank_size)
    check_count("warmup", warmup, 0)
    estimate = frequency(correction, rate)

    def init(data: Interactions, view: ModelView) -> Bank:
        one = jnp.zeros(1, jnp.int32)
        vectors = jax.eval_shape(view.encode, one, one)[1]
        if vectors.ndim != 2:
            raise ValueError(
                f"cross_batch keeps one vector per item, and this encoder makes vectors of shape {vectors.shape[1:]}"
            )
        width = vectors.shape[1]
        ids = jnp.full(bank_size, data.num_items, jnp.int32)
        vectors, log_q = jnp.zeros((bank_size, width), jnp.float32), jnp.zeros(bank_size, jnp.float32)
        return Bank(vectors, ids, log_q, jnp.int32(0), jnp.int32(0), estimate.init(data))

    def sample(key: Array, state: Bank, batch: Batch, data: Interactions, view: ModelView) -> tuple[Negatives, Bank]:
        del key
        vectors = jax.lax.stop_gradient(view.encode(batch.user_ids, batch.positive_ids)[1])
        # A vector that is not finite must not enter the bank. The check also makes the ids depend on the vectors. So the table is
        # read before the step writes it; otherwise it would be copied.
        ids = jnp.where(jnp.isfinite(vectors[:, 0]), batch.positive_ids, data.num_items)
        log_q, kept = estimate.read(state.frequency, ids, data)
        both = jnp.concatenate([ids, state.ids])
        early = (jnp.arange(both.shape[0]) >= ids.shape[0]) & (state.step < warmup)
        negative_mask = false_negative_mask(both, batch, data, mask_known) | early
        of_both = None if log_q is None else jnp.concatenate([log_q, state.log_q])
        new = _enqueue(state, vectors, ids, log_q)
        new = new._replace(step=state.step + 1, frequency=kept)
        return Negatives(ids, of_both, log_q, negative_mask, state.vectors), new

    return Sampler(lambda data: None, init, sample)


def _enqueue(bank: Bank, vectors: Array, ids: Array, log_q: Array | None) -> Bank:
    """The bank, with the batch written over its oldest slots. Of a batch larger than the bank, only the last rows are kept."""
    size, rows = bank.ids.shape[0], ids.shape[0]
    slots = (bank.pointer + jnp.arange(rows, dtype=jnp.int32)) % size
    last = slice(max(0, rows - size), None)
    return bank._replace(
        vectors=bank.vectors.at[slots[last]].set(vectors[last], unique_indices=True),
        ids=bank.ids.at[slots[last]].set(ids[last], unique_indices=True),
        log_q=bank.log_q if log_q is None else bank.log_q.at[slots[last]].set(log_q[last], unique_indices=True),
        pointer=(bank.pointer + rows) % size,
    )
