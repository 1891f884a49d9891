"""The order of each user's events."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from onebp_jax.config import default_config
from onebp_jax.data import from_frame
from onebp_jax.data.ages import ages

FRAME = pd.DataFrame(
    {"user": list("abaabbca"), "item": [1, 2, 3, 4, 5, 6, 7, 8], "time": [50, 10, 20, 20, 40, 30, 70, 60]}
)


def config(validation="auto"):
    made = default_config()
    made.validation = validation
    return made


def by_hand(dataset, order):
    """For each pair, how many pairs of its user are later in the order `[P]`."""
    users = dataset.train[:, 0]
    return [int(((users == users[row]) & (order > order[row])).sum()) for row in range(len(users))]


@pytest.mark.parametrize("split", ["time", "time_global"])
def test_of_a_split_by_time(split):
    dataset = from_frame(FRAME, split=split, test_fraction=0.2)
    # Of equal times, the later pair in the file is the later one.
    order = np.asarray(dataset.train_times) + np.arange(len(dataset.train)) / 100
    assert ages(config(), dataset, dataset.train).tolist() == by_hand(dataset, order)
    some = dataset.train[[0, 3, 4]]
    kept = dataclasses.replace(dataset, train=some, train_times=dataset.train_times[[0, 3, 4]])
    assert ages(config(), dataset, some).tolist() == by_hand(kept, order[[0, 3, 4]])


def test_of_a_file_in_the_order_of_time():
    dataset = from_frame(FRAME.drop(columns="time"), split="none")
    assert ages(config("last"), dataset, dataset.train).tolist() == by_hand(dataset, np.arange(8))
    assert ages(config(), dataset, dataset.train) is None
