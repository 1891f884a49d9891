"""Tables of interactions -> a `Dataset`: ids are numbered, rows filtered, pairs split. Files and frames both come here."""

from __future__ import annotations

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
import pandas as pd
from absl import logging

from onebp_jax.data.dataset import Dataset, check
from onebp_jax.data.filters import KEEPS, core, deduplicate, rated
from onebp_jax.data.ids import number_ids, renumber
from onebp_jax.data.pairs import pair_keys, to_pairs
from onebp_jax.data.splits import ALL_TRAIN, ONE_CUT, leave_one_out, one_cut, per_user_ratio, tied_users
from onebp_jax.data.times import check_kinds
from onebp_jax.data.whole_numbers import MOST_OF_FLOATS
from onebp_jax.errors import UserError, one_of

SPLITS = ("auto", "given", "ratio", "time", "time_global", "leave_one_out", "leave_one_out_time", "none")
BY_TIME = ("time", "time_global", "leave_one_out_time")


class Choices(NamedTuple):
    """How tables become a data set; the fields are arguments of `load` and described there."""

    split: str = "auto"
    test_fraction: float = 0.2
    split_seed: int = 0
    min_rating: float | None = None
    min_user_items: int = 0
    min_item_users: int = 0
    deduplicate: str = "first"

    @property
    def by_time(self) -> bool:
        """Whether the split needs times."""
        return self.split in BY_TIME

    @property
    def filters(self) -> bool:
        """Whether users or items may be left out."""
        return self.min_rating is not None or max(self.min_user_items, self.min_item_users) > 1


class Tables(NamedTuple):
    """Interactions before they are numbered and split.

    Attributes:
      frames: one frame, or the train and the test frame: the columns user and item, and time and rating if known.
      indexed: whether the ids are internal ids already.
      sizes: `(M, N)` of indexed ids; None: up to the largest id.
      given: a sentence that describes the split of two frames.
    """

    frames: list[pd.DataFrame]
    indexed: bool = False
    sizes: tuple[int, int] | None = None
    given: str = "given"


def check_choices(choices: Choices) -> None:
    """Raises `UserError` for a choice that does not exist."""
    split = choices.split
    if split not in SPLITS:
        raise UserError(f"split={split!r}: expected {one_of(split, SPLITS)}")
    if choices.deduplicate not in KEEPS:
        raise UserError(f"deduplicate={choices.deduplicate!r}: expected {one_of(choices.deduplicate, KEEPS)}")
    check_numbers(choices, fractions=("test_fraction",))


def check_numbers(choices, fractions: tuple[str, ...]) -> None:
    """Raises `UserError` for numbers of `Choices`, or of the rules of a preparation, that are out of range or no numbers."""
    for name in fractions:
        if not _is_number(given := getattr(choices, name)) or not 0 <= given < 1:
            raise UserError(f"{name}={given!r}: expected 0 <= {name} < 1; 0.2 holds out a fifth")
    for name in ("min_user_items", "min_item_users", "split_seed"):
        if not isinstance(given := getattr(choices, name), Integral) or given < 0:
            raise UserError(f"{name}={given!r}: expected an integer of 0 or more")
    least = choices.min_rating
    if least is not None and (not _is_number(least) or least != least):
        raise UserError(f"min_rating={least!r}: expected a number, or None to keep all")


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def assemble(name: str, tables: Tables, choices: Choices) -> Dataset:
    """The data set, checked; every row that is left out is counted in a warning.

    The order: repeated pairs, then `min_rating`, then `min_user_items` and `min_item_users`, then the split. Two frames with a
    given split are filtered together.
    """
    split = choices.split
    if split == "auto":
        split = "given" if len(tables.frames) == 2 else "ratio"
    if split == "given" and len(tables.frames) == 1:
        raise UserError(f"{name}: one file has no given split; use split 'ratio', or a folder with train and test")
    if choices.by_time and not all("time" in frame for frame in tables.frames):
        raise UserError(
            f"{name}: split is {split!r} but there are no times; use 'ratio' or 'leave_one_out', or load a file with a "
            "column timestamp or time (another name: time_column)"
        )
    if choices.by_time and len(tables.frames) > 1:
        _check_times(name, tables.frames)
    # After a filter, ids that nothing uses are no part of the catalogue.
    indexed = tables.indexed and not choices.filters
    frames, user_ids, item_ids = number_ids(tables.frames, indexed=indexed, sizes=tables.sizes)
    parts = frames if split == "given" else [pd.concat(frames, ignore_index=True)]
    parts, dropped = zip(*(deduplicate(part, choices.deduplicate) for part in parts), strict=True)
    if sum(dropped):
        logging.warning(
            "%s: %d repeated (user, item) pairs were dropped, the %s row of each counts",
            *(name, sum(dropped), choices.deduplicate),
        )
    parts = list(parts)
    if choices.min_rating is not None:
        parts = rated(name, parts, choices.min_rating)
    if max(choices.min_user_items, choices.min_item_users) > 1:
        parts = core(name, parts, choices.min_user_items, choices.min_item_users)
    if choices.filters:
        if split == "given":
            parts[1] = parts[1].loc[_known(name, parts[0]["user"].to_numpy(), parts[1]["user"].to_numpy())]
        parts, user_ids, item_ids = renumber(parts, user_ids, item_ids)
    train, test, sentence = _split(name, parts, split, choices)
    if split == "time_global":
        test = test[_known(name, train[:, 0], test[:, 0])]
    sentence = (sentence or tables.given) + _filtered(choices)
    times = [_times(parts[0], part) if choices.by_time else None for part in (train, test)]
    made = Dataset(
        name, train, test, user_ids, item_ids, sentence, sum(dropped), train_times=times[0], test_times=times[1]
    )
    check(made)
    return made


def _check_times(name: str, frames: list[pd.DataFrame]) -> None:
    """Raises `UserError` if the times of two parts have no common order."""
    if len({tuple(frame.attrs["times"]) for frame in frames}) > 1:
        check_kinds(name, {kind: where for frame in reversed(frames) for kind, where in frame.attrs["times"].items()})
    joined = pd.concat([frame["time"] for frame in frames])
    if pd.api.types.is_float_dtype(joined) and any(
        pd.api.types.is_integer_dtype(frame["time"]) and frame["time"].abs().max() > MOST_OF_FLOATS for frame in frames
    ):
        raise UserError(
            f"{name}: the times are whole numbers of more than 15 digits in one part, and have fractions in the other, so their "
            "order would be lost; write all as whole numbers"
        )


def _split(name: str, parts: list[pd.DataFrame], split: str, choices: Choices) -> tuple:
    """Train pairs, test pairs, and a sentence (None for the given split)."""
    if split == "given":
        return *map(to_pairs, parts), None
    (whole,), fraction, seed = parts, choices.test_fraction, choices.split_seed
    pairs, times = to_pairs(whole), whole["time"].to_numpy() if choices.by_time else None
    if split == "none":
        return pairs, pairs[:0], ALL_TRAIN
    if split == "time_global" and times is not None:
        train, test = one_cut(pairs, fraction, times)
        sentence = f"{ONE_CUT}, latest {100 * fraction:g} %, validation by a cut too"
    elif split.startswith("leave_one_out"):
        train, test = leave_one_out(pairs, seed, times)
        sentence = (
            "leave one out, latest, validation latest too" if choices.by_time else f"leave one out, random, seed {seed}"
        )
    else:
        train, test = per_user_ratio(pairs, fraction, seed, times)
        share = f"{100 * fraction:g} %"
        sentence = f"per-user random {share}, seed {seed}"
        if choices.by_time:
            sentence = f"per-user latest {share}, validation latest too"
    if times is not None and split != "time_global":
        _say_ties(name, split, pairs, times, np.isin(pair_keys(pairs), pair_keys(train)))
    return train, test, sentence


def _times(whole: pd.DataFrame, part: np.ndarray) -> np.ndarray:
    """The times of some of the pairs, which are in the order of the whole."""
    return whole["time"].to_numpy()[np.isin(pair_keys(to_pairs(whole)), pair_keys(part))]


def _say_ties(name: str, split: str, pairs: np.ndarray, times: np.ndarray, is_kept: np.ndarray) -> None:
    """Warns if the times do not tell what to hold out of most users: it is cut between pairs of equal time."""
    tied, users = tied_users(pairs, times, is_kept)
    if 2 * tied > users:
        logging.warning(
            "%s: split=%s: for %d of %d users the cut falls between pairs of equal time, of which the later rows of the file are "
            "held out (%d pairs have %d different times); use finer times, or split=ratio",
            *(name, split, tied, users, len(times), len(np.unique(times))),
        )


def _known(name: str, train_users: np.ndarray, test_users: np.ndarray) -> np.ndarray:
    """Which test pairs are of users with training pairs; says how many are left out."""
    known = np.isin(test_users, train_users)
    if not known.all():
        logging.warning(
            "%s: %d test users without a train pair are left out of the test part, with %d of %d pairs",
            *(name, len(np.unique(test_users[~known])), len(known) - known.sum(), len(known)),
        )
    return known


def _filtered(choices: Choices) -> str:
    """The filters, for the sentence of the split."""
    said = ""
    if choices.min_rating is not None:
        said += f"; ratings of at least {choices.min_rating:g}"
    if choices.min_user_items > 1:
        said += f"; users with {choices.min_user_items} items or more"
    if choices.min_item_users > 1:
        said += f"; items with {choices.min_item_users} users or more"
    return said
