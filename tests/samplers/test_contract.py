"""What every sampler promises; a new one gets one row in `SAMPLERS`."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.sampler_cases import batch_of, crowd, fixed_view
from support.table_programs import BATCH, NUM_ITEMS, NUM_USERS, compile_scan, table_copies

from onebp_jax.data.device import to_device
from onebp_jax.encoders import embedding
from onebp_jax.engine.backward import view_of
from onebp_jax.engine.step import make_step
from onebp_jax.losses import infonce
from onebp_jax.samplers import (
    auc_optimal,
    bayesian,
    cross_batch,
    dynamic,
    exclude_cold_items,
    hardest_distance,
    in_batch,
    mixed,
    popularity,
    shared,
    two_stage,
    uniform,
)
from onebp_jax.types import Batch, Method, Sampler
from onebp_jax.updaters import gradient

# Each can serve `crowd(5)`.
SAMPLERS: dict[str, Sampler] = {
    "uniform 5": uniform(5),
    "shared": shared(5),
    "shared by popularity": shared(6, 0.75, hide_touched=True),
    "uniform without new items": exclude_cold_items(uniform(5)),
    "shared without new items": exclude_cold_items(shared(6, 0.75, hide_touched=True)),
    "popularity": popularity(5),
    "dynamic": dynamic(3, 5),
    "dynamic in groups": dynamic(3, 5, "groups"),
    "hardest by distance": hardest_distance(3, 5),
    "two-stage": two_stage(3, 12),
    "in-batch": in_batch(),
    "in-batch, streaming": in_batch("streaming", mask_known=True),
    "cross-batch": cross_batch(12, 1),
    "cross-batch, streaming": cross_batch(7, 0, "streaming", mask_known=True),
    "mixed": mixed(4),
    "AUC-optimal": auc_optimal(1, 5, 5),
    "Bayesian": bayesian(),
    "Bayesian, all items": bayesian(2, 5, form="all_items"),
}
# These draw nothing: their negatives are the batch.
BATCHES = ("in-batch", "cross-batch")
every_sampler = pytest.mark.parametrize("name", SAMPLERS)
CROWD, TOUCHED = crowd(5)
SOME = batch_of([0, 3, 6, 4, 3, 5, 1, 2, 6], CROWD, [0, 2, 0, 8, 4, 8, 0, 22, 0])
ENCODER = embedding(4)
VIEW = view_of(ENCODER, ENCODER.init(jax.random.key(9), CROWD), CROWD)


def draw(name, key, state=None, batch=SOME, view=VIEW):
    sampler = SAMPLERS[name]
    return sampler.sample(key, sampler.init(CROWD, view) if state is None else state, batch, CROWD, view)


@functools.cache
def compiled(name):
    """`(seed, batch) -> (negatives, state)`, one program a sampler; it fails to compile if a key is used twice."""
    with jax.debug_key_reuse(True):
        return jax.jit(lambda seed, batch: draw(name, jax.random.key(seed), batch=batch)).lower(0, SOME).compile()


@every_sampler
def test_shapes_types_and_padding(name):
    sampler = SAMPLERS[name]
    sampler.check(CROWD)
    state = sampler.init(CROWD, VIEW)
    negatives, new = compiled(name)(0, SOME)
    ids, rows = np.asarray(negatives.ids), len(SOME.user_ids)
    count = ids.shape[-1] + (0 if negatives.vectors is None else len(negatives.vectors))
    assert ids.dtype == jnp.int32 and ids.shape[:-1] in ((rows,), ())
    assert negatives.log_q is None or negatives.log_q.shape == (*ids.shape[:-1], count)
    assert negatives.positive_log_q is None or negatives.positive_log_q.shape == (rows,)
    assert negatives.negative_mask is None or negatives.negative_mask.shape == (rows, count)
    shapes = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)
    assert shapes(new) == shapes(state)
    for log_q in (negatives.log_q, negatives.positive_log_q):
        assert log_q is None or np.isfinite(log_q[: rows - 1]).all()
    padded = np.asarray(SOME.user_ids) == CROWD.num_users
    negative_mask = np.zeros(ids.shape, bool)
    if ids.ndim == 2:
        assert (ids[padded] == CROWD.num_items).all()
        negative_mask = negative_mask if negatives.negative_mask is None else np.asarray(negatives.negative_mask)
        for user, own, left_out in zip(SOME.user_ids.tolist(), ids, negative_mask, strict=True):
            # Negatives of a row's own are never what its user touched.
            assert user == CROWD.num_users or not TOUCHED[user] & set(own[~left_out].tolist())
        ids, negative_mask = ids[~padded], negative_mask[~padded]
    elif name.startswith(BATCHES) or name == "mixed":
        negative_mask = ids == CROWD.num_items
        assert np.asarray(negatives.negative_mask)[:, : len(ids)][:, negative_mask].all()
    assert (ids < CROWD.num_items)[~negative_mask].all() and (ids >= 0).all()


@every_sampler
def test_jit_and_vmap_give_the_plain_result(name):
    ones = [compiled(name)(seed, SOME)[0] for seed in (1, 2)]
    plain = draw(name, jax.random.key(1))[0]
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, ones[0], plain)
    together = jax.jit(jax.vmap(lambda seed: draw(name, jax.random.key(seed))[0]))(jnp.array([1, 2]))
    jax.tree.map(lambda both, *apart: close(both, np.stack(apart)), together, *ones)


@every_sampler
def test_the_draw_is_a_function_of_the_key(name):
    draws = [compiled(name)(seed, SOME)[0].ids for seed in (0, 0, 1, 2)]
    np.testing.assert_array_equal(draws[0], draws[1])
    if not name.startswith(BATCHES):
        assert (np.asarray(draws[0]) != draws[2]).any() or (np.asarray(draws[0]) != draws[3]).any()


@every_sampler
def test_padding_changes_no_other_row_and_other_rows_change_no_row(name):
    """The padded rows become rows of user 3: everyone else's own negatives stay."""
    if compiled(name)(0, SOME)[0].ids.ndim == 1:
        pytest.skip("negatives that a batch shares: see the sampler's own tests")
    inside = np.asarray(SOME.user_ids) < CROWD.num_users
    other = Batch(jnp.where(inside, SOME.user_ids, 3), jnp.where(inside, SOME.positive_ids, 4))
    one, two = (compiled(name)(4, batch)[0] for batch in (SOME, other))
    for field in ("ids", "negative_mask"):
        if getattr(one, field) is not None:
            np.testing.assert_array_equal(getattr(one, field)[inside], getattr(two, field)[inside])
    assert (np.asarray(two.ids)[~inside] < CROWD.num_items).any()


@every_sampler
def test_users_with_several_vectors(name):
    random = np.random.default_rng(0)
    view = fixed_view(random.normal(size=(6, 2, 4)), random.normal(size=(CROWD.num_items, 4)))
    negatives, _ = jax.eval_shape(lambda key: draw(name, key, view=view), jax.random.key(0))
    assert negatives.ids.shape == compiled(name)(0, SOME)[0].ids.shape


@every_sampler
def test_two_steps_and_a_step_of_padding_alone(name):
    method = Method(ENCODER, SAMPLERS[name], infonce(), *[gradient(optax.sgd(0.1))] * 2)
    init, step = make_step(method)
    step = jax.jit(step)
    state, data = init(jax.random.key(0), CROWD)
    first = state
    for _ in range(2):
        state, info = step(state, SOME, data)
        assert np.isfinite(info.loss) and info.loss > 0 and int(info.examples) == 7
    assert np.isfinite(state.user).all() and np.isfinite(state.item).all()
    # User 3 touched all of the batch's items: they may all be negative_mask from him.
    assert (np.asarray(state.user) != first.user)[np.array([0, 5])].any(1).all()
    nobody = Batch(jnp.full(9, CROWD.num_users, jnp.int32), jnp.full(9, CROWD.num_items, jnp.int32))
    after, info = step(state, nobody, data)
    assert info.loss == 0 and int(info.examples) == 0
    np.testing.assert_array_equal(after.user, state.user)
    np.testing.assert_array_equal(after.item, state.item)


@pytest.fixture(scope="module")
def large():
    random = np.random.default_rng(0)
    pairs = np.stack([random.integers(0, NUM_USERS, 5000), random.integers(0, NUM_ITEMS, 5000)], axis=1)
    return to_device(np.unique(pairs, axis=0), NUM_USERS, NUM_ITEMS)


# Every way to read a table or to write a state; AUC-optimal and Bayesian ones read all items, which takes a copy of the table.
@pytest.mark.parametrize("name", ["popularity", "dynamic", "two-stage", "cross-batch", "cross-batch, streaming"])
def test_no_table_is_copied(name, large):
    method = Method(embedding(32), SAMPLERS[name], infonce(), *[gradient(optax.sgd(0.1))] * 2)
    program, _ = compile_scan(method, large)
    assert not table_copies(program)
    assert re.search(rf"f32\[{NUM_ITEMS},32\]", program.as_text()) and BATCH < NUM_ITEMS


@pytest.mark.parametrize("name", ["dynamic", "dynamic in groups", "hardest by distance", "AUC-optimal", "Bayesian"])
def test_vectors_without_a_score_are_refused(name):
    view = fixed_view(np.ones((6, 4)), np.ones((CROWD.num_items, 4)), "pieces")
    with pytest.raises(ValueError, match="vectors of geometry 'pieces' have no score for single items"):
        draw(name, jax.random.key(0), view=view)
