"""Towers over side information: the vector of an item is made from its features, so that a new item has one.

    v_i = tower(features_i) + own_i            own_i: the item's row of the table; 0 for an item without a training pair,
                                               and for every item where `ids` says so
    FeatureTower    x = 1/n sum of the embeddings of the n tokens + A numbers + a,    x <- W relu(x) + c, once a layer

Users likewise. Source of the form: Covington et al. 2016 (RecSys, "Deep Neural Networks for YouTube Recommendations"); rows of
one's own beside features: Kula 2015 (arXiv 1507.08439). Under OneBP the user's moving average is of these vectors.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.encoders.embedding import embedding
from onebp_jax.ops.csr import item_counts
from onebp_jax.ops.geometry import unit_fast_gradient
from onebp_jax.ops.rows import take, to_float32
from onebp_jax.types import Array, Encoder, Interactions, Tables, Tree

# Rows that `vectors` passes through a tower at a time.
CHUNK = 8192
TOWERS = ("user", "item")


class FeatureTower(nn.Module):
    """`[n, dim]` from features: a mean of token embeddings and a product with the numbers, then layers with ReLU between them.

    Attributes:
      dim: width of the vectors.
      hidden: widths of the layers before the last; the token embeddings have the first of them. Empty for a linear tower.
    """

    dim: int
    hidden: tuple[int, ...] = (64,)

    @nn.compact
    def __call__(self, features) -> Array:
        first, *others = (*self.hidden, self.dim)
        x = self.param("bias", nn.initializers.zeros_init(), (first,))
        if features.tokens.shape[-1]:
            shape = (features.vocabulary, first)
            vectors = self.param("tokens", nn.initializers.normal(first**-0.5), shape)
            # Padding is a token out of range: it reads zeros and gets no gradient.
            summed = vectors.at[features.tokens].get(mode="fill", fill_value=0).sum(-2)
            counts = jnp.sum(features.tokens < features.vocabulary, axis=-1, keepdims=True)
            x = x + summed / jnp.maximum(counts, 1)
        if features.numeric.shape[-1]:
            x = x + nn.Dense(first, use_bias=False, name="numbers")(features.numeric)
        x = jnp.broadcast_to(x, (features.tokens.shape[0], first))
        for number, width in enumerate(others):
            x = nn.Dense(width, name=f"layer_{number}")(nn.relu(x))
        return x


def features(
    dim: int,
    item_tower: nn.Module | None = None,
    user_tower: nn.Module | None = None,
    ids: bool | str = True,
    normalize: bool = False,
    dtype: str = "float32",
) -> Encoder:
    """Two tables as in `embedding`, and beside one or both of them a tower over `data.user_features`, `data.item_features`.

    A row of its own counts only for a user or item with a training pair; the vector of any other is the tower's alone.

    Args:
      dim: width of tables and vectors.
      item_tower, user_tower: Flax modules with parameters only, `module.apply({"params": p}, features of n rows) -> [n, dim]`;
        None for the plain table.
      ids: whether rows of the tables are added to what the towers make of features: True, False, "user" or "item". A tower
        without a module always has its rows. Rows that are not added get no gradient.
      normalize: score unit vectors; a moving average still takes the vectors as long as they are, as with `embedding`.
      dtype: how the tables are stored, "float32" or "bfloat16"; parameters are in float32.

    Returns:
      An `Encoder` whose parameters are `{"user": .., "item": ..}` of the modules. Its `partner` gives whole vectors, so an
      average of items is one of what is scored, with the parameters as they are at that moment.

    Raises:
      ValueError: no module at all, another `ids`, a width or dtype that `embedding` refuses; from `prepare(data)`, no features
        for a module, or features of another number of rows; from `init`, a module with other collections or another width.
    """
    modules = {"user": user_tower, "item": item_tower}
    if user_tower is None and item_tower is None:
        raise ValueError("features needs an item_tower or a user_tower, got neither: use embedding")
    if ids not in (True, False, *TOWERS):
        raise ValueError(f"ids must be True, False, 'user' or 'item', got {ids!r}")
    plain = embedding(dim, normalize, dtype)
    form = unit_fast_gradient if normalize else lambda vectors: vectors

    def prepare(data: Interactions) -> Tree:
        for tower in TOWERS:
            if modules[tower] is not None:
                _check_features(tower, getattr(data, f"{tower}_features"), getattr(data, f"num_{tower}s"))
        return {"user": np.diff(data.row_starts) > 0, "item": item_counts(data) > 0}

    def init(key: Array, data: Interactions) -> Tables:
        plain_key, *keys = jax.random.split(key, 3)
        params = {
            tower: _init_module(modules[tower], one, getattr(data, f"{tower}_features"), tower, dim)
            for tower, one in zip(TOWERS, keys, strict=True)
            if modules[tower] is not None
        }
        return plain.init(plain_key, data)._replace(params=params)

    def add_own(tower: str, made: Array, rows: Array, is_known: Array) -> Array:
        return made + jnp.where(is_known[:, None], rows, 0) if ids in (True, tower) else made

    def some(tables: Tables, tower: str, rows: Array, row_ids: Array, data: Interactions) -> Array:
        if modules[tower] is None:
            return rows
        known = jnp.asarray(data.prepared[tower]).at[row_ids].get(mode="clip")
        side = getattr(data, f"{tower}_features")
        return add_own(tower, _of_ids(modules[tower], tables.params[tower], side, row_ids), rows, known)

    def encode(tables: Tables, user_ids: Array, item_ids: Array, data: Interactions, key=None) -> tuple[Array, Array]:
        del key
        return form(some(tables, "user", tables.user, user_ids, data)), form(
            some(tables, "item", tables.item, item_ids, data)
        )

    def vectors(tables: Tables, data: Interactions) -> tuple[Array, Array]:
        found = []
        for tower in TOWERS:
            rows = to_float32(getattr(tables, tower))
            if modules[tower] is not None:
                made = _of_all(modules[tower], tables.params[tower], getattr(data, f"{tower}_features"))
                rows = add_own(tower, made, rows, data.prepared[tower])
            found.append(form(rows))
        return tuple(found)

    def partner(tables: Tables, tower: str, row_ids: Array, data: Interactions) -> Array:
        return some(tables, tower, take(getattr(tables, tower), row_ids), row_ids, data)

    return Encoder(init, encode, vectors, prepare=prepare, partner=partner)


def _rows(side: Tree, ids: Array) -> Tree:
    return jax.tree.map(lambda leaf: leaf.at[ids].get(mode="clip"), side)


def _of_ids(module: nn.Module, params: Tree, side: Tree, ids: Array) -> Array:
    """`[n, d]`: the tower's vectors of `ids i32[n]`; of everything once, where more are asked for than there are."""
    if ids.shape[0] < jax.tree.leaves(side)[0].shape[0]:
        return module.apply({"params": params}, _rows(side, ids))
    return module.apply({"params": params}, side).at[ids].get(mode="clip")


def _of_all(module: nn.Module, params: Tree, side: Tree) -> Array:
    """`[N, d]`, `CHUNK` rows at a time."""
    count = jax.tree.leaves(side)[0].shape[0]
    if count <= CHUNK:
        return module.apply({"params": params}, side)
    ids = jnp.arange(-(-count // CHUNK) * CHUNK).reshape(-1, CHUNK)
    made = jax.lax.map(lambda some: module.apply({"params": params}, _rows(side, some)), ids)
    return made.reshape(-1, made.shape[-1])[:count]


def _check_features(tower: str, side: Tree, count: int) -> None:
    if side is None:
        raise ValueError(f"the {tower} tower reads features, and the data have none: set {tower}_features")
    rows = {leaf.shape[0] for leaf in jax.tree.leaves(side)}
    if rows != {count}:
        raise ValueError(f"{tower}_features has rows {sorted(rows)}, expected one for each of {count} {tower}s")


def _init_module(module: nn.Module, key: Array, side: Tree, tower: str, dim: int) -> Tree:
    one = jax.tree.map(lambda leaf: leaf[:1], side)
    variables = module.init(key, one)
    if others := set(variables) - {"params"}:
        raise ValueError(f"the {tower} tower keeps {', '.join(sorted(others))}, expected parameters only")
    shape = jax.eval_shape(module.apply, variables, one).shape
    if shape != (1, dim):
        raise ValueError(f"the {tower} tower makes vectors of shape {shape} for one row, expected (1, {dim})")
    return variables.get("params", {})
