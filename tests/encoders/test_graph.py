"""The graph: A_hat against a dense matrix made by loops, in one block and in several, forwards and backwards."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import graphs
from support.graphs import NODES, NUM_ITEMS, NUM_USERS, PAIRS

from onebp_jax.config import default_config
from onebp_jax.data import generate
from onebp_jax.encoders import graph as module
from onebp_jax.encoders import lightgcn
from onebp_jax.encoders.graph import bipartite, neighbour_means, neighbour_sums
from onebp_jax.methods.build import build_method
from onebp_jax.training import runner

# 7 edges: one block, two blocks with a padded edge, a block for each edge.
SIZES = (7, 4, 1)
IDENTITY = jnp.eye(NODES)[:NUM_USERS], jnp.eye(NODES)[NUM_USERS:]


@pytest.fixture(scope="module", params=SIZES)
def graph(request):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "block_rows", lambda table, count: request.param)
        found = bipartite(graphs.interactions(), NODES)
    assert found.to_user.source.shape == (-(-len(PAIRS) // request.param), request.param)
    return found


@pytest.fixture(scope="module")
def matrix(graph):
    """A_hat as the library has it, column by column."""
    return np.concatenate(neighbour_sums(graph, *IDENTITY))


def test_the_sums_are_the_product_with_the_dense_matrix(matrix):
    np.testing.assert_allclose(matrix, graphs.adjacency(PAIRS, NUM_USERS, NUM_ITEMS), rtol=1e-6, atol=0)


def test_the_matrix_is_symmetric_with_spectral_radius_one(matrix):
    np.testing.assert_array_equal(matrix, matrix.T)
    assert np.abs(np.linalg.eigvalsh(matrix.astype(np.float64))).max() == pytest.approx(1, rel=1e-6)


def test_means_are_row_normalised(graph):
    means = np.concatenate(jax.jit(neighbour_means)(graph, *IDENTITY))
    np.testing.assert_allclose(means, graphs.adjacency(PAIRS, NUM_USERS, NUM_ITEMS, "gcmc"), rtol=1e-6, atol=0)
    assert sorted(set(means.sum(1).round(6).tolist())) == [0, 1]


def test_nodes_without_a_pair_get_zeros(matrix):
    alone = [2, 3, NUM_USERS + 1, NUM_USERS + 5]
    assert not matrix[alone].any() and not matrix[:, alone].any()
    assert matrix.any(axis=1).sum() == NODES - 4


def test_the_backward_pass_is_the_transposed_product(graph):
    """Each output depends on one table only, and its gradient is the other side's sum."""
    weights = np.random.default_rng(1).normal(size=(NODES, NODES)).astype(np.float32)

    @jax.jit
    def gradients(graph, user, item):
        total = lambda user, item: sum(
            (table * weight).sum()
            for table, weight in zip(
                neighbour_sums(graph, user, item), (weights[:NUM_USERS], weights[NUM_USERS:]), strict=True
            )
        )
        return jax.grad(total, argnums=(0, 1))(user, item)

    expected = graphs.adjacency(PAIRS, NUM_USERS, NUM_ITEMS).T @ weights
    np.testing.assert_allclose(np.concatenate(gradients(graph, *IDENTITY)), expected, rtol=1e-5, atol=1e-6)


def test_edges_are_the_pairs_once_each_way_sorted_by_destination(graph):
    for edges, columns in ((graph.to_user, (1, 0)), (graph.to_item, (0, 1))):
        source, destination, weight = (np.asarray(values).reshape(-1) for values in edges)
        assert (np.diff(destination) >= 0).all()
        real = weight > 0
        assert real.sum() == len(PAIRS) and (destination[~real] == (NUM_USERS, NUM_ITEMS)[columns[1]]).all()
        found = np.stack([source, destination], 1)[real]
        assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, PAIRS[:, columns].tolist()))


def test_pairs_of_the_test_and_validation_parts_are_not_in_the_graph():
    config = default_config()
    config.batch_size = 64
    dataset = generate(num_users=30, num_items=30, seed=1)
    job, _ = runner.prepare(config, build_method(config)._replace(encoder=lightgcn(2, 0)), dataset)
    edges = job.data.prepared.to_user
    real = np.asarray(edges.weight).reshape(-1) > 0
    users, items = (np.asarray(values).reshape(-1)[real].tolist() for values in (edges.destination, edges.source))
    linked = set(zip(users, items, strict=True))
    trained = set(zip(job.data.user_ids.tolist(), job.data.item_ids.tolist(), strict=True))
    assert linked == trained < set(map(tuple, dataset.train.tolist()))
    assert len(dataset.test) and not linked & set(map(tuple, dataset.test.tolist()))
