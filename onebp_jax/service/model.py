"""What the service knows: a run, and its users as they are after the records of a log up to a number."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from onebp_jax.data.dataset import Dataset
from onebp_jax.service.index import ItemIndex
from onebp_jax.service.log import EVENT, FORGET, Record
from onebp_jax.serving.events import new_id
from onebp_jax.serving.fitting import Folder
from onebp_jax.serving.histories import History
from onebp_jax.serving.ids import row_index
from onebp_jax.serving.inputs import in_memory
from onebp_jax.serving.items import Items, catalogue_items, known_titles, read_items
from onebp_jax.serving.live import LiveUsers, live_users
from onebp_jax.training.fold_file import read_fold
from onebp_jax.training.run_folder import Trained, read_run

# What became of a record: it changed a user; the user had the item already; nothing to change, as the item or the user is
# none of the run's.
CHANGED, KNOWN, UNKNOWN = "changed", "known", "unknown"


class Model:
    """A run and its live users. One thread applies records; any thread may ask.

    Attributes:
      run: the vectors, with original ids.
      live: the users.
      seq: the number of the last record that was applied.
      popularity: `int[N]`, the number of users of training with each item; popular: the items' rows, popular first.
      titles, groups: `[N]`, text or None.
      positions: `f32[N, 2]`, the items on a map. index: of the items; None: lists are exact.
      identity: a hash of all that the users depend on.
    """

    def __init__(self, workdir: str | Path, items: str | None = None, data_dir: str | None = None, index: bool = False):
        """Reads a run folder.

        Args:
          index: make an approximate index of the items, see `onebp_jax.service.index`.
          items: a file with titles and groups, see `onebp_jax.serving.items`; None for those in the run folder, or
            beside the data of a set of the catalogue, which lies in `data_dir`.

        Raises:
          UserError: it is none, or its users are not made of their histories.
        """
        self.run = read_run(workdir)
        fold, dataset = read_fold(Path(workdir), self.run.item.shape), in_memory(Folder(workdir).dataset_of(self.run))
        self.live: LiveUsers = live_users(self.run, fold, dataset)
        self.seq = 0
        found = None if items else known_titles(workdir, self.run)
        beside = items or (catalogue_items(self.run.config, data_dir) if found is None else None)
        found = read_items(beside, self.run) if beside else found
        self.titles, self.groups = _by_row(found, len(self.run.item_ids))
        self.popularity = self.live.popularity()
        self.popular = np.argsort(-self.popularity, kind="stable")
        self.item_ids, self.user_ids = self.run.item_ids.tolist(), self.run.user_ids.tolist()
        self._items, self._users = row_index(self.run.item_ids), row_index(self.run.user_ids)
        self.lengths = np.linalg.norm(self.run.item, axis=1)
        self.index = ItemIndex(self.run.item, self.run.user) if index else None
        self.positions = _positions(self.run.item / np.maximum(self.lengths, 1e-12)[:, None])
        self.identity = _identity(self.run, (Path(workdir) / "fold.npz").read_bytes(), dataset)

    def apply(self, record: Record) -> str:
        """Does what a record says; the same records make the same users, bit for bit."""
        try:
            return self._apply(record)
        finally:
            self.seq = record.seq  # last: whoever reads it and then a user finds the record there

    def _apply(self, record: Record) -> str:
        if record.kind == FORGET:
            row = self.user_row(record.user)
            return CHANGED if row is not None and self.live.forget(row) else KNOWN
        if record.kind != EVENT:
            return UNKNOWN
        item = self._items.get(str(record.item))
        if item is None:
            return UNKNOWN
        user = self.user_row(record.user)
        if user is None:
            user = self.live.row_of_new(new_id(record.user, self.run.user_ids))
        return CHANGED if self.live.observe(user, item, record.time, record.weight) else KNOWN

    def user_id(self, user: str) -> int | str:
        """The original id of a user, known or not; raises `UserError` unless a text is or could be one."""
        row = self._users.get(user)
        return new_id(user, self.run.user_ids) if row is None else self.user_ids[row]

    def user_row(self, user: str | None) -> int | None:
        """The row of a user; None for one who is not known."""
        found = self._users.get(str(user))
        return self.live.new_rows.get(str(user)) if found is None else found

    def check_item(self, item: str) -> None:
        """Raises `UserError` for an item that no run with ids of this kind can know."""
        if item not in self._items:
            new_id(item, self.run.item_ids, "item")

    def item_row(self, item: object) -> int | None:
        """The row of an item; None for one that is not known."""
        return self._items.get(str(item))

    def history(self, user: str) -> History | None:
        """What is known of a user, as it is now; None for nobody."""
        row = self.user_row(user)
        return None if row is None else self.live.snapshot(row)

    def item(self, row: int) -> dict[str, Any]:
        """An item as the API shows it."""
        return {"item": self.item_ids[row], "title": self.titles[row]}

    def position(self, history: History) -> list[float] | None:
        """Where a user is on the map: the mean of the positions of the items, each with what it counts; None without events."""
        if not history.items:
            return None
        counts = self.live.counts_of(history)
        place = counts @ self.positions[history.items] / np.abs(counts).sum()
        return [round(float(number), 4) for number in place]

    def map(self, n: int) -> dict[str, Any]:
        """The `n` most popular items on the map, and the groups of all items, large ones first."""
        items = [self.item(row) | self.place_of(row) for row in self.popular[:n].tolist()]
        groups = [group for group, _ in Counter(filter(None, self.groups)).most_common()]
        return {"items": items, "groups": groups, "total": len(self.item_ids)}

    def place_of(self, row: int) -> dict[str, Any]:
        """The group and the position of an item."""
        return {"group": self.groups[row], "position": [round(x, 4) for x in self.positions[row].tolist()]}


def _by_row(items: Items | None, count: int) -> list[list[str | None]]:
    """Titles and groups of all items, None where unknown."""
    made = []
    for texts in (None, None) if items is None else (items.titles, items.groups):
        column: list[str | None] = [None] * count
        if items is not None and texts is not None:
            for row, text in zip(items.rows.tolist(), texts, strict=True):
                column[row] = text or None
        made.append(column)
    return made


def _positions(units: np.ndarray) -> np.ndarray:
    """`f32[N, 2]`: the first two principal components of the items' directions; all but a hundredth lie within 1."""
    centred = units - units.mean(0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    places = centred @ axes[:, ::-1][:, :2]
    if places.shape[1] < 2:
        places = np.pad(places, ((0, 0), (0, 2 - places.shape[1])))
    return (places / np.maximum(np.quantile(np.abs(places), 0.99, axis=0), 1e-12)).astype(np.float32)


def _identity(run: Trained, fold: bytes, dataset: Dataset) -> str:
    made = hashlib.blake2b(fold, digest_size=16)
    for part in (run.item, run.user, dataset.train, dataset.test):
        made.update(np.ascontiguousarray(part).tobytes())
    for ids in (run.user_ids, run.item_ids):
        made.update(repr(ids.tolist()).encode())
    return made.hexdigest()
