"""An arm of `onebp_jax.serving.prequential`: live users, and items that go on learning from the events.

After each mini-batch of events, its items and drawn negatives take one step of row-wise SGD on the method's loss, with each user
as they were before the event, constant to the gradient: there is no parameter of a user. Vectors that did not learn in training
(spectral ones) do not learn here. A new item gets its vector in the first batch that has it.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from onebp_jax.methods.build import build_method
from onebp_jax.ops.fold import Fold, messages, user_vectors
from onebp_jax.training.run_folder import Trained
from onebp_jax.types import Method, Signal
from onebp_jax.updaters import constrained, rowwise, sphere

BATCH, NEGATIVES = 32, 256


class Learning:
    """Live users and learning items; an `onebp_jax.serving.arms.Arm`."""

    def __init__(self, run: Trained, fold: Fold, num_items: int, rate: float):
        """
        Args:
          run, fold: its vectors, and how its users are made of them. num_items: `T`, with new items.
          rate: the learning rate; a step takes the sum over its events, not the mean.
        """
        config: Any = run.config
        method = build_method(config)
        assert isinstance(method, Method)
        new = num_items - len(run.item)
        pad = lambda weights: np.concatenate([weights, np.full(new, np.max(weights), np.float32)])
        parts = [part._replace(item_weight=pad(part.item_weight)) for part in fold.parts]
        self._fold = Fold(tuple(parts), fold.recency)
        self._item = np.concatenate([run.item, np.zeros((new, run.item.shape[1]), np.float32)])
        self._known = np.arange(num_items) < len(run.item)
        # The first part learns. A user of unit length is compared with items of unit length.
        self._width, self._is_unit = len(parts[0].column_weight), parts[0].unit
        self._random, self._waiting = np.random.default_rng(config.seed), []
        updater = rowwise(optax.sgd(rate))
        self._updater = constrained(updater, sphere(), "touched") if self._is_unit else updater
        self._state = self._updater.init(jnp.asarray(self._item[:, : self._width]))
        self._step = jax.jit(self._make_step(method))
        self._items_changed()

    def scores(self, user: int, history: list[int]) -> np.ndarray | None:
        """As `Arm.scores`."""
        if not history:
            return None
        vector = self._vectors(self._total(history)[None])[0]
        return np.where(self._known, self._item @ vector, -np.inf)

    def observe(self, user: int, item: int, time: float, history: list[int]) -> None:
        """As `Arm.observe`."""
        if not history:
            return
        own = self._total(history)[: self._width]
        self._waiting.append((own / max(np.linalg.norm(own), 1e-12) if self._is_unit else own, item, list(history)))
        if len(self._waiting) == BATCH:
            self._learn()

    def _learn(self) -> None:
        users, items, histories = zip(*self._waiting, strict=True)
        negatives = self._random.choice(np.flatnonzero(self._known), NEGATIVES)
        mask = [np.isin(negatives, [*own, item]) for own, item in zip(histories, items, strict=True)]
        table = jnp.asarray(self._item[:, : self._width])
        given = jnp.asarray(np.stack(users)), jnp.asarray(items), jnp.asarray(negatives), jnp.asarray(np.stack(mask))
        table, self._state = self._step(table, self._state, *given)
        self._item[:, : self._width] = table
        self._known[list(items)] = True
        self._waiting = []
        self._items_changed()

    def _make_step(self, method: Method):
        def step(table, state, user, items, negatives, mask):
            ids = jnp.concatenate([items, negatives])

            def loss(rows):
                positive, others = rows[: len(items)], rows[len(items) :]
                return method.loss(user, positive, others, negative_mask=mask, num_items=len(table)).sum()

            return self._updater.update(Signal(ids, jax.grad(loss)(table[ids]), None), state, table)

        return step

    def _items_changed(self) -> None:
        self._messages, self._vectors = messages(self._fold, self._item), user_vectors(self._fold, self._item)

    def _total(self, history: list[int]) -> np.ndarray:
        """`f32[e]`: the sum of a history, of the items as they are now."""
        return self._fold.recency.of_ages(np.arange(len(history))[::-1]) @ self._messages[history]
