"""Bayesian negatives (BNS): of a few candidates, the one that is most informative and least likely to be liked.

`x` are the user's scores of all items, `x_positive` is that of the row's positive, and `F_l` is the share of scores that are at
most `x_l`:

    info_l = 1 - sigmoid(x_positive - x_l);   P_l = pop_l / sum pop
    unbias_l = (1-F) (1-P) / (1 - F - P + 2 F P);   risk_l = info_l [1 - (1 + lambda) unbias_l]

The candidate with the smallest risk is taken.
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
    """`f32[m, b]`: the risk of each candidate.

    Args:
      candidate: `f32[m, b]`, the scores of the candidates.
      positive: `f32[b]`, the scores of the rows' positives.
      rank: `f32[m, b]`, `F` of the candidates.
      share: `f32[m, b]`, their share of all training pairs.
      weight: lambda, the weight of a true negative.
    """
    info = not_better(positive, candidate)
    unbias = (1 - rank) * (1 - share) / (1 - rank - share + 2 * rank * share)
    return info * (1 - (1 + weight) * unbias)


def bayesian(
    num_negatives: int = 1, num_candidates: int = 5, weight: float = 5.0, form: str = "user_negatives"
) -> Sampler:
    """`num_negatives` items per row: of distinct uniform untouched candidates, those with the smallest Bayesian risk.

    Needs the scores of all items for every row of the batch, `f32[N, b]`.

    Args:
      num_negatives: how many per row; the method is made for one, with the loss BPR.
      num_candidates: how many candidates per row.
      weight: lambda, the weight of a true negative against a false one, >= 0.
      form: the items among which a candidate is ranked: "user_negatives", the user's n untouched items, divided by n + 1 (the
        authors' code for matrix factorisation), or "all_items", divided by N + 1 (their code for graphs).

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

    return Sampler(candidates.check, lambda data, view=None: item_share(data), sample, candidates.lacking)
