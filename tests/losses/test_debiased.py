"""DCL and HCL: worked numbers, a loop in float64, the floor, scores that overflow, the slope through the weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.loss_examples import BATCH, on_device, vectors

from onebp_jax.losses import dcl, hcl, infonce


def of_scores(loss, positive, negatives):
    """The loss for given scores: a user of one number."""
    one = jnp.ones((1, 1))
    return float(loss(one, jnp.full((1, 1), positive), jnp.asarray(negatives, jnp.float32)[None, :, None])[0])


def by_loops(positive, negatives, tau_plus, hardness, temperature):
    """`l` of one row in float64, from the scores before the temperature."""
    liked = np.exp(positive / temperature)
    others = [np.exp(score / temperature) for score in negatives]
    weights = [other**hardness for other in others]
    total = sum(w * e for w, e in zip(weights, others, strict=True)) / (sum(weights) / len(weights))
    rest = max((total - len(others) * tau_plus * liked) / (1 - tau_plus), len(others) * np.exp(-1 / temperature))
    return -np.log(liked / (liked + rest))


def test_ex_loss_scalar():
    scores = 1.0, [0.5, -0.5, 0.0]
    expected = {
        0.691780: dcl(0.1),
        0.787339: dcl(0.0),
        0.791153: hcl(0.1, 1.0),
        0.340753: dcl(0.4),  # the floor: the sum estimated would be -.011
    }
    for value, loss in expected.items():
        assert of_scores(loss, *scores) == pytest.approx(value, abs=1e-6)
    assert of_scores(infonce(), *scores) == pytest.approx(0.787339, abs=1e-6)
    assert of_scores(hcl(0.1, 0.0), *scores) == of_scores(dcl(0.1), *scores)


@pytest.mark.parametrize("tau_plus, hardness, temperature", [(0.1, 1.0, 1.0), (0.05, 0.5, 2.0), (0.6, 0.0, 0.7)])
def test_values_agree_with_loops(tau_plus, hardness, temperature):
    user, positive, negatives = vectors()
    loss = hcl(tau_plus, hardness, temperature) if hardness else dcl(tau_plus, temperature)
    values = loss(*on_device((user, positive, negatives)))
    for row in range(BATCH):
        scores = positive[row] @ user[row], negatives[row] @ user[row]
        expected = by_loops(*scores, tau_plus, hardness, temperature)
        assert values[row] == pytest.approx(expected, rel=1e-5, abs=5e-6)


def test_the_gradient_goes_through_the_weights():
    """Central differences of the loop above: weights held constant would give another slope."""
    user, positive, negatives = vectors(3)
    found = jax.grad(lambda items: hcl(0.05, 1.0, 2.0)(*on_device((user, positive)), items).sum())(
        jnp.asarray(negatives, jnp.float32)
    )
    for row in range(BATCH):
        for k in range(negatives.shape[1]):
            ends = []
            for shift in (1e-5, -1e-5):
                scores = negatives[row] @ user[row]
                scores[k] += shift
                ends.append(by_loops(positive[row] @ user[row], scores, 0.05, 1.0, 2.0))
            slope = (ends[0] - ends[1]) / 2e-5
            np.testing.assert_allclose(found[row, k], slope * user[row], rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("loss", [dcl(0.1), hcl(0.1, 2.0)], ids=["dcl", "hcl"])
def test_large_scores_stay_finite(loss):
    """Scores of 1000 either way: `exp` alone would overflow, and the floor is far above or below all."""
    user, best, worst = jnp.full((2, 1), 1000.0), jnp.array([[1.0], [-1.0]]), jnp.array([[[-1.0]] * 2, [[1.0]] * 2])
    values, slopes = jax.value_and_grad(lambda item: loss(user, item, worst).sum())(best)
    assert np.isfinite(values) and np.isfinite(slopes).all()
    # The sum of two is over 1 - tau+; without debiasing it would be 2000.693.
    np.testing.assert_allclose(loss(user, best, worst), [0.0, 2000.0 + np.log(2 / 0.9)], rtol=1e-6)
    np.testing.assert_allclose(slopes, [[0.0], [-1000.0]], rtol=1e-5)


@pytest.mark.parametrize("tau_plus", [-0.1, 1.0, float("nan")])
def test_a_bad_prior_is_refused(tau_plus):
    for loss in (dcl, hcl):
        with pytest.raises(ValueError, match=f"tau_plus must be at least 0 and below 1, got {tau_plus}"):
            loss(tau_plus)


def test_a_bad_hardness_or_temperature_is_refused():
    with pytest.raises(ValueError, match="hardness must be zero or a positive number, got -1"):
        hcl(0.1, -1)
    with pytest.raises(ValueError, match="temperature must be a positive number, got 0"):
        dcl(0.1, 0)
