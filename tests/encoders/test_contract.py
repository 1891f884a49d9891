"""What every encoder promises; a new one gets one row in `ENCODERS`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onebp_jax.data import Features
from onebp_jax.data.device import to_device
from onebp_jax.encoders import (
    FeatureTower,
    buir,
    embedding,
    euclidean,
    features,
    lightgcn,
    multi_interest,
    ngcf,
    stop_user_gradient,
)
from onebp_jax.engine.backward import read
from onebp_jax.types import Encoder


def some_features(rows: int) -> Features:
    """Two numbers per row, and up to three of four tokens."""
    random = np.random.default_rng(rows)
    tokens = random.integers(0, 5, (rows, 3)).astype(np.int32)
    return Features(random.normal(size=(rows, 2)).astype(np.float32), tokens, 4, ("year: numbers", "genre: values"))


SIDE = {"user_features": some_features(5), "item_features": some_features(7)}
DATA = to_device(np.array([[0, 2], [1, 0], [4, 3], [4, 6]]), 5, 7, **SIDE)
ENCODERS: dict[str, Encoder] = {
    "embedding": embedding(3),
    "unit vectors": embedding(3, normalize=True),
    "bfloat16": embedding(3, dtype="bfloat16"),
    "several on the sphere": euclidean(3, 2, user_std=0.01, start="sphere"),
    "multi_interest": multi_interest(3, 2, normalize=True),
    "buir": buir(3),
    "lightgcn": lightgcn(3, 1, normalize=True),
    "ngcf": ngcf(3, 1),
    "ngcf official": ngcf(3, 1, form="official"),
    "stop_user_gradient": stop_user_gradient(lightgcn(3, 1)),
    "features": features(3, FeatureTower(3, ()), FeatureTower(3, (4,)), ids="user"),
}
every_encoder = pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
# The others rank by vectors that are longer than those they train with.
BY_DOT = {name: encoder for name, encoder in ENCODERS.items() if encoder.geometry == "dot"}
USERS, ITEMS = jnp.array([4, 0, 0, 5]), jnp.array([6, 6, 1, 7, 0])


def prepared(encoder):
    """The interactions with what the encoder makes of them beforehand."""
    return DATA.replace(prepared=encoder.prepare(DATA))


def encoded(encoder, tables):
    """The vectors of `USERS` and `ITEMS`, as a step asks for them, and without dropout."""
    return encoder.encode(read(encoder, tables, USERS, ITEMS), USERS, ITEMS, prepared(encoder), None)


@every_encoder
def test_shapes_and_types(encoder):
    data = prepared(encoder)
    tables = jax.eval_shape(encoder.init, jax.eval_shape(jax.random.key, 0), data)
    user, item, *_ = tables
    assert user.shape[0] == DATA.num_users and item.shape[0] == DATA.num_items
    assert user.dtype == item.dtype
    some, others = jax.eval_shape(lambda tables: encoded(encoder, tables), tables)
    every, all_items = jax.eval_shape(encoder.vectors, tables, data)
    assert some.shape[0] == 4 and others.shape[0] == 5
    if encoder.geometry == "dot":
        assert some.shape[1:] == every.shape[1:] and others.shape[1:] == all_items.shape[1:]
    assert every.shape[-1] == all_items.shape[-1]
    assert every.shape[0] == DATA.num_users and all_items.shape[0] == DATA.num_items
    # However a table is stored, what is scored is in float32.
    assert {vectors.dtype for vectors in (some, others, every, all_items)} == {np.dtype("float32")}


@every_encoder
def test_the_first_vectors_are_a_function_of_the_key(encoder):
    with jax.debug_key_reuse(True):
        init = jax.jit(lambda seed: encoder.init(jax.random.key(seed), prepared(encoder)))
        one, again, other = (init(seed) for seed in (0, 0, 1))
    for tower in range(2):
        np.testing.assert_array_equal(one[tower], again[tower])
        assert (np.asarray(one[tower]) != other[tower]).all()
    # The towers do not begin alike.
    user, item = (np.asarray(table)[: DATA.num_users].reshape(DATA.num_users, -1)[:, :3] for table in one[:2])
    assert (user != item).all()


@pytest.mark.parametrize("encoder", BY_DOT.values(), ids=BY_DOT)
def test_a_batch_and_the_whole_tables_hold_the_same_vectors(encoder):
    data = prepared(encoder)
    tables = encoder.init(jax.random.key(0), data)
    for vectors, every, ids in zip(
        encoded(encoder, tables), encoder.vectors(tables, data), (USERS, ITEMS), strict=True
    ):
        inside = np.asarray(ids) < len(every)
        np.testing.assert_array_equal(vectors[inside], every[ids[inside]])
        # Padding has some finite vector, which the step leaves out.
        assert not inside.all() and np.isfinite(vectors).all()


@every_encoder
def test_jit_and_vmap_give_the_plain_result_without_tracing_twice(encoder):
    traces = []

    def both(key):
        traces.append(None)
        return encoded(encoder, encoder.init(key, prepared(encoder)))

    keys = jax.random.split(jax.random.key(1), 2)
    plain = [both(key) for key in keys]
    traces.clear()
    compiled = jax.jit(both)
    ones = [compiled(key) for key in keys]
    assert len(traces) == 1
    together = jax.jit(jax.vmap(both))(keys)
    for seed in range(2):
        for tower in range(2):
            np.testing.assert_allclose(ones[seed][tower], plain[seed][tower], rtol=1e-6, atol=1e-8)
            np.testing.assert_allclose(together[tower][seed], plain[seed][tower], rtol=1e-6, atol=1e-8)
