"""How vectors are compared: by dot product or squared Euclidean distance. If a user has several vectors, the best one counts.

    dot        s = max_k <u_k, v>          distance   s = -min_k |u_k - v|^2

Scores are laid out as `[k, b]`, one column per row of the batch. Sums over the negatives of a row then run over whole vectors,
and the backward pass of shared negatives is a plain product of `[k, b]` and `[b, d]`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.ops.gpu import computed_once
from onebp_jax.ops.rows import row_sums
from onebp_jax.types import Array

_EXACT = jax.lax.Precision.HIGHEST


def inverse_length(vectors: Array) -> Array:
    """`f32[..., 1]`: the inverse of each vector's Euclidean length, at most `1e12`."""
    return jax.lax.rsqrt(jnp.maximum(row_sums(vectors * vectors), 1e-24))


def unit(vectors: Array) -> Array:
    """`f32[..., d]`: every vector divided by its Euclidean length; a vector of zeros stays zero."""
    return vectors * inverse_length(vectors)


@jax.custom_vjp
def unit_fast_gradient(vectors: Array) -> Array:
    """`unit` with a handwritten backward pass, for the tables of encoders. The automatic one sums each row one number at a time.

    Its gradients differ from those of `unit` in the last bits, so losses and penalties use `unit`.
    """
    return unit(vectors)


def _unit_forward(vectors: Array) -> tuple[Array, tuple[Array, Array]]:
    inverse = inverse_length(vectors)
    return vectors * inverse, (vectors, inverse)


def _unit_backward(kept: tuple[Array, Array], grads: Array) -> tuple[Array]:
    vectors, inverse = kept
    of_length_one = vectors * inverse
    # A vector shorter than 1e-12 was scaled by a constant.
    long = inverse < 1e12
    return (inverse * (grads - jnp.where(long, of_length_one * row_sums(grads * of_length_one), 0)),)


unit_fast_gradient.defvjp(_unit_forward, _unit_backward)


def _products(user: Array, items: Array) -> Array:
    """`f32[k, b]`, or `f32[k, b, K]` for several vectors per user: dot products in full float32 on any device."""
    shared, several = items.ndim == 2, user.ndim == 3
    shape = ("kd" if shared else "bkd") + (",bmd->kbm" if several else ",bd->kb")
    return jnp.einsum(shape, items, user, precision=_EXACT)


def each_distance(user: Array, items: Array) -> Array:
    """`f32[k, b]`, or `[k, b, K]` for several vectors per user: squared Euclidean distances."""
    if items.ndim == 2:
        # Shared items: use products, because `b x k` differences would take `d` times as much memory.
        of_items, of_user = jnp.sum(items * items, -1), jnp.sum(user * user, -1)
        squares = of_items.reshape(-1, *[1] * of_user.ndim) + of_user - 2 * _products(user, items)
        return jnp.maximum(squares, 0)
    columns = items.swapaxes(0, 1)
    if user.ndim == 3:
        columns, user = columns[:, :, None], user[None]
    return jnp.sum((columns - user) ** 2, -1)


def dots(user: Array, items: Array) -> Array:
    """`f32[k, b]`: the (largest) dot product of `user [b, d]` or `[b, K, d]` with `items [b, k, d]`, or shared `[k, d]`."""
    products = _products(user, items)
    return computed_once(products).max(-1) if user.ndim == 3 else products


def distances(user: Array, items: Array) -> Array:
    """`f32[k, b]`: the (smallest) squared Euclidean distance. Arguments are as in `dots`."""
    squares = each_distance(user, items)
    return computed_once(squares).min(-1) if user.ndim == 3 else squares


def paired_dots(user: Array, item: Array) -> Array:
    """`f32[b]`: the (largest) dot product of `user [b, d]` or `[b, K, d]` with the single `item [b, d]` of each row."""
    if user.ndim == 3:
        return dots(user, item[:, None])[0]
    return jnp.einsum("bd,bd->b", user, item, precision=_EXACT)


def paired_distances(user: Array, item: Array) -> Array:
    """`f32[b]`: the (smallest) squared distance of `user [b, d]` or `[b, K, d]` to the single `item [b, d]` of each row."""
    return distances(user, item[:, None])[0]


def score(geometry: str, user: Array, items: Array) -> Array:
    """`f32[b, k]`, higher is better. Arguments are as in `dots`. Raises ValueError for a geometry other than these two."""
    if geometry == "dot":
        return dots(user, items).T
    if geometry == "distance":
        return -distances(user, items).T
    raise ValueError(
        f"vectors of geometry {geometry!r} have no score for single items: use a sampler that reads no scores"
    )


def ranked_by_dot(user: Array, item: Array) -> tuple[Array, Array]:
    """Vectors two numbers longer, whose dot products rank items by the distance of `user [M, (K,) d]` to `item [N, d]`.

    `-|u - v|^2 = 2 <u, v> - |v|^2 - |u|^2`. If users have several vectors, the last term matters; so it is the second number.
    """
    ones = jnp.ones((*user.shape[:-1], 1), user.dtype)
    size = -jnp.sum(user * user, -1, keepdims=True)
    lengths = -jnp.sum(item * item, -1, keepdims=True)
    return (
        jnp.concatenate([2 * user, ones, size], -1),
        jnp.concatenate([item, lengths, jnp.ones_like(lengths)], -1),
    )


def without_lengths(vectors: np.ndarray) -> np.ndarray | None:
    """`f32[..., d]`: what `ranked_by_dot` made two numbers longer, of users or of items; None if it did not make these vectors.

    Args:
      vectors: `f32[..., d + 2]`, on the host.
    """
    if vectors.shape[-1] < 3:
        return None
    body, last, end = vectors[..., :-2], vectors[..., -2], vectors[..., -1]
    for places, ones, squares in ((body, end, last), (body / 2, last, end)):
        if (ones == 1).all() and np.allclose(squares, -np.sum(places * places, -1), rtol=1e-4, atol=1e-6):
            return places
    return None
