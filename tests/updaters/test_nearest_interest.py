"""Several vectors per user, each the moving average of the items nearest to it (OneBP-K)."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import oracle

from onebp_jax.types import Signal
from onebp_jax.updaters import DUPLICATE_RULES, gradient, moving_average, nearest_interest

ROWS, SEVERAL, DIM, COUNT = 4, 3, 2, 8
IDS = np.array([1, 0, 1, ROWS, 3, 1, 0, 1], np.int32)


def values(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


TABLE, OLD, NEW = values(0, ROWS, SEVERAL, DIM), values(1, COUNT, DIM), values(2, COUNT, DIM)


def move(updater, table=TABLE, ids=IDS, targets=NEW, old=OLD, steps=1):
    """Table and state after `steps` times the same batch."""
    table = jnp.asarray(table)
    state, extra = updater.init(table), {} if old is None else {"old_targets": jnp.asarray(old)}
    signal = Signal(jnp.asarray(ids), None, jnp.asarray(targets))
    update = jax.jit(lambda state, table: updater.update(signal, state, table, **extra)) if steps > 1 else None
    for _ in range(steps):
        table, state = update(state, table) if update else updater.update(signal, state, table, **extra)
    return np.asarray(table), state


def test_ex_onebp_k():
    new, _ = move(nearest_interest(moving_average(0.9)), np.eye(2, dtype=np.float32)[None], [0], [[0.2, 0.9]], None)
    np.testing.assert_allclose(new, [[[1.0, 0.0], [0.02, 0.99]]], rtol=1e-6)


@pytest.mark.parametrize("rule", DUPLICATE_RULES)
def test_one_interest_is_the_moving_average_bit_for_bit(rule):
    average = moving_average(0.9, rule)
    for updater in (nearest_interest(average), nearest_interest(average, 0.5, 0.5)):
        np.testing.assert_array_equal(move(updater, TABLE[:, :1])[0][:, 0], move(average, TABLE[:, 0])[0])


@pytest.mark.parametrize("rule", DUPLICATE_RULES)
@pytest.mark.parametrize("cosine", [False, True])
def test_values_agree_with_loops(rule, cosine):
    """The old partner chooses, the new one is averaged; repeats of a vector follow the rule."""
    flat, places = TABLE.astype(np.float64).reshape(-1, DIM), []
    for user, partner in zip(IDS, OLD, strict=True):
        if user == ROWS:
            places.append(len(flat))
            continue
        scores = [one @ partner / (np.linalg.norm(one) if cosine else 1) for one in TABLE[user]]
        places.append(user * SEVERAL + int(np.argmax(scores)))
    assert max(places.count(place) for place in places) > 1
    expected = oracle.average(flat, places, NEW.astype(np.float64), 0.8, rule).reshape(TABLE.shape)
    new, _ = move(nearest_interest(moving_average(0.8, rule), cosine=cosine))
    np.testing.assert_allclose(new, expected, rtol=1e-5, atol=1e-6)
    untouched = np.delete(np.arange(ROWS * SEVERAL), [place for place in places if place < ROWS * SEVERAL])
    np.testing.assert_array_equal(new.reshape(-1, DIM)[untouched], TABLE.reshape(-1, DIM)[untouched])


def test_without_old_partners_the_new_ones_choose():
    updater = nearest_interest(moving_average(0.9))
    np.testing.assert_array_equal(move(updater, old=None)[0], move(updater, old=NEW)[0])
    assert (move(updater, old=None)[0] != move(updater)[0]).any()


@pytest.mark.parametrize("options", [{}, {"usage_bonus": 0.3, "repel": 0.2}], ids=["plain", "guarded"])
def test_the_order_of_the_interests_does_not_matter(options):
    updater, order = nearest_interest(moving_average(0.9), **options), [2, 0, 1]
    np.testing.assert_allclose(
        move(updater, TABLE[:, order], steps=3)[0], move(updater, steps=3)[0][:, order], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("start", ["items", "small numbers"])
@pytest.mark.parametrize("cosine", [False, True])
def test_two_orthogonal_groups_end_with_a_vector_each(start, cosine):
    """From an item of each group; or from anywhere, where the one that is never chosen gets its turn. (Without the bonus one
    vector in the middle of both groups may win all.)"""
    targets = np.random.default_rng(3).uniform(0.5, 2, (COUNT, 1)) * np.eye(2)[np.arange(COUNT) % 2]
    table = targets[None, :2] if start == "items" else 0.1 * values(5, 1, 2, DIM)
    updater = nearest_interest(moving_average(0.8, "mean"), usage_bonus=0.0 if start == "items" else 0.3, cosine=cosine)
    arrays = [array.astype(np.float32) for array in (table, targets)]
    new, _ = move(updater, arrays[0], np.zeros(COUNT, np.int32), arrays[1], None, steps=100)
    centres = np.array([targets[0::2].mean(0), targets[1::2].mean(0)])
    np.testing.assert_allclose(new[0][np.argsort(-new[0][:, 0])], centres, atol=1e-3)


def test_without_repel_an_interest_stays_between_where_it_was_and_the_targets():
    new, _ = move(nearest_interest(moving_average(0.5)), steps=5)
    for user in range(ROWS):
        for k in range(SEVERAL):
            hull = np.concatenate([TABLE[user, k][None], NEW[user == IDS]])
            assert (new[user, k] >= hull.min(0) - 1e-6).all() and (new[user, k] <= hull.max(0) + 1e-6).all()


def test_usage_is_counted_and_holds_back_the_chosen():
    table = np.array([[[1.0, 0.0], [0.9, 0.0]]], np.float32)
    batch = np.zeros(1, np.int32), np.ones((1, 2), np.float32) * [[1.0, 0.0]], None
    still = moving_average(1.0)
    _, (_, counts) = move(nearest_interest(still, usage_bonus=1.0), table, *batch, steps=4)
    # The better one first; then the other, held back less; from then on in turn.
    np.testing.assert_array_equal(counts, [[2, 2]])
    _, (_, counts) = move(nearest_interest(still, usage_bonus=1e-3), table, *batch, steps=4)
    np.testing.assert_array_equal(counts, [[4, 0]])
    assert move(nearest_interest(still), table, *batch)[1][1] == ()


def test_repel_follows_the_slope_of_the_crowding():
    still, step = moving_average(1.0), 0.1
    new, _ = move(nearest_interest(still, repel=step, margin=-0.2))

    def crowding(vectors):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return sum(max(0, unit[a] @ unit[b] + 0.2) ** 2 / 2 for a in range(SEVERAL) for b in range(a))

    for user in set(IDS.tolist()) - {ROWS}:
        slope = np.zeros((SEVERAL, DIM))
        for place in np.ndindex(SEVERAL, DIM):
            ends = []
            for shift in (1e-6, -1e-6):
                moved = TABLE[user].astype(np.float64)
                moved[place] += shift
                ends.append(crowding(moved))
            slope[place] = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(new[user], TABLE[user] - step * slope, rtol=1e-4, atol=1e-5)
        assert crowding(new[user].astype(np.float64)) < crowding(TABLE[user].astype(np.float64))
    np.testing.assert_array_equal(new[2], TABLE[2])


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: nearest_interest(gradient(optax.sgd(0.1))), "works on an updater that reads targets only"),
        (
            lambda: nearest_interest(moving_average(0.9), -1.0),
            "usage_bonus must be zero or a positive number, got -1.0",
        ),
        (
            lambda: nearest_interest(moving_average(0.9), repel=-1.0),
            "repel must be zero or a positive number, got -1.0",
        ),
        (lambda: nearest_interest(moving_average(0.9), margin=1.0), "margin must be a cosine"),
    ],
)
def test_wrong_arguments_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
