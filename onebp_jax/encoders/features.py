"""Towers over side information: the vector of an item is computed from its features, so a new item has a vector too.

    v_i = tower(features_i) + own_i            own_i: the item's row of the table; 0 for an item without a training pair,
                                               and for all items if `ids` turns their rows off
    FeatureTower    x = 1/n sum of the embeddings of the n tokens + A numbers + a,    x <- W relu(x) + c, once per layer

Users work the same way. Sources: Covington et al. 2016 (RecSys, "Deep Neural Networks for YouTube Recommendations") for the
towers; Kula 2015 (arXiv 1507.08439) for table rows beside features. Under OneBP the user tower averages these item vectors.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.encoders.embedding import embedding
from onebp_jax.ops.csr import item_counts
from onebp_jax.ops.geometry import unit_fast_gradient
from onebp_jax.ops.repeated import rows_at
from onebp_jax.ops.rows import take, to_float32
from onebp_jax.types import Array, Encoder, Interactions, Tables, Tree

# How many rows `vectors` passes through a tower at a time.
CHUNK = 8192
TOWERS = ("user", "item")


class FeatureTower(nn.Module):
    """`[n, dim]` from features: the mean of token embeddings plus a product with the numbers, then layers with ReLU between them.

    Attributes:
      dim: width of the vectors.
      hidden: widths of the layers before the last. The first is also the width of the token embeddings. Empty for a linear tower.
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
            # Padding tokens are out of range: they read zeros and get no gradient.
            summed = rows_at(vectors, features.tokens, "fill").sum(-2)
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
    """Two tables as in `embedding`, and one or two towers over `data.user_features` and `data.item_features`.

    A table row counts only for a user or item with a training pair. All other vectors come from the tower alone.

    Args:
      dim: width of tables and vectors.
      item_tower, user_tower: Flax modules with parameters only, `module.apply({"params": p}, features of n rows) -> [n, dim]`.
        None uses the table alone.
      ids: whether table rows are added to the vectors that the towers compute from features: True, False, "user" or "item"
        (for that tower only). A tower without a module always uses its rows. Rows that are not added get no gradient.
      normalize: score unit vectors. A moving average still uses vectors that are not rescaled, as with `embedding`.
      dtype: how the tables are stored, "float32" or "bfloat16"; parameters are float32.

    Returns:
      An `Encoder`; its parameters are those of the modules, `{"user": .., "item": ..}`. Its `partner` gives the whole vector,
      tower and row together, with the current parameters. So a user's average is over the vectors that are scored.

    Raises:
      ValueError: no module at all, another `ids`, or a width or dtype that `embedding` refuses. From `prepare(data)`: no
        features for a module, or features with the wrong number of rows. From `init`: a module with other collections than
        parameters, or with another width.
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
            tower: _init_module(module, one, getattr(data, f"{tower}_features"), tower, dim)
            for (tower, module), one in zip(modules.items(), keys, strict=True)
            if module is not None
        }
        return plain.init(plain_key, data)._replace(params=params)

    def add_own(tower: str, made: Array, rows: Array, is_known: Array) -> Array:
        return made + jnp.where(is_known[:, None], rows, 0) if ids in (True, tower) else made

    def some(tables: Tables, tower: str, rows: Array, row_ids: Array, data: Interactions) -> Array:
        module = modules[tower]
        if module is None:
            return rows
        known = jnp.asarray(data.prepared[tower]).at[row_ids].get(mode="clip")
        side = getattr(data, f"{tower}_features")
        return add_own(tower, _of_ids(module, tables.params[tower], side, row_ids), rows, known)

    def encode(tables: Tables, user_ids: Array, item_ids: Array, data: Interactions, key=None) -> tuple[Array, Array]:
        del key
        return form(some(tables, "user", tables.user, user_ids, data)), form(
            some(tables, "item", tables.item, item_ids, data)
        )

    def vectors(tables: Tables, data: Interactions) -> tuple[Array, Array]:
        def of_tower(tower: str) -> Array:
            rows, module = to_float32(getattr(tables, tower)), modules[tower]
            if module is not None:
                made = _of_all(module, tables.params[tower], getattr(data, f"{tower}_features"))
                rows = add_own(tower, made, rows, data.prepared[tower])
            return form(rows)

        return of_tower("user"), of_tower("item")

    def partner(tables: Tables, tower: str, row_ids: Array, data: Interactions) -> Array:
        return some(tables, tower, take(getattr(tables, tower), row_ids), row_ids, data)

    return Encoder(init, encode, vectors, prepare=prepare, partner=partner)


def _rows(side: Tree, ids: Array) -> Tree:
    return jax.tree.map(lambda leaf: leaf.at[ids].get(mode="clip"), side)


def _apply(module: nn.Module, params: Tree, side: Tree) -> Tree:
    """`[n, d]`: the tower's vectors of all rows of `side`. Flax declares a tuple too, which only `mutable` would return."""
    return module.apply({"params": params}, side)


def _of_ids(module: nn.Module, params: Tree, side: Tree, ids: Array) -> Array:
    """`[n, d]`: the tower's vectors of `ids i32[n]`. If there are fewer rows than ids, each row is computed once."""
    if ids.shape[0] < jax.tree.leaves(side)[0].shape[0]:
        return _apply(module, params, _rows(side, ids))
    return rows_at(_apply(module, params, side), ids)


def _of_all(module: nn.Module, params: Tree, side: Tree) -> Array:
    """`[N, d]`: the tower's vectors of all rows, computed `CHUNK` rows at a time."""
    count = jax.tree.leaves(side)[0].shape[0]
    if count <= CHUNK:
        return _apply(module, params, side)
    ids = jnp.arange(-(-count // CHUNK) * CHUNK).reshape(-1, CHUNK)
    made = jax.lax.map(lambda some: _apply(module, params, _rows(side, some)), ids)
    return made.reshape(-1, made.shape[-1])[:count]


def _check_features(tower: str, side: Tree, count: int) -> None:
    if side is None:
        raise ValueError(f"the {tower} tower reads features, and the data have none: set {tower}_features")
    rows = {leaf.shape[0] for leaf in jax.tree.leaves(side)}
    if rows != {count}:
        raise ValueError(f"{tower}_features has rows {sorted(rows)}, expected one for each of the {count} {tower}s")


def _init_module(module: nn.Module, key: Array, side: Tree, tower: str, dim: int) -> Tree:
    one = jax.tree.map(lambda leaf: leaf[:1], side)
    variables = module.init(key, one)
    if others := set(variables) - {"params"}:
        raise ValueError(f"the {tower} tower has the collections {', '.join(sorted(others))}, expected parameters only")
    shape = jax.eval_shape(module.apply, variables, one).shape
    if shape != (1, dim):
        raise ValueError(f"the {tower} tower makes vectors of shape {shape} for one row, expected (1, {dim})")
    return variables.get("params", {})
