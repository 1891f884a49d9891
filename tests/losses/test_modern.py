"""CCL, DirectAU and BUIR: loops in float64, worked numbers, the range and the invariances of cosines."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.loss_examples import BATCH, on_device, vectors

from onebp_jax.losses import buir, ccl, directau


def cosine(one, two):
    return one @ two / np.linalg.norm(one) / np.linalg.norm(two)


def test_ccl_agrees_with_loops_and_does_not_see_lengths():
    user, positive, negatives = vectors()
    values = ccl(-0.2, 3.0)(*on_device((user, positive, negatives)))
    for row in range(BATCH):
        excess = [max(0, cosine(user[row], item) + 0.2) for item in negatives[row]]
        expected = 1 - cosine(user[row], positive[row]) + 3.0 * np.mean(excess)
        assert values[row] == pytest.approx(expected, rel=1e-5, abs=1e-6)
    longer = ccl(-0.2, 3.0)(*on_device((user * 7, positive * 0.1, negatives * 3)))
    np.testing.assert_allclose(longer, values, rtol=1e-5, atol=1e-6)


def uniformity(vectors):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [(a, b) for a in range(len(unit)) for b in range(a)]
    return np.log(np.mean([np.exp(-2 * ((unit[a] - unit[b]) ** 2).sum()) for a, b in pairs]))


@pytest.mark.parametrize("rows", [BATCH, BATCH - 1])
def test_directau_agrees_with_loops(rows):
    """Also where the last row is padding: then it is in no pair."""
    user, positive, _ = vectors()
    valid = jnp.arange(BATCH) < rows
    values = directau(3.0)(*on_device((user, positive)), jnp.zeros((BATCH, 0, 5)), valid=valid)
    both = uniformity(user[:rows]) + uniformity(positive[:rows])
    for row in range(rows):
        align = 2 - 2 * cosine(user[row], positive[row])
        assert values[row] == pytest.approx(align + 3.0 / 2 * both, rel=1e-5, abs=1e-5)


def test_directau_of_one_row_alone_is_its_alignment():
    arrays = on_device(vectors())
    valid = jnp.arange(BATCH) < 1
    total = lambda user: directau(3.0)(user, *arrays[1:], valid=valid)[0]
    np.testing.assert_allclose(total(arrays[0]), directau(0.0)(*arrays)[0], rtol=1e-5)
    assert np.isfinite(jax.grad(total)(arrays[0])).all()


def test_ex_buir():
    """q(u) = (1, .5), its copy (1, 1); q(v) = (2, 1.5), its copy (0, 1)."""
    user, item = jnp.array([[[1.0, 0.5], [1.0, 1.0]]]), jnp.array([[[0.0, 1.0], [2.0, 1.5]]])
    np.testing.assert_allclose(buir()(user, item, None), [1.125674], rtol=0, atol=1e-6)
    # From 0, where all agree, to 8; lengths do not count.
    np.testing.assert_allclose(buir()(user, user * 3, None), [0.0], atol=1e-6)
    np.testing.assert_allclose(buir()(user, user * -0.2, None), [8.0], atol=1e-5)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: ccl(1.0), "margin must be a cosine"),
        (lambda: ccl(-1.5), "margin must be a cosine"),
        (lambda: ccl(weight=0.0), "weight must be a positive number, got 0.0"),
        (lambda: directau(-1.0), "gamma must be zero or a positive number, got -1.0"),
    ],
)
def test_bad_numbers_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
