"""Shared negatives in blocks of users: the same loss and gradients as in one piece."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onebp_jax.losses import catalogue_softmax, ccl, infonce, scores

LOSSES = {"infonce": infonce(0.2), "catalogue_softmax": catalogue_softmax(0.2), "ccl": ccl(0.1, 20.0)}
USERS, POSITIVES, NEGATIVES, DIM = 7, 11, 13, 4


def arrays():
    random = np.random.default_rng(3)
    draw = lambda *shape: jnp.asarray(random.standard_normal(shape, np.float32))
    return draw(USERS, DIM), draw(POSITIVES, DIM), draw(NEGATIVES, DIM)


def value_and_slopes(loss, masked: bool):
    random = np.random.default_rng(4)
    slots = jnp.asarray(np.sort(random.integers(0, USERS, POSITIVES)))
    mask = jnp.asarray(random.random((USERS, NEGATIVES)) < 0.3) if masked else None
    weights = jnp.arange(1.0, POSITIVES + 1)

    def total(user, positive, negative):
        extra = {"slots": slots, "paired_user": user[slots], "negative_mask": mask, "num_items": NEGATIVES}
        return jnp.sum(weights * loss(user, positive, negative, **extra))

    return jax.value_and_grad(total, argnums=(0, 1, 2))(*arrays())


@pytest.mark.parametrize("masked", [False, True], ids=["all count", "some masked"])
@pytest.mark.parametrize("rows", [1, 3, 5])
@pytest.mark.parametrize("name", LOSSES)
def test_blocks_of_users_change_nothing(monkeypatch, name, rows, masked):
    whole = value_and_slopes(LOSSES[name], masked)
    monkeypatch.setattr(scores, "BLOCK", rows * NEGATIVES)
    found = value_and_slopes(LOSSES[name], masked)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), found, whole)


def test_memory_of_the_whole_catalogue_is_bounded(monkeypatch):
    """The compiled gradient holds a block of scores, not all of them."""
    user, negatives = jnp.ones((256, 8)), jnp.ones((4096, 8))

    def temporary() -> int:
        slope = jax.jit(jax.grad(lambda user: jnp.sum(infonce()(user, user, negatives))))
        return slope.lower(user).compile().memory_analysis().temp_size_in_bytes

    all_scores = 4 * len(user) * len(negatives)
    assert temporary() >= all_scores
    monkeypatch.setattr(scores, "BLOCK", 16 * 4096)
    assert temporary() < all_scores / 3
