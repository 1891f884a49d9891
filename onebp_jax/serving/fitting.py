"""What `Recommender` fits: a run in a folder, which may be a temporary one, on data that may have grown."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import weakref
from pathlib import Path

import jax
import pandas as pd

from onebp_jax.config import check_config
from onebp_jax.data.configured import load_configured
from onebp_jax.data.dataset import Dataset
from onebp_jax.data.fingerprint import fingerprint
from onebp_jax.data.grow import all_for_training, grown
from onebp_jax.data.paths import as_path, writing
from onebp_jax.data.streamed import StreamedDataset
from onebp_jax.errors import UserError
from onebp_jax.methods.baselines import Baseline
from onebp_jax.methods.build import build_method
from onebp_jax.parallel import Layout
from onebp_jax.serving.inputs import Data, FilePath, in_memory, load_given, set_fields
from onebp_jax.serving.items import items_to_keep, write_items
from onebp_jax.training import run_folder
from onebp_jax.training.run_folder import Trained
from onebp_jax.training.train import train


class Folder:
    """The folder of a run. A temporary one is removed with this object."""

    def __init__(self, path: str | os.PathLike | None):
        """A given folder, or a temporary one."""
        self.path = Path(tempfile.mkdtemp(prefix="onebp_jax_")) if path is None else as_path(path, "workdir")
        if path is None:
            weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def copy_to(self, folder: str | os.PathLike) -> None:
        """Copies the run, without its checkpoints, to a folder that holds no run; raises `UserError` if it does."""
        target = as_path(folder, "folder")
        with writing("folder", target):
            run_folder.check_no_run(target, "folder")
            shutil.copytree(self.path, target, ignore=shutil.ignore_patterns("checkpoints"), dirs_exist_ok=True)

    def dataset_of(self, run: Trained) -> Dataset | StreamedDataset:
        """The interactions of the run, out of its folder; if it does not hold them, out of the files that it was made on."""
        found = run_folder.read_dataset(self.path, run)
        if found is None:
            found = load_configured(run.config)
            run_folder.check_data(self.path, fingerprint(found))
        return found


def fit_in(
    folder: Folder,
    config,
    dataset: Dataset | StreamedDataset,
    init: Trained | None = None,
    items: pd.DataFrame | FilePath | None = None,
    layout: Layout | None = None,
) -> Folder:
    """Trains in a folder, keeps the titles of `items` there, and returns it.

    A method without training takes no notice of `init`; other arguments and errors as `train`.
    """
    check_config(config)
    titles = None if items is None else items_to_keep(items, config, dataset.item_ids)
    if isinstance(build_method(config), Baseline):
        init = None
    _start_cpu(config.cpu_threads)
    with writing("workdir", folder.path):
        train(config, dataset, folder.path, layout, init)
        if titles is not None:
            write_items(folder.path, titles)
    return folder


def _start_cpu(threads: int) -> None:
    """Makes XLA's CPU client with so many threads, if there is none yet and the user has set no other number."""
    if threads and "NPROC" not in os.environ:
        os.environ["NPROC"] = str(threads)  # read when the client is made
        try:
            jax.devices()
        finally:
            del os.environ["NPROC"]


def grown_by(config, dataset: Dataset, more: Data | None, data_dir: str | os.PathLike | None) -> Dataset:
    """All pairs of a data set, and new interactions, as training pairs; `config` is changed to train on them."""
    dataset = all_for_training(dataset)
    set_fields(config, {"split": "none", "validation_fraction": 0.0, "refit": False})
    if more is not None:
        dataset = grown(dataset, load_ordered(config, more, data_dir))
        config.dataset = dataset.name
    return dataset


def load_ordered(config, data: Data, data_dir: str | os.PathLike | None) -> Dataset:
    """`load_more`, with times where the method needs the order of events."""
    half_life = config.options.half_life
    if not half_life or config.validation == "last":
        return load_more(config, data, data_dir)
    try:
        return load_more(config, data, data_dir, split="time", test_fraction=0.0)
    except UserError as error:
        if "there are no times" not in str(error):
            raise
        raise UserError(f"the new interactions have no times, and options.half_life={half_life} needs them") from error


def load_more(config, data: Data, data_dir: str | os.PathLike | None, **fields) -> Dataset:
    """Interactions beside those of a run, read with its columns and `min_rating`.

    All of them are training pairs. Too few of them are no reason to drop their users or items.
    """
    config = config.copy_and_resolve_references()
    set_fields(config, {"split": "none", "min_user_items": 0, "min_item_users": 0} | fields)
    try:
        return in_memory(load_given(config, data, data_dir))
    except UserError as error:
        advice = "rename it: these data are read by the columns of fit"
        raise UserError(re.sub(r"choose one with \w+_column$", advice, str(error))) from error
