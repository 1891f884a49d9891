"""CML, DPCML and SFCML: worked numbers, loops in float64, the weight without a gradient, the O(N) form against all pairs."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.loss_examples import BATCH, DIM, on_device, vectors

from onebp_jax.losses import cml, dpcml, sfcml

U, POSITIVE = np.array([[0.6, 0.0]]), np.array([[0.0, 0.5]])
NEGATIVES = np.array([[[0.5, 0.5], [-0.8, 0.0], [0.0, -1.0]]])
SEVERAL = np.array([[[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]])


def test_ex_cml():
    arrays = on_device((U, POSITIVE, NEGATIVES))
    # d+ .61; d- .26, 1.96, 1.36; one impostor of three; rank 33.333, weight 3.536117.
    np.testing.assert_allclose(cml(0.5)(*arrays, num_items=100), [3.005699], rtol=0, atol=2e-6)
    np.testing.assert_allclose(cml(0.5, rank_weight=False)(*arrays), [0.85], rtol=0, atol=1e-6)
    # The sum of hinges is three times their mean: .85 again, since only one is above zero.
    np.testing.assert_allclose(3 * dpcml(0.5, hardest=False)(*arrays), [0.85], rtol=0, atol=1e-6)


def test_ex_dpcml():
    """The smallest of three distances, for the positive another vector than for the negative."""
    arrays = on_device((SEVERAL, [[0.0, 0.9]], [[[0.9, 0.1]]]))
    for hardest in (True, False):
        np.testing.assert_allclose(dpcml(1.0, hardest)(*arrays), [0.99], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["cml", "unweighted", "closest", "uniform"])
def test_values_agree_with_loops(name):
    loss = {
        "cml": cml(4.0),
        "unweighted": cml(4.0, rank_weight=False),
        "closest": dpcml(4.0),
        "uniform": dpcml(4.0, hardest=False),
    }[name]
    user, positive, negatives = vectors(several=2)
    values = loss(*on_device((user, positive, negatives)), num_items=50)
    for row in range(BATCH):
        nearest = lambda item, row=row: min(((one - item) ** 2).sum() for one in user[row])
        gaps = [4.0 + nearest(positive[row]) - nearest(item) for item in negatives[row]]
        weight = np.log(1 + 50 * sum(gap > 0 for gap in gaps) / len(gaps)) if name == "cml" else 1
        hinges = [max(0, gap) for gap in gaps]
        expected = np.mean(hinges) if name == "uniform" else weight * max(hinges)
        assert values[row] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_the_rank_is_a_constant_to_the_gradient():
    arrays = on_device(vectors())
    weighted, plain = (
        jax.grad(lambda *arrays, loss=loss: loss(*arrays, num_items=50)[0], argnums=(0, 1, 2))(*arrays)
        for loss in (cml(4.0), cml(4.0, rank_weight=False))
    )
    values = [loss(*arrays, num_items=50)[0] for loss in (cml(4.0), cml(4.0, rank_weight=False))]
    for one, two in zip(weighted, plain, strict=True):
        np.testing.assert_allclose(one, two * (values[0] / values[1]), rtol=1e-5, atol=1e-6)
    # Only the closest negative of that row is pushed.
    assert (np.abs(weighted[2]).sum(-1) > 0).sum() == 1


def test_cml_without_the_number_of_items_is_refused():
    with pytest.raises(ValueError, match="cml estimates ranks from num_items, and none was given"):
        cml()(*on_device(vectors()))


@pytest.mark.parametrize("loss", [cml, dpcml, sfcml])
@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan")])
def test_a_bad_margin_is_refused(loss, margin):
    with pytest.raises(ValueError, match=f"margin must be a positive number, got {margin}"):
        loss(margin)


# Without sampling.


def all_pairs(score, liked, margin):
    """The mean over every pair of a liked item and another one."""
    pairs = itertools.product(np.flatnonzero(liked), np.flatnonzero(~liked))
    return np.mean([(margin - (score[i] - score[j])) ** 2 for i, j in pairs])


def test_ex_sfcml():
    unit = lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True)
    user, items = unit(np.array([[1.0, 2]])), unit(np.array([[1.0, 0], [1, 1], [-1, 1], [0, -1]]))
    liked = np.array([[True, True, False, False]])
    value = sfcml(2.0)(*on_device((user, user, items)), negative_mask=jnp.asarray(liked), num_items=4)
    np.testing.assert_allclose(value, [1.717828], rtol=0, atol=1e-6)


def test_the_short_form_is_the_mean_over_all_pairs():
    random = np.random.default_rng(4)
    user, positive, _ = vectors()
    items, liked = random.normal(size=(9, DIM)), random.random((BATCH, 9)) < 0.4
    # The last two have no liked item, and no other.
    liked[-2:] = [[False], [True]]
    values = sfcml(1.5)(*on_device((user, positive, items)), negative_mask=jnp.asarray(liked), num_items=9)
    for row in range(2):
        expected = all_pairs(2 * items.astype(np.float32) @ user[row], liked[row], 1.5)
        assert values[row] == pytest.approx(expected, rel=1e-5)
    assert (np.asarray(values[2:]) == 0).all()


def test_one_number_added_to_all_scores_changes_nothing_and_the_margin_is_zero():
    user, positive, _ = on_device(vectors())
    user = user.at[:, -1].set(1.0)
    liked = jnp.tile(jnp.arange(4) < 2, (BATCH, 1))
    items = jnp.asarray(np.random.default_rng(5).normal(size=(4, DIM)), jnp.float32)
    each = lambda items, margin: sfcml(margin)(user, positive, items, negative_mask=liked, num_items=4)
    moved = items.at[:, -1].add(3.0)
    np.testing.assert_allclose(each(moved, 2.0), each(items, 2.0), rtol=1e-4)
    # Scores that differ by the margin exactly: every liked item is 1.5 above every other.
    exact = jnp.zeros((4, DIM)).at[:2, -1].set(0.75)
    assert not np.asarray(each(exact, 1.5)).any() and (np.asarray(each(exact, 2.0)) == 0.25).all()


def test_sfcml_refuses_a_sampler_that_draws():
    user, positive, negatives = on_device(vectors())
    negative_mask = jnp.zeros((BATCH, 3), bool)
    for items, extra in (
        (negatives, {"negative_mask": negative_mask}),
        (negatives[0], {}),
        (negatives[0], {"negative_mask": negative_mask}),
    ):
        with pytest.raises(ValueError, match=r"sfcml .* for 7 items: use the sampler full_catalogue\(\)"):
            sfcml()(user, positive, items, num_items=7, **extra)
