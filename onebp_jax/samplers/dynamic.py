"""Hard negatives for each row: of some uniform candidates, those that the current model ranks best (DNS, HarS).

DNS    candidates c_1 .. c_C; keep those of the largest score s(u, v_c)
HarS   candidates c_1 .. c_C; keep those of the smallest Euclidean distance |u - v_c|
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from onebp_jax.ops import geometry
from onebp_jax.ops.checks import check_choice
from onebp_jax.samplers.common import check_candidates, chosen, encode_columns, rows_of
from onebp_jax.samplers.uniform import uniform
from onebp_jax.types import Array, Batch, Interactions, ModelView, Negatives, Sampler, Tree


def dynamic(num_negatives: int, num_candidates: int = 10, rule: str = "topk") -> Sampler:
    """`num_negatives` items per row: of uniform untouched candidates, those with the highest scores (dynamic negative sampling).

    Args:
      num_negatives: how many per row.
      num_candidates: how many candidates per row; with "groups", per group.
      rule: "topk", the best of one set of distinct candidates; "groups", the best one of each of `num_negatives` sets, which are
        drawn separately, so that an item may come twice.

    Returns:
      A `Sampler` of `Negatives(ids i32[b, k])`, without state.

    Raises:
      ValueError: arguments out of range; from `check(data)`, a user with fewer untouched items than candidates; from `sample`,
        an encoder whose vectors have no score for single items.

    Source: Zhang, Chen, Wang and Yu 2013.
    """
    check_choice("rule", rule, ("topk", "groups"))
    check_candidates(num_negatives, num_candidates, 1 if rule == "groups" else None)
    candidates = uniform(num_candidates, "num_candidates")

    def sample(key: Array, state: Tree, batch: Batch, data: Interactions, view: ModelView) -> tuple[Negatives, Tree]:
        many = num_negatives if rule == "groups" else 1
        # Each group is a separate row of one larger draw.
        users, positives = (jnp.tile(ids, many) for ids in batch)
        ids = candidates.sample(key, (), Batch(users, positives), data)[0].ids.T
        user, item = encode_columns(view, users, ids)
        best = chosen(ids, view.score(user, item).T, num_negatives if rule == "topk" else 1)
        return Negatives(rows_of(best.reshape(num_negatives, -1), batch, data)), state

    return Sampler(candidates.check, candidates.init, sample, candidates.lacking)


def hardest_distance(num_negatives: int, num_candidates: int = 10) -> Sampler:
    """`num_negatives` items per row: of distinct uniform untouched candidates, those nearest to the user.

    Args:
      num_negatives: how many per row.
      num_candidates: how many candidates per row.

    Returns:
      A `Sampler` of `Negatives(ids i32[b, k])`, without state. If a user has several vectors, the nearest one counts.

    Raises:
      ValueError: arguments out of range; from `check(data)`, a user with fewer untouched items than candidates; from `sample`,
        an encoder whose vectors have no score for single items.

    Source: after Hsieh et al. 2017, as arXiv 2403.18227 describes the baseline "HarS".
    """
    check_candidates(num_negatives, num_candidates)
    candidates = uniform(num_candidates, "num_candidates")

    def sample(key: Array, state: Tree, batch: Batch, data: Interactions, view: ModelView) -> tuple[Negatives, Tree]:
        ids = candidates.sample(key, (), batch, data)[0].ids.T
        user, item = encode_columns(view, batch.user_ids, ids)
        # Raises the error for vectors that have no score for single items; they have no such distance either.
        jax.eval_shape(view.score, user, item)
        best = chosen(ids, -geometry.distances(user, item), num_negatives)
        return Negatives(rows_of(best, batch, data)), state

    return Sampler(candidates.check, candidates.init, sample, candidates.lacking)
