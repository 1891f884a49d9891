"""Penalties on top of a loss: worked numbers of the repel, lengths against loops, shared rows counted once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.loss_examples import BATCH, HIDDEN, on_device, vectors

from onebp_jax.losses import bpr, dpcml, infonce, repel, with_l2

USER = jnp.array([[[1.0, 0.0], [0.8, 0.6]]])
ITEMS = jnp.array([[1.0, 0.2], [0.0, 1.0], [0.5, -0.5]])


def test_ex_mtmi():
    """The best of two vectors for the positive as for the negatives; their cosine is .8."""
    arrays = USER, ITEMS[:1], ITEMS[None, 1:]
    plain = infonce()(*arrays)
    np.testing.assert_allclose(plain, [0.822793], rtol=0, atol=1e-6)
    # With the vector that is best for the positive alone it would be another number.
    np.testing.assert_allclose(infonce()(USER[:, 0], *arrays[1:]), [0.680270], rtol=0, atol=1e-6)
    for expected, options in ((0.3, {"margin": 0.5}), (0.64, {"form": "square"}), (0.8, {}), (0.0, {"margin": 0.9})):
        added = repel(infonce(), 2.0, **options)(*arrays) - plain
        np.testing.assert_allclose(added, [2.0 * expected], rtol=0, atol=1e-6)


def test_repel_is_the_mean_over_the_pairs_of_a_user():
    user, positive, negatives = vectors(several=3)
    arrays = on_device((user, positive, negatives))
    added = repel(infonce(), 0.5, -0.3)(*arrays) - infonce()(*arrays)
    unit = user / np.linalg.norm(user, axis=-1, keepdims=True)
    for row in range(BATCH):
        pairs = [max(0, unit[row, a] @ unit[row, b] + 0.3) for a in range(3) for b in range(a)]
        assert added[row] == pytest.approx(0.5 * np.mean(pairs), abs=3e-6)
    swapped = repel(infonce(), 0.5, -0.3)(arrays[0][:, ::-1], *arrays[1:])
    np.testing.assert_allclose(swapped, repel(infonce(), 0.5, -0.3)(*arrays), rtol=1e-6)


def test_orthogonal_vectors_and_a_single_one_add_nothing():
    arrays = jnp.eye(2)[None], ITEMS[:1], ITEMS[None, 1:]
    for form in ("hinge", "square"):
        np.testing.assert_array_equal(repel(infonce(), 2.0, form=form)(*arrays), infonce()(*arrays))
    single = USER[:, :1], *arrays[1:]
    np.testing.assert_array_equal(repel(infonce(), 2.0)(*single), infonce()(*single))


@pytest.mark.parametrize("of", ["inputs", "vectors"])
def test_l2_of_each_rows_own(of):
    user, positive, negatives = vectors()
    rows = [3 * array for array in (user, positive, negatives)]
    counted = rows if of == "inputs" else (user, positive, negatives)
    arrays, inputs = on_device((user, positive, negatives)), tuple(on_device(rows))
    negative_mask = jnp.asarray(HIDDEN)
    added = with_l2(bpr(), 0.1, of)(*arrays, inputs=inputs, negative_mask=negative_mask) - bpr()(
        *arrays, negative_mask=negative_mask
    )
    for row in range(BATCH):
        squares = (counted[0][row] ** 2).sum() + (counted[1][row] ** 2).sum()
        squares += sum((counted[2][row, k] ** 2).sum() for k in range(3) if not HIDDEN[row, k])
        assert added[row] == pytest.approx(0.1 / 2 * squares, rel=1e-4, abs=1e-5)


def test_l2_of_shared_rows_counts_them_once_a_batch():
    user, positive, negatives = vectors()
    valid = np.arange(BATCH) < BATCH - 1
    # The second is negative_mask from all rows that count, the first from some.
    negative_mask = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0]], bool)
    arrays = on_device((user, positive, negatives[0]))
    extra = {"negative_mask": jnp.asarray(negative_mask), "valid": jnp.asarray(valid)}
    added = with_l2(bpr(), 0.1, "vectors")(*arrays, **extra) - bpr()(*arrays, **extra)
    total = (user[valid] ** 2).sum() + (positive[valid] ** 2).sum() + (negatives[0][[0, 2]] ** 2).sum()
    assert added[valid].mean() == pytest.approx(0.1 / 2 * total / valid.sum(), rel=1e-5)


def test_l2_of_rows_of_several_vectors():
    user, positive, negatives = on_device(vectors(several=2))
    value = with_l2(dpcml(), 0.2, "vectors")(user, positive, negatives[0]) - dpcml()(user, positive, negatives[0])
    squares = (user**2).sum((1, 2)) + (positive**2).sum(1) + (negatives[0] ** 2).sum() / BATCH
    np.testing.assert_allclose(value, 0.1 * squares, rtol=1e-4)


def test_the_slope_of_l2_is_the_row_itself():
    arrays = on_device(vectors())
    slope = jax.grad(lambda user: (with_l2(bpr(), 0.5, "vectors")(user, *arrays[1:]) - bpr()(user, *arrays[1:])).sum())
    np.testing.assert_allclose(slope(arrays[0]), 0.5 * arrays[0], rtol=1e-4, atol=1e-6)


def test_wrappers_keep_the_geometry():
    for loss, geometry in ((bpr(), "dot"), (dpcml(), "distance")):
        assert repel(loss, 0.1).geometry == with_l2(loss, 0.1).geometry == geometry
    assert not hasattr(with_l2(lambda user, positive, negatives, **extra: user[:, 0], 0.1), "geometry")


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: repel(bpr(), -0.1), "weight must be zero or a positive number, got -0.1"),
        (lambda: with_l2(bpr(), float("inf")), "weight must be zero or a positive number, got inf"),
        (lambda: repel(bpr(), 0.1, form="cube"), "form must be one of hinge, square, got 'cube'"),
        (lambda: repel(bpr(), 0.1, 1.0), "margin must be a cosine"),
        (lambda: repel(bpr(), 0.1, 0.5, "square"), "0 for the form 'square', got 0.5"),
        (lambda: with_l2(bpr(), 0.1, "rows"), "of must be one of inputs, vectors, got 'rows'"),
        (lambda: with_l2(bpr(), 0.1)(*on_device(vectors())), "needs the table rows that the step passes as inputs"),
    ],
)
def test_wrong_arguments_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
