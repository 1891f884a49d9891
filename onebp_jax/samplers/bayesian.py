"""Bayesian negatives (BNS): of a few candidates the one with the least risk of being liked after all, weighed with its use.

With the scores x of all items for the user, the row's positive, and `F_l` the share of scores that are at most `x_l`:

    info_l = 1 - sigmoid(x_positive - x_l);   P_l = pop_l / sum pop
    unbias_l = (1-F) (1-P) / (1 - F - P + 2 F P);   risk_l = info_l [1 - (1 + lambda) unbias_l];   the least is taken
"""

from __future__ import annotations

from onebp_jax.ops.checks import check_choice, check_not_negative
from onebp_jax.ops.csr import item_share, row_bounds
from onebp_jax.samplers.common import check_candidates, chosen, rows_of
from onebp_jax.samplers.full_row import (
    all_scores,
    count_below,
    count_touched_below,
    not_better,
    scores_at,
)
from onebp_jax.samplers.uniform import uniform
from onebp_jax.types import Array, Batch, Interactions, ModelView, Negatives, Sampler, Tree


def risks(candidate: Array, positive: Array, rank: Array, share: Array, weight: float) -> Array:
    """`f32[m, b]`: the risk of every candidate.

    Args:
      candidate: scores `f32[m, b]`. positive: `f32[b]`, the scores of the rows' positives.
      rank: `f32[m, b]`, `F` of the candidates. share: `f32[m, b]`, their part of all popularity.
      weight: lambda, what a true negative counts for.
    """
    info = not_better(positive, candidate)
    unbias = (1 - rank) * (1 - share) / (1 - rank - share + 2 * rank * share)
    return info * (1 - (1 + weight) * unbias)


def bayesian(
    num_negatives: int = 1, num_candidates: int = 5, weight: float = 5.0, form: str = "user_negatives"
) -> Sampler:
    """`num_negatives` items a row: of distinct uniform untouched candidates the ones of the least Bayesian risk.

    Needs the scores of all items for every row of the batch, `f32[N, b]`.

    Args:
      num_negatives: how many a row; the method is made for one, and BPR.
      num_candidates: of how many.
      weight: lambda, what a true negative counts for against a false one, >= 0.
      form: among what a candidate is ranked: "user_negatives", the user's n untouched items, over n + 1 (the authors' code for
        matrix factorisation), or "all_items", over N + 1 (their code for graphs).

    Returns:
      A `Sampler` of `Negatives(ids i32[b, k])`; its state is `f32[N]`, each item's share of the training pairs.

    Raises:
      ValueError: arguments out of range; from `check(data)`, a user with fewer untouched items than candidates; from `sample`, an
        encoder whose vectors have no score for single items.

    Source: Liu and Wang 2023, and their code.
    """
    check_choice("form", form, ("user_negatives", "all_items"))
    check_candidates(num_negatives, num_candidates)
    check_not_negative("weight", weight)
    candidates = uniform(num_candidates, "num_candidates")

    def sample(key: Array, state: Tree, batch: Batch, data: Interactions, view: ModelView) -> tuple[Negatives, Tree]:
        ids = candidates.sample(key, (), batch, data)[0].ids.T
        scores = all_scores(view, batch, data)
        candidate = scores_at(scores, ids)
        below, among = count_below(scores, candidate), data.num_items
        if form == "user_negatives":
            below -= count_touched_below(scores, candidate, batch, data)
            start, end = row_bounds(batch.user_ids, data)
            among -= end - start
        positive = scores_at(scores, batch.positive_ids[None])[0]
        risk = risks(candidate, positive, below / (among + 1), state.at[ids].get(mode="clip"), weight)
        return Negatives(rows_of(chosen(ids, -risk, num_negatives), batch, data)), state

    return Sampler(candidates.check, lambda data, view=None: item_share(data), sample)
