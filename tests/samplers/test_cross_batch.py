"""The bank of earlier vectors: what enters, what counts, from when on, and what the loss makes of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.sampler_cases import FEW, FEW_TOUCHED, TWO_ITEMS, fixed_view, interactions, mean_loss, pairs

from onebp_jax.samplers import cross_batch, in_batch
from onebp_jax.types import ModelView

KEY = jax.random.key(0)
# Any vectors of users, and items whose first number is their id.
VIEW = fixed_view(np.ones((7, 2)), np.stack([np.arange(16), np.ones(16)], axis=1))


def example(state_of=lambda bank: bank, warmup=0):
    """The batch of the in-batch example, and a bank with three more vectors, of items 8 to 10."""
    sampler, view = cross_batch(3, warmup), fixed_view(np.ones((7, 2)), np.pad(TWO_ITEMS, ((0, 14), (0, 0))))
    bank = sampler.init(FEW, view)._replace(
        vectors=jnp.array([[-0.5, 0.5], [1.0, 0.0], [0.2, 0.2]]),
        ids=jnp.array([8, 9, 10]),
        log_q=jnp.log(jnp.array([0.1, 0.02, 0.3])),
    )
    return sampler.sample(KEY, state_of(bank), pairs([0, 5], [0, 1]), FEW, view)[0]


def test_the_worked_example():
    np.testing.assert_allclose(mean_loss(example()), 1.973593, atol=1e-6)


def test_an_empty_bank_and_one_that_warms_up_are_in_batch_negatives():
    empty = lambda bank: bank._replace(ids=jnp.full(3, 16))
    for negatives in (example(empty), example(warmup=1)):
        assert np.asarray(negatives.negative_mask)[:, 2:].all()
        np.testing.assert_allclose(mean_loss(negatives), 0.686305, atol=1e-6)
    # One batch later the same bank counts.
    np.testing.assert_allclose(
        mean_loss(example(lambda bank: bank._replace(step=bank.step + 1), 1)), 1.973593, atol=1e-6
    )


@pytest.mark.parametrize("size, expected", [(4, [3, 4, 5, 6]), (3, [4, 5, 6]), (1, [6]), (7, [1, 2, 3, 4, 5, 6, 16])])
def test_first_in_first_out(size, expected):
    sampler = cross_batch(size, 0)
    state = sampler.init(FEW, VIEW)
    for items in ([1, 2], [3, 4], [5, 6]):
        _, state = sampler.sample(KEY, state, pairs([0, 1], items), FEW, VIEW)
    assert sorted(state.ids.tolist()) == expected
    assert int(state.pointer) == 6 % size and int(state.step) == 3
    filled = np.asarray(state.ids) < 16
    np.testing.assert_array_equal(state.vectors[filled, 0], state.ids[filled])


def test_what_is_hidden():
    sampler = cross_batch(4, 0, "static", mask_known=True)
    state = sampler.init(FEW, VIEW)
    _, state = sampler.sample(KEY, state, pairs([0, 7, 5], [2, 16, 1]), FEW, VIEW)
    users, items = [5, 6, 7], [0, 2, 16]
    for known in (True, False):
        negatives, _ = cross_batch(4, 0, "static", known).sample(KEY, state, pairs(users, items), FEW, VIEW)
        for row, user in enumerate(users):
            out = {16, items[row]} | (FEW_TOUCHED[user] if known and user < 7 else set())
            assert negatives.negative_mask[row].tolist() == [item in out for item in [*items, 2, 16, 1, 16]]


def test_the_previous_batch_is_one_softmax_over_the_union():
    """Where no vector moves, two batches give what one softmax over both gives."""
    sampler, random = cross_batch(4, 0), np.random.default_rng(0)
    table, user = random.normal(size=(16, 2)), random.normal(size=(4, 2))
    view = fixed_view(np.ones((7, 2)), table)
    items = [2, 0, 3, 4]
    _, state = sampler.sample(KEY, sampler.init(FEW, view), pairs([0, 1, 1, 2], [5, 6, 7, 8]), FEW, view)
    negatives, _ = sampler.sample(KEY, state, pairs([0, 0, 1, 2], items), FEW, view)
    counts = np.bincount(np.asarray(FEW.sorted_items), minlength=16)
    union = [*items, 5, 6, 7, 8]
    corrected = user @ table[union].T - np.log(counts[union] / counts.sum())
    expected = np.mean(np.log(np.exp(corrected).sum(1)) - corrected[np.arange(4), np.arange(4)])
    got = mean_loss(negatives, jnp.asarray(user, jnp.float32), jnp.asarray(table[items], jnp.float32))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_no_gradient_reaches_the_bank():
    def moved(table):
        view = ModelView(lambda users, items: (jnp.ones((users.shape[0], 2)), table[items]), None)
        sampler = cross_batch(2, 0)
        _, state = sampler.sample(KEY, sampler.init(FEW, view), pairs([0, 1], [0, 3]), FEW, view)
        negatives, state = sampler.sample(KEY, state, pairs([0, 1], [0, 3]), FEW, view)
        return jnp.sum(negatives.vectors) + jnp.sum(state.vectors)

    table = jnp.ones((16, 2))
    assert moved(table) == 8 and (jax.grad(moved)(table) == 0).all()


def test_the_correction_is_that_of_in_batch_and_is_kept_with_the_vectors():
    for correction in ("static", "streaming", "none"):
        sampler, plain = cross_batch(2, 0, correction, rate=0.1), in_batch(correction, rate=0.1)
        state, other = sampler.init(FEW, VIEW), plain.init(FEW)
        old = None
        for items in ([0, 2], [3, 0]):
            negatives, state = sampler.sample(KEY, state, pairs([0, 1], items), FEW, VIEW)
            expected, other = plain.sample(KEY, other, pairs([0, 1], items), FEW)
            if correction == "none":
                assert negatives.log_q is None and negatives.positive_log_q is None
                continue
            np.testing.assert_array_equal(negatives.log_q[:2], expected.log_q)
            np.testing.assert_array_equal(negatives.positive_log_q, expected.log_q)
            if old is not None:
                np.testing.assert_array_equal(negatives.log_q[2:], old)
            old = expected.log_q


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="bank_size must be a positive whole number, got 0"):
        cross_batch(0, 1)
    with pytest.raises(ValueError, match="warmup must be a whole number, zero or more, got -1"):
        cross_batch(4, -1)
    assert cross_batch(4, 0).check(interactions([{0}], 1)) is None
