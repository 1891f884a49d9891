"""Users made of their histories: smoothed items, and spectral vectors beside trained ones, against dense matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from onebp_jax import encoders
from onebp_jax.data.device import on_host, upload
from onebp_jax.ops.fold import Recency, messages, user_vectors
from onebp_jax.types import Tables

USERS, ITEMS, DIM = 11, 9, 4
unit = lambda x: x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


@pytest.fixture(scope="module")
def matrix():
    """Every user but 3 and every item but 2 have pairs."""
    matrix = np.random.default_rng(0).random((USERS, ITEMS)) < 0.4
    matrix[3], matrix[:, 2], matrix[0, 0] = False, False, True
    return matrix.astype(np.float64)


@pytest.fixture(scope="module")
def times(matrix):
    """The time of each pair `[M, N]`, all different."""
    return np.random.default_rng(4).permutation(matrix.size).reshape(matrix.shape)


@pytest.fixture(scope="module")
def ages(matrix, times):
    """For each pair the number of later pairs of its user, `[M, N]`."""
    return np.array([[((times[u] > times[u, i]) * matrix[u]).sum() for i in range(ITEMS)] for u in range(USERS)])


@pytest.fixture(scope="module")
def data(matrix, ages):
    return on_host(np.argwhere(matrix), USERS, ITEMS, ages=ages[matrix > 0])


def prepared(encoder, data):
    """The data on the device, tables, and the tables with the context of an epoch."""
    device = upload(data.replace(prepared=encoder.prepare(data)))
    tables = encoder.init(jax.random.key(0), device)
    if encoder.refresh is not None:
        tables = tables._replace(context=encoder.refresh(tables, device))
    return device, tables


def by_hand(matrix, rows, damping, smoothing, user_damping, recency=1.0):
    """`(user, item)`: the definition, with whole matrices; `recency [M, N]` weighs the pairs of the users alone."""
    item, weight = unit(rows), np.maximum(matrix.sum(0), 1) ** -damping
    if smoothing:
        of_users = unit(matrix @ (weight[:, None] * item))
        context = unit(matrix.T @ (np.maximum(matrix.sum(1), 1)[:, None] ** -user_damping * of_users))
        item = unit(item + smoothing * context)
    return unit((matrix * recency) @ (weight[:, None] * item)), item


@pytest.mark.parametrize("damping, smoothing, user_damping", [(0, 0, 0.5), (0.3, 0.7, 0.5), (0, 1.5, 0)])
def test_vectors_are_those_of_the_definition(data, matrix, damping, smoothing, user_damping):
    encoder = encoders.aggregate(DIM, damping, smoothing=smoothing, user_damping=user_damping)
    device, tables = prepared(encoder, data)
    expected = by_hand(matrix, np.asarray(tables.item, np.float64), damping, smoothing, user_damping)
    for found, wanted in zip(encoder.vectors(tables, device), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("smoothing, lasting", [(0, 0), (0.7, 0.2)])
def test_users_with_a_half_life_weigh_events_by_their_age(data, matrix, ages, smoothing, lasting):
    encoder = encoders.aggregate(DIM, 0.3, smoothing=smoothing, recency=Recency(1.5, lasting))
    device, tables = prepared(encoder, data)
    recency = lasting + (1 - lasting) * 0.5 ** (ages / 1.5)
    expected = by_hand(matrix, np.asarray(tables.item, np.float64), 0.3, smoothing, 0.5, recency)
    for found, wanted in zip(encoder.vectors(tables, device), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    # Training and the context do not: they are those of an encoder without it.
    plain = encoders.aggregate(DIM, 0.3, smoothing=smoothing)
    device_of_plain, _ = prepared(plain, data)
    rows = jnp.asarray(encoder.vectors(tables, device)[1])[:4]
    given = rows, jnp.arange(4), jnp.array([0, 0, 0, 1]), 2
    np.testing.assert_array_equal(encoder.aggregate(*given, device)[0], plain.aggregate(*given, device_of_plain)[0])
    if smoothing:
        np.testing.assert_array_equal(encoder.refresh(tables, device), plain.refresh(tables, device_of_plain))


def test_a_half_life_needs_the_order_of_events(data):
    unordered = data.replace(ages=None)
    for encoder in (
        encoders.aggregate(DIM, recency=Recency(3.0)),
        encoders.beside_spectral(encoders.aggregate(DIM), 4, recency=Recency(3.0)),
    ):
        with pytest.raises(ValueError, match="options.half_life=3.0: the order of events is not known: split by time"):
            encoder.prepare(unordered)


def test_no_gradient_reaches_the_context(data):
    encoder = encoders.aggregate(DIM, smoothing=0.7)
    device, tables = prepared(encoder, data)
    assert encoder.refresh is not None
    user, item = jnp.arange(3), jnp.arange(5)

    def total(rows, refreshed):
        context = encoder.refresh(Tables(tables.user, rows), device) if refreshed else tables.context
        given = Tables(tables.user[user], rows[item], context=context[item])
        return jnp.sum(encoder.encode(given, user, item, device)[1] ** 3)

    constant = jax.grad(lambda rows: total(rows, False))(tables.item)
    assert not np.allclose(constant, jax.grad(lambda rows: total(rows, True))(tables.item), atol=1e-3)
    assert not np.asarray(constant[5:]).any(), "an item moves by its own examples"


@pytest.mark.parametrize("response", [0.0, 0.5])
def test_scores_side_by_side_are_sums_of_scores_of_equal_spread(data, matrix, response):
    inner = encoders.aggregate(DIM, smoothing=0.5)
    encoder = encoders.beside_spectral(inner, spectral_dim=6, spectral_weight=0.3, item_power=0.4, response=response)
    device, tables = prepared(encoder, data)
    user, item = encoder.vectors(tables, device)
    assert user.shape == (USERS, DIM + 6) and item.shape == (ITEMS, DIM + 6)
    trained = by_hand(matrix, np.asarray(tables.item, np.float64), 0, 0.5, 0.5)
    # The spectral half, by a dense decomposition.
    of_users, of_items = (np.maximum(matrix.sum(axis), 1) for axis in (1, 0))
    values, vectors = np.linalg.svd(matrix / np.sqrt(of_users[:, None] * of_items))[1:]
    values, vectors = values[:6] ** 2, vectors[:6].T
    spectral = matrix @ (vectors * of_items[:, None] ** -0.4), vectors * of_items[:, None] ** 0.4 * values**response
    expected = np.zeros((USERS, ITEMS))
    for (u, v), weight in ((trained, 1.0), (spectral, 0.3)):
        scores = u @ v.T
        spread = scores.std(1, keepdims=True)
        expected += weight * scores / np.where(spread > 1e-6, spread, 1)
    np.testing.assert_allclose(user @ item.T, expected, atol=2e-3)
    assert not np.asarray(user[3]).any()


def test_a_matrix_of_few_ranks_gives_all_of_them(data):
    encoder = encoders.beside_spectral(encoders.aggregate(DIM), spectral_dim=500)
    device, tables = prepared(encoder, data)
    assert encoder.vectors(tables, device)[1].shape == (ITEMS, DIM + min(USERS, ITEMS))


@pytest.mark.parametrize("name", ["damping", "smoothing", "user_damping"])
def test_exponents_and_weights_are_checked(name):
    with pytest.raises(ValueError, match=f"^{name} must be zero or a positive number, got -1.0"):
        encoders.aggregate(DIM, **{name: -1.0})


@pytest.mark.parametrize(
    "numbers, said", [((-1.0, 0.0), "half_life"), ((2.0, 1.5), "lasting"), ((0.0, 0.5), "lasting")]
)
def test_recency_is_checked(numbers, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        encoders.aggregate(DIM, recency=Recency(*numbers))


FOLDS = {
    "sum": lambda: encoders.aggregate(DIM),
    "damped": lambda: encoders.aggregate(DIM, damping=0.4),
    "smoothed": lambda: encoders.aggregate(DIM, smoothing=0.7),
    "beside": lambda: encoders.beside_spectral(encoders.aggregate(DIM), 6, 0.3, 0.4),
    "recent": lambda: encoders.aggregate(DIM, damping=0.4, smoothing=0.7, recency=Recency(2.0)),
    "recent, beside": lambda: encoders.beside_spectral(
        encoders.aggregate(DIM, recency=Recency(0.7, 0.1)), 6, 0.3, 0.4, recency=Recency(0.7, 0.1)
    ),
    "beside, response": lambda: encoders.beside_spectral(encoders.aggregate(DIM, 0.3, smoothing=0.5), 6, 0.3, 0.4, 0.5),
}


@pytest.mark.parametrize("name", FOLDS)
def test_event_by_event_equals_the_aggregate(data, matrix, times, name):
    encoder = FOLDS[name]()
    device, tables = prepared(encoder, data)
    users, items = map(np.asarray, encoder.vectors(tables, device))
    fold = jax.device_get(encoder.fold(device))
    rows, vectors, (shares, keeps) = messages(fold, items), user_vectors(fold, items), fold.recency.rates.T
    sums = np.zeros((USERS, len(shares), items.shape[1]), np.float32)
    for event in np.argsort(times, axis=None):
        user, item = divmod(int(event), ITEMS)
        if matrix[user, item]:
            sums[user] = keeps[:, None] * sums[user] + rows[item]
    totals = np.einsum("s,usd->ud", shares, sums)
    found = vectors(totals)
    assert found.shape == users.shape
    np.testing.assert_allclose(found, users, atol=1e-5 * np.abs(users).max())
    # A user without events, and any part of the users, in any order, on the host and on the device.
    assert not vectors(np.zeros_like(totals[:2])).any()
    few = np.array([5, 1])
    np.testing.assert_allclose(vectors(totals[few]), found[few], atol=1e-6)
    np.testing.assert_allclose(user_vectors(fold, jnp.asarray(items))(jnp.asarray(totals)), found, atol=1e-5)


def test_an_encoder_without_a_fold_has_none_beside_spectral_vectors():
    assert encoders.beside_spectral(encoders.embedding(DIM), 4).fold is None
