"""The part of a batch that one device computes, and the rows that it needs of the tables.

Items lie in one array: the positives of the batch first, then the negatives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from onebp_jax.engine.batches import pack_histories
from onebp_jax.engine.collectives import SINGLE_DEVICE, Collectives
from onebp_jax.ops.rows import to_float32
from onebp_jax.types import Array, Batch, Encoder, Interactions, Negatives, Tables


class Local(NamedTuple):
    """The part of a batch that this device computes, `num_rows` positives of as many users, or of fewer if it holds histories.

    Attributes:
      batch: its users and positives. item_ids: the positives, then the negatives. valid: `bool[num_rows]`, false for padding.
      shared: whether all rows have the same negatives.
      vectors: further shared negatives as vectors, or None. extra: the other fields of `Negatives`, for the loss.
      slots: `i32[num_rows]`, of histories: which user each positive belongs to. None for pairs.
    """

    batch: Batch
    item_ids: Array
    valid: Array
    shared: bool
    vectors: Array | None
    extra: dict[str, Any]
    slots: Array | None = None

    @property
    def num_rows(self) -> int:
        """The number of positives."""
        return self.batch.positive_ids.shape[0]

    def split(self, rows: Array) -> tuple[Array, Array]:
        """Positives `[num_rows, ...]` and negatives `[num_rows, k, ...]`, or `[k, ...]` if they are shared."""
        # The transpose of this split is a concatenation. The transpose of two slices would be two padded arrays and their sum.
        positive, negative = jnp.split(rows, [self.num_rows])
        return positive, negative if self.shared else negative.reshape(-1, self.num_rows, *rows.shape[1:]).swapaxes(
            0, 1
        )


def join_items(positive_ids: Array, negative_ids: Array) -> Array:
    """`i32[n]`: the positives of a batch, then its negatives, shared or of each row."""
    # Negatives lie column by column: XLA:CPU computes the scores of such a block twice as fast.
    return jnp.concatenate([positive_ids, negative_ids.T.reshape(-1)])


def local_part(
    batch: Batch, negatives: Negatives, data: Interactions, collectives: Collectives, histories: bool
) -> Local:
    """The part of a batch that this device computes. Raises ValueError for histories with negatives for each row."""
    shared = negatives.ids.ndim == 1
    if histories and not shared:
        raise ValueError(
            "a batch of histories needs negatives that it shares: use the sampler shared or full_catalogue, not one that draws "
            "for each row"
        )
    own = Batch(*(collectives.local_shard(ids, 0) for ids in batch))
    slots = None
    if histories:
        slots, positive_ids = pack_histories(own.user_ids, data)
        own = own._replace(positive_ids=positive_ids)
    # Shared negatives and their probabilities belong to all rows; the rest has one entry per row.
    extra = {
        name: value if value is None or (shared and name == "log_q") else collectives.local_shard(value, 0)
        for name, value in negatives._asdict().items()
        if name not in ("ids", "vectors")
    }
    own_negatives = negatives.ids if shared else collectives.local_shard(negatives.ids, 0)
    item_ids = join_items(own.positive_ids, own_negatives)
    valid = own.user_ids < data.num_users if slots is None else slots < own.user_ids.shape[0]
    return Local(own, item_ids, valid, shared, negatives.vectors, extra, slots)


def read(
    encoder: Encoder,
    tables: Tables,
    user_ids: Array,
    item_ids: Array,
    take: Callable = SINGLE_DEVICE.take,
    take_items: Callable | None = None,
) -> Tables:
    """What `encoder.encode` needs of the tables for these ids: their rows, or all rows, in float32."""
    if encoder.reads_all_rows:
        return tables._replace(user=to_float32(tables.user), item=to_float32(tables.item))
    # A padded id reads the last row; the step masks what is computed from it.
    rows = tables._replace(user=take(tables.user, user_ids), item=(take_items or take)(tables.item, item_ids))
    if isinstance(tables.context, tuple):
        return rows
    return rows._replace(context=(take_items or take)(tables.context, item_ids))


def read_local(encoder: Encoder, tables: Tables, local: Local, collectives: Collectives) -> Tables:
    """`read` for this device's part of a batch."""
    take_items = collectives.take
    if local.shared and not collectives.is_single:
        # Every device asks for the same shared negatives.
        take_items = lambda table, ids: jnp.concatenate(
            [collectives.take(table, ids[: local.num_rows]), collectives.take_replicated(table, ids[local.num_rows :])]
        )
    return read(encoder, tables, local.batch.user_ids, local.item_ids, collectives.take, take_items)
