"""The pairs that an evaluation leaves out of the lists and the pairs that it looks for, in memory or streamed."""

from __future__ import annotations

import math

import numpy as np
from absl import logging

from onebp_jax.data.dataset import Dataset
from onebp_jax.data.pairs import item_counts
from onebp_jax.data.splits import hold_out_validation, of_some_users, one_cut
from onebp_jax.data.streamed import StreamedDataset, train_pairs_of
from onebp_jax.errors import UserError


def hold_out(config, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """`(train, validation)` of a run under the honest protocol; raises `UserError` if nothing can be held out."""
    train, held_out = split_of(config, dataset, "validation")
    if not len(held_out):
        raise UserError(f"protocol='honest': nothing to hold out for validation, {_why(dataset)}")
    return train, held_out


def _why(dataset: Dataset) -> str:
    """Why validation is empty, and which field changes it."""
    if dataset.one_cut:
        return "no user has training pairs on both sides of a cut in time; raise validation_fraction, or use split=time"
    most = int(np.bincount(dataset.train[:, 0]).max())
    if most == 1:
        return "every user has one training item; use split=none with more data, or a method without training"
    # round(n * fraction) is at least 1 from half an item on; a little more, because halves go to the even number.
    fraction = math.ceil(100 * (0.5 / most + 1e-6)) / 100
    return f"every user has fewer than 5 training items; set validation_fraction={fraction:g} to hold out 1 of {most}"


def split_of(config, dataset: Dataset | StreamedDataset, split: str) -> tuple[np.ndarray, np.ndarray]:
    """`(seen, wanted)` of the split "test", "validation" or "train".

    `seen` are the pairs to leave out of the lists; `wanted` the pairs to find, of `eval_users` users.
    """
    some = lambda pairs: of_some_users(pairs, config.eval_users, config.seed)
    if split == "train":
        return np.zeros((0, 2), np.int32), some(dataset.train)
    if isinstance(dataset, Dataset):
        if split == "test":
            return dataset.train, some(_test(config, dataset))
        kept, held_out = _validation(config, dataset)
        return kept, some(held_out)
    wanted = some(getattr(dataset, split))
    users = np.unique(wanted[:, 0])
    return known_pairs(dataset, users) if split == "test" else train_pairs_of(dataset, users), wanted


def _validation(config, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """`(kept, held_out)` of the train part: random, or, if the split is by time, the latest, or each user's last in the file."""
    fraction, times = config.validation_fraction, dataset.train_times
    if config.validation == "last":
        if times is not None:
            raise UserError("validation='last': expected 'auto', the split is by time and so is validation")
        times = np.arange(len(dataset.train))
    if times is None or not dataset.one_cut:
        return hold_out_validation(dataset.train, fraction, config.seed, times)
    kept, held_out = one_cut(dataset.train, fraction, times)
    return kept, held_out[np.isin(held_out[:, 0], kept[:, 0])]


def _test(config, dataset: Dataset) -> np.ndarray:
    """The test pairs of users that an honest run trains on: after a cut in time, of those with pairs before validation."""
    if config.protocol != "honest" or not dataset.one_cut:
        return dataset.test
    known = np.isin(dataset.test[:, 0], _validation(config, dataset)[0][:, 0])
    if not known.all():
        logging.warning(
            "%s: %d of %d test users have training pairs after the cut of validation only: they are not ranked",
            *(dataset.name, len(np.unique(dataset.test[~known, 0])), len(np.unique(dataset.test[:, 0]))),
        )
    return dataset.test[known]


def all_train_pairs(dataset: Dataset | StreamedDataset) -> np.ndarray:
    """`int[P, 2]`: every training pair; raises `UserError` for a stream whose pairs do not fit in memory."""
    if isinstance(dataset, Dataset):
        return dataset.train
    if dataset.touched is None:
        raise UserError(
            f"{dataset.name}: a method without training needs all pairs in memory, and their index is not made: raise "
            f"membership_bytes={dataset.most_bytes}, or use a method that is trained"
        )
    return train_pairs_of(dataset, np.arange(dataset.num_users))


def known_pairs(dataset: Dataset | StreamedDataset, users: np.ndarray) -> np.ndarray:
    """`int[n, 2]`: all training and validation pairs of these users, perhaps with pairs of other users."""
    if isinstance(dataset, Dataset):
        return dataset.train
    validation = dataset.validation[np.isin(dataset.validation[:, 0], users)]
    return np.concatenate([train_pairs_of(dataset, users), validation])


def popularity(dataset: Dataset | StreamedDataset) -> np.ndarray:
    """`int[N]`: the training pairs of each item, with those held out for validation."""
    if isinstance(dataset, Dataset):
        return item_counts(dataset.train, dataset.num_items)
    return dataset.item_counts + item_counts(dataset.validation, dataset.num_items)
