"""Parts together: any pair of updaters with any loss takes steps, and what is learned finds what was hidden."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import oracle
from support.oracle import BATCH, DIM, NUM_ITEMS, NUM_USERS, WIDTH

from onebp_jax import losses
from onebp_jax.data.device import to_device
from onebp_jax.encoders import buir, embedding, euclidean, multi_interest
from onebp_jax.engine.batches import steps_per_epoch
from onebp_jax.engine.step import make_step
from onebp_jax.ops.rows import NARROW
from onebp_jax.samplers import full_catalogue, none, shared, uniform
from onebp_jax.training.runner import make_scan
from onebp_jax.types import Batch, Method, Tables
from onebp_jax.updaters import (
    adam,
    ball,
    chain,
    constrained,
    covariance,
    dcrs,
    gradient,
    moving_average,
    nearest_interest,
    rowwise,
    sphere,
    with_target,
)
from onebp_jax.updaters.rounding import to_storage

UPDATERS = {
    "average": moving_average(0.9),
    "adam": gradient(adam(0.05, 1e-3)),
    "sgd": gradient(optax.sgd(0.1)),
    "rowwise": rowwise(adam(0.05, 1e-3), row_counts=True),
    "chain": chain(moving_average(0.9), gradient(adam(0.05))),
}
LOSSES = {"infonce": losses.infonce(), "bpr": losses.bpr()}
PAIRS = [
    (user, item)
    for user in UPDATERS
    for item in UPDATERS
    if not ("targets" in UPDATERS[user].reads and "targets" in UPDATERS[item].reads)
]


# Updaters do not know the loss: with the second one, one pair that reads both kinds of signals will do.
WITH_LOSSES = [(*pair, "infonce") for pair in PAIRS] + [("chain", "rowwise", "bpr")]
REST = [(*pair, "bpr") for pair in PAIRS if pair != ("chain", "rowwise")]


@pytest.mark.parametrize(
    "user, item, loss", [*WITH_LOSSES, *(pytest.param(*case, marks=pytest.mark.study) for case in REST)]
)
def test_any_two_updaters_and_any_loss_take_two_steps(user, item, loss):
    random = np.random.default_rng(0)
    data = to_device(np.array([[0, 0], [1, 3], [2, 1]]), NUM_USERS, NUM_ITEMS)
    sampler = oracle.given_negatives(random.integers(0, NUM_ITEMS, (2, BATCH, WIDTH)))
    init, step = make_step(Method(embedding(DIM), sampler, LOSSES[loss], UPDATERS[user], UPDATERS[item]))
    state, data = init(jax.random.key(0), data)
    first = state
    # Repeated users and items, and a row of padding.
    users, items = random.integers(0, NUM_USERS, BATCH), random.integers(0, NUM_ITEMS, BATCH)
    users[-1], items[-1] = NUM_USERS, NUM_ITEMS
    for _ in range(2):
        state, info = step(state, Batch(jnp.asarray(users, jnp.int32), jnp.asarray(items, jnp.int32)), data)
        assert np.isfinite(info.loss) and int(info.examples) == BATCH - 1
    for before, after, ids in ((first.user, state.user, users), (first.item, state.item, items)):
        assert np.isfinite(after).all()
        assert (np.asarray(after) != before)[np.unique(ids)[:-1]].any(axis=1).all()


def _kinds() -> dict[str, Method]:
    """A method of each kind: what vectors are compared, how many a user has, what is drawn."""
    sgd, slow = gradient(adam(0.05)), with_target(gradient(adam(0.05)), 0.9)
    in_ball = constrained(gradient(adam(0.05), covariance(0.1)), ball())
    apart = constrained(gradient(adam(0.05), dcrs(0.1, 0.2, 1.0)), sphere())
    averages = nearest_interest(moving_average(0.9), 0.1, 0.1)
    unit, several = embedding(DIM, normalize=True), multi_interest(DIM, 2)
    return {
        "cml": Method(euclidean(DIM), uniform(2), losses.cml(), in_ball, in_ball),
        "dpcml": Method(euclidean(DIM, 2), shared(4), losses.dpcml(), apart, in_ball),
        "sfcml": Method(unit, full_catalogue(), losses.sfcml(), sgd, sgd, epoch_unit="user"),
        "buir": Method(buir(DIM), none(), losses.buir(), slow, slow, tx=adam(0.05)),
        "directau": Method(unit, none(), losses.directau(), sgd, sgd),
        "mtmi": Method(several, shared(4, 1.0), losses.repel(losses.sampled_softmax(), 0.1), rowwise(adam(0.05)), sgd),
        "onebp_k": Method(several, uniform(2), losses.infonce(), averages, rowwise(adam(0.05))),
        "l2": Method(embedding(DIM), uniform(2), losses.with_l2(losses.hcl(), 0.1), moving_average(0.9), sgd),
    }


@pytest.mark.parametrize("method", _kinds().values(), ids=_kinds())
def test_a_method_of_each_kind_learns(method):
    random = np.random.default_rng(0)
    pairs = np.array([[0, 0], [1, 3], [2, 1], [2, 5], [3, 3], [4, 8], [1, 2]])
    init, step = make_step(method)
    first, data = init(jax.random.key(0), to_device(pairs, NUM_USERS, NUM_ITEMS))
    rows = random.permutation(len(pairs))[: 3 if method.epoch_unit == "user" else 7]
    users, items = (np.append(pairs[rows, tower], [size] * 2) for tower, size in ((0, NUM_USERS), (1, NUM_ITEMS)))
    batch = Batch(jnp.asarray(users, jnp.int32), jnp.asarray(items, jnp.int32))
    compiled = jax.jit(step).lower(first, batch, data).compile()
    state, infos = first, []
    for _ in range(30):
        state, info = compiled(state, batch, data)
        infos.append(float(info.loss))
    assert int(info.examples) == len(rows) and np.isfinite(infos).all()
    assert np.mean(infos[-5:]) < np.mean(infos[:5])
    assert all(np.isfinite(table).all() for table in jax.tree.leaves(state.tables))


def test_a_step_rounds_bfloat16_by_chance_with_another_key_a_step_and_tower():
    """Both towers move by a few thousandths of the space between two numbers: to the nearest, none would."""
    dim, users = 4096, jnp.array([0, NUM_USERS])
    slowly = rowwise(optax.stateless(lambda grads, params: jnp.full_like(params, 1e-5)))
    encoder = embedding(dim, dtype="bfloat16")
    start = tuple(to_storage(jnp.full((rows, dim), 0.75), NARROW) for rows in (NUM_USERS, NUM_ITEMS))
    data = to_device(np.array([[0, 0], [1, 3]]), NUM_USERS, NUM_ITEMS)
    method = Method(encoder._replace(init=lambda key, data: Tables(*start)), shared(2), LOSSES["bpr"], slowly, slowly)
    init, step = make_step(method)
    state, data = init(jax.random.key(0), data)
    step, states = jax.jit(step), [state]
    for _ in range(2):
        state, info = step(states[-1], Batch(users, jnp.array([0, NUM_ITEMS])), data)
        states.append(state)
        assert np.isfinite(info.loss) and state.user.dtype == state.item.dtype == NARROW
    moved = [np.asarray(one.user[0] != two.user[0]) for one, two in zip(states, states[1:], strict=False)]
    moved.append(np.asarray(states[1].item[0] != start[1][0]))
    # Numbers from 1/2 to 1 are 2^-8 apart: 1e-5 has a chance of 0.00256, 10.5 of 4096 numbers.
    for one, two in itertools.combinations(moved, 2):
        assert 0 < one.sum() < 40 and (one != two).any()


CROWD, BLOCK = 40, 10


def blocks():
    """Users like all items of one of two blocks; one of them, another from user to user, is hidden."""
    users = np.arange(CROWD)
    hidden = users // 2 % BLOCK + users % 2 * BLOCK
    pairs = np.array([[user, item + user % 2 * BLOCK] for user in users for item in range(BLOCK)])
    return pairs[pairs[:, 1] != hidden[pairs[:, 0]]], hidden


@pytest.mark.parametrize("user, loss", [("average", "infonce"), ("adam", "infonce"), ("average", "bpr")])
def test_what_was_hidden_ranks_first(user, loss):
    pairs, hidden = blocks()
    data = to_device(pairs, CROWD, 2 * BLOCK)
    init, step = make_step(Method(embedding(8), uniform(3), LOSSES[loss], UPDATERS[user], gradient(adam(0.02))))
    length = 30 * steps_per_epoch(len(pairs), 64, False)
    state, _ = init(jax.random.key(0), data)

    def recall(state, k):
        scores = np.array(state.user @ state.item.T)
        scores[pairs[:, 0], pairs[:, 1]] = -np.inf
        above = (scores > scores[np.arange(CROWD), hidden][:, None]).sum(axis=1)
        return (above < k).mean()

    # Of 11 unseen items one is hidden: nothing is known at first.
    assert recall(state, 1) < 0.4
    scan = make_scan(lambda spread: step, 64, drop_last=False).lower(state, data, length=length)
    state, infos = scan.compile()(state, data)
    assert np.isfinite(infos.loss).all() and infos.loss[-1] < infos.loss[0]
    assert recall(state, 1) >= 0.95 and recall(state, 3) == 1
