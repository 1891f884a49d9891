"""LightGCN: embeddings smoothed over the graph of the training pairs. Only the embeddings are learned.

E^{k+1} = A_hat E^k,     Z = (E^0 + E^1 + .. + E^K) / (K + 1)
"""

from __future__ import annotations

from onebp_jax.encoders.embedding import embedding
from onebp_jax.encoders.graph import bipartite, neighbour_sums, rows_of
from onebp_jax.ops.checks import check_count
from onebp_jax.ops.geometry import unit_fast_gradient
from onebp_jax.types import Array, Encoder, Interactions, Tables


def lightgcn(dim: int, num_layers: int = 3, normalize: bool = False) -> Encoder:
    """The mean of an embedding and its `num_layers` propagations; the score is the dot product.

    Args:
      dim: width of the tables, which are as in `embedding`.
      num_layers: number of propagations, >= 0; 0 is matrix factorisation.
      normalize: score unit vectors, so that the dot product is the cosine.

    Returns:
      An `Encoder` that reads whole tables. A step costs `2 num_layers` sums over all training pairs, and at most the same number
      in the backward pass.

    Raises:
      ValueError: a width that is not a positive whole number, or a number of layers that is not a whole number >= 0.

    Source: He et al. 2020, https://arxiv.org/abs/2002.02126; `A_hat` as in `onebp_jax.encoders.graph`.
    """
    base = embedding(dim)
    check_count("num_layers", num_layers, 0)
    form = unit_fast_gradient if normalize else lambda rows: rows

    def propagated(tables: Tables, data: Interactions) -> tuple[Array, Array]:
        layer = total = tables.user, tables.item
        for _ in range(num_layers):
            layer = neighbour_sums(data.prepared, *layer)
            total = total[0] + layer[0], total[1] + layer[1]
        return total[0] / (num_layers + 1), total[1] / (num_layers + 1)

    def encode(tables: Tables, user_ids: Array, item_ids: Array, data: Interactions, key=None) -> tuple[Array, Array]:
        del key
        user, item = propagated(tables, data)
        return form(rows_of(user, user_ids)), form(rows_of(item, item_ids))

    def vectors(tables: Tables, data: Interactions) -> tuple[Array, Array]:
        user, item = propagated(tables, data)
        return form(user), form(item)

    return Encoder(base.init, encode, vectors, reads_all_rows=True, prepare=lambda data: bipartite(data, dim))
