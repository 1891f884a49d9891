"""The data set that a configuration names: the one place where fields become arguments of `load` and `load_streamed`."""

from __future__ import annotations

import os

from onebp_jax.data.assemble import Choices
from onebp_jax.data.catalogue import load
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.features import parse_columns
from onebp_jax.data.streamed import StreamedDataset, load_streamed
from onebp_jax.errors import UserError


def load_configured(config, data_dir: str | os.PathLike | None = None) -> Dataset | StreamedDataset:
    """The data set that a config names, with its training pairs in memory or streamed.

    Args:
      config: a `ConfigDict` with every field of `onebp_jax.config.default_config`.
      data_dir: the data root, see `load`.

    Raises:
      UserError: as `load` and `load_streamed`; or the config names no data set.
    """
    if not config.dataset:
        raise UserError("dataset='': give the name of a data set or a path")
    columns = {f"{role}_column": config[f"{role}_column"] or None for role in ("user", "item", "time", "rating")}
    if config.stream_window:
        return load_streamed(config.dataset, config.membership_bytes, columns["user_column"], columns["item_column"])
    options = {name: config[name] for name in ("encoding", *Choices._fields)}
    features = {name: config[name] for name in ("user_features", "item_features")}
    features["feature_columns"] = parse_columns(config.feature_columns)
    return load(config.dataset, data_dir, synthetic=dict(config.synthetic), **options, **columns, **features)
