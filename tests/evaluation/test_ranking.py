"""Ranking: the same lists as a full stable sort, in bounded memory, compiled once."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from onebp_jax.evaluation import plan, ranking, top_k

ALL_AT_ONCE = 10**9


def full_sort(user, item, seen, k):
    """`(scores, items)` by a stable sort of every score: equal scores keep the order of the ids."""
    scores = user.astype(np.float64) @ item.astype(np.float64).T
    if seen is not None:
        scores[seen[:, 0], seen[:, 1]] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, order, 1)
    return best, np.where(best > -np.inf, order, len(item))


def ranked(user, item, seen, k, byte_budget=ranking.DEFAULT_BYTES):
    scores, items = top_k(user, item, plan(len(user), len(item), seen, byte_budget), k)
    return np.asarray(scores), np.asarray(items)


def ranked_in_blocks(user, item, seen, k, block, byte_budget=ranking.DEFAULT_BYTES):
    """`ranked` with so many items a block (0: whole rows), whatever the size of the catalogue."""
    layout = plan(len(user), len(item), seen, byte_budget)
    arrays = (jnp.asarray(user), jnp.asarray(item), layout.seen.rows, layout.seen.item_ids, layout.seen.starts)
    sizes = {"k": min(k, len(item)), "chunk": layout.chunk, "width": layout.seen.width, "block": block}
    return tuple(np.asarray(array) for array in ranking.rank_chunks(*arrays, **sizes))


def same_lists(found, expected):
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_array_equal(found[0], expected[0])


def budget_for(users, num_items):
    """Bytes of the scores of so many users."""
    return 4 * users * num_items


def integer_tables(seed, num_users=23, num_items=40, dim=3):
    """Small whole numbers: many ties, and every score exact in float32."""
    random = np.random.default_rng(seed)
    return [random.integers(-2, 3, (rows, dim)).astype(np.float32) for rows in (num_users, num_items)]


def random_seen(seed, num_users=23, num_items=40, share=0.3):
    """Distinct pairs in random order."""
    random = np.random.default_rng([seed, 1])
    pairs = np.argwhere(random.random((num_users, num_items)) < share)
    return random.permutation(pairs).astype(np.int32)


small = st.integers(-2, 2).map(float)


@pytest.mark.parametrize("dim", [1, 3])
@settings(deadline=None, max_examples=60, derandomize=True)
@given(data=st.data())
def test_equals_a_full_stable_sort(dim, data):
    user = data.draw(arrays(np.float32, (4, dim), elements=small))
    item = data.draw(arrays(np.float32, (9, dim), elements=small))
    # A fixed number of pairs keeps the shapes, so that all examples share one compilation.
    seen = np.array(data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), min_size=12, max_size=12)))
    same_lists(ranked(user, item, seen, 6), full_sort(user, item, seen, 6))


def test_zeros_of_either_sign_are_equal():
    item = np.array([[-0.0], [0.0], [1.0], [0.0], [-0.0]], np.float32)
    user = np.array([[1.0], [-1.0]], np.float32)
    _, items = ranked(user, item, None, 5)
    assert items.tolist() == [[2, 0, 1, 3, 4], [0, 1, 3, 4, 2]]


@pytest.mark.parametrize("users", [1, 2, 5, 22, 23, 1000])
def test_every_byte_budget_gives_the_same_bits(users):
    user, item = integer_tables(0)
    seen = random_seen(0)
    assert plan(23, 40, seen, budget_for(users, 40)).chunk == min(users, 23)
    same_lists(ranked(user, item, seen, 30, budget_for(users, 40)), full_sort(user, item, seen, 30))


@pytest.mark.parametrize("users", [1, 2, 5])
def test_a_byte_budget_moves_real_scores_by_rounding_only(users):
    random = np.random.default_rng(1)
    user, item = (random.normal(size=(rows, 8)).astype(np.float32) for rows in (23, 40))
    expected, order = full_sort(user, item, None, 40)
    assert np.diff(expected, axis=1).max() < -1e-5, "two scores are too near to each other for a fixed order"
    scores, items = ranked(user, item, None, 40, budget_for(users, 40))
    np.testing.assert_array_equal(items, order)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=4e-6)


def test_a_chunk_stays_within_its_budget():
    for budget in (1, 159, 160, 161, 799, 800, 10_000):
        chunk = plan(23, 40, None, budget).chunk
        assert chunk == 1 or budget_for(chunk, 40) <= budget
        assert chunk == 23 or budget_for(chunk + 1, 40) > budget


@pytest.mark.parametrize("num_items, block", [(499, 1), (500, 4), (501, 4), (499, 7), (500, 32), (501, 64)])
@settings(deadline=None, max_examples=8, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), values=st.integers(1, 3))
def test_blocks_keep_ties_in_order(num_items, block, seed, values):
    # Scores of a few values only, in tables long enough for many blocks: nearly every place is decided by a tie.
    random = np.random.default_rng(seed)
    user, item = (random.integers(0, values, (rows, 2)).astype(np.float32) for rows in (5, num_items))
    seen = np.argwhere(random.random((5, num_items)) < 0.5)[:900]
    seen = np.pad(seen, ((0, 900 - len(seen)), (0, 0)), mode="edge")
    for k in (1, 20):
        same_lists(ranked_in_blocks(user, item, seen, k, block), full_sort(user, item, seen, k))


# Each block meets each number of items, and each `k` of them in turn.
SIZES = itertools.product(enumerate([1, 3, 8, 16, 64]), enumerate([31, 32, 33, 40]))


@pytest.mark.parametrize(
    "num_items, block, k", [(items, block, [1, 3, 8, 40][(i + j) % 4]) for (i, block), (j, items) in SIZES]
)
def test_blocks_give_the_same_lists_at_every_size(num_items, block, k):
    # More wanted than there are blocks, all wanted, a last block with one item or one missing, one block for all.
    user, item = integer_tables(11, num_items=num_items)
    seen = random_seen(11, num_items=num_items, share=0.7)
    seen = np.concatenate([seen, [(22, i) for i in range(num_items)]])  # the last user has seen everything
    found = ranked_in_blocks(user, item, seen, k, block, budget_for(4, num_items))
    same_lists(found, full_sort(user, item, seen, k))
    assert (found[1][22] == num_items).all()


def test_blocks_with_negative_scores_only_list_no_padding():
    user, item = -np.ones((3, 2), np.float32), np.ones((33, 2), np.float32)
    scores, items = ranked_in_blocks(user, item, None, 5, 8)
    assert (scores == -2).all() and (items == np.arange(5)).all()


def test_blocks_never_list_a_score_that_is_not_a_number():
    user, item = integer_tables(12)
    item[[5, 6, 17]] = np.nan, -np.nan, np.nan
    hidden = np.array([(row, i) for row in range(23) for i in (5, 6, 17)])
    expected = full_sort(user, np.nan_to_num(item), hidden, 10)
    same_lists(ranked_in_blocks(user, item, None, 10, 4), expected)
    user[3] = np.nan
    scores, items = ranked_in_blocks(user, item, None, 10, 4)
    assert (items[3] == 40).all()
    others = np.delete(np.arange(23), 3)
    same_lists((scores[others], items[others]), (expected[0][others], expected[1][others]))


def test_zeros_of_either_sign_are_equal_in_blocks():
    item = np.array([[-0.0], [0.0], [1.0], [0.0], [-0.0]], np.float32)
    user = np.array([[1.0], [-1.0]], np.float32)
    _, items = ranked_in_blocks(user, item, None, 4, 2)
    assert items.tolist() == [[2, 0, 1, 3], [0, 1, 3, 4]]


def test_blocks_are_for_catalogues_much_larger_than_the_list():
    assert ranking.block_of(1682, 20) == 0
    assert ranking.block_of(40981, 20) == ranking.BLOCK
    assert ranking.block_of(40981, 40981) == 0
    for k in (1, 20, 1000):
        edge = next(n for n in range(k, 10**6, k) if ranking.block_of(n, k))
        assert k * ranking.BLOCK <= ranking.SHARE * edge


@pytest.mark.parametrize("block", [0, 4])
def test_no_users_by_items_array_exists(block):
    num_users, num_items, users_a_chunk = 96, 500, 4
    layout = plan(
        num_users, num_items, random_seen(0, num_users, num_items, 0.02), budget_for(users_a_chunk, num_items)
    )
    seen = layout.seen
    tables = [jnp.zeros((rows, 3)) for rows in (num_users, num_items)]
    lowered = ranking.rank_chunks.lower(
        *tables, seen.rows, seen.item_ids, seen.starts, k=20, chunk=layout.chunk, width=seen.width, block=block
    )
    shapes = re.findall(r"\b(?:pred|[suf]\d+)\[([\d,]+)\]", lowered.compile().as_text())
    sizes = {int(np.prod([int(number) for number in shape.split(",")])) for shape in shapes}
    assert users_a_chunk * num_items in sizes  # the chunk's scores were found in the text
    assert max(sizes) <= max(users_a_chunk * num_items, num_users * 20, len(seen.rows))
    assert max(sizes) < num_users * num_items / 10


def test_the_second_call_compiles_nothing():
    user, item = (jnp.asarray(table) for table in integer_tables(2))
    layout = plan(23, 40, random_seen(2), budget_for(4, 40))
    top_k(user, item, layout, 7)
    before = ranking.rank_chunks._cache_size()
    top_k(user + 1, item * 2, layout, 7)
    assert ranking.rank_chunks._cache_size() == before


def test_seen_items_never_appear_and_all_others_do():
    user, item = integer_tables(3)
    seen = random_seen(3, share=0.6)
    _, items = ranked(user, item, seen, 40, budget_for(4, 40))
    for row in range(23):
        hidden = set(seen[seen[:, 0] == row, 1])
        left = 40 - len(hidden)
        assert set(items[row, :left]) == set(range(40)) - hidden
        assert (items[row, left:] == 40).all()


def test_places_without_an_item_are_minus_infinity_and_num_items():
    user, item = np.ones((3, 1), np.float32), np.array([[1], [2], [3], [4]], np.float32)
    seen = np.array([[0, 1], [0, 3], [0, 0], [1, 0], [1, 1], [1, 2], [1, 3]])
    scores, items = ranked(user, item, seen, 3)
    assert items.tolist() == [[2, 4, 4], [4, 4, 4], [3, 2, 1]]
    assert scores.tolist() == [[3, -np.inf, -np.inf], [-np.inf] * 3, [4, 3, 2]]


@pytest.mark.parametrize("seen", [None, np.zeros((0, 2), np.int32)], ids=["none", "empty"])
def test_nothing_seen_hides_nothing(seen):
    user, item = integer_tables(4)
    same_lists(ranked(user, item, seen, 40, budget_for(4, 40)), full_sort(user, item, None, 40))


@pytest.mark.parametrize("rows", [[0], [22], [3, 4], [7], [0, 22]], ids=str)
def test_seen_pairs_of_some_users_only(rows):
    # Four users a chunk: the pairs lie in some chunks and the others, first or last, have none.
    user, item = integer_tables(5)
    seen = random_seen(5)
    seen = seen[np.isin(seen[:, 0], rows)]
    same_lists(ranked(user, item, seen, 40, budget_for(4, 40)), full_sort(user, item, seen, 40))


def test_the_order_of_the_seen_pairs_does_not_matter():
    user, item = integer_tables(6)
    seen = random_seen(6)
    ordered = seen[np.lexsort((seen[:, 1], seen[:, 0]))]
    for pairs in (ordered, ordered[::-1], np.repeat(ordered, 2, axis=0)):
        same_lists(ranked(user, item, pairs, 40, budget_for(4, 40)), full_sort(user, item, seen, 40))


def test_k_beyond_the_catalogue_is_the_catalogue():
    user, item = integer_tables(7)
    scores, items = ranked(user, item, None, 1000)
    assert scores.shape == items.shape == (23, 40)
    assert (np.sort(items, axis=1) == np.arange(40)).all()


def test_nan_scores_leave_the_other_users_alone():
    user, item = integer_tables(8)
    seen = random_seen(8)
    expected = full_sort(user, item, seen, 10)
    user[[3, 22]] = np.nan
    scores, items = ranked(user, item, seen, 10, budget_for(4, 40))
    others = np.delete(np.arange(23), [3, 22])
    same_lists((scores[others], items[others]), (expected[0][others], expected[1][others]))
    assert (items[[3, 22]] == 40).all()


def test_nan_items_are_never_recommended():
    user, item = integer_tables(9)
    item[5] = np.nan
    _, items = ranked(user, item, None, 40)
    assert not (items == 5).any()
    assert (items < 40).sum() == 23 * 39


def test_no_users():
    scores, items = ranked(np.zeros((0, 2), np.float32), np.zeros((5, 2), np.float32), None, 3)
    assert scores.shape == items.shape == (0, 3)


@pytest.mark.parametrize(
    ("num_users", "num_items", "k", "message"),
    [
        (22, 40, 5, "22 users and 40 items do not fit a plan for 23 and 40"),
        (23, 41, 5, "23 users and 41 items do not fit a plan for 23 and 40"),
        (23, 40, 0, "k must be at least 1, got 0"),
        (23, 40, -3, "k must be at least 1, got -3"),
    ],
)
def test_errors(num_users, num_items, k, message):
    with pytest.raises(ValueError, match=message):
        top_k(jnp.zeros((num_users, 2)), jnp.zeros((num_items, 2)), plan(23, 40), k)


def test_scores_are_computed_in_full_precision():
    # 1 + 2**-20 has more digits than the reduced precision that an accelerator multiplies with by default.
    user = np.array([[1.0, 1.0]], np.float32)
    item = np.array([[1.0, 0.0], [1.0, 2.0**-20], [1.0, 2.0**-21]], np.float32)
    scores, items = ranked(user, item, None, 3)
    assert items.tolist() == [[1, 2, 0]]
    assert scores.tolist() == [[1 + 2.0**-20, 1 + 2.0**-21, 1]]


def test_it_runs_inside_another_compiled_function():
    user, item = integer_tables(10)
    layout = plan(23, 40, random_seen(10), budget_for(4, 40))
    inside = jax.jit(lambda user, item: top_k(user, item, layout, 10))(user, item)
    same_lists([np.asarray(array) for array in inside], full_sort(user, item, random_seen(10), 10))


@pytest.mark.parametrize("block", [0, 4])
def test_of_several_vectors_a_user_the_best_counts_without_more_scores(block):
    """As a full sort of the best scores; and no array is larger than the scores of one chunk, however many vectors."""
    several, users_a_chunk = 8, 4
    item = integer_tables(13)[1]
    user = np.random.default_rng(13).integers(-2, 3, (23, several, 3)).astype(np.float32)
    seen = random_seen(13)
    best = (user @ item.T).max(1)
    best[seen[:, 0], seen[:, 1]] = -np.inf
    order = np.argsort(-best, axis=1, kind="stable")[:, :7]
    scores, items = ranked_in_blocks(user, item, seen, 7, block, budget_for(users_a_chunk, 40))
    np.testing.assert_array_equal(scores, np.take_along_axis(best, order, 1))
    np.testing.assert_array_equal(items, np.where(scores > -np.inf, order, 40))
    layout = plan(96, 500, None, budget_for(users_a_chunk, 500))
    lowered = ranking.rank_chunks.lower(
        jnp.zeros((96, several, 3)),
        jnp.zeros((500, 3)),
        *layout.seen[:3],
        k=20,
        chunk=layout.chunk,
        width=layout.seen.width,
        block=block,
    )
    shapes = re.findall(r"\b(?:pred|[suf]\d+)\[([\d,]+)\]", lowered.compile().as_text())
    sizes = {int(np.prod([int(number) for number in shape.split(",")])) for shape in shapes}
    assert users_a_chunk * 500 in sizes and max(sizes) <= max(users_a_chunk * 500, 96 * several * 3)
