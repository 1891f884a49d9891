"""Euclidean and multi-interest tables: first vectors, and lists that follow the score that is trained."""

import jax
import numpy as np
import pytest

from onebp_jax.data.device import to_device
from onebp_jax.encoders import embedding, euclidean, multi_interest
from onebp_jax.ops import geometry

DATA = to_device(np.array([[0, 2], [1, 0], [4, 3], [4, 6]]), 400, 300)
KEY = jax.random.key(0)


@pytest.mark.parametrize("several", [1, 3])
def test_what_is_ranked_by_dot_product_is_minus_the_smallest_distance(several):
    encoder = euclidean(5, several)
    tables = encoder.init(KEY, DATA)
    users, items = (
        np.asarray(tables.user[:6], np.float64).reshape(6, several, 5),
        np.asarray(tables.item[:4], np.float64),
    )
    expected = [[-min(((one - item) ** 2).sum() for one in user) for item in items] for user in users]
    user, item = encoder.vectors(tables, DATA)
    np.testing.assert_allclose(geometry.dots(user[:6], item[:4]).T, expected, rtol=1e-5, atol=1e-5)
    trained = encoder.encode(tables, None, None, DATA, None)
    np.testing.assert_allclose(
        geometry.score(encoder.geometry, trained[0][:6], trained[1][:4]), expected, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("start", ["free", "ball", "sphere"])
def test_where_vectors_begin(start):
    user, item, *_ = euclidean(16, 2, user_std=0.01, start=start).init(KEY, DATA)
    assert user.shape == (400, 2, 16) and item.shape == (300, 16)
    lengths = [np.linalg.norm(np.asarray(table), axis=-1) for table in (user, item)]
    if start == "sphere":
        for one in lengths:
            np.testing.assert_allclose(one, 1, rtol=1e-6)
        return
    # 12,800 and 4,800 numbers: within 5 deviations.
    assert abs(np.asarray(user).std() / 0.01 - 1) < 0.032
    if start == "free":
        assert abs(np.asarray(item).std() * 4 - 1) < 0.051 and (lengths[1] > 1).any()
    else:
        free = euclidean(16, 2, user_std=0.01).init(KEY, DATA)
        inside = np.linalg.norm(np.asarray(free.item), axis=-1) <= 1
        np.testing.assert_array_equal(item[inside], free.item[inside])
        np.testing.assert_allclose(lengths[1][~inside], 1, rtol=1e-6)


@pytest.mark.parametrize("normalize", [False, True])
def test_one_interest_is_the_plain_embedding(normalize):
    one, plain = multi_interest(4, 1, normalize), embedding(4, normalize)
    tables, expected = one.init(KEY, DATA), plain.init(KEY, DATA)
    np.testing.assert_array_equal(tables.user[:, 0], expected.user)
    np.testing.assert_array_equal(tables.item, expected.item)
    for found, other in zip(one.vectors(tables, DATA), plain.vectors(expected, DATA), strict=True):
        np.testing.assert_allclose(found.reshape(other.shape), other, rtol=1e-6)


def test_the_interests_of_a_user_differ_at_first():
    user = np.asarray(multi_interest(32, 4).init(KEY, DATA).user)
    unit = user / np.linalg.norm(user, axis=-1, keepdims=True)
    cosines = np.einsum("mkd,mld->mkl", unit, unit)[:, *np.triu_indices(4, 1)]
    assert np.abs(cosines).max() < 0.9 and abs(cosines.mean()) < 0.02


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: euclidean(0), "dim must be a positive whole number, got 0"),
        (lambda: euclidean(3, 1.5), "num_interests must be a positive whole number, got 1.5"),
        (lambda: euclidean(3, item_std=-1.0), "item_std must be a positive number, got -1.0"),
        (lambda: euclidean(3, start="cube"), "start must be one of free, ball, sphere, got 'cube'"),
        (lambda: multi_interest(3, 0), "num_interests must be a positive whole number, got 0"),
    ],
)
def test_wrong_arguments_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
