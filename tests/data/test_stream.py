"""Streams: every pair once an epoch, in an order that any process can make from any step on, in little memory."""

import sys
import tracemalloc
import weakref

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from onebp_jax.data import epoch_batches, open_stream, read_interactions, stream, stream_index, train_csr
from onebp_jax.data.device import to_device
from onebp_jax.data.filters import deduplicate
from onebp_jax.data.ids import number_ids
from onebp_jax.data.pairs import to_pairs
from onebp_jax.data.splits import ROW_GROUPS, WINDOW, generator
from onebp_jax.errors import UserError

SIZES = [17, 1, 40, 30, 9, 60]  # rows of the files; a row group has 16 at most
SMALL = {"batch_size": 16, "seed": 3, "epoch": 2, "window": 48, "lanes": 4}  # three steps a window


def some_frame(rows, seed=0, as_text=False):
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"user": random.integers(5, 30, rows) * 3, "item": random.permutation(10 * rows)[:rows]})
    return frame.astype(str) if as_text else frame


def write(folder, frame, sizes, rows_a_group=16):
    """One file a size, named so that the order of writing is not that of the names."""
    ends = np.cumsum(sizes)
    for number in reversed(range(len(sizes))):
        part = frame.iloc[ends[number] - sizes[number] : ends[number]]
        part.to_parquet(folder / f"part-{number}.parquet", index=False, row_group_size=rows_a_group)
    return folder


@pytest.fixture
def opened(tmp_path):
    return open_stream(write(tmp_path, some_frame(sum(SIZES)), SIZES))


@pytest.fixture
def reads(monkeypatch):
    """The row groups that were read, in order; `alive` counts the pairs of those still held, `most` their largest number."""
    seen = type("Reads", (list,), {"alive": 0, "most": 0})()
    read = stream_index.read_group

    def free(size):
        seen.alive -= size

    def counting(opened, group, roles=(0, 1)):
        pairs = read(opened, group, roles)
        seen.append(int(group))
        seen.alive += len(pairs)
        seen.most = max(seen.most, seen.alive)
        weakref.finalize(pairs, free, len(pairs))
        return pairs

    monkeypatch.setattr(stream, "read_group", counting)
    return seen


def file_order(opened):
    return np.concatenate([stream_index.read_group(opened, group) for group in range(len(opened.groups))])


def without_padding(opened, batches):
    rows = np.concatenate(list(batches))
    return rows[rows[:, 0] < opened.num_users]


def ordered(pairs):
    return sorted(map(tuple, np.asarray(pairs).tolist()))


def error_of(function, *args, **kwargs):
    """The message, which has to be one line."""
    with pytest.raises(UserError) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Opening.


@pytest.mark.parametrize("kind", ["integers", "text", "categories", "narrow"])
def test_numbers_and_ids_are_those_of_the_loader(tmp_path, kind):
    frame = some_frame(sum(SIZES), as_text=kind in ("text", "categories"))
    if kind == "categories":  # in an order that is not that of the first appearance
        frame = frame.astype(pd.CategoricalDtype(np.unique(frame.to_numpy())))
    if kind == "narrow":
        frame["user"] = frame["user"].astype(np.uint8)
    write(tmp_path, frame.rename(columns={"user": "uid", "item": "movieId"}).assign(rating=1.5), SIZES)
    opened = open_stream(tmp_path)
    files = [tmp_path / f"part-{number}.parquet" for number in range(len(SIZES))]
    frames, user_ids, item_ids = number_ids([read_interactions(file) for file in files], indexed=False)
    np.testing.assert_array_equal(file_order(opened), np.concatenate([to_pairs(frame) for frame in frames]))
    for found, expected in ((opened.user_ids, user_ids), (opened.item_ids, item_ids)):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
    assert (opened.num_users, opened.num_items, opened.num_pairs) == (len(user_ids), len(item_ids), len(frame))
    assert opened.groups[:, 2].tolist() == [16, 1, 1, 16, 16, 8, 16, 14, 9, 16, 16, 16, 12]


def test_columns_can_be_chosen_and_empty_files_do_no_harm(tmp_path):
    frame = some_frame(20).rename(columns={"user": "a.reader", "item": "book"})
    write(tmp_path, frame, [20, 0])
    opened = open_stream(tmp_path, user_column="a.reader", item_column="book")
    assert opened.num_pairs == 20 and opened.user_ids[0] == frame["a.reader"][0]


def test_text_may_be_stored_in_any_way(tmp_path):
    """In one file as strings, in the next as views, in a third as a dictionary."""
    for name, kind in (("a", pa.string()), ("b", pa.string_view()), ("c", pa.dictionary(pa.int8(), pa.large_string()))):
        ids = pa.array([name, "z"]).cast(kind) if name != "b" else pa.array([name, "z"], kind)
        pq.write_table(pa.table({"user": ids, "item": [1, 2]}), tmp_path / f"{name}.parquet")
    opened = open_stream(tmp_path)
    assert opened.user_ids.tolist() == ["a", "z", "b", "c"]
    assert file_order(opened).tolist() == [[0, 0], [1, 1], [2, 0], [1, 1], [3, 0], [1, 1]]


# The order.


def slow_epoch(opened, batch_size, seed, epoch, window, lanes):
    """The definition: a line of all pairs, cut into lanes, cut into windows, each permuted."""
    line = []
    for group in generator(seed, ROW_GROUPS, epoch).permutation(len(opened.groups)):
        line += stream_index.read_group(opened, group).tolist()
    size = max(1, window // batch_size) * batch_size // lanes
    columns = []
    for lane in range(lanes):
        stretch, column = line[len(line) * lane // lanes : len(line) * (lane + 1) // lanes], []
        for number in range(0, len(stretch), size):
            pairs = stretch[number : number + size]
            places = generator(seed, WINDOW, epoch, lane, number // size).permutation(len(pairs))
            column += [pairs[list(places).index(place)] for place in range(len(pairs))]
        columns.append(column)
    padding, share = [opened.num_users, opened.num_items], batch_size // lanes
    batches = []
    for step in range(-(-len(line) // batch_size)):
        rows = [(column[step * share : (step + 1) * share] + [padding] * share)[:share] for column in columns]
        batches.append(sum(rows, []))
    return batches


@pytest.mark.parametrize("prefetch", [False, True])
@pytest.mark.parametrize(
    "sizes, rows_a_group, batch_size, window, lanes",
    [
        (SIZES, 16, 16, 48, 4),
        (SIZES, 16, 16, 48, 1),
        (SIZES, 16, 8, 10_000, 8),  # one window
        (SIZES, 16, 24, 1, 8),  # a window of one batch
        ([96, 32], 16, 16, 64, 4),  # nothing left over
        ([157], 1000, 16, 32, 4),  # one row group, larger than a window
        ([3], 16, 16, 48, 8),  # fewer pairs than lanes
        ([33], 1, 32, 64, 16),  # a step with one pair
    ],
)
def test_an_epoch_is_what_the_definition_says(tmp_path, sizes, rows_a_group, batch_size, window, lanes, prefetch):
    opened = open_stream(write(tmp_path, some_frame(sum(sizes)), sizes, rows_a_group))
    options = {"batch_size": batch_size, "seed": 5, "epoch": 1, "window": window, "lanes": lanes}
    batches = list(epoch_batches(opened, **options, prefetch=prefetch))
    assert [batch.tolist() for batch in batches] == slow_epoch(opened, **options)
    assert all(batch.dtype == np.int32 for batch in batches)
    assert ordered(without_padding(opened, batches)) == ordered(file_order(opened))
    assert len(batches) == -(-sum(sizes) // batch_size)
    assert all((batch < (opened.num_users, opened.num_items)).all() for batch in batches[:-1])


def test_epochs_and_seeds_have_orders_of_their_own(opened):
    def order(**changed):
        return np.concatenate(list(epoch_batches(opened, **{**SMALL, **changed}))).tolist()

    assert order() == order()
    assert order() == order(prefetch=False)
    orders = [order(), order(epoch=3), order(seed=4), order(seed=2, epoch=3), order(epoch=0)]
    assert len({str(order) for order in orders}) == 5
    assert len({str(sorted(order)) for order in orders}) == 1


def test_positions_in_a_window_are_uniform(tmp_path):
    """One row group of 48 in two windows of 24: which pairs are in which window is known, and where they are is random."""
    frame = pd.DataFrame({"user": np.arange(48), "item": 0})
    opened = open_stream(write(tmp_path, frame, [48], 48))
    options = {"window": 24, "lanes": 2, "prefetch": False}
    epochs = np.array([list(epoch_batches(opened, 24, 1, epoch, **options)) for epoch in range(300)])[..., 0]
    orders = epochs.reshape(300, 2, 2, 12)  # epoch, window, lane
    counts = np.zeros((48, 12))
    for window in (0, 1):
        for lane in (0, 1):
            first = 24 * lane + 12 * window
            assert (np.sort(orders[:, window, lane]) == np.arange(first, first + 12)).all()
            np.add.at(counts, (orders[:, window, lane], np.arange(12)), 1)
    # An order is a permutation, so that cells vary a little more than independent ones: by 12 / 11.
    statistic = ((counts - 25) ** 2).sum() / 25 * 11 / 12
    assert 1e-4 < stats.chi2.sf(statistic, 48 * 11) < 1 - 1e-4
    # No two windows, lanes or epochs share their random numbers.
    assert len({tuple(order) for order in (orders % 12).reshape(-1, 12).tolist()}) == 1200


def test_an_epoch_begins_with_any_row_group_of_any_file(opened, reads):
    firsts = []
    for epoch in range(130):
        reads.clear()
        next(epoch_batches(opened, 16, 0, epoch, window=16, lanes=1, prefetch=False))
        firsts.append(reads[0])
    counts = np.bincount(firsts, minlength=13)
    assert 1e-4 < stats.chisquare(counts).pvalue < 1 - 1e-4


# Going on in the middle.


@pytest.mark.parametrize("prefetch", [False, True])
def test_any_step_can_be_gone_on_from(opened, prefetch):
    whole = list(epoch_batches(opened, **SMALL, prefetch=prefetch))
    for start in range(len(whole) + 1):
        rest = list(epoch_batches(opened, **SMALL, start=start, prefetch=prefetch))
        assert len(rest) == len(whole) - start
        np.testing.assert_array_equal(rest, whole[start:]) if rest else None


def test_what_came_before_is_not_read(opened, reads):
    options = {**SMALL, "lanes": 1, "prefetch": False}
    list(epoch_batches(opened, **options, start=9))  # the last of four windows: 157 - 3 * 48 = 13 pairs
    assert sum(opened.groups[reads, 2]) < 13 + 2 * 16


# Processes.


@pytest.mark.parametrize("num_processes", [2, 4])
def test_processes_see_the_same_global_batches_and_read_their_own_part(opened, reads, num_processes):
    whole = list(epoch_batches(opened, **SMALL, start=2))
    reads.clear()
    parts, read_by = [], []
    for process in range(num_processes):
        parts.append(list(epoch_batches(opened, **SMALL, start=2, process=process, num_processes=num_processes)))
        read_by.append(list(reads))
        reads.clear()
    for batch, *shares in zip(whole, *parts, strict=True):
        assert all(share.shape == (16 // num_processes, 2) for share in shares)
        np.testing.assert_array_equal(np.concatenate(shares), batch)
    assert sum(map(len, read_by)) <= len(opened.groups) + 3  # three cuts between four lanes
    assert all(len(read) < len(opened.groups) for read in read_by)


# Little memory.


def test_row_groups_are_read_when_they_are_needed_and_once(tmp_path, reads):
    opened = open_stream(write(tmp_path, some_frame(640), [320, 320], 16))
    assert not reads
    options = {**SMALL, "prefetch": False, "window": 64}
    batches = epoch_batches(opened, **options)
    assert not reads
    next(batches)
    assert len(reads) <= 4 * 2  # a window of 16 pairs in each of four lanes, and a row group of 16
    list(batches)
    assert len(reads) <= 40 + 3 and set(reads) == set(range(40))
    assert reads.most <= (4 + 2) * 16  # one held a lane, one being read
    reads.clear()
    list(epoch_batches(opened, **{**options, "window": 16, "lanes": 1}))
    assert sorted(reads) == list(range(40))
    reads.clear()
    list(epoch_batches(opened, **{**options, "window": 16, "lanes": 1}, start=39))
    assert len(reads) == 1  # the row group that ends where the window begins is not read


def test_one_large_row_group_is_held_once(tmp_path, reads):
    opened = open_stream(write(tmp_path, some_frame(640), [640], 640))
    list(epoch_batches(opened, **SMALL))
    assert reads == [0] and reads.most == 640


def test_memory_does_not_grow_with_the_pairs(tmp_path):
    """2 ** 18 pairs of 8 bytes are 2 MB; a window of 2 ** 13 is 64 KB."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"user": random.integers(0, 100, 2**18), "item": random.integers(0, 100, 2**18)})
    write(tmp_path, frame, [2**17, 2**17], 2**11)
    del frame
    tracemalloc.start()
    opened = open_stream(tmp_path)
    count = sum(len(batch) for batch in epoch_batches(opened, 512, 0, 0, window=2**13))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 2**18
    assert most < 8 * 2**18 / 2


# What users touched.


@pytest.mark.parametrize("num_items, duplicates", [(400, False), (6, True)])
def test_touched_items_are_those_of_the_loader(tmp_path, num_items, duplicates):
    frame = some_frame(sum(SIZES))
    frame["item"] = frame["item"] % num_items if duplicates else frame["item"]
    opened = open_stream(write(tmp_path, frame, SIZES))
    distinct, dropped = deduplicate(pd.DataFrame(file_order(opened), columns=["user", "item"]))
    assert (dropped > 20) == duplicates
    expected = to_device(to_pairs(distinct), opened.num_users, opened.num_items)
    found = train_csr(opened, 4 * (157 + opened.num_users + 1))
    np.testing.assert_array_equal(found.row_starts, expected.row_starts)
    np.testing.assert_array_equal(found.sorted_items, expected.sorted_items)
    assert found.row_starts.dtype == found.sorted_items.dtype == np.int32
    assert found.duplicates == dropped
    assert train_csr(opened, 4 * (157 + opened.num_users + 1) - 1) is None


@pytest.mark.parametrize("at_a_time", [1, 7, 40, 1000])
def test_rows_are_sorted_a_few_at_a_time(at_a_time):
    random = np.random.default_rng(at_a_time)
    rows = [random.integers(0, 12, size).tolist() for size in (5, 0, 30, 1, 0, 0, 9, 3, 0)]
    starts, items = np.cumsum([0, *map(len, rows)]), np.array(sum(rows, []), np.int32)
    closed = stream._sort_rows(starts, items, at_a_time)
    found = [items[begin:end].tolist() for begin, end in zip(closed, closed[1:], strict=False)]
    assert found == [sorted(set(row)) for row in rows]


# What goes wrong.


def test_folders_and_files_that_cannot_be_opened(tmp_path, monkeypatch):
    assert "no such folder" in error_of(open_stream, tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("x")
    assert "no *.parquet file" in error_of(open_stream, tmp_path)
    some_frame(0).astype(np.int64).to_parquet(tmp_path / "a.parquet")
    assert "no rows" in error_of(open_stream, tmp_path)
    some_frame(9).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 not really")
    message = error_of(open_stream, tmp_path)
    assert "b.parquet" in message and "cannot be read as Parquet" in message
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pyarrow", None)
        patch.setitem(sys.modules, "pyarrow.parquet", None)
        assert "Parquet needs pyarrow" in error_of(open_stream, tmp_path)


@pytest.mark.parametrize(
    "second, words",
    [
        ({"usr": [1], "item": [1]}, ["no user column", "nearest: usr"]),
        ({"uid": [1], "item": [1]}, ["no user column: expected user", "uid"]),
        ({"user": [1]}, ["no item column"]),
        ({"user": ["1"], "item": [1]}, ["user text and item numbers", "a.parquet user numbers"]),
        ({"user": [1.5], "item": [1]}, ["row group 0: the ids in column user", "1.5, expected whole numbers"]),
        (
            {"user": pa.array([1, None]), "item": [1, 2]},
            ["row group 0: the ids in column user: missing values: 1 of 2"],
        ),
        ({"user": [1, 2], "item": pa.array([None, None], pa.int64())}, ["column item: missing values: 2 of 2"]),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path, second, words):
    some_frame(9).to_parquet(tmp_path / "a.parquet")
    pq.write_table(pa.table(second), tmp_path / "b.parquet")
    message = error_of(open_stream, tmp_path)
    assert all(word in message for word in ["b.parquet", *words]), message


def test_damage_is_found_on_opening(tmp_path):
    write(tmp_path, some_frame(2000), [2000], 500)
    path = tmp_path / "part-0.parquet"
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)  # the pages at the beginning; the metadata are at the end
    path.write_bytes(data)
    message = error_of(open_stream, tmp_path)
    assert "part-0.parquet" in message and "row group 0" in message


@pytest.mark.parametrize("prefetch", [False, True])
def test_files_that_go_away_or_change_in_an_epoch(tmp_path, prefetch):
    opened = open_stream(write(tmp_path, some_frame(sum(SIZES)), SIZES))
    batches = epoch_batches(opened, **SMALL, prefetch=prefetch)
    next(batches)
    for path in opened.files:
        path.unlink()
    assert "cannot be read" in error_of(list, batches)
    write(tmp_path, some_frame(sum(SIZES)) + 7, SIZES)
    assert "has changed since" in error_of(list, epoch_batches(opened, **SMALL, prefetch=prefetch))


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"batch_size": 18}, "batch_size a multiple of lanes"),
        ({"batch_size": 0}, "batch_size a multiple of lanes"),
        ({"lanes": 0}, "batch_size a multiple of lanes"),
        ({"num_processes": 3}, "lanes a multiple of num_processes"),
        ({"num_processes": 0}, "lanes a multiple of num_processes"),
        ({"num_processes": 2, "process": 2}, "process < num_processes"),
        ({"window": 0}, "window of 1 or more"),
        ({"epoch": -1}, "epoch of 0 or more"),
        ({"start": 11}, "start of 0 to 10"),
        ({"start": -1}, "start of 0 to 10"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_arguments_that_do_not_fit_are_told_at_once(opened, changed, words):
    assert words in error_of(epoch_batches, opened, **{**SMALL, **changed})
