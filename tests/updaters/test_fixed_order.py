"""Updaters where repeated rows are summed in a fixed order, as on a GPU: the rows of a CPU, and a state that no chance fills."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.updater_cases import DIM, ROWS, UPDATERS

from onebp_jax.ops.gpu import trace_for_gpu
from onebp_jax.types import Signal

COUNT, PARTNERS = 40, 30
# What these compute depends on the order of a row's targets.
ORDERED = ("moving_average sequential", "moving_average last", "chain of averages")


def signal(seed=0):
    random = np.random.default_rng(seed)
    ids = random.integers(0, ROWS + 1, COUNT)
    grads, targets = random.normal(size=(COUNT, DIM)), random.normal(size=(PARTNERS, DIM))
    return Signal(jnp.asarray(ids, jnp.int32), jnp.asarray(grads, jnp.float32), jnp.asarray(targets, jnp.float32))


def after(updater, order, on=True):
    """The table after two steps, with the same examples in another order; those with partners stay in front."""
    table = jnp.asarray(np.random.default_rng(9).normal(size=(ROWS, DIM)), jnp.float32)

    def two_steps(table, ids, grads, targets):
        state = updater.init(table)
        for _ in range(2):
            table, state = updater.update(Signal(ids, grads, targets), state, table)
        return table, state

    ids, grads, targets = signal()
    with trace_for_gpu(on):
        return jax.jit(two_steps)(table, ids[order], grads[order], targets[order[:PARTNERS]])


def orders():
    """As it is; with each row's examples in their order; in any order."""
    random, ids = np.random.default_rng(1), np.asarray(signal().ids)
    kept, plain = np.arange(COUNT), np.arange(COUNT)
    for part in (slice(0, PARTNERS), slice(PARTNERS, COUNT)):
        shuffled = random.permutation(ids[part])
        for row in set(ids[part].tolist()):
            kept[part][shuffled == row] = plain[part][ids[part] == row]
    anyhow = np.concatenate([random.permutation(PARTNERS), PARTNERS + random.permutation(COUNT - PARTNERS)])
    return plain, kept, anyhow


@pytest.mark.parametrize("name", UPDATERS)
def test_the_rows_are_those_of_a_cpu_whatever_the_order(name):
    plain, kept, anyhow = orders()
    assert sorted(kept) == list(plain) and (kept != plain).any()
    table, state = after(UPDATERS[name], plain)
    expected, _ = after(UPDATERS[name], plain, on=False)
    np.testing.assert_allclose(table, expected, rtol=1e-5, atol=1e-6)
    # Where each row's examples keep their order, all bits stay, those of the state too.
    for one, two in zip(jax.tree.leaves((table, state)), jax.tree.leaves(after(UPDATERS[name], kept)), strict=True):
        np.testing.assert_array_equal(one, two)
    if name not in ORDERED:
        np.testing.assert_allclose(after(UPDATERS[name], anyhow)[0], table, rtol=1e-5, atol=1e-6)
