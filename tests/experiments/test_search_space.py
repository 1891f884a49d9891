"""Spaces of settings: how they are read, what is drawn, and what is refused with one clear line."""

import math

import numpy as np
import pytest

from onebp_jax.config import default_config
from onebp_jax.errors import UserError
from onebp_jax.experiments.search_space import Range, parse, plain, settings, size

SPACE = "learning_rate=1e-4:1e-2:log,l2=0|1e-6|1e-5,dim=8:64,options.shrink=0.5:2,optimizer=dense|rowwise"


def test_a_space_as_it_is_read():
    space = parse(SPACE)
    assert space == {
        "learning_rate": Range(1e-4, 1e-2, True),
        "l2": (0, 1e-6, 1e-5),
        "dim": Range(8, 64),
        "options.shrink": Range(0.5, 2),
        "optimizer": ("dense", "rowwise"),
    }
    assert plain(space)["learning_rate"] == {"low": 1e-4, "high": 1e-2, "log": True}
    assert size(parse("l2=0|1e-6|1e-5,dim=8|16")) == 6 and size({}) == 1 and size(space) == math.inf


def test_draws_are_in_range_of_the_right_kind_and_spread():
    drawn = settings(default_config(), parse(SPACE), 200)[1:]
    rates = np.array([one["learning_rate"] for one in drawn])
    assert rates.min() >= 1e-4 and rates.max() <= 1e-2
    # Log-uniform: half are below the geometric mean; a uniform draw would have a tenth there.
    assert 0.4 < (rates < 1e-3).mean() < 0.6
    dims = np.array([one["dim"] for one in drawn])
    assert dims.dtype.kind == "i" and 8 <= dims.min() <= 10 and 62 <= dims.max() <= 64
    assert {one["l2"] for one in drawn} == {0, 1e-6, 1e-5} and {one["optimizer"] for one in drawn} == {
        "dense",
        "rowwise",
    }
    shrinks = np.array([one["options.shrink"] for one in drawn])
    assert 0.5 <= shrinks.min() < 0.6 and 1.9 < shrinks.max() <= 2 and 0.4 < (shrinks < 1.25).mean() < 0.6
    # What is written is what is run.
    assert all(float(str(rate)) == rate and len(f"{rate:.3g}") <= 8 for rate in rates.tolist())


def test_the_first_trial_is_the_configs_own_and_no_trial_comes_twice():
    config = default_config()
    config.l2 = 1e-6
    drawn = settings(config, parse("l2=0|1e-6|1e-5"), 3)
    assert drawn[0] == {} and {one["l2"] for one in drawn[1:]} == {0, 1e-5}


def test_more_trials_or_another_field_leave_the_draws_as_they_are():
    config = default_config()
    few, many = (settings(config, parse("learning_rate=1e-4:1e-2:log"), count) for count in (4, 9))
    assert many[:4] == few
    wider = settings(config, parse("learning_rate=1e-4:1e-2:log,l2=0|1e-5"), 4)
    assert [one["learning_rate"] for one in wider[1:]] == [one["learning_rate"] for one in few[1:]]
    other = settings(config, parse("learning_rate=1e-4:1e-2:log"), 4, seed=1)
    assert not {one["learning_rate"] for one in other[1:]} & {one["learning_rate"] for one in few[1:]}
    assert [one["learning_rate"] for one in few[1:]] != sorted(one["learning_rate"] for one in few[1:])[:1] * 3


def test_a_grid_is_every_combination_and_the_configs_own():
    drawn = settings(default_config(), parse("l2=0|1e-6,dim=8|16"), 5, "grid")
    assert drawn == [{}] + [{"l2": l2, "dim": dim} for l2 in (0, 1e-6) for dim in (8, 16)]
    # The config's own is a point of this grid, and is not run twice.
    assert settings(default_config(), parse("l2=0|1e-5"), 2, "grid") == [{}, {"l2": 0}]


@pytest.mark.parametrize(
    "text, words",
    [
        ("learning_rate", "^space='learning_rate': expected FIELD=VALUES"),
        ("learning_rate=", "expected FIELD=VALUES"),
        ("learing_rate=1|2", "'learing_rate' is no field of the config, expected .* the nearest: learning_rate, "),
        (
            "options.shrnk=1|2",
            "'options.shrnk' is no field of the config, expected .* the nearest: options.shrink, ",
        ),
        ("options=1|2", "'options' is no field"),
        ("seed=0|1", "'seed' is fixed in a search"),
        ("protocol=honest|paper_oracle", "'protocol' is fixed"),
        ("read_test=True|False", "'read_test' is fixed"),
        ("l2=0|1,l2=2|3", "'l2' is given twice"),
        ("l2=0|0", "expected values that differ"),
        ("l2=0|", "expected values that differ"),
        ("l2=1:0", "LOW below HIGH"),
        ("l2=a:b", "LOW below HIGH"),
        ("l2=0:1:lin", "expected LOW:HIGH or LOW:HIGH:log"),
        ("l2=0:1:log", "begins above 0, got 0"),
        ("l2=nan:1", "LOW below HIGH"),
        ("l2=0:1e999", "LOW below HIGH"),
        ("l2=0:1:log:2", "LOW:HIGH:log"),
    ],
)
def test_a_bad_space_is_one_clear_line(text, words):
    with pytest.raises(UserError, match=words) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text, trials, search, words",
    [
        ("l2=0|1", 4, "random", "^trials=4: the space holds 3 different settings"),
        ("", 2, "random", "^trials=2: the space holds 1 different"),
        ("l2=0|1", 2, "grid", "^trials=2: a grid search needs 3"),
        ("l2=0|1", 4, "grid", "^trials=4: the space holds 3"),
        ("l2=0:1", 4, "grid", "^space='l2': it is a range, and a grid search needs values"),
    ],
)
def test_a_number_of_trials_that_is_not_true_is_refused(text, trials, search, words):
    with pytest.raises(UserError, match=words):
        settings(default_config(), parse(text), trials, search)


def test_few_trials_leave_nothing_out():
    space = "learning_rate=1e-4:1e-2:log,dim=8:64,l2=0|1e-6|1e-5|1e-4"
    drawn = settings(default_config(), parse(space), 9)[1:]
    assert sorted(one["l2"] for one in drawn) == sorted([0, 1e-6, 1e-5, 1e-4] * 2)
    eighths = [int(np.log10(one["learning_rate"] / 1e-4) * 4) for one in drawn]
    assert sorted(eighths) == list(range(8)) != eighths
    assert sorted((one["dim"] - 8) * 8 // 57 for one in drawn) == list(range(8))
