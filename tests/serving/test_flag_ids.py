"""Ids in a flag, as in CSV: how they are read, and what is said of those that are unknown."""

import shlex

import numpy as np
import pytest

from onebp_jax.errors import UserError
from onebp_jax.serving.flag_ids import as_written, rows_of_flag

IDS = np.array(['"Weird Al" 161', "Mötley Crüe, 3", "AC/DC", "o'brien", "$HOME, `x` it's", "7", 'say "hi", 5'])


@pytest.mark.parametrize("one", IDS)
def test_an_id_as_it_is_written_is_read_back_through_a_shell(one):
    flag = shlex.split(as_written(one))
    assert len(flag) == 1 and rows_of_flag("item", flag[0], IDS).tolist() == [IDS.tolist().index(one)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '"Weird Al" 161',
            """--item="Weird Al" 161: not ids as in CSV .*; the nearest: --item='\"""Weird Al"" 161"'$""",
        ),
        ("weird al 161", """not an id of the run .1 of the 1 .*; the nearest: --item='\"""Weird Al"" 161"'; leave"""),
        ("Mötley Crüe, 3", """this is one id, with a mark of CSV; write --item='"Mötley Crüe, 3"'$"""),
        ("7,O'Brien", """not an id of the run .1 of the 2 .*; the nearest: --item="o'brien"; leave"""),
        ("Björk", "known ids are such as --item="),
        ("7,,8", "--item=7,,8: an id is empty"),
        ("", "--item=: an id is empty"),
    ],
)
def test_an_unknown_id_is_said_with_the_nearest_as_they_are_written(text, said):
    with pytest.raises(UserError, match=said):
        rows_of_flag("item", text, IDS)


def test_ids_are_separated_as_in_csv():
    assert rows_of_flag("user", '7, "Mötley Crüe, 3",7', IDS).tolist() == [5, 1, 5]
    assert rows_of_flag("user", "7,new", IDS, skip_unknown=True).tolist() == [5]
