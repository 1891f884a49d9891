"""The contract that every updater keeps (see `onebp_jax.types.Updater`). A new updater gets one row in `UPDATERS`."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.updater_cases import DIM, ROWS, UPDATERS

from onebp_jax.types import Signal
from onebp_jax.updaters import (
    chain,
    gradient,
    moving_average,
)

TOUCHED, PARTNERS, SEEDS = 9, 6, 3
every_updater = pytest.mark.parametrize("updater", UPDATERS.values(), ids=UPDATERS)
TARGETS_ONLY = {name: updater for name, updater in UPDATERS.items() if updater.reads == ("targets",)}
every_updater_of_targets = pytest.mark.parametrize("updater", TARGETS_ONLY.values(), ids=TARGETS_ONLY)


def signals(seed=0, dtype=jnp.float32):
    """One signal a seed, stacked: repeated ids, padding, and rows without a partner (negatives) after the others."""
    random = np.random.default_rng(seed)
    ids = random.integers(0, 6, (SEEDS, TOUCHED))
    ids[:, 4] = ROWS
    grads = random.normal(size=(SEEDS, TOUCHED, DIM))
    targets = random.normal(size=(SEEDS, PARTNERS, DIM))
    return Signal(jnp.asarray(ids, jnp.int32), jnp.asarray(grads, dtype), jnp.asarray(targets, dtype))


def tables(dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(99).normal(size=(SEEDS, ROWS, DIM)), dtype)


def pick(tree, seed):
    """One of the stacked examples."""
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)[seed]), tree)


def first(tree):
    return pick(tree, 0)


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def kinds(tree):
    """Structure, shapes and types of a tree."""
    return jax.tree.structure(tree), [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]


def assert_close(tree, other):
    assert kinds(tree) == kinds(other)
    for one, two in zip(leaves(tree), leaves(other), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-7)


@every_updater
def test_vmap_gives_the_plain_result(updater):
    together = jax.jit(jax.vmap(updater.update))(signals(), jax.vmap(updater.init)(tables()), tables())
    for seed in range(SEEDS):
        signal, table = pick(signals(), seed), pick(tables(), seed)
        state = updater.init(table)
        plain = updater.update(signal, state, table)
        assert_close(plain, pick(together, seed))
        # Not a function that returns what it is given (an empty chain is).
        assert (np.asarray(plain[0]) != table).any() == (updater.reads != ())


@every_updater
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_shapes_types_and_structure_stay(updater, dtype):
    table = first(tables(dtype))
    state = updater.init(table)
    new = jax.eval_shape(updater.update, first(signals(dtype=dtype)), state, table)
    assert kinds(new) == kinds((table, state))


@every_updater
def test_shapes_are_enough_to_plan_with(updater):
    signal, table = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), (first(signals()), first(tables())))
    state = jax.eval_shape(updater.init, table)
    assert kinds(state) == kinds(updater.init(first(tables())))
    assert kinds(jax.eval_shape(updater.update, signal, state, table)) == kinds((table, state))


@every_updater
def test_jit_gives_the_plain_result_and_traces_once(updater):
    traces = []

    @jax.jit
    def update(signal, state, table):
        traces.append(None)
        return updater.update(signal, state, table)

    plain = compiled = first(tables()), updater.init(first(tables()))
    for seed in range(2):
        table, state = plain
        plain = updater.update(pick(signals(), seed), state, table)
        table, state = compiled
        compiled = update(pick(signals(), seed), state, table)
        assert_close(plain, compiled)
    assert len(traces) == 1


@every_updater
def test_unknown_keywords_are_ignored(updater):
    signal, table = first(signals()), first(tables())
    plain = updater.update(signal, updater.init(table), table)
    with_extra = updater.update(signal, updater.init(table), table, epoch=3, nobody_knows_this=jnp.ones(2))
    for one, two in zip(leaves(plain), leaves(with_extra), strict=True):
        np.testing.assert_array_equal(one, two)


@every_updater
def test_only_what_is_declared_is_read(updater):
    signal, table = first(signals()), first(tables())
    needed = Signal(
        signal.ids, *(getattr(signal, name) if name in updater.reads else None for name in Signal._fields[1:])
    )
    plain = updater.update(signal, updater.init(table), table)
    for one, two in zip(leaves(plain), leaves(updater.update(needed, updater.init(table), table)), strict=True):
        np.testing.assert_array_equal(one, two)
    for name in updater.reads:
        with pytest.raises((AssertionError, AttributeError)):
            updater.update(signal._replace(**{name: None}), updater.init(table), table)


@every_updater_of_targets
def test_rows_without_a_partner_keep_their_bits(updater):
    signal, table = first(signals()), first(tables())
    new, _ = updater.update(signal, updater.init(table), table)
    touched = np.isin(np.arange(ROWS), signal.ids[:PARTNERS])
    assert 0 < touched.sum() < ROWS
    np.testing.assert_array_equal(new[~touched], table[~touched])
    assert (np.asarray(new)[touched] != np.asarray(table)[touched]).any(axis=1).all()


@every_updater_of_targets
def test_padding_alone_changes_nothing(updater):
    signal, table = first(signals()), first(tables())
    # A state that is not fresh, so that clearing it would be seen.
    table, state = updater.update(signal, updater.init(table), table)
    new = updater.update(signal._replace(ids=jnp.full(TOUCHED, ROWS)), state, table)
    for one, two in zip(leaves(new), leaves((table, state)), strict=True):
        np.testing.assert_array_equal(one, two)


@every_updater
def test_what_padding_holds_reaches_no_row(updater):
    signal, table = first(signals()), first(tables())
    padded = np.asarray(signal.ids) == ROWS
    poisoned = Signal(
        signal.ids,
        *(jnp.where(padded[: len(values), None], jnp.nan, values) for values in (signal.grads, signal.targets)),
    )
    assert np.isnan(poisoned.targets).any()
    plain, other = (updater.update(one, updater.init(table), table)[0] for one in (signal, poisoned))
    np.testing.assert_array_equal(plain, other)


def test_a_chain_applies_its_parts_in_order():
    one, two = gradient(optax.sgd(0.1)), moving_average(0.5)
    signal, table = first(signals()), first(tables())
    by_hand = two.update(signal, two.init(table), one.update(signal, one.init(table), table)[0])[0]
    forward, backward = (chain(*parts) for parts in ((one, two), (two, one)))
    np.testing.assert_array_equal(forward.update(signal, forward.init(table), table)[0], by_hand)
    assert (np.asarray(backward.update(signal, backward.init(table), table)[0]) != by_hand).any()
    assert forward.reads == backward.reads == ("grads", "targets")
    assert chain(one).reads == ("grads",) and chain(two, two).reads == ("targets",)
