"""What live users are worth: recommend, score, then observe, event by event in the order of time.

Each event is an item that a user took. Before it is observed, each arm (`onebp_jax.serving.arms`) ranks the items seen so far, in
training and in earlier events, that the user does not have; the better the arm, the nearer to the top is the item. An arm that
has no vector of an item puts it last. The first event of a new item is not ranked, because nobody could recommend it. A pair that
is known already is neither ranked nor observed.

Source: Gama, Sebastiao, Rodrigues 2013, On evaluating stream learning algorithms (prequential evaluation); Vinagre, Jorge, Gama
2014, Evaluation of recommender systems in streaming environments (arXiv 1504.08175).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from onebp_jax.errors import UserError
from onebp_jax.serving.arms import Arm
from onebp_jax.serving.live import LiveUsers
from onebp_jax.serving.recommender import Recommender
from onebp_jax.training.run_data import places


class Events(NamedTuple):
    """Events in the order of time, of `T` items: first those that the run knows, then new ones.

    Attributes:
      users, items: `int[n]`, rows; new users are rows after those of the run. times: `f64[n]`, seconds, or as in the data.
      num_users, num_items: with the new ones.
    """

    users: np.ndarray
    items: np.ndarray
    times: np.ndarray
    num_users: int
    num_items: int


def events_in_rows(model: Recommender, events: pd.DataFrame) -> tuple[LiveUsers, Events]:
    """The live users of a model, and events with the columns user, item and time in its rows."""
    known = places(model.item_ids, events["item"].to_numpy())
    items = known.copy()
    items[known < 0] = len(model.item_ids) + pd.factorize(events["item"][known < 0])[0]
    # The rows of users alone: an item that is known takes the place of those that may be new.
    live, (users, _) = model.live_rows(events.assign(item=model.item_ids[0]))
    times = events["time"].to_numpy()
    if times.dtype.kind == "M":
        times = times.astype("datetime64[us]").astype(np.int64) / 1e6
    sizes = [max(len(ids), int(rows.max()) + 1) for ids, rows in ((model.user_ids, users), (model.item_ids, items))]
    return live, Events(users, items, times.astype(np.float64), *sizes)


def prequential(live: LiveUsers, events: Events, arms: dict[str, Arm]) -> dict[str, np.ndarray]:
    """The rank of the item of each event, for each arm.

    Args:
      live: users without events since training.
      arms: each of them observes the events that are ranked. Where one knows nothing of a user, "popular" stands for it.

    Returns:
      Arm -> `int[n]`, from 1; 0 for an event that was not ranked. Ties count as half before, half after, rounded up.
    """
    ranks = {arm: np.zeros(len(events.users), np.int64) for arm in arms}
    seen = np.zeros(events.num_items, bool)
    seen[: len(live.run.item)] = live.popularity() > 0
    histories: dict[int, list[int]] = {}
    held_out: dict[int, list[int]] = {}  # known, but no part of a history
    columns = (column.tolist() for column in (events.users, events.items, events.times))
    for event, (user, item, time) in enumerate(zip(*columns, strict=True)):
        if user not in histories:
            before = live.history(user)
            histories[user], held_out[user] = list(before.items), list(before.others)
        history = histories[user]
        if item in history or item in held_out[user]:
            continue
        if seen[item]:
            candidates = seen.copy()
            candidates[[*history, *held_out[user]]] = False
            popular = arms["popular"].scores(user, history)
            for name, arm in arms.items():
                scores = arm.scores(user, history)
                ranks[name][event] = _rank(popular if scores is None else scores, candidates, item)
        for arm in arms.values():
            arm.observe(user, item, time, history)
        history.append(item)
        seen[item] = True
    return ranks


def _rank(scores: np.ndarray | None, candidates: np.ndarray, item: int) -> int:
    assert scores is not None
    rivals = scores[candidates]
    ties = np.count_nonzero(rivals == scores[item]) - 1
    return int(1 + np.count_nonzero(rivals > scores[item]) + (ties + 1) // 2)


def by_window(ranks: dict[str, np.ndarray], windows: int = 20, k: int = 20) -> dict[str, dict[str, list[float]]]:
    """Arm -> metric -> its mean in each of equally many ranked events: `R@k`, whether the item is in the list, and `DCG@k`.

    Raises:
      UserError: fewer ranked events than windows.
    """
    ranked = next(iter(ranks.values())) > 0
    if ranked.sum() < windows:
        raise UserError(f"{ranked.sum()} events can be ranked, expected at least {windows}: give more events")
    made = {}
    for arm, all_ranks in ranks.items():
        own = all_ranks[ranked]
        metrics = {f"R@{k}": own <= k, f"DCG@{k}": np.where(own <= k, 1 / np.log2(1 + own), 0)}
        made[arm] = {
            name: [float(part.mean()) for part in np.array_split(values, windows)] for name, values in metrics.items()
        }
    return made


def p_value(first: list[float], second: list[float]) -> float:
    """Of Wilcoxon's signed-rank test, two-sided, that the windows of two arms do not differ."""
    from scipy.stats import wilcoxon  # only here

    if np.array_equal(first, second):
        return 1.0
    tested: Any = wilcoxon(first, second)
    return float(tested.pvalue)
