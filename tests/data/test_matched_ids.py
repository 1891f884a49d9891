"""Ids that are matched with known ones: text with integers, and numbers of a matrix with other integers, are said."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from onebp_jax.data import from_frame
from onebp_jax.data.grow import grown
from onebp_jax.errors import UserError
from onebp_jax.training.run_data import with_pairs_of

USERS, ITEMS = np.repeat(np.arange(4), 3), np.tile(np.arange(3), 4)


def of(users=USERS + 40, items=ITEMS + 7):
    return from_frame(pd.DataFrame({"user": users, "item": items}), split="none")


MATRIX = from_frame(sparse.csr_array(np.ones((5, 4))), split="none")
TEXT = of(of().user_ids.astype(str)[USERS], of().item_ids.astype(str)[ITEMS])


@pytest.mark.parametrize(
    ("known", "given", "said"),
    [
        (
            of(),
            MATRIX,
            ["0 to 4 and 0 to 3, as rows and columns of a matrix; the ids so far are others, such as 43 and 9"],
        ),
        (
            of(),
            TEXT,
            ["its user ids are text such as '40', those so far are integers such as 40: they were", "its item ids"],
        ),
        (TEXT, of(), ["its user ids are integers such as 40, those so far are text such as '40'", "its item ids"]),
        (MATRIX, from_frame(sparse.csr_array(np.ones((3, 4))), split="none"), []),
        (MATRIX, of(), []),
        (of(), of(USERS + 41), []),
        (of(USERS[::-1], ITEMS[::-1]), MATRIX, []),  # numbers from 0 in another order
    ],
    ids=["matrix", "text", "integers", "two matrices", "frame after matrix", "frames", "another order"],
)
def test_ids_that_may_mean_others_are_said(caplog, known, given, said):
    for match in (grown, with_pairs_of):
        caplog.clear()
        match(known, given)
        lines = [record.getMessage() for record in caplog.records if "so far" in record.getMessage()]
        assert len(lines) == len(said) and all(map(str.__contains__, lines, said))


def at(times):
    frame = pd.DataFrame({"user": USERS, "item": ITEMS, "time": times})
    return from_frame(frame, split="time", test_fraction=0.0)


SECONDS = 1_700_000_000 + np.arange(12)


@pytest.mark.parametrize(
    ("known", "later", "words"),
    [
        (SECONDS, SECONDS * 1000, "so far seconds, the new ones milliseconds"),
        (SECONDS * 1_000_000, SECONDS, "so far microseconds, the new ones seconds"),
        (SECONDS, pd.to_datetime(SECONDS, unit="s"), "so far seconds, the new ones dates or nanoseconds"),
        (np.arange(12), pd.to_datetime(SECONDS, unit="s"), "so far below 1e8, the new ones dates or nanoseconds"),
    ],
)
def test_times_of_another_unit_are_refused(known, later, words):
    with pytest.raises(UserError) as caught:
        grown(at(known), at(later))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_times_of_one_unit_are_joined(caplog):
    for known, later in ((SECONDS, SECONDS + 9), (SECONDS, SECONDS + 0.5), (np.arange(12), np.arange(12) + 20)):
        assert grown(at(known), at(later)).train_times is not None
    assert "below 1e8" not in caplog.text
    grown(at(np.arange(12)), at(SECONDS))
    assert "some times are below 1e8 and others are not: 11 is the largest so far" in caplog.text
