"""What a preparation keeps of a log, and how it splits it."""

from __future__ import annotations

from typing import NamedTuple

from onebp_jax.data import assemble
from onebp_jax.data.filters import KEEPS
from onebp_jax.data.splits import ALL_TRAIN, ONE_CUT
from onebp_jax.errors import UserError, one_of

SPLITS = tuple(split for split in assemble.SPLITS if split not in ("auto", "given"))


class Rules(NamedTuple):
    """The rules of a preparation, in the order in which they apply; as in `onebp_jax.data.load`.

    Attributes:
      deduplicate: which row of a repeated pair counts, the "first" or the "last" by time. Of rows at one time, or in a log
        without times, the highest rating counts, as a table has no order.
      min_rating: rows with a lower rating are left out; None keeps all.
      min_user_items, min_item_users: users with fewer items and items with fewer users are left out, until all have enough.
      split: "ratio" (per user, random), "time" (per user, the latest), "time_global" (one point in time for all),
        "leave_one_out", "leave_one_out_time", "none" (all pairs are train). Validation follows the same rule.
      test_fraction: for "ratio", "time" and "time_global"; of each user's pairs, or of all pairs.
      validation_fraction: the share of the other pairs that is held out for validation; at least one pair of a user with five.
      split_seed: the seed of a random split, and of the order of the pairs in the files.
    """

    deduplicate: str = "first"
    min_rating: float | None = None
    min_user_items: int = 0
    min_item_users: int = 0
    split: str = "ratio"
    test_fraction: float = 0.2
    validation_fraction: float = 0.1
    split_seed: int = 0

    @property
    def by_time(self) -> bool:
        """Whether the split needs times."""
        return self.split in assemble.BY_TIME

    @property
    def core(self) -> bool:
        """Whether users or items with few pairs are left out."""
        return max(self.min_user_items, self.min_item_users) > 1


def check_rules(rules: Rules) -> None:
    """Raises `UserError` for a rule that does not exist."""
    for name, names in (("split", SPLITS), ("deduplicate", KEEPS)):
        if (given := getattr(rules, name)) not in names:
            raise UserError(f"{name}={given!r}: expected {one_of(given, names)}")
    assemble.check_numbers(rules, fractions=("test_fraction", "validation_fraction"))


def sentence(rules: Rules) -> str:
    """The rules in words, for `result.json`."""
    share, seed = f"{100 * rules.test_fraction:g} %", f", seed {rules.split_seed}"
    said = {
        "ratio": f"per-user random {share}{seed}",
        "time": f"per-user latest {share}, validation latest too",
        "time_global": f"{ONE_CUT}, latest {share}, validation by a cut too",
        "leave_one_out": f"leave one out, random{seed}",
        "leave_one_out_time": "leave one out, latest, validation latest too",
        "none": ALL_TRAIN,
    }[rules.split]
    if rules.min_rating is not None:
        said += f"; ratings of at least {rules.min_rating:g}"
    if rules.core:
        said += f"; users with {rules.min_user_items} items or more, items with {rules.min_item_users} users or more"
    return said
