"""A warm start: the vectors of a finished run become the first rows of a new one, matched by original ids.

Users and items that the finished run does not have begin as in any run. Optimiser states begin anew, so a warm start is not a
continuation of the finished run to the bit. The new run itself can be stopped and resumed like any other.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import jax
import numpy as np
from absl import logging

from onebp_jax.config import as_plain
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.engine.step import first_tables
from onebp_jax.errors import UserError
from onebp_jax.training.run_data import item_places, places
from onebp_jax.training.run_folder import Trained
from onebp_jax.types import Array, Interactions, Method, Tables
from onebp_jax.updaters.rounding import to_storage


class FirstRows(NamedTuple):
    """Rows to begin with: `user_rows int[m]` get the vectors `user f32[m, ...]`; the same for items."""

    user_rows: np.ndarray | Array
    user: np.ndarray | Array
    item_rows: np.ndarray | Array
    item: np.ndarray | Array


def identity(init: Trained) -> dict:
    """What tells one warm start from another: sizes and a checksum, for `config.json`."""
    digest = 0
    for vectors, ids in ((init.user, init.user_ids), (init.item, init.item_ids)):
        digest = zlib.crc32(np.ascontiguousarray(vectors).tobytes(), digest)
        digest = zlib.crc32("\n".join(map(str, ids.tolist())).encode(), digest)
    return {"num_users": len(init.user), "num_items": len(init.item), "crc32": digest}


def first_rows(
    config, method: Method, init: Trained, dataset: Dataset | StreamedDataset, data: Interactions
) -> FirstRows:
    """The rows of a warm start.

    Args:
      init: the finished run.
      data: of the new run, prepared, as NumPy arrays.

    Raises:
      UserError: the method's vectors are not its table rows, or their shapes differ, or no user or item is known to `init`.
    """
    forms = jax.eval_shape(lambda key, data: first_tables(method, key, data).tables, jax.random.key(0), data)
    name, made_by = as_plain(config)["method"], init.result["method"]
    if method.encoder.reads_all_rows or jax.tree.leaves(forms.params):
        raise UserError(
            f"init: method={name!r} makes each vector of more than one row of its tables, and a run folder holds vectors only: "
            "train on all data without init (in Python, fit and not partial_fit), or use a method whose vectors are the rows of "
            "its tables, such as 'onebp'"
        )
    found = []
    for tower in ("user", "item"):
        then, now = getattr(init, tower), getattr(forms, tower)
        if method.encoder.aggregate and init.result["dim"] == config.dim:
            # The learned columns come first; such users have none.
            then = then[:, : now.shape[1]]
        if then.shape[1:] != now.shape[1:]:
            raise UserError(
                f"init: its {tower} vectors (method={made_by!r}) have the shape {then.shape[1:]}, and rows of this run have "
                f"{now.shape[1:]}: give both the same method and dim"
            )
        of_init = places(init.user_ids, dataset.user_ids) if tower == "user" else item_places(init.item_ids, dataset)
        rows = np.flatnonzero(of_init >= 0)
        if not len(rows):
            raise UserError(f"init: none of its {len(then)} {tower}s is in {dataset.name}: give a run on the same ids")
        logging.info(
            "init: %d of %d %ss begin with its vectors, %d are new; %d of its %ss are not in the data",
            *(len(rows), len(of_init), tower, len(of_init) - len(rows), len(then) - len(rows), tower),
        )
        found += [rows, then[of_init[rows]]]
    if config.validation_fraction or len(dataset.test):
        logging.warning(
            "init: if its run was trained on pairs that validation or test has here, the metrics of this run are too high "
            "(a split by time keeps them apart)"
        )
    return FirstRows(*found)


def begun_with(method: Method, rows: FirstRows) -> Method:
    """The method with first tables that hold these rows, in the type of the tables."""

    def init(key: Array, data: Interactions) -> Tables:
        tables = method.encoder.init(key, data)
        put = lambda table, places, values: table.at[places].set(to_storage(values, table.dtype))
        user = put(tables.user, rows.user_rows, rows.user)
        return tables._replace(user=user, item=put(tables.item, rows.item_rows, rows.item))

    return method._replace(encoder=method.encoder._replace(init=init))
