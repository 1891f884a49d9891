"""The embedding table: the spread of its first vectors, lengths, storage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onebp_jax.data.device import to_device
from onebp_jax.encoders import embedding, xavier_normal
from onebp_jax.ops.rows import to_float32
from onebp_jax.types import Tables

DATA = to_device(np.array([[0, 2], [1, 0], [4, 3], [4, 6]]), 5, 7)


def test_the_vectors_are_the_rows_of_the_tables():
    encoder = embedding(3)
    tables = encoder.init(jax.random.key(0), DATA)
    for table, same in zip(tables[:2], encoder.vectors(tables, DATA), strict=True):
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
    for table, vectors in zip(tables[:2], embedding(3, normalize=True).vectors(tables, DATA), strict=True):
        table = np.asarray(table, np.float64)
        np.testing.assert_allclose(vectors, table / np.linalg.norm(table, axis=1, keepdims=True), rtol=1e-6)


def test_the_gradient_goes_through_the_length():
    """Against central differences in float64; a row of zeros has a finite one, too."""
    encoder = embedding(3, normalize=True)
    with jax.enable_x64(True):
        rows, weights = (jnp.asarray(np.random.default_rng(seed).normal(size=(4, 3))) for seed in (0, 1))
        total = lambda user, item: sum(
            (weights * one).sum() for one in encoder.encode(Tables(user, item), None, None, DATA)
        )
        for tower in range(2):
            found = jax.grad(total, argnums=tower)(rows, rows)
            for place in np.ndindex(4, 3):
                ends = [
                    [rows.at[place].add(side * 1e-5) if one == tower else rows for one in (0, 1)] for side in (1, -1)
                ]
                slope = (total(*ends[0]) - total(*ends[1])) / 2e-5
                assert found[place] == pytest.approx(float(slope), rel=1e-6, abs=1e-8)
    zeros = jax.grad(lambda rows: encoder.encode(Tables(rows, rows), None, None, DATA)[0].sum())(jnp.zeros((1, 3)))
    assert np.isfinite(zeros).all()


def test_bfloat16_tables_are_the_float32_ones_rounded():
    one, other = (
        embedding(3).init(jax.random.key(0), DATA),
        embedding(3, dtype="bfloat16").init(jax.random.key(0), DATA),
    )
    for table, rounded in zip(one[:2], other[:2], strict=True):
        np.testing.assert_array_equal(to_float32(rounded), table.astype(jnp.bfloat16))


def test_another_dtype_is_refused():
    with pytest.raises(
        ValueError, match="dtype must be one of float32, bfloat16 .did you mean 'bfloat16'.., got 'float16'"
    ):
        embedding(3, dtype="float16")
