"""Moving aggregation: its properties for any batch, and its precision where beta is close to 1."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import oracle

from onebp_jax.ops.gpu import trace_for_gpu
from onebp_jax.types import Signal
from onebp_jax.updaters import DUPLICATE_RULES, moving_average

ROWS, DIM, COUNT = 5, 2, 8
every_rule = pytest.mark.parametrize("rule", DUPLICATE_RULES)
few = settings(max_examples=12, deadline=None, derandomize=True)
# An id of ROWS is padding. One batch size, so that each rule is compiled once.
some_ids = st.lists(st.integers(0, ROWS), min_size=COUNT, max_size=COUNT).map(lambda ids: np.array(ids, np.int32))
some_betas = st.floats(0, 1, width=32)
seeds = st.integers(0, 2**32 - 1)


def values(seed, *shape):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def padded(ids, targets):
    """The same batch with padding up to COUNT rows: one shape, so that operations are compiled once."""
    more = COUNT - len(ids)
    return np.pad(ids, (0, more), constant_values=ROWS), np.pad(targets, ((0, more), (0, 0)), constant_values=9.0)


def move(rule, beta, ids, targets, table):
    """The new table."""
    updater = moving_average(beta, rule)
    new, _ = updater.update(
        Signal(jnp.asarray(ids), None, jnp.asarray(targets)), updater.init(table), jnp.asarray(table)
    )
    return np.asarray(new)


@every_rule
@few
@given(ids=some_ids, beta=some_betas, seed=seeds)
def test_a_row_stays_between_where_it_was_and_its_targets(rule, ids, beta, seed):
    table, targets = values(seed, ROWS, DIM), values(seed + 1, COUNT, DIM)
    new = move(rule, beta, ids, targets, table)
    for row in range(ROWS):
        hull = np.concatenate([table[row][None], targets[ids == row]])
        assert (new[row] >= hull.min(0) - 1e-6).all() and (new[row] <= hull.max(0) + 1e-6).all()


@every_rule
@few
@given(ids=some_ids, beta=some_betas, seed=seeds)
def test_any_batch_agrees_with_the_oracle(rule, ids, beta, seed):
    table, targets = values(seed, ROWS, DIM), values(seed + 1, COUNT, DIM)
    expected = oracle.average(table.astype(np.float64), ids, targets.astype(np.float64), beta, rule)
    np.testing.assert_allclose(move(rule, beta, ids, targets, table), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rule", ["expected", "mean"])
@few
@given(ids=some_ids, beta=some_betas, seed=seeds, order=st.permutations(range(COUNT)))
def test_the_order_of_the_batch_does_not_matter(rule, ids, beta, seed, order):
    table, targets = values(seed, ROWS, DIM), values(seed + 1, COUNT, DIM)
    moved = move(rule, beta, ids[order], targets[order], table)
    np.testing.assert_allclose(moved, move(rule, beta, ids, targets, table), rtol=0, atol=1e-6)


@every_rule
@few
@given(ids=some_ids, seed=seeds)
def test_beta_1_freezes_the_table(rule, ids, seed):
    table, targets = values(seed, ROWS, DIM), values(seed + 1, COUNT, DIM)
    np.testing.assert_array_equal(move(rule, 1.0, ids, targets, table), table)


@few
@given(ids=some_ids, seed=seeds)
def test_beta_0_copies_the_last_target(ids, seed):
    table, targets = values(seed, ROWS, DIM), values(seed + 1, COUNT, DIM)
    expected = table.copy()
    for row, target in zip(ids, targets, strict=True):
        expected[row : row + 1] = target
    np.testing.assert_array_equal(move("last", 0.0, ids, targets, table), expected)


@few
@given(ids=some_ids, beta=some_betas, seed=seeds)
def test_sequential_is_one_call_a_row(ids, beta, seed):
    table, targets = values(seed, ROWS, DIM), values(seed + 1, COUNT, DIM)
    one_by_one = table
    for place in range(COUNT):
        one_row = padded(ids[place : place + 1], targets[place : place + 1])
        one_by_one = move("sequential", beta, *one_row, one_by_one)
    np.testing.assert_allclose(move("sequential", beta, ids, targets, table), one_by_one, rtol=0, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_expected_is_sequential_averaged_over_all_orders(count):
    table, targets = values(1, ROWS, DIM), values(2, count, DIM)
    ids = np.full(count, 3, np.int32)
    orders = [list(order) for order in itertools.permutations(range(count))]
    results = [move("sequential", 0.7, *padded(ids, targets[order]), table) for order in orders]
    mean = np.mean(results, axis=0)
    np.testing.assert_allclose(move("expected", 0.7, *padded(ids, targets), table), mean, rtol=0, atol=1e-6)
    if count > 1:
        assert np.abs(results[0] - mean).max() > 1e-3


@few
@given(ids=st.permutations(range(ROWS + 1)), beta=some_betas, seed=seeds)
def test_without_repeated_ids_the_rules_agree(ids, beta, seed):
    table, targets = values(seed, ROWS, DIM), values(seed + 1, len(ids), DIM)
    batch = padded(np.array(ids, np.int32), targets)
    results = [move(rule, beta, *batch, table) for rule in DUPLICATE_RULES]
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], rtol=0, atol=1e-6)


@every_rule
@pytest.mark.parametrize("occurrences", [1, 3])
def test_a_beta_close_to_1_keeps_its_rate(rule, occurrences):
    """From 0 towards 1, one update moves by its rate and nothing else: 1e-6, to a thousandth, in float32."""
    beta = 1 - 1e-6
    ids, targets = padded(np.zeros(occurrences, np.int32), np.ones((occurrences, DIM), np.float32))
    moved = move(rule, beta, ids, targets, np.zeros((ROWS, DIM), np.float32))[0, 0]
    expected = oracle.average(np.zeros((ROWS, DIM)), ids, targets.astype(np.float64), beta, rule)[0, 0]
    assert moved == pytest.approx(expected, rel=1e-3)
    assert expected == pytest.approx(1e-6 * (occurrences if rule in ("sequential", "expected") else 1), rel=1e-5)


@pytest.mark.parametrize("rule", ["expected", "sequential"])
def test_a_batch_much_longer_than_the_table(rule):
    table, targets = values(1, ROWS, DIM), values(2, 300, DIM)
    ids = np.random.default_rng(3).integers(0, ROWS + 1, 300).astype(np.int32)
    expected = oracle.average(table.astype(np.float64), ids, targets.astype(np.float64), 0.99, rule)
    np.testing.assert_allclose(move(rule, 0.99, ids, targets, table), expected, rtol=0, atol=2e-6)


@every_rule
def test_what_the_scratch_held_is_never_read(rule):
    updater = moving_average(0.9, rule)
    table, targets = values(1, ROWS, DIM), values(2, COUNT, DIM)
    signal = Signal(jnp.array([0, 1, 1, 4, 0, ROWS, 1, 3]), None, jnp.asarray(targets))
    results = [
        updater.update(signal, jnp.full(ROWS, junk, jnp.int32), jnp.asarray(table))[0] for junk in (0, 7, -5, 999)
    ]
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


@pytest.mark.parametrize("beta", [-0.1, 1.1, float("nan"), float("inf")])
def test_beta_outside_0_to_1_is_refused(beta):
    with pytest.raises(ValueError, match=f"beta must be between 0 and 1, got {beta}"):
        moving_average(beta)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match=r"one of expected, sequential, mean, last, got 'first'"):
        moving_average(0.9, "first")


def test_targets_of_another_width_of_number_are_converted():
    updater = moving_average(0.5)
    signal = Signal(jnp.array([0]), None, jnp.full((1, DIM), 3.0, jnp.bfloat16))
    table, _ = updater.update(signal, updater.init(jnp.ones((2, DIM))), jnp.ones((2, DIM)))
    assert table.dtype == jnp.float32
    np.testing.assert_array_equal(table, [[2.0] * DIM, [1.0] * DIM])


def test_no_sort_where_order_is_not_asked_for():
    """The rules that need no order compile without a sort, which would cost more than the rest of the step."""

    def has_sort(rule):
        updater = moving_average(0.9, rule)
        signal = Signal(jnp.zeros(COUNT, jnp.int32), None, jnp.zeros((COUNT, DIM)))
        table = jnp.zeros((ROWS, DIM))
        with trace_for_gpu(False):  # there, all sort
            return " sort[" in str(jax.make_jaxpr(updater.update)(signal, updater.init(table), table))

    assert [has_sort(rule) for rule in ("expected", "mean", "last", "sequential")] == [False, False, False, True]
