"""Rows whose ids repeat: sums in a fixed order, beside those of a CPU and those of NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.same import assert_same

from onebp_jax.ops.gpu import computed_once, for_gpu, trace_for_gpu
from onebp_jax.ops.repeated import add_rows, rows_at, runs

ROWS, LONGEST = 7, 1100
# Of one block, of blocks of blocks, and with a row that fills several blocks.
COUNTS = [0, 1, 2, 31, 32, 33, LONGEST]


def drawn(count, *shape):
    random = np.random.default_rng(count)
    ids = np.where(random.random(count) < 0.5, 3, random.integers(0, ROWS + 2, count)).astype(np.int32)
    return ids, random.normal(size=(count, *shape)).astype(np.float32)


def total(table, ids, values):
    """In float64, one value after another; ids past the end add nothing."""
    found = np.zeros((ROWS + 2, *table.shape[1:]))
    np.add.at(found, ids, values.astype(np.float64))
    return table + found[:ROWS]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_sums_are_those_of_numpy(count, shape):
    ids, values = drawn(count, *shape)
    table = drawn(ROWS, *shape)[1]
    for on in (True, False):
        with trace_for_gpu(on):
            found = jax.jit(add_rows)(table, ids, values)
            np.testing.assert_allclose(found, total(table, ids, values), rtol=1e-5, atol=1e-4)
            order = np.argsort(ids, kind="stable")
            ascending = jax.jit(add_rows, static_argnums=3)(table, ids[order], values[order], True)
            np.testing.assert_array_equal(ascending, found)


def test_a_group_has_the_sum_of_its_values():
    ids, values = drawn(LONGEST, 3)
    expected = total(np.zeros((ROWS, 3)), ids, values)[ids[ids < ROWS]]
    found = jax.jit(lambda ids, values: runs(ids, jnp.zeros(ROWS, jnp.int32))[0].sum(values))(ids, values)
    np.testing.assert_allclose(found[ids < ROWS], expected, rtol=1e-5, atol=1e-4)


def test_bits_depend_on_the_order_within_a_row_alone():
    """The batch in any order that keeps, for each row, the order of its values."""
    ids, values = drawn(LONGEST, 3)
    table = drawn(ROWS, 3)[1]
    random = np.random.default_rng(0)
    order = np.arange(LONGEST)
    shuffled = random.permutation(ids)
    for row in set(ids.tolist()):
        order[shuffled == row] = np.flatnonzero(ids == row)
    assert (order != np.arange(LONGEST)).any() and sorted(order) == list(range(LONGEST))
    with trace_for_gpu(True):
        one, two = (jax.jit(add_rows)(table, ids[way], values[way]) for way in (np.arange(LONGEST), order))
    assert_same([one], [two])
    # The order within a row matters: in the order of arrival, as on a GPU, the sum would differ.
    other = random.permutation(LONGEST)
    with trace_for_gpu(True):
        assert (np.asarray(jax.jit(add_rows)(table, ids[other], values[other])) != np.asarray(one)).any()


def test_one_row_that_is_no_number_spoils_no_other():
    ids = np.array([0, 1, 1, 2, 2, 2], np.int32)
    values = np.array([1, np.nan, 1, np.inf, 1, 1], np.float32)
    with trace_for_gpu(True):
        found = jax.jit(add_rows)(np.zeros(4, np.float32), ids, values)
    np.testing.assert_array_equal(found, [1, np.nan, np.inf, 0])


@pytest.mark.parametrize("mode", ["clip", "fill"])
def test_rows_and_their_gradients_are_those_of_plain_reading(mode):
    table, ids = drawn(ROWS, 3)[1], np.array([[0, 1, 0], [4, 5, ROWS + 1]], np.int32)
    weights = np.arange(18, dtype=np.float32).reshape(2, 3, 3)

    def both(table):
        return jax.value_and_grad(lambda table: jnp.sum(rows_at(table, ids, mode) ** 2 * weights))(table)

    found = []
    for on in (True, False):
        with trace_for_gpu(on):
            found.append(jax.jit(both)(table))
            # A sum has a gradient too: of the table, and of the values at the rows that they were added to.
            of_sum = jax.grad(lambda *given: jnp.sum(add_rows(given[0], ids[0], given[1]) ** 3), argnums=(0, 1))
            found[-1] += jax.jit(of_sum)(table, weights[0])
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)


def of_both(program, *given):
    """What a program gives as for a GPU, and as for a CPU."""
    found = []
    for on in (True, False):
        with trace_for_gpu(on):
            found.append(jax.jit(program)(*given))
    return found


@pytest.mark.parametrize("mode", ["clip", "fill"])
def test_rows_of_width_0_have_a_gradient_of_width_0(mode):
    table, ids = np.zeros((ROWS, 0), np.float32), np.array([[0, 1, 0], [4, 5, ROWS + 1]], np.int32)
    for found in of_both(jax.grad(lambda table: jnp.sum(rows_at(table, ids, mode))), table):
        assert found.shape == (ROWS, 0)


@pytest.mark.parametrize("of_table, of_values", [("float32", "bfloat16"), ("bfloat16", "float32"), ("bfloat16",) * 2])
def test_sums_and_gradients_are_in_the_type_of_the_table(of_table, of_values):
    """Sums of ones, exact in the type of the table; bfloat16 holds whole numbers up to 256 only, so there are fewer for it."""
    count = LONGEST if of_table == "float32" else 40
    ids, values = drawn(count, 3)[0], jnp.ones((count, 3), of_values)
    table = jnp.zeros((ROWS, 3), of_table)

    def both(table, values):
        return jax.value_and_grad(lambda *given: jnp.sum(add_rows(given[0], ids, given[1]) ** 2), (0, 1))(table, values)

    for program in (lambda *given: add_rows(given[0], ids, given[1]), both):
        gpu, cpu = of_both(program, table, values)
        assert_same([gpu], [cpu])
        assert {leaf.dtype.name for leaf in jax.tree.leaves(gpu)} <= {of_table, of_values}
    expected = np.bincount(ids, minlength=ROWS)[:ROWS]
    np.testing.assert_array_equal(of_both(add_rows, table, ids, values)[0].astype(jnp.float32)[:, 0], expected)


@pytest.mark.parametrize("mode", ["clip", "fill"])
def test_ids_of_numpy_have_a_gradient_without_jit(mode):
    table, ids = drawn(ROWS, 3)[1], np.array([[0, 1, 0], [4, 5, 4]], np.int32)
    with trace_for_gpu(True):
        found = jax.grad(lambda table: jnp.sum(rows_at(table, ids, mode)))(jnp.asarray(table))
    np.testing.assert_array_equal(found[:, 0], np.bincount(ids.ravel(), minlength=ROWS))


def test_only_a_gpu_needs_it(monkeypatch):
    for platform, needed in {"cpu": False, "gpu": True, "tpu": False}.items():
        monkeypatch.setattr(jax, "default_backend", lambda platform=platform: platform)
        with trace_for_gpu(None):
            assert for_gpu() == needed
        with trace_for_gpu(not needed):
            assert for_gpu() != needed


def test_numbers_that_are_computed_once_stay_and_have_a_gradient():
    with trace_for_gpu(True):
        value, slope = jax.jit(jax.value_and_grad(lambda x: computed_once(x * x).max()))(jnp.array([1.0, 3.0, 2.0]))
    assert value == 9 and slope.tolist() == [0, 6, 0]
