"""Row-wise gradient updates: the dense ones where every row is touched, elsewhere the touched rows alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import oracle

from onebp_jax.types import Signal
from onebp_jax.updaters import TRANSFORMS, adam, gradient, rowwise

ROWS, DIM, COUNT, STEPS = 7, 4, 16, 4
KINDS = {name: make(0.05, 0.1) for name, make in TRANSFORMS.items()}
KINDS["schedules"] = optax.chain(
    optax.clip(0.5), optax.adam(optax.exponential_decay(0.1, 1, 0.5)), optax.scale_by_schedule(lambda step: 1 + step)
)
KINDS["sgd with a schedule"] = optax.sgd(optax.linear_schedule(0.1, 0.01, STEPS), momentum=0.9, nesterov=True)
every_kind = pytest.mark.parametrize("kind", KINDS)


def values(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def signal_of(ids, grads):
    return Signal(jnp.asarray(ids, jnp.int32), jnp.asarray(grads, jnp.float32), None)


def covering(seed):
    """Every row once, some again, and padding, in any order."""
    random = np.random.default_rng(seed)
    ids = np.concatenate([np.arange(ROWS), random.integers(0, ROWS + 1, COUNT - ROWS - 1), [ROWS]])
    return signal_of(random.permutation(ids), values(seed, COUNT, DIM))


def some(seed):
    """Rows 1, 2, 4 and 5, all again but 5, and padding."""
    ids = [1, 2, 4, 4, ROWS, 5, 1, 2, 1, ROWS, 4, 4, 2, 2, 1, 1]
    return signal_of(np.random.default_rng(seed).permutation(ids), values(seed, COUNT, DIM))


@functools.cache
def made(kind, make=rowwise, *row_counts):
    """An updater and its compiled update, once for all tests."""
    updater = make(KINDS[kind], *row_counts)
    return updater.init, jax.jit(updater.update)


def run(updater, signals):
    """The table after each of the signals, and the last state."""
    (init, update), table, history = updater, jnp.asarray(values(99, ROWS, DIM)), []
    state = init(table)
    for signal in signals:
        table, state = update(signal, state, table)
        history.append(np.asarray(table))
    return history, state


def relative(actual, expected):
    """Largest difference in parts of the largest value."""
    return np.abs(actual - expected).max() / np.abs(expected).max()


@every_kind
def test_where_every_row_is_touched_it_is_the_dense_update(kind):
    signals = [covering(seed) for seed in range(STEPS)]
    tables, (_, slots) = run(made(kind), signals)
    expected, dense_slots = run(made(kind, gradient), signals)
    for table, other in zip(tables, expected, strict=True):
        assert relative(table, other) < 1e-6
    assert jax.tree.structure(slots) == jax.tree.structure(dense_slots)
    for one, two in zip(jax.tree.leaves(slots), jax.tree.leaves(dense_slots), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    assert (tables[-1] != values(99, ROWS, DIM)).all()


@pytest.mark.parametrize("kind, row_counts", [*((kind, False) for kind in KINDS), ("adam", True), ("schedules", True)])
def test_rows_outside_the_batch_and_their_slots_keep_their_bits(kind, row_counts):
    """Their slots are not empty: dense momentum would move them on."""
    updater = made(kind, rowwise, row_counts)
    (before, after), (scratch, slots) = run(updater, [covering(0), some(1)])
    _, (old_scratch, old_slots) = run(updater, [covering(0)])
    outside = [0, 3, 6]
    np.testing.assert_array_equal(after[outside], before[outside])
    assert (np.delete(after, outside, 0) != np.delete(before, outside, 0)).all()
    for old, new in zip(jax.tree.leaves((old_scratch, old_slots)), jax.tree.leaves((scratch, slots)), strict=True):
        if old.ndim:
            np.testing.assert_array_equal(np.asarray(new)[outside], np.asarray(old)[outside])
        assert row_counts <= (old.ndim > 0)


@every_kind
def test_a_repeated_row_moves_once_by_its_summed_gradient(kind):
    repeated = some(1)
    summed = np.zeros((ROWS + 1, DIM), np.float32)
    np.add.at(summed, np.asarray(repeated.ids), np.asarray(repeated.grads))
    ids = np.full(COUNT, ROWS)
    ids[:4] = [5, 4, 2, 1]
    once = signal_of(ids, summed[ids])
    updater = made(kind)
    tables, others = (run(updater, [covering(0), signal])[0] for signal in (repeated, once))
    assert relative(tables[-1], others[-1]) < 1e-6


@every_kind
def test_the_order_of_the_batch_does_not_matter(kind):
    updater, signal = made(kind), some(1)
    order = np.random.default_rng(5).permutation(COUNT)
    other = Signal(signal.ids[order], signal.grads[order], None)
    tables, others = (run(updater, [covering(0), one])[0] for one in (signal, other))
    assert relative(tables[-1], others[-1]) < 1e-6


@pytest.mark.parametrize("row_counts", [False, True])
def test_padding_changes_nothing(row_counts):
    updater, signal = made("adam", rowwise, row_counts), some(1)
    inside = np.asarray(signal.ids) < ROWS
    short = Signal(signal.ids[inside], signal.grads[inside], None)
    (_, table), _ = run(updater, [covering(0), signal])
    (_, other), _ = run(updater, [covering(0), short])
    np.testing.assert_array_equal(table, other)
    (before, after), _ = run(updater, [covering(0), signal._replace(ids=jnp.full(COUNT, ROWS))])
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("row_counts", [True, False])
def test_with_row_counts_every_row_has_an_adam_of_its_own(row_counts):
    """Row 6 comes late: with a count of its own, its first step is the whole rate against the sign of its gradient."""
    random = np.random.default_rng(3)
    signals = [signal_of(random.integers(0, ROWS - 1, COUNT), values(step, COUNT, DIM)) for step in range(20)]
    signals.append(covering(7))
    tables, _ = run(rowwise(adam(0.01, 0.1), row_counts)[:2], signals)
    expected, own = values(99, ROWS, DIM).astype(np.float64), [oracle.Adam(0.01, 0.1) for _ in range(ROWS)]
    errors = []
    for signal, table in zip(signals, tables, strict=True):
        for row in set(np.asarray(signal.ids).tolist()) - {ROWS}:
            summed = np.asarray(signal.grads, np.float64)[np.asarray(signal.ids) == row].sum(0)
            expected[row] = own[row](expected[row], summed)
        errors.append(relative(table, expected))
    # Of the order of 1e-2 without counts. Powers are rounded otherwise on a GPU, so the bound has some room.
    assert (max(errors) < 1e-5) == row_counts
    late = np.abs(tables[-1] - tables[-2])[ROWS - 1]
    assert np.allclose(late, 0.01, rtol=1e-4) == row_counts


NO_CLIPPING = {"clipping_threshold": None, "multiply_by_parameter_scale": False}
MIXING = {
    "clip_by_global_norm": optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)),
    "a norm that is not reached": optax.chain(optax.clip_by_global_norm(1e12), optax.sgd(0.1)),
    "before adam": optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1)),
    "lars": optax.lars(0.1),
    "lamb": optax.lamb(0.1),
    "novograd": optax.novograd(0.1),
    "adafactor": optax.adafactor(0.1),
    "clip_by_block_rms": optax.clip_by_block_rms(1.0),
    "normalize_by_update_norm": optax.normalize_by_update_norm(),
    "adaptive_grad_clip": optax.adaptive_grad_clip(0.1),
    "apply_if_finite": optax.apply_if_finite(optax.sgd(0.1), 3),
    "sm3": optax.sm3(0.1),
}


@pytest.mark.parametrize("tx", MIXING.values(), ids=MIXING)
def test_a_transformation_that_mixes_rows_is_refused(tx):
    with pytest.raises(ValueError, match=r"rowwise: the transformation mixes rows .* use optimizer='dense'"):
        rowwise(tx)


@pytest.mark.parametrize("shape", [(7, 4), (200, 160)])
def test_arrays_that_belong_to_several_rows_are_refused(shape):
    """Adafactor without what mixes rows at once: it factors tables of 128 and more in both directions."""
    updater = rowwise(optax.adafactor(0.1, **NO_CLIPPING))
    with pytest.raises(ValueError, match=r"rowwise: .* belongs to several rows at once; use optimizer='dense'"):
        updater.init(jnp.zeros(shape))


APART = {
    "clip": optax.clip(1.0),
    "add_decayed_weights": optax.add_decayed_weights(0.1),
    "zero_nans": optax.chain(optax.zero_nans(), optax.sgd(0.1)),
    "hyperparameters": optax.inject_hyperparams(optax.adam)(0.1),
    **{name: getattr(optax, name)(0.1) for name in ("adamw", "lion", "adagrad", "rmsprop", "yogi", "amsgrad")},
}


@pytest.mark.parametrize("tx", APART.values(), ids=APART)
def test_a_transformation_that_keeps_rows_apart_is_taken(tx):
    updater, before, signal = rowwise(tx), values(99, ROWS, DIM), some(1)
    after, _ = updater.update(signal, updater.init(before), jnp.asarray(before))
    assert (before != after).any(axis=1).tolist() == [False, True, True, False, True, True, False]


@pytest.mark.parametrize("count", [64, 65, 128, 150])
@pytest.mark.parametrize("row_counts", [False, True])
def test_blocks_are_one_update(count, row_counts):
    """Rows so wide that they are updated 64 at a time; every row is touched, so that the dense update is the same."""
    random, rows, dim = np.random.default_rng(count), 40, 1024
    table = jnp.asarray(random.normal(size=(rows, dim)), jnp.float32)
    lazy, dense = rowwise(adam(0.01, 0.1), row_counts), gradient(adam(0.01, 0.1))
    one, other = (table, lazy.init(table)), (table, dense.init(table))
    for _ in range(2):
        ids = np.concatenate([random.permutation(rows), random.integers(0, rows + 1, count - rows)])
        signal = Signal(jnp.asarray(ids, jnp.int32), jnp.asarray(random.normal(size=(count, dim)), jnp.float32), None)
        one = lazy.update(signal, one[1], one[0])
        other = dense.update(signal, other[1], other[0])
        np.testing.assert_allclose(one[0], other[0], rtol=1e-5, atol=1e-6)
