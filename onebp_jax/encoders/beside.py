"""Two models side by side: the vectors of an encoder, and beside them singular vectors of the interactions, which do not learn.

    user  [u / s(u), w a / s(a)],     item  [v, p]

`v` and `u` are the encoder's vectors. `p_j = l^response * v_j * d_j^b` and `a`, the sum of `v_i * d_i^-b` over a user's history,
are those of the method `spectral` (`onebp_jax.methods.factors`). `s` is the standard deviation of that user's scores over the
catalogue, so that `w` weighs two scores of equal spread. Both users are sums over the history, so their joint one is too,
up to two numbers. The score stays one inner product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from onebp_jax.encoders.graph import AnyArray
from onebp_jax.ops.checks import check_count, check_not_negative
from onebp_jax.ops.csr import item_counts, need_rows
from onebp_jax.ops.fold import ALIKE, Fold, Part, Recency, covariance, spread
from onebp_jax.ops.spectral import spectral_tables
from onebp_jax.types import Array, Encoder, Interactions, Tables, Tree


class _Prepared(NamedTuple):
    """What the encoder prepared, and the spectral vectors `f32[M, r]` (weighted and scaled) and `f32[N, r]`.

    An item adds `item * share / gain` to the spectral sum of its users, with `share f32[N, 1]` and `gain f32[r]`.
    """

    inner: Tree
    user: AnyArray
    item: AnyArray
    share: AnyArray
    gain: AnyArray


def beside_spectral(
    encoder: Encoder,
    spectral_dim: int,
    spectral_weight: float = 0.2,
    item_power: float = 0.5,
    response: float = 0.0,
    iterations: int = 4,
    seed: int = 0,
    recency: Recency = ALIKE,
) -> Encoder:
    """An encoder whose vectors have spectral ones beside them; training sees the given encoder alone.

    Args:
      encoder: the one that is trained, compared by the dot product.
      spectral_dim: the width of the spectral vectors; a smaller matrix has fewer, then all of them.
      spectral_weight: of the spectral scores, >= 0; the scores of the encoder weigh 1.
      item_power, response, iterations, seed: see `onebp_jax.ops.spectral.spectral_tables`.
      recency: that of the encoder, for the spectral half of a user.

    Raises:
      ValueError: an argument out of range; from `prepare`, data without the users' histories.
    """
    check_count("spectral_dim", spectral_dim)
    for name, value in {"spectral_weight": spectral_weight, "item_power": item_power, "response": response}.items():
        check_not_negative(name, value)

    def prepare(data: Interactions) -> _Prepared:
        need_rows(data)
        width = min(spectral_dim, data.num_users, data.num_items)
        given = _pairs(data), data.num_users, data.num_items, width, item_power, response, iterations, seed
        user, item, gain = spectral_tables(*given, recency=recency.weights(data))
        scale = spectral_weight / spread(user, covariance(item))
        share = np.maximum(item_counts(data), 1).astype(np.float32)[:, None] ** np.float32(-2 * item_power)
        return _Prepared(encoder.prepare(data), scale * user, item, share, np.where(gain > 0, gain, 1))

    def own(data: Interactions) -> Interactions:
        return data.replace(prepared=data.prepared.inner)

    def vectors(tables: Tables, data: Interactions) -> tuple[Array, Array]:
        user, item = encoder.vectors(tables, own(data))
        beside = data.prepared
        return (
            jnp.concatenate([user / spread(user, covariance(item)), beside.user], 1),
            jnp.concatenate([item, beside.item], 1),
        )

    def with_own(function: Callable | None, place: int) -> Callable | None:
        """The encoder's function, which finds at `place` the data with what the encoder prepared."""
        if function is None:
            return None
        return lambda *given, **more: function(*given[:place], own(given[place]), *given[place + 1 :], **more)

    def fold(data: Interactions) -> Fold:
        assert encoder.fold is not None
        inner, beside = encoder.fold(own(data)), data.prepared
        (part,) = inner.parts
        spectral = Part(beside.share[:, 0], 1 / beside.gain, share=spectral_weight)
        return Fold((part._replace(share=1.0), spectral), inner.recency)

    return encoder._replace(
        encode=with_own(encoder.encode, 3),
        vectors=vectors,
        prepare=prepare,
        partner=with_own(encoder.partner, 3),
        aggregate=with_own(encoder.aggregate, 4),
        refresh=with_own(encoder.refresh, 1),
        fold=fold if encoder.fold is not None else None,
    )


def _pairs(data: Interactions) -> np.ndarray:
    """`int[P, 2]`: the training pairs, whatever an epoch goes through."""
    users = np.repeat(np.arange(data.num_users), np.diff(data.row_starts))
    return np.stack([users, np.asarray(data.sorted_items)], 1)
