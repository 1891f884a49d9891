"""NGCF: propagation over the graph with weights, with products of a row and its neighbours, and with a non-linearity.

`S` are the sums over neighbours, `*` is entry by entry, and `leaky` is the leaky rectifier. Each layer is

    paper       E' = leaky((E + S) W1 + (S * E) W2)                        S = A_hat E
    official    E' = leaky(S W1 + b1) + leaky((E * S) W2 + b2)             S = D^-1 (A + I) E and others
    recbole     E' = leaky((E + S) W1 + b1 + (S * E) W2 + b2)              S = A_hat E

and then dropout. The output of a layer is `E'` with its rows rescaled to length 1. The vectors are `E^0` and all outputs side by
side. The next layer reads `E'` itself, except in the form "recbole": there it reads the output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from onebp_jax.encoders.embedding import embedding, xavier_normal
from onebp_jax.encoders.graph import Graph, bipartite, neighbour_means, neighbour_sums, rows_of
from onebp_jax.ops.checks import check_choice, check_count, check_share
from onebp_jax.ops.geometry import unit_fast_gradient
from onebp_jax.ops.random import random_words
from onebp_jax.types import Array, Encoder, Interactions, Tables

FORMS = ("paper", "official", "recbole")
ADJACENCIES = ("norm", "ngcf", "gcmc")
Pair = tuple[Array, Array]


class Layers(NamedTuple):
    """The weights of all layers, for the sums and for the products `f32[K, d, d]`, and their biases `f32[K, d]` or None."""

    of_sums: Array
    of_products: Array
    sums_bias: Array | None = None
    products_bias: Array | None = None


def ngcf(
    dim: int,
    num_layers: int = 3,
    form: str = "paper",
    adjacency: str | None = None,
    dropout: float = 0.1,
    slope: float = 0.2,
) -> Encoder:
    """Neural graph collaborative filtering; the score is the dot product of vectors of width `dim (1 + num_layers)`.

    Args:
      dim: width of the tables, which are as in `embedding`, and of every layer.
      num_layers: number of propagations, >= 0; 0 is matrix factorisation.
      form: "paper", "official" (the authors' code) or "recbole": three different layers, see the head of this module.
      adjacency: only for "official". "norm" is `D^-1 (A + I)`, where the degrees count the node itself (the default, as in that
        code); "ngcf" is `D^-1 A + I`; "gcmc" is `D^-1 A`. The other forms are always symmetric.
      dropout: probability that an entry of `E'` is dropped in training, in [0, 1), to the nearest 1/65536.
      slope: slope of the rectifier below zero.

    Returns:
      An `Encoder` that reads whole tables. Its `params` are `Layers`, Xavier-normal (biases of "recbole" begin at zero), so its
      method needs a `tx`. Without layers they are `()`.

    Raises:
      ValueError: any argument outside of these values.

    Source: Wang et al. 2019, https://arxiv.org/abs/1905.08108; xiangwang1223/neural_graph_collaborative_filtering; RecBole.
    """
    base = embedding(dim)
    check_count("num_layers", num_layers, 0)
    _check(form, adjacency, dropout, slope)
    propagate = _layer(form, adjacency or "norm", slope)

    def init(key: Array, data: Interactions) -> Tables:
        tables = base.init(key, data)
        if not num_layers:
            return tables
        return tables._replace(params=_first_layers(jax.random.fold_in(key, 1), dim, num_layers, form))

    def blocks(tables: Tables, data: Interactions, key: Array | None) -> list[Pair]:
        """`E^0` and the result of each layer, for users and items, before rows are rescaled to length 1."""
        pair = tables.user, tables.item
        found = [pair]
        for number in range(num_layers):
            layer = jax.tree.map(lambda weights, number=number: weights[number], tables.params)
            pair = propagate(data.prepared, pair, layer)
            if key is not None and dropout:
                user_key, item_key = jax.random.split(jax.random.fold_in(key, number))
                pair = drop(user_key, pair[0], dropout), drop(item_key, pair[1], dropout)
            if form == "recbole":
                pair = unit_fast_gradient(pair[0]), unit_fast_gradient(pair[1])
            found.append(pair)
        return found

    def joined(parts: Sequence[Array]) -> Array:
        return jnp.concatenate([parts[0], *map(unit_fast_gradient, parts[1:])], axis=1)

    def encode(tables: Tables, user_ids: Array, item_ids: Array, data: Interactions, key=None) -> Pair:
        user, item = zip(*blocks(tables, data, key), strict=True)
        # Take the rows of the batch first: only these need length 1.
        return joined([rows_of(table, user_ids) for table in user]), joined(
            [rows_of(table, item_ids) for table in item]
        )

    def vectors(tables: Tables, data: Interactions) -> Pair:
        user, item = zip(*blocks(tables, data, None), strict=True)
        return joined(user), joined(item)

    return Encoder(init, encode, vectors, reads_all_rows=True, prepare=lambda data: bipartite(data, dim))


def drop(key: Array, values: Array, rate: float) -> Array:
    """Sets each entry to zero with probability `rate` (to the nearest 1/65536), and scales up the others to keep the mean."""
    keep = min(max(round((1 - rate) * 2**16), 1), 2**16)
    # Random numbers would take most of a step. So each entry uses half a word, and both words of each cipher call are used.
    count = values.size
    words = random_words(key, -(-count // 2))
    halves = jnp.concatenate([words & 0xFFFF, words >> 16])[:count].reshape(values.shape)
    return jnp.where(halves < keep, values * (2**16 / keep), 0)


def _layer(form: str, adjacency: str, slope: float) -> Callable[[Graph, Pair, Layers], Pair]:
    """`layer(graph, (user, item), weights) -> (user, item)`, before dropout and before rows are rescaled."""

    def bias(values: Array, by: Array | None) -> Array:
        return values if by is None else values + by

    def one_side(own: Array, near: Array, weights: Layers) -> Array:
        linear = near if form == "official" else own + near
        sums = bias(_product(linear, weights.of_sums), weights.sums_bias)
        products = bias(_product(own * near, weights.of_products), weights.products_bias)
        if form == "official":
            return jax.nn.leaky_relu(sums, slope) + jax.nn.leaky_relu(products, slope)
        return jax.nn.leaky_relu(sums + products, slope)

    def layer(graph: Graph, pair: Pair, weights: Layers) -> Pair:
        near = _row_normalised(graph, pair, adjacency) if form == "official" else neighbour_sums(graph, *pair)
        return one_side(pair[0], near[0], weights), one_side(pair[1], near[1], weights)

    return layer


def _row_normalised(graph: Graph, pair: Pair, adjacency: str) -> Pair:
    means = neighbour_means(graph, *pair)
    if adjacency == "gcmc":
        return means
    if adjacency == "ngcf":
        return means[0] + pair[0], means[1] + pair[1]
    user_degree, item_degree = graph.user_degree[:, None], graph.item_degree[:, None]
    with_self = lambda mean, degree, own: (mean * degree + own) / (degree + 1)
    return with_self(means[0], user_degree, pair[0]), with_self(means[1], item_degree, pair[1])


def _product(rows: Array, weights: Array) -> Array:
    return jnp.matmul(rows, weights, precision=jax.lax.Precision.HIGHEST)


def _first_layers(key: Array, dim: int, num_layers: int, form: str) -> Layers:
    keys = jax.random.split(key, (4, num_layers))
    weights = [jax.vmap(lambda one: xavier_normal(one, dim, dim))(some) for some in keys[:2]]
    if form == "official":
        weights += [jax.vmap(lambda one: xavier_normal(one, 1, dim)[0])(some) for some in keys[2:]]
    if form == "recbole":
        weights += [jnp.zeros((num_layers, dim))] * 2
    return Layers(*weights)


def _check(form: str, adjacency: str | None, dropout: float, slope: float) -> None:
    check_choice("form", form, FORMS)
    if adjacency is not None and form != "official":
        raise ValueError(f"adjacency={adjacency!r} is for form='official' only; form={form!r} is always symmetric")
    if adjacency is not None:
        check_choice("adjacency", adjacency, ADJACENCIES)
    check_share("dropout", dropout, one=False)
    if not math.isfinite(slope):
        raise ValueError(f"slope must be a finite number, got {slope}")
