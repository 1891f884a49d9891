"""`fold.npz` of a run folder: how its users grow event by event, beside the vectors of `embeddings.npz`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from onebp_jax.ops.fold import Fold, Part, Recency
from onebp_jax.training.checked import damaged
from onebp_jax.training.files import read_npz, write_npz

_NAMES = ("item_weight", "column_weight", "width", "unit", "share", "recency")


def write_fold(workdir: Path, fold: Fold) -> None:
    """Writes a fold as NumPy arrays: `B` parts, of `N` items and `e` columns together."""
    parts = fold.parts
    arrays = {
        "item_weight": np.stack([np.asarray(part.item_weight, np.float32) for part in parts]),  # [B, N]
        "column_weight": np.concatenate([np.asarray(part.column_weight, np.float32) for part in parts]),  # [e]
        "width": np.array([len(part.column_weight) for part in parts]),  # [B]
        "unit": np.array([part.unit for part in parts]),
        "share": np.array([-1.0 if part.share is None else part.share for part in parts]),  # -1: none
        "recency": np.array(fold.recency),  # half_life, lasting
    }
    write_npz(workdir / "fold.npz", arrays)


def read_fold(workdir: Path, shape: tuple[int, ...]) -> Fold | None:
    """The fold of a run; None if its users are no sums over events.

    Args:
      shape: that of the items' vectors, `(N, e)`.

    Raises:
      UserError: the file is damaged, or of other vectors.
    """
    path = workdir / "fold.npz"
    if not path.exists():
        return None
    arrays = read_npz(path, _NAMES)
    width, columns, rows = (arrays[name] for name in ("width", "column_weight", "item_weight"))
    fits = width.ndim == 1 and rows.shape == (len(width), shape[0]) and columns.shape == (width.sum(),) == shape[1:]
    if not fits or any(arrays[name].shape != width.shape for name in ("unit", "share")) or len(arrays["recency"]) != 2:
        raise damaged(path, f"it does not fit item vectors {shape}")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise damaged(path, "it has numbers that are not finite")
    given = zip(rows, np.split(columns, np.cumsum(width)[:-1]), arrays["unit"], arrays["share"], strict=True)
    parts = [Part(row, own, bool(unit), None if share < 0 else float(share)) for row, own, unit, share in given]
    return Fold(tuple(parts), Recency(*map(float, arrays["recency"])))
