"""Lists for all who wait, by one product: while a batch is computed, the next one gathers. Nobody waits for others to come."""

from __future__ import annotations

import asyncio
import queue
import threading
from dataclasses import dataclass, field

import numpy as np

from onebp_jax.service.model import Model
from onebp_jax.serving.histories import History

# Users in one product, and items whose best is looked at first.
BATCH = 64
BLOCK = 64
# So many more items are scored again than are asked for: the order of the last ones may depend on the company in a product.
_MORE = 16


@dataclass
class Asked:
    """A list that somebody waits for.

    Attributes:
      history: of the user. known: `int[k]`, rows to leave out. n: the length of the list.
      among: `int[c]`, the rows to rank; None for all.
      answer: rows and scores, best first.
    """

    model: Model
    history: History
    known: np.ndarray
    n: int
    among: np.ndarray | None = None
    answer: asyncio.Future = field(init=False)

    def __post_init__(self) -> None:
        self.answer = asyncio.get_running_loop().create_future()


class Ranker:
    """A thread that ranks.

    Attributes:
      waiting: lists that are asked for and not begun. batches, lists: how many there were.
    """

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self.batches = self.lists = 0
        self._thread = threading.Thread(target=self._work, name="ranker", daemon=True)
        self._thread.start()

    async def rank(self, asked: Asked) -> tuple[np.ndarray, np.ndarray]:
        """Rows `int[m]` and scores `f32[m]`, best first; fewer than `n` if no more are left."""
        self._asked.put(asked)
        return await asked.answer

    @property
    def waiting(self) -> int:
        return self._asked.qsize()

    def stop(self) -> None:
        """Ends the thread after what is asked for."""
        self._asked.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._asked.get()) is not None:
            batch, last = [first], False
            while len(batch) < BATCH and not self._asked.empty():
                more = self._asked.get()
                last = more is None
                if more is None or more.model is not first.model:
                    break
                batch.append(more)
            else:
                more = None
            self._answer(batch)
            if last:
                return
            if more is not None:  # of a model that was swapped in
                self._answer([more])

    def _answer(self, batch: list[Asked]) -> None:
        try:
            made: list = _ranked(batch)
        except Exception as error:
            made = [error] * len(batch)
        self.batches, self.lists = self.batches + 1, self.lists + len(batch)
        loop = batch[0].answer.get_loop()
        loop.call_soon_threadsafe(_resolve, [asked.answer for asked in batch], made)


def _resolve(answers: list[asyncio.Future], made: list) -> None:
    for answer, value in zip(answers, made, strict=True):
        if answer.done():  # whoever asked has gone
            continue
        if isinstance(value, Exception):
            answer.set_exception(value)
        else:
            answer.set_result(value)


def _ranked(batch: list[Asked]) -> list[tuple[np.ndarray, np.ndarray]]:
    model = batch[0].model
    vectors = model.live.vectors([asked.history for asked in batch])
    if model.index is None:
        scores = vectors @ model.run.item.T
        rows = [_candidates(*pair) for pair in zip(batch, scores, strict=True)]
    else:
        wanted = max(asked.n + len(asked.known) for asked in batch) + _MORE
        found = model.index.find(vectors, wanted)
        rows = [
            np.setdiff1d(of_user[of_user >= 0], asked.known)
            if asked.among is None
            else np.setdiff1d(asked.among, asked.known)
            for asked, of_user in zip(batch, found, strict=True)
        ]
    return [_best(model, *each) for each in zip(batch, vectors, rows, strict=True)]


def _candidates(asked: Asked, scores: np.ndarray) -> np.ndarray:
    """`int[m]`, ascending: rows among which are the best ones. It changes the scores."""
    scores[asked.known] = -np.inf
    if asked.among is None:
        rows = best_rows(scores, asked.n + _MORE)
    else:
        rows = asked.among[best_rows(scores[asked.among], asked.n + _MORE)]
    return np.sort(rows[scores[rows] > -np.inf])


def _best(model: Model, asked: Asked, vector: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best of these rows. Their scores are computed for each list alone, so company changes nothing."""
    exact = np.einsum("ne,e->n", model.run.item[rows], vector)
    order = np.argsort(-exact, kind="stable")[: asked.n]
    return rows[order], exact[order]


def best_rows(scores: np.ndarray, n: int) -> np.ndarray:
    """`int[min(n, N)]`: where the `n` largest of `scores f32[N]` are, in any order.

    The `n` largest are in the `n` blocks with the largest best ones, so few of them are compared.
    """
    count, blocks = len(scores), len(scores) // BLOCK
    if n >= count:
        return np.arange(count)
    if n >= blocks // 2:
        return np.argpartition(scores, count - n)[count - n :]
    highest = scores[: blocks * BLOCK].reshape(blocks, BLOCK).max(1)
    kept = np.argpartition(highest, blocks - n)[blocks - n :]
    places = np.concatenate([(kept[:, None] * BLOCK + np.arange(BLOCK)).ravel(), np.arange(blocks * BLOCK, count)])
    return places[np.argpartition(scores[places], len(places) - n)[len(places) - n :]]
