"""What a fitted `Recommender` does with events that come after training."""

from __future__ import annotations

import threading
from collections import ChainMap
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.dataset import Dataset
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.parallel import Layout
from onebp_jax.serving.events import columns_of_events, new_id, one, time_of, times_of, weight_of, weights_of
from onebp_jax.serving.fitting import Folder
from onebp_jax.serving.histories import History
from onebp_jax.serving.ids import listed, row_index, rows_of
from onebp_jax.serving.inputs import FilePath, Id, Ids, in_memory
from onebp_jax.serving.items import Items, known_titles, with_titles
from onebp_jax.serving.live import LiveUsers, live_users
from onebp_jax.serving.new_items import new_items, titles_with_new
from onebp_jax.serving.recommend import check_length, check_switch, recommend, say_unknown
from onebp_jax.training.fold_file import read_fold
from onebp_jax.training.run_folder import Trained

_MAKING = threading.Lock()


class LiveRecommender:
    """The part of `Recommender` that follows events; see `onebp_jax.serving.live`."""

    run: Trained
    config: Any
    item_ids: np.ndarray
    workdir: Path
    _layout: Layout | None
    _folder: Folder

    def observe(self, user: Id, item: Id, time: float | None = None, weight: float = 1.0) -> bool:
        """Adds an event of a user, known or new; the next `recommend` sees it. No training: it costs one row.

        Args:
          user, item: original ids; the item must be known.
          time: None: now, after the user's other events. An older event takes its place among those with times.
          weight: how much the event counts; 1 as one of training, below 0 if the user dislikes the item. Of a like and a dislike
            of one item the later one counts: by their times, or else the last to come.

        Returns:
          False if the user had the item already, or a later event says otherwise: then nothing changes.

        Raises:
          UserError: an unknown item, a weight of 0, or a method whose users are not made of their histories.
        """
        at, heavy = time_of(time, self._live.times), weight_of(weight, dislikes=True)
        row = self._index["items"].get(str(item))
        if row is None:
            row = self._row("items", item, "item")
        return self._live.observe(self._row_of_any(one(listed(user, "user"), "user")), row, at, heavy)

    def observe_many(
        self,
        events: pd.DataFrame,
        user: str = "user",
        item: str = "item",
        time: str | None = None,
        weight: str | None = None,
    ) -> int:
        """`observe` of each row of a frame, in its order, or in that of its column `time`; returns how many were new.

        Without a column `weight` each event counts 1. Nothing is changed if one of them is refused.
        """
        users, items, times, weights = columns_of_events(events, user, item, time, weight, self._live.times)
        rows = self._rows("items", items, said=f"column {item}").tolist()
        checked = [self._checked(user) for user in users]  # before anything is changed
        return sum(map(self._live.observe, map(self._row_of_any, checked), rows, times, weights))

    def forget(self, user: Id) -> bool:
        """Forgets all events of a user, those of training too: then the user is as if new. False if there were none."""
        return self._live.forget(self._row("users", user, "user"))

    def fold_in(
        self, items: Ids, weights: Sequence[float] | None = None, times: Sequence[float] | None = None
    ) -> np.ndarray:
        """`f32[e]`: the vector of a user with this history, oldest first unless there are times. The model does not change."""
        return self._live.vectors([self._history(items, weights, times)])[0]

    def recommend_for(
        self,
        positive: Ids,
        negative: Ids = (),
        weights: Sequence[float] | None = None,
        k: int = 10,
        exclude_seen: bool = True,
        items: Ids | None = None,
    ) -> pd.DataFrame:
        """The best items for somebody who likes some items, such as a session: rank, item, score (and title).

        Args:
          positive: item ids, oldest first. weights: how much each of them counts; None: 1.
          negative: item ids that count -1 each, as if they were older than the others.
          k, exclude_seen, items: as in `recommend`.
        """
        check_switch("exclude_seen", exclude_seen)
        run, seen = self._live.session(self._history(positive, weights, None, negative, "positive"))
        say_unknown(run)
        items = None if items is None else self._rows("items", items)
        lists = recommend(run, None, k, seen if exclude_seen else None, self._layout, items)
        return with_titles(lists.drop(columns="user"), self._titles, self.item_ids)

    def add_items(self, items: pd.DataFrame | FilePath) -> int:
        """Adds items that training did not know, from their features; they may be recommended and observed from now on.

        A linear map from features to vectors is fitted to the items that training knew (`onebp_jax.serving.new_items`).

        Args:
          items: a frame or file with a column of ids, and columns of features as in `item_features`: rows of the new items and of
            those that the model knows, at least 10 of these. A column title or name gives titles.

        Returns:
          How many were new.

        Raises:
          UserError: too few known items, ids of another kind, or no features.
        """
        live = self._live
        ids, vectors = new_items(items, self.config, live.run)
        if len(ids):
            grown = live.grown(ids, vectors)
            self.__dict__ |= {"live": grown, "item_ids": grown.run.item_ids}
            self.__dict__["_titles"] = titles_with_new(self._titles, items, grown.run, len(live.run.item))
            self.__dict__["_index"] = {**self._index, "items": row_index(grown.run.item_ids)}
        return len(ids)

    def explain(self, user: Id, item: Id, k: int = 5) -> pd.DataFrame:
        """The items of a user's history that speak most for an item: rank, item, score (and title).

        The scores of all items of the history sum to the user's score of the item.
        """
        row, of = self._row("users", user, "user"), self._row("items", item, "item")
        check_length(k)
        items, shares = self._live.shares(row, np.array([of]))
        best = np.argsort(-shares[:, 0], kind="stable")[:k]
        lists = {"rank": np.arange(1, len(best) + 1), "item": self.item_ids[items[best]], "score": shares[best, 0]}
        return with_titles(pd.DataFrame(lists), self._titles, self.item_ids)

    @cached_property
    def dataset(self) -> Dataset | StreamedDataset:
        """The interactions that the model knows."""
        return self._folder.dataset_of(self.run)

    @property
    def _live(self) -> LiveUsers:
        with _MAKING:  # two of them would each see a part of the events
            if "live" not in self.__dict__:
                fold = read_fold(self.workdir, self.run.item.shape)
                self.__dict__["live"] = live_users(self.run, fold, in_memory(self.dataset))
            return self.__dict__["live"]

    def _is_live(self) -> bool:
        """Whether there are events or items that the run does not know."""
        live = self.__dict__.get("live")
        return live is not None and (len(live) > 0 or live.run is not self.run)

    def _now(self) -> Trained:
        """The vectors of all users as they are now."""
        return self._live.as_run(None)[0] if self._is_live() else self.run

    def live_rows(self, events: pd.DataFrame) -> tuple[LiveUsers, tuple[np.ndarray, np.ndarray]]:
        """The live users, and the rows of the users and items of events with the columns user and item."""
        users = np.array([self._row_of_any(user) for user in events["user"].tolist()], np.int64)
        return self._live, (users, self._rows("items", events["item"].tolist()))

    def _say_events_stay_behind(self, what: str) -> None:
        """Warns that events and items since training are no part of what is made now."""
        if self._is_live():
            new = len(self._live.run.item) - len(self.run.item)
            logging.warning(
                "%s without what came after training: events of %d user(s), %d new item(s); users who were forgotten come back",
                *(what, len(self._live), new),
            )

    def _checked(self, user: Id) -> Id:
        """The id of a user, of whom nothing need be known; raises `UserError` if it is no id."""
        return user if str(user) in self._index["users"] else new_id(user, self.run.user_ids)

    def _row_of_any(self, user: Id) -> int:
        """The row of a user, of whom nothing need be known."""
        text = str(user)
        found = self._index["users"].get(text)
        if found is None:
            found = self._live.new_rows.get(text)
        if found is None:  # 1.0 is the user 1
            user = self._checked(user)
            found = self._index["users"].get(str(user))
        return self._live.row_of_new(user) if found is None else found

    def _history(self, items: Ids, weights, times, negative: Ids = (), said: str = "items") -> History:
        """Disliked items come first, as the oldest."""
        disliked, liked = self._rows("items", negative, said="negative"), self._rows("items", items, said=said)
        weights = weights_of(len(disliked), len(liked), weights)
        rows = [*disliked.tolist(), *liked.tolist()]
        return self._live.of_events(rows, weights, times_of(len(rows), times, self._live.times))

    @cached_property
    def _titles(self) -> Items | None:
        return known_titles(self.workdir, self.run)

    @cached_property
    def _index(self) -> dict[str, dict[str, int]]:
        return {"users": row_index(self.run.user_ids), "items": row_index(self.run.item_ids)}

    def _row(self, name: str, ids: Ids, said: str) -> int:
        return one(self._rows(name, ids, said=said).tolist(), said)

    def _rows(self, name: str, ids: Ids, skip_unknown: bool | None = None, said: str | None = None) -> np.ndarray:
        """The rows of one id or of several; live users have rows after those of the run.

        Args:
          name: "users" or "items". said: what a message calls the ids; None: as `name`.
        """
        index = self._index[name]
        if name == "users" and self._is_live():
            index = ChainMap(index, self._live.new_rows)
        return rows_of(listed(ids, said or name), index, said or name, skip_unknown)
