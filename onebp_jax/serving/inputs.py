"""What `Recommender` is given: fields of the config, and data of any kind."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from absl import logging
from ml_collections import ConfigDict

from onebp_jax.config import as_plain, check_config, default_config
from onebp_jax.config.by_size import choose_by_size, own_config
from onebp_jax.data.assemble import Choices, check_choices
from onebp_jax.data.configured import load_configured
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.errors import UserError, one_of
from onebp_jax.methods.build import check_method

if TYPE_CHECKING:
    from onebp_jax.data.frames import Interactions

Data: TypeAlias = "Interactions | str | os.PathLike | Dataset | StreamedDataset"
Id = str | int
Ids = Id | Iterable[Any]
FilePath = str | os.PathLike
# The fields that say how data are read.
READ_BY = (
    *Choices._fields,
    *("user_column", "item_column", "time_column", "rating_column", "encoding"),
    *("user_features", "item_features", "feature_columns"),
)


def set_fields(config, given: dict[str, Any]) -> None:
    """Sets fields of a config; the value of `options` and of `synthetic` is a dictionary.

    Raises:
      UserError: an unknown field or option, or a value of another type.
    """
    for name, value in given.items():
        if name not in config:
            raise UserError(f"unknown config field {name!r}, expected {one_of(name, config)}")
        if isinstance(config[name], ConfigDict):
            if not isinstance(value, Mapping | ConfigDict):
                raise UserError(
                    f"{name}={value!r:.80}: expected a dictionary, with names such as {min(config[name])!r}"
                )
            set_fields(config[name], dict(value))
            continue
        try:
            config[name] = value
        except (TypeError, ValueError) as error:
            raise UserError(f"{name}={value!r}: expected a value of type {config.get_type(name).__name__}") from error


def asked_config(method: Any, fields: dict[str, Any]) -> ConfigDict:
    """The config of a recommender that is not fitted, see `Recommender`.

    Raises:
      UserError: an unknown field, a value of another type, or one that no data make right.
    """
    if fields.get("dataset"):
        raise UserError(f"dataset={fields['dataset']!r:.80}: it is an argument of fit: fit(data)")
    for_use = not fields.get("stream_window") and fields.get("protocol", "honest") == "honest"
    defaults = {"split": "none", "refit": True} if for_use else {}
    config = own_config() if method is None else default_config()
    set_fields(config, ({} if method is None else {"method": method}) | defaults | fields)
    check_config(config)
    check_method(config)
    choices: dict[str, Any] = {name: config[name] for name in Choices._fields}
    check_choices(Choices(**choices))
    return config


def load_given(config, data: Data, data_dir: str | os.PathLike | None = None) -> Dataset | StreamedDataset:
    """The data set that a user gives, by the fields of a config; `config.dataset` and, for a `Dataset`, `config.split` are
    set, and fields that the config leaves open are filled in.

    Args:
      config: the fields; it is changed.
      data: a path or name, a `Dataset`, or a frame or sparse matrix. data_dir: see `onebp_jax.data.load`.

    Raises:
      UserError: as `onebp_jax.data.load` and `onebp_jax.data.from_frame`.
    """
    dataset = _load_given(config, data, data_dir)
    choose_by_size(config, dataset)
    return dataset


def load_to_fit(
    config, data: Data, data_dir: str | os.PathLike | None, **columns: str | None
) -> Dataset | StreamedDataset:
    """As `load_given`, with the columns `user`, `item`, `time` and `rating` that `fit` is given; its errors name them so."""
    given = {role: str(name) for role, name in columns.items() if name is not None}
    _say_without_effect(config, data)
    for role, name in given.items():
        if isinstance(data, Dataset | StreamedDataset):
            raise UserError(f"{role}={name!r}: a Dataset has no columns: leave it out")
        if config[f"{role}_column"] not in ("", name):
            raise UserError(
                f"{role}={name!r}: the recommender has {role}_column={config[f'{role}_column']!r}: give one of them"
            )
    set_fields(config, {f"{role}_column": name for role, name in given.items()})
    try:
        return load_given(config, data, data_dir)
    except UserError as error:
        argument = r"the (?:file|frame) has [^;]*|\b(user|item|time|rating)_column\b=?"  # not what the table has
        said = re.sub(argument, lambda found: f"{found[1]}=" if found[1] else found[0], str(error))
        raise UserError(said) from error


def _load_given(config, data: Data, data_dir: str | os.PathLike | None) -> Dataset | StreamedDataset:
    if data is None:
        raise UserError("data=None: expected a path, a DataFrame, a SciPy sparse matrix or a Dataset")
    if isinstance(data, Dataset | StreamedDataset):
        config.dataset = data.name
        if isinstance(data, Dataset):
            config.split = "given" if len(data.test) else "none"
        return data
    if isinstance(data, str | os.PathLike):
        config.dataset = os.fspath(data)
        return load_configured(config, data_dir)
    config.dataset = "frame"
    return load_configured(config, data_dir, frame=data)


def _say_without_effect(config, data: Data) -> None:
    """Warns of fields that say how data are read or made, where they have been."""
    default, usual, made = default_config(), {"split": ("none", "given")}, isinstance(data, Dataset | StreamedDataset)
    idle = [field for field in READ_BY if made and config[field] not in (default[field], *usual.get(field, ()))]
    if not (isinstance(data, str) and data == "synthetic") and config.synthetic != default.synthetic:
        idle.append("synthetic")
    if idle:
        given = ", ".join(f"{field}={as_plain(config)[field]}" for field in idle)
        logging.warning(
            "fields without an effect on these data%s: %s", " (a Dataset is read and split)" if made else "", given
        )


def in_memory(dataset: Dataset | StreamedDataset) -> Dataset:
    """The data set, or a `UserError` if its pairs are streamed."""
    if isinstance(dataset, StreamedDataset):
        raise UserError(f"{dataset.name}: this needs all pairs in memory, but they are streamed")
    return dataset
