"""`Recommender`: from a file or a frame to recommendations. It trains in a run folder, and a run folder is a saved model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from onebp_jax.config import as_plain
from onebp_jax.data.grow import all_for_training
from onebp_jax.data.paths import as_path
from onebp_jax.errors import NotFitted, UserError
from onebp_jax.parallel import Layout
from onebp_jax.serving.export import export
from onebp_jax.serving.fitting import Folder, fit_in, grown_by, load_more
from onebp_jax.serving.ids import listed, row_index, rows_of
from onebp_jax.serving.inputs import Data, FilePath, Ids, asked_config, in_memory, load_to_fit, set_fields
from onebp_jax.serving.items import ITEMS_FILE, with_titles
from onebp_jax.serving.live_recommender import LiveRecommender
from onebp_jax.serving.recommend import check_switch, evaluate, recommend, say_unknown, seen_pairs
from onebp_jax.serving.similar import similar_items, similar_users
from onebp_jax.training.run_data import with_pairs_of
from onebp_jax.training.run_folder import Trained, read_run
from onebp_jax.training.train import check_is_layout


class Recommender(LiveRecommender):
    """A two-tower recommender: fit, recommend, save, export.

        model = Recommender(method="onebp", dim=64).fit(clicks, user="visitor", item="product")
        model.recommend("ann", k=5)

    `fit` holds out validation pairs to choose the number of epochs, then trains on all pairs for that number. With
    `split="ratio"` or another split it also holds out a test part, for the metrics of `evaluate`.

    Attributes:
      config: every field of the run, see `onebp_jax.config.default_config`.
      run: the vectors, with the original ids of their rows: a `onebp_jax.training.run_folder.Trained`.
      result: what the run came to, as in `result.json`: metrics, how the epoch was chosen, seconds, versions.
      workdir: the folder of the run.
      user_ids, item_ids: `[M]`, `[N]`, the original ids that the model knows.
      dataset: the interactions that it knows.
    """

    run: Trained
    result: dict[str, Any]
    workdir: Path
    user_ids: np.ndarray
    item_ids: np.ndarray

    def __init__(self, method: Any = None, *, layout: Layout | None = None, **fields: Any):
        """A recommender that is not fitted.

        Args:
          method: a name of `onebp_jax.methods`, or a function that returns a `Method`. None: the config `own`, which is
            `onebp_spectral` with settings by the size of the data. With a method the defaults are those of `default_config`.
          layout: the devices to train and to rank on, from `onebp_jax.parallel.make_layout`; None for one.
          fields: fields of the config, such as `dim=64, epochs=50, seed=1, options={"ease_l2": 300.0}`. Two have other defaults
            than in a config file: `split="none"` (no test part) and `refit=True` (in the end, train on all pairs).

        Raises:
          UserError: an unknown field, or a value that no data make right.
        """
        check_is_layout(layout)
        self._asked = self.config = asked_config(method, fields)
        self._layout = layout

    def fit(
        self,
        data: Data,
        *,
        user: str | None = None,
        item: str | None = None,
        time: str | None = None,
        rating: str | None = None,
        items: pd.DataFrame | FilePath | None = None,
        init: Recommender | None = None,
        workdir: FilePath | None = None,
        data_dir: FilePath | None = None,
    ) -> Recommender:
        """Trains on interactions, and returns the recommender itself.

        Args:
          data: a DataFrame with one row per interaction; or the path of a file or folder, or a name of the catalogue, see
            `onebp_jax.data.load`; or a SciPy sparse matrix [users, items]; or a `Dataset`.
          user, item, time, rating: the columns of a table; None for their usual names. Times are read if the split is by time,
            ratings if there is a `min_rating`.
          items: a file or frame with a column of item ids and a column title or name: titles for the lists.
          init: a fitted recommender, whose vectors are the first ones of the users and items that it knows.
          workdir: the folder of the run, which keeps it, and goes on with it if it was stopped; None for a temporary one, which
            is removed with this object.
          data_dir: the data root, for names of the catalogue.

        Raises:
          UserError: data, columns or a folder that cannot be used.
          RunFailed: the training failed.
        """
        if not isinstance(init, Recommender | None):
            raise UserError(f"init={init!r:.80}: expected a Recommender; Recommender.load reads one from its folder")
        before, config = None if init is None else init.run, self._asked.copy_and_resolve_references()
        dataset = load_to_fit(config, data, data_dir, user=user, item=item, time=time, rating=rating)
        return self._train(config, dataset, items, before, workdir)

    def partial_fit(
        self,
        more: Data | None = None,
        epochs: int = 10,
        *,
        items: pd.DataFrame | FilePath | None = None,
        workdir: FilePath | None = None,
        data_dir: FilePath | None = None,
    ) -> Recommender:
        """Trains on from the present vectors, on all pairs so far and on new ones; new users and items are added.

        The number of epochs is fixed: the vectors have seen all pairs, so none is left to choose it by. The optimiser begins
        anew.

        Args:
          more: new interactions, as in `fit` and with its columns; None for more epochs on the same ones.
          epochs: the number of epochs.
          items, workdir, data_dir: as in `fit`; the folder is a new one.

        Raises:
          UserError: as `fit`; or the method computes a vector out of more than one row. Then nothing has changed.
        """
        self._say_events_stay_behind("partial_fit")
        before, config = self.run, self.config.copy_and_resolve_references()
        dataset = grown_by(config, in_memory(self.dataset), more, data_dir)
        set_fields(config, {"epochs": epochs})
        own = self.workdir / ITEMS_FILE
        return self._train(config, dataset, own if items is None and own.exists() else items, before, workdir)

    def recommend(
        self,
        users: Ids | None = None,
        k: int = 10,
        exclude_seen: bool = True,
        items: Ids | None = None,
        skip_unknown: bool = False,
    ) -> pd.DataFrame:
        """The best items of users: a frame with the columns user, rank (from 1), item, score, and title where titles are known.

        Args:
          users: an original id or several; None for all users.
          k: the length of each list; a user with fewer items left has a shorter one.
          exclude_seen: leave out the items that a user is known to have.
          items: the ids of the items to rank; None for all items.
          skip_unknown: leave unknown users out, with a warning.

        Raises:
          UserError: an id is unknown, or nothing is to be ranked.
        """
        check_switch("exclude_seen", exclude_seen)
        check_switch("skip_unknown", skip_unknown)
        rows = None if users is None else self._rows("users", users, skip_unknown)
        items = None if items is None else self._rows("items", items)
        if self._is_live():
            run, seen = self._live.as_run(rows)
            say_unknown(run)
            lists = recommend(run, None, k, seen if exclude_seen else None, self._layout, items)
        else:
            seen = seen_pairs(self.dataset, "all", rows) if exclude_seen else None
            lists = recommend(self.run, rows, k, seen, self._layout, items)
        return with_titles(lists, self._titles, self.item_ids)

    def similar_items(self, items: Ids, k: int = 10) -> pd.DataFrame:
        """The nearest items of an item or of several, by the cosine of their vectors: item, rank, similar, score (and title)."""
        lists = similar_items(self._now(), self._rows("items", items), k, self._layout)
        return with_titles(lists, self._titles, self.item_ids, "similar")

    def similar_users(self, users: Ids, k: int = 10) -> pd.DataFrame:
        """The nearest users of a user or of several, by the cosine of their vectors: user, rank, similar, score."""
        run = self._now()
        return similar_users(run, rows_of(listed(users, "users"), row_index(run.user_ids), "users"), k, self._layout)

    def evaluate(self, test: Data | None = None, data_dir: FilePath | None = None) -> dict[str, float]:
        """The metrics on the test part that `fit` held out, or on other interactions.

        Args:
          test: interactions as in `fit`, of which those that the model was trained on do not count; None for the held-out part,
            which was measured before the training on all pairs.
          data_dir: as in `fit`.

        Raises:
          UserError: there is no test part, or nothing of it is left.
        """
        if test is None and not self.result["metrics"]:
            raise UserError("test=None: nothing was held out for testing: give test=, or fit with split='ratio'")
        if test is None:
            return self.result["metrics"]
        own, other = in_memory(self.dataset), load_more(self.config, test, data_dir)
        measured = with_pairs_of(all_for_training(own) if "refit" in self.result else own, other)
        return evaluate(self.run, measured, "test", self._layout)

    def save(self, folder: FilePath) -> None:
        """Copies the run folder, without checkpoints; `folder` must hold no run (else `UserError`). Nothing is pickled."""
        self._say_events_stay_behind("save")
        self._folder.copy_to(folder)

    def export(self, out: FilePath) -> list[Path]:
        """Writes the vectors as they are now with their original ids, and returns the files: see `serving.export`."""
        return export(self._now(), out)

    def report(self, out: FilePath, beside: Sequence[FilePath] = (), **options: Any) -> Path:
        """Writes the page of `onebp report` about this run and those in the folders `beside`: see `serving.reporting.report`."""
        from onebp_jax.serving.reporting import report

        self._say_events_stay_behind("report")
        return report(self.workdir, out, beside, **options)

    @classmethod
    def load(cls, folder: FilePath, layout: Layout | None = None) -> Recommender:
        """The recommender of a run folder, from `save` or `onebp train`; raises `UserError` if it is none."""
        model = cls(layout=layout)._read(Folder(as_path(folder, "folder")), "folder")
        model._asked = model.config
        return model

    def __getattr__(self, name: str) -> Any:
        if name in (*Recommender.__annotations__, "_folder", "dataset", "_titles", "_index", "_live"):
            raise NotFitted("this recommender is not fitted: call fit, or Recommender.load")
        raise AttributeError(f"a Recommender has no attribute {name!r}")

    def __repr__(self) -> str:
        method = f"Recommender(method={as_plain(self.config)['method']!r}"
        if "run" not in self.__dict__:
            return f"{method}, not fitted)"
        result = self.result
        says = [f"epoch {result['epoch']} of {result['epochs_done']}", result["selection"]]
        says += [result["refit"]["says"]] if "refit" in result else []
        return f"{method}, {len(self.user_ids)} users, {len(self.item_ids)} items): {'; '.join(says)}"

    def _train(self, config, dataset, items, init: Trained | None, workdir) -> Recommender:
        return self._read(fit_in(Folder(workdir), config, dataset, init, items, self._layout))

    def _read(self, folder: Folder, argument: str = "workdir") -> Recommender:
        run = read_run(folder.path, argument)
        self.__dict__ = {"_asked": self._asked, "_layout": self._layout}  # nothing that an earlier run computed
        self._folder, self.workdir, self.run = folder, folder.path, run
        self.config, self.result = run.config, run.result
        self.user_ids, self.item_ids = run.user_ids, run.item_ids
        return self
