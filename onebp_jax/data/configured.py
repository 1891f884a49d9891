"""The data set that a configuration names: the one place where fields become arguments of `load` and `load_streamed`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from onebp_jax.data.assemble import Choices
from onebp_jax.data.catalogue import load
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.feature_files import with_features
from onebp_jax.data.features import parse_columns
from onebp_jax.data.frames import from_frame
from onebp_jax.data.streamed import StreamedDataset, load_streamed
from onebp_jax.errors import UserError

if TYPE_CHECKING:
    from onebp_jax.data.frames import Interactions


def load_configured(
    config, data_dir: str | os.PathLike | None = None, frame: Interactions | None = None
) -> Dataset | StreamedDataset:
    """The data set that a config names, with its training pairs in memory or streamed; or that of a frame.

    Args:
      config: a `ConfigDict` with every field of `onebp_jax.config.default_config`.
      data_dir: the data root, see `load`.
      frame: a DataFrame or a SciPy sparse matrix, see `from_frame`; then `config.dataset` is only a name.

    Raises:
      UserError: as `load`, `load_streamed` and `from_frame`; or the config names no data set.
    """
    if not config.dataset:
        raise UserError("dataset='': give the name of a data set or a path")
    columns: dict[str, Any] = {
        f"{role}_column": config[f"{role}_column"] or None for role in ("user", "item", "time", "rating")
    }
    if config.stream_window:
        if frame is not None:
            raise UserError(f"stream_window={config.stream_window}: expected a folder of Parquet files, got a frame")
        return load_streamed(config.dataset, config.membership_bytes, columns["user_column"], columns["item_column"])
    options: dict[str, Any] = {name: config[name] for name in Choices._fields}
    features: dict[str, Any] = {name: config[name] for name in ("user_features", "item_features")}
    used = parse_columns(config.feature_columns)
    if frame is not None:
        dataset = from_frame(frame, name=config.dataset, **options, **columns)
        wanted = {tower: (features[f"{tower}_features"], columns[f"{tower}_column"]) for tower in ("user", "item")}
        return with_features(dataset, wanted, used, encoding=config.encoding)
    options |= {"encoding": config.encoding, "synthetic": dict(config.synthetic)}
    return load(config.dataset, data_dir, **options, **columns, **features, feature_columns=used)
