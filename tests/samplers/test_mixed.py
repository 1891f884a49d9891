"""Mixed negatives: worked numbers, the mixture's probabilities, and what is negative_mask."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.sampler_cases import FEW, TWO_ITEMS, TWO_USERS, interactions, mean_loss, pairs

from onebp_jax.data.device import to_device
from onebp_jax.losses import infonce
from onebp_jax.samplers import in_batch, mixed

KEY = jax.random.key(0)


@pytest.fixture
def extras(monkeypatch):
    """Uniform draws that give items 2 and 3 of 1000."""
    words = [-(-(item << 32) // 1000) for item in (2, 3)]
    monkeypatch.setattr(
        sys.modules["onebp_jax.samplers.mixed"], "random_words", lambda key, count: jnp.asarray(words, jnp.uint32)
    )


@pytest.mark.parametrize("correct, expected", [(False, 6.564698), (True, 3.612802)])
def test_the_worked_example(correct, expected, extras):
    counts = {0: 200, 1: 50, 2: 10, 3: 1, 4: 739}
    rows = [(user, item) for item, count in counts.items() for user in range(count)]
    data = to_device(np.array(rows), 800, 1000)
    sampler = mixed(2, correct)
    # The last user touched nothing.
    negatives, _ = sampler.sample(KEY, sampler.init(data), pairs([799, 799], [0, 1]), data)
    assert negatives.ids.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(np.exp(negatives.log_q), [0.1005, 0.0255, 0.0055, 0.001], rtol=1e-5)
    vectors = jnp.concatenate([TWO_ITEMS, jnp.array([[0.3, 0.1], [-0.2, 0.6]])])
    extra = {name: getattr(negatives, name) for name in ("log_q", "positive_log_q", "negative_mask")}
    loss = infonce()(TWO_USERS, TWO_ITEMS, vectors, **extra).mean()
    np.testing.assert_allclose(loss, expected, atol=2e-6)


def test_without_uniform_items_it_is_in_batch():
    some = pairs([0, 5, 7], [0, 1, 16])
    one, _ = mixed(0).sample(KEY, mixed(0).init(FEW), some, FEW)
    two, _ = in_batch().sample(KEY, in_batch().init(FEW), some, FEW)
    for field in ("ids", "negative_mask"):
        np.testing.assert_array_equal(getattr(one, field), getattr(two, field))
    np.testing.assert_allclose(one.log_q, two.log_q, rtol=1e-6)
    np.testing.assert_allclose(mean_loss(one._replace(**_cut(one)), TWO_USERS, TWO_ITEMS), 0.686305, atol=1e-6)


def _cut(negatives):
    """The first two rows and columns of the batch."""
    return {
        "log_q": negatives.log_q[:2],
        "positive_log_q": negatives.positive_log_q[:2],
        "negative_mask": negatives.negative_mask[:2, :2],
    }


def test_the_mixture_counts_rows_that_are_not_padding_and_adds_up_to_one():
    sampler = mixed(200)
    negatives, _ = sampler.sample(KEY, sampler.init(FEW), pairs([0, 5, 7, 6], [0, 1, 16, 2]), FEW)
    ids, log_q = np.asarray(negatives.ids), np.asarray(negatives.log_q)
    assert set(ids[4:]) == set(range(16))
    q = np.array([np.exp(log_q[4:][ids[4:] == item][0]) for item in range(16)])
    counts = np.bincount(np.asarray(FEW.sorted_items), minlength=16)
    np.testing.assert_allclose(q, 3 / 203 * counts / counts.sum() + 200 / 203 / 16, rtol=1e-5)
    np.testing.assert_allclose(q.sum(), 1, rtol=1e-5)
    np.testing.assert_array_equal(negatives.negative_mask, (ids == np.array([[0], [1], [16], [2]])) | (ids == 16))


def test_known_items_are_hidden_by_choice():
    data = interactions([{0, 2}, {1}], 3)
    negatives, _ = mixed(30, mask_known=True).sample(KEY, mixed(30).init(data), pairs([0, 1], [0, 1]), data)
    ids = np.asarray(negatives.ids)
    np.testing.assert_array_equal(negatives.negative_mask, [np.isin(ids, [0, 2]), ids == 1])


def test_a_bad_number_is_refused():
    with pytest.raises(ValueError, match="num_uniform must be a whole number, zero or more, got -1"):
        mixed(-1)
