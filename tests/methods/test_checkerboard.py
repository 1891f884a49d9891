"""Every named method on a checkerboard: users touched the items of their colour, and the one that was withheld ranks first.

Users and items have two colours, even and odd. The pair of user `u` and item `u` is withheld. Every other pair of one colour is
in the training data. Of the 21 items that a user did not touch, one has the user's colour: chance puts it first for 1 user in 21.

The rule: it is first for every user by a method without training, and for at least nine users in ten by a trained one, because
trained methods draw the withheld pair as a negative too. All methods have the same settings, for 40 epochs. Vectors have 3
numbers: room for the colours, not for single pairs. (With 2, unit vectors lie on a circle: two groups cannot pass each other.)

Most of the time is compilation. So a method is one program, of the plainest machine code, and NumPy shuffles its batches.
"""

import jax
import numpy as np
import pytest

from onebp_jax import methods
from onebp_jax.config import default_config
from onebp_jax.data.dataset import Dataset, Features
from onebp_jax.engine.step import make_step
from onebp_jax.methods.baselines import Baseline
from onebp_jax.methods.build import build_method, options_of
from onebp_jax.training.feed import make_feed
from onebp_jax.training.placement import place, vectors_of
from onebp_jax.training.runner import checked_data, make_scan
from onebp_jax.types import Batch

SIZE, EPOCHS, ROWS = 40, 40, 32
FIRST_FOR = 0.9
CANNOT = {"popularity": "gives everyone the same scores, and every item has the same number of users"}
WITHOUT_TRAINING = ("itemknn", "ease", "bspm", "spectral", "ials")
# Sizes that do not fit so few items and steps.
OPTIONS = {"num_candidates": 5, "bank_size": 64, "warmup": 5, "num_uniform": 16, "ease_l2": 1.0}
IDS = np.arange(SIZE)
SAME_COLOUR = (IDS[:, None] + IDS) % 2 == 0
TOUCHED = SAME_COLOUR & ~np.eye(SIZE, dtype=bool)


@pytest.fixture(scope="module")
def board():
    """The data set; its item features say nothing of the colour."""
    side = Features(np.ones((SIZE, 1), np.float32), (IDS[:, None] // 2 % 3).astype(np.int32), 3, ("group: values",))
    train, test = (np.argwhere(pairs).astype(np.int32) for pairs in (TOUCHED, np.eye(SIZE, dtype=bool)))
    return Dataset("checkerboard", train, test, IDS, IDS, "given", item_features=side)


def batches(pairs):
    """Shuffled pairs, `EPOCHS` times, in batches of `ROWS`."""
    random = np.random.default_rng(0)
    shuffled = np.concatenate([random.permutation(pairs) for _ in range(EPOCHS)])
    steps = len(shuffled) // ROWS
    return Batch(*shuffled[: steps * ROWS].reshape(steps, ROWS, 2).transpose(2, 0, 1))


def vectors(name, board):
    """The tables that a method ranks by."""
    config = default_config()
    config.update(method=name, dim=3, batch_size=ROWS, num_negatives=4, learning_rate=0.05, protocol="paper_oracle")
    config.options.update({key: OPTIONS[key] for key in options_of(methods.NAMED[name]) if key in OPTIONS})
    method = build_method(config)
    if isinstance(method, Baseline):
        return method.tables(board.train, SIZE, SIZE)
    feed = make_feed(config, method.epoch_unit, board)
    state, data = place(method, jax.random.key(0), checked_data(config, method, feed.data, board.user_ids, None), None)
    # An epoch of users is shuffled by the program itself.
    given = batches(board.train) if method.epoch_unit == "pair" else None
    length = len(given.user_ids) if given else EPOCHS * feed.epoch_steps
    scan = make_scan(lambda spread: make_step(method, spread)[1], ROWS, False)
    train = scan.lower(state, data, length=length, batches=given).compile()
    state, infos = train(state, data, batches=given)
    assert np.isfinite(infos.loss).all()
    return jax.device_get(vectors_of(method, data, None)(state))


@pytest.mark.parametrize("name", [name for name in methods.NAMED if name not in CANNOT])
def test_the_withheld_item_of_the_own_colour_ranks_first(name, board):
    user, item = vectors(name, board)
    # The best of several vectors of a user counts.
    scores = np.einsum("ukd,id->uki", user.reshape(SIZE, -1, item.shape[1]), item).max(1)
    untouched = np.where(TOUCHED, -np.inf, scores)
    # A tie is not first.
    first = (untouched >= untouched[IDS, IDS][:, None]).sum(1) == 1
    assert first.all() if name in WITHOUT_TRAINING else first.mean() >= FIRST_FOR
