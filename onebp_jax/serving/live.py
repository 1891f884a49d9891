"""Users as they are now: sums over the histories that training knew, and over every event since. No training, no gradient.

A new event costs one row (`onebp_jax.ops.fold`). A user built event by event is the one that training would have made of them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import numpy as np

from onebp_jax.data.ages import ages
from onebp_jax.data.dataset import Dataset
from onebp_jax.errors import UserError
from onebp_jax.ops.fold import Fold, user_vectors
from onebp_jax.serving.histories import ByUser, History, Messages, as_ids
from onebp_jax.serving.new_items import with_new_items
from onebp_jax.training.run_folder import Trained


class LiveUsers:
    """The histories of a run and of the events since, by user row. All methods may be called by several threads at once.

    Attributes:
      run: with the items as they are now; users whom training did not know have rows after those of the run.
      times: `[P]`, of training; None if they are not known.
    """

    def __init__(self, run: Trained, fold: Fold, dataset: Dataset):
        """
        Args:
          run, fold: they may have further items, after those of the data.
          dataset: the interactions of the run; its train part makes the vectors.
        """
        self.run, self._fold, self._dataset, self._lock = run, fold, dataset, threading.RLock()
        self._messages = Messages(fold, run.item)
        self._vectors = user_vectors(fold, run.item[: dataset.num_items])
        self._shares, self._keeps = fold.recency.rates.T
        of_pairs = ages(run.config, dataset, dataset.train)
        order = None if of_pairs is None else -of_pairs
        self._trained = ByUser(dataset.train, dataset.num_users, order, dataset.train_times)
        self.times = dataset.train_times
        self._held_out = ByUser(dataset.test, dataset.num_users)
        self._live: dict[int, History] = {}
        # The row of each new user, by the text of the id, and the id itself; None for one who is forgotten.
        self.new_rows: dict[str, int] = {}
        self._new_ids: list[object | None] = []

    def row_of_new(self, user: object) -> int:
        """The row of a user whom training did not know."""
        with self._lock:
            text = str(user)
            if text not in self.new_rows:
                self.new_rows[text] = self._trained.count + len(self._new_ids)
                self._new_ids.append(user)
            return self.new_rows[text]

    def popularity(self) -> np.ndarray:
        """`int[N]`: how many users of training had each item."""
        return np.bincount(self._trained.items, minlength=len(self.run.item))

    def __len__(self) -> int:
        """The number of users with events since training."""
        return len(self._live)

    def history(self, user: int) -> History:
        """What is known of a user, without events that come later."""
        with self._lock:
            if user in self._live:
                return self._live[user]
            made = self.of_events(self._trained.items_of(user), times=self._trained.times_of(user))
            made.others = self._held_out.items_of(user)
            return made

    def snapshot(self, user: int) -> History:
        """What is known of a user now; later events do not change it. Users without events have no sums, but a vector."""
        with self._lock:
            if user in self._live:
                return self._live[user].copy()
        items, times = self._trained.items_of(user), self._trained.times_of(user)
        vector = self.run.user[user] if user < self._trained.count else None
        return History(np.zeros(0), items, [1.0] * len(items), times, self._held_out.items_of(user), vector)

    def events_since(self) -> tuple[list[object | None], dict[int, History]]:
        """The users whom training did not know, by row, None for the forgotten; and all histories that changed since."""
        with self._lock:
            return list(self._new_ids), {user: history.copy() for user, history in self._live.items()}

    def restore(self, new_ids: list, histories: dict[int, History]) -> None:
        """Puts back what `events_since` returned."""
        with self._lock:
            self._new_ids = list(new_ids)
            rows = enumerate(new_ids, self._trained.count)
            self.new_rows = {str(user): row for row, user in rows if user is not None}
            self._live = dict(histories)

    def grown(self, ids: np.ndarray, vectors: np.ndarray) -> LiveUsers:
        """The same users with further items: original ids `[n]` and vectors `f32[n, e]`."""
        item_ids = np.concatenate([self.run.item_ids, ids])
        run = self.run._replace(item=np.concatenate([self.run.item, vectors]), item_ids=item_ids)
        with self._lock:
            made = LiveUsers(run, with_new_items(self._fold, len(ids)), self._dataset)
            made.restore(*self.events_since())
        return made

    def as_run(self, users: np.ndarray | None) -> tuple[Trained, np.ndarray]:
        """Some users as they are now, as a run of these users alone, and the pairs that they are known to have `int[P, 2]`.

        Args:
          users: `int[n]`, rows; None for all users.
        """
        with self._lock:
            if users is None:
                users = np.array([*range(self._trained.count), *self.new_rows.values()], np.int64)
            now = [self._live.get(row) for row in users.tolist()]
            vectors = np.zeros((len(users), self.run.item.shape[1]), np.float32)
            trained = np.array([one is None for one in now], bool)
            vectors[trained] = self.run.user[users[trained]]
            vectors[~trained] = self.vectors([one for one in now if one is not None])
            known = [np.array(self._known(row), np.int64) for row in users.tolist()]
        ids = np.concatenate([self.run.user_ids, as_ids(self._new_ids)])[users]
        ids = ids.astype(self.run.user_ids.dtype) if self.run.user_ids.dtype.kind == "i" else ids
        rows = np.repeat(np.arange(len(users)), [len(one) for one in known])
        pairs = np.stack([rows, np.concatenate([*known, np.zeros(0, np.int64)])], 1)
        return self.run._replace(user=vectors, user_ids=ids), pairs

    def _known(self, user: int) -> list[int]:
        """The items that a user has; without the sums of those who have had no event."""
        if user in self._live:
            return self._live[user].items + self._live[user].others
        return self._trained.items_of(user) + self._held_out.items_of(user)

    def of_events(
        self, items: Iterable[int], weights: Iterable[float] | None = None, times: Iterable[float] | None = None
    ) -> History:
        """A history of distinct items, oldest first unless there are times."""
        items = list(items)
        weights, times = list(weights or [1.0] * len(items)), list(times or [-np.inf] * len(items))
        if len(set(items)) < len(items):
            twice = self.run.item_ids[next(one for place, one in enumerate(items) if one in items[:place])]
            raise UserError(f"items: {str(twice)!r} is given twice; give each item once")
        order = np.argsort(np.asarray(times, float), kind="stable")
        items, weights, times = ([values[place] for place in order] for values in (items, weights, times))
        made = History(np.zeros(0), items, weights, times)
        made.sums = self._summed(made)
        return made

    def observe(self, user: int, item: int, time: float | None = None, weight: float = 1.0) -> bool:
        """Adds an event; the next `vectors` sees it. False: the user had the item already, and nothing changes.

        An event that is older than the user's last one takes its place in time. A weight below 0 says that the user dislikes the
        item; of a like and a dislike of one item the later one counts.
        """
        with self._lock:
            history = self.history(user)
            last = history.times[-1] if history.times else -np.inf
            at = last if time is None else time
            if item in history.have:
                place = history.items.index(item)
                if (history.weights[place] > 0) == (weight > 0) or at < history.times[place]:
                    return False
                history.remove(item)
                history.sums = self._summed(history)
            elif item in history.others:
                history.others.remove(item)
            if at >= last:
                history.sums = self._with_event(history.sums, item, weight)
                history.insert(len(history.items), item, weight, at)
            else:
                history.insert(int(np.searchsorted(history.times, at, side="right")), item, weight, at)
                history.sums = self._summed(history)
            self._live[user] = history
            return True

    def forget(self, user: int) -> bool:
        """Forgets all events of a user, those of training too; False if there were none.

        A user whom training did not know is as if never seen: an event gives such a user a new row.
        """
        with self._lock:
            before = self.history(user)
            if user >= self._trained.count:
                place = user - self._trained.count
                self.new_rows.pop(str(self._new_ids[place]), None)
                self._new_ids[place] = None
                self._live.pop(user, None)
            else:
                self._live[user] = self.of_events([])
            return bool(before.items or before.others)

    def vectors(self, histories: list[History]) -> np.ndarray:
        """`f32[n, e]`: users with these histories, to be ranked against the items of the run. Each row is computed alone."""
        rows = [
            self._vectors(np.einsum("s,sd->d", self._shares, one.sums)[None])
            if one.vector is None
            else one.vector[None]
            for one in histories
        ]
        return np.concatenate(rows) if rows else np.zeros((0, self.run.item.shape[1]), np.float32)

    def session(self, history: History) -> tuple[Trained, np.ndarray]:
        """As `as_run`, for somebody who is no user."""
        pairs = np.stack([np.zeros(len(history.items), np.int64), np.array(history.items, np.int64)], 1)
        return self.run._replace(user=self.vectors([history]), user_ids=np.array([""], object)), pairs

    def shares(self, user: int, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The items of a user's history `int[n]`, and what each adds to the user's scores of other items `int[m]`: `f32[n, m]`.

        Those of one item sum to its score.
        """
        with self._lock:
            history = self.history(user)
            return np.array(history.items, np.int64), self.shares_of(history, items)

    def shares_of(self, history: History, items: np.ndarray) -> np.ndarray:
        """`f32[n, m]`: as `shares`, of somebody with a history."""
        rows = self._messages.many(history.items) * self.counts_of(history)[:, None]
        total = rows.sum(0)
        vector = self._vectors(total[None].astype(np.float32))[0]
        # Each part of the vector is its sum times a number.
        scale = np.where(np.abs(total) > 1e-30, vector / np.where(np.abs(total) > 1e-30, total, 1), 0)
        return (rows * scale) @ self.run.item[items].T

    def counts_of(self, history: History) -> np.ndarray:
        """`f64[n]`: how much each event of a history counts: its weight, times what recency leaves of it."""
        ages = np.arange(len(history.items))[::-1]
        return np.array(history.weights) * (self._shares @ (self._keeps[:, None] ** ages))

    def _summed(self, history: History) -> np.ndarray:
        """`f32[s, e]`: the sums of a history, added up in its order as `observe` would."""
        sums = np.zeros((len(self._keeps), self.run.item.shape[1]), np.float32)
        for item, weight in zip(history.items, history.weights, strict=True):
            sums = self._with_event(sums, item, weight)
        return sums

    def _with_event(self, sums: np.ndarray, item: int, weight: float) -> np.ndarray:
        """Sums after one more event."""
        message = self._messages.one(item)
        return self._keeps[:, None] * sums + (message if weight == 1 else weight * message)


def live_users(run: Trained, fold: Fold | None, dataset: Dataset) -> LiveUsers:
    """The users of a run; raises `UserError` if its users are no sums over events."""
    if fold is None:
        raise UserError(
            f"method={run.result['method']!r}: its users are not made of their histories, so an event needs training: take "
            "onebp (without normalize), onebp_history, onebp_spectral or the default; train runs without fold.npz again"
        )
    return LiveUsers(run, fold, dataset)
