"""AUC-optimal negatives (AUC_NS): of a few candidates, the one that adds most to the partial area under the ROC curve.

`x` are the user's scores of all items, `F_l` is the share of items that score at most `x_l`, and `P_l` is the prior probability
that candidate `l` is a true negative:

    plus_l  = |I+| mean_{i in extra positives} (1 - sigmoid(x_i - x_l))
    minus_l = gamma |I-| mean_{j in extra negatives} (1 - sigmoid(x_l - x_j))
    P_l = (pop_l / sum pop)^beta;   F_l = #{j : x_j <= x_l} / (N + 1)
    a = 2 [(1-F) alpha + F (1-alpha)] P;   b = 2 [(1-F) (1-alpha) + F alpha] (1-P);   w = a / (a + b)
    gain_l = w_l plus_l - (1 - w_l) minus_l;   the candidate with the largest gain is taken
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from onebp_jax.ops.checks import check_count, check_not_negative, check_share
from onebp_jax.ops.csr import item_share, need_rows, row_bounds
from onebp_jax.ops.random import random_words, scale_words
from onebp_jax.samplers.common import check_candidates, chosen, rows_of
from onebp_jax.samplers.full_row import all_scores, count_below, not_better, scores_at
from onebp_jax.samplers.uniform import uniform
from onebp_jax.types import Array, Batch, Interactions, ModelView, Negatives, Sampler, Tree


def gains(
    candidate: Array,
    positive: Array,
    negative: Array,
    rank: Array,
    share: Array,
    sizes: tuple[Array, Array],
    alpha: float,
    beta: float,
    gamma: float,
) -> Array:
    """`f32[m, b]`: the gain of each candidate.

    Args:
      candidate, positive, negative: scores `f32[m, b]`, `[p, b]`, `[q, b]`, of the candidates and the extra items.
      rank: `f32[m, b]`, `F` of the candidates.
      share: `f32[m, b]`, their share of all training pairs.
      sizes: `|I+|` and `|I-|`, numbers or `[b]`.
      alpha, beta, gamma: as in `auc_optimal`, where beta is `prior`.
    """
    plus = sizes[0] * jnp.mean(not_better(positive[None], candidate[:, None]), axis=1)
    minus = gamma * sizes[1] * jnp.mean(not_better(candidate[:, None], negative[None]), axis=1)
    prior = share**beta
    a = ((1 - rank) * alpha + rank * (1 - alpha)) * prior
    b = ((1 - rank) * (1 - alpha) + rank * alpha) * (1 - prior)
    weight = a / (a + b)
    return weight * plus - (1 - weight) * minus


def auc_optimal(
    num_negatives: int = 1,
    num_candidates: int = 5,
    extra: int = 10,
    alpha: float = 0.6,
    prior: float = 0.025,
    gamma: float = 0.006,
) -> Sampler:
    """`num_negatives` items per row: of distinct uniform untouched candidates, those with the largest gain in partial AUC.

    Needs the scores of all items for every row of the batch, `f32[N, b]`.

    Args:
      num_negatives: how many per row; the method is made for one, with the loss BPR.
      num_candidates: how many candidates per row.
      extra: how many of the user's own items (with replacement), and how many distinct untouched items, represent all of them.
      alpha: how well the model is assumed to recognise negatives, above 0 and below 1.
      prior: beta, the exponent of the popularity in the prior, >= 0.
      gamma: the weight of untouched items that would be ranked above the candidate, >= 0.

    Returns:
      A `Sampler` of `Negatives(ids i32[b, k])`; its state is `f32[N]`, each item's share of the training pairs.

    Raises:
      ValueError: arguments out of range; from `check(data)`, a user with too few untouched items; from `sample`, an encoder whose
        vectors have no score for single items.

    Source: the public code of AUC_NS (github.com/studentcej/AUC_NS).
    """
    check_candidates(num_negatives, num_candidates)
    check_count("extra", extra)
    check_share("alpha", alpha, zero=False, one=False)
    check_not_negative("prior", prior)
    check_not_negative("gamma", gamma)
    candidates, others = uniform(num_candidates, "num_candidates"), uniform(extra, "extra")

    def check(data: Interactions) -> None:
        need_rows(data)
        candidates.check(data)
        others.check(data)

    def sample(key: Array, state: Tree, batch: Batch, data: Interactions, view: ModelView) -> tuple[Negatives, Tree]:
        first, second, third = jax.random.split(key, 3)
        rows = batch.user_ids.shape[0]
        ids = candidates.sample(first, (), batch, data)[0].ids.T
        negative = others.sample(second, (), batch, data)[0].ids.T
        start, end = row_bounds(batch.user_ids, data)
        place = scale_words(random_words(third, extra * rows).reshape(extra, rows), end - start)
        positive = data.sorted_items.at[start + place].get(mode="clip")
        scores = all_scores(view, batch, data)
        candidate = scores_at(scores, ids)
        gain = gains(
            candidate,
            scores_at(scores, positive),
            scores_at(scores, negative),
            count_below(scores, candidate) / (data.num_items + 1),
            state.at[ids].get(mode="clip"),
            (end - start, data.num_items - (end - start)),
            alpha,
            prior,
            gamma,
        )
        return Negatives(rows_of(chosen(ids, gain, num_negatives), batch, data)), state

    lacking = lambda data: candidates.lacking(data) | others.lacking(data)
    return Sampler(check, lambda data, view=None: item_share(data), sample, lacking)
