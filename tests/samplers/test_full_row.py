"""AUC-optimal and Bayesian negatives: worked numbers, and loops over the same candidates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.sampler_cases import POPULARITY, batch_of, fixed_view, worked_example

from onebp_jax.ops.random import random_words
from onebp_jax.samplers import auc_optimal, bayesian, uniform
from onebp_jax.samplers.auc_optimal import gains
from onebp_jax.samplers.bayesian import risks
from onebp_jax.samplers.full_row import count_below, count_touched_below

DATA = worked_example()
SCORES = np.array([2, 1, 0.5, 0, -0.5, -1, -1.5, -2])
CANDIDATES = np.array([1, 3, 6])
POP = np.array(POPULARITY) / sum(POPULARITY)
column = lambda values: jnp.asarray(values, jnp.float32)[:, None]
sigmoid = lambda x: 1 / (1 + np.exp(-x))
KEY = jax.random.key(7)
# One user's example, and users with scores of their own.
USERS = np.random.default_rng(1).normal(size=(32, 3))
ITEMS = np.random.default_rng(2).normal(size=(8, 3))
VIEW = fixed_view(USERS, ITEMS)
TOUCHED = [set(np.asarray(DATA.sorted_items)[DATA.row_starts[u] : DATA.row_starts[u + 1]].tolist()) for u in range(32)]
BATCH = batch_of([0, 20, 32, 12, 0, 29], DATA, [0, 0, 0, 1, 2, 0])


def drawn(sampler, key=KEY, batch=BATCH, view=VIEW):
    """The ids, compiled: operation by operation takes longer."""
    return np.asarray(jax.jit(lambda key: sampler.sample(key, sampler.init(DATA), batch, DATA, view)[0].ids)(key))


def test_ranks_count_what_scores_at_most_as_much():
    scores = np.round(np.random.default_rng(0).normal(size=(37, 6)), 1)
    values = scores[[3, 36, 0]]
    below = count_below(jnp.asarray(scores, jnp.float32), jnp.asarray(values, jnp.float32))
    np.testing.assert_array_equal(below, [(scores <= value).sum(0) for value in values])
    own = count_touched_below(jnp.asarray(scores[:8], jnp.float32), jnp.asarray(values, jnp.float32), BATCH, DATA)
    for row, user in enumerate(BATCH.user_ids.tolist()):
        items = sorted(TOUCHED[user]) if user < 32 else []
        assert own[:, row].tolist() == [(scores[items, row] <= value).sum() for value in values[:, row]]


def test_the_worked_example_of_auc_optimal():
    rank = (SCORES[None] <= SCORES[CANDIDATES][:, None]).sum(1) / 9
    np.testing.assert_allclose(rank, [0.777778, 0.555556, 0.222222], atol=1e-6)
    arguments = column(SCORES[CANDIDATES]), column(SCORES[[0, 2, 2]]), column(SCORES[[4, 5, 7]])
    gain = gains(*arguments, column(rank), column(POP[CANDIDATES]), (2, 6), 0.6, 0.025, 0.006)
    np.testing.assert_allclose(gain[:, 0], [0.959769, 0.548320, 0.166808], rtol=1e-5)
    # What nobody touched is taken for no true negative: it can only lose.
    lost = gains(*arguments, column(rank), column([0, 0, 0]), (2, 6), 0.6, 0.025, 0.006)
    np.testing.assert_allclose(lost[:, 0], [-0.004189, -0.009188, -0.020773], atol=1e-6)


@pytest.mark.parametrize(
    "form, risk, item",
    [("user_negatives", [-0.376518, -0.440533, -0.142935], 3), ("all_items", [-0.591671, -0.508793, -0.143956], 1)],
)
def test_the_worked_example_of_bayesian(form, risk, item):
    others = [1, 3, 4, 5, 6, 7] if form == "user_negatives" else range(8)
    rank = np.array([sum(SCORES[j] <= SCORES[c] for j in others) / (len(others) + 1) for c in CANDIDATES])
    found = risks(column(SCORES[CANDIDATES]), jnp.array([2.0]), column(rank), column(POP[CANDIDATES]), 5.0)[:, 0]
    np.testing.assert_allclose(found, risk, rtol=1e-5)
    assert CANDIDATES[int(found.argmin())] == item
    # The whole sampler, over candidates that are all that user 0 left.
    view = fixed_view(np.ones((32, 1)), SCORES[:, None])
    ids = drawn(bayesian(6, 6, form=form), batch=batch_of([0], DATA), view=view)[0]
    order = [i for i in ids.tolist() if i in CANDIDATES]
    assert order == CANDIDATES[np.argsort(found)].tolist() and order[0] == item


@pytest.mark.parametrize("form", ["user_negatives", "all_items"])
def test_bayesian_against_loops(form):
    sampler = bayesian(2, 3, 2.0, form)
    ids = drawn(sampler)
    candidates = drawn(uniform(3))
    for row, (user, positive) in enumerate(zip(*(ids.tolist() for ids in BATCH), strict=True)):
        if user == 32:
            assert ids[row].tolist() == [8, 8]
            continue
        x = ITEMS @ USERS[user]
        among = sorted(set(range(8)) - TOUCHED[user]) if form == "user_negatives" else range(8)

        def risk(item, x=x, among=among, positive=positive):
            info = 1 - sigmoid(x[positive] - x[item])
            rank = sum(x[j] <= x[item] for j in among) / (len(among) + 1)
            unbias = (1 - rank) * (1 - POP[item]) / (1 - rank - POP[item] + 2 * rank * POP[item])
            return info * (1 - 3 * unbias)

        assert ids[row].tolist() == sorted(candidates[row].tolist(), key=risk)[:2]


def test_auc_optimal_against_loops():
    sampler = auc_optimal(2, 3, 4, alpha=0.7, prior=0.5, gamma=0.5)
    ids = drawn(sampler)
    first, second, third = jax.random.split(KEY, 3)
    candidates, others = (drawn(uniform(n), k) for n, k in ((3, first), (4, second)))
    words = np.asarray(random_words(third, 4 * 6)).reshape(4, 6).T
    for row, user in enumerate(BATCH.user_ids.tolist()):
        if user == 32:
            assert ids[row].tolist() == [8, 8]
            continue
        x, own = ITEMS @ USERS[user], sorted(TOUCHED[user])
        positives = [own[int(word) * len(own) >> 32] for word in words[row]]

        def gain(item, x=x, own=own, positives=positives, row=row):
            plus = len(own) * np.mean([1 - sigmoid(x[i] - x[item]) for i in positives])
            minus = 0.5 * (8 - len(own)) * np.mean([1 - sigmoid(x[item] - x[j]) for j in others[row]])
            rank, prior = sum(x <= x[item]) / 9, POP[item] ** 0.5
            a = ((1 - rank) * 0.7 + rank * 0.3) * prior
            b = ((1 - rank) * 0.3 + rank * 0.7) * (1 - prior)
            return a / (a + b) * plus - b / (a + b) * minus

        assert ids[row].tolist() == sorted(candidates[row].tolist(), key=gain, reverse=True)[:2]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: auc_optimal(2, 1), "num_candidates must be at least num_negatives=2, got 1"),
        (lambda: auc_optimal(alpha=1.0), "alpha must be above 0 and below 1, got 1.0"),
        (lambda: auc_optimal(prior=-1.0), "prior must be zero or a positive number, got -1.0"),
        (lambda: auc_optimal(extra=0), "extra must be a positive whole number, got 0"),
        (
            lambda: auc_optimal(1, 4, 7).check(DATA),
            "extra=7, but .* users have fewer items left untouched, one only 4 of 8",
        ),
        (lambda: bayesian(2, 1), "num_candidates must be at least num_negatives=2, got 1"),
        (lambda: bayesian(weight=-1.0), "weight must be zero or a positive number, got -1.0"),
        (lambda: bayesian(form="some"), "form must be one of user_negatives, all_items, got 'some'"),
        (
            lambda: bayesian(num_candidates=7).check(DATA),
            "num_candidates=7, but .* users have fewer items left untouched, one only 4 of 8",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
