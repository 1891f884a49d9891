"""Two-stage negatives: one set of popular candidates per batch, and from these, per row, items similar to its positive.

    stage 1   C items, without replacement, from popularity ^ gamma
    stage 2   x_c = <v_pos, v_c> of unit vectors;  q_c prop. to (1 - x_c^2)^(1 - (d-1)/2) where x_c > 0, else 0;
              k items, without replacement, from q over the candidates that the user has not touched

`q` is the inverse of the density of inner products on the unit sphere, so that the similarities are about uniform. For 1024
dimensions the exponent is -510. So everything is computed in logarithms: a draw without replacement takes the largest values of
`log q + Gumbel` (Yellott 1977).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.ops.checks import check_not_negative
from onebp_jax.ops.csr import item_counts
from onebp_jax.ops.geometry import unit
from onebp_jax.ops.random import gumbel, hash_words, random_words
from onebp_jax.samplers.common import check_candidates, largest, rows_of
from onebp_jax.samplers.membership import touched
from onebp_jax.types import Array, Batch, Interactions, ModelView, Negatives, Sampler, Tree

# Replaces the logarithm of 0. It is low enough: the smallest other one that matters is -19, and Gumbel numbers are in -3 .. 23.
_LAST = -64.0


def log_weight(similarity: Array, dim: int) -> Array:
    """`log((1 - x^2)^(1 - (d-1)/2))`, `-inf` where `x <= 0`: the logarithm of `q` up to a constant."""
    rest = jnp.maximum(1 - similarity**2, 0) + 1e-8
    return jnp.where(similarity > 0, (1 - (dim - 1) / 2) * jnp.log(rest), -jnp.inf)


def two_stage(num_negatives: int, num_candidates: int = 300, gamma: float = 1.0) -> Sampler:
    """`num_negatives` distinct items per row, drawn by similarity to the positive from popular candidates that the batch shares.

    Args:
      num_negatives: how many per row.
      num_candidates: how many candidates per batch (fewer if fewer items have training users).
      gamma: exponent of the popularity, >= 0.

    Returns:
      A `Sampler` of `Negatives(ids i32[b, k], negative_mask bool[b, k])`; its state is `f32[N]`, gamma times the logarithm of the
      popularity. If a row has too few similar candidates, dissimilar ones follow, all equally likely. If it has too few
      candidates, the remaining negatives are masked and have the id `N`.

    Raises:
      ValueError: arguments out of range; from `check(data)`, fewer items than `num_negatives`; from `sample`, an encoder with
        several vectors per item.

    Source: Tran et al. 2019, as in public code; the paper itself was not read.
    """
    check_candidates(num_negatives, num_candidates)
    check_not_negative("gamma", gamma)

    def check(data: Interactions) -> None:
        if data.num_items < num_negatives:
            raise ValueError(f"num_negatives={num_negatives}, but there are only {data.num_items} items")

    def init(data: Interactions, view: ModelView | None = None) -> Tree:
        del view
        counts = item_counts(data)
        return jnp.asarray(np.where(counts > 0, gamma * np.log(np.maximum(counts, 1)), -np.inf), jnp.float32)

    def sample(key: Array, state: Tree, batch: Batch, data: Interactions, view: ModelView) -> tuple[Negatives, Tree]:
        first, second, third = jax.random.split(key, 3)
        size, rows = min(num_candidates, data.num_items), batch.user_ids.shape[0]
        noisy, ids = jax.lax.top_k(state + gumbel(random_words(first, data.num_items)), size)
        usable = (noisy > -jnp.inf) & ~touched(batch.user_ids, ids, data)
        weight = log_weight(*_similarities(view, batch, ids))
        # Hashes one word per row and two per candidate. A cipher call per pair would take longer than everything else.
        own, shared = random_words(second, rows), random_words(third, 2 * size).reshape(2, size, 1)
        noise = gumbel(hash_words(hash_words(own ^ shared[0]) + shared[1]))
        value = jnp.where(usable.T, jnp.maximum(weight, _LAST) + noise, -jnp.inf)
        places = largest(value, num_negatives)
        negative_mask = jnp.arange(num_negatives)[:, None] >= jnp.sum(usable, axis=1)
        drawn = jnp.where(negative_mask, data.num_items, ids[places])
        return Negatives(rows_of(drawn, batch, data), negative_mask=negative_mask.T), state

    return Sampler(check, init, sample)


def _similarities(view: ModelView, batch: Batch, ids: Array) -> tuple[Array, int]:
    """`f32[c, b]`: cosines of the candidates `ids i32[c]` with each row's positive; and the width of the vectors."""
    item = view.encode(batch.user_ids, jnp.concatenate([batch.positive_ids, ids]))[1]
    if item.ndim != 2:
        raise ValueError(
            f"two_stage needs one vector per item, and this encoder makes vectors of shape {item.shape[1:]}"
        )
    positive, candidate = jnp.split(unit(item), [batch.user_ids.shape[0]])
    return jnp.matmul(candidate, positive.T, precision=jax.lax.Precision.HIGHEST), item.shape[1]
