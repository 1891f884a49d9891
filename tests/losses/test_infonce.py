"""InfoNCE and BPR: agreement with the oracle, and scores that overflow a textbook form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import oracle
from support.loss_examples import BATCH, DIM, LOG_Q, on_device, vectors

from onebp_jax.losses import bpr, infonce, sampled_softmax
from onebp_jax.types import Loss

LOSSES: dict[str, Loss] = {
    "infonce": infonce(),
    "infonce 0.2": infonce(0.2),
    "bpr": bpr(),
    "bpr 0.2": bpr(0.2),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
both = pytest.mark.parametrize("kind, loss", [("infonce", infonce), ("bpr", bpr)])


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


# Negatives that a batch shares, negative_mask ones, and the correction for how they were drawn.


def shared_vectors():
    user, positive, negatives = vectors()
    return on_device((user, positive, negatives[0]))


def slopes(loss, arrays, **extra):
    """The value of every row, and the gradients of their sum."""
    total = lambda *arrays: loss(*arrays, **extra).sum()
    return [loss(*arrays, **extra), *jax.grad(total, argnums=(0, 1, 2))(*arrays)]


def test_ex_log_q():
    """Two users and two items, the whole batch as negatives, own positives negative_mask: calculated by hand."""
    user, item, own = jnp.eye(2), jnp.array([[0.5, 0.5], [0.0, 1.0]]), jnp.eye(2, dtype=bool)
    log_q = jnp.log(jnp.array([0.2, 0.05]))
    plain = infonce()(user, item, item, negative_mask=own)
    np.testing.assert_allclose(plain.mean(), 0.474077, rtol=0, atol=1e-6)
    corrected = infonce()(user, item, item, negative_mask=own, log_q=log_q, positive_log_q=log_q)
    np.testing.assert_allclose(corrected.mean(), 0.686305, rtol=0, atol=1e-6)
    # A comparison with what is drawn has nothing to correct.
    np.testing.assert_array_equal(bpr()(user, item, item, negative_mask=own, log_q=log_q, positive_log_q=log_q), plain)


def test_the_correction_is_the_same_for_any_share_of_all():
    arrays, moved = shared_vectors(), {name: value + 3.0 for name, value in LOG_Q.items()}
    for one, two, plain in zip(*(slopes(infonce(), arrays, **extra) for extra in (LOG_Q, moved, {})), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)
        assert np.abs(one - plain).max() > 0.1


def test_a_padded_row_without_a_probability_spoils_nothing():
    """A padded id reads the last item, which may be in no pair: its logarithm is minus infinity."""
    impossible = LOG_Q | {"positive_log_q": LOG_Q["positive_log_q"].at[-1].set(-jnp.inf)}
    masked = lambda *arrays: jnp.where(jnp.arange(BATCH) < BATCH - 1, infonce()(*arrays, **impossible), 0).sum()
    for found in jax.grad(masked, argnums=(0, 1, 2))(*shared_vectors()):
        assert np.isfinite(found).all()


def test_sampled_softmax_insists_on_the_correction():
    arrays = shared_vectors()
    np.testing.assert_array_equal(sampled_softmax(0.5)(*arrays, **LOG_Q), infonce(0.5)(*arrays, **LOG_Q))
    with pytest.raises(ValueError, match="sampled_softmax corrects .* this sampler gives no log_q: use one that does"):
        sampled_softmax()(*arrays, negative_mask=None, log_q=None)
