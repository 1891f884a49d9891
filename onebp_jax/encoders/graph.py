"""The graph of the training pairs, and sums over neighbours in it; all graph encoders use this module.

The nodes are users and items, the edges are training pairs, and `A` has a one for each edge in both directions. All sums are
products with the symmetric matrix

    A_hat = D^-1/2 A D^-1/2,     (A_hat E)_u = sum over items i of u of  E_i / sqrt(deg_u deg_i),  and the same for an item

It is its own transpose, so the backward pass of the sums for users is the sums for items, and vice versa. The row-normalised
adjacency is A_hat between two scalings: `D^-1 A = D^-1/2 A_hat D^1/2`. A node without a pair gets zeros.

Edges are sorted by destination and summed block by block. One large segment sum would write and read 200 MB of messages for a
graph of Gowalla's size; it takes 18 times as long on the CPU (130 ms against 7 ms, dim 64). A dense matrix product would save
at most a third of the time on MovieLens-100k, so there is none.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from onebp_jax.ops.csr import item_counts, need_rows
from onebp_jax.ops.repeated import add_rows, rows_at
from onebp_jax.ops.rows import block_rows
from onebp_jax.types import Array, Interactions

# A graph is made of NumPy arrays on the host; in a training step they are JAX arrays.
AnyArray = Array | np.ndarray


class Edges(NamedTuple):
    """Edges in one direction, in blocks, in ascending order of destination. Padding has weight 0 and a destination past the end.

    Attributes:
      source, destination: `i32[blocks, size]`, rows of the table that is read, and rows of the sums.
      weight: `f32[blocks, size]`, `1 / sqrt(deg_source deg_destination)`.
    """

    source: AnyArray
    destination: AnyArray
    weight: AnyArray


class Graph(NamedTuple):
    """A bipartite graph: edges from items to users, edges from users to items, and the degrees `f32[M]` and `f32[N]`."""

    to_user: Edges
    to_item: Edges
    user_degree: AnyArray
    item_degree: AnyArray


def bipartite(data: Interactions, dim: int) -> Graph:
    """The graph of the training pairs, made on the host.

    Args:
      data: the training interactions. They hold no pairs of a test split, so the graph does not either.
      dim: width of the tables that the graph will be used with; it decides the size of the blocks.

    Returns:
      A `Graph`, for an encoder's `prepare`.

    Raises:
      ValueError: `data` does not hold what users touched, as for a stream that is too large.
    """
    if not data.max_row:
        raise ValueError(
            "a graph of the training pairs does not fit in memory: raise membership_bytes, or use another encoder"
        )
    counts, items = np.diff(data.row_starts), np.asarray(data.sorted_items)
    users = np.repeat(np.arange(data.num_users), counts)
    degrees = counts.astype(np.float64), item_counts(data).astype(np.float64)
    weight = 1 / np.sqrt(degrees[0][users] * degrees[1][items])
    size = block_rows(jax.ShapeDtypeStruct((1, dim), jnp.float32), len(items))
    by_item = np.argsort(items, kind="stable")
    to_user = _in_blocks(items, users, weight, data.num_users, size)
    to_item = _in_blocks(users[by_item], items[by_item], weight[by_item], data.num_items, size)
    return Graph(to_user, to_item, degrees[0].astype(np.float32), degrees[1].astype(np.float32))


def weighted(
    data: Interactions, dim: int, to_user: np.ndarray, to_item: np.ndarray | None = None
) -> tuple[Edges, Edges | None]:
    """The edges from items to users with the weights `[P]`, in the order of `sorted_items`, and those from users to items with
    theirs; None without `to_item`. Made on the host.

    Raises:
      ValueError: as in `bipartite`.
    """
    need_rows(data)
    items = np.asarray(data.sorted_items)
    users = np.repeat(np.arange(data.num_users), np.diff(data.row_starts))
    size = block_rows(jax.ShapeDtypeStruct((1, dim), jnp.float32), len(items))
    edges = _in_blocks(items, users, to_user, data.num_users, size)
    if to_item is None:
        return edges, None
    by_item = np.argsort(items, kind="stable")
    return edges, _in_blocks(users[by_item], items[by_item], to_item[by_item], data.num_items, size)


def _in_blocks(source: np.ndarray, destination: np.ndarray, weight: np.ndarray, rows: int, size: int) -> Edges:
    columns = ((source, 0, np.int32), (destination, rows, np.int32), (weight, 0, np.float32))
    padding = -len(source) % size
    return Edges(
        *(np.append(values, np.full(padding, fill)).reshape(-1, size).astype(dtype) for values, fill, dtype in columns)
    )


# Without this jit, a call outside of a compiled step would compile the loop again each time.
@partial(jax.jit, static_argnames="rows", inline=True)
def sums(edges: Edges, table: Array, rows: int) -> Array:
    """`[rows, d]`: for each destination, the weighted sum of the rows of its sources."""

    def add(total: Array, block: Edges) -> tuple[Array, None]:
        messages = table.at[block.source].get(mode="clip") * block.weight[:, None].astype(table.dtype)
        return add_rows(total, jnp.asarray(block.destination), messages, indices_are_sorted=True), None

    zeros = jnp.zeros((rows, table.shape[1]), table.dtype)
    if edges.source.shape[0] == 1:
        return add(zeros, jax.tree.map(lambda values: values[0], edges))[0]
    return jax.lax.scan(add, zeros, edges)[0]


def _plain_messages(edges: Edges, back: Edges, table: Array, rows: int, source_rows: int) -> Array:
    """`sums(edges, table, rows)`; `back` holds the same edges in the other direction, for the backward pass."""
    del back, source_rows
    return sums(edges, table, rows)


_messages = jax.custom_vjp(_plain_messages, nondiff_argnums=(3, 4))


def _messages_forward(edges: Edges, back: Edges, table: Array, rows: int, source_rows: int):
    return _messages(edges, back, table, rows, source_rows), back


def _messages_backward(rows: int, source_rows: int, back: Edges, grads: Array):
    # The automatic backward pass would scatter to unsorted rows, and could not go through a loop.
    return None, None, sums(back, grads, source_rows)


_messages.defvjp(_messages_forward, _messages_backward)


def neighbour_sums(graph: Graph, user: Array, item: Array) -> tuple[Array, Array]:
    """`A_hat E`: `([M, d], [N, d])`, the sums for users from the item table, and the sums for items from the user table."""
    rows = graph.user_degree.shape[0], graph.item_degree.shape[0]
    of_users = _messages(graph.to_user, graph.to_item, item, rows[0], rows[1])
    return of_users, _messages(graph.to_item, graph.to_user, user, rows[1], rows[0])


def neighbour_means(graph: Graph, user: Array, item: Array) -> tuple[Array, Array]:
    """`D^-1 A E`: the mean of the neighbours' rows; arguments and results as in `neighbour_sums`."""
    user_degree, item_degree = graph.user_degree[:, None], graph.item_degree[:, None]
    of_users, of_items = neighbour_sums(graph, jnp.sqrt(user_degree) * user, jnp.sqrt(item_degree) * item)
    inverse = lambda degree: jax.lax.rsqrt(jnp.maximum(degree, 1))
    return inverse(user_degree) * of_users, inverse(item_degree) * of_items


def rows_of(table: Array, ids: Array) -> Array:
    """`[b, d]`: the rows `ids i32[b]`, differentiable. A padded id reads the last row; the step masks it."""
    return rows_at(table, ids)
