"""The answers of the API's reads, as plain dictionaries."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import HTTPException

from onebp_jax.errors import UserError
from onebp_jax.service.model import Model
from onebp_jax.service.ranker import Asked, Ranker, best_rows
from onebp_jax.service.replica import Replica
from onebp_jax.service.schemas import Session
from onebp_jax.serving.histories import History

# Reasons of an item.
REASONS = 3


class Lists:
    """Reads of the model as it is now."""

    def __init__(self, replica: Replica, ranker: Ranker):
        self._replica, self._ranker = replica, ranker

    async def of_user(self, user: str, n: int, offset: int, exclude: bool, explain: bool) -> dict[str, Any]:
        """A user's list from place `offset` on."""
        model, seq = self._replica.model, self._replica.model.seq
        model.user_id(user)
        history = model.history(user) or History(np.zeros(0))
        known = np.array([*history.items, *history.others] if exclude else [], np.int64)
        return await self._list(model, history, known, None, (n, offset), explain) | {"seq": seq}

    async def of_session(self, asked: Session) -> dict[str, Any]:
        """A list for somebody who is no user."""
        model, seq = self._replica.model, self._replica.model.seq
        if asked.weights is not None and len(asked.weights) != len(asked.positive):
            raise UserError(f"weights: {len(asked.weights)} for {len(asked.positive)} items, expected one of each")
        rows = [self.item_row(model, item, 422) for item in (*asked.negative, *asked.positive)]
        if len(set(rows)) < len(rows):
            raise UserError("positive, negative: an item is given twice; give each item once")
        weights = [-1.0] * len(asked.negative) + (asked.weights or [1.0] * len(asked.positive))
        history = model.live.of_events(rows, weights)
        known = np.array(rows if asked.exclude == "all" else [], np.int64)
        among = None
        if asked.candidates is not None:
            among = np.unique([self.item_row(model, item, 422) for item in asked.candidates])
        return await self._list(model, history, known, among, (asked.n, 0), asked.explain) | {"seq": seq}

    async def _list(
        self,
        model: Model,
        history: History,
        known: np.ndarray,
        among: np.ndarray | None,
        place: tuple[int, int],
        explain: bool,
    ) -> dict[str, Any]:
        n, offset = place
        if not any(weight > 0 for weight in history.weights):  # dislikes alone do not say what somebody likes
            left = (
                np.ones(len(model.item_ids), bool) if among is None else np.isin(np.arange(len(model.item_ids)), among)
            )
            left[known] = False
            rows = model.popular[left[model.popular]][offset : offset + n]
            return {"source": "popular", "items": _scored(model, rows, model.popularity[rows])}
        rows, scores = await self._ranker.rank(Asked(model, history, known, n + offset, among))
        items = _scored(model, rows[offset:], scores[offset:])
        if explain:
            shares = model.live.shares_of(history, rows[offset:])
            for one, of_item in zip(items, shares.T, strict=True):
                one["because"] = _reasons(model, history, of_item)
        return {"source": "user", "items": items}

    def similar(self, item: str, n: int) -> dict[str, Any]:
        """The nearest items by cosine."""
        model = self._replica.model
        row = self.item_row(model, item)
        scores = model.run.item @ model.run.item[row] / np.maximum(model.lengths * model.lengths[row], 1e-12)
        scores[row] = -np.inf
        rows = best_rows(scores, n)
        rows = rows[rows != row]
        rows = rows[np.argsort(-scores[rows], kind="stable")]
        return {"item": model.item_ids[row], "items": _scored(model, rows, scores[rows])}

    def user(self, user: str) -> dict[str, Any]:
        """What is known of a user."""
        model, seq = self._replica.model, self._replica.model.seq
        model.user_id(user)
        history = model.history(user)
        known = history is not None and bool(history.items or history.others)
        history = history or History(np.zeros(0))
        done = [
            model.item(row) | {"group": model.groups[row], "weight": weight, "time": time if time > -np.inf else None}
            for row, weight, time in zip(history.items, history.weights, history.times, strict=True)
        ]
        return {
            "user": model.user_id(user),
            "known": known,
            "history": done,
            "position": model.position(history),
            "seq": seq,
        }

    def find_users(self, search: str, n: int) -> dict[str, Any]:
        """Users whose id begins with a text, those of training first."""
        model = self._replica.model
        found = [user for user in [*map(str, model.user_ids), *list(model.live.new_rows)] if user.startswith(search)]
        try:
            new = None if search in found else model.user_id(search)
        except UserError:
            new = None
        return {"users": [model.user_id(user) for user in found[:n]], "total": len(found), "new": new}

    def find_items(self, search: str, n: int) -> dict[str, Any]:
        """Items whose title or id contains a text, popular first."""
        model, wanted = self._replica.model, search.casefold()
        has = lambda row: (
            wanted in str(model.item_ids[row]).casefold() or wanted in (model.titles[row] or "").casefold()
        )
        rows = [row for row in model.popular.tolist() if not wanted or has(row)]
        return {"items": [self.shown(model, row) for row in rows[:n]], "total": len(rows)}

    def shown(self, model: Model, row: int) -> dict[str, Any]:
        """An item with its group and place."""
        return model.item(row) | {"popularity": int(model.popularity[row])} | model.place_of(row)

    def item_row(self, model: Model, item: object, status: int = 404) -> int:
        """The row of an item, or an error that says it is unknown."""
        row = model.item_row(item)
        if row is None:
            raise HTTPException(status, f"item {str(item)!r:.100}: not an item of the run")
        return row


def _scored(model: Model, rows: np.ndarray, scores: np.ndarray) -> list[dict[str, Any]]:
    return [
        model.item(row) | {"score": float(score)} for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
    ]


def _reasons(model: Model, history: History, shares: np.ndarray) -> list[dict[str, Any]]:
    """The liked items of a history that speak most for an item, each with its share of all that speaks for it."""
    total = shares[shares > 0].sum()
    liked = np.where(np.array(history.weights) > 0, shares, 0)
    best = [place for place in np.argsort(-liked, kind="stable")[:REASONS] if liked[place] > 0]
    return [model.item(history.items[place]) | {"share": float(liked[place] / total)} for place in best]
