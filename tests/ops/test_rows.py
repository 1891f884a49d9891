"""Reading rows of a table: the same rows as plain indexing, however many, however stored."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onebp_jax.ops.gpu import trace_for_gpu
from onebp_jax.ops.rows import NARROW, block_rows, take, to_float32
from onebp_jax.updaters.rounding import to_storage

ROWS, DIM = 40, 1024  # so wide that a block is of 64 rows
TABLE = jnp.asarray(np.random.default_rng(0).normal(size=(ROWS, DIM)), jnp.float32)
COUNTS = [0, 1, 2, 3, 63, 64, 65, 127, 128, 129, 150]


def ids_of(count):
    return jnp.asarray(np.random.default_rng(count).integers(0, ROWS, count), jnp.int32)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", ["float32", "bits", "numbers", "counts"])
def test_rows_are_those_of_plain_indexing(kind, count):
    table = {
        "float32": TABLE,
        "bits": to_storage(TABLE, NARROW),
        "numbers": TABLE[:, 0],
        "counts": jnp.arange(ROWS, dtype=jnp.int32),
    }[kind]
    rows = take(table, ids_of(count))
    np.testing.assert_array_equal(rows, np.asarray(to_float32(table))[np.asarray(ids_of(count))])
    assert rows.dtype == (jnp.int32 if kind == "counts" else jnp.float32)


def test_an_id_out_of_range_reads_the_last_row():
    np.testing.assert_array_equal(
        take(TABLE, jnp.array([ROWS, 3, ROWS + 7])), TABLE[jnp.array([ROWS - 1, 3, ROWS - 1])]
    )


def test_special_numbers_stay_as_they_are():
    table = jnp.array([[0.0, -0.0, jnp.inf, -jnp.inf, jnp.nan, 1.2e-38, 3e38]])
    found = np.asarray(take(table, jnp.array([0, 0, 0])))
    np.testing.assert_array_equal(found, np.repeat(np.asarray(table), 3, axis=0))
    np.testing.assert_array_equal(np.signbit(found[0, :2]), [False, True])


def gathers(read):
    """Of each gather in a program that uses the rows `read` gives in two ways: whether it is inside a product."""

    @jax.jit
    def both(table, ids):
        rows = read(table, ids)
        return jnp.sqrt(rows) + 1, rows @ jnp.ones(DIM)

    text = both.lower(TABLE, ids_of(150)).compile().as_text()
    return [" multiply(" in part for part in re.split(r"^}", text, flags=re.MULTILINE) if " gather(" in part]


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="only the CPU's compiler needs it")
def test_rows_used_twice_are_read_once_and_inside_a_product():
    """A gather that stands alone is copied number by number; without a branch the product would be taken from it again."""

    def product(table, ids):
        return table.at[ids].get(mode="clip") * jax.lax.optimization_barrier(jnp.float32(1))

    with trace_for_gpu(None):
        assert gathers(take) == [True]
        assert gathers(product) != [True]


def test_one_table_of_several_is_read_like_the_others():
    tables = jnp.stack([TABLE, TABLE + 1])
    rows = jax.jit(jax.vmap(take, in_axes=(0, None)))(tables, ids_of(150))
    np.testing.assert_array_equal(rows, np.asarray(tables)[:, np.asarray(ids_of(150))])


def test_a_block_is_bounded_and_elsewhere_everything(monkeypatch):
    with trace_for_gpu(None):
        monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
        assert block_rows(TABLE, 150) == 64 and block_rows(TABLE, 10) == 10
        assert block_rows(jnp.zeros((9, 64)), 10_000) == 256
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
        assert block_rows(TABLE, 150) == 150
