"""InfoNCE and BPR: the contract of every loss, agreement with the oracle, and scores that overflow a textbook form."""

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest

from onebp_jax.losses import bpr, infonce
from onebp_jax.types import Loss

BATCH, WIDTH, DIM, SEEDS = 4, 3, 5, 2
# The contract that every loss keeps; a new loss gets one row here.
LOSSES: dict[str, Loss] = {
    "infonce": infonce(),
    "infonce 0.2": infonce(0.2),
    "bpr": bpr(),
    "bpr 0.2": bpr(0.2),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
both = pytest.mark.parametrize("kind, loss", [("infonce", infonce), ("bpr", bpr)])


def vectors(seed=0, width=WIDTH):
    """User, positive and negatives, as float64 numbers that float32 holds exactly."""
    random = np.random.default_rng(seed)
    shapes = (BATCH, DIM), (BATCH, DIM), (BATCH, width, DIM)
    return [random.normal(size=shape).astype(np.float32).astype(np.float64) for shape in shapes]


def on_device(arrays):
    return [jnp.asarray(array, jnp.float32) for array in arrays]


@every_loss
def test_jit_and_vmap_give_the_plain_result_without_tracing_twice(loss):
    traces = []

    def counted(*arrays):
        traces.append(None)
        return loss(*arrays)

    examples = [on_device(vectors(seed)) for seed in range(SEEDS)]
    plain = np.stack([loss(*arrays) for arrays in examples])
    compiled = jax.jit(counted)
    np.testing.assert_allclose(np.stack([compiled(*arrays) for arrays in examples]), plain, rtol=1e-6, atol=1e-8)
    assert len(traces) == 1
    together = jax.jit(jax.vmap(loss))(*(jnp.stack(column) for column in zip(*examples, strict=True)))
    np.testing.assert_allclose(together, plain, rtol=1e-6, atol=1e-8)
    # A row is a function of itself alone.
    rows = [loss(*(array[row : row + 1] for array in examples[0]))[0] for row in range(BATCH)]
    np.testing.assert_allclose(rows, plain[0], rtol=1e-6, atol=1e-8)


@every_loss
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_shapes_and_types(loss, dtype):
    shapes = (7, DIM), (7, DIM), (7, WIDTH, DIM)
    result = jax.eval_shape(loss, *(jax.ShapeDtypeStruct(shape, dtype) for shape in shapes))
    assert result.shape == (7,) and result.dtype == dtype


@every_loss
def test_unknown_keywords_are_ignored(loss):
    arrays = on_device(vectors())
    extra = {"log_q": None, "positive_log_q": None, "hidden": None, "nobody_knows_this": 1}
    np.testing.assert_array_equal(loss(*arrays, **extra), loss(*arrays))


@both
@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_values_and_gradients_agree_with_the_oracle(kind, loss, temperature):
    user, positive, negatives = vectors()
    total_slopes = jax.grad(lambda *arrays: loss(temperature)(*arrays).sum(), argnums=(0, 1, 2))
    slopes_of = total_slopes(*on_device((user, positive, negatives)))
    values = loss(temperature)(*on_device((user, positive, negatives)))
    for row in range(BATCH):
        items = np.concatenate([positive[row][None], negatives[row]])
        value, slopes = oracle.row_loss(list(items @ user[row] / temperature), kind)
        slopes = np.array(slopes) / temperature
        # Scores are near 10, so the absolute error is what float32 allows.
        assert values[row] == pytest.approx(value, rel=1e-6, abs=2e-6)
        np.testing.assert_allclose(slopes_of[0][row], slopes @ items, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(slopes_of[1][row], slopes[0] * user[row], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(slopes_of[2][row], slopes[1:, None] * user[row], rtol=1e-4, atol=1e-5)


def test_one_negative_makes_both_equal():
    arrays = on_device(vectors(width=1))
    np.testing.assert_allclose(infonce(0.5)(*arrays), bpr(0.5)(*arrays), rtol=1e-6, atol=2e-6)
    assert np.abs(np.asarray(infonce(0.5)(*on_device(vectors()))) - bpr(0.5)(*on_device(vectors()))).min() > 1e-2


@every_loss
def test_adding_one_number_to_all_scores_changes_nothing(loss):
    """The same item vector added to positive and negatives adds one number to every score of a row."""
    user, positive, negatives = on_device(vectors())
    shift = jnp.asarray(vectors(9)[0], jnp.float32)
    moved = loss(user, positive + shift, negatives + shift[:, None])
    np.testing.assert_allclose(moved, loss(user, positive, negatives), rtol=1e-4, atol=1e-5)
    # So the slopes in the scores sum to zero, and with them the gradients of the items of one row.
    slopes = jax.grad(lambda *items: loss(user, *items).sum(), argnums=(0, 1))(positive, negatives)
    np.testing.assert_allclose(slopes[0] + slopes[1].sum(1), np.zeros((BATCH, DIM)), atol=1e-5)


@both
def test_large_scores_stay_finite(kind, loss):
    """Scores of 1000 and more: `exp` alone would overflow."""
    user, best, worst = jnp.full((2, 1), 1000.0), jnp.array([[1.0], [-1.0]]), jnp.array([[[-1.0]] * 2, [[1.0]] * 2])
    values, slopes = jax.value_and_grad(lambda item: loss()(user, item, worst).sum())(best)
    assert np.isfinite(values) and np.isfinite(slopes).all()
    expected = [0.0, 2000.0 + (np.log(2) if kind == "infonce" else 0.0)]
    np.testing.assert_allclose(loss()(user, best, worst), expected, rtol=1e-6)
    np.testing.assert_allclose(slopes, [[0.0], [-1000.0]], rtol=1e-6)


@both
@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_bad_temperature_is_refused(kind, loss, temperature):
    with pytest.raises(ValueError, match=f"temperature must be a positive number, got {temperature}"):
        loss(temperature)
