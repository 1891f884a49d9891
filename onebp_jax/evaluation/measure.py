"""The metrics of given vectors on held-out pairs of a data set."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from onebp_jax.data.dataset import Dataset
from onebp_jax.data.evaluation_pairs import popularity
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.evaluation.evaluator import evaluator
from onebp_jax.types import Array


def measure(
    dataset: Dataset | StreamedDataset,
    seen: np.ndarray,
    held_out: np.ndarray,
    user: Array | np.ndarray,
    item: Array | np.ndarray,
    rank: Callable | None = None,
) -> dict[str, float]:
    """The metrics of the vectors `f32[M, d]` and `f32[N, d]` on the `held_out` pairs; the lists leave out the `seen` pairs.

    Vectors on several devices need the `rank` of `evaluator`.
    """
    shape = dataset.num_users, dataset.num_items
    evaluate = evaluator(seen, held_out, shape, popularity(dataset), rank=rank)
    return evaluate(*map(jnp.asarray, (user, item)))
