"""What live users are worth: recommend, score, then observe, event by event in the order of time.

Each event is an item that a user took. Before it is observed, each arm ranks all items that the run knows and the user does not
have; the better the arm, the nearer to the top is the item. Arms:

    popular  the items of the last events of all users
    frozen   the user as training left them; a user without training sees `popular`
    live     the user after all their events so far; a user without any sees `popular`

Source: Gama, Sebastiao, Rodrigues 2013, On evaluating stream learning algorithms (prequential evaluation); Vinagre, Jorge, Gama
2014, Evaluation of recommender systems in streaming environments (arXiv 1504.08175).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from onebp_jax.errors import UserError
from onebp_jax.serving.live import LiveUsers

ARMS = ("popular", "frozen", "live")
# The number of events after which popularity has forgotten two thirds of what was before.
RECENT = 5000


def prequential(live: LiveUsers, users: np.ndarray, items: np.ndarray, recent: int = RECENT) -> dict[str, np.ndarray]:
    """The rank of the item of each event, for each arm.

    Args:
      live: users without events since training; afterwards they have observed all of these.
      users, items: `int[n]`, rows, in the order of time. An item that its user already has is not ranked.
      recent: see `RECENT`.

    Returns:
      Arm -> `int[n]`, from 1; 0 for an event that was not ranked. Ties count as half before, half after, rounded up.
    """
    table, trained, start = live.run.item, live.run.user, live.popularity().astype(np.float64)
    counts = start * (min(recent, max(start.sum(), 1)) / max(start.sum(), 1))
    ranks = {arm: np.zeros(len(users), np.int64) for arm in ARMS}
    for event, (user, item) in enumerate(zip(users.tolist(), items.tolist(), strict=True)):
        history = live.history(user)
        known = np.array([*history.items, *history.others], np.int64)
        if item not in known:
            vectors = {
                "frozen": trained[user] if user < len(trained) else None,
                "live": live.vectors([history])[0] if history.items else None,
            }
            for arm in ARMS:
                vector = vectors.get(arm)
                scores = counts.copy() if vector is None or not vector.any() else table @ vector
                scores[known] = -np.inf
                ties = np.count_nonzero(scores == scores[item]) - 1
                ranks[arm][event] = 1 + np.count_nonzero(scores > scores[item]) + (ties + 1) // 2
        live.observe(user, item)
        counts *= 1 - 1 / recent
        counts[item] += 1
    return ranks


def by_window(ranks: dict[str, np.ndarray], windows: int = 20, k: int = 20) -> dict[str, dict[str, list[float]]]:
    """Arm -> metric -> its mean in each of equally many ranked events: `R@k`, whether the item is in the list, and `DCG@k`.

    Raises:
      UserError: fewer ranked events than windows.
    """
    ranked = ranks[ARMS[0]] > 0
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
