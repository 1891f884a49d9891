"""The embedding table: the contract of every encoder, and the spread of its first vectors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onebp_jax.data.device import to_device
from onebp_jax.encoders import embedding, xavier_normal
from onebp_jax.rows import wide
from onebp_jax.types import Encoder

DATA = to_device(np.array([[0, 2], [1, 0], [4, 3], [4, 6]]), 5, 7)
# The contract that every encoder keeps; a new encoder gets one row here.
ENCODERS: dict[str, Encoder] = {
    "embedding": embedding(3),
    "unit vectors": embedding(3, normalize=True),
    "bfloat16": embedding(3, dtype="bfloat16"),
}
every_encoder = pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
USERS, ITEMS = jnp.array([4, 0, 0, 5]), jnp.array([6, 6, 1, 7, 0])


def encoded(encoder, user_table, item_table):
    """The vectors of `USERS` and `ITEMS`, as a step asks for them."""
    user, item = encoder.read(user_table, USERS), encoder.read(item_table, ITEMS)
    return encoder.encode(user.values, item.values, USERS, ITEMS, DATA)


@every_encoder
def test_shapes_and_types(encoder):
    user, item = tables = jax.eval_shape(encoder.init, jax.eval_shape(jax.random.key, 0), DATA)
    assert user.shape[0] == DATA.num_users and item.shape[0] == DATA.num_items
    assert user.dtype == item.dtype
    some, others = jax.eval_shape(lambda *tables: encoded(encoder, *tables), *tables)
    every, all_items = jax.eval_shape(encoder.tables, *tables, DATA)
    assert some.shape == (4, every.shape[1]) and others.shape == (5, all_items.shape[1])
    assert every.shape[0] == DATA.num_users and all_items.shape[0] == DATA.num_items
    # However a table is stored, what is scored is in float32.
    assert {vectors.dtype for vectors in (some, others, every, all_items)} == {np.dtype("float32")}


@every_encoder
def test_the_first_vectors_are_a_function_of_the_key(encoder):
    with jax.debug_key_reuse(True):
        init = jax.jit(lambda seed: encoder.init(jax.random.key(seed), DATA))
        one, again, other = (init(seed) for seed in (0, 0, 1))
    for tower in range(2):
        np.testing.assert_array_equal(one[tower], again[tower])
        assert (np.asarray(one[tower]) != other[tower]).all()
    # The towers do not begin alike.
    assert (np.asarray(one[0]) != one[1][: DATA.num_users]).all()


@every_encoder
def test_a_batch_and_the_whole_tables_hold_the_same_vectors(encoder):
    tables = encoder.init(jax.random.key(0), DATA)
    for vectors, every, ids in zip(
        encoded(encoder, *tables), encoder.tables(*tables, DATA), (USERS, ITEMS), strict=True
    ):
        inside = np.asarray(ids) < len(every)
        np.testing.assert_array_equal(vectors[inside], every[ids[inside]])
        # Padding has some finite vector, which the step leaves out.
        assert not inside.all() and np.isfinite(vectors).all()


@every_encoder
def test_reading_gives_the_ids_first(encoder):
    table, _ = encoder.init(jax.random.key(0), DATA)
    rows = encoder.read(table, USERS)
    np.testing.assert_array_equal(rows.ids[: len(USERS)], USERS)
    assert len(rows.ids) == len(rows.values)


@every_encoder
def test_jit_and_vmap_give_the_plain_result_without_tracing_twice(encoder):
    traces = []

    def both(key):
        traces.append(None)
        return encoded(encoder, *encoder.init(key, DATA))

    keys = jax.random.split(jax.random.key(1), 2)
    plain = [both(key) for key in keys]
    traces.clear()
    compiled = jax.jit(both)
    ones = [compiled(key) for key in keys]
    assert len(traces) == 1
    together = jax.jit(jax.vmap(both))(keys)
    for seed in range(2):
        for tower in range(2):
            np.testing.assert_allclose(ones[seed][tower], plain[seed][tower], rtol=1e-6)
            np.testing.assert_allclose(together[tower][seed], plain[seed][tower], rtol=1e-6)


def test_the_vectors_are_the_rows_of_the_tables():
    encoder = embedding(3)
    tables = encoder.init(jax.random.key(0), DATA)
    for table, same in zip(tables, encoder.tables(*tables, DATA), strict=True):
        np.testing.assert_array_equal(table, same)


@pytest.mark.parametrize("rows, dim, deviation", [(943, 32, 0.04529), (1682, 32, 0.03416), (6040, 128, 0.01801)])
def test_the_spread_is_that_of_the_paper(rows, dim, deviation):
    values = np.asarray(xavier_normal(jax.random.key(0), rows, dim), np.float64)
    count = rows * dim
    assert values.shape == (rows, dim)
    # Within 5 deviations of what a sample of this size shows.
    assert abs(values.std() / deviation - 1) < 5 / (2 * count) ** 0.5 + 2e-4
    assert abs(values.mean()) < 5 * deviation / count**0.5
    # Normal: 68.3 % within one deviation.
    assert abs((np.abs(values) < deviation).mean() - 0.6827) < 5 * 0.47 / count**0.5


@pytest.mark.parametrize("dim", [0, -2, 2.5])
def test_a_bad_width_is_refused(dim):
    with pytest.raises(ValueError, match=f"dim must be a positive whole number, got {dim}"):
        embedding(dim)


def test_unit_vectors_are_rows_over_their_length():
    tables = embedding(3).init(jax.random.key(0), DATA)
    for table, vectors in zip(tables, embedding(3, normalize=True).tables(*tables, DATA), strict=True):
        table = np.asarray(table, np.float64)
        np.testing.assert_allclose(vectors, table / np.linalg.norm(table, axis=1, keepdims=True), rtol=1e-6)


def test_the_gradient_goes_through_the_length():
    """Against central differences in float64; a row of zeros has a finite one, too."""
    encoder = embedding(3, normalize=True)
    with jax.enable_x64(True):
        rows, weights = (jnp.asarray(np.random.default_rng(seed).normal(size=(4, 3))) for seed in (0, 1))
        total = lambda user, item: sum((weights * one).sum() for one in encoder.encode(user, item, None, None, DATA))
        for tower in range(2):
            found = jax.grad(total, argnums=tower)(rows, rows)
            for place in np.ndindex(4, 3):
                ends = [
                    [rows.at[place].add(side * 1e-5) if one == tower else rows for one in (0, 1)] for side in (1, -1)
                ]
                slope = (total(*ends[0]) - total(*ends[1])) / 2e-5
                assert found[place] == pytest.approx(float(slope), rel=1e-6, abs=1e-8)
    zeros = jax.grad(lambda rows: encoder.encode(rows, rows, None, None, DATA)[0].sum())(jnp.zeros((1, 3)))
    assert np.isfinite(zeros).all()


def test_bfloat16_tables_are_the_float32_ones_rounded():
    one, other = (
        embedding(3).init(jax.random.key(0), DATA),
        embedding(3, dtype="bfloat16").init(jax.random.key(0), DATA),
    )
    for table, rounded in zip(one, other, strict=True):
        np.testing.assert_array_equal(wide(rounded), table.astype(jnp.bfloat16))


def test_another_dtype_is_refused():
    with pytest.raises(ValueError, match="dtype must be one of float32, bfloat16, got 'float16'"):
        embedding(3, dtype="float16")
