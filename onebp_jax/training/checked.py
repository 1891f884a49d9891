"""Whether the files of a finished run hold what the run wrote: they may have been copied, cut or edited."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from onebp_jax.data.dataset import Dataset
from onebp_jax.data.fingerprint import fingerprint
from onebp_jax.errors import UserError

_RESULT = {"method": str, "dataset": str, "epoch": int, "metrics": dict, "seconds": dict}
# What only some results have.
_ALSO = {"label": str, "selection": str, "epochs_done": int, "num_users": int, "num_items": int, "refit": dict}
# Names to numbers, or to None where nothing was measured.
_NUMBERS = ("metrics", "validation", "seconds")


def check_result(path: Path, result: dict) -> None:
    """Raises `UserError` unless these are the contents of a `result.json`."""
    if missing := _RESULT.keys() - result.keys():
        raise damaged(path, f"it has no {min(missing)!r}")
    for name, kind in (_RESULT | _ALSO).items():
        if name in result and not isinstance(result[name], kind):
            raise damaged(path, f"{name!r} is {result[name]!r:.80}")
    if not isinstance(result.get("refit", {"says": ""}).get("says"), str):
        raise damaged(path, "'refit' does not say what was done")
    for name in _NUMBERS:
        for key, value in (result.get(name) or {}).items():
            if not isinstance(value, int | float | None):
                raise damaged(path, f"{key!r} of {name!r} is {value!r:.80}")


def check_evaluation(path: Path, number: int, line: object) -> None:
    """Raises `UserError` unless this is the line `number` of a `metrics.jsonl`."""
    if not isinstance(line, dict):
        raise damaged(path, f"line {number} is no evaluation")
    for name in ("epoch", "step", "loss"):
        if not isinstance(line.get(name), int | float):
            raise damaged(path, f"line {number} has no number {name!r}")
    metrics = line.get("metrics")
    if not isinstance(metrics, dict | None) or not all(
        isinstance(one, int | float) for one in (metrics or {}).values()
    ):
        raise damaged(path, f"the metrics of line {number} are {metrics!r:.80}")


def check_vectors(
    path: Path, result: dict, user: np.ndarray, item: np.ndarray, user_ids: np.ndarray, item_ids: np.ndarray
) -> None:
    """Raises `UserError` unless these are the contents of an `embeddings.npz`, of as many users and items as the result has."""
    for tower, vectors, ids, dims in (("user", user, user_ids, (2, 3)), ("item", item, item_ids, (2,))):
        if vectors.dtype.kind != "f" or vectors.ndim not in dims:
            raise damaged(path, f"{tower} is {_form(vectors)}, expected one vector of floats per row")
        if not np.isfinite(vectors).all():
            raise damaged(path, f"{tower} has numbers that are not finite")
        if ids.ndim != 1 or ids.dtype.kind not in "iuO" or not pd.Index(ids).is_unique:
            raise damaged(path, f"{tower}_ids are no distinct integers or texts")
        count = result.get(f"num_{tower}s", len(ids))
        if {len(vectors), len(ids)} != {count}:
            raise damaged(path, f"it has {len(vectors)} {tower} vectors and {len(ids)} ids, expected {count} of both")
    if user.shape[-1] != item.shape[-1]:
        raise damaged(path, f"user vectors have {user.shape[-1]} numbers, item vectors {item.shape[-1]}")


def check_pairs(path: Path, arrays: dict[str, np.ndarray], data: dict) -> None:
    """Raises `UserError` unless these are the contents of an `interactions.npz`, with the pairs of the run.

    Args:
      data: the fingerprint in `config.json`.
    """
    for name in ("train", "test"):
        if name not in arrays:
            raise damaged(path, f"it has no {name}")
        if arrays[name].dtype != np.int32 or arrays[name].shape[1:] != (2,):
            raise damaged(path, f"{name} is {_form(arrays[name])}, expected int32[pairs, 2]")
    none = np.zeros(0, np.int64)
    now = fingerprint(Dataset("", arrays["train"], arrays["test"], none, none, ""))
    if any(now[name] != data.get(name) for name in ("train_pairs", "test_pairs", "crc32")):
        raise damaged(path, "its pairs are not those that the run was made on")
    for name in ("train", "test"):
        times = arrays.get(f"{name}_times")
        if times is not None and times.shape != arrays[name].shape[:1]:
            raise damaged(path, f"{name}_times is {_form(times)}, expected one time per pair")


def _form(array: np.ndarray) -> str:
    return f"{array.dtype}{list(array.shape)}"


def damaged(path: Path, what: str) -> UserError:
    """The error that says what of a file is not what a run wrote."""
    return UserError(f"{path} is damaged: {what}; restore it, or train again in another run folder")
