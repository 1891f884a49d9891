"""What every loss promises (see `onebp_jax.types.Loss`); a new one gets one row: in `COMPARING` if it has negatives, else in
`LOSSES`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.loss_examples import BATCH, DIM, HIDDEN, LOG_Q, SEEDS, WIDTH, on_device, vectors

from onebp_jax.losses import (
    bpr,
    buir,
    ccl,
    cml,
    dcl,
    directau,
    dpcml,
    hcl,
    infonce,
    repel,
    sampled_softmax,
    sfcml,
    with_l2,
)
from onebp_jax.types import Loss

# Of a positive and negatives, by row; those negative_mask are as if left out.
COMPARING: dict[str, Loss] = {
    "infonce": infonce(0.2),
    "bpr": bpr(),
    "dcl": dcl(0.1),
    "hcl": hcl(0.05, 0.5, 2.0),
    "cml": cml(4.0),
    "dpcml": dpcml(4.0),
    "dpcml uniform": dpcml(4.0, hardest=False),
    "ccl": ccl(-0.5, 2.0),
}
LOSSES: dict[str, Loss] = COMPARING | {
    "sampled softmax": sampled_softmax(),
    "sfcml": sfcml(),
    "buir": buir(),
    "directau": directau(2.0),
    "repel": repel(infonce(), 0.3, -0.9),
    "with_l2": with_l2(bpr(), 0.1),
}
every_loss = pytest.mark.parametrize("name", LOSSES)
every_comparing_loss = pytest.mark.parametrize("loss", COMPARING.values(), ids=COMPARING)
# Only InfoNCE corrects for how negatives were drawn; the others look past it.
with_and_without_log_q = pytest.mark.parametrize(
    "loss, extra",
    [*((loss, {}) for loss in COMPARING.values()), (COMPARING["infonce"], LOG_Q)],
    ids=[*COMPARING, "infonce corrected"],
)


def example(name, seed=0):
    """`(user, positive, negatives, extra)` of the kind that a loss takes."""
    user, positive, negatives = on_device(vectors(seed))
    extra = {"num_items": 100, "inputs": (user, positive, negatives)}
    if name == "sfcml":
        return user, positive, negatives[0], {"num_items": WIDTH, "negative_mask": jnp.asarray(HIDDEN)}
    if name == "buir":
        user, positive = (jnp.stack([one, one[::-1] + 1], 1) for one in (user, positive))
        return user, positive, jnp.zeros((BATCH, 0, 2, DIM)), extra
    if name == "sampled softmax":
        return user, positive, negatives[0], extra | LOG_Q
    if name == "repel":
        user = on_device(vectors(seed, several=2))[0]
    return user, positive, negatives, extra


def call(name):
    """The loss as a function of arrays alone."""
    static = {"num_items": example(name)[3].get("num_items")}
    return lambda *arrays: LOSSES[name](*arrays[:3], **arrays[3] | static)


def arrays_of(name, seed=0):
    *arrays, extra = example(name, seed)
    return *arrays, {key: value for key, value in extra.items() if key != "num_items"}


@every_loss
def test_jit_and_vmap_give_the_plain_result_without_tracing_twice(name):
    traces = []

    def counted(*arrays):
        traces.append(None)
        return call(name)(*arrays)

    examples = [arrays_of(name, seed) for seed in range(SEEDS)]
    plain = np.stack([call(name)(*arrays) for arrays in examples])
    assert plain.shape == (SEEDS, BATCH) and np.isfinite(plain).all() and (plain[0] != plain[1]).any()
    compiled = jax.jit(counted)
    np.testing.assert_allclose(np.stack([compiled(*one) for one in examples]), plain, rtol=1e-5, atol=1e-6)
    assert len(traces) == 1
    together = jax.tree.map(lambda *parts: jnp.stack(parts), *examples)
    np.testing.assert_allclose(jax.jit(jax.vmap(call(name)))(*together), plain, rtol=1e-5, atol=1e-6)


@every_loss
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_shapes_and_types(name, dtype):
    as_type = lambda x: jax.ShapeDtypeStruct(x.shape, dtype if jnp.issubdtype(x.dtype, jnp.floating) else x.dtype)
    result = jax.eval_shape(call(name), *jax.tree.map(as_type, arrays_of(name)))
    assert result.shape == (BATCH,) and result.dtype == dtype


@every_loss
def test_unknown_keywords_are_ignored(name):
    *arrays, extra = arrays_of(name)
    more = {"nobody_knows_this": 1, "negative_mask": None, "log_q": None, "positive_log_q": None} | extra
    np.testing.assert_array_equal(call(name)(*arrays, more), call(name)(*arrays, extra))


@every_loss
def test_what_padding_holds_reaches_no_other_row(name):
    """Neither as a value nor as a gradient; negatives that rows share are nobody's padding."""
    *arrays, extra = arrays_of(name)
    valid = jnp.arange(BATCH) < BATCH - 1
    own = [array.ndim > 0 and (place < 2 or array.ndim > 2) for place, array in enumerate(arrays)]

    def total(*arrays):
        inputs = {"inputs": tuple(arrays)} if "inputs" in extra else {}
        values = call(name)(*arrays, extra | inputs | {"valid": valid})
        return jnp.sum(jnp.where(valid, values, 0)), values

    slopes = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True))
    (_, plain), before = slopes(*arrays)
    loud = [
        array.at[-1].multiply(-3.0) if mine and array.size else array for array, mine in zip(arrays, own, strict=True)
    ]
    (_, values), after = slopes(*loud)
    np.testing.assert_array_equal(values[:-1], plain[:-1])
    for one, two, mine in zip(before, after, own, strict=True):
        np.testing.assert_array_equal(one, two)
        assert not mine or not np.asarray(one)[-1].any()


@every_comparing_loss
def test_a_row_is_a_function_of_itself_alone(loss):
    arrays, each = on_device(vectors()), jax.jit(lambda *arrays: loss(*arrays, num_items=100))
    rows = [each(*(array[row : row + 1] for array in arrays))[0] for row in range(BATCH)]
    np.testing.assert_allclose(rows, each(*arrays), rtol=1e-5, atol=1e-6)


@every_comparing_loss
def test_several_vectors_of_a_user(loss):
    """The best counts: one that is far worse than another changes nothing, nor does the order of the two."""
    user, positive, negatives = on_device(vectors())
    each = jax.jit(lambda *arrays: loss(*arrays, num_items=100))
    plain = each(user, positive, negatives)
    np.testing.assert_allclose(each(user[:, None], positive, negatives), plain, rtol=1e-5, atol=1e-6)
    other = on_device(vectors(1))[0]
    one, two = (each(jnp.stack(pair, 1), positive, negatives) for pair in ((user, other), (other, user)))
    np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    assert (np.abs(np.asarray(one) - plain) > 1e-3).any()


def slopes(loss, arrays, **extra):
    """The value of every row, and the gradients of their sum."""

    def total(*arrays):
        values = loss(*arrays, num_items=100, **extra)
        return values.sum(), values

    gradients, values = jax.jit(jax.grad(total, argnums=(0, 1, 2), has_aux=True))(*arrays)
    return [values, *gradients]


@with_and_without_log_q
def test_shared_negatives_are_those_of_every_row(loss, extra):
    user, positive, negatives = on_device(vectors())
    own = jnp.broadcast_to(negatives[0], negatives.shape)
    of_shared, of_own = (
        slopes(loss, (user, positive, one), negative_mask=HIDDEN, **extra) for one in (negatives[0], own)
    )
    of_own[-1] = of_own[-1].sum(0)
    for one, two in zip(of_shared, of_own, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=3e-5)


@with_and_without_log_q
def test_hidden_negatives_are_as_if_left_out(loss, extra):
    """Ones that would matter most, so that a trace of them is seen; what is negative_mask from a row has no gradient from it."""
    user, positive, negatives = on_device(vectors())
    loud = jnp.where(HIDDEN[..., None], user[:, None] * 1.5, negatives)
    *found, of_negatives = map(
        np.asarray, slopes(loss, (user, positive, loud), negative_mask=jnp.asarray(HIDDEN), **extra)
    )
    seen = slopes(loss, (user, positive, loud), **extra)[0]
    if extra:
        extra = LOG_Q | {"log_q": jnp.broadcast_to(LOG_Q["log_q"], HIDDEN.shape)[~HIDDEN].reshape(BATCH, -1)}
    *left, of_left = slopes(loss, (user, positive, negatives[~HIDDEN].reshape(BATCH, -1, DIM)), **extra)
    for one, two in zip(found, left, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(of_negatives[~HIDDEN], of_left.reshape(-1, DIM), rtol=1e-5, atol=1e-5)
    assert (of_negatives[HIDDEN] == 0).all()
    assert np.abs(seen - found[0]).max() > 1e-3


@with_and_without_log_q
def test_where_all_are_hidden_there_is_nothing_to_compare_with(loss, extra):
    user, positive, negatives = on_device(vectors())
    for arrays in ((user, positive, negatives), (user, positive, negatives[0])):
        values, of_user, of_positive, of_negatives = slopes(
            loss, arrays, negative_mask=jnp.ones((BATCH, WIDTH), bool), **extra
        )
        assert not np.asarray(of_negatives).any()
        # CCL pulls a user to a positive without any negative, too.
        if loss is not COMPARING["ccl"]:
            assert not any(np.asarray(found).any() for found in (values, of_user, of_positive))


@every_comparing_loss
def test_a_sampler_without_negatives_is_refused(loss):
    user, positive, negatives = on_device(vectors())
    with pytest.raises(ValueError, match="compares a positive with negatives, and this sampler draws none"):
        loss(user, positive, negatives[:, :0], num_items=100)


GEOMETRIES = {"cml": "distance", "dpcml": "distance", "buir": "buir"}


@every_loss
def test_a_loss_says_what_it_compares(name):
    assert LOSSES[name].geometry == GEOMETRIES.get(name.split()[0], "dot")
